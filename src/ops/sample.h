/* ops/sample: where GridSample and RoiAlign read an image: shared with their gradients (gradient_sample.c). */
#ifndef OPS_SAMPLE_H
#define OPS_SAMPLE_H

#include "ops/op.h"

typedef enum pad_mode { PAD_ZEROS, PAD_BORDER, PAD_REFLECTION } pad_mode;
typedef enum sample_mode { SAMPLE_NEAREST, SAMPLE_LINEAR, SAMPLE_CUBIC } sample_mode;

typedef struct sampler {
  sample_mode mode;
  pad_mode pad;
  bool align;
  int rank;
  int64_t dims[LEDGE_MAX_RANK];
} sampler;

typedef struct taps {
  int n;
  int64_t at[4]; /* -1: zero */
  double weight[4];
  double slope[4]; /* of the weight by the coordinate */
} taps;

/* Of the input (0) and the grid (1) of c. */
ledge_status sampler_read(op_ctx *c, sampler *s);
/* Where the normalised coordinate v in [-1, 1] reads along dim d. */
void sampler_taps(const sampler *s, int d, double v, taps *t);
/* Sum over the neighbours of one plane, dim by dim; the caller begins with d = 0 and at = 0. */
double sampler_at(const sampler *s, const taps *t, const tensor *x, int64_t plane, int d, int64_t at);

/* One region of RoiAlign: its box, and how many samples a bin takes. */
typedef struct roi {
  double x, y, bin_w, bin_h;
  int64_t grid_w, grid_h, batch;
} roi;
/* Region r of rois and batch indices, for an image [n, channels, h, w] and an output of oh by ow. */
ledge_status roi_read(op_ctx *c, const tensor *rois, const tensor *batch, int64_t r, int64_t n, int64_t oh, int64_t ow,
                      roi *ret);
/* The four elements of a plane of h by w that sample i of bin (ph, pw) is made of; weights of 0 outside. */
void roi_sample(const roi *q, int64_t i, int64_t ph, int64_t pw, int64_t h, int64_t w, int64_t *at, double *weight);

#endif
