/* ops/pool: MaxPool (with Indices), AveragePool, LpPool, the global pools and MaxUnpool; channels first, any number of
 * spatial dims. Max pools work on any real type, the others on floats in double. */
#include "ops/real.h"
#include "ops/window.h"

#include <math.h>

typedef enum pool_kind { POOL_MAX, POOL_AVERAGE, POOL_LP } pool_kind;

static ledge_status pool_read(op_ctx *c, window *w) {
  const tensor *x = op_in(c, 0);
  if (x->rank < 3) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no spatial dims", x->rank);
  return window_read(c, x->rank - 2, x->dims + 2, NULL, true, w);
}

static ledge_status pool_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  window w;
  bool max = !strcmp(c->def->name, "MaxPool");
  TRY(real_check(c, 0, max));
  TRY(pool_read(c, &w));
  int64_t dims[LEDGE_MAX_RANK] = {x->dims[0], x->dims[1]};
  for (int i = 0; i < w.rank; i++) dims[i + 2] = w.out[i];
  TRY(op_shape(c, 0, x->dtype, x->rank, dims));
  return max ? op_shape(c, 1, LEDGE_I64, x->rank, dims) : LEDGE_OK;
}

/* One output element. */
typedef struct pool_sum {
  double value;
  int64_t best; /* max: the element's offset in its plane; -1: none yet */
} pool_sum;

static void pool_tap(pool_kind kind, double p, double v, int64_t at, pool_sum *s) {
  switch (kind) {
    case POOL_MAX:
      if (s->best < 0 || v > s->value || (isnan(v) && !isnan(s->value))) s->value = v, s->best = at;
      break;
    case POOL_AVERAGE: s->value += v; break;
    case POOL_LP: s->value += pow(fabs(v), p); break;
  }
}

/* Taps of one window along each dim: [low, high) lie inside the input, and the first `padded` before the end of the
 * pads. Pads are not walked, however wide they are. */
typedef struct pool_reach {
  int64_t low[WINDOW_MAX], high[WINDOW_MAX];
  int64_t inside, padded; /* taps of the window */
} pool_reach;

static int64_t ceil_div(int64_t a, int64_t b) { return a <= 0 ? 0 : (a - 1) / b + 1; }
static int64_t at_most(int64_t v, int64_t most) { return v < most ? v : most; }

static void pool_reach_of(const window *w, const int64_t *o, pool_reach *r) {
  r->inside = r->padded = 1;
  for (int i = 0; i < w->rank; i++) {
    int64_t start = o[i] * w->stride[i] - w->pad_begin[i], step = w->dilation[i], end = w->in[i] - start;
    r->low[i] = at_most(ceil_div(-start, step), w->kernel[i]);
    r->high[i] = at_most(ceil_div(end, step), w->kernel[i]);
    if (r->high[i] < r->low[i]) r->high[i] = r->low[i];
    r->inside *= r->high[i] - r->low[i];
    if (__builtin_mul_overflow(r->padded, at_most(ceil_div(end + w->pad_end[i], step), w->kernel[i]), &r->padded))
      r->padded = INT64_MAX; /* a mean over so many is 0 */
  }
}

static void pool_window(const window *w, pool_kind kind, double p, const int64_t *o, ledge_dtype dtype, const void *x,
                        int64_t plane, const pool_reach *r, pool_sum *s) {
  int64_t k[WINDOW_MAX];
  memcpy(k, r->low, sizeof k);
  while (r->inside > 0) {
    int64_t at = 0;
    for (int i = 0; i < w->rank; i++)
      at = at * w->in[i] + o[i] * w->stride[i] - w->pad_begin[i] + k[i] * w->dilation[i];
    pool_tap(kind, p, dtype_load_f64(dtype, x, plane + at), at, s);
    int i = w->rank - 1;
    for (; i >= 0 && ++k[i] == r->high[i]; i--) k[i] = r->low[i];
    if (i < 0) return;
  }
}

/* Offsets in the plane are row-major, or, with storage_order 1, column-major. */
static int64_t pool_index(const window *w, int64_t at, int64_t plane, bool column_major) {
  if (!column_major) return plane + at;
  int64_t place[WINDOW_MAX], index = 0;
  for (int i = w->rank - 1; i >= 0; i--) place[i] = at % w->in[i], at /= w->in[i];
  for (int i = w->rank - 1; i >= 0; i--) index = index * w->in[i] + place[i];
  return plane + index;
}

