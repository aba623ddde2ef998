/* ops/sample: reading images between their pixels: GridSample, AffineGrid, RoiAlign, DeformConv; in double. */
#include "ops/sample.h"

#include "ops/move_util.h"
#include "ops/real.h"
#include "ops/window.h"

#include <math.h>

/* ---- GridSample: any number of spatial dims; separable neighbours ---- */

ledge_status sampler_read(op_ctx *c, sampler *s) {
  const tensor *x = op_in(c, 0), *grid = op_in(c, 1);
  if (!dtype_is_float(grid->dtype)) return op_fail_dtype(c, 1);
  if (x->rank < 3 || grid->rank != x->rank || grid->dims[0] != x->dims[0] || grid->dims[grid->rank - 1] != x->rank - 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the grid does not fit an input of rank %d", x->rank);
  *s = (sampler){.rank = x->rank - 2, .align = op_int(c, "align_corners", 0) != 0};
  memcpy(s->dims, x->dims + 2, (size_t)s->rank * sizeof *s->dims);
  if (op_string_is(c, "mode", "linear", "linear") || op_string_is(c, "mode", "linear", "bilinear"))
    s->mode = SAMPLE_LINEAR;
  else if (op_string_is(c, "mode", "linear", "cubic") || op_string_is(c, "mode", "linear", "bicubic"))
    s->mode = SAMPLE_CUBIC;
  else if (!op_string_is(c, "mode", "linear", "nearest"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "mode must be nearest, linear or cubic");
  if (ledge_dtype_bits(x->dtype) < 8 || (x->dtype == LEDGE_STRING && s->mode != SAMPLE_NEAREST))
    return op_fail_dtype(c, 0);
  if (op_string_is(c, "padding_mode", "zeros", "border"))
    s->pad = PAD_BORDER;
  else if (op_string_is(c, "padding_mode", "zeros", "reflection"))
    s->pad = PAD_REFLECTION;
  else if (!op_string_is(c, "padding_mode", "zeros", "zeros"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "padding_mode must be zeros, border or reflection");
  return LEDGE_OK;
}

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

static double reflect(const sampler *s, int d, double x) {
  double lo = s->align ? 0 : -0.5, hi = s->align ? (double)s->dims[d] - 1 : (double)s->dims[d] - 0.5, span = hi - lo;
  if (x >= lo && x <= hi) return x;
  if (span <= 0) return lo;
  double over = x < lo ? lo - x : x - hi, n = floor(over / span), r = over - n * span;
  bool even = fmod(n, 2) == 0;
  return (x < lo) == even ? lo + r : hi - r;
}

/* Index i along dim d as the padding mode has it; -1: zero. */
static int64_t padded(const sampler *s, int d, double i) {
  double n = (double)s->dims[d];
  if (s->pad == PAD_ZEROS) return i >= 0 && i < n ? (int64_t)i : -1;
  if (s->pad == PAD_REFLECTION) i = trunc(reflect(s, d, i));
  return (int64_t)clamp(i, 0, n - 1);
}

/* The slope of reflect: the coordinate may run backwards. */
static double reflect_slope(const sampler *s, int d, double x) {
  double lo = s->align ? 0 : -0.5, hi = s->align ? (double)s->dims[d] - 1 : (double)s->dims[d] - 0.5, span = hi - lo;
  if (x >= lo && x <= hi) return 1;
  if (span <= 0) return 0;
  bool even = fmod(floor((x < lo ? lo - x : x - hi) / span), 2) == 0;
  return ((x < lo) == even ? 1 : -1) * (x < lo ? -1 : 1);
}

static double cubic_slope(double x, double a) {
  double sign = x < 0 ? -1 : 1;
  x = fabs(x);
  if (x <= 1) return sign * (3 * (a + 2) * x - 2 * (a + 3)) * x;
  return x < 2 ? sign * ((3 * a * x - 10 * a) * x + 8 * a) : 0;
}

static double cubic_weight(double x, double a) {
  x = fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

void sampler_taps(const sampler *s, int d, double v, taps *t) {
  double n = (double)s->dims[d], x = s->align ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
  double slope = s->align ? (n - 1) / 2 : n / 2;
  x = (float)x; /* as the reference, whose coordinates are float32 */
  double lo = s->align ? 0 : -0.5, hi = s->align ? n - 1 : n - 0.5;
  if (isnan(x) || fabs(x) > 1e15) x = -1e9;
  if (s->mode == SAMPLE_NEAREST) x = nearbyint(x);
  /* As in PyTorch, from which the operator comes: cubic leaves the border to each of its neighbours. */
  bool border = s->pad == PAD_BORDER && s->mode != SAMPLE_CUBIC;
  if (x < lo || x > hi) {
    slope *= border ? 0 : s->pad == PAD_REFLECTION ? reflect_slope(s, d, x) : 1;
    x = border ? clamp(x, 0, n - 1) : s->pad == PAD_REFLECTION ? reflect(s, d, x) : x;
  }
  if (s->mode == SAMPLE_NEAREST) {
    *t = (taps){1, {padded(s, d, trunc(x))}, {1}, {0}};
    return;
  }
  double f = floor(x), r = x - f;
  if (s->mode == SAMPLE_LINEAR) {
    *t = (taps){2, {padded(s, d, f), padded(s, d, f + 1)}, {1 - r, r}, {-slope, slope}};
    return;
  }
  t->n = 4;
  for (int i = 0; i < 4; i++) {
    t->at[i] = padded(s, d, f - 1 + i);
    t->weight[i] = cubic_weight(r + 1 - i, -0.75);
    t->slope[i] = slope * cubic_slope(r + 1 - i, -0.75);
  }
}

double sampler_at(const sampler *s, const taps *t, const tensor *x, int64_t plane, int d, int64_t at) {
  if (d == s->rank) return tensor_f64(x, plane + at);
  double sum = 0;
  for (int i = 0; i < t[d].n; i++)
    if (t[d].at[i] >= 0 && t[d].weight[i] != 0)
      sum += t[d].weight[i] * sampler_at(s, t, x, plane, d + 1, at * s->dims[d] + t[d].at[i]);
  return sum;
}

/* Element `to` of output 0 from the plane at `plane`; x: the input, or its real parts where it is complex, and then
 * imaginary holds the others. */
static ledge_status sample_store(op_ctx *c, const sampler *s, const taps *t, const tensor *x, const tensor *imaginary,
                                 int64_t plane, int64_t to) {
  tensor *y = op_out(c, 0);
  if (x->dtype == LEDGE_STRING) {
    int64_t at = 0;
    for (int d = 0; d < s->rank && at >= 0; d++) at = t[d].at[0] < 0 ? -1 : at * s->dims[d] + t[d].at[0];
    return at < 0 ? move_zero(c, y, to, 1) : move_run(c, y, to, x, plane + at, 1);
  }
  double v = sampler_at(s, t, x, plane, 0, 0);
  dtype_store_f64(y->dtype, y->data, to, dtype_is_integer(y->dtype) ? rint(v) : v);
  if (y->dtype == LEDGE_C64) ((float *)y->data)[2 * to + 1] = (float)sampler_at(s, t, imaginary, plane, 0, 0);
  if (y->dtype == LEDGE_C128) ((double *)y->data)[2 * to + 1] = sampler_at(s, t, imaginary, plane, 0, 0);
  return LEDGE_OK;
}

static ledge_status gridsample_infer(op_ctx *c) {
  sampler s;
  TRY(sampler_read(c, &s));
  const tensor *x = op_in(c, 0), *grid = op_in(c, 1);
  int64_t dims[LEDGE_MAX_RANK] = {x->dims[0], x->dims[1]};
  for (int i = 0; i < s.rank; i++) dims[i + 2] = grid->dims[i + 1];
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

static ledge_status gridsample_points(op_ctx *c, const sampler *s, const tensor *x, const tensor *imaginary) {
  const tensor *grid = op_in(c, 1);
  int64_t span = shape_elements(s->rank, s->dims), points = tensor_span(grid, 1, grid->rank - 1), channels = x->dims[1];
  taps t[LEDGE_MAX_RANK];
  for (int64_t n = 0; n < x->dims[0]; n++)
    for (int64_t p = 0; p < points; p++) {
      for (int d = 0; d < s->rank; d++)
        sampler_taps(s, d, tensor_f64(grid, (n * points + p) * s->rank + s->rank - 1 - d), &t[d]);
      for (int64_t k = 0; k < channels; k++)
        TRY(sample_store(c, s, t, x, imaginary, (n * channels + k) * span, (n * channels + k) * points + p));
    }
  return LEDGE_OK;
}

static ledge_status gridsample_run(op_ctx *c) {
  sampler s;
  TRY(sampler_read(c, &s));
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t count = tensor_elements(x);
  if (count == 0) return move_zero(c, y, 0, tensor_elements(y));
  if (dtype_kind_of(x->dtype) != DTYPE_KIND_COMPLEX) return gridsample_points(c, &s, x, NULL);
  double *parts[2] = {real_scratch(c, count), real_scratch(c, count)};
  ledge_status status = parts[0] && parts[1] ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  if (!status) {
    tensor part[2];
    for (int k = 0; k < 2; k++) {
      part[k] = (tensor){.data = parts[k]};
      tensor_set_shape(&part[k], LEDGE_F64, x->rank, x->dims);
      for (int64_t i = 0; i < count; i++)
        parts[k][i] =
            x->dtype == LEDGE_C64 ? (double)((const float *)x->data)[2 * i + k] : ((const double *)x->data)[2 * i + k];
    }
    status = gridsample_points(c, &s, &part[0], &part[1]);
  }
  op_scratch_free(parts[0]);
  op_scratch_free(parts[1]);
  return status;
}

/* ---- AffineGrid ---- */

static ledge_status affinegrid_size(op_ctx *c, int64_t *size, int *rank) {
  const tensor *theta = op_in(c, 0);
  TRY(real_check(c, 0, false));
  OP_NEED(c, 1);
  TRY(op_read_ints(c, op_in(c, 1), size, 5, rank));
  if ((*rank != 4 && *rank != 5) || theta->rank != 3 || theta->dims[0] != size[0] || theta->dims[1] != *rank - 2 ||
      theta->dims[2] != *rank - 1)
    return op_fail(c, LEDGE_ERROR_SHAPE, "theta does not fit a size of %d numbers", *rank);
  for (int i = 0; i < *rank; i++)
    if (size[i] < 0) return op_fail(c, LEDGE_ERROR_DATA, "a size is negative");
  return LEDGE_OK;
}

static ledge_status affinegrid_infer(op_ctx *c) {
  int64_t size[5], dims[5];
  int rank;
  TRY(affinegrid_size(c, size, &rank));
  dims[0] = size[0];
  for (int i = 2; i < rank; i++) dims[i - 1] = size[i];
  dims[rank - 1] = rank - 2;
  return op_shape(c, 0, op_in(c, 0)->dtype, rank, dims);
}

static ledge_status affinegrid_run(op_ctx *c) {
  int64_t size[5], at[3] = {0};
  int rank;
  TRY(affinegrid_size(c, size, &rank));
  const tensor *theta = op_in(c, 0);
  tensor *y = op_out(c, 0);
  bool align = op_int(c, "align_corners", 0) != 0;
  int d = rank - 2;
  int64_t points = shape_elements(d, size + 2);
  for (int64_t p = 0; p < points; p++) {
    double place[4]; /* x, y, (z), 1 */
    for (int i = 0; i < d; i++) {
      double n = (double)size[2 + i];
      place[d - 1 - i] = align ? (n > 1 ? -1 + 2 * (double)at[i] / (n - 1) : -1) : (2 * (double)at[i] + 1) / n - 1;
    }
    place[d] = 1;
    for (int64_t n = 0; n < size[0]; n++)
      for (int i = 0; i < d; i++) {
        double sum = 0;
        for (int k = 0; k <= d; k++) sum += tensor_f64(theta, (n * d + i) * (d + 1) + k) * place[k];
        dtype_store_f64(y->dtype, y->data, (n * points + p) * d + i, sum);
      }
    for (int i = d - 1; i >= 0 && ++at[i] == size[2 + i]; i--) at[i] = 0;
  }
  return LEDGE_OK;
}

/* ---- RoiAlign ---- */

enum { ROI_SAMPLES_MAX = 1 << 24 }; /* of one bin: a region of 4096 by 4096 pixels for each */

static ledge_status roialign_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *rois = op_in(c, 1), *batch = op_in(c, 2);
  TRY(real_check(c, 0, false));
  if (!dtype_is_float(rois->dtype)) return op_fail_dtype(c, 1);
  if (batch->dtype != LEDGE_I64) return op_fail_dtype(c, 2);
  if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != 4 || batch->rank != 1 || batch->dims[0] != rois->dims[0])
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input, the regions and their batch indices do not fit");
  int64_t h = op_int(c, "output_height", 1), w = op_int(c, "output_width", 1), samples = op_int(c, "sampling_ratio", 0);
  if (h < 1 || w < 1 || samples < 0 || samples > 1 << 16)
    return op_fail(c, LEDGE_ERROR_FORMAT, "the output's size or the sampling ratio is out of range");
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){rois->dims[0], x->dims[1], h, w});
}

/* The four neighbours of (y, x) in a plane of h by w: false outside. */
static bool roi_corners(double y, double x, int64_t h, int64_t w, int64_t *at, double *weight) {
  if (y < -1 || y > (double)h || x < -1 || x > (double)w || isnan(x) || isnan(y)) return false;
  y = fmax(y, 0);
  x = fmax(x, 0);
  int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1, x1 = x0 + 1;
  if (y0 >= h - 1) y0 = y1 = h - 1, y = (double)y0;
  if (x0 >= w - 1) x0 = x1 = w - 1, x = (double)x0;
  double ly = y - (double)y0, lx = x - (double)x0;
  const int64_t a[] = {y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1};
  const double k[] = {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx};
  memcpy(at, a, sizeof a);
  memcpy(weight, k, sizeof k);
  return true;
}

ledge_status roi_read(op_ctx *c, const tensor *rois, const tensor *batch, int64_t r, int64_t n, int64_t oh, int64_t ow,
                      roi *ret) {
  double scale = op_float(c, "spatial_scale", 1), box[4];
  bool old = c->node->version < 16 && !c->node->domain[0]; /* a gradient names its mode */
  bool half = !old && op_string_is(c, "coordinate_transformation_mode", "half_pixel", "half_pixel");
  int64_t b = ((const int64_t *)batch->data)[r], ratio = op_int(c, "sampling_ratio", 0);
  if (b < 0 || b >= n)
    return op_fail(c, LEDGE_ERROR_DATA, "batch index %lld is outside of [0, %lld)", (long long)b, (long long)n);
  for (int i = 0; i < 4; i++) box[i] = tensor_f64(rois, r * 4 + i) * scale - (half ? 0.5 : 0);
  double rw = box[2] - box[0], rh = box[3] - box[1];
  if (!half) rw = fmax(rw, 1), rh = fmax(rh, 1);
  *ret = (roi){.x = box[0], .y = box[1], .bin_w = rw / (double)ow, .bin_h = rh / (double)oh, .batch = b};
  if (!(fabs(ret->bin_h) < 1e6) || !(fabs(ret->bin_w) < 1e6))
    return op_fail(c, LEDGE_ERROR_DATA, "region %lld is out of range", (long long)r);
  ret->grid_h = ratio > 0 ? ratio : (int64_t)ceil(ret->bin_h);
  ret->grid_w = ratio > 0 ? ratio : (int64_t)ceil(ret->bin_w);
  if (ret->grid_h > 0 && ret->grid_w > ROI_SAMPLES_MAX / ret->grid_h)
    return op_fail(c, LEDGE_ERROR_LIMIT, "region %lld takes %lld by %lld samples a bin; the most is %d", (long long)r,
                   (long long)ret->grid_h, (long long)ret->grid_w, ROI_SAMPLES_MAX);
  return LEDGE_OK;
}

void roi_sample(const roi *q, int64_t i, int64_t ph, int64_t pw, int64_t h, int64_t w, int64_t *at, double *weight) {
  double y = q->y + (double)ph * q->bin_h + ((double)(i / q->grid_w) + 0.5) * q->bin_h / (double)q->grid_h;
  double x = q->x + (double)pw * q->bin_w + ((double)(i % q->grid_w) + 0.5) * q->bin_w / (double)q->grid_w;
  memset(at, 0, 4 * sizeof *at);
  memset(weight, 0, 4 * sizeof *weight);
  roi_corners(y, x, h, w, at, weight);
}

static ledge_status roialign_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *rois = op_in(c, 1), *batch = op_in(c, 2);
  tensor *y = op_out(c, 0);
  bool max = op_string_is(c, "mode", "avg", "max");
  int64_t channels = x->dims[1], h = x->dims[2], w = x->dims[3], oh = y->dims[2], ow = y->dims[3];
  for (int64_t r = 0; r < rois->dims[0]; r++) {
    roi q;
    TRY(roi_read(c, rois, batch, r, x->dims[0], oh, ow, &q));
    for (int64_t o = 0; o < channels * oh * ow; o++) {
      int64_t k = o / (oh * ow), ph = o / ow % oh, pw = o % ow, plane = (q.batch * channels + k) * h * w;
      double sum = 0, best = 0;
      for (int64_t i = 0; i < q.grid_h * q.grid_w; i++) {
        int64_t at[4];
        double weight[4], v[4];
        roi_sample(&q, i, ph, pw, h, w, at, weight);
        for (int n = 0; n < 4; n++) {
          v[n] = weight[n] * (h && w ? tensor_f64(x, plane + at[n]) : 0);
          sum += v[n];
        }
        double most = fmax(fmax(v[0], v[1]), fmax(v[2], v[3]));
        best = i == 0 ? most : fmax(best, most);
      }
      int64_t count = q.grid_h * q.grid_w > 1 ? q.grid_h * q.grid_w : 1;
      dtype_store_f64(y->dtype, y->data, r * channels * oh * ow + o, max ? best : sum / (double)count);
    }
  }
  return LEDGE_OK;
}

