/* ops/reduce: ReduceSum and its like, over any set of axes.
 *
 * Dims are merged into groups that are kept or reduced. Floats are reduced in double, integers in int64 (sums and
 * products wrap to the same low bits), in an order that the shape alone fixes:
 *
 *   last group reduced   an output element at a time: runs of contiguous elements are folded into one number
 *   last group kept      a row of the last group at a time: rows are folded into a row of numbers
 *
 * Nothing to reduce gives the neutral element: 0, 1 for Prod, the least and the greatest value for Max and Min,
 * -infinity for LogSum and LogSumExp, NaN for the mean of floats. NaN passes through. */
#include "ops/elementwise.h"

#include <math.h>

typedef enum reduction {
  REDUCTION_SUM,
  REDUCTION_MEAN,
  REDUCTION_MAX,
  REDUCTION_MIN,
  REDUCTION_PROD,
  REDUCTION_L1,
  REDUCTION_L2,
  REDUCTION_SUM_SQUARE,
  REDUCTION_LOG_SUM,
  REDUCTION_LOG_SUM_EXP,
  REDUCTION_EXP, /* the second pass of LOG_SUM_EXP: the sum of e^(x - max) */
} reduction;

/* ---- axes and shapes ---- */

/* reduced[d] for each dim of input 0: from input 1, or the attribute, all where neither is given. */
static ledge_status reduced_axes(op_ctx *c, bool *reduced) {
  const tensor *x = op_in(c, 0), *axes = op_in(c, 1);
  int64_t listed[64], count = 0;
  const int64_t *list = op_ints(c, "axes", &count);
  if (axes) {
    int n;
    TRY(op_read_ints(c, axes, listed, 64, &n));
    list = listed;
    count = n;
  }
  bool all = count == 0 && !op_int(c, "noop_with_empty_axes", 0);
  for (int d = 0; d < x->rank; d++) reduced[d] = all;
  for (int64_t i = 0; i < count; i++) {
    int axis;
    TRY(op_axis(c, list[i], x->rank, &axis));
    reduced[axis] = true;
  }
  return LEDGE_OK;
}

static ledge_status reduce_infer_of(op_ctx *c, uint32_t allowed) {
  TRY(elem_check(c, 0, allowed));
  if (op_has(c, 1)) TRY(elem_check(c, 1, DTYPE_BIT(LEDGE_I64) | DTYPE_BIT(LEDGE_I32)));
  OP_NEED(c, 1);
  const tensor *x = op_in(c, 0);
  bool reduced[LEDGE_MAX_RANK], keep = op_int(c, "keepdims", 1) != 0;
  TRY(reduced_axes(c, reduced));
  int64_t dims[LEDGE_MAX_RANK];
  int rank = 0;
  for (int d = 0; d < x->rank; d++)
    if (keep || !reduced[d]) dims[rank++] = reduced[d] ? 1 : x->dims[d];
  return op_shape(c, 0, x->dtype, rank, dims);
}
static ledge_status reduce_infer(op_ctx *c) { return reduce_infer_of(c, DTYPES_NUMERIC); }
static ledge_status reduce_infer_order(op_ctx *c) { return reduce_infer_of(c, DTYPES_NUMERIC | DTYPES_BOOL); }

/* ---- folding: a run into one number, a row into a row of numbers ---- */

enum { LANES = 8 };

#define FOLD_LANES(INIT, EACH, COMBINE)            \
  {                                                \
    double s[LANES];                               \
    for (int k = 0; k < LANES; k++) s[k] = (INIT); \
    int64_t i = 0;                                 \
    for (; i + LANES <= n; i += LANES)             \
      for (int k = 0; k < LANES; k++) {            \
        const double v = x[i + k], a = s[k];       \
        s[k] = (EACH);                             \
      }                                            \
    for (; i < n; i++) {                           \
      const double v = x[i], a = s[0];             \
      s[0] = (EACH);                               \
    }                                              \
    for (int k = 0; k < LANES; k++) {              \
      const double v = s[k], a = acc;              \
      acc = (COMBINE);                             \
    }                                              \
    return acc;                                    \
  }
