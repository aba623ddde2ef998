/* passes/gradient/product: rules of MatMul, Gemm, Einsum, convolutions and attention.
 *
 * A convolution is bilinear, and so are its two gradients; each of the three is a gradient of the others:
 *
 *   small = correlate(large, w)        Conv, ledge.ConvTransposeInputGrad
 *   large = spread(small, w)           ConvTranspose, ledge.ConvInputGrad
 *   w     = match(small, large)        ledge.ConvWeightGrad, ledge.ConvTransposeWeightGrad */
#include "passes/gradient/back.h"

#include <ctype.h>
#include <math.h>

/* ---- MatMul, Gemm ---- */

static value_id transposed(back *b, value_id x, int rank) {
  int64_t perm[LEDGE_MAX_RANK];
  for (int i = 0; i < rank; i++) perm[i] = i;
  perm[rank - 1] = rank - 2;
  perm[rank - 2] = rank - 1;
  return back_transpose(b, x, perm, rank);
}

static value_id gemm(back *b, value_id x, bool tx, value_id y, bool ty, float alpha) {
  value_id out = back_op2(b, "Gemm", x, y);
  back_int(b, "transA", tx);
  back_int(b, "transB", ty);
  back_float(b, "alpha", alpha);
  return out;
}

/* All dims but the last as one. */
static value_id rows_of(back *b, value_id x, int rank) {
  if (rank == 2) return x;
  value_id y = back_op1(b, "Flatten", x);
  back_int(b, "axis", rank - 1);
  return y;
}

/* A vector counts as a matrix of one row on the left, of one column on the right. */
void gradient_matmul(back *b, const node *n) {
  value_id a = n->in[0], w = n->in[1], dy = back_grad(b, n, 0);
  int rank_a = back_need_rank(b, a), rank_w = back_need_rank(b, w);
  if (b->status || rank_a < 1 || rank_w < 1) return;
  if (rank_w == 2 && rank_a >= 2) { /* rows of a by one matrix */
    value_id rows = rows_of(b, dy, rank_a);
    if (back_wants(b, a)) back_give(b, a, back_reshape_like(b, gemm(b, rows, false, w, true, 1), a));
    if (back_wants(b, w)) back_give(b, w, gemm(b, rows_of(b, a, rank_a), true, rows, false, 1));
    return;
  }
  value_id left = rank_a == 1 ? back_unsqueeze(b, a, 0) : a, right = rank_w == 1 ? back_unsqueeze(b, w, 1) : w;
  if (rank_w == 1) dy = back_unsqueeze(b, dy, -1);
  if (rank_a == 1) dy = back_unsqueeze(b, dy, -2);
  int rank_left = rank_a == 1 ? 2 : rank_a, rank_right = rank_w == 1 ? 2 : rank_w;
  if (back_wants(b, a)) {
    value_id g = back_sum_to(b, back_op2(b, "MatMul", dy, transposed(b, right, rank_right)), left);
    back_give(b, a, rank_a == 1 ? back_reshape_like(b, g, a) : g);
  }
  if (back_wants(b, w)) {
    value_id g = back_sum_to(b, back_op2(b, "MatMul", transposed(b, left, rank_left), dy), right);
    back_give(b, w, rank_w == 1 ? back_reshape_like(b, g, w) : g);
  }
}

void gradient_gemm(back *b, const node *n) {
  bool ta = node_attr_int(n, "transA", 0) != 0, tb = node_attr_int(n, "transB", 0) != 0;
  float alpha = node_attr_float(n, "alpha", 1), beta = node_attr_float(n, "beta", 1);
  value_id a = n->in[0], w = n->in[1], c = node_in(n, 2), dy = back_grad(b, n, 0);
  if (back_wants(b, a)) back_give(b, a, ta ? gemm(b, w, tb, dy, true, alpha) : gemm(b, dy, false, w, !tb, alpha));
  if (back_wants(b, w)) back_give(b, w, tb ? gemm(b, dy, true, a, ta, alpha) : gemm(b, a, !ta, dy, false, alpha));
  if (back_wants(b, c)) back_give_sum(b, c, beta == 1 ? dy : back_mul(b, dy, back_number(b, beta, dy)));
}

