/* backend/cpu/tflite: integer operators of domain tflite whose weights are constants, on the 8-bit kernels: exact sums
 * (gemm_i8, qlinear) and fixed-point factors (fixed). What stays with the references: 16 bits, weights that change. */
#include "ops/tflite.h"
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/qlinear/qlinear.h"

static bool is_byte(const tensor *t) { return t && (t->dtype == LEDGE_U8 || t->dtype == LEDGE_I8); }
static bool is_signed(const tensor *t) { return t->dtype == LEDGE_I8; }

typedef struct sums_state {
  qlinear_conv_plan plan; /* of a convolution */
  gemm_i8_b b;            /* of a product */
  int64_t rows;
  const void *packed;
  tflite_sums s;
  int32_t *m, *shift;
  fixed_columns columns; /* but for the bias */
} sums_state;

static const int32_t *bias_of(const op_ctx *c) {
  const tensor *b = op_in(c, 2);
  return b ? b->data : NULL;
}

/* Bytes in and out, constant weights, int32 biases: else the reference runs. */
static bool sums_fit(const kernel_request *r) {
  const op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *b = op_in(c, 2), *y = op_out(c, 0);
  return is_byte(x) && is_byte(w) && is_byte(y) && cpu_constant(r, 1) && (!b || b->dtype == LEDGE_I32) &&
         tensor_elements(x) && tensor_elements(w) && tensor_elements(y);
}

static ledge_status sums_make(const kernel_request *r, int64_t outs, sums_state **ret, ledge_error *error) {
  sums_state *s = cpu_state(r, sizeof *s, error);
  int32_t *factors = s ? cpu_state(r, (size_t)outs * 2 * sizeof *factors, error) : NULL;
  if (!factors) return LEDGE_ERROR_MEMORY;
  *s = (sums_state){.m = factors, .shift = factors + outs};
  TRY(tflite_sums_read(r->ctx, outs, &s->s, s->m, s->shift));
  s->columns = (fixed_columns){.m = s->m, .shift = s->shift, .zero = s->s.y_zero, .min = s->s.y_min, .max = s->s.y_max};
  *ret = s;
  return LEDGE_OK;
}

/* The zero point in the weights' own type. */
static uint8_t zero_byte(const sums_state *s) { return (uint8_t)s->s.w_zero; }

/* ---- Conv ---- */

typedef struct pack_args {
  const sums_state *s;
  const tensor *w;
  void *temp;
} pack_args;

static void conv_pack(const void *arg, void *dst) {
  const pack_args *a = arg;
  uint8_t zero = zero_byte(a->s);
  qlinear_conv_pack(&a->s->plan, a->w->data, &zero, 1, dst, a->temp);
}

static ledge_status conv_run(op_ctx *c) {
  const sums_state *s = c->kernel;
  fixed_columns f = s->columns;
  f.bias = bias_of(c);
  qlinear_conv_run_fixed(&s->plan, op_in(c, 0)->data, s->packed, &f, op_out(c, 0)->data, c->scratch, c->pool);
  return LEDGE_OK;
}

static ledge_status conv_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *w = op_in(c, 1);
  window win;
  sums_state *s = NULL;
  if (!sums_fit(r)) return LEDGE_OK;
  qlinear_conv_params p = {.batch = x->dims[0],
                           .channels_in = x->dims[x->rank - 1],
                           .channels_out = w->dims[0],
                           .rank = x->rank - 2,
                           .channels_last = true,
                           .x_signed = is_signed(x),
                           .w_signed = is_signed(w),
                           .y_signed = is_signed(x),
                           .threads = r->threads};
  TRY(tflite_conv_read(c, &win, &p.groups));
  for (int i = 0; i < p.rank; i++) {
    p.in[i] = win.in[i], p.out[i] = win.out[i], p.kernel[i] = win.kernel[i];
    p.stride[i] = win.stride[i], p.dilation[i] = win.dilation[i], p.pad_begin[i] = win.pad_begin[i];
  }
  TRY(sums_make(r, w->dims[0], &s, error));
  p.x_zero = s->s.x_zero, p.y_zero = s->s.y_zero;
  if (!qlinear_conv_plan_init(&s->plan, &p)) return LEDGE_OK;
  const int64_t key[] = {
      s->plan.taps, p.channels_in, p.channels_out, p.groups, p.w_signed, s->plan.depthwise ? p.x_zero : 0, s->s.w_zero};
  void *temp = mem_alloc(s->plan.temp_bytes);
  if (!temp) return error_memory(error, s->plan.temp_bytes, "packing weights");
  const pack_args args = {s, w, temp};
  const weight_packing packing = {.kind = s->plan.depthwise ? "tflite_conv_depthwise" : "tflite_conv",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = s->plan.gemm,
                                  .bytes = s->plan.packed_bytes,
                                  .pack = conv_pack,
                                  .arg = &args};
  ledge_status status = weight_store_pack(r->weights, w, &packing, &s->packed, error);
  mem_free(temp);
  if (status) return status;
  double n = (double)p.batch * (double)p.channels_out * (double)s->plan.k * (double)s->plan.out_span;
  *ret = (kernel){conv_run, s, s->plan.scratch_bytes, s->plan.depthwise ? "qconv depthwise" : "qconv gemm_i8", n};
  return LEDGE_OK;
}

