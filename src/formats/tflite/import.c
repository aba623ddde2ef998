/* formats/tflite/import: the model's tables to a model. The walk over a subgraph:
 *
 *   tensors    each described; those with contents become constants when an operator first reads them
 *   operators  one after another, as the file orders them (which is the order in which they run); each is read by the
 *              function of its row, with the quantisation taken off and put back around it where the row knows floats
 *              only
 *   outputs    values get their tensors' names
 *
 * A subgraph that an operator calls is read anew for each call, into a graph of that call. */
#include "formats/tflite/read.h"
#include "tensor/mapped.h"

#include <math.h>
#include <stdio.h>

enum { LIMIT_BASE = 16 << 20, LIMIT_PER_BYTE = 10, STEPS_BASE = 1 << 18, STEPS_PER_BYTE = 64 };
enum { BLOCK_OF_ITS_OWN = 65536 }; /* copies from here on are storages */
/* Smaller tensors are copied next to each other, aligned: in a file each would hold whole pages of memory. */
enum { IN_PLACE_BYTES_MIN = 16384 };

bool tfl_sniff(const void *bytes, size_t size) {
  return size >= 8 && !memcmp((const char *)bytes + 4, TFL_IDENTIFIER, 4);
}

/* ---- memory ---- */

ledge_status tfl_check_limit(tfl_in *in, size_t more, const char *what) {
  size_t held = in->m->arena.total_bytes + in->heap_bytes;
  if (held <= in->limit_bytes && more <= in->limit_bytes - held) return LEDGE_OK;
  return error_set(in->error, LEDGE_ERROR_LIMIT,
                   "%s takes %zu bytes, which with %zu so far is over the limit of %zu for a file of %zu: the file is "
                   "damaged, or packed beyond what ledge unpacks",
                   what, more, held, in->limit_bytes, in->f.size);
}

ledge_status tfl_alloc(tfl_in *in, size_t count, size_t each, const char *what, void *ret) {
  size_t bytes;
  if (!mem_mul(count, each, &bytes)) bytes = SIZE_MAX;
  TRY(tfl_check_limit(in, bytes, what));
  void *block = arena_alloc(&in->m->arena, bytes);
  if (!block) return error_memory(in->error, bytes, what);
  memcpy(ret, &block, sizeof block);
  return LEDGE_OK;
}

ledge_status tfl_new_tensor(tfl_in *in, ledge_dtype dtype, int rank, const int64_t *dims, tensor **ret) {
  tensor *t = NULL;
  TRY(tfl_alloc(in, 1, sizeof *t, "a tensor", &t));
  tensor_set_shape(t, dtype, rank, dims);
  size_t bytes = tensor_bytes(t);
  TRY(tfl_check_limit(in, bytes, "a tensor"));
  if (bytes < BLOCK_OF_ITS_OWN) {
    t->data = arena_alloc_aligned(&in->m->arena, bytes, bytes < 64 ? 16 : 64);
    if (!t->data) return error_memory(in->error, bytes, "a tensor");
  } else {
    storage *s = storage_create(bytes);
    if (!s) return error_memory(in->error, bytes, "a tensor");
    memset(s->data, 0, bytes);
    ledge_status status = model_keep(in->m, s, in->error);
    storage_unref(s);
    TRY(status);
    in->heap_bytes += bytes;
    t->data = s->data;
  }
  *ret = t;
  return LEDGE_OK;
}

ledge_status tfl_name(tfl_in *in, const fb_vector *v, const char *what, const char **ret) {
  char *copy = NULL;
  if (v->count > TFL_MAX_NAME)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, v->at, "%s at byte %u has %u bytes, over the limit of %d", what,
                        v->at, v->count, TFL_MAX_NAME);
  if (v->count && memchr(v->data, 0, v->count))
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, v->at, "%s at byte %u holds a zero byte: the file is damaged",
                        what, v->at);
  TRY(tfl_alloc(in, (size_t)v->count + 1, 1, what, &copy));
  if (v->count) memcpy(copy, v->data, v->count);
  *ret = copy;
  return LEDGE_OK;
}

/* ---- buffers and tensors ---- */

