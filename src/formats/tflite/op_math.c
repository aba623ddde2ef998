/* formats/tflite/op_math: arithmetic, comparisons, activations, reductions, and numbers that stand for others. */
#include "formats/tflite/operators.h"

#include <math.h>

void tfl_unary(tfl_op *o) { tfl_give(o, 0, tfl_node(o, o->row->onnx, NULL, tfl_input(o, 0))); }

void tfl_logical(tfl_op *o) { tfl_give(o, 0, tfl_node(o, o->row->onnx, NULL, tfl_input(o, 0), tfl_input(o, 1))); }

void tfl_own_binary(tfl_op *o) { tfl_give(o, 0, tfl_own(o, o->row->onnx, NULL, tfl_input(o, 0), tfl_input(o, 1))); }

/* ---- ADD, SUB, MUL, DIV ---- */

static bool takes_integers(const tfl_op *o) {
  const tfl_tensor *a = tfl_tensor_in(o, 0), *b = tfl_tensor_in(o, 1), *y = tfl_tensor_out(o, 0);
  if (!tfl_is_quantised(a) || !tfl_is_quantised(b) || !tfl_is_quantised(y)) return false;
  if (a->dtype != b->dtype || a->dtype != y->dtype) return false;
  return a->dtype == LEDGE_I8 || a->dtype == LEDGE_U8 || a->dtype == LEDGE_I16;
}

void tfl_arithmetic(tfl_op *o) {
  const tfl_tensor *a = tfl_tensor_in(o, 0), *b = tfl_tensor_in(o, 1), *y = tfl_tensor_out(o, 0);
  int act = tfl_i8(o, 0, 0);
  value_id va = tfl_input(o, 0), vb = tfl_input(o, 1);
  if (takes_integers(o) && strcmp(o->row->onnx, "Div")) {
    int64_t least, most;
    tfl_act_range(o, y, act, &least, &most);
    tfl_give(o, 0,
             tfl_own(o, o->row->onnx,
                     ATTRS(AF("a_scale", tfl_scale(o, a)), AI("a_zero", tfl_zero(a)), AF("b_scale", tfl_scale(o, b)),
                           AI("b_zero", tfl_zero(b)), AF("y_scale", tfl_scale(o, y)), AI("y_zero", tfl_zero(y)),
                           AI("y_min", least), AI("y_max", most)),
                     va, vb));
    return;
  }
  ledge_dtype dtype = y->dtype;
  bool floats = tfl_is_quantised(y) && y->dtype != LEDGE_I32 && y->dtype != LEDGE_I64;
  if (floats) {
    va = tfl_dequantise(o, va, a), vb = tfl_dequantise(o, vb, b);
    dtype = LEDGE_F32;
  }
  value_id v = tfl_activate(o, tfl_node(o, o->row->onnx, NULL, va, vb), act, dtype);
  tfl_give(o, 0, floats ? tfl_quantise(o, v, y) : v);
}

void tfl_add_n(tfl_op *o) {
  value_id v = tfl_input(o, 0);
  for (int i = 1; i < o->n_in; i++) v = tfl_node(o, "Add", NULL, v, tfl_input(o, i));
  tfl_give(o, 0, o->n_in > 1 ? v : tfl_node(o, "Identity", NULL, v));
}

/* Alike numbers are compared as they are, others as what they stand for. */
void tfl_compare(tfl_op *o) {
  const tfl_tensor *a = tfl_tensor_in(o, 0), *b = tfl_tensor_in(o, 1);
  value_id va = tfl_input(o, 0), vb = tfl_input(o, 1);
  if (tfl_is_quantised(a) && tfl_is_quantised(b) && !tfl_same_quant(a, b))
    va = tfl_dequantise(o, va, a), vb = tfl_dequantise(o, vb, b);
  tfl_give(o, 0, tfl_node(o, o->row->onnx, NULL, va, vb));
}

void tfl_not_equal(tfl_op *o) {
  const tfl_tensor *a = tfl_tensor_in(o, 0), *b = tfl_tensor_in(o, 1);
  value_id va = tfl_input(o, 0), vb = tfl_input(o, 1);
  if (tfl_is_quantised(a) && tfl_is_quantised(b) && !tfl_same_quant(a, b))
    va = tfl_dequantise(o, va, a), vb = tfl_dequantise(o, vb, b);
  tfl_give(o, 0, tfl_node(o, "Not", NULL, tfl_node(o, "Equal", NULL, va, vb)));
}