/* ---- DeformConv: 2 spatial dims ---- */

typedef struct deform_shape {
  window w;
  int64_t groups, offset_groups, in_group, out_group, channels_out, taps;
} deform_shape;

static ledge_status deform_read(op_ctx *c, deform_shape *s) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *offset = op_in(c, 2), *bias = op_in(c, 3), *mask = op_in(c, 4);
  TRY(real_check(c, 0, false));
  for (int i = 1; i < c->n_in; i++)
    if (op_in(c, i) && op_in(c, i)->dtype != x->dtype) return op_fail_dtype(c, i);
  if (x->rank != 4 || w->rank != 4 || offset->rank != 4)
    return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "it takes two spatial dims");
  TRY(window_read(c, 2, x->dims + 2, w->dims + 2, false, &s->w));
  s->groups = op_int(c, "group", 1);
  s->offset_groups = op_int(c, "offset_group", 1);
  if (s->groups > INT32_MAX || s->offset_groups > INT32_MAX ||
      __builtin_mul_overflow(w->dims[2], w->dims[3], &s->taps) || s->taps > INT32_MAX)
    return op_fail(c, LEDGE_ERROR_LIMIT, "the kernel or the groups are too large");
  if (s->groups < 1 || s->offset_groups < 1 || x->dims[1] % s->groups || w->dims[0] % s->groups ||
      w->dims[1] != x->dims[1] / s->groups || x->dims[1] % s->offset_groups)
    return op_fail(c, LEDGE_ERROR_SHAPE, "channels, groups and weights do not fit");
  s->in_group = w->dims[1];
  s->channels_out = w->dims[0];
  s->out_group = s->channels_out / s->groups;
  const int64_t want[] = {x->dims[0], s->offset_groups * s->taps * 2, s->w.out[0], s->w.out[1]};
  const int64_t want_mask[] = {x->dims[0], s->offset_groups * s->taps, s->w.out[0], s->w.out[1]};
  if (!shape_equal(4, want, offset->rank, offset->dims) || (mask && !shape_equal(4, want_mask, mask->rank, mask->dims)))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the offsets or the mask do not fit the output");
  if (bias && tensor_elements(bias) != s->channels_out)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the bias does not have one number a channel");
  return LEDGE_OK;
}

