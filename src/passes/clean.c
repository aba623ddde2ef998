/* passes/clean: removes nodes that do nothing: Identity, Dropout at inference, Transpose and Transpose back, casts to
 * the type that is there already, pads of nothing. A graph output keeps its name: there the node stays. */
#include "passes/pass.h"

static bool is_output(const graph *g, value_id v) {
  for (int i = 0; i < g->n_outputs; i++)
    if (g->outputs[i] == v) return true;
  return false;
}

static void bypass(pass_run *p, node *n, value_id from) {
  value_id out = n->out[0];
  graph_replace_uses(p->g, out, from);
  if (from < p->n_uses && out < p->n_uses) p->uses[from] += p->uses[out] - 1;
  pass_kill(p, n);
}

static bool dropout_is_identity(pass_run *p, const node *n) {
  if (n->n_out > 1 && n->out[1] != VALUE_ABSENT && n->out[1] < p->n_uses && p->uses[n->out[1]]) return false;
  if (n->version < 7) return node_attr_int(n, "is_test", 0) != 0;
  value_id training = node_in(n, 2);
  if (n->version < 12 || training == VALUE_ABSENT) return true;
  const tensor *t = pass_constant(p, training);
  return t && tensor_elements(t) == 1 && tensor_i64(t, 0) == 0;
}

static bool is_identity_perm(const int64_t *perm, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (perm[i] != i) return false;
  return count > 0;
}

/* Transpose of a Transpose: one, with the product of both. */
static ledge_status merge_transposes(pass_run *p, node *n) {
  node *before = pass_producer(p, n->in[0]);
  const attr *b = node_attr(n, "perm");
  if (!before || !node_is(before, "", "Transpose")) return LEDGE_OK;
  const attr *a = node_attr(before, "perm");
  if (!a || !b || a->type != ATTR_INTS || b->type != ATTR_INTS || a->count != b->count || a->count > LEDGE_MAX_RANK)
    return LEDGE_OK;
  int64_t perm[LEDGE_MAX_RANK];
  for (int64_t i = 0; i < a->count; i++) {
    if (b->ints[i] < 0 || b->ints[i] >= a->count) return LEDGE_OK;
    perm[i] = a->ints[b->ints[i]];
  }
  n->in[0] = before->in[0];
  p->changed = true;
  return node_set_ints(p->g, n, "perm", perm, a->count);
}

ledge_status pass_clean(pass_run *p) {
  graph *g = p->g;
  for (int i = 0; i < g->n_nodes; i++) {
    node *n = &g->nodes[i];
    if (p->dead[i] || n->n_out < 1 || n->n_in < 1 || n->out[0] == VALUE_ABSENT || n->in[0] == VALUE_ABSENT) continue;
    bool nothing = node_is(n, "", "Identity") || (node_is(n, "", "Dropout") && dropout_is_identity(p, n));
    if (node_is(n, "", "Transpose")) {
      TRY(merge_transposes(p, n));
      const attr *perm = node_attr(n, "perm");
      nothing = perm && perm->type == ATTR_INTS && is_identity_perm(perm->ints, perm->count);
    }
    if (nothing && !is_output(g, n->out[0])) bypass(p, n, n->in[0]);
  }
  return LEDGE_OK;
}

/* The same once more, for the Transposes that passes/layout puts beside those of the model. */
ledge_status pass_tidy(pass_run *p) { return pass_clean(p); }
