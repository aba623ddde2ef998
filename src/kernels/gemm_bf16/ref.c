/* kernels/gemm_bf16/ref: the oracle: factors rounded to bfloat16, sums in double. */
#include "kernels/gemm_bf16/gemm_bf16.h"

void gemm_bf16_ref(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, const float *b,
                   int64_t b_stride_k, int64_t b_stride_n, float scale, const float *bias, const float *residual,
                   int64_t residual_stride, const kernel_epilogue *epilogue, float *c, int64_t c_stride) {
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++) {
        double x = bf16_value(bf16_round(a[i * a_stride + l]));
        sum += x * bf16_value(bf16_round(scale * b[l * b_stride_k + j * b_stride_n]));
      }
      sum += bias ? bias[j] : 0;
      double add = residual ? residual[i * residual_stride + j] : 0;
      if (epilogue->residual_after)
        c[i * c_stride + j] = (float)(kernel_act_ref(epilogue, (float)sum) + add);
      else
        c[i * c_stride + j] = kernel_act_ref(epilogue, (float)(sum + add));
    }
  }
}
