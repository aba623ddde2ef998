/* formats/onnx/export: a model to ModelProto. What a graph says, ONNX says in the same words, but for names: in ONNX a
 * captured value goes by its name in the outer graph, so no inner name may be one of an outer graph. Values of a
 * subgraph whose name is taken further out get a number; siblings may keep the same name. */
#include "formats/onnx/wire.h"
#include "formats/onnx/write.h"

#include <stdio.h>

typedef struct export_scope export_scope;
struct export_scope {
  export_scope *outer;
  const graph *g;
  const char **names; /* of g's values */
  hash used;          /* names of g's own values */
};

static ledge_status memory(onnx_export *x, size_t bytes) {
  return error_memory(x->out.error, bytes, "writing a model");
}

/* ---- what the model needs ---- */

/* The IR version that brought a dtype. */
static int64_t ir_of_dtype(ledge_dtype d) {
  switch (d) {
    case LEDGE_BF16: return 4;
    case LEDGE_F8E4M3FN:
    case LEDGE_F8E4M3FNUZ:
    case LEDGE_F8E5M2:
    case LEDGE_F8E5M2FNUZ: return 9;
    case LEDGE_U4:
    case LEDGE_I4: return 10;
    case LEDGE_F4E2M1: return 11;
    case LEDGE_F8E8M0: return 12;
    case LEDGE_U2:
    case LEDGE_I2: return 13;
    default: return 3; /* imports of opsets, which are always written */
  }
}

static void need(onnx_export *x, int64_t ir) {
  if (ir > x->ir_version) x->ir_version = ir;
}

static void need_type(onnx_export *x, const graph_type *t) {
  need(x, ir_of_dtype(t->dtype));
  if (t->kind == TYPE_OPTIONAL || t->kind == TYPE_SPARSE_TENSOR) need(x, 8);
  if (t->elem) need_type(x, t->elem);
}

static ledge_status need_opset(onnx_export *x, const char *domain, int version) {
  for (int i = 0; i < x->n_opsets; i++)
    if (!strcmp(x->opsets[i].domain, domain)) return LEDGE_OK;
  opset_import *list = arena_alloc_array(&x->names, (size_t)x->n_opsets + 1, sizeof *list);
  if (!list) return memory(x, sizeof *list);
  if (x->n_opsets) memcpy(list, x->opsets, (size_t)x->n_opsets * sizeof *list);
  list[x->n_opsets++] = (opset_import){domain, version > 0 ? version : 1};
  x->opsets = list;
  return LEDGE_OK;
}

static ledge_status need_node(onnx_export *x, const graph *g, const node *n) {
  char label[160];
  bool own = !strcmp(n->domain, "ledge") || !strcmp(n->domain, "tflite");
  if (!own || (!strcmp(n->domain, "ledge") && model_opset(x->m, "ledge"))) return need_opset(x, n->domain, n->version);
  error_set(
      x->out.error, LEDGE_ERROR_UNSUPPORTED,
      strcmp(n->domain, "tflite")
          ? "%s is an operator of ledge's own, which ONNX cannot say: write the model before it is fused for running"
          : "%s is TensorFlow Lite's own arithmetic, which ONNX cannot say",
      node_label(g, n, label, sizeof label));
  error_node(x->out.error, n->name);
  return LEDGE_ERROR_UNSUPPORTED;
}

static ledge_status need_graph(onnx_export *x, const graph *g);

static ledge_status need_attr(onnx_export *x, const attr *a) {
  switch (a->type) {
    case ATTR_TENSOR: need(x, ir_of_dtype(a->t->dtype)); break;
    case ATTR_TENSORS:
      for (int64_t i = 0; i < a->count; i++) need(x, ir_of_dtype(a->tensors[i].dtype));
      break;
    case ATTR_TYPE:
    case ATTR_TYPES:
      for (int64_t i = 0; i < a->count; i++) need_type(x, &a->types[i]);
      break;
    case ATTR_GRAPH: return need_graph(x, a->g);
    case ATTR_GRAPHS:
      for (int64_t i = 0; i < a->count; i++) TRY(need_graph(x, a->graphs[i]));
      break;
    default: break;
  }
  return LEDGE_OK;
}

