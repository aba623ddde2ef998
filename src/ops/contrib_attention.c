/* ops/contrib_attention: Attention, MultiHeadAttention, GroupQueryAttention, QAttention and RotaryEmbedding of domain
 * com.microsoft, in double. Source: docs/ContribOperators.md of ONNX Runtime.
 *
 * All of them gather Q as [batch, heads, rows, width] and K and V as [batch, heads, past + rows, width] from wherever
 * the operator keeps them, and leave the rest to attend.h. A past may be the head of a longer buffer, which the present
 * then is too (past_present_share_buffer); here the present is a copy of it with the new rows put in. */
#include "ops/attend.h"

#include <math.h>

#define MS "com.microsoft"

/* Where the heads of Q, K or V come from: element (b, h, r, d) at offset + steps, plus bias[bias_at + h * width + d].
 */
typedef struct source {
  const tensor *t;      /* or */
  const double *values; /* the elements as doubles */
  int64_t offset, batch, head, row;
  const tensor *bias; /* or NULL */
  int64_t bias_at;
} source;

/* Where the past rows are: the first n of the `rows` of each head of t (NULL: none), [batch, heads, rows, width] from
 * element `at` on. */
typedef struct past_rows {
  const tensor *t;
  int64_t at, n, rows;
} past_rows;

/* [batch, heads, past + rows, width]. */
static double *collect(op_ctx *c, const source *s, const past_rows *past, const int64_t dims[4]) {
  int64_t heads = dims[1], rows = dims[2], width = dims[3], n = attend_count(dims);
  double *to = real_scratch(c, n), *at = to;
  if (!to || !n) return to;
  for (int64_t b = 0; b < dims[0]; b++)
    for (int64_t h = 0; h < heads; h++)
      for (int64_t r = 0; r < rows; r++)
        for (int64_t d = 0; d < width; d++, at++) {
          if (r < past->n) {
            *at = tensor_f64(past->t, past->at + ((b * heads + h) * past->rows + r) * width + d);
            continue;
          }
          int64_t from = s->offset + b * s->batch + h * s->head + (r - past->n) * s->row + d;
          *at = (s->t ? tensor_f64(s->t, from) : s->values[from]) +
                (s->bias ? tensor_f64(s->bias, s->bias_at + h * width + d) : 0);
        }
  return to;
}

/* The present from element `at` on: `heads` times n_kv rows of v, and behind them what the past's buffer has there. */
static void store_present(tensor *t, int64_t at, const double *v, const past_rows *past, int64_t heads, int64_t n_kv,
                          int64_t width) {
  int64_t rows = past->rows > n_kv ? past->rows : n_kv;
  if (!t || !tensor_elements(t)) return;
  for (int64_t h = 0; h < heads; h++)
    for (int64_t i = 0; i < rows * width; i++)
      dtype_store_f64(
          t->dtype, t->data, at + h * rows * width + i,
          i < n_kv * width ? v[h * n_kv * width + i] : tensor_f64(past->t, past->at + h * rows * width + i));
}

static ledge_status expect_dims(op_ctx *c, int input, int rank, const int64_t *dims) {
  const tensor *t = op_in(c, input);
  char a[200], b[200];
  if (!t || shape_equal(t->rank, t->dims, rank, dims)) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has shape %s instead of %s", input,
                 shape_print(t->rank, t->dims, a, sizeof a), shape_print(rank, dims, b, sizeof b));
}

static double scale_of(const op_ctx *c, int64_t width) {
  double scale = (double)op_float(c, "scale", 0);
  return scale == 0 ? 1 / sqrt((double)width) : scale;
}

/* ---- what hides keys ---- */

typedef struct ms_shape {
  int64_t batch, heads, n_q, n_past, n_new, n_kv, width, v_width;
  int64_t past_rows, present_rows; /* of the buffers: n_past and n_kv, or more */
  bool causal;
  double filter;        /* added where the mask hides */
  const tensor *mask;   /* lengths or 0 and 1 */
  const tensor *starts; /* the mask, where it has two numbers a sample: ends, then starts */
  const tensor *bias;   /* [batch or 1, heads or 1, n_q, n_kv] */
} ms_shape;

/* The past has past_rows; where `shared`, input `input` says how many count. Needs its contents then. */
static ledge_status read_past(op_ctx *c, bool shared, int input, ms_shape *s) {
  s->n_past = s->past_rows;
  if (shared) {
    const tensor *t = op_in(c, input);
    if (!t || t->dtype != LEDGE_I32 || tensor_elements(t) != 1)
      return op_fail(c, LEDGE_ERROR_SHAPE, "past_sequence_length is not one int32, which a shared buffer needs");
    OP_NEED(c, input);
    s->n_past = tensor_i64(t, 0);
    if (s->n_past < 0 || s->n_past > s->past_rows || s->n_new > s->past_rows - s->n_past)
      return op_fail(c, LEDGE_ERROR_DATA, "%lld past and %lld new rows do not fit a buffer of %lld",
                     (long long)s->n_past, (long long)s->n_new, (long long)s->past_rows);
  }
  if (__builtin_add_overflow(s->n_past, s->n_new, &s->n_kv)) return op_fail(c, LEDGE_ERROR_SHAPE, "too many keys");
  s->present_rows = shared ? s->past_rows : s->n_kv;
  return LEDGE_OK;
}

