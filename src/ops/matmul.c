/* ops/matmul: MatMul and Gemm, of floats in double and of integers modulo 2^64. */
#include "ops/fused.h"
#include "ops/real.h"

static ledge_status check_types(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  TRY(real_check(c, 0, true));
  if (a->dtype != b->dtype)
    return op_fail(c, LEDGE_ERROR_SHAPE, "its inputs have dtypes %s and %s", ledge_dtype_name(a->dtype),
                   ledge_dtype_name(b->dtype));
  return LEDGE_OK;
}

/* ---- products of [m, k] and [k, n] by strides ---- */

typedef struct product {
  int64_t m, n, k, a_m, a_k, b_k, b_n;
} product;

static void product_real(const product *p, const double *a, const double *b, double *y) {
  for (int64_t i = 0; i < p->m; i++) {
    double *row = y + i * p->n;
    for (int64_t k = 0; k < p->k; k++) {
      double v = a[i * p->a_m + k * p->a_k];
      const double *from = b + k * p->b_k;
      for (int64_t j = 0; j < p->n; j++) row[j] += v * from[j * p->b_n];
    }
  }
}

static int64_t wrap(const tensor *t, int64_t i) { return tensor_i64(t, i); }

static void product_integer(const product *p, const tensor *a, int64_t at_a, const tensor *b, int64_t at_b, tensor *y,
                            int64_t at) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j++) {
      uint64_t sum = 0;
      for (int64_t k = 0; k < p->k; k++)
        sum += (uint64_t)wrap(a, at_a + i * p->a_m + k * p->a_k) * (uint64_t)wrap(b, at_b + k * p->b_k + j * p->b_n);
      dtype_store_i64(y->dtype, y->data, at + i * p->n + j, (int64_t)sum);
    }
}

/* ---- MatMul ---- */

static ledge_status matmul_infer(op_ctx *c) {
  fused_matmul s;
  TRY(check_types(c));
  TRY(fused_matmul_shape(c, op_in(c, 0), op_in(c, 1), false, &s));
  return op_shape(c, 0, op_in(c, 0)->dtype, s.rank, s.dims);
}

static ledge_status matmul_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  tensor *y = op_out(c, 0);
  fused_matmul s;
  TRY(fused_matmul_shape(c, a, b, false, &s));
  product p = {s.m, s.n, s.k, s.k, 1, s.n, 1};
  bool real = dtype_is_float(a->dtype);
  double *x = real ? real_load(c, a) : NULL, *w = real ? real_load(c, b) : NULL,
         *r = real ? real_scratch(c, tensor_elements(y)) : NULL;
  ledge_status status = real && (!x || !w || !r) ? LEDGE_ERROR_MEMORY : LEDGE_OK;
  for (int64_t i = 0; !status && i < s.n_batch; i++) {
    int64_t at_a, at_b, at = i * s.m * s.n;
    fused_matmul_offsets(&s, a, b, i, &at_a, &at_b);
    if (real)
      product_real(&p, x + at_a, w + at_b, r + at);
    else
      product_integer(&p, a, at_a, b, at_b, y, at);
  }
  if (!status && real) real_store(r, y);
  op_scratch_free(x);
  op_scratch_free(w);
  op_scratch_free(r);
  return status;
}

/* ---- Gemm ---- */

static ledge_status gemm_product(op_ctx *c, product *p) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  TRY(check_types(c));
  if (a->rank != 2 || b->rank != 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "its inputs have ranks %d and %d, not 2", a->rank, b->rank);
  bool ta = op_int(c, "transA", 0) != 0, tb = op_int(c, "transB", 0) != 0;
  *p = (product){.m = a->dims[ta], .k = a->dims[!ta], .n = b->dims[!tb]};
  p->a_m = ta ? 1 : p->k;
  p->a_k = ta ? p->m : 1;
  p->b_k = tb ? 1 : p->n;
  p->b_n = tb ? p->k : 1;
  if (b->dims[tb] != p->k)
    return op_fail(c, LEDGE_ERROR_SHAPE, "rows of %lld do not fit columns of %lld", (long long)p->k,
                   (long long)b->dims[tb]);
  const tensor *bias = op_in(c, 2);
  int64_t dims[LEDGE_MAX_RANK], out[2] = {p->m, p->n};
  if (!bias) return LEDGE_OK;
  int rank = shape_broadcast(bias->rank, bias->dims, 2, out, dims);
  if (rank != 2 || dims[0] != p->m || dims[1] != p->n)
    return op_fail(c, LEDGE_ERROR_SHAPE, "C does not broadcast to the product");
  return bias->dtype == a->dtype ? LEDGE_OK : op_fail_dtype(c, 2);
}

static ledge_status gemm_infer(op_ctx *c) {
  product p = {0};
  TRY(gemm_product(c, &p));
  return op_shape(c, 0, op_in(c, 0)->dtype, 2, (int64_t[]){p.m, p.n});
}

/* Element (i, j) of C as broadcast. */
static int64_t bias_at(const tensor *bias, int64_t i, int64_t j) {
  int64_t rows = bias->rank > 1 ? bias->dims[bias->rank - 2] : 1,
          cols = bias->rank > 0 ? bias->dims[bias->rank - 1] : 1;
  return (rows == 1 ? 0 : i * cols) + (cols == 1 ? 0 : j);
}

static ledge_status gemm_real(op_ctx *c, const product *p) {
  const tensor *bias = op_in(c, 2);
  tensor *y = op_out(c, 0);
  double alpha = op_float(c, "alpha", 1), beta = op_float(c, "beta", 1);
  double *a = real_load(c, op_in(c, 0)), *b = real_load(c, op_in(c, 1)), *r = real_scratch(c, p->m * p->n);
  ledge_status status = a && b && r ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  if (!status) {
    product_real(p, a, b, r);
    for (int64_t i = 0; i < p->m * p->n; i++)
      r[i] = alpha * r[i] + (bias && beta != 0 ? beta * tensor_f64(bias, bias_at(bias, i / p->n, i % p->n)) : 0);
    real_store(r, y);
  }
  op_scratch_free(a);
  op_scratch_free(b);
  op_scratch_free(r);
  return status;
}

static ledge_status gemm_run(op_ctx *c) {
  product p;
  TRY(gemm_product(c, &p));
  if (dtype_is_float(op_in(c, 0)->dtype)) return gemm_real(c, &p);
  const tensor *bias = op_in(c, 2);
  tensor *y = op_out(c, 0);
  double alpha = op_float(c, "alpha", 1), beta = op_float(c, "beta", 1);
  product_integer(&p, op_in(c, 0), 0, op_in(c, 1), 0, y, 0);
  for (int64_t i = 0; i < p.m * p.n; i++) {
    int64_t v = tensor_i64(y, i), t = bias ? tensor_i64(bias, bias_at(bias, i / p.n, i % p.n)) : 0;
    if (alpha == 1 && beta == 1)
      dtype_store_i64(y->dtype, y->data, i, (int64_t)((uint64_t)v + (uint64_t)t));
    else
      dtype_store_f64(y->dtype, y->data, i, alpha * (double)v + beta * (double)t);
  }
  return LEDGE_OK;
}

const op_def ops_matmul[] = {
    {"", "MatMul", 1, 0, 2, 2, 1, 1, 0, matmul_infer, matmul_run},
    {"", "Gemm", 1, 0, 2, 3, 1, 1, 0, gemm_infer, gemm_run},
    {0},
};
