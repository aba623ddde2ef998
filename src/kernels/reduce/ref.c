/* reduce's oracle: one element after the other, in double. */
#include "kernels/reduce/reduce.h"

#include <math.h>

static double ref_step(reduce_kind kind, double acc, double v) {
  switch (kind) {
    case REDUCE_MAX: return isnan(acc) ? acc : isnan(v) || v > acc ? v : acc;
    case REDUCE_MIN: return isnan(acc) ? acc : isnan(v) || v < acc ? v : acc;
    case REDUCE_PROD: return acc * v;
    case REDUCE_L1: return acc + fabs(v);
    case REDUCE_SUM_SQUARE: return acc + v * v;
    default: return acc + v;
  }
}
static double ref_neutral(reduce_kind kind) {
  return kind == REDUCE_MAX ? -INFINITY : kind == REDUCE_MIN ? INFINITY : kind == REDUCE_PROD ? 1 : 0;
}

static double ref_run(reduce_kind kind, const float *x, int64_t n) {
  double acc = ref_neutral(kind);
  for (int64_t i = 0; i < n; i++) acc = ref_step(kind, acc, x[i]);
  return acc;
}

static double ref_run_exp(const float *x, int64_t n, float max) {
  double acc = 0;
  for (int64_t i = 0; i < n; i++) acc += exp((double)x[i] - max);
  return acc;
}

static void ref_columns(reduce_kind kind, const float *x, int64_t n, int64_t inner, int64_t x_row, double *acc) {
  for (int64_t i = 0; i < inner; i++) {
    acc[i] = ref_neutral(kind);
    for (int64_t k = 0; k < n; k++) acc[i] = ref_step(kind, acc[i], x[k * x_row + i]);
  }
}

static void ref_columns_exp(const float *x, int64_t n, int64_t inner, int64_t x_row, const float *max, double *acc) {
  for (int64_t i = 0; i < inner; i++) {
    acc[i] = 0;
    for (int64_t k = 0; k < n; k++) acc[i] += exp((double)x[k * x_row + i] - max[i]);
  }
}

const reduce_kernels reduce__ref = {ref_run, ref_run_exp, ref_columns, ref_columns_exp};
