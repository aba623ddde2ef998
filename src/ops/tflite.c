/* ops/tflite: integer arithmetic element by element, over windows and along dims: the references; see tflite.h. */
#include "ops/tflite.h"
#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/pad.h"

#include <math.h>

enum { TYPES = DTYPE_BIT(LEDGE_I8) | DTYPE_BIT(LEDGE_U8) | DTYPE_BIT(LEDGE_I16) };

typedef struct act_range {
  int64_t least, most;
} act_range;

static act_range range_of(const op_ctx *c, ledge_dtype d) {
  int64_t least = d == LEDGE_U8 ? 0 : d == LEDGE_I16 ? INT16_MIN : d == LEDGE_I32 ? INT32_MIN : INT8_MIN;
  int64_t most = d == LEDGE_U8 ? 255 : d == LEDGE_I16 ? INT16_MAX : d == LEDGE_I32 ? INT32_MAX : INT8_MAX;
  int64_t low = op_int(c, "y_min", least), high = op_int(c, "y_max", most);
  return (act_range){low > least ? low : least, high < most ? high : most};
}

static void put(tensor *y, int64_t i, int64_t v, act_range r) {
  dtype_store_i64(y->dtype, y->data, i, v < r.least ? r.least : v > r.most ? r.most : v);
}

static ledge_status check_scale(op_ctx *c, const char *name) {
  float v = op_float(c, name, 0);
  return v > 0 && v < INFINITY ? LEDGE_OK : op_fail(c, LEDGE_ERROR_FORMAT, "%s is %g", name, (double)v);
}

/* ---- Add, Sub, Mul ---- */

void tflite_sum_read(op_ctx *c, ledge_dtype dtype, bool subtract, fixed_sum *s) {
  double a = (double)op_float(c, "a_scale", 1), b = (double)op_float(c, "b_scale", 1), y = op_float(c, "y_scale", 1);
  double twice = 2 * (a > b ? a : b);
  act_range r = range_of(c, dtype);
  int left = dtype == LEDGE_I16 ? 15 : 20;
  *s = (fixed_sum){.a_zero = (int32_t)op_int(c, "a_zero", 0),
                   .b_zero = (int32_t)op_int(c, "b_zero", 0),
                   .y_zero = (int32_t)op_int(c, "y_zero", 0),
                   .left = left,
                   .min = (int32_t)r.least,
                   .max = (int32_t)r.most,
                   .subtract = subtract};
  fixed_multiplier(a / twice, &s->a_m, &s->a_shift);
  fixed_multiplier(b / twice, &s->b_m, &s->b_shift);
  fixed_multiplier(twice / ((1 << left) * y), &s->y_m, &s->y_shift);
}

static ledge_status binary_infer(op_ctx *c) {
  TRY(check_scale(c, "a_scale"));
  TRY(check_scale(c, "b_scale"));
  TRY(check_scale(c, "y_scale"));
  return elem_infer_broadcast(c, 0, TYPES, LEDGE_DTYPE_NONE);
}

typedef int32_t (*pair_fn)(const void *arg, int32_t a, int32_t b);

static void each_pair(op_ctx *c, pair_fn f, const void *arg) {
  const tensor *in[] = {op_in(c, 0), op_in(c, 1)};
  tensor *y = op_out(c, 0);
  elem_bcast b;
  int64_t strides[2][LEDGE_MAX_RANK], index[LEDGE_MAX_RANK], at[2], k = 0;
  elem_bcast_init(&b, strides, y->rank, y->dims, 2, in);
  elem_bcast_seek(&b, 0, index, at);
  for (int64_t row = 0; row < b.rows; row++, elem_bcast_next(&b, index, at))
    for (int64_t j = 0; j < b.inner; j++, k++) {
      int64_t p = at[0] + j * strides[0][b.rank - 1], q = at[1] + j * strides[1][b.rank - 1];
      dtype_store_i64(y->dtype, y->data, k, f(arg, (int32_t)tensor_i64(in[0], p), (int32_t)tensor_i64(in[1], q)));
    }
}

static int32_t sum_pair(const void *arg, int32_t a, int32_t b) { return fixed_sum_apply(arg, a, b); }

static ledge_status sum(op_ctx *c, bool subtract) {
  fixed_sum s;
  tflite_sum_read(c, op_in(c, 0)->dtype, subtract, &s);
  each_pair(c, sum_pair, &s);
  return LEDGE_OK;
}
static ledge_status add_run(op_ctx *c) { return sum(c, false); }
static ledge_status sub_run(op_ctx *c) { return sum(c, true); }

