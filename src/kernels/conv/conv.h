/* kernels/conv: float32 convolution over 1, 2 or 3 spatial dimensions, channels last.
 *
 *   y[b, o, n] = act(bias[n] + residual[b, o, n]
 *                    + sum over taps t, channels c of x[b, o * stride - pad_begin + t * dilation, group(n) * cg + c]
 *                                                     * w[n, c, t])
 *
 * x is [batch, in..., channels] where consecutive pixels are x_pixel_stride floats apart (at least the channels), and
 * so y and the residual: a slice of channels of a wider tensor is read and written in place, which makes Split and
 * Concat over channels free. Weights come in ONNX's layout [n, c / groups, kernel...] and are packed once.
 *
 * prepare/run split: conv_f32_plan_init checks the sizes, chooses the algorithm and says how many bytes the packed
 * weights and the scratch take; conv_f32_pack packs; conv_f32_run allocates nothing and may run on several threads at
 * once with different scratch. Results are the same to the bit for any number of threads. y may be the residual itself
 * (same address and stride); else y overlaps nothing. Out-of-bounds taps count as 0. */
#ifndef KERNELS_CONV_H
#define KERNELS_CONV_H

#include "kernels/gemm/gemm.h"

typedef enum conv_algo {
  CONV_AUTO,
  CONV_REF,       /* any shape, slow */
  CONV_POINTWISE, /* 1x1, stride 1, no padding: a matrix product in place */
  CONV_STRIP,     /* a tile is a run of pixels of one output row, read in place; edges through a padded copy */
  CONV_GATHER,    /* any shape: rows of A are gathered (im2col) a tile at a time */
  CONV_WINOGRAD4, /* F(4x4, 3x3) */
  CONV_WINOGRAD2, /* F(2x2, 3x3) */
  CONV_DEPTHWISE, /* one input channel a group */
  CONV_ALGO_COUNT,
} conv_algo;

/* Spatial sizes stand in [0, rank): depth, height, width from the outermost to the innermost. */
typedef struct conv_f32_params {
  int rank; /* 1 to 3 */
  int64_t batch;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3];
  int64_t channels_in, channels_out, groups;
  int64_t x_pixel_stride, y_pixel_stride, residual_pixel_stride; /* floats between pixels; 0: dense */
  /* Floats between the positions of y along each dimension, and between its images, where y is not dense beyond its
   * pixels (convtranspose writes every second one); all 0 for dense. y_step[rank - 1] then stands for y_pixel_stride. A
   * residual and Winograd are not possible. */
  int64_t y_step[3], y_image_step;
  kernel_epilogue epilogue;
  conv_algo algo; /* CONV_AUTO: conv_choose's. One that cannot do this shape falls back to CONV_AUTO. */
  int threads;    /* pool_threads of the pool that will run it; 0 means 1 */
} conv_f32_params;

typedef struct conv_f32_plan {
  conv_f32_params params; /* with strides and algorithm filled in */
  uint32_t isa_mask;
  const struct gemm_f32_variant *gemm;
  const struct depthwise_f32_variant *depthwise;
  const struct winograd_f32_variant *winograd;
  size_t packed_bytes;  /* for conv_f32_pack, weights and bias; 64-byte aligned memory */
  size_t scratch_bytes; /* in all, for params.threads threads; 64-byte aligned memory, may be 0 */
  size_t thread_scratch_bytes;
  int64_t layout[4]; /* sizes that the chosen algorithm keeps: named in its file */
} conv_f32_plan;

/* False when sizes are not positive, do not fit each other (out larger than what the kernel can reach is fine: it reads
 * zeros) or overflow. */
bool conv_f32_plan_init(conv_f32_plan *plan, const conv_f32_params *params, uint32_t isa_mask);
/* The ways that this shape can be computed in and that may be the fastest, and what each is expected to take, in cycles
 * of a core (only their proportions count): see choose.c. The best first; returns how many, at least one.
 * conv_f32_plan_init takes any of them as params.algo. */
typedef struct conv_candidate {
  conv_algo algo;
  double cycles;
} conv_candidate;
int conv_f32_candidates(const conv_f32_params *params, uint32_t isa_mask, conv_candidate ret[CONV_ALGO_COUNT]);
/* The first of them. */
conv_algo conv_f32_choose(const conv_f32_params *params, uint32_t isa_mask);
const char *conv_algo_name(conv_algo algo);

/* weights: [channels_out, channels_in / groups, kernel...]; at any address; bias: channels_out floats or NULL;
 * packed: packed_bytes. */
void conv_f32_pack(const conv_f32_plan *plan, const unaligned_f32 *weights, const float *bias, void *packed, pool *p);
/* x, y, residual (or NULL): the first channel of the first pixel. scratch: scratch_bytes. */
void conv_f32_run(const conv_f32_plan *plan, const float *x, const void *packed, float *y, const float *residual,
                  void *scratch, pool *p);

/* The oracle, in double, on ONNX weights. */
void conv_f32_ref(const conv_f32_params *params, const float *x, const float *weights, const float *bias,
                  const float *residual, float *y);

#endif
