/* ops/gradient_rnn: the gradients of RNN, GRU and LSTM: back through time (Werbos, 1990), in double.
 *
 *   ledge.LSTMGrad, GRUGrad, RNNGrad: the operator's inputs X W R B lens h0 c0 P, then dY dY_h dY_c (any left out)
 *   -> dX dW dR dB dh0 dc0 dP, each where it is asked for
 *
 * Each sequence is run again first, and each step's pre-activations and states kept on a tape:
 *
 *   step   | pre: gates * hidden | h before | c before | q: what the reset gate multiplies |
 */
#include "ops/real.h"
#include "ops/rnn.h"

#include <math.h>

enum { IN_LENS = 4, IN_DY = 8, IN_DYH = 9, IN_DYC = 10, N_IN = 11, N_OUT = 7 };
enum { DX, DW, DR, DB, DH0, DC0, DP };

static ledge_status rnn_grad_infer(op_ctx *c) {
  static const int like[N_OUT] = {0, 1, 2, 3, 5, 6, 7};
  rnn_shape s;
  TRY(rnn_read(c, &s));
  for (int i = IN_DY; i < N_IN; i++) {
    const tensor *t = op_in(c, i);
    const int64_t wide[] = {s.batch_first ? s.batch : s.steps, s.batch_first ? s.steps : s.directions,
                            s.batch_first ? s.directions : s.batch, s.hidden},
                  last[] = {s.batch_first ? s.batch : s.directions, s.batch_first ? s.directions : s.batch, s.hidden};
    if (t && !(i == IN_DY ? shape_equal(t->rank, t->dims, 4, wide) : shape_equal(t->rank, t->dims, 3, last)))
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d does not have the shape of output %d", i, i - IN_DY);
  }
  for (int i = 0; i < N_OUT; i++) {
    if (!op_wants(c, i)) continue;
    const tensor *t = op_in(c, like[i]);
    if (!t) return op_fail(c, LEDGE_ERROR_SHAPE, "output %d is of input %d, which is left out", i, like[i]);
    TRY(op_shape(c, i, op_in(c, 0)->dtype, t->rank, t->dims));
  }
  return LEDGE_OK;
}

static double rnn_slope(const rnn_act *a, double x) {
  double y;
  switch (a->kind) {
    case ACT_RELU: return x > 0;
    case ACT_TANH: y = tanh(x); return 1 - y * y;
    case ACT_SIGMOID: y = 1 / (1 + exp(-x)); return y * (1 - y);
    case ACT_AFFINE: return a->alpha;
    case ACT_LEAKY_RELU: return x < 0 ? a->alpha : 1;
    case ACT_THRESHOLDED_RELU: return x >= a->alpha;
    case ACT_SCALED_TANH: y = tanh(a->beta * x); return a->alpha * a->beta * (1 - y * y);
    case ACT_HARD_SIGMOID: y = a->alpha * x + a->beta; return y > 0 && y < 1 ? a->alpha : 0;
    case ACT_ELU: return x < 0 ? a->alpha * exp(x) : 1;
    case ACT_SOFTSIGN: return 1 / ((1 + fabs(x)) * (1 + fabs(x)));
    case ACT_SOFTPLUS: return 1 / (1 + exp(-x));
    case ACT_COUNT: break;
  }
  return 1;
}

static double clipped(const rnn_shape *s, double v) { return s->clip > 0 ? fmin(fmax(v, -s->clip), s->clip) : v; }
static double act(const rnn_shape *s, const rnn_act *a, double v) { return rnn_apply(a, clipped(s, v)); }
/* The slope of the activation of a clipped value. */
static double slope(const rnn_shape *s, const rnn_act *a, double v) {
  return s->clip > 0 && fabs(v) > s->clip ? 0 : rnn_slope(a, v);
}

/* Eight partial sums, always the same: so that the compiler may use vectors. */
static double dot(const double *a, const double *b, int64_t n) {
  double sum[8] = {0};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; k++) sum[k] += a[i + k] * b[i + k];
  for (; i < n; i++) sum[0] += a[i] * b[i];
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

static void add_scaled(double *restrict to, const double *restrict from, double v, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] += v * from[i];
}

/* One direction: its weights, and where its gradients are summed (all there, whether asked for or not). */
typedef struct direction {
  const double *w, *r, *b, *p; /* b, p: NULL where left out */
  double *dw, *dr, *db, *dp;
  const rnn_act *a;
  bool backward, linear_before_reset, input_forget;
} direction;

typedef struct step {
  double *pre, *h, *c, *q;
} step;

static step tape_at(const rnn_shape *s, double *tape, int64_t i) {
  int64_t n = s->hidden;
  double *at = tape + i * (s->gates + 3) * n;
  return (step){at, at + s->gates * n, at + (s->gates + 1) * n, at + (s->gates + 2) * n};
}

