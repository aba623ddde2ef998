/* passes/attention: attention written out in pieces becomes Attention.
 *
 *   Q * scale, K * scale -> MatMul(Q, K^T) -> * or / scale -> + mask -> Softmax -> MatMul(_, V)
 *
 * with any of the scales there or not, over [batch, heads, rows, width]. Frameworks keep [batch, rows, heads, width]
 * and transpose to and fro; where all four transposes are found Attention takes the rows as they stand, [batch, rows,
 * heads
 * * width], and they fall away. A batch of one is also written as [rows, heads, width] with perm (1, 0, 2). */
#include "passes/pass.h"

#include <math.h>

typedef struct found {
  node *scores, *softmax, *chain[8]; /* what falls away, beside the last product */
  int n_chain;
  value_id q, k, v, mask; /* k and v [batch, heads, rows, width] */
  value_id k_rows;        /* or, instead of k: [batch, rows, heads, width] */
  double scale;
} found;

static bool open_dims(const graph *g) {
  for (int i = 0; i < g->n_inputs; i++) {
    const graph_type *t = &g->values[g->inputs[i]].type;
    if (graph_constant(g, g->inputs[i])) continue;
    if (t->kind != TYPE_TENSOR || t->rank < 0) return true;
    for (int d = 0; d < t->rank; d++)
      if (t->dims[d] < 0) return true;
  }
  return g->parent != NULL;
}

/* A number that is known for every size of the open dims. */
static bool number(pass_run *p, value_id v, double *ret) {
  float f;
  if (pass_scalar(p, v, &f)) {
    *ret = f;
    return true;
  }
  const tensor *t = open_dims(p->g) ? NULL : pass_shape(p, v);
  if (!t || !t->data || t->dtype != LEDGE_F32 || tensor_elements(t) != 1) return false;
  *ret = *(const float *)t->data;
  return true;
}

/* Takes products with numbers off v: what they were made of, with the scale multiplied up. */
static value_id unscaled(pass_run *p, value_id v, found *f) {
  for (;;) {
    node *n = pass_producer(p, v);
    double c;
    if (!n || n->n_in != 2 || n->version < 7 || !pass_read_once(p, v) || f->n_chain == 8) return v;
    bool mul = node_is(n, "", "Mul"), div = node_is(n, "", "Div");
    value_id rest = VALUE_ABSENT;
    if ((mul || div) && number(p, n->in[1], &c))
      rest = n->in[0];
    else if (mul && number(p, n->in[0], &c))
      rest = n->in[1];
    const tensor *a = rest == VALUE_ABSENT ? NULL : pass_shape(p, rest), *b = a ? pass_shape(p, v) : NULL;
    if (!b || a->rank != b->rank || (div && c == 0)) return v;
    f->scale *= div ? 1 / c : c;
    f->chain[f->n_chain++] = n;
    v = rest;
  }
}

static bool has_perm(const node *n, int64_t rank, const int64_t *perm) {
  const attr *a = node_is(n, "", "Transpose") ? node_attr(n, "perm") : NULL;
  return a && a->type == ATTR_INTS && a->count == rank && !memcmp(a->ints, perm, (size_t)rank * sizeof *perm);
}
static const int64_t swap_last[] = {0, 1, 3, 2}, rows_to_last[] = {0, 2, 3, 1}, swap_middle[] = {0, 2, 1, 3},
                     swap_first[] = {1, 0, 2}, rows_to_first[] = {2, 0, 1, 3};

static bool last_axis(const node *softmax, int rank) {
  int64_t axis = node_attr_int(softmax, "axis", softmax->version < 13 ? 1 : -1);
  return axis == -1 || axis == rank - 1;
}

/* Does the mask stretch to the scores' shape, and have all the keys? */
static bool mask_fits(const tensor *m, const tensor *scores) {
  if (!m || m->dtype != LEDGE_F32 || m->rank < 1 || m->rank > 4 || m->dims[m->rank - 1] != scores->dims[3])
    return false;
  for (int i = 1; i < m->rank; i++) {
    int64_t d = m->dims[m->rank - 1 - i];
    if (d != 1 && d != scores->dims[3 - i]) return false;
  }
  return true;
}

/* The scores behind v: with a mask added or without. */
static node *find_scores(pass_run *p, value_id v, found *f) {
  node *add = pass_only(p, v, "Add");
  int n_chain = f->n_chain;
  for (int i = 0; i < (add && add->version >= 7 ? 2 : 1); i++) {
    f->n_chain = n_chain;
    f->scale = 1;
    if (add) f->chain[f->n_chain++] = add;
    value_id s = unscaled(p, add ? add->in[i] : v, f);
    node *m = pass_only(p, s, "MatMul");
    const tensor *t = m ? pass_shape(p, s) : NULL;
    if (!t || t->rank != 4 || (add && !mask_fits(pass_shape(p, add->in[1 - i]), t))) continue;
    f->mask = add ? add->in[1 - i] : VALUE_ABSENT;
    return m;
  }
  return NULL;
}

