/* ops/contrib_quant: the quantised operators of domain com.microsoft that ONNX Runtime's quantiser writes. Those on 8
 * bits are computed as what they stand for: dequantise, the standard operator in float32, quantise; one step of the
 * output is within what the kernels of ONNX Runtime differ among themselves. Source: docs/ContribOperators.md of ONNX
 * Runtime. */
#include "kernels/qlinear/qlinear.h"
#include "ops/attend.h"
#include "ops/move_util.h"
#include "ops/steps.h"

#include <math.h>

#define MS "com.microsoft"

static bool is_byte(ledge_dtype d) { return d == LEDGE_U8 || d == LEDGE_I8; }

/* ---- from and to 8 bits, one scale a tensor ---- */

/* Inputs x, x + 1 and x + 2 (optional) are the data, the scale and the zero point. */
static const value *unquantize(steps *s, int x, int axis) {
  steps_need(s, x);
  steps_need(s, x + 1);
  return STEP(s, "DequantizeLinear", 21, ATTRS(ATTR_I("axis", axis)), steps_in(s, x), steps_in(s, x + 1),
              steps_in(s, x + 2));
}

/* v by the scale `scale` and the zero point behind it becomes output 0; without a zero point it is `otherwise`. */
static void requantize(steps *s, const value *v, int scale, ledge_dtype otherwise) {
  steps_need(s, scale);
  const value *zero = steps_in(s, scale + 1);
  const attr to[] = {ATTR_I("output_dtype", otherwise), {0}};
  steps_out(s, 0, STEP(s, "QuantizeLinear", 21, zero ? ATTRS({0}) : to, v, steps_in(s, scale), zero), LEDGE_DTYPE_NONE);
}

static void quantized_binary(steps *s, const char *op) {
  const value *a = unquantize(s, 0, 0), *b = unquantize(s, 3, 0);
  requantize(s, STEP(s, op, 23, ATTRS({0}), a, b), 6, op_in(s->c, 0)->dtype);
}
static void quantized_add(steps *s) { quantized_binary(s, "Add"); }
static ledge_status quantized_add_infer(op_ctx *c) { return steps_do(c, false, quantized_add); }

static int32_t number_of(const tensor *zero) { return zero ? (int32_t)tensor_i64(zero, 0) : 0; }

/* On bytes with one scale a tensor, to the bit what ONNX Runtime gives: ties are those of the sum with the zero point.
 */
static ledge_status quantized_add_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 3);
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  bool plain = is_byte(a->dtype) && b->dtype == a->dtype && y->dtype == a->dtype && y->rank <= LEDGE_MAX_RANK;
  for (int i = 1; plain && i <= 7; i++)
    plain = i == 3 || (op_in(c, i) ? tensor_elements(op_in(c, i)) == 1 &&
                                         (i == 2 || i == 5 || i == 7 || op_in(c, i)->dtype == LEDGE_F32)
                                   : i == 2 || i == 5 || i == 7);
  if (!plain) return steps_do(c, true, quantized_add);
  const float *a_scale = op_in(c, 1)->data, *b_scale = op_in(c, 4)->data, *y_scale = op_in(c, 6)->data;
  qlinear_add_params p = qlinear_add_prepare(*a_scale, number_of(op_in(c, 2)), *b_scale, number_of(op_in(c, 5)),
                                             *y_scale, number_of(op_in(c, 7)), a->dtype == LEDGE_I8);
  int64_t steps_a[LEDGE_MAX_RANK] = {0}, steps_b[LEDGE_MAX_RANK] = {0}, at[LEDGE_MAX_RANK] = {0};
  const tensor *from[2] = {a, b};
  int64_t *to[2] = {steps_a, steps_b};
  for (int k = 0; k < 2; k++) {
    int64_t step = 1;
    for (int d = from[k]->rank - 1; d >= 0; step *= from[k]->dims[d--])
      to[k][d + y->rank - from[k]->rank] = from[k]->dims[d] == 1 ? 0 : step;
  }
  int64_t n = tensor_elements(y), ia = 0, ib = 0;
  for (int64_t i = 0; i < n; i++) {
    qlinear_add_ref(&p, (const uint8_t *)a->data + ia, (const uint8_t *)b->data + ib, (uint8_t *)y->data + i, 1);
    for (int d = y->rank - 1; d >= 0; d--) {
      ia += steps_a[d], ib += steps_b[d];
      if (++at[d] < y->dims[d]) break;
      ia -= steps_a[d] * at[d], ib -= steps_b[d] * at[d];
      at[d] = 0;
    }
  }
  return LEDGE_OK;
}

static void quantized_mul(steps *s) { quantized_binary(s, "Mul"); }
STEPS_ROW(quantized_mul)

static void quantized_sigmoid(steps *s) {
  requantize(s, STEP(s, "Sigmoid", 23, ATTRS({0}), unquantize(s, 0, 0)), 3, op_in(s->c, 0)->dtype);
}
STEPS_ROW(quantized_sigmoid)

