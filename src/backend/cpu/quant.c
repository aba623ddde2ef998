/* backend/cpu/quant: products, convolutions and sums of 8-bit numbers whose scales and zero points are constants;
 * constant weights are packed once a model. The float32 arithmetic of the scales is the references': (x_scale *
 * w_scale) / y_scale. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/qlinear/qlinear.h"
#include "kernels/quantize/quantize.h"
#include "ops/fused.h"
#include "ops/window.h"

static bool is_byte(const tensor *t) { return t && (t->dtype == LEDGE_U8 || t->dtype == LEDGE_I8); }
static bool is_signed(const tensor *t) { return t->dtype == LEDGE_I8; }

/* Input i is absent, or a constant of `dtype` with 1 or n numbers. */
static bool parameter_fits(const kernel_request *r, int i, ledge_dtype dtype, int64_t n) {
  const tensor *t = op_in(r->ctx, i);
  if (!t) return !op_has(r->ctx, i);
  return cpu_constant(r, i) && t->dtype == dtype && (tensor_elements(t) == 1 || tensor_elements(t) == n);
}
static bool scale_fits(const kernel_request *r, int i, int64_t n) {
  return op_in(r->ctx, i) && parameter_fits(r, i, LEDGE_F32, n);
}
static int32_t zero_of(const tensor *t) { return t ? (int32_t)tensor_i64(t, 0) : 0; }

/* x_scale * w_scale[j] / y_scale for j < n, in the request's arena. */
static float *multipliers(const kernel_request *r, int x, int w, int y, int64_t n, ledge_error *error) {
  const float *xs = cpu_f32(op_in(r->ctx, x)), *ws = cpu_f32(op_in(r->ctx, w)), *ys = cpu_f32(op_in(r->ctx, y));
  float *m = cpu_state(r, (size_t)n * sizeof *m, error);
  bool one = tensor_elements(op_in(r->ctx, w)) == 1;
  for (int64_t j = 0; m && j < n; j++) m[j] = xs[0] * ws[one ? 0 : j] / ys[0];
  return m;
}

/* ---- QLinearConv of both domains, ConvInteger ---- */

typedef struct qconv_state {
  qlinear_conv_plan plan;
  const void *packed;
  const float *multiplier;
  int bias; /* the input that holds it */
} qconv_state;

typedef struct qconv_pack_args {
  const qlinear_conv_plan *plan;
  const void *w;
  const tensor *w_zero;
  void *temp;
} qconv_pack_args;

static void qconv_pack(const void *arg, void *dst) {
  const qconv_pack_args *a = arg;
  qlinear_conv_pack(a->plan, a->w, a->w_zero ? a->w_zero->data : NULL, a->w_zero ? tensor_elements(a->w_zero) : 1, dst,
                    a->temp);
}

static ledge_status qconv_run(op_ctx *c) {
  const qconv_state *s = c->kernel;
  const tensor *bias = s->bias ? op_in(c, s->bias) : NULL;
  qlinear_conv_run(&s->plan, op_in(c, 0)->data, s->packed, bias ? bias->data : NULL, s->multiplier, op_out(c, 0)->data,
                   c->scratch, c->pool);
  return LEDGE_OK;
}

/* The shapes; false where x, w and y do not fit each other as the operator's infer has them. */
static ledge_status qconv_params(const kernel_request *r, int w_at, qlinear_conv_params *p, bool *ret_fits) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *w = op_in(c, w_at), *y = op_out(c, 0);
  *ret_fits = false;
  if (x->rank < 3 || x->rank > 2 + QLINEAR_CONV_RANK || w->rank != x->rank || y->rank != x->rank) return LEDGE_OK;
  bool last = op_int(c, "channels_last", 0) != 0;
  window win;
  *p = (qlinear_conv_params){.batch = x->dims[0],
                             .channels_in = x->dims[last ? x->rank - 1 : 1],
                             .channels_out = w->dims[0],
                             .groups = op_int(c, "group", 1),
                             .rank = x->rank - 2,
                             .channels_last = last,
                             .x_signed = is_signed(x),
                             .w_signed = is_signed(w),
                             .y_signed = is_signed(y),
                             .threads = r->threads};
  TRY(window_read(c, p->rank, x->dims + (last ? 1 : 2), w->dims + 2, false, &win));
  if (p->groups < 1 || p->channels_in != w->dims[1] * p->groups || p->channels_out % p->groups) return LEDGE_OK;
  for (int i = 0; i < p->rank; i++) {
    if (win.kernel[i] != w->dims[2 + i]) return LEDGE_OK;
    p->in[i] = win.in[i], p->out[i] = win.out[i], p->kernel[i] = win.kernel[i];
    p->stride[i] = win.stride[i], p->dilation[i] = win.dilation[i], p->pad_begin[i] = win.pad_begin[i];
  }
  *ret_fits = true;
  return LEDGE_OK;
}

