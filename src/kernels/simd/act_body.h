/* kernels/simd/act_body: the activations of kernels/epilogue.h on the vector words, to be included after one of them.
 * The fast kernels clamp in registers; the others are applied to a tile that was just written and is still in L1. */
#ifndef KERNELS_SIMD_ACT_BODY_H
#define KERNELS_SIMD_ACT_BODY_H

#include "kernels/epilogue.h"
#include "kernels/simd/math.h"

static inline vf act_leaky_relu(vf x, vf alpha, vf beta) {
  (void)beta;
  return vf_select(vf_lt(x, vf_zero()), vf_mul(x, alpha), x);
}
static inline vf act_hardsigmoid(vf x, vf alpha, vf beta) {
  return vf_max(vf_zero(), vf_min(vf_set1(1.0f), vf_fma(x, alpha, beta)));
}
static inline vf act_hardswish(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  return vf_mul(x, act_hardsigmoid(x, vf_set1(1.0f / 6), vf_set1(0.5f)));
}
/* 1 / (1 + 2^-t), a sigmoid in base 2, to 1e-7, for |t| <= 126. With -t = n + f, n a whole number: adding 1.5 * 2^23 +
 * 127 to -t rounds it, and leaves n + 127, the exponent of 2^n, in the lowest bits. The polynomial interpolates 2^f on
 * [-1/2, 1/2] at Chebyshev nodes: 8e-8; in -f, which is what one addition gives. */
static inline vf act_sigmoid2_near(vf t) {
  const vf round = vf_set1(12582912.0f + 127.0f);
  vf n = vf_sub(round, t), scale = vf_from_bits(vi_shl(vi_from_bits(n), 23));
  vf g = vf_add(t, vf_sub(n, round));
  vf p = vf_fma(vf_set1(-1.33908634e-3f), g, vf_set1(9.67603192e-3f));
  p = vf_fma(p, g, vf_set1(-5.55035711e-2f));
  p = vf_fma(p, g, vf_set1(0.240221075f));
  p = vf_fma(p, g, vf_set1(-0.693147188f));
  p = vf_fma(p, g, vf_set1(1.0f));
  return vf_recip(vf_fma(p, scale, vf_set1(1.0f)));
}
/* The same for all t: beyond 120 it stays what it is there, 1e-36 from 0 or 1. */
static inline vf act_sigmoid2(vf t) { return act_sigmoid2_near(vf_min(vf_set1(120.0f), vf_max(vf_set1(-120.0f), t))); }
/* x * sigmoid2(t), 0 where the sigmoid is. */
static inline vf act_gate2(vf x, vf t) {
  return vf_select(vf_lt(t, vf_set1(-120.0f)), vf_zero(), vf_mul(x, act_sigmoid2(t)));
}
#define ACT_LOG2E 1.44269504f

static inline vf act_sigmoid(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  return act_sigmoid2(vf_mul(x, vf_set1(ACT_LOG2E)));
}
/* For alpha > 0. Where the sigmoid is below 1e-36, x stays what makes it so: the product is as good as 0. */
static inline vf act_silu(vf x, vf alpha, vf beta) {
  (void)beta;
  vf scale = vf_mul(alpha, vf_set1(ACT_LOG2E));
  x = vf_max(vf_div(vf_set1(-120.0f), scale), x);
  return vf_mul(x, act_sigmoid2_near(vf_min(vf_set1(120.0f), vf_mul(x, scale))));
}
static inline vf act_silu_any(vf x, vf alpha, vf beta) {
  (void)beta;
  return act_gate2(x, vf_mul(x, vf_mul(alpha, vf_set1(ACT_LOG2E))));
}
static inline vf act_tanh(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  return vf_tanh(x);
}
/* x P(x) with the normal distribution's P(x) = 1/2 + x p(x^2) on [-5.25, 5.25], and 0 and 1 beyond: no division and no
 * power. p is of degree 13 in w = 2 x^2 / 5.25^2 - 1, its odd and even powers apart (iteratively reweighted least
 * squares): the product is right to 2e-7 max(1, |x|), and 4e-7 where it is cut off. */
