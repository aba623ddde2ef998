/* passes/separable: convolutions that follow each other, 1x1 or depthwise, become one ledge.Separable, where what
 * stands between them is so large that it would leave the cache (kernels/separable).
 *
 *   Conv 1x1 -> Conv depthwise -> Conv 1x1 (+ R)        Conv depthwise -> Conv 1x1 -> ...        Conv 1x1 -> Conv
 * depthwise
 */
#include "passes/pass.h"

#include "ops/fused.h"

#include <stdio.h>

enum { KERNEL_MOST = 16 };

static bool has_constant_weights(pass_run *p, const node *n) {
  const tensor *w = pass_constant(p, node_in(n, 1));
  return w && w->dtype == LEDGE_F32 && w->rank == 4 &&
         (node_in(n, 2) == VALUE_ABSENT || pass_constant(p, node_in(n, 2)));
}

static bool ints_are(const node *n, const char *name, int64_t least, int64_t most) {
  const attr *a = node_attr(n, name);
  for (int i = 0; a && a->type == ATTR_INTS && i < a->count; i++)
    if (a->ints[i] < least || a->ints[i] > most) return false;
  return !a || a->type == ATTR_INTS;
}

static bool is_pointwise(pass_run *p, const node *n) {
  if (!node_is(n, "ledge", "Conv") || !has_constant_weights(p, n) || node_attr_int(n, "group", 1) != 1) return false;
  const tensor *w = pass_constant(p, n->in[1]);
  return w->dims[2] == 1 && w->dims[3] == 1 && ints_are(n, "strides", 1, 1) && ints_are(n, "pads", 0, 0);
}

static bool is_depthwise(pass_run *p, const node *n) {
  if (!node_is(n, "ledge", "Conv") || !has_constant_weights(p, n)) return false;
  const tensor *w = pass_constant(p, n->in[1]);
  return w->dims[0] > 1 && w->dims[1] == 1 && node_attr_int(n, "group", 1) == w->dims[0] && w->dims[2] <= KERNEL_MOST &&
         w->dims[3] <= KERNEL_MOST && ints_are(n, "pads", 0, INT32_MAX);
}

static bool is_stage(pass_run *p, const node *n) { return is_pointwise(p, n) || is_depthwise(p, n); }

/* The stage before n, whose output n alone reads, and is worth not to be written; NULL where there is none. */
static node *stage_before(pass_run *p, const node *n) {
  node *before = pass_producer(p, n->in[0]);
  if (!before || !is_stage(p, before) || !pass_read_once(p, n->in[0]) || node_in(before, 3) != VALUE_ABSENT)
    return NULL;
  const tensor *t = pass_shape(p, n->in[0]);
  if (!t || t->dtype != LEDGE_F32 || t->rank != 4 || t->dims[0] < 1) return NULL;
  return separable_f32_wins(tensor_elements(t) / t->dims[0] * (int64_t)sizeof(float)) ? before : NULL;
}

/* The stages of a row become its last one. */
static ledge_status fuse(pass_run *p, node *const *stages, int n) {
  node *last = stages[n - 1], old[SEPARABLE_MOST];
  value_id in[2 + 2 * SEPARABLE_MOST] = {stages[0]->in[0], node_in(last, 3)};
  for (int i = 0; i < n; i++) {
    old[i] = *stages[i];
    in[2 + 2 * i] = old[i].in[1];
    in[3 + 2 * i] = node_in(&old[i], 2);
    if (i + 1 < n) pass_kill(p, stages[i]);
  }
  TRY(pass_become(p, last, "ledge", "Separable", 1, in, 2 + 2 * n));
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < old[i].n_attrs; k++) {
      char name[64];
      attr a = old[i].attrs[k];
      snprintf(name, sizeof name, "%d.%s", i, a.name);
      a.name = name;
      TRY(node_set_attr(p->g, last, &a));
    }
  }
  p->changed = true;
  return LEDGE_OK;
}

ledge_status pass_separable(pass_run *p) {
  /* Nodes are sorted: a row is taken at its end, after all that may lengthen it. */
  for (int i = p->n_dead - 1; i >= 0; i--) {
    node *stages[SEPARABLE_MOST], *n = &p->g->nodes[i];
    int first = SEPARABLE_MOST;
    for (; !p->dead[i] && n && is_stage(p, n) && first > 0; n = stage_before(p, n)) stages[--first] = n;
    if (SEPARABLE_MOST - first > 1) TRY(fuse(p, stages + first, SEPARABLE_MOST - first));
  }
  return LEDGE_OK;
}
