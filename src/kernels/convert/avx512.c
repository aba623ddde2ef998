/* convert for AVX-512. */
#include <immintrin.h>

#include "kernels/convert/convert_body.h"

static void f16_to_f32(const uint16_t *x, float *y, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(x + i))));
  if (i == n) return;
  __mmask16 rest = (__mmask16)((1u << (n - i)) - 1);
  _mm512_mask_storeu_ps(y + i, rest, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(rest, x + i)));
}

static void f32_to_f16(const float *x, uint16_t *y, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256((__m256i *)(y + i), _mm512_cvtps_ph(_mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  if (i == n) return;
  __mmask16 rest = (__mmask16)((1u << (n - i)) - 1);
  __m256i h = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(rest, x + i), _MM_FROUND_TO_NEAREST_INT);
  _mm256_mask_storeu_epi16(y + i, rest, h);
}

const convert_kernels convert__avx512;
const convert_kernels convert__avx512 = {f16_to_f32, f32_to_f16, bf16_to_f32, f32_to_bf16};
