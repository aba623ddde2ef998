/* passes/gradient: see gradient.h. Nodes between the xs and y are walked from the last to the first; each rule
 * (gradient_rules.def; what they are made of: gradient_back.h) says what its node's output gradients add to the
 * gradients of its inputs:
 *
 *   y = a * b        da += reduce(dy * b, a)     db += reduce(dy * a, b)       reduce undoes broadcasting
 * (ledge.ReduceTo)
 *
 * An operator is one of three: it has a rule; it is constant almost everywhere or has no real output, so that its
 * gradient is zero and the walk ends there; or it is refused, with a reason. */
#include "passes/gradient.h"

#include "passes/gradient_back.h"

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
#include "passes/gradient_rules.def"
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