typedef struct product {
  int32_t a_zero, b_zero, y_zero, m, shift;
  act_range r;
} product;

static int32_t mul_pair(const void *arg, int32_t a, int32_t b) {
  const product *p = arg;
  uint32_t v = (uint32_t)(a - p->a_zero) * (uint32_t)(b - p->b_zero);
  int64_t y = (int64_t)fixed_apply((int32_t)v, p->m, p->shift) + p->y_zero;
  return (int32_t)(y < p->r.least ? p->r.least : y > p->r.most ? p->r.most : y);
}

static ledge_status mul_run(op_ctx *c) {
  product p = {.a_zero = (int32_t)op_int(c, "a_zero", 0),
               .b_zero = (int32_t)op_int(c, "b_zero", 0),
               .y_zero = (int32_t)op_int(c, "y_zero", 0),
               .r = range_of(c, op_in(c, 0)->dtype)};
  float factor = op_float(c, "a_scale", 1) * op_float(c, "b_scale", 1) / op_float(c, "y_scale", 1);
  fixed_multiplier((double)factor, &p.m, &p.shift);
  each_pair(c, mul_pair, &p);
  return LEDGE_OK;
}

/* ---- AveragePool, MaxPool ---- */

static ledge_status pool_read(op_ctx *c, window *w) {
  const tensor *x = op_in(c, 0);
  if (x->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "an image of %d dims", x->rank);
  return window_read(c, 2, x->dims + 1, NULL, true, w);
}

static ledge_status pool_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  window w;
  TRY(elem_check(c, 0, TYPES));
  TRY(pool_read(c, &w));
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){x->dims[0], w.out[0], w.out[1], x->dims[3]});
}

static ledge_status pool_windows(op_ctx *c, bool average) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  window w;
  TRY(pool_read(c, &w));
  act_range r = range_of(c, x->dtype);
  int64_t channels = x->dims[3], n = tensor_elements(y);
  for (int64_t i = 0; i < n; i++) {
    int64_t ch = i % channels, px = i / channels % w.out[1], py = i / channels / w.out[1] % w.out[0],
            b = i / channels / w.out[1] / w.out[0], acc = average ? 0 : INT64_MIN, count = 0;
    for (int64_t ky = 0; ky < w.kernel[0]; ky++) {
      int64_t sy = py * w.stride[0] + ky - w.pad_begin[0];
      if (sy < 0 || sy >= w.in[0]) continue;
      for (int64_t kx = 0; kx < w.kernel[1]; kx++) {
        int64_t sx = px * w.stride[1] + kx - w.pad_begin[1];
        if (sx < 0 || sx >= w.in[1]) continue;
        int64_t v = tensor_i64(x, ((b * w.in[0] + sy) * w.in[1] + sx) * channels + ch);
        acc = average ? acc + v : v > acc ? v : acc;
        count++;
      }
    }
    if (average && count) acc = acc > 0 ? (acc + count / 2) / count : (acc - count / 2) / count;
    put(y, i, count ? acc : 0, r);
  }
  return LEDGE_OK;
}
static ledge_status average_pool_run(op_ctx *c) { return pool_windows(c, true); }
static ledge_status max_pool_run(op_ctx *c) { return pool_windows(c, false); }

/* ---- Mean ---- */

static ledge_status mean_axes(op_ctx *c, bool *reduced) {
  const tensor *x = op_in(c, 0);
  int64_t n;
  const int64_t *axes = op_ints(c, "axes", &n);
  memset(reduced, 0, LEDGE_MAX_RANK * sizeof *reduced);
  for (int64_t i = 0; i < n; i++) {
    int axis;
    TRY(op_axis(c, axes[i], x->rank, &axis));
    reduced[axis] = true;
  }
  return LEDGE_OK;
}

static ledge_status mean_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  bool reduced[LEDGE_MAX_RANK], keep = op_int(c, "keepdims", 0) != 0;
  int64_t dims[LEDGE_MAX_RANK];
  int rank = 0;
  TRY(elem_check(c, 0, TYPES));
  TRY(check_scale(c, "x_scale"));
  TRY(check_scale(c, "y_scale"));
  TRY(mean_axes(c, reduced));
  for (int i = 0; i < x->rank; i++)
    if (!reduced[i] || keep) dims[rank++] = reduced[i] ? 1 : x->dims[i];
  return op_shape(c, 0, x->dtype, rank, dims);
}

