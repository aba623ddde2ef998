/* passes/separable: convolutions that follow each other, 1x1, depthwise, 1x1 (or two of them), become one
 * ledge.Separable, where what stands between them is so large that it would leave the cache (kernels/separable).
 *
 *   Conv 1x1 -> Conv depthwise -> Conv 1x1 (+ R)        Conv depthwise -> Conv 1x1 (+ R)        Conv 1x1 -> Conv
 * depthwise
 */
#include "passes/pass.h"

#include "ops/fused.h"

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

/* The convolution that makes v for this reader alone, and adds nothing to it. */
static node *stage_before(pass_run *p, value_id v, bool (*is)(pass_run *, const node *)) {
  node *n = pass_producer(p, v);
  return n && is(p, n) && pass_read_once(p, v) && node_in(n, 3) == VALUE_ABSENT ? n : NULL;
}

static int64_t bytes_of(pass_run *p, value_id v) {
  const tensor *t = pass_shape(p, v);
  return t && t->dtype == LEDGE_F32 && t->rank == 4 ? tensor_elements(t) / (t->dims[0] ? t->dims[0] : 1) * 4 : 0;
}

/* The activation of a fused node, to be written under other names. */
typedef struct activation {
  const char *name;
  float alpha, beta;
} activation;

static activation activation_of(const node *n) {
  activation a = {NULL, node_attr_float(n, "act_alpha", 1), node_attr_float(n, "act_beta", 0)};
  const attr *act = node_attr(n, "act");
  for (int i = 0; act && act->type == ATTR_STRING && i < KERNEL_ACT_COUNT; i++) {
    const char *name = fused_act_name((kernel_act)i);
    if (name && strlen(name) == act->s.size && !memcmp(name, act->s.data, act->s.size)) a.name = name;
  }
  return a;
}

static ledge_status set_activation(pass_run *p, node *n, activation a, const char *name, const char *alpha,
                                   const char *beta) {
  if (!a.name) return LEDGE_OK;
  TRY(node_set_string(p->g, n, name, a.name));
  TRY(node_set_float(p->g, n, alpha, a.alpha));
  return node_set_float(p->g, n, beta, a.beta);
}

/* expand and project may be NULL. The last of the three becomes the block. */
static ledge_status fuse(pass_run *p, node *expand, node *depthwise, node *project) {
  node *last = project ? project : depthwise;
  const node d = *depthwise;
  const value_id in[] = {expand ? expand->in[0] : d.in[0],
                         expand ? expand->in[1] : VALUE_ABSENT,
                         expand ? node_in(expand, 2) : VALUE_ABSENT,
                         d.in[1],
                         node_in(&d, 2),
                         project ? project->in[1] : VALUE_ABSENT,
                         project ? node_in(project, 2) : VALUE_ABSENT,
                         node_in(last, 3)};
  const activation none = {0}, first = expand ? activation_of(expand) : none,
                   second = project ? activation_of(project) : none;
  bool residual_after = node_attr_int(last, "residual_after", 0) != 0;
  if (expand) pass_kill(p, expand);
  if (project) pass_kill(p, depthwise);
  TRY(pass_become(p, last, "ledge", "Separable", 1, in, 8));
  TRY(pass_copy_attrs(p, last, &d));
  TRY(set_activation(p, last, first, "act0", "act0_alpha", "act0_beta"));
  TRY(set_activation(p, last, second, "act2", "act2_alpha", "act2_beta"));
  p->changed = true;
  return residual_after && project ? node_set_int(p->g, last, "residual_after", 1) : LEDGE_OK;
}

/* The block that ends at n, if it is worth it. */
static ledge_status take_block(pass_run *p, node *n, bool with_project) {
  node *project = with_project ? n : NULL;
  if (with_project && !is_pointwise(p, n)) return LEDGE_OK;
  node *depthwise = with_project ? stage_before(p, n->in[0], is_depthwise) : is_depthwise(p, n) ? n : NULL;
  if (!depthwise) return LEDGE_OK;
  node *expand = stage_before(p, depthwise->in[0], is_pointwise);
  if (!expand && !project) return LEDGE_OK;
  int64_t expanded = expand ? bytes_of(p, depthwise->in[0]) : 0, filtered = project ? bytes_of(p, project->in[0]) : 0;
  if (!separable_f32_wins(expanded, filtered)) return LEDGE_OK;
  return fuse(p, expand, depthwise, project);
}

ledge_status pass_separable(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++)
    if (!p->dead[i]) TRY(take_block(p, &p->g->nodes[i], true));
  for (int i = 0; i < p->n_dead; i++)
    if (!p->dead[i]) TRY(take_block(p, &p->g->nodes[i], false));
  return LEDGE_OK;
}