static ledge_status pool_run_any(op_ctx *c, pool_kind kind) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0), *indices = op_out(c, 1);
  window w;
  TRY(pool_read(c, &w));
  bool include_pad = op_int(c, "count_include_pad", 0) != 0, column_major = op_int(c, "storage_order", 0) != 0;
  double p = kind != POOL_LP ? 0 : c->node->version < 2 ? op_float(c, "p", 2) : (double)op_int(c, "p", 2);
  int64_t planes = x->dims[0] * x->dims[1], in_span = shape_elements(w.rank, w.in),
          out_span = shape_elements(w.rank, w.out);
  for (int64_t n = 0; n < planes; n++) {
    int64_t o[WINDOW_MAX] = {0};
    for (int64_t k = 0; k < out_span; k++) {
      pool_sum s = {.value = kind == POOL_MAX ? -INFINITY : 0, .best = -1};
      pool_reach r;
      pool_reach_of(&w, o, &r);
      pool_window(&w, kind, p, o, x->dtype, x->data, n * in_span, &r, &s);
      double v = s.value;
      if (kind == POOL_AVERAGE) {
        int64_t count = include_pad ? r.padded : r.inside;
        v = count ? v / (double)count : 0;
      } else if (kind == POOL_LP) {
        v = pow(v, 1 / p);
      }
      int64_t at = n * out_span + k;
      if (y && kind == POOL_MAX && s.best >= 0)
        memcpy((char *)y->data + (size_t)at * dtype_bytes(y->dtype),
               (const char *)x->data + (size_t)(n * in_span + s.best) * dtype_bytes(x->dtype), dtype_bytes(y->dtype));
      else if (y)
        dtype_store_f64(y->dtype, y->data, at, v);
      if (indices) ((int64_t *)indices->data)[at] = s.best < 0 ? -1 : pool_index(&w, s.best, n * in_span, column_major);
      for (int i = w.rank - 1; i >= 0 && ++o[i] == w.out[i]; i--) o[i] = 0;
    }
  }
  return LEDGE_OK;
}

static ledge_status maxpool_run(op_ctx *c) { return pool_run_any(c, POOL_MAX); }
static ledge_status averagepool_run(op_ctx *c) { return pool_run_any(c, POOL_AVERAGE); }
static ledge_status lppool_run(op_ctx *c) { return pool_run_any(c, POOL_LP); }

/* ---- global pools ---- */

static ledge_status global_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  TRY(real_check(c, 0, false));
  if (x->rank < 2) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no channels", x->rank);
  int64_t dims[LEDGE_MAX_RANK] = {x->dims[0], x->dims[1]};
  for (int i = 2; i < x->rank; i++) dims[i] = 1;
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

static ledge_status global_run_any(op_ctx *c, pool_kind kind) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t planes = x->dims[0] * x->dims[1], span = tensor_span(x, 2, x->rank);
  double p = c->node->version < 2 ? op_float(c, "p", 2) : (double)op_int(c, "p", 2);
  for (int64_t n = 0; n < planes; n++) {
    pool_sum s = {.value = kind == POOL_MAX ? -INFINITY : 0, .best = -1};
    for (int64_t k = 0; k < span; k++) pool_tap(kind, p, tensor_f64(x, n * span + k), k, &s);
    double v = kind == POOL_AVERAGE ? s.value / (double)span : kind == POOL_LP ? pow(s.value, 1 / p) : s.value;
    dtype_store_f64(y->dtype, y->data, n, v);
  }
  return LEDGE_OK;
}

static ledge_status globalmax_run(op_ctx *c) { return global_run_any(c, POOL_MAX); }
static ledge_status globalaverage_run(op_ctx *c) { return global_run_any(c, POOL_AVERAGE); }
static ledge_status globallp_run(op_ctx *c) { return global_run_any(c, POOL_LP); }

/* ---- MaxUnpool: puts each element where its index says, zeros elsewhere ---- */