static void quantized_leaky_relu(steps *s) {
  requantize(s, STEP(s, "LeakyRelu", 23, NULL, unquantize(s, 0, 0)), 3, op_in(s->c, 0)->dtype);
}
STEPS_ROW(quantized_leaky_relu)

static void quantized_softmax(steps *s) {
  int version = op_int(s->c, "opset", 13) < 13 ? 11 : 13;
  const value *y = STEP(s, "Softmax", version, ATTRS(ATTR_I("axis", op_int(s->c, "axis", -1))), unquantize(s, 0, 0));
  requantize(s, y, 3, op_in(s->c, 0)->dtype);
}
STEPS_ROW(quantized_softmax)

static void quantized_reduce_mean(steps *s) {
  requantize(s, STEP(s, "ReduceMean", 13, NULL, unquantize(s, 0, 0)), 3, op_in(s->c, 0)->dtype);
}
STEPS_ROW(quantized_reduce_mean)

static void quantized_where(steps *s) {
  const value *x = unquantize(s, 1, 0), *y = unquantize(s, 4, 0);
  requantize(s, STEP(s, "Where", 23, ATTRS({0}), steps_in(s, 0), x, y), 7, op_in(s->c, 1)->dtype);
}
STEPS_ROW(quantized_where)

/* ---- images ---- */

/* [N, spatial..., C] to [N, C, spatial...], or back. */
static const value *turn_channels(steps *s, const value *x, bool to_first) {
  int rank = steps_rank(x);
  int64_t perm[LEDGE_MAX_RANK] = {0};
  if (s->status || !op_int(s->c, "channels_last", 0)) return x;
  for (int i = 1; i < rank; i++) perm[i] = to_first ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
  return STEP(s, "Transpose", 23, ATTRS(ATTR_IS("perm", perm, rank)), x);
}

static void quantized_pool(steps *s, const char *op) {
  const value *x = turn_channels(s, unquantize(s, 0, 0), true);
  requantize(s, turn_channels(s, STEP(s, op, 22, NULL, x), false), 3, op_in(s->c, 0)->dtype);
}
static void quantized_average_pool(steps *s) { quantized_pool(s, "AveragePool"); }
static void quantized_global_average_pool(steps *s) { quantized_pool(s, "GlobalAveragePool"); }
STEPS_ROW(quantized_average_pool)
STEPS_ROW(quantized_global_average_pool)

/* The bias counts in steps of x's scale times w's. */
static void quantized_conv(steps *s) {
  if (op_has(s->c, 2) && op_has(s->c, 5) && op_has(s->c, 6) && op_has(s->c, 7)) { /* the standard's, to the bit */
    const value *from = turn_channels(s, steps_in(s, 0), true);
    const value *y = STEP(s, "QLinearConv", 10, NULL, from, steps_in(s, 1), steps_in(s, 2), steps_in(s, 3),
                          steps_in(s, 4), steps_in(s, 5), steps_in(s, 6), steps_in(s, 7), steps_in(s, 8));
    steps_out(s, 0, turn_channels(s, y, false), LEDGE_DTYPE_NONE);
    return;
  }
  const value *x = turn_channels(s, unquantize(s, 0, 0), true), *w = unquantize(s, 3, 0), *b = steps_in(s, 8);
  if (b) {
    const value *scale = STEP(s, "Mul", 23, ATTRS({0}), steps_in(s, 1), steps_in(s, 4));
    b = STEP(s, "Mul", 23, ATTRS({0}), STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_F32)), b), scale);
  }
  requantize(s, turn_channels(s, STEP(s, "Conv", 22, NULL, x, w, b), false), 6, op_in(s->c, 0)->dtype);
}
STEPS_ROW(quantized_conv)

/* ---- QLinearConcat: the output's scale and zero point, then data, scale and zero point of each ---- */

