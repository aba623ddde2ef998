/* backend/cpu/rearrange: operators that place whole elements by a rule of their own: Where, Tile, Pad, DepthToSpace and
 * SpaceToDepth. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/copy/copy.h"
#include "kernels/select/select.h"
#include "ops/pad.h"

/* Elements of whole bytes that copies may take as they are. */
static bool plain(const tensor *t) { return t && t->dtype != LEDGE_STRING && ledge_dtype_bits(t->dtype) >= 8; }

/* ---- Where ---- */

typedef struct where_state {
  int64_t strides[3][LEDGE_MAX_RANK];
} where_state;

static ledge_status where_run(op_ctx *c) {
  const where_state *s = c->kernel;
  tensor *y = op_out(c, 0);
  select_where(dtype_bytes(y->dtype), y->rank, y->dims, op_in(c, 0)->data, s->strides[0], op_in(c, 1)->data,
               s->strides[1], op_in(c, 2)->data, s->strides[2], y->data, c->pool);
  return LEDGE_OK;
}

static ledge_status where_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *y = op_out(c, 0);
  if (!plain(y) || dtype_bytes(y->dtype) > 8 || !tensor_elements(y)) return LEDGE_OK;
  where_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  for (int o = 0; o < 3; o++) {
    const tensor *x = op_in(c, o);
    int64_t own[LEDGE_MAX_RANK];
    shape_strides(x->rank, x->dims, own);
    for (int i = 0; i < y->rank; i++) {
      int k = i - (y->rank - x->rank);
      s->strides[o][i] = k < 0 || x->dims[k] == 1 ? 0 : own[k];
    }
  }
  *ret = (kernel){where_run, s, 0, "where", 0};
  return LEDGE_OK;
}

/* ---- strided copies of more dims than the tensors have: Tile, DepthToSpace, SpaceToDepth ---- */

enum { REARRANGE_RANK_MAX = 16 };

typedef struct strided_state {
  int rank;
  int64_t dims[REARRANGE_RANK_MAX], src[REARRANGE_RANK_MAX], dst[REARRANGE_RANK_MAX];
} strided_state;

static ledge_status strided_run(op_ctx *c) {
  const strided_state *s = c->kernel;
  tensor *y = op_out(c, 0);
  copy_strided(dtype_bytes(y->dtype), s->rank, s->dims, op_in(c, 0)->data, s->src, y->data, s->dst, c->pool);
  return LEDGE_OK;
}

/* Each dim as [repeats, dim]: repeats is what the output has more of it. */
static ledge_status tile_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  if (!plain(x) || !tensor_elements(y) || 2 * x->rank > REARRANGE_RANK_MAX || y->rank != x->rank) return LEDGE_OK;
  strided_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  int64_t src[LEDGE_MAX_RANK], dst[LEDGE_MAX_RANK];
  shape_strides(x->rank, x->dims, src);
  shape_strides(y->rank, y->dims, dst);
  s->rank = 2 * x->rank;
  for (int i = 0; i < x->rank; i++) {
    s->dims[2 * i] = y->dims[i] / x->dims[i];
    s->dims[2 * i + 1] = x->dims[i];
    s->src[2 * i] = 0;
    s->src[2 * i + 1] = src[i];
    s->dst[2 * i] = x->dims[i] * dst[i];
    s->dst[2 * i + 1] = dst[i];
  }
  *ret = (kernel){strided_run, s, 0, "tile", 0};
  return LEDGE_OK;
}

/* Both are a permutation of six dims: batch, the two halves of the block, depth, height and width. */
static ledge_status blocks_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  if (!plain(x) || !tensor_elements(y)) return LEDGE_OK;
  bool to_space = !strcmp(c->node->op, "DepthToSpace");
  bool depth_last = to_space && c->node->version >= 11 && op_string_is(c, "mode", "DCR", "CRD");
  const tensor *deep = to_space ? x : y, *wide = to_space ? y : x;
  strided_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  int64_t b = op_int(c, "blocksize", 1), depth = wide->dims[1], h = deep->dims[2], w = deep->dims[3], plane = h * w;
  int64_t block_step = depth_last ? plane : depth * plane, depth_step = depth_last ? b * b * plane : plane;
  const int64_t dims[] = {wide->dims[0], depth, h, b, w, b};
  const int64_t in_deep[] = {depth * b * b * plane, depth_step, w, b * block_step, 1, block_step};
  const int64_t in_wide[] = {depth * b * b * plane, b * b * plane, b * b * w, b * w, b, 1};
  s->rank = 6;
  memcpy(s->dims, dims, sizeof dims);
  memcpy(s->src, to_space ? in_deep : in_wide, sizeof in_deep);
  memcpy(s->dst, to_space ? in_wide : in_deep, sizeof in_deep);
  *ret = (kernel){strided_run, s, 0, to_space ? "depth_to_space" : "space_to_depth", 0};
  return LEDGE_OK;
}

/* ---- Pad: the borders are filled axis by axis, and what is kept of the input is copied ---- */

typedef struct pad_state {
  int64_t before[LEDGE_MAX_RANK], kept[LEDGE_MAX_RANK];   /* where the input begins in the output, and how much of it */
  int64_t src[LEDGE_MAX_RANK], dst[LEDGE_MAX_RANK], skip; /* skip: elements of the input that are cut in front */
  double value;                                           /* before version 11 */
  int step; /* along the input, of borders made of its elements: -1 reflect, 0 edge, 1 wrap */
} pad_state;

