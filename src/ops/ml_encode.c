/* ops/ml_encode: ai.onnx.ml's dictionaries: LabelEncoder (versions 1, 2 and 4), CategoryMapper, OneHotEncoder. A plan
 * builds the table of an encoder once (ml_encoder_build); without one it is built for the run. */
#include "ops/ml_encode.h"

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
struct encoder {
  tensor keys, values, fallback;
  int64_t *numbers; /* keys that are no strings, as lookups take them */
  lookup places;
  int64_t fallback_int;
  double fallback_double;
  float fallback_float;
  ledge_string fallback_string;
};

/* The value for what is not found: the attribute of the values' type, or the standard's own default. */
static ledge_status encoder_fallback(op_ctx *c, encoder *e) {
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
                      e->values.dtype == LEDGE_I64 ? op_int(c, "default_int64", -1) : -1);
      e->fallback.data = &e->fallback_int;
      return LEDGE_OK;
    default:
      return op_fail(c, LEDGE_ERROR_FORMAT, "values of dtype %s are not allowed", ledge_dtype_name(e->values.dtype));
  }
}

/* Versions 2 and 4 of LabelEncoder. */
static ledge_status encoder_read_2(op_ctx *c, encoder *e) {
  const tensor *x = op_in(c, 0);
  bool tensors = c->node->version >= 4;
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

/* CategoryMapper, and version 1 of LabelEncoder, whose integers are the places of its strings: strings to integers, or
 * integers to strings, as the input is. */
static ledge_status encoder_read_1(op_ctx *c, encoder *e) {
  const tensor *x = op_in(c, 0);
  bool counted = !strcmp(c->def->name, "LabelEncoder");
  tensor ints = {.dtype = LEDGE_I64, .rank = 1}, strings = {.dtype = LEDGE_STRING, .rank = 1};
  if (x->dtype != LEDGE_STRING && x->dtype != LEDGE_I64) return op_fail_dtype(c, 0);
  list_of(c, "cats_int64s", NULL, NULL, NULL, &ints);
  list_of(c, NULL, NULL, counted ? "classes_strings" : "cats_strings", NULL, &strings);
  if (counted) ints = (tensor){.dtype = LEDGE_I64, .rank = 1, .dims = {strings.dims[0]}};
  if (ints.dims[0] != strings.dims[0])
    return op_fail(c, LEDGE_ERROR_FORMAT, "cats_int64s has %lld entries, and cats_strings %lld",
                   (long long)ints.dims[0], (long long)strings.dims[0]);
  e->keys = x->dtype == LEDGE_STRING ? strings : ints;
  e->values = x->dtype == LEDGE_STRING ? ints : strings;
  return encoder_fallback(c, e);
}

static ledge_status encoder_read(op_ctx *c, encoder *e) {
  *e = (encoder){0};
  bool first = c->def->until == 1 || strcmp(c->def->name, "LabelEncoder");
  return first ? encoder_read_1(c, e) : encoder_read_2(c, e);
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

static void *table_of(op_ctx *c, arena *a, int64_t n, size_t each) {
  void *table = arena_alloc_array(a, (size_t)n, each);
  if (!table) error_memory(c->error, (size_t)n * each, "a table");
  return table;
}

ledge_status ml_encoder_build(op_ctx *c, arena *a, encoder **ret) {
  encoder *e = table_of(c, a, 1, sizeof *e);
  if (!e) return LEDGE_ERROR_MEMORY;
  TRY(encoder_read(c, e));
  int64_t n = e->keys.dims[0];
  /* The integers of LabelEncoder 1 are counted, not listed. */
  tensor *counted = n && !e->keys.data ? &e->keys : n && !e->values.data ? &e->values : NULL;
  if (counted) {
    int64_t *places = counted->data = table_of(c, a, n, sizeof *places);
    if (!places) return LEDGE_ERROR_MEMORY;
    for (int64_t i = 0; i < n; i++) places[i] = i;
  }
  if (e->keys.dtype != LEDGE_STRING) {
    e->numbers = table_of(c, a, n, sizeof *e->numbers);
    if (!e->numbers) return LEDGE_ERROR_MEMORY;
    for (int64_t i = 0; i < n; i++) e->numbers[i] = number_key(&e->keys, i);
  }
  TRY(lookup_init(c, a, &e->places, e->numbers, e->numbers ? NULL : e->keys.data, n, true));
  *ret = e;
  return LEDGE_OK;
}

/* y[i] = values[place of x[i] among the keys], or the fallback. */
static ledge_status encoder_apply(op_ctx *c, const encoder *e) {
  const tensor *x = op_in(c, 0);
  int64_t n = tensor_elements(x);
  for (int64_t i = 0; i < n; i++) {
    int64_t at = e->numbers ? lookup_int(&e->places, number_key(x, i))
                            : lookup_string(&e->places, ((const ledge_string *)x->data)[i]);
    TRY(move_run(c, op_out(c, 0), i, at < 0 ? &e->fallback : &e->values, at < 0 ? 0 : at, 1));
  }
  return LEDGE_OK;
}

static ledge_status encoder_run(op_ctx *c) {
  if (c->kernel) return encoder_apply(c, c->kernel);
  arena a;
  encoder *e = NULL;
  arena_init(&a);
  ledge_status status = ml_encoder_build(c, &a, &e);
  if (!status) status = encoder_apply(c, e);
  arena_deinit(&a);
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
  arena a;
  arena_init(&a);
  ledge_status status = lookup_init(c, &a, &l, cats.ints, cats.strings, cats.n, true);
  if (!status) status = move_zero(c, y, 0, tensor_elements(y));
  for (int64_t i = 0; !status && i < n; i++) {
    int64_t at = x->dtype == LEDGE_STRING ? lookup_string(&l, ((const ledge_string *)x->data)[i])
                                          : lookup_int(&l, tensor_i64(x, i));
    if (at >= 0)
      out[i * cats.n + at] = 1;
    else if (!lenient)
      status = op_fail(c, LEDGE_ERROR_DATA, "element %lld is in none of the categories", (long long)i);
  }
  arena_deinit(&a);
  return status;
}

#define ML "ai.onnx.ml"
const op_def ops_ml_encode[] = {{ML, "LabelEncoder", 1, 1, 1, 1, 1, 1, 0, encoder_infer, encoder_run},
                                {ML, "LabelEncoder", 2, 0, 1, 1, 1, 1, 0, encoder_infer, encoder_run},
                                {ML, "CategoryMapper", 1, 0, 1, 1, 1, 1, 0, encoder_infer, encoder_run},
                                {ML, "OneHotEncoder", 1, 0, 1, 1, 1, 1, 0, one_hot_infer, one_hot_run},
                                {0}};
