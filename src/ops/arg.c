/* ops/arg: ArgMax, ArgMin and Hardmax: the place of the extreme along an axis.
 *
 * The input is [outer, n, inner]. Of equals the first counts, or the last where select_last_index asks for it. NaN
 * beats every number, as in numpy. Integers are compared as int64 (u64: by a shift of the sign bit), floats as double.
 */
#include "ops/elementwise.h"

typedef struct arg_job {
  const tensor *x;
  tensor *y;
  int64_t outer, n, inner;
  bool least, last, hard; /* hard: y is like x, 1 at the place and 0 elsewhere */
} arg_job;

/* Is v a better extreme than `best`? */
static bool better_f64(const arg_job *j, double v, double best) {
  if (v != v || best != best) return v != v && (j->last || best == best);
  if (v == best) return j->last;
  return j->least ? v < best : v > best;
}
static bool better_i64(const arg_job *j, int64_t v, int64_t best) {
  if (v == best) return j->last;
  return j->least ? v < best : v > best;
}

/* place[k] = the index along the axis for columns [column, column + m) of block o; n > 0, m <= ELEM_CHUNK. */
static void arg_columns(const arg_job *j, int64_t o, int64_t column, int64_t m, int64_t *place) {
  union {
    double f64[ELEM_CHUNK];
    int64_t i64[ELEM_CHUNK];
  } v, best;
  const tensor *x = j->x;
  bool floats = dtype_is_float(x->dtype);
  for (int64_t i = 0; i < j->n; i++) {
    int64_t at = (o * j->n + i) * j->inner + column;
    if (floats)
      elem_load_f64(x->dtype, x->data, at, m, v.f64);
    else
      elem_load_i64(x->dtype, x->data, at, m, v.i64);
    for (int64_t k = 0; k < m; k++) {
      if (x->dtype == LEDGE_U64) v.i64[k] = (int64_t)((uint64_t)v.i64[k] ^ (uint64_t)INT64_MIN);
      bool take = i == 0 || (floats ? better_f64(j, v.f64[k], best.f64[k]) : better_i64(j, v.i64[k], best.i64[k]));
      if (!take) continue;
      best.i64[k] = v.i64[k];
      place[k] = i;
    }
  }
}

/* The same where inner is 1: along a contiguous row. */
static int64_t arg_row(const arg_job *j, int64_t o) {
  union {
    double f64[ELEM_CHUNK];
    int64_t i64[ELEM_CHUNK];
  } v;
  const tensor *x = j->x;
  bool floats = dtype_is_float(x->dtype);
  double best_f64 = 0;
  int64_t best_i64 = 0, place = 0;
  for (int64_t i = 0, m; i < j->n; i += m) {
    m = j->n - i < ELEM_CHUNK ? j->n - i : ELEM_CHUNK;
    if (floats)
      elem_load_f64(x->dtype, x->data, o * j->n + i, m, v.f64);
    else
      elem_load_i64(x->dtype, x->data, o * j->n + i, m, v.i64);
    for (int64_t k = 0; k < m; k++) {
      if (floats) {
        if (i + k && !better_f64(j, v.f64[k], best_f64)) continue;
        best_f64 = v.f64[k];
      } else {
        int64_t now = x->dtype == LEDGE_U64 ? (int64_t)((uint64_t)v.i64[k] ^ (uint64_t)INT64_MIN) : v.i64[k];
        if (i + k && !better_i64(j, now, best_i64)) continue;
        best_i64 = now;
      }
      place = i + k;
    }
  }
  return place;
}

static void put_places(const arg_job *j, int64_t o, int64_t column, int64_t m, const int64_t *place) {
  if (!j->hard) {
    memcpy((int64_t *)j->y->data + o * j->inner + column, place, (size_t)m * sizeof *place);
    return;
  }
  for (int64_t i = 0; i < j->n; i++)
    for (int64_t k = 0; k < m; k++)
      dtype_store_f64(j->y->dtype, j->y->data, (o * j->n + i) * j->inner + column + k, place[k] == i);
}

