/* gemm_i8's body: rows of a, ROWS at a time, are packed into a panel that stays in L1, a stretch of k at a time, and
 * each tile of b passes over it once. An ISA's file defines before including this:
 *
 *   TILE_N, TILE_K, A_SIGNED    the form of b (see gemm_i8.h), and the sign of a that the products want
 *   ROWS                        rows of a tile of c
 *   panel_t                     an element of the panel: int8 or uint8, or int16 where the products want it widened
 *   tile(rows, groups, panel, b, c)   int32 c[rows][TILE_N] = the products of `groups` groups of TILE_K; forced inline,
 *                               `rows` is a constant; the panel is [groups][ROWS][TILE_K], b [groups][TILE_N][TILE_K]
 */
#include "kernels/gemm_i8/gemm_i8.h"

enum { STRETCH = 1024 }; /* of k: a panel of 12 rows is 12 or 24 KiB */

static inline panel_t panel_element(uint8_t v) { return A_SIGNED ? (panel_t)(int8_t)v : (panel_t)v; }

/* Rows of a, flipped to the wanted sign, with zeros up to a whole group and up to ROWS. */
static void pack_panel(int64_t rows, int64_t k, const uint8_t *a, int64_t a_row, uint8_t flip, panel_t *panel) {
  int64_t whole = k / TILE_K, groups = (k + TILE_K - 1) / TILE_K;
  for (int64_t r = 0; r < rows; r++) {
    const uint8_t *from = a + r * a_row;
    panel_t *to = panel + r * TILE_K;
    for (int64_t g = 0; g < whole; g++, to += ROWS * TILE_K, from += TILE_K)
      for (int q = 0; q < TILE_K; q++) to[q] = panel_element(from[q] ^ flip);
    for (int64_t q = 0; q < TILE_K && whole < groups; q++)
      to[q] = whole * TILE_K + q < k ? panel_element(from[q] ^ flip) : 0;
  }
  for (int64_t r = rows; r < ROWS; r++)
    for (int64_t g = 0; g < groups; g++)
      for (int q = 0; q < TILE_K; q++) panel[(g * ROWS + r) * TILE_K + q] = 0;
}

/* The tile's sums to c, or added to what stands there. */
static void store_tile(const int32_t sums[ROWS][TILE_N], int64_t rows, int64_t cols, bool add, int32_t *c,
                       int64_t c_row) {
  for (int64_t r = 0; r < rows; r++) {
    int32_t *to = c + r * c_row;
    if (cols == TILE_N && !add)
      for (int j = 0; j < TILE_N; j++) to[j] = sums[r][j];
    else if (cols == TILE_N)
      for (int j = 0; j < TILE_N; j++) to[j] = (int32_t)((uint32_t)to[j] + (uint32_t)sums[r][j]);
    else
      for (int64_t j = 0; j < cols; j++) to[j] = (int32_t)((add ? (uint32_t)to[j] : 0) + (uint32_t)sums[r][j]);
  }
}

static void run(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t a_row, uint8_t flip, const int8_t *tiles,
                int32_t *c, int64_t c_row) {
  _Alignas(64) panel_t panel[STRETCH * ROWS];
  _Alignas(64) int32_t sums[ROWS][TILE_N];
  int64_t tile_bytes = (k + TILE_K - 1) / TILE_K * TILE_K * TILE_N;
  for (int64_t i = 0; i < m; i += ROWS) {
    int64_t rows = m - i < ROWS ? m - i : ROWS;
    for (int64_t q = 0; q < k; q += STRETCH) {
      int64_t depth = k - q < STRETCH ? k - q : STRETCH, groups = (depth + TILE_K - 1) / TILE_K;
      pack_panel(rows, depth, a + i * a_row + q, a_row, flip, panel);
      for (int64_t j = 0; j < n; j += TILE_N) {
        const int8_t *b = tiles + j / TILE_N * tile_bytes + q * TILE_N;
        if (rows == 1)
          tile(1, groups, panel, b, sums);
        else if (rows <= 4 && ROWS > 4)
          tile(4, groups, panel, b, sums);
        else
          tile(ROWS, groups, panel, b, sums);
        store_tile(sums, rows, n - j < TILE_N ? n - j : TILE_N, q > 0, c + i * c_row + j, c_row);
      }
    }
  }
}
