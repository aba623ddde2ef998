/* formats/onnx/type: TypeProto and ValueInfoProto to the graph's declared types. */
#include "formats/onnx/read.h"

static ledge_status read_dtype(const wire *w, const char *name, ledge_dtype *ret, ledge_error *error) {
  int64_t number;
  TRY(wire_int(w, name, &number, error));
  if (number && !dtype_is_valid(number))
    return error_set_at(error, LEDGE_ERROR_FORMAT, w->at,
                        "%s at byte %llu names data type %lld, which ONNX does not define (1 to %d)", w->message,
                        (unsigned long long)w->at, (long long)number, LEDGE_DTYPE_COUNT - 1);
  *ret = (ledge_dtype)number;
  return LEDGE_OK;
}

/* One dim: a number, a name or neither, of which the last counts; and what it means. */
static ledge_status read_dim(onnx_in *in, reader r, int64_t *dim, const char **name, const char **denotation) {
  reader text = {0}, meaning = {0};
  *dim = -1;
  wire w = wire_open(r, "TensorShapeProto.Dimension", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field == 1) {
      TRY(wire_int(&w, "dim_value", dim, in->error));
      text = (reader){0};
    } else if (w.field == 2) {
      TRY(wire_bytes(&w, "dim_param", &text, in->error));
      *dim = -1;
    } else if (w.field == 3) {
      TRY(wire_bytes(&w, "denotation", &meaning, in->error));
    }
  }
  TRY(wire_close(&w, in->error));
  if (*dim < 0) *dim = -1;
  if (meaning.size) TRY(onnx_name(in, meaning, "a dim's denotation", denotation));
  return text.size ? onnx_name(in, text, "a dim's name", name) : LEDGE_OK;
}

/* Keeps the `rank` texts, where there is one at all. */
static ledge_status keep_texts(onnx_in *in, int rank, const char *const *texts, const char *const **ret) {
  const char **kept;
  int some = 0;
  for (int i = 0; i < rank; i++) some += texts[i] != NULL;
  *ret = NULL;
  if (!some) return LEDGE_OK;
  TRY(onnx_alloc(in, (size_t)rank, sizeof *kept, "a shape", &kept));
  memcpy(kept, texts, (size_t)rank * sizeof *kept);
  *ret = kept;
  return LEDGE_OK;
}

static ledge_status read_shape(onnx_in *in, reader r, graph_type *ret) {
  int64_t dims[LEDGE_MAX_RANK];
  const char *names[LEDGE_MAX_RANK] = {0}, *denotations[LEDGE_MAX_RANK] = {0};
  int rank = 0;
  wire w = wire_open(r, "TensorShapeProto", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != 1) continue;
    reader dim;
    TRY(wire_bytes(&w, "dim", &dim, in->error));
    if (rank == LEDGE_MAX_RANK)
      return error_set_at(in->error, LEDGE_ERROR_LIMIT, w.at, "a shape at byte %llu has a rank over %d, ledge's limit",
                          (unsigned long long)w.at, LEDGE_MAX_RANK);
    TRY(read_dim(in, dim, &dims[rank], &names[rank], &denotations[rank]));
    rank++;
  }
  TRY(wire_close(&w, in->error));
  int64_t *kept;
  TRY(onnx_alloc(in, (size_t)rank, sizeof *kept, "a shape", &kept));
  if (rank) memcpy(kept, dims, (size_t)rank * sizeof *kept);
  ret->rank = rank;
  ret->dims = kept;
  TRY(keep_texts(in, rank, names, &ret->dim_names));
  return keep_texts(in, rank, denotations, &ret->dim_denotations);
}

