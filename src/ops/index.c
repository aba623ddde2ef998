/* ops/index: operators that move elements to or from places that indices name: Gather, GatherElements, GatherND,
 * Scatter, ScatterElements, ScatterND, TensorScatter, OneHot. A negative index counts from the end; one out of range is
 * an error (OneHot: no mark). Every index is checked as it is read. */
#include "ops/combine_util.h"
#include "ops/move_util.h"

enum { INDEX_BATCH = 256 }; /* offsets that are worked out before their elements move */

/* ---- Gather ---- */

static ledge_status gather_infer(op_ctx *c) {
  int axis;
  TRY(move_index_dtype(c, 1));
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1);
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  int64_t dims[MOVE_RANK_MAX];
  int rank = 0;
  for (int i = 0; i < axis; i++) dims[rank++] = x->dims[i];
  for (int i = 0; i < indices->rank; i++) dims[rank++] = indices->dims[i];
  for (int i = axis + 1; i < x->rank; i++) dims[rank++] = x->dims[i];
  return op_shape(c, 0, x->dtype, rank, dims);
}

static ledge_status gather_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1);
  tensor *y = op_out(c, 0);
  int axis;
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  int64_t outer = tensor_span(x, 0, axis), block = tensor_span(x, axis + 1, x->rank), limit = x->dims[axis];
  int64_t n = tensor_elements(indices), at;
  if (!tensor_elements(y)) return LEDGE_OK;
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t k = 0; k < n; k++) {
      TRY(move_index(c, indices, k, limit, &at));
      TRY(move_run(c, y, (o * n + k) * block, x, (o * limit + at) * block, block));
    }
  }
  return LEDGE_OK;
}

/* ---- GatherElements, ScatterElements ---- */

/* Walks the positions of `indices` in row-major order; each names the element of a tensor of shape dims that has the
 * position's coordinates, but for the one along the axis, which is the index. */
typedef struct element_walk {
  const tensor *indices;
  int axis;
  int64_t strides[LEDGE_MAX_RANK], limit, base, pos, n;
  int64_t at[LEDGE_MAX_RANK];
} element_walk;

static ledge_status element_walk_init(op_ctx *c, element_walk *w, const tensor *x, const tensor *indices) {
  *w = (element_walk){.indices = indices, .n = tensor_elements(indices)};
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &w->axis));
  shape_strides(x->rank, x->dims, w->strides);
  w->limit = x->dims[w->axis];
  return LEDGE_OK;
}

/* The next up to INDEX_BATCH offsets. */
static ledge_status element_walk_next(op_ctx *c, element_walk *w, int64_t *offsets, int64_t *ret_n) {
  const tensor *t = w->indices;
  int64_t n = w->n - w->pos < INDEX_BATCH ? w->n - w->pos : INDEX_BATCH, index;
  for (int64_t k = 0; k < n; k++) {
    TRY(move_index(c, t, w->pos + k, w->limit, &index));
    offsets[k] = w->base + index * w->strides[w->axis];
    for (int d = t->rank - 1; d >= 0; d--) {
      int64_t stride = d == w->axis ? 0 : w->strides[d];
      w->base += stride;
      if (++w->at[d] < t->dims[d]) break;
      w->base -= stride * t->dims[d];
      w->at[d] = 0;
    }
  }
  w->pos += n;
  *ret_n = n;
  return LEDGE_OK;
}

static ledge_status elements_check(op_ctx *c) {
  int axis;
  TRY(move_index_dtype(c, 1));
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1);
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  bool fits = indices->rank == x->rank;
  for (int i = 0; fits && i < x->rank; i++) fits = i == axis || indices->dims[i] <= x->dims[i];
  if (fits) return LEDGE_OK;
  char a[256], b[256];
  return op_fail(c, LEDGE_ERROR_SHAPE, "indices of shape %s do not fit data of shape %s along axis %d",
                 shape_print(indices->rank, indices->dims, a, sizeof a), shape_print(x->rank, x->dims, b, sizeof b),
                 axis);
}

static ledge_status gather_elements_infer(op_ctx *c) {
  TRY(elements_check(c));
  return op_shape(c, 0, op_in(c, 0)->dtype, op_in(c, 1)->rank, op_in(c, 1)->dims);
}

static ledge_status gather_elements_run(op_ctx *c) {
  element_walk w;
  int64_t offsets[INDEX_BATCH], n;
  TRY(element_walk_init(c, &w, op_in(c, 0), op_in(c, 1)));
  while (w.pos < w.n) {
    int64_t pos = w.pos;
    TRY(element_walk_next(c, &w, offsets, &n));
    TRY(move_pick(c, op_out(c, 0), pos, op_in(c, 0), offsets, n));
  }
  return LEDGE_OK;
}

