/* ops/gradient: what backward graphs need beside the standard's operators, and ONNX's Gradient itself, which
 * passes/gradient replaces before anything runs. Shapes come as int64 vectors, so that what has the shape need not be
 * kept.
 *
 *   ledge.ReduceTo    g, shape: g summed over the dims along which a tensor of that shape was broadcast
 *   ledge.IndexOf     x: 1, 2, 3, ... int64 in x's shape
 *   ledge.ScatterAt   g, at, shape: zeros of that shape, and g[i] added to element at[i] - 1; nowhere where at[i] is 0
 *   ledge.GatherAt    x, at: element at[i] - 1 of x; 0 where at[i] is 0
 *   ledge.GatherGrad  g, indices, shape; axis: the gradient of Gather
 *   ledge.ReluGrad    g, y: g where y is above 0, else 0
 *   ledge.MaxPoolAt   x; MaxPool's attributes: for each window the number of its largest element, as IndexOf counts
 *   ledge.PoolSpread  g, shape; AveragePool's attributes, mean: each element of g added to all elements of its window,
 *                     divided by their number where `mean` is not 0
 */
#include "ops/real.h"
#include "ops/window.h"

#include <math.h>

/* The int64 vector of input i as dims. */
static ledge_status read_shape(op_ctx *c, int i, int *rank, int64_t *dims) {
  const tensor *t = op_in(c, i);
  if (t->dtype != LEDGE_I64 || t->rank != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is no shape", i);
  return op_read_ints(c, t, dims, LEDGE_MAX_RANK, rank);
}

static ledge_status shaped_by(op_ctx *c, int i) {
  int64_t dims[LEDGE_MAX_RANK];
  int rank;
  TRY(real_check(c, 0, false));
  OP_NEED(c, i);
  TRY(read_shape(c, i, &rank, dims));
  return op_shape(c, 0, op_in(c, 0)->dtype, rank, dims);
}

/* Where there is nothing to add up; other dims may then be of any size. */
static ledge_status all_zero(tensor *y) {
  if (tensor_bytes(y)) memset(y->data, 0, tensor_bytes(y));
  return LEDGE_OK;
}

/* ---- ReduceTo ---- */

static ledge_status reduceto_infer(op_ctx *c) {
  const tensor *g = op_in(c, 0);
  int64_t like[LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
  int rank;
  TRY(shaped_by(c, 1));
  TRY(read_shape(c, 1, &rank, like));
  int wide = shape_broadcast(g->rank, g->dims, rank, like, dims);
  if (!shape_equal(wide, dims, g->rank, g->dims))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the shape does not broadcast to the first input's");
  return LEDGE_OK;
}

/* Adds rows of n elements to where they belong: along the last dim they go to one element, or side by side. */
static void reduce_rows(const tensor *g, const tensor *y, double *sum) {
  int64_t strides[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK] = {0}, n = tensor_elements(g);
  int lead = g->rank - y->rank, last = g->rank - 1;
  int64_t row = g->rank ? g->dims[last] : 1, step = last >= lead && last >= 0 && y->dims[last - lead] != 1;
  shape_strides(y->rank, y->dims, strides);
  for (int64_t i = 0; i < n; i += row) {
    int64_t to = 0;
    for (int d = lead; d < last; d++)
      if (y->dims[d - lead] != 1) to += at[d] * strides[d - lead];
    if (g->dtype == LEDGE_F32) {
      const float *from = (const float *)g->data + i;
      for (int64_t k = 0; k < row; k++) sum[to + k * step] += from[k];
    } else {
      for (int64_t k = 0; k < row; k++) sum[to + k * step] += tensor_f64(g, i + k);
    }
    for (int d = last - 1; d >= 0 && ++at[d] == g->dims[d]; d--) at[d] = 0;
  }
}

static ledge_status reduceto_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  double *sum = real_scratch(c, tensor_elements(y));
  if (!sum) return LEDGE_ERROR_MEMORY;
  reduce_rows(op_in(c, 0), y, sum);
  real_store(sum, y);
  op_scratch_free(sum);
  return LEDGE_OK;
}

/* ---- elements by their numbers ---- */

static ledge_status indexof_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  return op_shape(c, 0, LEDGE_I64, x->rank, x->dims);
}

static ledge_status indexof_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(y);
  for (int64_t i = 0; i < n; i++) ((int64_t *)y->data)[i] = i + 1;
  return LEDGE_OK;
}

