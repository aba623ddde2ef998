/* passes/gradient: see gradient.h. Nodes between the xs and y are walked from the last to the first; each rule says
 * what its node's output gradient adds to the gradients of its inputs:
 *
 *   y = a * b        da += reduce(dy * b, a)     db += reduce(dy * a, b)       reduce undoes broadcasting
 * (ledge.ReduceTo)
 */
#include "passes/gradient.h"

#include "passes/pass.h"

#include "base/error.h"

#include <stdio.h>

enum { GRADIENT_OPSET = 17 }; /* of the nodes that are made */

typedef struct back {
  graph *g;
  ledge_error *error;
  value_id *grad; /* by value of the forward graph: its gradient, or VALUE_ABSENT */
  bool *active;   /* depends on an x */
  int n_values;
  bool failed; /* out of memory */
} back;

/* ---- making nodes ---- */

static value_id emit_in(back *b, const char *domain, const char *op, int version, const value_id *in, int n_in) {
  if (b->failed) return VALUE_ABSENT;
  value_id out = graph_add_value(b->g, NULL);
  node *n = out == VALUE_ABSENT ? NULL : graph_add_node(b->g, domain, op, version, "", in, n_in, &out, 1);
  if (!n) {
    b->failed = true;
    return VALUE_ABSENT;
  }
  n->def = ops_find(domain, op, version);
  return out;
}

static value_id emit1(back *b, const char *op, value_id x) { return emit_in(b, "", op, GRADIENT_OPSET, &x, 1); }
static value_id emit2(back *b, const char *op, value_id x, value_id y) {
  return emit_in(b, "", op, GRADIENT_OPSET, (value_id[]){x, y}, 2);
}
static node *last_node(back *b) { return &b->g->nodes[b->g->n_nodes - 1]; }

static void last_int(back *b, const char *name, int64_t v) {
  if (!b->failed && node_set_int(b->g, last_node(b), name, v)) b->failed = true;
}

/* A number of x's own type: CastLike of a constant. */
static value_id number_like(back *b, float v, value_id x) {
  value_id c = graph_add_constant_copy(b->g, NULL, LEDGE_F32, 0, NULL, &v);
  if (c == VALUE_ABSENT) b->failed = true;
  return emit_in(b, "", "CastLike", GRADIENT_OPSET, (value_id[]){c, x}, 2);
}

static value_id reduce_to(back *b, value_id grad, value_id like) {
  return emit_in(b, "ledge", "ReduceTo", 1, (value_id[]){grad, like}, 2);
}

/* x's shape filled with one number of x's type. */
static value_id filled_like(back *b, float v, value_id x) {
  return emit2(b, "Expand", number_like(b, v, x), emit1(b, "Shape", x));
}

/* Adds to the gradient of x. */
static void add_grad(back *b, value_id x, value_id grad) {
  if (x == VALUE_ABSENT || x >= b->n_values || !b->active[x] || b->failed) return;
  b->grad[x] = b->grad[x] == VALUE_ABSENT ? grad : emit2(b, "Add", b->grad[x], grad);
}

static bool wants(const back *b, value_id x) { return x != VALUE_ABSENT && x < b->n_values && b->active[x]; }

/* ---- rules: dy is the gradient of output 0; n is a copy, for adding nodes moves them ---- */

typedef void (*gradient_rule)(back *b, const node *n, value_id dy);

static void rule_add(back *b, const node *n, value_id dy) {
  for (int i = 0; i < n->n_in; i++)
    if (wants(b, n->in[i])) add_grad(b, n->in[i], reduce_to(b, dy, n->in[i]));
}

static void rule_sub(back *b, const node *n, value_id dy) {
  if (wants(b, n->in[0])) add_grad(b, n->in[0], reduce_to(b, dy, n->in[0]));
  if (wants(b, n->in[1])) add_grad(b, n->in[1], reduce_to(b, emit1(b, "Neg", dy), n->in[1]));
}

static void rule_mul(back *b, const node *n, value_id dy) {
  for (int i = 0; i < 2; i++)
    if (wants(b, n->in[i])) add_grad(b, n->in[i], reduce_to(b, emit2(b, "Mul", dy, n->in[1 - i]), n->in[i]));
}