static ledge_status concat_read(op_ctx *c, int *axis, int64_t *dims) {
  if (c->n_in < 5 || (c->n_in - 2) % 3)
    return op_fail(c, LEDGE_ERROR_FORMAT,
                   "%d inputs are no scale, zero point and triples of data, scale and zero point", c->n_in);
  for (int i = 0; i < c->n_in; i++) {
    const tensor *t = op_in(c, i);
    int part = i < 2 ? i + 1 : (i - 2) % 3; /* 0 data, 1 scale, 2 zero point */
    if (!t) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is missing", i);
    if (part == 1 ? t->dtype != LEDGE_F32 : !is_byte(t->dtype)) return op_fail_dtype(c, i);
    if (part && tensor_elements(t) != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is not one number", i);
    if (part == 2 && i > 2 && t->dtype != op_in(c, i - 2)->dtype) return op_fail_dtype(c, i);
  }
  const tensor *first = op_in(c, 2);
  TRY(op_axis(c, op_int(c, "axis", 0), first->rank, axis));
  memcpy(dims, first->dims, sizeof first->dims);
  for (int i = 5; i < c->n_in; i += 3) {
    const tensor *t = op_in(c, i);
    bool fits = t->rank == first->rank;
    for (int d = 0; fits && d < t->rank; d++) fits = d == *axis || t->dims[d] == dims[d];
    if (!fits || __builtin_add_overflow(dims[*axis], t->dims[*axis], &dims[*axis]))
      return op_fail(c, LEDGE_ERROR_SHAPE, "the shape of input %d does not fit the first", i);
  }
  return LEDGE_OK;
}

static ledge_status concat_infer(op_ctx *c) {
  int axis;
  int64_t dims[LEDGE_MAX_RANK];
  TRY(concat_read(c, &axis, dims));
  return op_shape(c, 0, op_in(c, 1)->dtype, op_in(c, 2)->rank, dims);
}

/* What each byte of an input becomes in the output. */
static void concat_table(op_ctx *c, int i, uint8_t *table) {
  const tensor *x = op_in(c, i), *out_zero = op_in(c, 1);
  float scale = *(const float *)op_in(c, i + 1)->data, out_scale = *(const float *)op_in(c, 0)->data;
  float zero = (float)tensor_i64(op_in(c, i + 2), 0);
  bool same = scale == out_scale && x->dtype == out_zero->dtype && (float)tensor_i64(out_zero, 0) == zero;
  for (int b = 0; b < 256; b++) {
    float v = (float)(x->dtype == LEDGE_I8 ? (int8_t)b : b);
    if (same) {
      table[b] = (uint8_t)b;
    } else { /* storing saturates */
      dtype_store_f64(out_zero->dtype, table, b,
                      rint((double)((v - zero) * scale / out_scale)) + (double)tensor_i64(out_zero, 0));
    }
  }
}

static ledge_status concat_run(op_ctx *c) {
  int axis;
  int64_t dims[LEDGE_MAX_RANK], at = 0;
  TRY(concat_read(c, &axis, dims));
  tensor *y = op_out(c, 0);
  int64_t outer = tensor_span(y, 0, axis), row = tensor_span(y, axis, y->rank);
  for (int i = 2; i < c->n_in; i += 3) {
    const tensor *x = op_in(c, i);
    int64_t n = tensor_span(x, axis, x->rank);
    uint8_t table[256], *to = (uint8_t *)y->data + at;
    const uint8_t *from = x->data;
    concat_table(c, i, table);
    for (int64_t o = 0; o < outer; o++)
      for (int64_t k = 0; k < n; k++) to[o * row + k] = table[from[o * n + k]];
    at += n;
  }
  return LEDGE_OK;
}

/* ---- products ---- */

/* (x - zero) * scale by numpy's broadcasting, in float32. */
static const value *unquantize_any(steps *s, const value *x, const value *scale, const value *zero) {
  const value *v = STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_F32)), x);
  if (zero) v = STEP(s, "Sub", 23, ATTRS({0}), v, STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_F32)), zero));
  return STEP(s, "Mul", 23, ATTRS({0}), v, steps_wide(s, scale));
}

static void product_out(steps *s, const value *a, const value *b, const value *bias, ledge_dtype dtype) {
  const value *y = STEP(s, "MatMul", 23, ATTRS({0}), a, b);
  if (bias) y = STEP(s, "Add", 23, ATTRS({0}), y, steps_wide(s, bias));
  steps_out(s, 0, y, dtype);
}

static void check_bytes(steps *s, int i) {
  steps_need(s, i);
  if (!s->status && !is_byte(op_in(s->c, i)->dtype)) steps_fail(s, op_fail_dtype(s->c, i));
}

static void matmul_integer_to_float(steps *s) {
  check_bytes(s, 0);
  check_bytes(s, 1);
  const value *a = unquantize_any(s, steps_in(s, 0), steps_in(s, 2), steps_in(s, 4));
  const value *b = unquantize_any(s, steps_in(s, 1), steps_in(s, 3), steps_in(s, 5));
  product_out(s, a, b, steps_in(s, 6), op_in(s->c, 2)->dtype);
}
STEPS_ROW(matmul_integer_to_float)

/* x as 8 unsigned bits with one scale would hold it (DynamicQuantizeLinear). */
static const value *through_bytes(steps *s, const value *x) {
  const value *q[3];
  steps_calls(s, "DynamicQuantizeLinear", 11, ATTRS({0}), &x, 1, q, 3);
  return STEP(s, "DequantizeLinear", 21, ATTRS({0}), q[0], q[1], q[2]);
}

static void dynamic_quantize_matmul(steps *s) {
  check_bytes(s, 1);
  const value *a = through_bytes(s, steps_in(s, 0));
  product_out(s, a, unquantize_any(s, steps_in(s, 1), steps_in(s, 2), steps_in(s, 3)), steps_in(s, 4), LEDGE_F32);
}
STEPS_ROW(dynamic_quantize_matmul)

