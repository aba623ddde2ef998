/* formats/onnx/tensor: TensorProto and SparseTensorProto to elements.
 *
 * A TensorProto holds its elements in raw_data (little-endian, as memory has them), in one of five typed lists (narrow
 * types one a number, 4- and 2-bit ones a byte a number), as strings, or in another file. onnx_tensor_parse checks that
 * just one of these is there and that it holds what the shape asks for; what follows can then decode without a check.
 */
#include "formats/onnx/read.h"
#include "tensor/mapped.h"

#include <stdio.h>

enum { /* field numbers of TensorProto */
       T_DIMS = 1,
       T_DTYPE = 2,
       T_SEGMENT = 3,
       T_FLOATS = 4,
       T_INT32S = 5,
       T_STRINGS = 6,
       T_INT64S = 7,
       T_NAME = 8,
       T_RAW = 9,
       T_DOUBLES = 10,
       T_UINT64S = 11,
       T_EXTERNAL = 13,
       T_LOCATION = 14,
};

static const char *field_name(uint32_t field) {
  switch (field) {
    case T_FLOATS: return "float_data";
    case T_INT32S: return "int32_data";
    case T_STRINGS: return "string_data";
    case T_INT64S: return "int64_data";
    case T_DOUBLES: return "double_data";
    case T_UINT64S: return "uint64_data";
    default: return "no data";
  }
}

/* The typed list that a dtype's elements stand in. */
static uint32_t field_of_dtype(ledge_dtype d) {
  switch (d) {
    case LEDGE_F32:
    case LEDGE_C64: return T_FLOATS;
    case LEDGE_F64:
    case LEDGE_C128: return T_DOUBLES;
    case LEDGE_I64: return T_INT64S;
    case LEDGE_U32:
    case LEDGE_U64: return T_UINT64S;
    case LEDGE_STRING: return T_STRINGS;
    default: return T_INT32S;
  }
}

/* Bytes in memory of one entry of the typed list. */
static size_t entry_bytes(ledge_dtype d) {
  switch (d) {
    case LEDGE_C64: return 4;
    case LEDGE_C128: return 8;
    case LEDGE_STRING: return sizeof(ledge_string);
    default: return dtype_bytes(d) ? dtype_bytes(d) : 1;
  }
}

static ledge_status tensor_fail(const onnx_tensor *t, ledge_status code, const char *what, ledge_error *error) {
  if (!t->name.size)
    return error_set_at(error, code, t->at, "a tensor at byte %llu %s", (unsigned long long)t->at, what);
  return error_set_at(error, code, t->at, "tensor '%.*s' at byte %llu %s", ONNX_SHOW(t->name),
                      (unsigned long long)t->at, what);
}

static ledge_status read_dims(const wire *w, const char *message, int *rank, int64_t *dims, ledge_error *error) {
  size_t count = (size_t)*rank;
  TRY(wire_count(w, "dims", WIRE_VARINT, &count, error));
  if (count > LEDGE_MAX_RANK)
    return error_set_at(error, LEDGE_ERROR_LIMIT, w->at,
                        "%s at byte %llu has a rank of %zu or more; ledge takes at most %d", message,
                        (unsigned long long)w->at, count, LEDGE_MAX_RANK);
  *rank += (int)wire_copy_ints(w, dims + *rank, count - (size_t)*rank);
  return LEDGE_OK;
}

/* Counts of entries by field number, while a tensor is looked through. */
typedef struct tensor_counts {
  size_t of[T_UINT64S + 1];
} tensor_counts;