/* MAXIMUM and MINIMUM: of numbers that stand alike. */
void tfl_maximum(tfl_op *o) {
  const tfl_tensor *a = tfl_tensor_in(o, 0), *b = tfl_tensor_in(o, 1), *y = tfl_tensor_out(o, 0);
  value_id va = tfl_input(o, 0), vb = tfl_input(o, 1);
  bool floats = tfl_is_quantised(a) && tfl_is_quantised(b) && !(tfl_same_quant(a, b) && tfl_same_quant(a, y));
  if (floats) va = tfl_dequantise(o, va, a), vb = tfl_dequantise(o, vb, b);
  value_id v = tfl_node(o, o->row->onnx, NULL, va, vb);
  tfl_give(o, 0, floats ? tfl_quantise(o, v, y) : v);
}

void tfl_square(tfl_op *o) {
  value_id x = tfl_input(o, 0);
  tfl_give(o, 0, tfl_node(o, "Mul", NULL, x, x));
}

void tfl_squared_difference(tfl_op *o) {
  value_id d = tfl_node(o, "Sub", NULL, tfl_input(o, 0), tfl_input(o, 1));
  tfl_give(o, 0, tfl_node(o, "Mul", NULL, d, d));
}

void tfl_rsqrt(tfl_op *o) {
  tfl_give(o, 0, tfl_node(o, "Reciprocal", NULL, tfl_node(o, "Sqrt", NULL, tfl_input(o, 0))));
}

/* Towards minus infinity. */
void tfl_floor_div(tfl_op *o) {
  value_id a = tfl_input(o, 0), b = tfl_input(o, 1);
  if (dtype_is_float(tfl_tensor_in(o, 0)->dtype))
    tfl_give(o, 0, tfl_node(o, "Floor", NULL, tfl_node(o, "Div", NULL, a, b)));
  else {
    value_id rest = tfl_node(o, "Mod", NULL, a, b);
    tfl_give(o, 0, tfl_node(o, "Div", NULL, tfl_node(o, "Sub", NULL, a, rest), b));
  }
}

/* With the divisor's sign. */
void tfl_floor_mod(tfl_op *o) {
  value_id a = tfl_input(o, 0), b = tfl_input(o, 1);
  if (dtype_is_float(tfl_tensor_in(o, 0)->dtype)) {
    value_id rest = tfl_node(o, "Mod", ATTRS(AI("fmod", 1)), a, b);
    value_id zero = tfl_scalar(o, tfl_tensor_in(o, 0)->dtype, 0);
    value_id turn = tfl_node(o, "Less", NULL, tfl_node(o, "Mul", NULL, rest, b), zero);
    tfl_give(o, 0, tfl_node(o, "Where", NULL, turn, tfl_node(o, "Add", NULL, rest, b), rest));
  } else {
    tfl_give(o, 0, tfl_node(o, "Mod", NULL, a, b));
  }
}

/* ---- activations ---- */

/* RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1 */
void tfl_activation(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  bool n1 = !strcmp(o->row->onnx, "-1..1"), six = !strcmp(o->row->onnx, "0..6"), one = !strcmp(o->row->onnx, "0..1");
  value_id v = tfl_input(o, 0);
  if (tfl_is_quantised(x) && tfl_is_quantised(y)) {
    int64_t least, most, high;
    tfl_act_range(o, y, n1 ? ACT_RELU_N1_TO_1 : six ? ACT_RELU6 : ACT_RELU, &least, &most);
    if (one && !o->status) {
      high = tfl_zero(y) + (int64_t)roundf(fminf(1.0f / tfl_scale(o, y), 1e9f));
      most = high < most ? high : most;
    }
    tfl_give(o, 0,
             tfl_own(o, "Rescale",
                     ATTRS(AF("x_scale", tfl_scale(o, x)), AI("x_zero", tfl_zero(x)), AF("y_scale", tfl_scale(o, y)),
                           AI("y_zero", tfl_zero(y)), AI("y_min", least), AI("y_max", most), AI("to", y->dtype)),
                     v));
    return;
  }
  if (one)
    v = tfl_node(o, "Clip", NULL, v, tfl_scalar(o, x->dtype, 0), tfl_scalar(o, x->dtype, 1));
  else
    v = tfl_activate(o, v, n1 ? ACT_RELU_N1_TO_1 : six ? ACT_RELU6 : ACT_RELU, x->dtype);
  tfl_give(o, 0, v);
}

void tfl_leaky_relu(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  float alpha = tfl_f32(o, 0, 0);
  if (tfl_is_quantised(x) && x->dtype == y->dtype && tfl_is_quantised(y)) {
    tfl_give(o, 0,
             tfl_own(o, "LeakyRelu",
                     ATTRS(AF("x_scale", tfl_scale(o, x)), AI("x_zero", tfl_zero(x)), AF("y_scale", tfl_scale(o, y)),
                           AI("y_zero", tfl_zero(y)), AF("alpha", alpha)),
                     tfl_input(o, 0)));
    return;
  }
  tfl_give(o, 0, tfl_node(o, "LeakyRelu", ATTRS(AF("alpha", alpha)), tfl_input(o, 0)));
}

