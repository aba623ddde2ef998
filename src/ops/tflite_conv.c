/* ops/tflite_conv: sums of products of integers: the references; see tflite.h. Sums are exact (int64), results rounded
 * as TensorFlow Lite's reference kernels round: 16-bit images with 64-bit biases by fixed_apply_wide. */
#include "base/error.h"
#include "ops/tflite.h"

static bool is_byte(const tensor *t) { return t->dtype == LEDGE_I8 || t->dtype == LEDGE_U8; }

ledge_status tflite_sums_read(op_ctx *c, int64_t outs, tflite_sums *s, int32_t *m, int32_t *shift) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *b = op_in(c, 2);
  int64_t n;
  const float *scales = op_floats(c, "w_scale", &n);
  float x_scale = op_float(c, "x_scale", 0), y_scale = op_float(c, "y_scale", 0);
  bool wide = x->dtype == LEDGE_I16;
  if ((!is_byte(x) && !wide) || !is_byte(w)) return op_fail_dtype(c, wide || is_byte(x) ? 1 : 0);
  if (b && (b->dtype != LEDGE_I32 && b->dtype != LEDGE_I64)) return op_fail_dtype(c, 2);
  if (b && tensor_elements(b) != outs)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld biases for %lld outputs", (long long)tensor_elements(b),
                   (long long)outs);
  if (!scales || (n != 1 && n != outs) || !(x_scale > 0) || !(y_scale > 0))
    return op_fail(c, LEDGE_ERROR_FORMAT, "scales that are none, or not as many as the %lld outputs", (long long)outs);
  *s = (tflite_sums){(int32_t)op_int(c, "x_zero", 0), (int32_t)op_int(c, "w_zero", 0), (int32_t)op_int(c, "y_zero", 0),
                     (int32_t)op_int(c, "y_min", -128), (int32_t)op_int(c, "y_max", 127)};
  for (int64_t i = 0; i < outs && m; i++)
    if (i < n)
      fixed_multiplier((double)x_scale * (double)scales[i] / (double)y_scale, &m[i], &shift[i]);
    else
      m[i] = m[0], shift[i] = shift[0];
  return LEDGE_OK;
}

typedef struct sums_run {
  tflite_sums s;
  int32_t *m, *shift;
  const tensor *bias;
  bool wide; /* sums of 64 bits: 16-bit images with biases of as many */
} sums_run;

static ledge_status sums_begin(op_ctx *c, int64_t outs, sums_run *r) {
  *r = (sums_run){.bias = op_in(c, 2), .m = op_scratch(c, (size_t)outs * 2 + 1, sizeof *r->m)};
  if (!r->m) return LEDGE_ERROR_MEMORY;
  r->shift = r->m + outs;
  r->wide = op_in(c, 0)->dtype == LEDGE_I16 && (!r->bias || r->bias->dtype == LEDGE_I64);
  ledge_status status = tflite_sums_read(c, outs, &r->s, r->m, r->shift);
  if (status) op_scratch_free(r->m);
  return status;
}

static void sums_put(const sums_run *r, int64_t sum, int64_t out, tensor *y, int64_t at) {
  int64_t v;
  if (r->bias) sum = (int64_t)((uint64_t)sum + (uint64_t)tensor_i64(r->bias, out));
  if (r->wide)
    v = (int64_t)fixed_apply_wide(sum, r->m[out], r->shift[out] > 7 ? 7 : r->shift[out]);
  else
    v = fixed_apply((int32_t)(uint32_t)(uint64_t)sum, r->m[out], r->shift[out]);
  v += r->s.y_zero;
  dtype_store_i64(y->dtype, y->data, at, v < r->s.y_min ? r->s.y_min : v > r->s.y_max ? r->s.y_max : v);
}

static int64_t at8(const tensor *t, int64_t i) {
  return t->dtype == LEDGE_I8   ? ((const int8_t *)t->data)[i]
         : t->dtype == LEDGE_U8 ? ((const uint8_t *)t->data)[i]
                                : ((const int16_t *)t->data)[i];
}

/* ---- Conv ---- */

