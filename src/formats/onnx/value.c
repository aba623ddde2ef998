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

/* One reading. A file of many tiny elements takes far more memory than bytes: `left` bounds it. */
typedef struct value_in {
  int depth;
  size_t left; /* bytes that may still be allocated */
  ledge_error *error;
} value_in;

enum { LIMIT_BASE = 32 << 20, LIMIT_PER_BYTE = 10 };

static ledge_status charge(value_in *in, size_t count, size_t each, uint64_t at) {
  size_t bytes;
  if (!mem_mul(count, each, &bytes) || bytes > in->left)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, at,
                        "what is at byte %llu takes %zu elements of %zu bytes, more than a file of this size may",
                        (unsigned long long)at, count, each);
  in->left -= bytes;
  return LEDGE_OK;
}

static ledge_status read_elem(value_in *in, elem_kind kind, reader r, value *ret);

static ledge_status put_string(void *arg, int64_t i, reader text, ledge_error *error) {
  return tensor_put_string(arg, i, text.data ? (const char *)text.data : "", text.size, error);
}

static ledge_status fill_tensor(value_in *in, const onnx_tensor *t, tensor *ret) {
  enum { STRING_CHUNK = 4096 }; /* an arena holds the strings of each tensor */
  if (t->is_external)
    return error_set_at(in->error, LEDGE_ERROR_UNSUPPORTED, t->at,
                        "tensor '%.*s' is external: a value in a file of its own is not", ONNX_SHOW(t->name));
  TRY(charge(in, 1, sizeof(storage) + (t->dtype == LEDGE_STRING && t->count ? STRING_CHUNK : 0), t->at));
  TRY(charge(in, t->bytes, 1, t->at));
  tensor_set_shape(ret, t->dtype, t->rank, t->dims);
  TRY(tensor_alloc(ret, in->error));
  if (t->dtype == LEDGE_STRING) return onnx_tensor_strings(t, put_string, ret, in->error);
  onnx_tensor_fill(t, ret->data);
  return LEDGE_OK;
}

static ledge_status read_tensor(value_in *in, reader r, tensor *ret) {
  onnx_tensor t;
  tensor out = {0};
  TRY(onnx_tensor_parse(r, NULL, &t, in->error));
  ledge_status status = fill_tensor(in, &t, &out);
  if (status)
    tensor_deinit(&out);
  else
    *ret = out;
  return status;
}

static ledge_status fill_sparse(value_in *in, const onnx_sparse *s, tensor *values, tensor *indices, tensor *ret) {
  TRY(charge(in, s->bytes, 1, s->values.at));
  TRY(fill_tensor(in, &s->values, values));
  TRY(fill_tensor(in, &s->indices, indices));
  tensor_set_shape(ret, s->values.dtype, s->rank, s->dims);
  TRY(tensor_alloc(ret, in->error));
  memset(ret->data, 0, s->bytes);
  TRY(onnx_sparse_fill(s, values->data, indices->data, ret->data, in->error));
  if (ret->dtype != LEDGE_STRING) return LEDGE_OK;
  const ledge_string *strings = ret->data; /* which point into `values` so far */
  for (int64_t i = 0; i < tensor_elements(ret); i++)
    TRY(tensor_put_string(ret, i, strings[i].data, strings[i].size, in->error));
  return LEDGE_OK;
}

