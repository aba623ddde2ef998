/* ops/rnn: RNN, GRU and LSTM in double: all directions, layouts, activations, clip, peepholes, lengths of each
 * sequence.
 *
 * X is [steps, batch, input] (layout 0) or [batch, steps, input]; per direction W [gates * hidden, input],
 * R [gates * hidden, hidden], B [2 * gates * hidden]; gate orders: LSTM i, o, f, c; GRU z, r, h. A sequence shorter
 * than `steps` has zeros in Y beyond its end, and its last state in Y_h; the reverse direction starts at its own end.
 */
#include "ops/rnn.h"

#include "ops/real.h"

#include <math.h>

static const struct {
  const char *name;
  double alpha, beta;
} rnn_acts[ACT_COUNT] = {{"relu", 0, 0},         {"tanh", 0, 0},
                         {"sigmoid", 0, 0},      {"affine", 1, 0},
                         {"leakyrelu", 0.01, 0}, {"thresholdedrelu", 1, 0},
                         {"scaledtanh", 1, 1},   {"hardsigmoid", 0.2, 0.5},
                         {"elu", 1, 0},          {"softsign", 0, 0},
                         {"softplus", 0, 0}};

ledge_status rnn_length(op_ctx *c, const rnn_shape *s, const tensor *lens, int64_t b, int64_t *ret) {
  *ret = lens ? tensor_i64(lens, b) : s->steps;
  if (*ret >= 0 && *ret <= s->steps) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_DATA, "sequence_lens holds %lld for %lld steps", (long long)*ret, (long long)s->steps);
}

double rnn_apply(const rnn_act *a, double x) {
  switch (a->kind) {
    case ACT_RELU: return x > 0 ? x : isnan(x) ? x : 0;
    case ACT_TANH: return tanh(x);
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_AFFINE: return a->alpha * x + a->beta;
    case ACT_LEAKY_RELU: return x < 0 ? a->alpha * x : x;
    case ACT_THRESHOLDED_RELU: return x >= a->alpha ? x : 0;
    case ACT_SCALED_TANH: return a->alpha * tanh(a->beta * x);
    case ACT_HARD_SIGMOID: return fmin(fmax(a->alpha * x + a->beta, 0), 1);
    case ACT_ELU: return x < 0 ? a->alpha * (exp(x) - 1) : x;
    case ACT_SOFTSIGN: return x / (1 + fabs(x));
    case ACT_SOFTPLUS: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case ACT_COUNT: break;
  }
  return x;
}

static bool same_name(ledge_string s, const char *name) {
  size_t n = strlen(name);
  for (size_t i = 0; i < n && i < s.size; i++) {
    char c = s.data[i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != name[i]) return false;
  }
  return s.size == n;
}

static ledge_status rnn_read_acts(op_ctx *c, rnn_shape *s) {
  static const rnn_act_kind defaults[3][3] = {{ACT_TANH}, {ACT_SIGMOID, ACT_TANH}, {ACT_SIGMOID, ACT_TANH, ACT_TANH}};
  int64_t count, n_alpha, n_beta, at_alpha = 0, at_beta = 0;
  const ledge_string *names = op_strings(c, "activations", &count);
  const float *alpha = op_floats(c, "activation_alpha", &n_alpha), *beta = op_floats(c, "activation_beta", &n_beta);
  s->n_acts = s->kind == RNN_PLAIN ? 1 : s->kind == RNN_GRU ? 2 : 3;
  int total = s->n_acts * (int)s->directions;
  if (count && count != total)
    return op_fail(c, LEDGE_ERROR_FORMAT, "activations has %lld names where %d are needed", (long long)count, total);
  for (int i = 0; i < total; i++) {
    int kind = defaults[s->kind][i % s->n_acts];
    if (count)
      for (kind = 0; kind < ACT_COUNT && !same_name(names[i], rnn_acts[kind].name);) kind++;
    if (kind == ACT_COUNT)
      return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "no activation '%.*s'", (int)names[i].size, names[i].data);
    rnn_act a = {(rnn_act_kind)kind, rnn_acts[kind].alpha, rnn_acts[kind].beta};
    bool has_alpha = a.alpha != 0, has_beta = a.beta != 0 || kind == ACT_AFFINE;
    if (has_alpha && at_alpha < n_alpha) a.alpha = alpha[at_alpha++];
    if (has_beta && at_beta < n_beta) a.beta = beta[at_beta++];
    s->acts[i] = a;
  }
  return LEDGE_OK;
}

