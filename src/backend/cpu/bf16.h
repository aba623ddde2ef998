/* backend/cpu/bf16: products and convolutions of bfloat16, for requests that ask for them. */
#ifndef BACKEND_CPU_BF16_H
#define BACKEND_CPU_BF16_H

#include "backend/cpu/rows.h"
#include "kernels/separable/separable.h"

/* A product with a constant B: element (k, n) at b + k * stride_k + n * stride_n. */
typedef struct bf16_product {
  int64_t m, n, k, stride_k, stride_n;
  float alpha;
  kernel_epilogue epilogue;
} bf16_product;

/* ret->run stays NULL where float32 is asked for, or the shape is left to it. Inputs are MatMul's and Conv's of domain
 * ledge: x, weights, bias, residual. */
ledge_status cpu_bf16_matmul(const kernel_request *r, const bf16_product *p, kernel *ret, ledge_error *error);
ledge_status cpu_bf16_conv(const kernel_request *r, const conv_f32_params *p, kernel *ret, ledge_error *error);
/* Inputs are Separable's of domain ledge, all weights and biases constant. */
ledge_status cpu_bf16_separable(const kernel_request *r, const separable_f32_params *p, kernel *ret,
                                ledge_error *error);

#endif
