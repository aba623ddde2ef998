/* fixed for AVX-512: sums by sixteen, the products of their even and odd lanes apart; additions as fixed_body.h has
 * them. */
#define FIXED_NAME fixed__avx512
#define FIXED_OWN_COLUMNS 1
#include "kernels/fixed/fixed.h"

#include <immintrin.h>

static inline __m512i factor_of(__m512i x, __m512i m, __m512i left, __m512i right) {
  const __m512i half = _mm512_set1_epi64(1 << 30), one = _mm512_set1_epi32(1);
  x = _mm512_sllv_epi32(x, left);
  __m512i even = _mm512_mul_epi32(x, m), odd = _mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(m, 32));
  even = _mm512_srli_epi64(_mm512_add_epi64(even, half), 31);
  odd = _mm512_slli_epi64(_mm512_srli_epi64(_mm512_add_epi64(odd, half), 31), 32);
  __m512i high = _mm512_mask_blend_epi32(0xAAAA, even, odd);
  __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, right), one), rest = _mm512_and_si512(high, mask);
  __m512i middle = _mm512_sub_epi32(_mm512_srli_epi32(mask, 1), _mm512_srai_epi32(high, 31));
  __mmask16 up = _mm512_cmpgt_epi32_mask(rest, middle);
  __m512i y = _mm512_srav_epi32(high, right);
  return _mm512_mask_add_epi32(y, up, y, one);
}

static void columns(const int32_t *sums, int64_t sums_row, uint8_t *y, int64_t y_row, int64_t rows, int64_t c,
                    const fixed_columns *f) {
  const __m512i zero = _mm512_set1_epi32(f->zero), none = _mm512_setzero_si512();
  const __m512i least = _mm512_set1_epi32(f->min - f->zero), most = _mm512_set1_epi32(f->max - f->zero);
  for (int64_t at = 0; at < c; at += 16) {
    __mmask16 in = c - at >= 16 ? 0xFFFF : (__mmask16)((1u << (c - at)) - 1u);
    __m512i m = _mm512_maskz_loadu_epi32(in, f->m + at), shift = _mm512_maskz_loadu_epi32(in, f->shift + at);
    __m512i left = _mm512_max_epi32(shift, none), right = _mm512_max_epi32(_mm512_sub_epi32(none, shift), none);
    __m512i bias = f->bias ? _mm512_maskz_loadu_epi32(in, f->bias + at) : none;
    for (int64_t i = 0; i < rows; i++) {
      __m512i v = _mm512_add_epi32(_mm512_maskz_loadu_epi32(in, sums + i * sums_row + at), bias);
      v = _mm512_min_epi32(_mm512_max_epi32(factor_of(v, m, left, right), least), most);
      _mm512_mask_cvtepi32_storeu_epi8(y + i * y_row + at, in, _mm512_add_epi32(v, zero));
    }
  }
}

#include "kernels/fixed/fixed_body.h"
