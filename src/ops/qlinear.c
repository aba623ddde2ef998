/* ops/qlinear: integer products with scales: MatMulInteger, QLinearMatMul, QLinearConv. Sums are exact in int64. Where
 * the output is of integers, the rescaling is what ONNX Runtime does, in float32: the sum times (x_scale * w_scale /
 * y_scale), rounded half to even and saturated; float8 is rescaled in double. */
#include "ops/fused.h"
#include "ops/real.h"
#include "ops/window.h"

#include <math.h>

static bool is_byte(const tensor *t) { return t->dtype == LEDGE_U8 || t->dtype == LEDGE_I8; }
static bool is_quantised(const tensor *t) {
  return is_byte(t) || t->dtype == LEDGE_F8E4M3FN || t->dtype == LEDGE_F8E4M3FNUZ || t->dtype == LEDGE_F8E5M2 ||
         t->dtype == LEDGE_F8E5M2FNUZ;
}

/* A parameter that is one number, or one for each of n. */
static ledge_status check_parameter(op_ctx *c, int i, int64_t n) {
  const tensor *t = op_in(c, i);
  int64_t count = t ? tensor_elements(t) : 1;
  if (count != 1 && count != n)
    return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has %lld numbers where 1 or %lld fit", i, (long long)count,
                   (long long)n);
  return LEDGE_OK;
}

static double parameter(const tensor *t, int64_t i, double otherwise) {
  return t ? tensor_f64(t, tensor_elements(t) == 1 ? 0 : i) : otherwise;
}

/* ---- products: b's zero point and scale may be by column, a's by row ---- */

typedef struct quant_matmul {
  const tensor *a, *b, *a_zero, *b_zero;
  fused_matmul s;
} quant_matmul;

static ledge_status quant_read(op_ctx *c, int a, int b, int a_zero, int b_zero, quant_matmul *q) {
  *q = (quant_matmul){op_in(c, a), op_in(c, b), op_in(c, a_zero), op_in(c, b_zero), {0}};
  if (!is_quantised(q->a)) return op_fail_dtype(c, a);
  if (!is_quantised(q->b)) return op_fail_dtype(c, b);
  if (q->a_zero && q->a_zero->dtype != q->a->dtype) return op_fail_dtype(c, a_zero);
  if (q->b_zero && q->b_zero->dtype != q->b->dtype) return op_fail_dtype(c, b_zero);
  TRY(fused_matmul_shape(c, q->a, q->b, false, &q->s));
  int64_t rows = q->a->rank > 1 ? q->a->dims[q->a->rank - 2] : 1;
  TRY(check_parameter(c, a_zero, rows));
  return check_parameter(c, b_zero, q->s.n);
}

/* The sum of element (i, j) of batch `batch`. */
static double quant_sum(const quant_matmul *q, int64_t at_a, int64_t at_b, int64_t i, int64_t j) {
  int64_t rows = q->a->rank > 1 ? q->a->dims[q->a->rank - 2] : 1;
  double az = parameter(q->a_zero, i % rows, 0), bz = parameter(q->b_zero, j, 0), sum = 0;
  for (int64_t k = 0; k < q->s.k; k++)
    sum += (tensor_f64(q->a, at_a + i * q->s.k + k) - az) * (tensor_f64(q->b, at_b + k * q->s.n + j) - bz);
  return sum;
}

static ledge_status matmulinteger_infer(op_ctx *c) {
  quant_matmul q;
  TRY(quant_read(c, 0, 1, 2, 3, &q));
  if (!is_byte(q.a) || !is_byte(q.b)) return op_fail_dtype(c, is_byte(q.a) ? 1 : 0);
  return op_shape(c, 0, LEDGE_I32, q.s.rank, q.s.dims);
}

static ledge_status matmulinteger_run(op_ctx *c) {
  quant_matmul q;
  TRY(quant_read(c, 0, 1, 2, 3, &q));
  int32_t *y = op_out(c, 0)->data;
  for (int64_t n = 0; n < q.s.n_batch; n++) {
    int64_t at_a, at_b;
    fused_matmul_offsets(&q.s, q.a, q.b, n, &at_a, &at_b);
    for (int64_t i = 0; i < q.s.m; i++)
      for (int64_t j = 0; j < q.s.n; j++) *y++ = (int32_t)(uint32_t)(int64_t)quant_sum(&q, at_a, at_b, i, j);
  }
  return LEDGE_OK;
}

