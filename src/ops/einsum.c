/* ops/einsum: Einsum: products of tensors whose dims are named by letters, summed over the letters that the output does
 * not name. An ellipsis stands for any number of broadcast dims. Two and more operands are taken one after another, so
 * that the work is that of pairwise products. */
#include "ops/real.h"

#include <ctype.h>

enum { EINSUM_DIMS_MAX = 40, EINSUM_OPERANDS_MAX = 16 }; /* letters and dims of the ellipsis together */

/* A term: the label of each dim; labels 0.. are letters in order of appearance, ellipsis dims come after. */
typedef struct term {
  int rank;
  int label[LEDGE_MAX_RANK];
} term;

typedef struct einsum {
  int n_terms, n_labels, ellipsis; /* ellipsis: how many dims it stands for */
  term in[EINSUM_OPERANDS_MAX], out;
  int64_t size[EINSUM_DIMS_MAX];
  int letters[128]; /* label of a letter + 1, 0 where unseen */
} einsum;

static int label_of(einsum *e, char c) {
  if (!e->letters[(int)c]) e->letters[(int)c] = ++e->n_labels;
  return e->letters[(int)c] - 1;
}

/* One term of the equation, text[0, n). Ellipsis dim k (from the left of `e->ellipsis`) has label -1 - k for now. */
static ledge_status read_term(op_ctx *c, einsum *e, const char *text, size_t n, int rank, term *t) {
  *t = (term){0};
  int dots = -1, letters = 0;
  for (size_t i = 0; i < n; i++) letters += isalpha((unsigned char)text[i]) != 0;
  for (size_t i = 0; i < n; i++) {
    if (isspace((unsigned char)text[i])) continue;
    if (text[i] == '.' && i + 2 < n && text[i + 1] == '.' && text[i + 2] == '.' && dots < 0) {
      dots = rank < 0 ? e->ellipsis : rank - letters;
      if (dots < 0 || t->rank + dots > LEDGE_MAX_RANK)
        return op_fail(c, LEDGE_ERROR_SHAPE, "a term has more letters than its input has dims");
      if (dots > e->ellipsis) e->ellipsis = dots;
      for (int k = 0; k < dots; k++) t->label[t->rank++] = -(dots - k);
      i += 2;
    } else if (isalpha((unsigned char)text[i]) && t->rank < LEDGE_MAX_RANK) {
      t->label[t->rank++] = label_of(e, text[i]);
    } else {
      return op_fail(c, LEDGE_ERROR_FORMAT, "the equation has an unexpected '%c'",
                     isprint((unsigned char)text[i]) ? text[i] : '?');
    }
  }
  if (rank >= 0 && t->rank != rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "a term names %d dims of an input of rank %d", t->rank, rank);
  return LEDGE_OK;
}

/* Ellipsis labels -k become n_letters + (ellipsis - k): counted from the right, as broadcasting does. */
static void number_ellipsis(einsum *e, term *t, int n_letters) {
  for (int i = 0; i < t->rank; i++)
    if (t->label[i] < 0) t->label[i] += n_letters + e->ellipsis;
}

static ledge_status read_sizes(op_ctx *c, einsum *e) {
  for (int i = 0; i < EINSUM_DIMS_MAX; i++) e->size[i] = -1;
  for (int k = 0; k < e->n_terms; k++)
    for (int i = 0; i < e->in[k].rank; i++) {
      int64_t *size = &e->size[e->in[k].label[i]], dim = op_in(c, k)->dims[i];
      if (*size == -1 || *size == 1)
        *size = dim;
      else if (dim != *size && dim != 1)
        return op_fail(c, LEDGE_ERROR_SHAPE, "dim %d of input %d is %lld where %lld stands elsewhere", i, k,
                       (long long)dim, (long long)*size);
    }
  return LEDGE_OK;
}