/* The attribute `reduction`: *ret is NULL for "none". Checks that it is defined for the data's dtype. */
static ledge_status scatter_reduction(op_ctx *c, combine_fn *ret) {
  static const struct {
    const char *name;
    combine_kind kind;
    int since;
  } kinds[] = {{"add", COMBINE_ADD, 16}, {"mul", COMBINE_MUL, 16}, {"max", COMBINE_MAX, 18}, {"min", COMBINE_MIN, 18}};
  *ret = NULL;
  if (op_string_is(c, "reduction", "none", "none")) return LEDGE_OK;
  for (int i = 0; i < 4; i++) {
    if (!op_string_is(c, "reduction", "none", kinds[i].name) || c->node->version < kinds[i].since) continue;
    *ret = combine_of(op_in(c, 0)->dtype, kinds[i].kind);
    return *ret ? LEDGE_OK
                : op_fail(c, LEDGE_ERROR_SHAPE, "reduction %s is not defined for dtype %s", kinds[i].name,
                          ledge_dtype_name(op_in(c, 0)->dtype));
  }
  ledge_string s = op_string(c, "reduction");
  return op_fail(c, LEDGE_ERROR_FORMAT, "version %d knows no reduction %.*s", c->node->version,
                 s.size < 40 ? (int)s.size : 40, s.data);
}

static ledge_status scatter_elements_infer(op_ctx *c) {
  combine_fn combine;
  TRY(elements_check(c));
  TRY(move_same_dtype(c, 0, 2));
  TRY(scatter_reduction(c, &combine));
  if (!tensor_same_shape(op_in(c, 1), op_in(c, 2)))
    return op_fail(c, LEDGE_ERROR_SHAPE, "indices and updates have different shapes");
  return op_same_shape(c, 0, 0);
}

static ledge_status scatter_elements_run(op_ctx *c) {
  const tensor *updates = op_in(c, 2);
  tensor *y = op_out(c, 0);
  element_walk w;
  combine_fn combine;
  int64_t offsets[INDEX_BATCH], n;
  TRY(scatter_reduction(c, &combine));
  TRY(move_all(c, y, op_in(c, 0)));
  TRY(element_walk_init(c, &w, y, op_in(c, 1)));
  while (w.pos < w.n) {
    int64_t pos = w.pos;
    TRY(element_walk_next(c, &w, offsets, &n));
    if (!combine) TRY(move_put(c, y, offsets, updates, pos, n));
    for (int64_t k = 0; combine && k < n; k++) combine(y->data, offsets[k], updates->data, pos + k, 1);
  }
  return LEDGE_OK;
}

/* ---- GatherND, ScatterND ---- */

/* Rows of k indices each name a block of x: k coordinates behind the `batch` leading dims, which the row's own position
 * gives. */
typedef struct nd_walk {
  const tensor *indices;
  int64_t rows, rows_per_batch, k, batch_step, block;
  int64_t strides[LEDGE_MAX_RANK];
  const int64_t *dims; /* of the k coordinates */
} nd_walk;

static void nd_walk_init(nd_walk *w, const tensor *x, const tensor *indices, int batch) {
  int64_t all[LEDGE_MAX_RANK];
  *w = (nd_walk){.indices = indices, .k = indices->dims[indices->rank - 1], .dims = x->dims + batch};
  int64_t batches = tensor_span(indices, 0, batch);
  w->rows = tensor_span(indices, 0, indices->rank - 1);
  w->rows_per_batch = batches ? w->rows / batches : 1;
  w->batch_step = tensor_span(x, batch, x->rank);
  w->block = tensor_span(x, batch + (int)w->k, x->rank);
  shape_strides(x->rank, x->dims, all);
  for (int i = 0; i < w->k; i++) w->strides[i] = all[batch + i];
}

static ledge_status nd_walk_offset(op_ctx *c, const nd_walk *w, int64_t row, int64_t *ret) {
  int64_t offset = row / w->rows_per_batch * w->batch_step, index;
  for (int64_t i = 0; i < w->k; i++) {
    TRY(move_index(c, w->indices, row * w->k + i, w->dims[i], &index));
    offset += index * w->strides[i];
  }
  *ret = offset;
  return LEDGE_OK;
}

static ledge_status nd_check(op_ctx *c, int64_t batch) {
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1);
  TRY(move_index_dtype(c, 1));
  if (x->rank < 1 || indices->rank < 1)
    return op_fail(c, LEDGE_ERROR_SHAPE, "data and indices must have rank 1 or more, not %d and %d", x->rank,
                   indices->rank);
  if (batch < 0 || batch >= x->rank || batch >= indices->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "batch_dims is %lld, but the ranks are %d and %d", (long long)batch, x->rank,
                   indices->rank);
  for (int i = 0; i < batch; i++)
    if (x->dims[i] != indices->dims[i])
      return op_fail(c, LEDGE_ERROR_SHAPE, "batch dim %d is %lld in data, but %lld in indices", i,
                     (long long)x->dims[i], (long long)indices->dims[i]);
  if (indices->dims[indices->rank - 1] > x->rank - batch)
    return op_fail(c, LEDGE_ERROR_SHAPE, "rows of %lld indices are longer than the %d dims that they index",
                   (long long)indices->dims[indices->rank - 1], x->rank - (int)batch);
  return LEDGE_OK;
}