static ledge_status parse_field(const wire *w, onnx_tensor *t, tensor_counts *n, ledge_error *error) {
  int64_t number;
  switch (w->field) {
    case T_DIMS: return read_dims(w, "TensorProto", &t->rank, t->dims, error);
    case T_DTYPE:
      TRY(wire_int(w, "data_type", &number, error));
      if (!dtype_is_valid(number))
        return error_set_at(error, LEDGE_ERROR_FORMAT, w->at,
                            "TensorProto at byte %llu has data type %lld, which ONNX does not define (1 to %d)",
                            (unsigned long long)w->at, (long long)number, LEDGE_DTYPE_COUNT - 1);
      t->dtype = (ledge_dtype)number;
      return LEDGE_OK;
    case T_SEGMENT:
      return error_set_at(error, LEDGE_ERROR_UNSUPPORTED, w->at,
                          "TensorProto at byte %llu is a segment of a larger tensor: save the model with whole tensors",
                          (unsigned long long)w->at);
    case T_FLOATS: return wire_count(w, "float_data", WIRE_FIXED32, &n->of[T_FLOATS], error);
    case T_INT32S: return wire_count(w, "int32_data", WIRE_VARINT, &n->of[T_INT32S], error);
    case T_INT64S: return wire_count(w, "int64_data", WIRE_VARINT, &n->of[T_INT64S], error);
    case T_DOUBLES: return wire_count(w, "double_data", WIRE_FIXED64, &n->of[T_DOUBLES], error);
    case T_UINT64S: return wire_count(w, "uint64_data", WIRE_VARINT, &n->of[T_UINT64S], error);
    case T_STRINGS: {
      reader text;
      n->of[T_STRINGS]++;
      return wire_bytes(w, "string_data", &text, error);
    }
    case T_NAME: return wire_bytes(w, "name", &t->name, error);
    case T_RAW:
      TRY(wire_bytes(w, "raw_data", &t->raw, error));
      n->of[T_RAW] = t->raw.size > 0;
      return LEDGE_OK;
    case T_EXTERNAL: {
      reader entry;
      TRY(wire_bytes(w, "external_data", &entry, error));
      return onnx_external_entry(entry, w->steps, t, error);
    }
    case T_LOCATION:
      TRY(wire_int(w, "data_location", &number, error));
      t->is_external = number == 1;
      return LEDGE_OK;
    default: return LEDGE_OK;
  }
}

/* Settles which field holds the elements, and that it holds as many as the shape says. */
static ledge_status check_contents(onnx_tensor *t, const tensor_counts *n, ledge_error *error) {
  char what[400], shape[200];
  for (uint32_t f = 0; f <= T_UINT64S; f++) {
    if (!n->of[f]) continue;
    if (t->field || t->is_external)
      return tensor_fail(t, LEDGE_ERROR_FORMAT, "has its contents in two places: export the model anew", error);
    t->field = f;
  }
  if (t->is_external) {
    if (t->dtype == LEDGE_STRING)
      return tensor_fail(t, LEDGE_ERROR_FORMAT, "has strings in an external file, which ONNX forbids", error);
    if (!t->has_location)
      return tensor_fail(t, LEDGE_ERROR_FORMAT, "is external but does not say in which file ('location')", error);
    t->field = T_EXTERNAL;
    return LEDGE_OK;
  }
  shape_print(t->rank, t->dims, shape, sizeof shape);
  if (t->field == T_RAW) {
    if (t->dtype == LEDGE_STRING)
      return tensor_fail(t, LEDGE_ERROR_FORMAT, "has strings in raw_data, which ONNX forbids", error);
    snprintf(what, sizeof what, "has %zu bytes in raw_data, but %s of %s take %zu: the file is damaged", t->raw.size,
             shape, ledge_dtype_name(t->dtype), t->bytes);
    return t->raw.size == t->bytes ? LEDGE_OK : tensor_fail(t, LEDGE_ERROR_FORMAT, what, error);
  }
  size_t want = t->bytes / entry_bytes(t->dtype), have = t->field ? n->of[t->field] : 0;
  if (t->field && t->field != field_of_dtype(t->dtype)) {
    snprintf(what, sizeof what, "has its contents in %s, but %s stand in %s or raw_data: export the model anew",
             field_name(t->field), ledge_dtype_name(t->dtype), field_name(field_of_dtype(t->dtype)));
    return tensor_fail(t, LEDGE_ERROR_FORMAT, what, error);
  }
  snprintf(what, sizeof what, "has %zu entries in %s, but %s of %s take %zu: the file is damaged", have,
           field_name(t->field), shape, ledge_dtype_name(t->dtype), want);
  return have == want ? LEDGE_OK : tensor_fail(t, LEDGE_ERROR_FORMAT, what, error);
}

