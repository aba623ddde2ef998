/* simd/math: transcendental functions of vectors, on whichever vocabulary the file that includes this one chose.
 *
 * The polynomials are minimax fits of our own (Remez, 40 digits), rounded to float32; each comment gives the fit's
 * interval and largest error before rounding. Reductions are Cody and Waite's ("Software Manual for the Elementary
 * Functions", 1980): constants are split so that the products are exact without a fused multiply-add. */
#ifndef KERNELS_SIMD_MATH_H
#define KERNELS_SIMD_MATH_H

#include <math.h>

/* (e^r - 1 - r) / r^2 on |r| <= 0.3472, 2^-26 of e^r - 1. */
VF_WORD vf vf_exp_poly(vf r) {
  vf q = vf_fma(vf_set1(1.388253062e-03f), r, vf_set1(8.366633207e-03f));
  q = vf_fma(q, r, vf_set1(4.166720435e-02f));
  q = vf_fma(q, r, vf_set1(1.666654348e-01f));
  return vf_fma(q, r, vf_set1(4.999999702e-01f));
}

/* x = n ln 2 + r, |r| <= ln 2 / 2; the first part of ln 2 has 10 bits. */
VF_WORD vf vf_exp_reduce(vf x, vf *n) {
  *n = vf_round(vf_mul(x, vf_set1(1.442695041f)));
  vf r = vf_fnma(*n, vf_set1(0.693359375f), x);
  return vf_fnma(*n, vf_set1(-2.121944400e-4f), r);
}

/* e^x for all x. */
VF_WORD vf vf_exp(vf x) {
  x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-105.0f), x));
  vf n, r = vf_exp_reduce(x, &n);
  vf p = vf_add(vf_fma(vf_mul(r, r), vf_exp_poly(r), r), vf_set1(1.0f));
  return vf_scale2(p, n);
}

/* e^x for x <= 88; where it would be less than the least normal number, 0. NaN stays. */
VF_WORD vf vf_exp_flush(vf x) {
  const vf least = vf_set1(-87.33f);
  vf y = vf_max(least, x);
  vf n, r = vf_exp_reduce(y, &n);
  vf p = vf_add(vf_fma(vf_mul(r, r), vf_exp_poly(r), r), vf_set1(1.0f));
  return vf_select(vf_lt(x, least), vf_zero(), vf_scale2_normal(p, n));
}

/* e^x - 1 for x <= 88. */
VF_WORD vf vf_expm1(vf x) {
  x = vf_max(vf_set1(-30.0f), x); /* -1 to the last bit from -17.4 on */
  vf n, r = vf_exp_reduce(x, &n);
  vf p = vf_fma(vf_mul(r, r), vf_exp_poly(r), r);
  vf s = vf_scale2_normal(vf_set1(1.0f), n);
  return vf_fma(s, p, vf_sub(s, vf_set1(1.0f)));
}

/* log(1 + f) on [sqrt(1/2) - 1, sqrt(2) - 1]: f - f^2/2 + f^3 q(f), 2^-27. */
VF_WORD vf vf_log1p_poly(vf f) {
  vf q = vf_fma(vf_set1(-7.634648681e-02f), f, vf_set1(1.276164502e-01f));
  q = vf_fma(q, f, vf_set1(-1.316015124e-01f));
  q = vf_fma(q, f, vf_set1(1.420174390e-01f));
  q = vf_fma(q, f, vf_set1(-1.662335992e-01f));
  q = vf_fma(q, f, vf_set1(2.000122815e-01f));
  q = vf_fma(q, f, vf_set1(-2.500081956e-01f));
  q = vf_fma(q, f, vf_set1(3.333333135e-01f));
  vf z = vf_mul(f, f);
  return vf_mul(vf_mul(q, f), z); /* the caller adds f - z/2 */
}

