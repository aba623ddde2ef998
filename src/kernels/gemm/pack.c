/* kernels/gemm/pack: B into panels, [panel][k][nr], zeros beyond the last column. */
#include "kernels/gemm/tile.h"

#include <string.h>

enum { PACK_K = 16 };      /* rows of a block whose transposition stays in L1 */
enum { PACK_ROWS_K = 64 }; /* rows of a row-major B that go to all panels in turn: it is read from end to end once */

/* Rows of k of one panel of a row-major B. */
static void pack_rows(int64_t cols, int64_t k, const unaligned_f32 *b, int64_t stride_k, float scale, int nr,
                      float *packed) {
  if (cols < nr) memset(packed, 0, (size_t)(k * nr) * sizeof *packed);
  for (int64_t i = 0; i < k; i++, b += stride_k, packed += nr) {
    LOOP_INDEPENDENT
    for (int64_t j = 0; j < cols; j++) packed[j] = scale * b[j];
  }
}

/* One panel of `cols` columns of a B that is neither row-major nor transposed. */
static void pack_strided(int64_t cols, int64_t k, const unaligned_f32 *b, int64_t stride_k, int64_t stride_n,
                         float scale, int nr, float *packed) {
  if (cols < nr) memset(packed, 0, (size_t)(k * nr) * sizeof *packed);
  for (int64_t i0 = 0; i0 < k; i0 += PACK_K) {
    int64_t i1 = k - i0 < PACK_K ? k : i0 + PACK_K;
    for (int64_t j = 0; j < cols; j++) {
      const unaligned_f32 *from = b + j * stride_n;
      for (int64_t i = i0; i < i1; i++) packed[i * nr + j] = scale * from[i * stride_k];
    }
  }
}

void gemm_f32_pack_panels(const gemm_f32_variant *v, int64_t n, int64_t k, const unaligned_f32 *b, int64_t stride_k,
                          int64_t stride_n, float scale, int64_t panel0, int64_t panel1, float *packed) {
  int nr = v->nr;
  bool row_major = stride_n == 1 && stride_k != 1;
  int64_t block = row_major ? PACK_ROWS_K : k;
  for (int64_t i = 0; i < k; i += block) {
    int64_t rows = k - i < block ? k - i : block;
    for (int64_t p = panel0; p < panel1; p++) {
      int64_t cols = n - p * nr < nr ? n - p * nr : nr;
      const unaligned_f32 *from = b + i * stride_k + p * nr * stride_n;
      float *to = packed + (p * k + i) * nr;
      if (row_major)
        pack_rows(cols, rows, from, stride_k, scale, nr, to);
      else if (stride_k == 1)
        v->pack_transposed(cols, rows, from, stride_n, scale, to);
      else
        pack_strided(cols, rows, from, stride_k, stride_n, scale, nr, to);
    }
  }
}