static ledge_status read_mask(op_ctx *c, int input, ms_shape *s) {
  const tensor *m = s->mask = op_in(c, input);
  s->filter = (double)op_float(c, "mask_filter_value", -10000.0f);
  s->causal = op_int(c, "unidirectional", 0) != 0;
  if (!m) return LEDGE_OK;
  if (m->dtype != LEDGE_I32) return op_fail_dtype(c, input);
  int64_t b = s->batch, n = m->rank == 1 ? m->dims[0] : 0;
  if (m->rank == 1 && (n == b || n == 2 * b || n == 3 * b + 2)) {
    s->starts = n == 2 * b && b > 0 ? m : NULL;
    return LEDGE_OK;
  }
  if (m->rank == 2 && m->dims[0] == b && m->dims[1] == s->n_kv) return LEDGE_OK;
  if (m->rank == 3 && m->dims[0] == b && m->dims[1] == s->n_q && m->dims[2] == s->n_kv) return LEDGE_OK;
  if (m->rank == 4 && m->dims[0] == b && m->dims[1] == 1 && m->dims[2] >= s->n_kv && m->dims[3] >= s->n_kv)
    return LEDGE_OK;
  char text[200];
  return op_fail(c, LEDGE_ERROR_SHAPE, "a mask of shape %s does not fit %lld samples of %lld queries and %lld keys",
                 shape_print(m->rank, m->dims, text, sizeof text), (long long)b, (long long)s->n_q, (long long)s->n_kv);
}

static ledge_status read_bias(op_ctx *c, int input, int64_t batch, int64_t heads, int64_t n_q, int64_t n_kv) {
  const tensor *t = op_in(c, input);
  if (!t) return LEDGE_OK;
  TRY(real_check(c, input, false));
  if (t->rank == 4 && (t->dims[0] == 1 || t->dims[0] == batch) && (t->dims[1] == 1 || t->dims[1] == heads) &&
      t->dims[2] == n_q && t->dims[3] == n_kv)
    return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "the attention bias is not [%lld or 1, %lld or 1, %lld, %lld]", (long long)batch,
                 (long long)heads, (long long)n_q, (long long)n_kv);
}

static double bias_value(const tensor *t, int64_t b, int64_t h, int64_t i, int64_t j) {
  int64_t at = (t->dims[0] == 1 ? 0 : b) * t->dims[1] + (t->dims[1] == 1 ? 0 : h);
  return tensor_f64(t, (at * t->dims[2] + i) * t->dims[3] + j);
}

static bool mask_hides(const ms_shape *s, int64_t b, int64_t i, int64_t j) {
  const tensor *m = s->mask;
  if (m->rank == 1) return j >= tensor_i64(m, b) || (s->starts && j < tensor_i64(m, s->batch + b));
  if (m->rank == 2) return tensor_i64(m, b * s->n_kv + j) <= 0;
  if (m->rank == 3) return tensor_i64(m, (b * s->n_q + i) * s->n_kv + j) <= 0;
  return tensor_i64(m, (b * m->dims[2] + s->n_kv - s->n_q + i) * m->dims[3] + j) <= 0;
}

static void ms_bias(const void *arg, int64_t b, int64_t h, int64_t i, double *row) {
  const ms_shape *s = arg;
  for (int64_t j = 0; j < s->n_kv; j++) {
    if (s->mask && mask_hides(s, b, i, j)) row[j] = s->filter;
    /* The last query sees every key, also where there are more keys than rows, as in ONNX Runtime. */
    if (s->causal && i < s->n_q - 1 && j > i + s->n_past) row[j] = -INFINITY;
    if (s->bias) row[j] += bias_value(s->bias, b, h, i, j);
  }
}

/* q [batch, heads, n_q, width], k and v [batch, heads, n_kv, ...]: into output 0, [batch, n_q, heads * v_width]. */
static ledge_status ms_attend(op_ctx *c, const ms_shape *s, double *q, double *k, double *v) {
  tensor *y = op_out(c, 0), *qk = c->n_out > 3 ? op_out(c, 3) : NULL;
  double *sums = real_scratch(c, attend_count((int64_t[]){s->batch, s->n_q, s->heads, s->v_width})),
         *scores = qk ? real_scratch(c, tensor_elements(qk)) : NULL;
  attend a = {.batch = s->batch,
              .q_heads = s->heads,
              .kv_heads = s->heads,
              .n_q = s->n_q,
              .n_kv = s->n_kv,
              .width = s->width,
              .v_width = s->v_width,
              .scale = scale_of(c, s->width),
              .bias = s->mask || s->causal || s->bias ? ms_bias : NULL,
              .arg = s,
              .qk = scores,
              .qk_mode = 2};
  a.q = attend_heads_first(q, s->heads, s->n_q, s->width);
  a.k = attend_heads_first(k, s->heads, s->n_kv, s->width);
  a.v = attend_heads_first(v, s->heads, s->n_kv, s->v_width);
  a.y = attend_rows_first(sums, s->heads, s->n_q, s->v_width);
  ledge_status status = sums && (scores || !qk) ? attend_run(c, &a) : LEDGE_ERROR_MEMORY;
  if (!status && y) real_store(sums, y);
  if (!status && qk) real_store(scores, qk);
  op_scratch_free(sums);
  op_scratch_free(scores);
  return status;
}

/* ---- Attention, QAttention: the input is projected to Q, K and V first ---- */

typedef struct projection {
  ms_shape s;
  bool quantized;
  int bias, mask, past, attention_bias; /* inputs */
  int64_t columns, in;
} projection;