VF_WORD vf vf_log(vf x) {
  const vf least = vf_set1(1.17549435e-38f), infinity = vf_set1(INFINITY);
  vm tiny = vf_lt(x, least);
  vf y = vf_select(tiny, vf_mul(x, vf_set1(8388608.0f)), x);
  /* The exponent such that the significand is in [sqrt(1/2), sqrt(2)). */
  vi bits = vi_sub(vi_from_bits(y), vi_set1(0x3f3504f3));
  vf e = vf_from_vi(vi_sar(bits, 23));
  e = vf_sub(e, vf_select(tiny, vf_set1(23.0f), vf_zero()));
  vf m = vf_from_bits(vi_add(vi_and(bits, vi_set1(0x007fffff)), vi_set1(0x3f3504f3)));
  vf f = vf_sub(m, vf_set1(1.0f)), z = vf_mul(f, f);
  vf r = vf_fma(e, vf_set1(-2.121944400e-4f), vf_log1p_poly(f));
  r = vf_fnma(vf_set1(0.5f), z, r);
  r = vf_fma(e, vf_set1(0.693359375f), vf_add(f, r));
  r = vf_select(vf_eq(x, infinity), infinity, r);
  r = vf_select(vf_eq(x, vf_zero()), vf_neg(infinity), r);
  return vf_select(vm_or(vf_lt(x, vf_zero()), vf_unordered(x, x)), vf_set1(NAN), r);
}

/* log(1 + e) for e in [0, 1]. */
VF_WORD vf vf_log1p_unit(vf e) {
  vm large = vf_lt(vf_set1(0.41421356f), e);
  vf f = vf_select(large, vf_mul(vf_sub(e, vf_set1(1.0f)), vf_set1(0.5f)), e); /* (1 + e) / 2 - 1 */
  vf r = vf_fnma(vf_set1(0.5f), vf_mul(f, f), vf_log1p_poly(f));
  r = vf_add(f, r);
  return vf_select(large, vf_add(r, vf_set1(0.69314718f)), r);
}

/* tanh |x| = -u / (u + 2) with u = e^(-2|x|) - 1. */
VF_WORD vf vf_tanh(vf x) {
  vf u = vf_expm1(vf_mul(vf_abs(x), vf_set1(-2.0f)));
  return vf_copysign(vf_div(vf_abs(u), vf_add(u, vf_set1(2.0f))), x);
}

/* 1 / (1 + e^-x), from e^-|x| so that nothing overflows. */
VF_WORD vf vf_sigmoid(vf x) {
  vf e = vf_exp_flush(vf_neg(vf_abs(x)));
  vf numerator = vf_select(vf_lt(x, vf_zero()), e, vf_set1(1.0f));
  return vf_div(numerator, vf_add(e, vf_set1(1.0f)));
}

/* erfc(t) for t >= 0.9: e^(-t^2 + h(t)); h fits log(erfc(t)) + t^2 on [0.9, 9.3], 2^-26 at 0.9 falling to 2^-16 at 5
 * (where erfc is 1e-12). */
VF_WORD vf vf_erfc_tail(vf t) {
  t = vf_min(vf_set1(9.3f), t);
  vf h = vf_fma(vf_set1(-6.860150847e-08f), t, vf_set1(2.949383315e-06f));
  h = vf_fma(h, t, vf_set1(-5.639063602e-05f));
  h = vf_fma(h, t, vf_set1(6.395427044e-04f));
  h = vf_fma(h, t, vf_set1(-4.855929408e-03f));
  h = vf_fma(h, t, vf_set1(2.652201802e-02f));
  h = vf_fma(h, t, vf_set1(-1.100664213e-01f));
  h = vf_fma(h, t, vf_set1(3.680281341e-01f));
  h = vf_fma(h, t, vf_set1(-1.130098343e+00f));
  h = vf_fma(h, t, vf_set1(2.789716236e-04f));
  return vf_exp_flush(vf_fnma(t, t, h));
}

/* erf(x) / x on |x| <= 0.9, from z = x^2: 2^-26. */
VF_WORD vf vf_erf_poly(vf z) {
  vf p = vf_fma(vf_set1(-6.090356037e-04f), z, vf_set1(5.011962261e-03f));
  p = vf_fma(p, z, vf_set1(-2.677890845e-02f));
  p = vf_fma(p, z, vf_set1(1.128214076e-01f));
  p = vf_fma(p, z, vf_set1(-3.761252463e-01f));
  return vf_fma(p, z, vf_set1(1.128379107e+00f));
}

