/* kernels/convtranspose: float32 transposed convolution over 1, 2 or 3 spatial dimensions, channels last.
 *
 *   y[b, i * stride - pad_begin + t * dilation, n] += x[b, i, c] * w[c, n, t]   for every input pixel i and tap t,
 *
 * from bias[n], then the activation; what falls outside y is dropped. `out` is given (output_padding and output_shape
 * are the caller's arithmetic). Weights come in ONNX's layout [channels_in, channels_out / groups, kernel...].
 *
 * Every output pixel belongs to one phase, out mod stride, and a phase is an ordinary convolution with the taps that
 * reach it: the output is made phase by phase, each element once, without scattered additions, so results do not depend
 * on the number of threads. Layout, strides, scratch and aliasing: as conv.h; there is no residual. */
#ifndef KERNELS_CONVTRANSPOSE_H
#define KERNELS_CONVTRANSPOSE_H

#include "kernels/gemm/gemm.h"

typedef struct convtranspose_f32_params {
  int rank;
  int64_t batch;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3];
  int64_t channels_in, channels_out, groups;
  int64_t x_pixel_stride, y_pixel_stride; /* 0: dense */
  kernel_epilogue epilogue;
  int threads;
} convtranspose_f32_params;

typedef struct convtranspose_f32_plan {
  convtranspose_f32_params params;
  const struct gemm_f32_variant *gemm;
  size_t packed_bytes, scratch_bytes, thread_scratch_bytes;
  int64_t n_phases;
} convtranspose_f32_plan;

/* False when sizes are not positive, do not fit each other or overflow, or the strides' product is over a million. */
bool convtranspose_f32_plan_init(convtranspose_f32_plan *plan, const convtranspose_f32_params *params,
                                 uint32_t isa_mask);
/* weights: at any address. */
void convtranspose_f32_pack(const convtranspose_f32_plan *plan, const unaligned_f32 *weights, const float *bias,
                            void *packed, pool *p);
void convtranspose_f32_run(const convtranspose_f32_plan *plan, const float *x, const void *packed, float *y,
                           void *scratch, pool *p);
/* The oracle. False where memory is short. */
bool convtranspose_f32_ref(const convtranspose_f32_params *params, const float *x, const float *weights,
                           const float *bias, float *y);

#endif
