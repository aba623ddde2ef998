/* ops/rnn: what RNN, GRU and LSTM read from their node: shared with their gradients (gradient_rnn.c). */
#ifndef OPS_RNN_H
#define OPS_RNN_H

#include "ops/op.h"

typedef enum rnn_kind { RNN_PLAIN, RNN_GRU, RNN_LSTM } rnn_kind;

typedef enum rnn_act_kind {
  ACT_RELU,
  ACT_TANH,
  ACT_SIGMOID,
  ACT_AFFINE,
  ACT_LEAKY_RELU,
  ACT_THRESHOLDED_RELU,
  ACT_SCALED_TANH,
  ACT_HARD_SIGMOID,
  ACT_ELU,
  ACT_SOFTSIGN,
  ACT_SOFTPLUS,
  ACT_COUNT,
} rnn_act_kind;

typedef struct rnn_act {
  rnn_act_kind kind;
  double alpha, beta;
} rnn_act;

typedef struct rnn_shape {
  rnn_kind kind;
  int64_t steps, batch, input, hidden, directions, gates;
  bool batch_first, reverse; /* reverse: the only direction is backward */
  double clip;               /* 0: none */
  rnn_act acts[6];           /* three a direction at most */
  int n_acts;                /* of one direction */
} rnn_shape;

/* Of an operator whose name begins with LSTM, GRU or RNN, and whose inputs are those of LSTM. Errors: SHAPE, FORMAT. */
ledge_status rnn_read(op_ctx *c, rnn_shape *s);
/* Steps of sequence b: what sequence_lens (input 4) holds, or all. Errors: DATA. */
ledge_status rnn_length(op_ctx *c, const rnn_shape *s, const tensor *lens, int64_t b, int64_t *ret);
double rnn_apply(const rnn_act *a, double x);

#endif
