/* reduce's body, in the words of simd/. Sums: four vectors of lanes over at most BLOCK of them, then on in double.
 * Products go in double throughout, since float32 would overflow on the way. */
#include "kernels/reduce/reduce.h"
#include "kernels/simd/math.h"
#include "kernels/simd/upto.h"

#include <math.h>

enum { BLOCK = 64 }; /* vectors of a run, rows of a column */

VF_WORD vf neutral_of(reduce_kind kind) {
  return kind == REDUCE_MAX ? vf_set1(-INFINITY) : kind == REDUCE_MIN ? vf_set1(INFINITY) : vf_zero();
}

VF_WORD vf step(reduce_kind kind, vf acc, vf v) {
  switch (kind) {
    case REDUCE_MAX: return vf_max_nan(acc, v);
    case REDUCE_MIN: return vf_min_nan(acc, v);
    case REDUCE_L1: return vf_add(acc, vf_abs(v));
    case REDUCE_SUM_SQUARE: return vf_fma(v, v, acc);
    default: return vf_add(acc, v);
  }
}
VF_WORD vf join(reduce_kind kind, vf a, vf b) {
  return kind == REDUCE_MAX ? vf_max_nan(a, b) : kind == REDUCE_MIN ? vf_min_nan(a, b) : vf_add(a, b);
}

/* One block of at most BLOCK vectors, the last perhaps partial. */
VF_WORD vf run_block(reduce_kind kind, const float *x, int64_t n) {
  const vf neutral = neutral_of(kind);
  vf acc[4];
  for (int k = 0; k < 4; k++) acc[k] = neutral;
  int64_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES)
    for (int k = 0; k < 4; k++) acc[k] = step(kind, acc[k], vf_load(x + i + k * VF_LANES));
  for (; i + VF_LANES <= n; i += VF_LANES) acc[0] = step(kind, acc[0], vf_load(x + i));
  if (i < n) acc[1] = step(kind, acc[1], vf_fill_from(vf_loadn(x + i, n - i), n - i, neutral));
  return join(kind, join(kind, acc[0], acc[1]), join(kind, acc[2], acc[3]));
}

VF_WORD double run_sums(reduce_kind kind, const float *x, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; i += BLOCK * VF_LANES)
    total += vf_sum_f64(run_block(kind, x + i, n - i < BLOCK * VF_LANES ? n - i : BLOCK * VF_LANES));
  return total;
}

VF_WORD double run_extreme(reduce_kind kind, const float *x, int64_t n) {
  vf acc = run_block(kind, x, n);
  if (vm_any(vf_unordered(acc, acc))) return NAN;
  return kind == REDUCE_MAX ? vf_hmax(acc) : vf_hmin(acc);
}

static double run_product(const float *x, int64_t n) {
  double p[4] = {1, 1, 1, 1};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; k++) p[k] *= x[i + k];
  for (; i < n; i++) p[0] *= x[i];
  return (p[0] * p[1]) * (p[2] * p[3]);
}

static double run(reduce_kind kind, const float *x, int64_t n) {
  switch (kind) {
    case REDUCE_MAX: return run_extreme(REDUCE_MAX, x, n);
    case REDUCE_MIN: return run_extreme(REDUCE_MIN, x, n);
    case REDUCE_PROD: return run_product(x, n);
    case REDUCE_L1: return run_sums(REDUCE_L1, x, n);
    case REDUCE_SUM_SQUARE: return run_sums(REDUCE_SUM_SQUARE, x, n);
    default: return run_sums(REDUCE_SUM, x, n);
  }
}

