/* resize: the choice of a variant, and the split over rows of outputs. */
#include "kernels/resize/resize.h"

#include <string.h>

#define VARIANT(isa, kernels) extern const resize_kernels kernels;
#include "kernels/resize/variants.def"
#undef VARIANT
static const resize_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/resize/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(resize, variants)

enum { GRAIN = 8192 }; /* outputs worth waking a thread for */

typedef struct job {
  const resize_shape *s;
  resize_linear_row_fn run;
  const resize_taps *rows, *cols;
  const int32_t *row_index, *col_index;
  const char *x;
  char *y;
  size_t bytes; /* of an element, or of `inner` of them */
} job;

static void work_linear(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const resize_shape *s = j->s;
  int64_t in_row = s->in_w * s->inner, out_row = s->out_w * s->inner;
  for (int64_t u = begin; u < end; u++) {
    int64_t i = u % s->out_h;
    const float *x = (const float *)(const void *)j->x + u / s->out_h * s->in_h * in_row;
    j->run(s, x + j->rows->lo[i] * in_row, x + j->rows->hi[i] * in_row, j->rows->lo_weight[i], j->rows->hi_weight[i],
           j->cols, (float *)(void *)j->y + u * out_row);
  }
}

void resize_linear_f32(const resize_shape *s, const resize_taps *rows, const resize_taps *cols, const float *x,
                       float *y, pool *p) {
  job j = {.s = s, .run = resize_best()->linear_row, .rows = rows, .cols = cols, .x = (const char *)x, .y = (char *)y};
  int64_t n = s->out_w * s->inner;
  if (n > 0 && s->outer > 0 && s->out_h > 0) pool_run(p, s->outer * s->out_h, GRAIN / n + 1, work_linear, &j);
}

static void nearest_row(const job *j, const char *x, char *y) {
  const resize_shape *s = j->s;
  const int32_t *index = j->col_index;
  int64_t n = s->out_w, bytes = (int64_t)j->bytes;
#define NEAREST(n_bytes) \
  for (int64_t i = 0; i < n; i++) memcpy(y + i * (n_bytes), x + index[i] * (int64_t)(n_bytes), n_bytes)
  switch (bytes) {
    case 1: NEAREST(1); break;
    case 2: NEAREST(2); break;
    case 4: NEAREST(4); break;
    case 8: NEAREST(8); break;
    default: NEAREST((size_t)bytes); break;
  }
#undef NEAREST
}

static void work_nearest(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const resize_shape *s = j->s;
  int64_t in_row = s->in_w * (int64_t)j->bytes, out_row = s->out_w * (int64_t)j->bytes;
  for (int64_t u = begin; u < end; u++) {
    int64_t i = u % s->out_h;
    const char *x = j->x + (u / s->out_h * s->in_h + j->row_index[i]) * in_row;
    if (u > begin && i > 0 && j->row_index[i] == j->row_index[i - 1])
      memcpy(j->y + u * out_row, j->y + (u - 1) * out_row, (size_t)out_row); /* a row repeats */
    else
      nearest_row(j, x, j->y + u * out_row);
  }
}

void resize_nearest(size_t element_bytes, const resize_shape *s, const int32_t *rows, const int32_t *cols,
                    const void *x, void *y, pool *p) {
  job j = {.s = s, .row_index = rows, .col_index = cols, .x = x, .y = y};
  j.bytes = element_bytes * (size_t)s->inner;
  int64_t n = s->out_w * s->inner;
  if (n > 0 && s->outer > 0 && s->out_h > 0) pool_run(p, s->outer * s->out_h, GRAIN / n + 1, work_nearest, &j);
}
