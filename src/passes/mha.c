/* passes/mha: Attention and MultiHeadAttention of com.microsoft become the standard's Attention, with the projection,
 * the biases and the mask about it as nodes of their own:
 *
 *   Attention(x, W, b)         MatMul, Add, Split -> Attention
 *   MultiHeadAttention(q, k, v, bias)   q + b, k + b, v + b -> Attention
 *   mask [batch, keys]         Where(mask > 0, 0, mask_filter_value), as [batch, 1, 1, keys]
 *
 * Masks of lengths, packed and cached layouts, a past in one tensor and the scores as an output stay the operator's
 * own affair. */
#include "passes/pass.h"

typedef struct build {
  pass_run *p;
  ledge_status status;
} build;

static value_id fail(build *b) {
  if (!b->status) b->status = error_memory(b->p->error, sizeof(graph_value), "attention's nodes");
  return VALUE_ABSENT;
}

static value_id add(build *b, const char *op, int version, const value_id *in, int n_in) {
  value_id v = b->status ? VALUE_ABSENT : graph_add_value(b->p->g, NULL);
  node *n = v == VALUE_ABSENT ? NULL : graph_add_node(b->p->g, "", op, version, "", in, n_in, &v, 1);
  if (!n) return fail(b);
  n->def = ops_find("", op, version);
  return v;
}
#define ADD(b, op, version, ...)                       \
  add(b, op, version, (const value_id[]){__VA_ARGS__}, \
      (int)(sizeof((const value_id[]){__VA_ARGS__}) / sizeof(value_id)))

static value_id constant(build *b, ledge_dtype dtype, int rank, const int64_t *dims, const void *data) {
  value_id v = b->status ? VALUE_ABSENT : graph_add_constant_copy(b->p->g, NULL, dtype, rank, dims, data);
  return v == VALUE_ABSENT ? fail(b) : v;
}

/* ---- what the two have in common ---- */

typedef struct heads {
  int64_t batch, n_q, n_kv; /* n_kv: with the past */
  int mask, bias;           /* inputs, or -1 */
} heads;

static const tensor *f32_of(pass_run *p, value_id v, int rank) {
  const tensor *t = v == VALUE_ABSENT ? NULL : pass_shape(p, v);
  return t && t->dtype == LEDGE_F32 && t->rank == rank ? t : NULL;
}

/* Can the mask and the attention bias be said? */
static bool masks_fit(pass_run *p, const node *n, const heads *h) {
  if (node_in(n, h->bias) != VALUE_ABSENT && !f32_of(p, n->in[h->bias], 4)) return false;
  value_id v = node_in(n, h->mask);
  if (v == VALUE_ABSENT) return true;
  const tensor *m = pass_shape(p, v);
  if (!m || m->dtype != LEDGE_I32 || m->rank < 2 || m->rank > 3 || m->dims[0] != h->batch) return false;
  return m->dims[m->rank - 1] == h->n_kv && (m->rank == 2 || m->dims[1] == h->n_q);
}

/* What is added to the scores, or VALUE_ABSENT. */
static value_id additive(build *b, const node *n, const heads *h) {
  value_id mask = node_in(n, h->mask), bias = node_in(n, h->bias);
  if (mask == VALUE_ABSENT) return bias;
  const int64_t axes[] = {1, 2}, n_axes = pass_shape(b->p, mask)->rank == 2 ? 2 : 1;
  const int32_t none = 0;
  const float zero = 0, filter = node_attr_float(n, "mask_filter_value", -10000.0f);
  value_id seen = ADD(b, "Greater", 13, mask, constant(b, LEDGE_I32, 0, NULL, &none));
  value_id number =
      ADD(b, "Where", 16, seen, constant(b, LEDGE_F32, 0, NULL, &zero), constant(b, LEDGE_F32, 0, NULL, &filter));
  value_id wide = ADD(b, "Unsqueeze", 13, number, constant(b, LEDGE_I64, 1, &n_axes, axes));
  return bias == VALUE_ABSENT ? wide : ADD(b, "Add", 14, wide, bias);
}

/* Node i becomes Attention of these; its first outputs stay as they are. */
static ledge_status become(build *b, int i, const value_id *qkv, value_id mask, value_id past_key,
                           value_id past_value) {
  const node old = b->p->g->nodes[i];
  int64_t n_heads = node_attr_int(&old, "num_heads", 1);
  float scale = node_attr_float(&old, "scale", 0);
  bool causal = node_attr_int(&old, "unidirectional", 0) != 0;
  const value_id in[] = {qkv[0], qkv[1], qkv[2], mask, past_key, past_value};
  if (b->status) return b->status;
  node *n = &b->p->g->nodes[i];
  TRY(pass_become(b->p, n, "", "Attention", 23, in, past_key != VALUE_ABSENT ? 6 : mask != VALUE_ABSENT ? 4 : 3));
  if (n->n_out > 3) n->n_out = 3;
  TRY(node_set_int(b->p->g, n, "q_num_heads", n_heads));
  TRY(node_set_int(b->p->g, n, "kv_num_heads", n_heads));
  if (scale != 0) TRY(node_set_float(b->p->g, n, "scale", scale));
  return causal ? node_set_int(b->p->g, n, "is_causal", 1) : LEDGE_OK;
}

static bool wants(const node *n, int output) { return output < n->n_out && n->out[output] != VALUE_ABSENT; }

/* ---- MultiHeadAttention ---- */

enum { MHA_BIAS = 3, MHA_MASK = 4, MHA_ATTENTION_BIAS = 5, MHA_PAST_KEY = 6, MHA_PAST_VALUE = 7, MHA_PAST_LENGTH = 8 };