/* Frozen weights of few bits: the gradient goes through them to A. */
void gradient_matmul_nbits(back *b, const node *n) {
  value_id dy = back_grad(b, n, 0), a = n->in[0], bias = node_in(n, 5);
  if (back_wants(b, node_in(n, 2)) || back_wants(b, node_in(n, 3))) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "its scales and zero points stay as they are; train a side branch");
    return;
  }
  const value_id in[] = {dy, n->in[1], n->in[2], node_in(n, 3), node_in(n, 4)};
  if (back_wants(b, a)) {
    value_id da = back_emit(b, "ledge", "MatMulNBitsGrad", 1, in, n->n_in < 5 ? n->n_in : 5);
    back_attrs(b, n);
    back_give(b, a, da);
  }
  back_give_sum(b, bias, dy);
}

/* dA = dY B is linear in dY: the operator itself goes back. */
void gradient_matmul_nbits_grad(back *b, const node *n) {
  const value_id in[] = {back_grad(b, n, 0), n->in[1], n->in[2], node_in(n, 3), node_in(n, 4)};
  value_id g = back_emit(b, "com.microsoft", "MatMulNBits", 1, in, n->n_in);
  back_attrs(b, n);
  back_give(b, n->in[0], g);
}

/* ---- Einsum ---- */

enum { EINSUM_TEXT = 512, EINSUM_TERMS = 16 };

typedef struct equation {
  char terms[EINSUM_TERMS][64]; /* of the inputs; an ellipsis is one '.' */
  char out[64];
  int n;
} equation;

static bool equation_read(const node *n, equation *e) {
  const attr *a = node_attr(n, "equation");
  int at = 0;
  bool arrow = false;
  *e = (equation){.n = 1};
  if (!a || a->type != ATTR_STRING || n->n_in > EINSUM_TERMS) return false;
  for (size_t i = 0; i < a->s.size; i++) {
    char c = a->s.data[i];
    char *term = arrow ? e->out : e->terms[e->n - 1];
    if (isspace((unsigned char)c)) continue;
    if (c == '.' && at && term[at - 1] == '.') continue;
    if (c == '-' || c == '>') {
      arrow = true;
      at = 0;
    } else if (c == ',' && !arrow) {
      if (e->n++ == EINSUM_TERMS) return false;
      at = 0;
    } else if (at == 63) {
      return false;
    } else {
      term[at++] = c;
    }
  }
  if (arrow) return e->n == n->n_in;
  /* The output left out: the ellipsis, and the letters that stand once, in alphabetical order. */
  bool dots = false;
  for (int k = 0; k < e->n; k++) dots = dots || strchr(e->terms[k], '.');
  at = 0;
  if (dots) e->out[at++] = '.';
  for (int c = 'A'; c <= 'z'; c++) {
    int count = 0;
    for (int k = 0; k < e->n; k++)
      for (const char *t = e->terms[k]; *t; t++) count += *t == c;
    if (count == 1 && isalpha(c) && at < 63) e->out[at++] = (char)c;
  }
  return e->n == n->n_in;
}

static void put_term(char *text, const char *term) {
  size_t at = strlen(text);
  for (; *term && at + 4 < EINSUM_TEXT; term++) {
    if (*term == '.') text[at++] = '.', text[at++] = '.';
    text[at++] = *term;
  }
  text[at] = 0;
}

/* Of input k: the output's gradient times the other inputs, summed over what input k does not name. A letter that only
 * input k names is brought in by a tensor of ones. */
static void einsum_input(back *b, const node *n, const equation *e, int k) {
  char text[EINSUM_TEXT] = "";
  value_id in[EINSUM_TERMS + 2] = {back_grad(b, n, 0)}, x = n->in[k];
  int n_in = 1;
  bool lonely = false;
  put_term(text, e->out);
  for (int i = 0; i < e->n; i++) {
    if (i == k) continue;
    put_term(text, ",");
    put_term(text, e->terms[i]);
    in[n_in++] = n->in[i];
  }
  for (const char *t = e->terms[k]; *t; t++) {
    if (strchr(t + 1, *t)) {
      back_fail(b, LEDGE_ERROR_UNSUPPORTED, "a term that names '%c' twice (a diagonal) has no rule", *t);
      return;
    }
    lonely = lonely || !strchr(text, *t);
  }
  if (lonely) {
    put_term(text, ",");
    put_term(text, e->terms[k]);
    in[n_in++] = back_filled(b, 1, x);
  }
  bool dots = strchr(e->out, '.') != NULL;
  for (int i = 0; i < e->n; i++) dots = dots || strchr(e->terms[i], '.');
  put_term(text, "->");
  if (dots && !strchr(e->terms[k], '.')) put_term(text, "."); /* the others' broadcast dims: summed at the end */
  put_term(text, e->terms[k]);
  back_emit(b, "", "Einsum", GRADIENT_OPSET, in, n_in);
  if (b->status) return;
  back_string(b, "equation", text);
  back_give_sum(b, x, b->g->nodes[b->g->n_nodes - 1].out[0]);
}