ledge_status tflite_conv_read(op_ctx *c, window *w, int64_t *groups) {
  const tensor *x = op_in(c, 0), *f = op_in(c, 1);
  if (x->rank < 3 || x->rank > 5 || f->rank != x->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an image of %d dims and a filter of %d", x->rank, f->rank);
  *groups = op_int(c, "group", 1);
  int64_t in = x->dims[x->rank - 1];
  if (*groups < 1 || f->dims[1] != in / *groups || in % *groups || f->dims[0] % *groups)
    return op_fail(c, LEDGE_ERROR_SHAPE, "a filter of %lld inputs in %lld groups for %lld channels",
                   (long long)f->dims[1], (long long)*groups, (long long)in);
  return window_read(c, x->rank - 2, x->dims + 1, f->dims + 2, false, w);
}

static ledge_status conv_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *f = op_in(c, 1);
  window w;
  int64_t groups, dims[LEDGE_MAX_RANK];
  tflite_sums s;
  TRY(tflite_conv_read(c, &w, &groups));
  TRY(tflite_sums_read(c, f->dims[0], &s, NULL, NULL));
  dims[0] = x->dims[0];
  for (int i = 0; i < w.rank; i++) dims[1 + i] = w.out[i];
  dims[x->rank - 1] = f->dims[0];
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

/* Sum over the taps of one window for one output; position by position of up to three spatial dims. */
static int64_t window_sum(const tensor *x, const tensor *f, const window *w, const tflite_sums *s, int64_t batch,
                          const int64_t *place, int64_t out, int64_t group) {
  int64_t per = f->dims[1], taps = 1, sum = 0, channels = x->dims[x->rank - 1];
  for (int i = 0; i < w->rank; i++) taps *= w->kernel[i];
  for (int64_t t = 0; t < taps; t++) {
    int64_t at = batch, rest = t, k[WINDOW_MAX];
    bool inside = true;
    for (int i = w->rank - 1; i >= 0; i--) k[i] = rest % w->kernel[i], rest /= w->kernel[i];
    for (int i = 0; i < w->rank && inside; i++) {
      int64_t p = place[i] * w->stride[i] + k[i] * w->dilation[i] - w->pad_begin[i];
      inside = p >= 0 && p < w->in[i];
      at = at * w->in[i] + p;
    }
    if (!inside) continue;
    for (int64_t ch = 0; ch < per; ch++)
      sum += (at8(x, at * channels + group * per + ch) - s->x_zero) * (at8(f, (out * per + ch) * taps + t) - s->w_zero);
  }
  return sum;
}

static ledge_status conv_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *f = op_in(c, 1);
  tensor *y = op_out(c, 0);
  window w;
  int64_t groups, outs = f->dims[0], place[WINDOW_MAX] = {0};
  sums_run r;
  TRY(tflite_conv_read(c, &w, &groups));
  TRY(sums_begin(c, outs, &r));
  int64_t n = tensor_elements(y) / (outs ? outs : 1);
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i;
    for (int d = w.rank - 1; d >= 0; d--) place[d] = rest % w.out[d], rest /= w.out[d];
    for (int64_t o = 0; o < outs; o++)
      sums_put(&r, window_sum(x, f, &w, &r.s, rest, place, o, o / (outs / groups)), o, y, i * outs + o);
  }
  op_scratch_free(r.m);
  return LEDGE_OK;
}

/* ---- ConvTranspose: two spatial dims, filter [out, in, h, w] ---- */

static ledge_status deconv_read(op_ctx *c, window *w) {
  const tensor *x = op_in(c, 0), *f = op_in(c, 1);
  if (x->rank != 4 || f->rank != 4 || f->dims[1] != x->dims[3])
    return op_fail(c, LEDGE_ERROR_SHAPE, "an image and a filter that do not fit each other");
  return window_read_transposed(c, 2, x->dims + 1, f->dims + 2, w);
}

static ledge_status deconv_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *f = op_in(c, 1);
  window w;
  tflite_sums s;
  TRY(deconv_read(c, &w));
  TRY(tflite_sums_read(c, f->dims[0], &s, NULL, NULL));
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){x->dims[0], w.out[0], w.out[1], f->dims[0]});
}

static ledge_status deconv_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *f = op_in(c, 1);
  tensor *y = op_out(c, 0);
  window w;
  sums_run r;
  int64_t outs = f->dims[0], in = x->dims[3], kh = f->dims[2], kw = f->dims[3];
  TRY(deconv_read(c, &w));
  TRY(sums_begin(c, outs, &r));
  for (int64_t i = 0; i < tensor_elements(y); i++) {
    int64_t o = i % outs, px = i / outs % w.out[1], py = i / outs / w.out[1] % w.out[0],
            b = i / outs / w.out[1] / w.out[0], sum = 0;
    for (int64_t ky = 0; ky < kh; ky++)
      for (int64_t kx = 0; kx < kw; kx++) {
        int64_t sy = py + w.pad_begin[0] - ky, sx = px + w.pad_begin[1] - kx;
        if (sy < 0 || sx < 0 || sy % w.stride[0] || sx % w.stride[1]) continue;
        sy /= w.stride[0], sx /= w.stride[1];
        if (sy >= w.in[0] || sx >= w.in[1]) continue;
        for (int64_t ch = 0; ch < in; ch++)
          sum += (at8(x, ((b * w.in[0] + sy) * w.in[1] + sx) * in + ch) - r.s.x_zero) *
                 (at8(f, ((o * in + ch) * kh + ky) * kw + kx) - r.s.w_zero);
      }
    sums_put(&r, sum, o, y, i);
  }
  op_scratch_free(r.m);
  return LEDGE_OK;
}

