/* ops/move: operators that put a tensor's elements at other places and compute nothing: Transpose, Expand, Tile,
 * Concat, Split, Slice, DepthToSpace, SpaceToDepth, Trilu, ReverseSequence. Each is a strided view of one side or of
 * both. */
#include "ops/move_util.h"

/* ---- Transpose ---- */

static ledge_status transpose_perm(op_ctx *c, int *perm) {
  const tensor *x = op_in(c, 0);
  int64_t n;
  const int64_t *given = op_ints(c, "perm", &n);
  if (!op_attr_given(c, "perm")) {
    for (int i = 0; i < x->rank; i++) perm[i] = x->rank - 1 - i;
    return LEDGE_OK;
  }
  if (n != x->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "perm has %lld entries, but the input's rank is %d", (long long)n, x->rank);
  return move_axes(c, given, (int)n, x->rank, perm);
}

static ledge_status transpose_infer(op_ctx *c) {
  int perm[LEDGE_MAX_RANK];
  int64_t dims[LEDGE_MAX_RANK];
  const tensor *x = op_in(c, 0);
  TRY(transpose_perm(c, perm));
  for (int i = 0; i < x->rank; i++) dims[i] = x->dims[perm[i]];
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

static ledge_status transpose_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int perm[LEDGE_MAX_RANK];
  TRY(transpose_perm(c, perm));
  move_view plain = move_view_of(x->rank, x->dims), from = {0}, to = move_view_of(y->rank, y->dims);
  for (int i = 0; i < x->rank; i++) from.strides[i] = plain.strides[perm[i]];
  return move_strided(c, y->rank, y->dims, y, &to, x, &from);
}

/* ---- Expand ---- */

