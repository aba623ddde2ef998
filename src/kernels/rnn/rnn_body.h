/* rnn's body, in the words of simd/: the fused steps of one batch entry. */
#include "kernels/rnn/rnn.h"
#include "kernels/simd/math.h"
#include "kernels/simd/upto.h"

/* A pre-activation within [-clip, clip]. */
VF_WORD vf gate(const float *p, int64_t count, vf clip) {
  return vf_min(clip, vf_max(vf_neg(clip), vf_load_upto(p, count)));
}

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
    g = vf_tanh(vf_min(clip, vf_max(vf_neg(clip), g)));
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

const rnn_kernels VF_NAME(rnn);
const rnn_kernels VF_NAME(rnn) = {lstm, gru, gru_reset};