static ledge_status mean_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  bool reduced[LEDGE_MAX_RANK];
  int64_t steps[LEDGE_MAX_RANK], index[LEDGE_MAX_RANK] = {0}, step = 1, count = 1, n = tensor_elements(y);
  int32_t m, shift, x_zero = (int32_t)op_int(c, "x_zero", 0), y_zero = (int32_t)op_int(c, "y_zero", 0);
  TRY(mean_axes(c, reduced));
  for (int i = x->rank - 1; i >= 0; i--) {
    steps[i] = reduced[i] ? 0 : step;
    if (reduced[i])
      count *= x->dims[i];
    else
      step *= x->dims[i];
  }
  int64_t *sums = op_scratch(c, (size_t)n + 1, sizeof *sums);
  if (!sums) return LEDGE_ERROR_MEMORY;
  memset(sums, 0, (size_t)n * sizeof *sums);
  int64_t total = tensor_elements(x), at = 0;
  for (int64_t i = 0; i < total; i++) {
    sums[at] += tensor_i64(x, i);
    for (int d = x->rank - 1; d >= 0; d--) {
      at += steps[d];
      if (++index[d] < x->dims[d]) break;
      at -= steps[d] * x->dims[d];
      index[d] = 0;
    }
  }
  fixed_multiplier((double)op_float(c, "x_scale", 1) / (double)op_float(c, "y_scale", 1), &m, &shift);
  if (count > 0) { /* 1 / count goes into the factor, as far as its bits allow */
    int by = 63 - __builtin_clzll((unsigned long long)count);
    if (by > 32) by = 32;
    if (by > 31 + shift) by = 31 + shift;
    m = (int32_t)(((int64_t)m << by) / count);
    shift -= by;
  }
  for (int64_t i = 0; i < n; i++) {
    int32_t v = (int32_t)(uint32_t)(uint64_t)(sums[i] - x_zero * count);
    put(y, i, (int64_t)fixed_apply(v, m, shift) + y_zero, range_of(c, y->dtype));
  }
  op_scratch_free(sums);
  return LEDGE_OK;
}

/* ---- Rescale, Quantize, LeakyRelu ---- */

static ledge_status to_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t to = op_int(c, "to", LEDGE_DTYPE_NONE);
  if (to != LEDGE_I8 && to != LEDGE_U8 && to != LEDGE_I16 && to != LEDGE_I32)
    return op_fail(c, LEDGE_ERROR_FORMAT, "`to` is %lld", (long long)to);
  TRY(check_scale(c, "y_scale"));
  return op_shape(c, 0, (ledge_dtype)to, x->rank, x->dims);
}

static ledge_status rescale_infer(op_ctx *c) {
  TRY(elem_check(c, 0, TYPES | DTYPE_BIT(LEDGE_I32)));
  TRY(check_scale(c, "x_scale"));
  return to_infer(c);
}

static ledge_status rescale_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int32_t m, shift;
  int64_t x_zero = op_int(c, "x_zero", 0), y_zero = op_int(c, "y_zero", 0);
  act_range r = range_of(c, y->dtype);
  fixed_multiplier((double)op_float(c, "x_scale", 1) / (double)op_float(c, "y_scale", 1), &m, &shift);
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    int32_t v = (int32_t)(uint32_t)(uint64_t)(tensor_i64(x, i) - x_zero);
    put(y, i, (int64_t)fixed_apply(v, m, shift) + y_zero, r);
  }
  return LEDGE_OK;
}

static ledge_status quantize_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPE_BIT(LEDGE_F32)));
  return to_infer(c);
}

/* Ties go away from zero. */
static ledge_status quantize_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  const float *from = x->data;
  float scale = op_float(c, "y_scale", 1);
  int64_t zero = op_int(c, "y_zero", 0);
  act_range r = range_of(c, y->dtype);
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    float v = roundf(from[i] / scale);
    int64_t q = v != v ? 0 : v > 4e9f ? (int64_t)4e9 : v < -4e9f ? (int64_t)-4e9 : (int64_t)v;
    put(y, i, q + zero, r);
  }
  return LEDGE_OK;
}

static ledge_status leaky_infer(op_ctx *c) {
  TRY(elem_check(c, 0, TYPES));
  TRY(check_scale(c, "x_scale"));
  TRY(check_scale(c, "y_scale"));
  return op_same_shape(c, 0, 0);
}

