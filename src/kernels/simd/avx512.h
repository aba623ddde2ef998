/* simd/avx512: the vocabulary of README.md in AVX-512 F, BW, DQ, VL: 16 floats, masks in registers of their own. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define VF_LANES 16
#define VF_NAME(f) f##__avx512
#define VF_REGISTERS 32
#define VF_ISA avx512
#define VF_WORD static inline __attribute__((always_inline))

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

VF_WORD vm vm_first(int64_t n) { return (vm)((1u << n) - 1u); } /* n <= 16 */
VF_WORD vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
VF_WORD void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
VF_WORD vf vf_loadn(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(vm_first(n), p); }
VF_WORD void vf_storen(float *p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, vm_first(n), v); }
VF_WORD vf vf_set1(float x) { return _mm512_set1_ps(x); }
#define VF_KEEP(v) __asm__("" : "+v"(v))

VF_WORD vf vf_zero(void) { return _mm512_setzero_ps(); }
VF_WORD vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VF_WORD vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
VF_WORD vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VF_WORD vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
VF_WORD vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
VF_WORD vf vf_abs(vf a) { return _mm512_abs_ps(a); }
VF_WORD vf vf_neg(vf a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
VF_WORD vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
/* One step of Newton's from 14 bits; a division takes twice as long. */
VF_WORD vf vf_recip(vf a) {
  vf r = _mm512_rcp14_ps(a);
  return _mm512_fmadd_ps(r, _mm512_fnmadd_ps(a, r, _mm512_set1_ps(1.0f)), r);
}
VF_WORD vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
VF_WORD vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
VF_WORD vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VF_WORD vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VF_WORD vf vf_floor(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
VF_WORD vf vf_ceil(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
VF_WORD vm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
VF_WORD vm vf_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
VF_WORD vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
VF_WORD vm vf_unordered(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
VF_WORD vm vm_or(vm a, vm b) { return (vm)(a | b); }
VF_WORD int vm_any(vm a) { return a != 0; }
VF_WORD vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
VF_WORD vf vf_copysign(vf magnitude, vf sign) { /* bit by bit: sign where the mask is set */
  __m512i bit = _mm512_set1_epi32(INT32_MIN);
  return _mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign), _mm512_castps_si512(magnitude), 0xca));
}

VF_WORD vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
VF_WORD vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
VF_WORD void vi_store(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }
VF_WORD vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
VF_WORD vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
VF_WORD vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
VF_WORD vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
VF_WORD vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
VF_WORD vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
VF_WORD vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
VF_WORD vi vi_min(vi a, vi b) { return _mm512_min_epi32(a, b); }
#define vi_shl(a, bits) _mm512_slli_epi32(a, bits)
#define vi_shr(a, bits) _mm512_srli_epi32(a, bits)
#define vi_sar(a, bits) _mm512_srai_epi32(a, bits)
VF_WORD vm vi_eq(vi a, vi b) { return _mm512_cmpeq_epi32_mask(a, b); }
VF_WORD vi vi_round(vf a) { return _mm512_cvtps_epi32(a); }
VF_WORD vf vf_from_vi(vi a) { return _mm512_cvtepi32_ps(a); }
VF_WORD vi vi_from_bits(vf a) { return _mm512_castps_si512(a); }
VF_WORD vf vf_from_bits(vi a) { return _mm512_castsi512_ps(a); }
VF_WORD vi vi_load_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
VF_WORD vi vi_load_i8(const int8_t *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)); }
/* The low byte of each lane; the value is within the byte's range. */
VF_WORD void vi_store_8(void *p, vi v) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(v)); }

VF_WORD vf vf_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); }
VF_WORD vf vf_scale2_normal(vf x, vf n) { return _mm512_scalef_ps(x, n); }
VF_WORD float vf_sum(vf v) {
  __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
VF_WORD double vf_sum_f64(vf v) {
  __m512d a = _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
  __m256d b = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
  __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
  return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
}
VF_WORD float vf_hmax(vf v) { return _mm512_reduce_max_ps(v); }
VF_WORD float vf_hmin(vf v) { return _mm512_reduce_min_ps(v); }
VF_WORD vf vf_gather(const float *p, vi index) { return _mm512_i32gather_ps(index, p, 4); }

/* The larger (smaller), or NaN where either is. */
VF_WORD vf vf_max_nan(vf a, vf b) { return _mm512_mask_max_ps(a, _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a, b); }
VF_WORD vf vf_min_nan(vf a, vf b) { return _mm512_mask_min_ps(a, _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a, b); }
/* p[0], p[2], p[4], ...: reads 2 VF_LANES elements. */
VF_WORD vf vf_load_even(const float *p) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(_mm512_loadu_ps(p), even, _mm512_loadu_ps(p + 16));
}

/* Lanes from n on become those of filler. */
VF_WORD vf vf_fill_from(vf v, int64_t n, vf filler) { return _mm512_mask_mov_ps(filler, vm_first(n), v); }

#endif
