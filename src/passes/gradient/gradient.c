/* passes/gradient: see gradient.h. Nodes between the xs and y are walked from the last to the first; each rule
 * (rules.def; what they are made of: back.h) says what its node's output gradients add to the
 * gradients of its inputs:
 *
 *   y = a * b        da += reduce(dy * b, a)     db += reduce(dy * a, b)       reduce undoes broadcasting
 * (ledge.ReduceTo)
 *
 * An operator is one of three: it has a rule; it is constant almost everywhere or has no real output, so that its
 * gradient is zero and the walk ends there; or it is refused, with a reason. */
#include "passes/gradient/gradient.h"

#include "passes/gradient/back.h"

#include "base/error.h"
#include "ops/propagate.h"

#include <stdio.h>

typedef struct rule_row {
  const char *domain, *op;
  int since; /* of the operator: older versions have other semantics */
  gradient_rule rule;
  const char *reason; /* of a refusal; with neither: zero */
} rule_row;

static const rule_row rules[] = {
#define RULE(domain, op, since, rule) {domain, op, since, gradient_##rule, NULL},
#define ZERO(domain, op) {domain, op, 1, NULL, NULL},
#define NONE(domain, op, reason) {domain, op, 1, NULL, reason},
#include "passes/gradient/rules.def"
#undef RULE
#undef ZERO
#undef NONE
};

static const rule_row *rule_of(const node *n) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (node_is(n, rules[i].domain, rules[i].op)) return &rules[i];
  return NULL;
}

gradient_kind gradient_kind_of(const char *domain, const char *op) {
  const node n = {.domain = domain, .op = op};
  const rule_row *r = rule_of(&n);
  return !r ? GRADIENT_UNLISTED : r->rule ? GRADIENT_RULE : r->reason ? GRADIENT_REFUSED : GRADIENT_ZERO;
}

/* ---- the walk ---- */

/* What depends on an x through n, and is real. */
static void mark_active(back *b, const node *n) {
  const rule_row *row = rule_of(n);
  bool reads = false;
  for (int k = 0; k < n->n_in; k++) reads = reads || back_wants(b, n->in[k]);
  if (!reads || (row && !row->rule && !row->reason)) return;
  for (int k = 0; k < n->n_out; k++) {
    if (n->out[k] == VALUE_ABSENT) continue;
    ledge_dtype dtype = back_dtype(b, n->out[k]);
    if (b->status) return;
    /* A refused operator counts whatever it gives: a quantised value on the way is an error, not a silent zero. */
    b->active[n->out[k]] = dtype == LEDGE_DTYPE_NONE || dtype_is_float(dtype) || (row && row->reason);
  }
}

static void refuse(back *b, const node *n, const rule_row *row) {
  if (!row)
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "there is no rule for this operator");
  else if (row->reason)
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "%s", row->reason);
  else
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "its rule is for version %d of the operator on; this node is of version %d",
              row->since, n->version);
}

/* Nodes [begin, end), the last first. */
static void walk(back *b, int begin, int end, bool outermost) {
  for (int i = end - 1; i >= begin && !b->status; i--) {
    const node n = b->g->nodes[i]; /* a copy: adding nodes moves them */
    bool reached = false, reads = false;
    for (int k = 0; k < n.n_out; k++) reached = reached || (back_has(b, &n, k) && back_wants(b, n.out[k]));
    for (int k = 0; k < n.n_in; k++) reads = reads || back_wants(b, n.in[k]);
    if (!reached || !reads) continue;
    if (outermost) b->now = i;
    const rule_row *row = rule_of(&n);
    if (row && row->rule && n.version >= row->since)
      row->rule(b, &n);
    else
      refuse(b, &n, row);
    if (outermost) b->now = -1;
  }
}

int back_lower_begin(back *b) { return b->g->n_nodes; }

void back_lower(back *b, int begin, const node *n, const value_id *outs, int n_outs) {
  int end = b->g->n_nodes;
  for (int i = begin; i < end && !b->status; i++) {
    const node made = b->g->nodes[i];
    mark_active(b, &made);
  }
  for (int k = 0; k < n_outs && !b->status; k++)
    if (outs[k] != VALUE_ABSENT && back_has(b, n, k)) back_give(b, outs[k], back_grad(b, n, k));
  walk(b, begin, end, false);
}

