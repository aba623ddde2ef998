/* ops/resize: Resize and Upsample. Interpolation is separable: each resized axis is one pass with a table of source
 * indices and weights for each output coordinate.
 *
 *   coordinate x of the output -> source coordinate (coordinate_transformation_mode) -> n neighbours and their weights
 *   (mode, antialias, exclude_outside); indices beyond the edges are clamped
 *
 * Numbers pass in double and are rounded once; the parts of complex numbers pass as two numbers.
 * Nearest copies elements of any type. */
#include "ops/resize.h"

#include "ops/move_util.h"
#include "ops/real.h"

#include <math.h>

static ledge_status resize_axes(op_ctx *c, int rank, int *axes, int *n_axes) {
  int64_t count;
  const int64_t *list = op_ints(c, "axes", &count);
  bool seen[LEDGE_MAX_RANK] = {false};
  if (!list) {
    for (int i = 0; i < rank; i++) axes[i] = i;
    *n_axes = rank;
    return LEDGE_OK;
  }
  if (count > rank) return op_fail(c, LEDGE_ERROR_SHAPE, "axes has %lld entries for rank %d", (long long)count, rank);
  for (int64_t i = 0; i < count; i++) {
    TRY(op_axis(c, list[i], rank, &axes[i]));
    if (seen[axes[i]]) return op_fail(c, LEDGE_ERROR_SHAPE, "axes names axis %d twice", axes[i]);
    seen[axes[i]] = true;
  }
  *n_axes = (int)count;
  return LEDGE_OK;
}

static ledge_status by_scales(op_ctx *c, const tensor *x, const double *scales, int64_t count, const int *axes,
                              int n_axes, resize_plan *s) {
  if (count != n_axes) return op_fail(c, LEDGE_ERROR_SHAPE, "%lld scales for %d axes", (long long)count, n_axes);
  for (int i = 0; i < n_axes; i++) {
    if (!(scales[i] > 0) || scales[i] > 1e9) return op_fail(c, LEDGE_ERROR_DATA, "scale %g is out of range", scales[i]);
    double size = floor(scales[i] * (double)x->dims[axes[i]]);
    if (size > 0x1p40) return op_fail(c, LEDGE_ERROR_LIMIT, "the output would have a dim of %g", size);
    s->scale[axes[i]] = scales[i];
    s->out[axes[i]] = (int64_t)size;
  }
  return LEDGE_OK;
}

static ledge_status by_sizes(op_ctx *c, const tensor *x, const int64_t *sizes, int64_t count, const int *axes,
                             int n_axes, resize_plan *s) {
  if (count != n_axes) return op_fail(c, LEDGE_ERROR_SHAPE, "%lld sizes for %d axes", (long long)count, n_axes);
  bool larger = op_string_is(c, "keep_aspect_ratio_policy", "stretch", "not_larger"),
       smaller = op_string_is(c, "keep_aspect_ratio_policy", "stretch", "not_smaller");
  double common = larger ? INFINITY : 0;
  for (int i = 0; i < n_axes; i++) {
    if (sizes[i] < 0 || sizes[i] > (int64_t)1 << 40)
      return op_fail(c, LEDGE_ERROR_DATA, "size %lld is out of range", (long long)sizes[i]);
    s->out[axes[i]] = sizes[i];
    s->scale[axes[i]] = x->dims[axes[i]] ? (double)sizes[i] / (double)x->dims[axes[i]] : 1;
    common = larger ? fmin(common, s->scale[axes[i]]) : fmax(common, s->scale[axes[i]]);
  }
  for (int i = 0; (larger || smaller) && i < n_axes; i++) {
    s->scale[axes[i]] = common;
    s->out[axes[i]] = (int64_t)(common * (double)x->dims[axes[i]] + 0.5);
  }
  return LEDGE_OK;
}