void gradient_einsum(back *b, const node *n) {
  equation e;
  if (!equation_read(n, &e)) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "its equation is too long, or does not fit its inputs");
    return;
  }
  for (int k = 0; k < e.n; k++)
    if (back_wants(b, n->in[k])) einsum_input(b, n, &e, k);
}

void gradient_det(back *b, const node *n) {
  back_give(b, n->in[0], back_emit(b, "ledge", "DetGrad", 1, (value_id[]){n->in[0], back_grad(b, n, 0)}, 2));
}

/* ---- convolutions ---- */

static value_id conv_like(back *b, const node *n, const char *domain, const char *op, value_id x, value_id y,
                          value_id shape_of) {
  value_id in[3] = {x, y, shape_of == VALUE_ABSENT ? VALUE_ABSENT : back_shape(b, shape_of)};
  value_id out = back_emit(b, domain, op, domain[0] ? 1 : GRADIENT_OPSET, in, shape_of == VALUE_ABSENT ? 2 : 3);
  back_attrs(b, n);
  return out;
}

static void conv_any(back *b, const node *n, const char *input_grad, const char *weight_grad) {
  value_id x = n->in[0], w = n->in[1], bias = node_in(n, 2), dy = back_grad(b, n, 0);
  if (back_wants(b, x)) back_give(b, x, conv_like(b, n, "ledge", input_grad, dy, w, x));
  if (back_wants(b, w)) back_give(b, w, conv_like(b, n, "ledge", weight_grad, x, dy, w));
  if (!back_wants(b, bias)) return;
  int64_t axes[LEDGE_MAX_RANK] = {0};
  int rank = back_rank(b, w) > 0 ? back_rank(b, w) : back_need_rank(b, x), n_axes = 1 + back_range(2, rank, axes + 1);
  value_id sum = back_reduce(b, "ReduceSum", dy, axes, n_axes);
  back_int(b, "keepdims", 0);
  back_give(b, bias, sum);
}

void gradient_conv(back *b, const node *n) { conv_any(b, n, "ConvInputGrad", "ConvWeightGrad"); }
void gradient_conv_transpose(back *b, const node *n) {
  conv_any(b, n, "ConvTransposeInputGrad", "ConvTransposeWeightGrad");
}

/* dx = InputGrad(dy, w): of dy the operator itself, of w the weights' gradient with g in x's place. */
void gradient_conv_input_grad(back *b, const node *n) {
  bool transpose = !strcmp(n->op, "ConvTransposeInputGrad");
  value_id dy = n->in[0], w = n->in[1], g = back_grad(b, n, 0);
  if (back_wants(b, dy))
    back_give(b, dy, conv_like(b, n, "", transpose ? "ConvTranspose" : "Conv", g, w, VALUE_ABSENT));
  if (back_wants(b, w))
    back_give(b, w, conv_like(b, n, "ledge", transpose ? "ConvTransposeWeightGrad" : "ConvWeightGrad", g, dy, w));
}

/* dw = WeightGrad(x, dy): of x the input's gradient with g as weights, of dy the operator itself. */
void gradient_conv_weight_grad(back *b, const node *n) {
  bool transpose = !strcmp(n->op, "ConvTransposeWeightGrad");
  value_id x = n->in[0], dy = n->in[1], g = back_grad(b, n, 0);
  if (back_wants(b, x))
    back_give(b, x, conv_like(b, n, "ledge", transpose ? "ConvTransposeInputGrad" : "ConvInputGrad", dy, g, x));
  if (back_wants(b, dy))
    back_give(b, dy, conv_like(b, n, "", transpose ? "ConvTranspose" : "Conv", x, g, VALUE_ABSENT));
}

/* The identity [n, n] for a one-dim shape n, of like's dtype. */
static value_id identity_of(back *b, value_id n, value_id like) {
  value_id square = back_op2(b, "Concat", n, n);
  back_int(b, "axis", 0);
  value_id eye = back_op1(b, "EyeLike", back_op1(b, "ConstantOfShape", square));
  return back_like(b, eye, like);
}

