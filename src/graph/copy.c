/* graph/copy: deep copies of structure: cloning a model, inlining one graph into another; see graph.h.
 *
 * Values of the source map to values of the destination through `map`; constants share their tensor's elements, and the
 * destination's model keeps the same storages. Attribute contents are shared where both models are one, else copied.
 * Extra fields are shared: a clone keeps its origin. */
#include "base/error.h"
#include "graph/graph.h"

#include <stdio.h>

enum { MAP_OPEN = -2 }; /* in a map: not copied yet (VALUE_ABSENT: copied, and absent) */

static ledge_status copy_memory(ledge_error *error) { return error_memory(error, 0, "copying a graph"); }

static const char *copy_text(model *m, const char *text) { return arena_strdup(&m->arena, text ? text : ""); }

static bool copy_type(model *m, const graph_type *from, graph_type *to) {
  *to = *from;
  if (from->denotation && !(to->denotation = copy_text(m, from->denotation))) return false;
  if (from->rank > 0 && from->dims) {
    size_t n = (size_t)from->rank;
    int64_t *dims = arena_alloc_array(&m->arena, n, sizeof *dims);
    if (!dims) return false;
    memcpy(dims, from->dims, n * sizeof *dims);
    to->dims = dims;
    if (from->dim_names) {
      const char **names = arena_alloc_array(&m->arena, n, sizeof *names);
      if (!names) return false;
      for (size_t i = 0; i < n; i++)
        if (from->dim_names[i] && !(names[i] = copy_text(m, from->dim_names[i]))) return false;
      to->dim_names = names;
    }
    if (from->dim_denotations) {
      const char **names = arena_alloc_array(&m->arena, n, sizeof *names);
      if (!names) return false;
      for (size_t i = 0; i < n; i++)
        if (from->dim_denotations[i] && !(names[i] = copy_text(m, from->dim_denotations[i]))) return false;
      to->dim_denotations = names;
    }
  }
  if (from->elem) {
    graph_type *elem = arena_alloc(&m->arena, sizeof *elem);
    if (!elem || !copy_type(m, from->elem, elem)) return false;
    to->elem = elem;
  }
  return true;
}

static ledge_status copy_graph(graph *to, const graph *from, value_id *map, ledge_error *error);

/* A subgraph for a node of `parent`; `outer_map` maps values of the source's parent to those of `parent`. */
static graph *copy_subgraph(graph *parent, const graph *from, const value_id *outer_map, ledge_error *error) {
  graph *to = graph_create(parent->model, parent, from->name);
  value_id *map = mem_alloc_array((size_t)from->n_values, sizeof *map);
  bool ok = to && map;
  for (int i = 0; ok && i < from->n_values; i++) map[i] = MAP_OPEN;
  for (int i = 0; ok && i < from->n_captures; i++) {
    /* Not graph_capture: two captures of the source may fall on one value of the destination. */
    value_id outer = outer_map[from->captures[i].outer], inner = VALUE_ABSENT;
    if (outer != VALUE_ABSENT) {
      inner = graph_capture(to, outer);
      ok = inner != VALUE_ABSENT;
    }
    map[from->captures[i].inner] = inner;
  }
  if (ok) {
    to->inputs = arena_alloc_array(&to->model->arena, (size_t)from->n_inputs, sizeof *to->inputs);
    to->outputs = arena_alloc_array(&to->model->arena, (size_t)from->n_outputs, sizeof *to->outputs);
    ok = to->inputs && to->outputs && copy_graph(to, from, map, error) == LEDGE_OK;
  }
  if (ok) {
    for (int i = 0; i < from->n_inputs; i++) to->inputs[i] = map[from->inputs[i]];
    for (int i = 0; i < from->n_outputs; i++) to->outputs[i] = map[from->outputs[i]];
    to->n_inputs = from->n_inputs;
    to->n_outputs = from->n_outputs;
  }
  mem_free(map);
  return ok ? to : NULL;
}

static const void *copy_block(model *m, const void *block, size_t count, size_t each) {
  void *copy = arena_alloc_array(&m->arena, count, each);
  if (copy && count) memcpy(copy, block, count * each);
  return copy;
}

static bool copy_strings(model *m, const ledge_string *from, int64_t count, ledge_string *to) {
  for (int64_t i = 0; i < count; i++) {
    to[i] = (ledge_string){arena_strndup(&m->arena, from[i].data, from[i].size), from[i].size};
    if (!to[i].data) return false;
  }
  return true;
}