static ledge_status leaky_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int32_t m[2], shift[2];
  int64_t x_zero = op_int(c, "x_zero", 0), y_zero = op_int(c, "y_zero", 0);
  double factor = (double)op_float(c, "x_scale", 1) / (double)op_float(c, "y_scale", 1),
         alpha = (double)op_float(c, "alpha", 0);
  act_range r = range_of(c, y->dtype);
  fixed_multiplier(factor, &m[0], &shift[0]);
  fixed_multiplier(factor * fabs(alpha), &m[1], &shift[1]);
  if (alpha < 0) m[1] = -m[1];
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    int64_t v = tensor_i64(x, i) - x_zero;
    int k = v < 0;
    put(y, i, (int64_t)fixed_apply((int32_t)v, m[k], shift[k]) + y_zero, r);
  }
  return LEDGE_OK;
}

/* ---- ResizeBilinear: of u8 in floats, of signed integers with 10 bits of fraction ---- */

static ledge_status resize_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *sizes = op_in(c, 1);
  int64_t to[2];
  int n;
  TRY(elem_check(c, 0, TYPES));
  if (x->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "an image of %d dims", x->rank);
  OP_NEED(c, 1);
  TRY(op_read_ints(c, sizes, to, 2, &n));
  if (n != 2 || to[0] < 1 || to[1] < 1 || to[0] > INT32_MAX / 1024 || to[1] > INT32_MAX / 1024 ||
      x->dims[1] > INT32_MAX / 2048 || x->dims[2] > INT32_MAX / 2048)
    return op_fail(c, LEDGE_ERROR_SHAPE, "sizes that are none");
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){x->dims[0], to[0], to[1], x->dims[3]});
}

typedef struct taps_1d {
  int64_t low, high;
  float part;      /* of `high`, for u8 */
  int64_t part_10; /* in 1024ths, beyond low */
} taps_1d;

static taps_1d taps_at(int64_t i, int64_t in, int64_t out, bool corners, bool half) {
  taps_1d t;
  float scale = corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
  float at = half ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale;
  float floor_at = floorf(at), ceil_at = ceilf(at);
  int64_t scale_10 = corners && out > 1 ? (1024 * (in - 1) + (out - 1) / 2) / (out - 1) : (1024 * in + out / 2) / out;
  int64_t at_10 = half ? i * scale_10 + scale_10 / 2 - 512 : i * scale_10;
  t.low = at_10 / 1024 > 0 ? at_10 / 1024 : 0;
  t.high = (at_10 + 1023) / 1024 < in - 1 ? (at_10 + 1023) / 1024 : in - 1;
  t.part_10 = at_10 - 1024 * t.low;
  if (t.low > in - 1) t.low = in - 1;
  t.part = at;
  (void)floor_at, (void)ceil_at;
  return t;
}

/* Of u8: bounds from the float position. */
static void float_taps(taps_1d *t, int64_t in) {
  float at = t->part;
  int64_t low = (int64_t)floorf(at), high = (int64_t)ceilf(at);
  t->low = low > 0 ? low : 0;
  t->high = high < in - 1 ? high : in - 1;
  if (t->low > in - 1) t->low = in - 1;
  t->part = at - (float)t->low;
}

static ledge_status resize_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  bool corners = op_int(c, "align_corners", 0) != 0, half = op_int(c, "half_pixel", 0) != 0,
       floats = x->dtype == LEDGE_U8;
  int64_t h = x->dims[1], w = x->dims[2], channels = x->dims[3], oh = y->dims[1], ow = y->dims[2], k = 0;
  taps_1d *across = op_scratch(c, (size_t)ow + 1, sizeof *across);
  if (!across) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < ow; i++) {
    across[i] = taps_at(i, w, ow, corners, half);
    if (floats) float_taps(&across[i], w);
  }
  for (int64_t b = 0; b < x->dims[0]; b++)
    for (int64_t i = 0; i < oh; i++) {
      taps_1d v = taps_at(i, h, oh, corners, half);
      if (floats) float_taps(&v, h);
      int64_t top = (b * h + v.low) * w, bottom = (b * h + v.high) * w;
      for (int64_t j = 0; j < ow; j++) {
        const taps_1d *u = &across[j];
        for (int64_t ch = 0; ch < channels; ch++, k++) {
          int64_t p[4] = {tensor_i64(x, (top + u->low) * channels + ch), tensor_i64(x, (top + u->high) * channels + ch),
                          tensor_i64(x, (bottom + u->low) * channels + ch),
                          tensor_i64(x, (bottom + u->high) * channels + ch)};
          if (floats) {
            float s = (float)p[0] * (1 - v.part) * (1 - u->part) + (float)p[2] * v.part * (1 - u->part) +
                      (float)p[1] * (1 - v.part) * u->part + (float)p[3] * v.part * u->part + 0.5f;
            ((uint8_t *)y->data)[k] = (uint8_t)(s > 255 ? 255 : s < 0 ? 0 : s);
            continue;
          }
          int64_t q = v.part_10, r = u->part_10;
          int64_t s = p[0] * (1024 - q) * (1024 - r) + p[2] * q * (1024 - r) + p[1] * (1024 - q) * r + p[3] * q * r;
          int64_t round = s > 0 ? 1 << 19 : -(1 << 19);
          dtype_store_i64(y->dtype, y->data, k, (s + round) / (1 << 20));
        }
      }
    }
  op_scratch_free(across);
  return LEDGE_OK;
}