static bool same(const tensor *a, int i, const tensor *b, int k) { return a->dims[i] == b->dims[k]; }

/* Is `last` the last product of an attention? */
static bool find(pass_run *p, node *last, found *f) {
  *f = (found){.mask = VALUE_ABSENT, .k = VALUE_ABSENT, .k_rows = VALUE_ABSENT};
  f->softmax = pass_only(p, last->in[0], "Softmax");
  if (!f->softmax || !last_axis(f->softmax, 4)) return false;
  f->scores = find_scores(p, f->softmax->in[0], f);
  if (!f->scores) return false;
  f->q = unscaled(p, f->scores->in[0], f);
  value_id turned = unscaled(p, f->scores->in[1], f);
  node *t = pass_producer(p, turned);
  if (!t) return false;
  if (has_perm(t, 4, swap_last))
    f->k = t->in[0];
  else if (has_perm(t, 4, rows_to_last))
    f->k_rows = t->in[0];
  else
    return false;
  f->v = last->in[1];
  const tensor *q = pass_shape(p, f->q), *k = pass_shape(p, turned), *v = pass_shape(p, f->v);
  if (!q || !k || !v || q->rank != 4 || k->rank != 4 || v->rank != 4) return false;
  if (q->dtype != LEDGE_F32 || k->dtype != LEDGE_F32 || v->dtype != LEDGE_F32) return false;
  return same(q, 0, k, 0) && same(q, 0, v, 0) && same(q, 1, k, 1) && same(q, 1, v, 1) && same(q, 3, k, 2) &&
         same(k, 3, v, 2) && isfinite(f->scale);
}

/* ---- rows as they stand ---- */

/* Heads and width of a value that a Reshape to four constant dims made, or of one whose shape nothing leaves open. */
static bool heads_and_width(pass_run *p, value_id v, int heads_at, int64_t *heads, int64_t *width) {
  const node *n = pass_producer(p, v);
  const tensor *t = n && node_is(n, "", "Reshape") ? pass_constant(p, node_in(n, 1)) : NULL, *s = pass_shape(p, v);
  *heads = *width = 0;
  if (t && t->dtype == LEDGE_I64 && tensor_elements(t) == 4) {
    *heads = ((const int64_t *)t->data)[heads_at];
    *width = ((const int64_t *)t->data)[3];
  } else if (s && s->rank == 4 && !open_dims(p->g)) {
    *heads = s->dims[heads_at];
    *width = s->dims[3];
  }
  return *heads > 0 && *width > 0 && *heads < INT32_MAX && *width < INT32_MAX;
}

typedef struct rows {
  value_id from;
  int64_t shape[3]; /* of the Reshape that makes [batch, rows, heads * width] of it */
  int64_t heads;
} rows;

/* v is [batch, heads, rows, width]: the rows that it was made of. */
static bool rows_of(pass_run *p, value_id v, rows *r) {
  const node *n = pass_producer(p, v);
  int64_t width;
  if (n && has_perm(n, 4, swap_middle)) {
    *r = (rows){.from = n->in[0]};
    if (!heads_and_width(p, n->in[0], 2, &r->heads, &width)) return false;
    r->shape[2] = r->heads * width;
    return true;
  }
  if (!n || !node_is(n, "", "Reshape")) return false;
  const tensor *to = pass_constant(p, node_in(n, 1)), *from = pass_shape(p, n->in[0]);
  const node *t = pass_producer(p, n->in[0]);
  if (!to || to->dtype != LEDGE_I64 || tensor_elements(to) != 4 || *(const int64_t *)to->data != 1) return false;
  if (!t || !has_perm(t, 3, swap_first) || !heads_and_width(p, v, 1, &r->heads, &width)) return false;
  if (!from || from->rank != 3 || from->dims[0] != r->heads || from->dims[2] != width) return false;
  *r = (rows){.from = t->in[0], .heads = r->heads, .shape = {1, -1, r->heads * width}};
  return true;
}

static bool rows_of_k(pass_run *p, const found *f, rows *r) {
  int64_t width;
  if (f->k != VALUE_ABSENT) return rows_of(p, f->k, r);
  *r = (rows){.from = f->k_rows};
  if (!heads_and_width(p, f->k_rows, 2, &r->heads, &width)) return false;
  r->shape[2] = r->heads * width;
  return true;
}

static ledge_status add_node(pass_run *p, const char *op, const value_id *in, int n_in, value_id out, node **ret) {
  node *n = graph_add_node(p->g, "", op, 13, "", in, n_in, &out, 1);
  if (!n) return error_memory(p->error, sizeof *n, "a node");
  n->def = ops_find("", op, 13);
  *ret = n;
  return LEDGE_OK;
}

