/* simd/neon: the vocabulary of README.md in Arm's Advanced SIMD: 4 floats. AArch64 has it all; ARMv7 with VFPv4 lacks
 * division, square root, rounding and sums across lanes, which are made from what it has. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <arm_neon.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define VF_LANES 4
#define VF_NAME(f) f##__neon
#ifdef __aarch64__
#define VF_REGISTERS 32
#else
#define VF_REGISTERS 16
#endif
#define VF_ISA neon
#define VF_WORD static inline __attribute__((always_inline))

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

VF_WORD vf vf_load(const float *p) { return vld1q_f32(p); }
VF_WORD void vf_store(float *p, vf v) { vst1q_f32(p, v); }
VF_WORD vf vf_loadn(const float *p, int64_t n) {
  if (n == 4) return vld1q_f32(p);
  vf v = vdupq_n_f32(0);
  if (n > 0) v = vsetq_lane_f32(p[0], v, 0);
  if (n > 1) v = vsetq_lane_f32(p[1], v, 1);
  if (n > 2) v = vsetq_lane_f32(p[2], v, 2);
  return v;
}
VF_WORD void vf_storen(float *p, vf v, int64_t n) {
  if (n == 4) {
    vst1q_f32(p, v);
    return;
  }
  if (n > 0) p[0] = vgetq_lane_f32(v, 0);
  if (n > 1) p[1] = vgetq_lane_f32(v, 1);
  if (n > 2) p[2] = vgetq_lane_f32(v, 2);
}
VF_WORD vf vf_set1(float x) { return vdupq_n_f32(x); }
#define VF_KEEP(v) __asm__("" : "+w"(v))

VF_WORD vf vf_zero(void) { return vdupq_n_f32(0); }
VF_WORD vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
VF_WORD vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
VF_WORD vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
VF_WORD vf vf_abs(vf a) { return vabsq_f32(a); }
VF_WORD vf vf_neg(vf a) { return vnegq_f32(a); }
VF_WORD vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
VF_WORD vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
VF_WORD vf vf_min(vf a, vf b) { return vminq_f32(a, b); }
VF_WORD vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
VF_WORD vm vf_lt(vf a, vf b) { return vcltq_f32(a, b); }
VF_WORD vm vf_le(vf a, vf b) { return vcleq_f32(a, b); }
VF_WORD vm vf_eq(vf a, vf b) { return vceqq_f32(a, b); }
VF_WORD vm vf_unordered(vf a, vf b) { return vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b))); }
VF_WORD vm vm_or(vm a, vm b) { return vorrq_u32(a, b); }
VF_WORD vf vf_select(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
VF_WORD vf vf_copysign(vf magnitude, vf sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude); }

VF_WORD vi vi_set1(int32_t x) { return vdupq_n_s32(x); }
VF_WORD vi vi_load(const int32_t *p) { return vld1q_s32(p); }
VF_WORD void vi_store(int32_t *p, vi v) { vst1q_s32(p, v); }
VF_WORD vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
VF_WORD vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
VF_WORD vi vi_mul(vi a, vi b) { return vmulq_s32(a, b); }
VF_WORD vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
VF_WORD vi vi_or(vi a, vi b) { return vorrq_s32(a, b); }
VF_WORD vi vi_xor(vi a, vi b) { return veorq_s32(a, b); }
VF_WORD vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
VF_WORD vi vi_min(vi a, vi b) { return vminq_s32(a, b); }
#define vi_shl(a, bits) vshlq_n_s32(a, bits)
#define vi_shr(a, bits) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), bits))
#define vi_sar(a, bits) vshrq_n_s32(a, bits)
VF_WORD vm vi_eq(vi a, vi b) { return vceqq_s32(a, b); }
VF_WORD vf vf_from_vi(vi a) { return vcvtq_f32_s32(a); }
VF_WORD vi vi_from_bits(vf a) { return vreinterpretq_s32_f32(a); }
VF_WORD vf vf_from_bits(vi a) { return vreinterpretq_f32_s32(a); }
VF_WORD vi vi_load_u8(const uint8_t *p) {
  uint32_t word;
  memcpy(&word, p, 4);
  return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(word)))));
}
VF_WORD vi vi_load_i8(const int8_t *p) {
  uint32_t word;
  memcpy(&word, p, 4);
  return vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(word))));
}
/* The low byte of each lane; the value is within the byte's range. */
VF_WORD void vi_store_8(void *p, vi v) {
  int16x4_t h = vmovn_s32(v);
  uint32_t word = vget_lane_u32(vreinterpret_u32_s8(vmovn_s16(vcombine_s16(h, h))), 0);
  memcpy(p, &word, 4);
}