static ledge_status projection_sizes(op_ctx *c, projection *p) {
  int64_t n, hidden = p->columns / 3, v_hidden = hidden, heads = op_int(c, "num_heads", 0);
  const int64_t *sizes = p->quantized ? NULL : op_ints(c, "qkv_hidden_sizes", &n);
  if (sizes && n) {
    if (n != 3 || sizes[0] != sizes[1] || sizes[0] < 0 || sizes[2] < 0 || sizes[0] > INT32_MAX ||
        sizes[2] > INT32_MAX || 2 * sizes[0] + sizes[2] != p->columns)
      return op_fail(c, LEDGE_ERROR_SHAPE, "qkv_hidden_sizes does not fit %lld columns of weights",
                     (long long)p->columns);
    hidden = sizes[0], v_hidden = sizes[2];
  } else if (p->columns % 3) {
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld columns of weights do not fall into Q, K and V", (long long)p->columns);
  }
  if (heads < 1 || hidden % heads || v_hidden % heads)
    return op_fail(c, LEDGE_ERROR_SHAPE, "num_heads %lld does not divide the widths %lld and %lld", (long long)heads,
                   (long long)hidden, (long long)v_hidden);
  p->s.heads = heads;
  p->s.width = hidden / heads;
  p->s.v_width = v_hidden / heads;
  return LEDGE_OK;
}

static ledge_status projection_types(op_ctx *c, const projection *p) {
  for (int i = 0; i < c->n_in; i++) {
    const tensor *t = op_in(c, i);
    bool bytes = p->quantized && (i < 2 || i == 6 || i == 7), ints = i == p->mask || (!p->quantized && i == 6);
    if (t && bytes && t->dtype != LEDGE_U8 && t->dtype != LEDGE_I8) return op_fail_dtype(c, i);
    if (t && !bytes && !ints) TRY(real_check(c, i, false));
  }
  if (!p->quantized) return LEDGE_OK;
  for (int i = 3; i <= 7; i++) {
    const tensor *t = op_in(c, i);
    int64_t n = t ? tensor_elements(t) : 1;
    bool per_column = i == 4 || i == 7;
    if (i != p->mask && n != 1 && !(per_column && n == p->columns))
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has %lld numbers", i, (long long)n);
  }
  return LEDGE_OK;
}

static ledge_status projection_read(op_ctx *c, projection *p) {
  bool quantized = !strcmp(c->def->name, "QAttention");
  *p = (projection){.quantized = quantized,
                    .bias = 2,
                    .mask = quantized ? 5 : 3,
                    .past = quantized ? 8 : 4,
                    .attention_bias = quantized ? -1 : 5};
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *past = op_in(c, p->past);
  if (op_int(c, "do_rotary", 0))
    return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "do_rotary: give Q and K their positions by RotaryEmbedding");
  if (x->rank != 3 || w->rank != 2 || w->dims[0] != x->dims[2])
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input is not [batch, rows, n] with weights [n, columns]");
  p->in = x->dims[2];
  p->columns = w->dims[1];
  TRY(projection_types(c, p));
  TRY(projection_sizes(c, p));
  TRY(expect_dims(c, p->bias, 1, &p->columns));
  ms_shape *s = &p->s;
  s->batch = x->dims[0];
  s->n_q = s->n_new = x->dims[1];
  if (past) {
    if (past->rank != 5 || s->width != s->v_width)
      return op_fail(c, LEDGE_ERROR_SHAPE, "past is not [2, batch, heads, rows, width]");
    s->past_rows = past->dims[3];
    TRY(expect_dims(c, p->past, 5, (int64_t[]){2, s->batch, s->heads, s->past_rows, s->width}));
  }
  TRY(read_past(c, past && !quantized && op_int(c, "past_present_share_buffer", 0), 6, s));
  TRY(read_mask(c, p->mask, s));
  if (p->attention_bias >= 0) TRY(read_bias(c, p->attention_bias, s->batch, s->heads, s->n_q, s->n_kv));
  s->bias = p->attention_bias >= 0 ? op_in(c, p->attention_bias) : NULL;
  return LEDGE_OK;
}

static ledge_status projection_infer(op_ctx *c) {
  projection p;
  if (!strcmp(c->def->name, "QAttention"))
    for (int i = 3; i < 5; i++)
      if (!op_has(c, i)) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is missing", i);
  TRY(projection_read(c, &p));
  const ms_shape *s = &p.s;
  ledge_dtype dtype = op_in(c, p.quantized ? 3 : 0)->dtype;
  if (op_wants(c, 1) && s->width != s->v_width)
    return op_fail(c, LEDGE_ERROR_SHAPE, "present needs K and V of one width");
  TRY(op_shape(c, 0, dtype, 3, (int64_t[]){s->batch, s->n_q, s->heads * s->v_width}));
  return op_shape(c, 1, dtype, 5, (int64_t[]){2, s->batch, s->heads, s->present_rows, s->width});
}

/* The elements of a byte tensor as what they stand for; the scale and zero point may go by columns. */
static void unquantize(double *v, int64_t n, int64_t columns, const tensor *scale, const tensor *zero) {
  bool scales = tensor_elements(scale) > 1, zeros = zero && tensor_elements(zero) > 1;
  for (int64_t i = 0; i < n; i++)
    v[i] =
        (v[i] - (zero ? tensor_f64(zero, zeros ? i % columns : 0) : 0)) * tensor_f64(scale, scales ? i % columns : 0);
}

