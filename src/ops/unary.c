/* ops/unary: operators of one tensor, element by element: arithmetic, rounding, exponentials, trigonometry, tests of
 * floats, logical and bitwise complement, Identity. Activations are in activation.c.
 *
 * f16 and bf16 are computed in float and rounded once. NaN passes through; integers wrap as in two's complement. */
#include "ops/elementwise.h"
#include "ops/move_util.h"

#include <tgmath.h>

ELEM_UNARY(ceil, ceil(x))
ELEM_UNARY(floor, floor(x))
ELEM_UNARY(round, rint(x)) /* ties to even */
ELEM_UNARY(sqrt, sqrt(x))
ELEM_UNARY(reciprocal, 1 / x)
ELEM_UNARY(exp, exp(x))
ELEM_UNARY(log, log(x))
ELEM_UNARY(sin, sin(x))
ELEM_UNARY(cos, cos(x))
ELEM_UNARY(tan, tan(x))
ELEM_UNARY(asin, asin(x))
ELEM_UNARY(acos, acos(x))
ELEM_UNARY(atan, atan(x))
ELEM_UNARY(sinh, sinh(x))
ELEM_UNARY(cosh, cosh(x))
ELEM_UNARY(tanh, tanh(x))
ELEM_UNARY(asinh, asinh(x))
ELEM_UNARY(acosh, acosh(x))
ELEM_UNARY(atanh, atanh(x))

/* ---- Abs, Neg, Sign, Erf: integers too ---- */

ELEM_MAP(abs, fabs(x))
ELEM_MAP(neg, -x)
ELEM_MAP(sign, x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x)
ELEM_MAP(erf, erf(x))

static void abs_i64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? (int64_t)(0 - (uint64_t)x[i]) : x[i];
}

static void neg_i64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = (int64_t)(0 - (uint64_t)x[i]);
}

static void sign_i64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] > 0) - (x[i] < 0);
}

static void sign_u64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] != 0;
}

/* erf(1) is 0.84: cut to an integer, only huge arguments give 1. */
static void erf_i64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = (int64_t)erf((double)x[i]);
}

static void erf_u64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = (int64_t)erf((double)(uint64_t)x[i]);
}

static ledge_status numeric_map(op_ctx *c, elem_map_f32 f32, elem_map_f64 f64, elem_map_i64 i64) {
  return dtype_is_float(op_in(c, 0)->dtype) ? elem_map(c, f32, f64, NULL) : elem_map_int(c, i64, NULL);
}

static bool is_u64(const op_ctx *c) { return op_in(c, 0)->dtype == LEDGE_U64; }

static ledge_status abs_run(op_ctx *c) {
  if (DTYPE_BIT(op_in(c, 0)->dtype) & DTYPES_UNSIGNED)
    return op_wants(c, 0) ? move_all(c, op_out(c, 0), op_in(c, 0)) : LEDGE_OK;
  return numeric_map(c, abs_f32, abs_f64, abs_i64);
}

static ledge_status neg_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT | DTYPES_SIGNED));
  return op_same_shape(c, 0, 0);
}

static ledge_status neg_run(op_ctx *c) { return numeric_map(c, neg_f32, neg_f64, neg_i64); }
static ledge_status sign_run(op_ctx *c) { return numeric_map(c, sign_f32, sign_f64, is_u64(c) ? sign_u64 : sign_i64); }
static ledge_status erf_run(op_ctx *c) { return numeric_map(c, erf_f32, erf_f64, is_u64(c) ? erf_u64 : erf_i64); }

/* ---- Not, BitwiseNot ---- */

static ledge_status not_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_BOOL));
  return op_same_shape(c, 0, 0);
}

static ledge_status not_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  const uint8_t *from = x->data;
  uint8_t *to = y->data;
  int64_t n = tensor_elements(x);
  LOOP_INDEPENDENT
  for (int64_t i = 0; i < n; i++) to[i] = !from[i];
  return LEDGE_OK;
}

static ledge_status bitwise_not_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_INTEGER));
  return op_same_shape(c, 0, 0);
}

static void bitwise_not_i64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = ~x[i];
}

static ledge_status bitwise_not_run(op_ctx *c) { return elem_map_int(c, bitwise_not_i64, NULL); }