static ledge_status read_sparse(value_in *in, reader r, tensor *ret) {
  onnx_sparse s;
  tensor values = {0}, indices = {0}, out = {0};
  TRY(onnx_sparse_parse(r, NULL, &s, in->error));
  ledge_status status = fill_sparse(in, &s, &values, &indices, &out);
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

static ledge_status read_items(value_in *in, reader r, elem_kind kind, value *items, int64_t count) {
  int64_t i = 0;
  wire w = wire_open(r, "SequenceProto", NULL);
  while (i < count && wire_next(&w))
    if (is_elem_field(w.field)) TRY(read_elem(in, kind, w.bytes, &items[i++]));
  return wire_close(&w, in->error);
}

static ledge_status read_sequence(value_in *in, reader r, value *ret) {
  int64_t declared = ELEM_UNDEFINED, count = 0;
  elem_kind kind = ELEM_UNDEFINED;
  uint64_t at = reader_offset(&r);
  wire w = wire_open(r, "SequenceProto", NULL);
  while (wire_next(&w)) {
    reader elem;
    if (w.field == 2) TRY(wire_int(&w, "elem_type", &declared, in->error));
    if (!is_elem_field(w.field)) continue;
    TRY(wire_bytes(&w, "values", &elem, in->error));
    elem_kind now = kind_of_field(w.field);
    if (kind && kind != now)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, w.at, "a sequence at byte %llu mixes kinds of elements",
                          (unsigned long long)at);
    kind = now;
    count++;
  }
  TRY(wire_close(&w, in->error));
  if (kind && declared && declared != (int64_t)kind)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, at,
                        "a sequence at byte %llu declares elements of kind %lld, but has kind %d",
                        (unsigned long long)at, (long long)declared, (int)kind);
  TRY(charge(in, (size_t)count + 1, sizeof(value), at));
  sequence *list = sequence_create(count, LEDGE_DTYPE_NONE);
  if (!list) return error_memory(in->error, (size_t)count * sizeof(value), "a sequence");
  ledge_status status = read_items(in, r, kind, list->items, count);
  if (status) {
    sequence_unref(list);
    return status;
  }
  if (count && list->items[0].kind == VALUE_TENSOR) list->dtype = list->items[0].tensor.dtype;
  *ret = (value){.kind = VALUE_SEQUENCE, .list = list};
  return LEDGE_OK;
}

static ledge_status read_optional(value_in *in, reader r, value *ret) {
  elem_kind kind = ELEM_UNDEFINED;
  reader elem = {0};
  wire w = wire_open(r, "OptionalProto", NULL);
  while (wire_next(&w)) {
    if (!is_elem_field(w.field)) continue;
    TRY(wire_bytes(&w, "value", &elem, in->error));
    kind = kind_of_field(w.field);
  }
  TRY(wire_close(&w, in->error));
  if (kind) return read_elem(in, kind, elem, ret);
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

static ledge_status fill_keys(value_in *in, reader r, const map_fields *f, tensor *keys) {
  bool is_string = f->key_type == LEDGE_STRING;
  int64_t count = (int64_t)(is_string ? f->n_strings : f->n_ints), i = 0;
  TRY(charge(in, (size_t)count, sizeof(ledge_string) + sizeof(int64_t), reader_offset(&r)));
  tensor_set_shape(keys, is_string ? LEDGE_STRING : LEDGE_I64, 1, &count);
  TRY(tensor_alloc(keys, in->error));
  int64_t *numbers = keys->data;
  wire w = wire_open(r, "MapProto", NULL);
  while (wire_next(&w)) {
    if (is_string && w.field == 4 && i < count) TRY(put_string(keys, i++, w.bytes, in->error));
    if (!is_string && w.field == 3) i += (int64_t)wire_copy_ints(&w, numbers + i, (size_t)(count - i));
  }
  return LEDGE_OK;
}

/* The values of a map are a sequence of tensors of one element each: they become one tensor. */
static ledge_status join_values(value_in *in, const sequence *list, int64_t count, uint64_t at, tensor *ret) {
  ledge_dtype d = count && list->count ? list->items[0].tensor.dtype : LEDGE_F32;
  bool fit = list->count == count;
  for (int64_t i = 0; fit && i < count; i++) {
    const value *v = &list->items[i];
    fit = v->kind == VALUE_TENSOR && v->tensor.dtype == d && tensor_elements(&v->tensor) == 1;
  }
  if (!fit || (count && !dtype_bytes(d) && d != LEDGE_STRING))
    return error_set_at(in->error, LEDGE_ERROR_UNSUPPORTED, at,
                        "a map at byte %llu has values that are not one tensor element for each of its %lld keys",
                        (unsigned long long)at, (long long)count);
  tensor_set_shape(ret, d, 1, &count);
  TRY(tensor_alloc(ret, in->error));
  for (int64_t i = 0; i < count; i++) {
    const tensor *from = &list->items[i].tensor;
    const ledge_string *s = from->data;
    if (d == LEDGE_STRING)
      TRY(tensor_put_string(ret, i, s->data, s->size, in->error));
    else
      memcpy((char *)ret->data + (size_t)i * dtype_bytes(d), from->data, dtype_bytes(d));
  }
  return LEDGE_OK;
}

static ledge_status parse_map(value_in *in, reader r, map_fields *f) {
  reader text;
  wire w = wire_open(r, "MapProto", NULL);
  while (wire_next(&w)) {
    switch (w.field) {
      case 2: TRY(wire_int(&w, "key_type", &f->key_type, in->error)); break;
      case 3: TRY(wire_count(&w, "keys", WIRE_VARINT, &f->n_ints, in->error)); break;
      case 4:
        f->n_strings++;
        TRY(wire_bytes(&w, "string_keys", &text, in->error));
        break;
      case 5: TRY(wire_once(&w, "values", &f->has_values, &f->values, in->error)); break;
      default: break;
    }
  }
  TRY(wire_close(&w, in->error));
  if (!f->key_type) f->key_type = f->n_strings ? LEDGE_STRING : LEDGE_I64;
  if (!dtype_is_valid(f->key_type) || (f->key_type != LEDGE_STRING && !dtype_is_integer((ledge_dtype)f->key_type)) ||
      (f->key_type == LEDGE_STRING ? f->n_ints : f->n_strings))
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, reader_offset(&r),
                        "a map at byte %llu has keys that are not of its key type",
                        (unsigned long long)reader_offset(&r));
  return LEDGE_OK;
}

