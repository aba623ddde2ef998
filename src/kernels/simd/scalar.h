/* kernels/simd/scalar: the vector words in plain C, one lane, for every other machine. See README.md for their meaning.
 */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define VF_LANES 1
#define VF_ISA scalar
typedef float vf;
typedef bool vm;

static inline vf vf_zero(void) { return 0; }
static inline vf vf_set1(float x) { return x; }
static inline vf vf_load(const float *p) { return *p; }
static inline void vf_store(float *p, vf v) { *p = v; }
static inline vf vf_loadn(const float *p, int64_t n) { return n > 0 ? *p : 0; }
static inline void vf_storen(float *p, vf v, int64_t n) {
  if (n > 0) *p = v;
}
static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_div(vf a, vf b) { return a / b; }
static inline vf vf_max(vf a, vf b) { return a > b ? a : b; }
static inline vf vf_min(vf a, vf b) { return a < b ? a : b; }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
static inline vf vf_abs(vf a) { return fabsf(a); }
static inline vf vf_sqrt(vf a) { return sqrtf(a); }
static inline vf vf_copysign(vf magnitude, vf sign) { return copysignf(magnitude, sign); }
static inline vm vf_lt(vf a, vf b) { return a < b; }
static inline vf vf_select(vm m, vf yes, vf no) { return m ? yes : no; }
static inline vf vf_round(vf a) { return rintf(a); }
static inline vf vf_scale2(vf a, vf n) { return ldexpf(a, n == n ? (int)n : 0); }
static inline float vf_sum(vf a) { return a; }
static inline float vf_hmax(vf a) { return a; }

#endif
