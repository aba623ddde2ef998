/* passes/shapes: shape arithmetic that the declared shapes of the inputs decide becomes constants, in models that are
 * written for others: ledge itself computes it while planning, for whatever shapes come.
 *
 * ops_propagate gives open dims numbers of its own, so what it computes is only taken where no open dim has a part in
 * it. By value, what depends on open dims:
 *
 *   CLOSED    nothing
 *   CONTENTS  the elements: the Shape of what has open dims
 *   DIMS      the dims too, but not their number: an input with open dims, and most of what is made of it
 *   ALL       the number of dims too: a Squeeze that takes out whatever is 1
 *
 * Inputs of subgraphs declare nothing that must hold, so that only the main graph is looked at. */
#include "passes/pass.h"

typedef enum openness { CLOSED, CONTENTS, DIMS, ALL } openness;

/* Operators whose output's dims do not depend on their inputs' elements. */
static const char *const keeps_dims[] = {"Abs",      "Add",   "Cast",        "CastLike", "Ceil",    "Concat",
                                         "Div",      "Equal", "Floor",       "Gather",   "Greater", "GreaterOrEqual",
                                         "Identity", "Less",  "LessOrEqual", "Max",      "Min",     "Mod",
                                         "Mul",      "Neg",   "Not",         "Sqrt",     "Sub",     "Where",
                                         NULL};

static bool listed(const char *const *list, const char *name) {
  for (; *list; list++)
    if (!strcmp(*list, name)) return true;
  return false;
}

/* How open a node's outputs are, whose inputs are `most` open. */
static openness outputs_openness(const node *n, openness most) {
  int a = 0, i = 0;
  if (n->domain[0] || !n->def || node_next_subgraph(n, &a, &i)) return ALL;
  if (n->def->flags & (OP_NONDETERMINISTIC | OP_EFFECT | OP_HOST_CALL)) return ALL;
  bool shape = !strcmp(n->op, "Shape");
  if (shape || !strcmp(n->op, "Size")) return most < DIMS ? CLOSED : most == ALL && shape ? ALL : CONTENTS;
  if (most == CLOSED || most == ALL) return most;
  if (!strcmp(n->op, "Squeeze") && node_in(n, 1) == VALUE_ABSENT && !node_attr(n, "axes")) /* takes out what is 1 */
    return most == CONTENTS ? CONTENTS : ALL;
  if (most == CONTENTS && listed(keeps_dims, n->op)) return CONTENTS;
  return DIMS;
}

/* Inputs that say which axes there are to be: where these are open, so is the number of dims. */
static bool axes_open(const node *n, const uint8_t *open) {
  if (strcmp(n->op, "Squeeze") && strcmp(n->op, "Unsqueeze") && strncmp(n->op, "Reduce", 6)) return false;
  return n->n_in > 1 && n->in[1] != VALUE_ABSENT && open[n->in[1]] != CLOSED;
}

static void find_open(const pass_run *p, uint8_t *open) {
  const graph *g = p->g;
  for (int i = 0; i < g->n_inputs; i++) {
    const graph_type *t = &g->values[g->inputs[i]].type;
    bool fixed = t->kind == TYPE_TENSOR && t->rank >= 0;
    open[g->inputs[i]] = fixed ? CLOSED : ALL; /* elements are not known: nothing is told from them */
    for (int k = 0; fixed && k < t->rank; k++)
      if (t->dims[k] < 0) open[g->inputs[i]] = DIMS;
    if (pass_constant(p, g->inputs[i])) open[g->inputs[i]] = CLOSED;
  }
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    openness most = CLOSED;
    for (int k = 0; k < n->n_in; k++)
      if (n->in[k] != VALUE_ABSENT && open[n->in[k]] > most) most = open[n->in[k]];
    most = axes_open(n, open) ? ALL : outputs_openness(n, most);
    for (int k = 0; k < n->n_out; k++)
      if (n->out[k] != VALUE_ABSENT) open[n->out[k]] = (uint8_t)most;
  }
}