/* indices.shape[:-1] and then the dims of x from `from` on: into dims[MOVE_RANK_MAX]; returns the rank. */
static int nd_shape(const tensor *x, const tensor *indices, int64_t from, int64_t *dims) {
  int rank = 0;
  for (int i = 0; i < indices->rank - 1; i++) dims[rank++] = indices->dims[i];
  for (int64_t i = from; i < x->rank; i++) dims[rank++] = x->dims[i];
  return rank;
}

static int64_t gather_nd_batch(const op_ctx *c) { return c->node->version >= 12 ? op_int(c, "batch_dims", 0) : 0; }

static ledge_status gather_nd_infer(op_ctx *c) {
  int64_t dims[MOVE_RANK_MAX], batch = gather_nd_batch(c);
  TRY(nd_check(c, batch));
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1);
  int rank = nd_shape(x, indices, batch + indices->dims[indices->rank - 1], dims);
  return op_shape(c, 0, x->dtype, rank, dims);
}

static ledge_status gather_nd_run(op_ctx *c) {
  nd_walk w;
  int64_t offset;
  if (!tensor_elements(op_out(c, 0))) return LEDGE_OK;
  nd_walk_init(&w, op_in(c, 0), op_in(c, 1), (int)gather_nd_batch(c));
  for (int64_t row = 0; row < w.rows; row++) {
    TRY(nd_walk_offset(c, &w, row, &offset));
    TRY(move_run(c, op_out(c, 0), row * w.block, op_in(c, 0), offset, w.block));
  }
  return LEDGE_OK;
}

static ledge_status scatter_nd_infer(op_ctx *c) {
  int64_t dims[MOVE_RANK_MAX];
  combine_fn combine;
  TRY(nd_check(c, 0));
  TRY(move_same_dtype(c, 0, 2));
  TRY(scatter_reduction(c, &combine));
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1), *updates = op_in(c, 2);
  int rank = nd_shape(x, indices, indices->dims[indices->rank - 1], dims);
  if (!shape_equal(rank, dims, updates->rank, updates->dims)) {
    char a[512], b[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "updates have the shape %s; data and indices ask for %s",
                   shape_print(updates->rank, updates->dims, b, sizeof b), shape_print(rank, dims, a, sizeof a));
  }
  return op_same_shape(c, 0, 0);
}

static ledge_status scatter_nd_run(op_ctx *c) {
  const tensor *updates = op_in(c, 2);
  tensor *y = op_out(c, 0);
  nd_walk w;
  combine_fn combine;
  int64_t offset;
  TRY(scatter_reduction(c, &combine));
  TRY(move_all(c, y, op_in(c, 0)));
  if (!tensor_elements(updates)) return LEDGE_OK;
  nd_walk_init(&w, y, op_in(c, 1), 0);
  for (int64_t row = 0; row < w.rows; row++) {
    TRY(nd_walk_offset(c, &w, row, &offset));
    if (combine)
      combine(y->data, offset, updates->data, row * w.block, w.block);
    else
      TRY(move_run(c, y, offset, updates, row * w.block, w.block));
  }
  return LEDGE_OK;
}

/* ---- TensorScatter: a slice of a cache along the sequence axis is overwritten, for each sample at its own place ----
 */