/* [batch * rows, columns]: input times weights; the bias is added when the heads are collected. */
static double *project(op_ctx *c, const projection *p) {
  int64_t rows = p->s.batch * p->s.n_q, total;
  if (__builtin_mul_overflow(rows, p->columns, &total)) total = INT64_MAX;
  double *x = real_load(c, op_in(c, 0)), *w = real_load(c, op_in(c, 1)), *y = real_scratch(c, total);
  if (x && w && y) {
    if (p->quantized) {
      unquantize(x, rows * p->in, p->in, op_in(c, 3), op_in(c, 6));
      unquantize(w, p->in * p->columns, p->columns, op_in(c, 4), op_in(c, 7));
    }
    for (int64_t r = 0; total && r < rows; r++)
      for (int64_t k = 0; k < p->in; k++) {
        double v = x[r * p->in + k];
        for (int64_t j = 0; j < p->columns; j++) y[r * p->columns + j] += v * w[k * p->columns + j];
      }
  } else {
    op_scratch_free(y);
    y = NULL;
  }
  op_scratch_free(x);
  op_scratch_free(w);
  return y;
}

static ledge_status projection_run(op_ctx *c) {
  projection p;
  TRY(projection_read(c, &p));
  const ms_shape *s = &p.s;
  const tensor *past = op_in(c, p.past), *bias = op_in(c, p.bias);
  past_rows old[3];
  for (int i = 0; i < 3; i++)
    old[i] = (past_rows){past, i == 2 && past ? tensor_elements(past) / 2 : 0, i ? s->n_past : 0, s->past_rows};
  double *all = project(c, &p), *in[3] = {NULL};
  ledge_status status = all ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int i = 0; !status && i < 3; i++) {
    int64_t width = i < 2 ? s->width : s->v_width, at = i * s->heads * s->width;
    source from = {.values = all,
                   .offset = at,
                   .batch = attend_times(s->n_q, p.columns),
                   .head = width,
                   .row = p.columns,
                   .bias = bias,
                   .bias_at = at};
    const int64_t dims[] = {s->batch, s->heads, i ? s->n_kv : s->n_q, width};
    in[i] = collect(c, &from, &old[i], dims);
    if (!in[i]) status = LEDGE_ERROR_MEMORY;
  }
  if (!status) {
    tensor *present = op_out(c, 1);
    for (int i = 1; i < 3; i++)
      store_present(present, i == 2 && present ? tensor_elements(present) / 2 : 0, in[i], &old[i], s->batch * s->heads,
                    s->n_kv, s->width);
    status = ms_attend(c, s, in[0], in[1], in[2]);
  }
  op_scratch_free(all);
  for (int i = 0; i < 3; i++) op_scratch_free(in[i]);
  return status;
}

/* ---- MultiHeadAttention ---- */

enum {
  MHA_BIAS = 3,
  MHA_MASK = 4,
  MHA_ATTENTION_BIAS = 5,
  MHA_PAST_KEY = 6,
  MHA_PAST_VALUE = 7,
  MHA_PAST_LENGTH = 8,
  MHA_BEAMS = 9
};

typedef struct mha {
  ms_shape s;
  source from[3];
} mha;

/* Q, K and V by their ranks: three of 3; Q of 3 and K, V of 4 (heads first); Q of 3 and K of 5 with V; or all in Q. */
static ledge_status mha_sources(op_ctx *c, mha *m) {
  const tensor *q = op_in(c, 0), *k = op_in(c, 1), *v = op_in(c, 2);
  ms_shape *s = &m->s;
  int64_t n = s->heads;
  if (q->rank == 5) {
    s->width = s->v_width = q->dims[4];
    s->n_new = q->dims[1];
    if (k || v || q->dims[2] != n || q->dims[3] != 3)
      return op_fail(c, LEDGE_ERROR_SHAPE, "a packed query is not [batch, rows, heads, 3, width] alone");
    for (int i = 0; i < 3; i++)
      m->from[i] = (source){.t = q,
                            .offset = i * s->width,
                            .batch = attend_times(s->n_q, attend_times(3 * n, s->width)),
                            .head = 3 * s->width,
                            .row = attend_times(3 * n, s->width)};
    return LEDGE_OK;
  }
  if (q->rank != 3 || q->dims[2] % n || !k)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the query is not [batch, rows, heads * width], or there is no key");
  s->width = q->dims[2] / n;
  m->from[0] =
      (source){.t = q, .batch = attend_times(s->n_q, attend_times(n, s->width)), .head = s->width, .row = n * s->width};
  if (k->rank == 5) {
    s->n_new = k->dims[1];
    s->v_width = s->width;
    if (v) return op_fail(c, LEDGE_ERROR_FORMAT, "a packed key holds the value already");
    TRY(expect_dims(c, 1, 5, (int64_t[]){s->batch, s->n_new, n, 2, s->width}));
    for (int i = 1; i < 3; i++)
      m->from[i] = (source){.t = k,
                            .offset = (i - 1) * s->width,
                            .batch = attend_times(s->n_new, attend_times(2 * n, s->width)),
                            .head = 2 * s->width,
                            .row = attend_times(2 * n, s->width)};
    return LEDGE_OK;
  }
  bool heads_first = k->rank == 4;
  if (!v || v->rank != k->rank || (!heads_first && (k->rank != 3 || v->dims[2] % n)))
    return op_fail(c, LEDGE_ERROR_SHAPE,
                   "key and value are not both [batch, rows, heads * width] or [batch, heads, rows, width]");
  s->n_new = k->dims[heads_first ? 2 : 1];
  s->v_width = heads_first ? v->dims[3] : v->dims[2] / n;
  for (int i = 1; i < 3; i++) {
    int64_t width = i == 1 ? s->width : s->v_width;
    TRY(heads_first ? expect_dims(c, i, 4, (int64_t[]){s->batch, n, s->n_new, width})
                    : expect_dims(c, i, 3, (int64_t[]){s->batch, s->n_new, n * width}));
    m->from[i] = (source){.t = op_in(c, i),
                          .batch = attend_times(s->n_new, attend_times(n, width)),
                          .head = heads_first ? attend_times(s->n_new, width) : width,
                          .row = heads_first ? width : n * width};
  }
  return LEDGE_OK;
}

