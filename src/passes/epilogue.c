/* passes/epilogue: what follows a fused product is done while its sums are in registers: an activation, and the
 * addition of a residual of the same shape.
 *
 *   Conv -> Relu           act           Conv -> Add(r) -> Relu      residual, then act
 *                                        Conv -> Relu -> Add(r)      act, then residual (residual_after)
 */
#include "passes/pass.h"

#include "ops/fused.h"

#include <math.h>

/* The epilogue that node n is; false where it is none. */
static bool activation_of(pass_run *p, const node *n, kernel_epilogue *e) {
  static const struct {
    const char *op;
    kernel_act act;
    float alpha, beta; /* defaults of the attributes */
  } acts[] = {{"Relu", KERNEL_ACT_CLAMP, 0, INFINITY},
              {"LeakyRelu", KERNEL_ACT_LEAKY_RELU, 0.01f, 0},
              {"HardSigmoid", KERNEL_ACT_HARDSIGMOID, 0.2f, 0.5f},
              {"HardSwish", KERNEL_ACT_HARDSWISH, 0, 0},
              {"Sigmoid", KERNEL_ACT_SIGMOID, 0, 0},
              {"Swish", KERNEL_ACT_SILU, 1, 0},
              {"Tanh", KERNEL_ACT_TANH, 0, 0},
              {"Gelu", KERNEL_ACT_GELU_ERF, 0, 0},
              {"Elu", KERNEL_ACT_ELU, 1, 0},
              {"Mish", KERNEL_ACT_MISH, 0, 0},
              {"Clip", KERNEL_ACT_CLAMP, -INFINITY, INFINITY}};
  for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
    if (!node_is(n, "", acts[i].op)) continue;
    *e = (kernel_epilogue){.act = acts[i].act,
                           .alpha = node_attr_float(n, "alpha", acts[i].alpha),
                           .beta = node_attr_float(n, "beta", acts[i].beta)};
    const attr *approximate = node_attr(n, "approximate");
    if (e->act == KERNEL_ACT_GELU_ERF && approximate && approximate->type == ATTR_STRING && approximate->s.size == 4)
      e->act = KERNEL_ACT_GELU_TANH;
    if (strcmp(n->op, "Clip")) return true;
    if (n->version < 11) {
      e->alpha = node_attr_float(n, "min", -INFINITY);
      e->beta = node_attr_float(n, "max", INFINITY);
      return true;
    }
    return (node_in(n, 1) == VALUE_ABSENT || pass_scalar(p, n->in[1], &e->alpha)) &&
           (node_in(n, 2) == VALUE_ABSENT || pass_scalar(p, n->in[2], &e->beta));
  }
  return false;
}

static node *fused_producer(pass_run *p, value_id v) {
  node *n = pass_producer(p, v);
  if (!n || strcmp(n->domain, "ledge") || !pass_read_once(p, v)) return NULL;
  return n;
}

static ledge_status take_activation(pass_run *p, node *n) {
  kernel_epilogue e;
  node *m = n->n_in ? fused_producer(p, n->in[0]) : NULL;
  if (!m || n->n_out != 1 || !activation_of(p, n, &e)) return LEDGE_OK;
  bool product = !strcmp(m->op, "Conv") || !strcmp(m->op, "ConvTranspose") || !strcmp(m->op, "MatMul");
  bool affine = !strcmp(m->op, "ScaleShift") && e.act == KERNEL_ACT_CLAMP;
  if ((!product && !affine) || node_attr(m, "act")) return LEDGE_OK;
  const node old = *m;
  pass_kill(p, m);
  TRY(pass_become(p, n, "ledge", old.op, 1, old.in, old.n_in));
  TRY(pass_copy_attrs(p, n, &old));
  TRY(node_set_string(p->g, n, "act", fused_act_name(e.act)));
  TRY(node_set_float(p->g, n, "act_alpha", e.alpha));
  return node_set_float(p->g, n, "act_beta", e.beta);
}

static ledge_status take_residual(pass_run *p, node *add) {
  for (int k = 0; k < 2; k++) {
    node *m = fused_producer(p, add->in[k]);
    if (!m || (strcmp(m->op, "Conv") && strcmp(m->op, "MatMul")) || node_in(m, 3) != VALUE_ABSENT) continue;
    value_id other = add->in[1 - k];
    const tensor *y = pass_shape(p, add->in[k]), *r = pass_shape(p, other);
    if (other == add->in[k] || !y || !r || r->dtype != LEDGE_F32 || !tensor_same_shape(y, r) || tensor_elements(y) < 2)
      continue;
    const node old = *m;
    const value_id in[] = {old.in[0], old.in[1], node_in(&old, 2), other};
    pass_kill(p, m);
    TRY(pass_become(p, add, "ledge", old.op, 1, in, 4));
    TRY(pass_copy_attrs(p, add, &old));
    return node_attr(add, "act") ? node_set_int(p->g, add, "residual_after", 1) : LEDGE_OK;
  }
  return LEDGE_OK;
}

ledge_status pass_epilogue(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++) {
    node *n = &p->g->nodes[i];
    if (p->dead[i] || n->domain[0]) continue;
    if (node_is(n, "", "Add") && n->n_in == 2 && n->version >= 7)
      TRY(take_residual(p, n));
    else
      TRY(take_activation(p, n));
  }
  return LEDGE_OK;
}
