/* ops/attention: Attention (23, 24 and 25 on), RotaryEmbedding, LinearAttention, CausalConvWithState and the preview's
 * FlexAttention; in double. */
#include "ops/attend.h"

#include <math.h>

/* ---- Attention ---- */

typedef struct attention {
  int64_t batch, q_heads, kv_heads, n_q, n_new, n_past, n_kv, width, v_width;
  int64_t left, right; /* window about the query's position, -1: unbounded */
  bool packed, causal; /* packed: [batch, rows, heads * width] */
  const tensor *mask, *lengths;
  int64_t mask_step[4], mask_n; /* steps of batch, head, query and key; keys that the mask has */
} attention;

enum { IN_MASK = 3, IN_PAST_KEY = 4, IN_PAST_VALUE = 5, IN_LENGTHS = 6 };

/* One of Q, K and V: its heads, rows and width, by its rank. */
static ledge_status split_heads(op_ctx *c, int input, int64_t heads, int64_t *ret_heads, int64_t *ret_rows,
                                int64_t *ret_width) {
  const tensor *t = op_in(c, input);
  if (t->rank == 4) {
    *ret_heads = t->dims[1];
    *ret_rows = t->dims[2];
    *ret_width = t->dims[3];
    return LEDGE_OK;
  }
  if (heads < 1 || t->dims[2] % heads)
    return op_fail(c, LEDGE_ERROR_SHAPE, "input %d: %lld elements a row do not fall into %lld heads", input,
                   (long long)t->dims[2], (long long)heads);
  *ret_heads = heads;
  *ret_rows = t->dims[1];
  *ret_width = t->dims[2] / heads;
  return LEDGE_OK;
}

static ledge_status expect_dims(op_ctx *c, int input, int rank, const int64_t *dims) {
  const tensor *t = op_in(c, input);
  char a[200], b[200];
  if (!t || shape_equal(t->rank, t->dims, rank, dims)) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has shape %s instead of %s", input,
                 shape_print(t->rank, t->dims, a, sizeof a), shape_print(rank, dims, b, sizeof b));
}

static ledge_status check_like(op_ctx *c, int input, int like) {
  const tensor *t = op_in(c, input);
  return !t || t->dtype == op_in(c, like)->dtype ? LEDGE_OK : op_fail_dtype(c, input);
}

/* The mask broadcasts to [batch, q_heads, n_q, n_kv]; its last dim may be shorter: the keys beyond are hidden. */
static ledge_status read_mask(op_ctx *c, attention *s) {
  const tensor *m = s->mask = op_in(c, IN_MASK);
  if (!m) return LEDGE_OK;
  if (m->dtype != LEDGE_BOOL && !dtype_is_float(m->dtype) && !dtype_is_integer(m->dtype))
    return op_fail_dtype(c, IN_MASK);
  const int64_t want[4] = {s->batch, s->q_heads, s->n_q, s->n_kv};
  bool fits = m->rank <= 4;
  int64_t step = 1;
  s->mask_n = s->n_kv;
  for (int d = 3; fits && d >= 0; d--) {
    int k = d - (4 - m->rank);
    if (k < 0) break;
    if (d == 3) {
      fits = m->dims[k] <= s->n_kv;
      s->mask_n = m->dims[k];
    } else {
      fits = m->dims[k] == want[d] || m->dims[k] == 1;
    }
    s->mask_step[d] = m->dims[k] == 1 && d != 3 ? 0 : step;
    step = attend_times(step, m->dims[k]);
  }
  if (fits) return LEDGE_OK;
  char a[200], b[200];
  return op_fail(c, LEDGE_ERROR_SHAPE, "a mask of shape %s does not broadcast to %s",
                 shape_print(m->rank, m->dims, a, sizeof a), shape_print(4, want, b, sizeof b));
}

