/* rnn's body, in the words of simd/: the fused steps of one batch entry, without and with their product. */
#include "kernels/rnn/rnn.h"
#include "kernels/simd/math.h"
#include "kernels/simd/upto.h"

/* A pre-activation within [-clip, clip]. */
VF_WORD vf clipped(vf x, vf clip) { return vf_min(clip, vf_max(vf_neg(clip), x)); }
VF_WORD vf gate(const float *p, int64_t count, vf clip) { return clipped(vf_load_upto(p, count), clip); }

static void lstm(const float *gates, const float *c_prev, float *c, float *h, int64_t hidden, float clip_) {
  const vf clip = vf_set1(clip_);
  for (int64_t k = 0; k < hidden; k += VF_LANES) {
    int64_t count = hidden - k;
    vf i = vf_sigmoid(gate(gates + k, count, clip)), o = vf_sigmoid(gate(gates + hidden + k, count, clip));
    vf f = vf_sigmoid(gate(gates + 2 * hidden + k, count, clip));
    vf g = vf_tanh(gate(gates + 3 * hidden + k, count, clip));
    vf state = vf_fma(f, vf_load_upto(c_prev + k, count), vf_mul(i, g));
    vf_store_upto(c + k, state, count);
    vf_store_upto(h + k, vf_mul(o, vf_tanh(state)), count);
  }
}

/* h = (1 - z) g + z h_prev = g + z (h_prev - g). */
static void gru(const float *gates, const float *h_gate, const float *h_prev, float *h, int64_t hidden, float clip_) {
  const vf clip = vf_set1(clip_);
  for (int64_t k = 0; k < hidden; k += VF_LANES) {
    int64_t count = hidden - k;
    vf z = vf_sigmoid(gate(gates + k, count, clip)), g = vf_load_upto(gates + 2 * hidden + k, count);
    if (h_gate) g = vf_fma(vf_sigmoid(gate(gates + hidden + k, count, clip)), vf_load_upto(h_gate + k, count), g);
    g = vf_tanh(clipped(g, clip));
    vf_store_upto(h + k, vf_fma(z, vf_sub(vf_load_upto(h_prev + k, count), g), g), count);
  }
}

static void gru_reset(const float *r_gate, const float *h_prev, float *rh, int64_t hidden, float clip_) {
  const vf clip = vf_set1(clip_);
  for (int64_t k = 0; k < hidden; k += VF_LANES) {
    int64_t count = hidden - k;
    vf_store_upto(rh + k, vf_mul(vf_sigmoid(gate(r_gate + k, count, clip)), vf_load_upto(h_prev + k, count)), count);
  }
}

/* sums[g] = h R of one block of units. Each is `chains` chains of multiply-adds, which hide their latency. */
enum { GATES = 4, CHAINS = 8 };
VF_WORD void block_sums(const float *packed, const float *h, int64_t hidden, const int gates, const int chains,
                        vf sums[GATES]) {
  vf acc[CHAINS][GATES];
  LOOP_UNROLL for (int i = 0; i < chains; i++) { LOOP_UNROLL for (int g = 0; g < gates; g++) acc[i][g] = vf_zero(); }
  int64_t k = 0;
  for (; k + chains <= hidden; k += chains) {
    LOOP_UNROLL for (int i = 0; i < chains; i++) {
      const vf x = vf_set1(h[k + i]);
      LOOP_UNROLL for (int g = 0; g < gates; g++, packed += VF_LANES) acc[i][g] = vf_fma(x, vf_load(packed), acc[i][g]);
    }
  }
  for (; k < hidden; k++) {
    const vf x = vf_set1(h[k]);
    LOOP_UNROLL for (int g = 0; g < gates; g++, packed += VF_LANES) acc[0][g] = vf_fma(x, vf_load(packed), acc[0][g]);
  }
  LOOP_UNROLL for (int g = 0; g < gates; g++) {
    LOOP_UNROLL for (int i = 1; i < chains; i++) acc[0][g] = vf_add(acc[0][g], acc[i][g]);
    sums[g] = acc[0][g];
  }
}

/* The block that comes i-th: its first unit. */
VF_WORD int64_t unit_of(int64_t i, int64_t hidden, bool from_end) {
  int64_t n = (hidden + VF_LANES - 1) / VF_LANES;
  return (from_end ? n - 1 - i : i) * VF_LANES;
}

