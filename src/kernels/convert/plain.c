/* convert for any machine. */
#include "kernels/convert/convert_body.h"
#include "tensor/dtype.h"

static void f16_to_f32(const uint16_t *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = dtype_f16_to_f32(x[i]);
}
static void f32_to_f16(const float *x, uint16_t *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = dtype_f32_to_f16(x[i]);
}

const convert_kernels convert__plain;
const convert_kernels convert__plain = {f16_to_f32, f32_to_f16, bf16_to_f32, f32_to_bf16};
