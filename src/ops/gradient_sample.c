/* ops/gradient_sample: the gradients of what reads images between their pixels, and of Det, CumProd and Col2Im, in
 * double. Attributes are those of the operator.
 *
 *   ledge.GridSampleGrad   x, grid, dy -> dx, dgrid
 *   ledge.RoiAlignGrad     dy, rois, batch indices, shape of x -> dx
 *   ledge.CumProdGrad      x, dy, axis -> dx              zeros included: no quotients
 *   ledge.DetGrad          x, dy -> dx                    dy times the cofactors of each matrix, singular ones too
 */
#include "ops/real.h"
#include "ops/sample.h"

#include <math.h>

/* ---- GridSampleGrad ---- */

static ledge_status gridsample_grad_infer(op_ctx *c) {
  sampler s;
  const tensor *x = op_in(c, 0), *grid = op_in(c, 1), *dy = op_in(c, 2);
  TRY(sampler_read(c, &s));
  TRY(real_check(c, 0, false));
  bool fits = dy->rank == x->rank && dy->dims[0] == x->dims[0] && dy->dims[1] == x->dims[1];
  for (int i = 0; fits && i < s.rank; i++) fits = dy->dims[2 + i] == grid->dims[1 + i];
  if (!fits) return op_fail(c, LEDGE_ERROR_SHAPE, "input 2 does not have the output's shape");
  TRY(op_same_shape(c, 0, 0));
  return op_same_shape(c, 1, 1);
}

/* dx += v * weights, dim by dim: the way of sampler_at back. */
static void spread_at(const sampler *s, const taps *t, double v, int d, int64_t at, double *dx) {
  if (d == s->rank) {
    dx[at] += v;
    return;
  }
  for (int i = 0; i < t[d].n; i++)
    if (t[d].at[i] >= 0 && t[d].weight[i] != 0)
      spread_at(s, t, v * t[d].weight[i], d + 1, at * s->dims[d] + t[d].at[i], dx);
}

/* One point of one image: t is changed in between. */
static void grid_point(const sampler *s, taps *t, const tensor *x, const tensor *dy, int64_t n, int64_t p,
                       int64_t points, double *dx, double *dgrid) {
  int64_t span = shape_elements(s->rank, s->dims), channels = x->dims[1];
  for (int64_t k = 0; k < channels; k++) {
    double v = tensor_f64(dy, (n * channels + k) * points + p);
    spread_at(s, t, v, 0, 0, dx + (n * channels + k) * span);
    for (int d = 0; dgrid && d < s->rank; d++) {
      taps kept = t[d];
      memcpy(t[d].weight, kept.slope, sizeof kept.slope);
      dgrid[s->rank - 1 - d] += v * sampler_at(s, t, x, (n * channels + k) * span, 0, 0);
      t[d] = kept;
    }
  }
}

static ledge_status gridsample_grad_run(op_ctx *c) {
  sampler s;
  TRY(sampler_read(c, &s));
  const tensor *x = op_in(c, 0), *grid = op_in(c, 1), *dy = op_in(c, 2);
  int64_t points = tensor_span(grid, 1, grid->rank - 1);
  double *dx = real_scratch(c, tensor_elements(x)), *dgrid = real_scratch(c, tensor_elements(grid));
  ledge_status status = dx && dgrid ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  taps t[LEDGE_MAX_RANK] = {0};
  bool some = tensor_elements(x) && tensor_elements(grid);
  for (int64_t n = 0; !status && some && n < x->dims[0]; n++)
    for (int64_t p = 0; p < points; p++) {
      int64_t at = (n * points + p) * s.rank;
      for (int d = 0; d < s.rank; d++) sampler_taps(&s, d, tensor_f64(grid, at + s.rank - 1 - d), &t[d]);
      grid_point(&s, t, x, dy, n, p, points, dx, op_wants(c, 1) ? dgrid + at : NULL);
    }
  if (!status && op_out(c, 0)) real_store(dx, op_out(c, 0));
  if (!status && op_out(c, 1)) real_store(dgrid, op_out(c, 1));
  op_scratch_free(dx);
  op_scratch_free(dgrid);
  return status;
}

/* ---- RoiAlignGrad ---- */

