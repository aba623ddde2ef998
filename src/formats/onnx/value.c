/* formats/onnx/value: values in files of their own (.pb), as ONNX's test data and onnx.save_tensor write them:
 * TensorProto, SparseTensorProto (made dense), SequenceProto, OptionalProto, MapProto (onnx-data.proto). Nothing in
 * such a file says which it is: the declared type does. */
#include "formats/onnx/read.h"

/* SequenceProto.DataType and OptionalProto.DataType: what the elements are. */
typedef enum elem_kind {
  ELEM_UNDEFINED = 0,
  ELEM_TENSOR = 1,
  ELEM_SPARSE = 2,
  ELEM_SEQUENCE = 3,
  ELEM_MAP = 4,
  ELEM_OPTIONAL = 5,
} elem_kind;

static ledge_status read_elem(elem_kind kind, reader r, int depth, value *ret, ledge_error *error);

static ledge_status put_string(void *arg, int64_t i, reader text, ledge_error *error) {
  return tensor_put_string(arg, i, text.data ? (const char *)text.data : "", text.size, error);
}

static ledge_status fill_tensor(const onnx_tensor *t, tensor *ret, ledge_error *error) {
  if (t->is_external)
    return error_set_at(error, LEDGE_ERROR_UNSUPPORTED, t->at,
                        "tensor '%.*s' is external: a value in a file of its own is not", ONNX_SHOW(t->name));
  tensor_set_shape(ret, t->dtype, t->rank, t->dims);
  TRY(tensor_alloc(ret, error));
  if (t->dtype == LEDGE_STRING) return onnx_tensor_strings(t, put_string, ret, error);
  onnx_tensor_fill(t, ret->data);
  return LEDGE_OK;
}

static ledge_status read_tensor(reader r, tensor *ret, ledge_error *error) {
  onnx_tensor t;
  tensor out = {0};
  TRY(onnx_tensor_parse(r, NULL, &t, error));
  ledge_status status = fill_tensor(&t, &out, error);
  if (status)
    tensor_deinit(&out);
  else
    *ret = out;
  return status;
}

/* Dense elements may be far more than the file's bytes: bounded as a model's are. */
static ledge_status fill_sparse(const onnx_sparse *s, size_t file_bytes, tensor *values, tensor *indices, tensor *ret,
                                ledge_error *error) {
  size_t limit = ((size_t)16 << 20) + file_bytes;
  if (s->bytes > limit)
    return error_set_at(error, LEDGE_ERROR_LIMIT, s->values.at,
                        "a sparse tensor takes %zu bytes when dense, over the limit of %zu", s->bytes, limit);
  TRY(fill_tensor(&s->values, values, error));
  TRY(fill_tensor(&s->indices, indices, error));
  tensor_set_shape(ret, s->values.dtype, s->rank, s->dims);
  TRY(tensor_alloc(ret, error));
  memset(ret->data, 0, s->bytes);
  TRY(onnx_sparse_fill(s, values->data, indices->data, ret->data, error));
  if (ret->dtype != LEDGE_STRING) return LEDGE_OK;
  const ledge_string *strings = ret->data;
  for (int64_t i = 0; i < tensor_elements(ret); i++)
    TRY(tensor_put_string(ret, i, strings[i].data, strings[i].size, error));
  return LEDGE_OK;
}

static ledge_status read_sparse(reader r, tensor *ret, ledge_error *error) {
  onnx_sparse s;
  tensor values = {0}, indices = {0}, out = {0};
  TRY(onnx_sparse_parse(r, NULL, &s, error));
  ledge_status status = fill_sparse(&s, r.size, &values, &indices, &out, error);
  tensor_deinit(&values);
  tensor_deinit(&indices);
  if (status)
    tensor_deinit(&out);
  else
    *ret = out;
  return status;
}

static bool is_elem_field(uint32_t field) { return field >= 3 && field <= 7; }

/* The fields 3 to 7 of SequenceProto and of OptionalProto are in elem_kind's order. */
static elem_kind kind_of_field(uint32_t field) { return (elem_kind)(field - 2); }

static ledge_status read_items(reader r, elem_kind kind, int depth, value *items, ledge_error *error) {
  int64_t i = 0;
  wire w = wire_open(r, "SequenceProto", NULL);
  while (wire_next(&w))
    if (is_elem_field(w.field)) TRY(read_elem(kind, w.bytes, depth + 1, &items[i++], error));
  return wire_close(&w, error);
}

