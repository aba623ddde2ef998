/* formats/tflite/op_recurrent: recurrent layers. Their states are variable tensors: what goes in is the last run's. */
#include "formats/tflite/operators.h"

enum {
  GATES = 4,
  BY_INPUT = 1,
  BY_OUTPUT = 5,
  BY_CELL = 9,
  BIAS = 12,
  PROJECTION = 16,
  STATE = 18,
  CELL = 19,
  NORM = 20,
  LSTM_INPUTS = 24
};

/* Operand i as floats, VALUE_ABSENT where it is left out. */
static value_id real(tfl_op *o, int i) {
  static const int same[] = {0, 1};
  if (!tfl_has_input(o, i)) return VALUE_ABSENT;
  const tfl_tensor *t = tfl_tensor_in(o, i);
  return t->rank == 2 && t->constant ? tfl_weights_f32(o, i, same, 2)
         : tfl_is_quantised(t)       ? tfl_dequantise(o, tfl_input(o, i), t)
                                     : tfl_input(o, i);
}

/* Plain: what ONNX's LSTM says. Gates i, f, c, o there stand as i, o, f, c. */
static bool is_plain(const tfl_op *o, float clip, int act) {
  if (clip > 0 || act != ACT_TANH || tfl_has_input(o, PROJECTION)) return false;
  for (int i = BY_CELL; i < BY_CELL + 3; i++)
    if (tfl_has_input(o, i)) return false;
  for (int i = NORM; i < LSTM_INPUTS; i++)
    if (tfl_has_input(o, i)) return false;
  for (int g = 0; g < GATES; g++)
    if (!tfl_has_input(o, BY_INPUT + g) || !tfl_has_input(o, BY_OUTPUT + g) || !tfl_has_input(o, BIAS + g))
      return false;
  return tfl_tensor_in(o, 0)->rank == 3;
}

static void give_states(tfl_op *o, value_id h, value_id c) {
  int h_at = tfl_state_of(o, STATE), c_at = tfl_state_of(o, CELL);
  tfl_state_set(o, h_at, h);
  tfl_state_set(o, c_at, c);
}

static void plain(tfl_op *o, bool time_major) {
  static const int order[] = {0, 3, 1, 2}, turned[] = {1, 0, 2};
  value_id w[GATES], r[GATES], b[GATES + 1], out[3];
  for (int k = 0; k < GATES; k++)
    w[k] = real(o, BY_INPUT + order[k]), r[k] = real(o, BY_OUTPUT + order[k]), b[k] = real(o, BIAS + order[k]);
  int64_t cells = tfl_tensor_in(o, BIAS)->dims[0], zero = 0, one = 1, quad = 4 * cells;
  value_id first = tfl_ints(o, &zero, 1), second = tfl_ints(o, &one, 1);
  b[GATES] = tfl_node(o, "Expand", NULL, tfl_scalar(o, LEDGE_F32, 0), tfl_ints(o, &quad, 1));
  const attr *rows = ATTRS(AI("axis", 0));
  value_id x = tfl_input(o, 0), h = tfl_input(o, STATE), c = tfl_input(o, CELL);
  if (!time_major) x = tfl_permute(o, x, turned, 3);
  value_id in[] = {x,
                   tfl_node(o, "Unsqueeze", NULL, tfl_node_n(o, "", "Concat", rows, w, GATES), first),
                   tfl_node(o, "Unsqueeze", NULL, tfl_node_n(o, "", "Concat", rows, r, GATES), first),
                   tfl_node(o, "Unsqueeze", NULL, tfl_node_n(o, "", "Concat", rows, b, GATES + 1), first),
                   VALUE_ABSENT,
                   tfl_node(o, "Unsqueeze", NULL, h, first),
                   tfl_node(o, "Unsqueeze", NULL, c, first)};
  tfl_nodes(o, "", "LSTM", ATTRS(AI("hidden_size", cells)), in, 7, out, 3);
  value_id y = tfl_node(o, "Squeeze", NULL, out[0], second);
  tfl_give(o, 0, time_major ? y : tfl_permute(o, y, turned, 3));
  give_states(o, tfl_node(o, "Squeeze", NULL, out[1], first), tfl_node(o, "Squeeze", NULL, out[2], first));
}

