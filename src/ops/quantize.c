/* ops/quantize: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
 *
 *   y = saturate(round(x / scale) + zero_point)        x = (y - zero_point) * scale
 *
 * One scale stands for the whole tensor, for each index of an axis, or for each block along an axis. Seen as
 * [outer, dim, inner], the tensor falls into runs whose scales step by 0 (one scale) or 1 (a scale an element):
 *
 *   per tensor   one run, cut up           step 0
 *   per axis     inner > 1: a run [inner]  step 0        inner = 1: a run [dim]      step 1
 *   blocked      inner > 1: a run [inner]  step 1        inner = 1: a run of a block step 0 */
#include "ops/cast.h"
#include "ops/elementwise.h"
#include "ops/move_util.h"

#include <math.h>

#define QUANT_INTEGERS                                                                                             \
  (DTYPE_BIT(LEDGE_I8) | DTYPE_BIT(LEDGE_U8) | DTYPE_BIT(LEDGE_I16) | DTYPE_BIT(LEDGE_U16) | DTYPE_BIT(LEDGE_I4) | \
   DTYPE_BIT(LEDGE_U4) | DTYPE_BIT(LEDGE_I2) | DTYPE_BIT(LEDGE_U2))
#define QUANT_TYPES (QUANT_INTEGERS | DTYPES_F8 | DTYPE_BIT(LEDGE_F4E2M1))

typedef struct layout {
  int64_t outer, dim, inner;
  int64_t scales, block; /* scales along dim (1: one for the tensor), indices of dim that share one */
  bool per_axis;         /* a scale depends on the index of dim alone */
} layout;

typedef struct run {
  int64_t at, n, scale, step; /* elements [at, at + n), their first scale and its step */
} run;

enum { RUN_MAX = 4096 };

static int64_t layout_runs(const layout *l) {
  if (l->scales == 1 && l->per_axis) return (l->outer * l->dim * l->inner + RUN_MAX - 1) / RUN_MAX;
  if (l->inner > 1) return l->outer * l->dim;
  return l->per_axis ? l->outer : l->outer * l->scales;
}

static run layout_run(const layout *l, int64_t r) {
  if (l->scales == 1 && l->per_axis) {
    int64_t at = r * RUN_MAX, left = l->outer * l->dim * l->inner - at;
    return (run){at, left < RUN_MAX ? left : RUN_MAX, 0, 0};
  }
  if (l->inner > 1) {
    int64_t o = r / l->dim, d = r % l->dim;
    int64_t scale = l->per_axis ? d : (o * l->scales + d / l->block) * l->inner;
    return (run){r * l->inner, l->inner, scale, !l->per_axis};
  }
  if (l->per_axis) return (run){r * l->dim, l->dim, 0, 1};
  int64_t o = r / l->scales, b = r % l->scales, left = l->dim - b * l->block;
  return (run){o * l->dim + b * l->block, left < l->block ? left : l->block, r, 0};
}

/* From the shapes of x and the scale, and the attributes axis and block_size. */
static ledge_status layout_of(op_ctx *c, layout *ret) {
  const tensor *x = op_in(c, 0), *s = op_in(c, 1), *zero = op_in(c, 2);
  char tx[256], ts[256];
  shape_print(x->rank, x->dims, tx, sizeof tx);
  shape_print(s->rank, s->dims, ts, sizeof ts);
  int64_t n = tensor_elements(s), block = op_int(c, "block_size", 0), axis_given = op_int(c, "axis", 1);
  if (zero && tensor_elements(zero) != n)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the zero point has %lld elements and the scale %lld",
                   (long long)tensor_elements(zero), (long long)n);
  *ret = (layout){.outer = 1, .dim = tensor_elements(x), .inner = 1, .scales = 1, .block = 1, .per_axis = true};
  if (n == 1) return LEDGE_OK;
  if (block < 0) return op_fail(c, LEDGE_ERROR_ARGUMENT, "block_size is negative");
  int axis = 0;
  if (x->rank != 1 || block) TRY(op_axis(c, axis_given, x->rank, &axis));
  *ret = (layout){tensor_span(x, 0, axis), x->dims[axis], tensor_span(x, axis + 1, x->rank), n, 1, true};
  if (!block) {
    if (s->rank == 1 && n == x->dims[axis]) return LEDGE_OK;
    return op_fail(c, LEDGE_ERROR_SHAPE, "a scale of shape %s fits neither all of %s nor its axis %d", ts, tx, axis);
  }
  ret->per_axis = false;
  ret->block = block;
  ret->scales = x->dims[axis] ? (x->dims[axis] - 1) / block + 1 : 0;
  bool fits = s->rank == x->rank;
  for (int d = 0; fits && d < x->rank; d++) fits = s->dims[d] == (d == axis ? ret->scales : x->dims[d]);
  if (fits) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "scales of shape %s do not fit blocks of %lld on axis %d of %s", ts,
                 (long long)block, axis, tx);
}