VF_WORD vf vf_erf(vf x) {
  vf t = vf_abs(x);
  vf small = vf_mul(x, vf_erf_poly(vf_mul(x, x)));
  vf large = vf_copysign(vf_sub(vf_set1(1.0f), vf_erfc_tail(t)), x);
  return vf_select(vf_lt(t, vf_set1(0.9f)), small, large);
}

/* x (1 + erf(x / sqrt 2)) / 2; the lower tail keeps its relative accuracy. */
VF_WORD vf vf_gelu_erf(vf x) {
  vf s = vf_mul(x, vf_set1(0.70710678f)), t = vf_abs(s), half = vf_set1(0.5f);
  vf small = vf_fma(vf_mul(half, s), vf_erf_poly(vf_mul(s, s)), half);
  vf tail = vf_mul(half, vf_erfc_tail(t));
  vf large = vf_select(vf_lt(s, vf_zero()), tail, vf_sub(vf_set1(1.0f), tail));
  return vf_mul(x, vf_select(vf_lt(t, vf_set1(0.9f)), small, large));
}

/* x (1 + tanh u) / 2 = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
VF_WORD vf vf_gelu_tanh(vf x) {
  vf cube = vf_mul(vf_mul(x, x), vf_mul(x, vf_set1(0.0713548162f)));
  return vf_mul(x, vf_sigmoid(vf_fma(x, vf_set1(1.595769122f), cube)));
}

VF_WORD vf vf_softplus(vf x) {
  vf e = vf_exp_flush(vf_neg(vf_abs(x)));
  return vf_add(vf_max(vf_zero(), x), vf_log1p_unit(e));
}

/* x tanh(log(1 + e^x)) = x w / (w + 2), w = e^x (e^x + 2). */
VF_WORD vf vf_mish(vf x) {
  vf e = vf_exp_flush(vf_min(vf_set1(20.0f), x));
  vf w = vf_mul(e, vf_add(e, vf_set1(2.0f)));
  return vf_mul(x, vf_div(w, vf_add(w, vf_set1(2.0f))));
}

/* |x| = q pi/2 + r with |r| <= pi/4, for |x| <= 2^13: pi/2 in four parts of 11 bits and a rest. */
VF_WORD vf vf_sincos_reduce(vf x, vi *q) {
  vf n = vf_round(vf_mul(x, vf_set1(0.636619772f)));
  *q = vi_round(n);
  vf r = vf_fnma(n, vf_set1(0x1.92p+0f), x);
  r = vf_fnma(n, vf_set1(0x1.fb4p-12f), r);
  r = vf_fnma(n, vf_set1(0x1.444p-24f), r);
  return vf_fnma(n, vf_set1(0x1.68c234c4c6629p-39f), r);
}
#define VF_SINCOS_LIMIT 8192.0f

/* The sine (which = 0) or cosine (1) of q pi/2 + r, for |x| <= VF_SINCOS_LIMIT. */
VF_WORD vf vf_sincos(vf x, int which) {
  vi q;
  vf r = vf_sincos_reduce(vf_abs(x), &q), z = vf_mul(r, r);
  vf s = vf_fma(vf_set1(-1.951445302e-04f), z, vf_set1(8.332154714e-03f)); /* 2^-28 */
  s = vf_fma(vf_fma(s, z, vf_set1(-1.666665524e-01f)), vf_mul(z, r), r);
  vf c = vf_fma(vf_set1(2.443753328e-05f), z, vf_set1(-1.388735953e-03f)); /* 2^-33 */
  c = vf_fma(c, z, vf_set1(4.166664556e-02f));
  c = vf_fma(vf_mul(c, z), z, vf_fnma(vf_set1(0.5f), z, vf_set1(1.0f)));
  if (which) q = vi_add(q, vi_set1(1));
  vm odd = vi_eq(vi_and(q, vi_set1(1)), vi_set1(1));
  vf y = vf_select(odd, c, s);
  vf sign = vf_from_bits(vi_shl(vi_and(q, vi_set1(2)), 30));
  if (!which) sign = vf_from_bits(vi_xor(vi_from_bits(sign), vi_and(vi_from_bits(x), vi_set1(INT32_MIN))));
  return vf_from_bits(vi_xor(vi_from_bits(y), vi_from_bits(sign)));
}

#endif
