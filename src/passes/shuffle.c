/* passes/shuffle: a channel shuffle, which exporters spell as Reshape, Transpose and Reshape, is one step that moves
 * each element once, from where it is before a Concat if there is one. For rows of channels, which is how images lie
 * after passes/layout:
 *
 *   Concat(a, b) [.., 2 k] -> Reshape [.., 2, k] -> Transpose (the last two) -> Reshape [.., 2 k]      ledge.Shuffle(a,
 * b)
 */
#include "passes/pass.h"

/* perm exchanges the last two of `rank` dims. */
static bool swaps_last(const node *n, int rank) {
  const attr *perm = node_attr(n, "perm");
  if (rank < 2 || !perm || perm->type != ATTR_INTS || perm->count != rank) return false;
  for (int i = 0; i < rank - 2; i++)
    if (perm->ints[i] != i) return false;
  return perm->ints[rank - 2] == rank - 1 && perm->ints[rank - 1] == rank - 2;
}

/* Does a have the first dims of b, all but its last `but`? */
static bool same_rows(const tensor *a, const tensor *b, int but) {
  return !memcmp(a->dims, b->dims, (size_t)(b->rank - but) * sizeof *a->dims);
}

/* Is v a Concat along the last dim of `groups` inputs of one shape, read by the shuffle alone? */
static node *concat_before(pass_run *p, value_id v, int64_t groups) {
  node *n = pass_only(p, v, "Concat");
  const tensor *y = n ? pass_shape(p, v) : NULL;
  if (!y || n->n_in != groups) return NULL;
  int64_t axis = node_attr_int(n, "axis", n->version < 4 ? 1 : 0);
  if (axis != y->rank - 1 && axis != -1) return NULL;
  for (int i = 0; i < n->n_in; i++) {
    const tensor *x = pass_shape(p, n->in[i]);
    if (!x || x->rank != y->rank || x->dims[x->rank - 1] != y->dims[y->rank - 1] / groups) return NULL;
  }
  return n;
}

static ledge_status fuse(pass_run *p, node *last) {
  node *turn = pass_only(p, node_in(last, 0), "Transpose"), *first = turn ? pass_only(p, turn->in[0], "Reshape") : NULL;
  if (!first) return LEDGE_OK;
  const tensor *x = pass_shape(p, first->in[0]), *split = pass_shape(p, turn->in[0]), *y = pass_shape(p, last->out[0]);
  if (!x || !split || !y || x->rank < 1 || x->dtype == LEDGE_STRING || split->rank != x->rank + 1 ||
      !swaps_last(turn, split->rank) || !tensor_same_shape(x, y) || !same_rows(split, x, 1))
    return LEDGE_OK;
  int64_t groups = split->dims[x->rank - 1];
  if (groups < 2 || groups * split->dims[x->rank] != x->dims[x->rank - 1]) return LEDGE_OK;
  node *concat = concat_before(p, first->in[0], groups);
  const node old = concat ? *concat : *first;
  pass_kill(p, turn);
  pass_kill(p, first);
  if (concat) pass_kill(p, concat);
  TRY(pass_become(p, last, "ledge", "Shuffle", 1, old.in, concat ? old.n_in : 1));
  return node_set_int(p->g, last, "groups", groups);
}

ledge_status pass_shuffle(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++)
    if (!p->dead[i] && node_is(&p->g->nodes[i], "", "Reshape")) TRY(fuse(p, &p->g->nodes[i]));
  return LEDGE_OK;
}
