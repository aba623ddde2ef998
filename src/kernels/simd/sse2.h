/* kernels/simd/sse2: the vector words in SSE2, the floor of x86-64. See README.md for their meaning. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <emmintrin.h>
#include <stdint.h>

#define VF_LANES 4
#define VF_ISA sse2
typedef __m128 vf;
typedef __m128 vm;

static inline vf vf_zero(void) { return _mm_setzero_ps(); }
static inline vf vf_set1(float x) { return _mm_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm_storeu_ps(p, v); }
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
static inline vf vf_add(vf a, vf b) { return _mm_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm_div_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm_min_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm_sub_ps(c, _mm_mul_ps(a, b)); }
static inline vf vf_abs(vf a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
static inline vf vf_sqrt(vf a) { return _mm_sqrt_ps(a); }
static inline vf vf_copysign(vf magnitude, vf sign) {
  vf bit = _mm_set1_ps(-0.0f);
  return _mm_or_ps(_mm_andnot_ps(bit, magnitude), _mm_and_ps(bit, sign));
}
static inline vm vf_lt(vf a, vf b) { return _mm_cmplt_ps(a, b); }
static inline vf vf_select(vm m, vf yes, vf no) { return _mm_or_ps(_mm_and_ps(m, yes), _mm_andnot_ps(m, no)); }
/* For |a| < 2^22. */
static inline vf vf_round(vf a) {
  vf magic = _mm_set1_ps(12582912.0f);
  return _mm_sub_ps(_mm_add_ps(a, magic), magic);
}
/* Two steps, so that results in the denormal range and up to the largest number are right. */
static inline vf vf_scale2(vf a, vf n) {
  __m128i i = _mm_cvtps_epi32(n), half = _mm_srai_epi32(i, 1), bias = _mm_set1_epi32(127);
  vf s0 = _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(half, bias), 23));
  vf s1 = _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(_mm_sub_epi32(i, half), bias), 23));
  return _mm_mul_ps(_mm_mul_ps(a, s0), s1);
}
static inline float vf_sum(vf a) {
  vf s = _mm_add_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline float vf_hmax(vf a) {
  vf s = _mm_max_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

#endif