/* ---- QuantizeLinear ---- */

static void integer_range(ledge_dtype d, int *low, int *high) {
  int bits = ledge_dtype_bits(d);
  bool is_signed = dtype_kind_of(d) == DTYPE_KIND_INT;
  *low = is_signed ? -(1 << (bits - 1)) : 0;
  *high = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
}

static ledge_status quantize_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT | DTYPE_BIT(LEDGE_I32)));
  TRY(elem_check(c, 1, DTYPES_FLOAT | DTYPE_BIT(LEDGE_I32) | DTYPE_BIT(LEDGE_F8E8M0)));
  int64_t out = op_int(c, "output_dtype", 0), precision = op_int(c, "precision", 0);
  if (precision && !(dtype_is_valid(precision) && DTYPE_BIT(precision) & DTYPES_FLOAT))
    return op_fail(c, LEDGE_ERROR_ARGUMENT, "precision %lld is no data type to divide in", (long long)precision);
  if (op_has(c, 2)) {
    TRY(elem_check(c, 2, QUANT_TYPES));
    if (out && out != (int64_t)op_in(c, 2)->dtype)
      return op_fail(c, LEDGE_ERROR_SHAPE, "output_dtype %lld differs from the zero point's dtype %s", (long long)out,
                     ledge_dtype_name(op_in(c, 2)->dtype));
    out = op_in(c, 2)->dtype;
  }
  if (!out) out = LEDGE_U8;
  if (!dtype_is_valid(out) || !(DTYPE_BIT(out) & QUANT_TYPES))
    return op_fail(c, LEDGE_ERROR_ARGUMENT, "output_dtype %lld is no type to quantize to", (long long)out);
  layout l;
  TRY(layout_of(c, &l));
  const tensor *x = op_in(c, 0);
  return op_shape(c, 0, (ledge_dtype)out, x->rank, x->dims);
}

typedef struct quant_job {
  layout l;
  const tensor *x, *scale, *zero;
  tensor *y;
  ledge_dtype precision;
  cast_options options;
} quant_job;

static float round_to(ledge_dtype d, double v) {
  if (d == LEDGE_F16) return dtype_f16_to_f32(dtype_f64_to_f16(v));
  if (d == LEDGE_BF16) return dtype_bf16_to_f32(dtype_f32_to_bf16((float)v));
  return (float)v;
}

/* v = x / s, in the precision asked for. s has n elements, or one where step is 0. */
static void divide(const quant_job *q, int64_t at, int64_t n, const run *r, int64_t scale_at, float *v) {
  ledge_dtype p = q->precision;
  if (p == LEDGE_F32) {
    float s[ELEM_CHUNK];
    elem_load_f32(q->x->dtype, q->x->data, at, n, v);
    elem_load_f32(q->scale->dtype, q->scale->data, scale_at, r->step ? n : 1, s);
    if (r->step) {
      for (int64_t i = 0; i < n; i++) v[i] /= s[i];
    } else {
      const float one = s[0];
      for (int64_t i = 0; i < n; i++) v[i] /= one;
    }
    return;
  }
  double x[ELEM_CHUNK], s[ELEM_CHUNK];
  elem_load_f64(q->x->dtype, q->x->data, at, n, x);
  elem_load_f64(q->scale->dtype, q->scale->data, scale_at, r->step ? n : 1, s);
  for (int64_t i = 0; i < n; i++) {
    double d = s[i * r->step];
    v[i] = p == LEDGE_F64 ? (float)(x[i] / d) : round_to(p, (double)round_to(p, x[i]) / (double)round_to(p, d));
  }
}

/* round(v) + zero, held within the integer type, into the output. Values are clamped first, so that adding and taking
 * 1.5 * 2^23 rounds them to even; NaN becomes the lowest value. */
static void quantize_integers(const quant_job *q, int64_t at, int64_t n, const float *v, const int64_t *zero,
                              int64_t step) {
  const float magic = 12582912.0f;
  int low, high;
  integer_range(q->y->dtype, &low, &high);
  int64_t out[ELEM_CHUNK];
  for (int64_t i = 0; i < n; i++) {
    int z = (int)zero[i * step];
    float least = (float)(low - z), most = (float)(high - z);
    float x = v[i] >= least ? v[i] : least;
    x = x > most ? most : x;
    out[i] = (int64_t)((x + magic) - magic) + z;
  }
  elem_store_i64(q->y->dtype, q->y->data, at, n, out);
}

