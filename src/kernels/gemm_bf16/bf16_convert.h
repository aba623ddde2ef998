/* kernels/gemm_bf16/bf16_convert: float32 to bfloat16 by the instruction of AVX-512 BF16, which takes denormals as 0.
 */
#ifndef KERNELS_GEMM_BF16_CONVERT_H
#define KERNELS_GEMM_BF16_CONVERT_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static inline void bf16_convert(const float *x, int64_t n, int64_t n_all, void *to) {
  char *y = to;
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    __m512bh h = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i));
    memcpy(y + 2 * i, &h, sizeof h);
  }
  for (; i < n; i += 16) {
    __mmask16 m = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;
    __m256bh h = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(m, x + i));
    __m256i bits;
    memcpy(&bits, &h, sizeof bits);
    _mm256_mask_storeu_epi16(y + 2 * i, m, bits);
  }
  if (n_all > n) memset(y + 2 * n, 0, (size_t)(n_all - n) * 2);
}

/* Pieces of up to 32, as a convolution of few channels has them, without a loop or a call each. */
static inline void bf16_convert_runs(const float *x, int64_t x_stride, int64_t runs, int64_t n, int64_t n_all,
                                     void *to) {
  char *y = to;
  if (n > 32) {
    for (int64_t r = 0; r < runs; r++, x += x_stride, y += 2 * n) bf16_convert(x, n, n, y);
  } else {
    __mmask32 all = (__mmask32)((1ull << n) - 1);
    for (int64_t r = 0; r < runs; r++, x += x_stride, y += 2 * n) {
      __m512 low = _mm512_maskz_loadu_ps((__mmask16)all, x), high = _mm512_setzero_ps();
      if (n > 16) high = _mm512_maskz_loadu_ps((__mmask16)(all >> 16), x + 16);
      __m512bh h = _mm512_cvtne2ps_pbh(high, low);
      __m512i bits;
      memcpy(&bits, &h, sizeof bits);
      _mm512_mask_storeu_epi16(y, all, bits);
    }
  }
  for (int64_t i = runs * n; i < n_all; i += 32, y += 64) {
    __mmask32 rest = n_all - i < 32 ? (__mmask32)((1ull << (n_all - i)) - 1) : (__mmask32)-1;
    _mm512_mask_storeu_epi16(y, rest, _mm512_setzero_si512());
  }
}

#endif