static ledge_status expand_infer(op_ctx *c) {
  int64_t want[LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
  int n;
  OP_NEED(c, 1);
  const tensor *x = op_in(c, 0);
  TRY(op_read_ints(c, op_in(c, 1), want, LEDGE_MAX_RANK, &n));
  int rank = shape_broadcast(x->rank, x->dims, n, want, dims);
  if (rank < 0) {
    char a[256], b[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "%s does not broadcast with %s", shape_print(x->rank, x->dims, a, sizeof a),
                   shape_print(n, want, b, sizeof b));
  }
  return op_shape(c, 0, x->dtype, rank, dims);
}

/* Reads x as if it had the shape of y, which it broadcasts to. */
static ledge_status broadcast_to(op_ctx *c, tensor *y, const tensor *x) {
  move_view plain = move_view_of(x->rank, x->dims), from = {0}, to = move_view_of(y->rank, y->dims);
  int shift = y->rank - x->rank;
  for (int i = 0; i < x->rank; i++) {
    if (shift < 0 || (x->dims[i] != 1 && x->dims[i] != y->dims[i + shift]))
      return op_fail(c, LEDGE_ERROR_DATA, "the input no longer broadcasts to the planned output");
    from.strides[i + shift] = x->dims[i] == 1 ? 0 : plain.strides[i];
  }
  return move_strided(c, y->rank, y->dims, y, &to, x, &from);
}

static ledge_status expand_run(op_ctx *c) { return broadcast_to(c, op_out(c, 0), op_in(c, 0)); }

/* ---- Tile ---- */

static ledge_status tile_repeats(op_ctx *c, int64_t *repeats) {
  const tensor *x = op_in(c, 0);
  int n;
  if (c->node->version < 6) { /* tiles and axis, each one number of the input's own type */
    int64_t tiles, axis;
    int at;
    TRY(move_scalar(c, 1, &tiles));
    TRY(move_scalar(c, 2, &axis));
    TRY(op_axis(c, axis, x->rank, &at));
    for (int i = 0; i < x->rank; i++) repeats[i] = 1;
    repeats[at] = tiles;
  } else {
    TRY(op_read_ints(c, op_in(c, 1), repeats, LEDGE_MAX_RANK, &n));
    if (n != x->rank)
      return op_fail(c, LEDGE_ERROR_SHAPE, "%d repeats are given, but the input's rank is %d", n, x->rank);
  }
  for (int i = 0; i < x->rank; i++)
    if (repeats[i] < 0)
      return op_fail(c, LEDGE_ERROR_DATA, "the number of repeats along axis %d is %lld", i, (long long)repeats[i]);
  return LEDGE_OK;
}

static ledge_status tile_infer(op_ctx *c) {
  int64_t repeats[LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
  const tensor *x = op_in(c, 0);
  for (int i = 1; i < c->n_in; i++) OP_NEED(c, i);
  TRY(tile_repeats(c, repeats));
  for (int i = 0; i < x->rank; i++)
    if (__builtin_mul_overflow(x->dims[i], repeats[i], &dims[i]))
      return op_fail(c, LEDGE_ERROR_SHAPE, "dim %d of the output overflows", i);
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

/* The output is [repeats[0], dims[0], repeats[1], dims[1], ...]. */
static ledge_status tile_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t dims[MOVE_RANK_MAX];
  move_view xs = move_view_of(x->rank, x->dims), ys = move_view_of(y->rank, y->dims), from = {0}, to = {0};
  for (int i = 0; i < x->rank; i++) {
    dims[2 * i] = x->dims[i] ? y->dims[i] / x->dims[i] : 0;
    dims[2 * i + 1] = x->dims[i];
    to.strides[2 * i] = ys.strides[i] * x->dims[i];
    to.strides[2 * i + 1] = ys.strides[i];
    from.strides[2 * i + 1] = xs.strides[i];
  }
  return move_strided(c, 2 * x->rank, dims, y, &to, x, &from);
}

/* ---- Concat ---- */

static ledge_status concat_axis(op_ctx *c, int *axis) {
  if (c->node->version >= 4 && !op_attr_given(c, "axis"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "the attribute axis is missing");
  return op_axis(c, op_int(c, "axis", 1), op_in(c, 0)->rank, axis);
}

static ledge_status concat_infer(op_ctx *c) {
  int axis;
  const tensor *first = op_in(c, 0);
  TRY(concat_axis(c, &axis));
  int64_t dims[LEDGE_MAX_RANK] = {0}, along = 0;
  memcpy(dims, first->dims, (size_t)first->rank * sizeof *dims);
  for (int i = 0; i < c->n_in; i++) {
    const tensor *x = op_in(c, i);
    if (!x) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is left out", i);
    TRY(move_same_dtype(c, 0, i));
    bool fits = x->rank == first->rank;
    for (int k = 0; fits && k < x->rank; k++) fits = k == axis || x->dims[k] == first->dims[k];
    if (!fits || __builtin_add_overflow(along, x->dims[axis], &along)) {
      char a[256], b[256];
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d of shape %s does not fit to %s along axis %d", i,
                     shape_print(x->rank, x->dims, a, sizeof a), shape_print(first->rank, first->dims, b, sizeof b),
                     axis);
    }
  }
  dims[axis] = along;
  return op_shape(c, 0, first->dtype, first->rank, dims);
}

static ledge_status concat_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  int axis;
  TRY(concat_axis(c, &axis));
  int64_t outer = tensor_span(y, 0, axis), row = tensor_span(y, axis, y->rank), at = 0;
  if (!tensor_elements(y)) return LEDGE_OK;
  for (int i = 0; i < c->n_in; i++) {
    const tensor *x = op_in(c, i);
    int64_t part = tensor_span(x, axis, x->rank);
    for (int64_t o = 0; o < outer; o++) TRY(move_run(c, y, o * row + at, x, o * part, part));
    at += part;
  }
  return LEDGE_OK;
}

/* ---- Split ---- */

/* A cursor over the lengths of the node's outputs along the axis: given by input 1 (version 1, and from 13 on) or by
 * the attribute (before 13), or all equal. */
typedef struct split_plan {
  int axis;
  const int64_t *given; /* or NULL */
  const tensor *input;  /* or NULL */
  int64_t chunk, left;
} split_plan;

static ledge_status split_init(op_ctx *c, split_plan *p) {
  const tensor *x = op_in(c, 0);
  int64_t n = c->n_out, count;
  *p = (split_plan){0};
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &p->axis));
  p->left = x->dims[p->axis];
  if (op_has(c, 1)) {
    p->input = op_in(c, 1);
    count = tensor_elements(p->input);
    if (p->input->dtype == LEDGE_STRING) return op_fail_dtype(c, 1);
  } else if (c->node->version < 13 && op_attr_given(c, "split")) {
    p->given = op_ints(c, "split", &count);
  } else {
    count = c->node->version >= 18 ? op_int(c, "num_outputs", n) : n;
    if (c->node->version < 18 && p->left % n)
      return op_fail(c, LEDGE_ERROR_SHAPE, "%lld entries along axis %d do not split into %lld equal parts",
                     (long long)p->left, p->axis, (long long)n);
    p->chunk = p->left / n + (p->left % n != 0);
  }
  if (count != n)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld parts are asked for, but the node has %lld outputs", (long long)count,
                   (long long)n);
  return LEDGE_OK;
}