/* The tensor of the hidden output before the projection: the fifth of the operator's intermediates. */
static const tfl_tensor *hidden_of(tfl_op *o) {
  fb_vector list;
  if (!o->status) o->status = fb_vec(&o->table, OPERATOR_INTERMEDIATES, 4, "intermediates", &list);
  if (o->status) return NULL;
  int32_t at = list.count > 4 ? fb_vec_i32(&list, 4) : -1;
  if (at < 0 || at >= o->s->n_tensors) {
    tfl_bad(o, "it has no intermediate tensor that tells the scale of its hidden output");
    return NULL;
  }
  return &o->s->tensors[at];
}

void tfl_lstm_sequence(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  int act = tfl_i8(o, 0, 0);
  float clip = tfl_f32(o, 1, 0), projection_clip = tfl_f32(o, 2, 0);
  bool time_major = o->row->builtin == 44 && tfl_i8(o, 3, 0) != 0, integer = x->dtype == LEDGE_I8;
  if (o->n_in < 20 || o->n_in > LSTM_INPUTS || !tfl_has_input(o, STATE) || !tfl_has_input(o, CELL)) {
    tfl_refuse(o, "an LSTM of another kind than the full one, which ledge does not support");
    return;
  }
  if (act != ACT_TANH) tfl_refuse(o, "an LSTM whose activation is not tanh, which ledge does not support");
  if (!integer && is_plain(o, clip, act)) {
    plain(o, time_major);
    return;
  }
  value_id in[LSTM_INPUTS], out[3];
  float scales[LSTM_INPUTS + 1] = {0};
  int64_t zeros[LSTM_INPUTS + 1] = {0};
  for (int i = 0; i < LSTM_INPUTS; i++) {
    const tfl_tensor *t = tfl_tensor_in(o, i);
    in[i] = !tfl_has_input(o, i) ? VALUE_ABSENT : integer ? tfl_input(o, i) : real(o, i);
    if (tfl_has_input(o, i) && t->quant.n) scales[i] = t->quant.scales[0], zeros[i] = t->quant.zeros[0];
  }
  attr list[6] = {AF("cell_clip", clip), AF("proj_clip", projection_clip), AI("time_major", time_major)};
  if (integer) {
    const tfl_tensor *hidden = hidden_of(o);
    if (!hidden) return;
    scales[LSTM_INPUTS] = tfl_scale(o, hidden);
    zeros[LSTM_INPUTS] = tfl_zero(hidden);
    list[3] = (attr)AFS("scales", scales, LSTM_INPUTS + 1);
    list[4] = (attr)AIS("zeros", zeros, LSTM_INPUTS + 1);
  }
  tfl_nodes(o, "tflite", "Lstm", list, in, LSTM_INPUTS, out, 3);
  tfl_give(o, 0, out[0]);
  give_states(o, out[1], out[2]);
}

void tfl_svdf(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  int64_t rank = tfl_i32(o, 0, 0);
  int act = tfl_i8(o, 1, 0);
  bool integer = x->dtype == LEDGE_I8;
  value_id in[5], out[2];
  float scales[5] = {0};
  for (int i = 0; i < 5; i++)
    in[i] = !tfl_has_input(o, i) ? VALUE_ABSENT : integer || i == 4 ? tfl_input(o, i) : real(o, i);
  attr list[6] = {AI("rank", rank)};
  if (integer) {
    const tfl_tensor *of[] = {x, tfl_tensor_in(o, 1), tfl_tensor_in(o, 2), tfl_tensor_in(o, 4), y};
    for (int i = 0; i < 5; i++) scales[i] = tfl_scale(o, of[i]);
    list[1] = (attr)AFS("scales", scales, 5);
    list[2] = (attr)AI("x_zero", tfl_zero(x));
    list[3] = (attr)AI("state_zero", tfl_zero(tfl_tensor_in(o, 4)));
    list[4] = (attr)AI("y_zero", tfl_zero(y));
  }
  tfl_nodes(o, "tflite", "Svdf", list, in, 5, out, 2);
  tfl_give(o, 0, integer ? out[0] : tfl_activate(o, out[0], act, LEDGE_F32));
  tfl_state_set(o, tfl_state_of(o, 4), out[1]);
}
