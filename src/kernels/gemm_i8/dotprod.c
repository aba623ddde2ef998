/* gemm_i8 for Arm with dot products: see quad_body.h. */
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define GEMM_I8_INLINE static inline __attribute__((always_inline))
typedef int32x4_t vi;
typedef int8_t panel_t;
enum { LANES = 4, VECTORS = 3, ROWS = 8, A_SIGNED = 1 };

GEMM_I8_INLINE vi vi_zero(void) { return vdupq_n_s32(0); }
GEMM_I8_INLINE vi vi_get(const int8_t *p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
GEMM_I8_INLINE vi vi_quad(const int8_t *p) {
  int32_t quad;
  memcpy(&quad, p, sizeof quad);
  return vdupq_n_s32(quad);
}
GEMM_I8_INLINE vi vi_add_products(vi acc, vi a, vi b) {
  return vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
}
GEMM_I8_INLINE void vi_put(int32_t *p, vi v) { vst1q_s32(p, v); }

#include "kernels/gemm_i8/quad_body.h"

const gemm_i8_kernels gemm_i8__dotprod;
const gemm_i8_kernels gemm_i8__dotprod = {TILE_N, TILE_K, A_SIGNED, run};
