/* backend/cpu/move: operators that only move whole elements: Transpose, Concat, Split, Shuffle, Slice,
 * Expand, Gather. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/copy/copy.h"
#include "kernels/gather/gather.h"

/* Elements of whole bytes that copies may take as they are. */
static bool plain(const tensor *t) { return t && t->dtype != LEDGE_STRING && ledge_dtype_bits(t->dtype) >= 8; }

/* ---- Transpose ---- */

typedef struct transpose_state {
  int perm[LEDGE_MAX_RANK], rank;
  int64_t dims[2][LEDGE_MAX_RANK], strides[2][LEDGE_MAX_RANK]; /* of the input and of the output */
  bool still, window; /* still: only dims of 1 move, the bytes stay as they are; window: not both are dense */
  kernel_parts parts; /* where still: the output is all of the input */
  int64_t at, width;
} transpose_state;

static ledge_status transpose_run(op_ctx *c) {
  const transpose_state *s = c->kernel;
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (s->window) {
    int64_t from[LEDGE_MAX_RANK];
    for (int i = 0; i < s->rank; i++) from[i] = s->strides[0][s->perm[i]];
    copy_strided(dtype_bytes(x->dtype), y->rank, y->dims, x->data, from, y->data, s->strides[1], c->pool);
  } else if (s->still)
    memcpy(y->data, x->data, tensor_bytes(x));
  else
    copy_permute(dtype_bytes(x->dtype), x->rank, x->dims, s->perm, x->data, y->data, c->pool);
  return LEDGE_OK;
}

static bool transpose_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)scratch_bytes;
  transpose_state *s = state;
  int64_t strides[LEDGE_MAX_RANK];
  if (!stride) return true; /* then this step goes */
  if (!cpu_window_strides(s->rank, s->dims[operand < 0], row, stride, strides)) return false;
  memcpy(s->strides[operand < 0], strides, sizeof strides);
  s->window = true;
  return true;
}

static ledge_status transpose_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!plain(x) || !tensor_elements(x)) return LEDGE_OK;
  transpose_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  int64_t count;
  const int64_t *perm = op_ints(c, "perm", &count);
  int last = -1;
  s->still = true;
  for (int i = 0; i < x->rank; i++) {
    s->perm[i] = count ? (int)perm[i] : x->rank - 1 - i;
    if (x->dims[s->perm[i]] == 1) continue;
    s->still = s->still && s->perm[i] > last;
    last = s->perm[i];
  }
  s->rank = x->rank;
  s->window = false;
  for (int k = 0; k < 2; k++) {
    const tensor *t = k ? op_out(c, 0) : x;
    memcpy(s->dims[k], t->dims, (size_t)t->rank * sizeof *t->dims);
    shape_strides(t->rank, t->dims, s->strides[k]);
  }
  s->at = 0;
  s->width = tensor_elements(x);
  s->parts = (kernel_parts){0, 1, 1, s->width, &s->at, &s->width};
  *ret =
      (kernel){transpose_run, s, 0, "transpose", 0, .window = transpose_window, .parts = s->still ? &s->parts : NULL};
  return LEDGE_OK;
}

/* ---- Concat, Split: blocks of [outer, axis, inner], rows of a whole beside rows of its parts ---- */

typedef struct blocks_state {
  kernel_parts parts;
  size_t bytes;         /* of an element */
  int64_t whole_stride; /* elements */
  int64_t *strides;     /* by part; 0: it stands in the whole already */
} blocks_state;

static ledge_status concat_run(op_ctx *c) {
  const blocks_state *s = c->kernel;
  char *y = op_out(c, 0)->data;
  const size_t bytes = s->bytes, row = (size_t)s->whole_stride * bytes;
  for (int i = 0; i < s->parts.n; i++) {
    const char *x = op_in(c, i)->data;
    const size_t part = (size_t)s->parts.width[i] * bytes, step = (size_t)s->strides[i] * bytes,
                 at = (size_t)s->parts.at[i] * bytes;
    for (int64_t o = 0; step && part && o < s->parts.rows; o++)
      memcpy(y + (size_t)o * row + at, x + (size_t)o * step, part);
  }
  return LEDGE_OK;
}