static ledge_status read_past(op_ctx *c, attention *s) {
  const tensor *key = op_in(c, IN_PAST_KEY), *val = op_in(c, IN_PAST_VALUE);
  if (!key != !val) return op_fail(c, LEDGE_ERROR_FORMAT, "past_key and past_value go together; one is missing");
  if (!key) return LEDGE_OK;
  if (s->lengths) return op_fail(c, LEDGE_ERROR_FORMAT, "nonpad_kv_seqlen and past_key exclude each other");
  TRY(check_like(c, IN_PAST_KEY, 1));
  TRY(check_like(c, IN_PAST_VALUE, 2));
  if (key->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "past_key has rank %d, not 4", key->rank);
  s->n_past = key->dims[2];
  TRY(expect_dims(c, IN_PAST_KEY, 4, (int64_t[]){s->batch, s->kv_heads, s->n_past, s->width}));
  return expect_dims(c, IN_PAST_VALUE, 4, (int64_t[]){s->batch, s->kv_heads, s->n_past, s->v_width});
}

static ledge_status check_softmax_precision(op_ctx *c) {
  int64_t p = op_int(c, "softmax_precision", LEDGE_F32);
  if (p == LEDGE_F32 || p == LEDGE_F16 || p == LEDGE_F64 || p == LEDGE_BF16) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_FORMAT, "softmax_precision %lld is no float type of 16 bits or more", (long long)p);
}

static ledge_status attention_read(op_ctx *c, attention *s) {
  const tensor *q = op_in(c, 0), *k = op_in(c, 1), *v = op_in(c, 2);
  *s = (attention){.batch = q->rank ? q->dims[0] : 0, .packed = q->rank == 3, .causal = op_int(c, "is_causal", 0) != 0};
  for (int i = 0; i < 3; i++) TRY(real_check(c, i, false));
  TRY(check_like(c, 1, 0));
  if ((q->rank != 3 && q->rank != 4) || k->rank != q->rank || v->rank != q->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "Q, K and V have ranks %d, %d and %d; they must all be 3 or all be 4", q->rank,
                   k->rank, v->rank);
  int64_t kv_width = 0, v_heads = 0, v_rows = 0, q_heads = op_int(c, "q_num_heads", 0),
          kv_heads = op_int(c, "kv_num_heads", 0);
  TRY(split_heads(c, 0, q_heads, &s->q_heads, &s->n_q, &s->width));
  TRY(split_heads(c, 1, kv_heads, &s->kv_heads, &s->n_new, &kv_width));
  TRY(split_heads(c, 2, kv_heads, &v_heads, &v_rows, &s->v_width));
  if (k->dims[0] != s->batch || v->dims[0] != s->batch)
    return op_fail(c, LEDGE_ERROR_SHAPE, "Q, K and V have different batch sizes");
  if (kv_width != s->width || v_heads != s->kv_heads || v_rows != s->n_new)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the heads, rows or widths of Q, K and V do not fit");
  if (s->kv_heads < 1 || s->q_heads % s->kv_heads)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld query heads are no multiple of %lld key heads", (long long)s->q_heads,
                   (long long)s->kv_heads);
  s->lengths = op_in(c, IN_LENGTHS);
  if (s->lengths && (s->lengths->dtype != LEDGE_I64 || tensor_elements(s->lengths) != s->batch))
    return op_fail(c, LEDGE_ERROR_SHAPE, "nonpad_kv_seqlen is not one int64 for each of %lld samples",
                   (long long)s->batch);
  TRY(read_past(c, s));
  if (s->n_new > INT64_MAX - s->n_past) return op_fail(c, LEDGE_ERROR_SHAPE, "too many keys");
  s->n_kv = s->n_past + s->n_new;
  s->left = c->node->version >= 25 ? op_int(c, "left_window_size", -1) : -1;
  s->right = c->node->version >= 25 ? op_int(c, "right_window_size", -1) : -1;
  if (s->left < -1 || s->right < -1) return op_fail(c, LEDGE_ERROR_FORMAT, "a window size is below -1");
  TRY(check_softmax_precision(c));
  return read_mask(c, s);
}