/* The pre-activation of gate row `row` but for peepholes; *recurrent: the part of h alone. */
static double pre(const rnn_shape *s, const direction *d, int64_t row, const double *x, const double *h,
                  double *recurrent) {
  double in = dot(d->w + row * s->input, x, s->input), back = dot(d->r + row * s->hidden, h, s->hidden);
  if (d->b) in += d->b[row], back += d->b[s->gates * s->hidden + row];
  *recurrent = back;
  return in;
}

/* From the states in t->h and t->c to those of the next step. */
static void forward(const rnn_shape *s, const direction *d, const double *x, step *t, double *h, double *c) {
  int64_t n = s->hidden;
  double back, gated;
  if (s->kind == RNN_GRU) { /* rows z, r, h; r first, for it gates what h multiplies */
    for (int64_t i = 0; i < 2 * n; i++) {
      t->pre[i] = pre(s, d, i, x, t->h, &back);
      t->pre[i] += back;
    }
    for (int64_t i = 0; i < n; i++) c[i] = t->h[i] * act(s, &d->a[0], t->pre[n + i]); /* scratch: r * h */
    for (int64_t i = 0; i < n; i++) {
      t->pre[2 * n + i] = pre(s, d, 2 * n + i, x, d->linear_before_reset ? t->h : c, &back);
      t->q[i] = back;
      t->pre[2 * n + i] += d->linear_before_reset ? act(s, &d->a[0], t->pre[n + i]) * back : back;
    }
    for (int64_t i = 0; i < n; i++) {
      double z = act(s, &d->a[0], t->pre[i]);
      h[i] = (1 - z) * act(s, &d->a[1], t->pre[2 * n + i]) + z * t->h[i];
    }
    return;
  }
  for (int64_t i = 0; i < s->gates * n; i++) {
    t->pre[i] = pre(s, d, i, x, t->h, &back);
    t->pre[i] += back;
  }
  if (s->kind == RNN_PLAIN) {
    for (int64_t i = 0; i < n; i++) h[i] = act(s, &d->a[0], t->pre[i]);
    return;
  }
  for (int64_t i = 0; i < n; i++) { /* rows i, o, f, c */
    double *p = t->pre + i;
    if (d->p) p[0] += d->p[i] * t->c[i], p[2 * n] += d->p[2 * n + i] * t->c[i];
    double in = act(s, &d->a[0], p[0]), forget = d->input_forget ? 1 - in : act(s, &d->a[0], p[2 * n]);
    gated = forget * t->c[i] + in * act(s, &d->a[1], p[3 * n]);
    if (d->p) p[n] += d->p[n + i] * gated;
    c[i] = gated;
    h[i] = act(s, &d->a[0], p[n]) * rnn_apply(&d->a[2], gated);
  }
}

/* From dh and dc of a step's end to those of its begin (both in place), and to the gates' pre-activations: dg[gates *
 * n] on the side of x, and for the GRU's last gate dq on the side of h. */
static void lstm_back(const rnn_shape *s, const direction *d, const step *t, double *dh, double *dc, double *dg) {
  int64_t n = s->hidden;
  for (int64_t i = 0; i < n; i++) {
    const double *p = t->pre + i;
    double in = act(s, &d->a[0], p[0]), forget = d->input_forget ? 1 - in : act(s, &d->a[0], p[2 * n]);
    double g = act(s, &d->a[1], p[3 * n]), c1 = forget * t->c[i] + in * g, out = act(s, &d->a[0], p[n]);
    double d_out = dh[i] * rnn_apply(&d->a[2], c1) * slope(s, &d->a[0], p[n]);
    double d_c1 = dc[i] + dh[i] * out * rnn_slope(&d->a[2], c1) + (d->p ? d_out * d->p[n + i] : 0);
    double d_in = d_c1 * g - (d->input_forget ? d_c1 * t->c[i] : 0);
    dg[i] = d_in * slope(s, &d->a[0], p[0]);
    dg[n + i] = d_out;
    dg[2 * n + i] = d->input_forget ? 0 : d_c1 * t->c[i] * slope(s, &d->a[0], p[2 * n]);
    dg[3 * n + i] = d_c1 * in * slope(s, &d->a[1], p[3 * n]);
    dc[i] = d_c1 * forget;
    if (d->p) {
      d->dp[i] += dg[i] * t->c[i];
      d->dp[n + i] += d_out * c1;
      d->dp[2 * n + i] += dg[2 * n + i] * t->c[i];
      dc[i] += dg[i] * d->p[i] + dg[2 * n + i] * d->p[2 * n + i];
    }
    dh[i] = 0;
  }
}

