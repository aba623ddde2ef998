/* formats/onnx/import: ModelProto to a model. Each graph is read in five passes over its bytes, which cost little (a
 * pass hops from field to field) and need no list of what was found:
 *
 *   count     how many of everything there are, so that arrays are made once and at their size
 *   declare   inputs, initialisers, then the outputs of all nodes: after this every name of the graph has its value
 *   types     what value_info and outputs say about them
 *   nodes     one after another; what a node does not find in its graph is captured from the graphs around it
 *   outputs   by name
 *
 * Nodes may come in any order; they are sorted at the end. */
#include "formats/onnx/read.h"
#include "tensor/mapped.h"

#include <stdarg.h>
#include <stdio.h>

enum { LIMIT_BASE = 16 << 20, LIMIT_PER_BYTE = 10, STEPS_BASE = 1 << 18, STEPS_PER_BYTE = 64 };

/* ---- memory and names ---- */

ledge_status onnx_check_limit(onnx_in *in, size_t more, const char *what) {
  size_t held = in->m->arena.total_bytes + in->scratch.total_bytes + in->heap_bytes;
  if (held <= in->limit_bytes && more <= in->limit_bytes - held) return LEDGE_OK;
  return error_set(
      in->error, LEDGE_ERROR_LIMIT,
      "%s takes %zu bytes, which with %zu so far is over the limit of %zu for a file of %zu: if the file is "
      "sound, raise the limit (limit_bytes)",
      what, more, held, in->limit_bytes, in->file_bytes);
}

ledge_status onnx_alloc(onnx_in *in, size_t count, size_t each, const char *what, void *ret) {
  size_t bytes;
  if (!mem_mul(count, each, &bytes)) bytes = SIZE_MAX;
  TRY(onnx_check_limit(in, bytes, what));
  void *block = arena_alloc(&in->m->arena, bytes);
  if (!block) return error_memory(in->error, bytes, what);
  memcpy(ret, &block, sizeof block);
  return LEDGE_OK;
}

ledge_status onnx_check_name(reader r, const char *what, ledge_error *error) {
  if (r.size > ONNX_MAX_NAME)
    return error_set_at(error, LEDGE_ERROR_LIMIT, reader_offset(&r),
                        "%s at byte %llu has %zu bytes, over the limit of %d", what,
                        (unsigned long long)reader_offset(&r), r.size, ONNX_MAX_NAME);
  if (r.size && memchr(r.data, 0, r.size))
    return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&r),
                        "%s at byte %llu holds a zero byte: the file is damaged", what,
                        (unsigned long long)reader_offset(&r));
  return LEDGE_OK;
}

ledge_status onnx_name(onnx_in *in, reader r, const char *what, const char **ret) {
  TRY(onnx_check_name(r, what, in->error));
  return onnx_text(in, r, what, ret);
}

ledge_status onnx_text(onnx_in *in, reader r, const char *what, const char **ret) {
  char *copy = NULL;
  if (r.size && memchr(r.data, 0, r.size))
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, reader_offset(&r),
                        "%s at byte %llu holds a zero byte: the file is damaged", what,
                        (unsigned long long)reader_offset(&r));
  TRY(onnx_alloc(in, r.size + 1, 1, what, &copy));
  if (r.size) memcpy(copy, r.data, r.size);
  *ret = copy;
  return LEDGE_OK;
}

ledge_status onnx_property(onnx_in *in, reader r, property *ret) {
  reader key = {0}, text = {0};
  wire w = wire_open(r, "StringStringEntryProto", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field == 1) TRY(wire_bytes(&w, "key", &key, in->error));
    if (w.field == 2) TRY(wire_bytes(&w, "value", &text, in->error));
  }
  TRY(wire_close(&w, in->error));
  TRY(onnx_text(in, key, "a metadata key", &ret->key));
  return onnx_text(in, text, "a metadata value", &ret->value);
}

ledge_status onnx_prefix(onnx_in *in, ledge_status status, const char *format, ...) {
  enum { MAX_PREFIXES = 6 };
  if (in->n_prefixes++ >= MAX_PREFIXES) return status;
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return error_prefix(in->error, status, "%s", text);
}