static void rule_div(back *b, const node *n, value_id dy) {
  value_id a = n->in[0], d = n->in[1];
  if (wants(b, a)) add_grad(b, a, reduce_to(b, emit2(b, "Div", dy, d), a));
  if (wants(b, d)) add_grad(b, d, reduce_to(b, emit1(b, "Neg", emit2(b, "Div", emit2(b, "Mul", dy, n->out[0]), d)), d));
}

static void rule_pow(back *b, const node *n, value_id dy) {
  value_id a = n->in[0], e = n->in[1];
  if (wants(b, a)) {
    value_id slope = emit2(b, "Mul", emit_in(b, "", "CastLike", GRADIENT_OPSET, (value_id[]){e, a}, 2),
                           emit2(b, "Pow", a, emit2(b, "Sub", e, number_like(b, 1, e))));
    add_grad(b, a, reduce_to(b, emit2(b, "Mul", dy, slope), a));
  }
  if (wants(b, e)) add_grad(b, e, reduce_to(b, emit2(b, "Mul", emit2(b, "Mul", dy, n->out[0]), emit1(b, "Log", a)), e));
}

static void rule_identity(back *b, const node *n, value_id dy) { add_grad(b, n->in[0], dy); }
static void rule_neg(back *b, const node *n, value_id dy) { add_grad(b, n->in[0], emit1(b, "Neg", dy)); }
static void rule_exp(back *b, const node *n, value_id dy) { add_grad(b, n->in[0], emit2(b, "Mul", dy, n->out[0])); }
static void rule_log(back *b, const node *n, value_id dy) { add_grad(b, n->in[0], emit2(b, "Div", dy, n->in[0])); }
static void rule_abs(back *b, const node *n, value_id dy) {
  add_grad(b, n->in[0], emit2(b, "Mul", dy, emit1(b, "Sign", n->in[0])));
}
static void rule_sin(back *b, const node *n, value_id dy) {
  add_grad(b, n->in[0], emit2(b, "Mul", dy, emit1(b, "Cos", n->in[0])));
}
static void rule_cos(back *b, const node *n, value_id dy) {
  add_grad(b, n->in[0], emit1(b, "Neg", emit2(b, "Mul", dy, emit1(b, "Sin", n->in[0]))));
}
static void rule_sqrt(back *b, const node *n, value_id dy) {
  value_id y = n->out[0];
  add_grad(b, n->in[0], emit2(b, "Div", dy, emit2(b, "Add", y, y)));
}
static void rule_reciprocal(back *b, const node *n, value_id dy) {
  value_id y = n->out[0];
  add_grad(b, n->in[0], emit1(b, "Neg", emit2(b, "Mul", dy, emit2(b, "Mul", y, y))));
}
static void rule_sigmoid(back *b, const node *n, value_id dy) {
  value_id y = n->out[0];
  add_grad(b, n->in[0], emit2(b, "Mul", dy, emit2(b, "Mul", y, emit2(b, "Sub", number_like(b, 1, y), y))));
}
static void rule_tanh(back *b, const node *n, value_id dy) {
  value_id y = n->out[0];
  add_grad(b, n->in[0], emit2(b, "Mul", dy, emit2(b, "Sub", number_like(b, 1, y), emit2(b, "Mul", y, y))));
}
static void rule_softplus(back *b, const node *n, value_id dy) {
  add_grad(b, n->in[0], emit2(b, "Mul", dy, emit1(b, "Sigmoid", n->in[0])));
}
static void rule_erf(back *b, const node *n, value_id dy) { /* 2 / sqrt(pi) e^(-x^2) */
  value_id x = n->in[0], bell = emit1(b, "Exp", emit1(b, "Neg", emit2(b, "Mul", x, x)));
  add_grad(b, x, emit2(b, "Mul", dy, emit2(b, "Mul", bell, number_like(b, 1.1283791670955126f, x))));
}

/* dy where x > 0, else dy * slope. */
static void rule_leaky(back *b, const node *n, value_id dy) {
  float slope = node_is(n, "", "LeakyRelu") ? node_attr_float(n, "alpha", 0.01f) : 0;
  value_id x = n->in[0], positive = emit2(b, "Greater", x, number_like(b, 0, x));
  value_id rest = slope == 0 ? number_like(b, 0, x) : emit2(b, "Mul", dy, number_like(b, slope, x));
  add_grad(b, x, emit_in(b, "", "Where", GRADIENT_OPSET, (value_id[]){positive, dy, rest}, 3));
}