/* alpha * a_scale * b_scale * (A B + C): the output is float where it is given no scale. */
static void quantized_gemm(steps *s) {
  for (int i = 3; i < 5; i++) steps_need(s, i);
  check_bytes(s, 0);
  check_bytes(s, 3);
  const attr turns[] = {ATTR_I("transA", op_int(s->c, "transA", 0)), ATTR_I("transB", op_int(s->c, "transB", 0)), {0}};
  const value *a = unquantize(s, 0, 0), *b = unquantize(s, 3, turns[1].i ? 0 : 1), *c = steps_in(s, 6);
  const value *y = STEP(s, "Gemm", 13, turns, a, b);
  if (c) {
    const value *scale = STEP(s, "Mul", 23, ATTRS({0}), steps_in(s, 1), steps_in(s, 4));
    c = STEP(s, "Mul", 23, ATTRS({0}), STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_F32)), c), scale);
    const value *sum = STEP(s, "Add", 23, ATTRS({0}), y, c);
    if (sum && !tensor_same_shape(&sum->tensor, &y->tensor))
      steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "C does not broadcast to the product"));
    y = sum;
  }
  double alpha = (double)op_float(s->c, "alpha", 1);
  if (alpha != 1) y = STEP(s, "Mul", 23, ATTRS({0}), y, steps_scalar(s, LEDGE_F32, alpha));
  if (steps_in(s, 7))
    requantize(s, y, 7, op_in(s->c, 0)->dtype);
  else
    steps_out(s, 0, y, LEDGE_DTYPE_NONE);
}
STEPS_ROW(quantized_gemm)

/* ---- DynamicQuantizeLSTM: weights [directions, in, 4 * hidden]; scales [directions] or [directions, 4 * hidden] ----
 */

static const value *lstm_weights(steps *s, int w, int scale) {
  const value *parts[2] = {steps_in(s, scale), steps_in(s, scale + 1)};
  check_bytes(s, w);
  steps_need(s, scale);
  for (int i = 0; i < 2 && !s->status; i++) {
    const tensor *t = parts[i] ? &parts[i]->tensor : NULL;
    if (t && t->rank != 1 && t->rank != 2)
      steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "input %d has rank %d, not 1 or 2", scale + i, t->rank));
    if (t) parts[i] = steps_reshape(s, parts[i], 3, (int64_t[]){t->dims[0], 1, t->rank == 2 ? t->dims[1] : 1});
  }
  const value *v = unquantize_any(s, steps_in(s, w), parts[0], parts[1]);
  const int64_t perm[] = {0, 2, 1};
  return STEP(s, "Transpose", 23, ATTRS(ATTR_IS("perm", perm, 3)), v);
}

static void dynamic_quantize_lstm(steps *s) {
  const value *w = lstm_weights(s, 1, 8), *r = lstm_weights(s, 2, 10), *y[3];
  const value *in[8] = {steps_in(s, 0), w, r};
  for (int i = 3; i < 8; i++) in[i] = steps_in(s, i);
  steps_calls(s, "LSTM", 14, NULL, in, 8, y, 3);
  for (int i = 0; i < 3; i++) steps_out(s, i, y[i], LEDGE_DTYPE_NONE);
}
STEPS_ROW(dynamic_quantize_lstm)

/* ---- MatMulNBits: A [..., K] times the transpose of B [N, K], of `bits` bits in blocks along K ---- */

typedef struct nbits {
  int64_t m, n, k, block, blocks, blob,
      zero_row; /* blob: bytes of a block; zero_row: bytes of a row's packed zero points */
  int bits;
} nbits;

static const char nbits_gradient[] = "ledge"; /* the domain of MatMulNBitsGrad: dY, B, scales, zeros, groups -> dA */

enum { NBITS_A, NBITS_B, NBITS_SCALES, NBITS_ZEROS, NBITS_GROUPS, NBITS_BIAS };

static ledge_status nbits_count(op_ctx *c, int input, int64_t want) {
  const tensor *t = op_in(c, input);
  if (!t || tensor_elements(t) == want) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has %lld elements instead of %lld", input,
                 (long long)tensor_elements(t), (long long)want);
}