static ledge_status split_next(op_ctx *c, split_plan *p, int i, int64_t *length) {
  int64_t want = p->input ? tensor_i64(p->input, i) : p->given ? p->given[i] : p->chunk;
  if (!p->input && !p->given && want > p->left) want = p->left; /* the last chunks may be shorter */
  if (want < 0 || want > p->left || (i == c->n_out - 1 && want != p->left))
    return op_fail(c, LEDGE_ERROR_SHAPE, "part %d of length %lld does not fit: %lld entries are left along axis %d", i,
                   (long long)want, (long long)p->left, p->axis);
  p->left -= want;
  *length = want;
  return LEDGE_OK;
}

static ledge_status split_infer(op_ctx *c) {
  split_plan p;
  OP_NEED(c, 1);
  const tensor *x = op_in(c, 0);
  TRY(split_init(c, &p));
  int64_t dims[LEDGE_MAX_RANK];
  memcpy(dims, x->dims, sizeof dims);
  for (int i = 0; i < c->n_out; i++) {
    TRY(split_next(c, &p, i, &dims[p.axis]));
    TRY(op_shape(c, i, x->dtype, x->rank, dims));
  }
  return LEDGE_OK;
}

static ledge_status split_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  split_plan p;
  TRY(split_init(c, &p));
  int64_t outer = tensor_span(x, 0, p.axis), row = tensor_span(x, p.axis, x->rank), at = 0;
  int64_t inner = tensor_span(x, p.axis + 1, x->rank), length = 0, dims[LEDGE_MAX_RANK];
  memcpy(dims, x->dims, sizeof dims);
  for (int i = 0; i < c->n_out; i++) {
    TRY(split_next(c, &p, i, &length));
    dims[p.axis] = length;
    TRY(move_expect(c, i, x->rank, dims));
    tensor *y = op_out(c, i);
    int64_t part = length * inner;
    for (int64_t o = 0; y && part && o < outer; o++) TRY(move_run(c, y, o * part, x, o * row + at, part));
    at += part;
  }
  return LEDGE_OK;
}

/* ---- Slice ---- */

