/* passes/pad: a Pad with zeros over spatial dims before a Conv becomes the Conv's own pads. */
#include "passes/pass.h"

/* The pads as a list of 2 * rank, from the attribute or the constant input; false where they are not plain zeros. */
static bool zero_pads(pass_run *p, const node *n, int rank, int64_t *pads) {
  const attr *mode = node_attr(n, "mode");
  if (mode && (mode->type != ATTR_STRING || mode->s.size != 8 || memcmp(mode->s.data, "constant", 8))) return false;
  if (n->version < 11) {
    const attr *a = node_attr(n, n->version < 2 ? "paddings" : "pads");
    if (!a || a->type != ATTR_INTS || a->count != 2 * rank || node_attr_float(n, "value", 0) != 0) return false;
    memcpy(pads, a->ints, (size_t)a->count * sizeof *pads);
    return true;
  }
  float v = 0;
  if (node_in(n, 2) != VALUE_ABSENT && (!pass_scalar(p, n->in[2], &v) || v != 0)) return false;
  if (node_in(n, 3) != VALUE_ABSENT) return false;
  const tensor *t = pass_constant(p, node_in(n, 1));
  if (!t || t->dtype != LEDGE_I64 || tensor_elements(t) != 2 * rank) return false;
  memcpy(pads, t->data, (size_t)(2 * rank) * sizeof *pads);
  return true;
}

static ledge_status fold_pad(pass_run *p, node *conv) {
  node *pad = pass_only(p, conv->in[0], "Pad");
  const tensor *w = pass_constant(p, node_in(conv, 1));
  if (!pad || !w || w->rank < 3) return LEDGE_OK;
  int64_t pads[2 * LEDGE_MAX_RANK], own[2 * LEDGE_MAX_RANK] = {0};
  int rank = w->rank, spatial = rank - 2;
  const attr *auto_pad = node_attr(conv, "auto_pad"), *have = node_attr(conv, "pads");
  if (auto_pad && !(auto_pad->type == ATTR_STRING && auto_pad->s.size == 6 && !memcmp(auto_pad->s.data, "NOTSET", 6)))
    return LEDGE_OK;
  if (!zero_pads(p, pad, rank, pads) || pads[0] || pads[1] || pads[rank] || pads[rank + 1]) return LEDGE_OK;
  if (have && (have->type != ATTR_INTS || have->count != 2 * spatial)) return LEDGE_OK;
  for (int i = 0; i < spatial; i++) {
    if (pads[2 + i] < 0 || pads[rank + 2 + i] < 0 || pads[2 + i] > INT32_MAX || pads[rank + 2 + i] > INT32_MAX)
      return LEDGE_OK;
    own[i] = pads[2 + i] + (have ? have->ints[i] : 0);
    own[spatial + i] = pads[rank + 2 + i] + (have ? have->ints[spatial + i] : 0);
  }
  conv->in[0] = pad->in[0];
  pass_kill(p, pad);
  return node_set_ints(p->g, conv, "pads", own, 2 * spatial);
}

ledge_status pass_pad(pass_run *p) {
  for (int i = 0; i < p->g->n_nodes; i++)
    if (!p->dead[i] && node_is(&p->g->nodes[i], "", "Conv")) TRY(fold_pad(p, &p->g->nodes[i]));
  return LEDGE_OK;
}