static ledge_status nbits_read(op_ctx *c, nbits *s) {
  const tensor *a = op_in(c, NBITS_A), *zeros = op_in(c, NBITS_ZEROS), *groups = op_in(c, NBITS_GROUPS);
  int64_t bits = op_int(c, "bits", 4), total;
  *s = (nbits){.k = op_int(c, "K", 0), .n = op_int(c, "N", 0), .block = op_int(c, "block_size", 0), .bits = (int)bits};
  TRY(real_check(c, NBITS_A, false));
  TRY(real_check(c, NBITS_SCALES, false));
  TRY(real_check(c, NBITS_BIAS, false));
  if (bits < 1 || bits > 8) return op_fail(c, LEDGE_ERROR_FORMAT, "bits is %lld, not 1 to 8", (long long)bits);
  if (s->k < 1 || s->n < 1 || s->k > INT32_MAX || s->n > INT32_MAX || s->block < 8 || s->block > INT32_MAX ||
      s->block % 8)
    return op_fail(c, LEDGE_ERROR_FORMAT, "K %lld, N %lld or block_size %lld is out of range", (long long)s->k,
                   (long long)s->n, (long long)s->block);
  int64_t width = c->def->domain == nbits_gradient ? s->n : s->k; /* of the gradient: dY, in A's place */
  if (a->rank < 1 || a->dims[a->rank - 1] != width)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the last dim of the first input is not %lld", (long long)width);
  s->m = tensor_span(a, 0, a->rank - 1);
  s->blocks = (s->k + s->block - 1) / s->block;
  s->blob = s->block * bits / 8;
  s->zero_row = (s->blocks * bits + 7) / 8;
  if (op_in(c, NBITS_B)->dtype != LEDGE_U8) return op_fail_dtype(c, NBITS_B);
  if (__builtin_mul_overflow(s->n * s->blocks, s->blob, &total)) return op_fail(c, LEDGE_ERROR_SHAPE, "B is too large");
  TRY(nbits_count(c, NBITS_B, total));
  TRY(nbits_count(c, NBITS_SCALES, s->n * s->blocks));
  if (zeros && zeros->dtype != LEDGE_U8) TRY(real_check(c, NBITS_ZEROS, false));
  TRY(nbits_count(c, NBITS_ZEROS, s->n * (zeros && zeros->dtype == LEDGE_U8 ? s->zero_row : s->blocks)));
  TRY(nbits_count(c, NBITS_BIAS, s->n));
  if (!groups) return LEDGE_OK;
  if (groups->dtype != LEDGE_I32) return op_fail_dtype(c, NBITS_GROUPS);
  if (tensor_elements(groups) == s->k) return LEDGE_OK;
  return nbits_count(c, NBITS_GROUPS, s->blocks * s->block);
}

static ledge_status nbits_infer(op_ctx *c) {
  nbits s;
  TRY(nbits_read(c, &s));
  return op_last_dim(c, 0, 0, s.n);
}

/* Number i of a row of `bits`-bit numbers, lowest bits first, in an array of `bytes`. */
static unsigned unpack(const uint8_t *p, int64_t bytes, int64_t i, int bits) {
  int64_t at = i * bits / 8;
  unsigned low = p[at], high = at + 1 < bytes ? p[at + 1] : 0;
  return ((low | high << 8) >> (i * bits % 8)) & ((1u << bits) - 1);
}

/* Row n of B as doubles. */
static void nbits_row(op_ctx *c, const nbits *s, int64_t n, double *row) {
  const tensor *scales = op_in(c, NBITS_SCALES), *zeros = op_in(c, NBITS_ZEROS), *groups = op_in(c, NBITS_GROUPS);
  const uint8_t *packed = (const uint8_t *)op_in(c, NBITS_B)->data + n * s->blocks * s->blob;
  const uint8_t *zero_row = zeros && zeros->dtype == LEDGE_U8 ? (const uint8_t *)zeros->data + n * s->zero_row : NULL;
  int64_t last = -1;
  double scale = 0, zero = 0;
  for (int64_t k = 0; k < s->k; k++) {
    int64_t block = k / s->block, g = groups ? tensor_i64(groups, k) : block;
    if (g != last) {
      scale = tensor_f64(scales, n * s->blocks + g);
      zero = zero_row ? unpack(zero_row, s->zero_row, g, s->bits)
             : zeros  ? tensor_f64(zeros, n * s->blocks + g)
                      : 1 << (s->bits - 1);
      last = g;
    }
    row[k] = ((double)unpack(packed + block * s->blob, s->blob, k % s->block, s->bits) - zero) * scale;
  }
}

typedef struct nbits_job {
  op_ctx *c;
  const nbits *s;
  const double *a;
  double *rows; /* one of K for each worker */
} nbits_job;

static void nbits_columns(void *arg, int64_t begin, int64_t end, int worker) {
  const nbits_job *j = arg;
  const nbits *s = j->s;
  const tensor *bias = op_in(j->c, NBITS_BIAS);
  tensor *y = op_out(j->c, 0);
  double *row = j->rows + worker * s->k;
  for (int64_t n = begin; n < end; n++) {
    nbits_row(j->c, s, n, row);
    double shift = bias ? tensor_f64(bias, n) : 0;
    for (int64_t m = 0; m < s->m; m++) {
      const double *a = j->a + m * s->k;
      double sum[4] = {0};
      int64_t k = 0;
      for (; k + 4 <= s->k; k += 4)
        for (int i = 0; i < 4; i++) sum[i] += a[k + i] * row[k + i];
      for (; k < s->k; k++) sum[0] += a[k] * row[k];
      dtype_store_f64(y->dtype, y->data, m * s->n + n, sum[0] + sum[1] + (sum[2] + sum[3]) + shift);
    }
  }
}

