/* kernels/epilogue: what a matrix product or a convolution does to its sums before they leave the cache:
 *
 *   y = act(sum + bias + residual)            residual_after false (ResNet: add, then relu)
 *   y = act(sum + bias) + residual            residual_after true
 *
 * One enum for all operations, so that a fusing pass names an activation once. */
#ifndef KERNELS_EPILOGUE_H
#define KERNELS_EPILOGUE_H

#include <math.h>
#include <stdbool.h>

typedef enum kernel_act {
  KERNEL_ACT_NONE,
  KERNEL_ACT_CLAMP,       /* min(max(x, alpha), beta): relu is (0, inf), relu6 (0, 6) */
  KERNEL_ACT_LEAKY_RELU,  /* x < 0 ? alpha * x : x */
  KERNEL_ACT_HARDSIGMOID, /* clamp(alpha * x + beta, 0, 1) */
  KERNEL_ACT_HARDSWISH,   /* x * clamp(x / 6 + 0.5, 0, 1) */
  KERNEL_ACT_SIGMOID,
  KERNEL_ACT_SILU, /* x * sigmoid(alpha * x); alpha is 1 for SiLU, 1.702 for quick GELU */
  KERNEL_ACT_TANH,
  KERNEL_ACT_GELU_ERF,  /* x/2 * (1 + erf(x / sqrt 2)) */
  KERNEL_ACT_GELU_TANH, /* x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) */
  KERNEL_ACT_ELU,       /* x < 0 ? alpha * (exp(x) - 1) : x */
  KERNEL_ACT_MISH,      /* x * tanh(log(1 + exp(x))) */
  KERNEL_ACT_COUNT,
} kernel_act;

/* A zeroed struct means no activation. NaN passes through every activation. */
typedef struct kernel_epilogue {
  kernel_act act;
  float alpha, beta; /* see the enum; ignored where it names none */
  bool residual_after;
} kernel_epilogue;

/* Applies an activation to one number, in double inside: the oracle. */
float kernel_act_ref(const kernel_epilogue *e, float x);

static inline kernel_epilogue kernel_epilogue_clamp(float lo, float hi) {
  return (kernel_epilogue){.act = KERNEL_ACT_CLAMP, .alpha = lo, .beta = hi};
}

/* What the fast kernels do while sums are still in registers: a clamp. Without one: [-inf, inf], which keeps NaN. */
static inline float kernel_epilogue_lo(const kernel_epilogue *e) {
  return e->act == KERNEL_ACT_CLAMP ? e->alpha : -INFINITY;
}
static inline float kernel_epilogue_hi(const kernel_epilogue *e) {
  return e->act == KERNEL_ACT_CLAMP ? e->beta : INFINITY;
}

#endif