/* Of two outputs of one value the second is written as an Identity; from version 16 it takes every type. */
static ledge_status need_identity(onnx_export *x, const graph *g) {
  unsigned char *seen = mem_alloc_array((size_t)g->n_values, 1);
  bool twice = false;
  if (!seen) return memory(x, (size_t)g->n_values);
  for (int i = 0; i < g->n_outputs; i++) {
    twice = twice || seen[g->outputs[i]];
    seen[g->outputs[i]] = 1;
  }
  mem_free(seen);
  return twice ? need_opset(x, "", 16) : LEDGE_OK;
}

static ledge_status need_graph(onnx_export *x, const graph *g) {
  int own_constants = 0; /* initialisers that are no inputs */
  for (int v = 0; v < g->n_values; v++) {
    const graph_value *from = &g->values[v];
    need_type(x, &from->type);
    if (!from->constant) continue;
    need(x, ir_of_dtype(from->constant->dtype));
    own_constants++;
  }
  for (int i = 0; i < g->n_inputs; i++) own_constants -= g->values[g->inputs[i]].constant != NULL;
  if (own_constants) need(x, 4);
  if (g->n_outputs > 1) TRY(need_identity(x, g));
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    TRY(need_node(x, g, n));
    if (n->n_metadata || n->overload[0]) need(x, 10);
    for (int k = 0; k < n->n_attrs; k++) TRY(need_attr(x, &n->attrs[k]));
  }
  return LEDGE_OK;
}

ledge_status onnx_export_init(onnx_export *x, const model *m, ledge_error *error) {
  *x = (onnx_export){.m = m, .ir_version = m->ir_version > 3 ? m->ir_version : 3};
  out_init(&x->out, error);
  arena_init(&x->names);
  TRY(graph_verify(m->graph, error));
  x->opsets = m->opsets;
  x->n_opsets = m->n_opsets;
  return need_graph(x, m->graph);
}

void onnx_export_deinit(onnx_export *x) {
  out_deinit(&x->out);
  mem_free(x->spans);
  arena_deinit(&x->names);
}

/* ---- names ---- */

static bool taken(const export_scope *s, const char *name, size_t size) {
  int32_t there;
  for (; s; s = s->outer)
    if (hash_get(&s->used, name, size, &there)) return true;
  return false;
}

static ledge_status put_name(onnx_export *x, export_scope *s, value_id v, const char *name) {
  s->names[v] = name;
  return hash_put(&s->used, name, strlen(name), v) == HASH_NO_MEMORY ? memory(x, sizeof(hash_slot)) : LEDGE_OK;
}

/* name.1, name.2, ...: the first that no scope has. The counter goes on through the graph, so this is not tried long.
 */
static ledge_status make_name(onnx_export *x, export_scope *s, value_id v, int *counter) {
  const char *base = s->g->values[v].name;
  size_t size = strlen(base) + 16;
  char *name = arena_alloc(&x->names, size);
  if (!name) return memory(x, size);
  do snprintf(name, size, "%s.%d", base[0] ? base : "value", ++*counter);
  while (taken(s, name, strlen(name)));
  return put_name(x, s, v, name);
}