static ledge_status maxunpool_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *shape = op_in(c, 2);
  TRY(real_check(c, 0, false));
  if (x->rank < 3) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no spatial dims", x->rank);
  if (op_in(c, 1)->dtype != LEDGE_I64 || !tensor_same_shape(x, op_in(c, 1)))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the indices are not int64 of the input's shape");
  int64_t dims[LEDGE_MAX_RANK] = {x->dims[0], x->dims[1]}, n_k, n_s, n_p;
  const int64_t *kernel = op_ints(c, "kernel_shape", &n_k), *strides = op_ints(c, "strides", &n_s),
                *pads = op_ints(c, "pads", &n_p);
  int rank = x->rank - 2;
  if (n_k != rank || (n_s && n_s != rank) || (n_p && n_p != 2 * rank))
    return op_fail(c, LEDGE_ERROR_SHAPE, "kernel_shape, strides or pads do not fit %d spatial dims", rank);
  for (int i = 0; i < rank; i++) {
    int64_t s = n_s ? strides[i] : 1, begin = n_p ? pads[i] : 0, end = n_p ? pads[rank + i] : 0;
    if (s < 1 || s > INT32_MAX || kernel[i] < 1 || kernel[i] > INT32_MAX || begin < INT32_MIN || begin > INT32_MAX ||
        end < INT32_MIN || end > INT32_MAX || x->dims[i + 2] > INT32_MAX)
      return op_fail(c, LEDGE_ERROR_SHAPE, "strides, kernel_shape, pads or a dim is out of range");
    dims[i + 2] = (x->dims[i + 2] - 1) * s + kernel[i] - begin - end;
  }
  if (shape) {
    int n;
    OP_NEED(c, 2);
    TRY(op_read_ints(c, shape, dims, LEDGE_MAX_RANK, &n));
    if (n != x->rank) return op_fail(c, LEDGE_ERROR_SHAPE, "output_shape has %d numbers for rank %d", n, x->rank);
  }
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

static ledge_status maxunpool_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  const int64_t *index = op_in(c, 1)->data;
  int64_t n = tensor_elements(x), total = tensor_elements(y), bytes = (int64_t)dtype_bytes(x->dtype);
  memset(y->data, 0, tensor_bytes(y));
  if (n == 0 || total == 0) return n ? op_fail(c, LEDGE_ERROR_DATA, "the output is empty") : LEDGE_OK;
  /* Indices were made for the pooled input's planes; with an output_shape given the planes may be larger. */
  int64_t planes = x->dims[0] * x->dims[1], plane_in = planes ? n / planes : 0, plane_out = planes ? total / planes : 0;
  int64_t pooled = plane_out;
  if (op_in(c, 2)) {
    int64_t n_k, n_s;
    const int64_t *kernel = op_ints(c, "kernel_shape", &n_k), *strides = op_ints(c, "strides", &n_s);
    pooled = 1;
    for (int i = 0; i < x->rank - 2; i++)
      if (__builtin_mul_overflow(pooled, (x->dims[i + 2] - 1) * (n_s ? strides[i] : 1) + kernel[i], &pooled))
        return op_fail(c, LEDGE_ERROR_LIMIT, "kernel_shape and strides are too large");
  }
  for (int64_t i = 0; i < n; i++) {
    int64_t plane = i / plane_in, at = index[i];
    if (op_in(c, 2) && pooled != plane_out && pooled > 0) {
      /* Taken apart in the inferred plane and put together in the given one. */
      int64_t in_plane = at - plane * pooled, to = 0, place[LEDGE_MAX_RANK], n_k, n_s;
      const int64_t *kernel = op_ints(c, "kernel_shape", &n_k), *strides = op_ints(c, "strides", &n_s);
      if (in_plane < 0 || in_plane >= pooled)
        return op_fail(c, LEDGE_ERROR_DATA, "index %lld is out of range", (long long)at);
      for (int d = x->rank - 1; d >= 2; d--) {
        int64_t dim = (x->dims[d] - 1) * (n_s ? strides[d - 2] : 1) + kernel[d - 2];
        place[d] = in_plane % dim;
        in_plane /= dim;
      }
      for (int d = 2; d < x->rank; d++) {
        if (place[d] >= y->dims[d]) return op_fail(c, LEDGE_ERROR_DATA, "index %lld is out of range", (long long)at);
        to = to * y->dims[d] + place[d];
      }
      at = plane * plane_out + to;
    }
    if (at < 0 || at >= total)
      return op_fail(c, LEDGE_ERROR_DATA, "index %lld is out of [0, %lld)", (long long)at, (long long)total);
    memcpy((char *)y->data + at * bytes, (const char *)x->data + i * bytes, (size_t)bytes);
  }
  return LEDGE_OK;
}

const op_def ops_pool[] = {
    {"", "MaxPool", 1, 0, 1, 1, 1, 2, 0, pool_infer, maxpool_run},
    {"", "AveragePool", 1, 0, 1, 1, 1, 1, 0, pool_infer, averagepool_run},
    {"", "LpPool", 1, 0, 1, 1, 1, 1, 0, pool_infer, lppool_run},
    {"", "GlobalMaxPool", 1, 0, 1, 1, 1, 1, 0, global_infer, globalmax_run},
    {"", "GlobalAveragePool", 1, 0, 1, 1, 1, 1, 0, global_infer, globalaverage_run},
    {"", "GlobalLpPool", 1, 0, 1, 1, 1, 1, 0, global_infer, globallp_run},
    {"", "MaxUnpool", 9, 0, 2, 3, 1, 1, 0, maxunpool_infer, maxunpool_run},
    {0},
};