ledge_status onnx_changed(onnx_in *in) {
  return error_set(in->error, LEDGE_ERROR_CHANGED, "the file changed while it was read: read it again");
}

/* Reads the `count` properties in `field` of a message. */
static ledge_status read_properties(onnx_in *in, reader r, const char *message, uint32_t field, int count,
                                    property **ret) {
  property *list;
  int i = 0;
  TRY(onnx_alloc(in, (size_t)count, sizeof *list, "metadata", &list));
  wire w = wire_open(r, message, &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != field) continue;
    reader entry;
    TRY(wire_bytes(&w, "metadata_props", &entry, in->error));
    if (i == count) return onnx_changed(in);
    TRY(onnx_property(in, entry, &list[i++]));
  }
  TRY(wire_close(&w, in->error));
  *ret = list;
  return i == count ? LEDGE_OK : onnx_changed(in);
}

/* ---- nodes ---- */

static ledge_status count_name(const wire *w, const char *what, int *count, ledge_error *error) {
  reader name;
  TRY(wire_bytes(w, what, &name, error));
  ++*count;
  return onnx_check_name(name, what, error);
}

ledge_status onnx_parse_node(onnx_in *in, reader r, onnx_node *ret) {
  onnx_node n = {.at = reader_offset(&r), .whole = r};
  reader ignored;
  wire w = wire_open(r, "NodeProto", &in->steps_left);
  while (wire_next(&w)) {
    switch (w.field) {
      case 1: TRY(count_name(&w, "a node's input", &n.n_in, in->error)); break;
      case 2: TRY(count_name(&w, "a node's output", &n.n_out, in->error)); break;
      case 3: TRY(wire_bytes(&w, "name", &n.name, in->error)); break;
      case 4: TRY(wire_bytes(&w, "op_type", &n.op, in->error)); break;
      case 5:
        n.n_attrs++;
        TRY(wire_bytes(&w, "attribute", &ignored, in->error));
        break;
      case 7: TRY(wire_bytes(&w, "domain", &n.domain, in->error)); break;
      case 8: TRY(wire_bytes(&w, "overload", &n.overload, in->error)); break;
      case 9:
        n.n_metadata++;
        TRY(wire_bytes(&w, "metadata_props", &ignored, in->error));
        break;
      default: break;
    }
  }
  TRY(wire_close(&w, in->error));
  TRY(onnx_check_name(n.name, "a node's name", in->error));
  TRY(onnx_check_name(n.op, "a node's operator", in->error));
  TRY(onnx_check_name(n.domain, "a node's domain", in->error));
  TRY(onnx_check_name(n.overload, "a node's overload", in->error));
  if (!n.op.size)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, n.at,
                        "a node at byte %llu names no operator: the file is damaged", (unsigned long long)n.at);
  if (n.n_attrs > ONNX_MAX_ATTRIBUTES)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, n.at,
                        "a node at byte %llu has %d attributes, over the limit of %d", (unsigned long long)n.at,
                        n.n_attrs, ONNX_MAX_ATTRIBUTES);
  *ret = n;
  return LEDGE_OK;
}

static ledge_status add_value(onnx_in *in, onnx_scope *s, reader name, const char *what, value_id *ret) {
  char local[512], *text = local;
  TRY(onnx_check_limit(in, sizeof(graph_value) + name.size, "a value"));
  if (name.size >= sizeof local && !(text = mem_alloc(name.size + 1)))
    return error_memory(in->error, name.size, "a name");
  if (name.size) memcpy(text, name.data, name.size);
  text[name.size] = 0;
  value_id v = graph_add_value(s->g, text);
  if (text != local) mem_free(text);
  if (v == VALUE_ABSENT) return error_memory(in->error, sizeof(graph_value), "a value");
  *ret = v;
  return onnx_scope_put(in, s, name, v, what);
}