static ledge_status mha_read(op_ctx *c, mha *m) {
  const tensor *q = op_in(c, 0), *past = op_in(c, MHA_PAST_KEY), *bias = op_in(c, MHA_BIAS);
  int64_t heads = op_int(c, "num_heads", 0);
  *m = (mha){.s.heads = heads};
  ms_shape *s = &m->s;
  if (heads < 1 || heads > INT32_MAX) return op_fail(c, LEDGE_ERROR_FORMAT, "num_heads is %lld", (long long)heads);
  for (int i = 0; i < c->n_in && i <= MHA_PAST_VALUE; i++)
    if (i != MHA_MASK) TRY(real_check(c, i, false));
  if (op_has(c, MHA_BEAMS)) return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "cache_indirection: it does not search beams");
  if (q->rank < 3) return op_fail(c, LEDGE_ERROR_SHAPE, "the query has rank %d", q->rank);
  s->batch = q->dims[0];
  s->n_q = q->dims[1];
  TRY(mha_sources(c, m));
  if (!past != !op_has(c, MHA_PAST_VALUE))
    return op_fail(c, LEDGE_ERROR_FORMAT, "past_key and past_value go together; one is missing");
  if (s->width > INT32_MAX || s->v_width > INT32_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "the heads are too wide");
  if (past) {
    if (past->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "past_key has rank %d, not 4", past->rank);
    s->past_rows = past->dims[2];
    TRY(expect_dims(c, MHA_PAST_KEY, 4, (int64_t[]){s->batch, heads, s->past_rows, s->width}));
    TRY(expect_dims(c, MHA_PAST_VALUE, 4, (int64_t[]){s->batch, heads, s->past_rows, s->v_width}));
  }
  TRY(read_past(c, past && op_has(c, MHA_PAST_LENGTH), MHA_PAST_LENGTH, s));
  if (bias) TRY(expect_dims(c, MHA_BIAS, 1, (int64_t[]){heads * (2 * s->width + s->v_width)}));
  for (int i = 0; i < 3; i++) {
    bool cached = i > 0 && op_in(c, 1) && op_in(c, 1)->rank == 4; /* has its bias already */
    m->from[i].bias = cached ? NULL : bias;
    m->from[i].bias_at = i * heads * s->width;
  }
  TRY(read_mask(c, MHA_MASK, s));
  TRY(read_bias(c, MHA_ATTENTION_BIAS, s->batch, heads, s->n_q, s->n_kv));
  s->bias = op_in(c, MHA_ATTENTION_BIAS);
  return LEDGE_OK;
}

static ledge_status mha_infer(op_ctx *c) {
  mha m;
  TRY(mha_read(c, &m));
  const ms_shape *s = &m.s;
  ledge_dtype dtype = op_in(c, 0)->dtype;
  TRY(op_shape(c, 0, dtype, 3, (int64_t[]){s->batch, s->n_q, s->heads * s->v_width}));
  TRY(op_shape(c, 1, dtype, 4, (int64_t[]){s->batch, s->heads, s->present_rows, s->width}));
  TRY(op_shape(c, 2, dtype, 4, (int64_t[]){s->batch, s->heads, s->present_rows, s->v_width}));
  return op_shape(c, 3, dtype, 4, (int64_t[]){s->batch, s->heads, s->n_q, s->n_kv});
}

static ledge_status mha_run(op_ctx *c) {
  mha m;
  TRY(mha_read(c, &m));
  const ms_shape *s = &m.s;
  double *in[3] = {NULL};
  ledge_status status = LEDGE_OK;
  for (int i = 0; !status && i < 3; i++) {
    const int64_t dims[] = {s->batch, s->heads, i ? s->n_kv : s->n_q, i < 2 ? s->width : s->v_width};
    past_rows old = {i ? op_in(c, MHA_PAST_KEY + i - 1) : NULL, 0, i ? s->n_past : 0, s->past_rows};
    in[i] = collect(c, &m.from[i], &old, dims);
    if (!in[i])
      status = LEDGE_ERROR_MEMORY;
    else if (i)
      store_present(op_out(c, i), 0, in[i], &old, s->batch * s->heads, s->n_kv, dims[3]);
  }
  if (!status) status = ms_attend(c, s, in[0], in[1], in[2]);
  for (int i = 0; i < 3; i++) op_scratch_free(in[i]);
  return status;
}

/* ---- GroupQueryAttention ----
 * Sample b has seqlens_k[b] + 1 keys when this call is done. In the first call (as many queries as total keys) the past
 * counts for nothing; later, the queries are its last n_q keys. The present is as long as the past's buffer or the
 * total, whichever is more. */

enum {
  GQA_PAST_KEY = 3,
  GQA_PAST_VALUE = 4,
  GQA_LENGTHS = 5,
  GQA_TOTAL = 6,
  GQA_COS = 7,
  GQA_SIN = 8,
  GQA_POSITIONS = 9,
  GQA_BIAS = 10,
  GQA_SINK = 11
};

typedef struct gqa {
  int64_t batch, heads, kv_heads, n_q, n_past, n_present, total, width, window;
  const tensor *lengths, *bias;
  source from[3];
  bool rotary;
  attend_rotary turn;
} gqa;

