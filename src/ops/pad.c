/* ops/pad: Pad (all versions) and CenterCropPad.
 *
 * Each axis tells which entry of the input stands at each place of the output, or that the constant does. Negative pads
 * cut first; reflect, edge and wrap then repeat what is left, as often as it takes (numpy.pad). What lies behind the
 * last padded axis moves as one block. */
#include "ops/pad.h"

#include "ops/move_util.h"

static ledge_status pad_mode(op_ctx *c, pad_plan *p) {
  static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
  int n = c->node->version >= 19 ? 4 : 3;
  for (int i = 0; i < n; i++) {
    if (!op_string_is(c, "mode", "constant", names[i])) continue;
    p->mode = i;
    return LEDGE_OK;
  }
  ledge_string mode = op_string(c, "mode");
  return op_fail(c, LEDGE_ERROR_FORMAT, "version %d knows no mode %.*s", c->node->version,
                 mode.size < 40 ? (int)mode.size : 40, mode.data);
}

/* Where the pads and axes come from: attributes before opset 11, inputs from then on, axes from 18 on. */
static ledge_status pad_read(op_ctx *c, pad_plan *p) {
  const tensor *x = op_in(c, 0);
  int64_t list[2 * LEDGE_MAX_RANK], given[LEDGE_MAX_RANK], count = 0;
  int axes[LEDGE_MAX_RANK], n_axes = x->rank, n;
  if (c->node->version >= 11) {
    TRY(op_read_ints(c, op_in(c, 1), list, 2 * LEDGE_MAX_RANK, &n));
    count = n;
  } else {
    const int64_t *pads = op_ints(c, c->node->version == 1 ? "paddings" : "pads", &count);
    if (count > 2 * LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_LIMIT, "%lld pads are too many", (long long)count);
    if (count) memcpy(list, pads, (size_t)count * sizeof *list);
  }
  if (c->node->version >= 18 && op_has(c, 3)) {
    TRY(op_read_ints(c, op_in(c, 3), given, LEDGE_MAX_RANK, &n_axes));
  } else {
    for (int i = 0; i < n_axes; i++) given[i] = i;
  }
  TRY(move_axes(c, given, n_axes, x->rank, axes));
  if (count != 2 * n_axes)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld pads are given for %d axes; there must be two for each",
                   (long long)count, n_axes);
  memset(p->before, 0, sizeof p->before);
  memset(p->after, 0, sizeof p->after);
  for (int i = 0; i < n_axes; i++) p->before[axes[i]] = list[i], p->after[axes[i]] = list[n_axes + i];
  return LEDGE_OK;
}

ledge_status pad_plan_make(op_ctx *c, pad_plan *p) {
  const tensor *x = op_in(c, 0);
  TRY(pad_mode(c, p));
  TRY(pad_read(c, p));
  for (int i = 0; i < x->rank; i++) {
    int64_t b = p->before[i], a = p->after[i], kept = x->dims[i], full;
    if ((b < 0 && __builtin_add_overflow(kept, b, &kept)) || (a < 0 && __builtin_add_overflow(kept, a, &kept)) ||
        kept < 0)
      return op_fail(c, LEDGE_ERROR_DATA, "pads %lld and %lld cut more than the %lld entries of axis %d", (long long)b,
                     (long long)a, (long long)x->dims[i], i);
    if (__builtin_add_overflow(kept, b > 0 ? b : 0, &full) || __builtin_add_overflow(full, a > 0 ? a : 0, &full))
      return op_fail(c, LEDGE_ERROR_SHAPE, "axis %d of the output overflows", i);
    if (p->mode != PAD_CONSTANT && kept == 0 && full > 0)
      return op_fail(c, LEDGE_ERROR_DATA, "axis %d has no entry to repeat", i);
    p->dims[i] = full;
  }
  return LEDGE_OK;
}

