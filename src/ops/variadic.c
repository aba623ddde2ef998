/* ops/variadic: Max, Min, Sum and Mean of any number of tensors, with broadcasting.
 *
 * Every chunk of the output is made from all inputs before it is stored, so that floats of 16 bits are rounded once and
 * the output may be an input's memory. NaN in any input passes through. */
#include "ops/elementwise.h"

ELEM_LOOP(max_f32, float, float, float, a > b || a != a ? a : b)
ELEM_LOOP(max_f64, double, double, double, a > b || a != a ? a : b)
ELEM_LOOP(max_i64, int64_t, int64_t, int64_t, a > b ? a : b)
ELEM_LOOP(max_u64, uint64_t, uint64_t, uint64_t, a > b ? a : b)
ELEM_LOOP(min_f32, float, float, float, a < b || a != a ? a : b)
ELEM_LOOP(min_f64, double, double, double, a < b || a != a ? a : b)
ELEM_LOOP(min_i64, int64_t, int64_t, int64_t, a < b ? a : b)
ELEM_LOOP(min_u64, uint64_t, uint64_t, uint64_t, a < b ? a : b)
ELEM_LOOP(sum_f32, float, float, float, a + b)
ELEM_LOOP(sum_f64, double, double, double, a + b)
#define TABLE(NAME) \
  { [LEDGE_F32] = NAME##_f32, [LEDGE_F64] = NAME##_f64, [LEDGE_I64] = NAME##_i64, [LEDGE_U64] = NAME##_u64 }
static const elem_table max_table = TABLE(max), min_table = TABLE(min),
                        sum_table = {[LEDGE_F32] = sum_f32, [LEDGE_F64] = sum_f64};

static ledge_status numeric_infer(op_ctx *c) { return elem_infer_broadcast(c, 0, DTYPES_NUMERIC, LEDGE_DTYPE_NONE); }
static ledge_status float_infer(op_ctx *c) { return elem_infer_broadcast(c, 0, DTYPES_FLOAT, LEDGE_DTYPE_NONE); }

typedef union chunk {
  float f32[ELEM_CHUNK];
  double f64[ELEM_CHUNK];
  int64_t i64[ELEM_CHUNK];
} chunk;

static void load(ledge_dtype as, const tensor *t, int64_t at, int64_t n, chunk *dst) {
  if (as == LEDGE_F32)
    elem_load_f32(t->dtype, t->data, at, n, dst->f32);
  else if (as == LEDGE_F64)
    elem_load_f64(t->dtype, t->data, at, n, dst->f64);
  else
    elem_load_i64(t->dtype, t->data, at, n, dst->i64);
}

/* n elements of a row from column j on: all inputs folded, then divided by `count`, into y at y_at. */
static void fold(op_ctx *c, elem_loop loop, ledge_dtype as, const int64_t *at, int64_t (*strides)[LEDGE_MAX_RANK],
                 int last, int64_t j, int64_t n, int count, int64_t y_at) {
  chunk acc, part;
  tensor *y = op_out(c, 0);
  for (int k = 0; k < c->n_in; k++) {
    int64_t step = strides[k][last];
    load(as, op_in(c, k), at[k] + j * step, step ? n : 1, k ? &part : &acc);
    for (int64_t i = 1; k == 0 && !step && i < n; i++) { /* one element for all */
      if (as == LEDGE_F32)
        acc.f32[i] = acc.f32[0];
      else
        acc.i64[i] = acc.i64[0];
    }
    if (k) loop(&acc, 1, &part, step, &acc, n);
  }
  if (as == LEDGE_F32) {
    for (int64_t i = 0; count > 1 && i < n; i++) acc.f32[i] /= (float)count;
    elem_store_f32(y->dtype, y->data, y_at, n, acc.f32);
  } else if (as == LEDGE_F64) {
    for (int64_t i = 0; count > 1 && i < n; i++) acc.f64[i] /= count;
    elem_store_f64(y->dtype, y->data, y_at, n, acc.f64);
  } else {
    elem_store_i64(y->dtype, y->data, y_at, n, acc.i64);
  }
}

static ledge_status variadic(op_ctx *c, const elem_loop *table, int count) {
  enum { FEW = 8 };
  tensor *y = op_out(c, 0);
  if (!y || tensor_elements(y) == 0) return LEDGE_OK;
  const tensor *few_in[FEW], **in = few_in;
  int64_t few_strides[FEW][LEDGE_MAX_RANK], (*strides)[LEDGE_MAX_RANK] = few_strides, few_at[FEW], *at = few_at;
  char *scratch = NULL;
  if (c->n_in > FEW) {
    size_t each = sizeof *strides + sizeof *at + sizeof *in;
    scratch = op_scratch(c, (size_t)c->n_in, each);
    if (!scratch) return LEDGE_ERROR_MEMORY;
    strides = (int64_t(*)[LEDGE_MAX_RANK])(void *)scratch;
    at = (int64_t *)(void *)(scratch + (size_t)c->n_in * sizeof *strides);
    in = (const tensor **)(void *)(at + c->n_in);
  }
  for (int k = 0; k < c->n_in; k++) in[k] = op_in(c, k);
  ledge_dtype as = elem_table_dtype(table, y->dtype);
  int64_t index[LEDGE_MAX_RANK];
  elem_bcast b;
  elem_bcast_init(&b, strides, y->rank, y->dims, c->n_in, in);
  elem_bcast_seek(&b, 0, index, at);
  for (int64_t row = 0; row < b.rows; row++, elem_bcast_next(&b, index, at)) {
    for (int64_t j = 0, n; j < b.inner; j += n) {
      n = b.inner - j < ELEM_CHUNK ? b.inner - j : ELEM_CHUNK;
      fold(c, table[as], as, at, strides, b.rank - 1, j, n, count, row * b.inner + j);
    }
  }
  op_scratch_free(scratch);
  return LEDGE_OK;
}

static ledge_status max_run(op_ctx *c) { return variadic(c, max_table, 1); }
static ledge_status min_run(op_ctx *c) { return variadic(c, min_table, 1); }
static ledge_status sum_run(op_ctx *c) { return variadic(c, sum_table, 1); }
static ledge_status mean_run(op_ctx *c) { return variadic(c, sum_table, c->n_in); }

const op_def ops_variadic[] = {{"", "Max", 1, 0, 1, -1, 1, 1, OP_INPLACE(0), numeric_infer, max_run},
                               {"", "Min", 1, 0, 1, -1, 1, 1, OP_INPLACE(0), numeric_infer, min_run},
                               {"", "Sum", 1, 0, 1, -1, 1, 1, OP_INPLACE(0), float_infer, sum_run},
                               {"", "Mean", 1, 0, 1, -1, 1, 1, OP_INPLACE(0), float_infer, mean_run},
                               {0}};