static ledge_status qlinearmatmul_infer(op_ctx *c) {
  quant_matmul q;
  TRY(quant_read(c, 0, 3, 2, 5, &q));
  for (int i = 1; i <= 7; i++)
    if (i != 2 && i != 3 && i != 5 && i != 7 && !dtype_is_float(op_in(c, i)->dtype)) return op_fail_dtype(c, i);
  if (!is_quantised(op_in(c, 7))) return op_fail_dtype(c, 7);
  TRY(check_parameter(c, 1, q.a->rank > 1 ? q.a->dims[q.a->rank - 2] : 1));
  TRY(check_parameter(c, 4, q.s.n));
  TRY(check_parameter(c, 6, 1));
  TRY(check_parameter(c, 7, 1));
  return op_shape(c, 0, op_in(c, 7)->dtype, q.s.rank, q.s.dims);
}

/* Quantised types of integers round half to even; float8 keeps the value. */
static void quant_store(tensor *y, int64_t at, double v, double zero) {
  if (dtype_is_integer(y->dtype)) v = nearbyint(v);
  dtype_store_f64(y->dtype, y->data, at, v + zero);
}

static double rescale(double sum, double x_scale, double w_scale, double y_scale) {
  float scale = (float)x_scale * (float)w_scale / (float)y_scale;
  return (double)((float)sum * scale);
}

static ledge_status qlinearmatmul_run(op_ctx *c) {
  quant_matmul q;
  TRY(quant_read(c, 0, 3, 2, 5, &q));
  tensor *y = op_out(c, 0);
  const tensor *a_scale = op_in(c, 1), *b_scale = op_in(c, 4);
  double y_scale = tensor_f64(op_in(c, 6), 0), zero = tensor_f64(op_in(c, 7), 0);
  bool integers = dtype_is_integer(y->dtype);
  int64_t rows = q.a->rank > 1 ? q.a->dims[q.a->rank - 2] : 1, at = 0;
  for (int64_t n = 0; n < q.s.n_batch; n++) {
    int64_t at_a, at_b;
    fused_matmul_offsets(&q.s, q.a, q.b, n, &at_a, &at_b);
    for (int64_t i = 0; i < q.s.m; i++)
      for (int64_t j = 0; j < q.s.n; j++) {
        double sum = quant_sum(&q, at_a, at_b, i, j), as = parameter(a_scale, i % rows, 1),
               bs = parameter(b_scale, j, 1);
        quant_store(y, at++, integers ? rescale(sum, as, bs, y_scale) : sum * (as * bs / y_scale), zero);
      }
  }
  return LEDGE_OK;
}

/* ---- QLinearConv: x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias (int32) ---- */

typedef struct qconv_shape {
  window w;
  int64_t groups, in_group, out_group, channels_out;
} qconv_shape;

static ledge_status qconv_read(op_ctx *c, qconv_shape *s) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 3), *bias = op_in(c, 8);
  if (!is_byte(x)) return op_fail_dtype(c, 0);
  if (!is_byte(w)) return op_fail_dtype(c, 3);
  if (!is_byte(op_in(c, 7))) return op_fail_dtype(c, 7);
  if (op_in(c, 2)->dtype != x->dtype) return op_fail_dtype(c, 2);
  if (op_in(c, 5)->dtype != w->dtype) return op_fail_dtype(c, 5);
  for (int i = 1; i <= 6; i += i == 1 ? 3 : 2)
    if (!dtype_is_float(op_in(c, i)->dtype)) return op_fail_dtype(c, i);
  if (x->rank < 3 || x->rank != w->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input and the weights have ranks %d and %d", x->rank, w->rank);
  TRY(window_read(c, x->rank - 2, x->dims + 2, w->dims + 2, false, &s->w));
  s->groups = op_int(c, "group", 1);
  s->in_group = w->dims[1];
  s->channels_out = w->dims[0];
  if (s->groups < 1 || x->dims[1] % s->groups || x->dims[1] / s->groups != s->in_group || s->channels_out % s->groups)
    return op_fail(c, LEDGE_ERROR_SHAPE, "channels, groups and weights do not fit");
  s->out_group = s->channels_out / s->groups;
  static const int scalars[] = {1, 2, 6, 7};
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) TRY(check_parameter(c, scalars[i], 1));
  TRY(check_parameter(c, 4, s->channels_out));
  TRY(check_parameter(c, 5, s->channels_out));
  if (bias && (bias->dtype != LEDGE_I32 || tensor_elements(bias) != s->channels_out))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the bias is not one int32 a channel");
  return LEDGE_OK;
}

