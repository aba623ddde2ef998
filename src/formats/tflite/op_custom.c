/* formats/tflite/op_custom: custom operators that are publicly defined. MediaPipe's have the bytes of TensorFlow Lite's
 * C structs as their options: {i32 padding (1 same, 2 valid), stride_w, stride_h, kernel_w, kernel_h, activation}. */
#include "formats/tflite/operators.h"

#include <stdio.h>

typedef struct pool {
  bool same;
  int64_t strides[2], kernel[2];
} pool;

static bool read_pool(tfl_op *o, pool *p) {
  if (o->custom.count < 24) {
    tfl_bad(o, "its options have %u bytes where they take 24", o->custom.count);
    return false;
  }
  p->same = fb_vec_i32(&o->custom, 0) == 1;
  for (int i = 0; i < 2; i++) {
    p->strides[i] = fb_vec_i32(&o->custom, 2 - (uint32_t)i);
    p->kernel[i] = fb_vec_i32(&o->custom, 4 - (uint32_t)i);
    if (p->strides[i] < 1 || p->kernel[i] < 1) tfl_bad(o, "its window or stride is not above 0");
  }
  if (fb_vec_i32(&o->custom, 5)) tfl_refuse(o, "an activation, which ledge does not support here");
  return !o->status;
}

void tfl_max_pool_argmax(tfl_op *o) {
  pool p;
  value_id x = tfl_input(o, 0), out[2];
  if (!read_pool(o, &p)) return;
  attr list[4] = {AIS("strides", p.strides, 2), AIS("kernel_shape", p.kernel, 2)};
  if (p.same) list[2] = (attr)AS("auto_pad", "SAME_UPPER");
  tfl_nodes(o, "tflite", "MaxPoolArgmax", list, &x, 1, out, 2);
  tfl_give(o, 0, out[0]);
  tfl_give(o, 1, out[1]);
}

void tfl_max_unpool(tfl_op *o) {
  pool p;
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  if (!read_pool(o, &p)) return;
  if (x->rank != 4) {
    tfl_bad(o, "its input has %d dims where it takes 4", x->rank);
    return;
  }
  int64_t size[2], pads[2];
  for (int i = 0; i < 2; i++) {
    int64_t in = x->dims[1 + i];
    size[i] = p.same ? in * p.strides[i] : (in - 1) * p.strides[i] + p.kernel[i];
    int64_t total = (in - 1) * p.strides[i] + p.kernel[i] - size[i];
    pads[i] = total > 0 ? total / 2 : 0;
  }
  tfl_give(o, 0,
           tfl_own(o, "MaxUnpool",
                   ATTRS(AIS("strides", p.strides, 2), AIS("kernel_shape", p.kernel, 2), AIS("pads", pads, 2),
                         AIS("size", size, 2)),
                   tfl_input(o, 0), tfl_input(o, 1)));
}

/* ---- tflite-micro's signal operators: their options become attributes of the same names ---- */

typedef struct signal_row {
  const char *name;
  const char *keys[9];
} signal_row;

static const signal_row signals[] = {
    {"SignalWindow", {"shift"}},
    {"SignalFftAutoScale", {NULL}},
    {"SignalRfft", {"fft_length"}},
    {"SignalEnergy", {"start_index", "end_index"}},
    {"SignalFilterBank", {"num_channels"}},
    {"SignalFilterBankSquareRoot", {NULL}},
    {"SignalFilterBankSpectralSubtraction",
     {"alternate_one_minus_smoothing", "alternate_smoothing", "clamping", "min_signal_remaining", "one_minus_smoothing",
      "smoothing", "smoothing_bits", "spectral_subtraction_bits"}},
    {"SignalPCAN", {"snr_shift"}},
    {"SignalFilterBankLog", {"output_scale", "input_correction_bits"}},
};

/* The spectral subtraction keeps an estimate of the noise from run to run: a variable of its own. */
static int noise_state(tfl_op *o) {
  char *name = NULL;
  int state = -1;
  if (o->s->outer) tfl_refuse(o, "a variable within a branch or a loop, which ledge does not support");
  if (!o->status) o->status = tfl_alloc(o->in, 64, 1, "a variable's name", &name);
  if (o->status) return -1;
  snprintf(name, 64, "noise estimate of operator %d", o->index);
  o->status = tfl_find_state(o->in, name, false, &state);
  return state;
}

void tfl_signal(tfl_op *o) {
  const signal_row *row = NULL;
  attr list[10] = {{0}};
  value_id in[9], out[2];
  int n = 0, n_in = o->n_in, n_out = o->n_out, state = -1;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (!strcmp(signals[i].name, o->row->name)) row = &signals[i];
  if (!row || n_in > 8 || n_out > 2) {
    tfl_bad(o, "it has %d inputs and %d outputs", n_in, n_out);
    return;
  }
  for (; n < 9 && row->keys[n]; n++) {
    int64_t v;
    if (!tfl_flex_int(&o->custom, row->keys[n], &v)) {
      tfl_bad(o, "its options have no number '%s'", row->keys[n]);
      return;
    }
    list[n] = (attr)AI(row->keys[n], v);
  }
  for (int i = 0; i < n_in; i++) in[i] = tfl_input(o, i);
  if (!strcmp(row->name, "SignalFilterBankSpectralSubtraction")) {
    state = noise_state(o);
    in[n_in++] = tfl_state_get(o, state, tfl_tensor_out(o, 0));
    n_out = 2;
  }
  tfl_nodes(o, "tflite", row->name, list, in, n_in, out, n_out);
  for (int i = 0; i < n_out; i++) tfl_give(o, i, out[i]);
  tfl_state_set(o, state, state < 0 ? VALUE_ABSENT : out[1]);
}