static value_id transposed(back *b, value_id x, int rank) {
  int64_t perm[LEDGE_MAX_RANK];
  for (int i = 0; i < rank; i++) perm[i] = i;
  perm[rank - 1] = rank - 2;
  perm[rank - 2] = rank - 1;
  value_id t = emit1(b, "Transpose", x);
  if (!b->failed && node_set_ints(b->g, last_node(b), "perm", perm, rank)) b->failed = true;
  return t;
}

/* Ranks of values, from what is declared; -1 unknown. */
static int rank_of(const back *b, value_id v) {
  const graph_value *of = &b->g->values[v];
  return of->constant ? of->constant->rank : of->type.kind == TYPE_TENSOR ? of->type.rank : -1;
}

/* Matrices and batches of them; the rule's caller has checked the ranks. */
static void rule_matmul(back *b, const node *n, value_id dy) {
  value_id a = n->in[0], w = n->in[1];
  int rank_a = rank_of(b, a), rank_w = rank_of(b, w);
  if (rank_a < 2 || rank_w < 2) {
    b->failed = true;
    error_set(b->error, LEDGE_ERROR_UNSUPPORTED, "the gradient of MatMul needs inputs of declared rank 2 or more");
    return;
  }
  if (wants(b, a)) add_grad(b, a, reduce_to(b, emit2(b, "MatMul", dy, transposed(b, w, rank_w)), a));
  if (wants(b, w)) add_grad(b, w, reduce_to(b, emit2(b, "MatMul", transposed(b, a, rank_a), dy), w));
}

static value_id gemm(back *b, value_id x, bool tx, value_id y, bool ty, float alpha) {
  value_id out = emit2(b, "Gemm", x, y);
  last_int(b, "transA", tx);
  last_int(b, "transB", ty);
  if (!b->failed && node_set_float(b->g, last_node(b), "alpha", alpha)) b->failed = true;
  return out;
}

static void rule_gemm(back *b, const node *n, value_id dy) {
  bool ta = node_attr_int(n, "transA", 0) != 0, tb = node_attr_int(n, "transB", 0) != 0;
  float alpha = node_attr_float(n, "alpha", 1), beta = node_attr_float(n, "beta", 1);
  value_id a = n->in[0], w = n->in[1], c = node_in(n, 2);
  if (wants(b, a)) add_grad(b, a, ta ? gemm(b, w, tb, dy, true, alpha) : gemm(b, dy, false, w, !tb, alpha));
  if (wants(b, w)) add_grad(b, w, tb ? gemm(b, dy, true, a, ta, alpha) : gemm(b, a, !ta, dy, false, alpha));
  if (wants(b, c)) add_grad(b, c, reduce_to(b, beta == 1 ? dy : emit2(b, "Mul", dy, number_like(b, beta, dy)), c));
}

/* Reshape, Flatten, Squeeze, Unsqueeze: the shape of the input again. */
static void rule_reshape(back *b, const node *n, value_id dy) {
  add_grad(b, n->in[0], emit2(b, "Reshape", dy, emit1(b, "Shape", n->in[0])));
}

static void rule_transpose(back *b, const node *n, value_id dy) {
  const attr *perm = node_attr(n, "perm");
  value_id t = emit1(b, "Transpose", dy);
  if (perm && perm->type == ATTR_INTS && perm->count <= LEDGE_MAX_RANK) {
    int64_t back_perm[LEDGE_MAX_RANK];
    for (int64_t i = 0; i < perm->count; i++)
      if (perm->ints[i] >= 0 && perm->ints[i] < perm->count) back_perm[perm->ints[i]] = i;
    if (!b->failed && node_set_ints(b->g, last_node(b), "perm", back_perm, perm->count)) b->failed = true;
  }
  add_grad(b, n->in[0], t);
}

/* ReduceSum and ReduceMean: dy in the shape with kept dims, which the same reduction of x gives, spread over x. */
static void rule_reduce(back *b, const node *n, value_id dy) {
  value_id x = n->in[0], kept = emit_in(b, "", n->op, n->version, n->in, n->n_in);
  for (int i = 0; i < n->n_attrs && !b->failed; i++)
    if (node_set_attr(b->g, last_node(b), &n->attrs[i])) b->failed = true;
  last_int(b, "keepdims", 1);
  value_id spread = emit2(b, "Expand", emit2(b, "Reshape", dy, emit1(b, "Shape", kept)), emit1(b, "Shape", x));
  if (!strcmp(n->op, "ReduceMean")) {
    value_id count = emit2(b, "Div", emit1(b, "Size", x), emit1(b, "Size", kept));
    spread = emit2(b, "Div", spread, emit_in(b, "", "CastLike", GRADIENT_OPSET, (value_id[]){count, x}, 2));
  }
  add_grad(b, x, spread);
}

