/* kernels/reduce: reductions of float32 over the middle axis of a contiguous [outer, n, inner], to which any set of
 * neighbouring axes collapses; y is [outer, inner].
 *
 * Sums run over lanes within blocks and go on in double, in an order fixed by the shape alone: the same bits at any
 * number of threads. NaN passes through every kind. n = 0 gives the neutral element: 0, 1 for PROD, -infinity for
 * MAX, LOGSUM and LOGSUMEXP, +infinity for MIN; MEAN gives NaN.
 * Aliasing: none allowed. */
#ifndef KERNELS_REDUCE_H
#define KERNELS_REDUCE_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef enum reduce_kind {
  REDUCE_SUM,
  REDUCE_MEAN,
  REDUCE_MAX,
  REDUCE_MIN,
  REDUCE_PROD,
  REDUCE_L1,
  REDUCE_L2,
  REDUCE_SUM_SQUARE,
  REDUCE_LOG_SUM,
  REDUCE_LOG_SUM_EXP,
  REDUCE_KIND_COUNT,
} reduce_kind;

/* A run of n contiguous elements to one partial result, and a block [n, inner] (rows x_row elements apart) down its
 * columns to acc[inner]. The kinds here are SUM, MAX, MIN, PROD, L1 and SUM_SQUARE; SUM_EXP is the sum of e^(x - max).
 */
typedef struct reduce_kernels {
  double (*run)(reduce_kind kind, const float *x, int64_t n);
  double (*run_exp)(const float *x, int64_t n, float max);
  void (*columns)(reduce_kind kind, const float *x, int64_t n, int64_t inner, int64_t x_row, double *acc);
  void (*columns_exp)(const float *x, int64_t n, int64_t inner, int64_t x_row, const float *max, double *acc);
} reduce_kernels;
KERNEL_VARIANTS_DECLARE(reduce);
extern const reduce_kernels reduce__ref;

void reduce_f32(reduce_kind kind, const float *x, float *y, int64_t outer, int64_t n, int64_t inner, pool *p);
/* The mean over H*W: x [batch, channels, hw] or [batch, hw, channels] to y [batch, channels]. */
void reduce_global_average_nchw_f32(const float *x, float *y, int64_t batch, int64_t channels, int64_t hw, pool *p);
void reduce_global_average_nhwc_f32(const float *x, float *y, int64_t batch, int64_t hw, int64_t channels, pool *p);
/* The index of the largest (or, with min, smallest) element; of equals the first, or with last the last. The first NaN
 * wins over all, as in numpy. n > 0. */
void reduce_arg_f32(bool min, bool last, const float *x, int64_t *y, int64_t outer, int64_t n, int64_t inner, pool *p);

#endif