/* Col2Im is the transpose of cutting an image into blocks, which is a convolution with the identity: [channels * taps,
 * channels, block...]. */
void gradient_col2im(back *b, const node *n) {
  static const char *const attrs[] = {"strides", "dilations", "pads"};
  value_id x = n->in[0], dy = back_grad(b, n, 0), size = back_dim(b, x, 1);
  const value_id parts[] = {size, back_list(b, (int64_t[]){-1}, 1), n->in[2]};
  value_id shape = back_emit(b, "", "Concat", GRADIENT_OPSET, parts, 3);
  back_int(b, "axis", 0);
  value_id blocks = back_op2(b, "Conv", dy, back_op2(b, "Reshape", identity_of(b, size, dy), shape));
  for (int i = 0; i < 3; i++) {
    const attr *a = node_attr(n, attrs[i]);
    if (a && a->type == ATTR_INTS) back_ints(b, attrs[i], a->ints, (int)a->count);
  }
  back_give(b, x, back_reshape_like(b, blocks, x));
}

/* A depthwise convolution behind the past: its weights [channels, 1, taps] as those of a whole one, zeros but for each
 * channel itself, so that the number of channels need not be known here. */
void gradient_causal_conv(back *b, const node *n) {
  const attr *a = node_attr(n, "activation");
  value_id x = n->in[0], w = n->in[1], bias = node_in(n, 2), past = node_in(n, 3), joined;
  int begin = back_lower_begin(b);
  if (past != VALUE_ABSENT) {
    joined = back_op2(b, "Concat", past, x);
    back_int(b, "axis", 2);
  } else {
    value_id lead = back_sub(b, back_dim(b, w, 2), back_list(b, (int64_t[]){1}, 1));
    value_id pads = back_op2(b, "Concat", lead, back_list(b, (int64_t[]){0}, 1));
    back_int(b, "axis", 0);
    const value_id in[] = {x, pads, VALUE_ABSENT, back_list(b, (int64_t[]){2}, 1)};
    joined = back_emit(b, "", "Pad", GRADIENT_OPSET, in, 4);
  }
  value_id whole = back_mul(b, back_unsqueeze(b, identity_of(b, back_dim(b, w, 0), w), 2), w);
  value_id y = bias != VALUE_ABSENT ? back_op3(b, "Conv", joined, whole, bias) : back_op2(b, "Conv", joined, whole);
  if (a && a->type == ATTR_STRING && !(a->s.size == 4 && !memcmp(a->s.data, "none", 4)))
    y = back_mul(b, y, back_op1(b, "Sigmoid", y));
  const value_id cut[] = {joined, back_dim(b, x, 2), back_list(b, (int64_t[]){INT64_MAX}, 1),
                          back_list(b, (int64_t[]){2}, 1)};
  const value_id outs[] = {y, back_has(b, n, 1) ? back_emit(b, "", "Slice", GRADIENT_OPSET, cut, 4) : VALUE_ABSENT};
  back_lower(b, begin, n, outs, 2);
}

/* ---- Attention ---- */

static value_id joined(back *b, const value_id *parts, int n, int64_t axis) {
  value_id v = back_emit(b, "", "Concat", GRADIENT_OPSET, parts, n);
  back_int(b, "axis", axis);
  return v;
}

static value_id dims_of(back *b, value_id x, int64_t first, int64_t end) {
  value_id v = back_op1(b, "Shape", x);
  back_int(b, "start", first);
  back_int(b, "end", end);
  return v;
}

/* [batch, rows, heads * width] -> [batch, heads, rows, width]; rank 4 stays. */
static value_id heads_first(back *b, value_id x, int rank, int64_t heads) {
  if (rank != 3) return x;
  value_id v = back_op2(b, "Reshape", x, back_list(b, (int64_t[]){0, 0, heads, -1}, 4));
  return back_transpose(b, v, (int64_t[]){0, 2, 1, 3}, 4);
}

static value_id positions(back *b, value_id x, int64_t axis) { /* 0, 1, .. of x's dim: int64 [dim] */
  value_id none = back_list(b, NULL, 0);
  value_id size = back_op2(b, "Reshape", back_dim(b, x, axis), none);
  return back_op3(b, "Range", back_i64(b, 0), size, back_i64(b, 1));
}

static value_id both(back *b, value_id x, value_id y) {
  return x == VALUE_ABSENT ? y : y == VALUE_ABSENT ? x : back_op2(b, "And", x, y);
}