ledge_status tfl_buffer(tfl_in *in, uint32_t index, fb_vector *ret) {
  fb_table b;
  uint64_t at, bytes;
  *ret = (fb_vector){0};
  if (index >= in->buffers.count)
    return error_set(in->error, LEDGE_ERROR_FORMAT, "there is no buffer %u, the last is %d: the file is damaged", index,
                     (int)in->buffers.count - 1);
  TRY(fb_at(&in->root, &in->buffers, index, "a buffer", &b));
  TRY(fb_u64(&b, BUFFER_OFFSET, 0, &at));
  TRY(fb_u64(&b, BUFFER_SIZE, 0, &bytes));
  if (at <= 1) return fb_vec(&b, BUFFER_DATA, 1, "a buffer's contents", ret);
  if (at > in->f.size || bytes > in->f.size - at || bytes > UINT32_MAX) /* of files too large for a FlatBuffer */
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, b.at, "buffer %u lies outside of the file: it is cut short",
                        index);
  *ret = (fb_vector){in->f.data + at, (uint32_t)at, (uint32_t)bytes};
  return LEDGE_OK;
}

static ledge_dtype dtype_of(int type) {
  static const ledge_dtype map[TFL_TYPES] = {
      [TFL_FLOAT32] = LEDGE_F32, [TFL_FLOAT16] = LEDGE_F16,   [TFL_INT32] = LEDGE_I32,
      [TFL_UINT8] = LEDGE_U8,    [TFL_INT64] = LEDGE_I64,     [TFL_STRING] = LEDGE_STRING,
      [TFL_BOOL] = LEDGE_BOOL,   [TFL_INT16] = LEDGE_I16,     [TFL_COMPLEX64] = LEDGE_C64,
      [TFL_INT8] = LEDGE_I8,     [TFL_FLOAT64] = LEDGE_F64,   [TFL_COMPLEX128] = LEDGE_C128,
      [TFL_UINT64] = LEDGE_U64,  [TFL_UINT32] = LEDGE_U32,    [TFL_UINT16] = LEDGE_U16,
      [TFL_INT4] = LEDGE_I4,     [TFL_BFLOAT16] = LEDGE_BF16, [TFL_INT2] = LEDGE_I2};
  return type >= 0 && type < TFL_TYPES ? map[type] : LEDGE_DTYPE_NONE;
}

static ledge_status read_quant(tfl_in *in, const fb_table *t, tfl_quant *q) {
  fb_table qt;
  fb_vector scales, zeros;
  int32_t axis;
  float *to = NULL;
  int64_t *to_zeros = NULL;
  TRY(fb_child(t, TENSOR_QUANTIZATION, "a tensor's quantization", &qt));
  TRY(fb_vec(&qt, QUANT_SCALE, 4, "scales", &scales));
  TRY(fb_vec(&qt, QUANT_ZERO, 8, "zero points", &zeros));
  TRY(fb_i32(&qt, QUANT_DIMENSION, 0, &axis));
  if (!scales.count) return LEDGE_OK;
  if (zeros.count > 1 && zeros.count != scales.count)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, qt.at, "it has %u scales and %u zero points", scales.count,
                        zeros.count);
  TRY(tfl_alloc(in, scales.count, sizeof *to, "scales", &to));
  TRY(tfl_alloc(in, scales.count, sizeof *to_zeros, "zero points", &to_zeros));
  for (uint32_t i = 0; i < scales.count; i++) {
    to[i] = fb_vec_f32(&scales, i);
    to_zeros[i] = zeros.count ? fb_vec_i64(&zeros, zeros.count > 1 ? i : 0) : 0;
    if (!isfinite(to[i]) || to[i] < 0)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, qt.at, "its scale %u is %g: the file is damaged", i,
                          (double)to[i]);
  }
  *q = (tfl_quant){(int)scales.count, (int)zeros.count, to, to_zeros, axis};
  return LEDGE_OK;
}

static ledge_status read_strings(tfl_in *in, const tfl_tensor *t, const fb_vector *data, tensor **ret) {
  int64_t count = shape_elements(t->rank, t->dims);
  tensor *out;
  if (data->count < 4 || count < 0 || fb_vec_i32(data, 0) != count || (uint64_t)count + 2 > (uint64_t)data->count / 4)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, data->at, "its %lld strings do not fit the buffer",
                        (long long)count);
  TRY(tfl_new_tensor(in, LEDGE_STRING, t->rank, t->dims, &out));
  for (int64_t i = 0; i < count; i++) {
    uint32_t from = (uint32_t)fb_vec_i32(data, (uint32_t)i + 1), to = (uint32_t)fb_vec_i32(data, (uint32_t)i + 2);
    char *copy = NULL;
    if (from > to || to > data->count)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, data->at, "its string %lld lies outside of the buffer",
                          (long long)i);
    TRY(tfl_alloc(in, (size_t)(to - from) + 1, 1, "a string", &copy));
    memcpy(copy, data->data + from, to - from);
    ((ledge_string *)out->data)[i] = (ledge_string){copy, to - from};
  }
  *ret = out;
  return LEDGE_OK;
}

