/* passes/gradient/norm: rules of normalisations and pools. */
#include "passes/gradient/back.h"

static value_id mean_over(back *b, value_id x, value_id axes) { return back_op2(b, "ReduceMean", x, axes); }

/* What stands in the middle of every normalisation: xh = (x - mean) inv, inv = 1 / sqrt(var + epsilon). */
typedef struct normalised {
  value_id xh, inv, axes;
  bool centred;
} normalised;

static normalised normalise(back *b, value_id x, value_id axes, float epsilon, bool centred) {
  normalised s = {.axes = axes, .centred = centred};
  value_id d = centred ? back_sub(b, x, mean_over(b, x, axes)) : x;
  value_id var = mean_over(b, back_mul(b, d, d), axes);
  s.inv = back_op1(b, "Reciprocal", back_op1(b, "Sqrt", back_add(b, var, back_number(b, epsilon, x))));
  s.xh = back_mul(b, d, s.inv);
  return s;
}

/* From the gradient of xh to that of x: inv (g - mean(g) - xh mean(g xh)). */
static value_id denormalise(back *b, const normalised *s, value_id g) {
  value_id inner = back_mul(b, s->xh, mean_over(b, back_mul(b, g, s->xh), s->axes));
  value_id rest = back_sub(b, g, s->centred ? back_add(b, mean_over(b, g, s->axes), inner) : inner);
  return back_mul(b, s->inv, rest);
}

static value_id axis_list(back *b, int64_t first, int64_t end) {
  int64_t axes[LEDGE_MAX_RANK];
  int n = back_range(first, end, axes);
  return back_list(b, axes, n);
}

/* The sum over all but dim 1: a number a channel. */
static value_id channel_sum(back *b, value_id x, int rank) {
  int64_t axes[LEDGE_MAX_RANK];
  int n = back_range(2, rank, axes + 1);
  axes[0] = 0;
  value_id y = back_reduce(b, "ReduceSum", x, axes, n + 1);
  back_int(b, "keepdims", 0);
  return y;
}

/* ---- LayerNormalization, RMSNormalization ---- */

/* Gradients of the optional outputs, mean and inverse deviation, which are of the stash type. */
static void layer_statistics(back *b, const node *n, value_id axes, float epsilon) {
  value_id x = n->in[0], outs[3] = {VALUE_ABSENT, VALUE_ABSENT, VALUE_ABSENT};
  if (!back_has(b, n, 1) && !back_has(b, n, 2)) return;
  int begin = back_lower_begin(b);
  value_id mean = mean_over(b, x, axes), d = back_sub(b, x, mean), var = mean_over(b, back_mul(b, d, d), axes);
  value_id inv = back_op1(b, "Reciprocal", back_op1(b, "Sqrt", back_add(b, var, back_number(b, epsilon, x))));
  if (back_has(b, n, 1)) outs[1] = back_like(b, mean, n->out[1]);
  if (back_has(b, n, 2)) outs[2] = back_like(b, inv, n->out[2]);
  back_lower(b, begin, n, outs, 3);
}

void gradient_layer_norm(back *b, const node *n) {
  bool rms = !strcmp(n->op, "RMSNormalization") || !strcmp(n->op, "SimplifiedLayerNormalization");
  float epsilon = node_attr_float(n, "epsilon", 1e-5f);
  value_id x = n->in[0], scale = n->in[1], bias = node_in(n, 2);
  int64_t axis = node_attr_int(n, "axis", -1);
  value_id axes = axis_list(b, axis, axis < 0 ? 0 : back_need_rank(b, x));
  if (b->status) return;
  layer_statistics(b, n, axes, epsilon);
  if (!back_has(b, n, 0)) return;
  value_id dy = back_grad(b, n, 0);
  back_give_sum(b, bias, dy);
  if (!back_wants(b, x) && !back_wants(b, scale)) return;
  normalised s = normalise(b, x, axes, epsilon, !rms);
  if (back_wants(b, scale)) back_give_sum(b, scale, back_mul(b, dy, s.xh));
  if (back_wants(b, x)) back_give(b, x, denormalise(b, &s, back_mul(b, dy, scale)));
}