static bool copy_attr(graph *g, const attr *from, attr *to, const value_id *map, ledge_error *error) {
  model *m = g->model;
  size_t n = (size_t)from->count;
  *to = *from;
  to->name = copy_text(m, from->name);
  if (!to->name) return false;
  switch (from->type) {
    case ATTR_STRING: return copy_strings(m, &from->s, 1, &to->s);
    case ATTR_TENSOR: return (to->t = copy_block(m, from->t, 1, sizeof(tensor)));
    case ATTR_TENSORS: return (to->tensors = copy_block(m, from->tensors, n, sizeof(tensor)));
    case ATTR_FLOATS: return (to->floats = copy_block(m, from->floats, n, sizeof(float)));
    case ATTR_INTS: return (to->ints = copy_block(m, from->ints, n, sizeof(int64_t)));
    case ATTR_STRINGS: {
      ledge_string *strings = arena_alloc_array(&m->arena, n, sizeof *strings);
      to->strings = strings;
      return strings && copy_strings(m, from->strings, from->count, strings);
    }
    case ATTR_GRAPH: return (to->g = copy_subgraph(g, from->g, map, error));
    case ATTR_GRAPHS: {
      graph **graphs = arena_alloc_array(&m->arena, n, sizeof *graphs);
      to->graphs = graphs;
      for (size_t i = 0; graphs && i < n; i++)
        if (!(graphs[i] = copy_subgraph(g, from->graphs[i], map, error))) return false;
      return graphs;
    }
    case ATTR_TYPE:
    case ATTR_TYPES: {
      graph_type *types = arena_alloc_array(&m->arena, n, sizeof *types);
      to->types = types;
      for (size_t i = 0; types && i < n; i++)
        if (!copy_type(m, &from->types[i], &types[i])) return false;
      return types;
    }
    case ATTR_NONE:
    case ATTR_FLOAT:
    case ATTR_INT: return true;
  }
  return true;
}

static bool copy_node(graph *to, const node *from, const value_id *map, ledge_error *error) {
  model *m = to->model;
  value_id *in = mem_alloc_array((size_t)from->n_in, sizeof *in),
           *out = mem_alloc_array((size_t)from->n_out, sizeof *out);
  node *n = NULL;
  if (in && out) {
    for (int i = 0; i < from->n_in; i++) in[i] = from->in[i] == VALUE_ABSENT ? VALUE_ABSENT : map[from->in[i]];
    for (int i = 0; i < from->n_out; i++) out[i] = from->out[i] == VALUE_ABSENT ? VALUE_ABSENT : map[from->out[i]];
    n = graph_add_node(to, from->domain, from->op, from->version, from->name, in, from->n_in, out, from->n_out);
  }
  mem_free(in);
  mem_free(out);
  if (!n) return false;
  int at = to->n_nodes - 1;
  n->def = from->def;
  n->has_effect = from->has_effect;
  n->offset = from->offset;
  n->extra = from->extra;
  n->overload = copy_text(m, from->overload);
  attr *attrs = arena_alloc_array(&m->arena, (size_t)from->n_attrs, sizeof *attrs);
  property *metadata = arena_alloc_array(&m->arena, (size_t)from->n_metadata, sizeof *metadata);
  bool ok = attrs && metadata && n->overload;
  for (int i = 0; ok && i < from->n_attrs; i++) ok = copy_attr(to, &from->attrs[i], &attrs[i], map, error);
  for (int i = 0; ok && i < from->n_metadata; i++) {
    metadata[i] = (property){copy_text(m, from->metadata[i].key), copy_text(m, from->metadata[i].value)};
    ok = metadata[i].key && metadata[i].value;
  }
  n = &to->nodes[at];
  n->attrs = attrs;
  n->n_attrs = ok ? from->n_attrs : 0;
  n->metadata = metadata;
  n->n_metadata = ok ? from->n_metadata : 0;
  return ok;
}

/* Copies every value that `map` does not have yet, then every node. */
static ledge_status copy_graph(graph *to, const graph *from, value_id *map, ledge_error *error) {
  for (int v = 0; v < from->n_values; v++) {
    if (map[v] != MAP_OPEN) continue;
    const graph_value *src = &from->values[v];
    map[v] = src->constant ? graph_add_constant(to, src->name, src->constant) : graph_add_value(to, src->name);
    if (map[v] == VALUE_ABSENT || !copy_type(to->model, &src->type, &to->values[map[v]].type))
      return copy_memory(error);
    to->values[map[v]].extra = src->extra;
    to->values[map[v]].constant_extra = src->constant_extra;
  }
  to->extra = from->extra;
  for (int i = 0; i < from->n_nodes; i++)
    if (!copy_node(to, &from->nodes[i], map, error)) return copy_memory(error);
  return LEDGE_OK;
}