static bool stays_in_place(const tfl_in *in, const tensor *t, size_t bytes) {
  bool is_float = t->dtype == LEDGE_F32 || t->dtype == LEDGE_F64 || t->dtype == LEDGE_F16 || t->dtype == LEDGE_BF16;
  return in->owner && bytes >= IN_PLACE_BYTES_MIN && t->dtype != LEDGE_BOOL && (is_float || tensor_is_aligned(t));
}

/* The contents of a tensor, if the file has them. */
static ledge_status read_contents(tfl_in *in, const fb_table *table, tfl_tensor *t) {
  uint32_t index;
  fb_vector data;
  fb_table sparsity;
  tensor *dense;
  TRY(fb_u32(table, TENSOR_BUFFER, 0, &index));
  if (!index && !in->buffers.count) return LEDGE_OK;
  TRY(tfl_buffer(in, index, &data));
  if (!data.count || t->dtype == LEDGE_DTYPE_NONE) return LEDGE_OK;
  if (t->rank < 0) return error_set_at(in->error, LEDGE_ERROR_FORMAT, table->at, "it has contents and no shape");
  TRY(fb_child(table, TENSOR_SPARSITY, "a tensor's sparsity", &sparsity));
  if (sparsity.f) {
    TRY(tfl_densify(in, t, &sparsity, &data, &dense));
    t->constant = dense;
    return LEDGE_OK;
  }
  if (t->dtype == LEDGE_STRING) {
    TRY(read_strings(in, t, &data, &dense));
    t->constant = dense;
    return LEDGE_OK;
  }
  tensor as = {0};
  tensor_set_shape(&as, t->dtype, t->rank, t->dims);
  as.data = (void *)(uintptr_t)data.data; /* never written: constants are read-only */
  size_t bytes = tensor_bytes(&as);
  if (bytes != data.count)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, table->at,
                        "its contents have %u bytes where its shape asks for %zu: the file is damaged", data.count,
                        bytes);
  if (stays_in_place(in, &as, bytes)) {
    TRY(tfl_alloc(in, 1, sizeof *dense, "a tensor", &dense));
    *dense = as;
  } else {
    TRY(tfl_new_tensor(in, t->dtype, t->rank, t->dims, &dense));
    memcpy(dense->data, data.data, bytes);
    for (size_t i = 0; t->dtype == LEDGE_BOOL && i < bytes; i++) ((uint8_t *)dense->data)[i] = data.data[i] != 0;
  }
  t->constant = dense;
  return LEDGE_OK;
}

static ledge_status read_dims(tfl_in *in, const fb_table *table, tfl_tensor *t) {
  fb_vector shape, open;
  int8_t has_rank;
  TRY(fb_vec(table, TENSOR_SHAPE, 4, "a tensor's shape", &shape));
  TRY(fb_vec(table, TENSOR_SIGNATURE, 4, "a tensor's shape signature", &open));
  TRY(fb_i8(table, TENSOR_HAS_RANK, 0, &has_rank));
  if (shape.count > LEDGE_MAX_RANK)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, table->at, "it has %u dims, over the limit of %d", shape.count,
                        LEDGE_MAX_RANK);
  t->rank = (int)shape.count;
  t->has_rank = has_rank != 0;
  for (uint32_t i = 0; i < shape.count; i++) {
    t->dims[i] = fb_vec_i32(&shape, i);
    if (t->dims[i] < 0)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, table->at, "its dim %u is %lld: the file is damaged", i,
                          (long long)t->dims[i]);
    t->open[i] = open.count == shape.count && fb_vec_i32(&open, i) < 0 ? -1 : t->dims[i];
  }
  if (shape_elements(t->rank, t->dims) < 0)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, table->at, "its dims are more than any memory holds");
  return LEDGE_OK;
}

ledge_status tfl_read_tensor(tfl_in *in, const fb_table *table, tfl_tensor *t) {
  fb_vector name;
  int8_t type, is_variable;
  *t = (tfl_tensor){.value = VALUE_ABSENT, .state = -1, .maker = -1, .name = ""};
  TRY(fb_string(table, TENSOR_NAME, "a tensor's name", &name));
  TRY(tfl_name(in, &name, "a tensor's name", &t->name));
  TRY(fb_i8(table, TENSOR_TYPE, 0, &type));
  TRY(fb_i8(table, TENSOR_IS_VARIABLE, 0, &is_variable));
  t->type = type;
  t->dtype = dtype_of(type);
  t->is_variable = is_variable != 0;
  if (t->dtype == LEDGE_DTYPE_NONE && type != TFL_RESOURCE && type != TFL_VARIANT)
    return error_set_at(in->error, LEDGE_ERROR_UNSUPPORTED, table->at,
                        "it has data type %d, which ledge does not know: the file is damaged or of a newer version",
                        type);
  TRY(read_dims(in, table, t));
  TRY(read_quant(in, table, &t->quant));
  return read_contents(in, table, t);
}