/* ---- FullyConnected, BatchMatMul ---- */

static ledge_status product_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1);
  tflite_sums s;
  if (w->rank != 2 || x->rank < 1 || x->dims[x->rank - 1] != w->dims[1])
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input and weights that do not fit each other");
  TRY(tflite_sums_read(c, w->dims[0], &s, NULL, NULL));
  TRY(op_last_dim(c, 0, 0, w->dims[0]));
  return LEDGE_OK;
}

static ledge_status product_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1);
  tensor *y = op_out(c, 0);
  sums_run r;
  int64_t outs = w->dims[0], k = w->dims[1];
  TRY(sums_begin(c, outs, &r));
  for (int64_t i = 0; i < tensor_elements(y); i++) {
    int64_t row = i / outs, o = i % outs, sum = 0;
    for (int64_t j = 0; j < k; j++) sum += (at8(x, row * k + j) - r.s.x_zero) * (at8(w, o * k + j) - r.s.w_zero);
    sums_put(&r, sum, o, y, i);
  }
  op_scratch_free(r.m);
  return LEDGE_OK;
}

static ledge_status matmul_infer(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  int64_t dims[LEDGE_MAX_RANK];
  tflite_sums s;
  if (a->rank < 2 || b->rank < 2 || a->dims[a->rank - 1] != b->dims[b->rank - 2])
    return op_fail(c, LEDGE_ERROR_SHAPE, "two matrices that do not fit each other");
  TRY(tflite_sums_read(c, 1, &s, NULL, NULL));
  int rank = shape_broadcast(a->rank - 2, a->dims, b->rank - 2, b->dims, dims);
  if (rank < 0 || rank + 2 > LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_SHAPE, "batches that do not fit each other");
  dims[rank] = a->dims[a->rank - 2], dims[rank + 1] = b->dims[b->rank - 1];
  return op_shape(c, 0, a->dtype, rank + 2, dims);
}

/* Which batch of t, of `rank` dims, batch i of the output reads. */
static int64_t batch_of(const tensor *t, const tensor *y, int64_t i) {
  int64_t at = 0, step = 1;
  for (int d = y->rank - 3, k = t->rank - 3; d >= 0; d--, k--) {
    int64_t index = i % y->dims[d];
    i /= y->dims[d];
    if (k < 0) continue;
    at += (t->dims[k] == 1 ? 0 : index) * step;
    step *= t->dims[k];
  }
  return at;
}

static ledge_status matmul_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  tensor *y = op_out(c, 0);
  sums_run r;
  int64_t m = a->dims[a->rank - 2], k = a->dims[a->rank - 1], n = b->dims[b->rank - 1];
  TRY(sums_begin(c, 1, &r));
  for (int64_t i = 0; i < tensor_elements(y); i++) {
    int64_t col = i % n, row = i / n % m, batch = i / n / m, sum = 0;
    int64_t from = (batch_of(a, y, batch) * m + row) * k, with = batch_of(b, y, batch) * k * n + col;
    for (int64_t j = 0; j < k; j++) sum += (at8(a, from + j) - r.s.x_zero) * (at8(b, with + j * n) - r.s.w_zero);
    sums_put(&r, sum, 0, y, i);
  }
  op_scratch_free(r.m);
  return LEDGE_OK;
}

const op_def ops_tflite_conv[] = {
    {"tflite", "Conv", 1, 0, 2, 3, 1, 1, 0, conv_infer, conv_run},
    {"tflite", "ConvTranspose", 1, 0, 2, 3, 1, 1, 0, deconv_infer, deconv_run},
    {"tflite", "FullyConnected", 1, 0, 2, 3, 1, 1, 0, product_infer, product_run},
    {"tflite", "BatchMatMul", 1, 0, 2, 2, 1, 1, 0, matmul_infer, matmul_run},
    {0},
};
