/* passes/gradient/reduce: rules of reductions, softmax, normalisation by a norm, and losses. */
#include "passes/gradient/back.h"

/* The axes over which n reduces: as a value, as the attribute's list, or all. */
typedef struct reduced {
  value_id axes; /* VALUE_ABSENT: list, or all */
  const attr *list;
  bool keep, noop;
} reduced;

static reduced reduced_of(const node *n) {
  const attr *list = node_attr(n, "axes");
  return (reduced){.axes = node_in(n, 1),
                   .list = list && list->type == ATTR_INTS && list->count > 0 ? list : NULL,
                   .keep = node_attr_int(n, "keepdims", 1) != 0,
                   .noop = node_attr_int(n, "noop_with_empty_axes", 0) != 0};
}

static value_id axes_value(back *b, const reduced *r) {
  return r->list ? back_list(b, r->list->ints, (int)r->list->count) : r->axes;
}

/* v, which has the shape of the reduced output, with the dims kept. Where all axes are reduced it is a scalar, or has
 * them kept already: both broadcast. */
static value_id kept(back *b, const reduced *r, value_id v) {
  value_id axes = r->keep ? VALUE_ABSENT : axes_value(b, r);
  return axes == VALUE_ABSENT ? v : back_op2(b, "Unsqueeze", v, axes);
}

/* Another reduction of v over the same axes, with the dims kept. */
static value_id reduce_as(back *b, const reduced *r, const char *op, value_id v) {
  value_id axes = axes_value(b, r);
  value_id y = axes == VALUE_ABSENT ? back_op1(b, op, v) : back_op2(b, op, v, axes);
  if (r->noop) back_int(b, "noop_with_empty_axes", 1);
  return y;
}

/* dx = dy * p / x, where p / x is the product of all but x, whether or not there are zeros. */
static value_id product_slope(back *b, const reduced *r, value_id x, value_id dy) {
  value_id zero = back_number(b, 0, x), one = back_number(b, 1, x), is_zero = back_op2(b, "Equal", x, zero);
  value_id zeros = reduce_as(b, r, "ReduceSum", back_like(b, is_zero, x));
  value_id rest = back_where(b, is_zero, one, x), product = reduce_as(b, r, "ReduceProd", rest);
  value_id none = back_op2(b, "Equal", zeros, zero), single = back_op2(b, "Equal", zeros, one);
  value_id alone = back_where(b, back_op2(b, "And", single, is_zero), product, zero);
  return back_mul(b, dy, back_where(b, none, back_div(b, product, rest), alone));
}

void gradient_reduce(back *b, const node *n) {
  reduced r = reduced_of(n);
  value_id x = n->in[0], y = n->out[0], dy = kept(b, &r, back_grad(b, n, 0)), dx = VALUE_ABSENT;
  const char *op = n->op + strlen("Reduce");
  if (!strcmp(op, "Sum")) {
    dx = dy;
  } else if (!strcmp(op, "Mean")) {
    value_id share = back_div(b, back_like(b, back_op1(b, "Size", y), x), back_like(b, back_op1(b, "Size", x), x));
    dx = back_mul(b, dy, share);
  } else if (!strcmp(op, "SumSquare")) {
    dx = back_mul(b, dy, back_add(b, x, x));
  } else if (!strcmp(op, "L1")) {
    dx = back_mul(b, dy, back_op1(b, "Sign", x));
  } else if (!strcmp(op, "L2")) { /* 0 where all are 0 */
    value_id norm = kept(b, &r, y), zero = back_op2(b, "Equal", norm, back_number(b, 0, x));
    dx = back_mul(b, dy, back_div(b, x, back_where(b, zero, back_number(b, 1, x), norm)));
  } else if (!strcmp(op, "LogSum")) {
    dx = back_mul(b, dy, back_op1(b, "Exp", back_neg(b, kept(b, &r, y))));
  } else if (!strcmp(op, "LogSumExp")) {
    dx = back_mul(b, dy, back_op1(b, "Exp", back_sub(b, x, kept(b, &r, y))));
  } else if (!strcmp(op, "Max") || !strcmp(op, "Min")) { /* equal winners share */
    value_id wins = back_like(b, back_op2(b, "Equal", x, kept(b, &r, y)), dy);
    dx = back_mul(b, wins, back_div(b, dy, reduce_as(b, &r, "ReduceSum", wins)));
  } else {
    dx = product_slope(b, &r, x, dy);
  }
  back_give(b, x, back_op2(b, "Expand", dx, back_shape(b, x)));
}

