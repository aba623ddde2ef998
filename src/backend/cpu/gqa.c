/* backend/cpu/gqa: GroupQueryAttention of com.microsoft in float32: new keys and values are turned by their positions
 * and joined with the past in the present (or in scratch, if nobody wants it), where the fused kernel reads them.
 *
 * Sample b has seqlens_k[b] + 1 keys when the call is done. In the first call (as many queries as total keys) the past
 * counts for nothing; later, the queries are the last n_q keys. total_sequence_length may change from run to run while
 * all shapes stay: what depends on it is computed in the run.
 *
 * Scratch: turned queries, keys, values, offsets and lengths, and what the kernel asks for. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/attention/attention.h"

#include <math.h>

enum { IN_KEY = 1, IN_PAST = 3, IN_LENGTHS = 5, IN_TOTAL, IN_COS, IN_SIN, IN_POSITIONS, IN_BIAS, IN_SINK };

typedef struct gqa_state {
  attention_shape shape;     /* but for what the run knows */
  int64_t n_past, width;     /* rows of the past's buffer */
  int64_t offset[3], row[3]; /* of Q, K and V in their inputs, in elements */
  int64_t turned;            /* elements of a head that turn; 0: none */
  bool pairs, packed;        /* neighbours turn together; Q, K and V are one input */
  size_t at_q, at_kv[2], at_offsets, at_lengths, at_kernel;
} gqa_state;

static void *at(const op_ctx *c, size_t offset) { return (char *)c->scratch + offset; }

/* One head at one position, from x to y. */
static void turn(const gqa_state *s, const float *x, const float *cosine, const float *sine, float *y) {
  int64_t half = s->turned / 2;
  if (s->pairs)
    for (int64_t i = 0; i < half; i++) {
      float a = x[2 * i], b = x[2 * i + 1];
      y[2 * i] = a * cosine[i] - b * sine[i];
      y[2 * i + 1] = a * sine[i] + b * cosine[i];
    }
  else
    for (int64_t i = 0; i < half; i++) {
      float a = x[i], b = x[half + i];
      y[i] = a * cosine[i] - b * sine[i];
      y[half + i] = a * sine[i] + b * cosine[i];
    }
  memcpy(y + s->turned, x + s->turned, (size_t)(s->width - s->turned) * sizeof *y);
}

/* What one run works on. */
typedef struct gqa {
  op_ctx *c;
  const gqa_state *s;
  attention_shape shape;
  int64_t n_present;
  const int64_t *past, *lengths; /* by sample */
  bool first;                    /* as many queries as keys */
} gqa;

static ledge_status read_lengths(gqa *g) {
  op_ctx *c = g->c;
  const gqa_state *s = g->s;
  const int32_t *given = op_in(c, IN_LENGTHS)->data;
  int64_t *past = at(c, s->at_offsets), *lengths = at(c, s->at_lengths), total = g->shape.kv_len;
  for (int64_t b = 0; b < g->shape.batch; b++) {
    lengths[b] = (int64_t)given[b] + 1;
    past[b] = g->first ? 0 : lengths[b] - g->shape.q_len;
    if (lengths[b] < 1 || lengths[b] > total || past[b] < 0 || past[b] > s->n_past)
      return op_fail(c, LEDGE_ERROR_DATA, "seqlens_k holds %lld for %lld past and %lld total keys",
                     (long long)lengths[b] - 1, (long long)s->n_past, (long long)total);
  }
  g->past = past;
  g->lengths = lengths;
  return LEDGE_OK;
}

/* The position of new row i of sample b; fails where the caches do not have it. */
static ledge_status position(const gqa *g, int64_t b, int64_t i, int64_t *ret) {
  const tensor *cosine = op_in(g->c, IN_COS), *ids = op_in(g->c, IN_POSITIONS);
  int64_t p = g->past[b] + i;
  if (ids && g->first) {
    if (__builtin_add_overflow(*(const int64_t *)ids->data, i, &p)) p = -1;
  } else if (ids) {
    p = ((const int64_t *)ids->data)[b * g->shape.q_len + i];
  }
  *ret = p;
  if (p >= 0 && p < cosine->dims[0]) return LEDGE_OK;
  return op_fail(g->c, LEDGE_ERROR_DATA, "position %lld is outside of the %lld of cos_cache", (long long)p,
                 (long long)cosine->dims[0]);
}

