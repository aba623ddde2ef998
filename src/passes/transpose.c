/* passes/transpose: a Transpose, a Reshape that only splits dims, and a Transpose are a Reshape and one Transpose: what
 * stands between a network that runs channels last and the pixels that it makes of channels.
 *
 *   x [n, h, w, r s] -> Transpose [n, r s, h, w] -> Reshape [n, 1, r, s, h, w] -> Transpose [n, 1, h, r, w, s]
 *   x [n, h, w, r s] -> Reshape [n, h, w, 1, r, s] -> Transpose [n, 1, h, r, w, s]
 */
#include "passes/pass.h"

/* The perm attribute, if it has `rank` entries. */
static const int64_t *perm_of(const node *n, int rank) {
  const attr *perm = node_attr(n, "perm");
  return perm && perm->type == ATTR_INTS && perm->count == rank ? perm->ints : NULL;
}

/* Into which dims of `to` each dim of `from` is split: first[i] to first[i + 1], which may be none of a dim of 1. */
static bool find_splits(const tensor *from, const tensor *to, int *first) {
  int k = 0;
  for (int i = 0; i < from->rank; i++) {
    int64_t product = 1;
    first[i] = k;
    while (k < to->rank && (product < from->dims[i] || (product == from->dims[i] && i == from->rank - 1)))
      if (__builtin_mul_overflow(product, to->dims[k++], &product)) return false;
    if (product != from->dims[i]) return false;
  }
  first[from->rank] = k;
  return k == to->rank;
}

/* Does the Reshape name all its dims? */
static bool is_explicit(pass_run *p, const node *n) {
  const tensor *shape = pass_constant(p, node_in(n, 1));
  const attr *old = node_attr(n, "shape");
  const int64_t *dims = shape && shape->dtype == LEDGE_I64 ? shape->data
                        : old && old->type == ATTR_INTS    ? old->ints
                                                           : NULL;
  int64_t count = shape ? tensor_elements(shape) : old ? old->count : 0;
  for (int64_t i = 0; dims && i < count; i++)
    if (dims[i] < 1) return false;
  return dims != NULL;
}

static ledge_status merge(pass_run *p, int at) {
  graph *g = p->g;
  node *last = &g->nodes[at], *reshape = pass_only(p, node_in(last, 0), "Reshape");
  node *before = reshape && is_explicit(p, reshape) ? pass_only(p, reshape->in[0], "Transpose") : NULL;
  if (!before) return LEDGE_OK;
  const tensor *x = pass_shape(p, before->in[0]), *from = pass_shape(p, reshape->in[0]),
               *to = pass_shape(p, last->in[0]);
  int first[LEDGE_MAX_RANK + 1], place[LEDGE_MAX_RANK], n = 0;
  if (!x || !from || !to || x->rank != from->rank || !find_splits(from, to, first)) return LEDGE_OK;
  const int64_t *a = perm_of(before, from->rank), *b = perm_of(last, to->rank);
  if (!a || !b) return LEDGE_OK;
  int64_t dims[LEDGE_MAX_RANK], perm[LEDGE_MAX_RANK];
  for (int d = 0; d < x->rank; d++) /* x's dim d is `from`'s dim i: its pieces stand at d's place now */
    for (int i = 0; i < from->rank; i++)
      for (int k = first[i]; a[i] == d && k < first[i + 1]; k++) place[k] = n, dims[n++] = to->dims[k];
  if (n != to->rank) return LEDGE_OK;
  for (int i = 0; i < n; i++) {
    if (b[i] < 0 || b[i] >= n) return LEDGE_OK;
    perm[i] = place[b[i]];
  }
  const int64_t count = n;
  void *data;
  value_id from_x = before->in[0], shape = pass_new_constant(p, LEDGE_I64, 1, &count, &data);
  if (shape == VALUE_ABSENT) return error_memory(p->error, (size_t)n * sizeof *dims, "a shape");
  memcpy(data, dims, (size_t)n * sizeof *dims);
  pass_kill(p, before);
  TRY(pass_become(p, reshape, "", "Reshape", 13, (value_id[]){from_x, shape}, 2));
  return node_set_ints(g, last, "perm", perm, n);
}

ledge_status pass_transpose(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++)
    if (!p->dead[i] && node_is(&p->g->nodes[i], "", "Transpose")) TRY(merge(p, i));
  return LEDGE_OK;
}