static bool known(pass_run *p, const node *n, const uint8_t *open) {
  if (n->n_out < 1) return false;
  for (int i = 0; i < n->n_out; i++) {
    if (n->out[i] == VALUE_ABSENT) continue;
    const tensor *t = open[n->out[i]] == CLOSED ? pass_shape(p, n->out[i]) : NULL;
    if (!t || (!t->data && tensor_elements(t)) || t->dtype == LEDGE_STRING) return false;
  }
  return !node_is(n, "", "DequantizeLinear");
}

static ledge_status fold_shape(pass_run *p, node *n) {
  for (int i = 0; i < n->n_out; i++) {
    if (n->out[i] == VALUE_ABSENT) continue;
    const tensor *from = pass_shape(p, n->out[i]);
    graph_value *v = &p->g->values[n->out[i]];
    size_t bytes = tensor_bytes(from);
    tensor *t = arena_alloc(&p->g->model->arena, sizeof *t);
    void *data = arena_alloc(&p->g->model->arena, bytes);
    if (!t || !data) return error_memory(p->error, bytes, "a constant");
    tensor_set_shape(t, from->dtype, from->rank, from->dims);
    if (bytes) memcpy(data, from->data, bytes);
    t->data = data;
    v->constant = t;
    v->producer = -1;
  }
  pass_kill(p, n);
  return LEDGE_OK;
}

/* x as a scalar: a constant, or a Reshape to no dims. */
static ledge_status make_scalar(pass_run *p, value_id x, int version, value_id *ret) {
  static const int64_t none[1] = {0};
  graph *g = p->g;
  const tensor *t = pass_constant(p, x);
  if (t) {
    *ret = graph_add_constant_copy(g, NULL, t->dtype, 0, NULL, t->data);
    return *ret == VALUE_ABSENT ? error_memory(p->error, sizeof(graph_value), "a constant") : LEDGE_OK;
  }
  value_id shape = graph_add_constant_copy(g, NULL, LEDGE_I64, 1, none, none), y = graph_add_value(g, NULL);
  node *n = shape == VALUE_ABSENT || y == VALUE_ABSENT
                ? NULL
                : graph_add_node(g, "", "Reshape", version, "", (value_id[]){x, shape}, 2, &y, 1);
  if (!n) return error_memory(p->error, sizeof *n, "a node");
  n->def = ops_find("", "Reshape", version);
  p->changed = true;
  *ret = y;
  return LEDGE_OK;
}

/* Range takes scalars. One element of rank 1 runs too, where shape inference does not see it: behind an If, or as the
 * result of operators that are constants now. There it would be refused. */
static ledge_status make_scalars(pass_run *p, int range) {
  for (int i = 0; i < p->g->nodes[range].n_in; i++) {
    value_id x = p->g->nodes[range].in[i];
    const tensor *constant = pass_constant(p, x), *t = constant ? constant : pass_shape(p, x);
    if (!t || t->rank == 0 || tensor_elements(t) != 1) continue;
    TRY(make_scalar(p, x, p->g->nodes[range].version, &x));
    p->g->nodes[range].in[i] = x;
  }
  return LEDGE_OK;
}

ledge_status pass_shapes(pass_run *p) {
  if (!p->options->standard_only || p->g->parent) return LEDGE_OK;
  uint8_t *open = mem_alloc_array((size_t)p->g->n_values, 1);
  if (!open) return error_memory(p->error, (size_t)p->g->n_values, "a pass");
  find_open(p, open);
  ledge_status status = LEDGE_OK;
  for (int i = 0; !status && i < p->g->n_nodes; i++)
    if (known(p, &p->g->nodes[i], open)) status = fold_shape(p, &p->g->nodes[i]);
  mem_free(open);
  for (int i = 0; !status && i < p->n_dead; i++)
    if (!p->dead[i] && node_is(&p->g->nodes[i], "", "Range")) status = make_scalars(p, i);
  return status;
}