static ledge_status deform_infer(op_ctx *c) {
  deform_shape s;
  TRY(deform_read(c, &s));
  const tensor *x = op_in(c, 0);
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){x->dims[0], s.channels_out, s.w.out[0], s.w.out[1]});
}

/* Bilinear, zeros outside. */
static double bilinear(const tensor *x, int64_t plane, int64_t h, int64_t w, double y, double xx) {
  if (!(y > -1) || !(xx > -1) || !(y < (double)h) || !(xx < (double)w)) return 0;
  int64_t y0 = (int64_t)floor(y), x0 = (int64_t)floor(xx);
  double ly = y - (double)y0, lx = xx - (double)x0, sum = 0;
  for (int i = 0; i < 4; i++) {
    int64_t py = y0 + i / 2, px = x0 + i % 2;
    double k = (i / 2 ? ly : 1 - ly) * (i % 2 ? lx : 1 - lx);
    if (k != 0 && py >= 0 && py < h && px >= 0 && px < w) sum += k * tensor_f64(x, plane + py * w + px);
  }
  return sum;
}

static ledge_status deform_run(op_ctx *c) {
  deform_shape s;
  TRY(deform_read(c, &s));
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *offset = op_in(c, 2), *bias = op_in(c, 3), *mask = op_in(c, 4);
  tensor *y = op_out(c, 0);
  int64_t channels = x->dims[1], h = x->dims[2], width = x->dims[3], oh = s.w.out[0], ow = s.w.out[1], span = oh * ow,
          kw = s.w.kernel[1];
  double *patch = real_scratch(c, channels * s.taps);
  if (!patch) return LEDGE_ERROR_MEMORY;
  for (int64_t b = 0; b < x->dims[0]; b++)
    for (int64_t o = 0; o < span; o++) {
      for (int64_t i = 0; i < channels * s.taps; i++) {
        int64_t k = i / s.taps, t = i % s.taps, og = k / (channels / s.offset_groups),
                at = (b * s.offset_groups + og) * s.taps + t;
        double dy = tensor_f64(offset, (at * 2) * span + o), dx = tensor_f64(offset, (at * 2 + 1) * span + o);
        double py = (double)(o / ow * s.w.stride[0] - s.w.pad_begin[0] + t / kw * s.w.dilation[0]) + dy;
        double px = (double)(o % ow * s.w.stride[1] - s.w.pad_begin[1] + t % kw * s.w.dilation[1]) + dx;
        patch[i] = bilinear(x, (b * channels + k) * h * width, h, width, py, px) *
                   (mask ? tensor_f64(mask, at * span + o) : 1);
      }
      for (int64_t m = 0; m < s.channels_out; m++) {
        const double *from = patch + m / s.out_group * s.in_group * s.taps;
        double sum = bias ? tensor_f64(bias, m) : 0;
        for (int64_t i = 0; i < s.in_group * s.taps; i++) sum += from[i] * tensor_f64(w, m * s.in_group * s.taps + i);
        dtype_store_f64(y->dtype, y->data, (b * s.channels_out + m) * span + o, sum);
      }
    }
  op_scratch_free(patch);
  return LEDGE_OK;
}

const op_def ops_sample[] = {
    {"", "GridSample", 16, 0, 2, 2, 1, 1, 0, gridsample_infer, gridsample_run},
    {"", "AffineGrid", 20, 0, 2, 2, 1, 1, 0, affinegrid_infer, affinegrid_run},
    {"", "RoiAlign", 10, 0, 3, 3, 1, 1, 0, roialign_infer, roialign_run},
    {"", "DeformConv", 19, 0, 3, 5, 1, 1, 0, deform_infer, deform_run},
    {0},
};