static ledge_status resize_modes(op_ctx *c, resize_plan *s) {
  if (op_string_is(c, "mode", "nearest", "nearest"))
    s->mode = RESIZE_NEAREST;
  else if (op_string_is(c, "mode", "nearest", "linear") || op_string_is(c, "mode", "nearest", "bilinear"))
    s->mode = RESIZE_LINEAR;
  else if (op_string_is(c, "mode", "nearest", "cubic"))
    s->mode = RESIZE_CUBIC;
  else
    return op_fail(c, LEDGE_ERROR_FORMAT, "mode must be nearest, linear or cubic");
  s->antialias = op_int(c, "antialias", 0) != 0 && s->mode != RESIZE_NEAREST;
  s->exclude_outside = op_int(c, "exclude_outside", 0) != 0;
  s->cubic_a = op_float(c, "cubic_coeff_a", -0.75f);
  s->extrapolation = op_float(c, "extrapolation_value", 0);
  s->crop = op_string_is(c, "coordinate_transformation_mode", "half_pixel", "tf_crop_and_resize");
  return LEDGE_OK;
}

static ledge_status read_roi(op_ctx *c, const tensor *roi, const int *axes, int n_axes, resize_plan *s) {
  if (!s->crop) return LEDGE_OK;
  if (!roi || !dtype_is_float(roi->dtype) || tensor_elements(roi) != 2 * n_axes)
    return op_fail(c, LEDGE_ERROR_SHAPE, "tf_crop_and_resize needs a roi of %d numbers", 2 * n_axes);
  for (int i = 0; i < n_axes; i++) {
    s->roi_begin[axes[i]] = tensor_f64(roi, i);
    s->roi_end[axes[i]] = tensor_f64(roi, n_axes + i);
  }
  return LEDGE_OK;
}

/* Which inputs say what depends on the version: Upsample 1: attributes; 7: attribute scales; 9 and Resize 10: input 1;
 * Resize 11 on: roi, scales, sizes. */
ledge_status resize_read(op_ctx *c, resize_plan *s) {
  const tensor *x = op_in(c, 0);
  int axes[LEDGE_MAX_RANK], n_axes = 0;
  double scales[LEDGE_MAX_RANK];
  int64_t sizes[LEDGE_MAX_RANK], count = 0;
  *s = (resize_plan){0};
  TRY(resize_modes(c, s));
  TRY(resize_axes(c, x->rank, axes, &n_axes));
  for (int i = 0; i < x->rank; i++) s->out[i] = x->dims[i], s->scale[i] = 1, s->roi_end[i] = 1;
  for (int i = 0; i < n_axes; i++) s->resized[axes[i]] = true;
  bool upsample = !strcmp(c->def->name, "Upsample");
  if (upsample && c->node->version < 9) {
    const float *list = op_floats(c, "scales", &count);
    if (c->node->version < 7 && !list && x->rank == 4) {
      double v[4] = {1, 1, op_float(c, "height_scale", 1), op_float(c, "width_scale", 1)};
      return by_scales(c, x, v, 4, axes, n_axes, s);
    }
    if (count > LEDGE_MAX_RANK) count = 0;
    for (int64_t i = 0; i < count; i++) scales[i] = list[i];
    return by_scales(c, x, scales, count, axes, n_axes, s);
  }
  int at = upsample || c->node->version < 11 ? 1 : 2;
  const tensor *t = op_in(c, at), *z = at == 2 ? op_in(c, 3) : NULL;
  if (at == 2 && s->crop) {
    OP_NEED(c, 1);
    TRY(read_roi(c, op_in(c, 1), axes, n_axes, s));
  }
  if (z && tensor_elements(z) > 0) {
    int n;
    OP_NEED(c, 3);
    TRY(op_read_ints(c, z, sizes, LEDGE_MAX_RANK, &n));
    return by_sizes(c, x, sizes, n, axes, n_axes, s);
  }
  if (!t || !dtype_is_float(t->dtype)) return op_fail(c, LEDGE_ERROR_SHAPE, "neither scales nor sizes are given");
  OP_NEED(c, at);
  count = tensor_elements(t);
  if (count > LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_LIMIT, "%lld scales", (long long)count);
  for (int64_t i = 0; i < count; i++) scales[i] = tensor_f64(t, i);
  return by_scales(c, x, scales, count, axes, n_axes, s);
}

/* Numbers that one element is. */
static int parts_of(ledge_dtype d) { return dtype_kind_of(d) == DTYPE_KIND_COMPLEX ? 2 : 1; }

/* The tensor as a row of real numbers. */
static tensor flat_of(const tensor *t) {
  int64_t n = tensor_elements(t) * parts_of(t->dtype);
  tensor flat = {.data = t->data};
  tensor_set_shape(&flat, t->dtype == LEDGE_C64 ? LEDGE_F32 : t->dtype == LEDGE_C128 ? LEDGE_F64 : t->dtype, 1, &n);
  return flat;
}

