/* pooling: the choice of a variant, and the split over threads: rows of outputs in NHWC, planes in NCHW. */
#include "kernels/pooling/pooling.h"

#define VARIANT(isa, kernels) extern const pooling_kernels kernels;
#include "kernels/pooling/variants.def"
#undef VARIANT
static const pooling_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/pooling/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(pooling, variants)

enum { GRAIN = 32768 }; /* multiply-adds worth waking a thread for */

typedef struct job {
  const pooling_shape *s;
  pooling_row_fn row;
  pooling_plane_fn plane;
  const float *x;
  float *y;
} job;

static void work_rows(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const pooling_shape *s = j->s;
  for (int64_t i = begin; i < end; i++)
    j->row(s, j->x + i / s->out_h * s->in_h * s->in_w * s->channels, i % s->out_h, j->y + i * s->out_w * s->channels);
}

static void work_planes(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const pooling_shape *s = j->s;
  for (int64_t i = begin; i < end; i++) j->plane(s, j->x + i * s->in_h * s->in_w, j->y + i * s->out_h * s->out_w);
}

static int64_t grain(int64_t outputs, const pooling_shape *s) {
  return GRAIN / (outputs * s->kernel_h * s->kernel_w) + 1;
}

static void run_nhwc(const pooling_shape *s, pooling_row_fn row, const float *x, float *y, pool *p) {
  job j = {.s = s, .row = row, .x = x, .y = y};
  int64_t outputs = s->out_w * s->channels;
  if (outputs > 0) pool_run(p, s->batch * s->out_h, grain(outputs, s), work_rows, &j);
}

static void run_nchw(const pooling_shape *s, pooling_plane_fn plane, const float *x, float *y, pool *p) {
  job j = {.s = s, .plane = plane, .x = x, .y = y};
  int64_t outputs = s->out_h * s->out_w;
  if (outputs > 0) pool_run(p, s->batch * s->channels, grain(outputs, s), work_planes, &j);
}

void pooling_max_nhwc_f32(const pooling_shape *s, const float *x, float *y, pool *p) {
  run_nhwc(s, pooling_best()->max_nhwc_row, x, y, p);
}
void pooling_average_nhwc_f32(const pooling_shape *s, const float *x, float *y, pool *p) {
  run_nhwc(s, pooling_best()->average_nhwc_row, x, y, p);
}
void pooling_max_nchw_f32(const pooling_shape *s, const float *x, float *y, pool *p) {
  run_nchw(s, pooling_best()->max_nchw_plane, x, y, p);
}
void pooling_average_nchw_f32(const pooling_shape *s, const float *x, float *y, pool *p) {
  run_nchw(s, pooling_best()->average_nchw_plane, x, y, p);
}
