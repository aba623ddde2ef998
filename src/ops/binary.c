/* ops/binary: operators of two tensors: arithmetic, powers, shifts, bits and logic. Comparisons are in compare.c.
 *
 * Broadcasting is numpy's from version 7 on. Before that the second operand is broadcast into the first where the
 * attribute broadcast=1 asks for it, its dims laid on the first's from `axis` on, or at the right where axis is absent.
 *
 * Integers wrap. What they cannot do gives 0: x / 0 and x mod 0; INT_MIN / -1 is INT_MIN. Division cuts the fraction.
 */
#include "ops/binary.h"

#include <math.h>

/* ---- broadcasting of the old versions ---- */

ledge_status binary_old_shape(op_ctx *c, tensor *shape_b) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  *shape_b = *b;
  if (tensor_same_shape(a, b)) return LEDGE_OK;
  char ta[256], tb[256];
  shape_print(a->rank, a->dims, ta, sizeof ta);
  shape_print(b->rank, b->dims, tb, sizeof tb);
  if (!op_int(c, "broadcast", 0))
    return op_fail(c, LEDGE_ERROR_SHAPE, "inputs of shapes %s and %s differ, and the attribute broadcast is not 1", ta,
                   tb);
  if (tensor_elements(b) == 1) {
    shape_b->rank = 0;
    return LEDGE_OK;
  }
  int64_t axis = op_int(c, "axis", (int64_t)a->rank - b->rank);
  if (axis < 0) axis += a->rank;
  if (b->rank > a->rank || axis < 0 || axis > a->rank - b->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "input 1 of shape %s does not fit into %s at axis %lld", tb, ta,
                   (long long)axis);
  shape_b->rank = a->rank;
  for (int d = 0; d < a->rank; d++) {
    int at = d - (int)axis;
    shape_b->dims[d] = at >= 0 && at < b->rank ? b->dims[at] : 1;
    if (shape_b->dims[d] != 1 && shape_b->dims[d] != a->dims[d])
      return op_fail(c, LEDGE_ERROR_SHAPE, "input 1 of shape %s does not fit into %s at axis %lld", tb, ta,
                     (long long)axis);
  }
  return LEDGE_OK;
}

ledge_status binary_infer(op_ctx *c, uint32_t allowed, ledge_dtype out) {
  if (c->node->version >= 7) return elem_infer_broadcast(c, 0, allowed, out);
  TRY(elem_check(c, 0, allowed));
  TRY(elem_check_same(c, 1));
  tensor shape_b;
  TRY(binary_old_shape(c, &shape_b));
  const tensor *a = op_in(c, 0);
  return op_shape(c, 0, out ? out : a->dtype, a->rank, a->dims);
}

ledge_status binary_loops(op_ctx *c, elem_loop loop, ledge_dtype in, ledge_dtype out) {
  elem_binary e = {loop, in, out, op_in(c, 0), op_in(c, 1), op_out(c, 0)};
  if (!e.y) return LEDGE_OK;
  tensor shape_b;
  bool old = c->node->version < 7;
  if (old) TRY(binary_old_shape(c, &shape_b));
  elem_binary_run(&e, old ? &shape_b : NULL, c->pool);
  return LEDGE_OK;
}

ledge_status binary_table(op_ctx *c, const elem_loop *table) {
  ledge_dtype d = elem_table_dtype(table, op_in(c, 0)->dtype);
  return binary_loops(c, table[d], d, d);
}

/* ---- Add, Sub, Mul, Div ---- */

