/* ops/ml_map: ai.onnx.ml's operators on maps: CastMap, DictVectorizer, ZipMap. A map is two tensors of as many
 * elements, keys and values (tensor.h); their order means nothing. */
#include "ops/lookup_util.h"
#include "ops/ml_util.h"
#include "ops/order_util.h"

#include <stdio.h>
#include <stdlib.h>

static ledge_status map_check(op_ctx *c, const value *v, int64_t *n) {
  if (!v || v->kind != VALUE_MAP) return op_fail(c, LEDGE_ERROR_SHAPE, "the input is not a map");
  *n = tensor_elements(&v->keys);
  if (*n != tensor_elements(&v->tensor))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the map has %lld keys and %lld values", (long long)*n,
                   (long long)tensor_elements(&v->tensor));
  return LEDGE_OK;
}

/* ---- CastMap: integer keys; values in the order of the keys, or each at its key's place ---- */

/* A string as a number; all of it must be one. */
static ledge_status parse_number(op_ctx *c, ledge_string s, double *ret) {
  char text[64], *end;
  if (!s.size || s.size >= sizeof text)
    return op_fail(c, LEDGE_ERROR_DATA, "a value of %zu bytes is no number", s.size);
  memcpy(text, s.data, s.size);
  text[s.size] = 0;
  *ret = strtod(text, &end);
  return *end ? op_fail(c, LEDGE_ERROR_DATA, "the value \"%s\" is no number", text) : LEDGE_OK;
}

static ledge_status cast_one(op_ctx *c, const tensor *values, int64_t from, tensor *y, int64_t to) {
  if (values->dtype == LEDGE_STRING && y->dtype == LEDGE_STRING) return move_run(c, y, to, values, from, 1);
  if (values->dtype == LEDGE_STRING) {
    double v = 0;
    TRY(parse_number(c, ((const ledge_string *)values->data)[from], &v));
    dtype_store_f64(y->dtype, y->data, to, v);
    return LEDGE_OK;
  }
  if (y->dtype != LEDGE_STRING) {
    dtype_store_f64(y->dtype, y->data, to, tensor_f64(values, from));
    return LEDGE_OK;
  }
  char text[400];
  int n = dtype_is_float(values->dtype) ? snprintf(text, sizeof text, "%f", tensor_f64(values, from))
                                        : snprintf(text, sizeof text, "%lld", (long long)tensor_i64(values, from));
  return tensor_put_string(y, to, text, (size_t)n, c->error);
}

static int by_key(const void *context, int64_t a, int64_t b) {
  const int64_t *keys = context;
  return keys[a] < keys[b] ? -1 : keys[a] > keys[b];
}

static ledge_status cast_values(op_ctx *c, const value *map, int64_t n, tensor *y, bool sparse) {
  const int64_t *keys = map->keys.data;
  if (sparse) {
    int64_t length = y->dims[0];
    TRY(move_zero(c, y, 0, length));
    for (int64_t i = 0; i < n; i++) {
      if (keys[i] < 0 || keys[i] >= length)
        return op_fail(c, LEDGE_ERROR_DATA, "key %lld is outside of [0, max_map = %lld)", (long long)keys[i],
                       (long long)length);
      TRY(cast_one(c, &map->tensor, i, y, keys[i]));
    }
    return LEDGE_OK;
  }
  int64_t *order = op_scratch(c, (size_t)n, 2 * sizeof *order);
  if (!order) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++) order[i] = i;
  order_sort(order, order + n, n, by_key, keys);
  ledge_status status = LEDGE_OK;
  for (int64_t i = 0; !status && i < n; i++) status = cast_one(c, &map->tensor, order[i], y, i);
  op_scratch_free(order);
  return status;
}