static ledge_status einsum_read(op_ctx *c, einsum *e) {
  ledge_string q = op_string(c, "equation");
  *e = (einsum){0};
  if (!q.data || q.size > 4096) return op_fail(c, LEDGE_ERROR_FORMAT, "the equation is missing or too long");
  size_t end = q.size, arrow = q.size;
  for (size_t i = 0; i + 1 < q.size; i++)
    if (q.data[i] == '-' && q.data[i + 1] == '>') arrow = i, end = i, i = q.size;
  for (size_t at = 0; at <= end;) {
    const char *comma = memchr(q.data + at, ',', end - at);
    size_t stop = comma ? (size_t)(comma - q.data) : end;
    if (e->n_terms >= c->n_in || e->n_terms >= EINSUM_OPERANDS_MAX || !op_in(c, e->n_terms))
      return op_fail(c, LEDGE_ERROR_FORMAT, "the equation has more terms than there are inputs");
    TRY(read_term(c, e, q.data + at, stop - at, op_in(c, e->n_terms)->rank, &e->in[e->n_terms]));
    e->n_terms++;
    at = stop + 1;
  }
  if (e->n_terms != c->n_in)
    return op_fail(c, LEDGE_ERROR_FORMAT, "the equation has %d terms for %d inputs", e->n_terms, c->n_in);
  int n_letters = e->n_labels;
  if (arrow < q.size) {
    TRY(read_term(c, e, q.data + arrow + 2, q.size - arrow - 2, -1, &e->out));
    if (e->n_labels != n_letters) return op_fail(c, LEDGE_ERROR_FORMAT, "the output names a letter that no input has");
  } else { /* implicit: the ellipsis, then the letters that occur once, in alphabetical order */
    for (int k = 0; k < e->ellipsis; k++) e->out.label[e->out.rank++] = -(e->ellipsis - k);
    for (int ch = 'A'; ch <= 'z'; ch++) {
      int seen = 0;
      for (size_t i = 0; i < q.size; i++) seen += q.data[i] == ch;
      if (seen != 1 || !isalpha(ch)) continue;
      if (e->out.rank == LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_LIMIT, "the output has too many dims");
      e->out.label[e->out.rank++] = e->letters[ch] - 1;
    }
  }
  if (n_letters + e->ellipsis > EINSUM_DIMS_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "the equation has too many dims");
  for (int k = 0; k < e->n_terms; k++) number_ellipsis(e, &e->in[k], n_letters);
  number_ellipsis(e, &e->out, n_letters);
  e->n_labels = n_letters + e->ellipsis;
  for (int i = 0; i < e->out.rank; i++)
    for (int k = 0; k < i; k++)
      if (e->out.label[i] == e->out.label[k]) return op_fail(c, LEDGE_ERROR_FORMAT, "the output names a letter twice");
  return read_sizes(c, e);
}

static ledge_status einsum_infer(op_ctx *c) {
  einsum e;
  for (int i = 0; i < c->n_in; i++) {
    if (!op_in(c, i)) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is left out", i);
    TRY(real_check(c, i, true));
    if (op_in(c, i)->dtype != op_in(c, 0)->dtype) return op_fail_dtype(c, i);
  }
  TRY(einsum_read(c, &e));
  int64_t dims[LEDGE_MAX_RANK];
  for (int i = 0; i < e.out.rank; i++) dims[i] = e.size[e.out.label[i]] < 0 ? 1 : e.size[e.out.label[i]];
  return op_shape(c, 0, op_in(c, 0)->dtype, e.out.rank, dims);
}

/* What is left after some operands: doubles over the labels of a mask, in label order. */
typedef struct partial {
  double *data;
  bool has[EINSUM_DIMS_MAX];
  int64_t stride[EINSUM_DIMS_MAX];
} partial;

