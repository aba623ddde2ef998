/* formats/tflite/op_shape: shapes: reading them, and giving values others. */
#include "formats/tflite/operators.h"

void tfl_reshape_op(tfl_op *o) {
  fb_vector given;
  int64_t dims[LEDGE_MAX_RANK];
  int n;
  attr allow_zero[2] = {0};
  if (!o->status) o->status = fb_vec(&o->options, 0, 4, "a new shape", &given);
  if (o->status) return;
  if (tfl_has_input(o, 1) && !tfl_const(o, 1)) {
    tfl_give(o, 0, tfl_node(o, "Reshape", ATTRS(AI("allowzero", 1)), tfl_input(o, 0), tfl_i64(o, 1)));
    return;
  }
  if (tfl_has_input(o, 1)) {
    if (!tfl_const_ints(o, 1, dims, LEDGE_MAX_RANK, &n)) {
      tfl_bad(o, "its new shape is no list of at most %d integers", LEDGE_MAX_RANK);
      return;
    }
  } else {
    if (given.count > LEDGE_MAX_RANK) tfl_bad(o, "its new shape has %u dims", given.count);
    if (o->status) return;
    n = (int)given.count;
    for (int i = 0; i < n; i++) dims[i] = fb_vec_i32(&given, (uint32_t)i);
    if (n == 1 && !dims[0]) n = 0; /* how old converters wrote a scalar */
  }
  for (int i = 0; i < n; i++)
    if (!dims[i]) allow_zero[0] = (attr)AI("allowzero", 1);
  tfl_give(o, 0, tfl_node(o, "Reshape", allow_zero, tfl_input(o, 0), tfl_ints(o, dims, n)));
}

void tfl_squeeze(tfl_op *o) {
  fb_vector given;
  int64_t axes[LEDGE_MAX_RANK];
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  int n = 0;
  o->status = fb_vec(&o->options, 0, 4, "squeezed dims", &given);
  if (!o->status && given.count > LEDGE_MAX_RANK) tfl_bad(o, "it squeezes %u dims", given.count);
  if (o->status) return;
  for (uint32_t i = 0; i < given.count; i++) axes[n++] = fb_vec_i32(&given, i);
  for (int i = 0; !given.count && i < x->rank; i++)
    if (x->dims[i] == 1 && x->open[i] == 1) axes[n++] = i;
  tfl_give(o, 0,
           n ? tfl_node(o, "Squeeze", NULL, tfl_input(o, 0), tfl_ints(o, axes, n))
             : tfl_node(o, "Identity", NULL, tfl_input(o, 0)));
}

void tfl_expand_dims(tfl_op *o) {
  int64_t axis;
  value_id axes;
  if (tfl_const_int(o, 1, &axis))
    axes = tfl_ints(o, &axis, 1);
  else
    axes = tfl_reshape(o, tfl_i64(o, 1), (int64_t[]){1}, 1);
  tfl_give(o, 0, tfl_node(o, "Unsqueeze", NULL, tfl_input(o, 0), axes));
}

static value_id shape_as(tfl_op *o, value_id shape) {
  ledge_dtype to = tfl_tensor_out(o, 0)->dtype;
  return to == LEDGE_I64 ? shape : tfl_cast(o, shape, to);
}

void tfl_shape(tfl_op *o) { tfl_give(o, 0, shape_as(o, tfl_node(o, "Shape", NULL, tfl_input(o, 0)))); }

void tfl_rank(tfl_op *o) {
  tfl_give(o, 0, shape_as(o, tfl_node(o, "Size", NULL, tfl_node(o, "Shape", NULL, tfl_input(o, 0)))));
}

void tfl_fill(tfl_op *o) { tfl_give(o, 0, tfl_node(o, "Expand", NULL, tfl_input(o, 1), tfl_i64(o, 0))); }

void tfl_zeros_like(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  value_id zero = tfl_scalar(o, x->dtype, tfl_is_quantised(x) ? (double)tfl_zero(x) : 0);
  tfl_give(o, 0, tfl_node(o, "Expand", NULL, zero, tfl_node(o, "Shape", NULL, tfl_input(o, 0))));
}

void tfl_range(tfl_op *o) {
  tfl_give(o, 0, tfl_node(o, "Range", NULL, tfl_input(o, 0), tfl_input(o, 1), tfl_input(o, 2)));
}

/* Expand broadcasts both ways, BROADCAST_TO one way: a file that means it agrees with both. */
void tfl_broadcast_to(tfl_op *o) { tfl_give(o, 0, tfl_node(o, "Expand", NULL, tfl_input(o, 0), tfl_i64(o, 1))); }

void tfl_broadcast_args(tfl_op *o) {
  value_id ones = tfl_node(o, "Expand", NULL, tfl_scalar(o, LEDGE_BOOL, 1), tfl_i64(o, 0));
  tfl_give(o, 0, shape_as(o, tfl_node(o, "Shape", NULL, tfl_node(o, "Expand", NULL, ones, tfl_i64(o, 1)))));
}

/* The reader has made sparse tensors dense already. */
void tfl_densify_op(tfl_op *o) {
  if (tfl_const(o, 0))
    o->s->tensors[o->outputs[0]].constant = tfl_const(o, 0);
  else
    tfl_give(o, 0, tfl_node(o, "Identity", NULL, tfl_input(o, 0)));
}
