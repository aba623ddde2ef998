/* kernels/gemm/ref: the oracles: the product by its definition, and the activations, in double. */
#include "kernels/gemm/gemm.h"

#include <math.h>

static double act_ref(const kernel_epilogue *e, double x) {
  switch (e->act) {
    case KERNEL_ACT_CLAMP: return x < e->alpha ? e->alpha : x > e->beta ? e->beta : x;
    case KERNEL_ACT_LEAKY_RELU: return x < 0 ? e->alpha * x : x;
    case KERNEL_ACT_HARDSIGMOID: x = e->alpha * x + e->beta; return x < 0 ? 0 : x > 1 ? 1 : x;
    case KERNEL_ACT_HARDSWISH: return x < -3 ? x * 0 : x > 3 ? x : x * (x / 6 + 0.5);
    case KERNEL_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case KERNEL_ACT_SILU: return x / (1 + exp(-e->alpha * x));
    case KERNEL_ACT_TANH: return tanh(x);
    case KERNEL_ACT_GELU_ERF: return x / 2 * (1 + erf(x * 0.70710678118654752440));
    case KERNEL_ACT_GELU_TANH: return x / 2 * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case KERNEL_ACT_ELU: return x < 0 ? e->alpha * expm1(x) : x;
    case KERNEL_ACT_MISH: return x * tanh(x > 30 ? x : log1p(exp(x)));
    case KERNEL_ACT_NONE:
    case KERNEL_ACT_COUNT: break;
  }
  return x;
}

float kernel_act_ref(const kernel_epilogue *e, float x) { return (float)act_ref(e, x); }

void gemm_f32_ref(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, bool a_transposed, const float *b,
                  int64_t b_stride_k, int64_t b_stride_n, float scale, const float *bias, const float *residual,
                  int64_t residual_stride, const kernel_epilogue *epilogue, float *c, int64_t c_stride) {
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++) {
        double x = a_transposed ? a[l * a_stride + i] : a[i * a_stride + l];
        sum += x * b[l * b_stride_k + j * b_stride_n];
      }
      sum = sum * scale + (bias ? bias[j] : 0);
      double add = residual ? residual[i * residual_stride + j] : 0;
      sum = epilogue->residual_after ? act_ref(epilogue, sum) + add : act_ref(epilogue, sum + add);
      c[i * c_stride + j] = (float)sum;
    }
  }
}