static void gru_back(const rnn_shape *s, const direction *d, const step *t, double *dh, double *dg, double *dq,
                     double *scratch) {
  int64_t n = s->hidden;
  for (int64_t i = 0; i < n; i++) {
    double z = act(s, &d->a[0], t->pre[i]), hh = act(s, &d->a[1], t->pre[2 * n + i]);
    dg[i] = dh[i] * (t->h[i] - hh) * slope(s, &d->a[0], t->pre[i]);
    dg[2 * n + i] = dh[i] * (1 - z) * slope(s, &d->a[1], t->pre[2 * n + i]);
    dh[i] *= z;
  }
  const double *r_h = d->r + 2 * n * n;
  double *dr_h = d->dr + 2 * n * n;
  if (d->linear_before_reset) {
    for (int64_t i = 0; i < n; i++) {
      double r = act(s, &d->a[0], t->pre[n + i]);
      dg[n + i] = dg[2 * n + i] * t->q[i] * slope(s, &d->a[0], t->pre[n + i]);
      dq[i] = dg[2 * n + i] * r;
    }
    for (int64_t i = 0; i < n; i++) {
      add_scaled(dr_h + i * n, t->h, dq[i], n);
      add_scaled(dh, r_h + i * n, dq[i], n);
    }
    return;
  }
  double *gated = scratch, *d_gated = scratch + n; /* r * h and its gradient */
  memset(d_gated, 0, (size_t)n * sizeof *d_gated);
  for (int64_t i = 0; i < n; i++) gated[i] = act(s, &d->a[0], t->pre[n + i]) * t->h[i];
  for (int64_t i = 0; i < n; i++) {
    dq[i] = dg[2 * n + i];
    add_scaled(dr_h + i * n, gated, dq[i], n);
    add_scaled(d_gated, r_h + i * n, dq[i], n);
  }
  for (int64_t i = 0; i < n; i++) {
    dg[n + i] = d_gated[i] * t->h[i] * slope(s, &d->a[0], t->pre[n + i]);
    dh[i] += d_gated[i] * act(s, &d->a[0], t->pre[n + i]);
  }
}

/* One step back. scratch: dg, dq and two rows more. */
static void backward(const rnn_shape *s, const direction *d, const step *t, const double *x, double *dx, double *dh,
                     double *dc, double *scratch) {
  int64_t n = s->hidden, rows = s->gates * n, h_rows = s->kind == RNN_GRU ? 2 * n : rows;
  double *dg = scratch, *dq = dg + rows;
  if (s->kind == RNN_LSTM) {
    lstm_back(s, d, t, dh, dc, dg);
  } else if (s->kind == RNN_GRU) {
    gru_back(s, d, t, dh, dg, dq, dq + n);
  } else {
    for (int64_t i = 0; i < n; i++) dg[i] = dh[i] * slope(s, &d->a[0], t->pre[i]), dh[i] = 0;
  }
  for (int64_t i = 0; i < rows; i++) {
    add_scaled(d->dw + i * s->input, x, dg[i], s->input);
    add_scaled(dx, d->w + i * s->input, dg[i], s->input);
    d->db[i] += dg[i];
    d->db[rows + i] += i < h_rows ? dg[i] : dq[i - h_rows];
  }
  for (int64_t i = 0; i < h_rows; i++) {
    add_scaled(d->dr + i * n, t->h, dg[i], n);
    add_scaled(dh, d->r + i * n, dg[i], n);
  }
}

typedef struct rnn_sequence {
  const double *x, *dy; /* dy: NULL where left out */
  double *dx, *tape, *h, *c, *scratch;
  int64_t b, d, length;
} rnn_sequence;

/* Forward along one sequence, with the tape, and back; q->h and q->c: the first states, then their gradients. */
static void run_sequence(const rnn_shape *s, const direction *d, const rnn_sequence *q, const double *dh_last,
                         const double *dc_last) {
  int64_t n = s->hidden;
  for (int64_t i = 0; i < q->length; i++) {
    int64_t t = d->backward ? q->length - 1 - i : i;
    step now = tape_at(s, q->tape, i);
    memcpy(now.h, q->h, (size_t)n * sizeof *q->h);
    memcpy(now.c, q->c, (size_t)n * sizeof *q->c);
    forward(s, d, q->x + (s->batch_first ? q->b * s->steps + t : t * s->batch + q->b) * s->input, &now, q->h, q->c);
  }
  for (int64_t i = 0; i < n; i++) {
    q->h[i] = dh_last ? dh_last[i] : 0;
    q->c[i] = dc_last ? dc_last[i] : 0;
  }
  for (int64_t i = q->length - 1; i >= 0; i--) {
    int64_t t = d->backward ? q->length - 1 - i : i;
    int64_t row = s->batch_first ? q->b * s->steps + t : t * s->batch + q->b;
    int64_t at = s->batch_first ? (row * s->directions + q->d) * n : ((t * s->directions + q->d) * s->batch + q->b) * n;
    for (int64_t k = 0; q->dy && k < n; k++) q->h[k] += q->dy[at + k];
    step now = tape_at(s, q->tape, i);
    backward(s, d, &now, q->x + row * s->input, q->dx + row * s->input, q->h, q->c, q->scratch);
  }
}