/* ---- IsNaN, IsInf ---- */

static ledge_status is_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT | DTYPES_F8));
  const tensor *x = op_in(c, 0);
  return op_shape(c, 0, LEDGE_BOOL, x->rank, x->dims);
}

/* y[i] = x is NaN, or where asked +infinity or -infinity. */
static ledge_status classify(op_ctx *c, bool nan, bool positive, bool negative) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  uint8_t *to = y->data;
  double chunk[ELEM_CHUNK];
  int64_t total = tensor_elements(x);
  for (int64_t at = 0, n; at < total; at += n) {
    n = total - at < ELEM_CHUNK ? total - at : ELEM_CHUNK;
    elem_load_f64(x->dtype, x->data, at, n, chunk);
    for (int64_t i = 0; i < n; i++) {
      double v = chunk[i];
      to[at + i] = (nan && v != v) || (positive && v == INFINITY) || (negative && v == -INFINITY);
    }
  }
  return LEDGE_OK;
}

static ledge_status is_nan_run(op_ctx *c) { return classify(c, true, false, false); }
static ledge_status is_inf_run(op_ctx *c) {
  return classify(c, false, op_int(c, "detect_positive", 1) != 0, op_int(c, "detect_negative", 1) != 0);
}

/* ---- Identity: tensors, and whatever else a value may be ---- */

static ledge_status identity_infer(op_ctx *c) {
  if (c->in[0]->kind != VALUE_TENSOR) return OP_UNKNOWN;
  return op_same_shape(c, 0, 0);
}

static ledge_status identity_run(op_ctx *c) {
  if (c->in[0]->kind != VALUE_TENSOR) return op_forward(c, 0, c->in[0]);
  return op_wants(c, 0) ? move_all(c, op_out(c, 0), op_in(c, 0)) : LEDGE_OK;
}

#define UNARY(NAME, SINCE, infer, run) \
  { "", NAME, SINCE, 0, 1, 1, 1, 1, OP_INPLACE(0), infer, run }

const op_def ops_unary[] = {
    UNARY("Abs", 1, elem_infer_numeric, abs_run),
    UNARY("Neg", 1, neg_infer, neg_run),
    UNARY("Sign", 9, elem_infer_numeric, sign_run),
    UNARY("Ceil", 1, elem_infer_float, ceil_run),
    UNARY("Floor", 1, elem_infer_float, floor_run),
    UNARY("Round", 11, elem_infer_float, round_run),
    UNARY("Sqrt", 1, elem_infer_float, sqrt_run),
    UNARY("Reciprocal", 1, elem_infer_float, reciprocal_run),
    UNARY("Exp", 1, elem_infer_float, exp_run),
    UNARY("Log", 1, elem_infer_float, log_run),
    UNARY("Sin", 7, elem_infer_float, sin_run),
    UNARY("Cos", 7, elem_infer_float, cos_run),
    UNARY("Tan", 7, elem_infer_float, tan_run),
    UNARY("Asin", 7, elem_infer_float, asin_run),
    UNARY("Acos", 7, elem_infer_float, acos_run),
    UNARY("Atan", 7, elem_infer_float, atan_run),
    UNARY("Sinh", 9, elem_infer_float, sinh_run),
    UNARY("Cosh", 9, elem_infer_float, cosh_run),
    UNARY("Tanh", 1, elem_infer_float, tanh_run),
    UNARY("Asinh", 9, elem_infer_float, asinh_run),
    UNARY("Acosh", 9, elem_infer_float, acosh_run),
    UNARY("Atanh", 9, elem_infer_float, atanh_run),
    UNARY("Erf", 9, elem_infer_numeric, erf_run),
    UNARY("Not", 1, not_infer, not_run),
    UNARY("BitwiseNot", 18, bitwise_not_infer, bitwise_not_run),
    UNARY("IsNaN", 9, is_infer, is_nan_run),
    UNARY("IsInf", 10, is_infer, is_inf_run),
    {"", "Identity", 1, 0, 1, 1, 1, 1, OP_ALIAS | OP_INPLACE(0) | OP_ANY_KIND, identity_infer, identity_run},
    {0}};