/* ---- states ---- */

ledge_status tfl_find_state(tfl_in *in, const char *name, bool is_resource, int *ret) {
  for (int i = 0; i < in->n_states; i++)
    if (in->states[i].is_resource == is_resource && !strcmp(in->states[i].name, name)) return *ret = i, LEDGE_OK;
  if (in->n_states == in->cap_states) {
    int cap = in->cap_states ? in->cap_states * 2 : 16;
    tfl_state *more = NULL;
    TRY(tfl_alloc(in, (size_t)cap, sizeof *more, "variables", &more));
    if (in->n_states) memcpy(more, in->states, (size_t)in->n_states * sizeof *more);
    in->states = more;
    in->cap_states = cap;
  }
  in->states[in->n_states] =
      (tfl_state){.name = name, .is_resource = is_resource, .in = VALUE_ABSENT, .value = VALUE_ABSENT};
  *ret = in->n_states++;
  return LEDGE_OK;
}

/* ---- operators ---- */

static ledge_status read_operands(tfl_scope *s, const fb_table *table, int field, const char *what, const int32_t **ret,
                                  int *ret_n) {
  tfl_in *in = s->in;
  fb_vector v;
  int32_t *list = NULL;
  TRY(fb_vec(table, field, 4, what, &v));
  if (v.count > TFL_MAX_OPERANDS)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, table->at, "it has %u %s, over the limit of %d", v.count, what,
                        TFL_MAX_OPERANDS);
  TRY(tfl_alloc(in, v.count, sizeof *list, what, &list));
  for (uint32_t i = 0; i < v.count; i++) {
    list[i] = fb_vec_i32(&v, i);
    if (list[i] < -1 || list[i] >= s->n_tensors)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, v.at,
                          "there is no tensor %d, the last is %d: the file is damaged", list[i], s->n_tensors - 1);
  }
  *ret = list;
  *ret_n = (int)v.count;
  return LEDGE_OK;
}

static ledge_status open_operator(tfl_scope *s, const fb_vector *operators, uint32_t i, tfl_op *o) {
  tfl_in *in = s->in;
  uint32_t code;
  *o = (tfl_op){.in = in, .s = s, .index = (int)i};
  TRY(fb_at(&s->table, operators, i, "an operator", &o->table));
  TRY(fb_u32(&o->table, OPERATOR_CODE, 0, &code));
  if (code >= (uint32_t)in->n_codes)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, o->table.at,
                        "operator %u is of code %u, the last is %d: the file is damaged", i, code, in->n_codes - 1);
  o->code = &in->codes[code];
  TRY(read_operands(s, &o->table, OPERATOR_INPUTS, "inputs", &o->inputs, &o->n_in));
  TRY(read_operands(s, &o->table, OPERATOR_OUTPUTS, "outputs", &o->outputs, &o->n_out));
  TRY(fb_child(&o->table, OPERATOR_OPTIONS, "an operator's options", &o->options));
  TRY(fb_vec(&o->table, OPERATOR_CUSTOM, 1, "an operator's custom options", &o->custom));
  static const tfl_row unknown = {0};
  if (o->code->custom)
    o->row = tfl_custom_row(o->code->custom);
  else if (o->code->builtin < tfl_n_rows)
    o->row = &tfl_rows[o->code->builtin];
  if (!o->row) o->row = &unknown;
  return LEDGE_OK;
}

static const char *operator_name(const tfl_op *o, char text[32]) {
  if (o->code->custom) return o->code->custom;
  if (o->row->name) return o->row->name;
  snprintf(text, 32, "BUILTIN_%d", o->code->builtin);
  return text;
}

static bool any_quantised(const tfl_op *o) {
  for (int i = 0; i < o->n_in; i++)
    if (tfl_has_input(o, i) && tfl_is_quantised(tfl_tensor_in(o, i))) return true;
  for (int i = 0; i < o->n_out; i++)
    if (tfl_is_quantised(tfl_tensor_out(o, i))) return true;
  return false;
}

/* Floats in, floats out, for an operator whose integer arithmetic is that of its real numbers, rounded. Plain integers
 * (axes, shapes) stay: they have no scale. */
