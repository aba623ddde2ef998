/* backend/cpu/einsum: Einsum of two float32 operands as a batch of matrix products.
 *
 * Each letter is one of four kinds: in both operands and the output (batch), in both alone (k), in the first and the
 * output (m), in the second and the output (n). With A as [batch, m, k], B as [batch, k, n] and C as [batch, m, n],
 * where each of these is a group of letters, the product is a batched one. An operand whose letters already stand so
 * that a group walks by one stride is read in place; another is copied into that order first, and C is copied out of
 * it.
 *
 * Letters that are in one operand alone and not in the output, letters twice in a term, dims of 1 that broadcast, and
 * an ellipsis are left to the reference. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/copy/copy.h"
#include "kernels/gemm/gemm.h"

enum { LETTERS = 52, TERM_MAX = LEDGE_MAX_RANK < 16 ? LEDGE_MAX_RANK : 16 };

typedef struct term {
  int n;
  uint8_t letter[TERM_MAX];
} term;

/* A group of letters in order, with the strides of a tensor: one stride, if the group is walked by one. */
typedef struct group {
  int n;
  uint8_t letter[TERM_MAX];
  int64_t size; /* of all */
} group;

typedef struct side {
  bool copied;
  int rank;
  int64_t dims[TERM_MAX], strides[TERM_MAX], packed[TERM_MAX]; /* of the copy */
  size_t at;                                                   /* in the scratch */
  int64_t rows, columns;                                       /* strides of the matrix */
} side;

typedef struct einsum_state {
  gemm_f32_plan plan;
  int64_t m, n_batch;
  side a, b, c;
  const int64_t *a_offsets, *b_offsets, *c_offsets;
  size_t at_gemm;
} einsum_state;

static int letter_of(char ch) {
  return ch >= 'a' && ch <= 'z' ? ch - 'a' : ch >= 'A' && ch <= 'Z' ? 26 + ch - 'A' : -1;
}

/* Reads "ab, bc -> ac" into three terms; false where it is another form. */
static bool read_equation(ledge_string q, term *t) {
  int at = 0;
  for (size_t i = 0; i < q.size; i++) {
    char ch = q.data[i];
    if (ch == ' ') continue;
    if (ch == ',' && at == 0) {
      at = 1;
    } else if (ch == '-' && at == 1 && i + 1 < q.size && q.data[i + 1] == '>') {
      at = 2;
      i++;
    } else {
      int letter = letter_of(ch);
      if (letter < 0 || t[at].n == TERM_MAX) return false;
      for (int k = 0; k < t[at].n; k++)
        if (t[at].letter[k] == letter) return false;
      t[at].letter[t[at].n++] = (uint8_t)letter;
    }
  }
  return at == 2;
}

static int find(const term *t, int letter) {
  for (int i = 0; i < t->n; i++)
    if (t->letter[i] == letter) return i;
  return -1;
}

/* Letters of `from` that are in `other` and `out` as asked, in from's order. */
static group group_of(const term *from, const term *other, bool in_other, const term *out, bool in_out,
                      const int64_t *size) {
  group g = {.size = 1};
  for (int i = 0; i < from->n; i++) {
    int letter = from->letter[i];
    if ((find(other, letter) >= 0) != in_other || (find(out, letter) >= 0) != in_out) continue;
    g.letter[g.n++] = (uint8_t)letter;
    g.size *= size[letter];
  }
  return g;
}

/* The stride by which the group is walked in a tensor of this term; -1 where there is no one. Dims of 1 aside. */
static int64_t walk(const group *g, const term *t, const int64_t *strides, const int64_t *size) {
  int64_t stride = -1, span = 1;
  for (int i = g->n - 1; i >= 0; i--) {
    int letter = g->letter[i];
    if (size[letter] == 1) continue;
    int64_t own = strides[find(t, letter)];
    if (stride < 0)
      stride = own;
    else if (own != stride * span)
      return -1;
    span *= size[letter];
  }
  return stride < 0 ? 1 : stride;
}

/* How a term's matrices are read (or, for C, written): in place, or through a copy ordered batch, rows, columns. */
static void make_side(side *s, const term *t, const int64_t *strides, const int64_t *size, const group *batch,
                      const group *rows, const group *columns, bool columns_by_one) {
  const group *const order[] = {batch, rows, columns};
  s->rows = walk(rows, t, strides, size);
  s->columns = walk(columns, t, strides, size);
  s->copied = s->rows < 0 || s->columns < 0 || (columns_by_one && s->columns != 1 && columns->size > 1);
  if (!s->copied) return;
  for (int g = 0; g < 3; g++)
    for (int i = 0; i < order[g]->n; i++) {
      s->dims[s->rank] = size[order[g]->letter[i]];
      s->strides[s->rank++] = strides[find(t, order[g]->letter[i])];
    }
  shape_strides(s->rank, s->dims, s->packed);
  s->rows = columns->size;
  s->columns = 1;
}

/* Where each matrix of the batch begins. */
static void offsets_of(const side *s, const term *t, const int64_t *strides, const int64_t *size, const group *batch,
                       int64_t matrix, int64_t *ret) {
  for (int64_t i = 0; i < batch->size; i++) {
    int64_t left = i, offset = 0;
    for (int k = batch->n - 1; k >= 0; k--) {
      int letter = batch->letter[k];
      offset += left % size[letter] * strides[find(t, letter)];
      left /= size[letter];
    }
    ret[i] = s->copied ? i * matrix : offset;
  }
}

static float *in_scratch(const op_ctx *c, size_t offset) { return (float *)((char *)c->scratch + offset); }