ledge_status onnx_tensor_parse(reader r, uint64_t *steps, onnx_tensor *ret, ledge_error *error) {
  onnx_tensor t = {.at = reader_offset(&r), .whole = r, .length = UINT64_MAX};
  tensor_counts n = {0};
  wire w = wire_open(r, "TensorProto", steps);
  while (wire_next(&w)) TRY(parse_field(&w, &t, &n, error));
  TRY(wire_close(&w, error));
  TRY(onnx_check_name(t.name, "a tensor's name", error));
  if (!t.dtype)
    return tensor_fail(&t, LEDGE_ERROR_FORMAT, "has no data type: the file is damaged, or is no tensor", error);
  t.count = shape_elements(t.rank, t.dims);
  if (t.count < 0 || !dtype_array_bytes(t.dtype, t.count, &t.bytes))
    return tensor_fail(&t, LEDGE_ERROR_FORMAT, "has a negative dim, or a size that overflows: the file is damaged",
                       error);
  TRY(check_contents(&t, &n, error));
  *ret = t;
  return LEDGE_OK;
}

/* Decodes the numbers of one field into dst, `width` bytes each; returns the bytes made, at most max. */
static size_t copy_narrow(const wire *w, size_t width, unsigned char *dst, size_t max) {
  size_t at = 0;
  uint64_t v = w->number;
  reader list = w->bytes;
  while (width <= max - at && (w->type == WIRE_VARINT || reader_varint(&list, &v))) {
    memcpy(dst + at, &v, width); /* little-endian: the low bytes come first */
    at += width;
    if (w->type == WIRE_VARINT) break;
  }
  return at;
}

void onnx_tensor_fill(const onnx_tensor *t, void *dst) {
  unsigned char *bytes = dst;
  size_t at = 0, width = entry_bytes(t->dtype);
  bool fixed = t->field == T_FLOATS || t->field == T_DOUBLES;
  wire w = wire_open(t->whole, "TensorProto", NULL);
  if (t->field == T_RAW) memcpy(dst, t->raw.data, t->raw.size);
  while (t->field && t->field != T_RAW && wire_next(&w)) {
    if (w.field != t->field) continue;
    if (fixed)
      at += wire_copy_fixed(&w, bytes + at, t->bytes - at);
    else
      at += copy_narrow(&w, width, bytes + at, t->bytes - at);
  }
  if (t->dtype == LEDGE_BOOL)
    for (int64_t i = 0; i < t->count; i++) bytes[i] = bytes[i] != 0;
}

ledge_status onnx_tensor_strings(const onnx_tensor *t, onnx_string_put put, void *arg, ledge_error *error) {
  int64_t i = 0;
  wire w = wire_open(t->whole, "TensorProto", NULL);
  while (i < t->count && wire_next(&w))
    if (w.field == T_STRINGS) TRY(put(arg, i++, w.bytes, error));
  return LEDGE_OK;
}

/* ---- tensors of a model ---- */

enum { BLOCK_OF_ITS_OWN = 65536 }; /* copies from here on are storages, which can be given back one by one */
/* Smaller tensors are copied next to each other, aligned: in a file each would hold whole pages of memory. */
enum { IN_PLACE_BYTES_MIN = 16384 };

