/* gemm_i8 for AVX2: see madd_body.h. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define GEMM_I8_INLINE static inline __attribute__((always_inline))
typedef __m256i vi;
enum { LANES = 8, VECTORS = 2, ROWS = 6 };

GEMM_I8_INLINE vi vi_zero(void) { return _mm256_setzero_si256(); }
GEMM_I8_INLINE vi vi_widen(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
GEMM_I8_INLINE vi vi_pair(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}
GEMM_I8_INLINE vi vi_add_products(vi acc, vi a, vi b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
GEMM_I8_INLINE void vi_put(int32_t *p, vi v) { _mm256_storeu_si256((__m256i *)p, v); }

#include "kernels/gemm_i8/madd_body.h"

const gemm_i8_kernels gemm_i8__avx2;
const gemm_i8_kernels gemm_i8__avx2 = {TILE_N, TILE_K, A_SIGNED, run};
