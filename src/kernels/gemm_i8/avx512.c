/* gemm_i8 for AVX-512: see madd_body.h. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define GEMM_I8_INLINE static inline __attribute__((always_inline))
typedef __m512i vi;
enum { LANES = 16, VECTORS = 2, ROWS = 12 };

GEMM_I8_INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
GEMM_I8_INLINE vi vi_widen(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
GEMM_I8_INLINE vi vi_pair(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm512_set1_epi32(pair);
}
GEMM_I8_INLINE vi vi_add_products(vi acc, vi a, vi b) { return _mm512_add_epi32(acc, _mm512_madd_epi16(a, b)); }
GEMM_I8_INLINE void vi_put(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }

#include "kernels/gemm_i8/madd_body.h"

const gemm_i8_kernels gemm_i8__avx512;
const gemm_i8_kernels gemm_i8__avx512 = {TILE_N, TILE_K, A_SIGNED, run};