static ledge_status qconv_finish(const kernel_request *r, qconv_state *s, const qlinear_conv_params *p, int w_at,
                                 int w_zero_at, kernel *ret, ledge_error *error) {
  if (!qlinear_conv_plan_init(&s->plan, p)) return LEDGE_OK;
  const tensor *w = op_in(r->ctx, w_at), *w_zero = op_in(r->ctx, w_zero_at);
  const int64_t key[] = {s->plan.taps, p->channels_in, p->channels_out,
                         p->groups,    p->w_signed,    s->plan.depthwise ? p->x_zero : 0};
  void *temp = mem_alloc(s->plan.temp_bytes);
  if (!temp) return error_memory(error, s->plan.temp_bytes, "packing weights");
  const qconv_pack_args args = {&s->plan, w->data, w_zero, temp};
  const weight_packing packing = {.kind = s->plan.depthwise ? "qlinear_conv_depthwise" : "qlinear_conv",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = s->plan.gemm,
                                  .with = {w_zero},
                                  .bytes = s->plan.packed_bytes,
                                  .pack = qconv_pack,
                                  .arg = &args};
  ledge_status status = weight_store_pack(r->weights, w, &packing, &s->packed, error);
  mem_free(temp);
  if (status) return status;
  double n = (double)p->batch * (double)p->channels_out * (double)s->plan.k * (double)s->plan.out_span;
  *ret = (kernel){qconv_run, s, s->plan.scratch_bytes, s->plan.depthwise ? "qconv depthwise" : "qconv gemm_i8", n};
  return LEDGE_OK;
}

/* x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias */
static ledge_status qconv_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *w = op_in(c, 3), *y = op_out(c, 0), *bias = op_in(c, 8);
  if (!is_byte(x) || !is_byte(w) || !y || !is_byte(y) || !cpu_constant(r, 3) || w->rank < 3) return LEDGE_OK;
  int64_t n = w->dims[0];
  if (!scale_fits(r, 1, 1) || !scale_fits(r, 4, n) || !scale_fits(r, 6, 1) || !parameter_fits(r, 2, x->dtype, 1) ||
      !parameter_fits(r, 5, w->dtype, n) || !parameter_fits(r, 7, y->dtype, 1))
    return LEDGE_OK;
  if (bias ? !cpu_constant(r, 8) || bias->dtype != LEDGE_I32 || tensor_elements(bias) != n : op_has(c, 8))
    return LEDGE_OK;
  qlinear_conv_params p;
  bool fits;
  TRY(qconv_params(r, 3, &p, &fits));
  if (!fits) return LEDGE_OK;
  p.x_zero = zero_of(op_in(c, 2)), p.y_zero = zero_of(op_in(c, 7));
  qconv_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (qconv_state){.bias = 8, .multiplier = multipliers(r, 1, 4, 6, n, error)};
  if (!s->multiplier) return LEDGE_ERROR_MEMORY;
  return qconv_finish(r, s, &p, 3, 5, ret, error);
}

/* x, w, x_zero, w_zero */
static ledge_status convinteger_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *y = op_out(c, 0);
  if (!is_byte(x) || !is_byte(w) || !y || y->dtype != LEDGE_I32 || !cpu_constant(r, 1) || w->rank < 3) return LEDGE_OK;
  if (!parameter_fits(r, 2, x->dtype, 1) || !parameter_fits(r, 3, w->dtype, w->dims[0])) return LEDGE_OK;
  qlinear_conv_params p;
  bool fits;
  TRY(qconv_params(r, 1, &p, &fits));
  if (!fits) return LEDGE_OK;
  p.x_zero = zero_of(op_in(c, 2));
  p.sums = true;
  qconv_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (qconv_state){0};
  return qconv_finish(r, s, &p, 1, 3, ret, error);
}

/* ---- QLinearMatMul, MatMulInteger ---- */