static double run_exp(const float *x, int64_t n, float max) {
  const vf m = vf_set1(max);
  double total = 0;
  int64_t i = 0;
  while (i + VF_LANES <= n) {
    int64_t end = i + BLOCK * VF_LANES < n ? i + BLOCK * VF_LANES : n;
    vf acc[2] = {vf_zero(), vf_zero()};
    for (; i + 2 * VF_LANES <= end; i += 2 * VF_LANES)
      for (int k = 0; k < 2; k++) acc[k] = vf_add(acc[k], vf_exp_flush(vf_sub(vf_load(x + i + k * VF_LANES), m)));
    for (; i + VF_LANES <= end; i += VF_LANES) acc[0] = vf_add(acc[0], vf_exp_flush(vf_sub(vf_load(x + i), m)));
    total += vf_sum_f64(vf_add(acc[0], acc[1]));
  }
  if (i < n) {
    vf e = vf_exp_flush(vf_sub(vf_loadn(x + i, n - i), m));
    total += vf_sum_f64(vf_fill_from(e, n - i, vf_zero()));
  }
  return total;
}

/* One vector of columns. */
VF_WORD void column_sums(reduce_kind kind, const float *x, int64_t n, int64_t count, int64_t x_row, double *acc) {
  for (int64_t begin = 0; begin < n; begin += BLOCK) {
    int64_t end = begin + BLOCK < n ? begin + BLOCK : n;
    vf s = vf_zero();
    for (int64_t i = begin; i < end; i++) s = step(kind, s, vf_load_upto(x + i * x_row, count));
    float lanes[VF_LANES];
    vf_store(lanes, s);
    for (int64_t i = 0; i < VF_LANES && i < count; i++) acc[i] += lanes[i];
  }
}

VF_WORD void column_extremes(reduce_kind kind, const float *x, int64_t n, int64_t count, int64_t x_row, double *acc) {
  vf s = neutral_of(kind);
  for (int64_t i = 0; i < n; i++) s = step(kind, s, vf_load_upto(x + i * x_row, count));
  float lanes[VF_LANES];
  vf_store(lanes, s);
  for (int64_t i = 0; i < VF_LANES && i < count; i++) acc[i] = lanes[i];
}

static void columns(reduce_kind kind, const float *x, int64_t n, int64_t inner, int64_t x_row, double *acc) {
  for (int64_t i = 0; i < inner; i++) acc[i] = kind == REDUCE_PROD ? 1 : 0;
  if (kind == REDUCE_PROD) {
    for (int64_t k = 0; k < n; k++)
      for (int64_t i = 0; i < inner; i++) acc[i] *= x[k * x_row + i];
    return;
  }
  for (int64_t i = 0; i < inner; i += VF_LANES) {
    switch (kind) {
      case REDUCE_MAX: column_extremes(REDUCE_MAX, x + i, n, inner - i, x_row, acc + i); break;
      case REDUCE_MIN: column_extremes(REDUCE_MIN, x + i, n, inner - i, x_row, acc + i); break;
      case REDUCE_L1: column_sums(REDUCE_L1, x + i, n, inner - i, x_row, acc + i); break;
      case REDUCE_SUM_SQUARE: column_sums(REDUCE_SUM_SQUARE, x + i, n, inner - i, x_row, acc + i); break;
      default: column_sums(REDUCE_SUM, x + i, n, inner - i, x_row, acc + i); break;
    }
  }
}

static void columns_exp(const float *x, int64_t n, int64_t inner, int64_t x_row, const float *max, double *acc) {
  for (int64_t i = 0; i < inner; i += VF_LANES) {
    int64_t count = inner - i < VF_LANES ? inner - i : VF_LANES;
    const vf m = vf_load_upto(max + i, count);
    for (int64_t k = 0; k < count; k++) acc[i + k] = 0;
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
      int64_t end = begin + BLOCK < n ? begin + BLOCK : n;
      vf s = vf_zero();
      for (int64_t k = begin; k < end; k++)
        s = vf_add(s, vf_exp_flush(vf_sub(vf_load_upto(x + k * x_row + i, count), m)));
      float lanes[VF_LANES];
      vf_store(lanes, s);
      for (int64_t k = 0; k < count; k++) acc[i + k] += lanes[k];
    }
  }
}

const reduce_kernels VF_NAME(reduce);
const reduce_kernels VF_NAME(reduce) = {run, run_exp, columns, columns_exp};
