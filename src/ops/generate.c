/* ops/generate: tensors out of attributes and sizes: Constant, ConstantOfShape, Range, EyeLike, and the windows of
 * signal processing. */
#include "ops/cast.h"
#include "ops/elementwise.h"
#include "ops/move_util.h"

#include <math.h>

static ledge_status bad_dtype(op_ctx *c, const char *name, int64_t d) {
  return op_fail(c, LEDGE_ERROR_ARGUMENT, "the attribute %s is %lld, which is no data type to give", name,
                 (long long)d);
}

/* ---- Constant ---- */

/* The attribute that holds the contents, or NULL. Sparse values were made dense by the reader. */
static const attr *constant_attr(const op_ctx *c) {
  static const char *const names[] = {"value",     "sparse_value", "value_float",  "value_floats",
                                      "value_int", "value_ints",   "value_string", "value_strings"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const attr *a = node_attr(c->node, names[i]);
    if (a) return a;
  }
  return NULL;
}

static ledge_status constant_infer(op_ctx *c) {
  const attr *a = constant_attr(c);
  if (!a) return op_fail(c, LEDGE_ERROR_FORMAT, "it has no attribute value or value_*");
  switch (a->type) {
    case ATTR_TENSOR: return op_shape(c, 0, a->t->dtype, a->t->rank, a->t->dims);
    case ATTR_FLOAT: return op_shape(c, 0, LEDGE_F32, 0, NULL);
    case ATTR_INT: return op_shape(c, 0, LEDGE_I64, 0, NULL);
    case ATTR_STRING: return op_shape(c, 0, LEDGE_STRING, 0, NULL);
    case ATTR_FLOATS: return op_shape(c, 0, LEDGE_F32, 1, &a->count);
    case ATTR_INTS: return op_shape(c, 0, LEDGE_I64, 1, &a->count);
    case ATTR_STRINGS: return op_shape(c, 0, LEDGE_STRING, 1, &a->count);
    default: return op_fail(c, LEDGE_ERROR_FORMAT, "the attribute %s is of a type that holds no tensor", a->name);
  }
}

static ledge_status constant_run(op_ctx *c) {
  const attr *a = constant_attr(c);
  tensor *y = op_out(c, 0);
  if (!y || !a) return LEDGE_OK;
  switch (a->type) {
    case ATTR_TENSOR: return move_all(c, y, a->t);
    case ATTR_FLOAT: *(float *)y->data = a->f; break;
    case ATTR_INT: *(int64_t *)y->data = a->i; break;
    case ATTR_STRING: return tensor_put_string(y, 0, a->s.data, a->s.size, c->error);
    case ATTR_FLOATS:
      if (a->count) memcpy(y->data, a->floats, (size_t)a->count * sizeof *a->floats);
      break;
    case ATTR_INTS:
      if (a->count) memcpy(y->data, a->ints, (size_t)a->count * sizeof *a->ints);
      break;
    default:
      for (int64_t i = 0; i < a->count; i++)
        TRY(tensor_put_string(y, i, a->strings[i].data, a->strings[i].size, c->error));
  }
  return LEDGE_OK;
}

/* ---- ConstantOfShape ---- */

static ledge_status constant_of_shape_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPE_BIT(LEDGE_I64)));
  const tensor *shape = op_in(c, 0), *fill = op_tensor(c, "value");
  if (shape->rank > 1) return op_fail(c, LEDGE_ERROR_SHAPE, "the shape is not a list");
  if (fill && tensor_elements(fill) != 1)
    return op_fail(c, LEDGE_ERROR_SHAPE, "value has %lld elements instead of one", (long long)tensor_elements(fill));
  OP_NEED(c, 0);
  int64_t dims[LEDGE_MAX_RANK];
  int rank;
  TRY(op_read_ints(c, shape, dims, LEDGE_MAX_RANK, &rank));
  return op_shape(c, 0, fill ? fill->dtype : LEDGE_F32, rank, dims);
}

static ledge_status constant_of_shape_run(op_ctx *c) {
  const tensor *fill = op_tensor(c, "value");
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  int64_t n = tensor_elements(y);
  cast_clear_tail(y);
  return fill ? move_fill(c, y, 0, n, fill, 0) : move_zero(c, y, 0, n);
}

/* ---- Range ---- */

/* ceil((limit - start) / delta) of integers, by unsigned differences, which cannot overflow. */
static uint64_t range_count_i64(int64_t start, int64_t limit, int64_t delta) {
  if (delta > 0 ? start >= limit : start <= limit) return 0;
  uint64_t distance = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
  uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
  return (distance - 1) / step + 1;
}

static ledge_status range_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_NUMERIC & ~DTYPE_BIT(LEDGE_U64)));
  for (int i = 0; i < 3; i++) {
    TRY(elem_check_same(c, i));
    TRY(elem_check_scalar(c, i));
  }
  for (int i = 0; i < 3; i++) OP_NEED(c, i);
  const tensor *start = op_in(c, 0), *limit = op_in(c, 1), *delta = op_in(c, 2);
  uint64_t count;
  if (dtype_is_float(start->dtype)) {
    double n = ceil((tensor_f64(limit, 0) - tensor_f64(start, 0)) / tensor_f64(delta, 0));
    if (tensor_f64(delta, 0) == 0 || isnan(n) || n >= 0x1p62)
      return op_fail(c, LEDGE_ERROR_DATA, "from %g to %g by %g is no finite range", tensor_f64(start, 0),
                     tensor_f64(limit, 0), tensor_f64(delta, 0));
    count = n > 0 ? (uint64_t)n : 0;
  } else {
    if (tensor_i64(delta, 0) == 0) return op_fail(c, LEDGE_ERROR_DATA, "delta is 0");
    count = range_count_i64(tensor_i64(start, 0), tensor_i64(limit, 0), tensor_i64(delta, 0));
    if (count >> 62) return op_fail(c, LEDGE_ERROR_LIMIT, "a range of %llu elements", (unsigned long long)count);
  }
  int64_t n = (int64_t)count;
  return op_shape(c, 0, start->dtype, 1, &n);
}