static ledge_status name_values(onnx_export *x, export_scope *s) {
  const graph *g = s->g;
  int counter = 0;
  s->names = mem_alloc_array((size_t)g->n_values, sizeof *s->names);
  if (!s->names) return memory(x, (size_t)g->n_values * sizeof *s->names);
  for (int i = 0; i < g->n_captures; i++) s->names[g->captures[i].inner] = s->outer->names[g->captures[i].outer];
  if (!hash_reserve(&s->used, (size_t)g->n_values)) return memory(x, (size_t)g->n_values * sizeof(hash_slot));
  for (int v = 0; v < g->n_values; v++) {
    const char *name = g->values[v].name;
    if (!s->names[v] && name[0] && !taken(s, name, strlen(name))) TRY(put_name(x, s, v, name));
  }
  for (int v = 0; v < g->n_values; v++)
    if (!s->names[v]) TRY(make_name(x, s, v, &counter));
  return LEDGE_OK;
}

/* ---- what the graph has no place for ---- */

enum { MODEL_TRAINING = 20, GRAPH_QUANTIZATION = 14 }; /* fields that speak of values by their names */

/* All fields, or all but `left_out` where values are gone. */
static void emit_extra(onnx_export *x, const graph_extra *e, uint32_t left_out) {
  out *o = &x->out;
  if (!x->changed || !left_out) {
    out_fields(o, e->data, e->size);
    return;
  }
  wire w = wire_open(reader_make(e->data, e->size, 0), "kept fields", NULL);
  for (uint64_t at = 0; wire_next(&w); at = reader_offset(&w.rest))
    if (w.field != left_out) out_fields(o, (const char *)e->data + at, (size_t)(reader_offset(&w.rest) - at));
}

/* ---- tensors and types ---- */

enum { ALIGN = 8, ALIGN_FROM_BYTES = 256, EXTERNAL_ALIGN = 64, EXTERNAL_LARGE = 65536 };

static void emit_property(out *o, uint32_t field, const char *key, const char *text) {
  out_begin(o, field);
  out_name(o, 1, key);
  out_name(o, 2, text);
  out_end(o);
}

static void emit_number_property(out *o, uint32_t field, const char *key, uint64_t number) {
  char text[32];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  emit_property(o, field, key, text);
}

/* Places a tensor in the external file, while counting. */
static const onnx_span *add_span(onnx_export *x, const tensor *t, size_t bytes) {
  if (x->n_spans == x->cap_spans) {
    size_t cap = x->cap_spans ? x->cap_spans * 2 : 64;
    onnx_span *spans = mem_realloc(x->spans, cap * sizeof *spans);
    if (!spans) {
      out_fail(&x->out, memory(x, cap * sizeof *spans));
      return NULL;
    }
    x->spans = spans;
    x->cap_spans = cap;
  }
  onnx_span *span = &x->spans[x->n_spans++];
  uint64_t align = bytes < EXTERNAL_LARGE ? EXTERNAL_ALIGN : EXTERNAL_MAX_ALIGN;
  *span = (onnx_span){t->data, (x->external_end + align - 1) / align * align, bytes};
  x->external_end = span->offset + bytes;
  return span;
}

/* raw_data at a multiple of ALIGN in the file: the number before it is written in as many bytes more as that takes, and
 * one behind it makes up the difference, so that the tensor's size does not hang on where it stands. */
static void emit_aligned(out *o, const tensor *t, size_t bytes) {
  uint64_t at = o->pos + 3 + (uint64_t)out_varint_size(bytes);
  int pad = (int)((ALIGN - at % ALIGN) % ALIGN);
  out_int_padded(o, 2, t->dtype, pad);
  out_bytes(o, 9, t->data, bytes);
  out_int_padded(o, 14, 0, ALIGN - 1 - pad);
}

