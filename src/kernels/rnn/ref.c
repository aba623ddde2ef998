/* rnn's oracle: the standard's equations, in double. */
#include "kernels/rnn/rnn.h"

#include <math.h>

static double bounded(double v, double clip) { return v < -clip ? -clip : v > clip ? clip : v; }
static double sigmoid(double v) { return 1 / (1 + exp(-v)); }

static void ref_lstm(const float *gates, const float *c_prev, float *c, float *h, int64_t hidden, float clip) {
  for (int64_t k = 0; k < hidden; k++) {
    double i = sigmoid(bounded(gates[k], clip)), o = sigmoid(bounded(gates[hidden + k], clip));
    double f = sigmoid(bounded(gates[2 * hidden + k], clip)), g = tanh(bounded(gates[3 * hidden + k], clip));
    double state = f * c_prev[k] + i * g;
    c[k] = (float)state;
    h[k] = (float)(o * tanh(state));
  }
}

static void ref_gru(const float *gates, const float *h_gate, const float *h_prev, float *h, int64_t hidden,
                    float clip) {
  for (int64_t k = 0; k < hidden; k++) {
    double z = sigmoid(bounded(gates[k], clip)), r = sigmoid(bounded(gates[hidden + k], clip));
    double g = tanh(bounded(gates[2 * hidden + k] + (h_gate ? r * h_gate[k] : 0), clip));
    h[k] = (float)((1 - z) * g + z * h_prev[k]);
  }
}

static void ref_gru_reset(const float *r_gate, const float *h_prev, float *rh, int64_t hidden, float clip) {
  for (int64_t k = 0; k < hidden; k++) rh[k] = (float)(sigmoid(bounded(r_gate[k], clip)) * h_prev[k]);
}

const rnn_kernels rnn__ref = {ref_lstm, ref_gru, ref_gru_reset};
