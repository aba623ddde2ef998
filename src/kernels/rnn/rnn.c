/* rnn: the choice of a variant, and the steps with other activations, peepholes or coupled gates, pass by pass. */
#include "kernels/rnn/rnn.h"

#include <math.h>

#define VARIANT(isa, kernels) extern const rnn_kernels kernels;
#include "kernels/rnn/variants.def"
#undef VARIANT
static const rnn_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/rnn/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(rnn, variants)

static float clip_of(const rnn_options *o) { return o && o->clip > 0 ? o->clip : INFINITY; }

/* In place: clip, then the activation; NULL means the given default. */
static void activate(const unary_op *op, unary_kind usual, float clip, float *x, int64_t n) {
  if (clip < INFINITY) unary_f32(&(unary_op){UNARY_CLIP, -clip, clip}, x, x, n, NULL);
  unary_f32(op ? op : &(unary_op){usual, 0, 0}, x, x, n, NULL);
}

static void add_product(const float *a, const float *b, float *y, int64_t n) {
  for (int64_t i = 0; i < n && a; i++) y[i] += a[i] * b[i];
}

static void lstm_step_general(const rnn_options *o, float *gates, const float *c_prev, float *c, float *h, int64_t n) {
  float *i = gates, *out = gates + n, *f = gates + 2 * n, *g = gates + 3 * n, clip = clip_of(o);
  add_product(o->peep_i, c_prev, i, n);
  activate(o->f, UNARY_SIGMOID, clip, i, n);
  if (o->input_forget) {
    for (int64_t k = 0; k < n; k++) f[k] = 1 - i[k];
  } else {
    add_product(o->peep_f, c_prev, f, n);
    activate(o->f, UNARY_SIGMOID, clip, f, n);
  }
  activate(o->g, UNARY_TANH, clip, g, n);
  for (int64_t k = 0; k < n; k++) c[k] = f[k] * c_prev[k] + i[k] * g[k];
  add_product(o->peep_o, c, out, n);
  activate(o->f, UNARY_SIGMOID, clip, out, n);
  unary_f32(o->h ? o->h : &(unary_op){UNARY_TANH, 0, 0}, c, h, n, NULL);
  for (int64_t k = 0; k < n; k++) h[k] *= out[k];
}

void rnn_lstm_step_f32(const rnn_options *o, float *gates, int64_t gates_row, const float *c_prev, float *c, float *h,
                       int64_t h_row, int64_t batch, int64_t hidden) {
  bool general = o && (o->f || o->g || o->h || o->input_forget || o->peep_i || o->peep_o || o->peep_f);
  const rnn_kernels *k = rnn_best();
  for (int64_t b = 0; b < batch; b++, gates += gates_row, c_prev += hidden, c += hidden, h += h_row) {
    if (general)
      lstm_step_general(o, gates, c_prev, c, h, hidden);
    else
      k->lstm(gates, c_prev, c, h, hidden, clip_of(o));
  }
}

static void gru_step_general(const rnn_options *o, float *gates, const float *h_gate, const float *h_prev, float *h,
                             int64_t n) {
  float *z = gates, *r = gates + n, *g = gates + 2 * n, clip = clip_of(o);
  activate(o->f, UNARY_SIGMOID, clip, z, n);
  if (h_gate) {
    activate(o->f, UNARY_SIGMOID, clip, r, n);
    add_product(r, h_gate, g, n);
  }
  activate(o->g, UNARY_TANH, clip, g, n);
  for (int64_t k = 0; k < n; k++) h[k] = g[k] + z[k] * (h_prev[k] - g[k]);
}

void rnn_gru_step_f32(const rnn_options *o, float *gates, int64_t gates_row, const float *h_gate, int64_t h_gate_row,
                      const float *h_prev, int64_t h_prev_row, float *h, int64_t h_row, int64_t batch, int64_t hidden) {
  const rnn_kernels *k = rnn_best();
  for (int64_t b = 0; b < batch; b++, gates += gates_row, h_prev += h_prev_row, h += h_row) {
    const float *row = h_gate ? h_gate + b * h_gate_row : NULL;
    if (o && (o->f || o->g))
      gru_step_general(o, gates, row, h_prev, h, hidden);
    else
      k->gru(gates, row, h_prev, h, hidden, clip_of(o));
  }
}

void rnn_gru_reset_f32(const rnn_options *o, const float *gates, int64_t gates_row, const float *h_prev,
                       int64_t h_prev_row, float *rh, int64_t rh_row, int64_t batch, int64_t hidden) {
  const rnn_kernels *k = rnn_best();
  for (int64_t b = 0; b < batch; b++, gates += gates_row, h_prev += h_prev_row, rh += rh_row) {
    if (!o || !o->f) {
      k->gru_reset(gates + hidden, h_prev, rh, hidden, clip_of(o));
      continue;
    }
    for (int64_t i = 0; i < hidden; i++) rh[i] = gates[hidden + i];
    activate(o->f, UNARY_SIGMOID, clip_of(o), rh, hidden);
    for (int64_t i = 0; i < hidden; i++) rh[i] *= h_prev[i];
  }
}

const rnn_kernels *rnn_kernels_best(void) { return rnn_best(); }

size_t rnn_packed_bytes(const rnn_kernels *k, int n_gates, int64_t hidden) {
  int64_t lanes = k->lanes;
  return (size_t)((hidden + lanes - 1) / lanes * lanes * hidden * n_gates) * sizeof(float);
}

void rnn_pack_f32(const rnn_kernels *k, int n_gates, int64_t hidden, const unaligned_f32 *r, float *packed) {
  enum { DEPTH = 16 }; /* a cache line of r is used whole */
  int64_t lanes = k->lanes, width = n_gates * lanes;
  for (int64_t unit = 0; unit < hidden; unit += lanes, packed += hidden * width) {
    for (int64_t from = 0; from < hidden; from += DEPTH) {
      int64_t to = hidden - from < DEPTH ? hidden : from + DEPTH;
      for (int64_t j = 0; j < width; j++) {
        int64_t u = unit + j % lanes;
        const unaligned_f32 *row = r + (j / lanes * hidden + (u < hidden ? u : 0)) * hidden;
        for (int64_t i = from; i < to; i++) packed[i * width + j] = u < hidden ? row[i] : 0;
      }
    }
  }
}

void rnn_lstm_row_f32(const rnn_row *w, const float *gates, const float *h_prev, float *c, float *h, int64_t hidden,
                      bool from_end) {
  rnn_best()->lstm_row(w->packed, gates, h_prev, c, h, hidden, w->clip > 0 ? w->clip : INFINITY, from_end);
}

void rnn_gru_row_f32(const rnn_row *w, float *gates, const float *h_prev, float *rh, float *h, int64_t hidden,
                     bool from_end) {
  const rnn_kernels *k = rnn_best();
  float clip = w->clip > 0 ? w->clip : INFINITY;
  if (!w->packed_late) {
    k->gru_row(w->packed, w->late_bias, gates, h_prev, h, hidden, clip, from_end);
    return;
  }
  k->gru_early_row(w->packed, gates, h_prev, rh, hidden, clip, from_end);
  k->gru_late_row(w->packed_late, gates, rh, h_prev, h, hidden, clip, from_end);
}