/* ---- BatchNormalization ---- */

static bool batch_norm_trains(const node *n) {
  if (n->version >= 14) return node_attr_int(n, "training_mode", 0) != 0;
  return (n->n_out > 1 && n->out[1] != VALUE_ABSENT) || (n->n_out > 3 && n->out[3] != VALUE_ABSENT);
}

/* y = (x - mean) scale / sqrt(var + epsilon) + bias with given mean and variance. */
static void batch_norm_inference(back *b, const node *n, int rank) {
  value_id x = n->in[0], dy = back_grad(b, n, 0);
  value_id deviation =
      back_op1(b, "Sqrt", back_add(b, n->in[4], back_number(b, node_attr_float(n, "epsilon", 1e-5f), n->in[4])));
  value_id factor = back_div(b, n->in[1], deviation), spread = back_channels(b, factor, rank);
  bool scale = back_wants(b, n->in[1]), var = back_wants(b, n->in[4]);
  if (back_wants(b, x)) back_give(b, x, back_mul(b, dy, spread));
  value_id sum = channel_sum(b, dy, rank);
  back_give(b, n->in[2], sum);
  if (back_wants(b, n->in[3])) back_give(b, n->in[3], back_neg(b, back_mul(b, sum, factor)));
  if (!scale && !var) return;
  value_id d = back_sub(b, x, back_channels(b, n->in[3], rank));
  value_id slope = back_div(b, channel_sum(b, back_mul(b, dy, d), rank), deviation);
  back_give(b, n->in[1], slope);
  if (var) { /* d (var + e)^(-1/2) = -1/2 (var + e)^(-3/2) */
    value_id half = back_number(b, -0.5, n->in[4]), whole = back_mul(b, deviation, deviation);
    back_give(b, n->in[4], back_mul(b, half, back_div(b, back_mul(b, slope, n->in[1]), whole)));
  }
}

/* Gradients of the running statistics, old * momentum + batch * (1 - momentum), and of the batch's own. */
static void batch_norm_statistics(back *b, const node *n, value_id axes) {
  value_id x = n->in[0], outs[5] = {VALUE_ABSENT, VALUE_ABSENT, VALUE_ABSENT, VALUE_ABSENT, VALUE_ABSENT};
  bool any = false;
  for (int k = 1; k < 5; k++) any = any || back_has(b, n, k);
  if (!any) return;
  int begin = back_lower_begin(b);
  value_id mean = mean_over(b, x, axes), d = back_sub(b, x, mean),
           now[2] = {mean, mean_over(b, back_mul(b, d, d), axes)};
  double momentum = node_attr_float(n, "momentum", 0.9f);
  for (int k = 0; k < 2; k++) {
    value_id old = n->in[3 + k];
    now[k] = back_reshape_like(b, now[k], old);
    if (back_has(b, n, 1 + k))
      outs[1 + k] = back_add(b, back_mul(b, old, back_number(b, momentum, old)),
                             back_mul(b, now[k], back_number(b, 1 - momentum, old)));
    if (back_has(b, n, 3 + k)) outs[3 + k] = now[k];
  }
  back_lower(b, begin, n, outs, 5);
}

void gradient_batch_norm(back *b, const node *n) {
  value_id x = n->in[0], scale = n->in[1];
  int rank = back_need_rank(b, x);
  if (b->status) return;
  if (n->version < 9 && node_attr_int(n, "spatial", 1) == 0) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "statistics for each element (spatial 0) have no rule");
    return;
  }
  if (!batch_norm_trains(n)) {
    batch_norm_inference(b, n, rank);
    return;
  }
  int64_t list[LEDGE_MAX_RANK] = {0};
  int n_axes = 1 + back_range(2, rank, list + 1);
  value_id axes = back_list(b, list, n_axes);
  batch_norm_statistics(b, n, axes);
  if (!back_has(b, n, 0)) return;
  value_id dy = back_grad(b, n, 0);
  if (back_wants(b, n->in[2])) back_give(b, n->in[2], channel_sum(b, dy, rank));
  if (!back_wants(b, x) && !back_wants(b, scale)) return;
  normalised s = normalise(b, x, axes, node_attr_float(n, "epsilon", 1e-5f), true);
  if (back_wants(b, scale)) back_give(b, scale, channel_sum(b, back_mul(b, dy, s.xh), rank));
  if (back_wants(b, x)) back_give(b, x, denormalise(b, &s, back_mul(b, dy, back_channels(b, scale, rank))));
}