typedef struct slice_plan {
  int64_t start[LEDGE_MAX_RANK], step[LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
} slice_plan;

static void slice_axis(slice_plan *p, int axis, int64_t n, int64_t start, int64_t end, int64_t step) {
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  if (start < 0) start += n;
  if (end < 0) end += n;
  start = start < 0 ? 0 : start;
  start = start > high ? high : start; /* -1 where there is no entry to step back from */
  end = end < low ? low : end > high ? high : end;
  int64_t span = step > 0 ? end - start : start - end;
  uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
  p->start[axis] = start;
  p->step[axis] = step;
  p->dims[axis] = span > 0 ? (int64_t)(((uint64_t)span - 1) / stride + 1) : 0;
}

/* A list of integers: the attribute `name` before opset 10, input i from then on. *n = -1 where it is left out. */
static ledge_status slice_list(op_ctx *c, const char *name, int i, int64_t *dst, int *n) {
  *n = -1;
  if (c->node->version >= 10) return op_has(c, i) ? op_read_ints(c, op_in(c, i), dst, LEDGE_MAX_RANK, n) : LEDGE_OK;
  int64_t count;
  const int64_t *given = op_ints(c, name, &count);
  if (!given) return LEDGE_OK;
  if (count > LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_LIMIT, "%lld %s are too many", (long long)count, name);
  memcpy(dst, given, (size_t)count * sizeof *dst);
  *n = (int)count;
  return LEDGE_OK;
}

static ledge_status slice_plan_make(op_ctx *c, slice_plan *p) {
  const tensor *x = op_in(c, 0);
  int64_t starts[LEDGE_MAX_RANK], ends[LEDGE_MAX_RANK], steps[LEDGE_MAX_RANK], given[LEDGE_MAX_RANK];
  int n_starts, n_ends, n_axes, n_steps = -1, axes[LEDGE_MAX_RANK];
  TRY(slice_list(c, "starts", 1, starts, &n_starts));
  TRY(slice_list(c, "ends", 2, ends, &n_ends));
  TRY(slice_list(c, "axes", 3, given, &n_axes));
  if (c->node->version >= 10) TRY(slice_list(c, "steps", 4, steps, &n_steps));
  int n = n_starts < 0 ? 0 : n_starts;
  if (n_ends != n_starts || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n))
    return op_fail(c, LEDGE_ERROR_SHAPE, "starts, ends, axes and steps have different lengths (%d, %d, %d, %d)",
                   n_starts, n_ends, n_axes, n_steps);
  for (int i = 0; n_axes < 0 && i < n; i++) given[i] = i;
  TRY(move_axes(c, given, n, x->rank, axes));
  for (int i = 0; i < x->rank; i++) p->start[i] = 0, p->step[i] = 1, p->dims[i] = x->dims[i];
  for (int i = 0; i < n; i++) {
    int64_t step = n_steps < 0 ? 1 : steps[i];
    if (!step) return op_fail(c, LEDGE_ERROR_DATA, "the step along axis %d is 0", axes[i]);
    slice_axis(p, axes[i], x->dims[axes[i]], starts[i], ends[i], step);
  }
  return LEDGE_OK;
}

static ledge_status slice_infer(op_ctx *c) {
  slice_plan p;
  for (int i = 1; i < c->n_in; i++) OP_NEED(c, i);
  TRY(slice_plan_make(c, &p));
  return op_shape(c, 0, op_in(c, 0)->dtype, op_in(c, 0)->rank, p.dims);
}

static ledge_status slice_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  slice_plan p;
  TRY(slice_plan_make(c, &p));
  TRY(move_expect(c, 0, x->rank, p.dims));
  move_view plain = move_view_of(x->rank, x->dims), from = {0}, to = move_view_of(y->rank, y->dims);
  for (int i = 0; i < x->rank; i++) {
    from.offset += p.start[i] * plain.strides[i];
    from.strides[i] = p.dims[i] > 1 ? p.step[i] * plain.strides[i] : 0; /* a step beyond the dim is never taken */
  }
  return move_strided(c, y->rank, y->dims, y, &to, x, &from);
}

/* ---- DepthToSpace, SpaceToDepth ---- */