static ledge_status rnn_check(op_ctx *c, int input, int rank, int64_t d0, int64_t d1, int64_t d2) {
  const tensor *t = op_in(c, input);
  const int64_t dims[] = {d0, d1, d2};
  if (!t) return LEDGE_OK;
  if (!shape_equal(t->rank, t->dims, rank, dims)) {
    char a[200], b[200];
    return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has shape %s instead of %s", input,
                   shape_print(t->rank, t->dims, a, sizeof a), shape_print(rank, dims, b, sizeof b));
  }
  return t->dtype == op_in(c, 0)->dtype ? LEDGE_OK : op_fail_dtype(c, input);
}

ledge_status rnn_read(op_ctx *c, rnn_shape *s) {
  const tensor *x = op_in(c, 0), *r = op_in(c, 2);
  *s = (rnn_shape){.kind = !strncmp(c->def->name, "LSTM", 4)  ? RNN_LSTM
                           : !strncmp(c->def->name, "GRU", 3) ? RNN_GRU
                                                              : RNN_PLAIN};
  TRY(real_check(c, 0, false));
  if (x->rank != 3 || r->rank != 3) return op_fail(c, LEDGE_ERROR_SHAPE, "X and R must have rank 3");
  bool bidirectional = op_string_is(c, "direction", "forward", "bidirectional");
  s->reverse = op_string_is(c, "direction", "forward", "reverse");
  if (!bidirectional && !s->reverse && !op_string_is(c, "direction", "forward", "forward"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "direction must be forward, reverse or bidirectional");
  s->batch_first = op_int(c, "layout", 0) != 0;
  s->steps = x->dims[s->batch_first];
  s->batch = x->dims[!s->batch_first];
  s->input = x->dims[2];
  s->hidden = r->dims[2];
  s->directions = bidirectional ? 2 : 1;
  s->gates = s->kind == RNN_LSTM ? 4 : s->kind == RNN_GRU ? 3 : 1;
  s->clip = op_float(c, "clip", 0);
  if (s->steps > INT32_MAX || s->input > INT32_MAX || s->batch > INT32_MAX)
    return op_fail(c, LEDGE_ERROR_LIMIT, "a dim of the input is above %d", INT32_MAX);
  if (s->hidden > INT32_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "hidden_size is out of range");
  if (op_attr_given(c, "hidden_size") && op_int(c, "hidden_size", 0) != s->hidden)
    return op_fail(c, LEDGE_ERROR_SHAPE, "hidden_size is %lld where R has %lld", (long long)op_int(c, "hidden_size", 0),
                   (long long)s->hidden);
  int64_t d = s->directions, g = s->gates * s->hidden;
  TRY(rnn_check(c, 1, 3, d, g, s->input));
  TRY(rnn_check(c, 2, 3, d, g, s->hidden));
  TRY(rnn_check(c, 3, 2, d, 2 * g, 0));
  const tensor *lens = op_in(c, 4);
  if (lens && (lens->dtype != LEDGE_I32 || tensor_elements(lens) != s->batch))
    return op_fail(c, LEDGE_ERROR_SHAPE, "sequence_lens is not one int32 for each of %lld sequences",
                   (long long)s->batch);
  for (int i = 5; i <= (s->kind == RNN_LSTM ? 6 : 5); i++)
    TRY(s->batch_first ? rnn_check(c, i, 3, s->batch, d, s->hidden) : rnn_check(c, i, 3, d, s->batch, s->hidden));
  if (s->kind == RNN_LSTM) TRY(rnn_check(c, 7, 2, d, 3 * s->hidden, 0));
  return rnn_read_acts(c, s);
}

static ledge_status rnn_infer(op_ctx *c) {
  rnn_shape s;
  TRY(rnn_read(c, &s));
  ledge_dtype dtype = op_in(c, 0)->dtype;
  if (s.batch_first) {
    TRY(op_shape(c, 0, dtype, 4, (int64_t[]){s.batch, s.steps, s.directions, s.hidden}));
    for (int i = 1; i < c->n_out; i++) TRY(op_shape(c, i, dtype, 3, (int64_t[]){s.batch, s.directions, s.hidden}));
    return LEDGE_OK;
  }
  TRY(op_shape(c, 0, dtype, 4, (int64_t[]){s.steps, s.directions, s.batch, s.hidden}));
  for (int i = 1; i < c->n_out; i++) TRY(op_shape(c, i, dtype, 3, (int64_t[]){s.directions, s.batch, s.hidden}));
  return LEDGE_OK;
}

static double clipped(const rnn_shape *s, double v) { return s->clip > 0 ? fmin(fmax(v, -s->clip), s->clip) : v; }

static double dot(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* The weights of one direction, and scratch. */
typedef struct rnn_weights {
  const double *w, *r, *b, *p; /* b: input biases, then recurrent ones; p: peepholes i, o, f; NULL where absent */
  bool linear_before_reset, input_forget;
} rnn_weights;

static double pre(const rnn_shape *s, const rnn_weights *k, int64_t row, const double *x, const double *h) {
  double v = dot(k->w + row * s->input, x, s->input) + dot(k->r + row * s->hidden, h, s->hidden);
  return k->b ? v + k->b[row] + k->b[s->gates * s->hidden + row] : v;
}

static void lstm_step(const rnn_shape *s, const rnn_weights *k, const rnn_act *a, const double *x, const double *h,
                      double *cell, double *to) {
  int64_t n = s->hidden;
  for (int64_t i = 0; i < n; i++) {
    double c0 = cell[i];
    double in = rnn_apply(&a[0], clipped(s, pre(s, k, i, x, h) + (k->p ? k->p[i] * c0 : 0)));
    double forget = k->input_forget
                        ? 1 - in
                        : rnn_apply(&a[0], clipped(s, pre(s, k, 2 * n + i, x, h) + (k->p ? k->p[2 * n + i] * c0 : 0)));
    double c1 = forget * c0 + in * rnn_apply(&a[1], clipped(s, pre(s, k, 3 * n + i, x, h)));
    double out = rnn_apply(&a[0], clipped(s, pre(s, k, n + i, x, h) + (k->p ? k->p[n + i] * c1 : 0)));
    cell[i] = c1;
    to[i] = out * rnn_apply(&a[2], c1);
  }
}

static void gru_step(const rnn_shape *s, const rnn_weights *k, const rnn_act *a, const double *x, const double *h,
                     double *reset, double *to) {
  int64_t n = s->hidden;
  for (int64_t i = 0; i < n; i++) reset[i] = rnn_apply(&a[0], clipped(s, pre(s, k, n + i, x, h)));
  double *rh = reset + n;
  for (int64_t i = 0; i < n; i++) rh[i] = reset[i] * h[i];
  for (int64_t i = 0; i < n; i++) {
    int64_t row = 2 * n + i;
    double z = rnn_apply(&a[0], clipped(s, pre(s, k, i, x, h)));
    double wb = k->b ? k->b[row] : 0, rb = k->b ? k->b[s->gates * n + row] : 0,
           v = dot(k->w + row * s->input, x, s->input) + wb;
    if (k->linear_before_reset)
      v += reset[i] * (dot(k->r + row * n, h, n) + rb);
    else
      v += dot(k->r + row * n, rh, n) + rb;
    to[i] = (1 - z) * rnn_apply(&a[1], clipped(s, v)) + z * h[i];
  }
}

/* One sequence in one direction. state: h, c, and two rows of scratch, of `hidden` each. */
static void rnn_sequence(op_ctx *c, const rnn_shape *s, const rnn_weights *k, const double *x, int64_t b, int64_t d,
                         int64_t length, double *state) {
  tensor *y = op_out(c, 0);
  int64_t n = s->hidden;
  double *h = state, *cell = state + n, *scratch = state + 2 * n, *to = state + 4 * n;
  bool backward = s->reverse || d == 1;
  const rnn_act *a = s->acts + d * s->n_acts;
  for (int64_t step = 0; step < length; step++) {
    int64_t t = backward ? length - 1 - step : step;
    const double *row = x + (s->batch_first ? b * s->steps + t : t * s->batch + b) * s->input;
    if (s->kind == RNN_LSTM) {
      lstm_step(s, k, a, row, h, cell, to);
    } else if (s->kind == RNN_GRU) {
      gru_step(s, k, a, row, h, scratch, to);
    } else {
      for (int64_t i = 0; i < n; i++) to[i] = rnn_apply(&a[0], clipped(s, pre(s, k, i, row, h)));
    }
    memcpy(h, to, (size_t)n * sizeof *h);
    int64_t at =
        s->batch_first ? ((b * s->steps + t) * s->directions + d) * n : ((t * s->directions + d) * s->batch + b) * n;
    for (int64_t i = 0; y && i < n; i++) dtype_store_f64(y->dtype, y->data, at + i, h[i]);
  }
}

static ledge_status rnn_run_all(op_ctx *c, const rnn_shape *s, double *const *in, double *state) {
  const tensor *lens = op_in(c, 4);
  tensor *y = op_out(c, 0);
  int64_t n = s->hidden, g = s->gates * n;
  if (n == 0) return LEDGE_OK;
  if (y) memset(y->data, 0, tensor_bytes(y));
  for (int64_t d = 0; d < s->directions; d++) {
    rnn_weights k = {in[1] + d * g * s->input,
                     in[2] + d * g * n,
                     in[3] ? in[3] + d * 2 * g : NULL,
                     in[7] ? in[7] + d * 3 * n : NULL,
                     op_int(c, "linear_before_reset", 0) != 0,
                     op_int(c, "input_forget", 0) != 0};
    for (int64_t b = 0; b < s->batch; b++) {
      int64_t length, at = (s->batch_first ? b * s->directions + d : d * s->batch + b) * n;
      TRY(rnn_length(c, s, lens, b, &length));
      memset(state, 0, (size_t)(5 * n) * sizeof *state);
      if (in[5]) memcpy(state, in[5] + at, (size_t)n * sizeof *state);
      if (in[6]) memcpy(state + n, in[6] + at, (size_t)n * sizeof *state);
      rnn_sequence(c, s, &k, in[0], b, d, length, state);
      for (int o = 1; o <= 2; o++) {
        tensor *t = op_out(c, o);
        for (int64_t i = 0; t && i < n; i++) dtype_store_f64(t->dtype, t->data, at + i, state[(o - 1) * n + i]);
      }
    }
  }
  return LEDGE_OK;
}

static ledge_status rnn_run(op_ctx *c) {
  rnn_shape s;
  TRY(rnn_read(c, &s));
  double *in[8] = {NULL}, *state = real_scratch(c, 5 * s.hidden);
  ledge_status status = state ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int i = 0; !status && i < c->n_in && i < 8; i++) {
    if (i == 4 || !op_in(c, i)) continue;
    in[i] = real_load(c, op_in(c, i));
    if (!in[i]) status = LEDGE_ERROR_MEMORY;
  }
  if (!status) status = rnn_run_all(c, &s, in, state);
  for (int i = 0; i < 8; i++) op_scratch_free(in[i]);
  op_scratch_free(state);
  return status;
}

const op_def ops_rnn[] = {
    {"", "RNN", 1, 0, 3, 6, 0, 2, 0, rnn_infer, rnn_run},
    {"", "GRU", 1, 0, 3, 6, 0, 2, 0, rnn_infer, rnn_run},
    {"", "LSTM", 1, 0, 3, 8, 0, 3, 0, rnn_infer, rnn_run},
    {0},
};