/* x + bias[at, at + n) */
static value_id biased(build *b, value_id x, const tensor *bias, int64_t at, int64_t n) {
  if (!bias) return x;
  return ADD(b, "Add", 14, x, constant(b, LEDGE_F32, 1, &n, (const float *)bias->data + at));
}

static ledge_status try_mha(pass_run *p, int i) {
  const node *n = &p->g->nodes[i];
  const tensor *q = f32_of(p, n->in[0], 3), *k = f32_of(p, node_in(n, 1), 3), *v = f32_of(p, node_in(n, 2), 3);
  if (!q || !k || !v || wants(n, 3)) return LEDGE_OK;
  for (int in = MHA_PAST_LENGTH; in < n->n_in; in++)
    if (n->in[in] != VALUE_ABSENT) return LEDGE_OK;
  value_id past_key = node_in(n, MHA_PAST_KEY), past_value = node_in(n, MHA_PAST_VALUE), bias = node_in(n, MHA_BIAS);
  const tensor *past = f32_of(p, past_key, 4), *row = pass_constant(p, bias);
  if ((past_key == VALUE_ABSENT) != (past_value == VALUE_ABSENT) || (past_key != VALUE_ABSENT && !past))
    return LEDGE_OK;
  int64_t wide[] = {q->dims[2], k->dims[2], v->dims[2]};
  if (bias != VALUE_ABSENT && (!row || row->dtype != LEDGE_F32 || tensor_elements(row) != wide[0] + wide[1] + wide[2]))
    return LEDGE_OK;
  const heads h = {q->dims[0], q->dims[1], k->dims[1] + (past ? past->dims[2] : 0), MHA_MASK, MHA_ATTENTION_BIAS};
  if (!masks_fit(p, n, &h) || (node_attr_int(n, "unidirectional", 0) && k->dims[1] != q->dims[1])) return LEDGE_OK;
  build b = {.p = p};
  value_id qkv[] = {n->in[0], n->in[1], n->in[2]}, mask = additive(&b, n, &h);
  for (int64_t x = 0, at = 0; x < 3; at += wide[x++]) qkv[x] = biased(&b, qkv[x], row, at, wide[x]);
  return become(&b, i, qkv, mask, past_key, past_value);
}

/* ---- Attention ---- */

enum { ATTENTION_BIAS = 2, ATTENTION_MASK = 3, ATTENTION_PAST = 4, ATTENTION_ADDED = 5, ATTENTION_PAST_LENGTH = 6 };

static ledge_status try_attention(pass_run *p, int i) {
  const node *n = &p->g->nodes[i];
  const tensor *x = f32_of(p, n->in[0], 3), *w = f32_of(p, n->in[1], 2);
  value_id bias = node_in(n, ATTENTION_BIAS);
  if (!x || !w || (bias != VALUE_ABSENT && !f32_of(p, bias, 1)) || wants(n, 1)) return LEDGE_OK;
  if (node_in(n, ATTENTION_PAST) != VALUE_ABSENT || node_in(n, ATTENTION_PAST_LENGTH) != VALUE_ABSENT) return LEDGE_OK;
  if (node_attr_int(n, "do_rotary", 0) || node_attr_int(n, "past_present_share_buffer", 0)) return LEDGE_OK;
  const attr *sizes = node_attr(n, "qkv_hidden_sizes");
  int64_t wide[] = {w->dims[1] / 3, w->dims[1] / 3, w->dims[1] / 3}, three = 3;
  if (sizes && (sizes->type != ATTR_INTS || (sizes->count && sizes->count != 3))) return LEDGE_OK;
  if (sizes && sizes->count) memcpy(wide, sizes->ints, sizeof wide);
  if (!pass_constant(p, n->in[1]) || wide[0] + wide[1] + wide[2] != w->dims[1]) return LEDGE_OK;
  const heads h = {x->dims[0], x->dims[1], x->dims[1], ATTENTION_MASK, ATTENTION_ADDED};
  if (!masks_fit(p, n, &h)) return LEDGE_OK;
  build b = {.p = p};
  value_id mask = additive(&b, n, &h), in[] = {n->in[0], n->in[1]}, qkv[3];
  value_id all = ADD(&b, "MatMul", 13, in[0], in[1]);
  if (bias != VALUE_ABSENT) all = ADD(&b, "Add", 14, all, bias);
  const value_id split_in[] = {all, constant(&b, LEDGE_I64, 1, &three, wide)};
  for (int k = 0; k < 3; k++) qkv[k] = graph_add_value(p->g, NULL);
  if (b.status || qkv[0] == VALUE_ABSENT || qkv[1] == VALUE_ABSENT || qkv[2] == VALUE_ABSENT) return fail(&b), b.status;
  node *split = graph_add_node(p->g, "", "Split", 13, "", split_in, 2, qkv, 3);
  if (!split) return fail(&b), b.status;
  split->def = ops_find("", "Split", 13);
  TRY(node_set_int(p->g, split, "axis", -1));
  return become(&b, i, qkv, mask, VALUE_ABSENT, VALUE_ABSENT);
}

ledge_status pass_mha(pass_run *p) {
  int n = p->g->n_nodes;
  for (int i = 0; i < n; i++) {
    if (node_is(&p->g->nodes[i], "com.microsoft", "MultiHeadAttention")) TRY(try_mha(p, i));
    if (node_is(&p->g->nodes[i], "com.microsoft", "Attention")) TRY(try_attention(p, i));
  }
  return LEDGE_OK;
}