static ledge_status read_tensor_type(onnx_in *in, reader r, graph_type *ret) {
  reader shape;
  bool has_shape = false;
  wire w = wire_open(r, "TypeProto.Tensor", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field == 1) TRY(read_dtype(&w, "elem_type", &ret->dtype, in->error));
    if (w.field == 2) TRY(wire_once(&w, "shape", &has_shape, &shape, in->error));
  }
  TRY(wire_close(&w, in->error));
  return has_shape ? read_shape(in, shape, ret) : LEDGE_OK;
}

static ledge_status read_type(onnx_in *in, reader r, int depth, graph_type *ret);

/* Sequence, Optional (element in field 1) and Map (key in field 1, value in field 2). */
static ledge_status read_nested_type(onnx_in *in, reader r, int depth, graph_type *ret) {
  bool is_map = ret->kind == TYPE_MAP, has_elem = false;
  reader elem_bytes;
  wire w = wire_open(r, is_map ? "TypeProto.Map" : "TypeProto.Sequence", &in->steps_left);
  while (wire_next(&w)) {
    if (is_map && w.field == 1) TRY(read_dtype(&w, "key_type", &ret->dtype, in->error));
    if (w.field == (is_map ? 2u : 1u))
      TRY(wire_once(&w, is_map ? "value_type" : "elem_type", &has_elem, &elem_bytes, in->error));
  }
  TRY(wire_close(&w, in->error));
  graph_type *elem;
  TRY(onnx_alloc(in, 1, sizeof *elem, "a type", &elem));
  elem->rank = -1;
  ret->elem = elem;
  return has_elem ? read_type(in, elem_bytes, depth + 1, elem) : LEDGE_OK;
}

static ledge_status read_type(onnx_in *in, reader r, int depth, graph_type *ret) {
  if (depth > ONNX_MAX_TYPE_DEPTH)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, reader_offset(&r),
                        "a type at byte %llu is nested deeper than %d, ledge's limit",
                        (unsigned long long)reader_offset(&r), ONNX_MAX_TYPE_DEPTH);
  graph_type type = {.rank = -1};
  reader body = {0}, denotation = {0};
  wire w = wire_open(r, "TypeProto", &in->steps_left);
  while (wire_next(&w)) {
    type_kind kind = TYPE_NONE;
    switch (w.field) {
      case 1: kind = TYPE_TENSOR; break;
      case 4: kind = TYPE_SEQUENCE; break;
      case 5: kind = TYPE_MAP; break;
      case 6: TRY(wire_bytes(&w, "denotation", &denotation, in->error)); break;
      case 7: type.kind = TYPE_NONE; break; /* opaque: of a custom operator, which knows itself what it is */
      case 8: kind = TYPE_SPARSE_TENSOR; break;
      case 9: kind = TYPE_OPTIONAL; break;
      default: break;
    }
    if (!kind) continue;
    TRY(wire_bytes(&w, "value", &body, in->error));
    type.kind = kind;
  }
  TRY(wire_close(&w, in->error));
  if (denotation.size) TRY(onnx_name(in, denotation, "a type's denotation", &type.denotation));
  if (type.kind == TYPE_TENSOR || type.kind == TYPE_SPARSE_TENSOR)
    TRY(read_tensor_type(in, body, &type));
  else if (type.kind)
    TRY(read_nested_type(in, body, depth, &type));
  *ret = type;
  return LEDGE_OK;
}

ledge_status onnx_read_type(onnx_in *in, reader r, graph_type *ret) { return read_type(in, r, 1, ret); }

ledge_status onnx_parse_value_info(reader r, uint64_t *steps, onnx_value_info *ret, ledge_error *error) {
  onnx_value_info info = {0};
  wire w = wire_open(r, "ValueInfoProto", steps);
  while (wire_next(&w)) {
    if (w.field == 1) TRY(wire_bytes(&w, "name", &info.name, error));
    if (w.field == 2) TRY(wire_once(&w, "type", &info.has_type, &info.type, error));
  }
  TRY(wire_close(&w, error));
  TRY(onnx_check_name(info.name, "a value's name", error));
  *ret = info;
  return LEDGE_OK;
}
