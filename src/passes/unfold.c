/* passes/unfold: operators of com.microsoft that are a few standard ones in a row (FusedConv, FusedMatMul, FusedGemm,
 * FastGelu, BiasGelu, ...; ops/steps.h) become those, so that every pass and kernel that knows the standard ones serves
 * them too. What a body does is heard while it infers; it must not depend on the sizes of open dims, so that a body
 * that reshapes stays as it is; and so do QLinearAdd and QLinearConv, which have kernels for 8 bits. */
#include "ops/steps.h"
#include "passes/pass.h"

typedef struct step {
  const char *op;
  int version, n_in, n_out;
  const value *in[8], *out[4];
  attr *attrs;
  int n_attrs;
} step;

enum { UNFOLD_STEPS = 12, UNFOLD_CONSTANTS = 4, UNFOLD_INPUTS = 16, UNFOLD_OUTPUTS = 4 };

typedef struct record {
  pass_run *p;
  const node *n;
  step steps[UNFOLD_STEPS];
  const value *constants[UNFOLD_CONSTANTS];
  value_id constant_ids[UNFOLD_CONSTANTS];
  const value *outs[UNFOLD_OUTPUTS];
  int n_steps, n_constants;
  bool refused, no_memory;
} record;

static void refuse(void *arg) { ((record *)arg)->refused = true; }

/* A copy whose lists live as long as the model. */
static bool keep_attr(arena *a, const attr *from, attr *to) {
  *to = *from;
  to->name = arena_strndup(a, from->name, strlen(from->name));
  size_t bytes = from->type == ATTR_INTS     ? (size_t)from->count * sizeof *from->ints
                 : from->type == ATTR_FLOATS ? (size_t)from->count * sizeof *from->floats
                 : from->type == ATTR_STRING ? from->s.size
                                             : 0;
  if (!bytes) return to->name != NULL;
  void *copy = arena_alloc(a, bytes);
  if (!copy || !to->name) return false;
  if (from->type == ATTR_INTS) to->ints = memcpy(copy, from->ints, bytes);
  if (from->type == ATTR_FLOATS) to->floats = memcpy(copy, from->floats, bytes);
  if (from->type == ATTR_STRING) to->s.data = memcpy(copy, from->s.data, bytes);
  return true;
}

static void hear_step(void *arg, const char *op, int version, const attr *attrs, const value *const *in, int n_in,
                      const value *const *out, int n_out) {
  record *r = arg;
  arena *a = &r->p->g->model->arena;
  if (r->n_steps == UNFOLD_STEPS || n_in > 8 || n_out > 4) {
    r->refused = true;
    return;
  }
  step *s = &r->steps[r->n_steps++];
  *s = (step){.op = op, .version = version, .n_in = n_in, .n_out = n_out};
  memcpy(s->in, in, (size_t)n_in * sizeof *in);
  memcpy(s->out, out, (size_t)n_out * sizeof *out);
  int n = 0;
  if (!attrs) attrs = r->n->attrs, n = r->n->n_attrs;
  for (; attrs != r->n->attrs && attrs[n].name;) n++;
  s->attrs = arena_alloc_array(a, (size_t)n + 1, sizeof *s->attrs);
  for (int i = 0; s->attrs && i < n; i++)
    if (!keep_attr(a, &attrs[i], &s->attrs[i])) r->no_memory = true;
  if (!s->attrs) r->no_memory = true;
  s->n_attrs = n;
}

static void hear_constant(void *arg, const value *v) {
  record *r = arg;
  if (r->n_constants == UNFOLD_CONSTANTS) {
    r->refused = true;
    return;
  }
  const tensor *t = &v->tensor;
  r->constants[r->n_constants] = v;
  value_id id = graph_add_constant_copy(r->p->g, NULL, t->dtype, t->rank, t->dims, t->data);
  r->constant_ids[r->n_constants++] = id;
  if (id == VALUE_ABSENT) r->no_memory = true;
}

static void hear_out(void *arg, int i, const value *v) {
  record *r = arg;
  if (i < UNFOLD_OUTPUTS)
    r->outs[i] = v;
  else
    r->refused = true;
}

/* The value that v is: an input of the node, a constant, or what one of the steps before `end` gives (in ids). */
static value_id value_of(const record *r, const value *const *in, const value_id *ids, const value_id (*made)[4],
                         int end, const value *v) {
  if (!v) return VALUE_ABSENT;
  for (int i = 0; i < r->n->n_in; i++)
    if (in[i] == v) return ids[i];
  for (int i = 0; i < r->n_constants; i++)
    if (r->constants[i] == v) return r->constant_ids[i];
  for (int k = 0; k < end; k++)
    for (int o = 0; o < r->steps[k].n_out; o++)
      if (r->steps[k].out[o] == v) return made[k][o];
  return VALUE_ABSENT;
}

