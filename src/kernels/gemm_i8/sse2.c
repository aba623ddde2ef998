/* gemm_i8 for SSE2: see madd_body.h. */
#include <emmintrin.h>
#include <stdint.h>
#include <string.h>

#define GEMM_I8_INLINE static inline __attribute__((always_inline))
typedef __m128i vi;
enum { LANES = 4, VECTORS = 2, ROWS = 4 };

GEMM_I8_INLINE vi vi_zero(void) { return _mm_setzero_si128(); }
GEMM_I8_INLINE vi vi_widen(const int8_t *p) {
  __m128i v = _mm_loadl_epi64((const __m128i *)p);
  return _mm_srai_epi16(_mm_unpacklo_epi8(v, v), 8);
}
GEMM_I8_INLINE vi vi_pair(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm_set1_epi32(pair);
}
GEMM_I8_INLINE vi vi_add_products(vi acc, vi a, vi b) { return _mm_add_epi32(acc, _mm_madd_epi16(a, b)); }
GEMM_I8_INLINE void vi_put(int32_t *p, vi v) { _mm_storeu_si128((__m128i *)p, v); }

#include "kernels/gemm_i8/madd_body.h"

const gemm_i8_kernels gemm_i8__sse2;
const gemm_i8_kernels gemm_i8__sse2 = {TILE_N, TILE_K, A_SIGNED, run};