ledge_status onnx_declare_outputs(onnx_in *in, onnx_scope *s, reader node_proto, const hash *fixed,
                                  const value_id *fixed_ids, const char *prefix) {
  wire w = wire_open(node_proto, "NodeProto", &in->steps_left);
  while (wire_next(&w)) {
    reader name;
    value_id v;
    int32_t i;
    if (w.field != 2) continue;
    TRY(wire_bytes(&w, "output", &name, in->error));
    TRY(onnx_check_name(name, "a node's output", in->error));
    if (!name.size) continue;
    if (!prefix) {
      TRY(add_value(in, s, name, "node output", &v));
    } else if (hash_get(fixed, (const char *)name.data, name.size, &i) && fixed_ids[i] != VALUE_ABSENT) {
      TRY(onnx_scope_put(in, s, name, fixed_ids[i], "node output"));
    } else {
      TRY(onnx_scope_fresh(in, s, prefix, name, &v));
      TRY(onnx_scope_put(in, s, name, v, "node output"));
    }
  }
  return wire_close(&w, in->error);
}

/* in->ids gets the values of the node's inputs, then of its outputs. */
static ledge_status resolve_ids(onnx_in *in, onnx_scope *s, const onnx_node *n) {
  size_t count = (size_t)n->n_in + (size_t)n->n_out, i_in = 0, i_out = (size_t)n->n_in;
  if (count >= in->cap_ids) {
    size_t cap = (count + 1) * 2;
    value_id *ids = mem_realloc(in->ids, cap * sizeof *ids);
    if (!ids) return error_memory(in->error, cap * sizeof *ids, "a node");
    in->ids = ids;
    in->cap_ids = cap;
  }
  wire w = wire_open(n->whole, "NodeProto", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != 1 && w.field != 2) continue;
    value_id v = VALUE_ABSENT;
    bool found = true;
    if (w.bytes.size) TRY(onnx_scope_find(in, s, w.bytes, &v, &found));
    if (!found)
      return error_set_at(
          in->error, LEDGE_ERROR_FORMAT, w.at,
          "reads '%.*s', which is no input, initialiser or node output: the file is damaged, or was cut from "
          "a larger model",
          ONNX_SHOW(w.bytes));
    if (w.field == 1 ? i_in == (size_t)n->n_in : i_out == count) return onnx_changed(in);
    in->ids[w.field == 1 ? i_in++ : i_out++] = v;
  }
  TRY(wire_close(&w, in->error));
  return i_in == (size_t)n->n_in && i_out == count ? LEDGE_OK : onnx_changed(in);
}

/* A name's first 100 bytes, terminated. */
static const char *short_text(reader r, char text[101]) {
  size_t n = r.size < 100 ? r.size : 100;
  if (n) memcpy(text, r.data, n);
  text[n] = 0;
  return text;
}

/* A node's name, kept: inside a function after that of the call, since a body may be there many times. */
static ledge_status node_name(onnx_in *in, const onnx_scope *s, reader name, const char **ret) {
  *ret = "";
  if (!name.size) return LEDGE_OK;
  if (!s->call) return onnx_name(in, name, "a node's name", ret);
  char *joined;
  size_t size = strlen(s->call->label) + name.size + 2;
  TRY(onnx_alloc(in, size, 1, "a node's name", &joined));
  snprintf(joined, size, "%s/%.*s", s->call->label, (int)name.size, (const char *)name.data);
  *ret = joined;
  return LEDGE_OK;
}

static ledge_status add_node(onnx_in *in, onnx_scope *s, const onnx_node *n) {
  const char *name, *domain, *op, *overload = "";
  attr *attrs = NULL;
  property *metadata = NULL;
  int n_attrs = 0, version;
  TRY(onnx_opset_version(in, s->call, n->domain, &version));
  bool outer = in->any_address;
  in->any_address = !n->domain.size && onnx_equal(n->op, "Constant");
  ledge_status status = onnx_read_attrs(in, s, n->whole, n->n_attrs, &attrs, &n_attrs);
  in->any_address = outer;
  TRY(status);
  TRY(resolve_ids(in, s, n));
  char local_domain[101], local_op[101]; /* graph_add_node copies; only a long one costs a copy here */
  TRY(node_name(in, s, n->name, &name));
  domain = short_text(n->domain, local_domain);
  op = short_text(n->op, local_op);
  if (n->domain.size > 100) TRY(onnx_name(in, n->domain, "a node's domain", &domain));
  if (n->op.size > 100) TRY(onnx_name(in, n->op, "a node's operator", &op));
  if (n->overload.size) TRY(onnx_name(in, n->overload, "a node's overload", &overload));
  if (n->n_metadata) TRY(read_properties(in, n->whole, "NodeProto", 9, n->n_metadata, &metadata));
  TRY(onnx_check_limit(in, sizeof(node) + ((size_t)n->n_in + (size_t)n->n_out) * sizeof(value_id), "a node"));
  node *made = graph_add_node(s->g, domain, op, version, "", in->ids, n->n_in, in->ids + n->n_in, n->n_out);
  if (!made) return error_memory(in->error, sizeof *made, "a node");
  made->name = name;
  made->attrs = attrs;
  made->n_attrs = n_attrs;
  made->metadata = metadata;
  made->n_metadata = n->n_metadata;
  made->overload = overload;
  made->offset = n->at;
  return onnx_keep_extra(in, s, n->whole, ONNX_EXTRA_NODE, &made->extra);
}