#define MAX_OF(a, v) ((a) > (v) || (a) != (a) ? (a) : (v))
#define MIN_OF(a, v) ((a) < (v) || (a) != (a) ? (a) : (v))

static double fold_f64(reduction kind, double acc, const double *x, int64_t n, double shift) {
  switch (kind) {
    case REDUCTION_MAX: FOLD_LANES(-INFINITY, MAX_OF(a, v), MAX_OF(a, v))
    case REDUCTION_MIN: FOLD_LANES(INFINITY, MIN_OF(a, v), MIN_OF(a, v))
    case REDUCTION_PROD: FOLD_LANES(1, a * v, a * v)
    case REDUCTION_L1: FOLD_LANES(0, a + fabs(v), a + v)
    case REDUCTION_L2:
    case REDUCTION_SUM_SQUARE: FOLD_LANES(0, a + v * v, a + v)
    case REDUCTION_EXP:
      for (int64_t i = 0; i < n; i++) acc += exp(x[i] - shift);
      return acc;
    default: FOLD_LANES(0, a + v, a + v)
  }
}

#define ROW(EACH)                      \
  for (int64_t i = 0; i < n; i++) {    \
    const double v = x[i], a = acc[i]; \
    acc[i] = (EACH);                   \
  }                                    \
  break;

static void row_f64(reduction kind, double *acc, const double *x, int64_t n, const double *shift) {
  switch (kind) {
    case REDUCTION_MAX: ROW(MAX_OF(a, v))
    case REDUCTION_MIN: ROW(MIN_OF(a, v))
    case REDUCTION_PROD: ROW(a * v)
    case REDUCTION_L1: ROW(a + fabs(v))
    case REDUCTION_L2:
    case REDUCTION_SUM_SQUARE: ROW(a + v * v)
    case REDUCTION_EXP: ROW(a + exp(v - shift[i]))
    default: ROW(a + v)
  }
}

/* Integers: unsigned, so that they wrap; only the order of u64 differs from that of int64. */
static void row_i64(reduction kind, bool u64, uint64_t *acc, const uint64_t *x, int64_t n, int64_t acc_step) {
  for (int64_t i = 0; i < n; i++) {
    uint64_t *a = acc + i * acc_step, v = x[i];
    switch (kind) {
      case REDUCTION_MAX: *a = (u64 ? v > *a : (int64_t)v > (int64_t)*a) ? v : *a; break;
      case REDUCTION_MIN: *a = (u64 ? v < *a : (int64_t)v < (int64_t)*a) ? v : *a; break;
      case REDUCTION_PROD: *a *= v; break;
      case REDUCTION_L1: *a += !u64 && (int64_t)v < 0 ? 0 - v : v; break;
      case REDUCTION_SUM_SQUARE: *a += v * v; break;
      default: *a += v;
    }
  }
}

/* ---- the walk ---- */

typedef struct reduce_job {
  reduction kind;
  const tensor *x;
  tensor *y;
  bool integers;            /* reduced in int64 */
  bool last_reduced;        /* else the last kept group is a row */
  int64_t count;            /* elements that go into one output */
  int64_t inner;            /* of the run or row */
  elem_bcast kept, reduced; /* walks over the other groups; their `inner` is 1 */
  int64_t kept_strides[1][LEDGE_MAX_RANK], reduced_strides[1][LEDGE_MAX_RANK];
} reduce_job;

/* Adds a group to a walk; the walk's last dim, a dummy of 1, comes when all are there. */
static void walk_add(elem_bcast *w, int64_t dim, int64_t stride) {
  w->dims[w->rank] = dim;
  w->strides[0][w->rank++] = stride;
}

static void walk_close(elem_bcast *w) {
  w->rows = 1;
  for (int d = 0; d < w->rank; d++) w->rows *= w->dims[d];
  walk_add(w, 1, 0);
  w->n = 1;
  w->inner = 1;
}

