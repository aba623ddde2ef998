/* ops/signal: DFT, STFT and MelWeightMatrix; in double, through media/fft. Complex numbers are a last dim of 2. */
#include "media/fft.h"
#include "ops/real.h"

#include <math.h>

/* ---- DFT ---- */

typedef struct dft_shape {
  int axis;
  int64_t length, in, out, parts_in, parts_out; /* along the axis; numbers of one element */
  bool inverse, onesided;
} dft_shape;

/* A positive scalar input; `otherwise` where it is left out. */
static ledge_status scalar_int(op_ctx *c, int i, int64_t otherwise, int64_t *ret) {
  int n;
  *ret = otherwise;
  if (!op_has(c, i)) return LEDGE_OK;
  OP_NEED(c, i);
  TRY(op_read_ints(c, op_in(c, i), ret, 1, &n));
  return n == 1 ? LEDGE_OK : op_fail(c, LEDGE_ERROR_SHAPE, "input %d is no scalar", i);
}

static ledge_status dft_read(op_ctx *c, dft_shape *s) {
  const tensor *x = op_in(c, 0);
  int64_t axis;
  TRY(real_check(c, 0, false));
  if (x->rank < 2) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no signal", x->rank);
  *s = (dft_shape){.inverse = op_int(c, "inverse", 0) != 0,
                   .onesided = op_int(c, "onesided", 0) != 0,
                   .parts_in = x->dims[x->rank - 1]};
  if (s->parts_in != 1 && s->parts_in != 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the last dim must be 1 (real) or 2 (complex)");
  if (c->node->version < 20)
    axis = op_int(c, "axis", 1);
  else
    TRY(scalar_int(c, 2, -2, &axis));
  TRY(op_axis(c, axis, x->rank, &s->axis));
  if (s->axis == x->rank - 1)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the axis of real and imaginary parts cannot be transformed");
  s->in = x->dims[s->axis];
  bool back = s->inverse && s->onesided; /* a one-sided spectrum to a real signal */
  TRY(scalar_int(c, 1, back ? 2 * (s->in - 1) : s->in, &s->length));
  if (s->length < 1 || s->length > FFT_LENGTH_MAX)
    return op_fail(c, LEDGE_ERROR_DATA, "a transform of %lld points", (long long)s->length);
  s->out = s->onesided && !s->inverse ? s->length / 2 + 1 : s->length;
  s->parts_out = back ? 1 : 2;
  return LEDGE_OK;
}

static ledge_status dft_infer(op_ctx *c) {
  dft_shape s;
  ledge_status status = dft_read(c, &s);
  if (status) return status;
  tensor x = *op_in(c, 0);
  x.dims[s.axis] = s.out;
  x.dims[x.rank - 1] = s.parts_out;
  return op_shape(c, 0, x.dtype, x.rank, x.dims);
}

/* The spectrum of a real signal is its own mirror: the half that is not stored. */
static void mirror(double *v, int64_t n) {
  v[1] = 0;
  if (n % 2 == 0) v[n + 1] = 0;
  for (int64_t k = n / 2 + 1; k < n; k++) v[2 * k] = v[2 * (n - k)], v[2 * k + 1] = -v[2 * (n - k) + 1];
}

static ledge_status dft_run(op_ctx *c) {
  dft_shape s;
  TRY(dft_read(c, &s));
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  fft_plan *plan = NULL;
  TRY(fft_plan_create(s.length, LEDGE_F64, &plan, c->error));
  double *line = real_scratch(c, 2 * s.length);
  void *scratch = op_scratch(c, fft_plan_scratch_bytes(plan), 1);
  ledge_status status = line && scratch ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  int64_t outer = tensor_span(x, 0, s.axis), inner = tensor_span(x, s.axis + 1, x->rank - 1);
  bool back = s.inverse && s.onesided;
  int64_t take = back ? s.length / 2 + 1 : s.length;
  if (take > s.in) take = s.in;
  for (int64_t i = 0; !status && i < outer * inner; i++) {
    int64_t o = i / inner, k = i % inner;
    memset(line, 0, (size_t)(2 * s.length) * sizeof *line);
    for (int64_t j = 0; j < take; j++)
      for (int64_t p = 0; p < s.parts_in; p++)
        line[2 * j + p] = tensor_f64(x, ((o * s.in + j) * inner + k) * s.parts_in + p);
    if (back) mirror(line, s.length);
    fft_complex_f64(plan, s.inverse, line, line, scratch);
    double factor = s.inverse ? 1 / (double)s.length : 1;
    for (int64_t j = 0; j < s.out; j++)
      for (int64_t p = 0; p < s.parts_out; p++)
        dtype_store_f64(y->dtype, y->data, ((o * s.out + j) * inner + k) * s.parts_out + p, line[2 * j + p] * factor);
  }
  op_scratch_free(line);
  op_scratch_free(scratch);
  fft_plan_destroy(plan);
  return status;
}

/* ---- STFT: signal [batch, length] or [batch, length, 1 or 2] ---- */

typedef struct stft_shape {
  int64_t batch, length, parts, step, frame, frames, bins;
} stft_shape;

static ledge_status stft_read(op_ctx *c, stft_shape *s) {
  const tensor *x = op_in(c, 0), *window = op_in(c, 2);
  TRY(real_check(c, 0, false));
  if (x->rank != 2 && x->rank != 3) return op_fail(c, LEDGE_ERROR_SHAPE, "the signal has rank %d, not 2 or 3", x->rank);
  *s = (stft_shape){.batch = x->dims[0], .length = x->dims[1], .parts = x->rank == 3 ? x->dims[2] : 1};
  if (s->parts != 1 && s->parts != 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the last dim must be 1 (real) or 2 (complex)");
  if (window && (window->rank != 1 || !dtype_is_float(window->dtype)))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the window is no row of numbers");
  TRY(scalar_int(c, 1, 1, &s->step));
  TRY(scalar_int(c, 3, window ? window->dims[0] : s->length, &s->frame));
  if (s->step < 1 || s->frame < 1 || s->frame > FFT_LENGTH_MAX || s->frame > s->length)
    return op_fail(c, LEDGE_ERROR_DATA, "frames of %lld every %lld of a signal of %lld", (long long)s->frame,
                   (long long)s->step, (long long)s->length);
  if (window && window->dims[0] != s->frame)
    return op_fail(c, LEDGE_ERROR_SHAPE, "a window of %lld for frames of %lld", (long long)window->dims[0],
                   (long long)s->frame);
  s->frames = 1 + (s->length - s->frame) / s->step;
  bool onesided = op_int(c, "onesided", 1) != 0;
  if (onesided && s->parts == 2) return op_fail(c, LEDGE_ERROR_FORMAT, "a complex signal has no one-sided spectrum");
  s->bins = onesided ? s->frame / 2 + 1 : s->frame;
  return LEDGE_OK;
}

static ledge_status stft_infer(op_ctx *c) {
  stft_shape s;
  ledge_status status = stft_read(c, &s);
  if (status) return status;
  return op_shape(c, 0, op_in(c, 0)->dtype, 4, (int64_t[]){s.batch, s.frames, s.bins, 2});
}

static ledge_status stft_run(op_ctx *c) {
  stft_shape s;
  TRY(stft_read(c, &s));
  const tensor *x = op_in(c, 0), *window = op_in(c, 2);
  tensor *y = op_out(c, 0);
  fft_plan *plan = NULL;
  TRY(fft_plan_create(s.frame, LEDGE_F64, &plan, c->error));
  double *line = real_scratch(c, 2 * s.frame);
  void *scratch = op_scratch(c, fft_plan_scratch_bytes(plan), 1);
  ledge_status status = line && scratch ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; !status && i < s.batch * s.frames; i++) {
    int64_t b = i / s.frames, start = i % s.frames * s.step;
    for (int64_t j = 0; j < s.frame; j++) {
      double w = window ? tensor_f64(window, j) : 1;
      int64_t at = (b * s.length + start + j) * s.parts;
      line[2 * j] = w * tensor_f64(x, at);
      line[2 * j + 1] = s.parts == 2 ? w * tensor_f64(x, at + 1) : 0;
    }
    fft_complex_f64(plan, false, line, line, scratch);
    for (int64_t k = 0; k < 2 * s.bins; k++) dtype_store_f64(y->dtype, y->data, i * 2 * s.bins + k, line[k]);
  }
  op_scratch_free(line);
  op_scratch_free(scratch);
  fft_plan_destroy(plan);
  return status;
}

/* ---- MelWeightMatrix: triangles between whole bins, on HTK's mel scale ---- */

static ledge_status mel_infer(op_ctx *c) {
  int64_t bands, length, rate;
  ledge_dtype dtype = (ledge_dtype)op_int(c, "output_datatype", LEDGE_F32);
  TRY(scalar_int(c, 0, 0, &bands));
  TRY(scalar_int(c, 1, 0, &length));
  TRY(scalar_int(c, 2, 0, &rate));
  if (bands < 1 || bands > 1 << 20 || length < 1 || length > FFT_LENGTH_MAX || rate < 1)
    return op_fail(c, LEDGE_ERROR_DATA, "the bands, the length or the rate is out of range");
  for (int i = 3; i <= 4; i++) {
    TRY(real_check(c, i, false));
    if (tensor_elements(op_in(c, i)) != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is no scalar", i);
  }
  if (!dtype_is_float(dtype) && !dtype_is_integer(dtype))
    return op_fail(c, LEDGE_ERROR_FORMAT, "output_datatype is no number type");
  return op_shape(c, 0, dtype, 2, (int64_t[]){length / 2 + 1, bands});
}

static ledge_status mel_run(op_ctx *c) {
  int64_t bands, length, rate;
  TRY(scalar_int(c, 0, 0, &bands));
  TRY(scalar_int(c, 1, 0, &length));
  TRY(scalar_int(c, 2, 0, &rate));
  tensor *y = op_out(c, 0);
  int64_t bins = length / 2 + 1;
  double lo = 2595 * log10(1 + tensor_f64(op_in(c, 3), 0) / 700),
         hi = 2595 * log10(1 + tensor_f64(op_in(c, 4), 0) / 700);
  int64_t *edge = op_scratch(c, (size_t)bands + 2, sizeof *edge);
  double *m = real_scratch(c, bins * bands);
  ledge_status status = edge && m ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; !status && i < bands + 2; i++) {
    double mel = (double)i * (hi - lo) / (double)(bands + 2) + lo, hertz = 700 * (pow(10, mel / 2595) - 1);
    double at = floor((double)(length + 1) * hertz / (double)rate);
    if (!(at >= 0) || at >= (double)bins)
      status = op_fail(c, LEDGE_ERROR_DATA, "an edge frequency lies outside of the spectrum");
    edge[i] = status ? 0 : (int64_t)at;
  }
  for (int64_t i = 0; !status && i < bands; i++) {
    int64_t a = edge[i], b = edge[i + 1], d = edge[i + 2];
    if (a == b) m[b * bands + i] = 1;
    for (int64_t j = a; a != b && j <= b; j++) m[j * bands + i] = (double)(j - a) / (double)(b - a);
    for (int64_t j = b; d > b && j < d; j++) m[j * bands + i] = (double)(d - j) / (double)(d - b);
  }
  if (!status) real_store(m, y);
  op_scratch_free(edge);
  op_scratch_free(m);
  return status;
}

const op_def ops_signal[] = {
    {"", "DFT", 17, 0, 1, 3, 1, 1, 0, dft_infer, dft_run},
    {"", "STFT", 17, 0, 2, 4, 1, 1, 0, stft_infer, stft_run},
    {"", "MelWeightMatrix", 17, 0, 5, 5, 1, 1, 0, mel_infer, mel_run},
    {0},
};