static void rule_expand(back *b, const node *n, value_id dy) { add_grad(b, n->in[0], reduce_to(b, dy, n->in[0])); }

/* y (dy - sum(dy y)) along the axis; log: dy - e^y sum(dy). */
static void rule_softmax(back *b, const node *n, value_id dy) {
  int64_t axis = node_attr_int(n, "axis", -1);
  value_id y = n->out[0], axes = graph_add_constant_copy(b->g, NULL, LEDGE_I64, 1, (int64_t[]){1}, &axis);
  if (axes == VALUE_ABSENT) b->failed = true;
  if (!strcmp(n->op, "LogSoftmax"))
    add_grad(b, n->in[0], emit2(b, "Sub", dy, emit2(b, "Mul", emit1(b, "Exp", y), emit2(b, "ReduceSum", dy, axes))));
  else
    add_grad(b, n->in[0], emit2(b, "Mul", y, emit2(b, "Sub", dy, emit2(b, "ReduceSum", emit2(b, "Mul", dy, y), axes))));
}

static const struct {
  const char *op;
  int since; /* of the operator: older versions have other semantics */
  gradient_rule rule;
} rules[] = {{"Add", 7, rule_add},
             {"Sum", 8, rule_add},
             {"Sub", 7, rule_sub},
             {"Mul", 7, rule_mul},
             {"Div", 7, rule_div},
             {"Pow", 7, rule_pow},
             {"Identity", 1, rule_identity},
             {"Neg", 1, rule_neg},
             {"Exp", 1, rule_exp},
             {"Log", 1, rule_log},
             {"Abs", 1, rule_abs},
             {"Sin", 1, rule_sin},
             {"Cos", 1, rule_cos},
             {"Sqrt", 1, rule_sqrt},
             {"Reciprocal", 1, rule_reciprocal},
             {"Sigmoid", 1, rule_sigmoid},
             {"Tanh", 1, rule_tanh},
             {"Softplus", 1, rule_softplus},
             {"Erf", 1, rule_erf},
             {"Relu", 1, rule_leaky},
             {"LeakyRelu", 1, rule_leaky},
             {"MatMul", 1, rule_matmul},
             {"Gemm", 7, rule_gemm},
             {"Reshape", 1, rule_reshape},
             {"Flatten", 1, rule_reshape},
             {"Squeeze", 1, rule_reshape},
             {"Unsqueeze", 1, rule_reshape},
             {"Transpose", 1, rule_transpose},
             {"ReduceSum", 1, rule_reduce},
             {"ReduceMean", 1, rule_reduce},
             {"Expand", 8, rule_expand},
             {"Softmax", 13, rule_softmax},
             {"LogSoftmax", 13, rule_softmax}};

static gradient_rule rule_for(const node *n) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (node_is(n, "", rules[i].op) && n->version >= rules[i].since) return rules[i].rule;
  return NULL;
}

/* ---- the walk ---- */

static void mark_active(back *b, const value_id *xs, int n_xs) {
  for (int i = 0; i < n_xs; i++) b->active[xs[i]] = true;
  for (int i = 0; i < b->g->n_nodes; i++) {
    const node *n = &b->g->nodes[i];
    bool reads = false;
    for (int k = 0; k < n->n_in; k++) reads = reads || wants(b, n->in[k]);
    for (int k = 0; reads && k < n->n_out; k++)
      if (n->out[k] != VALUE_ABSENT) b->active[n->out[k]] = true;
  }
}

static ledge_status walk(back *b, value_id y, int n_nodes) {
  b->grad[y] = filled_like(b, 1, y);
  for (int i = n_nodes - 1; i >= 0 && !b->failed; i--) {
    const node n = b->g->nodes[i];
    value_id dy = n.n_out && n.out[0] != VALUE_ABSENT ? b->grad[n.out[0]] : VALUE_ABSENT;
    if (dy == VALUE_ABSENT || !b->active[n.out[0]]) continue;
    gradient_rule rule = rule_for(&n);
    if (!rule) {
      char label[160];
      error_node(b->error, n.name);
      return error_set(b->error, LEDGE_ERROR_UNSUPPORTED, "%s: there is no gradient rule for its operator",
                       node_label(b->g, &b->g->nodes[i], label, sizeof label));
    }
    rule(b, &n, dy);
  }
  return LEDGE_OK;
}