/* Which keys each query sees, by position; VALUE_ABSENT: all. */
static value_id seen_by_position(back *b, const node *n, value_id q, value_id k, value_id past, value_id lengths) {
  int64_t left = n->version >= 25 ? node_attr_int(n, "left_window_size", -1) : -1,
          right = n->version >= 25 ? node_attr_int(n, "right_window_size", -1) : -1;
  bool causal = node_attr_int(n, "is_causal", 0) != 0;
  value_id seen = VALUE_ABSENT, offset = VALUE_ABSENT;
  if (!causal && left < 0 && right < 0 && lengths == VALUE_ABSENT) return seen;
  value_id at = back_unsqueeze(b, positions(b, q, 2), 1), j = positions(b, k, 2), keys = VALUE_ABSENT;
  if (lengths != VALUE_ABSENT) {
    keys = back_op2(b, "Reshape", lengths, back_list(b, (int64_t[]){-1, 1, 1, 1}, 4));
    offset = back_sub(b, keys, back_dim(b, q, 2));
    seen = back_op2(b, "Less", j, keys);
  } else if (past != VALUE_ABSENT) {
    offset = back_dim(b, past, 2);
  }
  if (offset != VALUE_ABSENT) at = back_add(b, at, offset);
  if (causal) seen = both(b, seen, back_op2(b, "LessOrEqual", j, at));
  if (left >= 0) seen = both(b, seen, back_op2(b, "LessOrEqual", back_sub(b, at, j), back_i64(b, left)));
  if (right >= 0) seen = both(b, seen, back_op2(b, "LessOrEqual", back_sub(b, j, at), back_i64(b, right)));
  return seen;
}

/* The mask as far as it goes; keys beyond it are hidden. */
static value_id whole_mask(back *b, value_id mask, value_id k, bool boolean, double hidden) {
  int rank = back_need_rank(b, mask);
  if (b->status) return mask;
  int64_t zeros[LEDGE_MAX_RANK * 2] = {0};
  value_id missing = back_sub(b, back_dim(b, k, 2), back_dim(b, mask, rank - 1));
  value_id pads =
      rank * 2 - 1 > 0 ? joined(b, (value_id[]){back_list(b, zeros, 2 * rank - 1), missing}, 2, 0) : missing;
  value_id pad = boolean ? VALUE_ABSENT : back_number(b, hidden, mask); /* false is what bool pads are */
  return back_emit(b, "", "Pad", GRADIENT_OPSET, (value_id[]){mask, pads, pad}, boolean ? 2 : 3);
}

typedef struct heads {
  value_id q, k, v; /* [batch, heads, rows, width], the past before k and v */
  value_id scores[4], p, y;
} heads;

/* The steps of the operator: scores, softcap, mask, softmax, product. A hidden key's score is very low but finite, and
 * its probability put to 0: so a query that sees nothing gets zeros. */