static void partial_strides(const einsum *e, partial *p, int64_t *n) {
  *n = 1;
  for (int l = e->n_labels - 1; l >= 0; l--) {
    p->stride[l] = p->has[l] ? *n : 0;
    if (p->has[l] && (e->size[l] < 0 || __builtin_mul_overflow(*n, e->size[l], n))) *n = -1;
    if (*n < 0) return;
  }
}

/* Multiplies operand k into `a` (NULL data: 1), keeping the labels of `keep`. */
static ledge_status einsum_step(op_ctx *c, const einsum *e, const partial *a, int k, const bool *keep, partial *ret) {
  const tensor *t = op_in(c, k);
  int64_t own[LEDGE_MAX_RANK], by_label[EINSUM_DIMS_MAX] = {0}, n, all[EINSUM_DIMS_MAX];
  bool in_term[EINSUM_DIMS_MAX] = {false};
  shape_strides(t->rank, t->dims, own);
  for (int i = 0; i < t->rank; i++) {
    if (t->dims[i] != 1) by_label[e->in[k].label[i]] += own[i]; /* a letter twice: the diagonal */
    in_term[e->in[k].label[i]] = true;
  }
  *ret = (partial){0};
  int n_loop = 0, loop[EINSUM_DIMS_MAX];
  for (int l = 0; l < e->n_labels; l++) {
    ret->has[l] = keep[l] && (in_term[l] || a->has[l]);
    if (in_term[l] || a->has[l]) loop[n_loop++] = l, all[l] = e->size[l];
  }
  partial_strides(e, ret, &n);
  if (n < 0) return op_fail(c, LEDGE_ERROR_LIMIT, "an intermediate product is too large");
  ret->data = real_scratch(c, n);
  double *x = real_load(c, t);
  ledge_status status = ret->data && x ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  int64_t at[EINSUM_DIMS_MAX] = {0};
  bool empty = false;
  for (int i = 0; i < n_loop; i++) empty = empty || all[loop[i]] == 0;
  while (!status && !empty) {
    int64_t from_a = 0, from_x = 0, to = 0;
    for (int i = 0; i < n_loop; i++) {
      int l = loop[i];
      from_a += at[l] * a->stride[l];
      from_x += at[l] * by_label[l];
      to += at[l] * ret->stride[l];
    }
    ret->data[to] += (a->data ? a->data[from_a] : 1) * x[from_x];
    int i = n_loop - 1;
    for (; i >= 0 && ++at[loop[i]] == all[loop[i]]; i--) at[loop[i]] = 0;
    if (i < 0) break;
  }
  op_scratch_free(x);
  return status;
}

static ledge_status einsum_run(op_ctx *c) {
  einsum e;
  TRY(einsum_read(c, &e));
  partial now = {0};
  ledge_status status = LEDGE_OK;
  for (int k = 0; !status && k < e.n_terms; k++) {
    bool keep[EINSUM_DIMS_MAX] = {false};
    for (int i = 0; i < e.out.rank; i++) keep[e.out.label[i]] = true;
    for (int later = k + 1; later < e.n_terms; later++)
      for (int i = 0; i < e.in[later].rank; i++) keep[e.in[later].label[i]] = true;
    partial next = {0};
    status = einsum_step(c, &e, &now, k, keep, &next);
    op_scratch_free(now.data);
    now = next;
  }
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(y), at[LEDGE_MAX_RANK] = {0};
  for (int64_t i = 0; !status && i < n; i++) {
    int64_t from = 0;
    for (int d = 0; d < e.out.rank; d++) from += at[d] * now.stride[e.out.label[d]];
    dtype_store_f64(y->dtype, y->data, i, now.data[from]);
    for (int d = e.out.rank - 1; d >= 0 && ++at[d] == y->dims[d]; d--) at[d] = 0;
  }
  op_scratch_free(now.data);
  return status;
}

const op_def ops_einsum[] = {
    {"", "Einsum", 12, 0, 1, -1, 1, 1, 0, einsum_infer, einsum_run},
    {0},
};
