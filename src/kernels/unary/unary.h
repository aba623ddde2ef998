/* kernels/unary: elementwise functions of one float32 array, y[i] = f(x[i]).
 *
 * Accuracy: transcendental functions are within 2 units in the last place over the normal range (silu, selu and mish
 * 4; gelu 8 for x > -2, its lower tail 1e-12 or 1000 units), and right for zero, infinity, NaN and huge arguments (sin
 * and cos fall back to libm beyond 2^13). Sigmoid and what is made of it flush results below the least normal number to
 * 0. NaN passes through every function. ref.c is the oracle, in double.
 * Aliasing: y may be x exactly; any other overlap is not allowed. No alignment is needed, n may be 0. */
#ifndef KERNELS_UNARY_H
#define KERNELS_UNARY_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef enum unary_kind {
  UNARY_COPY,
  UNARY_ABS,
  UNARY_NEG,
  UNARY_SQRT,
  UNARY_RSQRT,      /* 1 / sqrt(x) */
  UNARY_RECIPROCAL, /* 1 / x */
  UNARY_SQUARE,
  UNARY_FLOOR,
  UNARY_CEIL,
  UNARY_ROUND, /* to nearest, ties to even */
  UNARY_SIGN,  /* -1, 0, 1; NaN stays */
  UNARY_EXP,
  UNARY_LOG, /* of a negative number: NaN; of 0: -infinity */
  UNARY_SIN,
  UNARY_COS,
  UNARY_TANH,
  UNARY_SIGMOID,
  UNARY_ERF,
  UNARY_GELU_ERF,         /* x/2 (1 + erf(x / sqrt 2)) */
  UNARY_GELU_TANH,        /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
  UNARY_SILU,             /* x sigmoid(alpha x): alpha is 1 for SiLU, 1.702 for the quick GELU */
  UNARY_HARD_SIGMOID,     /* clamp(alpha x + beta, 0, 1) */
  UNARY_HARD_SWISH,       /* x clamp(x / 6 + 1/2, 0, 1) */
  UNARY_SOFTPLUS,         /* log(1 + e^x) */
  UNARY_SOFTSIGN,         /* x / (1 + |x|) */
  UNARY_MISH,             /* x tanh(softplus(x)) */
  UNARY_ELU,              /* x < 0: alpha (e^x - 1) */
  UNARY_SELU,             /* beta * (x <= 0: alpha (e^x - 1)); beta is ONNX's gamma */
  UNARY_CELU,             /* max(0, x) + min(0, alpha (e^(x / alpha) - 1)) */
  UNARY_RELU,             /* max(x, 0) */
  UNARY_LEAKY_RELU,       /* x < 0: alpha x */
  UNARY_THRESHOLDED_RELU, /* x > alpha: x, else 0 */
  UNARY_CLIP,             /* min(max(x, alpha), beta): where alpha > beta, beta */
  UNARY_AFFINE,           /* alpha x + beta */
  UNARY_KIND_COUNT,
} unary_kind;

typedef struct unary_op {
  unary_kind kind;
  float alpha, beta; /* where the kind names them */
} unary_op;

typedef void (*unary_f32_fn)(const unary_op *op, const float *x, float *y, int64_t n);
typedef struct unary_kernels {
  unary_f32_fn f32;
} unary_kernels;
KERNEL_VARIANTS_DECLARE(unary);
extern const unary_kernels unary__ref;

/* Runs the best variant over n elements; p may be NULL. The same bits at any number of threads. */
void unary_f32(const unary_op *op, const float *x, float *y, int64_t n, pool *p);

#endif