typedef struct qmatmul_state {
  const gemm_i8_kernels *gemm;
  fused_matmul shape;
  const void *packed;      /* NULL: b is packed in the run, in front of the scratch */
  const float *multiplier; /* NULL: y is the sums */
  int b, a_zero, b_zero;   /* inputs */
  int32_t y_zero;
  size_t packed_bytes;
  const int64_t *a_offsets, *b_offsets; /* by batch */
} qmatmul_state;

typedef struct qmatmul_pack_args {
  const qmatmul_state *s;
  const tensor *b, *b_zero;
} qmatmul_pack_args;

static gemm_i8_b qmatmul_pack_b(const qmatmul_state *s, const tensor *b, int64_t offset, const tensor *b_zero,
                                void *to) {
  return gemm_i8_pack(s->gemm, s->shape.k, s->shape.n, (const char *)b->data + offset, s->shape.n, 1, is_signed(b),
                      b_zero ? b_zero->data : NULL, b_zero ? tensor_elements(b_zero) : 1, to);
}

static void qmatmul_pack(const void *arg, void *dst) {
  const qmatmul_pack_args *a = arg;
  (void)qmatmul_pack_b(a->s, a->b, 0, a->b_zero, dst);
}

static ledge_status qmatmul_run(op_ctx *c) {
  const qmatmul_state *s = c->kernel;
  const tensor *a = op_in(c, 0), *b = op_in(c, s->b), *b_zero = op_in(c, s->b_zero);
  tensor *y = op_out(c, 0);
  int64_t m = s->shape.m, n = s->shape.n;
  char *scratch = c->scratch;
  for (int64_t i = 0; i < s->shape.n_batch; i++) {
    gemm_i8_b packed = {s->gemm, s->packed, s->shape.k, n};
    if (!s->packed) packed = qmatmul_pack_b(s, b, s->b_offsets[i], b_zero, scratch);
    int32_t *sums = s->multiplier ? (int32_t *)(void *)(scratch + (s->packed ? 0 : s->packed_bytes))
                                  : (int32_t *)y->data + i * m * n;
    gemm_i8(m, (const char *)a->data + s->a_offsets[i], s->shape.k, is_signed(a), zero_of(op_in(c, s->a_zero)), &packed,
            sums, n, c->pool);
    if (s->multiplier)
      quantize_requantize(sums, n, (char *)y->data + i * m * n, n, m, n, NULL, s->multiplier, s->y_zero, is_signed(y),
                          c->pool);
  }
  return LEDGE_OK;
}

/* A zero point may come with the run, as a dynamic quantisation's does: only its shape must be known. */
static bool zero_fits(const kernel_request *r, int i, const tensor *of, int64_t n) {
  const tensor *t = op_in(r->ctx, i);
  if (!t) return !op_has(r->ctx, i);
  return t->dtype == of->dtype && (tensor_elements(t) == 1 || tensor_elements(t) == n);
}

static ledge_status qmatmul_finish(const kernel_request *r, qmatmul_state *s, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *a = op_in(c, 0), *b = op_in(c, s->b), *b_zero = op_in(c, s->b_zero);
  s->gemm = gemm_i8_choose();
  s->packed_bytes = gemm_i8_packed_bytes(s->gemm, s->shape.k, s->shape.n);
  size_t sums = 0;
  if (s->packed_bytes > SIZE_MAX / 4 || __builtin_mul_overflow((size_t)s->shape.m, (size_t)s->shape.n * 4, &sums) ||
      sums > SIZE_MAX / 4)
    return LEDGE_OK;
  s->packed_bytes = (s->packed_bytes + 63) & ~(size_t)63;
  int64_t *offsets = cpu_state(r, (size_t)s->shape.n_batch * 2 * sizeof *offsets, error);
  if (!offsets) return LEDGE_ERROR_MEMORY;
  s->a_offsets = offsets, s->b_offsets = offsets + s->shape.n_batch;
  for (int64_t i = 0; i < s->shape.n_batch; i++)
    fused_matmul_offsets(&s->shape, a, b, i, &offsets[i], &offsets[s->shape.n_batch + i]);
  if (cpu_constant(r, s->b) && (!b_zero || cpu_constant(r, s->b_zero)) && s->shape.n_batch == 1) {
    const int64_t key[] = {s->shape.k, s->shape.n, is_signed(b)};
    const qmatmul_pack_args args = {s, b, b_zero};
    const weight_packing packing = {.kind = "gemm_i8",
                                    .params = key,
                                    .n_params = sizeof key / sizeof *key,
                                    .variant = s->gemm,
                                    .with = {b_zero},
                                    .bytes = s->packed_bytes,
                                    .pack = qmatmul_pack,
                                    .arg = &args};
    TRY(weight_store_pack(r->weights, b, &packing, &s->packed, error));
  }
  size_t scratch = (s->packed ? 0 : s->packed_bytes) + (s->multiplier ? sums : 0);
  *ret = (kernel){qmatmul_run, s, scratch, "gemm_i8",
                  (double)s->shape.n_batch * (double)s->shape.m * (double)s->shape.n * (double)s->shape.k};
  return LEDGE_OK;
}