static ledge_status attention_infer(op_ctx *c) {
  attention s;
  TRY(attention_read(c, &s));
  int64_t mode = op_int(c, "qk_matmul_output_mode", 0), wide;
  if (mode < 0 || mode > 3)
    return op_fail(c, LEDGE_ERROR_FORMAT, "qk_matmul_output_mode is %lld, not 0 to 3", (long long)mode);
  ledge_dtype t1 = op_in(c, 0)->dtype, t2 = op_in(c, 2)->dtype;
  if (__builtin_mul_overflow(s.q_heads, s.v_width, &wide))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the output is too large");
  if (s.packed)
    TRY(op_shape(c, 0, t1, 3, (int64_t[]){s.batch, s.n_q, wide}));
  else
    TRY(op_shape(c, 0, t1, 4, (int64_t[]){s.batch, s.q_heads, s.n_q, s.v_width}));
  TRY(op_shape(c, 1, t1, 4, (int64_t[]){s.batch, s.kv_heads, s.n_kv, s.width}));
  TRY(op_shape(c, 2, t2, 4, (int64_t[]){s.batch, s.kv_heads, s.n_kv, s.v_width}));
  return op_shape(c, 3, t1, 4, (int64_t[]){s.batch, s.q_heads, s.n_q, s.n_kv});
}

static void attention_bias(const void *arg, int64_t b, int64_t h, int64_t i, double *row) {
  const attention *s = arg;
  int64_t keys = s->lengths ? tensor_i64(s->lengths, b) : s->n_kv;
  int64_t offset = s->lengths ? keys - s->n_q : s->n_past, at = i + offset;
  int64_t base = b * s->mask_step[0] + h * s->mask_step[1] + i * s->mask_step[2];
  for (int64_t j = 0; j < s->n_kv; j++) {
    bool hidden = (s->causal && j > at) || (s->lengths && j >= keys) || (s->mask && j >= s->mask_n) ||
                  (s->left >= 0 && at - j > s->left) || (s->right >= 0 && j - at > s->right);
    if (hidden) {
      row[j] = -INFINITY;
    } else if (s->mask) {
      double m = tensor_f64(s->mask, base + j * s->mask_step[3]);
      row[j] = s->mask->dtype == LEDGE_BOOL ? (m != 0 ? 0 : -INFINITY) : m;
    }
  }
}

/* past and fresh rows, one after another, as [batch, heads, n_past + rows, width] of doubles. */
static double *join_past(op_ctx *c, const attention *s, int input, int past_input, int64_t width) {
  const tensor *t = op_in(c, input), *past = op_in(c, past_input);
  int64_t n = attend_count((int64_t[]){s->batch, s->kv_heads, s->n_kv, width});
  double *joined = real_scratch(c, n);
  for (int64_t b = 0; joined && n && b < s->batch; b++)
    for (int64_t h = 0; h < s->kv_heads; h++)
      for (int64_t r = 0; r < s->n_kv; r++) {
        bool old = r < s->n_past;
        int64_t fresh = r - s->n_past, head = b * s->kv_heads + h;
        int64_t at = old ? (head * s->n_past + r) * width
                         : (s->packed ? (b * s->n_new + fresh) * s->kv_heads + h : head * s->n_new + fresh) * width;
        double *to = joined + (head * s->n_kv + r) * width;
        for (int64_t d = 0; d < width; d++) to[d] = tensor_f64(old ? past : t, at + d);
      }
  return joined;
}

static ledge_status check_lengths(op_ctx *c, const attention *s) {
  for (int64_t b = 0; s->lengths && b < s->batch; b++) {
    int64_t n = tensor_i64(s->lengths, b);
    if (n < 0 || n > s->n_kv)
      return op_fail(c, LEDGE_ERROR_DATA, "nonpad_kv_seqlen holds %lld for %lld keys", (long long)n,
                     (long long)s->n_kv);
  }
  return LEDGE_OK;
}