/* ---- InstanceNormalization, GroupNormalization ---- */

void gradient_instance_norm(back *b, const node *n) {
  value_id x = n->in[0], scale = n->in[1], dy = back_grad(b, n, 0);
  int rank = back_need_rank(b, x);
  if (b->status) return;
  if (back_wants(b, n->in[2])) back_give(b, n->in[2], channel_sum(b, dy, rank));
  normalised s = normalise(b, x, axis_list(b, 2, rank), node_attr_float(n, "epsilon", 1e-5f), true);
  if (back_wants(b, scale)) back_give(b, scale, channel_sum(b, back_mul(b, dy, s.xh), rank));
  if (back_wants(b, x)) back_give(b, x, denormalise(b, &s, back_mul(b, dy, back_channels(b, scale, rank))));
}

/* [batch, groups, elements of a group]; scale and bias are a number a group before version 21, a channel from then on.
 */
void gradient_group_norm(back *b, const node *n) {
  value_id x = n->in[0], scale = n->in[1], dy = back_grad(b, n, 0);
  int rank = back_need_rank(b, x);
  if (b->status) return;
  value_id rows = back_list(b, (int64_t[]){0, node_attr_int(n, "num_groups", 1), -1}, 3);
  bool by_group = n->version < 21;
  value_id wide = by_group ? back_op2(b, "Reshape", dy, rows) : dy;
  int wide_rank = by_group ? 3 : rank;
  if (back_wants(b, n->in[2])) back_give(b, n->in[2], channel_sum(b, wide, wide_rank));
  normalised s = normalise(b, back_op2(b, "Reshape", x, rows), back_list(b, (int64_t[]){2}, 1),
                           node_attr_float(n, "epsilon", 1e-5f), true);
  if (back_wants(b, scale)) {
    value_id xh = by_group ? s.xh : back_reshape_like(b, s.xh, x);
    back_give(b, scale, channel_sum(b, back_mul(b, wide, xh), wide_rank));
  }
  if (!back_wants(b, x)) return;
  value_id g = back_mul(b, wide, back_channels(b, scale, wide_rank));
  if (!by_group) g = back_op2(b, "Reshape", g, rows);
  back_give(b, x, back_reshape_like(b, denormalise(b, &s, g), x));
}

/* (x - mean) / (deviation + 1e-9), over the axes */
void gradient_mean_variance(back *b, const node *n) {
  const attr *list = node_attr(n, "axes");
  value_id x = n->in[0];
  value_id axes = list && list->type == ATTR_INTS ? back_list(b, list->ints, (int)list->count)
                                                  : back_list(b, (int64_t[]){0, 2, 3}, 3);
  int begin = back_lower_begin(b);
  value_id d = back_sub(b, x, mean_over(b, x, axes)), root = back_op1(b, "Sqrt", mean_over(b, back_mul(b, d, d), axes));
  value_id y = back_div(b, d, back_add(b, root, back_number(b, 1e-9, x)));
  back_lower(b, begin, n, &y, 1);
}

/* x (bias + alpha / size * sum of x^2 over a window of channels)^-beta: the window's mean is an AveragePool over
 * [batch, 1, channels, rest]. */