ledge_status onnx_read_node(onnx_in *in, onnx_scope *s, reader r) {
  onnx_node n;
  TRY(onnx_parse_node(in, r, &n));
  const onnx_function *f;
  TRY(onnx_find_function(in, &n, &f));
  ledge_status status;
  if (f) {
    status = resolve_ids(in, s, &n);
    if (!status) status = onnx_call_function(in, s, f, &n, in->ids);
  } else {
    status = add_node(in, s, &n);
  }
  if (!status) return LEDGE_OK;
  char name[101], op[101];
  error_node(in->error, short_text(n.name, name));
  return onnx_prefix(in, status, "node '%s' (%s) at byte %llu", name, short_text(n.op, op), (unsigned long long)n.at);
}

/* ---- graphs ---- */

typedef struct graph_counts {
  size_t nodes, node_outputs, initialisers, inputs, outputs;
  reader name;
} graph_counts;

static ledge_status count_outputs(onnx_in *in, reader node_proto, size_t *count) {
  wire w = wire_open(node_proto, "NodeProto", &in->steps_left);
  while (wire_next(&w)) *count += w.field == 2;
  return wire_close(&w, in->error);
}

/* Checks the wire types of the fields too: later passes take w.bytes as they find it. */
static ledge_status count_graph(onnx_in *in, reader r, graph_counts *n) {
  reader bytes;
  wire w = wire_open(r, "GraphProto", &in->steps_left);
  while (wire_next(&w)) {
    switch (w.field) {
      case 1:
        n->nodes++;
        TRY(wire_bytes(&w, "node", &bytes, in->error));
        TRY(count_outputs(in, bytes, &n->node_outputs));
        break;
      case 2: TRY(wire_bytes(&w, "name", &n->name, in->error)); break;
      case 5:
        n->initialisers++;
        TRY(wire_bytes(&w, "initializer", &bytes, in->error));
        break;
      case 11:
        n->inputs++;
        TRY(wire_bytes(&w, "input", &bytes, in->error));
        break;
      case 12:
        n->outputs++;
        TRY(wire_bytes(&w, "output", &bytes, in->error));
        break;
      case 13: TRY(wire_bytes(&w, "value_info", &bytes, in->error)); break;
      case 15:
        n->initialisers++;
        TRY(wire_bytes(&w, "sparse_initializer", &bytes, in->error));
        break;
      default: break;
    }
  }
  return wire_close(&w, in->error);
}

static ledge_status set_type(onnx_in *in, onnx_scope *s, value_id v, const onnx_value_info *info) {
  graph_type type;
  TRY(onnx_read_type(in, info->type, &type));
  /* An initialiser's own shape is better than what is said about it, but an input keeps what its user must know. */
  if (type.kind) s->g->values[v].type = type;
  return LEDGE_OK;
}