static ledge_status resize_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  resize_plan s;
  ledge_status status = resize_read(c, &s);
  if (status) return status;
  if (s.mode != RESIZE_NEAREST && x->dtype != LEDGE_BOOL && parts_of(x->dtype) == 1) TRY(real_check(c, 0, true));
  if (ledge_dtype_bits(x->dtype) < 8) return op_fail_dtype(c, 0);
  for (int i = 0; i < x->rank; i++)
    if (x->dims[i] == 0 && s.out[i] != 0)
      return op_fail(c, LEDGE_ERROR_SHAPE, "an empty dim cannot grow to %lld", (long long)s.out[i]);
  return op_shape(c, 0, x->dtype, x->rank, s.out);
}

/* ---- coordinates and weights ---- */

static bool mode_is(op_ctx *c, const char *name) {
  bool old = c->node->version < 11; /* Upsample and Resize 10 know only this one */
  return op_string_is(c, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel", name);
}

static ledge_status source(op_ctx *c, const resize_plan *s, int axis, int64_t in, int64_t x, double *ret) {
  double scale = s->scale[axis], n = (double)in, whole = scale * n;
  if (mode_is(c, "align_corners"))
    *ret = whole == 1 ? 0 : (double)x * (n - 1) / (whole - 1);
  else if (mode_is(c, "asymmetric"))
    *ret = (double)x / scale;
  else if (mode_is(c, "pytorch_half_pixel"))
    *ret = whole == 1 ? -0.5 : ((double)x + 0.5) / scale - 0.5;
  else if (mode_is(c, "half_pixel"))
    *ret = ((double)x + 0.5) / scale - 0.5;
  else if (mode_is(c, "half_pixel_symmetric"))
    *ret = n / 2 * (1 - (double)s->out[axis] / whole) + ((double)x + 0.5) / scale - 0.5;
  else if (mode_is(c, "tf_half_pixel_for_nn"))
    *ret = ((double)x + 0.5) / scale;
  else if (s->crop) {
    double span = s->roi_end[axis] - s->roi_begin[axis];
    *ret = (whole == 1 ? span * (n - 1) / 2 : (double)x * span * (n - 1) / (whole - 1)) + s->roi_begin[axis] * (n - 1);
  } else {
    return op_fail(c, LEDGE_ERROR_FORMAT, "no such coordinate_transformation_mode");
  }
  return LEDGE_OK;
}

/* Before nearest_mode (11) an enlargement takes the pixel before, a reduction the one behind. */
static int64_t nearest_index(op_ctx *c, double x, double scale, int64_t in) {
  double f = floor(x), r = x - f, at;
  bool old = c->node->version < 11;
  if (old)
    at = scale < 1 ? ceil(x) : f;
  else if (op_string_is(c, "nearest_mode", "round_prefer_floor", "floor"))
    at = f;
  else if (op_string_is(c, "nearest_mode", "round_prefer_floor", "ceil"))
    at = ceil(x);
  else if (op_string_is(c, "nearest_mode", "round_prefer_floor", "round_prefer_ceil"))
    at = r < 0.5 ? f : f + 1;
  else
    at = r <= 0.5 ? f : f + 1;
  return at < 0 ? 0 : at > (double)(in - 1) ? in - 1 : (int64_t)at;
}

static double cubic(double x, double a) {
  x = fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* How many neighbours an output has: fixed along an axis. */
int64_t resize_neighbours(const resize_plan *s, int axis) {
  double reach = s->mode == RESIZE_CUBIC ? 2 : 1, scale = s->antialias ? fmin(s->scale[axis], 1) : 1;
  int64_t start = (int64_t)floor(-reach / scale) + 1;
  return s->mode == RESIZE_CUBIC ? 4 - 2 * start - 2 : 2 - 2 * start;
}

/* First neighbour and weights[n] of source coordinate x. An integral x counts as one past its left neighbour. */
static int64_t weigh(const resize_plan *s, int axis, double x, int64_t in, int64_t n, double *weights) {
  double scale = s->antialias ? fmin(s->scale[axis], 1) : 1, f = floor(x), ratio = x == f ? 1 : x - f, sum = 0;
  int64_t left = (int64_t)f - (x == f), start = 1 - n / 2;
  for (int64_t i = 0; i < n; i++) {
    double d = ((double)(start + i) - ratio) * scale;
    weights[i] = s->mode == RESIZE_CUBIC ? cubic(d, s->cubic_a) : fmax(0, 1 - fabs(d));
    sum += weights[i];
  }
  if (s->antialias)
    for (int64_t i = 0; i < n; i++) weights[i] /= sum;
  if (s->exclude_outside) {
    sum = 0;
    for (int64_t i = 0; i < n; i++) {
      if (left + start + i < 0 || left + start + i >= in) weights[i] = 0;
      sum += weights[i];
    }
    for (int64_t i = 0; i < n && sum != 0; i++) weights[i] /= sum;
  }
  return left + start;
}

ledge_status resize_weigh(op_ctx *c, const resize_plan *s, int axis, int64_t in, int64_t x, int64_t *ret_first,
                          double *weights, bool *ret_outside) {
  double at = 0;
  TRY(source(c, s, axis, in, x, &at));
  if (fabs(at) > 0x1p50 || isnan(at)) return op_fail(c, LEDGE_ERROR_DATA, "a source coordinate is out of range");
  *ret_outside = s->crop && (at < 0 || at > (double)(in - 1));
  *ret_first = weigh(s, axis, at, in, resize_neighbours(s, axis), weights);
  return LEDGE_OK;
}

ledge_status resize_nearest_index(op_ctx *c, const resize_plan *s, int axis, int64_t in, int64_t x, int64_t *ret) {
  double from = (double)x;
  *ret = x;
  if (s->resized[axis]) TRY(source(c, s, axis, in, x, &from));
  bool outside = isnan(from) || (s->crop && (from < 0 || from > (double)(in - 1)));
  if (outside)
    *ret = -1;
  else if (s->resized[axis])
    *ret = nearest_index(c, from, s->scale[axis], in);
  return LEDGE_OK;
}

bool resize_keeps(const resize_plan *s, int axis, int64_t in) {
  bool same_roi = !s->crop || (s->roi_begin[axis] == 0 && s->roi_end[axis] == 1);
  return !s->resized[axis] || (fabs(s->scale[axis] - 1) < 1e-9 && s->out[axis] == in && same_roi);
}

/* One axis of [outer, in, inner] doubles. */
static ledge_status resize_axis(op_ctx *c, const resize_plan *s, int axis, int64_t outer, int64_t in, int64_t inner,
                                const double *from, double *to) {
  int64_t out = s->out[axis], n = resize_neighbours(s, axis);
  double *weights = real_scratch(c, n);
  ledge_status status = weights ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t x = 0; !status && x < out; x++) {
    int64_t first = 0;
    bool outside = false;
    status = resize_weigh(c, s, axis, in, x, &first, weights, &outside);
    if (status) break;
    for (int64_t o = 0; o < outer; o++) {
      double *row = to + (o * out + x) * inner;
      for (int64_t k = 0; k < inner; k++) row[k] = outside ? s->extrapolation : 0;
      for (int64_t i = 0; !outside && i < n; i++) {
        int64_t j = first + i < 0 ? 0 : first + i >= in ? in - 1 : first + i;
        const double *line = from + (o * in + j) * inner;
        for (int64_t k = 0; k < inner; k++) row[k] += weights[i] * line[k];
      }
    }
  }
  op_scratch_free(weights);
  return status;
}

static ledge_status run_interpolated(op_ctx *c, const resize_plan *s) {
  const tensor *x = op_in(c, 0);
  tensor from = flat_of(x), to = flat_of(op_out(c, 0));
  double *now = real_load(c, &from);
  if (!now) return LEDGE_ERROR_MEMORY;
  int64_t dims[LEDGE_MAX_RANK];
  memcpy(dims, x->dims, sizeof dims);
  ledge_status status = LEDGE_OK;
  for (int axis = 0; !status && axis < x->rank; axis++) {
    if (resize_keeps(s, axis, dims[axis])) continue;
    int64_t outer = shape_elements(axis, dims), in = dims[axis], n,
            inner = shape_elements(x->rank - axis - 1, dims + axis + 1) * parts_of(x->dtype);
    if (__builtin_mul_overflow(outer * inner, s->out[axis], &n)) n = -1;
    double *next = n < 0 ? NULL : real_scratch(c, n);
    status =
        next ? resize_axis(c, s, axis, outer, in, inner, now, next) : op_fail(c, LEDGE_ERROR_MEMORY, "out of memory");
    op_scratch_free(now);
    now = next;
    dims[axis] = s->out[axis];
  }
  if (!status) {
    int64_t n = tensor_elements(&to);
    if (dtype_is_integer(to.dtype))
      for (int64_t i = 0; i < n; i++) now[i] = rint(now[i]);
    real_store(now, &to);
  }
  op_scratch_free(now);
  return status;
}

/* For each index of each axis where it reads, in elements of x along that axis; -1: outside. */
static ledge_status nearest_tables(op_ctx *c, const resize_plan *s, int64_t *all, int64_t **table) {
  const tensor *x = op_in(c, 0);
  int64_t strides[LEDGE_MAX_RANK];
  shape_strides(x->rank, x->dims, strides);
  for (int axis = 0; axis < x->rank; axis++) {
    table[axis] = all;
    all += s->out[axis];
    for (int64_t k = 0; k < s->out[axis]; k++) {
      int64_t at = 0;
      TRY(resize_nearest_index(c, s, axis, x->dims[axis], k, &at));
      table[axis][k] = at < 0 ? -1 : at * strides[axis];
    }
  }
  return LEDGE_OK;
}

/* Row `at` of y, n elements, from x's row at `base`; -1: all outside. */
static ledge_status nearest_row(op_ctx *c, int64_t at, int64_t base, const int64_t *table, int64_t n, double outside) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  bool text = x->dtype == LEDGE_STRING;
  size_t bytes = dtype_bytes(x->dtype);
  const char *from = x->data;
  char *to = (char *)y->data + (size_t)at * bytes;
  for (int64_t k = 0; k < n; k++) {
    bool inside = base >= 0 && table[k] >= 0;
    if (text)
      TRY(inside ? move_run(c, y, at + k, x, base + table[k], 1) : move_zero(c, y, at + k, 1));
    else if (!inside)
      dtype_store_f64(y->dtype, y->data, at + k, outside);
    else if (bytes == 4)
      memcpy(to + k * 4, from + (base + table[k]) * 4, 4);
    else
      memcpy(to + (size_t)k * bytes, from + (size_t)(base + table[k]) * bytes, bytes);
  }
  return LEDGE_OK;
}

