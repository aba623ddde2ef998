/* passes/activation: recognises activations that exporters write out in small pieces.
 *
 *   GELU        x/2 * (1 + erf(x / sqrt 2)), in the orders in which frameworks multiply
 *   SiLU        x * sigmoid(x)
 *   HardSwish   x * hardsigmoid(x) with 1/6 and 1/2;  x * clip(x + 3, 0, 6) / 6
 */
#include "passes/pass.h"

/* The other input of a two-input node. */
static value_id other_of(const node *n, value_id v) { return n->in[0] == v ? n->in[1] : n->in[0]; }

/* Is v = x * c or x / (1 / c)? Then x, with the node to be killed. */
static value_id scaled(pass_run *p, value_id v, float c, node **ret) {
  node *n = pass_producer(p, v);
  if (!n || !pass_read_once(p, v)) return VALUE_ABSENT;
  *ret = n;
  if (node_is(n, "", "Div") && pass_scalar_near(p, n->in[1], 1 / c)) return n->in[0];
  if (!node_is(n, "", "Mul")) return VALUE_ABSENT;
  if (pass_scalar_near(p, n->in[1], c)) return n->in[0];
  return pass_scalar_near(p, n->in[0], c) ? n->in[1] : VALUE_ABSENT;
}

/* v = 1 + erf(x / sqrt 2): x. The nodes on the way in chain[3]. */
static value_id one_plus_erf(pass_run *p, value_id v, node **chain) {
  node *add = pass_only(p, v, "Add");
  if (!add) return VALUE_ABSENT;
  int erf_at = pass_scalar_near(p, add->in[1], 1) ? 0 : pass_scalar_near(p, add->in[0], 1) ? 1 : -1;
  node *erf = erf_at < 0 ? NULL : pass_only(p, add->in[erf_at], "Erf");
  if (!erf) return VALUE_ABSENT;
  chain[0] = add;
  chain[1] = erf;
  return scaled(p, erf->in[0], 0.70710678f, &chain[2]);
}

static ledge_status finish(pass_run *p, node *last, const char *op, int version, value_id x, node **chain,
                           int n_chain) {
  for (int i = 0; i < n_chain; i++) pass_kill(p, chain[i]);
  return pass_become(p, last, "", op, version, &x, 1);
}

/* last is the outermost multiplication. Forms: (x * e) * 0.5;  (x * 0.5) * e;  x * (e * 0.5). */
static ledge_status try_gelu(pass_run *p, node *last) {
  node *chain[4] = {NULL};
  if (pass_scalar_near(p, last->in[0], 0.5f) || pass_scalar_near(p, last->in[1], 0.5f)) {
    value_id inner = pass_scalar_near(p, last->in[1], 0.5f) ? last->in[0] : last->in[1];
    node *mul = pass_only(p, inner, "Mul");
    for (int i = 0; mul && i < 2; i++) {
      value_id x = one_plus_erf(p, mul->in[i], chain);
      if (x == VALUE_ABSENT || x != mul->in[1 - i]) continue;
      chain[3] = mul;
      return finish(p, last, "Gelu", 20, x, chain, 4);
    }
    return LEDGE_OK;
  }
  for (int i = 0; i < 2; i++) {
    value_id e = last->in[i], rest = last->in[1 - i];
    value_id x = one_plus_erf(p, e, chain);
    if (x != VALUE_ABSENT && scaled(p, rest, 0.5f, &chain[3]) == x) return finish(p, last, "Gelu", 20, x, chain, 4);
    value_id half = scaled(p, e, 0.5f, &chain[3]);
    if (half == VALUE_ABSENT) continue;
    x = one_plus_erf(p, half, chain);
    if (x != VALUE_ABSENT && x == rest) return finish(p, last, "Gelu", 20, x, chain, 4);
  }
  return LEDGE_OK;
}

static ledge_status try_sigmoid(pass_run *p, node *last) {
  for (int i = 0; i < 2; i++) {
    value_id x = last->in[1 - i];
    node *s = pass_only(p, last->in[i], "Sigmoid");
    if (s && s->in[0] == x) return finish(p, last, "Swish", 24, x, &s, 1);
    node *h = pass_only(p, last->in[i], "HardSigmoid");
    if (h && h->in[0] == x && node_attr_float(h, "alpha", 0.2f) > 0.1666f &&
        node_attr_float(h, "alpha", 0.2f) < 0.1667f && node_attr_float(h, "beta", 0.5f) == 0.5f)
      return finish(p, last, "HardSwish", 14, x, &h, 1);
  }
  return LEDGE_OK;
}

/* clip(x + 3, 0, 6), as Clip of any version. */
static value_id relu6_of_plus3(pass_run *p, value_id v, node **chain) {
  node *clip = pass_only(p, v, "Clip");
  if (!clip) return VALUE_ABSENT;
  float lo = node_attr_float(clip, "min", -1), hi = node_attr_float(clip, "max", -1);
  if (clip->version >= 11 && (!pass_scalar(p, node_in(clip, 1), &lo) || !pass_scalar(p, node_in(clip, 2), &hi)))
    return VALUE_ABSENT;
  if (lo != 0 || hi != 6) return VALUE_ABSENT;
  node *add = pass_only(p, clip->in[0], "Add");
  if (!add) return VALUE_ABSENT;
  chain[0] = clip;
  chain[1] = add;
  if (pass_scalar_near(p, add->in[1], 3)) return add->in[0];
  return pass_scalar_near(p, add->in[0], 3) ? add->in[1] : VALUE_ABSENT;
}

/* (x * clip) / 6 and x * (clip / 6). */
static ledge_status try_hardswish(pass_run *p, node *last) {
  node *chain[4] = {NULL};
  bool div = node_is(last, "", "Div") && pass_scalar_near(p, last->in[1], 6);
  bool mul = node_is(last, "", "Mul");
  value_id product = div ? last->in[0] : VALUE_ABSENT;
  for (int i = 0; mul && i < 2; i++)
    if (pass_scalar_near(p, last->in[i], 1.f / 6)) product = last->in[1 - i];
  if (product != VALUE_ABSENT) {
    node *m = pass_only(p, product, "Mul");
    for (int i = 0; m && i < 2; i++) {
      value_id x = relu6_of_plus3(p, m->in[i], chain);
      if (x == VALUE_ABSENT || x != other_of(m, m->in[i])) continue;
      chain[2] = m;
      return finish(p, last, "HardSwish", 14, x, chain, 3);
    }
    return LEDGE_OK;
  }
  for (int i = 0; mul && i < 2; i++) {
    value_id clip = scaled(p, last->in[i], 1.f / 6, &chain[2]);
    value_id x = clip == VALUE_ABSENT ? VALUE_ABSENT : relu6_of_plus3(p, clip, chain);
    if (x != VALUE_ABSENT && x == last->in[1 - i]) return finish(p, last, "HardSwish", 14, x, chain, 3);
  }
  return LEDGE_OK;
}

ledge_status pass_activation(pass_run *p) {
  for (int i = 0; i < p->g->n_nodes; i++) {
    node *n = &p->g->nodes[i];
    if (p->dead[i] || n->n_in != 2 || n->n_out != 1 || n->version < 7) continue;
    if (node_is(n, "", "Mul")) TRY(try_gelu(p, n));
    if (node_is(n, "", "Mul") && n->n_in == 2) TRY(try_sigmoid(p, n));
    if ((node_is(n, "", "Mul") || node_is(n, "", "Div")) && n->n_in == 2) TRY(try_hardswish(p, n));
  }
  return LEDGE_OK;
}