/* The slopes stand at the channels, the last dim; ONNX's operator may be moved channels first by the passes. */
void tfl_prelu(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *a = tfl_tensor_in(o, 1);
  if (x->rank == 4 && a->constant && a->rank <= 4 && !tfl_is_quantised(x)) {
    int64_t channels = a->rank ? a->dims[a->rank - 1] : 1, dims[] = {channels, 1, 1};
    if (shape_elements(a->rank, a->dims) == channels) {
      value_id v = tfl_first(o, tfl_input(o, 0), 4), slope = tfl_reshape(o, tfl_input(o, 1), dims, 3);
      tfl_give(o, 0, tfl_last(o, tfl_node(o, "PRelu", NULL, v, slope), 4));
      return;
    }
  }
  tfl_give(o, 0, tfl_node(o, "PRelu", NULL, tfl_input(o, 0), tfl_input(o, 1)));
}

void tfl_gelu(tfl_op *o) {
  bool tanh = tfl_i8(o, 0, 0) != 0;
  tfl_give(o, 0, tfl_node(o, "Gelu", tanh ? ATTRS(AS("approximate", "tanh")) : NULL, tfl_input(o, 0)));
}

void tfl_softmax(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  float beta = tfl_f32(o, 0, 0);
  value_id v = tfl_input(o, 0);
  if (tfl_is_quantised(x) && tfl_is_quantised(y)) {
    tfl_give(o, 0,
             tfl_own(o, "Softmax",
                     ATTRS(AF("x_scale", tfl_scale(o, x)), AI("x_zero", tfl_zero(x)), AF("y_scale", tfl_scale(o, y)),
                           AI("y_zero", tfl_zero(y)), AF("beta", beta), AI("to", y->dtype)),
                     v));
    return;
  }
  if (beta != 1) v = tfl_node(o, "Mul", NULL, v, tfl_scalar(o, x->dtype, beta));
  tfl_give(o, 0, tfl_node(o, "Softmax", ATTRS(AI("axis", -1)), v));
}

void tfl_log_softmax(tfl_op *o) { tfl_give(o, 0, tfl_node(o, "LogSoftmax", ATTRS(AI("axis", -1)), tfl_input(o, 0))); }

void tfl_l2_normalization(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  value_id v = tfl_input(o, 0);
  int64_t last = -1;
  value_id sum = tfl_node(o, "ReduceL2", ATTRS(AI("keepdims", 1)), v, tfl_ints(o, &last, 1));
  ledge_dtype dtype = tfl_is_quantised(x) ? LEDGE_F32 : x->dtype;
  v = tfl_node(o, "Div", NULL, v, tfl_node(o, "Max", NULL, sum, tfl_scalar(o, dtype, 1e-6)));
  tfl_give(o, 0, tfl_activate(o, v, tfl_i8(o, 0, 0), dtype));
}

void tfl_lrn(tfl_op *o) {
  int64_t radius = tfl_i32(o, 0, 0);
  if (radius < 0 || radius > 1 << 20) tfl_bad(o, "its radius is %lld", (long long)radius);
  int rank = tfl_tensor_in(o, 0)->rank;
  if (rank != 4) tfl_bad(o, "its input has %d dims where it takes 4", rank);
  float size = (float)(2 * radius + 1);
  value_id v = tfl_node(o, "LRN",
                        ATTRS(AI("size", 2 * radius + 1), AF("bias", tfl_f32(o, 1, 0)),
                              AF("alpha", tfl_f32(o, 2, 0) * size), AF("beta", tfl_f32(o, 3, 0))),
                        tfl_first(o, tfl_input(o, 0), 4));
  tfl_give(o, 0, tfl_last(o, v, 4));
}

/* ---- reductions ---- */

/* Of no axes: nothing is reduced. */
static value_id reduce(tfl_op *o, const char *op, value_id v) {
  bool keep = tfl_i8(o, 0, 0) != 0;
  return tfl_node(o, op, ATTRS(AI("keepdims", keep), AI("noop_with_empty_axes", 1)), v, tfl_i64(o, 1));
}

/* SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN, REDUCE_ANY, REDUCE_ALL */
void tfl_reduce(tfl_op *o) { tfl_give(o, 0, reduce(o, o->row->onnx, tfl_input(o, 0))); }