/* Rows of part 0 (Q) or 1 (K), turned, to y, which has the given strides of batch, head and row. */
static ledge_status put_turned(const gqa *g, int part, int64_t heads, float *y, int64_t y_batch, int64_t y_head,
                               bool behind_past) {
  const gqa_state *s = g->s;
  const float *x = (const float *)op_in(g->c, s->packed ? 0 : part)->data + s->offset[part];
  const float *cosine = s->turned ? op_in(g->c, IN_COS)->data : NULL,
              *sine = s->turned ? op_in(g->c, IN_SIN)->data : NULL;
  for (int64_t b = 0; b < g->shape.batch; b++)
    for (int64_t i = 0; i < g->shape.q_len; i++) {
      int64_t p = 0, half = s->turned / 2, first = behind_past ? g->past[b] : 0;
      if (s->turned && part < 2) TRY(position(g, b, i, &p));
      const float *from = x + (b * g->shape.q_len + i) * s->row[part];
      float *to = y + b * y_batch + (first + i) * s->width;
      for (int64_t h = 0; h < heads; h++, from += s->width, to += y_head) {
        if (s->turned && part < 2)
          turn(s, from, cosine + p * half, sine + p * half, to);
        else
          memcpy(to, from, (size_t)s->width * sizeof *to);
      }
    }
  return LEDGE_OK;
}

/* Keys (0) or values (1), past and new: [batch, kv_heads, n_present, width]; behind a sample's end stands 0. */
static ledge_status join(const gqa *g, int which, float **ret) {
  const gqa_state *s = g->s;
  const tensor *past = op_in(g->c, IN_PAST + which);
  tensor *present = op_out(g->c, 1 + which);
  float *all = *ret = present ? present->data : at(g->c, s->at_kv[which]);
  size_t row = (size_t)s->width * sizeof *all;
  int64_t heads = g->shape.kv_heads, head = g->n_present * s->width;
  for (int64_t p = 0; p < g->shape.batch * heads; p++) {
    int64_t old = g->past[p / heads], end = old + g->shape.q_len;
    if (old) memcpy(all + p * head, (const float *)past->data + p * s->n_past * s->width, (size_t)old * row);
    memset(all + p * head + end * s->width, 0, (size_t)(g->n_present - end) * row);
  }
  return put_turned(g, 1 + which, heads, all, heads * head, head, true);
}

static ledge_status gqa_run(op_ctx *c) {
  const gqa_state *s = c->kernel;
  const tensor *bias = op_in(c, IN_BIAS);
  gqa g = {.c = c, .s = s, .shape = s->shape};
  attention_shape *a = &g.shape;
  a->kv_len = *(const int32_t *)op_in(c, IN_TOTAL)->data;
  if (a->kv_len < a->q_len || a->kv_len - a->q_len > s->n_past)
    return op_fail(c, LEDGE_ERROR_DATA, "total_sequence_length %lld does not fit %lld past and %lld new rows",
                   (long long)a->kv_len, (long long)s->n_past, (long long)a->q_len);
  g.first = a->q_len == a->kv_len;
  g.n_present = s->n_past > a->kv_len ? s->n_past : a->kv_len;
  TRY(read_lengths(&g));
  a->offsets = g.past;
  a->kv_lengths = g.lengths;
  if (bias) {
    a->mask = bias->data;
    a->mask_k = 1;
    a->mask_q = a->kv_len;
    a->mask_head = bias->dims[1] == 1 ? 0 : a->q_len * a->kv_len;
    a->mask_batch = bias->dims[0] == 1 ? 0 : bias->dims[1] * a->q_len * a->kv_len;
  }
  float *k, *v;
  TRY(join(&g, 0, &k));
  TRY(join(&g, 1, &v));
  int64_t w = s->width, kv_head = g.n_present * w;
  attention_view q = {op_in(c, 0)->data, a->q_len * s->row[0], w, s->row[0]};
  if (s->turned) {
    float *turned = at(c, s->at_q);
    TRY(put_turned(&g, 0, a->q_heads, turned, a->q_heads * a->q_len * w, a->q_len * w, false));
    q = (attention_view){turned, a->q_heads * a->q_len * w, a->q_len * w, w};
  }
  attention_f32(a, q, (attention_view){k, a->kv_heads * kv_head, kv_head, w},
                (attention_view){v, a->kv_heads * kv_head, kv_head, w}, op_out(c, 0)->data, a->q_len * a->q_heads * w,
                w, a->q_heads * w, at(c, s->at_kernel), c->pool);
  return LEDGE_OK;
}

