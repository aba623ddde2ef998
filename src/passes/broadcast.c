/* passes/broadcast: the arithmetic of versions below 7, where an attribute says how the second operand is laid on the
 * first, becomes that of version 7, which broadcasts by shapes. So the passes that follow find a bias or a scale of
 * channels in the one form that they know.
 *
 *   Add-6(x[1, 64, 224, 224], b[64], broadcast = 1, axis = 1)  ->  Add-7(x, b[64, 1, 1]) */
#include "passes/pass.h"

static const char *const operators[] = {"Add", "Sub", "Mul",   "Div",     "Pow", "And",
                                        "Or",  "Xor", "Equal", "Greater", "Less"};

static bool is_old(const node *n) {
  if (n->domain[0] || n->version >= 7 || n->n_in != 2) return false;
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    if (!strcmp(n->op, operators[i])) return true;
  return false;
}

/* b with `more` dims of 1 at its end. */
static ledge_status raise_rank(pass_run *p, value_id b, int more, value_id *ret) {
  const tensor *t = pass_constant(p, b);
  if (t) {
    tensor raised = *t;
    raised.own = NULL;
    for (int i = 0; i < more; i++) raised.dims[raised.rank++] = 1;
    *ret = graph_add_constant(p->g, NULL, &raised);
    return *ret == VALUE_ABSENT ? error_memory(p->error, sizeof raised, "a constant") : LEDGE_OK;
  }
  int64_t axes[LEDGE_MAX_RANK], n = more;
  for (int i = 0; i < more; i++) axes[i] = -1 - i;
  value_id list = graph_add_constant_copy(p->g, NULL, LEDGE_I64, 1, &n, axes);
  *ret = graph_add_value(p->g, NULL);
  node *u = list == VALUE_ABSENT || *ret == VALUE_ABSENT
                ? NULL
                : graph_add_node(p->g, "", "Unsqueeze", 13, "", (const value_id[]){b, list}, 2, ret, 1);
  if (!u) return error_memory(p->error, sizeof *u, "a node");
  u->def = ops_find("", "Unsqueeze", 13);
  return LEDGE_OK;
}

static ledge_status modernise(pass_run *p, int i) {
  const node *n = &p->g->nodes[i];
  const tensor *a = pass_shape(p, n->in[0]), *b = pass_shape(p, n->in[1]);
  if (!a || !b) return LEDGE_OK;
  value_id in[] = {n->in[0], n->in[1]};
  bool same = tensor_same_shape(a, b), one = tensor_elements(b) == 1 && b->rank <= a->rank;
  if (!same && !node_attr_int(n, "broadcast", 0)) return LEDGE_OK; /* the run says what is wrong */
  if (!same && !one) {
    int64_t axis = node_attr_int(n, "axis", a->rank - b->rank);
    if (axis < 0) axis += a->rank;
    if (b->rank > a->rank || axis < 0 || axis > a->rank - b->rank) return LEDGE_OK;
    for (int k = 0; k < b->rank; k++)
      if (b->dims[k] != 1 && b->dims[k] != a->dims[axis + k]) return LEDGE_OK;
    int more = a->rank - b->rank - (int)axis;
    if (more) TRY(raise_rank(p, in[1], more, &in[1]));
  }
  node *now = &p->g->nodes[i];
  return pass_become(p, now, "", now->op, 7, in, 2);
}

ledge_status pass_broadcast(pass_run *p) {
  int n = p->g->n_nodes;
  for (int i = 0; i < n; i++)
    if (is_old(&p->g->nodes[i]) && p->g->nodes[i].in[0] != VALUE_ABSENT && p->g->nodes[i].in[1] != VALUE_ABSENT)
      TRY(modernise(p, i));
  return LEDGE_OK;
}