static const float *gathered(op_ctx *c, const side *s, int input) {
  const float *x = op_in(c, input)->data;
  if (!s->copied) return x;
  float *to = in_scratch(c, s->at);
  copy_strided(sizeof *to, s->rank, s->dims, x, s->strides, to, s->packed, c->pool);
  return to;
}

static ledge_status einsum_run(op_ctx *c) {
  const einsum_state *s = c->kernel;
  float *y = op_out(c, 0)->data, *product = s->c.copied ? in_scratch(c, s->c.at) : y;
  gemm_f32_batch_args args = {.n_batch = s->n_batch,
                              .m = s->m,
                              .a = gathered(c, &s->a, 0),
                              .a_stride = s->a.rows,
                              .b = gathered(c, &s->b, 1),
                              .b_stride_k = s->b.rows,
                              .b_stride_n = s->b.columns,
                              .scale = 1,
                              .c = product,
                              .c_stride = s->c.rows,
                              .a_offsets = s->a_offsets,
                              .b_offsets = s->b_offsets,
                              .c_offsets = s->c_offsets};
  gemm_f32_run_unpacked(&s->plan, &args, in_scratch(c, s->at_gemm), c->pool);
  if (s->c.copied) copy_strided(sizeof *y, s->c.rank, s->c.dims, product, s->c.packed, y, s->c.strides, c->pool);
  return LEDGE_OK;
}

/* Sizes by letter; false where a dim of 1 stands for more. */
static bool read_sizes(const op_ctx *c, const term *t, int64_t *size) {
  for (int i = 0; i < LETTERS; i++) size[i] = -1;
  for (int k = 0; k < 2; k++) {
    const tensor *x = op_in(c, k);
    if (x->rank != t[k].n) return false;
    for (int i = 0; i < x->rank; i++) {
      int64_t *s = &size[t[k].letter[i]];
      if (*s >= 0 && *s != x->dims[i]) return false;
      *s = x->dims[i];
    }
  }
  return true;
}

static ledge_status einsum_finish(const kernel_request *r, einsum_state *s, const term *t, const int64_t *size,
                                  const group *g, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const group *batch = &g[0], *m = &g[1], *n = &g[2], *k = &g[3];
  int64_t strides[3][LEDGE_MAX_RANK];
  for (int i = 0; i < 3; i++) {
    const tensor *x = i < 2 ? op_in(c, i) : op_out(c, 0);
    shape_strides(x->rank, x->dims, strides[i]);
  }
  make_side(&s->a, &t[0], strides[0], size, batch, m, k, true);
  make_side(&s->b, &t[1], strides[1], size, batch, k, n, false);
  make_side(&s->c, &t[2], strides[2], size, batch, m, n, true);
  int64_t *offsets = cpu_state(r, (size_t)batch->size * 3 * sizeof *offsets, error);
  if (!offsets) return LEDGE_ERROR_MEMORY;
  offsets_of(&s->a, &t[0], strides[0], size, batch, m->size * k->size, offsets);
  offsets_of(&s->b, &t[1], strides[1], size, batch, k->size * n->size, offsets + batch->size);
  offsets_of(&s->c, &t[2], strides[2], size, batch, m->size * n->size, offsets + 2 * batch->size);
  s->a_offsets = offsets;
  s->b_offsets = offsets + batch->size;
  s->c_offsets = offsets + 2 * batch->size;
  s->m = m->size;
  s->n_batch = batch->size;
  const gemm_f32_params p = {.m = m->size, .n = n->size, .k = k->size, .threads = r->threads};
  if (!gemm_f32_plan_init(&s->plan, &p, r->isa)) return LEDGE_OK;
  side *const sides[] = {&s->a, &s->b, &s->c};
  size_t total = 0;
  for (int i = 0; i < 3; i++) {
    const tensor *x = i < 2 ? op_in(c, i) : op_out(c, 0);
    sides[i]->at = total;
    if (sides[i]->copied) total += (tensor_bytes(x) + 63) & ~(size_t)63;
  }
  s->at_gemm = total;
  *ret = (kernel){einsum_run, s, total + s->plan.scratch_bytes, gemm_f32_plan_name(&s->plan),
                  (double)batch->size * (double)m->size * (double)n->size * (double)k->size};
  return LEDGE_OK;
}

static ledge_status einsum_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *y = op_out(c, 0);
  if (c->n_in != 2 || !cpu_is_f32(r, 0) || !cpu_is_f32(r, 1) || !y || !tensor_elements(y)) return LEDGE_OK;
  if (!tensor_elements(op_in(c, 0)) || !tensor_elements(op_in(c, 1))) return LEDGE_OK;
  term t[3] = {{0}};
  int64_t size[LETTERS];
  if (!read_equation(op_string(c, "equation"), t) || !read_sizes(c, t, size) || y->rank != t[2].n) return LEDGE_OK;
  const group g[] = {group_of(&t[0], &t[1], true, &t[2], true, size), group_of(&t[0], &t[1], false, &t[2], true, size),
                     group_of(&t[1], &t[0], false, &t[2], true, size),
                     group_of(&t[0], &t[1], true, &t[2], false, size)};
  if (g[0].n + g[1].n + g[3].n != t[0].n || g[0].n + g[2].n + g[3].n != t[1].n) return LEDGE_OK;
  einsum_state *s = cpu_state(r, sizeof *s, error);
  return s ? einsum_finish(r, s, t, size, g, ret, error) : LEDGE_ERROR_MEMORY;
}

const cpu_row cpu_rows_einsum[] = {
    {"", "Einsum", einsum_prepare},
    {0},
};