static ledge_status tensor_scatter_infer(op_ctx *c) {
  int axis;
  TRY(move_same_dtype(c, 0, 1));
  const tensor *cache = op_in(c, 0), *update = op_in(c, 1), *at = op_in(c, 2);
  TRY(op_axis(c, op_int(c, "axis", -2), cache->rank, &axis));
  if (axis == 0) return op_fail(c, LEDGE_ERROR_SHAPE, "axis is 0, which is the batch");
  if (!op_string_is(c, "mode", "linear", "linear") && !op_string_is(c, "mode", "linear", "circular"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "mode is neither linear nor circular");
  bool fits = update->rank == cache->rank;
  for (int i = 0; fits && i < cache->rank; i++)
    fits = i == axis ? update->dims[i] <= cache->dims[i] : update->dims[i] == cache->dims[i];
  if (!fits) {
    char a[256], b[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "an update of shape %s does not fit a cache of shape %s along axis %d",
                   shape_print(update->rank, update->dims, a, sizeof a),
                   shape_print(cache->rank, cache->dims, b, sizeof b), axis);
  }
  if (at) TRY(move_index_dtype(c, 2));
  if (at && (at->rank != 1 || at->dims[0] != cache->dims[0]))
    return op_fail(c, LEDGE_ERROR_SHAPE, "write_indices must have one entry for each of the %lld samples",
                   (long long)cache->dims[0]);
  return op_same_shape(c, 0, 0);
}

static ledge_status tensor_scatter_run(op_ctx *c) {
  const tensor *update = op_in(c, 1), *places = op_in(c, 2);
  tensor *y = op_out(c, 0);
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -2), y->rank, &axis));
  bool circular = op_string_is(c, "mode", "linear", "circular");
  int64_t outer = tensor_span(y, 1, axis), block = tensor_span(y, axis + 1, y->rank);
  int64_t room = y->dims[axis], n = update->dims[axis];
  TRY(move_all(c, y, op_in(c, 0)));
  for (int64_t b = 0; tensor_elements(update) && b < y->dims[0]; b++) {
    int64_t at = places ? tensor_i64(places, b) : 0;
    if (circular) at = (at % room + room) % room;
    if (at < 0 || (!circular && at > room - n))
      return op_fail(c, LEDGE_ERROR_DATA, "sample %lld writes %lld entries at %lld, but the cache has %lld",
                     (long long)b, (long long)n, (long long)at, (long long)room);
    int64_t first = n < room - at ? n : room - at; /* the rest wraps around to 0 */
    for (int64_t o = b * outer; o < (b + 1) * outer; o++) {
      TRY(move_run(c, y, (o * room + at) * block, update, o * n * block, first * block));
      TRY(move_run(c, y, o * room * block, update, (o * n + first) * block, (n - first) * block));
    }
  }
  return LEDGE_OK;
}

/* ---- OneHot ---- */

static ledge_status one_hot_infer(op_ctx *c) {
  int64_t depth, dims[MOVE_RANK_MAX];
  int axis;
  OP_NEED(c, 1);
  const tensor *indices = op_in(c, 0), *values = op_in(c, 2);
  dtype_kind kind = dtype_kind_of(indices->dtype);
  if (kind == DTYPE_KIND_STRING || kind == DTYPE_KIND_COMPLEX) return op_fail_dtype(c, 0);
  TRY(move_scalar(c, 1, &depth));
  if (depth < 0) return op_fail(c, LEDGE_ERROR_DATA, "depth is %lld", (long long)depth);
  if (tensor_elements(values) != 2) return op_fail(c, LEDGE_ERROR_SHAPE, "values must be [off, on]");
  TRY(op_axis(c, op_int(c, "axis", -1), indices->rank + 1, &axis));
  for (int i = 0; i <= indices->rank; i++)
    dims[i] = i < axis ? indices->dims[i] : i == axis ? depth : indices->dims[i - 1];
  return op_shape(c, 0, values->dtype, indices->rank + 1, dims);
}

static ledge_status one_hot_run(op_ctx *c) {
  const tensor *indices = op_in(c, 0), *values = op_in(c, 2);
  tensor *y = op_out(c, 0);
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -1), y->rank, &axis));
  int64_t depth = y->dims[axis], inner = tensor_span(y, axis + 1, y->rank), n = tensor_elements(indices);
  TRY(move_fill(c, y, 0, tensor_elements(y), values, 0));
  for (int64_t k = 0; k < n; k++) {
    int64_t at = tensor_i64(indices, k);
    if (at < 0 && c->node->version >= 11) at += depth;
    if (at >= 0 && at < depth) TRY(move_run(c, y, (k / inner * depth + at) * inner + k % inner, values, 1, 1));
  }
  return LEDGE_OK;
}

const op_def ops_index[] = {
    {"", "Gather", 1, 0, 2, 2, 1, 1, 0, gather_infer, gather_run},
    {"", "GatherElements", 11, 0, 2, 2, 1, 1, 0, gather_elements_infer, gather_elements_run},
    {"", "GatherND", 11, 0, 2, 2, 1, 1, 0, gather_nd_infer, gather_nd_run},
    {"", "Scatter", 9, 0, 3, 3, 1, 1, OP_INPLACE(0), scatter_elements_infer, scatter_elements_run},
    {"", "ScatterElements", 11, 0, 3, 3, 1, 1, OP_INPLACE(0), scatter_elements_infer, scatter_elements_run},
    {"", "ScatterND", 11, 0, 3, 3, 1, 1, OP_INPLACE(0), scatter_nd_infer, scatter_nd_run},
    {"", "TensorScatter", 24, 0, 2, 3, 1, 1, OP_INPLACE(0), tensor_scatter_infer, tensor_scatter_run},
    {"", "OneHot", 9, 0, 3, 3, 1, 1, 0, one_hot_infer, one_hot_run},
    {0}};
