/* graph/graph: building models and graphs; see graph.h. Arrays grow by doubling inside the model's arena: the old copy
 * stays behind until the model goes, which at most doubles what the final array takes. */
#include "graph/graph.h"

#include "base/error.h"

#include <stdio.h>

model *model_create(void) {
  model *m = mem_zalloc(sizeof *m);
  if (!m) return NULL;
  arena_init(&m->arena);
  atomic_init(&m->refs, 1);
  m->producer_name = m->producer_version = m->domain = m->doc = "";
  m->source = "memory";
  return m;
}

model *model_ref(model *m) {
  atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
  return m;
}

void model_destroy(model *m) {
  if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
  model_destroy(m->origin);
  for (int i = 0; i < m->n_keep; i++) storage_unref(m->keep[i]);
  mem_free(m->keep);
  arena_deinit(&m->arena);
  mem_free(m);
}

ledge_status model_keep(model *m, storage *s, ledge_error *error) {
  if (!s) return LEDGE_OK;
  if (m->n_keep && m->keep[m->n_keep - 1] == s) return LEDGE_OK;
  if (m->n_keep == m->cap_keep) {
    int cap = m->cap_keep ? m->cap_keep * 2 : 8;
    storage **keep = mem_realloc(m->keep, (size_t)cap * sizeof *keep);
    if (!keep) return error_memory(error, (size_t)cap * sizeof *keep, "the list of a model's storages");
    m->keep = keep;
    m->cap_keep = cap;
  }
  m->keep[m->n_keep++] = storage_ref(s);
  return LEDGE_OK;
}

static bool domain_equal(const char *a, const char *b) {
  if (!strcmp(a, "ai.onnx")) a = "";
  if (!strcmp(b, "ai.onnx")) b = "";
  return !strcmp(a, b);
}

int model_opset(const model *m, const char *domain) {
  for (int i = 0; i < m->n_opsets; i++)
    if (domain_equal(m->opsets[i].domain, domain)) return m->opsets[i].version;
  return 0;
}

const char *model_metadata(const model *m, const char *key) {
  for (int i = 0; i < m->n_metadata; i++)
    if (!strcmp(m->metadata[i].key, key)) return m->metadata[i].value;
  return NULL;
}

graph *graph_create(model *m, graph *parent, const char *name) {
  graph *g = arena_alloc(&m->arena, sizeof *g);
  if (!g) return NULL;
  g->model = m;
  g->parent = parent;
  g->name = name ? arena_strdup(&m->arena, name) : "";
  return g->name ? g : NULL;
}

/* Room for one more element in an array of the model's arena. */
static void *grow(model *m, void *old, int count, int *cap, size_t each) {
  if (count < *cap) return old;
  int bigger = *cap ? *cap * 2 : 16;
  void *array = arena_alloc_array(&m->arena, (size_t)bigger, each);
  if (!array) return NULL;
  if (count) memcpy(array, old, (size_t)count * each);
  *cap = bigger;
  return array;
}

/* A file may have names of the form of fresh ones: these go on behind them. */
static void note_name(graph *g, const char *name) {
  int number = 0;
  if (strncmp(name, "ledge.", 6)) return;
  for (const char *p = name + 6; *p; p++) {
    if (*p < '0' || *p > '9' || number >= INT32_MAX / 10 - 1) return;
    number = number * 10 + (*p - '0');
  }
  if (number >= g->next_fresh) g->next_fresh = number + 1;
}

value_id graph_add_value(graph *g, const char *name) {
  graph_value *values = grow(g->model, g->values, g->n_values, &g->cap_values, sizeof *values);
  if (!values) return VALUE_ABSENT;
  g->values = values;
  char fresh[32];
  if (name) {
    note_name(g, name);
  } else {
    snprintf(fresh, sizeof fresh, "ledge.%d", g->next_fresh++);
    name = fresh;
  }
  const char *copy = arena_strdup(&g->model->arena, name);
  if (!copy) return VALUE_ABSENT;
  g->values[g->n_values] = (graph_value){.name = copy, .type = {.rank = -1}, .producer = -1};
  return g->n_values++;
}

