/* ops/conv: Conv, ConvTranspose, ConvInteger: channels first, any number of spatial dims, in double (integers exactly).
 */
#include "ops/real.h"
#include "ops/window.h"

/* Walks an odometer of `rank` digits; false after the last. */
static bool next(int rank, const int64_t *dims, int64_t *at) {
  for (int i = rank - 1; i >= 0; i--) {
    if (++at[i] < dims[i]) return true;
    at[i] = 0;
  }
  return false;
}

typedef struct conv_shape {
  window w;
  int64_t batch, groups, in_channels, out_channels, in_group, out_group; /* channels, and channels of one group */
  int64_t in_span, out_span, kernel_span;
} conv_shape;

static ledge_status conv_read(op_ctx *c, bool transposed, conv_shape *s) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1);
  if (x->rank < 3 || x->rank != w->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d and weights of rank %d do not fit", x->rank, w->rank);
  int rank = x->rank - 2;
  if (transposed)
    TRY(window_read_transposed(c, rank, x->dims + 2, w->dims + 2, &s->w));
  else
    TRY(window_read(c, rank, x->dims + 2, w->dims + 2, false, &s->w));
  s->batch = x->dims[0];
  s->in_channels = x->dims[1];
  s->groups = op_int(c, "group", 1);
  if (s->groups < 1 || s->in_channels % s->groups || s->groups > INT32_MAX ||
      (transposed ? w->dims[0] != s->in_channels : w->dims[0] % s->groups))
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld channels in %lld groups do not fit weights of %lld by %lld",
                   (long long)s->in_channels, (long long)s->groups, (long long)w->dims[0], (long long)w->dims[1]);
  s->in_group = s->in_channels / s->groups;
  if (!transposed && w->dims[1] != s->in_group)
    return op_fail(c, LEDGE_ERROR_SHAPE, "weights take %lld channels a group where the input has %lld",
                   (long long)w->dims[1], (long long)s->in_group);
  s->out_group = transposed ? w->dims[1] : w->dims[0] / s->groups;
  if (__builtin_mul_overflow(s->out_group, s->groups, &s->out_channels))
    return op_fail(c, LEDGE_ERROR_SHAPE, "too many channels");
  const tensor *b = op_in(c, 2);
  if (b && !transposed && !strcmp(c->def->name, "Conv") && (b->rank != 1 || b->dims[0] != s->out_channels))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the bias does not have one number for each of %lld channels",
                   (long long)s->out_channels);
  if (b && transposed && (b->rank != 1 || b->dims[0] != s->out_channels))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the bias does not have one number for each of %lld channels",
                   (long long)s->out_channels);
  s->in_span = shape_elements(rank, s->w.in);
  s->out_span = shape_elements(rank, s->w.out);
  s->kernel_span = shape_elements(rank, s->w.kernel);
  return LEDGE_OK;
}

static ledge_status conv_shape_out(op_ctx *c, const conv_shape *s, ledge_dtype dtype) {
  int64_t dims[LEDGE_MAX_RANK] = {s->batch, s->out_channels};
  for (int i = 0; i < s->w.rank; i++) dims[i + 2] = s->w.out[i];
  return op_shape(c, 0, dtype, s->w.rank + 2, dims);
}

static ledge_status conv_infer_any(op_ctx *c, bool transposed) {
  conv_shape s;
  TRY(real_check(c, 0, false));
  if (op_in(c, 1)->dtype != op_in(c, 0)->dtype) return op_fail_dtype(c, 1);
  TRY(conv_read(c, transposed, &s));
  return conv_shape_out(c, &s, op_in(c, 0)->dtype);
}

static ledge_status conv_infer(op_ctx *c) { return conv_infer_any(c, false); }
static ledge_status convtranspose_infer(op_ctx *c) { return conv_infer_any(c, true); }

/* The input element that tap k of output o reads, or -1 outside. */
static int64_t tap(const window *w, const int64_t *o, const int64_t *k) {
  int64_t at = 0;
  for (int i = 0; i < w->rank; i++) {
    int64_t p = o[i] * w->stride[i] - w->pad_begin[i] + k[i] * w->dilation[i];
    if (p < 0 || p >= w->in[i]) return -1;
    at = at * w->in[i] + p;
  }
  return at;
}

/* For every output pixel and tap: where it reads. The loops over channels go inside. */
static void conv_accumulate(const conv_shape *s, const double *x, const double *w, double *y) {
  if (!s->batch || !s->out_channels || !s->in_group) return; /* the other dims may be absurd then */
  int64_t o[WINDOW_MAX] = {0}, k[WINDOW_MAX];
  for (int64_t at_o = 0; at_o < s->out_span; at_o++) {
    memset(k, 0, sizeof k);
    for (int64_t at_k = 0; at_k < s->kernel_span; at_k++) {
      int64_t at = tap(&s->w, o, k);
      for (int64_t b = 0; at >= 0 && b < s->batch; b++) {
        for (int64_t m = 0; m < s->out_channels; m++) {
          const double *from = x + (b * s->in_channels + m / s->out_group * s->in_group) * s->in_span + at;
          const double *weight = w + m * s->in_group * s->kernel_span + at_k;
          double sum = 0;
          for (int64_t i = 0; i < s->in_group; i++) sum += from[i * s->in_span] * weight[i * s->kernel_span];
          y[(b * s->out_channels + m) * s->out_span + at_o] += sum;
        }
      }
      next(s->w.rank, s->w.kernel, k);
    }
    next(s->w.rank, s->w.out, o);
  }
}