static ledge_status blocks_check(op_ctx *c, int64_t *block) {
  const tensor *x = op_in(c, 0);
  *block = op_int(c, "blocksize", 0);
  if (x->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d instead of 4", x->rank);
  if (*block < 1 || *block > INT32_MAX) return op_fail(c, LEDGE_ERROR_FORMAT, "blocksize is %lld", (long long)*block);
  return LEDGE_OK;
}

static ledge_status depth_to_space_infer(op_ctx *c) {
  int64_t b, h, w;
  TRY(blocks_check(c, &b));
  const tensor *x = op_in(c, 0);
  if (x->dims[1] % (b * b))
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld channels are no multiple of %lld x %lld", (long long)x->dims[1],
                   (long long)b, (long long)b);
  if (c->node->version >= 11 && !op_string_is(c, "mode", "DCR", "DCR") && !op_string_is(c, "mode", "DCR", "CRD"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "mode is neither DCR nor CRD");
  if (__builtin_mul_overflow(x->dims[2], b, &h) || __builtin_mul_overflow(x->dims[3], b, &w))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the output's shape overflows");
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){x->dims[0], x->dims[1] / (b * b), h, w});
}

/* Both ways walk the block [n, c, h, bh, w, bw] of the larger image; `deep` is the side with the channels. */
static ledge_status blocks_run(op_ctx *c, const tensor *deep, const tensor *wide, bool to_wide) {
  int64_t b = op_int(c, "blocksize", 1), n = wide->dims[0], ch = wide->dims[1], h = deep->dims[2], w = deep->dims[3];
  bool crd = to_wide && c->node->version >= 11 && op_string_is(c, "mode", "DCR", "CRD");
  int64_t dims[6] = {n, ch, h, b, w, b}, plane = h * w;
  move_view out = {0, {ch * h * b * w * b, h * b * w * b, b * w * b, w * b, b, 1}};
  move_view in = {0, {ch * b * b * plane, plane, w, b * ch * plane, 1, ch * plane}};
  if (crd) in.strides[1] = b * b * plane, in.strides[3] = b * plane, in.strides[5] = plane;
  return to_wide ? move_strided(c, 6, dims, op_out(c, 0), &out, deep, &in)
                 : move_strided(c, 6, dims, op_out(c, 0), &in, wide, &out);
}

static ledge_status depth_to_space_run(op_ctx *c) { return blocks_run(c, op_in(c, 0), op_out(c, 0), true); }

static ledge_status space_to_depth_infer(op_ctx *c) {
  int64_t b, depth;
  TRY(blocks_check(c, &b));
  const tensor *x = op_in(c, 0);
  if (x->dims[2] % b || x->dims[3] % b)
    return op_fail(c, LEDGE_ERROR_SHAPE, "height %lld or width %lld is no multiple of %lld", (long long)x->dims[2],
                   (long long)x->dims[3], (long long)b);
  if (__builtin_mul_overflow(x->dims[1], b * b, &depth))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the output's shape overflows");
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){x->dims[0], depth, x->dims[2] / b, x->dims[3] / b});
}

static ledge_status space_to_depth_run(op_ctx *c) { return blocks_run(c, op_out(c, 0), op_in(c, 0), false); }

/* ---- Trilu ---- */

static ledge_status trilu_infer(op_ctx *c) {
  if (op_in(c, 0)->rank < 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d; it must be 2 or more", op_in(c, 0)->rank);
  return op_same_shape(c, 0, 0);
}

static ledge_status trilu_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t rows = x->dims[x->rank - 2], cols = x->dims[x->rank - 1], batch = tensor_span(x, 0, x->rank - 2), k = 0;
  bool upper = op_int(c, "upper", 1) != 0;
  if (op_has(c, 1)) TRY(move_scalar(c, 1, &k));
  k = k < -rows ? -rows : k > cols ? cols : k; /* beyond that nothing changes */
  if (!tensor_elements(x)) return LEDGE_OK;
  TRY(move_all(c, y, x));
  for (int64_t i = 0; i < batch * rows; i++) {
    int64_t edge = i % rows + k + (upper ? 0 : 1); /* upper keeps [edge, cols), lower [0, edge) */
    edge = edge < 0 ? 0 : edge > cols ? cols : edge;
    TRY(upper ? move_zero(c, y, i * cols, edge) : move_zero(c, y, i * cols + edge, cols - edge));
  }
  return LEDGE_OK;
}