value_id graph_add_constant(graph *g, const char *name, const tensor *t) {
  tensor *copy = arena_alloc(&g->model->arena, sizeof *copy);
  if (!copy) return VALUE_ABSENT;
  *copy = *t;
  copy->own = NULL; /* the model keeps the storage */
  value_id v = graph_add_value(g, name);
  if (v == VALUE_ABSENT) return v;
  g->values[v].constant = copy;
  g->values[v].type = (graph_type){.kind = TYPE_TENSOR, .dtype = t->dtype, .rank = t->rank, .dims = copy->dims};
  return v;
}

value_id graph_add_constant_copy(graph *g, const char *name, ledge_dtype dtype, int rank, const int64_t *dims,
                                 const void *data) {
  tensor t = {.dtype = dtype, .rank = rank};
  if (rank) memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
  size_t bytes = tensor_bytes(&t);
  if (bytes == SIZE_MAX) return VALUE_ABSENT;
  t.data = arena_alloc_aligned(&g->model->arena, bytes, 64);
  if (!t.data) return VALUE_ABSENT;
  if (bytes) memcpy(t.data, data, bytes);
  return graph_add_constant(g, name, &t);
}

value_id graph_find_value(const graph *g, const char *name) {
  for (int i = 0; i < g->n_values; i++)
    if (!strcmp(g->values[i].name, name)) return i;
  return VALUE_ABSENT;
}

node *graph_add_node(graph *g, const char *domain, const char *op, int version, const char *name, const value_id *in,
                     int n_in, const value_id *out, int n_out) {
  arena *a = &g->model->arena;
  node *nodes = grow(g->model, g->nodes, g->n_nodes, &g->cap_nodes, sizeof *nodes);
  if (!nodes) return NULL;
  g->nodes = nodes;
  node n = {.name = arena_strdup(a, name ? name : ""),
            .domain = arena_strdup(a, domain_equal(domain, "") ? "" : domain),
            .op = arena_strdup(a, op),
            .overload = "",
            .version = version,
            .n_in = n_in,
            .n_out = n_out,
            .in = arena_alloc_array(a, (size_t)n_in, sizeof *in),
            .out = arena_alloc_array(a, (size_t)n_out, sizeof *out),
            .offset = UINT64_MAX};
  if (!n.name || !n.domain || !n.op || !n.in || !n.out) return NULL;
  if (n_in) memcpy(n.in, in, (size_t)n_in * sizeof *in);
  if (n_out) memcpy(n.out, out, (size_t)n_out * sizeof *out);
  for (int i = 0; i < n_out; i++)
    if (out[i] != VALUE_ABSENT) g->values[out[i]].producer = g->n_nodes;
  g->nodes[g->n_nodes] = n;
  return &g->nodes[g->n_nodes++];
}

ledge_status node_set_attr(graph *g, node *n, const attr *a) {
  for (int i = 0; i < n->n_attrs; i++) {
    if (strcmp(n->attrs[i].name, a->name)) continue;
    const char *name = n->attrs[i].name;
    n->attrs[i] = *a;
    n->attrs[i].name = name;
    return LEDGE_OK;
  }
  attr *attrs = arena_alloc_array(&g->model->arena, (size_t)n->n_attrs + 1, sizeof *attrs);
  char *name = arena_strdup(&g->model->arena, a->name);
  if (!attrs || !name) return LEDGE_ERROR_MEMORY;
  if (n->n_attrs) memcpy(attrs, n->attrs, (size_t)n->n_attrs * sizeof *attrs);
  attrs[n->n_attrs] = *a;
  attrs[n->n_attrs].name = name;
  n->attrs = attrs;
  n->n_attrs++;
  return LEDGE_OK;
}

ledge_status node_set_int(graph *g, node *n, const char *name, int64_t v) {
  return node_set_attr(g, n, &(attr){.name = name, .type = ATTR_INT, .count = 1, .i = v});
}

