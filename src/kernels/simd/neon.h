/* kernels/simd/neon: the vector words in NEON, for aarch64 and for 32-bit Arm with VFPv4, which has neither a vector
 * division nor rounding and flushes denormals. See README.md for their meaning. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <arm_neon.h>
#include <stdint.h>

#define VF_LANES 4
#define VF_ISA neon
typedef float32x4_t vf;
typedef uint32x4_t vm;

static inline vf vf_zero(void) { return vdupq_n_f32(0); }
static inline vf vf_set1(float x) { return vdupq_n_f32(x); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf v) { vst1q_f32(p, v); }
static inline vf vf_loadn(const float *p, int64_t n) {
  float t[4] = {0, 0, 0, 0};
  for (int64_t i = 0; i < n && i < 4; i++) t[i] = p[i];
  return vf_load(t);
}
static inline void vf_storen(float *p, vf v, int64_t n) {
  float t[4];
  vf_store(t, v);
  for (int64_t i = 0; i < n && i < 4; i++) p[i] = t[i];
}
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
static inline vf vf_min(vf a, vf b) { return vminq_f32(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
static inline vf vf_abs(vf a) { return vabsq_f32(a); }
static inline vf vf_copysign(vf magnitude, vf sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude); }
static inline vm vf_lt(vf a, vf b) { return vcltq_f32(a, b); }
static inline vf vf_select(vm m, vf yes, vf no) { return vbslq_f32(m, yes, no); }
#ifdef __aarch64__
static inline vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
static inline vf vf_round(vf a) { return vrndnq_f32(a); }
#else
static inline vf vf_div(vf a, vf b) {
  float x[4], y[4];
  vst1q_f32(x, a);
  vst1q_f32(y, b);
  for (int i = 0; i < 4; i++) x[i] /= y[i];
  return vld1q_f32(x);
}
static inline vf vf_sqrt(vf a) {
  float x[4];
  vst1q_f32(x, a);
  for (int i = 0; i < 4; i++) x[i] = __builtin_sqrtf(x[i]);
  return vld1q_f32(x);
}
/* For |a| < 2^22. */
static inline vf vf_round(vf a) {
  vf magic = vdupq_n_f32(12582912.0f);
  return vsubq_f32(vaddq_f32(a, magic), magic);
}
#endif
/* Two steps, so that results in the denormal range and up to the largest number are right. */
static inline vf vf_scale2(vf a, vf n) {
  int32x4_t i = vcvtq_s32_f32(n), half = vshrq_n_s32(i, 1), bias = vdupq_n_s32(127);
  vf s0 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
  vf s1 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(i, half), bias), 23));
  return vmulq_f32(vmulq_f32(a, s0), s1);
}
static inline float vf_sum(vf a) {
  float32x2_t s = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(vpadd_f32(s, s), 0);
}
static inline float vf_hmax(vf a) {
  float32x2_t s = vmax_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(vpmax_f32(s, s), 0);
}

#endif