ledge_status gradient_build(graph *g, value_id y, const value_id *xs, int n_xs, value_id *ret, ledge_error *error) {
  back b = {.g = g, .error = error, .now = -1};
  int n_nodes = b.settled = g->n_nodes;
  value_id last = g->n_values - 1;
  ledge_status status = back_init(&b, last);
  if (!status) status = ops_propagate(g, NULL, b.known, error);
  for (int i = 0; !status && i < n_xs; i++) b.active[xs[i]] = true;
  for (int i = 0; !status && i < n_nodes; i++) mark_active(&b, &g->nodes[i]);
  if (!status) {
    b.grad[y] = back_filled(&b, 1, y);
    walk(&b, 0, n_nodes, true);
    for (int i = 0; i < n_xs && !b.status; i++) {
      bool reached = b.grad[xs[i]] != VALUE_ABSENT;
      value_id grad = reached ? b.grad[xs[i]] : back_filled(&b, 0, xs[i]);
      if (!b.status) ret[i] = grad;
    }
    status = b.status;
  }
  back_deinit(&b);
  return status;
}

/* ---- ONNX's Gradient: attributes xs, zs, y name values of the graph; its inputs are the values of xs and zs at which
 * the gradient is taken: those values themselves, or others, and then the nodes between them and y are there a second
 * time ----
 */

typedef struct request {
  int n_xs, n_in;
  value_id *names, *inputs; /* n_in each: what is named, and what is given for it */
  value_id *grads;          /* n_xs */
  value_id y;
} request;

static ledge_status named(pass_run *p, const ledge_string *s, value_id *ret) {
  char name[512];
  snprintf(name, sizeof name, "%.*s", (int)(s->size < sizeof name ? s->size : sizeof name - 1), s->data);
  *ret = graph_find_value(p->g, name);
  return *ret == VALUE_ABSENT ? error_set(p->error, LEDGE_ERROR_FORMAT, "Gradient: the graph has no value '%s'", name)
                              : LEDGE_OK;
}

static ledge_status request_read(pass_run *p, const node *n, request *r) {
  const attr *xs = node_attr(n, "xs"), *zs = node_attr(n, "zs"), *y = node_attr(n, "y");
  int64_t n_zs = zs && zs->type == ATTR_STRINGS ? zs->count : 0;
  if (!xs || xs->type != ATTR_STRINGS || !y || y->type != ATTR_STRING || xs->count < 1 || xs->count > n->n_in ||
      n_zs != n->n_in - xs->count || n->n_out > xs->count)
    return error_set(p->error, LEDGE_ERROR_FORMAT,
                     "Gradient: its attributes xs, zs and y do not fit its inputs and outputs");
  r->n_xs = (int)xs->count;
  r->n_in = n->n_in;
  r->names = mem_alloc_array((size_t)n->n_in * 3, sizeof *r->names);
  if (!r->names) return error_memory(p->error, (size_t)n->n_in * 12, "a gradient");
  r->inputs = r->names + r->n_in;
  r->grads = r->inputs + r->n_in;
  TRY(named(p, &y->s, &r->y));
  for (int i = 0; i < r->n_in; i++) {
    TRY(named(p, i < r->n_xs ? &xs->strings[i] : &zs->strings[i - r->n_xs], &r->names[i]));
    if (n->in[i] == VALUE_ABSENT) return error_set(p->error, LEDGE_ERROR_FORMAT, "Gradient: input %d is left out", i);
    r->inputs[i] = n->in[i];
  }
  return LEDGE_OK;
}

/* Does n, or a subgraph of it, read a value that is replaced? */
static bool reads_replaced(const node *n, const value_id *instead, bool *ret_captured) {
  bool reads = false;
  int a = 0, k = 0;
  for (int i = 0; i < n->n_in; i++) reads = reads || (n->in[i] != VALUE_ABSENT && instead[n->in[i]] != n->in[i]);
  *ret_captured = false;
  for (graph *sub; (sub = node_next_subgraph(n, &a, &k));)
    for (int i = 0; i < sub->n_captures; i++)
      if (instead[sub->captures[i].outer] != sub->captures[i].outer) *ret_captured = true;
  return reads || *ret_captured;
}

/* Node i again, with what stands instead of its inputs; its outputs stand instead of the old ones but where those are
 * given. */