static void read_as_floats(tfl_op *o) {
  for (int i = 0; i < o->n_in && !o->status; i++)
    if (tfl_has_input(o, i) && tfl_is_quantised(tfl_tensor_in(o, i)))
      o->replace[i] = tfl_dequantise(o, tfl_input(o, i), tfl_tensor_in(o, i));
  o->row->read(o);
  for (int i = 0; i < o->n_out && !o->status; i++)
    if (o->given[i] != VALUE_ABSENT && tfl_is_quantised(tfl_tensor_out(o, i)))
      o->given[i] = tfl_quantise(o, o->given[i], tfl_tensor_out(o, i));
}

/* The operator as a node that no row knows. */
static void keep_unknown(tfl_op *o) {
  char text[32];
  value_id *in = NULL, *out = NULL;
  o->status = tfl_alloc(o->in, (size_t)o->n_in + 1, sizeof *in, "operands", &in);
  if (!o->status) o->status = tfl_alloc(o->in, (size_t)o->n_out + 1, sizeof *out, "operands", &out);
  if (o->status) return;
  for (int i = 0; i < o->n_in && !o->status; i++)
    in[i] = tfl_has_input(o, i) && tfl_tensor_in(o, i)->dtype ? tfl_input(o, i) : VALUE_ABSENT;
  tfl_nodes(o, "tflite", operator_name(o, text), NULL, in, o->n_in, out, o->n_out);
  for (int i = 0; i < o->n_out; i++) tfl_give(o, i, out[i]);
}

/* Value v becomes what tensor t is; it takes the tensor's name where that is free. */
static ledge_status name_value(tfl_scope *s, value_id v, tfl_tensor *t) {
  t->value = v;
  graph_value *gv = &s->g->values[v];
  int32_t held;
  size_t size = strlen(t->name);
  if (!size || strncmp(gv->name, "ledge.", 6) || hash_get(s->names, t->name, size, &held)) return LEDGE_OK;
  if (hash_put(s->names, t->name, size, v) == HASH_NO_MEMORY) return error_memory(s->in->error, size, "a name");
  gv->name = t->name;
  return LEDGE_OK;
}

static ledge_status finish_operator(tfl_op *o) {
  tfl_scope *s = o->s;
  for (int i = 0; i < o->n_out; i++) {
    if (o->outputs[i] < 0) continue;
    tfl_tensor *t = &s->tensors[o->outputs[i]];
    if (t->dtype == LEDGE_DTYPE_NONE && o->given[i] == VALUE_ABSENT) continue; /* a handle */
    if (t->constant && o->given[i] == VALUE_ABSENT) continue;                  /* made dense as it was read */
    if (t->value != VALUE_ABSENT || t->constant)
      return error_set_at(o->in->error, LEDGE_ERROR_FORMAT, o->table.at,
                          "it makes tensor '%.100s', which is there already: the file is damaged", t->name);
    if (o->given[i] == VALUE_ABSENT)
      return error_set_at(o->in->error, LEDGE_ERROR_FORMAT, o->table.at, "it has more outputs than it can make");
    TRY(name_value(s, o->given[i], t));
  }
  return LEDGE_OK;
}

static ledge_status read_operator(tfl_scope *s, const fb_vector *operators, uint32_t i) {
  tfl_op o;
  char text[32];
  TRY(open_operator(s, operators, i, &o));
  TRY(tfl_alloc(s->in, (size_t)o.n_out + 1, sizeof *o.given, "operands", &o.given));
  TRY(tfl_alloc(s->in, (size_t)o.n_in + 1, sizeof *o.replace, "operands", &o.replace));
  for (int k = 0; k < o.n_out; k++) o.given[k] = VALUE_ABSENT;
  for (int k = 0; k < o.n_in; k++) o.replace[k] = VALUE_ABSENT;
  int first = s->g->n_nodes;
  if (!o.row->read)
    keep_unknown(&o);
  else if (!(o.row->flags & (ROW_MOVES | ROW_INTEGER | ROW_STATE)) && any_quantised(&o))
    read_as_floats(&o);
  else
    o.row->read(&o);
  if (!o.status) o.status = finish_operator(&o);
  for (int k = first; k < s->g->n_nodes; k++) s->g->nodes[k].offset = o.table.at;
  if (!o.status) return LEDGE_OK;
  const char *label = o.n_out && o.outputs[0] >= 0 ? s->tensors[o.outputs[0]].name : "";
  error_node(s->in->error, label);
  return error_prefix(s->in->error, o.status, "operator %u (%s, makes '%.100s')", i, operator_name(&o, text), label);
}