static ledge_status read_sequence(reader r, int depth, value *ret, ledge_error *error) {
  int64_t declared = ELEM_UNDEFINED, count = 0;
  elem_kind kind = ELEM_UNDEFINED;
  uint64_t at = reader_offset(&r);
  wire w = wire_open(r, "SequenceProto", NULL);
  while (wire_next(&w)) {
    reader elem;
    if (w.field == 2) TRY(wire_int(&w, "elem_type", &declared, error));
    if (!is_elem_field(w.field)) continue;
    TRY(wire_bytes(&w, "values", &elem, error));
    elem_kind now = kind_of_field(w.field);
    if (kind && kind != now)
      return error_set_at(error, LEDGE_ERROR_FORMAT, w.at, "a sequence at byte %llu mixes kinds of elements",
                          (unsigned long long)at);
    kind = now;
    count++;
  }
  TRY(wire_close(&w, error));
  if (kind && declared && declared != (int64_t)kind)
    return error_set_at(error, LEDGE_ERROR_FORMAT, at,
                        "a sequence at byte %llu declares elements of kind %lld, but has kind %d",
                        (unsigned long long)at, (long long)declared, (int)kind);
  sequence *list = sequence_create(count, LEDGE_DTYPE_NONE);
  if (!list) return error_memory(error, (size_t)count * sizeof(value), "a sequence");
  ledge_status status = read_items(r, kind, depth, list->items, error);
  if (status) {
    sequence_unref(list);
    return status;
  }
  if (count && list->items[0].kind == VALUE_TENSOR) list->dtype = list->items[0].tensor.dtype;
  *ret = (value){.kind = VALUE_SEQUENCE, .list = list};
  return LEDGE_OK;
}

static ledge_status read_optional(reader r, int depth, value *ret, ledge_error *error) {
  elem_kind kind = ELEM_UNDEFINED;
  reader elem = {0};
  wire w = wire_open(r, "OptionalProto", NULL);
  while (wire_next(&w)) {
    if (!is_elem_field(w.field)) continue;
    TRY(wire_bytes(&w, "value", &elem, error));
    kind = kind_of_field(w.field);
  }
  TRY(wire_close(&w, error));
  if (kind) return read_elem(kind, elem, depth + 1, ret, error);
  *ret = (value){.kind = VALUE_NONE};
  return LEDGE_OK;
}

/* ---- maps ---- */

typedef struct map_fields {
  int64_t key_type;
  size_t n_ints, n_strings;
  reader values;
  bool has_values;
} map_fields;

static ledge_status fill_keys(reader r, const map_fields *f, tensor *keys, ledge_error *error) {
  bool is_string = f->key_type == LEDGE_STRING;
  int64_t count = (int64_t)(is_string ? f->n_strings : f->n_ints), i = 0;
  tensor_set_shape(keys, is_string ? LEDGE_STRING : LEDGE_I64, 1, &count);
  TRY(tensor_alloc(keys, error));
  int64_t *numbers = keys->data;
  wire w = wire_open(r, "MapProto", NULL);
  while (wire_next(&w)) {
    if (is_string && w.field == 4) TRY(put_string(keys, i++, w.bytes, error));
    if (!is_string && w.field == 3) numbers = wire_copy_ints(&w, numbers);
  }
  return LEDGE_OK;
}

/* The values of a map are a sequence of tensors of one element each: they become one tensor. */
static ledge_status join_values(const sequence *list, int64_t count, uint64_t at, tensor *ret, ledge_error *error) {
  ledge_dtype d = count && list->count ? list->items[0].tensor.dtype : LEDGE_F32;
  bool fit = list->count == count;
  for (int64_t i = 0; fit && i < count; i++) {
    const value *v = &list->items[i];
    fit = v->kind == VALUE_TENSOR && v->tensor.dtype == d && tensor_elements(&v->tensor) == 1;
  }
  if (!fit || (count && !dtype_bytes(d) && d != LEDGE_STRING))
    return error_set_at(error, LEDGE_ERROR_UNSUPPORTED, at,
                        "a map at byte %llu has values that are not one tensor element for each of its %lld keys",
                        (unsigned long long)at, (long long)count);
  tensor_set_shape(ret, d, 1, &count);
  TRY(tensor_alloc(ret, error));
  for (int64_t i = 0; i < count; i++) {
    const tensor *from = &list->items[i].tensor;
    const ledge_string *s = from->data;
    if (d == LEDGE_STRING)
      TRY(tensor_put_string(ret, i, s->data, s->size, error));
    else
      memcpy((char *)ret->data + (size_t)i * dtype_bytes(d), from->data, dtype_bytes(d));
  }
  return LEDGE_OK;
}