/* a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero */
static ledge_status qlinearmatmul_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *a = op_in(c, 0), *b = op_in(c, 3), *y = op_out(c, 0);
  if (!is_byte(a) || !is_byte(b) || !y || !is_byte(y) || !tensor_elements(a) || !tensor_elements(b)) return LEDGE_OK;
  qmatmul_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (qmatmul_state){.b = 3, .a_zero = 2, .b_zero = 5, .y_zero = 0};
  TRY(fused_matmul_shape(c, a, b, false, &s->shape));
  int64_t n = s->shape.n;
  if (!scale_fits(r, 1, 1) || !scale_fits(r, 4, n) || !scale_fits(r, 6, 1) || !zero_fits(r, 2, a, 1) ||
      !zero_fits(r, 5, b, n) || !parameter_fits(r, 7, y->dtype, 1))
    return LEDGE_OK;
  s->y_zero = zero_of(op_in(c, 7));
  s->multiplier = multipliers(r, 1, 4, 6, n, error);
  if (!s->multiplier) return LEDGE_ERROR_MEMORY;
  return qmatmul_finish(r, s, ret, error);
}

/* a, b, a_zero, b_zero */
static ledge_status matmulinteger_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  if (!is_byte(a) || !is_byte(b) || !op_out(c, 0) || !tensor_elements(a) || !tensor_elements(b)) return LEDGE_OK;
  qmatmul_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (qmatmul_state){.b = 1, .a_zero = 2, .b_zero = 3};
  TRY(fused_matmul_shape(c, a, b, false, &s->shape));
  if (!zero_fits(r, 2, a, 1) || !zero_fits(r, 3, b, s->shape.n)) return LEDGE_OK;
  return qmatmul_finish(r, s, ret, error);
}

/* ---- QLinearAdd of two tensors of one shape: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero ---- */

static ledge_status qadd_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  qlinear_add(c->kernel, op_in(c, 0)->data, op_in(c, 3)->data, y->data, tensor_elements(y), c->pool);
  return LEDGE_OK;
}

static ledge_status qadd_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *a = op_in(c, 0), *b = op_in(c, 3), *y = op_out(c, 0);
  if (!is_byte(a) || !is_byte(b) || !y || a->dtype != b->dtype || y->dtype != a->dtype) return LEDGE_OK;
  if (tensor_elements(a) != tensor_elements(b) || tensor_elements(a) != tensor_elements(y)) return LEDGE_OK;
  for (int i = 0; i < 3; i++)
    if (!scale_fits(r, 1 + i * 3 - (i == 2), 1) || !parameter_fits(r, 2 + i * 3 - (i == 2), a->dtype, 1))
      return LEDGE_OK;
  qlinear_add_params *p = cpu_state(r, sizeof *p, error);
  if (!p) return LEDGE_ERROR_MEMORY;
  *p = qlinear_add_prepare(*cpu_f32(op_in(c, 1)), zero_of(op_in(c, 2)), *cpu_f32(op_in(c, 4)), zero_of(op_in(c, 5)),
                           *cpu_f32(op_in(c, 6)), zero_of(op_in(c, 7)), is_signed(a));
  *ret = (kernel){qadd_run, p, 0, "qlinear add", 0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_quant[] = {
    {"", "QLinearConv", qconv_prepare},
    {"com.microsoft", "QLinearConv", qconv_prepare},
    {"", "ConvInteger", convinteger_prepare},
    {"", "QLinearMatMul", qlinearmatmul_prepare},
    {"", "MatMulInteger", matmulinteger_prepare},
    {"com.microsoft", "QLinearAdd", qadd_prepare},
    {0},
};