static ledge_status declare_inputs(onnx_in *in, onnx_scope *s, reader r, size_t count) {
  wire w = wire_open(r, "GraphProto", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != 11) continue;
    onnx_value_info info;
    value_id v;
    TRY(onnx_parse_value_info(w.bytes, &in->steps_left, &info, in->error));
    if (!info.name.size)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, w.at,
                          "a graph input at byte %llu has no name: the file is damaged", (unsigned long long)w.at);
    if ((size_t)s->g->n_inputs == count) return onnx_changed(in);
    TRY(add_value(in, s, info.name, "graph input", &v));
    s->g->inputs[s->g->n_inputs++] = v;
    TRY(onnx_keep_extra(in, s, w.bytes, ONNX_EXTRA_VALUE, &s->g->values[v].extra));
    if (!info.has_type) continue;
    ledge_status status = set_type(in, s, v, &info);
    if (status) return onnx_prefix(in, status, "graph input '%.*s'", ONNX_SHOW(info.name));
  }
  return wire_close(&w, in->error);
}

/* A constant of its own, or the default of the input of that name. */
static ledge_status declare_initialiser(onnx_in *in, onnx_scope *s, reader name, const tensor *t, reader whole) {
  value_id v;
  int32_t there;
  tensor *kept = NULL;
  graph *g = s->g;
  if (!name.size)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, reader_offset(&name),
                        "an initialiser has no name: the file is damaged");
  TRY(onnx_alloc(in, 1, sizeof *kept, "an initialiser", &kept));
  *kept = *t;
  bool is_input = hash_get(&s->names, (const char *)name.data, name.size, &there) && !g->values[there].constant;
  v = is_input ? there : VALUE_ABSENT;
  if (!is_input) TRY(add_value(in, s, name, "initialiser", &v));
  g->values[v].constant = kept;
  TRY(onnx_keep_extra(in, s, whole, ONNX_EXTRA_TENSOR, &g->values[v].constant_extra));
  if (is_input && g->values[v].type.kind) return LEDGE_OK;
  g->values[v].type = (graph_type){.kind = TYPE_TENSOR, .dtype = t->dtype, .rank = t->rank, .dims = kept->dims};
  return LEDGE_OK;
}

static ledge_status declare_initialisers(onnx_in *in, onnx_scope *s, reader r) {
  wire w = wire_open(r, "GraphProto", &in->steps_left);
  while (wire_next(&w)) {
    tensor t = {0};
    onnx_tensor dense;
    onnx_sparse sparse;
    if (w.field == 5) {
      TRY(onnx_tensor_parse(w.bytes, &in->steps_left, &dense, in->error));
      in->any_address = true;
      ledge_status status = onnx_load_tensor(in, &dense, &t);
      in->any_address = false;
      TRY(status);
      TRY(declare_initialiser(in, s, dense.name, &t, dense.whole));
    } else if (w.field == 15) {
      TRY(onnx_sparse_parse(w.bytes, &in->steps_left, &sparse, in->error));
      TRY(onnx_load_sparse(in, &sparse, &t));
      TRY(declare_initialiser(in, s, sparse.values.name, &t, sparse.values.whole));
    }
  }
  return wire_close(&w, in->error);
}

static ledge_status declare_nodes(onnx_in *in, onnx_scope *s, reader r) {
  wire w = wire_open(r, "GraphProto", &in->steps_left);
  while (wire_next(&w))
    if (w.field == 1) TRY(onnx_declare_outputs(in, s, w.bytes, NULL, NULL, NULL));
  return wire_close(&w, in->error);
}

/* Types of node outputs; what is said about inputs was read with them, and initialisers have their own. */
static ledge_status read_types(onnx_in *in, onnx_scope *s, reader r) {
  wire w = wire_open(r, "GraphProto", &in->steps_left);
  while (wire_next(&w)) {
    onnx_value_info info;
    int32_t v;
    if (w.field != 12 && w.field != 13) continue;
    TRY(onnx_parse_value_info(w.bytes, &in->steps_left, &info, in->error));
    if (!info.name.size || !hash_get(&s->names, (const char *)info.name.data, info.name.size, &v)) continue;
    if (!s->g->values[v].extra.size) TRY(onnx_keep_extra(in, s, w.bytes, ONNX_EXTRA_VALUE, &s->g->values[v].extra));
    if (!info.has_type || s->g->values[v].type.kind) continue;
    ledge_status status = set_type(in, s, v, &info);
    if (status) return onnx_prefix(in, status, "value '%.*s'", ONNX_SHOW(info.name));
  }
  return wire_close(&w, in->error);
}