static ledge_status attention_run(op_ctx *c) {
  attention s;
  TRY(attention_read(c, &s));
  TRY(check_lengths(c, &s));
  tensor *y = op_out(c, 0), *qk = op_out(c, 3);
  int64_t n_y = attend_count((int64_t[]){s.batch, s.q_heads, s.n_q, s.v_width});
  double *in[] = {real_load(c, op_in(c, 0)), join_past(c, &s, 1, IN_PAST_KEY, s.width),
                  join_past(c, &s, 2, IN_PAST_VALUE, s.v_width), real_scratch(c, n_y),
                  qk ? real_scratch(c, tensor_elements(qk)) : NULL};
  ledge_status status = in[0] && in[1] && in[2] && in[3] && (in[4] || !qk) ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  bool hides = s.mask || s.lengths || s.causal || s.left >= 0 || s.right >= 0;
  attend a = {.batch = s.batch,
              .q_heads = s.q_heads,
              .kv_heads = s.kv_heads,
              .n_q = s.n_q,
              .n_kv = s.n_kv,
              .width = s.width,
              .v_width = s.v_width,
              .softcap = op_float(c, "softcap", 0),
              .scale = op_attr_given(c, "scale") ? op_float(c, "scale", 1) : 1 / sqrt((double)s.width),
              .bias = hides ? attention_bias : NULL,
              .arg = &s,
              .qk = in[4],
              .qk_mode = (int)op_int(c, "qk_matmul_output_mode", 0)};
  a.q = s.packed ? attend_rows_first(in[0], s.q_heads, s.n_q, s.width)
                 : attend_heads_first(in[0], s.q_heads, s.n_q, s.width);
  a.k = attend_heads_first(in[1], s.kv_heads, s.n_kv, s.width);
  a.v = attend_heads_first(in[2], s.kv_heads, s.n_kv, s.v_width);
  a.y = s.packed ? attend_rows_first(in[3], s.q_heads, s.n_q, s.v_width)
                 : attend_heads_first(in[3], s.q_heads, s.n_q, s.v_width);
  if (!status) status = attend_run(c, &a);
  if (!status && y) real_store(in[3], y);
  for (int i = 1; !status && i <= 2; i++)
    if (op_out(c, i)) real_store(in[i], op_out(c, i));
  if (!status && qk) real_store(in[4], qk);
  for (int i = 0; i < 5; i++) op_scratch_free(in[i]);
  return status;
}

/* ---- FlexAttention: the scores and the probabilities each go through a graph of the model's own ---- */

static ledge_status flex_precision(op_ctx *c, ledge_dtype *ret) {
  TRY(check_softmax_precision(c));
  *ret = (ledge_dtype)op_int(c, "softmax_precision", op_in(c, 0)->dtype == LEDGE_F64 ? LEDGE_F64 : LEDGE_F32);
  return LEDGE_OK;
}

static ledge_status flex_infer(op_ctx *c) {
  const tensor *q = op_in(c, 0), *k = op_in(c, 1), *v = op_in(c, 2);
  ledge_dtype precision;
  for (int i = 0; i < 3; i++) {
    TRY(real_check(c, i, false));
    TRY(check_like(c, i, 0));
    if (op_in(c, i)->rank != 4)
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has rank %d, not 4", i, op_in(c, i)->rank);
  }
  TRY(flex_precision(c, &precision));
  if (k->dims[1] < 1 || q->dims[1] % k->dims[1])
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld query heads are no multiple of %lld key heads", (long long)q->dims[1],
                   (long long)k->dims[1]);
  TRY(expect_dims(c, 1, 4, (int64_t[]){q->dims[0], k->dims[1], k->dims[2], q->dims[3]}));
  TRY(expect_dims(c, 2, 4, (int64_t[]){q->dims[0], k->dims[1], k->dims[2], v->dims[3]}));
  return op_shape(c, 0, q->dtype, 4, (int64_t[]){q->dims[0], q->dims[1], q->dims[2], v->dims[3]});
}

/* *t goes through graph attribute `name`, where there is one, and comes back with the same dtype and shape. */
static ledge_status flex_modify(op_ctx *c, const char *name, value *t) {
  const graph *g = op_graph(c, name);
  if (!g) return LEDGE_OK;
  if (g->n_inputs != 1 || g->n_outputs != 1)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%s has %d inputs and %d outputs instead of one each", name, g->n_inputs,
                   g->n_outputs);
  value out = {0};
  const value *in = t;
  TRY(c->host->call(c->host, c, g, &in, 1, &out, 1));
  if (out.kind != VALUE_TENSOR || out.tensor.dtype != t->tensor.dtype || !tensor_same_shape(&out.tensor, &t->tensor)) {
    value_deinit(&out);
    return op_fail(c, LEDGE_ERROR_SHAPE, "%s does not keep the dtype and shape of its input", name);
  }
  value_deinit(t);
  *t = out;
  return LEDGE_OK;
}

