/* ops/shape: operators that read a tensor's shape, or give its elements another one: Shape, Size, Reshape, Flatten,
 * Squeeze, Unsqueeze. What became an input in opset 13 (axes) or 5 (shape) was an attribute before. */
#include "ops/move_util.h"

static ledge_status reshape_run(op_ctx *c) { return move_all(c, op_out(c, 0), op_in(c, 0)); }

/* ---- Shape, Size ---- */

static int shape_clamp(int64_t axis, int rank) {
  if (axis < 0) axis += rank;
  return axis < 0 ? 0 : axis > rank ? rank : (int)axis;
}

static void shape_range(const op_ctx *c, int *start, int *n) {
  int rank = op_in(c, 0)->rank, end = rank;
  *start = 0;
  if (c->node->version >= 15) {
    *start = shape_clamp(op_int(c, "start", 0), rank);
    end = shape_clamp(op_int(c, "end", rank), rank);
  }
  *n = end > *start ? end - *start : 0;
}

static ledge_status shape_infer(op_ctx *c) {
  int start, n;
  shape_range(c, &start, &n);
  return op_shape(c, 0, LEDGE_I64, 1, (int64_t[]){n});
}

static ledge_status shape_run(op_ctx *c) {
  int start, n;
  shape_range(c, &start, &n);
  if (n) memcpy(op_out(c, 0)->data, op_in(c, 0)->dims + start, (size_t)n * sizeof(int64_t));
  return LEDGE_OK;
}

static ledge_status size_infer(op_ctx *c) { return op_shape(c, 0, LEDGE_I64, 0, NULL); }

static ledge_status size_run(op_ctx *c) {
  *(int64_t *)op_out(c, 0)->data = tensor_elements(op_in(c, 0));
  return LEDGE_OK;
}

/* ---- Reshape ---- */

static ledge_status reshape_fail(op_ctx *c, const int64_t *want, int n) {
  const tensor *x = op_in(c, 0);
  char from[256], to[256];
  return op_fail(c, LEDGE_ERROR_SHAPE, "%s cannot take the shape %s", shape_print(x->rank, x->dims, from, sizeof from),
                 shape_print(n, want, to, sizeof to));
}

/* Dims of 0 are copied from the input (unless allowzero); one of -1 takes what the others leave. The copied dims are
 * left out of that division on both sides, so that it has an answer for an input without elements, too. */
static ledge_status reshape_to(op_ctx *c, const int64_t *want, int n) {
  const tensor *x = op_in(c, 0);
  bool allow_zero = c->node->version >= 14 && op_int(c, "allowzero", 0) != 0;
  int64_t dims[LEDGE_MAX_RANK], known = 1, rest = 1;
  int wild = -1;
  for (int i = 0; i < n; i++) {
    dims[i] = want[i];
    if (want[i] == 0 && !allow_zero) {
      if (i >= x->rank)
        return op_fail(c, LEDGE_ERROR_SHAPE,
                       "dim %d of the new shape is 0 (as in the input), but the input's rank is %d", i, x->rank);
      dims[i] = x->dims[i];
    } else if (want[i] == -1) {
      if (wild >= 0) return op_fail(c, LEDGE_ERROR_SHAPE, "dims %d and %d of the new shape are both -1", wild, i);
      wild = i;
    } else if (want[i] < 0) {
      return op_fail(c, LEDGE_ERROR_SHAPE, "dim %d of the new shape is %lld", i, (long long)want[i]);
    } else if (__builtin_mul_overflow(known, want[i], &known)) {
      return op_fail(c, LEDGE_ERROR_SHAPE, "the new shape overflows");
    }
  }
  if (wild >= 0) {
    for (int i = 0; i < x->rank; i++)
      if ((i >= n || want[i] != 0 || allow_zero) && __builtin_mul_overflow(rest, x->dims[i], &rest))
        return op_fail(c, LEDGE_ERROR_SHAPE, "the input's shape overflows");
    if (known == 0) return op_fail(c, LEDGE_ERROR_SHAPE, "the new shape has both 0 and -1, with allowzero");
    if (rest % known) return reshape_fail(c, want, n);
    dims[wild] = rest / known;
  }
  if (shape_elements(n, dims) != tensor_elements(x)) return reshape_fail(c, want, n);
  return op_shape(c, 0, x->dtype, n, dims);
}

static ledge_status reshape_infer(op_ctx *c) {
  int64_t want[LEDGE_MAX_RANK];
  int n;
  OP_NEED(c, 1);
  TRY(op_read_ints(c, op_in(c, 1), want, LEDGE_MAX_RANK, &n));
  return reshape_to(c, want, n);
}

static ledge_status reshape_infer_1(op_ctx *c) {
  int64_t n;
  const int64_t *want = op_ints(c, "shape", &n);
  if (n > LEDGE_MAX_RANK)
    return op_fail(c, LEDGE_ERROR_LIMIT, "the new rank %lld is above %d", (long long)n, LEDGE_MAX_RANK);
  return reshape_to(c, want, (int)n);
}