static ledge_status read_nodes(onnx_in *in, onnx_scope *s, reader r) {
  wire w = wire_open(r, "GraphProto", &in->steps_left);
  while (wire_next(&w))
    if (w.field == 1) TRY(onnx_read_node(in, s, w.bytes));
  return wire_close(&w, in->error);
}

static ledge_status read_outputs(onnx_in *in, onnx_scope *s, reader r, size_t count) {
  wire w = wire_open(r, "GraphProto", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != 12) continue;
    onnx_value_info info;
    value_id v = VALUE_ABSENT;
    bool found = false;
    TRY(onnx_parse_value_info(w.bytes, &in->steps_left, &info, in->error));
    if (info.name.size) TRY(onnx_scope_find(in, s, info.name, &v, &found));
    if (!found || v == VALUE_ABSENT)
      return error_set_at(
          in->error, LEDGE_ERROR_FORMAT, w.at,
          "graph output '%.*s' at byte %llu is made by nothing: the file is damaged, or was cut from a larger "
          "model",
          ONNX_SHOW(info.name), (unsigned long long)w.at);
    if ((size_t)s->g->n_outputs == count) return onnx_changed(in);
    s->g->outputs[s->g->n_outputs++] = v;
  }
  return wire_close(&w, in->error);
}

static ledge_status fill_graph(onnx_in *in, onnx_scope *s, reader r, const graph_counts *n) {
  graph *g = s->g;
  size_t values = n->inputs + n->initialisers + n->node_outputs;
  TRY(onnx_alloc(in, n->inputs, sizeof *g->inputs, "a graph", &g->inputs));
  TRY(onnx_alloc(in, n->outputs, sizeof *g->outputs, "a graph", &g->outputs));
  TRY(onnx_alloc(in, values, sizeof *g->values, "a graph's values", &g->values));
  TRY(onnx_alloc(in, n->nodes, sizeof *g->nodes, "a graph's nodes", &g->nodes));
  g->cap_values = (int)values;
  g->cap_nodes = (int)n->nodes;
  TRY(onnx_scope_reserve(in, s, values));
  TRY(declare_inputs(in, s, r, n->inputs));
  TRY(declare_initialisers(in, s, r));
  TRY(declare_nodes(in, s, r));
  TRY(read_types(in, s, r));
  TRY(read_nodes(in, s, r));
  TRY(read_outputs(in, s, r, n->outputs));
  return graph_sort(g, in->error);
}

ledge_status onnx_read_graph(onnx_in *in, onnx_scope *parent, onnx_names *outer, const onnx_call *call, reader r,
                             graph **ret) {
  if (in->depth == ONNX_MAX_DEPTH)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, reader_offset(&r),
                        "a graph at byte %llu is nested deeper than %d, ledge's limit",
                        (unsigned long long)reader_offset(&r), ONNX_MAX_DEPTH);
  graph_counts n = {0};
  const char *name;
  TRY(count_graph(in, r, &n));
  TRY(onnx_name(in, n.name, "a graph's name", &name));
  graph *g = graph_create(in->m, outer ? outer->g : NULL, name);
  if (!g) return error_memory(in->error, sizeof *g, "a graph");
  onnx_names names = {.g = g, .outer = outer};
  onnx_scope s = {.parent = parent, .g = g, .all = &names, .call = call};
  in->depth++;
  ledge_status status = fill_graph(in, &s, r, &n);
  in->depth--;
  if (!status) status = onnx_keep_extra(in, &s, r, ONNX_EXTRA_GRAPH, &g->extra);
  onnx_scope_deinit(&s);
  onnx_names_deinit(&names);
  if (status) return onnx_prefix(in, status, "graph '%.100s'", name);
  *ret = g;
  return LEDGE_OK;
}

/* ---- models ---- */