/* extra: of an initialiser, which may be external; NULL: an attribute. */
static void emit_tensor(onnx_export *x, uint32_t field, const char *name, const tensor *t, const graph_extra *extra) {
  out *o = &x->out;
  size_t bytes = tensor_bytes(t);
  int64_t count = tensor_elements(t);
  out_begin(o, field);
  out_packed_ints(o, 1, t->dims, t->rank);
  out_string(o, 8, name);
  if (t->dtype == LEDGE_STRING) {
    const ledge_string *s = t->data;
    out_int(o, 2, t->dtype);
    for (int64_t i = 0; i < count; i++) out_bytes(o, 6, s[i].data, s[i].size);
  } else if (extra && x->external_name && bytes >= x->external_bytes) {
    const onnx_span *span = o->sink ? &x->spans[x->n_spans++] : add_span(x, t, bytes);
    out_int(o, 2, t->dtype);
    if (span) {
      emit_property(o, 13, "location", x->external_name);
      emit_number_property(o, 13, "offset", span->offset);
      emit_number_property(o, 13, "length", span->bytes);
    }
    out_int(o, 14, 1);
  } else if (bytes >= ALIGN_FROM_BYTES) {
    emit_aligned(o, t, bytes);
  } else {
    out_int(o, 2, t->dtype);
    out_bytes(o, 9, t->data, bytes);
  }
  if (extra) emit_extra(x, extra, 0);
  out_end(o);
}

static void emit_shape(out *o, uint32_t field, const graph_type *t) {
  if (t->rank < 0) return;
  out_begin(o, field);
  for (int i = 0; i < t->rank; i++) {
    out_begin(o, 1);
    if (t->dims[i] >= 0)
      out_int(o, 1, t->dims[i]);
    else if (t->dim_names && t->dim_names[i])
      out_name(o, 2, t->dim_names[i]);
    if (t->dim_denotations) out_string(o, 3, t->dim_denotations[i]);
    out_end(o);
  }
  out_end(o);
}

static void emit_type(out *o, uint32_t field, const graph_type *t) {
  static const uint32_t fields[] = {
      [TYPE_TENSOR] = 1, [TYPE_SPARSE_TENSOR] = 8, [TYPE_SEQUENCE] = 4, [TYPE_OPTIONAL] = 9, [TYPE_MAP] = 5};
  out_begin(o, field);
  if (t->kind) {
    out_begin(o, fields[t->kind]);
    switch (t->kind) {
      case TYPE_NONE: break;
      case TYPE_TENSOR:
      case TYPE_SPARSE_TENSOR:
        if (t->dtype) out_int(o, 1, t->dtype);
        emit_shape(o, 2, t);
        break;
      case TYPE_SEQUENCE:
      case TYPE_OPTIONAL:
        if (t->elem) emit_type(o, 1, t->elem);
        break;
      case TYPE_MAP:
        if (t->dtype) out_int(o, 1, t->dtype);
        if (t->elem) emit_type(o, 2, t->elem);
        break;
    }
    out_end(o);
  }
  out_string(o, 6, t->denotation);
  out_end(o);
}

static void emit_value_info(onnx_export *x, uint32_t field, const char *name, const graph_value *v) {
  out *o = &x->out;
  out_begin(o, field);
  out_name(o, 1, name);
  if (v->type.kind) emit_type(o, 2, &v->type);
  emit_extra(x, &v->extra, 0);
  out_end(o);
}

/* ---- nodes ---- */

static void emit_graph(onnx_export *x, uint32_t field, const graph *g, export_scope *outer);

static void emit_attr(onnx_export *x, const attr *a, export_scope *s) {
  out *o = &x->out;
  if (!a->type) return;
  out_begin(o, 5);
  out_name(o, 1, a->name);
  switch (a->type) {
    case ATTR_NONE: break;
    case ATTR_FLOAT: out_float(o, 2, a->f); break;
    case ATTR_INT: out_int(o, 3, a->i); break;
    case ATTR_STRING: out_bytes(o, 4, a->s.data, a->s.size); break;
    case ATTR_TENSOR: emit_tensor(x, 5, "", a->t, NULL); break;
    case ATTR_GRAPH: emit_graph(x, 6, a->g, s); break;
    case ATTR_FLOATS: out_packed_floats(o, 7, a->floats, a->count); break;
    case ATTR_INTS: out_packed_ints(o, 8, a->ints, a->count); break;
    case ATTR_STRINGS:
      for (int64_t i = 0; i < a->count; i++) out_bytes(o, 9, a->strings[i].data, a->strings[i].size);
      break;
    case ATTR_TENSORS:
      for (int64_t i = 0; i < a->count; i++) emit_tensor(x, 10, "", &a->tensors[i], NULL);
      break;
    case ATTR_GRAPHS:
      for (int64_t i = 0; i < a->count; i++) emit_graph(x, 11, a->graphs[i], s);
      break;
    case ATTR_TYPE: emit_type(o, 14, a->types); break;
    case ATTR_TYPES:
      for (int64_t i = 0; i < a->count; i++) emit_type(o, 15, &a->types[i]);
      break;
  }
  out_int(o, 20, a->type);
  emit_extra(x, &a->extra, 0);
  out_end(o);
}

