/* RNN, GRU and LSTM: single entries (a call a step), batches (products and steps), both directions, what is left to the
 * reference. */
#include "backend/net_test.h"

#define RNN(g, d, steps, batch, more) \
  "x = in f32[" #steps "x" #batch "x7]; w = f32[" #d "x" #g "x7]; r = f32[" #d "x" #g "x19]; b = f32[" #d "x" more

static void test_layers(void) {
  static const net_case cases[] = {
      {RNN(76, 1, 6, 1, "152]; y h c = LSTM-14 x w r b hidden_size=19; out y h c"), "lstm", 1e-5},
      {RNN(76, 1, 6, 1, "152]; - h c = LSTM-14 x w r b hidden_size=19; out h c"), "lstm", 1e-5},
      {RNN(76, 1, 6, 3, "152]; y h c = LSTM-14 x w r b hidden_size=19; out y h c"), "lstm", 1e-5},
      {RNN(76, 2, 6, 1, "152]; y h c = LSTM-14 x w r b hidden_size=19 direction='bidirectional' clip=1.5; out y h c"),
       "lstm", 1e-5},
      {RNN(76, 1, 5, 1,
           "152]; s = f32[1x1x19]; y h c = LSTM-14 x w r b - s s hidden_size=19 direction='reverse'; "
           "out y h c"),
       "lstm", 1e-5},
      {RNN(76, 1, 6, 1, "152]; p = f32[1x57]; y h c = LSTM-14 x w r b - - - p hidden_size=19; out y h c"), "lstm",
       1e-5},
      {RNN(76, 1, 6, 1, "152]; y h c = LSTM-14 x w r b hidden_size=19 input_forget=1; out y h c"), "lstm", 1e-5},
      {RNN(76, 1, 6, 2, "152]; l = i32[2] 6 6; y h c = LSTM-14 x w r b l hidden_size=19; out y h c"), "lstm", 1e-5},
      {RNN(76, 1, 6, 2, "152]; l = i32[2] 6 4; y h c = LSTM-14 x w r b l hidden_size=19; out y h c"), "~lstm", 1e-5},
      {RNN(57, 1, 6, 1, "114]; y h = GRU-14 x w r b hidden_size=19; out y h"), "gru", 1e-5},
      {RNN(57, 1, 6, 1, "114]; - h = GRU-14 x w r b hidden_size=19; out h"), "gru", 1e-5},
      {RNN(57, 2, 6, 1, "114]; y h = GRU-14 x w r b hidden_size=19 direction='bidirectional'; out y h"), "gru", 1e-5},
      {RNN(57, 2, 6, 1,
           "114]; y h = GRU-14 x w r b hidden_size=19 linear_before_reset=1 clip=0.7 "
           "direction='bidirectional'; out y h"),
       "gru", 1e-5},
      {RNN(57, 1, 6, 4, "114]; y h = GRU-14 x w r b hidden_size=19 linear_before_reset=1; out y h"), "gru", 1e-5},
      {RNN(57, 1, 6, 4, "114]; y h = GRU-14 x w r b hidden_size=19; out y h"), "gru", 1e-5},
      {RNN(19, 1, 6, 1, "38]; y h = RNN-14 x w r b hidden_size=19; out y h"), "rnn", 1e-5},
      {RNN(19, 1, 6, 3, "38]; - h = RNN-14 x w r b hidden_size=19 activations=['Relu']; out h"), "rnn", 1e-5},
      {RNN(19, 2, 6, 2,
           "38]; y h = RNN-14 x w r b hidden_size=19 activations=['Sigmoid','Tanh'] "
           "direction='bidirectional'; out y h"),
       "rnn", 1e-5},
      {RNN(19, 1, 6, 1, "38]; y h = RNN-14 x w r b hidden_size=19 clip=1.0; out y h"), "~rnn", 1e-5},
      {RNN(19, 1, 6, 1, "38]; y h = RNN-14 x w r b hidden_size=19 activations=['Softsign']; out y h"), "~rnn", 1e-5},
  };
  NET_CASES(cases);
}

TEST_MAIN({"layers", test_layers})