static void reduce_plan(reduce_job *j, const bool *reduced) {
  const tensor *x = j->x;
  int64_t dims[LEDGE_MAX_RANK + 1], strides[LEDGE_MAX_RANK + 1];
  bool is_reduced[LEDGE_MAX_RANK + 1];
  int n = 0;
  j->count = 1;
  for (int d = 0; d < x->rank; d++) {
    if (reduced[d]) j->count *= x->dims[d];
    if (x->dims[d] == 1) continue;
    if (n && is_reduced[n - 1] == reduced[d])
      dims[n - 1] *= x->dims[d];
    else
      dims[n] = x->dims[d], is_reduced[n] = reduced[d], n++;
    strides[n - 1] = tensor_span(x, d + 1, x->rank);
  }
  if (!n) dims[0] = 1, is_reduced[0] = false, n = 1;
  j->inner = dims[n - 1];
  j->last_reduced = is_reduced[n - 1];
  j->kept = (elem_bcast){.strides = j->kept_strides};
  j->reduced = (elem_bcast){.strides = j->reduced_strides};
  for (int g = 0; g < n - 1; g++) walk_add(is_reduced[g] ? &j->reduced : &j->kept, dims[g], strides[g]);
  walk_close(&j->kept);
  walk_close(&j->reduced);
}

static double neutral_f64(reduction kind) {
  return kind == REDUCTION_MAX || kind == REDUCTION_LOG_SUM_EXP ? -INFINITY
         : kind == REDUCTION_MIN                                ? INFINITY
                                                                : kind == REDUCTION_PROD;
}

/* The value that every element of the dtype is at least (MAX) or at most (MIN) as far from as the extreme. */
static uint64_t neutral_i64(reduction kind, ledge_dtype d) {
  if (kind != REDUCTION_MAX && kind != REDUCTION_MIN) return kind == REDUCTION_PROD;
  int bits = d == LEDGE_BOOL ? 1 : ledge_dtype_bits(d);
  bool is_signed = dtype_kind_of(d) == DTYPE_KIND_INT;
  uint64_t high = UINT64_MAX >> (64 - bits + is_signed);
  return kind == REDUCTION_MIN ? high : is_signed ? ~high : 0;
}

static double finish_f64(const reduce_job *j, double acc) {
  switch (j->kind) {
    case REDUCTION_MEAN: return acc / (double)j->count;
    case REDUCTION_L2: return sqrt(acc);
    case REDUCTION_LOG_SUM: return log(acc);
    default: return acc;
  }
}

static uint64_t finish_i64(const reduce_job *j, uint64_t acc) {
  if (j->kind != REDUCTION_MEAN) return acc;
  if (j->count == 0) return 0;
  return j->x->dtype == LEDGE_U64 ? acc / (uint64_t)j->count : (uint64_t)((int64_t)acc / j->count);
}

/* One output: all runs that start at `base` plus a place of the reduced walk. */
static double reduce_runs_f64(const reduce_job *j, reduction kind, int64_t base, double shift) {
  int64_t index[LEDGE_MAX_RANK], at[1];
  double acc = neutral_f64(kind), chunk[ELEM_CHUNK];
  elem_bcast_seek(&j->reduced, 0, index, at);
  for (int64_t r = 0; r < j->reduced.rows; r++, elem_bcast_next(&j->reduced, index, at)) {
    for (int64_t i = 0, n; i < j->inner; i += n) {
      n = j->inner - i < ELEM_CHUNK ? j->inner - i : ELEM_CHUNK;
      elem_load_f64(j->x->dtype, j->x->data, base + at[0] + i, n, chunk);
      acc = fold_f64(kind, acc, chunk, n, shift);
    }
  }
  return acc;
}

