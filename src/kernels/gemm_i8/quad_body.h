/* gemm_i8 by instructions that add four products of bytes to an int32 (vpdpbusd, sdot). An ISA's file defines vi,
 * LANES, VECTORS, ROWS, A_SIGNED, panel_t and the words used below. */
#define TILE_K 4
#define TILE_N (VECTORS * LANES)

GEMM_I8_INLINE void tile(const int rows, int64_t groups, const panel_t *panel, const int8_t *b,
                         int32_t sums[][TILE_N]) {
  vi acc[ROWS][VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) acc[r][v] = vi_zero();
  for (int64_t g = 0; g < groups; g++, panel += ROWS * TILE_K, b += TILE_N * TILE_K) {
    vi x[VECTORS];
    for (int v = 0; v < VECTORS; v++) x[v] = vi_get(b + v * LANES * TILE_K);
    for (int r = 0; r < rows; r++) {
      const vi quad = vi_quad(panel + r * TILE_K);
      for (int v = 0; v < VECTORS; v++) acc[r][v] = vi_add_products(acc[r][v], quad, x[v]);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) vi_put(&sums[r][v * LANES], acc[r][v]);
}

#include "kernels/gemm_i8/gemm_i8_body.h"
