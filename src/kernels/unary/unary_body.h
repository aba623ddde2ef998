/* unary's body: one loop a function, in the vocabulary of simd/. Each avx512.c, avx2.c, ... includes its vocabulary and
 * then this. The last, partial vector is computed like a whole one, so that a value does not depend on its place. */
#include "kernels/simd/math.h"
#include "kernels/unary/unary.h"

#include <stdbool.h>

/* Computes y from v over the array. */
#define UNARY_LOOP(expression)                 \
  do {                                         \
    int64_t i = 0;                             \
    for (; i + VF_LANES <= n; i += VF_LANES) { \
      vf v = vf_load(x + i);                   \
      vf_store(y + i, expression);             \
    }                                          \
    if (i < n) {                               \
      vf v = vf_loadn(x + i, n - i);           \
      vf_storen(y + i, expression, n - i);     \
    }                                          \
  } while (0)

/* Sine and cosine of what the reduction cannot hold: a lane at a time, by libm. */
VF_WORD vf sincos_any(vf v, int which) {
  vf r = vf_sincos(v, which);
  vm wild = vm_or(vf_lt(vf_set1(VF_SINCOS_LIMIT), vf_abs(v)), vf_unordered(v, v));
  if (__builtin_expect(vm_any(wild), 0)) {
    float a[VF_LANES], b[VF_LANES];
    vf_store(a, v);
    vf_store(b, r);
    for (int i = 0; i < VF_LANES; i++)
      if (!(fabsf(a[i]) <= VF_SINCOS_LIMIT)) b[i] = which ? cosf(a[i]) : sinf(a[i]);
    r = vf_load(b);
  }
  return r;
}

VF_WORD vf sign_of(vf v) {
  const vf zero = vf_zero(), one = vf_set1(1.0f);
  return vf_select(vf_lt(zero, v), one, vf_select(vf_lt(v, zero), vf_neg(one), vf_add(v, zero)));
}

static void run_f32(const unary_op *op, const float *x, float *y, int64_t n) {
  const vf alpha = vf_set1(op->alpha), beta = vf_set1(op->beta), zero = vf_zero(), one = vf_set1(1.0f);
  const vf alpha_inverse = vf_set1(1.0f / op->alpha), ab = vf_set1(op->alpha * op->beta);
  switch (op->kind) {
    case UNARY_COPY: UNARY_LOOP(v); break;
    case UNARY_ABS: UNARY_LOOP(vf_abs(v)); break;
    case UNARY_NEG: UNARY_LOOP(vf_neg(v)); break;
    case UNARY_SQRT: UNARY_LOOP(vf_sqrt(v)); break;
    case UNARY_RSQRT: UNARY_LOOP(vf_div(one, vf_sqrt(v))); break;
    case UNARY_RECIPROCAL: UNARY_LOOP(vf_div(one, v)); break;
    case UNARY_SQUARE: UNARY_LOOP(vf_mul(v, v)); break;
    case UNARY_FLOOR: UNARY_LOOP(vf_floor(v)); break;
    case UNARY_CEIL: UNARY_LOOP(vf_ceil(v)); break;
    case UNARY_ROUND: UNARY_LOOP(vf_round(v)); break;
    case UNARY_SIGN: UNARY_LOOP(sign_of(v)); break;
    case UNARY_EXP: UNARY_LOOP(vf_exp(v)); break;
    case UNARY_LOG: UNARY_LOOP(vf_log(v)); break;
    case UNARY_SIN: UNARY_LOOP(sincos_any(v, 0)); break;
    case UNARY_COS: UNARY_LOOP(sincos_any(v, 1)); break;
    case UNARY_TANH: UNARY_LOOP(vf_tanh(v)); break;
    case UNARY_SIGMOID: UNARY_LOOP(vf_sigmoid(v)); break;
    case UNARY_ERF: UNARY_LOOP(vf_erf(v)); break;
    case UNARY_GELU_ERF: UNARY_LOOP(vf_gelu_erf(v)); break;
    case UNARY_GELU_TANH: UNARY_LOOP(vf_gelu_tanh(v)); break;
    case UNARY_SILU: UNARY_LOOP(vf_mul(v, vf_sigmoid(vf_mul(alpha, v)))); break;
    case UNARY_HARD_SIGMOID: UNARY_LOOP(vf_max(zero, vf_min(one, vf_fma(alpha, v, beta)))); break;
    case UNARY_HARD_SWISH:
      UNARY_LOOP(vf_mul(v, vf_max(zero, vf_min(one, vf_fma(vf_set1(1.0f / 6.0f), v, vf_set1(0.5f))))));
      break;
    case UNARY_SOFTPLUS: UNARY_LOOP(vf_softplus(v)); break;
    case UNARY_SOFTSIGN: UNARY_LOOP(vf_div(v, vf_add(one, vf_abs(v)))); break;
    case UNARY_MISH: UNARY_LOOP(vf_mish(v)); break;
    case UNARY_ELU: UNARY_LOOP(vf_select(vf_lt(v, zero), vf_mul(alpha, vf_expm1(vf_min(zero, v))), v)); break;
    case UNARY_SELU:
      UNARY_LOOP(vf_select(vf_lt(zero, v), vf_mul(beta, v), vf_mul(ab, vf_expm1(vf_min(zero, v)))));
      break;
    case UNARY_CELU:
      UNARY_LOOP(vf_select(vf_lt(zero, v), v, vf_mul(alpha, vf_expm1(vf_mul(vf_min(zero, v), alpha_inverse)))));
      break;
    case UNARY_RELU: UNARY_LOOP(vf_max(zero, v)); break;
    case UNARY_LEAKY_RELU: UNARY_LOOP(vf_select(vf_lt(v, zero), vf_mul(alpha, v), v)); break;
    case UNARY_THRESHOLDED_RELU: UNARY_LOOP(vf_select(vf_le(v, alpha), zero, v)); break;
    case UNARY_CLIP: UNARY_LOOP(vf_min(beta, vf_max(alpha, v))); break;
    case UNARY_AFFINE: UNARY_LOOP(vf_fma(alpha, v, beta)); break;
    case UNARY_KIND_COUNT: break;
  }
}

const unary_kernels VF_NAME(unary);
const unary_kernels VF_NAME(unary) = {.f32 = run_f32};
