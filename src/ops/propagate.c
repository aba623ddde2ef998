/* ops/propagate: see propagate.h. */
#include "ops/propagate.h"

enum { PROPAGATE_ELEMENTS_MAX = 4096 }; /* contents are computed up to this size */

/* The open dims met so far: each distinct name has a number. */
enum { OPEN_DIMS_MAX = 64, OPEN_DIM_FIRST = 192, OPEN_DIM_STEP = 64 };
typedef struct open_dims {
  const char *names[OPEN_DIMS_MAX];
  int n;
} open_dims;

static int64_t open_dim(open_dims *o, const char *name) {
  int i = 0;
  while (i < o->n && !(name && o->names[i] && !strcmp(name, o->names[i]))) i++;
  if (i == o->n && o->n < OPEN_DIMS_MAX) o->names[o->n++] = name;
  return OPEN_DIM_FIRST + (int64_t)i * OPEN_DIM_STEP;
}

static void declared(const graph_type *t, open_dims *o, value *v) {
  if (t->kind != TYPE_TENSOR || t->rank < 0 || t->rank > LEDGE_MAX_RANK || t->dtype == LEDGE_DTYPE_NONE) return;
  v->kind = VALUE_TENSOR;
  v->tensor.dtype = t->dtype;
  v->tensor.rank = t->rank;
  for (int i = 0; i < t->rank; i++)
    v->tensor.dims[i] = t->dims[i] < 0 ? open_dim(o, t->dim_names ? t->dim_names[i] : NULL) : t->dims[i];
}

static void borrow(value *v, const tensor *t) {
  v->kind = VALUE_TENSOR;
  v->tensor = *t;
  v->tensor.own = NULL;
}

static bool foldable(const op_ctx *c, const value *vals) {
  const node *n = c->node;
  if (n->def->flags & (OP_NONDETERMINISTIC | OP_EFFECT | OP_HOST_CALL)) return false;
  for (int i = 0; i < n->n_out; i++)
    if (n->out[i] != VALUE_ABSENT && tensor_elements(&vals[n->out[i]].tensor) > PROPAGATE_ELEMENTS_MAX) return false;
  if (n->def->flags & OP_SHAPE_ONLY) return true;
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i] != VALUE_ABSENT && !op_known(c, i)) return false;
  return true;
}

static void forget(const node *n, value *vals) {
  for (int i = 0; i < n->n_out; i++)
    if (n->out[i] != VALUE_ABSENT) value_deinit(&vals[n->out[i]]);
}

static void propagate_node(const node *n, value *vals, const value **in, value **out) {
  for (int i = 0; i < n->n_in; i++) {
    in[i] = n->in[i] == VALUE_ABSENT ? NULL : &vals[n->in[i]];
    if (in[i] && in[i]->kind != VALUE_TENSOR) return;
  }
  for (int i = 0; i < n->n_out; i++) out[i] = n->out[i] == VALUE_ABSENT ? NULL : &vals[n->out[i]];
  op_ctx c = {.node = n, .def = n->def, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out, .inferring = true};
  if (!n->def || op_infer(&c)) {
    forget(n, vals);
    return;
  }
  if (!foldable(&c, vals)) return;
  /* Evaluated aside: a failure must leave the shapes as they are. */
  value results[8] = {0};
  value *aside[8];
  if (n->n_out > 8) return;
  for (int i = 0; i < n->n_out; i++) aside[i] = out[i] ? &results[i] : NULL;
  c.out = aside;
  if (op_eval(&c)) return;
  for (int i = 0; i < n->n_out; i++) {
    if (!out[i]) continue;
    value_deinit(out[i]);
    *out[i] = results[i];
  }
}

void ops_propagate_node(const node *n, value *vals) {
  const value **in = mem_alloc_array((size_t)n->n_in, sizeof *in);
  value **out = mem_alloc_array((size_t)n->n_out, sizeof *out);
  if (in && out) propagate_node(n, vals, in, out); /* without memory the shapes stay unknown */
  mem_free(in);
  mem_free(out);
}

ledge_status ops_propagate(const graph *g, const value *const *inputs, value *vals, ledge_error *error) {
  int most = 1;
  open_dims open = {.n = 0};
  for (int i = 0; i < g->n_nodes; i++) {
    if (g->nodes[i].n_in > most) most = g->nodes[i].n_in;
    if (g->nodes[i].n_out > most) most = g->nodes[i].n_out;
  }
  const value **in = mem_alloc_array((size_t)most, sizeof *in);
  value **out = mem_alloc_array((size_t)most, sizeof *out);
  if (!in || !out) {
    mem_free(in);
    mem_free(out);
    return error_memory(error, (size_t)most * sizeof *in, "shape inference");
  }
  for (int v = 0; v < g->n_values; v++)
    if (g->values[v].constant && g->values[v].producer < 0) borrow(&vals[v], g->values[v].constant);
  for (int i = 0; i < g->n_inputs; i++) {
    value *v = &vals[g->inputs[i]];
    if (inputs && inputs[i]) {
      v->kind = inputs[i]->kind;
      tensor_set_shape(&v->tensor, inputs[i]->tensor.dtype, inputs[i]->tensor.rank, inputs[i]->tensor.dims);
      v->tensor.data = NULL;
    } else if (v->kind == VALUE_NONE) {
      declared(&g->values[g->inputs[i]].type, &open, v);
    }
  }
  for (int i = 0; i < g->n_captures; i++) {
    const tensor *t = graph_constant(g, g->captures[i].inner);
    if (t) borrow(&vals[g->captures[i].inner], t);
  }
  for (int i = 0; i < g->n_nodes; i++) propagate_node(&g->nodes[i], vals, in, out);
  mem_free(in);
  mem_free(out);
  return LEDGE_OK;
}