static void convtranspose_accumulate(const conv_shape *s, const double *x, const double *w, double *y) {
  if (!s->batch || !s->out_channels || !s->in_group || !s->out_span) return;
  int64_t p[WINDOW_MAX] = {0}, k[WINDOW_MAX];
  for (int64_t at_i = 0; at_i < s->in_span; at_i++) {
    memset(k, 0, sizeof k);
    for (int64_t at_k = 0; at_k < s->kernel_span; at_k++) {
      int64_t at = 0;
      for (int i = 0; i < s->w.rank && at >= 0; i++) {
        int64_t o = p[i] * s->w.stride[i] - s->w.pad_begin[i] + k[i] * s->w.dilation[i];
        at = o < 0 || o >= s->w.out[i] ? -1 : at * s->w.out[i] + o;
      }
      for (int64_t b = 0; at >= 0 && b < s->batch; b++)
        for (int64_t m = 0; m < s->out_channels; m++) {
          int64_t g = m / s->out_group;
          double sum = 0;
          for (int64_t i = 0; i < s->in_group; i++) {
            int64_t channel = g * s->in_group + i;
            sum += x[(b * s->in_channels + channel) * s->in_span + at_i] *
                   w[(channel * s->out_group + m % s->out_group) * s->kernel_span + at_k];
          }
          y[(b * s->out_channels + m) * s->out_span + at] += sum;
        }
      next(s->w.rank, s->w.kernel, k);
    }
    next(s->w.rank, s->w.in, p);
  }
}

static ledge_status conv_run_any(op_ctx *c, bool transposed) {
  conv_shape s;
  TRY(conv_read(c, transposed, &s));
  tensor *out = op_out(c, 0);
  const tensor *bias = op_in(c, 2);
  double *x = real_load(c, op_in(c, 0)), *w = real_load(c, op_in(c, 1)), *y = real_scratch(c, tensor_elements(out));
  ledge_status status = x && w && y ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  if (!status) {
    for (int64_t i = 0; bias && i < s.batch * s.out_channels; i++)
      for (int64_t k = 0; k < s.out_span; k++) y[i * s.out_span + k] = tensor_f64(bias, i % s.out_channels);
    if (transposed)
      convtranspose_accumulate(&s, x, w, y);
    else
      conv_accumulate(&s, x, w, y);
    real_store(y, out);
  }
  op_scratch_free(x);
  op_scratch_free(w);
  op_scratch_free(y);
  return status;
}

static ledge_status conv_run(op_ctx *c) { return conv_run_any(c, false); }
static ledge_status convtranspose_run(op_ctx *c) { return conv_run_any(c, true); }

/* ---- ConvInteger: (x - x_zero) * (w - w_zero), pads count as x_zero; exact in double up to 2^53 ---- */

static ledge_status convinteger_infer(op_ctx *c) {
  conv_shape s;
  for (int i = 0; i < 2; i++)
    if (op_in(c, i)->dtype != LEDGE_U8 && op_in(c, i)->dtype != LEDGE_I8) return op_fail_dtype(c, i);
  TRY(conv_read(c, false, &s));
  for (int i = 2; i < 4; i++) {
    const tensor *z = op_in(c, i);
    if (!z) continue;
    if (z->dtype != op_in(c, i - 2)->dtype) return op_fail_dtype(c, i);
    int64_t n = tensor_elements(z);
    if (n != 1 && (i == 2 || n != s.out_channels))
      return op_fail(c, LEDGE_ERROR_SHAPE, "a zero point has %lld numbers", (long long)n);
  }
  return conv_shape_out(c, &s, LEDGE_I32);
}

static ledge_status convinteger_run(op_ctx *c) {
  conv_shape s;
  TRY(conv_read(c, false, &s));
  const tensor *xz = op_in(c, 2), *wz = op_in(c, 3);
  tensor *out = op_out(c, 0);
  double *x = real_load(c, op_in(c, 0)), *w = real_load(c, op_in(c, 1)), *y = real_scratch(c, tensor_elements(out));
  ledge_status status = x && w && y ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  if (!status) {
    int64_t n_x = tensor_elements(op_in(c, 0)), n_w = tensor_elements(op_in(c, 1)), per = s.in_group * s.kernel_span;
    for (int64_t i = 0; xz && i < n_x; i++) x[i] -= tensor_f64(xz, 0);
    for (int64_t i = 0; wz && i < n_w; i++) w[i] -= tensor_f64(wz, tensor_elements(wz) == 1 ? 0 : i / per);
    conv_accumulate(&s, x, w, y);
    for (int64_t i = 0; i < tensor_elements(out); i++) ((int32_t *)out->data)[i] = (int32_t)(uint32_t)(int64_t)y[i];
  }
  op_scratch_free(x);
  op_scratch_free(w);
  op_scratch_free(y);
  return status;
}

const op_def ops_conv[] = {
    {"", "Conv", 1, 0, 2, 3, 1, 1, 0, conv_infer, conv_run},
    {"", "ConvTranspose", 1, 0, 2, 3, 1, 1, 0, convtranspose_infer, convtranspose_run},
    {"", "ConvInteger", 10, 0, 2, 4, 1, 1, 0, convinteger_infer, convinteger_run},
    {0},
};