static uint64_t reduce_runs_i64(const reduce_job *j, int64_t base) {
  int64_t index[LEDGE_MAX_RANK], at[1], chunk[ELEM_CHUNK];
  uint64_t acc = neutral_i64(j->kind, j->x->dtype);
  elem_bcast_seek(&j->reduced, 0, index, at);
  for (int64_t r = 0; r < j->reduced.rows; r++, elem_bcast_next(&j->reduced, index, at)) {
    for (int64_t i = 0, n; i < j->inner; i += n) {
      n = j->inner - i < ELEM_CHUNK ? j->inner - i : ELEM_CHUNK;
      elem_load_i64(j->x->dtype, j->x->data, base + at[0] + i, n, chunk);
      row_i64(j->kind, j->x->dtype == LEDGE_U64, &acc, (const uint64_t *)chunk, n, 0);
    }
  }
  return acc;
}

static void outputs_body(void *arg, int64_t begin, int64_t end, int worker) {
  const reduce_job *j = arg;
  int64_t index[LEDGE_MAX_RANK], at[1];
  elem_bcast_seek(&j->kept, begin, index, at);
  for (int64_t o = begin; o < end; o++, elem_bcast_next(&j->kept, index, at)) {
    if (j->integers) {
      int64_t v = (int64_t)finish_i64(j, reduce_runs_i64(j, at[0]));
      elem_store_i64(j->y->dtype, j->y->data, o, 1, &v);
      continue;
    }
    double v;
    if (j->kind == REDUCTION_LOG_SUM_EXP) {
      double most = reduce_runs_f64(j, REDUCTION_MAX, at[0], 0);
      v = isinf(most) || isnan(most) ? most : most + log(reduce_runs_f64(j, REDUCTION_EXP, at[0], most));
    } else {
      v = finish_f64(j, reduce_runs_f64(j, j->kind, at[0], 0));
    }
    elem_store_f64(j->y->dtype, j->y->data, o, 1, &v);
  }
}

/* n outputs of a row: all rows that start at `base` plus a place of the reduced walk. */
static void reduce_rows_f64(const reduce_job *j, reduction kind, int64_t base, int64_t n, const double *shift,
                            double *acc) {
  int64_t index[LEDGE_MAX_RANK], at[1];
  double chunk[ELEM_CHUNK];
  for (int64_t i = 0; i < n; i++) acc[i] = neutral_f64(kind);
  elem_bcast_seek(&j->reduced, 0, index, at);
  for (int64_t r = 0; r < j->reduced.rows; r++, elem_bcast_next(&j->reduced, index, at)) {
    elem_load_f64(j->x->dtype, j->x->data, base + at[0], n, chunk);
    row_f64(kind, acc, chunk, n, shift);
  }
}

static void reduce_rows_i64(const reduce_job *j, int64_t base, int64_t n, uint64_t *acc) {
  int64_t index[LEDGE_MAX_RANK], at[1], chunk[ELEM_CHUNK];
  for (int64_t i = 0; i < n; i++) acc[i] = neutral_i64(j->kind, j->x->dtype);
  elem_bcast_seek(&j->reduced, 0, index, at);
  for (int64_t r = 0; r < j->reduced.rows; r++, elem_bcast_next(&j->reduced, index, at)) {
    elem_load_i64(j->x->dtype, j->x->data, base + at[0], n, chunk);
    row_i64(j->kind, j->x->dtype == LEDGE_U64, acc, (const uint64_t *)chunk, n, 1);
  }
}

static void finish_rows(const reduce_job *j, int64_t base, int64_t n, int64_t y_at) {
  if (j->integers) {
    uint64_t acc[ELEM_CHUNK];
    reduce_rows_i64(j, base, n, acc);
    for (int64_t i = 0; i < n; i++) acc[i] = finish_i64(j, acc[i]);
    elem_store_i64(j->y->dtype, j->y->data, y_at, n, (const int64_t *)acc);
    return;
  }
  double acc[ELEM_CHUNK], most[ELEM_CHUNK];
  if (j->kind == REDUCTION_LOG_SUM_EXP) {
    reduce_rows_f64(j, REDUCTION_MAX, base, n, NULL, most);
    reduce_rows_f64(j, REDUCTION_EXP, base, n, most, acc);
    for (int64_t i = 0; i < n; i++) acc[i] = isinf(most[i]) || isnan(most[i]) ? most[i] : most[i] + log(acc[i]);
  } else {
    reduce_rows_f64(j, j->kind, base, n, NULL, acc);
    for (int64_t i = 0; i < n; i++) acc[i] = finish_f64(j, acc[i]);
  }
  elem_store_f64(j->y->dtype, j->y->data, y_at, n, acc);
}

