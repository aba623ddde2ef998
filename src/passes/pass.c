/* passes/pass: running the passes, and what they are made of; see pass.h. */
#include "passes/pass.h"

#include "ops/propagate.h"

#include <assert.h>
#include <math.h>

static const struct {
  const char *name;
  pass_fn run;
  bool standard;
} passes[] = {
#define PASS(name, standard) {#name, pass_##name, standard},
#include "passes/passes.def"
#undef PASS
};
enum { N_PASSES = sizeof passes / sizeof *passes, PASS_REPEATS_MAX = 16 };

const char *passes_name(int i) { return i >= 0 && i < N_PASSES ? passes[i].name : NULL; }

static bool in_list(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *at = list; at && *at;) {
    const char *end = strchr(at, ',');
    size_t size = end ? (size_t)(end - at) : strlen(at);
    if (size == n && !memcmp(at, name, n)) return true;
    at = end ? end + 1 : NULL;
  }
  return false;
}

static ledge_status run_graph(graph *g, int pass, pass_run *shared) {
  for (int i = 0; i < g->n_nodes; i++) {
    int a = 0, k = 0;
    for (graph *sub; (sub = node_next_subgraph(&g->nodes[i], &a, &k));) TRY(run_graph(sub, pass, shared));
  }
  for (int i = 0; i < PASS_REPEATS_MAX; i++) {
    pass_run p = *shared;
    p.g = g;
    p.changed = false;
    ledge_status status = pass_begin(&p);
    if (!status) status = passes[pass].run(&p);
    status = pass_end(&p, status);
    shared->folded_bytes = p.folded_bytes;
    if (status) return error_prefix(shared->error, status, "pass %s", passes[pass].name);
    if (!p.changed) break;
  }
  return LEDGE_OK;
}

ledge_status passes_run(model *m, const pass_options *options, ledge_error *error) {
  pass_run shared = {.options = options, .error = error};
  bool none = options->required_only || (options->disable && in_list(options->disable, "all"));
  for (int i = 0; i < N_PASSES; i++) {
    bool required = i == 0;
    if (options->standard_only ? !passes[i].standard : none && !required) continue;
    if (!required && options->disable && (none || in_list(options->disable, passes[i].name))) continue;
    TRY(run_graph(m->graph, i, &shared));
  }
  return LEDGE_OK;
}

/* ---- what passes are made of ---- */

ledge_status pass_begin(pass_run *p) {
  p->n_uses = p->g->n_values;
  p->uses = mem_alloc_array((size_t)p->g->n_values, sizeof *p->uses);
  p->dead = mem_alloc_array((size_t)p->g->n_nodes, sizeof *p->dead);
  p->n_dead = p->g->n_nodes;
  if (!p->uses || !p->dead) return error_memory(p->error, (size_t)p->g->n_values * sizeof *p->uses, "a pass");
  graph_count_uses(p->g, p->uses);
  return LEDGE_OK;
}

ledge_status pass_end(pass_run *p, ledge_status status) {
  bool *all = !status && p->changed ? mem_alloc_array((size_t)p->g->n_nodes, sizeof *all) : NULL;
  if (!status && p->changed) {
    if (all) {
      if (p->n_dead) memcpy(all, p->dead, (size_t)p->n_dead * sizeof *all);
      graph_remove_nodes(p->g, all);
      status = graph_sort(p->g, p->error);
      if (!status) status = graph_sweep(p->g, p->error);
    } else {
      status = error_memory(p->error, (size_t)p->g->n_nodes, "a pass");
    }
  }
  mem_free(all);
  for (int v = 0; v < p->n_shapes; v++) value_deinit(&p->shapes[v]);
  mem_free(p->shapes);
  p->shapes = NULL;
  p->n_shapes = 0;
  mem_free(p->uses);
  mem_free(p->dead);
  p->uses = NULL;
  p->dead = NULL;
  return status;
}

