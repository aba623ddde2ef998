/* backend/cpu/attention: Attention (23 on) of float32. Q, K and V are read where they stand, in either layout; where
 * there is a past, its keys and values and the fresh ones are joined in the present (or in scratch, if nobody wants
 * it).
 *
 * Scratch: joined keys, joined values, a mask of bools as numbers, offsets, and what the kernel asks for. */
#include "kernels/attention/attention.h"
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/copy/copy.h"

#include <math.h>

enum { IN_MASK = 3, IN_PAST_KEY = 4, IN_PAST_VALUE = 5, IN_LENGTHS = 6 };

typedef struct attention_state {
  attention_shape shape;
  bool packed;             /* [batch, rows, heads * width] */
  int64_t n_past, n_total; /* keys, with those that a short mask hides */
  size_t at_joined[2], at_mask, at_offsets, at_kernel;
} attention_state;

static float *at(const op_ctx *c, size_t offset) { return (float *)((char *)c->scratch + offset); }

static attention_view view_of(const float *data, bool packed, int64_t heads, int64_t rows, int64_t width) {
  return packed ? (attention_view){data, rows * heads * width, width, heads * width}
                : (attention_view){data, heads * rows * width, rows * width, width};
}

/* from's rows into rows [first, first + rows) of to, which is [batch, heads, total, width]. */
static void put_rows(const attention_state *s, attention_view from, int64_t first, int64_t rows, int64_t width,
                     float *to, pool *p) {
  const int64_t heads = s->shape.kv_heads, total = s->n_total, dims[] = {s->shape.batch, heads, rows, width},
                src[] = {from.batch, from.head, from.row, 1}, dst[] = {heads * total * width, total * width, width, 1};
  if (rows) copy_strided(sizeof(float), 4, dims, from.data, src, to + first * width, dst, p);
}

/* Keys (which = 0) or values (1): all that are seen. */
static attention_view joined(op_ctx *c, const attention_state *s, int which, int64_t width) {
  const tensor *fresh = op_in(c, 1 + which), *past = op_in(c, IN_PAST_KEY + which);
  tensor *present = op_out(c, 1 + which);
  int64_t heads = s->shape.kv_heads;
  attention_view v = view_of(fresh->data, s->packed, heads, s->n_total - s->n_past, width);
  if (!present && !s->n_past) return v;
  float *all = present ? present->data : at(c, s->at_joined[which]);
  if (past) put_rows(s, view_of(past->data, false, heads, s->n_past, width), 0, s->n_past, width, all, c->pool);
  put_rows(s, v, s->n_past, s->n_total - s->n_past, width, all, c->pool);
  return s->n_past ? view_of(all, false, heads, s->n_total, width) : v;
}

/* What each entry of the batch has by its own length. */
static ledge_status read_lengths(op_ctx *c, const attention_state *s, attention_shape *shape) {
  const tensor *lengths = op_in(c, IN_LENGTHS);
  if (!lengths) return LEDGE_OK;
  int64_t *offsets = (int64_t *)(void *)at(c, s->at_offsets);
  shape->kv_lengths = lengths->data;
  shape->offsets = offsets;
  for (int64_t b = 0; b < shape->batch; b++) {
    int64_t n = shape->kv_lengths[b];
    if (n < 0 || n > s->n_total)
      return op_fail(c, LEDGE_ERROR_DATA, "nonpad_kv_seqlen holds %lld for %lld keys", (long long)n,
                     (long long)s->n_total);
    offsets[b] = n - shape->q_len;
  }
  return LEDGE_OK;
}

static ledge_status attention_run(op_ctx *c) {
  const attention_state *s = c->kernel;
  attention_shape shape = s->shape;
  const tensor *mask = op_in(c, IN_MASK);
  tensor *y = op_out(c, 0);
  TRY(read_lengths(c, s, &shape));
  if (mask) shape.mask = mask->data;
  if (mask && mask->dtype == LEDGE_BOOL) {
    float *to = at(c, s->at_mask);
    const uint8_t *from = mask->data;
    for (int64_t i = 0, n = tensor_elements(mask); i < n; i++) to[i] = from[i] ? 0 : -INFINITY;
    shape.mask = to;
  }
  attention_view k = joined(c, s, 0, shape.head_dim), v = joined(c, s, 1, shape.v_dim),
                 q = view_of(op_in(c, 0)->data, s->packed, shape.q_heads, shape.q_len, shape.head_dim),
                 o = view_of(y->data, s->packed, shape.q_heads, shape.q_len, shape.v_dim);
  attention_f32(&shape, q, k, v, y->data, o.batch, o.head, o.row, at(c, s->at_kernel), c->pool);
  return LEDGE_OK;
}