/* Indices are chunks of rows: ceil(inner / ELEM_CHUNK) to a row. */
static void rows_body(void *arg, int64_t begin, int64_t end, int worker) {
  const reduce_job *j = arg;
  int64_t index[LEDGE_MAX_RANK], at[1], chunks = (j->inner + ELEM_CHUNK - 1) / ELEM_CHUNK;
  for (int64_t k = begin; k < end; k++) {
    int64_t row = k / chunks, column = k % chunks * ELEM_CHUNK, left = j->inner - column;
    elem_bcast_seek(&j->kept, row, index, at);
    finish_rows(j, at[0] + column, left < ELEM_CHUNK ? left : ELEM_CHUNK, row * j->inner + column);
  }
}

static ledge_status reduce(op_ctx *c, reduction kind) {
  reduce_job j = {.kind = kind, .x = op_in(c, 0), .y = op_out(c, 0)};
  if (!j.y || tensor_elements(j.y) == 0) return LEDGE_OK;
  bool reduced[LEDGE_MAX_RANK];
  TRY(reduced_axes(c, reduced));
  bool roots = kind == REDUCTION_L2 || kind == REDUCTION_LOG_SUM || kind == REDUCTION_LOG_SUM_EXP;
  j.integers = !dtype_is_float(j.x->dtype) && !roots;
  reduce_plan(&j, reduced);
  int64_t grain = 1 + 16384 / (j.count ? j.count : 1);
  if (j.last_reduced)
    pool_run(c->pool, j.kept.rows, grain, outputs_body, &j);
  else
    pool_run(c->pool, j.kept.rows * ((j.inner + ELEM_CHUNK - 1) / ELEM_CHUNK), 1 + grain / ELEM_CHUNK, rows_body, &j);
  return LEDGE_OK;
}

#define REDUCE(name, KIND) \
  static ledge_status name##_run(op_ctx *c) { return reduce(c, KIND); }
REDUCE(sum, REDUCTION_SUM)
REDUCE(mean, REDUCTION_MEAN)
REDUCE(max, REDUCTION_MAX)
REDUCE(min, REDUCTION_MIN)
REDUCE(prod, REDUCTION_PROD)
REDUCE(l1, REDUCTION_L1)
REDUCE(l2, REDUCTION_L2)
REDUCE(sum_square, REDUCTION_SUM_SQUARE)
REDUCE(log_sum, REDUCTION_LOG_SUM)
REDUCE(log_sum_exp, REDUCTION_LOG_SUM_EXP)

/* The axes are an attribute first, later an input; both are read whatever the version says. */
#define ROW_OF(NAME, infer, run) \
  { "", NAME, 1, 0, 1, 2, 1, 1, 0, infer, run }

const op_def ops_reduce[] = {ROW_OF("ReduceSum", reduce_infer, sum_run),
                             ROW_OF("ReduceMean", reduce_infer, mean_run),
                             ROW_OF("ReduceMax", reduce_infer_order, max_run),
                             ROW_OF("ReduceMin", reduce_infer_order, min_run),
                             ROW_OF("ReduceProd", reduce_infer, prod_run),
                             ROW_OF("ReduceL1", reduce_infer, l1_run),
                             ROW_OF("ReduceL2", reduce_infer, l2_run),
                             ROW_OF("ReduceSumSquare", reduce_infer, sum_square_run),
                             ROW_OF("ReduceLogSum", reduce_infer, log_sum_run),
                             ROW_OF("ReduceLogSumExp", reduce_infer, log_sum_exp_run),
                             {0}};