static ledge_status run_all(op_ctx *c, const rnn_shape *s, double *const *in, double *const *out, double *tape,
                            double *rows) {
  const tensor *lens = op_in(c, IN_LENS);
  int64_t n = s->hidden, g = s->gates * n;
  for (int64_t d = 0; d < s->directions; d++) {
    direction way = {.w = in[1] + d * g * s->input,
                     .r = in[2] + d * g * n,
                     .b = in[3] ? in[3] + d * 2 * g : NULL,
                     .p = in[7] ? in[7] + d * 3 * n : NULL,
                     .dw = out[DW] + d * g * s->input,
                     .dr = out[DR] + d * g * n,
                     .db = out[DB] + d * 2 * g,
                     .dp = out[DP] + d * 3 * n,
                     .a = s->acts + d * s->n_acts,
                     .backward = s->reverse || d == 1,
                     .linear_before_reset = op_int(c, "linear_before_reset", 0) != 0,
                     .input_forget = op_int(c, "input_forget", 0) != 0};
    for (int64_t b = 0; b < s->batch; b++) {
      int64_t length, at = (s->batch_first ? b * s->directions + d : d * s->batch + b) * n;
      TRY(rnn_length(c, s, lens, b, &length));
      rnn_sequence q = {in[0], in[IN_DY], out[DX], tape, rows, rows + n, rows + 2 * n, b, d, length};
      for (int64_t i = 0; i < n; i++) {
        q.h[i] = in[5] ? in[5][at + i] : 0;
        q.c[i] = in[6] ? in[6][at + i] : 0;
      }
      run_sequence(s, &way, &q, in[IN_DYH] ? in[IN_DYH] + at : NULL, in[IN_DYC] ? in[IN_DYC] + at : NULL);
      memcpy(out[DH0] + at, q.h, (size_t)n * sizeof *q.h);
      memcpy(out[DC0] + at, q.c, (size_t)n * sizeof *q.c);
    }
  }
  return LEDGE_OK;
}

/* A product of dims; what no allocation grants where it overflows (then other dims are 0, and nothing is computed). */
static int64_t count(int64_t a, int64_t b, int64_t c) {
  int64_t n = a;
  if (!a || !b || !c) return 0;
  if (__builtin_mul_overflow(n, b, &n) || __builtin_mul_overflow(n, c, &n)) return INT64_MAX;
  return n;
}

static ledge_status rnn_grad_run(op_ctx *c) {
  rnn_shape s;
  TRY(rnn_read(c, &s));
  int64_t n = s.hidden, d = s.directions, g = s.gates * n, state = count(d, s.batch, n);
  const int64_t sizes[N_OUT] = {count(s.steps, s.batch, s.input),
                                count(d, g, s.input),
                                count(d, g, n),
                                count(d, 2, g),
                                state,
                                state,
                                count(d, 3, n)};
  double *in[N_IN] = {NULL}, *out[N_OUT] = {NULL}, *rows = real_scratch(c, 2 * n + g + 3 * n);
  double *tape = real_scratch(c, s.batch ? count(s.steps, s.gates + 3, n) : 0);
  ledge_status status = rows && tape ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int i = 0; !status && i < N_IN; i++) {
    if (i == IN_LENS || !op_in(c, i)) continue;
    in[i] = real_load(c, op_in(c, i));
    if (!in[i]) status = LEDGE_ERROR_MEMORY;
  }
  for (int i = 0; !status && i < N_OUT; i++) {
    out[i] = real_scratch(c, sizes[i]);
    if (!out[i]) status = LEDGE_ERROR_MEMORY;
  }
  if (!status) status = run_all(c, &s, in, out, tape, rows);
  for (int i = 0; !status && i < N_OUT; i++)
    if (op_out(c, i)) real_store(out[i], op_out(c, i));
  for (int i = 0; i < N_IN; i++) op_scratch_free(in[i]);
  for (int i = 0; i < N_OUT; i++) op_scratch_free(out[i]);
  op_scratch_free(rows);
  op_scratch_free(tape);
  return status;
}

#define RNN_GRAD(name) \
  { "ledge", name, 1, 0, 9, 11, 1, 7, 0, rnn_grad_infer, rnn_grad_run, NULL }
const op_def ops_gradient_rnn[] = {RNN_GRAD("RNNGrad"), RNN_GRAD("GRUGrad"), RNN_GRAD("LSTMGrad"), {0}};