static bool attention_supported(const kernel_request *r) {
  op_ctx *c = r->ctx;
  const tensor *mask = op_in(c, IN_MASK);
  for (int i = 0; i < 3; i++)
    if (!cpu_is_f32(r, i) || !tensor_elements(op_in(c, i))) return false;
  for (int i = IN_PAST_KEY; i <= IN_PAST_VALUE; i++)
    if (op_has(c, i) && !cpu_is_f32(r, i)) return false;
  if (mask && mask->dtype != LEDGE_F32 && mask->dtype != LEDGE_BOOL) return false;
  return op_wants(c, 0) && !op_wants(c, 3) && op_int(c, "softmax_precision", LEDGE_F32) != LEDGE_F64;
}

/* The mask broadcasts to [batch, q_heads, n_q, n_kv], but for its last dim: the keys beyond that are hidden. */
static void attention_mask(const tensor *m, attention_shape *s) {
  int64_t step[4] = {0}, steps = 1;
  for (int d = 3; d >= 0; d--) {
    int k = d - (4 - m->rank);
    if (k < 0) break;
    step[d] = m->dims[k] == 1 && d != 3 ? 0 : steps;
    steps *= m->dims[k];
  }
  s->mask_batch = step[0], s->mask_head = step[1], s->mask_q = step[2], s->mask_k = step[3];
  int64_t seen = m->rank ? m->dims[m->rank - 1] : s->kv_len;
  if (seen < s->kv_len) s->kv_len = seen;
}

static size_t attention_scratch(const kernel_request *r, attention_state *s) {
  op_ctx *c = r->ctx;
  const attention_shape *a = &s->shape;
  const tensor *mask = op_in(c, IN_MASK);
  size_t rows = (size_t)(a->batch * a->kv_heads * s->n_total), total = 0;
  size_t sizes[5] = {0}, *const offsets[] = {&s->at_joined[0], &s->at_joined[1], &s->at_mask, &s->at_offsets,
                                             &s->at_kernel};
  if (s->n_past && !op_wants(c, 1)) sizes[0] = rows * (size_t)a->head_dim * sizeof(float);
  if (s->n_past && !op_wants(c, 2)) sizes[1] = rows * (size_t)a->v_dim * sizeof(float);
  if (mask && mask->dtype == LEDGE_BOOL) sizes[2] = (size_t)tensor_elements(mask) * sizeof(float);
  if (op_has(c, IN_LENGTHS)) sizes[3] = (size_t)a->batch * sizeof(int64_t);
  sizes[4] = attention_f32_scratch(a, r->threads);
  for (size_t i = 0; i < 5; i++) {
    *offsets[i] = total;
    total += (sizes[i] + 63) & ~(size_t)63;
  }
  return total;
}

static ledge_status attention_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!attention_supported(r)) return LEDGE_OK;
  const tensor *q = op_in(c, 0), *k = op_in(c, 1), *v = op_in(c, 2), *past = op_in(c, IN_PAST_KEY);
  attention_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  attention_shape *a = &s->shape;
  s->packed = q->rank == 3;
  a->batch = q->dims[0];
  a->q_heads = s->packed ? op_int(c, "q_num_heads", 1) : q->dims[1];
  a->kv_heads = s->packed ? op_int(c, "kv_num_heads", 1) : k->dims[1];
  a->q_len = q->dims[s->packed ? 1 : 2];
  a->head_dim = s->packed ? q->dims[2] / a->q_heads : q->dims[3];
  a->v_dim = s->packed ? v->dims[2] / a->kv_heads : v->dims[3];
  s->n_past = past ? past->dims[2] : 0;
  s->n_total = a->kv_len = s->n_past + k->dims[s->packed ? 1 : 2];
  a->scale = op_attr_given(c, "scale") ? op_float(c, "scale", 1) : (float)(1 / sqrt((double)a->head_dim));
  a->softcap = op_float(c, "softcap", 0);
  if (!(a->softcap > 0)) a->softcap = 0;
  a->causal = op_int(c, "is_causal", 0) != 0;
  bool windows = c->node->version >= 25;
  a->window_left = windows ? op_int(c, "left_window_size", -1) : -1;
  a->window_right = windows ? op_int(c, "right_window_size", -1) : -1;
  a->offset = s->n_past;
  if (op_in(c, IN_MASK)) attention_mask(op_in(c, IN_MASK), a);
  double adds = (double)a->batch * (double)a->q_heads * (double)a->q_len * (double)a->kv_len;
  *ret = (kernel){attention_run, s, attention_scratch(r, s), "attention", adds * (double)(a->head_dim + a->v_dim)};
  return LEDGE_OK;
}

const cpu_row cpu_rows_attention[] = {
    {"", "Attention", attention_prepare},
    {0},
};