static bool gqa_supported(const kernel_request *r) {
  op_ctx *c = r->ctx;
  for (int i = 0; i < c->n_in; i++)
    if (op_has(c, i) && i != IN_LENGTHS && i != IN_TOTAL && i != IN_POSITIONS && !cpu_is_f32(r, i)) return false;
  return op_wants(c, 0) && !op_wants(c, 3) && !op_has(c, IN_SINK) && op_int(c, "smooth_softmax", 0) <= 0 &&
         tensor_elements(op_in(c, 0)) > 0;
}

static size_t gqa_scratch(const kernel_request *r, gqa_state *s) {
  op_ctx *c = r->ctx;
  const attention_shape *a = &s->shape;
  size_t w = (size_t)s->width * sizeof(float), q = (size_t)(a->batch * a->q_heads * a->q_len) * w, total = 0;
  size_t kv = (size_t)(a->batch * a->kv_heads * (s->n_past + a->q_len)) * w, each = (size_t)a->batch * sizeof(int64_t);
  const size_t sizes[] = {s->turned ? q : 0,
                          op_wants(c, 1) ? 0 : kv,
                          op_wants(c, 2) ? 0 : kv,
                          each,
                          each,
                          attention_f32_scratch(a, r->threads)};
  size_t *const offsets[] = {&s->at_q, &s->at_kv[0], &s->at_kv[1], &s->at_offsets, &s->at_lengths, &s->at_kernel};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    *offsets[i] = total;
    total += (sizes[i] + 63) & ~(size_t)63;
  }
  return total;
}

static ledge_status gqa_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!gqa_supported(r)) return LEDGE_OK;
  const tensor *q = op_in(c, 0), *past = op_in(c, IN_PAST);
  gqa_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  attention_shape *a = &s->shape;
  *a = (attention_shape){.batch = q->dims[0],
                         .q_heads = op_int(c, "num_heads", 1),
                         .kv_heads = op_int(c, "kv_num_heads", 1),
                         .q_len = q->dims[1],
                         .softcap = op_float(c, "softcap", 0),
                         .causal = true,
                         .window_left = op_int(c, "local_window_size", -1),
                         .window_right = -1};
  if (a->window_left <= 0) a->window_left = -1;
  if (!(a->softcap > 0)) a->softcap = 0;
  s->packed = !op_has(c, IN_KEY);
  s->width = q->dims[2] / (s->packed ? a->q_heads + 2 * a->kv_heads : a->q_heads);
  a->head_dim = a->v_dim = s->width;
  a->scale = op_float(c, "scale", 0);
  if (a->scale == 0) a->scale = (float)(1 / sqrt((double)s->width));
  s->n_past = past ? past->dims[2] : 0;
  a->kv_len = s->n_past + a->q_len; /* the most */
  for (int i = 0; i < 3; i++) {
    s->offset[i] = s->packed && i ? (a->q_heads + (i - 1) * a->kv_heads) * s->width : 0;
    s->row[i] = s->packed || !i ? q->dims[2] : a->kv_heads * s->width;
  }
  if (op_int(c, "do_rotary", 0)) s->turned = 2 * op_in(c, IN_COS)->dims[1];
  s->pairs = op_int(c, "rotary_interleaved", 0) != 0;
  *ret =
      (kernel){gqa_run, s, gqa_scratch(r, s), "attention",
               2.0 * (double)a->batch * (double)a->q_heads * (double)a->q_len * (double)a->kv_len * (double)s->width};
  return LEDGE_OK;
}

const cpu_row cpu_rows_gqa[] = {
    {"com.microsoft", "GroupQueryAttention", gqa_prepare},
    {0},
};
