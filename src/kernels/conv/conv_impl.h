/* kernels/conv/conv_impl: what the algorithms of conv.c share. Each algorithm is three functions of one file: plan
 * (what it needs), pack (weights) and run; conv.c chooses among them and owns the bias, which stands first in the
 * packed block. */
#ifndef KERNELS_CONV_IMPL_H
#define KERNELS_CONV_IMPL_H

#include "kernels/conv/conv.h"
#include "kernels/gemm/tile.h"

/* The sizes of a convolution with always three dimensions, [depth, height, width], and with groups merged: where a
 * group has fewer output channels than a vector has lanes, `merged` neighbouring groups become one whose weights are
 * zero off the diagonal, which costs the same multiply-adds as lanes left empty would and far fewer passes. */
typedef struct conv_geometry {
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
  int64_t batch, taps, groups, merged;
  int64_t cg, ng;             /* input and output channels of a merged group */
  int64_t k;                  /* taps * cg: rows of the packed weights, (tap, channel) with the channel fastest */
  int64_t panels;             /* of one merged group */
  int64_t xps, yps, rps;      /* floats between pixels of x, y and the residual */
  int64_t x_row[3], y_row[3]; /* floats between steps of each dimension */
  int64_t x_image, y_image;
  bool y_dense; /* the pixels of y follow each other at the distance yps throughout */
} conv_geometry;

/* No overflow is possible once conv_f32_plan_init has accepted the parameters, whose strides it has filled in. */
conv_geometry conv_geometry_of(const conv_f32_params *params, const gemm_f32_variant *v);

/* The range of taps [*ret_t0, *ret_t1) of one dimension whose input index, origin + t * dilation, lies in [0, in). */
static inline void conv_valid_taps(int64_t origin, int64_t kernel, int64_t dilation, int64_t in, int64_t *ret_t0,
                                   int64_t *ret_t1) {
  int64_t t0 = origin >= 0 ? 0 : (-origin + dilation - 1) / dilation;
  int64_t t1 = origin >= in ? 0 : (in - origin + dilation - 1) / dilation;
  if (t0 > kernel) t0 = kernel;
  if (t1 > kernel) t1 = kernel;
  *ret_t0 = t0;
  *ret_t1 = t1 < t0 ? t0 : t1;
}

/* Where weights stand: that of group g, its output channel n, its input channel c and tap t is
 * at[g * group + n * out + c * in + t[0] * tap[0] + t[1] * tap[1] + t[2] * tap[2]]. */
typedef struct conv_weights {
  const unaligned_f32 *at;
  int64_t group, out, in, tap[3];
} conv_weights;

/* Bytes that the weights take as panels, [group][panel][k][nr], and packing them, from ONNX's layout or any other. */
bool conv_panels_bytes(const conv_f32_plan *plan, size_t *ret_bytes);
void conv_panels_pack_from(const conv_f32_plan *plan, const conv_weights *weights, float *packed, pool *p);
void conv_panels_pack(const conv_f32_plan *plan, const unaligned_f32 *weights, float *packed, pool *p);

/* One run's arguments, as every algorithm takes them; bias has channels_out floats. */
typedef struct conv_run_args {
  const conv_f32_plan *plan;
  const float *x, *bias, *packed;
  float *y;
  const float *residual;
  char *scratch;
  pool *pool;
} conv_run_args;

void conv_run_planned(const conv_run_args *args);

/* plan: sets packed_bytes (without the bias) and thread_scratch_bytes; false where a size overflows. */
typedef struct conv_algorithm {
  bool (*plan)(conv_f32_plan *plan);
  void (*pack)(const conv_f32_plan *plan, const unaligned_f32 *weights, float *packed, pool *p);
  void (*run)(const conv_run_args *args);
} conv_algorithm;

extern const conv_algorithm conv_reference, conv_pointwise, conv_strip, conv_gather, conv_winograd, conv_depthwise;

/* What stands before the weights in the packed block: the bias. */
size_t conv_bias_bytes(const conv_f32_params *params);

/* Whether the algorithm can do this shape at all. */
bool conv_pointwise_fits(const conv_f32_params *params);
bool conv_winograd_fits(const conv_f32_params *params);
bool conv_depthwise_fits(const conv_f32_params *params);
/* The rows of a depthwise plan's image, where they stand. */
struct depthwise_f32_line depthwise_f32_line_of(const conv_f32_plan *plan);

#endif