void gradient_lrn(back *b, const node *n) {
  int64_t size = node_attr_int(n, "size", 1);
  value_id x = n->in[0];
  int begin = back_lower_begin(b);
  int64_t one = 1;
  value_id channels = back_dim(b, x, 1), batch = back_dim(b, x, 0);
  value_id shape = back_emit(b, "", "Concat", GRADIENT_OPSET,
                             (value_id[]){batch, back_list(b, &one, 1), channels, back_list(b, (int64_t[]){-1}, 1)}, 4);
  back_int(b, "axis", 0);
  value_id pooled = back_op1(b, "AveragePool", back_op2(b, "Reshape", back_mul(b, x, x), shape));
  back_ints(b, "kernel_shape", (int64_t[]){size, 1}, 2);
  back_ints(b, "pads", (int64_t[]){(size - 1) / 2, 0, size / 2, 0}, 4);
  back_int(b, "count_include_pad", 1);
  value_id s = back_mul(b, back_reshape_like(b, pooled, x), back_number(b, node_attr_float(n, "alpha", 1e-4f), x));
  s = back_add(b, s, back_number(b, node_attr_float(n, "bias", 1), x));
  value_id y = back_mul(b, x, back_op2(b, "Pow", s, back_number(b, -node_attr_float(n, "beta", 0.75f), x)));
  back_lower(b, begin, n, &y, 1);
}

/* ---- pools ---- */

void gradient_max_pool(back *b, const node *n) {
  value_id x = n->in[0];
  if (!back_has(b, n, 0)) return;
  value_id at = back_emit(b, "ledge", "MaxPoolAt", 1, &x, 1);
  back_attrs(b, n);
  back_give(b, x, back_emit(b, "ledge", "ScatterAt", 1, (value_id[]){back_grad(b, n, 0), at, back_shape(b, x)}, 3));
}

static value_id pool_spread(back *b, const node *n, value_id dy, value_id x, bool mean) {
  value_id dx = back_emit(b, "ledge", "PoolSpread", 1, (value_id[]){dy, back_shape(b, x)}, 2);
  back_attrs(b, n);
  back_int(b, "mean", mean);
  return dx;
}

void gradient_average_pool(back *b, const node *n) {
  back_give(b, n->in[0], pool_spread(b, n, back_grad(b, n, 0), n->in[0], true));
}

void gradient_pool_spread(back *b, const node *n) {
  if (!node_attr_int(n, "mean", 1)) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "LpPool has no second derivative here");
    return;
  }
  value_id g = back_emit(b, "", "AveragePool", GRADIENT_OPSET, (value_id[]){back_grad(b, n, 0)}, 1);
  back_attrs(b, n);
  back_give(b, n->in[0], g);
}

/* y = (sum |x|^p)^(1/p): dx = |x|^(p-1) sign(x) y^(1-p) dy; 0 where the window is all zeros */
void gradient_lp_pool(back *b, const node *n) {
  bool global = !strcmp(n->op, "GlobalLpPool");
  value_id x = n->in[0], y = n->out[0], one = back_number(b, 1, x);
  double p = n->version < 2 ? node_attr_float(n, "p", 2) : (double)node_attr_int(n, "p", 2);
  value_id safe = back_where(b, back_op2(b, "Equal", y, back_number(b, 0, y)), one, y);
  value_id g = back_mul(b, back_grad(b, n, 0), back_op2(b, "Pow", safe, back_number(b, 1 - p, x)));
  value_id slope =
      back_mul(b, back_op1(b, "Sign", x), back_op2(b, "Pow", back_op1(b, "Abs", x), back_number(b, p - 1, x)));
  back_give(b, x, back_mul(b, slope, global ? g : pool_spread(b, n, g, x, false)));
}

void gradient_global_average_pool(back *b, const node *n) {
  int rank = back_need_rank(b, n->in[0]);
  int begin = back_lower_begin(b);
  value_id y = rank > 2 ? mean_over(b, n->in[0], axis_list(b, 2, rank)) : back_op1(b, "Identity", n->in[0]);
  back_lower(b, begin, n, &y, 1);
}

void gradient_global_max_pool(back *b, const node *n) {
  int rank = back_need_rank(b, n->in[0]);
  int begin = back_lower_begin(b);
  value_id y = rank > 2 ? back_op2(b, "ReduceMax", n->in[0], axis_list(b, 2, rank)) : back_op1(b, "Identity", n->in[0]);
  back_lower(b, begin, n, &y, 1);
}