static void attention_steps(back *b, const node *n, heads *h) {
  value_id mask = node_in(n, 3), past = node_in(n, 4), lengths = n->version >= 24 ? node_in(n, 6) : VALUE_ABSENT;
  double softcap = node_attr_float(n, "softcap", 0), low = back_dtype(b, h->q) == LEDGE_F16 ? -6e4 : -1e30;
  /* Query heads of one key head stand side by side: [batch, kv_heads, group, rows, width]. */
  value_id split =
      joined(b, (value_id[]){dims_of(b, h->k, 0, 2), back_list(b, (int64_t[]){-1}, 1), dims_of(b, h->q, 2, 4)}, 3, 0);
  value_id q = back_op2(b, "Reshape", h->q, split), k = back_unsqueeze(b, h->k, 2), v = back_unsqueeze(b, h->v, 2);
  value_id scale;
  if (node_attr(n, "scale")) {
    scale = back_number(b, node_attr_float(n, "scale", 1), q);
  } else {
    value_id width = back_op2(b, "Reshape", back_dim(b, h->q, 3), back_list(b, NULL, 0));
    scale = back_op1(b, "Reciprocal", back_op1(b, "Sqrt", back_like(b, width, q)));
  }
  value_id s = back_op2(b, "MatMul", back_mul(b, q, scale), transposed(b, k, 5));
  value_id flat = joined(b, (value_id[]){dims_of(b, h->q, 0, 3), dims_of(b, h->k, 2, 3)}, 2, 0);
  s = back_op2(b, "Reshape", s, flat);
  h->scores[0] = s;
  if (softcap != 0)
    s = back_mul(b, back_op1(b, "Tanh", back_mul(b, s, back_number(b, 1 / softcap, s))), back_number(b, softcap, s));
  h->scores[1] = s;
  value_id seen = seen_by_position(b, n, h->q, h->k, past, lengths);
  if (mask != VALUE_ABSENT) {
    ledge_dtype dtype = back_dtype(b, mask);
    mask = whole_mask(b, mask, h->k, dtype == LEDGE_BOOL, low);
    if (dtype == LEDGE_BOOL) {
      seen = both(b, seen, mask);
    } else {
      mask = back_op2(b, "Max", back_like(b, mask, s), back_number(b, low, s));
      seen = both(b, seen, back_op2(b, "Greater", mask, back_number(b, low / 2, s)));
      s = back_add(b, s, mask);
    }
  }
  if (seen != VALUE_ABSENT) s = back_where(b, seen, s, back_number(b, low, s));
  h->scores[2] = s;
  value_id p = back_op1(b, "Softmax", s);
  back_int(b, "axis", -1);
  if (seen != VALUE_ABSENT) p = back_where(b, seen, p, back_number(b, 0, p));
  h->scores[3] = p;
  value_id group = joined(b,
                          (value_id[]){dims_of(b, h->k, 0, 2), back_list(b, (int64_t[]){-1}, 1), dims_of(b, h->q, 2, 3),
                                       dims_of(b, h->k, 2, 3)},
                          5 - 1, 0);
  value_id y = back_op2(b, "MatMul", back_op2(b, "Reshape", p, group), v);
  value_id shape = joined(b, (value_id[]){dims_of(b, h->q, 0, 3), dims_of(b, h->v, 3, 4)}, 2, 0);
  h->y = back_op2(b, "Reshape", y, shape);
}

void gradient_attention(back *b, const node *n) {
  int rank = back_need_rank(b, n->in[0]), begin = back_lower_begin(b);
  int64_t kv_heads = node_attr_int(n, "kv_num_heads", 0), mode = node_attr_int(n, "qk_matmul_output_mode", 0);
  value_id past_k = node_in(n, 4), past_v = node_in(n, 5);
  if (b->status) return;
  heads h = {.q = heads_first(b, n->in[0], rank, node_attr_int(n, "q_num_heads", 0)),
             .k = heads_first(b, n->in[1], rank, kv_heads),
             .v = heads_first(b, n->in[2], rank, kv_heads)};
  if (past_k != VALUE_ABSENT) h.k = joined(b, (value_id[]){past_k, h.k}, 2, 2);
  if (past_v != VALUE_ABSENT) h.v = joined(b, (value_id[]){past_v, h.v}, 2, 2);
  attention_steps(b, n, &h);
  value_id y = h.y;
  if (rank == 3) {
    y = back_transpose(b, y, (int64_t[]){0, 2, 1, 3}, 4);
    y = back_op2(b, "Reshape", y, back_list(b, (int64_t[]){0, 0, -1}, 3));
  }
  const value_id outs[] = {y, h.k, h.v, h.scores[mode >= 0 && mode <= 3 ? mode : 0]};
  back_lower(b, begin, n, outs, 4);
}

/* ---- recurrent networks ---- */

/* All gradients by one node, which runs the forward steps again. */
void gradient_rnn(back *b, const node *n) {
  static const int of[7] = {0, 1, 2, 3, 5, 6, 7};
  char op[16] = "";
  value_id in[11], out[7];
  bool lstm = !strcmp(n->op, "LSTM");
  strncat(op, n->op, 8);
  strcat(op, "Grad");
  for (int i = 0; i < 8; i++) in[i] = node_in(n, i);
  if (!lstm) in[6] = in[7] = VALUE_ABSENT;
  for (int k = 0; k < 3; k++) in[8 + k] = back_has(b, n, k) ? back_grad(b, n, k) : VALUE_ABSENT;
  for (int i = 0; i < 7; i++) out[i] = back_wants(b, in[of[i]]) ? back_new_value(b) : VALUE_ABSENT;
  back_emit_outputs(b, "ledge", op, 1, in, 11, out, 7);
  back_attrs(b, n);
  for (int i = 0; i < 7; i++)
    if (out[i] != VALUE_ABSENT) back_give(b, in[of[i]], out[i]);
}
