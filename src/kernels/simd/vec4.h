/* simd/vec4: the vocabulary of README.md in GCC's vector extension, which clang has too: 4 floats, for every machine.
 * The compiler makes SSE2 of it on x86-64 and plain instructions where there is no vector unit. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define VF_LANES 4
#define VF_NAME(f) f##__vec4
#define VF_REGISTERS 16
#define VF_ISA vec4
#define VF_WORD static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vec4_u32 __attribute__((vector_size(16)));
typedef vi vm;

VF_WORD vf vf_load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
VF_WORD void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
VF_WORD vf vf_loadn(const float *p, int64_t n) {
  vf v = {0, 0, 0, 0};
  if (n > 0) v[0] = p[0];
  if (n > 1) v[1] = p[1];
  if (n > 2) v[2] = p[2];
  if (n > 3) v[3] = p[3];
  return v;
}
VF_WORD void vf_storen(float *p, vf v, int64_t n) {
  if (n > 0) p[0] = v[0];
  if (n > 1) p[1] = v[1];
  if (n > 2) p[2] = v[2];
  if (n > 3) p[3] = v[3];
}
VF_WORD vf vf_set1(float x) { return (vf){x, x, x, x}; }
#define VF_KEEP(v) ((void)(v))

VF_WORD vf vf_zero(void) { return (vf){0, 0, 0, 0}; }
VF_WORD vf vf_add(vf a, vf b) { return a + b; }
VF_WORD vf vf_sub(vf a, vf b) { return a - b; }
VF_WORD vf vf_mul(vf a, vf b) { return a * b; }
VF_WORD vf vf_div(vf a, vf b) { return a / b; }
VF_WORD vf vf_sqrt(vf a) { return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])}; }
VF_WORD vi vi_set1(int32_t x) { return (vi){x, x, x, x}; }
VF_WORD vi vi_from_bits(vf a) { return (vi)a; }
VF_WORD vf vf_from_bits(vi a) { return (vf)a; }
VF_WORD vf vf_abs(vf a) { return (vf)((vi)a & vi_set1(INT32_MAX)); }
VF_WORD vf vf_neg(vf a) { return (vf)((vi)a ^ vi_set1(INT32_MIN)); }
VF_WORD vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
VF_WORD vf vf_recip(vf a) { return 1.0f / a; }
VF_WORD vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
VF_WORD vf vf_select(vm m, vf a, vf b) { return (vf)((m & (vi)a) | (~m & (vi)b)); }
VF_WORD vf vf_min(vf a, vf b) { return vf_select(a < b, a, b); }
VF_WORD vf vf_max(vf a, vf b) { return vf_select(a > b, a, b); }
VF_WORD vm vf_lt(vf a, vf b) { return a < b; }
VF_WORD vm vf_le(vf a, vf b) { return a <= b; }
VF_WORD vm vf_eq(vf a, vf b) { return a == b; }
VF_WORD vm vf_unordered(vf a, vf b) { return (a != a) | (b != b); }
VF_WORD vm vm_or(vm a, vm b) { return a | b; }
VF_WORD int vm_any(vm a) { return (a[0] | a[1] | a[2] | a[3]) != 0; }
VF_WORD vf vf_copysign(vf magnitude, vf sign) {
  return (vf)(((vi)magnitude & vi_set1(INT32_MAX)) | ((vi)sign & vi_set1(INT32_MIN)));
}
VF_WORD vf vf_round(vf a) { /* 2^23 pushes the fraction out of the significand */
  vf magic = vf_set1(8388608.0f), m = vf_abs(a);
  vf r = (m + magic) - magic;
  return vf_select(m < magic, vf_copysign(r, a), a);
}
VF_WORD vf vf_floor(vf a) {
  vf r = vf_round(a);
  return vf_select(r > a, r - vf_set1(1), r);
}
VF_WORD vf vf_ceil(vf a) { return vf_neg(vf_floor(vf_neg(a))); }