static void flex_softmax(tensor *t, double *row, int64_t n) {
  int64_t rows = n ? tensor_elements(t) / n : 0;
  for (int64_t r = 0; r < rows; r++) {
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
      row[j] = tensor_f64(t, r * n + j);
      most = row[j] > most || isnan(row[j]) ? row[j] : most;
    }
    for (int64_t j = 0; j < n; j++) sum += row[j] = exp(row[j] - most);
    for (int64_t j = 0; j < n; j++) dtype_store_f64(t->dtype, t->data, r * n + j, row[j] / sum);
  }
}

static ledge_status flex_steps(op_ctx *c, value *scores, double *const *in, double *row) {
  const tensor *q = op_in(c, 0), *k = op_in(c, 1), *v = op_in(c, 2);
  tensor *y = op_out(c, 0);
  int64_t n_q = q->dims[2], n_kv = k->dims[2], width = q->dims[3], v_width = v->dims[3],
          heads = q->dims[0] * q->dims[1];
  int64_t group = q->dims[1] / k->dims[1];
  double scale = op_attr_given(c, "scale") ? op_float(c, "scale", 1) : 1 / sqrt((double)width);
  TRY(tensor_alloc(&scores->tensor, c->error));
  for (int64_t h = 0; tensor_elements(&scores->tensor) && h < heads; h++)
    for (int64_t i = 0; i < n_q; i++)
      for (int64_t j = 0; j < n_kv; j++) {
        const double *a = in[0] + (h * n_q + i) * width, *b = in[1] + (h / group * n_kv + j) * width;
        double sum = 0;
        for (int64_t d = 0; d < width; d++) sum += a[d] * b[d];
        dtype_store_f64(scores->tensor.dtype, scores->tensor.data, (h * n_q + i) * n_kv + j, sum * scale);
      }
  TRY(flex_modify(c, "score_mod", scores));
  /* What comes back may be shared or read-only: the softmax goes into memory of its own. */
  value probs = {.kind = VALUE_TENSOR};
  ledge_status status = tensor_copy(&probs.tensor, &scores->tensor, c->error);
  if (!status) flex_softmax(&probs.tensor, row, n_kv);
  if (!status) status = flex_modify(c, "prob_mod", &probs);
  for (int64_t h = 0; !status && y && tensor_elements(y) && h < heads; h++)
    for (int64_t i = 0; i < n_q; i++)
      for (int64_t d = 0; d < v_width; d++) {
        double sum = 0;
        for (int64_t j = 0; j < n_kv; j++)
          sum += tensor_f64(&probs.tensor, (h * n_q + i) * n_kv + j) * in[2][(h / group * n_kv + j) * v_width + d];
        dtype_store_f64(y->dtype, y->data, (h * n_q + i) * v_width + d, sum);
      }
  value_deinit(&probs);
  return status;
}

static ledge_status flex_run(op_ctx *c) {
  const tensor *q = op_in(c, 0), *k = op_in(c, 1);
  ledge_dtype precision;
  TRY(flex_precision(c, &precision));
  const int64_t dims[] = {q->dims[0], q->dims[1], q->dims[2], k->dims[2]};
  if (shape_elements(4, dims) < 0) return op_fail(c, LEDGE_ERROR_SHAPE, "the scores are too large");
  value scores = {.kind = VALUE_TENSOR};
  tensor_set_shape(&scores.tensor, precision, 4, dims);
  double *in[] = {real_load(c, q), real_load(c, k), real_load(c, op_in(c, 2))}, *row = real_scratch(c, k->dims[2]);
  ledge_status status = in[0] && in[1] && in[2] && row ? flex_steps(c, &scores, in, row) : LEDGE_ERROR_MEMORY;
  value_deinit(&scores);
  for (int i = 0; i < 3; i++) op_scratch_free(in[i]);
  op_scratch_free(row);
  return status;
}

/* ---- RotaryEmbedding ---- */