static ledge_status pad_infer(op_ctx *c) {
  pad_plan p;
  OP_NEED(c, 1);
  OP_NEED(c, 3);
  if (op_has(c, 2)) {
    TRY(move_same_dtype(c, 0, 2));
    if (tensor_elements(op_in(c, 2)) != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "constant_value must have one element");
  }
  TRY(pad_plan_make(c, &p));
  return op_shape(c, 0, op_in(c, 0)->dtype, op_in(c, 0)->rank, p.dims);
}

/* The entry of an axis of n entries (cut to `kept`) that stands at `at` of the output. */
static int64_t pad_source(const pad_plan *p, int axis, int64_t n, int64_t at) {
  int64_t b = p->before[axis], a = p->after[axis], skip = b < 0 ? -b : 0, kept = n - skip + (a < 0 ? a : 0);
  int64_t i = at - (b > 0 ? b : 0);
  if (i < 0 || i >= kept) {
    if (p->mode == PAD_CONSTANT) return -1;
    if (p->mode == PAD_EDGE || (p->mode == PAD_REFLECT && kept == 1)) {
      i = i < 0 ? 0 : kept - 1;
    } else {
      int64_t period = p->mode == PAD_WRAP ? kept : 2 * (kept - 1);
      i %= period;
      if (i < 0) i += period;
      if (i >= kept) i = period - i;
    }
  }
  return i + skip;
}

typedef struct pad_job {
  tensor *y;
  const tensor *x, *fill; /* fill: NULL for zero */
  const pad_plan *plan;
  int inner; /* the last padded axis; what lies behind it is a block of `block` elements */
  int64_t block;
} pad_job;

static ledge_status pad_fill(op_ctx *c, const pad_job *j, int64_t at, int64_t n) {
  return j->fill ? move_fill(c, j->y, at, n, j->fill, 0) : move_zero(c, j->y, at, n);
}

/* Blocks [first, end) of a row, which lie outside of the input. */
static ledge_status pad_side(op_ctx *c, const pad_job *j, int64_t to, int64_t from, int64_t first, int64_t end) {
  if (j->plan->mode == PAD_CONSTANT) return pad_fill(c, j, to + first * j->block, (end - first) * j->block);
  for (int64_t i = first; i < end; i++) {
    int64_t source = pad_source(j->plan, j->inner, j->x->dims[j->inner], i);
    TRY(move_run(c, j->y, to + i * j->block, j->x, from + source * j->block, j->block));
  }
  return LEDGE_OK;
}

/* One row along the inner axis. `from` < 0: all of it is the constant. */
static ledge_status pad_row(op_ctx *c, const pad_job *j, int64_t to, int64_t from) {
  int64_t b = j->plan->before[j->inner], a = j->plan->after[j->inner], n = j->y->dims[j->inner];
  if (from < 0) return pad_fill(c, j, to, n * j->block);
  int64_t first = b > 0 ? b : 0, end = n - (a > 0 ? a : 0), skip = b < 0 ? -b : 0;
  TRY(pad_side(c, j, to, from, 0, first));
  TRY(move_run(c, j->y, to + first * j->block, j->x, from + skip * j->block, (end - first) * j->block));
  return pad_side(c, j, to, from, end, n);
}

static ledge_status pad_rows(op_ctx *c, const pad_job *j) {
  const tensor *x = j->x;
  int64_t strides[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK] = {0};
  int64_t rows = tensor_span(j->y, 0, j->inner), row = j->y->dims[j->inner] * j->block;
  shape_strides(x->rank, x->dims, strides);
  for (int64_t r = 0; r < rows; r++) {
    int64_t from = 0;
    for (int k = 0; k < j->inner && from >= 0; k++) {
      int64_t s = pad_source(j->plan, k, x->dims[k], at[k]);
      from = s < 0 ? -1 : from + s * strides[k];
    }
    TRY(pad_row(c, j, r * row, from));
    for (int k = j->inner - 1; k >= 0 && ++at[k] == j->y->dims[k]; k--) at[k] = 0;
  }
  return LEDGE_OK;
}