static ledge_status roialign_grad_infer(op_ctx *c) {
  const tensor *dy = op_in(c, 0), *rois = op_in(c, 1), *batch = op_in(c, 2);
  int64_t dims[LEDGE_MAX_RANK];
  int rank;
  TRY(real_check(c, 0, false));
  if (!dtype_is_float(rois->dtype)) return op_fail_dtype(c, 1);
  if (batch->dtype != LEDGE_I64) return op_fail_dtype(c, 2);
  OP_NEED(c, 3);
  TRY(op_read_ints(c, op_in(c, 3), dims, LEDGE_MAX_RANK, &rank));
  int64_t samples = op_int(c, "sampling_ratio", 0);
  if (rank != 4 || dy->rank != 4 || dy->dims[1] != dims[1] || rois->rank != 2 || rois->dims[0] != dy->dims[0] ||
      rois->dims[1] != 4 || batch->rank != 1 || batch->dims[0] != dy->dims[0] || samples < 0 || samples > 1 << 16)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the output's gradient, the regions and their batch indices do not fit");
  if (!op_string_is(c, "mode", "avg", "avg")) {
    const tensor *x = op_in(c, 4);
    if (!x || !shape_equal(x->rank, x->dims, rank, dims))
      return op_fail(c, LEDGE_ERROR_SHAPE, "the largest samples need the input itself");
  }
  return op_shape(c, 0, dy->dtype, rank, dims);
}

/* One bin of one channel. x: the plane's first element, where the largest sample is looked for. */
static void roi_bin(const roi *q, int64_t ph, int64_t pw, int64_t h, int64_t w, double v, const tensor *x,
                    int64_t plane, double *dx) {
  int64_t count = q->grid_h * q->grid_w, best = -1;
  double most = 0, share = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t at[4];
    double weight[4];
    roi_sample(q, i, ph, pw, h, w, at, weight);
    for (int n = 0; n < 4; n++) {
      if (!x) {
        dx[plane + at[n]] += v * weight[n] / (double)count;
        continue;
      }
      double now = weight[n] * tensor_f64(x, plane + at[n]);
      if (best < 0 || now > most) most = now, best = at[n], share = weight[n];
    }
  }
  if (best >= 0) dx[plane + best] += v * share;
}

static ledge_status roialign_grad_run(op_ctx *c) {
  const tensor *dy = op_in(c, 0), *rois = op_in(c, 1), *batch = op_in(c, 2);
  tensor *to = op_out(c, 0);
  bool max = !op_string_is(c, "mode", "avg", "avg");
  int64_t channels = dy->dims[1], oh = dy->dims[2], ow = dy->dims[3], h = to->dims[2], w = to->dims[3];
  double *dx = real_scratch(c, tensor_elements(to));
  ledge_status status = dx ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  bool some = tensor_elements(dy) && tensor_elements(to);
  for (int64_t r = 0; !status && some && r < dy->dims[0]; r++) {
    roi q;
    status = roi_read(c, rois, batch, r, to->dims[0], oh, ow, &q);
    for (int64_t o = 0; !status && o < channels * oh * ow; o++)
      roi_bin(&q, o / ow % oh, o % ow, h, w, tensor_f64(dy, r * channels * oh * ow + o), max ? op_in(c, 4) : NULL,
              (q.batch * channels + o / (oh * ow)) * h * w, dx);
  }
  if (!status) real_store(dx, to);
  op_scratch_free(dx);
  return status;
}

/* ---- CumProdGrad ---- */

static ledge_status cumprod_grad_infer(op_ctx *c) {
  TRY(real_check(c, 0, false));
  if (!tensor_same_shape(op_in(c, 0), op_in(c, 1))) return op_fail(c, LEDGE_ERROR_SHAPE, "the two shapes differ");
  return op_same_shape(c, 0, 0);
}

/* dx[k] = sum over j from k on (exclusive: after k) of dy[j] * product of x[0 .. j] (exclusive: before j) without x[k]
 */
static void cumprod_line(const double *x, const double *dy, int64_t n, bool exclusive, double *dx) {
  for (int64_t k = 0; k < n; k++) {
    double product = 1, sum = 0;
    for (int64_t j = 0; j < n; j++) {
      if (exclusive && j > k) sum += dy[j] * product;
      if (j != k) product *= x[j];
      if (!exclusive && j >= k) sum += dy[j] * product;
    }
    dx[k] = sum;
  }
}

