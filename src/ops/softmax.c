/* ops/softmax: Softmax and LogSoftmax.
 *
 * The input is [outer, n, inner], inner 1 before version 13, where the dims from `axis` on are one row. The largest
 * element is taken off first, so that nothing overflows:
 *
 *   softmax      e^(x - m) / sum e^(x - m)            log softmax      (x - m) - log sum e^(x - m)
 *
 * Blocks of up to ELEM_CHUNK columns are worked on at once; a row (inner = 1) is one column. The sum is kept in double;
 * f16 and bf16 are computed in float, f64 in double. A row without a finite element gives NaN, as in numpy. */
#include "ops/elementwise.h"

#include <tgmath.h>

typedef struct softmax_job {
  const tensor *x;
  tensor *y;
  int64_t outer, n, inner;
  bool logs;
} softmax_job;

/* Three passes each: the maximum, the sum, the results. In a row a chunk runs along the axis; in columns, across it. */
#define SOFTMAX(T)                                                                                                   \
  static void softmax_row_##T(const softmax_job *j, int64_t o) {                                                     \
    T v[ELEM_CHUNK], most = -(T)INFINITY;                                                                            \
    double sum = 0;                                                                                                  \
    int64_t base = o * j->n, m;                                                                                      \
    for (int64_t i = 0; i < j->n; i += m) {                                                                          \
      m = j->n - i < ELEM_CHUNK ? j->n - i : ELEM_CHUNK;                                                             \
      load_##T(j->x->dtype, j->x->data, base + i, m, v);                                                             \
      for (int64_t k = 0; k < m; k++) most = most > v[k] || most != most ? most : v[k];                              \
    }                                                                                                                \
    for (int64_t i = 0; i < j->n; i += m) {                                                                          \
      m = j->n - i < ELEM_CHUNK ? j->n - i : ELEM_CHUNK;                                                             \
      load_##T(j->x->dtype, j->x->data, base + i, m, v);                                                             \
      for (int64_t k = 0; k < m; k++) sum += (double)exp(v[k] - most);                                               \
    }                                                                                                                \
    const T scale = (T)(1 / sum), less = (T)log(sum);                                                                \
    for (int64_t i = 0; i < j->n; i += m) {                                                                          \
      m = j->n - i < ELEM_CHUNK ? j->n - i : ELEM_CHUNK;                                                             \
      load_##T(j->x->dtype, j->x->data, base + i, m, v);                                                             \
      for (int64_t k = 0; k < m; k++) v[k] = j->logs ? v[k] - most - less : exp(v[k] - most) * scale;                \
      store_##T(j->y->dtype, j->y->data, base + i, m, v);                                                            \
    }                                                                                                                \
  }                                                                                                                  \
  static void softmax_columns_##T(const softmax_job *j, int64_t o, int64_t column, int64_t m) {                      \
    T v[ELEM_CHUNK], most[ELEM_CHUNK];                                                                               \
    double sum[ELEM_CHUNK];                                                                                          \
    int64_t base = o * j->n * j->inner + column;                                                                     \
    for (int64_t k = 0; k < m; k++) most[k] = -(T)INFINITY, sum[k] = 0;                                              \
    for (int64_t i = 0; i < j->n; i++) {                                                                             \
      load_##T(j->x->dtype, j->x->data, base + i * j->inner, m, v);                                                  \
      for (int64_t k = 0; k < m; k++) most[k] = most[k] > v[k] || most[k] != most[k] ? most[k] : v[k];               \
    }                                                                                                                \
    for (int64_t i = 0; i < j->n; i++) {                                                                             \
      load_##T(j->x->dtype, j->x->data, base + i * j->inner, m, v);                                                  \
      for (int64_t k = 0; k < m; k++) sum[k] += (double)exp(v[k] - most[k]);                                         \
    }                                                                                                                \
    for (int64_t k = 0; k < m; k++) sum[k] = j->logs ? log(sum[k]) : 1 / sum[k];                                     \
    for (int64_t i = 0; i < j->n; i++) {                                                                             \
      load_##T(j->x->dtype, j->x->data, base + i * j->inner, m, v);                                                  \
      for (int64_t k = 0; k < m; k++) v[k] = j->logs ? v[k] - most[k] - (T)sum[k] : exp(v[k] - most[k]) * (T)sum[k]; \
      store_##T(j->y->dtype, j->y->data, base + i * j->inner, m, v);                                                 \
    }                                                                                                                \
  }
#define load_float elem_load_f32
#define load_double elem_load_f64
#define store_float elem_store_f32
#define store_double elem_store_f64
SOFTMAX(float)
SOFTMAX(double)

static void softmax_body(void *arg, int64_t begin, int64_t end, int worker) {
  const softmax_job *j = arg;
  bool wide = j->x->dtype == LEDGE_F64;
  for (int64_t o = begin; o < end; o++) {
    if (j->inner == 1) {
      (wide ? softmax_row_double : softmax_row_float)(j, o);
      continue;
    }
    for (int64_t column = 0, m; column < j->inner; column += m) {
      m = j->inner - column < ELEM_CHUNK ? j->inner - column : ELEM_CHUNK;
      (wide ? softmax_columns_double : softmax_columns_float)(j, o, column, m);
    }
  }
}

static ledge_status softmax_plan(op_ctx *c, softmax_job *j) {
  const tensor *x = op_in(c, 0);
  bool flat = c->node->version < 13;
  int64_t given = op_int(c, "axis", flat ? 1 : -1);
  int axis = 0;
  if (flat && given == x->rank) /* rows of one element */
    axis = x->rank;
  else if (x->rank)
    TRY(op_axis(c, given, x->rank, &axis));
  int end = flat || !x->rank ? x->rank : axis + 1;
  *j = (softmax_job){.x = x,
                     .y = op_out(c, 0),
                     .outer = tensor_span(x, 0, axis),
                     .n = tensor_span(x, axis, end),
                     .inner = tensor_span(x, end, x->rank)};
  return LEDGE_OK;
}

static ledge_status softmax_infer(op_ctx *c) {
  softmax_job j;
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  TRY(softmax_plan(c, &j));
  return op_same_shape(c, 0, 0);
}

static ledge_status softmax(op_ctx *c, bool logs) {
  softmax_job j;
  TRY(softmax_plan(c, &j));
  j.logs = logs;
  if (j.y && tensor_elements(j.x)) pool_run(c->pool, j.outer, 1 + 8192 / (j.n * j.inner), softmax_body, &j);
  return LEDGE_OK;
}
static ledge_status softmax_run(op_ctx *c) { return softmax(c, false); }
static ledge_status log_softmax_run(op_ctx *c) { return softmax(c, true); }

const op_def ops_softmax[] = {{"", "Softmax", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), softmax_infer, softmax_run},
                              {"", "LogSoftmax", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), softmax_infer, log_softmax_run},
                              {0}};