/* start + i delta. stash_type of version 27 asks for at least float in between; here it is always double. */
static ledge_status range_run(op_ctx *c) {
  const tensor *start = op_in(c, 0), *delta = op_in(c, 2);
  tensor *y = op_out(c, 0);
  int64_t total = y ? tensor_elements(y) : 0;
  double chunk[ELEM_CHUNK];
  int64_t whole[ELEM_CHUNK];
  bool floats = dtype_is_float(start->dtype);
  for (int64_t at = 0, n; at < total; at += n) {
    n = total - at < ELEM_CHUNK ? total - at : ELEM_CHUNK;
    for (int64_t i = 0; i < n; i++) {
      if (floats)
        chunk[i] = tensor_f64(start, 0) + (double)(at + i) * tensor_f64(delta, 0);
      else
        whole[i] = (int64_t)((uint64_t)tensor_i64(start, 0) + (uint64_t)(at + i) * (uint64_t)tensor_i64(delta, 0));
    }
    if (floats)
      elem_store_f64(y->dtype, y->data, at, n, chunk);
    else
      elem_store_i64(y->dtype, y->data, at, n, whole);
  }
  return LEDGE_OK;
}

/* ---- EyeLike ---- */

static ledge_status eye_like_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_ALL));
  const tensor *x = op_in(c, 0);
  int64_t dtype = op_int(c, "dtype", x->dtype), dims[2];
  if (!dtype_is_valid(dtype) || !(DTYPE_BIT(dtype) & (DTYPES_NUMERIC | DTYPES_BOOL)))
    return bad_dtype(c, "dtype", dtype);
  if (x->rank != 1 && x->rank != 2) return op_fail(c, LEDGE_ERROR_SHAPE, "the input is not a matrix");
  dims[0] = x->dims[0];
  dims[1] = x->dims[x->rank - 1];
  return op_shape(c, 0, (ledge_dtype)dtype, 2, dims);
}

static ledge_status eye_like_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  int64_t k = op_int(c, "k", 0), rows = y->dims[0], columns = y->dims[1];
  TRY(move_zero(c, y, 0, rows * columns));
  if (k <= -rows || k >= columns) return LEDGE_OK;
  for (int64_t r = k < 0 ? -k : 0; r < rows && r + k < columns; r++)
    dtype_store_i64(y->dtype, y->data, r * columns + r + k, 1);
  return LEDGE_OK;
}

/* ---- windows: a[0] - a[1] cos(2 pi i / n) + a[2] cos(4 pi i / n), n one less where symmetric ---- */

static ledge_status window_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPE_BIT(LEDGE_I32) | DTYPE_BIT(LEDGE_I64)));
  TRY(elem_check_scalar(c, 0));
  int64_t dtype = op_int(c, "output_datatype", LEDGE_F32);
  if (!dtype_is_valid(dtype) || !(DTYPE_BIT(dtype) & DTYPES_NUMERIC)) return bad_dtype(c, "output_datatype", dtype);
  OP_NEED(c, 0);
  int64_t size = tensor_i64(op_in(c, 0), 0);
  if (size < 0) return op_fail(c, LEDGE_ERROR_DATA, "the size is %lld", (long long)size);
  return op_shape(c, 0, (ledge_dtype)dtype, 1, &size);
}

static ledge_status window(op_ctx *c, const double *a) {
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  int64_t size = y->dims[0];
  double n = (double)(op_int(c, "periodic", 1) ? size : size - 1);
  for (int64_t i = 0; i < size; i++) {
    double t = 2 * M_PI * (double)i / n, v = a[0] - a[1] * cos(t) + a[2] * cos(2 * t);
    if (n <= 0) v = 1; /* a symmetric window of one point is its middle */
    cast_store_f64(&(cast_options){0}, y->dtype, y->data, i, 1, &v);
  }
  return LEDGE_OK;
}
static ledge_status hann_run(op_ctx *c) { return window(c, (const double[]){0.5, 0.5, 0}); }
static ledge_status hamming_run(op_ctx *c) { return window(c, (const double[]){25.0 / 46, 21.0 / 46, 0}); }
static ledge_status blackman_run(op_ctx *c) { return window(c, (const double[]){0.42, 0.5, 0.08}); }

const op_def ops_generate[] = {
    {"", "Constant", 1, 0, 0, 0, 1, 1, 0, constant_infer, constant_run},
    {"", "ConstantOfShape", 9, 0, 1, 1, 1, 1, 0, constant_of_shape_infer, constant_of_shape_run},
    {"", "Range", 11, 0, 3, 3, 1, 1, 0, range_infer, range_run},
    {"", "EyeLike", 9, 0, 1, 1, 1, 1, OP_SHAPE_ONLY, eye_like_infer, eye_like_run},
    {"", "HannWindow", 17, 0, 1, 1, 1, 1, 0, window_infer, hann_run},
    {"", "HammingWindow", 17, 0, 1, 1, 1, 1, 0, window_infer, hamming_run},
    {"", "BlackmanWindow", 17, 0, 1, 1, 1, 1, 0, window_infer, blackman_run},
    {0}};
