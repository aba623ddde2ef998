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

/* Row u of the packed weights of n gates (blocks of one unit) times h, for gate g. */
static double product(const float *packed, int n, int g, int64_t u, const float *h, int64_t hidden) {
  double sum = 0;
  for (int64_t k = 0; k < hidden; k++) sum += (double)packed[(u * hidden + k) * n + g] * h[k];
  return sum;
}

static void ref_lstm_row(const float *packed, const float *gates, const float *h_prev, float *c, float *h,
                         int64_t hidden, float clip, bool from_end) {
  for (int64_t u = 0; u < hidden; u++) {
    double x[4];
    for (int g = 0; g < 4; g++) x[g] = bounded(gates[g * hidden + u] + product(packed, 4, g, u, h_prev, hidden), clip);
    double state = sigmoid(x[2]) * c[u] + sigmoid(x[0]) * tanh(x[3]);
    c[u] = (float)state;
    h[u] = (float)(sigmoid(x[1]) * tanh(state));
  }
}

static void ref_gru_row(const float *packed, const float *late_bias, const float *gates, const float *h_prev, float *h,
                        int64_t hidden, float clip, bool from_end) {
  for (int64_t u = 0; u < hidden; u++) {
    double z = sigmoid(bounded(gates[u] + product(packed, 3, 0, u, h_prev, hidden), clip));
    double r = sigmoid(bounded(gates[hidden + u] + product(packed, 3, 1, u, h_prev, hidden), clip));
    double late = product(packed, 3, 2, u, h_prev, hidden) + late_bias[u];
    double g = tanh(bounded(gates[2 * hidden + u] + r * late, clip));
    h[u] = (float)((1 - z) * g + z * h_prev[u]);
  }
}

static void ref_gru_early_row(const float *packed, float *gates, const float *h_prev, float *rh, int64_t hidden,
                              float clip, bool from_end) {
  for (int64_t u = 0; u < hidden; u++) {
    double r = sigmoid(bounded(gates[hidden + u] + product(packed, 2, 1, u, h_prev, hidden), clip));
    gates[u] = (float)(gates[u] + product(packed, 2, 0, u, h_prev, hidden));
    rh[u] = (float)(r * h_prev[u]);
  }
}

static void ref_gru_late_row(const float *packed, const float *gates, const float *rh, const float *h_prev, float *h,
                             int64_t hidden, float clip, bool from_end) {
  for (int64_t u = 0; u < hidden; u++) {
    double z = sigmoid(bounded(gates[u], clip));
    double g = tanh(bounded(gates[2 * hidden + u] + product(packed, 1, 0, u, rh, hidden), clip));
    h[u] = (float)((1 - z) * g + z * h_prev[u]);
  }
}

const rnn_kernels rnn__ref = {ref_lstm,     ref_gru,     ref_gru_reset,     1,
                              ref_lstm_row, ref_gru_row, ref_gru_early_row, ref_gru_late_row};