ledge_status onnx_read_opsets(onnx_in *in, reader r, uint32_t field, const char *message, opset_import **ret,
                              int *ret_n) {
  int count = 0, n = 0;
  wire w = wire_open(r, message, &in->steps_left);
  while (wire_next(&w)) count += w.field == field;
  TRY(wire_close(&w, in->error));
  if (count > ONNX_MAX_OPSETS)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, reader_offset(&r),
                        "%s imports %d operator sets, over the limit of %d", message, count, ONNX_MAX_OPSETS);
  opset_import *list;
  TRY(onnx_alloc(in, (size_t)count, sizeof *list, "opset imports", &list));
  w = wire_open(r, message, &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != field) continue;
    reader entry, domain = {0};
    int64_t version = 0;
    TRY(wire_bytes(&w, "opset_import", &entry, in->error));
    wire e = wire_open(entry, "OperatorSetIdProto", &in->steps_left);
    while (wire_next(&e)) {
      if (e.field == 1) TRY(wire_bytes(&e, "domain", &domain, in->error));
      if (e.field == 2) TRY(wire_int(&e, "version", &version, in->error));
    }
    TRY(wire_close(&e, in->error));
    if (version < 1 || version > INT32_MAX)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, w.at,
                          "opset import of domain '%.*s' has version %lld, which is none", ONNX_SHOW(domain),
                          (long long)version);
    if (onnx_equal(domain, "ai.onnx")) domain.size = 0;
    int at = 0;
    while (at < n && !onnx_equal(domain, list[at].domain)) at++;
    if (n == count) return onnx_changed(in);
    if (at == n) {
      TRY(onnx_name(in, domain, "a domain", &list[n].domain));
      list[n++].version = (int)version;
    } else if (version > list[at].version) {
      list[at].version = (int)version; /* of two, the newer binds */
    }
  }
  *ret = list;
  *ret_n = n;
  return wire_close(&w, in->error);
}

typedef struct model_fields {
  reader producer_name, producer_version, domain, doc, graph;
  bool has_graph;
  int n_functions, n_metadata;
} model_fields;

static ledge_status parse_model(onnx_in *in, reader r, model_fields *f) {
  reader ignored;
  model *m = in->m;
  ledge_error *error = in->error;
  wire w = wire_open(r, "ModelProto", &in->steps_left);
  while (wire_next(&w)) {
    switch (w.field) {
      case 1: TRY(wire_int(&w, "ir_version", &m->ir_version, error)); break;
      case 2: TRY(wire_bytes(&w, "producer_name", &f->producer_name, error)); break;
      case 3: TRY(wire_bytes(&w, "producer_version", &f->producer_version, error)); break;
      case 4: TRY(wire_bytes(&w, "domain", &f->domain, error)); break;
      case 5: TRY(wire_int(&w, "model_version", &m->model_version, error)); break;
      case 6: TRY(wire_bytes(&w, "doc_string", &f->doc, error)); break;
      case 7: TRY(wire_once(&w, "graph", &f->has_graph, &f->graph, error)); break;
      case 14:
        f->n_metadata++;
        TRY(wire_bytes(&w, "metadata_props", &ignored, error));
        break;
      case 25:
        f->n_functions++;
        TRY(wire_bytes(&w, "functions", &ignored, error));
        break;
      default: break;
    }
  }
  return wire_close(&w, error);
}

static ledge_status check_model(onnx_in *in, const model_fields *f) {
  int64_t ir = in->m->ir_version;
  if (!f->has_graph)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, 0,
                        "there is no graph in it: the file is damaged, or is no ONNX model");
  if (ir < 1)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, 0,
                        "it does not say its IR version: the file is damaged, or is no ONNX model");
  if (ir > ONNX_NEWEST_IR)
    return error_set_at(
        in->error, LEDGE_ERROR_UNSUPPORTED, 0,
        "it is of ONNX IR version %lld; this ledge knows versions 1 to %d: export it for an older one, or update "
        "ledge",
        (long long)ir, ONNX_NEWEST_IR);
  return LEDGE_OK;
}