/* The common case, one scale for the run and bytes out, by itself: it vectorises. */
static void quantize_bytes(const quant_job *q, int64_t at, int64_t n, const float *v, int zero) {
  const float magic = 12582912.0f;
  int low, high;
  integer_range(q->y->dtype, &low, &high);
  const float least = (float)(low - zero), most = (float)(high - zero);
  uint8_t *out = (uint8_t *)q->y->data + at;
  for (int64_t i = 0; i < n; i++) {
    float x = v[i] >= least ? v[i] : least;
    x = x > most ? most : x;
    out[i] = (uint8_t)((int)((x + magic) - magic) + zero);
  }
}

static void quantize_floats(const quant_job *q, int64_t at, int64_t n, float *v, const run *r, int64_t scale_at) {
  if (q->zero) {
    float zero[ELEM_CHUNK];
    elem_load_f32(q->zero->dtype, q->zero->data, scale_at, r->step ? n : 1, zero);
    for (int64_t i = 0; i < n; i++) v[i] += zero[i * r->step];
  }
  cast_store_f32(&q->options, q->y->dtype, q->y->data, at, n, v);
}

static void quantize_runs(void *arg, int64_t begin, int64_t end, int worker) {
  const quant_job *q = arg;
  bool bytes = q->y->dtype == LEDGE_U8 || q->y->dtype == LEDGE_I8, floats = dtype_is_float(q->y->dtype);
  for (int64_t k = begin; k < end; k++) {
    run r = layout_run(&q->l, k);
    float v[ELEM_CHUNK];
    int64_t zero[ELEM_CHUNK] = {0};
    for (int64_t i = 0, n; i < r.n; i += n) {
      n = r.n - i < ELEM_CHUNK ? r.n - i : ELEM_CHUNK;
      int64_t scale_at = r.scale + i * r.step;
      divide(q, r.at + i, n, &r, scale_at, v);
      if (floats) {
        quantize_floats(q, r.at + i, n, v, &r, scale_at);
        continue;
      }
      if (q->zero) elem_load_i64(q->zero->dtype, q->zero->data, scale_at, r.step ? n : 1, zero);
      if (bytes && !(q->zero && r.step))
        quantize_bytes(q, r.at + i, n, v, (int)zero[0]);
      else
        quantize_integers(q, r.at + i, n, v, zero, q->zero ? r.step : 0);
    }
  }
}

static ledge_status quantize_run(op_ctx *c) {
  quant_job q = {.x = op_in(c, 0), .scale = op_in(c, 1), .zero = op_in(c, 2), .y = op_out(c, 0)};
  if (!q.y || tensor_elements(q.x) == 0) return LEDGE_OK;
  TRY(layout_of(c, &q.l));
  q.options = (cast_options){.wrap_specials = op_int(c, "saturate", 1) == 0};
  q.precision = (ledge_dtype)op_int(c, "precision", 0);
  if (!q.precision) q.precision = q.scale->dtype;
  if (q.precision == LEDGE_I32) q.precision = LEDGE_F64;
  if (q.precision == LEDGE_F8E8M0) q.precision = LEDGE_F32;
  cast_clear_tail(q.y);
  bool packed = dtype_bytes(q.y->dtype) == 0; /* runs may share bytes */
  pool_run(packed ? NULL : c->pool, layout_runs(&q.l), 1 + 16384 / (layout_run(&q.l, 0).n + 1), quantize_runs, &q);
  return LEDGE_OK;
}

/* ---- DequantizeLinear ---- */

static ledge_status dequantize_infer(op_ctx *c) {
  TRY(elem_check(c, 0, QUANT_TYPES | DTYPE_BIT(LEDGE_I32)));
  TRY(elem_check(c, 1, DTYPES_FLOAT | DTYPE_BIT(LEDGE_F8E8M0)));
  TRY(elem_check_same(c, 2));
  const tensor *x = op_in(c, 0);
  int64_t out = op_int(c, "output_dtype", 0);
  if (!out) out = op_in(c, 1)->dtype;
  if (!dtype_is_valid(out) || !(DTYPE_BIT(out) & DTYPES_FLOAT))
    return op_fail(c, LEDGE_ERROR_ARGUMENT, "output_dtype is %lld, and has to be a float type of 16 bits or more",
                   (long long)out);
  layout l;
  TRY(layout_of(c, &l));
  return op_shape(c, 0, (ledge_dtype)out, x->rank, x->dims);
}

/* (x - zero) * s of a run with one scale: by type, so that it vectorises. */
#define DEQUANTIZE_CASE(D, T)                                                                         \
  case D:                                                                                             \
    for (int64_t i = 0; i < n; i++) v[i] = (float)((int32_t)((const T *)q->x->data)[at + i] - z) * s; \
    return true;
static bool dequantize_plain(const quant_job *q, int64_t at, int64_t n, int32_t z, float s, float *v) {
  switch (q->x->dtype) {
    DEQUANTIZE_CASE(LEDGE_U8, uint8_t)
    DEQUANTIZE_CASE(LEDGE_I8, int8_t)
    DEQUANTIZE_CASE(LEDGE_U16, uint16_t)
    DEQUANTIZE_CASE(LEDGE_I16, int16_t)
    default: return false;
  }
}