/* ---- FullyConnected ---- */

static void product_pack(const void *arg, void *dst) {
  const pack_args *a = arg;
  uint8_t zero = zero_byte(a->s);
  (void)gemm_i8_pack(a->s->b.kernels, a->s->b.k, a->s->b.n, a->w->data, 1, a->s->b.k, is_signed(a->w), &zero, 1, dst);
}

static ledge_status product_run(op_ctx *c) {
  const sums_state *s = c->kernel;
  const tensor *x = op_in(c, 0);
  fixed_columns f = s->columns;
  f.bias = bias_of(c);
  gemm_i8(s->rows, x->data, s->b.k, is_signed(x), s->s.x_zero, &s->b, c->scratch, s->b.n, c->pool);
  fixed_requantize(c->scratch, s->b.n, op_out(c, 0)->data, s->b.n, s->rows, s->b.n, &f);
  return LEDGE_OK;
}

static ledge_status product_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  const tensor *x = op_in(r->ctx, 0), *w = op_in(r->ctx, 1);
  sums_state *s = NULL;
  size_t scratch;
  if (!sums_fit(r)) return LEDGE_OK;
  int64_t n = w->dims[0], k = w->dims[1];
  TRY(sums_make(r, n, &s, error));
  s->rows = tensor_elements(x) / k;
  const gemm_i8_kernels *kernels = gemm_i8_choose();
  size_t bytes = gemm_i8_packed_bytes(kernels, k, n);
  if (bytes > SIZE_MAX / 4 || __builtin_mul_overflow((size_t)s->rows, (size_t)n * sizeof(int32_t), &scratch))
    return LEDGE_OK;
  s->b = (gemm_i8_b){kernels, NULL, k, n};
  const int64_t key[] = {k, n, is_signed(w), s->s.w_zero};
  const pack_args args = {s, w, NULL};
  const weight_packing packing = {.kind = "tflite_product",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = kernels,
                                  .bytes = bytes,
                                  .pack = product_pack,
                                  .arg = &args};
  TRY(weight_store_pack(r->weights, w, &packing, &s->b.packed, error));
  *ret = (kernel){product_run, s, scratch, "gemm_i8", (double)s->rows * (double)n * (double)k};
  return LEDGE_OK;
}

/* ---- Add, Sub of two tensors of one shape ---- */

static ledge_status sum_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  fixed_add(c->kernel, op_in(c, 0)->data, op_in(c, 1)->data, y->data, tensor_elements(y), is_signed(y), c->pool);
  return LEDGE_OK;
}

static ledge_status sum_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *a = op_in(c, 0), *b = op_in(c, 1), *y = op_out(c, 0);
  if (!is_byte(a) || !is_byte(y) || tensor_elements(a) != tensor_elements(y) ||
      tensor_elements(b) != tensor_elements(y))
    return LEDGE_OK;
  fixed_sum *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  tflite_sum_read(c, a->dtype, !strcmp(c->node->op, "Sub"), s);
  *ret = (kernel){sum_run, s, 0, "fixed add", 0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_tflite[] = {
    {"tflite", "Conv", conv_prepare},
    {"tflite", "FullyConnected", product_prepare},
    {"tflite", "Add", sum_prepare},
    {"tflite", "Sub", sum_prepare},
    {0},
};