/* ---- subgraphs ---- */

static ledge_status open_subgraph(tfl_in *in, int index, fb_table *ret) {
  if (index < 0 || (uint32_t)index >= in->subgraphs.count)
    return error_set(in->error, LEDGE_ERROR_FORMAT, "there is no subgraph %d, the last is %d: the file is damaged",
                     index, (int)in->subgraphs.count - 1);
  return fb_at(&in->root, &in->subgraphs, (uint32_t)index, "a subgraph", ret);
}

static ledge_status read_tensors(tfl_scope *s) {
  fb_vector list;
  TRY(fb_vec(&s->table, SUBGRAPH_TENSORS, 4, "a subgraph's tensors", &list));
  TRY(tfl_alloc(s->in, list.count, sizeof *s->tensors, "tensors", &s->tensors));
  s->n_tensors = (int)list.count;
  for (uint32_t i = 0; i < list.count; i++) {
    fb_table t;
    TRY(fb_at(&s->table, &list, i, "a tensor", &t));
    ledge_status status = tfl_read_tensor(s->in, &t, &s->tensors[i]);
    if (status) return error_prefix(s->in->error, status, "tensor %u '%.100s'", i, s->tensors[i].name);
  }
  return LEDGE_OK;
}

/* Who makes and who reads what, so that a function can look at its neighbours. */
static ledge_status count_reads(tfl_scope *s, const fb_vector *operators, const int32_t *outs, int n_outs) {
  for (uint32_t i = 0; i < operators->count; i++) {
    fb_table t;
    fb_vector in, out;
    TRY(fb_at(&s->table, operators, i, "an operator", &t));
    TRY(fb_vec(&t, OPERATOR_INPUTS, 4, "inputs", &in));
    TRY(fb_vec(&t, OPERATOR_OUTPUTS, 4, "outputs", &out));
    for (uint32_t k = 0; k < in.count; k++) {
      int32_t at = fb_vec_i32(&in, k);
      if (at >= 0 && at < s->n_tensors) s->tensors[at].reads++;
    }
    for (uint32_t k = 0; k < out.count; k++) {
      int32_t at = fb_vec_i32(&out, k);
      if (at >= 0 && at < s->n_tensors) s->tensors[at].maker = (int)i;
    }
  }
  for (int i = 0; i < n_outs; i++)
    if (outs[i] >= 0) s->tensors[outs[i]].reads++;
  return LEDGE_OK;
}

static graph_type declared_type(const tfl_tensor *t, bool open) {
  return (graph_type){.kind = TYPE_TENSOR, .dtype = t->dtype, .rank = t->rank, .dims = open ? t->open : t->dims};
}

static ledge_status add_value(tfl_scope *s, const char *name, const tfl_tensor *t, bool open, value_id *ret) {
  int32_t held;
  size_t size = strlen(name);
  bool taken = !size || hash_get(s->names, name, size, &held);
  *ret = graph_add_value(s->g, taken ? NULL : name);
  if (*ret == VALUE_ABSENT) return error_memory(s->in->error, sizeof(graph_value), "a value");
  if (t) s->g->values[*ret].type = declared_type(t, open);
  if (!taken && hash_put(s->names, s->g->values[*ret].name, size, *ret) == HASH_NO_MEMORY)
    return error_memory(s->in->error, size, "a name");
  return LEDGE_OK;
}

/* The outputs' values, each of its own. */
static ledge_status read_outputs(tfl_scope *s, const int32_t *list, int n, value_id *outs) {
  tfl_op o = {.in = s->in, .s = s};
  for (int i = 0; i < n; i++) {
    if (list[i] < 0 || s->tensors[list[i]].dtype == LEDGE_DTYPE_NONE)
      return error_set_at(s->in->error, LEDGE_ERROR_UNSUPPORTED, s->table.at, "output %d is no tensor", i);
    tfl_tensor *t = &s->tensors[list[i]];
    o.inputs = &list[i], o.n_in = 1, o.replace = (value_id[]){VALUE_ABSENT};
    value_id v = tfl_input(&o, 0);
    if (o.status) return o.status;
    bool own = s->g->values[v].producer >= 0;
    for (int k = 0; k < i && own; k++) own = outs[k] != v;
    if (!own) {
      v = tfl_node(&o, "Identity", NULL, v);
      if (o.status) return o.status;
    }
    outs[i] = v;
    if (s->g->values[v].type.kind == TYPE_NONE) {
      graph_type type = declared_type(t, true);
      type.rank = -1; /* what the file says is the shape that a converter saw: it may change with the inputs */
      s->g->values[v].type = type;
    }
  }
  return LEDGE_OK;
}