static ledge_status read_model(onnx_in *in, reader r) {
  model *m = in->m;
  model_fields f = {0};
  TRY(parse_model(in, r, &f));
  TRY(check_model(in, &f));
  TRY(onnx_text(in, f.producer_name, "producer_name", &m->producer_name));
  TRY(onnx_text(in, f.producer_version, "producer_version", &m->producer_version));
  TRY(onnx_text(in, f.domain, "the model's domain", &m->domain));
  TRY(onnx_text(in, f.doc, "doc_string", &m->doc));
  TRY(onnx_read_opsets(in, r, 8, "ModelProto", &m->opsets, &m->n_opsets));
  TRY(read_properties(in, r, "ModelProto", 14, f.n_metadata, &m->metadata));
  m->n_metadata = f.n_metadata;
  if (!in->options.keep_calls) TRY(onnx_read_functions(in, r, f.n_functions));
  m->calls_inlined = f.n_functions && !in->options.keep_calls;
  TRY(onnx_keep_extra(in, NULL, r, in->options.keep_calls ? ONNX_EXTRA_CALLS : ONNX_EXTRA_MODEL, &m->extra));
  TRY(onnx_read_graph(in, NULL, NULL, NULL, f.graph, &m->graph));
  if (!model_opset(m, "") && m->ir_version < 3) { /* imports came with IR version 3; before there was one opset */
    opset_import *list;
    TRY(onnx_alloc(in, (size_t)m->n_opsets + 1, sizeof *list, "opset imports", &list));
    if (m->n_opsets) memcpy(list, m->opsets, (size_t)m->n_opsets * sizeof *list);
    list[m->n_opsets++] = (opset_import){"", 1};
    m->opsets = list;
  }
  return graph_verify(m->graph, in->error);
}

static size_t default_limit(size_t size) {
  size_t limit;
  if (!mem_mul(size, LIMIT_PER_BYTE, &limit) || !mem_add(limit, LIMIT_BASE, &limit)) return SIZE_MAX;
  return limit;
}

static ledge_status import(onnx_in *in, reader r, storage *owner, const char *source) {
  in->m = model_create();
  if (!in->m) return error_memory(in->error, sizeof *in->m, "a model");
  const char *kept = arena_strdup(&in->m->arena, source);
  if (!kept) return error_memory(in->error, strlen(source), "a model's path");
  in->m->source = kept;
  TRY(model_keep(in->m, owner, in->error));
  return read_model(in, r);
}

ledge_status onnx_read(const void *bytes, size_t size, storage *owner, const char *source, const onnx_options *options,
                       model **ret, ledge_error *error) {
  onnx_in in = {.owner = owner, .file_bytes = size, .error = error};
  if (options) in.options = *options;
  in.limit_bytes = in.options.limit_bytes ? in.options.limit_bytes : default_limit(size);
  in.steps_left = STEPS_BASE + (uint64_t)size * STEPS_PER_BYTE;
  arena_init(&in.scratch);
  ledge_status status;
  if (size > INT32_MAX)
    status = error_set(error, LEDGE_ERROR_LIMIT,
                       "it has %zu bytes; an ONNX file has at most 2 GiB, with its weights in external data", size);
  else
    status = import(&in, reader_make(bytes, size, 0), owner, source);
  onnx_external_close(&in);
  hash_deinit(&in.function_names);
  arena_deinit(&in.scratch);
  mem_free(in.ids);
  if (status) {
    model_destroy(in.m);
    return error_prefix(error, status, "%s", source);
  }
  *ret = in.m;
  return LEDGE_OK;
}

ledge_status onnx_read_map(file_map *m, const onnx_options *options, model **ret, ledge_error *error) {
  storage *s = storage_from_map(m);
  if (!s) return error_memory(error, sizeof *s, "a model's file");
  model *read = NULL;
  ledge_status status = onnx_read(file_map_data(m), file_map_size(m), s, file_map_path(m), options, &read, error);
  storage_unref(s);
  for (int i = 0; !status && i < read->n_keep; i++) status = storage_check(read->keep[i], error);
  if (status)
    model_destroy(read);
  else
    *ret = read;
  return status;
}

ledge_status onnx_read_file(const char *path, const onnx_options *options, model **ret, ledge_error *error) {
  onnx_options own = options ? *options : (onnx_options){0};
  char *folder = NULL;
  file_map *m;
  TRY(file_map_open(path, &m, error));
  if (!own.folder) {
    const char *slash = strrchr(path, '/');
    folder = mem_strndup(path, slash == path ? 1 : slash ? (size_t)(slash - path) : 0);
    own.folder = folder;
  }
  ledge_status status = own.folder ? onnx_read_map(m, &own, ret, error) : error_memory(error, strlen(path), "a path");
  mem_free(folder);
  file_map_unref(m);
  return status;
}