static ledge_status nbits_check_groups(op_ctx *c, const nbits *s) {
  const tensor *groups = op_in(c, NBITS_GROUPS);
  for (int64_t k = 0; groups && k < s->k; k++) {
    int64_t g = tensor_i64(groups, k);
    if (g < 0 || g >= s->blocks)
      return op_fail(c, LEDGE_ERROR_DATA, "g_idx holds %lld; there are %lld groups", (long long)g,
                     (long long)s->blocks);
  }
  return LEDGE_OK;
}

static ledge_status nbits_run(op_ctx *c) {
  nbits s;
  TRY(nbits_read(c, &s));
  TRY(nbits_check_groups(c, &s));
  int workers = pool_threads(c->pool);
  nbits_job j = {c, &s, real_load(c, op_in(c, 0)), real_scratch(c, s.k * workers)};
  ledge_status status = j.a && j.rows ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  if (!status) pool_run(c->pool, s.n, 16, nbits_columns, &j);
  op_scratch_free((void *)j.a);
  op_scratch_free(j.rows);
  return status;
}

static ledge_status nbits_grad_infer(op_ctx *c) {
  nbits s;
  TRY(nbits_read(c, &s));
  return op_last_dim(c, 0, 0, s.k);
}

/* dA = dY B: a row of B at a time, so that B is never whole in memory. */
static ledge_status nbits_grad_run(op_ctx *c) {
  nbits s;
  TRY(nbits_read(c, &s));
  TRY(nbits_check_groups(c, &s));
  const tensor *dy = op_in(c, 0);
  tensor *y = op_out(c, 0);
  double *da = real_scratch(c, tensor_elements(y)), *row = real_scratch(c, s.k);
  ledge_status status = da && row ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t n = 0; !status && s.m && n < s.n; n++) {
    nbits_row(c, &s, n, row);
    for (int64_t m = 0; m < s.m; m++) {
      double v = tensor_f64(dy, m * s.n + n), *to = da + m * s.k;
      for (int64_t k = 0; k < s.k; k++) to[k] += v * row[k];
    }
  }
  if (!status) real_store(da, y);
  op_scratch_free(da);
  op_scratch_free(row);
  return status;
}

/* ---- MatMulBnb4: A [..., K] times the transpose of B [N, K], 4 bits an element (the high ones first), a largest
 * magnitude for each block of the elements in a row; FP4, or the NF4 of QLoRA (Dettmers et al., 2023) ---- */

typedef struct bnb4 {
  int64_t m, n, k, block;
  const double *values;
} bnb4;

static ledge_status bnb4_read(op_ctx *c, bnb4 *s) {
  static const double fp4[16] = {0, 0.0625 / 12,  8.0 / 12,  1,  4.0 / 12,  6.0 / 12,  2.0 / 12,  3.0 / 12,
                                 0, -0.0625 / 12, -8.0 / 12, -1, -4.0 / 12, -6.0 / 12, -2.0 / 12, -3.0 / 12};
  static const double nf4[16] = {-1,
                                 -0.6961928009986877,
                                 -0.5250730514526367,
                                 -0.39491748809814453,
                                 -0.28444138169288635,
                                 -0.18477343022823334,
                                 -0.09105003625154495,
                                 0,
                                 0.07958029955625534,
                                 0.16093020141124725,
                                 0.24611230194568634,
                                 0.33791524171829224,
                                 0.44070982933044434,
                                 0.5626170039176941,
                                 0.7229568362236023,
                                 1};
  const tensor *a = op_in(c, 0);
  int64_t type = op_int(c, "quant_type", 1);
  *s = (bnb4){.n = op_int(c, "N", 0), .k = op_int(c, "K", 0), .block = op_int(c, "block_size", 0)};
  s->values = type ? nf4 : fp4;
  TRY(real_check(c, 0, false));
  TRY(real_check(c, 2, false));
  if (op_in(c, 1)->dtype != LEDGE_U8) return op_fail_dtype(c, 1);
  if (type < 0 || type > 1 || !op_int(c, "transB", 1))
    return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "quant_type is neither 0 nor 1, or transB is 0");
  if (s->k < 1 || s->n < 1 || s->k > INT32_MAX || s->n > INT32_MAX || s->block < 1 || s->block > INT32_MAX)
    return op_fail(c, LEDGE_ERROR_FORMAT, "K %lld, N %lld or block_size %lld is out of range", (long long)s->k,
                   (long long)s->n, (long long)s->block);
  if (a->rank < 1 || a->dims[a->rank - 1] != s->k)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the last dim of A is not K, %lld", (long long)s->k);
  s->m = tensor_span(a, 0, a->rank - 1);
  TRY(nbits_count(c, 1, (s->n * s->k + 1) / 2));
  return nbits_count(c, 2, (s->n * s->k - 1) / s->block + 1);
}

static ledge_status bnb4_infer(op_ctx *c) {
  bnb4 s;
  TRY(bnb4_read(c, &s));
  return op_last_dim(c, 0, 0, s.n);
}