static ledge_status run_nearest(op_ctx *c, const resize_plan *s) {
  int rank = op_in(c, 0)->rank;
  int64_t total = 1, only[] = {0}, *table[LEDGE_MAX_RANK] = {only}, at[LEDGE_MAX_RANK] = {0};
  for (int i = 0; i < rank; i++) total += s->out[i];
  int64_t *all = op_scratch(c, (size_t)total, sizeof *all);
  if (!all) return LEDGE_ERROR_MEMORY;
  ledge_status status = nearest_tables(c, s, all, table);
  int64_t n = rank ? s->out[rank - 1] : 1, rows = tensor_elements(op_out(c, 0)) / n;
  for (int64_t r = 0; !status && r < rows; r++) {
    int64_t base = 0;
    for (int d = 0; d < rank - 1 && base >= 0; d++) base = table[d][at[d]] < 0 ? -1 : base + table[d][at[d]];
    status = nearest_row(c, r * n, base, table[rank ? rank - 1 : 0], n, s->extrapolation);
    for (int d = rank - 2; d >= 0 && ++at[d] == s->out[d]; d--) at[d] = 0;
  }
  op_scratch_free(all);
  return status;
}

static ledge_status resize_run(op_ctx *c) {
  resize_plan s;
  TRY(resize_read(c, &s));
  if (tensor_elements(op_out(c, 0)) == 0) return LEDGE_OK;
  return s.mode == RESIZE_NEAREST ? run_nearest(c, &s) : run_interpolated(c, &s);
}

const op_def ops_resize[] = {
    {"", "Resize", 10, 0, 1, 4, 1, 1, 0, resize_infer, resize_run},
    {"", "Upsample", 1, 0, 1, 2, 1, 1, 0, resize_infer, resize_run},
    {0},
};