void gradient_cum_prod(back *b, const node *n) {
  const value_id in[] = {n->in[0], back_grad(b, n, 0), n->in[1]};
  value_id dx = back_emit(b, "ledge", "CumProdGrad", 1, in, 3);
  back_attrs(b, n);
  back_give(b, n->in[0], dx);
}

/* ---- softmax ---- */

/* y (dy - sum(dy y)) along the axis; log: dy - e^y sum(dy). Before version 13 the dims from the axis on are one. */
void gradient_softmax(back *b, const node *n) {
  bool log = !strcmp(n->op, "LogSoftmax"), flat = n->version < 13;
  int64_t axis = node_attr_int(n, "axis", flat ? 1 : -1);
  value_id y = n->out[0], dy = back_grad(b, n, 0);
  if (flat) {
    y = back_op1(b, "Flatten", y);
    back_int(b, "axis", axis);
    dy = back_op1(b, "Flatten", dy);
    back_int(b, "axis", axis);
    axis = -1;
  }
  value_id dx;
  if (log)
    dx = back_sub(b, dy, back_mul(b, back_op1(b, "Exp", y), back_reduce(b, "ReduceSum", dy, &axis, 1)));
  else
    dx = back_mul(b, y, back_sub(b, dy, back_reduce(b, "ReduceSum", back_mul(b, dy, y), &axis, 1)));
  back_give(b, n->in[0], flat ? back_reshape_like(b, dx, n->in[0]) : dx);
}

void gradient_lp_normalization(back *b, const node *n) {
  int64_t axis = node_attr_int(n, "axis", -1);
  int begin = back_lower_begin(b);
  value_id norm = back_reduce(b, node_attr_int(n, "p", 2) == 1 ? "ReduceL1" : "ReduceL2", n->in[0], &axis, 1);
  value_id zero = back_op2(b, "Equal", norm, back_number(b, 0, norm));
  value_id y = back_div(b, n->in[0], back_where(b, zero, back_number(b, 1, norm), norm));
  back_lower(b, begin, n, &y, 1);
}

/* ---- losses ---- */

/* The loss of log probabilities p [batch, classes, ...] at the targets t [batch, ...]. */
static value_id likelihood(back *b, const node *n, value_id p) {
  const attr *ignore = node_attr(n, "ignore_index"), *reduction = node_attr(n, "reduction");
  value_id t = n->in[1], w = node_in(n, 2), counts = VALUE_ABSENT;
  int64_t one = 1;
  if (ignore && ignore->type == ATTR_INT) {
    value_id which = back_op1(b, "Cast", t);
    back_int(b, "to", LEDGE_I64);
    value_id keep = back_op1(b, "Not", back_op2(b, "Equal", which, back_i64(b, ignore->i)));
    t = back_where(b, keep, which, back_i64(b, 0));
    counts = back_like(b, keep, p);
  }
  value_id picked = back_op2(b, "GatherElements", p, back_unsqueeze(b, t, one));
  back_int(b, "axis", 1);
  value_id loss = back_neg(b, back_op2(b, "Squeeze", picked, back_list(b, &one, 1)));
  if (w != VALUE_ABSENT) {
    value_id weight = back_like(b, back_op2(b, "Gather", w, t), p);
    counts = counts == VALUE_ABSENT ? weight : back_mul(b, weight, counts);
  }
  if (counts != VALUE_ABSENT) loss = back_mul(b, loss, counts);
  if (reduction && reduction->type == ATTR_STRING && reduction->s.size == 4 && !memcmp(reduction->s.data, "none", 4))
    return loss;
  bool sum = reduction && reduction->type == ATTR_STRING && reduction->s.size == 3;
  value_id total = back_op1(b, "ReduceSum", loss);
  back_int(b, "keepdims", 0);
  if (sum) return total;
  value_id weights = counts;
  if (weights == VALUE_ABSENT) return back_div(b, total, back_like(b, back_op1(b, "Size", t), p));
  weights = back_op1(b, "ReduceSum", counts);
  back_int(b, "keepdims", 0);
  return back_div(b, total, weights);
}

void gradient_nll_loss(back *b, const node *n) {
  int begin = back_lower_begin(b);
  value_id loss = likelihood(b, n, n->in[0]);
  back_lower(b, begin, n, &loss, 1);
}

void gradient_softmax_loss(back *b, const node *n) {
  int begin = back_lower_begin(b);
  value_id p = back_op1(b, "LogSoftmax", n->in[0]);
  back_int(b, "axis", 1);
  const value_id outs[] = {back_has(b, n, 0) ? likelihood(b, n, p) : VALUE_ABSENT, p};
  back_lower(b, begin, n, outs, 2);
}