/* Which output of the node is v? Its value, or a fresh one. */
static value_id made_value(const record *r, const value *v, const value_id *outs) {
  for (int i = 0; i < r->n->n_out; i++)
    if (r->outs[i] == v && outs[i] != VALUE_ABSENT) return outs[i];
  return graph_add_value(r->p->g, NULL);
}

static ledge_status put_steps(record *r, int index, const value *const *in) {
  graph *g = r->p->g;
  value_id made[UNFOLD_STEPS][4];
  const value_id *ids = r->n->in, *outs = r->n->out;
  for (int i = 0; i < r->n->n_out; i++)
    if (outs[i] != VALUE_ABSENT) g->values[outs[i]].producer = -1;
  pass_kill(r->p, r->n);
  for (int k = 0; k < r->n_steps; k++) {
    const step *s = &r->steps[k];
    value_id from[8];
    for (int i = 0; i < s->n_in; i++) from[i] = value_of(r, in, ids, made, k, s->in[i]);
    for (int o = 0; o < s->n_out; o++) {
      made[k][o] = made_value(r, s->out[o], outs);
      if (made[k][o] == VALUE_ABSENT) return error_memory(r->p->error, sizeof(graph_value), "a value");
    }
    node *n = graph_add_node(g, "", s->op, s->version, k + 1 == r->n_steps ? g->nodes[index].name : "", from, s->n_in,
                             made[k], s->n_out);
    if (!n) return error_memory(r->p->error, sizeof *n, "a node");
    n->attrs = s->attrs;
    n->n_attrs = s->n_attrs;
    n->def = ops_find("", s->op, s->version);
    r->n = &g->nodes[index]; /* the array may have moved */
  }
  return LEDGE_OK;
}

/* All that is asked for is heard, and is what a step gives, once. */
static bool complete(const record *r) {
  if (r->refused || !r->n_steps) return false;
  for (int i = 0; i < r->n->n_out; i++) {
    bool found = r->n->out[i] == VALUE_ABSENT;
    for (int k = 0; !found && k < r->n_steps; k++)
      for (int o = 0; o < r->steps[k].n_out; o++) found |= r->steps[k].out[o] == r->outs[i];
    for (int k = 0; k < i; k++) found &= r->outs[k] != r->outs[i] || !r->outs[i];
    if (!found) return false;
  }
  return true;
}

static ledge_status try_unfold(pass_run *p, int index) {
  const node *n = &p->g->nodes[index];
  value in[UNFOLD_INPUTS] = {0}, out[UNFOLD_OUTPUTS] = {0};
  const value *ins[UNFOLD_INPUTS] = {NULL};
  value *outs[UNFOLD_OUTPUTS] = {NULL};
  if (n->n_in > UNFOLD_INPUTS || n->n_out > UNFOLD_OUTPUTS || !n->def || !n->def->infer) return LEDGE_OK;
  for (int i = 0; i < n->n_in; i++) {
    if (n->in[i] == VALUE_ABSENT) continue;
    const tensor *constant = pass_constant(p, n->in[i]), *t = constant ? constant : pass_shape(p, n->in[i]);
    if (!t) return LEDGE_OK;
    in[i] = (value){.kind = VALUE_TENSOR, .tensor = *t};
    in[i].tensor.own = NULL;
    if (!constant) in[i].tensor.data = NULL;
    ins[i] = &in[i];
  }
  for (int i = 0; i < n->n_out; i++) {
    out[i].kind = VALUE_TENSOR;
    if (n->out[i] != VALUE_ABSENT) outs[i] = &out[i];
  }
  record r = {.p = p, .n = n};
  const steps_recorder recorder = {&r, hear_step, hear_constant, hear_out, refuse};
  op_ctx c = {.node = n,
              .def = n->def,
              .n_in = n->n_in,
              .n_out = n->n_out,
              .in = ins,
              .out = outs,
              .inferring = true,
              .recorder = &recorder};
  ledge_status status = n->def->infer(&c);
  for (int i = 0; i < n->n_out; i++) value_deinit(&out[i]);
  if (r.no_memory) return error_memory(p->error, sizeof(step), "the steps of an operator");
  return status || !complete(&r) ? LEDGE_OK : put_steps(&r, index, ins);
}

ledge_status pass_unfold(pass_run *p) {
  int n = p->g->n_nodes;
  for (int i = 0; i < n; i++) {
    const node *at = &p->g->nodes[i];
    if (strcmp(at->domain, "com.microsoft") || !strcmp(at->op, "QLinearAdd") || !strcmp(at->op, "QLinearConv"))
      continue;
    TRY(try_unfold(p, i));
  }
  return LEDGE_OK;
}