static ledge_status cast_run(op_ctx *c) {
  int64_t n = 0, length;
  TRY(map_check(c, c->in[0], &n));
  const value *map = c->in[0];
  dtype_kind kind = dtype_kind_of(map->tensor.dtype);
  if (map->keys.dtype != LEDGE_I64 || kind == DTYPE_KIND_COMPLEX)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the map's keys must be i64, its values strings or numbers");
  ledge_dtype dtype = op_string_is(c, "cast_to", "TO_FLOAT", "TO_FLOAT")    ? LEDGE_F32
                      : op_string_is(c, "cast_to", "TO_FLOAT", "TO_STRING") ? LEDGE_STRING
                      : op_string_is(c, "cast_to", "TO_FLOAT", "TO_INT64")  ? LEDGE_I64
                                                                            : LEDGE_DTYPE_NONE;
  bool sparse = op_string_is(c, "map_form", "DENSE", "SPARSE");
  if (!dtype) return op_fail(c, LEDGE_ERROR_FORMAT, "cast_to is none of TO_FLOAT, TO_STRING and TO_INT64");
  if (!sparse && !op_string_is(c, "map_form", "DENSE", "DENSE"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "map_form is neither DENSE nor SPARSE");
  length = sparse ? op_int(c, "max_map", 1) : n;
  tensor *y;
  TRY(op_make(c, 0, dtype, 1, &length, &y));
  return y ? cast_values(c, map, n, y, sparse) : LEDGE_OK;
}

/* ---- DictVectorizer: a map is one row; a sequence of maps, as many ---- */

static ledge_status vectorizer_row(op_ctx *c, const lookup *l, const value *map, int64_t r, tensor *y) {
  int64_t n = 0;
  TRY(map_check(c, map, &n));
  if (map->keys.dtype != (l->strings ? LEDGE_STRING : LEDGE_I64) || map->tensor.dtype != y->dtype)
    return op_fail(c, LEDGE_ERROR_SHAPE, "a map from %s to %s does not go with this vocabulary",
                   ledge_dtype_name(map->keys.dtype), ledge_dtype_name(map->tensor.dtype));
  for (int64_t i = 0; i < n; i++) {
    int64_t at = l->strings ? lookup_string(l, ((const ledge_string *)map->keys.data)[i])
                            : lookup_int(l, ((const int64_t *)map->keys.data)[i]);
    if (at < 0) return op_fail(c, LEDGE_ERROR_DATA, "key %lld of the map is not in the vocabulary", (long long)i);
    TRY(move_run(c, y, r * y->dims[1] + at, &map->tensor, i, 1));
  }
  return LEDGE_OK;
}

static ledge_status vectorizer_run(op_ctx *c) {
  const value *v = c->in[0];
  ml_labels words;
  lookup l;
  tensor *y;
  TRY(ml_labels_read(c, "int64_vocabulary", "string_vocabulary", &words));
  if (!words.n) return op_fail(c, LEDGE_ERROR_FORMAT, "the vocabulary is missing");
  bool list = v->kind == VALUE_SEQUENCE && v->list;
  int64_t rows = list ? v->list->count : 1;
  const value *first = list ? rows ? &v->list->items[0] : NULL : v;
  ledge_dtype dtype = first && first->kind == VALUE_MAP ? first->tensor.dtype : LEDGE_F32;
  TRY(op_make(c, 0, dtype, 2, (int64_t[]){rows, words.n}, &y));
  if (!y) return LEDGE_OK;
  arena a;
  arena_init(&a);
  ledge_status status = lookup_init(c, &a, &l, words.ints, words.strings, words.n, true);
  if (!status) status = move_zero(c, y, 0, tensor_elements(y));
  for (int64_t r = 0; !status && r < rows; r++) status = vectorizer_row(c, &l, list ? &v->list->items[r] : v, r, y);
  arena_deinit(&a);
  return status;
}

/* ---- ZipMap: each row of X becomes a map from the labels to its numbers ---- */

static ledge_status zip_keys(op_ctx *c, const ml_labels *labels, tensor *keys) {
  tensor from = {.dtype = ml_labels_dtype(labels), .rank = 1, .dims = {labels->n}};
  const void *data = labels->strings ? (const void *)labels->strings : labels->ints;
  memcpy(&from.data, &data, sizeof data); /* read only */
  return tensor_copy(keys, &from, c->error);
}

static ledge_status zip_rows(op_ctx *c, const tensor *x, int64_t n, int64_t features, const tensor *keys, sequence *s) {
  for (int64_t r = 0; r < n; r++) {
    value *v = &s->items[r];
    v->kind = VALUE_MAP;
    tensor_share(&v->keys, keys);
    tensor_set_shape(&v->tensor, x->dtype, 1, &features);
    TRY(tensor_alloc(&v->tensor, c->error));
    TRY(move_run(c, &v->tensor, 0, x, r * features, features));
  }
  return LEDGE_OK;
}

static ledge_status zip_run(op_ctx *c) {
  ml_labels labels;
  int64_t n, features;
  TRY(ml_rows(c, &n, &features));
  TRY(ml_labels_read(c, "classlabels_int64s", "classlabels_strings", &labels));
  if (!labels.n) return op_fail(c, LEDGE_ERROR_FORMAT, "the labels are missing");
  if (labels.n != features)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld labels are given for %lld columns", (long long)labels.n,
                   (long long)features);
  if (!op_wants(c, 0)) return LEDGE_OK;
  tensor keys = {0};
  sequence *s = sequence_create(n, LEDGE_DTYPE_NONE);
  ledge_status status =
      s ? zip_keys(c, &labels, &keys) : error_memory(c->error, (size_t)n * sizeof(value), "a sequence");
  if (!status) status = zip_rows(c, op_in(c, 0), n, features, &keys, s);
  tensor_deinit(&keys);
  if (status) {
    sequence_unref(s);
    return status;
  }
  value_deinit(c->out[0]);
  c->out[0]->kind = VALUE_SEQUENCE;
  c->out[0]->list = s;
  return LEDGE_OK;
}

#define ML "ai.onnx.ml"
const op_def ops_ml_map[] = {{ML, "CastMap", 1, 0, 1, 1, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, cast_run},
                             {ML, "DictVectorizer", 1, 0, 1, 1, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, vectorizer_run},
                             {ML, "ZipMap", 1, 0, 1, 1, 1, 1, OP_DYNAMIC, NULL, zip_run},
                             {0}};