static ledge_status rotary_read(op_ctx *c, attend_turned *s) {
  const tensor *x = op_in(c, 0), *cosine = op_in(c, 1), *ids = op_in(c, 3);
  for (int i = 0; i < 3; i++) {
    TRY(real_check(c, i, false));
    TRY(check_like(c, i, 0));
  }
  if (x->rank != 3 && x->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "X has rank %d, not 3 or 4", x->rank);
  *s = (attend_turned){.batch = x->dims[0], .rows_first = x->rank == 3, .turn.pairs = op_int(c, "interleaved", 0) != 0};
  TRY(split_heads(c, 0, op_int(c, "num_heads", 0), &s->heads, &s->rows, &s->width));
  int64_t dim = op_int(c, "rotary_embedding_dim", 0);
  s->turn.dim = dim ? dim : s->width;
  if (s->turn.dim < 0 || s->turn.dim > s->width || s->turn.dim % 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld elements of a head of %lld cannot turn in pairs", (long long)s->turn.dim,
                   (long long)s->width);
  if (!tensor_same_shape(cosine, op_in(c, 2))) return op_fail(c, LEDGE_ERROR_SHAPE, "the caches have different shapes");
  if (!ids) return expect_dims(c, 1, 3, (int64_t[]){s->batch, s->rows, s->turn.dim / 2});
  if (ids->dtype != LEDGE_I64) return op_fail_dtype(c, 3);
  if (cosine->rank != 2) return op_fail(c, LEDGE_ERROR_SHAPE, "with position_ids, the caches must have rank 2");
  TRY(expect_dims(c, 1, 2, (int64_t[]){cosine->dims[0], s->turn.dim / 2}));
  return expect_dims(c, 3, 2, (int64_t[]){s->batch, s->rows});
}

static ledge_status rotary_infer(op_ctx *c) {
  attend_turned s;
  TRY(rotary_read(c, &s));
  return op_same_shape(c, 0, 0);
}

static ledge_status rotary_run(op_ctx *c) {
  attend_turned s;
  TRY(rotary_read(c, &s));
  return attend_turn(c, &s, 1, op_in(c, 3));
}

/* ---- LinearAttention: a state [width, v_width] a head, changed by each token and read by its query ----
 *
 *   S *= exp(decay)      v -= k S      S += k (beta v)      y = scale * q S      (without what the rule leaves out) */

typedef struct linear {
  int64_t batch, rows, q_heads, kv_heads, width, v_width;
  int64_t decay_n, beta_n; /* numbers a head and token: 1 or width; heads that beta has: 1 or kv_heads; 0: absent */
  double scale;
} linear;