static ledge_status fill_subgraph(tfl_scope *s, const value_id *args, int n_args, value_id *outs, int n_outs) {
  tfl_in *in = s->in;
  const int32_t *ins, *results;
  int n_ins, n_results;
  fb_vector operators;
  TRY(read_tensors(s));
  TRY(read_operands(s, &s->table, SUBGRAPH_INPUTS, "inputs", &ins, &n_ins));
  TRY(read_operands(s, &s->table, SUBGRAPH_OUTPUTS, "outputs", &results, &n_results));
  TRY(fb_vec(&s->table, SUBGRAPH_OPERATORS, 4, "a subgraph's operators", &operators));
  s->n_operators = (int)operators.count;
  TRY(count_reads(s, &operators, results, n_results));
  bool is_main = !s->outer;
  if (is_main ? false : n_ins != n_args || n_results != n_outs)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, s->table.at,
                        "it has %d inputs and %d outputs where it is called with %d and %d: the file is damaged", n_ins,
                        n_results, n_args, n_outs);
  if (is_main) {
    TRY(tfl_alloc(in, (size_t)n_ins, sizeof *s->g->inputs, "inputs", &s->g->inputs));
    TRY(tfl_alloc(in, (size_t)n_results, sizeof *s->g->outputs, "outputs", &s->g->outputs));
  }
  for (int i = 0; i < n_ins; i++) {
    if (ins[i] < 0) return error_set_at(in->error, LEDGE_ERROR_FORMAT, s->table.at, "input %d is no tensor", i);
    tfl_tensor *t = &s->tensors[ins[i]];
    if (t->value != VALUE_ABSENT)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, s->table.at, "tensor '%.100s' is two of its inputs", t->name);
    t->constant = NULL; /* what is given counts */
    if (is_main) {
      if (t->dtype == LEDGE_DTYPE_NONE)
        return error_set_at(in->error, LEDGE_ERROR_UNSUPPORTED, s->table.at, "input '%.100s' is no tensor", t->name);
      TRY(add_value(s, t->name, t, true, &t->value));
      s->g->inputs[s->g->n_inputs++] = t->value;
    } else {
      t->value = args[i];
    }
  }
  for (uint32_t i = 0; i < operators.count; i++) TRY(read_operator(s, &operators, i));
  if (!is_main) return read_outputs(s, results, n_results, outs);
  TRY(read_outputs(s, results, n_results, s->g->outputs));
  s->g->n_outputs = n_results;
  return LEDGE_OK;
}

ledge_status tfl_read_subgraph(tfl_in *in, tfl_scope *outer, int index, graph *g, hash *names, const value_id *args,
                               int n_args, value_id *outs, int n_outs) {
  hash own;
  hash_init(&own);
  tfl_scope s = {.in = in, .outer = outer, .g = g, .names = names ? names : &own};
  TRY(open_subgraph(in, index, &s.table));
  if (in->depth == TFL_MAX_DEPTH || in->called[index])
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, s.table.at,
                        in->called[index] ? "subgraph %d calls itself" : "subgraph %d is nested deeper than %d", index,
                        TFL_MAX_DEPTH);
  in->depth++;
  in->called[index] = true;
  ledge_status status = fill_subgraph(&s, args, n_args, outs, n_outs);
  in->called[index] = false;
  in->depth--;
  hash_deinit(&own);
  return status ? error_prefix(in->error, status, "subgraph %d", index) : LEDGE_OK;
}

/* ---- the model ---- */

static ledge_status read_codes(tfl_in *in) {
  fb_vector list;
  TRY(fb_vec(&in->root, MODEL_OPERATOR_CODES, 4, "operator codes", &list));
  TRY(tfl_alloc(in, list.count, sizeof *in->codes, "operator codes", &in->codes));
  in->n_codes = (int)list.count;
  for (uint32_t i = 0; i < list.count; i++) {
    fb_table t;
    fb_vector custom;
    int8_t old;
    int32_t builtin, version;
    TRY(fb_at(&in->root, &list, i, "an operator code", &t));
    TRY(fb_i8(&t, CODE_OLD_BUILTIN, 0, &old));
    TRY(fb_i32(&t, CODE_BUILTIN, 0, &builtin));
    TRY(fb_i32(&t, CODE_VERSION, 1, &version));
    TRY(fb_string(&t, CODE_CUSTOM, "a custom operator's name", &custom));
    if (old > builtin) builtin = old;
    if (builtin < 0)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, t.at, "operator code %u is %d: the file is damaged", i,
                          builtin);
    in->codes[i] = (tfl_code){.builtin = builtin, .version = version};
    if (builtin == 32) TRY(tfl_name(in, &custom, "a custom operator's name", &in->codes[i].custom));
  }
  return LEDGE_OK;
}