#define ARITHMETIC(NAME, EXPR)                                                                                 \
  ELEM_LOOP(NAME##_f32, float, float, float, EXPR)                                                             \
  ELEM_LOOP(NAME##_f64, double, double, double, EXPR)                                                          \
  ELEM_LOOP(NAME##_i32, uint32_t, uint32_t, uint32_t, EXPR)                                                    \
  ELEM_LOOP(NAME##_i64, uint64_t, uint64_t, uint64_t, EXPR)                                                    \
  static const elem_table NAME##_table = {                                                                     \
      [LEDGE_F32] = NAME##_f32, [LEDGE_F64] = NAME##_f64, [LEDGE_I32] = NAME##_i32, [LEDGE_I64] = NAME##_i64}; \
  static ledge_status NAME##_run(op_ctx *c) { return binary_table(c, NAME##_table); }
ARITHMETIC(add, a + b)
ARITHMETIC(sub, a - b)
ARITHMETIC(mul, a *b)

static int64_t div_signed(int64_t a, int64_t b) {
  if (b == 0) return 0;
  return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}
ELEM_LOOP(div_f32, float, float, float, a / b)
ELEM_LOOP(div_f64, double, double, double, a / b)
ELEM_LOOP(div_i64, int64_t, int64_t, int64_t, div_signed(a, b))
ELEM_LOOP(div_u64, uint64_t, uint64_t, uint64_t, b ? a / b : 0)
static const elem_table div_table = {
    [LEDGE_F32] = div_f32, [LEDGE_F64] = div_f64, [LEDGE_I64] = div_i64, [LEDGE_U64] = div_u64};
static ledge_status div_run(op_ctx *c) { return binary_table(c, div_table); }

static ledge_status numeric_infer(op_ctx *c) { return binary_infer(c, DTYPES_NUMERIC, LEDGE_DTYPE_NONE); }

/* ---- Mod ---- */

/* The remainder with the sign of the divisor (Python's %), and with that of the dividend (C's). */
static int64_t mod_floor(int64_t a, int64_t b) {
  if (b == 0 || b == -1) return 0;
  int64_t r = a % b;
  return r && (r < 0) != (b < 0) ? r + b : r;
}
static int64_t mod_cut(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
ELEM_LOOP(mod_floor_i64, int64_t, int64_t, int64_t, mod_floor(a, b))
ELEM_LOOP(mod_cut_i64, int64_t, int64_t, int64_t, mod_cut(a, b))
ELEM_LOOP(mod_u64, uint64_t, uint64_t, uint64_t, b ? a % b : 0)
ELEM_LOOP(mod_f32, float, float, float, fmodf(a, b))
ELEM_LOOP(mod_f64, double, double, double, fmod(a, b))
static const elem_table mod_floor_table = {
    [LEDGE_F32] = mod_f32, [LEDGE_F64] = mod_f64, [LEDGE_I64] = mod_floor_i64, [LEDGE_U64] = mod_u64};
static const elem_table mod_cut_table = {
    [LEDGE_F32] = mod_f32, [LEDGE_F64] = mod_f64, [LEDGE_I64] = mod_cut_i64, [LEDGE_U64] = mod_u64};
static ledge_status mod_run(op_ctx *c) {
  return binary_table(c, op_int(c, "fmod", 0) ? mod_cut_table : mod_floor_table);
}

/* ---- Pow: the exponent may have a dtype of its own; the result has the base's ---- */

/* Loops with one exponent for all take the exact short cuts. */
#define POW_LOOP(NAME, T, FLAVOUR, SQRT)                                                          \
  ELEM_LOOP(NAME##_any, T, T, T, FLAVOUR(a, b))                                                   \
  ELEM_LOOP(NAME##_square, T, T, T, ((void)b, a * a))                                             \
  ELEM_LOOP(NAME##_root, T, T, T, ((void)b, a == -(T)INFINITY ? (T)INFINITY : SQRT(a) + 0))       \
  static void NAME(const void *pa, int64_t sa, const void *pb, int64_t sb, void *py, int64_t n) { \
    T b = *(const T *)pb;                                                                         \
    if (!sb && b == 2)                                                                            \
      NAME##_square(pa, sa, pb, sb, py, n);                                                       \
    else if (!sb && b == (T)0.5)                                                                  \
      NAME##_root(pa, sa, pb, sb, py, n);                                                         \
    else                                                                                          \
      NAME##_any(pa, sa, pb, sb, py, n);                                                          \
  }
POW_LOOP(pow_f32, float, powf, sqrtf)
POW_LOOP(pow_f64, double, pow, sqrt)

static uint64_t pow_natural(uint64_t a, uint64_t b) {
  uint64_t y = 1;
  for (; b; b >>= 1, a *= a)
    if (b & 1) y *= a;
  return y;
}
/* 1 / a^-b, cut: only 1 and -1 have one that is not 0. */
static int64_t pow_integer(int64_t a, int64_t b) {
  if (b >= 0) return (int64_t)pow_natural((uint64_t)a, (uint64_t)b);
  return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
}
ELEM_LOOP(pow_i64, int64_t, int64_t, int64_t, pow_integer(a, b))
ELEM_LOOP(pow_u64, uint64_t, uint64_t, uint64_t, pow_natural(a, b))

static ledge_status pow_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_NUMERIC));
  TRY(elem_check(c, 1, DTYPES_NUMERIC));
  const tensor *a = op_in(c, 0);
  int rank = a->rank;
  int64_t dims[LEDGE_MAX_RANK];
  tensor shape_b;
  if (c->node->version < 7) {
    TRY(binary_old_shape(c, &shape_b));
    return op_shape(c, 0, a->dtype, rank, a->dims);
  }
  TRY(elem_common_shape(c, 0, &rank, dims));
  return op_shape(c, 0, a->dtype, rank, dims);
}

static ledge_status pow_run(op_ctx *c) {
  ledge_dtype a = op_in(c, 0)->dtype, b = op_in(c, 1)->dtype;
  if (dtype_is_integer(a) && dtype_is_integer(b)) {
    bool natural = dtype_kind_of(b) == DTYPE_KIND_UINT;
    return binary_loops(c, natural ? pow_u64 : pow_i64, LEDGE_I64, LEDGE_I64);
  }
  bool narrow = dtype_is_float(a) && dtype_is_float(b) && a != LEDGE_F64 && b != LEDGE_F64;
  return narrow ? binary_loops(c, pow_f32, LEDGE_F32, LEDGE_F32) : binary_loops(c, pow_f64, LEDGE_F64, LEDGE_F64);
}

/* ---- bits and logic ---- */

/* Wider than the type: everything is shifted out; the store cuts what 64 bits have too much. */
ELEM_LOOP(shift_left, uint64_t, uint64_t, uint64_t, b < 64 ? a << b : 0)
ELEM_LOOP(shift_right, uint64_t, uint64_t, uint64_t, b < 64 ? a >> b : 0)

static ledge_status shift_infer(op_ctx *c) {
  if (!op_string_is(c, "direction", "", "LEFT") && !op_string_is(c, "direction", "", "RIGHT"))
    return op_fail(c, LEDGE_ERROR_ARGUMENT, "direction is neither \"LEFT\" nor \"RIGHT\"");
  return binary_infer(c, DTYPES_UNSIGNED, LEDGE_DTYPE_NONE);
}
static ledge_status shift_run(op_ctx *c) {
  bool left = op_string_is(c, "direction", "", "LEFT");
  return binary_loops(c, left ? shift_left : shift_right, LEDGE_I64, LEDGE_I64);
}

ELEM_LOOP(bits_and, uint64_t, uint64_t, uint64_t, a &b)
ELEM_LOOP(bits_or, uint64_t, uint64_t, uint64_t, a | b)
ELEM_LOOP(bits_xor, uint64_t, uint64_t, uint64_t, a ^ b)
ELEM_LOOP(logic_and, uint8_t, uint8_t, uint8_t, (a != 0) & (b != 0))
ELEM_LOOP(logic_or, uint8_t, uint8_t, uint8_t, (a | b) != 0)
ELEM_LOOP(logic_xor, uint8_t, uint8_t, uint8_t, (a != 0) ^ (b != 0))

static ledge_status bits_infer(op_ctx *c) { return binary_infer(c, DTYPES_INTEGER, LEDGE_DTYPE_NONE); }
static ledge_status logic_infer(op_ctx *c) { return binary_infer(c, DTYPES_BOOL, LEDGE_BOOL); }
static ledge_status bits_and_run(op_ctx *c) { return binary_loops(c, bits_and, LEDGE_I64, LEDGE_I64); }
static ledge_status bits_or_run(op_ctx *c) { return binary_loops(c, bits_or, LEDGE_I64, LEDGE_I64); }
static ledge_status bits_xor_run(op_ctx *c) { return binary_loops(c, bits_xor, LEDGE_I64, LEDGE_I64); }
static ledge_status and_run(op_ctx *c) { return binary_loops(c, logic_and, LEDGE_BOOL, LEDGE_BOOL); }
static ledge_status or_run(op_ctx *c) { return binary_loops(c, logic_or, LEDGE_BOOL, LEDGE_BOOL); }
static ledge_status xor_run(op_ctx *c) { return binary_loops(c, logic_xor, LEDGE_BOOL, LEDGE_BOOL); }

#define BINARY(NAME, SINCE, infer, run) \
  { "", NAME, SINCE, 0, 2, 2, 1, 1, OP_INPLACE(0) | OP_INPLACE(1), infer, run }

const op_def ops_binary[] = {
    BINARY("Add", 1, numeric_infer, add_run),         BINARY("Sub", 1, numeric_infer, sub_run),
    BINARY("Mul", 1, numeric_infer, mul_run),         BINARY("Div", 1, numeric_infer, div_run),
    BINARY("Mod", 10, numeric_infer, mod_run),        BINARY("Pow", 1, pow_infer, pow_run),
    BINARY("BitShift", 11, shift_infer, shift_run),   BINARY("BitwiseAnd", 18, bits_infer, bits_and_run),
    BINARY("BitwiseOr", 18, bits_infer, bits_or_run), BINARY("BitwiseXor", 18, bits_infer, bits_xor_run),
    BINARY("And", 1, logic_infer, and_run),           BINARY("Or", 1, logic_infer, or_run),
    BINARY("Xor", 1, logic_infer, xor_run),           {0}};