static int64_t gqa_past(const gqa *s, int64_t b) {
  return s->n_q == s->total ? 0 : tensor_i64(s->lengths, b) + 1 - s->n_q;
}

static ledge_status gqa_sources(op_ctx *c, gqa *s) {
  const tensor *q = op_in(c, 0), *k = op_in(c, 1), *v = op_in(c, 2);
  if (q->rank != 3) return op_fail(c, LEDGE_ERROR_SHAPE, "the query has rank %d, not 3", q->rank);
  if (!k != !v) return op_fail(c, LEDGE_ERROR_FORMAT, "key and value go together; one is missing");
  s->batch = q->dims[0];
  s->n_q = q->dims[1];
  int64_t parts = k ? s->heads : s->heads + 2 * s->kv_heads;
  if (q->dims[2] % parts)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld elements a row do not fall into %lld heads", (long long)q->dims[2],
                   (long long)parts);
  s->width = q->dims[2] / parts;
  for (int i = 0; i < 3; i++) {
    int64_t before = i ? s->heads + (i - 1) * s->kv_heads : 0;
    if (k && i) TRY(expect_dims(c, i, 3, (int64_t[]){s->batch, s->n_q, s->kv_heads * s->width}));
    int64_t row = k && i ? s->kv_heads * s->width : q->dims[2];
    s->from[i] = (source){.t = k ? op_in(c, i) : q,
                          .offset = k ? 0 : before * s->width,
                          .batch = attend_times(s->n_q, row),
                          .head = s->width,
                          .row = row};
  }
  return LEDGE_OK;
}

static ledge_status gqa_caches(op_ctx *c, gqa *s) {
  const tensor *past = op_in(c, GQA_PAST_KEY), *cosine = op_in(c, GQA_COS);
  if (!past != !op_has(c, GQA_PAST_VALUE))
    return op_fail(c, LEDGE_ERROR_FORMAT, "past_key and past_value go together; one is missing");
  if (past) {
    if (past->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "past_key has rank %d, not 4", past->rank);
    s->n_past = past->dims[2];
    for (int i = GQA_PAST_KEY; i <= GQA_PAST_VALUE; i++)
      TRY(expect_dims(c, i, 4, (int64_t[]){s->batch, s->kv_heads, s->n_past, s->width}));
  }
  s->rotary = op_int(c, "do_rotary", 0) != 0;
  if (!s->rotary) return LEDGE_OK;
  if (!cosine || !op_has(c, GQA_SIN)) return op_fail(c, LEDGE_ERROR_FORMAT, "do_rotary needs cos_cache and sin_cache");
  if (cosine->rank != 2 || !tensor_same_shape(cosine, op_in(c, GQA_SIN)) || cosine->dims[1] > s->width / 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "cos_cache and sin_cache are not both [positions, up to half a head]");
  s->turn = (attend_rotary){2 * cosine->dims[1], op_int(c, "rotary_interleaved", 0) != 0};
  const tensor *ids = op_in(c, GQA_POSITIONS);
  if (ids && ids->dtype != LEDGE_I64) return op_fail_dtype(c, GQA_POSITIONS);
  return expect_dims(c, GQA_POSITIONS, 2, (int64_t[]){s->batch, s->n_q});
}

/* Needs the contents of total_sequence_length. */
static ledge_status gqa_read(op_ctx *c, gqa *s) {
  *s = (gqa){.heads = op_int(c, "num_heads", 0),
             .kv_heads = op_int(c, "kv_num_heads", 0),
             .window = op_int(c, "local_window_size", -1)};
  if (s->kv_heads < 1 || s->heads < 1 || s->heads > INT32_MAX || s->heads % s->kv_heads)
    return op_fail(c, LEDGE_ERROR_FORMAT, "num_heads %lld is no positive multiple of kv_num_heads %lld",
                   (long long)s->heads, (long long)s->kv_heads);
  for (int i = 0; i < c->n_in; i++)
    if (i != GQA_LENGTHS && i != GQA_TOTAL && i != GQA_POSITIONS) TRY(real_check(c, i, false));
  for (int i = GQA_LENGTHS; i <= GQA_TOTAL; i++) {
    if (!op_has(c, i)) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is missing", i);
    if (op_in(c, i)->dtype != LEDGE_I32) return op_fail_dtype(c, i);
  }
  TRY(gqa_sources(c, s));
  TRY(gqa_caches(c, s));
  s->lengths = op_in(c, GQA_LENGTHS);
  if (tensor_elements(s->lengths) != s->batch)
    return op_fail(c, LEDGE_ERROR_SHAPE, "seqlens_k is not one number for each of %lld samples", (long long)s->batch);
  if (tensor_elements(op_in(c, GQA_TOTAL)) != 1)
    return op_fail(c, LEDGE_ERROR_SHAPE, "total_sequence_length is not one number");
  TRY(expect_dims(c, GQA_SINK, 1, &s->heads));
  OP_NEED(c, GQA_TOTAL);
  s->total = tensor_i64(op_in(c, GQA_TOTAL), 0);
  if (s->total < s->n_q || s->total - s->n_q > s->n_past)
    return op_fail(c, LEDGE_ERROR_DATA, "total_sequence_length %lld does not fit %lld past and %lld new rows",
                   (long long)s->total, (long long)s->n_past, (long long)s->n_q);
  s->n_present = s->n_past > s->total ? s->n_past : s->total;
  s->bias = op_in(c, GQA_BIAS);
  return read_bias(c, GQA_BIAS, s->batch, s->heads, s->n_q, s->total);
}