static ledge_status linear_read(op_ctx *c, linear *s) {
  const tensor *q = op_in(c, 0), *v = op_in(c, 2), *decay = op_in(c, 4), *beta = op_in(c, 5);
  for (int i = 0; i < c->n_in; i++) {
    TRY(real_check(c, i, false));
    if (i != 3) TRY(check_like(c, i, 0));
    if (op_in(c, i) && i != 3 && op_in(c, i)->rank != 3)
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has rank %d, not 3", i, op_in(c, i)->rank);
  }
  *s = (linear){.batch = q->dims[0],
                .rows = q->dims[1],
                .q_heads = op_int(c, "q_num_heads", 0),
                .kv_heads = op_int(c, "kv_num_heads", 0)};
  if (s->kv_heads < 1 || s->q_heads < 1 || s->q_heads % s->kv_heads)
    return op_fail(c, LEDGE_ERROR_SHAPE, "q_num_heads %lld is no positive multiple of kv_num_heads %lld",
                   (long long)s->q_heads, (long long)s->kv_heads);
  int64_t heads, rows;
  TRY(split_heads(c, 0, s->q_heads, &heads, &rows, &s->width));
  TRY(split_heads(c, 2, s->kv_heads, &heads, &rows, &s->v_width));
  TRY(expect_dims(c, 1, 3, (int64_t[]){s->batch, s->rows, s->kv_heads * s->width}));
  TRY(expect_dims(c, 2, 3, (int64_t[]){s->batch, s->rows, v->dims[2]}));
  TRY(expect_dims(c, 3, 4, (int64_t[]){s->batch, s->kv_heads, s->width, s->v_width}));
  bool gated = op_string_is(c, "update_rule", "gated_delta", "gated"),
       both = op_string_is(c, "update_rule", "gated_delta", "gated_delta"),
       delta = op_string_is(c, "update_rule", "gated_delta", "delta");
  if (!gated && !both && !delta && !op_string_is(c, "update_rule", "gated_delta", "linear"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "update_rule is none of linear, gated, delta, gated_delta");
  if (!decay == (gated || both) || !beta == (delta || both))
    return op_fail(c, LEDGE_ERROR_FORMAT, "the update_rule and the inputs decay and beta do not go together");
  if (decay) {
    s->decay_n = decay->dims[2] == s->kv_heads ? 1 : s->width;
    TRY(expect_dims(c, 4, 3, (int64_t[]){s->batch, s->rows, s->kv_heads * s->decay_n}));
  }
  if (beta) {
    s->beta_n = beta->dims[2] == 1 ? 1 : s->kv_heads;
    TRY(expect_dims(c, 5, 3, (int64_t[]){s->batch, s->rows, s->beta_n}));
  }
  s->scale = op_float(c, "scale", 0);
  if (s->scale == 0) s->scale = 1 / sqrt((double)s->width);
  return LEDGE_OK;
}

static ledge_status linear_infer(op_ctx *c) {
  linear s;
  TRY(linear_read(c, &s));
  int64_t wide;
  if (__builtin_mul_overflow(s.q_heads, s.v_width, &wide))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the output is too large");
  TRY(op_shape(c, 0, op_in(c, 0)->dtype, 3, (int64_t[]){s.batch, s.rows, wide}));
  const tensor *past = op_in(c, 3);
  return op_shape(c, 1, past ? past->dtype : op_in(c, 0)->dtype, 4,
                  (int64_t[]){s.batch, s.kv_heads, s.width, s.v_width});
}

/* One token of one head: state[width, v_width], v[v_width] is scratch that holds the value. */
static void linear_token(const linear *s, double *const *in, int64_t b, int64_t t, int64_t h, double *state,
                         double *v) {
  int64_t token = b * s->rows + t, head = token * s->kv_heads + h, w = s->width, n = s->v_width;
  const double *k = in[1] + head * w;
  memcpy(v, in[2] + head * n, (size_t)n * sizeof *v);
  for (int64_t d = 0; s->decay_n && d < w; d++) {
    double keep = exp(in[4][head * s->decay_n + (s->decay_n == 1 ? 0 : d)]);
    for (int64_t m = 0; m < n; m++) state[d * n + m] *= keep;
  }
  if (s->beta_n) {
    double beta = in[5][token * s->beta_n + (s->beta_n == 1 ? 0 : h)];
    for (int64_t d = 0; d < w; d++)
      for (int64_t m = 0; m < n; m++) v[m] -= state[d * n + m] * k[d];
    for (int64_t m = 0; m < n; m++) v[m] *= beta;
  }
  for (int64_t d = 0; d < w; d++)
    for (int64_t m = 0; m < n; m++) state[d * n + m] += k[d] * v[m];
}

static void linear_all(const linear *s, double *const *in, double *states, double *v, double *y) {
  int64_t group = s->q_heads / s->kv_heads, w = s->width, n = s->v_width;
  for (int64_t b = 0; w && n && b < s->batch; b++)
    for (int64_t h = 0; h < s->kv_heads; h++) {
      double *state = states + (b * s->kv_heads + h) * w * n;
      for (int64_t t = 0; t < s->rows; t++) {
        linear_token(s, in, b, t, h, state, v);
        for (int64_t g = 0; g < group; g++) {
          int64_t at = (b * s->rows + t) * s->q_heads + h * group + g;
          const double *q = in[0] + at * w;
          double *to = y + at * n;
          for (int64_t d = 0; d < w; d++)
            for (int64_t m = 0; m < n; m++) to[m] += s->scale * q[d] * state[d * n + m];
        }
      }
    }
}

static ledge_status linear_run(op_ctx *c) {
  linear s;
  TRY(linear_read(c, &s));
  const int64_t dims[] = {s.batch, s.kv_heads, s.width, s.v_width}, out[] = {s.batch, s.rows, s.q_heads, s.v_width};
  int64_t n_state = attend_count(dims), n_y = attend_count(out);
  double *in[6] = {NULL}, *v = real_scratch(c, s.v_width), *y = real_scratch(c, n_y);
  ledge_status status = v && y ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int i = 0; !status && i < 6; i++) {
    if (i != 3 && !op_in(c, i)) continue;
    in[i] = op_in(c, i) ? real_load(c, op_in(c, i)) : real_scratch(c, n_state);
    if (!in[i]) status = LEDGE_ERROR_MEMORY;
  }
  if (!status) {
    linear_all(&s, in, in[3], v, y);
    if (op_out(c, 0)) real_store(y, op_out(c, 0));
    if (op_out(c, 1)) real_store(in[3], op_out(c, 1));
  }
  for (int i = 0; i < 6; i++) op_scratch_free(in[i]);
  op_scratch_free(v);
  op_scratch_free(y);
  return status;
}