static ledge_status bnb4_run(op_ctx *c) {
  bnb4 s;
  TRY(bnb4_read(c, &s));
  tensor *y = op_out(c, 0);
  const uint8_t *b = op_in(c, 1)->data;
  double *a = real_load(c, op_in(c, 0)), *most = real_load(c, op_in(c, 2)), *row = real_scratch(c, s.k);
  ledge_status status = a && most && row ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t n = 0; !status && n < s.n; n++) {
    for (int64_t k = 0; k < s.k; k++) {
      int64_t at = n * s.k + k;
      row[k] = s.values[at % 2 ? b[at / 2] & 15 : b[at / 2] >> 4] * most[at / s.block];
    }
    for (int64_t m = 0; m < s.m; m++) {
      double sum = 0;
      for (int64_t k = 0; k < s.k; k++) sum += a[m * s.k + k] * row[k];
      dtype_store_f64(y->dtype, y->data, m * s.n + n, sum);
    }
  }
  op_scratch_free(a);
  op_scratch_free(most);
  op_scratch_free(row);
  return status;
}

/* ---- GatherBlockQuantized ----
 * Data of 4 bits (i4, u4) or bytes that hold one or two numbers each along the last axis; a scale for each block of
 * quantize_axis. The output is [data before the axis, indices, data behind it], dequantised. */

typedef struct gather_blocks {
  int gather, quantize, rank, bits;
  bool bytes;                                               /* u8 data */
  int64_t dims[LEDGE_MAX_RANK], scale_dims[LEDGE_MAX_RANK]; /* of the data unpacked */
  int64_t block, zero_last;                                 /* bytes that hold the zero points along the last axis */
} gather_blocks;

static ledge_status gather_read(op_ctx *c, gather_blocks *s) {
  const tensor *x = op_in(c, 0), *scales = op_in(c, 2), *zeros = op_in(c, 3);
  *s = (gather_blocks){.rank = x->rank,
                       .bytes = x->dtype == LEDGE_U8,
                       .bits = (int)op_int(c, "bits", 4),
                       .block = op_int(c, "block_size", 128)};
  if (x->dtype != LEDGE_I4 && x->dtype != LEDGE_U4 && !s->bytes) return op_fail_dtype(c, 0);
  TRY(move_index_dtype(c, 1));
  TRY(real_check(c, 2, false));
  if (s->bits != 4 && !(s->bits == 8 && s->bytes))
    return op_fail(c, LEDGE_ERROR_FORMAT, "bits is %d for data of %s", s->bits, ledge_dtype_name(x->dtype));
  if (s->block < 1) return op_fail(c, LEDGE_ERROR_FORMAT, "block_size is not positive");
  TRY(op_axis(c, op_int(c, "gather_axis", 0), x->rank, &s->gather));
  TRY(op_axis(c, op_int(c, "quantize_axis", 1), x->rank, &s->quantize));
  int pack = s->bytes && s->bits == 4 ? 2 : 1, last = x->rank - 1;
  if (s->bytes && (s->gather != 0 || (pack == 2 && (s->quantize != last || last == 0))))
    return op_fail(c, LEDGE_ERROR_FORMAT, "bytes are gathered along axis 0 and quantised along the last one");
  memcpy(s->dims, x->dims, sizeof x->dims);
  if (__builtin_mul_overflow(s->dims[last], pack, &s->dims[last]))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the data are too large");
  memcpy(s->scale_dims, s->dims, sizeof s->dims);
  s->scale_dims[s->quantize] = s->dims[s->quantize] ? (s->dims[s->quantize] - 1) / s->block + 1 : 0;
  if (!shape_equal(scales->rank, scales->dims, s->rank, s->scale_dims))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the scales do not fit the data and block_size %lld", (long long)s->block);
  if (!zeros) return LEDGE_OK;
  int64_t dims[LEDGE_MAX_RANK];
  memcpy(dims, s->scale_dims, sizeof dims);
  dims[last] = s->zero_last = (dims[last] - 1 + pack) / pack;
  if (zeros->dtype != x->dtype) return op_fail_dtype(c, 3);
  return shape_equal(zeros->rank, zeros->dims, s->rank, dims)
             ? LEDGE_OK
             : op_fail(c, LEDGE_ERROR_SHAPE, "the zero points do not fit the scales");
}

static ledge_status gather_infer(op_ctx *c) {
  gather_blocks s;
  const tensor *indices = op_in(c, 1);
  int64_t dims[2 * LEDGE_MAX_RANK];
  int rank = 0;
  TRY(gather_read(c, &s));
  for (int i = 0; i < s.gather; i++) dims[rank++] = s.dims[i];
  for (int i = 0; i < indices->rank; i++) dims[rank++] = indices->dims[i];
  for (int i = s.gather + 1; i < s.rank; i++) dims[rank++] = s.dims[i];
  return op_shape(c, 0, op_in(c, 2)->dtype, rank, dims);
}