static bool clone_header(model *to, const model *from) {
  to->ir_version = from->ir_version;
  to->model_version = from->model_version;
  to->extra = from->extra;
  to->calls_inlined = from->calls_inlined;
  to->format = from->format;
  to->format_version = from->format_version;
  to->states = from->states;
  to->n_states = from->n_states;
  to->producer_name = copy_text(to, from->producer_name);
  to->producer_version = copy_text(to, from->producer_version);
  to->domain = copy_text(to, from->domain);
  to->doc = copy_text(to, from->doc);
  to->source = copy_text(to, from->source);
  to->opsets = arena_alloc_array(&to->arena, (size_t)from->n_opsets, sizeof *to->opsets);
  to->metadata = arena_alloc_array(&to->arena, (size_t)from->n_metadata, sizeof *to->metadata);
  if (!to->producer_name || !to->producer_version || !to->domain || !to->doc || !to->source || !to->opsets ||
      !to->metadata)
    return false;
  for (int i = 0; i < from->n_opsets; i++) {
    to->opsets[i] = (opset_import){copy_text(to, from->opsets[i].domain), from->opsets[i].version};
    if (!to->opsets[i].domain) return false;
  }
  to->n_opsets = from->n_opsets;
  for (int i = 0; i < from->n_metadata; i++) {
    to->metadata[i] = (property){copy_text(to, from->metadata[i].key), copy_text(to, from->metadata[i].value)};
    if (!to->metadata[i].key || !to->metadata[i].value) return false;
  }
  to->n_metadata = from->n_metadata;
  return true;
}

ledge_status model_clone(model *m, model **ret_clone, ledge_error *error) {
  model *clone = model_create();
  if (!clone) return error_memory(error, sizeof *clone, "a model");
  ledge_status status = LEDGE_OK;
  const graph *from = m->graph;
  value_id *map = mem_alloc_array((size_t)from->n_values, sizeof *map);
  if (!map || !clone_header(clone, m)) status = copy_memory(error);
  clone->origin = model_ref(m);
  if (!status) {
    for (int i = 0; i < from->n_values; i++) map[i] = MAP_OPEN;
    graph *g = clone->graph = graph_create(clone, NULL, from->name);
    if (g) {
      g->inputs = arena_alloc_array(&clone->arena, (size_t)from->n_inputs, sizeof *g->inputs);
      g->outputs = arena_alloc_array(&clone->arena, (size_t)from->n_outputs, sizeof *g->outputs);
    }
    status = g && g->inputs && g->outputs ? copy_graph(g, from, map, error) : copy_memory(error);
    for (int i = 0; !status && i < from->n_inputs; i++) g->inputs[g->n_inputs++] = map[from->inputs[i]];
    for (int i = 0; !status && i < from->n_outputs; i++) g->outputs[g->n_outputs++] = map[from->outputs[i]];
  }
  mem_free(map);
  if (status) {
    model_destroy(clone);
    return status;
  }
  *ret_clone = clone;
  return LEDGE_OK;
}

/* A name for the copy of value v of src: "prefix/name", told apart by a number where g has it already. */
static value_id inline_value(graph *g, const graph_value *from, const char *prefix) {
  char name[512];
  snprintf(name, sizeof name, "%.200s/%d/%.200s", prefix, g->n_values, from->name);
  return from->constant ? graph_add_constant(g, name, from->constant) : graph_add_value(g, name);
}

ledge_status graph_inline(graph *g, const graph *src, const value_id *args, const value_id *args_captures,
                          const char *prefix, value_id *outs, ledge_error *error) {
  value_id *map = mem_alloc_array((size_t)src->n_values, sizeof *map);
  if (!map) return copy_memory(error);
  ledge_status status = LEDGE_OK;
  for (int i = 0; i < src->n_values; i++) map[i] = MAP_OPEN;
  for (int i = 0; i < src->n_inputs; i++) map[src->inputs[i]] = args[i];
  for (int i = 0; i < src->n_captures; i++) map[src->captures[i].inner] = args_captures[i];
  for (int v = 0; !status && v < src->n_values; v++) {
    if (map[v] != MAP_OPEN) continue;
    map[v] = inline_value(g, &src->values[v], prefix);
    if (map[v] == VALUE_ABSENT || !copy_type(g->model, &src->values[v].type, &g->values[map[v]].type))
      status = copy_memory(error);
  }
  for (int i = 0; !status && i < src->n_nodes; i++)
    if (!copy_node(g, &src->nodes[i], map, error)) status = copy_memory(error);
  for (int i = 0; !status && i < src->n_outputs; i++) outs[i] = map[src->outputs[i]];
  mem_free(map);
  return status;
}
