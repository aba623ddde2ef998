/* kernels/rnn: one step of an LSTM or GRU from its gates' pre-activations, in float32. The matrix products that make
 * the pre-activations are gemm's; here are the nonlinearities and the update of the state, fused.
 *
 * Gate orders are ONNX's: LSTM i, o, f, c and GRU z, r, h, each gate a run of `hidden` elements in a row of a batch
 * entry. Pre-activations already hold X W + H R + the biases.
 * Activations are sigmoid and tanh by default (NULL); others are unary_op's, applied with a pass each.
 * `clip` > 0 bounds every pre-activation to [-clip, clip].
 * Aliasing: c may be c_prev, h may be h_prev exactly; nothing else may overlap. */
#ifndef KERNELS_RNN_H
#define KERNELS_RNN_H

#include "base/compiler.h"
#include "kernels/unary/unary.h"

typedef struct rnn_options {
  const unary_op *f, *g, *h;             /* NULL: sigmoid, tanh, tanh (GRU: f and g) */
  float clip;                            /* 0: none */
  bool input_forget;                     /* LSTM: f = 1 - i */
  const float *peep_i, *peep_o, *peep_f; /* LSTM's peepholes, [hidden] each or all NULL */
} rnn_options;

typedef struct rnn_kernels {
  /* The fused default: sigmoid and tanh, one batch entry, no peepholes, no input_forget; clip of INFINITY for none. */
  void (*lstm)(const float *gates, const float *c_prev, float *c, float *h, int64_t hidden, float clip);
  void (*gru)(const float *gates, const float *h_gate, const float *h_prev, float *h, int64_t hidden, float clip);
  void (*gru_reset)(const float *r_gate, const float *h_prev, float *rh, int64_t hidden, float clip);
  /* Whole steps of one entry, the product with the packed recurrent weights included: see rnn_row below. */
  int lanes; /* units of a block of packed weights */
  void (*lstm_row)(const float *packed, const float *gates, const float *h_prev, float *c, float *h, int64_t hidden,
                   float clip, bool from_end);
  void (*gru_row)(const float *packed, const float *late_bias, const float *gates, const float *h_prev, float *h,
                  int64_t hidden, float clip, bool from_end);
  void (*gru_early_row)(const float *packed, float *gates, const float *h_prev, float *rh, int64_t hidden, float clip,
                        bool from_end);
  void (*gru_late_row)(const float *packed, const float *gates, const float *rh, const float *h_prev, float *h,
                       int64_t hidden, float clip, bool from_end);
} rnn_kernels;
KERNEL_VARIANTS_DECLARE(rnn);
extern const rnn_kernels rnn__ref;

/* i, o, f, c~ = gates; c = f c_prev + i g(c~); h = o h(c). gates is [batch] rows of 4 * hidden, gates_row elements
 * apart, and is overwritten. c_prev, c, h are [batch, hidden]; h's rows are h_row apart. o's peephole sees the new c.
 */
void rnn_lstm_step_f32(const rnn_options *o, float *gates, int64_t gates_row, const float *c_prev, float *c, float *h,
                       int64_t h_row, int64_t batch, int64_t hidden);

/* GRU with linear_before_reset: gates is [batch] rows of z, r (X W + H R + both biases) and h (X W + its input bias
 * alone); h_gate is [batch, hidden], H R + its recurrent bias. h = (1 - z) g(h~ + r h_gate) + z h_prev. gates is
 * overwritten. */
void rnn_gru_step_f32(const rnn_options *o, float *gates, int64_t gates_row, const float *h_gate, int64_t h_gate_row,
                      const float *h_prev, int64_t h_prev_row, float *h, int64_t h_row, int64_t batch, int64_t hidden);
/* GRU without: first rh = r h_prev (r's pre-activation is the second run of gates), then, when the caller has added
 * rh R to the third run of gates, rnn_gru_step_f32 with h_gate = NULL. */
void rnn_gru_reset_f32(const rnn_options *o, const float *gates, int64_t gates_row, const float *h_prev,
                       int64_t h_prev_row, float *rh, int64_t rh_row, int64_t batch, int64_t hidden);

/* ---- steps of one batch entry, with the product H R inside ----
 * The weights of a step are read once and are more than L1 holds: reading them from L2 is what such a step takes, and
 * everything else is to happen meanwhile. So units are worked on in blocks of a vector, whose gates' sums are never
 * stored, and whose nonlinearities overlap with the next block's product. Steps run over the blocks forwards and
 * backwards in turn (from_end), since the blocks that were last are still in L1.
 *
 * Packed: [blocks of k->lanes units][hidden][n_gates][lanes], zeros past the last unit; 64-byte aligned. The layout is
 * the variant's, k. */
size_t rnn_packed_bytes(const rnn_kernels *k, int n_gates, int64_t hidden);
/* r: [n_gates * hidden, hidden], as ONNX has R or some gates of it, at any address. */
void rnn_pack_f32(const rnn_kernels *k, int n_gates, int64_t hidden, const unaligned_f32 *r, float *packed);
const rnn_kernels *rnn_kernels_best(void); /* whose packing the calls below expect */

typedef struct rnn_row {
  const float *packed;      /* LSTM: 4 gates; GRU: z, r, h with linear_before_reset, else z, r */
  const float *packed_late; /* GRU without linear_before_reset: the candidate's */
  const float *late_bias;   /* GRU with: the candidate's recurrent bias, [hidden] */
  float clip;               /* 0: none */
} rnn_row;
/* gates: X W + biases, [n_gates * hidden]. c is updated in place. h and h_prev do not overlap. */
void rnn_lstm_row_f32(const rnn_row *w, const float *gates, const float *h_prev, float *c, float *h, int64_t hidden,
                      bool from_end);
/* rh: [hidden] of scratch. gates is overwritten. */
void rnn_gru_row_f32(const rnn_row *w, float *gates, const float *h_prev, float *rh, float *h, int64_t hidden,
                     bool from_end);

#endif
