/* passes/gradient/deform: the rule of DeformConv: its taps are read between pixels, as GridSample reads, and multiplied
 * as MatMul multiplies. So it is written in these, and the walk goes through them.
 *
 *   p = position * stride - pad + tap * dilation + offset        [batch * offset groups, taps, out h, out w]
 *   patches = GridSample(x, p) * mask                            [batch, groups, channels of one * taps, out h * out w]
 *   y = weights [groups, out channels of one, channels of one * taps] patches + bias */
#include "passes/gradient/back.h"

static value_id joined(back *b, const value_id *parts, int n) {
  value_id v = back_emit(b, "", "Concat", GRADIENT_OPSET, parts, n);
  back_int(b, "axis", 0);
  return v;
}

static value_id one(back *b, int64_t v) { return back_list(b, &v, 1); }

static value_id piece(back *b, value_id v, int64_t i, int64_t axis) {
  value_id y = back_op2(b, "Gather", v, back_i64(b, i));
  back_int(b, "axis", axis);
  return y;
}

static value_id count_up(back *b, value_id size) { /* 0, 1, .. of an int64 [1] */
  value_id end = back_op2(b, "Reshape", size, back_list(b, NULL, 0));
  return back_op3(b, "Range", back_i64(b, 0), end, back_i64(b, 1));
}

static int64_t setting(const node *n, const char *name, int i, int64_t otherwise) {
  const attr *a = node_attr(n, name);
  return a && a->type == ATTR_INTS && i < a->count ? a->ints[i] : otherwise;
}

/* Along dim d (0: h, 1: w), where each tap of each position reads, in GridSample's coordinates: (2 p + 1) / size - 1.
 */
static value_id places(back *b, const node *n, value_id taps, value_id offset, int d) {
  value_id x = n->in[0], w = n->in[1], y = n->out[0];
  value_id at = back_op2(b, "Mul", count_up(b, back_dim(b, y, 2 + d)), back_i64(b, setting(n, "strides", d, 1)));
  at = back_sub(b, at, back_i64(b, setting(n, "pads", d, 0)));
  at = back_op2(b, "Reshape", at, back_list(b, d ? (int64_t[]){1, 1, 1, -1} : (int64_t[]){1, 1, -1, 1}, 4));
  value_id tap = back_op2(b, d ? "Mod" : "Div", taps, back_dim(b, w, 3));
  tap = back_mul(b, tap, back_i64(b, setting(n, "dilations", d, 1)));
  tap = back_op2(b, "Reshape", tap, back_list(b, (int64_t[]){1, -1, 1, 1}, 4));
  value_id p = back_add(b, back_like(b, back_add(b, at, tap), offset), piece(b, offset, d, 2));
  p = back_add(b, back_add(b, p, p), back_number(b, 1, p));
  return back_sub(b, back_div(b, p, back_like(b, back_dim(b, x, 2 + d), p)), back_number(b, 1, p));
}

/* [batch, channels, taps, out h * out w], read between pixels. */
static value_id patches(back *b, const node *n, value_id n_taps) {
  value_id x = n->in[0], offset = n->in[2], mask = node_in(n, 4), y = n->out[0];
  int64_t groups = node_attr_int(n, "offset_group", 1);
  value_id batches = back_mul(b, back_dim(b, x, 0), one(b, groups)), oh = back_dim(b, y, 2), ow = back_dim(b, y, 3);
  value_id images =
      back_op2(b, "Reshape", x, joined(b, (value_id[]){batches, one(b, -1), back_dim(b, x, 2), back_dim(b, x, 3)}, 4));
  value_id shifts = back_op2(b, "Reshape", offset, joined(b, (value_id[]){batches, n_taps, one(b, 2), oh, ow}, 5));
  value_id taps = count_up(b, n_taps);
  value_id grid = back_op2(b, "Concat", back_unsqueeze(b, places(b, n, taps, shifts, 1), -1),
                           back_unsqueeze(b, places(b, n, taps, shifts, 0), -1));
  back_int(b, "axis", -1);
  grid = back_op2(b, "Reshape", grid, joined(b, (value_id[]){batches, one(b, -1), ow, one(b, 2)}, 4));
  value_id read = back_op2(b, "GridSample", images, grid);
  value_id split = joined(b, (value_id[]){batches, one(b, -1), n_taps, oh, ow}, 5);
  read = back_op2(b, "Reshape", read, split);
  if (mask == VALUE_ABSENT) return read;
  value_id shape = joined(b, (value_id[]){batches, one(b, 1), n_taps, oh, ow}, 5);
  return back_mul(b, read, back_op2(b, "Reshape", mask, shape));
}

void gradient_deform_conv(back *b, const node *n) {
  const attr *pad = node_attr(n, "auto_pad");
  if (pad && !(pad->type == ATTR_STRING && pad->s.size == 6 && !memcmp(pad->s.data, "NOTSET", 6))) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "its rule takes pads, not auto_pad");
    return;
  }
  value_id x = n->in[0], w = n->in[1], bias = node_in(n, 3), y = n->out[0];
  int64_t groups = node_attr_int(n, "group", 1);
  int begin = back_lower_begin(b);
  value_id n_taps = back_mul(b, back_dim(b, w, 2), back_dim(b, w, 3));
  value_id depth = back_mul(b, back_dim(b, w, 1), n_taps);
  value_id span = back_mul(b, back_dim(b, y, 2), back_dim(b, y, 3));
  value_id columns = back_op2(b, "Reshape", patches(b, n, n_taps),
                              joined(b, (value_id[]){back_dim(b, x, 0), one(b, groups), depth, span}, 4));
  value_id matrix = back_op2(b, "Reshape", w, joined(b, (value_id[]){one(b, groups), one(b, -1), depth}, 3));
  value_id out = back_reshape_like(b, back_op2(b, "MatMul", matrix, columns), y);
  if (bias != VALUE_ABSENT) out = back_add(b, out, back_channels(b, bias, 4));
  back_lower(b, begin, n, &out, 1);
}
