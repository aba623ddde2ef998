/* ops/ml_encode: ai.onnx.ml's dictionaries: LabelEncoder (versions 1, 2 and 4), CategoryMapper, OneHotEncoder. */
#include "ops/lookup_util.h"
#include "ops/ml_util.h"

/* A list that an attribute holds, as a tensor of one dim that borrows the attribute's memory. */
static bool list_of(const op_ctx *c, const char *ints, const char *floats, const char *strings, const char *tensors,
                    tensor *ret) {
  int64_t n = 0;
  const void *data = NULL;
  ledge_dtype dtype = LEDGE_I64;
  if (ints && op_attr_given(c, ints)) {
    data = op_ints(c, ints, &n);
  } else if (floats && op_attr_given(c, floats)) {
    data = op_floats(c, floats, &n), dtype = LEDGE_F32;
  } else if (strings && op_attr_given(c, strings)) {
    data = op_strings(c, strings, &n), dtype = LEDGE_STRING;
  } else if (tensors && op_tensor(c, tensors)) {
    const tensor *t = op_tensor(c, tensors);
    data = t->data, n = tensor_elements(t), dtype = t->dtype;
  } else {
    return false;
  }
  *ret = (tensor){.dtype = dtype, .rank = 1, .dims = {n}};
  memcpy(&ret->data, &data, sizeof data); /* read only */
  return true;
}

/* From keys to values; `fallback` is one value. */
typedef struct encoder {
  tensor keys, values, fallback;
  int64_t fallback_int;
  double fallback_double;
  float fallback_float;
  ledge_string fallback_string;
} encoder;

/* The value for what is not found: the attribute of the values' type, or the standard's own default. */
static ledge_status encoder_fallback(op_ctx *c, encoder *e) {
  static const int64_t minus = -1;
  e->fallback = (tensor){.dtype = e->values.dtype};
  const tensor *given = op_tensor(c, "default_tensor");
  if (given && op_tensor(c, "values_tensor")) {
    if (given->dtype != e->values.dtype || tensor_elements(given) != 1)
      return op_fail(c, LEDGE_ERROR_FORMAT, "default_tensor must hold one value of the values' dtype");
    e->fallback.data = given->data;
    return LEDGE_OK;
  }
  ledge_string text = op_string(c, "default_string");
  switch (e->values.dtype) {
    case LEDGE_STRING:
      e->fallback_string = text.data ? text : (ledge_string){"_Unused", 7};
      e->fallback.data = &e->fallback_string;
      return LEDGE_OK;
    case LEDGE_F32:
      e->fallback_float = op_float(c, "default_float", -0.0f);
      e->fallback.data = &e->fallback_float;
      return LEDGE_OK;
    case LEDGE_F64:
      e->fallback_double = -0.0;
      e->fallback.data = &e->fallback_double;
      return LEDGE_OK;
    case LEDGE_I64:
    case LEDGE_I32:
    case LEDGE_I16: /* stored, and later read, at the width of the dtype */
      dtype_store_i64(e->values.dtype, &e->fallback_int, 0,
                      e->values.dtype == LEDGE_I64 ? op_int(c, "default_int64", minus) : minus);
      e->fallback.data = &e->fallback_int;
      return LEDGE_OK;
    default:
      return op_fail(c, LEDGE_ERROR_FORMAT, "values of dtype %s are not allowed", ledge_dtype_name(e->values.dtype));
  }
}

static ledge_status encoder_read(op_ctx *c, encoder *e) {
  const tensor *x = op_in(c, 0);
  bool tensors = c->node->version >= 4;
  *e = (encoder){0};
  if (!list_of(c, "keys_int64s", "keys_floats", "keys_strings", tensors ? "keys_tensor" : NULL, &e->keys) ||
      !list_of(c, "values_int64s", "values_floats", "values_strings", tensors ? "values_tensor" : NULL, &e->values))
    return op_fail(c, LEDGE_ERROR_FORMAT, "the keys or the values are missing");
  if (e->keys.dims[0] != e->values.dims[0])
    return op_fail(c, LEDGE_ERROR_FORMAT, "%lld keys have %lld values", (long long)e->keys.dims[0],
                   (long long)e->values.dims[0]);
  dtype_kind kind = dtype_kind_of(x->dtype);
  if (x->dtype != e->keys.dtype)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input of dtype %s is looked up among keys of dtype %s",
                   ledge_dtype_name(x->dtype), ledge_dtype_name(e->keys.dtype));
  if (kind != DTYPE_KIND_STRING && kind != DTYPE_KIND_INT && kind != DTYPE_KIND_FLOAT) return op_fail_dtype(c, 0);
  return encoder_fallback(c, e);
}

static ledge_status encoder_infer(op_ctx *c) {
  encoder e;
  TRY(encoder_read(c, &e));
  return op_shape(c, 0, e.values.dtype, op_in(c, 0)->rank, op_in(c, 0)->dims);
}

/* A number as its key in a lookup. */
static int64_t number_key(const tensor *t, int64_t i) {
  return dtype_is_float(t->dtype) ? lookup_number_key(tensor_f64(t, i)) : tensor_i64(t, i);
}