static ledge_status parse_map(reader r, map_fields *f, ledge_error *error) {
  reader text;
  wire w = wire_open(r, "MapProto", NULL);
  while (wire_next(&w)) {
    switch (w.field) {
      case 2: TRY(wire_int(&w, "key_type", &f->key_type, error)); break;
      case 3: TRY(wire_count(&w, "keys", WIRE_VARINT, &f->n_ints, error)); break;
      case 4:
        f->n_strings++;
        TRY(wire_bytes(&w, "string_keys", &text, error));
        break;
      case 5: TRY(wire_once(&w, "values", &f->has_values, &f->values, error)); break;
      default: break;
    }
  }
  TRY(wire_close(&w, error));
  if (!f->key_type) f->key_type = f->n_strings ? LEDGE_STRING : LEDGE_I64;
  if (!dtype_is_valid(f->key_type) || (f->key_type != LEDGE_STRING && !dtype_is_integer((ledge_dtype)f->key_type)) ||
      (f->key_type == LEDGE_STRING ? f->n_ints : f->n_strings))
    return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&r),
                        "a map at byte %llu has keys that are not of its key type",
                        (unsigned long long)reader_offset(&r));
  return LEDGE_OK;
}

static ledge_status read_map(reader r, int depth, value *ret, ledge_error *error) {
  map_fields f = {0};
  value out = {.kind = VALUE_MAP}, list = {.kind = VALUE_SEQUENCE};
  TRY(parse_map(r, &f, error));
  ledge_status status = read_sequence(f.values, depth + 1, &list, error);
  if (!status) status = fill_keys(r, &f, &out.keys, error);
  if (!status) status = join_values(list.list, out.keys.dims[0], reader_offset(&r), &out.tensor, error);
  value_deinit(&list);
  if (status)
    value_deinit(&out);
  else
    *ret = out;
  return status;
}

static ledge_status read_elem(elem_kind kind, reader r, int depth, value *ret, ledge_error *error) {
  if (depth > ONNX_MAX_TYPE_DEPTH)
    return error_set_at(error, LEDGE_ERROR_LIMIT, reader_offset(&r),
                        "a value at byte %llu is nested deeper than %d, ledge's limit",
                        (unsigned long long)reader_offset(&r), ONNX_MAX_TYPE_DEPTH);
  value out = {.kind = VALUE_TENSOR};
  switch (kind) {
    case ELEM_SEQUENCE: return read_sequence(r, depth, ret, error);
    case ELEM_MAP: return read_map(r, depth, ret, error);
    case ELEM_OPTIONAL: return read_optional(r, depth, ret, error);
    case ELEM_SPARSE: TRY(read_sparse(r, &out.tensor, error)); break;
    case ELEM_UNDEFINED:
    case ELEM_TENSOR: TRY(read_tensor(r, &out.tensor, error)); break;
  }
  *ret = out;
  return LEDGE_OK;
}

ledge_status onnx_read_value(const void *bytes, size_t size, const char *source, const graph_type *type, value *ret,
                             ledge_error *error) {
  elem_kind kind = ELEM_TENSOR;
  value out = {0};
  switch (type ? type->kind : TYPE_NONE) {
    case TYPE_NONE:
    case TYPE_TENSOR: kind = ELEM_TENSOR; break;
    case TYPE_SPARSE_TENSOR: kind = ELEM_SPARSE; break;
    case TYPE_SEQUENCE: kind = ELEM_SEQUENCE; break;
    case TYPE_OPTIONAL: kind = ELEM_OPTIONAL; break;
    case TYPE_MAP: kind = ELEM_MAP; break;
  }
  ledge_status status = read_elem(kind, reader_make(bytes, size, 0), 1, &out, error);
  if (status) return error_prefix(error, status, "%s", source);
  value_deinit(ret);
  *ret = out;
  return LEDGE_OK;
}