static ledge_status qconv_infer(op_ctx *c) {
  qconv_shape s;
  TRY(qconv_read(c, &s));
  int64_t dims[LEDGE_MAX_RANK] = {op_in(c, 0)->dims[0], s.channels_out};
  for (int i = 0; i < s.w.rank; i++) dims[i + 2] = s.w.out[i];
  return op_shape(c, 0, op_in(c, 7)->dtype, s.w.rank + 2, dims);
}

static ledge_status qconv_run(op_ctx *c) {
  qconv_shape s;
  TRY(qconv_read(c, &s));
  const tensor *x = op_in(c, 0), *w = op_in(c, 3), *bias = op_in(c, 8);
  tensor *y = op_out(c, 0);
  int64_t in_span = shape_elements(s.w.rank, s.w.in), out_span = shape_elements(s.w.rank, s.w.out),
          taps = shape_elements(s.w.rank, s.w.kernel);
  int64_t o[WINDOW_MAX] = {0}, k[WINDOW_MAX], x_zero = tensor_i64(op_in(c, 2), 0);
  double x_scale = tensor_f64(op_in(c, 1), 0), y_scale = tensor_f64(op_in(c, 6), 0),
         y_zero = tensor_f64(op_in(c, 7), 0);
  int64_t *from = op_scratch(c, (size_t)taps, sizeof *from); /* where each tap reads in its plane, -1 outside */
  if (!from) return LEDGE_ERROR_MEMORY;
  for (int64_t at = 0; at < out_span; at++) {
    memset(k, 0, sizeof k);
    for (int64_t t = 0; t < taps; t++) {
      int64_t place = 0;
      for (int i = 0; i < s.w.rank && place >= 0; i++) {
        int64_t p = o[i] * s.w.stride[i] - s.w.pad_begin[i] + k[i] * s.w.dilation[i];
        place = p < 0 || p >= s.w.in[i] ? -1 : place * s.w.in[i] + p;
      }
      from[t] = place;
      for (int i = s.w.rank - 1; i >= 0 && ++k[i] == s.w.kernel[i]; i--) k[i] = 0;
    }
    for (int64_t b = 0; b < x->dims[0]; b++)
      for (int64_t m = 0; m < s.channels_out; m++) {
        int64_t sum = bias ? tensor_i64(bias, m) : 0, w_zero = (int64_t)parameter(op_in(c, 5), m, 0);
        for (int64_t i = 0; i < s.in_group; i++) {
          int64_t plane = (b * x->dims[1] + m / s.out_group * s.in_group + i) * in_span,
                  row = (m * s.in_group + i) * taps;
          for (int64_t t = 0; t < taps; t++)
            if (from[t] >= 0) sum += (tensor_i64(x, plane + from[t]) - x_zero) * (tensor_i64(w, row + t) - w_zero);
        }
        quant_store(y, (b * s.channels_out + m) * out_span + at,
                    rescale((double)sum, x_scale, parameter(op_in(c, 4), m, 1), y_scale), y_zero);
      }
    for (int i = s.w.rank - 1; i >= 0 && ++o[i] == s.w.out[i]; i--) o[i] = 0;
  }
  op_scratch_free(from);
  return LEDGE_OK;
}

const op_def ops_qlinear[] = {
    {"", "MatMulInteger", 10, 0, 2, 4, 1, 1, 0, matmulinteger_infer, matmulinteger_run},
    {"", "QLinearMatMul", 10, 0, 8, 8, 1, 1, 0, qlinearmatmul_infer, qlinearmatmul_run},
    {"", "QLinearConv", 10, 0, 8, 9, 1, 1, 0, qconv_infer, qconv_run},
    {0},
};