/* y[i] = values[place of x[i] among keys], or fallback. */
static ledge_status translate(op_ctx *c, const tensor *keys, const tensor *values, const tensor *fallback) {
  const tensor *x = op_in(c, 0);
  int64_t n = tensor_elements(x), n_keys = tensor_elements(keys), *numbers = NULL;
  bool text = keys->dtype == LEDGE_STRING;
  lookup l = {0};
  if (!text) {
    numbers = op_scratch(c, (size_t)n_keys, sizeof *numbers);
    if (!numbers) return LEDGE_ERROR_MEMORY;
    for (int64_t i = 0; i < n_keys; i++) numbers[i] = number_key(keys, i);
  }
  ledge_status status = lookup_init(c, &l, numbers, text ? keys->data : NULL, n_keys, true);
  for (int64_t i = 0; !status && i < n; i++) {
    int64_t at = text ? lookup_string(&l, ((const ledge_string *)x->data)[i]) : lookup_int(&l, number_key(x, i));
    status = move_run(c, op_out(c, 0), i, at < 0 ? fallback : values, at < 0 ? 0 : at, 1);
  }
  lookup_deinit(&l);
  op_scratch_free(numbers);
  return status;
}

static ledge_status encoder_run(op_ctx *c) {
  encoder e;
  TRY(encoder_read(c, &e));
  return translate(c, &e.keys, &e.values, &e.fallback);
}

/* ---- LabelEncoder 1 and CategoryMapper: strings to integers, or integers to strings, as the input is ---- */

static ledge_status mapper_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  if (x->dtype != LEDGE_STRING && x->dtype != LEDGE_I64) return op_fail_dtype(c, 0);
  int64_t n_ints, n_strings;
  op_ints(c, "cats_int64s", &n_ints);
  op_strings(c, "cats_strings", &n_strings);
  if (!strcmp(c->def->name, "CategoryMapper") && n_ints != n_strings)
    return op_fail(c, LEDGE_ERROR_FORMAT, "cats_int64s has %lld entries, and cats_strings %lld", (long long)n_ints,
                   (long long)n_strings);
  return op_shape(c, 0, x->dtype == LEDGE_STRING ? LEDGE_I64 : LEDGE_STRING, x->rank, x->dims);
}

static ledge_status mapper_apply(op_ctx *c, const tensor *ints, const tensor *strings) {
  int64_t missing = op_int(c, "default_int64", -1);
  ledge_string unused = op_string(c, "default_string");
  if (!unused.data) unused = (ledge_string){"_Unused", 7};
  tensor no_int = {.dtype = LEDGE_I64, .data = &missing}, no_string = {.dtype = LEDGE_STRING, .data = &unused};
  return op_in(c, 0)->dtype == LEDGE_STRING ? translate(c, strings, ints, &no_int)
                                            : translate(c, ints, strings, &no_string);
}

static ledge_status mapper_run(op_ctx *c) {
  tensor ints = {.dtype = LEDGE_I64, .rank = 1}, strings = {.dtype = LEDGE_STRING, .rank = 1};
  list_of(c, "cats_int64s", NULL, NULL, NULL, &ints);
  list_of(c, NULL, NULL, "cats_strings", NULL, &strings);
  return mapper_apply(c, &ints, &strings);
}

static ledge_status encoder_run_1(op_ctx *c) {
  tensor strings = {.dtype = LEDGE_STRING, .rank = 1};
  list_of(c, NULL, NULL, "classes_strings", NULL, &strings);
  int64_t n = strings.dims[0], *numbers = op_scratch(c, (size_t)n, sizeof *numbers);
  if (!numbers) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++) numbers[i] = i;
  tensor ints = {.dtype = LEDGE_I64, .rank = 1, .dims = {n}, .data = numbers};
  ledge_status status = mapper_apply(c, &ints, &strings);
  op_scratch_free(numbers);
  return status;
}

/* ---- OneHotEncoder ---- */

static ledge_status one_hot_infer(op_ctx *c) {
  ml_labels cats;
  int64_t dims[LEDGE_MAX_RANK + 1];
  const tensor *x = op_in(c, 0);
  TRY(ml_labels_read(c, "cats_int64s", "cats_strings", &cats));
  bool text = x->dtype == LEDGE_STRING;
  if (text ? !cats.strings && cats.n : !dtype_is_integer(x->dtype) && !dtype_is_float(x->dtype))
    return op_fail_dtype(c, 0);
  if (!text && cats.strings) return op_fail(c, LEDGE_ERROR_SHAPE, "numbers are looked up among cats_strings");
  if (x->rank) memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  dims[x->rank] = cats.n;
  return op_shape(c, 0, LEDGE_F32, x->rank + 1, dims);
}

static ledge_status one_hot_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  float *out = y->data;
  ml_labels cats;
  lookup l;
  int64_t n = tensor_elements(x);
  bool lenient = op_int(c, "zeros", 1) != 0;
  TRY(ml_labels_read(c, "cats_int64s", "cats_strings", &cats));
  TRY(lookup_init(c, &l, cats.ints, cats.strings, cats.n, true));
  ledge_status status = move_zero(c, y, 0, tensor_elements(y));
  for (int64_t i = 0; !status && i < n; i++) {
    int64_t at = x->dtype == LEDGE_STRING ? lookup_string(&l, ((const ledge_string *)x->data)[i])
                                          : lookup_int(&l, tensor_i64(x, i));
    if (at >= 0)
      out[i * cats.n + at] = 1;
    else if (!lenient)
      status = op_fail(c, LEDGE_ERROR_DATA, "element %lld is in none of the categories", (long long)i);
  }
  lookup_deinit(&l);
  return status;
}

#define ML "ai.onnx.ml"
const op_def ops_ml_encode[] = {{ML, "LabelEncoder", 1, 1, 1, 1, 1, 1, 0, mapper_infer, encoder_run_1},
                                {ML, "LabelEncoder", 2, 0, 1, 1, 1, 1, 0, encoder_infer, encoder_run},
                                {ML, "CategoryMapper", 1, 0, 1, 1, 1, 1, 0, mapper_infer, mapper_run},
                                {ML, "OneHotEncoder", 1, 0, 1, 1, 1, 1, 0, one_hot_infer, one_hot_run},
                                {0}};
