/* softmax: the choice of a variant, and the split over threads: rows, or blocks of columns. */
#include "kernels/softmax/softmax.h"

#define VARIANT(isa, kernels) extern const softmax_kernels kernels;
#include "kernels/softmax/variants.def"
#undef VARIANT
static const softmax_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/softmax/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(softmax, variants)

enum {
  GRAIN = 8192, /* elements worth waking a thread for */
  COLUMNS = 64, /* of a block: whole vectors of every variant */
};

typedef struct job {
  const softmax_kernels *k;
  softmax_options options;
  const float *x;
  float *y;
  int64_t x_row, y_row, n, inner, n_blocks;
} job;

static void work_rows(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const softmax_options *o = &j->options;
  for (int64_t i = begin; i < end; i++)
    j->k->row(o, o->mask ? o->mask + i * o->mask_row : NULL, j->x + i * j->x_row, j->y + i * j->y_row, j->n);
}

void softmax_f32(const softmax_options *options, const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows,
                 int64_t n, pool *p) {
  if (rows <= 0 || n <= 0) return;
  job j = {.k = softmax_best(), .x = x, .y = y, .x_row = x_row, .y_row = y_row, .n = n};
  if (options) j.options = *options;
  pool_run(p, rows, GRAIN / n + 1, work_rows, &j);
}

/* The kernel walks rows of `inner` elements, so a block is a run of columns of the same array. */
static void work_columns(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t column = i % j->n_blocks * COLUMNS, offset = i / j->n_blocks * j->n * j->inner + column;
    int64_t count = j->inner - column < COLUMNS ? j->inner - column : COLUMNS;
    j->k->columns(j->options.log, j->x + offset, j->y + offset, j->n, j->inner, count);
  }
}

void softmax_f32_inner(bool log, const float *x, float *y, int64_t outer, int64_t n, int64_t inner, pool *p) {
  if (outer <= 0 || n <= 0 || inner <= 0) return;
  if (inner == 1) {
    softmax_f32(&(softmax_options){.log = log}, x, n, y, n, outer, n, p);
    return;
  }
  job j = {.k = softmax_best(), .options = {.log = log}, .x = x, .y = y, .n = n, .inner = inner};
  j.n_blocks = (inner + COLUMNS - 1) / COLUMNS;
  pool_run(p, outer * j.n_blocks, GRAIN / (n * (inner < COLUMNS ? inner : COLUMNS)) + 1, work_columns, &j);
}
