/* passes/branch: an If whose condition is a constant gives way to the branch that it takes. Exporters write many, whose
 * conditions hang on nothing but ranks. */
#include "passes/pass.h"

#include <stdio.h>

/* The branch's nodes in place of the If; Identities give its outputs their names. */
static ledge_status take_branch(pass_run *p, int at, const graph *branch) {
  graph *g = p->g;
  int n_out = g->nodes[at].n_out, version = g->nodes[at].version;
  value_id *captures = mem_alloc_array((size_t)branch->n_captures, sizeof *captures);
  value_id *outs = mem_alloc_array((size_t)branch->n_outputs, sizeof *outs);
  value_id *names = mem_alloc_array((size_t)n_out, sizeof *names);
  char prefix[200];
  ledge_status status =
      captures && outs && names ? LEDGE_OK : error_memory(p->error, (size_t)n_out * sizeof *names, "a branch");
  snprintf(prefix, sizeof prefix, "%.190s", g->nodes[at].name[0] ? g->nodes[at].name : "branch");
  for (int i = 0; !status && i < branch->n_captures; i++) captures[i] = branch->captures[i].outer;
  for (int i = 0; !status && i < n_out; i++) names[i] = g->nodes[at].out[i];
  if (!status) pass_kill(p, &g->nodes[at]);
  if (!status) status = graph_inline(g, branch, NULL, captures, prefix, outs, p->error);
  for (int i = 0; !status && i < n_out; i++) {
    if (names[i] == VALUE_ABSENT) continue;
    node *n = graph_add_node(g, "", "Identity", version, "", &outs[i], 1, &names[i], 1);
    if (n)
      n->def = ops_find("", "Identity", version);
    else
      status = error_memory(p->error, sizeof *n, "a node");
  }
  mem_free(captures);
  mem_free(outs);
  mem_free(names);
  return status;
}

ledge_status pass_branch(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++) {
    const node *n = &p->g->nodes[i];
    if (p->dead[i] || !node_is(n, "", "If") || n->n_in != 1) continue;
    const tensor *condition = pass_constant(p, n->in[0]);
    if (!condition || condition->dtype != LEDGE_BOOL || tensor_elements(condition) != 1) continue;
    const attr *a = node_attr(n, tensor_i64(condition, 0) ? "then_branch" : "else_branch");
    if (!a || a->type != ATTR_GRAPH || a->g->n_inputs || a->g->n_outputs < n->n_out) continue;
    TRY(take_branch(p, i, a->g));
  }
  return LEDGE_OK;
}
