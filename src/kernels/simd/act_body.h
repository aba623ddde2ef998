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
static inline vf act_sigmoid(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  return vf_sigmoid(x);
}
static inline vf act_silu(vf x, vf alpha, vf beta) {
  (void)beta;
  return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(vf_sub(vf_zero(), vf_mul(x, alpha)))));
}
static inline vf act_tanh(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  return vf_tanh(x);
}
static inline vf act_gelu_erf(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  vf half = vf_mul(x, vf_set1(0.5f));
  return vf_fma(half, vf_erf(vf_mul(x, vf_set1(0.707106781f))), half);
}
/* x/2 (1 + tanh z) = x / (1 + exp(-2z)). */
static inline vf act_gelu_tanh(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  vf u = vf_mul(x, x);
  vf z2 = vf_mul(x, vf_fma(u, vf_set1(-2 * 0.79788456f * 0.044715f), vf_set1(-2 * 0.79788456f)));
  return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(z2)));
}
static inline vf act_elu(vf x, vf alpha, vf beta) {
  (void)beta;
  return vf_select(vf_lt(x, vf_zero()), vf_mul(alpha, vf_sub(vf_exp(x), vf_set1(1.0f))), x);
}
/* tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2); beyond 20 it is 1 to the last bit. */
static inline vf act_mish(vf x, vf alpha, vf beta) {
  (void)alpha, (void)beta;
  vf e = vf_exp(vf_min(vf_set1(20.0f), x));
  vf n = vf_fma(e, e, vf_add(e, e));
  return vf_mul(x, vf_div(n, vf_add(n, vf_set1(2.0f))));
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
  break

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
    case KERNEL_ACT_SILU: ACT_LOOP(act_silu);
    case KERNEL_ACT_TANH: ACT_LOOP(act_tanh);
    case KERNEL_ACT_GELU_ERF: ACT_LOOP(act_gelu_erf);
    case KERNEL_ACT_GELU_TANH: ACT_LOOP(act_gelu_tanh);
    case KERNEL_ACT_ELU: ACT_LOOP(act_elu);
    case KERNEL_ACT_MISH: ACT_LOOP(act_mish);
    case KERNEL_ACT_COUNT: break;
  }
}

#endif