/* ---- CausalConvWithState ---- */

static ledge_status causal_read(op_ctx *c, int64_t *kernel, bool *silu) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1);
  for (int i = 0; i < c->n_in; i++) {
    TRY(real_check(c, i, false));
    TRY(check_like(c, i, 0));
  }
  if (x->rank != 3 || w->rank != 3 || w->dims[2] < 1)
    return op_fail(c, LEDGE_ERROR_SHAPE,
                   "the input and the weights must have rank 3, and the kernel a size of 1 or more");
  *kernel = w->dims[2];
  TRY(expect_dims(c, 1, 3, (int64_t[]){x->dims[1], 1, *kernel}));
  TRY(expect_dims(c, 2, 1, (int64_t[]){x->dims[1]}));
  TRY(expect_dims(c, 3, 3, (int64_t[]){x->dims[0], x->dims[1], *kernel - 1}));
  *silu = op_string_is(c, "activation", "none", "silu") || op_string_is(c, "activation", "none", "swish");
  if (*silu || op_string_is(c, "activation", "none", "none")) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_FORMAT, "activation is none of none, silu, swish");
}

static ledge_status causal_infer(op_ctx *c) {
  int64_t kernel;
  bool silu;
  TRY(causal_read(c, &kernel, &silu));
  const tensor *x = op_in(c, 0);
  TRY(op_same_shape(c, 0, 0));
  return op_shape(c, 1, x->dtype, 3, (int64_t[]){x->dims[0], x->dims[1], kernel - 1});
}

static ledge_status causal_run(op_ctx *c) {
  int64_t kernel;
  bool silu;
  TRY(causal_read(c, &kernel, &silu));
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *bias = op_in(c, 2), *past = op_in(c, 3);
  tensor *y = op_out(c, 0), *state = op_out(c, 1);
  int64_t channels = x->dims[1], n = x->dims[2], lead = kernel - 1;
  if (n > INT64_MAX - lead) return op_fail(c, LEDGE_ERROR_SHAPE, "the input is too long");
  if (!tensor_elements(x) && !(state && tensor_elements(state))) return LEDGE_OK;
  double *line = real_scratch(c, n + lead);
  if (!line) return LEDGE_ERROR_MEMORY;
  for (int64_t r = 0; r < x->dims[0] * channels; r++) {
    int64_t ch = r % channels;
    for (int64_t i = 0; i < lead; i++) line[i] = past ? tensor_f64(past, r * lead + i) : 0;
    for (int64_t i = 0; i < n; i++) line[lead + i] = tensor_f64(x, r * n + i);
    for (int64_t i = 0; y && i < n; i++) {
      double sum = bias ? tensor_f64(bias, ch) : 0;
      for (int64_t k = 0; k < kernel; k++) sum += line[i + k] * tensor_f64(w, ch * kernel + k);
      sum = attend_round(x->dtype, sum); /* the standard rounds before the activation */
      dtype_store_f64(y->dtype, y->data, r * n + i, silu ? sum / (1 + exp(-sum)) : sum);
    }
    for (int64_t i = 0; state && i < lead; i++) dtype_store_f64(state->dtype, state->data, r * lead + i, line[n + i]);
  }
  op_scratch_free(line);
  return LEDGE_OK;
}

const op_def ops_attention[] = {
    {"", "Attention", 23, 23, 3, 6, 1, 4, 0, attention_infer, attention_run},
    {"", "Attention", 24, 0, 3, 7, 1, 4, 0, attention_infer, attention_run},
    {"", "RotaryEmbedding", 23, 0, 3, 4, 1, 1, 0, rotary_infer, rotary_run},
    {"", "LinearAttention", 27, 0, 3, 6, 1, 2, 0, linear_infer, linear_run},
    {"", "CausalConvWithState", 27, 0, 2, 4, 1, 2, 0, causal_infer, causal_run},
    {"ai.onnx.preview", "FlexAttention", 1, 0, 3, 3, 1, 1, OP_HOST_CALL, flex_infer, flex_run},
    {0}};