static ledge_status gqa_infer(op_ctx *c) {
  gqa s;
  TRY(gqa_read(c, &s));
  ledge_dtype dtype = op_in(c, 0)->dtype;
  const int64_t present[] = {s.batch, s.kv_heads, s.n_present, s.width};
  TRY(op_shape(c, 0, dtype, 3, (int64_t[]){s.batch, s.n_q, s.heads * s.width}));
  TRY(op_shape(c, 1, dtype, 4, present));
  TRY(op_shape(c, 2, dtype, 4, present));
  return op_shape(c, 3, dtype, 4, (int64_t[]){s.batch, s.heads, s.n_q, s.total});
}

static void gqa_bias(const void *arg, int64_t b, int64_t h, int64_t i, double *row) {
  const gqa *s = arg;
  int64_t at = gqa_past(s, b) + i, end = tensor_i64(s->lengths, b) + 1; /* padded queries lie behind the end */
  for (int64_t j = 0; j < s->total; j++) {
    bool hidden = j > at || j >= end || (s->window > 0 && at - j > s->window);
    row[j] = hidden ? -INFINITY : s->bias ? bias_value(s->bias, b, h, i, j) : 0;
  }
}

static ledge_status gqa_check_lengths(op_ctx *c, const gqa *s) {
  for (int64_t b = 0; b < s->batch; b++) {
    int64_t keys = tensor_i64(s->lengths, b) + 1, past = gqa_past(s, b);
    if (keys < 1 || keys > s->total || past < 0 || past > s->n_past)
      return op_fail(c, LEDGE_ERROR_DATA, "seqlens_k holds %lld for %lld past and %lld total keys", (long long)keys - 1,
                     (long long)s->n_past, (long long)s->total);
  }
  return LEDGE_OK;
}

/* Q or the new K, [batch, heads, n_q, width], turned by their positions. */
static ledge_status gqa_turn(op_ctx *c, const gqa *s, double *x, int64_t heads, double *row) {
  const tensor *cosine = op_in(c, GQA_COS), *sine = op_in(c, GQA_SIN), *ids = op_in(c, GQA_POSITIONS);
  int64_t half = s->turn.dim / 2;
  for (int64_t b = 0; b < s->batch; b++)
    for (int64_t i = 0; i < s->n_q; i++) {
      int64_t at = gqa_past(s, b) + i;
      if (ids) at = s->n_q == s->total ? tensor_i64(ids, 0) : tensor_i64(ids, b * s->n_q + i);
      if (ids && s->n_q == s->total && __builtin_add_overflow(at, i, &at)) at = -1;
      if (at < 0 || at >= cosine->dims[0])
        return op_fail(c, LEDGE_ERROR_DATA, "position %lld is outside of the %lld of cos_cache", (long long)at,
                       (long long)cosine->dims[0]);
      for (int64_t d = 0; d < half; d++) {
        row[d] = tensor_f64(cosine, at * half + d);
        row[half + d] = tensor_f64(sine, at * half + d);
      }
      for (int64_t h = 0; h < heads; h++)
        attend_rotate(&s->turn, x + ((b * heads + h) * s->n_q + i) * s->width, row, row + half);
    }
  return LEDGE_OK;
}

/* Past and new rows, as the queries see them: [batch, kv_heads, total, width]; what is behind a sample's end is 0.
 * Output `out` gets them too. */
static double *gqa_join(op_ctx *c, const gqa *s, const double *fresh, int past_input, int out) {
  const tensor *past = op_in(c, past_input);
  tensor *present = op_out(c, out);
  int64_t w = s->width, n = attend_count((int64_t[]){s->batch, s->kv_heads, s->total, w});
  double *joined = real_scratch(c, n);
  for (int64_t p = 0; joined && w && p < s->batch * s->kv_heads; p++) {
    int64_t old = gqa_past(s, p / s->kv_heads), end = old + s->n_q;
    for (int64_t r = 0; r < s->n_present; r++)
      for (int64_t d = 0; d < w; d++) {
        bool is_new = r >= old && r < end;
        double v = is_new    ? fresh[(p * s->n_q + r - old) * w + d]
                   : r < old ? tensor_f64(past, (p * s->n_past + r) * w + d)
                             : 0;
        if (r < end && r < s->total) joined[(p * s->total + r) * w + d] = v;
        if (present) dtype_store_f64(present->dtype, present->data, (p * s->n_present + r) * w + d, v);
      }
  }
  return joined;
}

static ledge_status gqa_attend(op_ctx *c, const gqa *s, double *q, double *k, double *v) {
  tensor *y = op_out(c, 0), *qk = op_out(c, 3);
  int64_t mode = op_int(c, "qk_output", 0);
  bool smooth = op_int(c, "smooth_softmax", 0) > 0;
  double *sums = real_scratch(c, attend_count((int64_t[]){s->batch, s->n_q, s->heads, s->width})),
         *scores = qk ? real_scratch(c, tensor_elements(qk)) : NULL;
  double *sink = op_has(c, GQA_SINK) ? real_load(c, op_in(c, GQA_SINK)) : smooth ? real_scratch(c, s->heads) : NULL;
  bool ready = sums && (scores || !qk) && (sink || !(smooth || op_has(c, GQA_SINK)));
  attend a = {.batch = s->batch,
              .q_heads = s->heads,
              .kv_heads = s->kv_heads,
              .n_q = s->n_q,
              .n_kv = s->total,
              .width = s->width,
              .v_width = s->width,
              .scale = scale_of(c, s->width),
              .softcap = (double)op_float(c, "softcap", 0),
              .bias = gqa_bias,
              .arg = s,
              .sink = sink,
              .qk = scores,
              .qk_mode = mode == 2 ? 3 : 2};
  a.q = attend_heads_first(q, s->heads, s->n_q, s->width);
  a.k = attend_heads_first(k, s->kv_heads, s->total, s->width);
  a.v = attend_heads_first(v, s->kv_heads, s->total, s->width);
  a.y = attend_rows_first(sums, s->heads, s->n_q, s->width);
  ledge_status status = ready ? attend_run(c, &a) : LEDGE_ERROR_MEMORY;
  if (!status && y) real_store(sums, y);
  /* hidden scores show as 0 */
  for (int64_t i = 0; !status && qk && i < tensor_elements(qk); i++)
    dtype_store_f64(qk->dtype, qk->data, i, scores[i] == -INFINITY ? 0 : scores[i]);
  op_scratch_free(sums);
  op_scratch_free(scores);
  op_scratch_free(sink);
  return status;
}

