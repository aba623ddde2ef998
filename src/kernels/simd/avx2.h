/* simd/avx2: the vocabulary of README.md in AVX2 with FMA: 8 floats, masks as all-ones lanes. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define VF_LANES 8
#define VF_NAME(f) f##__avx2
#define VF_REGISTERS 16
#define VF_ISA avx2
#define VF_WORD static inline __attribute__((always_inline))

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

VF_WORD __m256i vm_first(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VF_WORD vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
VF_WORD void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
VF_WORD vf vf_loadn(const float *p, int64_t n) { return _mm256_maskload_ps(p, vm_first(n)); }
VF_WORD void vf_storen(float *p, vf v, int64_t n) { _mm256_maskstore_ps(p, vm_first(n), v); }
VF_WORD vf vf_set1(float x) { return _mm256_set1_ps(x); }
#define VF_KEEP(v) __asm__("" : "+x"(v))

VF_WORD vf vf_zero(void) { return _mm256_setzero_ps(); }
VF_WORD vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
VF_WORD vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
VF_WORD vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
VF_WORD vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
VF_WORD vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
VF_WORD vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
VF_WORD vf vf_neg(vf a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
VF_WORD vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
VF_WORD vf vf_recip(vf a) { return vf_div(vf_set1(1.0f), a); }
VF_WORD vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
VF_WORD vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
VF_WORD vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
VF_WORD vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VF_WORD vf vf_floor(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
VF_WORD vf vf_ceil(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
VF_WORD vm vf_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
VF_WORD vm vf_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
VF_WORD vm vf_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
VF_WORD vm vf_unordered(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_UNORD_Q); }
VF_WORD vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
VF_WORD int vm_any(vm a) { return _mm256_movemask_ps(a) != 0; }
VF_WORD vf vf_select(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
VF_WORD vf vf_copysign(vf magnitude, vf sign) {
  vf bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
}

VF_WORD vi vi_set1(int32_t x) { return _mm256_set1_epi32(x); }
VF_WORD vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
VF_WORD void vi_store(int32_t *p, vi v) { _mm256_storeu_si256((__m256i *)p, v); }
VF_WORD vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
VF_WORD vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
VF_WORD vi vi_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
VF_WORD vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
VF_WORD vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
VF_WORD vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
VF_WORD vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
VF_WORD vi vi_min(vi a, vi b) { return _mm256_min_epi32(a, b); }
#define vi_shl(a, bits) _mm256_slli_epi32(a, bits)
#define vi_shr(a, bits) _mm256_srli_epi32(a, bits)
#define vi_sar(a, bits) _mm256_srai_epi32(a, bits)
VF_WORD vm vi_eq(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)); }
VF_WORD vi vi_round(vf a) { return _mm256_cvtps_epi32(a); }
VF_WORD vf vf_from_vi(vi a) { return _mm256_cvtepi32_ps(a); }
VF_WORD vi vi_from_bits(vf a) { return _mm256_castps_si256(a); }
VF_WORD vf vf_from_bits(vi a) { return _mm256_castsi256_ps(a); }
VF_WORD vi vi_load_u8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
VF_WORD vi vi_load_i8(const int8_t *p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
/* The low byte of each lane; the value is within the byte's range. */
VF_WORD void vi_store_8(void *p, vi v) {
  const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1, -1,
                                       -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  __m256i b = _mm256_shuffle_epi8(v, low);
  _mm_storel_epi64((__m128i *)p, _mm_unpacklo_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1)));
}

VF_WORD vf vf_scale2_normal(vf x, vf n) {
  return _mm256_mul_ps(x, vf_from_bits(vi_shl(vi_add(vi_round(n), vi_set1(127)), 23)));
}
VF_WORD vf vf_scale2(vf x, vf n) { /* in two steps, so that denormal results round once */
  vi k = vi_round(n), half = vi_sar(k, 1), rest = vi_sub(k, half);
  x = _mm256_mul_ps(x, vf_from_bits(vi_shl(vi_add(half, vi_set1(127)), 23)));
  return _mm256_mul_ps(x, vf_from_bits(vi_shl(vi_add(rest, vi_set1(127)), 23)));
}
VF_WORD float vf_sum(vf v) {
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
VF_WORD double vf_sum_f64(vf v) {
  __m256d b = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(v)), _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
  __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
  return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
}
VF_WORD float vf_hmax(vf v) {
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}
VF_WORD float vf_hmin(vf v) {
  __m128 b = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  b = _mm_min_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_min_ss(b, _mm_movehdup_ps(b)));
}
VF_WORD vf vf_gather(const float *p, vi index) { return _mm256_i32gather_ps(p, index, 4); }

/* The larger (smaller), or NaN where either is. */
VF_WORD vf vf_max_nan(vf a, vf b) {
  return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
VF_WORD vf vf_min_nan(vf a, vf b) {
  return _mm256_blendv_ps(_mm256_min_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
/* p[0], p[2], p[4], ...: reads 2 VF_LANES elements. */
VF_WORD vf vf_load_even(const float *p) {
  __m256 v = _mm256_shuffle_ps(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8), 0x88);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8));
}

/* Lanes from n on become those of filler. */
VF_WORD vf vf_fill_from(vf v, int64_t n, vf filler) {
  return _mm256_blendv_ps(filler, v, _mm256_castsi256_ps(vm_first(n)));
}

#endif