#if defined(__aarch64__)
VF_WORD int vm_any(vm a) { return vmaxvq_u32(a) != 0; }
VF_WORD vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
VF_WORD vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
VF_WORD vf vf_round(vf a) { return vrndnq_f32(a); }
VF_WORD vf vf_floor(vf a) { return vrndmq_f32(a); }
VF_WORD vf vf_ceil(vf a) { return vrndpq_f32(a); }
VF_WORD vi vi_round(vf a) { return vcvtnq_s32_f32(a); }
VF_WORD double vf_sum_f64(vf v) { return vaddvq_f64(vaddq_f64(vcvt_f64_f32(vget_low_f32(v)), vcvt_high_f64_f32(v))); }
VF_WORD float vf_hmax(vf v) { return vmaxvq_f32(v); }
VF_WORD float vf_hmin(vf v) { return vminvq_f32(v); }
VF_WORD float vf_sum(vf v) { return vaddvq_f32(v); }
#else
VF_WORD int vm_any(vm a) {
  uint32x2_t b = vorr_u32(vget_low_u32(a), vget_high_u32(a));
  return (vget_lane_u32(b, 0) | vget_lane_u32(b, 1)) != 0;
}
VF_WORD vf vf_div(vf a, vf b) {
  float x[4], y[4];
  vst1q_f32(x, a), vst1q_f32(y, b);
  for (int i = 0; i < 4; i++) x[i] /= y[i];
  return vld1q_f32(x);
}
VF_WORD vf vf_sqrt(vf a) {
  float x[4];
  vst1q_f32(x, a);
  for (int i = 0; i < 4; i++) x[i] = sqrtf(x[i]);
  return vld1q_f32(x);
}
VF_WORD vf vf_round(vf a) { /* 1.5 * 2^23 pushes the fraction out of the significand */
  vf magic = vdupq_n_f32(8388608.0f), m = vabsq_f32(a);
  vf r = vsubq_f32(vaddq_f32(m, magic), magic);
  return vbslq_f32(vcltq_f32(m, magic), vf_copysign(r, a), a);
}
VF_WORD vf vf_floor(vf a) {
  vf r = vf_round(a), down = vsubq_f32(r, vdupq_n_f32(1));
  return vbslq_f32(vcgtq_f32(r, a), down, r);
}
VF_WORD vf vf_ceil(vf a) { return vnegq_f32(vf_floor(vnegq_f32(a))); }
VF_WORD vi vi_round(vf a) { return vcvtq_s32_f32(vf_round(a)); }
VF_WORD double vf_sum_f64(vf v) {
  return ((double)vgetq_lane_f32(v, 0) + (double)vgetq_lane_f32(v, 2)) +
         ((double)vgetq_lane_f32(v, 1) + (double)vgetq_lane_f32(v, 3));
}
VF_WORD float vf_hmax(vf v) {
  float32x2_t m = vpmax_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(vpmax_f32(m, m), 0);
}
VF_WORD float vf_hmin(vf v) {
  float32x2_t m = vpmin_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(vpmin_f32(m, m), 0);
}
VF_WORD float vf_sum(vf v) {
  float32x2_t s = vpadd_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(vpadd_f32(s, s), 0);
}
#endif

VF_WORD vf vf_scale2_normal(vf x, vf n) {
  return vf_mul(x, vf_from_bits(vi_shl(vi_add(vi_round(n), vi_set1(127)), 23)));
}
VF_WORD vf vf_scale2(vf x, vf n) { /* in two steps, so that denormal results round once */
  vi k = vi_round(n), half = vi_sar(k, 1), rest = vi_sub(k, half);
  x = vf_mul(x, vf_from_bits(vi_shl(vi_add(half, vi_set1(127)), 23)));
  return vf_mul(x, vf_from_bits(vi_shl(vi_add(rest, vi_set1(127)), 23)));
}
VF_WORD vf vf_gather(const float *p, vi index) {
  vf v = vdupq_n_f32(p[vgetq_lane_s32(index, 0)]);
  v = vsetq_lane_f32(p[vgetq_lane_s32(index, 1)], v, 1);
  v = vsetq_lane_f32(p[vgetq_lane_s32(index, 2)], v, 2);
  return vsetq_lane_f32(p[vgetq_lane_s32(index, 3)], v, 3);
}

/* The larger (smaller), or NaN where either is. */
VF_WORD vf vf_max_nan(vf a, vf b) { return vmaxq_f32(a, b); }
VF_WORD vf vf_min_nan(vf a, vf b) { return vminq_f32(a, b); }
/* p[0], p[2], p[4], ...: reads 2 VF_LANES elements. */
VF_WORD vf vf_load_even(const float *p) { return vuzpq_f32(vld1q_f32(p), vld1q_f32(p + 4)).val[0]; }

/* Lanes from n on become those of filler. */
VF_WORD vf vf_fill_from(vf v, int64_t n, vf filler) {
  static const int32_t lanes[4] = {0, 1, 2, 3};
  return vbslq_f32(vcltq_s32(vld1q_s32(lanes), vdupq_n_s32((int32_t)n)), v, filler);
}

VF_WORD vf vf_recip(vf a) { return vf_div(vf_set1(1.0f), a); }

#endif
