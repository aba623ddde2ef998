/* api/value: tensors, sequences, maps and optionals across the border; see ledge.h. */
#include "api/api.h"
#include "base/error.h"

void api_tensor_out(const tensor *t, ledge_tensor *ret) {
  *ret = (ledge_tensor){.dtype = t->dtype, .rank = t->rank, .data = t->data, .bytes = tensor_bytes(t)};
  if (t->rank) memcpy(ret->dims, t->dims, (size_t)t->rank * sizeof *t->dims);
}

ledge_status api_tensor_in(const ledge_tensor *t, tensor *ret, ledge_error *error) {
  if (!dtype_is_valid(t->dtype))
    return error_set(error, LEDGE_ERROR_ARGUMENT, "a tensor has dtype %d, which is none", (int)t->dtype);
  if (t->rank < 0 || t->rank > LEDGE_MAX_RANK)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "a tensor has rank %d, outside of 0 to %d", t->rank, LEDGE_MAX_RANK);
  tensor copy = {.dtype = t->dtype, .rank = t->rank, .data = t->data};
  if (t->rank) memcpy(copy.dims, t->dims, (size_t)t->rank * sizeof *t->dims);
  size_t bytes = tensor_bytes(&copy);
  char text[256];
  if (bytes == SIZE_MAX || bytes > t->bytes)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "a tensor of %s %s takes more than the %zu bytes that are given",
                     ledge_dtype_name(t->dtype), shape_print(t->rank, t->dims, text, sizeof text), t->bytes);
  if (bytes && !t->data) return error_set(error, LEDGE_ERROR_ARGUMENT, "a tensor has no data");
  *ret = copy;
  return LEDGE_OK;
}

static ledge_value *new_value(ledge_error *error) {
  ledge_value *v = mem_zalloc(sizeof *v);
  if (!v) error_memory(error, sizeof *v, "a value");
  return v;
}

ledge_status ledge_value_create(const ledge_tensor *t, ledge_value **ret, ledge_error *error) {
  tensor in;
  TRY(api_tensor_in(t, &in, error));
  ledge_value *v = new_value(error);
  if (!v) return LEDGE_ERROR_MEMORY;
  v->v.kind = VALUE_TENSOR;
  ledge_status status = tensor_copy(&v->v.tensor, &in, error);
  if (status) {
    ledge_value_destroy(v);
    return status;
  }
  *ret = v;
  return LEDGE_OK;
}

ledge_status ledge_value_create_sequence(const ledge_value *const *items, size_t n, ledge_value **ret,
                                         ledge_error *error) {
  ledge_dtype dtype = n && items[0]->v.kind == VALUE_TENSOR ? items[0]->v.tensor.dtype : LEDGE_DTYPE_NONE;
  for (size_t i = 0; i < n; i++)
    if (items[i]->v.kind != items[0]->v.kind || (items[i]->v.kind == VALUE_TENSOR && items[i]->v.tensor.dtype != dtype))
      return error_set(error, LEDGE_ERROR_ARGUMENT,
                       "the items of a sequence are of one kind and dtype; item %zu differs", i);
  if (n > INT32_MAX) return error_set(error, LEDGE_ERROR_LIMIT, "a sequence of %zu items", n);
  ledge_value *v = new_value(error);
  if (!v) return LEDGE_ERROR_MEMORY;
  v->v.kind = VALUE_SEQUENCE;
  v->v.list = sequence_create((int64_t)n, dtype);
  ledge_status status = v->v.list ? LEDGE_OK : error_memory(error, n * sizeof(value), "a sequence");
  for (size_t i = 0; !status && i < n; i++) status = value_keep(&v->v.list->items[i], &items[i]->v, error);
  if (status) {
    ledge_value_destroy(v);
    return status;
  }
  *ret = v;
  return LEDGE_OK;
}

ledge_status ledge_value_create_none(ledge_value **ret, ledge_error *error) {
  ledge_value *v = new_value(error);
  if (!v) return LEDGE_ERROR_MEMORY;
  *ret = v;
  return LEDGE_OK;
}

void ledge_value_destroy(ledge_value *v) {
  if (!v) return;
  value_deinit(&v->v);
  mem_free(v);
}

/* An item of a sequence is a value inside of it: ledge_value holds nothing but a value. */
_Static_assert(sizeof(ledge_value) == sizeof(value), "items of a sequence are handed out as ledge_value");

ledge_kind ledge_value_kind(const ledge_value *v) { return (ledge_kind)v->v.kind; }

ledge_status ledge_value_tensor(const ledge_value *v, ledge_tensor *ret, ledge_error *error) {
  if (v->v.kind != VALUE_TENSOR && v->v.kind != VALUE_MAP)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "the value is no tensor");
  api_tensor_out(&v->v.tensor, ret);
  return LEDGE_OK;
}

ledge_status ledge_value_keys(const ledge_value *v, ledge_tensor *ret, ledge_error *error) {
  if (v->v.kind != VALUE_MAP) return error_set(error, LEDGE_ERROR_ARGUMENT, "the value is no map");
  api_tensor_out(&v->v.keys, ret);
  return LEDGE_OK;
}

size_t ledge_value_count(const ledge_value *v) { return v->v.kind == VALUE_SEQUENCE ? (size_t)v->v.list->count : 0; }

const ledge_value *ledge_value_item(const ledge_value *v, size_t i) {
  return i < ledge_value_count(v) ? (const ledge_value *)&v->v.list->items[i] : NULL;
}