void tfl_mean(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  int64_t axes[LEDGE_MAX_RANK];
  int n;
  if (!tfl_is_quantised(x) || !tfl_is_quantised(y) || x->dtype != y->dtype) {
    tfl_give(o, 0, reduce(o, "ReduceMean", tfl_input(o, 0)));
    return;
  }
  if (!tfl_const_ints(o, 1, axes, LEDGE_MAX_RANK, &n)) {
    tfl_refuse(o, "its axes are computed while it runs, which ledge does not support for integers");
    return;
  }
  tfl_give(o, 0,
           tfl_own(o, "Mean",
                   ATTRS(AF("x_scale", tfl_scale(o, x)), AI("x_zero", tfl_zero(x)), AF("y_scale", tfl_scale(o, y)),
                         AI("y_zero", tfl_zero(y)), AI("keepdims", tfl_i8(o, 0, 0) != 0), AIS("axes", axes, n)),
                   tfl_input(o, 0)));
}

void tfl_arg(tfl_op *o) {
  int64_t axis;
  ledge_dtype to = tfl_tensor_out(o, 0)->dtype;
  if (!tfl_const_int(o, 1, &axis)) {
    tfl_refuse(o, "its axis is computed while it runs, which ledge does not support");
    return;
  }
  value_id v = tfl_node(o, o->row->onnx, ATTRS(AI("axis", axis), AI("keepdims", 0)), tfl_input(o, 0));
  tfl_give(o, 0, to == LEDGE_I64 ? v : tfl_cast(o, v, to));
}

void tfl_cumsum(tfl_op *o) {
  tfl_give(o, 0,
           tfl_node(o, "CumSum", ATTRS(AI("exclusive", tfl_i8(o, 0, 0) != 0), AI("reverse", tfl_i8(o, 1, 0) != 0)),
                    tfl_input(o, 0), tfl_input(o, 1)));
}

/* ---- types ---- */

void tfl_cast_op(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  value_id v = tfl_input(o, 0);
  if (x->dtype == LEDGE_C64 && y->dtype != LEDGE_C64) v = tfl_own(o, "Real", NULL, v);
  tfl_give(o, 0, tfl_cast(o, v, y->dtype));
}

void tfl_complex_part(tfl_op *o) { tfl_give(o, 0, tfl_own(o, o->row->onnx, NULL, tfl_input(o, 0))); }

void tfl_quantize_op(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  value_id v = tfl_input(o, 0);
  int64_t least, most;
  if (!tfl_is_quantised(y)) {
    tfl_bad(o, "its output has no scale");
    return;
  }
  if (!tfl_is_quantised(x)) {
    if (x->dtype == LEDGE_F16) v = tfl_cast(o, v, LEDGE_F32);
    tfl_give(o, 0, tfl_quantise(o, v, y));
    return;
  }
  tfl_act_range(o, y, ACT_NONE, &least, &most);
  tfl_give(o, 0,
           tfl_own(o, "Rescale",
                   ATTRS(AF("x_scale", tfl_scale(o, x)), AI("x_zero", tfl_zero(x)), AF("y_scale", tfl_scale(o, y)),
                         AI("y_zero", tfl_zero(y)), AI("y_min", least), AI("y_max", most), AI("to", y->dtype)),
                   v));
}

void tfl_dequantize_op(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  value_id v = tfl_input(o, 0);
  if (tfl_is_quantised(x))
    tfl_give(o, 0, tfl_dequantise(o, v, x));
  else if (x->dtype == LEDGE_F16 || x->dtype == LEDGE_BF16)
    tfl_give(o, 0, tfl_cast(o, v, y->dtype));
  else
    tfl_bad(o, "its input has no scale");
}

/* To whole steps of a range and back: nudged, so that 0 is one of them. */
void tfl_fake_quant(tfl_op *o) {
  float least = tfl_f32(o, 0, 0), most = tfl_f32(o, 1, 0);
  int bits = tfl_i32(o, 2, 0);
  bool narrow = tfl_i8(o, 3, 0) != 0;
  if (!(least <= 0) || !(most >= 0) || !(most > least) || bits < 2 || bits > 16) {
    tfl_bad(o, "its range is %g to %g of %d bits", (double)least, (double)most, bits);
    return;
  }
  float low = narrow ? 1 : 0, high = (float)((1 << bits) - 1), scale = (most - least) / (high - low);
  float from = low - least / scale, zero = from < low ? low : from > high ? high : roundf(from);
  value_id v = tfl_node(o, "Clip", NULL, tfl_input(o, 0), tfl_scalar(o, LEDGE_F32, (low - zero) * scale),
                        tfl_scalar(o, LEDGE_F32, (high - zero) * scale));
  value_id step = tfl_scalar(o, LEDGE_F32, scale), base = tfl_scalar(o, LEDGE_F32, (low - zero) * scale);
  v = tfl_node(o, "Div", NULL, tfl_node(o, "Sub", NULL, v, base), step);
  v = tfl_node(o, "Floor", NULL, tfl_node(o, "Add", NULL, v, tfl_scalar(o, LEDGE_F32, 0.5)));
  tfl_give(o, 0, tfl_node(o, "Add", NULL, tfl_node(o, "Mul", NULL, v, step), base));
}