static ledge_status pad_run(op_ctx *c) {
  const pad_state *s = c->kernel;
  const tensor *x = op_in(c, 0), *fill = c->node->version >= 11 ? op_in(c, 2) : NULL;
  tensor *y = op_out(c, 0);
  size_t bytes = dtype_bytes(y->dtype);
  uint64_t bits[2] = {0};
  if (fill)
    memcpy(bits, fill->data, bytes);
  else if (c->node->version < 11)
    dtype_store_f64(y->dtype, bits, 0, s->value);
  int64_t dims[LEDGE_MAX_RANK], at = 0;
  memcpy(dims, y->dims, sizeof dims);
  for (int i = 0; i < y->rank; i++) {
    int64_t after = y->dims[i] - s->before[i] - s->kept[i];
    char *base = (char *)y->data + (size_t)at * bytes;
    dims[i] = s->before[i];
    if (s->before[i]) copy_fill_strided(bytes, y->rank, dims, bits, base, s->dst, c->pool);
    dims[i] = after;
    if (after)
      copy_fill_strided(bytes, y->rank, dims, bits, base + (size_t)((s->before[i] + s->kept[i]) * s->dst[i]) * bytes,
                        s->dst, c->pool);
    dims[i] = s->kept[i];
    at += s->before[i] * s->dst[i];
  }
  if (shape_elements(y->rank, s->kept))
    copy_strided(bytes, y->rank, s->kept, (const char *)x->data + (size_t)s->skip * bytes, s->src,
                 (char *)y->data + (size_t)at * bytes, s->dst, c->pool);
  return LEDGE_OK;
}

/* Borders made of the input's own elements: what is kept is copied first, then each axis, from the last, gets its two
 * borders from what stands in the output by then, all of it along the later axes. */
static ledge_status pad_run_own(op_ctx *c) {
  const pad_state *s = c->kernel;
  tensor *y = op_out(c, 0);
  size_t bytes = dtype_bytes(y->dtype);
  int64_t dims[LEDGE_MAX_RANK], from[LEDGE_MAX_RANK], at = 0;
  memcpy(dims, s->kept, sizeof dims);
  memcpy(from, s->dst, sizeof from);
  for (int i = 0; i < y->rank; i++) at += s->before[i] * s->dst[i];
  copy_strided(bytes, y->rank, s->kept, op_in(c, 0)->data, s->src, (char *)y->data + (size_t)at * bytes, s->dst,
               c->pool);
  for (int i = y->rank - 1; i >= 0; i--) {
    int64_t b = s->before[i], n = s->kept[i], end = b + n;
    at -= b * s->dst[i]; /* the axes before this one: where what is kept of them begins */
    char *base = (char *)y->data + (size_t)at * bytes;
    const int64_t first[2] = {s->step < 0 ? 2 * b : s->step ? n : b, s->step < 0 ? end - 2 : s->step ? b : end - 1};
    from[i] = s->step * s->dst[i];
    for (int k = 0; k < 2; k++) {
      dims[i] = k ? y->dims[i] - end : b;
      if (dims[i])
        copy_strided(bytes, y->rank, dims, base + (size_t)(first[k] * s->dst[i]) * bytes, from,
                     base + (size_t)((k ? end : 0) * s->dst[i]) * bytes, s->dst, c->pool);
    }
    dims[i] = y->dims[i];
    from[i] = s->dst[i];
  }
  return LEDGE_OK;
}

/* Can each border be taken in one piece? */
static bool pad_is_simple(const pad_state *s, const pad_plan *p, int rank) {
  for (int i = 0; i < rank; i++) {
    int64_t most = p->mode == PAD_REFLECT ? s->kept[i] - 1 : p->mode == PAD_WRAP ? s->kept[i] : INT64_MAX;
    if (p->before[i] < 0 || p->after[i] < 0 || p->before[i] > most || p->after[i] > most || s->kept[i] < 1)
      return false;
  }
  return true;
}

static ledge_status pad_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  pad_plan p;
  if (!plain(x) || !tensor_elements(y) || dtype_bytes(x->dtype) > 8 || x->rank < 1) return LEDGE_OK;
  for (int i = 1; i < c->n_in; i++)
    if (i != 2 && op_has(c, i) && !cpu_constant(r, i)) return LEDGE_OK;
  if (c->node->version < 11 && x->dtype != LEDGE_F32) return LEDGE_OK;
  TRY(pad_plan_make(c, &p));
  pad_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  s->value = op_float(c, "value", 0);
  shape_strides(x->rank, x->dims, s->src);
  shape_strides(y->rank, y->dims, s->dst);
  for (int i = 0; i < x->rank; i++) {
    int64_t cut = p.before[i] < 0 ? -p.before[i] : 0;
    s->before[i] = p.before[i] > 0 ? p.before[i] : 0;
    s->kept[i] = y->dims[i] - s->before[i] - (p.after[i] > 0 ? p.after[i] : 0);
    s->skip += cut * s->src[i];
  }
  s->step = p.mode == PAD_REFLECT ? -1 : p.mode == PAD_WRAP;
  if (p.mode != PAD_CONSTANT && !pad_is_simple(s, &p, x->rank)) return LEDGE_OK;
  *ret = (kernel){p.mode == PAD_CONSTANT ? pad_run : pad_run_own, s, 0, "pad", 0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_rearrange[] = {
    {"", "Where", where_prepare},         {"", "Tile", tile_prepare}, {"", "DepthToSpace", blocks_prepare},
    {"", "SpaceToDepth", blocks_prepare}, {"", "Pad", pad_prepare},   {0},
};