/* ---- ReverseSequence ---- */

static ledge_status reverse_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *lengths = op_in(c, 1);
  int64_t batch = op_int(c, "batch_axis", 1), time = op_int(c, "time_axis", 0);
  if (x->rank < 2) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d; it must be 2 or more", x->rank);
  if (batch < 0 || batch > 1 || time != 1 - batch)
    return op_fail(c, LEDGE_ERROR_FORMAT, "batch_axis and time_axis are %lld and %lld; they must be 0 and 1 or 1 and 0",
                   (long long)batch, (long long)time);
  TRY(move_index_dtype(c, 1));
  if (lengths->rank != 1 || lengths->dims[0] != x->dims[batch])
    return op_fail(c, LEDGE_ERROR_SHAPE, "sequence_lens must have one entry for each of the %lld sequences",
                   (long long)x->dims[batch]);
  return op_same_shape(c, 0, 0);
}

static ledge_status reverse_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int batch_axis = op_int(c, "batch_axis", 1) != 0, time_axis = !batch_axis;
  int64_t block = tensor_span(x, 2, x->rank), batch = x->dims[batch_axis], time = x->dims[time_axis];
  if (!tensor_elements(x)) return LEDGE_OK;
  int64_t batch_step = batch_axis ? block : time * block, time_step = batch_axis ? batch * block : block;
  for (int64_t b = 0; b < batch; b++) {
    int64_t length = tensor_i64(op_in(c, 1), b);
    if (length < 0 || length > time)
      return op_fail(c, LEDGE_ERROR_DATA, "sequence %lld has length %lld, outside of [0, %lld]", (long long)b,
                     (long long)length, (long long)time);
    for (int64_t t = 0; t < time; t++)
      TRY(move_run(c, y, b * batch_step + t * time_step, x,
                   b * batch_step + (t < length ? length - 1 - t : t) * time_step, block));
  }
  return LEDGE_OK;
}

const op_def ops_move[] = {{"", "Transpose", 1, 0, 1, 1, 1, 1, 0, transpose_infer, transpose_run},
                           {"", "Expand", 8, 0, 2, 2, 1, 1, 0, expand_infer, expand_run},
                           {"", "Tile", 1, 5, 3, 3, 1, 1, 0, tile_infer, tile_run},
                           {"", "Tile", 6, 0, 2, 2, 1, 1, 0, tile_infer, tile_run},
                           {"", "Concat", 1, 0, 1, -1, 1, 1, 0, concat_infer, concat_run},
                           {"", "Split", 1, 1, 1, 2, 1, -1, 0, split_infer, split_run},
                           {"", "Split", 2, 12, 1, 1, 1, -1, 0, split_infer, split_run},
                           {"", "Split", 13, 0, 1, 2, 1, -1, 0, split_infer, split_run},
                           {"", "Slice", 1, 9, 1, 1, 1, 1, 0, slice_infer, slice_run},
                           {"", "Slice", 10, 0, 3, 5, 1, 1, 0, slice_infer, slice_run},
                           {"", "DepthToSpace", 1, 0, 1, 1, 1, 1, 0, depth_to_space_infer, depth_to_space_run},
                           {"", "SpaceToDepth", 1, 0, 1, 1, 1, 1, 0, space_to_depth_infer, space_to_depth_run},
                           {"", "Trilu", 14, 0, 1, 2, 1, 1, OP_INPLACE(0), trilu_infer, trilu_run},
                           {"", "ReverseSequence", 10, 0, 2, 2, 1, 1, 0, reverse_infer, reverse_run},
                           {0}};