static ledge_status pad_apply(op_ctx *c, const pad_plan *p, const tensor *fill) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (!tensor_elements(y)) return LEDGE_OK;
  pad_job j = {.y = y, .x = x, .fill = fill, .plan = p, .inner = x->rank - 1};
  while (j.inner >= 0 && !p->before[j.inner] && !p->after[j.inner]) j.inner--;
  if (j.inner < 0) return move_run(c, y, 0, x, 0, tensor_elements(x));
  j.block = tensor_span(x, j.inner + 1, x->rank);
  return pad_rows(c, &j);
}

static ledge_status pad_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  pad_plan p;
  TRY(pad_plan_make(c, &p));
  TRY(move_expect(c, 0, x->rank, p.dims));
  if (c->node->version >= 11) return pad_apply(c, &p, op_in(c, 2));
  /* Before opset 11 the value is an attribute, and the types are floating-point. */
  uint64_t bits[2] = {0};
  tensor fill = {.dtype = x->dtype, .data = bits};
  if (!dtype_is_float(x->dtype) && !dtype_is_integer(x->dtype)) return pad_apply(c, &p, NULL);
  dtype_store_f64(x->dtype, bits, 0, op_float(c, "value", 0));
  return pad_apply(c, &p, &fill);
}

/* ---- CenterCropPad ---- */

static ledge_status crop_plan(op_ctx *c, pad_plan *p) {
  const tensor *x = op_in(c, 0);
  int64_t want[LEDGE_MAX_RANK], all[LEDGE_MAX_RANK], n_axes;
  int axes[LEDGE_MAX_RANK], n;
  TRY(op_read_ints(c, op_in(c, 1), want, LEDGE_MAX_RANK, &n));
  const int64_t *given = op_ints(c, "axes", &n_axes);
  if (!op_attr_given(c, "axes")) {
    for (int i = 0; i < x->rank; i++) all[i] = i;
    given = all, n_axes = x->rank;
  }
  if (n_axes != n) return op_fail(c, LEDGE_ERROR_SHAPE, "%d sizes are given for %lld axes", n, (long long)n_axes);
  TRY(move_axes(c, given, n, x->rank, axes));
  *p = (pad_plan){.mode = PAD_CONSTANT};
  if (x->rank) memcpy(p->dims, x->dims, (size_t)x->rank * sizeof *p->dims);
  for (int i = 0; i < n; i++) {
    if (want[i] < 0)
      return op_fail(c, LEDGE_ERROR_DATA, "the size asked for axis %d is %lld", axes[i], (long long)want[i]);
    int64_t more = want[i] - x->dims[axes[i]], less = more < 0 ? -more : 0;
    p->before[axes[i]] = more < 0 ? -(less / 2) : more / 2;
    p->after[axes[i]] = more - p->before[axes[i]];
    p->dims[axes[i]] = want[i];
  }
  return LEDGE_OK;
}

static ledge_status crop_infer(op_ctx *c) {
  pad_plan p;
  OP_NEED(c, 1);
  TRY(crop_plan(c, &p));
  return op_shape(c, 0, op_in(c, 0)->dtype, op_in(c, 0)->rank, p.dims);
}

static ledge_status crop_run(op_ctx *c) {
  pad_plan p;
  TRY(crop_plan(c, &p));
  TRY(move_expect(c, 0, op_in(c, 0)->rank, p.dims));
  return pad_apply(c, &p, NULL);
}

const op_def ops_pad[] = {{"", "Pad", 1, 10, 1, 1, 1, 1, 0, pad_infer, pad_run},
                          {"", "Pad", 11, 17, 2, 3, 1, 1, 0, pad_infer, pad_run},
                          {"", "Pad", 18, 0, 2, 4, 1, 1, 0, pad_infer, pad_run},
                          {"", "CenterCropPad", 18, 0, 2, 2, 1, 1, 0, crop_infer, crop_run},
                          {0}};