/* ---- Flatten ---- */

static ledge_status flatten_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t axis = op_int(c, "axis", 1), low = c->node->version >= 11 ? -(int64_t)x->rank : 0;
  if (axis < low || axis > x->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "axis %lld is outside of [%lld, %d]", (long long)axis, (long long)low,
                   x->rank);
  if (axis < 0) axis += x->rank;
  int64_t rows = shape_elements((int)axis, x->dims), cols = shape_elements(x->rank - (int)axis, x->dims + axis);
  if (rows < 0 || cols < 0) return op_fail(c, LEDGE_ERROR_SHAPE, "the shape overflows");
  return op_shape(c, 0, x->dtype, 2, (int64_t[]){rows, cols});
}

/* ---- Squeeze, Unsqueeze ---- */

/* The axes from the attribute (before opset 13) or from input 1. *n = -1 where there are none. */
static ledge_status squeeze_axes(op_ctx *c, int64_t *axes, int *n) {
  *n = -1;
  if (c->node->version >= 13) {
    return op_has(c, 1) ? op_read_ints(c, op_in(c, 1), axes, LEDGE_MAX_RANK, n) : LEDGE_OK;
  }
  int64_t count;
  const int64_t *given = op_ints(c, "axes", &count);
  if (!given && !op_attr_given(c, "axes")) return LEDGE_OK;
  if (count > LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_LIMIT, "%lld axes are too many", (long long)count);
  if (count) memcpy(axes, given, (size_t)count * sizeof *axes);
  *n = (int)count;
  return LEDGE_OK;
}

static ledge_status squeeze_infer(op_ctx *c) {
  OP_NEED(c, 1);
  const tensor *x = op_in(c, 0);
  int64_t given[LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
  int axes[LEDGE_MAX_RANK], n, rank = 0;
  bool gone[LEDGE_MAX_RANK] = {false};
  TRY(squeeze_axes(c, given, &n));
  if (n < 0) {
    for (int i = 0; i < x->rank; i++) gone[i] = x->dims[i] == 1;
  } else {
    TRY(move_axes(c, given, n, x->rank, axes));
    for (int i = 0; i < n; i++) {
      if (x->dims[axes[i]] != 1)
        return op_fail(c, LEDGE_ERROR_SHAPE, "axis %d has %lld entries, not one", axes[i], (long long)x->dims[axes[i]]);
      gone[axes[i]] = true;
    }
  }
  for (int i = 0; i < x->rank; i++)
    if (!gone[i]) dims[rank++] = x->dims[i];
  return op_shape(c, 0, x->dtype, rank, dims);
}

static ledge_status unsqueeze_infer(op_ctx *c) {
  OP_NEED(c, 1);
  const tensor *x = op_in(c, 0);
  int64_t given[LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
  int axes[LEDGE_MAX_RANK], n;
  bool fresh[LEDGE_MAX_RANK] = {false};
  TRY(squeeze_axes(c, given, &n));
  if (n < 0) return op_fail(c, LEDGE_ERROR_FORMAT, "the axes are missing");
  int rank = x->rank + n;
  if (rank > LEDGE_MAX_RANK)
    return op_fail(c, LEDGE_ERROR_LIMIT, "the output would have rank %d, above the limit of %d", rank, LEDGE_MAX_RANK);
  TRY(move_axes(c, given, n, rank, axes));
  for (int i = 0; i < n; i++) fresh[axes[i]] = true;
  for (int i = 0, k = 0; i < rank; i++) dims[i] = fresh[i] ? 1 : x->dims[k++];
  return op_shape(c, 0, x->dtype, rank, dims);
}

const op_def ops_shape[] = {{"", "Shape", 1, 0, 1, 1, 1, 1, OP_SHAPE_ONLY, shape_infer, shape_run},
                            {"", "Size", 1, 0, 1, 1, 1, 1, OP_SHAPE_ONLY, size_infer, size_run},
                            {"", "Reshape", 1, 4, 1, 1, 1, 1, OP_ALIAS, reshape_infer_1, reshape_run},
                            {"", "Reshape", 5, 0, 2, 2, 1, 1, OP_ALIAS, reshape_infer, reshape_run},
                            {"", "Flatten", 1, 0, 1, 1, 1, 1, OP_ALIAS, flatten_infer, reshape_run},
                            {"", "Squeeze", 1, 12, 1, 1, 1, 1, OP_ALIAS, squeeze_infer, reshape_run},
                            {"", "Squeeze", 13, 0, 1, 2, 1, 1, OP_ALIAS, squeeze_infer, reshape_run},
                            {"", "Unsqueeze", 1, 12, 1, 1, 1, 1, OP_ALIAS, unsqueeze_infer, reshape_run},
                            {"", "Unsqueeze", 13, 0, 2, 2, 1, 1, OP_ALIAS, unsqueeze_infer, reshape_run},
                            {0}};
