/* kernels/gemm/pack: B into panels, [panel][k][nr], zeros beyond the last column. */
#include "kernels/gemm/tile.h"

#include <string.h>

enum { PACK_K = 16 }; /* rows of a block whose transposition stays in L1 */

/* One panel of `cols` columns. */
static void pack_panel(const gemm_f32_variant *v, int64_t cols, int64_t k, const float *b, int64_t stride_k,
                       int64_t stride_n, float scale, float *packed) {
  int nr = v->nr;
  if (stride_k == 1) {
    v->pack_transposed(cols, k, b, stride_n, scale, packed);
    return;
  }
  if (cols < nr) memset(packed, 0, (size_t)(k * nr) * sizeof *packed);
  if (stride_n == 1) {
    for (int64_t i = 0; i < k; i++, b += stride_k, packed += nr) {
      for (int64_t j = 0; j < cols; j++) packed[j] = scale * b[j];
    }
    return;
  }
  for (int64_t i0 = 0; i0 < k; i0 += PACK_K) {
    int64_t i1 = k - i0 < PACK_K ? k : i0 + PACK_K;
    for (int64_t j = 0; j < cols; j++) {
      const float *from = b + j * stride_n;
      for (int64_t i = i0; i < i1; i++) packed[i * nr + j] = scale * from[i * stride_k];
    }
  }
}

void gemm_f32_pack_panels(const gemm_f32_variant *v, int64_t n, int64_t k, const float *b, int64_t stride_k,
                          int64_t stride_n, float scale, int64_t panel0, int64_t panel1, float *packed) {
  int nr = v->nr;
  for (int64_t p = panel0; p < panel1; p++) {
    int64_t n0 = p * nr, cols = n - n0 < nr ? n - n0 : nr;
    pack_panel(v, cols, k, b + n0 * stride_n, stride_k, stride_n, scale, packed + p * k * nr);
  }
}
