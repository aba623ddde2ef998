/* ops/cumulative: CumSum and CumProd along an axis, and Det.
 *
 * The input is [outer, n, inner]; blocks of up to ELEM_CHUNK columns are carried along the axis at once. Floats are
 * carried in double and rounded as they are stored; integers wrap. */
#include "ops/elementwise.h"
#include "ops/move_util.h"

#include <math.h>

typedef struct cumulative_job {
  const tensor *x;
  tensor *y;
  int64_t outer, n, inner;
  bool product, exclusive, reverse;
} cumulative_job;

/* One step of m columns: y = carried (with x, unless exclusive); carried takes x in. */
static void step_f64(const cumulative_job *j, int64_t at, int64_t m, double *carried) {
  double x[ELEM_CHUNK], before[ELEM_CHUNK];
  elem_load_f64(j->x->dtype, j->x->data, at, m, x);
  memcpy(before, carried, (size_t)m * sizeof *before);
  for (int64_t k = 0; k < m; k++) carried[k] = j->product ? carried[k] * x[k] : carried[k] + x[k];
  elem_store_f64(j->y->dtype, j->y->data, at, m, j->exclusive ? before : carried);
}

static void step_i64(const cumulative_job *j, int64_t at, int64_t m, int64_t *carried) {
  int64_t x[ELEM_CHUNK], before[ELEM_CHUNK];
  elem_load_i64(j->x->dtype, j->x->data, at, m, x);
  memcpy(before, carried, (size_t)m * sizeof *before);
  for (int64_t k = 0; k < m; k++) {
    uint64_t a = (uint64_t)carried[k], b = (uint64_t)x[k];
    carried[k] = (int64_t)(j->product ? a * b : a + b);
  }
  elem_store_i64(j->y->dtype, j->y->data, at, m, j->exclusive ? before : carried);
}

static void cumulative_body(void *arg, int64_t begin, int64_t end, int worker) {
  const cumulative_job *j = arg;
  bool floats = dtype_is_float(j->x->dtype);
  for (int64_t o = begin; o < end; o++) {
    for (int64_t column = 0, m; column < j->inner; column += m) {
      m = j->inner - column < ELEM_CHUNK ? j->inner - column : ELEM_CHUNK;
      double carried_f64[ELEM_CHUNK];
      int64_t carried_i64[ELEM_CHUNK];
      for (int64_t k = 0; k < m; k++) carried_f64[k] = carried_i64[k] = j->product;
      for (int64_t i = 0; i < j->n; i++) {
        int64_t at = (o * j->n + (j->reverse ? j->n - 1 - i : i)) * j->inner + column;
        if (floats)
          step_f64(j, at, m, carried_f64);
        else
          step_i64(j, at, m, carried_i64);
      }
    }
  }
}

static ledge_status cumulative_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_NUMERIC));
  TRY(elem_check(c, 1, DTYPE_BIT(LEDGE_I32) | DTYPE_BIT(LEDGE_I64)));
  TRY(elem_check_scalar(c, 1));
  return op_same_shape(c, 0, 0);
}

static ledge_status cumulative(op_ctx *c, bool product) {
  const tensor *x = op_in(c, 0);
  int axis;
  if (!x->rank) return op_fail(c, LEDGE_ERROR_SHAPE, "the input is a scalar and has no axis");
  TRY(op_axis(c, tensor_i64(op_in(c, 1), 0), x->rank, &axis));
  cumulative_job j = {.x = x,
                      .y = op_out(c, 0),
                      .outer = tensor_span(x, 0, axis),
                      .n = x->dims[axis],
                      .inner = tensor_span(x, axis + 1, x->rank),
                      .product = product,
                      .exclusive = op_int(c, "exclusive", 0) != 0,
                      .reverse = op_int(c, "reverse", 0) != 0};
  if (j.y && tensor_elements(x)) pool_run(c->pool, j.outer, 1 + 16384 / (j.n * j.inner), cumulative_body, &j);
  return LEDGE_OK;
}
static ledge_status cum_sum_run(op_ctx *c) { return cumulative(c, false); }
static ledge_status cum_prod_run(op_ctx *c) { return cumulative(c, true); }

/* ---- Det: of [*, m, m], by elimination with partial pivoting in double ---- */

static ledge_status det_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  const tensor *x = op_in(c, 0);
  if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2])
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input's last two dims are not those of a square matrix");
  return op_shape(c, 0, x->dtype, x->rank - 2, x->dims);
}

static double determinant(double *a, int64_t m) {
  double det = 1;
  for (int64_t i = 0; i < m; i++) {
    int64_t pivot = i;
    for (int64_t r = i + 1; r < m; r++)
      if (fabs(a[r * m + i]) > fabs(a[pivot * m + i])) pivot = r;
    double p = a[pivot * m + i];
    det *= pivot == i ? p : -p;
    if (p == 0) return 0;
    for (int64_t k = i; pivot != i && k < m; k++) {
      double swap = a[i * m + k];
      a[i * m + k] = a[pivot * m + k];
      a[pivot * m + k] = swap;
    }
    for (int64_t r = i + 1; r < m; r++) {
      double f = a[r * m + i] / p;
      for (int64_t k = i + 1; k < m; k++) a[r * m + k] -= f * a[i * m + k];
    }
  }
  return det;
}

static ledge_status det_run(op_ctx *c) {
  enum { SMALL = 8 };
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t n = y ? tensor_elements(y) : 0, m = x->dims[x->rank - 1];
  double small[SMALL * SMALL], *a = small, *scratch = NULL;
  if (n && m > SMALL) {
    a = scratch = op_scratch(c, (size_t)m * (size_t)m, sizeof *a);
    if (!a) return LEDGE_ERROR_MEMORY;
  }
  for (int64_t i = 0; i < n; i++) {
    elem_load_f64(x->dtype, x->data, i * m * m, m * m, a);
    double det = determinant(a, m);
    elem_store_f64(y->dtype, y->data, i, 1, &det);
  }
  op_scratch_free(scratch);
  return LEDGE_OK;
}

const op_def ops_cumulative[] = {{"", "CumSum", 11, 0, 2, 2, 1, 1, OP_INPLACE(0), cumulative_infer, cum_sum_run},
                                 {"", "CumProd", 26, 0, 2, 2, 1, 1, OP_INPLACE(0), cumulative_infer, cum_prod_run},
                                 {"", "Det", 11, 0, 1, 1, 1, 1, 0, det_infer, det_run},
                                 {0}};