static ledge_status alloc_elements(onnx_in *in, const onnx_tensor *t, size_t bytes, tensor *ret) {
  if (bytes < BLOCK_OF_ITS_OWN) {
    TRY(onnx_check_limit(in, bytes, "a tensor"));
    ret->data = arena_alloc_aligned(&in->m->arena, bytes, bytes < 64 ? 16 : 64);
    return ret->data ? LEDGE_OK : error_memory(in->error, bytes, "a tensor");
  }
  ledge_status status = onnx_check_limit(in, bytes, "a tensor");
  if (status) return onnx_prefix(in, status, "tensor '%.*s'", ONNX_SHOW(t->name));
  storage *s = storage_create(bytes);
  if (!s) return error_memory(in->error, bytes, "a tensor");
  memset(s->data, 0, bytes);
  status = model_keep(in->m, s, in->error);
  storage_unref(s);
  TRY(status);
  in->heap_bytes += bytes;
  ret->data = s->data;
  return LEDGE_OK;
}

/* Weights, which are packed from where they stand. Numbers of other types are read while shapes are inferred. */
static bool may_be_unaligned(ledge_dtype d) {
  return d == LEDGE_F32 || d == LEDGE_F64 || d == LEDGE_F16 || d == LEDGE_BF16;
}

static bool in_place(const onnx_in *in, const onnx_tensor *t, const tensor *as) {
  if (!in->owner || t->field != T_RAW || t->raw.size < IN_PLACE_BYTES_MIN) return false;
  if (!tensor_is_aligned(as) && !(in->any_address && may_be_unaligned(t->dtype))) return false;
  if (t->dtype != LEDGE_BOOL) return true;
  for (size_t i = 0; i < t->raw.size; i++)
    if (t->raw.data[i] > 1) return false;
  return true;
}

typedef struct put_strings {
  onnx_in *in;
  ledge_string *strings;
} put_strings;

static ledge_status put_string(void *arg, int64_t i, reader text, ledge_error *error) {
  put_strings *p = arg;
  const char *bytes = "";
  if (text.size) {
    bytes = (const char *)text.data;
    if (!p->in->owner) {
      char *copy;
      TRY(onnx_alloc(p->in, text.size, 1, "a string", &copy));
      memcpy(copy, text.data, text.size);
      bytes = copy;
    }
  }
  p->strings[i] = (ledge_string){bytes, text.size};
  return LEDGE_OK;
}

/* What was copied out of a mapped file need not stay in memory twice. */
static void drop_source(const onnx_in *in, const onnx_tensor *t) {
  const file_map *m = storage_map(in->owner);
  if (m && t->bytes >= BLOCK_OF_ITS_OWN && t->field == T_RAW)
    file_map_drop(m, (size_t)(t->raw.data - file_map_data(m)), t->raw.size);
}

ledge_status onnx_load_tensor(onnx_in *in, const onnx_tensor *t, tensor *ret) {
  if (t->is_external) return onnx_load_external(in, t, ret);
  tensor out = {0};
  tensor_set_shape(&out, t->dtype, t->rank, t->dims);
  out.data = (void *)(uintptr_t)t->raw.data; /* never written: constants are read-only */
  if (!in_place(in, t, &out)) {
    TRY(alloc_elements(in, t, t->bytes, &out));
    if (t->dtype == LEDGE_STRING)
      TRY(onnx_tensor_strings(t, put_string, &(put_strings){in, out.data}, in->error));
    else
      onnx_tensor_fill(t, out.data);
    drop_source(in, t);
  }
  *ret = out;
  return LEDGE_OK;
}

/* ---- sparse tensors ---- */