static void lstm_row(const float *packed, const float *gates, const float *h_prev, float *c, float *h, int64_t hidden,
                     float clip_, bool from_end) {
  const vf clip = vf_set1(clip_);
  for (int64_t b = 0; b * VF_LANES < hidden; b++) {
    int64_t k = unit_of(b, hidden, from_end), count = hidden - k;
    vf s[GATES];
    block_sums(packed + k * hidden * 4, h_prev, hidden, 4, 2, s);
    vf i = vf_sigmoid(clipped(vf_add(s[0], vf_load_upto(gates + k, count)), clip));
    vf o = vf_sigmoid(clipped(vf_add(s[1], vf_load_upto(gates + hidden + k, count)), clip));
    vf f = vf_sigmoid(clipped(vf_add(s[2], vf_load_upto(gates + 2 * hidden + k, count)), clip));
    vf g = vf_tanh(clipped(vf_add(s[3], vf_load_upto(gates + 3 * hidden + k, count)), clip));
    vf state = vf_fma(f, vf_load_upto(c + k, count), vf_mul(i, g));
    vf_store_upto(c + k, state, count);
    vf_store_upto(h + k, vf_mul(o, vf_tanh(state)), count);
  }
}

/* linear_before_reset: the candidate is tanh(gate + r (h R + bias)). */
static void gru_row(const float *packed, const float *late_bias, const float *gates, const float *h_prev, float *h,
                    int64_t hidden, float clip_, bool from_end) {
  const vf clip = vf_set1(clip_);
  for (int64_t b = 0; b * VF_LANES < hidden; b++) {
    int64_t k = unit_of(b, hidden, from_end), count = hidden - k;
    vf s[GATES];
    block_sums(packed + k * hidden * 3, h_prev, hidden, 3, 2, s);
    vf z = vf_sigmoid(clipped(vf_add(s[0], vf_load_upto(gates + k, count)), clip));
    vf r = vf_sigmoid(clipped(vf_add(s[1], vf_load_upto(gates + hidden + k, count)), clip));
    vf late = vf_add(s[2], vf_load_upto(late_bias + k, count));
    vf g = vf_tanh(clipped(vf_fma(r, late, vf_load_upto(gates + 2 * hidden + k, count)), clip));
    vf_store_upto(h + k, vf_fma(z, vf_sub(vf_load_upto(h_prev + k, count), g), g), count);
  }
}

/* Without: z's pre-activation is completed in gates, and rh = r h_prev. */
static void gru_early_row(const float *packed, float *gates, const float *h_prev, float *rh, int64_t hidden,
                          float clip_, bool from_end) {
  const vf clip = vf_set1(clip_);
  for (int64_t b = 0; b * VF_LANES < hidden; b++) {
    int64_t k = unit_of(b, hidden, from_end), count = hidden - k;
    vf s[GATES];
    block_sums(packed + k * hidden * 2, h_prev, hidden, 2, 4, s);
    vf_store_upto(gates + k, vf_add(s[0], vf_load_upto(gates + k, count)), count);
    vf r = vf_sigmoid(clipped(vf_add(s[1], vf_load_upto(gates + hidden + k, count)), clip));
    vf_store_upto(rh + k, vf_mul(r, vf_load_upto(h_prev + k, count)), count);
  }
}

static void gru_late_row(const float *packed, const float *gates, const float *rh, const float *h_prev, float *h,
                         int64_t hidden, float clip_, bool from_end) {
  const vf clip = vf_set1(clip_);
  for (int64_t b = 0; b * VF_LANES < hidden; b++) {
    int64_t k = unit_of(b, hidden, from_end), count = hidden - k;
    vf s[GATES];
    block_sums(packed + k * hidden, rh, hidden, 1, 8, s);
    vf z = vf_sigmoid(clipped(vf_load_upto(gates + k, count), clip));
    vf g = vf_tanh(clipped(vf_add(s[0], vf_load_upto(gates + 2 * hidden + k, count)), clip));
    vf_store_upto(h + k, vf_fma(z, vf_sub(vf_load_upto(h_prev + k, count), g), g), count);
  }
}

const rnn_kernels VF_NAME(rnn);
const rnn_kernels VF_NAME(rnn) = {lstm, gru, gru_reset, VF_LANES, lstm_row, gru_row, gru_early_row, gru_late_row};
