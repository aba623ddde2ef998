/* gemm_f32__avx512_14x32: 14 rows by 2 vectors of 16: 28 sums, 2 vectors of B, 1 broadcast of A: 31 of 32 registers.
 * A row of k costs 16 loads for 28 multiply-adds, so that the two FMA ports are the limit and not the two load ports.
 */
#include "kernels/simd/avx512.h"

#define GEMM_MR 14
#define GEMM_V 2
#define GEMM_ROWS_ALL(X) GEMM_ROWS_14(X)
#define GEMM_ROWS_P2(X) GEMM_ROWS_6(X)
#define GEMM_ROWS_P4(X) X(1) X(2) X(3)
#define GEMM_OWN_PACK
#include "kernels/gemm/tile_body.h"

/* Up to 16 columns of b by up to 16 rows of k: four rounds of interleaving, of floats, pairs, quarters and halves. */
static inline void pack_16x16(int64_t rows, int64_t cols, const unaligned_f32 *b, int64_t stride_n, __m512 scale,
                              float *packed) {
  __m512 r[16], t[16];
  vm first = (vm)((1u << rows) - 1u);
  GEMM_UNROLL for (int i = 0; i < 16; i++) {
    r[i] = i < cols ? _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(first, b + i * stride_n)) : vf_zero();
  }
  GEMM_UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  GEMM_UNROLL for (int i = 0; i < 16; i += 4) {
    GEMM_UNROLL for (int j = 0; j < 2; j++) {
      __m512d lo = _mm512_castps_pd(t[i + j]), hi = _mm512_castps_pd(t[i + j + 2]);
      r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi));
      r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi));
    }
  }
  /* r[4 g + e]: quarter q holds row 4 q + e of columns 4 g to 4 g + 3. */
  GEMM_UNROLL for (int e = 0; e < 4; e++) {
    __m512 a = _mm512_shuffle_f32x4(r[e], r[4 + e], 0x88), c = _mm512_shuffle_f32x4(r[8 + e], r[12 + e], 0x88);
    __m512 d = _mm512_shuffle_f32x4(r[e], r[4 + e], 0xdd), f = _mm512_shuffle_f32x4(r[8 + e], r[12 + e], 0xdd);
    t[e] = _mm512_shuffle_f32x4(a, c, 0x88);
    t[8 + e] = _mm512_shuffle_f32x4(a, c, 0xdd);
    t[4 + e] = _mm512_shuffle_f32x4(d, f, 0x88);
    t[12 + e] = _mm512_shuffle_f32x4(d, f, 0xdd);
  }
  GEMM_UNROLL for (int i = 0; i < 16; i++) {
    if (i < rows) _mm512_storeu_ps(packed + i * GEMM_NR, t[i]);
  }
}

static void gemm_pack_transposed(int64_t cols, int64_t k, const unaligned_f32 *b, int64_t stride_n, float scale,
                                 float *packed) {
  __m512 s = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < k; i += 16) {
    int64_t rows = k - i < 16 ? k - i : 16;
    pack_16x16(rows, cols, b + i, stride_n, s, packed + i * GEMM_NR);
    pack_16x16(rows, cols - 16, b + 16 * stride_n + i, stride_n, s, packed + i * GEMM_NR + 16);
  }
}

GEMM_VARIANT(gemm_f32__avx512_14x32, CPU_ISA_AVX512);