static ledge_status add_reshape(pass_run *p, value_id from, const int64_t *shape, int64_t count, value_id out) {
  node *n = NULL;
  value_id to = graph_add_constant_copy(p->g, NULL, LEDGE_I64, 1, &count, shape);
  if (to == VALUE_ABSENT) return error_memory(p->error, (size_t)count * sizeof *shape, "a shape");
  return add_node(p, "Reshape", (const value_id[]){from, to}, 2, out, &n);
}

static value_id fresh(pass_run *p) { return graph_add_value(p->g, NULL); }

/* The Transpose that alone reads v, of what the rows want; its index, or -1. */
static int back(pass_run *p, value_id v, bool one) {
  for (int i = 0; pass_read_once(p, v) && i < p->n_dead; i++) {
    const node *n = &p->g->nodes[i];
    if (p->dead[i] || n->n_in != 1 || n->in[0] != v) continue;
    if (has_perm(n, 4, swap_middle) || (one && has_perm(n, 4, rows_to_first))) return i;
  }
  return -1;
}

static ledge_status become(pass_run *p, node *last, const found *f, const value_id *qkv, int64_t heads) {
  const value_id in[] = {qkv[0], qkv[1], qkv[2], f->mask};
  for (int i = 0; i < f->n_chain; i++) pass_kill(p, f->chain[i]);
  pass_kill(p, f->scores);
  pass_kill(p, f->softmax);
  TRY(pass_become(p, last, "", "Attention", 23, in, f->mask == VALUE_ABSENT ? 3 : 4));
  TRY(node_set_float(p->g, last, "scale", (float)f->scale));
  if (!heads) return LEDGE_OK;
  TRY(node_set_int(p->g, last, "q_num_heads", heads));
  return node_set_int(p->g, last, "kv_num_heads", heads);
}

static ledge_status try_attention(pass_run *p, int i) {
  found f;
  rows r[3];
  value_id qkv[3];
  int64_t v_heads, v_width;
  if (!find(p, &p->g->nodes[i], &f)) return LEDGE_OK;
  value_id out = p->g->nodes[i].out[0];
  bool standing = rows_of(p, f.q, &r[0]) && rows_of_k(p, &f, &r[1]) && rows_of(p, f.v, &r[2]) &&
                  r[0].heads == r[1].heads && r[0].heads == r[2].heads;
  bool one = standing && r[0].shape[0] == 1;
  int transpose = standing ? back(p, out, one) : -1;
  if (transpose < 0) {
    qkv[0] = f.q, qkv[1] = f.k, qkv[2] = f.v;
    if (f.k != VALUE_ABSENT) return become(p, &p->g->nodes[i], &f, qkv, 0);
    node *n = NULL;
    qkv[1] = fresh(p);
    if (qkv[1] == VALUE_ABSENT) return error_memory(p->error, sizeof(graph_value), "a value");
    TRY(become(p, &p->g->nodes[i], &f, qkv, 0));
    TRY(add_node(p, "Transpose", &f.k_rows, 1, qkv[1], &n));
    return node_set_ints(p->g, n, "perm", swap_middle, 4);
  }
  v_heads = r[2].heads;
  v_width = r[2].shape[2] / v_heads;
  value_id y = fresh(p);
  for (int k = 0; k < 3; k++) qkv[k] = fresh(p);
  if (y == VALUE_ABSENT || qkv[0] == VALUE_ABSENT || qkv[1] == VALUE_ABSENT || qkv[2] == VALUE_ABSENT)
    return error_memory(p->error, sizeof(graph_value), "a value");
  TRY(become(p, &p->g->nodes[i], &f, qkv, r[0].heads));
  p->g->nodes[i].out[0] = y;
  p->g->values[y].producer = i;
  p->g->values[out].producer = -1;
  node *t = &p->g->nodes[transpose];
  const int64_t plain[] = {0, 0, v_heads, v_width}, first[] = {-1, 1, v_heads, v_width};
  value_id to = t->out[0];
  bool rows_first = has_perm(t, 4, rows_to_first);
  pass_kill(p, t);
  p->g->values[to].producer = -1;
  for (int k = 0; k < 3; k++) TRY(add_reshape(p, r[k].from, r[k].shape, 3, qkv[k]));
  return add_reshape(p, y, rows_first ? first : plain, 4, to);
}

ledge_status pass_attention(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++) {
    const node *n = &p->g->nodes[i];
    if (p->dead[i] || !node_is(n, "", "MatMul") || n->n_in != 2 || n->in[0] == VALUE_ABSENT) continue;
    const node *softmax = pass_producer(p, n->in[0]);
    if (softmax && node_is(softmax, "", "Softmax")) TRY(try_attention(p, i));
  }
  return LEDGE_OK;
}
