/* passes/prologue: a ledge.ScaleShift (a batch norm, often clamped) before a 1x1 convolution becomes a part of it,
 * where what stands between them is large: DenseNet's layers.
 *
 *   ledge.ScaleShift(x, scale, shift) -> ledge.Conv 1x1 (W, B, R)           ledge.AffineConv(x, scale, shift, W, B, R)
 *
 * So does the product with a factor of each channel that is computed in each run (squeeze-and-excite), where an image
 * has many more pixels than the convolution has outputs: the weights are then scaled instead of the image.
 *
 *   Mul(x, s [batch, 1, 1, channels]) -> ledge.Conv 1x1 (W, B, R)           ledge.ScaledConv(x, s, W, B, R)
 */
#include "passes/pass.h"

#include <math.h>

enum { PROLOGUE_BYTES_MIN = 128 << 10, PROLOGUE_PIXELS = 8 /* for each output of a scaled convolution */ };

static bool ints_are(const node *n, const char *name, int64_t each) {
  const attr *a = node_attr(n, name);
  for (int i = 0; a && a->type == ATTR_INTS && i < a->count; i++)
    if (a->ints[i] != each) return false;
  return !a || a->type == ATTR_INTS;
}

static bool is_pointwise(pass_run *p, const node *n) {
  const tensor *w = node_is(n, "ledge", "Conv") ? pass_constant(p, node_in(n, 1)) : NULL;
  if (!w || w->dtype != LEDGE_F32 || w->rank != 4 || w->dims[2] != 1 || w->dims[3] != 1) return false;
  return node_attr_int(n, "group", 1) == 1 && ints_are(n, "strides", 1) && ints_are(n, "pads", 0) &&
         (node_in(n, 2) == VALUE_ABSENT || pass_constant(p, n->in[2]));
}

/* No activation, or a clamp, whose bounds are returned. */
static bool is_clamped(const node *n, float *lo, float *hi) {
  const attr *act = node_attr(n, "act");
  *lo = -INFINITY, *hi = INFINITY;
  if (!act) return true;
  *lo = node_attr_float(n, "act_alpha", 1), *hi = node_attr_float(n, "act_beta", 0);
  return act->type == ATTR_STRING && act->s.size == 5 && !memcmp(act->s.data, "clamp", 5);
}

/* An image and a factor of each of its channels. */
static bool is_factor(const tensor *x, const tensor *s) {
  if (!x || !s || x->dtype != LEDGE_F32 || s->dtype != LEDGE_F32 || x->rank != 4 || s->rank != 4) return false;
  return s->dims[0] == x->dims[0] && s->dims[1] == 1 && s->dims[2] == 1 && s->dims[3] == x->dims[3];
}

static ledge_status fuse_factors(pass_run *p, node *mul, node *conv) {
  const int64_t outputs = pass_constant(p, conv->in[1])->dims[0];
  for (int k = 0; k < 2; k++) {
    const tensor *x = pass_shape(p, mul->in[k]), *s = pass_shape(p, mul->in[1 - k]);
    if (!is_factor(x, s) || x->dims[1] * x->dims[2] < PROLOGUE_PIXELS * outputs) continue;
    const node old = *conv;
    const value_id in[] = {mul->in[k], mul->in[1 - k], old.in[1], node_in(&old, 2), node_in(&old, 3)};
    pass_kill(p, mul);
    TRY(pass_become(p, conv, "ledge", "ScaledConv", 1, in, 5));
    return pass_copy_attrs(p, conv, &old);
  }
  return LEDGE_OK;
}

static ledge_status fuse(pass_run *p, node *conv) {
  float lo, hi;
  node *n = is_pointwise(p, conv) && pass_read_once(p, conv->in[0]) ? pass_producer(p, conv->in[0]) : NULL;
  if (n && node_is(n, "", "Mul") && n->version >= 7) return fuse_factors(p, n, conv);
  if (!n || !node_is(n, "ledge", "ScaleShift") || !is_clamped(n, &lo, &hi)) return LEDGE_OK;
  const tensor *y = pass_shape(p, n->out[0]);
  if (!y || y->rank != 4 || tensor_elements(y) * 4 < PROLOGUE_BYTES_MIN || !pass_constant(p, n->in[1]) ||
      !pass_constant(p, n->in[2]))
    return LEDGE_OK;
  const node old = *conv;
  const value_id in[] = {n->in[0], n->in[1], n->in[2], old.in[1], node_in(&old, 2), node_in(&old, 3)};
  pass_kill(p, n);
  TRY(pass_become(p, conv, "ledge", "AffineConv", 1, in, 6));
  TRY(pass_copy_attrs(p, conv, &old));
  TRY(node_set_float(p->g, conv, "pre_lo", lo));
  return node_set_float(p->g, conv, "pre_hi", hi);
}

ledge_status pass_prologue(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++)
    if (!p->dead[i]) TRY(fuse(p, &p->g->nodes[i]));
  return LEDGE_OK;
}