ledge_status node_set_float(graph *g, node *n, const char *name, float v) {
  return node_set_attr(g, n, &(attr){.name = name, .type = ATTR_FLOAT, .count = 1, .f = v});
}

ledge_status node_set_string(graph *g, node *n, const char *name, const char *v) {
  size_t size = strlen(v);
  char *copy = arena_strndup(&g->model->arena, v, size);
  if (!copy) return LEDGE_ERROR_MEMORY;
  return node_set_attr(g, n, &(attr){.name = name, .type = ATTR_STRING, .count = 1, .s = {copy, size}});
}

ledge_status node_set_ints(graph *g, node *n, const char *name, const int64_t *v, int64_t count) {
  int64_t *copy = arena_alloc_array(&g->model->arena, (size_t)count, sizeof *copy);
  if (!copy) return LEDGE_ERROR_MEMORY;
  if (count) memcpy(copy, v, (size_t)count * sizeof *copy);
  return node_set_attr(g, n, &(attr){.name = name, .type = ATTR_INTS, .count = count, .ints = copy});
}

const attr *node_attr(const node *n, const char *name) {
  for (int i = 0; i < n->n_attrs; i++)
    if (!strcmp(n->attrs[i].name, name)) return &n->attrs[i];
  return NULL;
}

int64_t node_attr_int(const node *n, const char *name, int64_t otherwise) {
  const attr *a = node_attr(n, name);
  return a && a->type == ATTR_INT ? a->i : otherwise;
}

float node_attr_float(const node *n, const char *name, float otherwise) {
  const attr *a = node_attr(n, name);
  return a && a->type == ATTR_FLOAT ? a->f : otherwise;
}

graph *node_next_subgraph(const node *n, int *attr_index, int *graph_index) {
  for (; *attr_index < n->n_attrs; ++*attr_index, *graph_index = 0) {
    const attr *a = &n->attrs[*attr_index];
    if (a->type == ATTR_GRAPH && *graph_index == 0) return ++*graph_index, a->g;
    if (a->type == ATTR_GRAPHS && *graph_index < a->count) return a->graphs[(*graph_index)++];
  }
  return NULL;
}

bool node_is(const node *n, const char *domain, const char *op) {
  return !strcmp(n->op, op) && domain_equal(n->domain, domain);
}

value_id graph_capture(graph *g, value_id outer) {
  for (int i = 0; i < g->n_captures; i++)
    if (g->captures[i].outer == outer) return g->captures[i].inner;
  capture *captures = grow(g->model, g->captures, g->n_captures, &g->cap_captures, sizeof *captures);
  if (!captures) return VALUE_ABSENT;
  g->captures = captures;
  value_id inner = graph_add_value(g, g->parent->values[outer].name);
  if (inner == VALUE_ABSENT) return inner;
  g->values[inner].type = g->parent->values[outer].type;
  g->captures[g->n_captures++] = (capture){inner, outer};
  return inner;
}

const tensor *graph_constant(const graph *g, value_id v) {
  while (g) {
    if (g->values[v].producer >= 0) return NULL;
    value_id outer = VALUE_ABSENT;
    for (int i = 0; i < g->n_captures && outer == VALUE_ABSENT; i++)
      if (g->captures[i].inner == v) outer = g->captures[i].outer;
    if (outer == VALUE_ABSENT) {
      /* Since IR version 4 an initialiser that is also an input is a default, which the caller may override. */
      for (int i = 0; i < g->n_inputs && g->model->ir_version >= 4 && !g->model->defaults_fixed; i++)
        if (g->inputs[i] == v) return NULL;
      return g->values[v].constant;
    }
    v = outer;
    g = g->parent;
  }
  return NULL;
}

char *node_label(const graph *g, const node *n, char *text, size_t size) {
  if (n->name[0])
    snprintf(text, size, "%s (%s)", n->name, n->op);
  else
    snprintf(text, size, "node %d (%s)", (int)(n - g->nodes), n->op);
  return text;
}
