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
  int perm[LEDGE_MAX_RANK];
  bool still; /* only dims of 1 move: the bytes stay as they are */
} transpose_state;

static ledge_status transpose_run(op_ctx *c) {
  const transpose_state *s = c->kernel;
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (s->still)
    memcpy(y->data, x->data, tensor_bytes(x));
  else
    copy_permute(dtype_bytes(x->dtype), x->rank, x->dims, s->perm, x->data, y->data, c->pool);
  return LEDGE_OK;
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
  *ret = (kernel){transpose_run, s, 0, "transpose", 0};
  return LEDGE_OK;
}

/* ---- Concat, Split: blocks of [outer, axis, inner] ---- */

typedef struct blocks_state {
  int64_t outer, inner_bytes; /* of one step along the axis */
  int axis;
} blocks_state;

static ledge_status concat_run(op_ctx *c) {
  const blocks_state *s = c->kernel;
  tensor *y = op_out(c, 0);
  size_t row = (size_t)(y->dims[s->axis] * s->inner_bytes), at = 0;
  for (int i = 0; i < c->n_in; i++) {
    const tensor *x = op_in(c, i);
    size_t part = (size_t)(x->dims[s->axis] * s->inner_bytes);
    for (int64_t o = 0; part && o < s->outer; o++)
      memcpy((char *)y->data + (size_t)o * row + at, (const char *)x->data + (size_t)o * part, part);
    at += part;
  }
  return LEDGE_OK;
}

static ledge_status split_run(op_ctx *c) {
  const blocks_state *s = c->kernel;
  const tensor *x = op_in(c, 0);
  size_t row = (size_t)(x->dims[s->axis] * s->inner_bytes), at = 0;
  for (int i = 0; i < c->n_out; i++) {
    tensor *y = op_out(c, i);
    size_t part = (size_t)(y->dims[s->axis] * s->inner_bytes);
    for (int64_t o = 0; part && o < s->outer; o++)
      memcpy((char *)y->data + (size_t)o * part, (const char *)x->data + (size_t)o * row + at, part);
    at += part;
  }
  return LEDGE_OK;
}

static ledge_status blocks_prepare(const kernel_request *r, const tensor *t, int64_t axis, op_fn run, kernel *ret,
                                   ledge_error *error) {
  if (!plain(t) || t->rank < 1) return LEDGE_OK;
  blocks_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  TRY(op_axis(r->ctx, axis, t->rank, &s->axis));
  s->outer = tensor_span(t, 0, s->axis);
  s->inner_bytes = tensor_span(t, s->axis + 1, t->rank) * (int64_t)dtype_bytes(t->dtype);
  *ret = (kernel){run, s, 0, "blocks", 0};
  return LEDGE_OK;
}

static ledge_status concat_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  return blocks_prepare(r, op_out(c, 0), op_int(c, "axis", c->node->version < 4 ? 1 : 0), concat_run, ret, error);
}

static ledge_status split_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  for (int i = 0; i < c->n_out; i++)
    if (!op_wants(c, i)) return LEDGE_OK;
  return blocks_prepare(r, op_in(c, 0), op_int(c, "axis", 0), split_run, ret, error);
}

/* ---- Shuffle: rows of channels, interleaved ---- */

typedef struct shuffle_state {
  int64_t groups, rows, n;
  int64_t *src_row, dst_row; /* by input */
  const void **src;          /* by group; filled in each run */
} shuffle_state;

static ledge_status shuffle_run(op_ctx *c) {
  const shuffle_state *s = c->kernel;
  size_t bytes = dtype_bytes(op_out(c, 0)->dtype);
  for (int64_t k = 0; k < s->groups; k++)
    s->src[k] = c->n_in > 1 ? op_in(c, (int)k)->data : (const char *)op_in(c, 0)->data + (size_t)(k * s->n) * bytes;
  copy_interleave(bytes, (int)s->groups, s->rows, s->n, s->src, s->src_row, op_out(c, 0)->data, s->dst_row, c->pool);
  return LEDGE_OK;
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
  *s = (shuffle_state){groups, tensor_elements(y) / channels, channels / groups, src_row, channels, src};
  for (int64_t k = 0; k < groups; k++) src_row[k] = x->dims[x->rank - 1];
  *ret = (kernel){shuffle_run, s, 0, "shuffle", 0};
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

static ledge_status slice_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  int64_t starts[LEDGE_MAX_RANK], axes[LEDGE_MAX_RANK], steps[LEDGE_MAX_RANK];
  if (!plain(x) || !tensor_elements(y)) return LEDGE_OK;
  int n = slice_list(r, 1, "starts", starts), n_axes = slice_list(r, 3, "axes", axes),
      n_steps = c->node->version < 10 ? 0 : slice_list(r, 4, "steps", steps);
  if (n < 0 || n_axes < 0 || n_steps < 0) return LEDGE_OK;
  strided_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  shape_strides(x->rank, x->dims, s->src);
  shape_strides(y->rank, y->dims, s->dst);
  for (int i = 0; i < n; i++) {
    int axis;
    TRY(op_axis(c, n_axes ? axes[i] : i, x->rank, &axis));
    int64_t dim = x->dims[axis], step = n_steps ? steps[i] : 1, start = starts[i] < 0 ? starts[i] + dim : starts[i];
    int64_t most = step < 0 ? dim - 1 : dim;
    start = start < 0 ? 0 : start > most ? most : start;
    s->offset += start * s->src[axis];
    s->src[axis] *= step;
  }
  *ret = (kernel){strided_run, s, 0, "slice", 0};
  return LEDGE_OK;
}

/* ---- Gather ---- */

enum { GATHER_DATA = 1u << 0 }; /* a table stays in the file, and its rows are copied by the byte */

typedef struct gather_state {
  int64_t outer, limit, n;
  size_t row_bytes;
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
  *ret = (kernel){gather_run, s, 0, "gather", 0, GATHER_DATA};
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