static ledge_status split_run(op_ctx *c) {
  const blocks_state *s = c->kernel;
  const char *x = op_in(c, 0)->data;
  const size_t bytes = s->bytes, row = (size_t)s->whole_stride * bytes;
  for (int i = 0; i < s->parts.n; i++) {
    char *y = op_out(c, i)->data;
    const size_t part = (size_t)s->parts.width[i] * bytes, step = (size_t)s->strides[i] * bytes,
                 at = (size_t)s->parts.at[i] * bytes;
    for (int64_t o = 0; step && part && o < s->parts.rows; o++)
      memcpy(y + (size_t)o * step, x + (size_t)o * row + at, part);
  }
  return LEDGE_OK;
}

static bool blocks_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)scratch_bytes;
  blocks_state *s = state;
  if (operand == s->parts.whole) {
    if (row != s->parts.row || !stride) return false;
    s->whole_stride = stride;
    return true;
  }
  int k = operand < 0 ? ~operand : operand;
  if (row != s->parts.width[k]) return false;
  s->strides[k] = stride;
  return true;
}

/* The parts are inputs or outputs, `whole` (an operand) is the other side. */
static ledge_status blocks_prepare(const kernel_request *r, int whole, int64_t axis, op_fn run, kernel *ret,
                                   ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *t = whole < 0 ? op_out(c, 0) : op_in(c, 0);
  int n = whole < 0 ? c->n_in : c->n_out, at_axis;
  if (!plain(t) || t->rank < 1) return LEDGE_OK;
  blocks_state *s = cpu_state(r, sizeof *s, error);
  int64_t *lists = cpu_state(r, (size_t)n * 3 * sizeof *lists, error);
  if (!s || !lists) return LEDGE_ERROR_MEMORY;
  TRY(op_axis(c, axis, t->rank, &at_axis));
  int64_t *at = lists, *width = lists + n, sum = 0;
  for (int k = 0; k < n; k++) {
    const tensor *part = whole < 0 ? op_in(c, k) : op_out(c, k);
    width[k] = tensor_span(part, at_axis, part->rank);
    at[k] = sum;
    sum += width[k];
  }
  *s = (blocks_state){.parts = {whole, n, tensor_span(t, 0, at_axis), tensor_span(t, at_axis, t->rank), at, width},
                      .bytes = dtype_bytes(t->dtype),
                      .whole_stride = sum,
                      .strides = lists + 2 * n};
  memcpy(s->strides, width, (size_t)n * sizeof *width);
  *ret = (kernel){run, s, 0, "blocks", 0, .window = blocks_window, .parts = &s->parts};
  return LEDGE_OK;
}

static ledge_status concat_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  return blocks_prepare(r, ~0, op_int(c, "axis", c->node->version < 4 ? 1 : 0), concat_run, ret, error);
}

static ledge_status split_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  for (int i = 0; i < c->n_out; i++)
    if (!op_wants(c, i)) return LEDGE_OK;
  return blocks_prepare(r, 0, op_int(c, "axis", 0), split_run, ret, error);
}

/* ---- Shuffle: rows of channels, interleaved ---- */

typedef struct shuffle_state {
  int64_t groups, rows, n, in_row; /* in_row: of one input, n or groups * n */
  int64_t *src_row, dst_row;       /* by group */
  const void **src;                /* by group; filled in each run */
} shuffle_state;

static ledge_status shuffle_run(op_ctx *c) {
  const shuffle_state *s = c->kernel;
  size_t bytes = dtype_bytes(op_out(c, 0)->dtype);
  for (int64_t k = 0; k < s->groups; k++)
    s->src[k] = c->n_in > 1 ? op_in(c, (int)k)->data : (const char *)op_in(c, 0)->data + (size_t)(k * s->n) * bytes;
  copy_interleave(bytes, (int)s->groups, s->rows, s->n, s->src, s->src_row, op_out(c, 0)->data, s->dst_row, c->pool);
  return LEDGE_OK;
}

static bool shuffle_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)scratch_bytes;
  shuffle_state *s = state;
  if (operand < 0) {
    if (row != s->groups * s->n) return false;
    s->dst_row = stride;
    return true;
  }
  if (row != s->in_row) return false;
  bool one = s->in_row != s->n; /* all groups in one input */
  for (int64_t k = one ? 0 : operand; k < (one ? s->groups : operand + 1); k++) s->src_row[k] = stride;
  return true;
}

