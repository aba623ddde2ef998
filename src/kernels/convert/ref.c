/* convert's oracle: tensor/dtype.h's single conversions. */
#include "kernels/convert/convert.h"
#include "tensor/dtype.h"

static void ref_f16_to_f32(const uint16_t *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = dtype_f16_to_f32(x[i]);
}
static void ref_f32_to_f16(const float *x, uint16_t *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = dtype_f32_to_f16(x[i]);
}
static void ref_bf16_to_f32(const uint16_t *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = dtype_bf16_to_f32(x[i]);
}
static void ref_f32_to_bf16(const float *x, uint16_t *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = dtype_f32_to_bf16(x[i]);
}

const convert_kernels convert__ref = {ref_f16_to_f32, ref_f32_to_f16, ref_bf16_to_f32, ref_f32_to_bf16};