static void dequantize_chunk(const quant_job *q, int64_t at, int64_t n, const run *r, int64_t scale_at, float *v) {
  float s[ELEM_CHUNK];
  int64_t zero[ELEM_CHUNK] = {0}, zero_step = q->zero ? r->step : 0;
  elem_load_f32(q->scale->dtype, q->scale->data, scale_at, r->step ? n : 1, s);
  if (dtype_is_float(q->x->dtype)) {
    float zero_f[ELEM_CHUNK] = {0};
    elem_load_f32(q->x->dtype, q->x->data, at, n, v);
    if (q->zero) elem_load_f32(q->zero->dtype, q->zero->data, scale_at, r->step ? n : 1, zero_f);
    for (int64_t i = 0; i < n; i++) v[i] = (v[i] - zero_f[i * zero_step]) * s[i * r->step];
    return;
  }
  if (q->zero) elem_load_i64(q->zero->dtype, q->zero->data, scale_at, r->step ? n : 1, zero);
  if (!r->step && dequantize_plain(q, at, n, (int32_t)zero[0], s[0], v)) return;
  int64_t x[ELEM_CHUNK];
  elem_load_i64(q->x->dtype, q->x->data, at, n, x);
  for (int64_t i = 0; i < n; i++) v[i] = (float)(x[i] - zero[i * zero_step]) * s[i * r->step];
}

static void dequantize_runs(void *arg, int64_t begin, int64_t end, int worker) {
  const quant_job *q = arg;
  for (int64_t k = begin; k < end; k++) {
    run r = layout_run(&q->l, k);
    float v[ELEM_CHUNK];
    for (int64_t i = 0, n; i < r.n; i += n) {
      n = r.n - i < ELEM_CHUNK ? r.n - i : ELEM_CHUNK;
      dequantize_chunk(q, r.at + i, n, &r, r.scale + i * r.step, v);
      elem_store_f32(q->y->dtype, q->y->data, r.at + i, n, v);
    }
  }
}

static ledge_status dequantize_run(op_ctx *c) {
  quant_job q = {.x = op_in(c, 0), .scale = op_in(c, 1), .zero = op_in(c, 2), .y = op_out(c, 0)};
  if (!q.y || tensor_elements(q.x) == 0) return LEDGE_OK;
  TRY(layout_of(c, &q.l));
  pool_run(c->pool, layout_runs(&q.l), 1 + 16384 / (layout_run(&q.l, 0).n + 1), dequantize_runs, &q);
  return LEDGE_OK;
}

/* ---- DynamicQuantizeLinear ---- */

static ledge_status dynamic_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPE_BIT(LEDGE_F32)));
  const tensor *x = op_in(c, 0);
  TRY(op_shape(c, 0, LEDGE_U8, x->rank, x->dims));
  TRY(op_shape(c, 1, LEDGE_F32, 0, NULL));
  return op_shape(c, 2, LEDGE_U8, 0, NULL);
}

static ledge_status dynamic_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  const float *v = x->data;
  int64_t n = tensor_elements(x);
  float least = 0, most = 0;
  for (int64_t i = 0; i < n; i++) {
    least = v[i] < least ? v[i] : least;
    most = v[i] > most ? v[i] : most;
  }
  float scale = (most == least ? 1.0f : most - least) / 255.0f;
  float zero_f = 0 - least / scale;
  uint8_t zero = (uint8_t)rintf(zero_f >= 0 ? (zero_f > 255 ? 255 : zero_f) : 0);
  if (op_wants(c, 0)) {
    tensor s = {.dtype = LEDGE_F32, .data = &scale}, z = {.dtype = LEDGE_U8, .data = &zero};
    quant_job q = {.x = x, .scale = &s, .zero = &z, .y = op_out(c, 0), .precision = LEDGE_F32};
    q.l = (layout){.outer = 1, .dim = n, .inner = 1, .scales = 1, .block = 1, .per_axis = true};
    pool_run(c->pool, layout_runs(&q.l), 4, quantize_runs, &q);
  }
  if (op_wants(c, 1)) *(float *)op_out(c, 1)->data = scale;
  if (op_wants(c, 2)) *(uint8_t *)op_out(c, 2)->data = zero;
  return LEDGE_OK;
}

const op_def ops_quantize[] = {{"", "QuantizeLinear", 10, 0, 2, 3, 1, 1, 0, quantize_infer, quantize_run},
                               {"", "DequantizeLinear", 10, 0, 2, 3, 1, 1, 0, dequantize_infer, dequantize_run},
                               {"", "DynamicQuantizeLinear", 11, 0, 1, 1, 3, 3, 0, dynamic_infer, dynamic_run},
                               {0}};