ledge_status onnx_sparse_parse(reader r, uint64_t *steps, onnx_sparse *ret, ledge_error *error) {
  onnx_sparse s = {0};
  reader values = {0}, indices = {0};
  bool has_values = false, has_indices = false;
  uint64_t at = reader_offset(&r);
  wire w = wire_open(r, "SparseTensorProto", steps);
  while (wire_next(&w)) {
    if (w.field == 1) TRY(wire_once(&w, "values", &has_values, &values, error));
    if (w.field == 2) TRY(wire_once(&w, "indices", &has_indices, &indices, error));
    if (w.field == 3) TRY(read_dims(&w, "SparseTensorProto", &s.rank, s.dims, error));
  }
  TRY(wire_close(&w, error));
  if (!has_values || !has_indices)
    return error_set_at(error, LEDGE_ERROR_FORMAT, at, "a sparse tensor at byte %llu lacks its %s: the file is damaged",
                        (unsigned long long)at, has_values ? "indices" : "values");
  TRY(onnx_tensor_parse(values, steps, &s.values, error));
  TRY(onnx_tensor_parse(indices, steps, &s.indices, error));
  const onnx_tensor *v = &s.values, *x = &s.indices;
  if (v->rank != 1)
    return tensor_fail(v, LEDGE_ERROR_FORMAT, "holds a sparse tensor's values, but is no vector", error);
  if (x->dtype != LEDGE_I64 || x->rank < 1 || x->rank > 2 || x->dims[0] != v->dims[0] ||
      (x->rank == 2 && x->dims[1] != s.rank))
    return tensor_fail(v, LEDGE_ERROR_FORMAT,
                       "is sparse with indices that do not fit: they are i64, [values] or [values x rank]", error);
  int64_t count = shape_elements(s.rank, s.dims);
  if (count < 0 || !dtype_array_bytes(v->dtype, count, &s.bytes))
    return tensor_fail(v, LEDGE_ERROR_FORMAT, "is sparse, and its dense size is negative or overflows", error);
  *ret = s;
  return LEDGE_OK;
}

static void copy_element(ledge_dtype d, const unsigned char *src, int64_t from, unsigned char *dst, int64_t to) {
  size_t bytes = dtype_bytes(d);
  if (bytes) {
    memcpy(dst + (size_t)to * bytes, src + (size_t)from * bytes, bytes);
    return;
  }
  int bits = ledge_dtype_bits(d), each = 8 / bits;
  unsigned mask = (1u << bits) - 1, element = src[from / each] >> (from % each * bits) & mask;
  unsigned shift = (unsigned)(to % each * bits);
  dst[to / each] = (unsigned char)((dst[to / each] & ~(mask << shift)) | element << shift);
}

ledge_status onnx_sparse_fill(const onnx_sparse *s, const void *values, const int64_t *indices, void *dense,
                              ledge_error *error) {
  const onnx_tensor *v = &s->values;
  int64_t count = shape_elements(s->rank, s->dims), before = -1;
  if (v->dtype == LEDGE_STRING)
    for (int64_t i = 0; i < count; i++) ((ledge_string *)dense)[i] = (ledge_string){"", 0};
  for (int64_t i = 0; i < v->dims[0]; i++) {
    int64_t at = 0;
    bool inside = true;
    if (s->indices.rank == 1) {
      at = indices[i];
      inside = at >= 0 && at < count;
    } else {
      for (int k = 0; k < s->rank && inside; k++) {
        int64_t x = indices[i * s->rank + k];
        inside = x >= 0 && x < s->dims[k];
        at = inside ? at * s->dims[k] + x : 0;
      }
      inside = inside && at < count;
    }
    if (!inside || at <= before)
      return tensor_fail(
          v, LEDGE_ERROR_FORMAT,
          inside ? "is sparse with indices that do not ascend" : "is sparse with an index outside its shape", error);
    before = at;
    copy_element(v->dtype, values, i, dense, at);
  }
  return LEDGE_OK;
}

ledge_status onnx_load_sparse(onnx_in *in, const onnx_sparse *s, tensor *ret) {
  tensor values = {0}, indices = {0}, out = {0};
  TRY(onnx_load_tensor(in, &s->values, &values));
  storage *owner = in->owner;
  in->owner = NULL; /* a copy: what is checked must be what is used */
  ledge_status status = onnx_load_tensor(in, &s->indices, &indices);
  in->owner = owner;
  TRY(status);
  tensor_set_shape(&out, s->values.dtype, s->rank, s->dims);
  TRY(alloc_elements(in, &s->values, s->bytes, &out));
  TRY(onnx_sparse_fill(s, values.data, indices.data, out.data, in->error));
  *ret = out;
  return LEDGE_OK;
}