static ledge_status read_map(value_in *in, reader r, value *ret) {
  map_fields f = {0};
  value out = {.kind = VALUE_MAP}, list = {.kind = VALUE_SEQUENCE};
  TRY(parse_map(in, r, &f));
  ledge_status status = read_sequence(in, f.values, &list);
  if (!status) status = fill_keys(in, r, &f, &out.keys);
  if (!status) status = join_values(in, list.list, out.keys.dims[0], reader_offset(&r), &out.tensor);
  value_deinit(&list);
  if (status)
    value_deinit(&out);
  else
    *ret = out;
  return status;
}

static ledge_status read_kind(value_in *in, elem_kind kind, reader r, value *ret) {
  value out = {.kind = VALUE_TENSOR};
  switch (kind) {
    case ELEM_SEQUENCE: return read_sequence(in, r, ret);
    case ELEM_MAP: return read_map(in, r, ret);
    case ELEM_OPTIONAL: return read_optional(in, r, ret);
    case ELEM_SPARSE: TRY(read_sparse(in, r, &out.tensor)); break;
    case ELEM_UNDEFINED:
    case ELEM_TENSOR: TRY(read_tensor(in, r, &out.tensor)); break;
  }
  *ret = out;
  return LEDGE_OK;
}

static ledge_status read_elem(value_in *in, elem_kind kind, reader r, value *ret) {
  if (in->depth == ONNX_MAX_TYPE_DEPTH)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, reader_offset(&r),
                        "a value at byte %llu is nested deeper than %d, ledge's limit",
                        (unsigned long long)reader_offset(&r), ONNX_MAX_TYPE_DEPTH);
  in->depth++;
  ledge_status status = read_kind(in, kind, r, ret);
  in->depth--;
  return status;
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
  value_in in = {.error = error};
  if (!mem_mul(size, LIMIT_PER_BYTE, &in.left) || !mem_add(in.left, LIMIT_BASE, &in.left)) in.left = SIZE_MAX;
  ledge_status status = read_elem(&in, kind, reader_make(bytes, size, 0), &out);
  if (status) return error_prefix(error, status, "%s", source);
  value_deinit(ret);
  *ret = out;
  return LEDGE_OK;
}