static void emit_node(onnx_export *x, const node *n, export_scope *s) {
  out *o = &x->out;
  out_begin(o, 1);
  for (int i = 0; i < n->n_in; i++) out_name(o, 1, n->in[i] == VALUE_ABSENT ? "" : s->names[n->in[i]]);
  for (int i = 0; i < n->n_out; i++) out_name(o, 2, n->out[i] == VALUE_ABSENT ? "" : s->names[n->out[i]]);
  out_string(o, 3, n->name);
  out_name(o, 4, n->op);
  for (int i = 0; i < n->n_attrs; i++) emit_attr(x, &n->attrs[i], s);
  out_string(o, 7, n->domain);
  out_string(o, 8, n->overload);
  for (int i = 0; i < n->n_metadata; i++) emit_property(o, 9, n->metadata[i].key, n->metadata[i].value);
  emit_extra(x, &n->extra, 0);
  out_end(o);
}

/* ---- graphs ---- */

enum { IS_INPUT = 1, IS_OUTPUT = 2, IS_USED = 4, IS_NAMED_OUTPUT = 8 };

/* By value: IS_ flags. */
static unsigned char *mark_values(onnx_export *x, const graph *g) {
  unsigned char *marks = mem_alloc_array((size_t)g->n_values, 1);
  int *uses = mem_alloc_array((size_t)g->n_values, sizeof *uses);
  if (marks && uses) {
    graph_count_uses(g, uses);
    for (int v = 0; v < g->n_values; v++) marks[v] = uses[v] ? IS_USED : 0;
    for (int i = 0; i < g->n_inputs; i++) marks[g->inputs[i]] |= IS_INPUT;
    for (int i = 0; i < g->n_outputs; i++) marks[g->outputs[i]] |= IS_OUTPUT;
  } else {
    out_fail(&x->out, memory(x, (size_t)g->n_values * sizeof *uses));
    mem_free(marks);
    marks = NULL;
  }
  mem_free(uses);
  return marks;
}

/* A name for the second output of one value: "name.1", ... */
static ledge_status copy_name(onnx_export *x, export_scope *s, value_id v, const char **ret) {
  size_t size = strlen(s->names[v]) + 16;
  char *copy = arena_alloc(&x->names, size);
  int i = 0;
  if (!copy) return memory(x, size);
  do snprintf(copy, size, "%s.%d", s->names[v], ++i);
  while (taken(s, copy, strlen(copy)));
  *ret = copy;
  return hash_put(&s->used, copy, strlen(copy), v) == HASH_NO_MEMORY ? memory(x, sizeof(hash_slot)) : LEDGE_OK;
}

/* The names of the graph's outputs. In ONNX an output is a name, so that a value can be one output: a second one gets a
 * name of its own, and an Identity. Before any node is written: subgraphs keep clear of these names too. */
static ledge_status name_outputs(onnx_export *x, export_scope *s, unsigned char *marks, const char **names) {
  for (int i = 0; i < s->g->n_outputs; i++) {
    value_id v = s->g->outputs[i];
    names[i] = s->names[v];
    if (marks[v] & IS_NAMED_OUTPUT) TRY(copy_name(x, s, v, &names[i]));
    marks[v] |= IS_NAMED_OUTPUT;
  }
  return LEDGE_OK;
}

