/* kernels/softmax: y = e^(x - max) / sum, or its logarithm x - max - log(sum), in float32.
 *
 * The sum runs over several lanes and is added up in a fixed order; the same bits at any number of threads. A row with
 * NaN, or whose largest element is infinite, gives NaN where IEEE arithmetic does; a row of -infinity alone gives NaN
 * as numpy has it, or zeros with `empty_is_zero` (attention).
 * Aliasing: y may be x exactly. */
#ifndef KERNELS_SOFTMAX_H
#define KERNELS_SOFTMAX_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef struct softmax_options {
  bool log;
  bool empty_is_zero;
  float scale;       /* x is multiplied by it first; 0 means 1 */
  const float *mask; /* added after the scale: row r reads mask + r * mask_row; NULL: none */
  int64_t mask_row;  /* elements; 0 where one row serves all */
} softmax_options;

/* One row of n elements (mask is the row's own, or NULL); `count` neighbouring columns of an
 * array [n, inner]. */
typedef void (*softmax_row_fn)(const softmax_options *o, const float *mask, const float *x, float *y, int64_t n);
typedef void (*softmax_columns_fn)(bool log, const float *x, float *y, int64_t n, int64_t inner, int64_t count);
typedef struct softmax_kernels {
  softmax_row_fn row;
  softmax_columns_fn columns;
} softmax_kernels;
KERNEL_VARIANTS_DECLARE(softmax);
extern const softmax_kernels softmax__ref;

/* Over the last axis: rows of n contiguous elements, row r at x + r * x_row and y + r * y_row. options may be NULL. */
void softmax_f32(const softmax_options *options, const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows,
                 int64_t n, pool *p);
/* Over the middle axis of a contiguous [outer, n, inner]. */
void softmax_f32_inner(bool log, const float *x, float *y, int64_t outer, int64_t n, int64_t inner, pool *p);

#endif