static ledge_status at_check(op_ctx *c) { return op_in(c, 1)->dtype == LEDGE_I64 ? LEDGE_OK : op_fail_dtype(c, 1); }

static ledge_status at_range(op_ctx *c, int64_t at, int64_t n) {
  return at >= 0 && at <= n ? LEDGE_OK
                            : op_fail(c, LEDGE_ERROR_DATA, "%lld is no element of %lld", (long long)at, (long long)n);
}

static ledge_status scatterat_infer(op_ctx *c) {
  TRY(at_check(c));
  if (tensor_elements(op_in(c, 0)) != tensor_elements(op_in(c, 1)))
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld numbers for %lld elements", (long long)tensor_elements(op_in(c, 1)),
                   (long long)tensor_elements(op_in(c, 0)));
  return shaped_by(c, 2);
}

static ledge_status scatterat_run(op_ctx *c) {
  const tensor *g = op_in(c, 0);
  const int64_t *at = op_in(c, 1)->data;
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(g), n_y = tensor_elements(y);
  for (int64_t i = 0; i < n; i++) TRY(at_range(c, at[i], n_y));
  if (g->dtype == LEDGE_F32) {
    float *to = y->data;
    const float *from = g->data;
    memset(to, 0, tensor_bytes(y));
    for (int64_t i = 0; i < n; i++)
      if (at[i]) to[at[i] - 1] += from[i];
    return LEDGE_OK;
  }
  double *sum = real_scratch(c, n_y);
  if (!sum) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++)
    if (at[i]) sum[at[i] - 1] += tensor_f64(g, i);
  real_store(sum, y);
  op_scratch_free(sum);
  return LEDGE_OK;
}

static ledge_status gatherat_infer(op_ctx *c) {
  TRY(at_check(c));
  TRY(real_check(c, 0, false));
  return op_shape(c, 0, op_in(c, 0)->dtype, op_in(c, 1)->rank, op_in(c, 1)->dims);
}

static ledge_status gatherat_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  const int64_t *at = op_in(c, 1)->data;
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(y), n_x = tensor_elements(x);
  size_t each = dtype_bytes(x->dtype);
  for (int64_t i = 0; i < n; i++) {
    TRY(at_range(c, at[i], n_x));
    char *to = (char *)y->data + (size_t)i * each;
    if (at[i])
      memcpy(to, (const char *)x->data + (size_t)(at[i] - 1) * each, each);
    else
      memset(to, 0, each);
  }
  return LEDGE_OK;
}

/* ---- GatherGrad ---- */

static ledge_status gathergrad_infer(op_ctx *c) {
  const tensor *g = op_in(c, 0), *indices = op_in(c, 1);
  int64_t dims[LEDGE_MAX_RANK], want[LEDGE_MAX_RANK];
  int rank, axis, n = 0;
  if (!dtype_is_integer(indices->dtype)) return op_fail_dtype(c, 1);
  TRY(shaped_by(c, 2));
  TRY(read_shape(c, 2, &rank, dims));
  TRY(op_axis(c, op_int(c, "axis", 0), rank, &axis));
  if (rank - 1 + indices->rank > LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_SHAPE, "too many dims");
  for (int i = 0; i < axis; i++) want[n++] = dims[i];
  for (int i = 0; i < indices->rank; i++) want[n++] = indices->dims[i];
  for (int i = axis + 1; i < rank; i++) want[n++] = dims[i];
  if (!shape_equal(n, want, g->rank, g->dims))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the first input does not have the shape of what was gathered");
  return LEDGE_OK;
}