static void emit_output_copies(out *o, const graph *g, const export_scope *s, const char **names) {
  for (int i = 0; i < g->n_outputs; i++) {
    const char *name = s->names[g->outputs[i]];
    if (names[i] == name) continue;
    out_begin(o, 1);
    out_name(o, 1, name);
    out_name(o, 2, names[i]);
    out_name(o, 4, "Identity");
    out_end(o);
  }
}

static void emit_contents(onnx_export *x, const graph *g, export_scope *s, const unsigned char *marks,
                          const char **outputs) {
  out *o = &x->out;
  for (int i = 0; i < g->n_nodes && !o->status; i++) emit_node(x, &g->nodes[i], s);
  emit_output_copies(o, g, s, outputs);
  out_name(o, 2, g->name[0] ? g->name : "graph");
  for (int v = 0; v < g->n_values && !o->status; v++)
    if (g->values[v].constant && (marks[v] || !x->changed))
      emit_tensor(x, 5, s->names[v], g->values[v].constant, &g->values[v].constant_extra);
  for (int i = 0; i < g->n_inputs; i++) emit_value_info(x, 11, s->names[g->inputs[i]], &g->values[g->inputs[i]]);
  for (int i = 0; i < g->n_outputs; i++) emit_value_info(x, 12, outputs[i], &g->values[g->outputs[i]]);
  for (int v = 0; v < g->n_values; v++) {
    const graph_type *type = &g->values[v].type;
    if (marks[v] & (IS_INPUT | IS_OUTPUT) || g->values[v].producer < 0) continue;
    if (g->values[v].extra.size || (type->kind && (type->dtype || type->elem)))
      emit_value_info(x, 13, s->names[v], &g->values[v]);
  }
  emit_extra(x, &g->extra, GRAPH_QUANTIZATION);
}

static void emit_graph(onnx_export *x, uint32_t field, const graph *g, export_scope *outer) {
  out *o = &x->out;
  if (o->status) return;
  export_scope s = {.outer = outer, .g = g};
  ledge_status status = name_values(x, &s);
  if (status) out_fail(o, status);
  unsigned char *marks = o->status ? NULL : mark_values(x, g);
  const char **outputs = mem_alloc_array((size_t)g->n_outputs, sizeof *outputs);
  if (!outputs) out_fail(o, memory(x, (size_t)g->n_outputs * sizeof *outputs));
  if (!o->status) out_fail(o, name_outputs(x, &s, marks, outputs));
  out_begin(o, field);
  if (!o->status) emit_contents(x, g, &s, marks, outputs);
  out_end(o);
  mem_free(outputs);
  mem_free(marks);
  mem_free(s.names);
  hash_deinit(&s.used);
}

void onnx_emit_model(onnx_export *x) {
  const model *m = x->m;
  out *o = &x->out;
  x->n_spans = 0;
  out_int(o, 1, x->ir_version);
  out_string(o, 2, m->producer_name[0] ? m->producer_name : "ledge");
  out_string(o, 3, m->producer_name[0] ? m->producer_version : LEDGE_VERSION);
  out_string(o, 4, m->domain);
  if (m->model_version) out_int(o, 5, m->model_version);
  out_string(o, 6, m->doc);
  emit_graph(x, 7, m->graph, NULL);
  for (int i = 0; i < x->n_opsets; i++) {
    out_begin(o, 8);
    out_name(o, 1, x->opsets[i].domain);
    out_int(o, 2, x->opsets[i].version);
    out_end(o);
  }
  for (int i = 0; i < m->n_metadata; i++) emit_property(o, 14, m->metadata[i].key, m->metadata[i].value);
  emit_extra(x, &m->extra, MODEL_TRAINING);
}
