/* passes/concat: a Concat whose first parts are those of an earlier one takes that one's output for them. So in a block
 * where each step reads all that came before (DenseNet), each Concat is the one before it and one part more, and the
 * plan lets all of them stand in the memory of the last:
 *
 *   c1 = Concat(x, a)      c2 = Concat(x, a, b)          c3 = Concat(x, a, b, c)
 *                          c2 = Concat(c1, b)            c3 = Concat(c2, c)
 */
#include "passes/pass.h"

enum { CONCAT_BACK_MAX = 64 }; /* earlier Concats that are looked at */

static bool is_concat(const node *n) { return node_is(n, "", "Concat") && n->version >= 4; }

/* The axis counted from the front; -1 where the rank is not known. */
static int64_t axis_of(pass_run *p, const node *n) {
  int64_t axis = node_attr_int(n, "axis", 0);
  const tensor *y = axis < 0 ? pass_shape(p, n->out[0]) : NULL;
  return axis >= 0 ? axis : y ? axis + y->rank : -1;
}

/* Does n begin with all parts of `first`, and go on? */
static bool begins_with(pass_run *p, const node *n, const node *first) {
  if (first->n_in < 2 || first->n_in >= n->n_in || axis_of(p, n) < 0 || axis_of(p, n) != axis_of(p, first))
    return false;
  return !memcmp(n->in, first->in, (size_t)first->n_in * sizeof *n->in);
}

/* n takes the output of `first` for the parts that it begins with. */
static ledge_status shorten(pass_run *p, node *n, const node *first) {
  int rest = n->n_in - first->n_in;
  value_id *in = arena_alloc_array(&p->g->model->arena, (size_t)rest + 1, sizeof *in);
  if (!in) return error_memory(p->error, (size_t)rest * sizeof *in, "a node");
  in[0] = first->out[0];
  memcpy(in + 1, n->in + first->n_in, (size_t)rest * sizeof *in);
  n->in = in;
  n->n_in = rest + 1;
  p->changed = true;
  return LEDGE_OK;
}

ledge_status pass_concat(pass_run *p) {
  graph *g = p->g;
  int n = 0;
  for (int i = 0; i < g->n_nodes; i++) n += is_concat(&g->nodes[i]);
  if (n < 2) return LEDGE_OK;
  node *old = mem_alloc_array((size_t)n, sizeof *old); /* as they were: what is shortened still begins as it did */
  if (!old) return error_memory(p->error, (size_t)n * sizeof *old, "a pass");
  ledge_status status = LEDGE_OK;
  n = 0;
  for (int i = 0; !status && i < g->n_nodes; i++) {
    const node *best = NULL;
    if (!is_concat(&g->nodes[i])) continue;
    old[n] = g->nodes[i];
    for (int k = n - 1; k >= 0 && k >= n - CONCAT_BACK_MAX; k--)
      if (begins_with(p, &old[n], &old[k]) && (!best || old[k].n_in > best->n_in)) best = &old[k];
    n++;
    if (best) status = shorten(p, &g->nodes[i], best);
  }
  mem_free(old);
  return status;
}