static ledge_status gathergrad_run(op_ctx *c) {
  const tensor *g = op_in(c, 0), *indices = op_in(c, 1);
  tensor *y = op_out(c, 0);
  int axis;
  if (!tensor_elements(g)) return all_zero(y);
  TRY(op_axis(c, op_int(c, "axis", 0), y->rank, &axis));
  int64_t outer = tensor_span(y, 0, axis), size = y->dims[axis], inner = tensor_span(y, axis + 1, y->rank),
          n = tensor_elements(indices);
  for (int64_t i = 0; i < n; i++) {
    int64_t at = tensor_i64(indices, i);
    if (at < -size || at >= size)
      return op_fail(c, LEDGE_ERROR_DATA, "index %lld is out of range for a dim of %lld", (long long)at,
                     (long long)size);
  }
  bool f32 = g->dtype == LEDGE_F32;
  double *sum = f32 ? NULL : real_scratch(c, tensor_elements(y));
  if (!f32 && !sum) return LEDGE_ERROR_MEMORY;
  if (f32) memset(y->data, 0, tensor_bytes(y));
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < n; i++) {
      int64_t at = tensor_i64(indices, i), from = (o * n + i) * inner;
      int64_t to = (o * size + (at < 0 ? at + size : at)) * inner;
      for (int64_t k = 0; f32 && k < inner; k++) ((float *)y->data)[to + k] += ((const float *)g->data)[from + k];
      for (int64_t k = 0; !f32 && k < inner; k++) sum[to + k] += tensor_f64(g, from + k);
    }
  if (!f32) real_store(sum, y);
  op_scratch_free(sum);
  return LEDGE_OK;
}

/* ---- PoolSpread ---- */

static ledge_status spread_window(op_ctx *c, int rank, const int64_t *dims, window *w) {
  if (rank < 3 || rank != op_in(c, 0)->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "a shape of %d dims has no such windows", rank);
  return window_read(c, rank - 2, dims + 2, NULL, true, w);
}

static ledge_status poolspread_infer(op_ctx *c) {
  const tensor *g = op_in(c, 0);
  int64_t dims[LEDGE_MAX_RANK];
  int rank;
  window w;
  TRY(shaped_by(c, 1));
  TRY(read_shape(c, 1, &rank, dims));
  TRY(spread_window(c, rank, dims, &w));
  if (g->dims[0] != dims[0] || g->dims[1] != dims[1] || !shape_equal(g->rank - 2, g->dims + 2, w.rank, w.out))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the first input does not have the pool's shape");
  return LEDGE_OK;
}

/* The next window position; false after the last. */
static bool next(int rank, const int64_t *dims, int64_t *at) {
  for (int i = rank - 1; i >= 0; i--) {
    if (++at[i] < dims[i]) return true;
    at[i] = 0;
  }
  return false;
}

/* The input's element under tap k of output o, or -1 outside; *padded: is it inside with the pads counted? */
static int64_t tap(const window *w, const int64_t *o, const int64_t *k, bool *padded) {
  int64_t at = 0;
  *padded = true;
  for (int i = 0; i < w->rank; i++) {
    int64_t q = o[i] * w->stride[i] - w->pad_begin[i] + k[i] * w->dilation[i];
    if (q >= w->in[i] + w->pad_end[i]) *padded = false;
    at = at < 0 || q < 0 || q >= w->in[i] ? -1 : at * w->in[i] + q;
  }
  return at;
}

static ledge_status poolspread_run(op_ctx *c) {
  const tensor *g = op_in(c, 0);
  tensor *y = op_out(c, 0);
  window w;
  if (!tensor_elements(g) || !tensor_elements(y)) return all_zero(y);
  TRY(spread_window(c, y->rank, y->dims, &w));
  bool mean = op_int(c, "mean", 1) != 0, pads = op_int(c, "count_include_pad", 0) != 0, padded;
  int64_t planes = y->dims[0] * y->dims[1], in_span = shape_elements(w.rank, w.in),
          out_span = shape_elements(w.rank, w.out), o[WINDOW_MAX] = {0}, at_o = 0;
  double *sum = real_scratch(c, tensor_elements(y));
  if (!sum) return LEDGE_ERROR_MEMORY;
  do {
    int64_t k[WINDOW_MAX] = {0}, count = 0;
    do { /* twice over the window: how many, then to whom */
      int64_t at = tap(&w, o, k, &padded);
      count += pads ? padded : at >= 0;
    } while (next(w.rank, w.kernel, k));
    do {
      int64_t at = tap(&w, o, k, &padded);
      for (int64_t n = 0; at >= 0 && n < planes; n++)
        sum[n * in_span + at] += tensor_f64(g, n * out_span + at_o) / (mean ? (double)count : 1);
    } while (next(w.rank, w.kernel, k));
    at_o++;
  } while (at_o < out_span && next(w.rank, w.out, o));
  real_store(sum, y);
  op_scratch_free(sum);
  return LEDGE_OK;
}

/* ---- ReluGrad ---- */

