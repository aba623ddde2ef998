/* ops/compare: Equal, Less, Greater and their like, which give bools, and Where, which takes them.
 *
 * A comparison with NaN is false. Strings are equal where their bytes are. */
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/move_util.h"

/* The loops give bools whatever they compare, so `in` differs from `out`. */
#define COMPARISON(NAME, EXPR)                                   \
  ELEM_LOOP(NAME##_f32, float, float, uint8_t, EXPR)             \
  ELEM_LOOP(NAME##_f64, double, double, uint8_t, EXPR)           \
  ELEM_LOOP(NAME##_i32, int32_t, int32_t, uint8_t, EXPR)         \
  ELEM_LOOP(NAME##_i64, int64_t, int64_t, uint8_t, EXPR)         \
  ELEM_LOOP(NAME##_u64, uint64_t, uint64_t, uint8_t, EXPR)       \
  static ledge_status NAME##_run(op_ctx *c) {                    \
    static const elem_table table = {[LEDGE_F32] = NAME##_f32,   \
                                     [LEDGE_F64] = NAME##_f64,   \
                                     [LEDGE_I32] = NAME##_i32,   \
                                     [LEDGE_I64] = NAME##_i64,   \
                                     [LEDGE_U64] = NAME##_u64};  \
    ledge_dtype d = elem_table_dtype(table, op_in(c, 0)->dtype); \
    return binary_loops(c, table[d], d, LEDGE_BOOL);             \
  }
COMPARISON(equal_number, a == b)
COMPARISON(less, a < b)
COMPARISON(greater, a > b)
COMPARISON(less_or_equal, a <= b)
COMPARISON(greater_or_equal, a >= b)

static bool same_string(ledge_string a, ledge_string b) {
  return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}
ELEM_LOOP(equal_string, ledge_string, ledge_string, uint8_t, same_string(a, b))

static ledge_status equal_run(op_ctx *c) {
  bool strings = op_in(c, 0)->dtype == LEDGE_STRING;
  return strings ? binary_loops(c, equal_string, LEDGE_STRING, LEDGE_BOOL) : equal_number_run(c);
}

static ledge_status equal_infer(op_ctx *c) {
  return binary_infer(c, DTYPES_NUMERIC | DTYPES_BOOL | DTYPES_STRING, LEDGE_BOOL);
}
static ledge_status order_infer(op_ctx *c) { return binary_infer(c, DTYPES_NUMERIC, LEDGE_BOOL); }

/* ---- Where ---- */

static ledge_status where_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_BOOL));
  TRY(elem_check(c, 1, DTYPES_ALL));
  TRY(elem_check(c, 2, DTYPES_ALL));
  const tensor *x = op_in(c, 1), *y = op_in(c, 2);
  if (x->dtype != y->dtype)
    return op_fail(c, LEDGE_ERROR_SHAPE, "inputs 1 and 2 have different dtypes, %s and %s: cast one of them",
                   ledge_dtype_name(x->dtype), ledge_dtype_name(y->dtype));
  int rank;
  int64_t dims[LEDGE_MAX_RANK];
  TRY(elem_common_shape(c, 0, &rank, dims));
  return op_shape(c, 0, x->dtype, rank, dims);
}

typedef struct where_run_args {
  const uint8_t *if_;
  const void *x, *y;
  void *out;
  int64_t at[3], step[3], n; /* of the condition, x and y */
} where_run_args;

#define WHERE_LOOP(T)                                                                \
  static void where_##T(const where_run_args *w) {                                   \
    const uint8_t *cond = w->if_ + w->at[0];                                         \
    const T *x = (const T *)w->x + w->at[1], *y = (const T *)w->y + w->at[2];        \
    T *out = w->out;                                                                 \
    const int64_t sc = w->step[0], sx = w->step[1], sy = w->step[2], n = w->n;       \
    if (sc & sx & sy) {                                                              \
      LOOP_INDEPENDENT                                                               \
      for (int64_t i = 0; i < n; i++) out[i] = cond[i] ? x[i] : y[i];                \
    } else {                                                                         \
      for (int64_t i = 0; i < n; i++) out[i] = cond[i * sc] ? x[i * sx] : y[i * sy]; \
    }                                                                                \
  }
typedef struct where_16_bytes {
  uint64_t v[2];
} where_16_bytes;
WHERE_LOOP(uint8_t)
WHERE_LOOP(uint16_t)
WHERE_LOOP(uint32_t)
WHERE_LOOP(uint64_t)
WHERE_LOOP(where_16_bytes)

/* Strings, which are copied, and packed types, whose elements are no bytes. */
static ledge_status where_odd(op_ctx *c, const where_run_args *w, int64_t to) {
  const tensor *x = op_in(c, 1), *y = op_in(c, 2);
  tensor *out = op_out(c, 0);
  for (int64_t i = 0; i < w->n; i++) {
    bool yes = w->if_[w->at[0] + i * w->step[0]] != 0;
    const tensor *from = yes ? x : y;
    int k = yes ? 1 : 2;
    TRY(move_run(c, out, to + i, from, w->at[k] + i * w->step[k], 1));
  }
  return LEDGE_OK;
}

static ledge_status where_run(op_ctx *c) {
  const tensor *in[3] = {op_in(c, 0), op_in(c, 1), op_in(c, 2)};
  tensor *out = op_out(c, 0);
  if (!out || tensor_elements(out) == 0) return LEDGE_OK;
  int64_t strides[3][LEDGE_MAX_RANK], index[LEDGE_MAX_RANK];
  elem_bcast b;
  elem_bcast_init(&b, strides, out->rank, out->dims, 3, in);
  where_run_args w = {.if_ = in[0]->data, .x = in[1]->data, .y = in[2]->data, .n = b.inner};
  for (int k = 0; k < 3; k++) w.step[k] = strides[k][b.rank - 1];
  size_t bytes = out->dtype == LEDGE_STRING ? 0 : dtype_bytes(out->dtype);
  if (out->data != w.x && out->data != w.y) cast_clear_tail(out);
  elem_bcast_seek(&b, 0, index, w.at);
  for (int64_t row = 0; row < b.rows; row++, elem_bcast_next(&b, index, w.at)) {
    w.out = (char *)out->data + (size_t)(row * b.inner) * bytes;
    switch (bytes) {
      case 1: where_uint8_t(&w); break;
      case 2: where_uint16_t(&w); break;
      case 4: where_uint32_t(&w); break;
      case 8: where_uint64_t(&w); break;
      case 16: where_where_16_bytes(&w); break;
      default: TRY(where_odd(c, &w, row * b.inner));
    }
  }
  return LEDGE_OK;
}

#define COMPARE(NAME, SINCE, infer, run) \
  { "", NAME, SINCE, 0, 2, 2, 1, 1, OP_INPLACE(0) | OP_INPLACE(1), infer, run }

const op_def ops_compare[] = {COMPARE("Equal", 1, equal_infer, equal_run),
                              COMPARE("Less", 1, order_infer, less_run),
                              COMPARE("Greater", 1, order_infer, greater_run),
                              COMPARE("LessOrEqual", 12, order_infer, less_or_equal_run),
                              COMPARE("GreaterOrEqual", 12, order_infer, greater_or_equal_run),
                              {"", "Where", 9, 0, 3, 3, 1, 1, OP_INPLACE(1) | OP_INPLACE(2), where_infer, where_run},
                              {0}};