static ledge_status shuffle_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  int64_t groups = op_int(c, "groups", 1);
  if (!plain(x) || !tensor_elements(y) || groups > INT32_MAX) return LEDGE_OK;
  shuffle_state *s = cpu_state(r, sizeof *s, error);
  int64_t *src_row = cpu_state(r, (size_t)groups * sizeof *src_row, error);
  const void **src = cpu_state(r, (size_t)groups * sizeof *src, error);
  if (!s || !src_row || !src) return LEDGE_ERROR_MEMORY;
  int64_t channels = y->dims[y->rank - 1];
  *s = (shuffle_state){.groups = groups,
                       .rows = tensor_elements(y) / channels,
                       .n = channels / groups,
                       .in_row = x->dims[x->rank - 1],
                       .src_row = src_row,
                       .dst_row = channels,
                       .src = src};
  for (int64_t k = 0; k < groups; k++) src_row[k] = s->in_row;
  *ret = (kernel){shuffle_run, s, 0, "shuffle", 0, .window = shuffle_window};
  return LEDGE_OK;
}

/* ---- Slice, Expand: strided blocks ---- */

typedef struct strided_state {
  int64_t offset; /* elements */
  int64_t src[LEDGE_MAX_RANK], dst[LEDGE_MAX_RANK];
} strided_state;

static ledge_status strided_run(op_ctx *c) {
  const strided_state *s = c->kernel;
  tensor *y = op_out(c, 0);
  size_t bytes = dtype_bytes(y->dtype);
  copy_strided(bytes, y->rank, y->dims, (const char *)op_in(c, 0)->data + s->offset * (int64_t)bytes, s->src, y->data,
               s->dst, c->pool);
  return LEDGE_OK;
}

static ledge_status expand_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  if (!plain(x) || !tensor_elements(y)) return LEDGE_OK;
  strided_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  int64_t own[LEDGE_MAX_RANK];
  shape_strides(x->rank, x->dims, own);
  shape_strides(y->rank, y->dims, s->dst);
  for (int i = 0; i < y->rank; i++) {
    int k = i - (y->rank - x->rank);
    s->src[i] = k < 0 || x->dims[k] == 1 ? 0 : own[k];
  }
  *ret = (kernel){strided_run, s, 0, "expand", 0};
  return LEDGE_OK;
}

/* A list of numbers: the constant input i, or the attribute; -1 where it is not known. */
static int slice_list(const kernel_request *r, int i, const char *name, int64_t *list) {
  op_ctx *c = r->ctx;
  int n = 0;
  int64_t count;
  if (c->node->version < 10) {
    const int64_t *given = op_ints(c, name, &count);
    if (count > LEDGE_MAX_RANK) return -1;
    if (count) memcpy(list, given, (size_t)count * sizeof *list);
    return (int)count;
  }
  if (!op_has(c, i)) return 0;
  if (!cpu_constant(r, i) || op_read_ints(c, op_in(c, i), list, LEDGE_MAX_RANK, &n)) return -1;
  return n;
}

typedef struct slice_state {
  strided_state copy; /* first: strided_run's */
  int rank;
  int64_t in[LEDGE_MAX_RANK], out[LEDGE_MAX_RANK], start[LEDGE_MAX_RANK], step[LEDGE_MAX_RANK];
  kernel_parts parts;
  int64_t at, width;
} slice_state;

/* From the input's strides to what is copied. */
static void slice_from(slice_state *s, const int64_t *strides) {
  s->copy.offset = 0;
  for (int i = 0; i < s->rank; i++) {
    s->copy.offset += s->start[i] * strides[i];
    s->copy.src[i] = s->step[i] * strides[i];
  }
}

static bool slice_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)scratch_bytes;
  slice_state *s = state;
  int64_t strides[LEDGE_MAX_RANK];
  if (!stride) return true; /* then this step goes */
  if (!cpu_window_strides(s->rank, operand < 0 ? s->out : s->in, row, stride, strides)) return false;
  if (operand < 0)
    memcpy(s->copy.dst, strides, sizeof strides);
  else
    slice_from(s, strides);
  return true;
}

/* One axis is cut, without gaps: the output is a part of the input. */
static bool slice_parts(slice_state *s) {
  int axis = 0;
  for (int i = 0, n = 0; i < s->rank; i++) {
    if (s->step[i] != 1) return false;
    if (s->in[i] == s->out[i]) continue;
    axis = i;
    if (n++) return false;
  }
  int64_t inner = shape_elements(s->rank - axis - 1, s->in + axis + 1);
  s->at = s->start[axis] * inner;
  s->width = s->out[axis] * inner;
  s->parts = (kernel_parts){0, 1, shape_elements(axis, s->in), s->in[axis] * inner, &s->at, &s->width};
  return true;
}