static ledge_status relugrad_infer(op_ctx *c) {
  TRY(real_check(c, 0, false));
  if (op_in(c, 1)->dtype != op_in(c, 0)->dtype) return op_fail_dtype(c, 1);
  if (!tensor_same_shape(op_in(c, 0), op_in(c, 1))) return op_fail(c, LEDGE_ERROR_SHAPE, "the two shapes differ");
  return op_same_shape(c, 0, 0);
}

typedef struct relu_job {
  const float *g, *y;
  float *to;
} relu_job;

/* By way of a block of its own: `to` may be g, and so the compiler may use vectors. */
static void relu_f32(void *arg, int64_t begin, int64_t end, int worker) {
  const relu_job *j = arg;
  float block[256];
  (void)worker;
  for (int64_t i = begin; i < end; i += 256) {
    int64_t n = end - i < 256 ? end - i : 256;
    for (int64_t k = 0; k < n; k++) {
      float g = j->g[i + k];
      block[k] = j->y[i + k] > 0 ? g : 0;
    }
    memcpy(j->to + i, block, (size_t)n * sizeof *block);
  }
}

static ledge_status relugrad_run(op_ctx *c) {
  const tensor *g = op_in(c, 0), *y = op_in(c, 1);
  tensor *to = op_out(c, 0);
  int64_t n = tensor_elements(to);
  if (g->dtype == LEDGE_F32) {
    relu_job j = {g->data, y->data, to->data};
    pool_run(c->pool, n, 1 << 14, relu_f32, &j);
    return LEDGE_OK;
  }
  for (int64_t i = 0; i < n; i++) dtype_store_f64(to->dtype, to->data, i, tensor_f64(y, i) > 0 ? tensor_f64(g, i) : 0);
  return LEDGE_OK;
}

/* ---- MaxPoolAt ---- */

static ledge_status maxpoolat_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  window w;
  TRY(real_check(c, 0, false));
  if (x->rank < 3) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no spatial dims", x->rank);
  TRY(window_read(c, x->rank - 2, x->dims + 2, NULL, true, &w));
  int64_t dims[LEDGE_MAX_RANK] = {x->dims[0], x->dims[1]};
  memcpy(dims + 2, w.out, (size_t)w.rank * sizeof *dims);
  return op_shape(c, 0, LEDGE_I64, x->rank, dims);
}

/* The largest of a row of taps of one window: x[at], x[at + step], ... */
static void largest(const tensor *t, int64_t at, int64_t step, int64_t n, double *most, int64_t *best) {
  for (int64_t i = 0; i < n; i++, at += step) {
    double v = tensor_f64(t, at);
    if (*best < 0 || v > *most || (isnan(v) && !isnan(*most))) *most = v, *best = at;
  }
}

/* The largest element of window o of a plane: its offset, or -1 where there is none. */
static int64_t largest_of(const window *w, const int64_t *o, const tensor *x, int64_t plane) {
  int64_t k[WINDOW_MAX] = {0}, best = -1;
  int last = w->rank - 1;
  double most = 0;
  int64_t q = o[last] * w->stride[last] - w->pad_begin[last], step = w->dilation[last];
  int64_t skip = q < 0 ? (-q + step - 1) / step : 0;
  int64_t n = w->in[last] - 1 - q < 0 ? 0 : (w->in[last] - 1 - q) / step + 1;
  if (n > w->kernel[last]) n = w->kernel[last];
  do {
    int64_t at = 0;
    for (int i = 0; i < last && at >= 0; i++) {
      int64_t p = o[i] * w->stride[i] - w->pad_begin[i] + k[i] * w->dilation[i];
      at = p < 0 || p >= w->in[i] ? -1 : at * w->in[i] + p;
    }
    if (at < 0 || skip >= n) continue;
    at = plane + at * w->in[last] + q + skip * step;
    largest(x, at, step, n - skip, &most, &best);
  } while (next(last, w->kernel, k));
  return best;
}

/* A row of float32 windows, o the first's place: tap by tap over ROW_PLACES windows at once. to[i]: the element's
 * number; 0 where a window has none. */