ledge_status gradient_build(graph *g, value_id y, const value_id *xs, int n_xs, value_id *ret, ledge_error *error) {
  back b = {.g = g, .error = error, .n_values = g->n_values};
  int n_nodes = g->n_nodes;
  ledge_error none = {.code = LEDGE_OK};
  if (!error) b.error = &none;
  b.error->code = LEDGE_OK;
  b.grad = mem_alloc_array((size_t)b.n_values, sizeof *b.grad);
  b.active = mem_alloc_array((size_t)b.n_values, sizeof *b.active);
  ledge_status status = b.grad && b.active ? LEDGE_OK : error_memory(error, (size_t)b.n_values, "a backward graph");
  if (!status) {
    for (int v = 0; v < b.n_values; v++) b.grad[v] = VALUE_ABSENT;
    mark_active(&b, xs, n_xs);
    status = walk(&b, y, n_nodes);
  }
  for (int i = 0; !status && i < n_xs; i++)
    ret[i] = b.grad[xs[i]] == VALUE_ABSENT ? filled_like(&b, 0, xs[i]) : b.grad[xs[i]];
  if (!status && b.failed) status = b.error->code ? b.error->code : error_memory(error, 0, "a backward graph");
  mem_free(b.grad);
  mem_free(b.active);
  return status;
}

/* ---- ONNX's Gradient: attributes xs, zs, y name values of the graph; its inputs are the values of xs and zs ---- */

static ledge_status named(pass_run *p, const ledge_string *s, value_id *ret) {
  char name[512];
  snprintf(name, sizeof name, "%.*s", (int)(s->size < sizeof name ? s->size : sizeof name - 1), s->data);
  *ret = graph_find_value(p->g, name);
  return *ret == VALUE_ABSENT ? error_set(p->error, LEDGE_ERROR_FORMAT, "Gradient: the graph has no value '%s'", name)
                              : LEDGE_OK;
}

static ledge_status expand_gradient(pass_run *p, int at) {
  const node *n = &p->g->nodes[at];
  const attr *xs = node_attr(n, "xs"), *y = node_attr(n, "y");
  if (!xs || xs->type != ATTR_STRINGS || !y || y->type != ATTR_STRING || xs->count < 1 || xs->count > n->n_in ||
      n->n_out > xs->count)
    return error_set(p->error, LEDGE_ERROR_FORMAT,
                     "Gradient: its attributes xs and y do not fit its inputs and outputs");
  int n_xs = (int)xs->count, n_out = n->n_out;
  value_id *list = mem_alloc_array((size_t)n_xs * 2, sizeof *list), target;
  if (!list) return error_memory(p->error, (size_t)n_xs * 8, "a gradient");
  ledge_status status = named(p, &y->s, &target);
  for (int i = 0; !status && i < n_xs; i++) {
    status = named(p, &xs->strings[i], &list[i]);
    if (!status && list[i] != n->in[i])
      status =
          error_set(p->error, LEDGE_ERROR_UNSUPPORTED, "Gradient: input %d is another value than xs[%d] names", i, i);
  }
  if (!status) status = gradient_build(p->g, target, list, n_xs, list + n_xs, p->error);
  for (int i = 0; !status && i < n_out; i++) {
    value_id out = p->g->nodes[at].out[i];
    if (out == VALUE_ABSENT) continue;
    node *copy = graph_add_node(p->g, "", "Identity", 13, "", &list[n_xs + i], 1, &out, 1);
    if (!copy) status = error_memory(p->error, sizeof *copy, "a gradient");
    if (copy) copy->def = ops_find("", "Identity", 13);
  }
  mem_free(list);
  if (!status) pass_kill(p, &p->g->nodes[at]);
  return status;
}

ledge_status pass_gradient(pass_run *p);
ledge_status pass_gradient(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++)
    if (!p->dead[i] && node_is(&p->g->nodes[i], "ai.onnx.preview.training", "Gradient")) TRY(expand_gradient(p, i));
  return LEDGE_OK;
}
