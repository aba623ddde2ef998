/* unary's oracle: each function as its definition says, in double. */
#include "kernels/unary/unary.h"

#include <math.h>

static double ref(const unary_op *op, double x) {
  double a = op->alpha, b = op->beta;
  switch (op->kind) {
    case UNARY_COPY: return x;
    case UNARY_ABS: return fabs(x);
    case UNARY_NEG: return -x;
    case UNARY_SQRT: return sqrt(x);
    case UNARY_RSQRT: return 1 / sqrt(x);
    case UNARY_RECIPROCAL: return 1 / x;
    case UNARY_SQUARE: return x * x;
    case UNARY_FLOOR: return floor(x);
    case UNARY_CEIL: return ceil(x);
    case UNARY_ROUND: return rint(x);
    case UNARY_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x;
    case UNARY_EXP: return exp(x);
    case UNARY_LOG: return log(x);
    case UNARY_SIN: return sin(x);
    case UNARY_COS: return cos(x);
    case UNARY_TANH: return tanh(x);
    case UNARY_SIGMOID: return 1 / (1 + exp(-x));
    case UNARY_ERF: return erf(x);
    case UNARY_GELU_ERF: return x / 2 * erfc(-x / sqrt(2));
    case UNARY_GELU_TANH: return x / (1 + exp(-2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case UNARY_SILU: return x / (1 + exp(-a * x));
    case UNARY_HARD_SIGMOID: return a * x + b < 0 ? 0 : a * x + b > 1 ? 1 : a * x + b;
    case UNARY_HARD_SWISH: return x < -3 ? x * 0 : x > 3 ? x : x * (x / 6 + 0.5);
    case UNARY_SOFTPLUS: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case UNARY_SOFTSIGN: return x / (1 + fabs(x));
    case UNARY_MISH: return x * tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)));
    case UNARY_ELU: return x < 0 ? a * expm1(x) : x;
    case UNARY_SELU: return x > 0 ? b * x : b * a * expm1(x);
    case UNARY_CELU: return x > 0 ? x : a * expm1(x / a);
    case UNARY_RELU: return x < 0 ? 0 : x;
    case UNARY_LEAKY_RELU: return x < 0 ? a * x : x;
    case UNARY_THRESHOLDED_RELU: return x <= a ? 0 : x;
    case UNARY_CLIP: return (x < a ? a : x) > b ? b : x < a ? a : x;
    case UNARY_AFFINE: return a * x + b;
    case UNARY_KIND_COUNT: break;
  }
  return NAN;
}

static void ref_f32(const unary_op *op, const float *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = (float)ref(op, x[i]);
}

const unary_kernels unary__ref = {.f32 = ref_f32};