static ledge_status add_property(tfl_in *in, const char *key, const char *text) {
  model *m = in->m;
  property *list = NULL;
  TRY(tfl_alloc(in, (size_t)m->n_metadata + 1, sizeof *list, "metadata", &list));
  if (m->n_metadata) memcpy(list, m->metadata, (size_t)m->n_metadata * sizeof *list);
  list[m->n_metadata++] = (property){key, text};
  m->metadata = list;
  return LEDGE_OK;
}

static ledge_status read_model(tfl_in *in) {
  model *m = in->m;
  uint32_t version;
  fb_vector text;
  TRY(fb_root(&in->f, TFL_IDENTIFIER, "the model", &in->root));
  TRY(fb_u32(&in->root, MODEL_VERSION, 0, &version));
  if (version != TFL_VERSION)
    return error_set(in->error, LEDGE_ERROR_UNSUPPORTED,
                     "it is of schema version %u; ledge reads version %d: convert it anew", version, TFL_VERSION);
  TRY(fb_vec(&in->root, MODEL_BUFFERS, 4, "the model's buffers", &in->buffers));
  TRY(fb_vec(&in->root, MODEL_SUBGRAPHS, 4, "the model's subgraphs", &in->subgraphs));
  if (!in->subgraphs.count)
    return error_set(in->error, LEDGE_ERROR_FORMAT, "there is no graph in it: the file is damaged");
  TRY(tfl_alloc(in, in->subgraphs.count, sizeof *in->called, "subgraphs", &in->called));
  TRY(read_codes(in));
  TRY(fb_string(&in->root, MODEL_DESCRIPTION, "the model's description", &text));
  TRY(tfl_name(in, &text, "the model's description", &m->producer_name));
  fb_table main;
  TRY(open_subgraph(in, 0, &main));
  TRY(fb_string(&main, SUBGRAPH_NAME, "a subgraph's name", &text));
  const char *name;
  TRY(tfl_name(in, &text, "a subgraph's name", &name));
  m->graph = graph_create(m, NULL, *name ? name : "main");
  if (!m->graph) return error_memory(in->error, sizeof *m->graph, "a graph");
  TRY(tfl_read_subgraph(in, NULL, 0, m->graph, NULL, NULL, 0, NULL, 0));
  TRY(tfl_finish_states(in));
  TRY(tfl_read_metadata(in, add_property));
  TRY(graph_sort(m->graph, in->error));
  TRY(graph_sweep(m->graph, in->error)); /* pads and constants that others took over */
  return graph_verify(m->graph, in->error);
}

static ledge_status import(tfl_in *in, const char *source) {
  static const opset_import opsets[] = {{"", TFL_OPSET}, {"tflite", 1}, {"com.microsoft", 1}};
  in->m = model_create();
  if (!in->m) return error_memory(in->error, sizeof *in->m, "a model");
  model *m = in->m;
  m->source = arena_strdup(&m->arena, source);
  m->opsets = arena_alloc(&m->arena, sizeof opsets);
  m->domain = m->doc = m->producer_name = m->producer_version = "";
  if (!m->source || !m->opsets) return error_memory(in->error, strlen(source), "a model's path");
  memcpy(m->opsets, opsets, sizeof opsets);
  m->n_opsets = sizeof opsets / sizeof *opsets;
  m->ir_version = 10;
  m->format = "tflite";
  m->format_version = TFL_VERSION;
  if (in->owner) TRY(model_keep(m, in->owner, in->error));
  return read_model(in);
}

ledge_status tfl_read(const void *bytes, size_t size, storage *owner, const char *source, const tfl_options *options,
                      model **ret, ledge_error *error) {
  tfl_in in = {.f = {bytes, size, STEPS_BASE + (uint64_t)size * STEPS_PER_BYTE, error}, .owner = owner, .error = error};
  size_t limit = options ? options->limit_bytes : 0;
  if (!limit && (!mem_mul(size, LIMIT_PER_BYTE, &limit) || !mem_add(limit, LIMIT_BASE, &limit))) limit = SIZE_MAX;
  in.limit_bytes = limit;
  ledge_status status = import(&in, source);
  if (status) {
    model_destroy(in.m);
    return error_prefix(error, status, "%s", source);
  }
  *ret = in.m;
  return LEDGE_OK;
}
