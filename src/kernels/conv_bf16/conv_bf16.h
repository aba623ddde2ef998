/* kernels/conv_bf16: convolution of bfloat16 factors with float32 sums, over 1 or 2 spatial dimensions, channels last:
 * what conv.h says of conv_f32, where x and the weights are rounded to bfloat16 (kernels/gemm_bf16). x, bias, residual
 * and y are float32. Its oracle is conv_f32_ref on rounded factors.
 *
 * planes: x is rounded into planes, one for each phase of the stride, with the padding around the image. Then every tap
 *   of a run of output positions is a run of rows of a plane, which tiles read in place; a line of positions is as long
 *   as a plane's, and what is computed beyond the image's last column is dropped.
 *
 *       stride 2, kernel 3:   x  0 1 2 3 4 5 6      plane 0: 0 2 4 6, taps 0 and 2    output i of tap 2 reads
 *                                                   plane 1: 1 3 5,   tap 1           position i + 1 of plane 0
 *
 * gather: the rows of a product are gathered, [taps][channels]: where channels are few, and for 1x1 of stride 1. */
#ifndef KERNELS_CONV_BF16_H
#define KERNELS_CONV_BF16_H

#include "kernels/conv/conv.h"

typedef struct conv_bf16_plan {
  conv_f32_params params; /* with strides filled in */
  const struct gemm_bf16_variant *variant;
  bool planes;
  size_t packed_bytes;  /* weights and bias; 64-byte aligned memory */
  size_t scratch_bytes; /* 64-byte aligned memory */
  int64_t slab;         /* lines of y (planes) or rows (gather) that scratch has room for */
} conv_bf16_plan;

/* False where it is not for this shape (three dimensions, groups of fewer than 16 channels, a y that is not dense), and
 * where conv_f32_plan_init is false. */
bool conv_bf16_plan_init(conv_bf16_plan *plan, const conv_f32_params *params, uint32_t isa_mask);
/* As conv_f32_pack and conv_f32_run. */
void conv_bf16_pack(const conv_bf16_plan *plan, const unaligned_f32 *weights, const float *bias, void *packed, pool *p);
void conv_bf16_run(const conv_bf16_plan *plan, const float *x, const void *packed, float *y, const float *residual,
                   void *scratch, pool *p);

#endif