enum { ROW_PLACES = 64 };
static void largest_row_f32(const window *w, const int64_t *o, const float *x, int64_t plane, int64_t *to) {
  int last = w->rank - 1;
  int64_t stride = w->stride[last], width = w->in[last];
  for (int64_t c = 0; c < w->out[last]; c += ROW_PLACES) {
    int64_t n = w->out[last] - c < ROW_PLACES ? w->out[last] - c : ROW_PLACES, k[WINDOW_MAX] = {0};
    float most[ROW_PLACES];
    for (int64_t i = 0; i < n; i++) to[c + i] = 0, most[i] = 0;
    do {
      int64_t at = 0;
      for (int i = 0; i < last && at >= 0; i++) {
        int64_t p = o[i] * w->stride[i] - w->pad_begin[i] + k[i] * w->dilation[i];
        at = p < 0 || p >= w->in[i] ? -1 : at * w->in[i] + p;
      }
      if (at < 0) continue;
      const float *row = x + plane + at * width;
      for (int64_t t = 0; t < w->kernel[last]; t++) {
        int64_t p = c * stride - w->pad_begin[last] + t * w->dilation[last], i = p < 0 ? (-p + stride - 1) / stride : 0;
        for (; i < n && p + i * stride < width; i++) {
          float v = row[p + i * stride];
          bool more = !to[c + i] || v > most[i] || (v != v && most[i] == most[i]);
          most[i] = more ? v : most[i];
          to[c + i] = more ? plane + at * width + p + i * stride + 1 : to[c + i];
        }
      }
    } while (next(last, w->kernel, k));
  }
}

typedef struct pool_job {
  const window *w;
  const tensor *x;
  int64_t *to, in_span, out_span;
} pool_job;

static void maxpool_planes(void *arg, int64_t begin, int64_t end, int worker) {
  const pool_job *j = arg;
  (void)worker;
  for (int64_t n = begin; n < end; n++) {
    int64_t o[WINDOW_MAX] = {0}, width = j->w->out[j->w->rank - 1];
    if (j->x->dtype == LEDGE_F32) {
      for (int64_t i = 0; i < j->out_span; i += width, next(j->w->rank - 1, j->w->out, o))
        largest_row_f32(j->w, o, j->x->data, n * j->in_span, j->to + n * j->out_span + i);
      continue;
    }
    for (int64_t i = 0; i < j->out_span; i++, next(j->w->rank, j->w->out, o))
      j->to[n * j->out_span + i] = largest_of(j->w, o, j->x, n * j->in_span) + 1;
  }
}

static ledge_status maxpoolat_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  window w;
  TRY(window_read(c, x->rank - 2, x->dims + 2, NULL, true, &w));
  if (!tensor_elements(op_out(c, 0))) return LEDGE_OK;
  pool_job j = {&w, x, op_out(c, 0)->data, shape_elements(w.rank, w.in), shape_elements(w.rank, w.out)};
  pool_run(c->pool, x->dims[0] * x->dims[1], 1, maxpool_planes, &j);
  return LEDGE_OK;
}

static ledge_status gradient_run(op_ctx *c) {
  return op_fail(c, LEDGE_ERROR_INTERNAL, "the backward graph was not built: the pass `gradient` did not run");
}

const op_def ops_gradient[] = {
    {"ledge", "ReduceTo", 1, 0, 2, 2, 1, 1, 0, reduceto_infer, reduceto_run, NULL},
    {"ledge", "IndexOf", 1, 0, 1, 1, 1, 1, OP_SHAPE_ONLY, indexof_infer, indexof_run, NULL},
    {"ledge", "ScatterAt", 1, 0, 3, 3, 1, 1, 0, scatterat_infer, scatterat_run, NULL},
    {"ledge", "GatherAt", 1, 0, 2, 2, 1, 1, 0, gatherat_infer, gatherat_run, NULL},
    {"ledge", "GatherGrad", 1, 0, 3, 3, 1, 1, 0, gathergrad_infer, gathergrad_run, NULL},
    {"ledge", "ReluGrad", 1, 0, 2, 2, 1, 1, OP_INPLACE(0), relugrad_infer, relugrad_run, NULL},
    {"ledge", "MaxPoolAt", 1, 0, 1, 1, 1, 1, 0, maxpoolat_infer, maxpoolat_run, NULL},
    {"ledge", "PoolSpread", 1, 0, 2, 2, 1, 1, 0, poolspread_infer, poolspread_run, NULL},
    {"ai.onnx.preview.training", "Gradient", 1, 0, 1, -1, 1, -1, OP_DYNAMIC, NULL, gradient_run, NULL},
    {0},
};