const tensor *pass_shape(pass_run *p, value_id v) {
  if (v < 0 || v >= p->n_uses) return NULL;
  if (!p->shapes) {
    p->shapes = mem_alloc_array((size_t)p->g->n_values, sizeof *p->shapes);
    if (!p->shapes || p->n_uses != p->g->n_values) return NULL; /* asked for too late: values were made since */
    p->n_shapes = p->g->n_values;
    if (ops_propagate(p->g, NULL, p->shapes, NULL)) return NULL;
  }
  return v < p->n_shapes && p->shapes[v].kind == VALUE_TENSOR ? &p->shapes[v].tensor : NULL;
}

node *pass_producer(pass_run *p, value_id v) {
  if (v == VALUE_ABSENT || p->g->values[v].producer < 0) return NULL;
  int i = p->g->values[v].producer;
  return i < p->n_dead && p->dead[i] ? NULL : &p->g->nodes[i];
}

bool pass_read_once(const pass_run *p, value_id v) { return v >= 0 && v < p->n_uses && p->uses[v] == 1; }

node *pass_only(pass_run *p, value_id v, const char *op) {
  node *n = pass_producer(p, v);
  return n && pass_read_once(p, v) && node_is(n, "", op) ? n : NULL;
}

void pass_kill(pass_run *p, const node *n) {
  assert(n - p->g->nodes < p->n_dead);
  p->dead[n - p->g->nodes] = true;
  p->changed = true;
}

const tensor *pass_constant(const pass_run *p, value_id v) {
  return v == VALUE_ABSENT ? NULL : graph_constant(p->g, v);
}

bool pass_scalar(const pass_run *p, value_id v, float *ret) {
  const tensor *t = pass_constant(p, v);
  if (!t || t->dtype != LEDGE_F32 || tensor_elements(t) != 1) return false;
  *ret = *(const float *)t->data;
  return true;
}

bool pass_scalar_near(const pass_run *p, value_id v, float want) {
  float f;
  return pass_scalar(p, v, &f) && fabsf(f - want) <= 1e-3f * fabsf(want);
}

const tensor *pass_channel_constant(const pass_run *p, value_id v, int rank, int axis, int64_t n) {
  const tensor *t = pass_constant(p, v);
  if (!t || t->dtype != LEDGE_F32 || t->rank > rank || tensor_elements(t) != n) return NULL;
  int at = t->rank - 1 - axis;
  if (n == 1) return t;
  return at >= 0 && t->dims[at] == n ? t : NULL;
}

ledge_status pass_become(pass_run *p, node *n, const char *domain, const char *op, int version, const value_id *in,
                         int n_in) {
  value_id *copy = arena_alloc_array(&p->g->model->arena, (size_t)n_in, sizeof *copy);
  if (!copy) return error_memory(p->error, (size_t)n_in * sizeof *copy, "a node");
  if (n_in) memcpy(copy, in, (size_t)n_in * sizeof *copy);
  n->domain = domain;
  n->op = op;
  n->version = version;
  n->in = copy;
  n->n_in = n_in;
  n->attrs = NULL;
  n->n_attrs = 0;
  n->def = ops_find(domain, op, version);
  p->changed = true;
  return n->def ? LEDGE_OK : error_set(p->error, LEDGE_ERROR_INTERNAL, "no operator %s.%s", domain, op);
}

ledge_status pass_copy_attrs(pass_run *p, node *n, const node *from) {
  for (int i = 0; i < from->n_attrs; i++)
    if (!node_attr(n, from->attrs[i].name)) TRY(node_set_attr(p->g, n, &from->attrs[i]));
  return LEDGE_OK;
}

value_id pass_new_constant(pass_run *p, ledge_dtype dtype, int rank, const int64_t *dims, void **ret_data) {
  tensor t = {.dtype = dtype, .rank = rank};
  if (rank) memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
  size_t bytes = tensor_bytes(&t);
  storage *s = bytes == SIZE_MAX ? NULL : storage_create(bytes);
  if (!s) return VALUE_ABSENT;
  memset(s->data, 0, bytes);
  t.data = s->data;
  *ret_data = s->data;
  value_id v = model_keep(p->g->model, s, p->error) ? VALUE_ABSENT : graph_add_constant(p->g, NULL, &t);
  storage_unref(s);
  return v;
}