static ledge_status repeat_node(pass_run *p, int i, value_id *instead) {
  graph *g = p->g;
  const node n = g->nodes[i];
  value_id *list = mem_alloc_array((size_t)(n.n_in + n.n_out) + 1, sizeof *list);
  if (!list) return error_memory(p->error, sizeof n, "a gradient");
  value_id *out = list + n.n_in;
  bool failed = false;
  for (int k = 0; k < n.n_in; k++) list[k] = n.in[k] == VALUE_ABSENT ? VALUE_ABSENT : instead[n.in[k]];
  for (int k = 0; k < n.n_out; k++) {
    out[k] = n.out[k] == VALUE_ABSENT ? VALUE_ABSENT : graph_add_value(g, NULL);
    failed = failed || (n.out[k] != VALUE_ABSENT && out[k] == VALUE_ABSENT);
    if (n.out[k] != VALUE_ABSENT && instead[n.out[k]] == n.out[k]) instead[n.out[k]] = out[k];
  }
  node *copy = failed ? NULL : graph_add_node(g, n.domain, n.op, n.version, n.name, list, n.n_in, out, n.n_out);
  for (int k = 0; copy && k < n.n_attrs; k++) failed = failed || node_set_attr(g, copy, &n.attrs[k]);
  if (copy) copy->def = n.def;
  mem_free(list);
  return copy && !failed ? LEDGE_OK : error_memory(p->error, sizeof n, "a gradient");
}

/* Where other values are given than those named: the nodes that hang on them, again; names and y then mean the new
 * ones. */
static ledge_status substitute(pass_run *p, request *r) {
  graph *g = p->g;
  bool same = true;
  int n_nodes = g->n_nodes, n_values = g->n_values;
  for (int i = 0; i < r->n_in; i++) same = same && r->names[i] == r->inputs[i];
  if (same) return LEDGE_OK;
  value_id *instead = mem_alloc_array((size_t)n_values, sizeof *instead);
  if (!instead) return error_memory(p->error, (size_t)n_values * sizeof *instead, "a gradient");
  for (int v = 0; v < n_values; v++) instead[v] = v;
  ledge_status status = LEDGE_OK;
  for (int i = 0; !status && i < r->n_in; i++) { /* apart from what else the given value is read by */
    value_id v = graph_add_value(g, NULL);
    node *n = v == VALUE_ABSENT ? NULL : graph_add_node(g, "", "Identity", 13, "", &r->inputs[i], 1, &v, 1);
    if (!n) {
      status = error_memory(p->error, sizeof *n, "a gradient");
      break;
    }
    n->def = ops_find("", "Identity", 13);
    instead[r->names[i]] = v;
  }
  for (int i = 0; !status && i < n_nodes; i++) {
    bool captured;
    if (node_is(&g->nodes[i], "ai.onnx.preview.training", "Gradient") ||
        !reads_replaced(&g->nodes[i], instead, &captured))
      continue;
    if (captured) {
      char label[160];
      error_node(p->error, g->nodes[i].name);
      status =
          error_set(p->error, LEDGE_ERROR_UNSUPPORTED, "Gradient: %s reads in its subgraph what is to be another value",
                    node_label(g, &g->nodes[i], label, sizeof label));
    } else {
      status = repeat_node(p, i, instead);
    }
  }
  for (int i = 0; !status && i < r->n_in; i++) r->names[i] = instead[r->names[i]];
  if (!status) r->y = instead[r->y];
  mem_free(instead);
  return status;
}

/* The node at `at` becomes the backward graph, and goes. */
static ledge_status expand_gradient(pass_run *p, int at) {
  graph *g = p->g;
  request r = {0};
  ledge_status status = request_read(p, &g->nodes[at], &r);
  if (!status) status = substitute(p, &r);
  if (!status) status = gradient_build(g, r.y, r.names, r.n_xs, r.grads, p->error);
  for (int i = 0; !status && i < g->nodes[at].n_out; i++) {
    value_id out = g->nodes[at].out[i];
    if (out == VALUE_ABSENT) continue;
    node *copy = graph_add_node(g, "", "Identity", 13, "", &r.grads[i], 1, &out, 1);
    if (!copy) status = error_memory(p->error, sizeof *copy, "a gradient");
    if (copy) copy->def = ops_find("", "Identity", 13);
  }
  mem_free(r.names);
  if (status) return status;
  bool *dead = mem_alloc_array((size_t)g->n_nodes, sizeof *dead);
  if (!dead) return error_memory(p->error, (size_t)g->n_nodes, "a gradient");
  dead[at] = true;
  graph_remove_nodes(g, dead);
  mem_free(dead);
  p->n_dead = 0; /* nothing is marked, and the marks no longer fit */
  p->changed = true;
  return graph_sort(g, p->error); /* a gradient of a gradient walks through what was added */
}

ledge_status pass_gradient(pass_run *p);
ledge_status pass_gradient(pass_run *p) {
  for (int i = 0; i < p->g->n_nodes; i++) {
    if (!node_is(&p->g->nodes[i], "ai.onnx.preview.training", "Gradient")) continue;
    TRY(expand_gradient(p, i));
    i = -1; /* nodes have moved */
  }
  return LEDGE_OK;
}
