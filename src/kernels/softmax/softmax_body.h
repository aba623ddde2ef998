/* softmax's body, in the words of simd/: the maximum, the exponentials and their sum, the division; four accumulators
 * hide the latency of max and add, and are joined in a fixed order.
 *
 * NaN anywhere makes the sum NaN, and so the row: the maximum need not carry it. +infinity makes infinity - infinity,
 * NaN as well. -infinity as the maximum is an empty row. */
#include "kernels/simd/math.h"
#include "kernels/simd/upto.h"
#include "kernels/softmax/softmax.h"

#include <math.h>

/* Element i of the row, scaled and masked; `count` lanes where not whole. */
VF_WORD vf row_load(const float *x, const float *mask, vf scale, int64_t i, int64_t count, bool masked) {
  vf v = vf_load_upto(x + i, count);
  if (!masked) return vf_mul(v, scale);
  return vf_fma(v, scale, vf_load_upto(mask + i, count));
}

VF_WORD float row_max(const float *x, const float *mask, vf scale, int64_t n, bool masked) {
  vf m[4];
  for (int k = 0; k < 4; k++) m[k] = vf_set1(-INFINITY);
  int64_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES)
    for (int k = 0; k < 4; k++) m[k] = vf_max(m[k], row_load(x, mask, scale, i + k * VF_LANES, VF_LANES, masked));
  for (; i + VF_LANES <= n; i += VF_LANES) m[0] = vf_max(m[0], row_load(x, mask, scale, i, VF_LANES, masked));
  if (i < n) m[1] = vf_max(m[1], vf_fill_from(row_load(x, mask, scale, i, n - i, masked), n - i, vf_set1(-INFINITY)));
  return vf_hmax(vf_max(vf_max(m[0], m[1]), vf_max(m[2], m[3])));
}

/* y = e^(x - max), unless it is NULL; the sum of all. */
VF_WORD float row_exp(const float *x, const float *mask, vf scale, int64_t n, bool masked, float max, float *y) {
  const vf m = vf_set1(max);
  vf sum[4];
  for (int k = 0; k < 4; k++) sum[k] = vf_zero();
  int64_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES)
    for (int k = 0; k < 4; k++) {
      vf e = vf_exp_flush(vf_sub(row_load(x, mask, scale, i + k * VF_LANES, VF_LANES, masked), m));
      if (y) vf_store(y + i + k * VF_LANES, e);
      sum[k] = vf_add(sum[k], e);
    }
  for (; i + VF_LANES <= n; i += VF_LANES) {
    vf e = vf_exp_flush(vf_sub(row_load(x, mask, scale, i, VF_LANES, masked), m));
    if (y) vf_store(y + i, e);
    sum[0] = vf_add(sum[0], e);
  }
  if (i < n) {
    vf e = vf_exp_flush(vf_sub(row_load(x, mask, scale, i, n - i, masked), m));
    if (y) vf_storen(y + i, e, n - i);
    sum[1] = vf_add(sum[1], vf_fill_from(e, n - i, vf_zero()));
  }
  return vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
}

VF_WORD void run_row(const softmax_options *o, const float *mask, const float *x, float *y, int64_t n, bool masked) {
  const vf scale = vf_set1(o->scale == 0 ? 1.0f : o->scale);
  float max = row_max(x, mask, scale, n, masked);
  if (max == -INFINITY && o->empty_is_zero) {
    float empty = o->log ? -INFINITY : 0;
    bool nan = false; /* which the maximum does not show */
    for (int64_t i = 0; i < n; i++) nan |= x[i] != x[i];
    for (int64_t i = 0; i < n && !nan; i++) y[i] = empty;
    if (!nan) return;
  }
  float sum = row_exp(x, mask, scale, n, masked, max, o->log ? NULL : y);
  int64_t i = 0;
  if (o->log) {
    const vf shift = vf_set1(logf(sum)), m = vf_set1(max);
    for (; i + VF_LANES <= n; i += VF_LANES)
      vf_store(y + i, vf_sub(vf_sub(row_load(x, mask, scale, i, VF_LANES, masked), m), shift));
    if (i < n) vf_storen(y + i, vf_sub(vf_sub(row_load(x, mask, scale, i, n - i, masked), m), shift), n - i);
    return;
  }
  const vf factor = vf_set1(1.0f / sum);
  for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, vf_mul(vf_load(y + i), factor));
  if (i < n) vf_storen(y + i, vf_mul(vf_loadn(y + i, n - i), factor), n - i);
}

static void softmax_row(const softmax_options *o, const float *mask, const float *x, float *y, int64_t n) {
  if (n <= 0) return;
  if (mask)
    run_row(o, mask, x, y, n, true);
  else
    run_row(o, NULL, x, y, n, false);
}

/* One vector of columns, `count` of them. */
VF_WORD void columns_block(bool log_, const float *x, float *y, int64_t n, int64_t inner, int64_t count) {
  vf max = vf_set1(-INFINITY), sum = vf_zero();
  for (int64_t i = 0; i < n; i++) max = vf_max(max, vf_load_upto(x + i * inner, count));
  for (int64_t i = 0; i < n; i++) {
    vf d = vf_sub(vf_load_upto(x + i * inner, count), max), e = vf_exp_flush(d);
    vf_store_upto(y + i * inner, log_ ? d : e, count);
    sum = vf_add(sum, e);
  }
  vf last = log_ ? vf_log(sum) : vf_div(vf_set1(1.0f), sum);
  for (int64_t i = 0; i < n; i++) {
    vf v = vf_load_upto(y + i * inner, count);
    vf_store_upto(y + i * inner, log_ ? vf_sub(v, last) : vf_mul(v, last), count);
  }
}

static void softmax_columns(bool log_, const float *x, float *y, int64_t n, int64_t inner, int64_t count) {
  int64_t j = 0;
  for (; j + VF_LANES <= count; j += VF_LANES) columns_block(log_, x + j, y + j, n, inner, VF_LANES);
  if (j < count) columns_block(log_, x + j, y + j, n, inner, count - j);
}

const softmax_kernels VF_NAME(softmax);
const softmax_kernels VF_NAME(softmax) = {softmax_row, softmax_columns};