static ledge_status gqa_run(op_ctx *c) {
  gqa s;
  TRY(gqa_read(c, &s));
  TRY(gqa_check_lengths(c, &s));
  double *in[3] = {NULL}, *joined[2] = {NULL}, *row = real_scratch(c, s.turn.dim);
  ledge_status status = row ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int i = 0; !status && i < 3; i++) {
    const int64_t dims[] = {s.batch, i ? s.kv_heads : s.heads, s.n_q, s.width};
    in[i] = collect(c, &s.from[i], &(past_rows){0}, dims);
    if (!in[i]) status = LEDGE_ERROR_MEMORY;
    if (!status && s.rotary && i < 2) status = gqa_turn(c, &s, in[i], dims[1], row);
  }
  for (int i = 0; !status && i < 2; i++) {
    joined[i] = gqa_join(c, &s, in[i + 1], GQA_PAST_KEY + i, i + 1);
    if (!joined[i]) status = LEDGE_ERROR_MEMORY;
  }
  if (!status) status = gqa_attend(c, &s, in[0], joined[0], joined[1]);
  for (int i = 0; i < 3; i++) op_scratch_free(in[i]);
  for (int i = 0; i < 2; i++) op_scratch_free(joined[i]);
  op_scratch_free(row);
  return status;
}

/* ---- RotaryEmbedding: X, position_ids ([1]: of the first row, or [batch, rows]), cos_cache, sin_cache ---- */

static ledge_status rotary_read(op_ctx *c, attend_turned *s) {
  const tensor *x = op_in(c, 0), *ids = op_in(c, 1), *cosine = op_in(c, 2);
  TRY(real_check(c, 0, false));
  TRY(real_check(c, 2, false));
  TRY(real_check(c, 3, false));
  if (ids->dtype != LEDGE_I64) return op_fail_dtype(c, 1);
  if (x->rank != 3 && x->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d, not 3 or 4", x->rank);
  if (cosine->rank != 2 || !tensor_same_shape(cosine, op_in(c, 3)) || cosine->dims[1] > INT32_MAX)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the caches are not two matrices of one shape");
  int64_t dim = op_int(c, "rotary_embedding_dim", 0), heads = op_int(c, "num_heads", 0);
  *s = (attend_turned){
      .batch = x->dims[0], .rows_first = x->rank == 3, .turn = {2 * cosine->dims[1], op_int(c, "interleaved", 0) != 0}};
  s->rows = x->dims[s->rows_first ? 1 : 2];
  if (!s->rows_first) {
    s->heads = x->dims[1];
    s->width = x->dims[3];
  } else {
    s->width = dim > 0 ? (heads > 0 && x->dims[2] % heads == 0 ? x->dims[2] / heads : 0) : s->turn.dim;
    if (s->width < 1 || x->dims[2] % s->width)
      return op_fail(c, LEDGE_ERROR_SHAPE, "%lld elements a row do not fall into heads (num_heads %lld)",
                     (long long)x->dims[2], (long long)heads);
    s->heads = x->dims[2] / s->width;
  }
  if (s->turn.dim > s->width || (dim > 0 && dim != s->turn.dim))
    return op_fail(c, LEDGE_ERROR_SHAPE, "caches of %lld do not fit heads of %lld", (long long)cosine->dims[1],
                   (long long)s->width);
  if (tensor_elements(ids) == 1) return LEDGE_OK;
  return expect_dims(c, 1, 2, (int64_t[]){s->batch, s->rows});
}

static ledge_status rotary_infer(op_ctx *c) {
  attend_turned s;
  TRY(rotary_read(c, &s));
  return op_same_shape(c, 0, 0);
}

static ledge_status rotary_run(op_ctx *c) {
  attend_turned s;
  TRY(rotary_read(c, &s));
  return attend_turn(c, &s, 2, op_in(c, 1));
}

const op_def ops_contrib_attention[] = {{MS, "Attention", 1, 0, 2, 7, 1, 2, 0, projection_infer, projection_run},
                                        {MS, "QAttention", 1, 0, 3, 9, 1, 2, 0, projection_infer, projection_run},
                                        {MS, "MultiHeadAttention", 1, 0, 1, 10, 1, 4, 0, mha_infer, mha_run},
                                        {MS, "GroupQueryAttention", 1, 0, 1, 12, 1, 4, 0, gqa_infer, gqa_run},
                                        {MS, "RotaryEmbedding", 1, 0, 4, 4, 1, 1, 0, rotary_infer, rotary_run},
                                        {0}};