/* ---- MirrorPad: symmetric ---- */

static ledge_status mirror_read(op_ctx *c, int64_t *pads) {
  const tensor *x = op_in(c, 0);
  int n;
  TRY(op_read_ints(c, op_in(c, 1), pads, 2 * LEDGE_MAX_RANK, &n));
  if (n != 2 * x->rank) return op_fail(c, LEDGE_ERROR_SHAPE, "%d pads for %d dims", n, x->rank);
  for (int i = 0; i < n; i++)
    if (pads[i] < 0 || pads[i] > x->dims[i % x->rank])
      return op_fail(c, LEDGE_ERROR_DATA, "a pad of %lld for a dim of %lld", (long long)pads[i],
                     (long long)x->dims[i % x->rank]);
  return LEDGE_OK;
}

static ledge_status mirror_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t pads[2 * LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
  OP_NEED(c, 1);
  TRY(mirror_read(c, pads));
  for (int i = 0; i < x->rank; i++) dims[i] = x->dims[i] + pads[i] + pads[x->rank + i];
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

static ledge_status mirror_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  size_t bytes = dtype_bytes(x->dtype);
  int64_t pads[2 * LEDGE_MAX_RANK], strides[LEDGE_MAX_RANK], index[LEDGE_MAX_RANK] = {0};
  TRY(mirror_read(c, pads));
  if (!bytes || x->dtype == LEDGE_STRING) return op_fail_dtype(c, 0);
  shape_strides(x->rank, x->dims, strides);
  for (int64_t i = 0; i < tensor_elements(y); i++) {
    int64_t from = 0;
    for (int d = 0; d < x->rank; d++) {
      int64_t at = index[d] - pads[d], n = x->dims[d];
      at = at < 0 ? -at - 1 : at >= n ? 2 * n - at - 1 : at;
      from += at * strides[d];
    }
    memcpy((char *)y->data + (size_t)i * bytes, (const char *)x->data + (size_t)from * bytes, bytes);
    for (int d = x->rank - 1; d >= 0 && ++index[d] == y->dims[d]; d--) index[d] = 0;
  }
  return LEDGE_OK;
}

const op_def ops_tflite[] = {
    {"tflite", "Add", 1, 0, 2, 2, 1, 1, 0, binary_infer, add_run},
    {"tflite", "Sub", 1, 0, 2, 2, 1, 1, 0, binary_infer, sub_run},
    {"tflite", "Mul", 1, 0, 2, 2, 1, 1, 0, binary_infer, mul_run},
    {"tflite", "AveragePool", 1, 0, 1, 1, 1, 1, 0, pool_infer, average_pool_run},
    {"tflite", "MaxPool", 1, 0, 1, 1, 1, 1, 0, pool_infer, max_pool_run},
    {"tflite", "Mean", 1, 0, 1, 1, 1, 1, 0, mean_infer, mean_run},
    {"tflite", "Rescale", 1, 0, 1, 1, 1, 1, 0, rescale_infer, rescale_run},
    {"tflite", "Quantize", 1, 0, 1, 1, 1, 1, 0, quantize_infer, quantize_run},
    {"tflite", "LeakyRelu", 1, 0, 1, 1, 1, 1, 0, leaky_infer, leaky_run},
    {"tflite", "ResizeBilinear", 1, 0, 2, 2, 1, 1, 0, resize_infer, resize_run},
    {"tflite", "MirrorPad", 1, 0, 2, 2, 1, 1, 0, mirror_infer, mirror_run},
    {0},
};