/* Element `at` of the unpacked data. */
static double gather_element(op_ctx *c, const gather_blocks *s, int64_t at) {
  const tensor *x = op_in(c, 0), *zeros = op_in(c, 3);
  int64_t scale_at = 0, rest = at, place[LEDGE_MAX_RANK];
  for (int d = s->rank - 1; d >= 0; d--) {
    place[d] = rest % s->dims[d];
    rest /= s->dims[d];
  }
  place[s->quantize] /= s->block;
  for (int d = 0; d < s->rank; d++) scale_at = scale_at * s->scale_dims[d] + place[d];
  bool packed = s->bytes && s->bits == 4;
  double v = packed ? ((const uint8_t *)x->data)[at / 2] >> (at % 2 * 4) & 15 : tensor_f64(x, at),
         zero = s->bytes ? 1 << (s->bits - 1) : 0;
  if (zeros && packed) { /* two to a byte along the last axis, whose rows fill whole bytes */
    int64_t n = s->scale_dims[s->rank - 1], row = scale_at / n, col = scale_at % n;
    zero = ((const uint8_t *)zeros->data)[row * s->zero_last + col / 2] >> (col % 2 * 4) & 15;
  } else if (zeros) {
    zero = tensor_f64(zeros, scale_at);
  }
  return (v - zero) * tensor_f64(op_in(c, 2), scale_at);
}

static ledge_status gather_run(op_ctx *c) {
  gather_blocks s;
  TRY(gather_read(c, &s));
  const tensor *indices = op_in(c, 1);
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(indices), outer = 1, inner = 1, limit = s.dims[s.gather];
  for (int d = 0; d < s.gather; d++) outer *= s.dims[d];
  for (int d = s.gather + 1; d < s.rank; d++) inner *= s.dims[d];
  for (int64_t i = 0; i < n; i++) {
    int64_t index;
    TRY(move_index(c, indices, i, limit, &index));
    for (int64_t o = 0; o < outer; o++)
      for (int64_t k = 0; k < inner; k++)
        dtype_store_f64(y->dtype, y->data, (o * n + i) * inner + k,
                        gather_element(c, &s, (o * limit + index) * inner + k));
  }
  return LEDGE_OK;
}

const op_def ops_contrib_quant[] = {
    {MS, "QLinearAdd", 1, 0, 2, 8, 1, 1, 0, quantized_add_infer, quantized_add_run},
    {MS, "QLinearMul", 1, 0, 2, 8, 1, 1, 0, quantized_mul_infer, quantized_mul_run},
    {MS, "QLinearSigmoid", 1, 0, 2, 5, 1, 1, 0, quantized_sigmoid_infer, quantized_sigmoid_run},
    {MS, "QLinearLeakyRelu", 1, 0, 2, 5, 1, 1, 0, quantized_leaky_relu_infer, quantized_leaky_relu_run},
    {MS, "QLinearSoftmax", 1, 0, 2, 5, 1, 1, 0, quantized_softmax_infer, quantized_softmax_run},
    {MS, "QLinearReduceMean", 1, 0, 2, 5, 1, 1, 0, quantized_reduce_mean_infer, quantized_reduce_mean_run},
    {MS, "QLinearWhere", 1, 0, 3, 9, 1, 1, 0, quantized_where_infer, quantized_where_run},
    {MS, "QLinearAveragePool", 1, 0, 2, 5, 1, 1, 0, quantized_average_pool_infer, quantized_average_pool_run},
    {MS, "QLinearGlobalAveragePool", 1, 0, 2, 5, 1, 1, 0, quantized_global_average_pool_infer,
     quantized_global_average_pool_run},
    {MS, "QLinearConv", 1, 0, 2, 9, 1, 1, 0, quantized_conv_infer, quantized_conv_run},
    {MS, "QLinearConcat", 1, 0, 2, -1, 1, 1, 0, concat_infer, concat_run},
    {MS, "QGemm", 1, 0, 2, 9, 1, 1, 0, quantized_gemm_infer, quantized_gemm_run},
    {MS, "MatMulIntegerToFloat", 1, 0, 4, 7, 1, 1, 0, matmul_integer_to_float_infer, matmul_integer_to_float_run},
    {MS, "DynamicQuantizeMatMul", 1, 0, 3, 5, 1, 1, 0, dynamic_quantize_matmul_infer, dynamic_quantize_matmul_run},
    {MS, "DynamicQuantizeLSTM", 1, 0, 3, 12, 0, 3, 0, dynamic_quantize_lstm_infer, dynamic_quantize_lstm_run},
    {MS, "MatMulNBits", 1, 0, 3, 6, 1, 1, 0, nbits_infer, nbits_run},
    {nbits_gradient, "MatMulNBitsGrad", 1, 0, 3, 5, 1, 1, 0, nbits_grad_infer, nbits_grad_run},
    {MS, "MatMulBnb4", 1, 0, 3, 3, 1, 1, 0, bnb4_infer, bnb4_run},
    {MS, "GatherBlockQuantized", 1, 0, 3, 4, 1, 1, 0, gather_infer, gather_run},
    {0}};