static inline vf act_gelu_erf(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  const vf end = vf_set1(5.25f), begin = vf_set1(-5.25f);
  vf t = vf_min(end, vf_max(begin, x));
  vf w = vf_fma(vf_mul(t, t), vf_set1(2 / (5.25f * 5.25f)), vf_set1(-1.0f));
  vf v = vf_mul(w, w);
  vf odd = vf_fma(vf_set1(-5.368767888e-04f), v, vf_set1(-1.388390898e-03f));
  vf p = vf_fma(vf_set1(1.434456906e-03f), v, vf_set1(1.925267745e-03f));
  odd = vf_fma(odd, v, vf_set1(-5.060190335e-03f));
  p = vf_fma(p, v, vf_set1(9.018352255e-03f));
  odd = vf_fma(odd, v, vf_set1(-1.298104413e-02f));
  p = vf_fma(p, v, vf_set1(1.834798045e-02f));
  odd = vf_fma(odd, v, vf_set1(-2.498944290e-02f));
  p = vf_fma(p, v, vf_set1(3.206014261e-02f));
  odd = vf_fma(odd, v, vf_set1(-3.976908326e-02f));
  p = vf_fma(p, v, vf_set1(4.964417219e-02f));
  odd = vf_fma(odd, v, vf_set1(-6.712663919e-02f));
  p = vf_fma(p, v, vf_set1(1.346593648e-01f));
  p = vf_fma(odd, w, p);
  return vf_select(vf_lt(x, begin), vf_zero(), vf_mul(x, vf_fma(t, p, vf_set1(0.5f))));
}
/* x/2 (1 + tanh u) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline vf act_gelu_tanh(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  vf u = vf_mul(x, x);
  return act_gate2(x, vf_mul(x, vf_fma(u, vf_set1(0.0713548162f * ACT_LOG2E), vf_set1(1.595769122f * ACT_LOG2E))));
}
static inline vf act_elu(vf x, vf alpha, vf beta) {
  (void)beta;
  return vf_select(vf_lt(x, vf_zero()), vf_mul(alpha, vf_expm1(vf_min(vf_zero(), x))), x);
}
static inline vf act_mish(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  return vf_mish(x);
}
static inline vf act_none(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  return x;
}
static inline vf act_clamp(vf x, vf alpha, vf beta) { return vf_min(beta, vf_max(alpha, x)); }

/* c[r][i] = f(c[r][i]) + residual[r][i] over rows x cols; residual may be NULL. One loop an activation. */
#define ACT_LOOP(f)                                                                   \
  for (int r = 0; r < rows; r++) {                                                    \
    float *row = c + r * c_stride;                                                    \
    const float *add = residual ? residual + r * residual_stride : 0;                 \
    int64_t i = 0;                                                                    \
    for (; i + VF_LANES <= cols; i += VF_LANES) {                                     \
      vf v = f(vf_load(row + i), alpha, beta);                                        \
      vf_store(row + i, add ? vf_add(v, vf_load(add + i)) : v);                       \
    }                                                                                 \
    if (i < cols) {                                                                   \
      vf v = f(vf_loadn(row + i, cols - i), alpha, beta);                             \
      vf_storen(row + i, add ? vf_add(v, vf_loadn(add + i, cols - i)) : v, cols - i); \
    }                                                                                 \
  }                                                                                   \
  return

static inline void act_tile_body(const kernel_epilogue *e, int rows, int64_t cols, float *c, int64_t c_stride,
                                 const float *residual, int64_t residual_stride) {
  vf alpha = vf_set1(e->alpha), beta = vf_set1(e->beta);
  switch (e->act) {
    case KERNEL_ACT_NONE: ACT_LOOP(act_none);
    case KERNEL_ACT_CLAMP: ACT_LOOP(act_clamp);
    case KERNEL_ACT_LEAKY_RELU: ACT_LOOP(act_leaky_relu);
    case KERNEL_ACT_HARDSIGMOID: ACT_LOOP(act_hardsigmoid);
    case KERNEL_ACT_HARDSWISH: ACT_LOOP(act_hardswish);
    case KERNEL_ACT_SIGMOID: ACT_LOOP(act_sigmoid);
    case KERNEL_ACT_SILU:
      if (e->alpha > 0.01f) {
        ACT_LOOP(act_silu);
      }
      ACT_LOOP(act_silu_any);
    case KERNEL_ACT_TANH: ACT_LOOP(act_tanh);
    case KERNEL_ACT_GELU_ERF: ACT_LOOP(act_gelu_erf);
    case KERNEL_ACT_GELU_TANH: ACT_LOOP(act_gelu_tanh);
    case KERNEL_ACT_ELU: ACT_LOOP(act_elu);
    case KERNEL_ACT_MISH: ACT_LOOP(act_mish);
    case KERNEL_ACT_COUNT: break;
  }
}

#endif