static ledge_status cumprod_grad_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *dy = op_in(c, 1), *t = op_in(c, 2);
  tensor *to = op_out(c, 0);
  int64_t list[1];
  int axis, count;
  TRY(op_read_ints(c, t, list, 1, &count));
  if (count != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "axis is not one number");
  TRY(op_axis(c, list[0], x->rank, &axis));
  if (!tensor_elements(x)) return LEDGE_OK;
  int64_t n = x->dims[axis], inner = tensor_span(x, axis + 1, x->rank), lines = tensor_elements(x) / n;
  bool exclusive = op_int(c, "exclusive", 0) != 0, reverse = op_int(c, "reverse", 0) != 0;
  double *row = real_scratch(c, 3 * n);
  if (!row) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < lines; i++) {
    int64_t first = i / inner * n * inner + i % inner;
    for (int64_t k = 0; k < n; k++) {
      int64_t at = first + (reverse ? n - 1 - k : k) * inner;
      row[k] = tensor_f64(x, at);
      row[n + k] = tensor_f64(dy, at);
    }
    cumprod_line(row, row + n, n, exclusive, row + 2 * n);
    for (int64_t k = 0; k < n; k++)
      dtype_store_f64(to->dtype, to->data, first + (reverse ? n - 1 - k : k) * inner, row[2 * n + k]);
  }
  op_scratch_free(row);
  return LEDGE_OK;
}

/* ---- DetGrad ---- */

static ledge_status det_grad_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *dy = op_in(c, 1);
  TRY(real_check(c, 0, false));
  if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2] ||
      !shape_equal(dy->rank, dy->dims, x->rank - 2, x->dims))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the matrices are not square, or do not fit the output's gradient");
  return op_same_shape(c, 0, 0);
}

/* The determinant of a[n][n], which is used up, by elimination with pivots. */
static double determinant(double *a, int64_t n) {
  double det = 1;
  for (int64_t i = 0; i < n; i++) {
    int64_t pivot = i;
    for (int64_t k = i + 1; k < n; k++)
      if (fabs(a[k * n + i]) > fabs(a[pivot * n + i])) pivot = k;
    if (a[pivot * n + i] == 0) return 0;
    for (int64_t j = i; pivot != i && j < n; j++) {
      double swap = a[i * n + j];
      a[i * n + j] = a[pivot * n + j];
      a[pivot * n + j] = swap;
    }
    det *= pivot == i ? a[i * n + i] : -a[i * n + i];
    for (int64_t k = i + 1; k < n; k++) {
      double factor = a[k * n + i] / a[i * n + i];
      for (int64_t j = i; j < n; j++) a[k * n + j] -= factor * a[i * n + j];
    }
  }
  return det;
}

/* Each cofactor by its minor: n^5 in all, for matrices in networks are small. */
static ledge_status det_grad_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *dy = op_in(c, 1);
  tensor *to = op_out(c, 0);
  int64_t n = x->dims[x->rank - 1], total = tensor_elements(x);
  if (!total) return LEDGE_OK;
  double *minor = real_scratch(c, (n - 1) * (n - 1));
  if (!minor) return LEDGE_ERROR_MEMORY;
  for (int64_t at = 0; at < total; at++) {
    int64_t base = at / (n * n) * n * n, row = at / n % n, column = at % n, k = 0;
    for (int64_t i = 0; i < n * n; i++)
      if (i / n != row && i % n != column) minor[k++] = tensor_f64(x, base + i);
    double cofactor = determinant(minor, n - 1) * ((row + column) % 2 ? -1 : 1);
    dtype_store_f64(to->dtype, to->data, at, cofactor * tensor_f64(dy, at / (n * n)));
  }
  op_scratch_free(minor);
  return LEDGE_OK;
}

const op_def ops_gradient_sample[] = {
    {"ledge", "GridSampleGrad", 1, 0, 3, 3, 1, 2, 0, gridsample_grad_infer, gridsample_grad_run, NULL},
    {"ledge", "RoiAlignGrad", 1, 0, 4, 5, 1, 1, 0, roialign_grad_infer, roialign_grad_run, NULL},
    {"ledge", "CumProdGrad", 1, 0, 3, 3, 1, 1, 0, cumprod_grad_infer, cumprod_grad_run, NULL},
    {"ledge", "DetGrad", 1, 0, 2, 2, 1, 1, 0, det_grad_infer, det_grad_run, NULL},
    {0},
};