static ledge_status slice_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  int64_t starts[LEDGE_MAX_RANK], axes[LEDGE_MAX_RANK], steps[LEDGE_MAX_RANK], strides[LEDGE_MAX_RANK];
  if (!plain(x) || x->rank < 1 || !tensor_elements(y)) return LEDGE_OK;
  int n = slice_list(r, 1, "starts", starts), n_axes = slice_list(r, 3, "axes", axes),
      n_steps = c->node->version < 10 ? 0 : slice_list(r, 4, "steps", steps);
  if (n < 0 || n_axes < 0 || n_steps < 0) return LEDGE_OK;
  slice_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (slice_state){.rank = x->rank};
  for (int i = 0; i < x->rank; i++) s->in[i] = x->dims[i], s->out[i] = y->dims[i], s->step[i] = 1;
  for (int i = 0; i < n; i++) {
    int axis;
    TRY(op_axis(c, n_axes ? axes[i] : i, x->rank, &axis));
    int64_t dim = x->dims[axis], start = starts[i] < 0 ? starts[i] + dim : starts[i];
    s->step[axis] = n_steps ? steps[i] : 1;
    int64_t most = s->step[axis] < 0 ? dim - 1 : dim;
    s->start[axis] = start < 0 ? 0 : start > most ? most : start;
  }
  shape_strides(x->rank, x->dims, strides);
  slice_from(s, strides);
  shape_strides(y->rank, y->dims, s->copy.dst);
  bool part = slice_parts(s);
  *ret = (kernel){strided_run, s, 0, "slice", 0, .window = slice_window, .parts = part ? &s->parts : NULL};
  return LEDGE_OK;
}

/* ---- Gather ---- */

enum { GATHER_DATA = 1u << 0 }; /* a table stays in the file, and its rows are copied by the byte */

typedef struct gather_state {
  int64_t outer, limit, n;
  size_t row_bytes;
  kernel_parts parts; /* where one constant index takes a part of the table */
  int64_t at, width;
} gather_state;

static ledge_status gather_run(op_ctx *c) {
  const gather_state *s = c->kernel;
  const tensor *indices = op_in(c, 1);
  bool wide = indices->dtype == LEDGE_I64;
  int64_t bad = gather_check(indices->data, wide, s->n, s->limit);
  if (bad >= 0)
    return op_fail(c, LEDGE_ERROR_DATA, "index %lld is outside of [%lld, %lld)", (long long)tensor_i64(indices, bad),
                   (long long)-s->limit, (long long)s->limit);
  gather_rows(op_in(c, 0)->data, s->outer, s->limit, s->row_bytes, indices->data, wide, s->n, op_out(c, 0)->data,
              c->pool);
  return LEDGE_OK;
}

static bool gather_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)state;
  (void)operand;
  (void)row;
  (void)scratch_bytes;
  return !stride; /* then this step goes */
}

/* One index that is known, and valid: the output is that part of the input. */
static bool gather_parts(const kernel_request *r, gather_state *s, int64_t width) {
  if (s->n != 1 || !cpu_constant(r, 1)) return false;
  int64_t i = tensor_i64(op_in(r->ctx, 1), 0);
  if (i < -s->limit || i >= s->limit) return false;
  s->width = width;
  s->at = (i < 0 ? i + s->limit : i) * width;
  s->parts = (kernel_parts){0, 1, s->outer, s->limit * width, &s->at, &s->width};
  return true;
}

static ledge_status gather_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1);
  if (!plain(x) || x->rank < 1 || !tensor_elements(op_out(c, 0))) return LEDGE_OK;
  gather_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  int axis;
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  s->outer = tensor_span(x, 0, axis);
  s->limit = x->dims[axis];
  s->n = tensor_elements(indices);
  s->row_bytes = (size_t)tensor_span(x, axis + 1, x->rank) * dtype_bytes(x->dtype);
  bool part = gather_parts(r, s, tensor_span(x, axis + 1, x->rank));
  *ret =
      (kernel){gather_run, s, 0, "gather", 0, GATHER_DATA, .window = gather_window, .parts = part ? &s->parts : NULL};
  return LEDGE_OK;
}

const cpu_row cpu_rows_move[] = {
    {"", "Transpose", transpose_prepare},
    {"", "Concat", concat_prepare},
    {"", "Split", split_prepare},
    {"ledge", "Shuffle", shuffle_prepare},
    {"", "Slice", slice_prepare},
    {"", "Expand", expand_prepare},
    {"", "Gather", gather_prepare, GATHER_DATA},
    {0},
};