VF_WORD vi vi_load(const int32_t *p) {
  vi v;
  memcpy(&v, p, sizeof v);
  return v;
}
VF_WORD void vi_store(int32_t *p, vi v) { memcpy(p, &v, sizeof v); }
VF_WORD vi vi_add(vi a, vi b) { return (vi)((vec4_u32)a + (vec4_u32)b); }
VF_WORD vi vi_sub(vi a, vi b) { return (vi)((vec4_u32)a - (vec4_u32)b); }
VF_WORD vi vi_mul(vi a, vi b) { return (vi)((vec4_u32)a * (vec4_u32)b); }
VF_WORD vi vi_and(vi a, vi b) { return a & b; }
VF_WORD vi vi_or(vi a, vi b) { return a | b; }
VF_WORD vi vi_xor(vi a, vi b) { return a ^ b; }
VF_WORD vi vi_max(vi a, vi b) { return ((a > b) & a) | (~(a > b) & b); }
VF_WORD vi vi_min(vi a, vi b) { return ((a < b) & a) | (~(a < b) & b); }
#define vi_shl(a, bits) ((vi)((vec4_u32)(a) << (bits)))
#define vi_shr(a, bits) ((vi)((vec4_u32)(a) >> (bits)))
#define vi_sar(a, bits) ((vi)(a) >> (bits))
VF_WORD vm vi_eq(vi a, vi b) { return a == b; }
/* Out of range and NaN give the least number, as x86 has it: the cast alone would be undefined. */
VF_WORD vi vi_round(vf a) {
  vm fits = vf_abs(a) < vf_set1(2147483648.0f);
  vi r = __builtin_convertvector(vf_round(vf_from_bits((vi)a & fits)), vi);
  return (r & fits) | (~fits & vi_set1(INT32_MIN));
}
VF_WORD vf vf_from_vi(vi a) { return __builtin_convertvector(a, vf); }
VF_WORD vi vi_load_u8(const uint8_t *p) { return (vi){p[0], p[1], p[2], p[3]}; }
VF_WORD vi vi_load_i8(const int8_t *p) { return (vi){p[0], p[1], p[2], p[3]}; }
/* The low byte of each lane; the value is within the byte's range. */
VF_WORD void vi_store_8(void *p, vi v) {
  uint8_t *q = p;
  for (int i = 0; i < 4; i++) q[i] = (uint8_t)v[i];
}

/* A whole number below 2^22 as int32: it stands in the low bits of n + 1.5 * 2^23. */
VF_WORD vi vi_from_whole(vf n) { return vi_sub((vi)(n + vf_set1(12582912.0f)), vi_set1(0x4b400000)); }
VF_WORD vf vf_scale2_normal(vf x, vf n) { return x * vf_from_bits(vi_shl(vi_add(vi_from_whole(n), vi_set1(127)), 23)); }
VF_WORD vf vf_scale2(vf x, vf n) { /* in two steps, so that denormal results round once */
  vi k = vi_from_whole(n), half = vi_sar(k, 1), rest = vi_sub(k, half);
  x = x * vf_from_bits(vi_shl(vi_add(half, vi_set1(127)), 23));
  return x * vf_from_bits(vi_shl(vi_add(rest, vi_set1(127)), 23));
}
VF_WORD float vf_sum(vf v) { return (v[0] + v[2]) + (v[1] + v[3]); }
VF_WORD double vf_sum_f64(vf v) { return ((double)v[0] + (double)v[2]) + ((double)v[1] + (double)v[3]); }
VF_WORD float vf_hmax(vf v) {
  float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
  return a > b ? a : b;
}
VF_WORD float vf_hmin(vf v) {
  float a = v[0] < v[2] ? v[0] : v[2], b = v[1] < v[3] ? v[1] : v[3];
  return a < b ? a : b;
}
VF_WORD vf vf_gather(const float *p, vi index) { return (vf){p[index[0]], p[index[1]], p[index[2]], p[index[3]]}; }

/* The larger (smaller), or NaN where either is. */
VF_WORD vf vf_max_nan(vf a, vf b) { return vf_select((a > b) | (a != a), a, b); }
VF_WORD vf vf_min_nan(vf a, vf b) { return vf_select((a < b) | (a != a), a, b); }
/* p[0], p[2], p[4], ...: reads 2 VF_LANES elements. */
VF_WORD vf vf_load_even(const float *p) { return (vf){p[0], p[2], p[4], p[6]}; }

/* Lanes from n on become those of filler. */
VF_WORD vf vf_fill_from(vf v, int64_t n, vf filler) {
  return vf_select((vi){0, 1, 2, 3} < vi_set1((int32_t)n), v, filler);
}

#endif
