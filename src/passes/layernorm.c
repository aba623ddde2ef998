/* passes/layernorm: layer norm written out in pieces becomes LayerNormalization, and a root-mean-square norm
 * RMSNormalization, over the last axis.
 *
 *   d = x - mean(x);  y = d / sqrt(mean(d^2) + epsilon) * scale + bias
 */
#include "passes/pass.h"

/* Does n reduce over the last axis alone, keeping it? */
static bool over_last(pass_run *p, const node *n) {
  if (node_attr_int(n, "keepdims", 1) != 1) return false;
  const attr *a = node_attr(n, "axes");
  if (a) return a->type == ATTR_INTS && a->count == 1 && a->ints[0] == -1;
  const tensor *t = pass_constant(p, node_in(n, 1));
  return t && t->dtype == LEDGE_I64 && tensor_elements(t) == 1 && *(const int64_t *)t->data == -1;
}

/* v = mean(d^2) over the last axis: d; by Pow 2 or Mul with itself. Collects nodes. */
static value_id mean_square(pass_run *p, value_id v, node **chain) {
  node *mean = pass_only(p, v, "ReduceMean");
  if (!mean || !over_last(p, mean)) return VALUE_ABSENT;
  node *square = pass_only(p, mean->in[0], "Pow");
  if (square && !pass_scalar_near(p, square->in[1], 2)) return VALUE_ABSENT;
  if (!square) square = pass_only(p, mean->in[0], "Mul");
  if (!square || (node_is(square, "", "Mul") && square->in[0] != square->in[1])) return VALUE_ABSENT;
  chain[0] = mean;
  chain[1] = square;
  return square->in[0];
}

/* v = sqrt(mean(d^2) + epsilon): d. */
static value_id root(pass_run *p, value_id v, float *epsilon, node **chain) {
  node *sqrt = pass_only(p, v, "Sqrt");
  node *add = sqrt ? pass_only(p, sqrt->in[0], "Add") : NULL;
  if (!add) return VALUE_ABSENT;
  int at = pass_scalar(p, add->in[1], epsilon) ? 0 : pass_scalar(p, add->in[0], epsilon) ? 1 : -1;
  if (at < 0) return VALUE_ABSENT;
  chain[0] = sqrt;
  chain[1] = add;
  return mean_square(p, add->in[at], chain + 2);
}

/* The normalised d: Div by the root, or Mul by its Reciprocal. */
static value_id normalised(pass_run *p, const node *n, float *epsilon, node **chain, int *n_chain) {
  if (node_is(n, "", "Div")) {
    value_id d = root(p, n->in[1], epsilon, chain);
    *n_chain = 4;
    return d == n->in[0] ? d : VALUE_ABSENT;
  }
  for (int i = 0; node_is(n, "", "Mul") && i < 2; i++) {
    node *r = pass_only(p, n->in[i], "Reciprocal");
    value_id d = r ? root(p, r->in[0], epsilon, chain) : VALUE_ABSENT;
    if (d == VALUE_ABSENT || d != n->in[1 - i]) continue;
    chain[4] = r;
    *n_chain = 5;
    return d;
  }
  return VALUE_ABSENT;
}

/* A constant vector that multiplies or is added. */
static value_id row_constant(pass_run *p, const node *n, value_id x) {
  value_id v = n->in[0] == x ? n->in[1] : n->in[0];
  const tensor *t = pass_constant(p, v);
  return t && t->dtype == LEDGE_F32 && t->rank == 1 ? v : VALUE_ABSENT;
}

static node *only_reader(pass_run *p, value_id v, const char *op) {
  if (!pass_read_once(p, v)) return NULL;
  for (int i = 0; i < p->g->n_nodes; i++) {
    node *n = &p->g->nodes[i];
    if (p->dead[i] || !node_is(n, "", op)) continue;
    for (int k = 0; k < n->n_in; k++)
      if (n->in[k] == v) return n;
  }
  return NULL;
}

static ledge_status try_norm(pass_run *p, node *n) {
  node *chain[6];
  int n_chain;
  float epsilon;
  value_id d = normalised(p, n, &epsilon, chain, &n_chain);
  if (d == VALUE_ABSENT) return LEDGE_OK;
  node *mul = only_reader(p, n->out[0], "Mul");
  value_id scale = mul ? row_constant(p, mul, n->out[0]) : VALUE_ABSENT;
  if (scale == VALUE_ABSENT) return LEDGE_OK;
  node *sub = pass_producer(p, d), *mean = NULL;
  if (sub && node_is(sub, "", "Sub") && p->uses[d] == (node_is(chain[3], "", "Pow") ? 2 : 3)) {
    mean = pass_only(p, sub->in[1], "ReduceMean");
    if (mean && (!over_last(p, mean) || mean->in[0] != sub->in[0])) mean = NULL;
  }
  node *last = mul;
  value_id bias = VALUE_ABSENT;
  node *add = mean ? only_reader(p, mul->out[0], "Add") : NULL;
  if (add && (bias = row_constant(p, add, mul->out[0])) != VALUE_ABSENT) last = add;
  const value_id in[] = {mean ? sub->in[0] : d, scale, bias};
  for (int i = 0; i < n_chain; i++) pass_kill(p, chain[i]);
  pass_kill(p, n);
  if (mean) pass_kill(p, sub), pass_kill(p, mean);
  if (last != mul) pass_kill(p, mul);
  TRY(pass_become(p, last, "", mean ? "LayerNormalization" : "RMSNormalization", mean ? 17 : 23, in,
                  bias != VALUE_ABSENT ? 3 : 2));
  return node_set_float(p->g, last, "epsilon", epsilon);
}

ledge_status pass_layernorm(pass_run *p) {
  for (int i = 0; i < p->g->n_nodes; i++) {
    node *n = &p->g->nodes[i];
    if (!p->dead[i] && n->n_in == 2 && n->n_out == 1 && n->version >= 7) TRY(try_norm(p, n));
  }
  return LEDGE_OK;
}
