/* gemm_i8 for NEON without dot products: bytes widened to int16, then multiplied by one lane and added to int32. */
#include <arm_neon.h>
#include <stdint.h>

#define GEMM_I8_INLINE static inline __attribute__((always_inline))
typedef int16_t panel_t;
enum { TILE_N = 8, TILE_K = 1, ROWS = 4, A_SIGNED = 0 };

GEMM_I8_INLINE void tile(const int rows, int64_t groups, const panel_t *panel, const int8_t *b,
                         int32_t sums[][TILE_N]) {
  int32x4_t acc[ROWS][2];
  for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vdupq_n_s32(0);
  for (int64_t g = 0; g < groups; g++, panel += ROWS, b += TILE_N) {
    const int16x8_t x = vmovl_s8(vld1_s8(b));
    const int16x4_t a = vld1_s16(panel), lo = vget_low_s16(x), hi = vget_high_s16(x);
#define ROW(r)                                       \
  if (r < rows) {                                    \
    acc[r][0] = vmlal_lane_s16(acc[r][0], lo, a, r); \
    acc[r][1] = vmlal_lane_s16(acc[r][1], hi, a, r); \
  }
    ROW(0)
    ROW(1)
    ROW(2)
    ROW(3)
#undef ROW
  }
  for (int r = 0; r < rows; r++) vst1q_s32(sums[r], acc[r][0]), vst1q_s32(sums[r] + 4, acc[r][1]);
}

#include "kernels/gemm_i8/gemm_i8_body.h"

const gemm_i8_kernels gemm_i8__neon;
const gemm_i8_kernels gemm_i8__neon = {TILE_N, TILE_K, A_SIGNED, run};
