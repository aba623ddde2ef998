/* convert for NEON. AArch64 converts float16 in its base; on ARMv7 the compiler's own loops do. */
#include <arm_neon.h>

#include "kernels/convert/convert_body.h"
#include "tensor/dtype.h"

static void f16_to_f32(const uint16_t *x, float *y, int64_t n) {
  int64_t i = 0;
#ifdef __aarch64__
  for (; i + 4 <= n; i += 4) vst1q_f32(y + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x + i))));
#endif
  for (; i < n; i++) y[i] = dtype_f16_to_f32(x[i]);
}

static void f32_to_f16(const float *x, uint16_t *y, int64_t n) {
  int64_t i = 0;
#ifdef __aarch64__
  for (; i + 4 <= n; i += 4) vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
#endif
  for (; i < n; i++) y[i] = dtype_f32_to_f16(x[i]);
}

const convert_kernels convert__neon;
const convert_kernels convert__neon = {f16_to_f32, f32_to_f16, bf16_to_f32, f32_to_bf16};