static void arg_body(void *arg, int64_t begin, int64_t end, int worker) {
  const arg_job *j = arg;
  for (int64_t o = begin; o < end; o++) {
    int64_t place[ELEM_CHUNK];
    if (j->inner == 1) {
      place[0] = arg_row(j, o);
      put_places(j, o, 0, 1, place);
      continue;
    }
    for (int64_t column = 0, m; column < j->inner; column += m) {
      m = j->inner - column < ELEM_CHUNK ? j->inner - column : ELEM_CHUNK;
      arg_columns(j, o, column, m, place);
      put_places(j, o, column, m, place);
    }
  }
}

static void arg_walk(op_ctx *c, arg_job *j) {
  if (!j->y || tensor_elements(j->y) == 0) return;
  pool_run(c->pool, j->outer, 1 + 16384 / (j->n * j->inner), arg_body, j);
}

static ledge_status arg_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_NUMERIC));
  const tensor *x = op_in(c, 0);
  int axis, rank = 0;
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  bool keep = op_int(c, "keepdims", 1) != 0;
  int64_t dims[LEDGE_MAX_RANK];
  for (int d = 0; d < x->rank; d++)
    if (keep || d != axis) dims[rank++] = d == axis ? 1 : x->dims[d];
  if (x->dims[axis] == 0 && shape_elements(rank, dims) != 0)
    return op_fail(c, LEDGE_ERROR_SHAPE, "axis %d has no elements to choose from", axis);
  return op_shape(c, 0, LEDGE_I64, rank, dims);
}

static ledge_status arg_run(op_ctx *c, bool least) {
  const tensor *x = op_in(c, 0);
  int axis;
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  arg_job j = {.x = x,
               .y = op_out(c, 0),
               .outer = tensor_span(x, 0, axis),
               .n = x->dims[axis],
               .inner = tensor_span(x, axis + 1, x->rank),
               .least = least,
               .last = op_int(c, "select_last_index", 0) != 0};
  arg_walk(c, &j);
  return LEDGE_OK;
}
static ledge_status arg_max_run(op_ctx *c) { return arg_run(c, false); }
static ledge_status arg_min_run(op_ctx *c) { return arg_run(c, true); }

/* Before version 13 the dims from `axis` on are one row. */
static ledge_status hardmax_axis(op_ctx *c, arg_job *j) {
  const tensor *x = op_in(c, 0);
  bool flat = c->node->version < 13;
  int64_t given = op_int(c, "axis", flat ? 1 : -1);
  int axis = 0;
  if (flat && given == x->rank) /* rows of one element */
    axis = x->rank;
  else if (x->rank)
    TRY(op_axis(c, given, x->rank, &axis));
  int end = flat || !x->rank ? x->rank : axis + 1;
  *j = (arg_job){.x = x,
                 .outer = tensor_span(x, 0, axis),
                 .n = tensor_span(x, axis, end),
                 .inner = tensor_span(x, end, x->rank),
                 .hard = true};
  return LEDGE_OK;
}

static ledge_status hardmax_infer(op_ctx *c) {
  arg_job j;
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  TRY(hardmax_axis(c, &j));
  return op_same_shape(c, 0, 0);
}

static ledge_status hardmax_run(op_ctx *c) {
  arg_job j;
  TRY(hardmax_axis(c, &j));
  j.y = op_out(c, 0);
  arg_walk(c, &j);
  return LEDGE_OK;
}

const op_def ops_arg[] = {{"", "ArgMax", 1, 0, 1, 1, 1, 1, 0, arg_infer, arg_max_run},
                          {"", "ArgMin", 1, 0, 1, 1, 1, 1, 0, arg_infer, arg_min_run},
                          {"", "Hardmax", 1, 0, 1, 1, 1, 1, 0, hardmax_infer, hardmax_run},
                          {0}};
