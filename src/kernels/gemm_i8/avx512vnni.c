/* gemm_i8 for AVX-512 with VNNI: see quad_body.h. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define GEMM_I8_INLINE static inline __attribute__((always_inline))
typedef __m512i vi;
typedef uint8_t panel_t;
enum { LANES = 16, VECTORS = 2, ROWS = 12, A_SIGNED = 0 };

GEMM_I8_INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
GEMM_I8_INLINE vi vi_get(const int8_t *p) { return _mm512_loadu_si512(p); }
GEMM_I8_INLINE vi vi_quad(const uint8_t *p) {
  int32_t quad;
  memcpy(&quad, p, sizeof quad);
  return _mm512_set1_epi32(quad);
}
GEMM_I8_INLINE vi vi_add_products(vi acc, vi a, vi b) { return _mm512_dpbusd_epi32(acc, a, b); }
GEMM_I8_INLINE void vi_put(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }

#include "kernels/gemm_i8/quad_body.h"

const gemm_i8_kernels gemm_i8__avx512vnni;
const gemm_i8_kernels gemm_i8__avx512vnni = {TILE_N, TILE_K, A_SIGNED, run};
