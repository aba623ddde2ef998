/* backend/cpu/matmul: matrix products: MatMul, Gemm and ledge.MatMul. A constant B is packed once a model; a B that is
 * computed is packed into scratch on the way. */
#include "backend/cpu/bf16.h"
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/gemm/gemm.h"
#include "ops/fused.h"

typedef struct matmul_state {
  gemm_f32_plan plan;
  const float *packed; /* NULL: B is packed in the run */
  int64_t m, n_batch, a_stride;
  int64_t b_stride_k, b_stride_n;
  float alpha;
  const int64_t *a_offsets, *b_offsets, *c_offsets;
} matmul_state;

enum { MATMUL_B = 1u << 1 }; /* the input that is packed */
enum { FETCH_ROWS = 8 };     /* products of fewer rows read weights as fast as they come; there is no time for more */

typedef struct matmul_pack_args {
  const gemm_f32_plan *plan;
  const void *b;
  int64_t stride_k, stride_n;
  float scale;
} matmul_pack_args;

static void matmul_pack(const void *arg, void *dst) {
  const matmul_pack_args *a = arg;
  gemm_f32_pack_b(a->plan, a->b, a->stride_k, a->stride_n, a->scale, dst, NULL);
}

/* Inputs: A, B, bias or C, residual. */
static ledge_status matmul_run(op_ctx *c) {
  const matmul_state *s = c->kernel;
  const float *bias = cpu_f32(op_in(c, 2)), *residual = cpu_f32(op_in(c, 3));
  float *y = op_out(c, 0)->data;
  if (s->packed) {
    const int64_t n = s->plan.params.n;
    gemm_f32_args args = {s->m, op_in(c, 0)->data, s->a_stride, s->packed, bias, residual, n, y, n, s->m >= FETCH_ROWS};
    gemm_f32_run(&s->plan, &args, c->scratch, c->pool);
    return LEDGE_OK;
  }
  gemm_f32_batch_args args = {.n_batch = s->n_batch,
                              .m = s->m,
                              .a = op_in(c, 0)->data,
                              .a_stride = s->a_stride,
                              .b = op_in(c, 1)->data,
                              .b_stride_k = s->b_stride_k,
                              .b_stride_n = s->b_stride_n,
                              .scale = s->alpha,
                              .bias = bias,
                              .c = y,
                              .c_stride = s->plan.params.n,
                              .a_offsets = s->a_offsets,
                              .b_offsets = s->b_offsets,
                              .c_offsets = s->c_offsets};
  gemm_f32_run_unpacked(&s->plan, &args, c->scratch, c->pool);
  return LEDGE_OK;
}

static ledge_status matmul_offsets(const kernel_request *r, matmul_state *s, const fused_matmul *f, const tensor *a,
                                   const tensor *b, ledge_error *error) {
  int64_t *at = cpu_state(r, (size_t)f->n_batch * 3 * sizeof *at, error);
  if (!at) return LEDGE_ERROR_MEMORY;
  s->a_offsets = at;
  s->b_offsets = at + f->n_batch;
  s->c_offsets = at + 2 * f->n_batch;
  for (int64_t i = 0; i < f->n_batch; i++) {
    fused_matmul_offsets(f, a, b, i, &at[i], &at[f->n_batch + i]);
    at[2 * f->n_batch + i] = i * f->m * f->n;
  }
  return LEDGE_OK;
}

static ledge_status matmul_finish(const kernel_request *r, matmul_state *s, const gemm_f32_params *p, kernel *ret,
                                  ledge_error *error) {
  const tensor *b = op_in(r->ctx, 1);
  if (p->b_is_constant && !p->a_transposed) {
    const bf16_product product = {p->m, p->n, p->k, s->b_stride_k, s->b_stride_n, s->alpha, p->epilogue};
    TRY(cpu_bf16_matmul(r, &product, ret, error));
    if (ret->run) return LEDGE_OK;
  }
  if (!gemm_f32_plan_init(&s->plan, p, r->isa)) return LEDGE_OK;
  if (p->b_is_constant) {
    union {
      float f;
      int32_t i;
    } alpha = {s->alpha};
    const int64_t key[] = {p->n, p->k, s->b_stride_k, s->b_stride_n, alpha.i};
    const matmul_pack_args args = {&s->plan, b->data, s->b_stride_k, s->b_stride_n, s->alpha};
    const void *packed;
    const weight_packing packing = {.kind = "gemm_f32",
                                    .params = key,
                                    .n_params = sizeof key / sizeof *key,
                                    .variant = s->plan.variant,
                                    .bytes = s->plan.packed_b_bytes,
                                    .pack = matmul_pack,
                                    .arg = &args};
    TRY(weight_store_pack(r->weights, b, &packing, &packed, error));
    s->packed = packed;
  }
  *ret = (kernel){matmul_run,
                  s,
                  s->plan.scratch_bytes,
                  gemm_f32_plan_name(&s->plan),
                  (double)s->n_batch * (double)p->m * (double)p->n * (double)p->k,
                  s->packed ? MATMUL_B : 0};
  return LEDGE_OK;
}

static ledge_status matmul_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!cpu_is_f32(r, 0) || !cpu_is_f32(r, 1)) return LEDGE_OK;
  const tensor *a = op_in(c, 0), *b = op_in(c, 1), *bias = op_in(c, 2);
  bool fused = !strcmp(c->node->domain, "ledge"), transposed = fused && op_int(c, "transB", 0) && b->rank > 1;
  if (!tensor_elements(a) || !tensor_elements(b) || (bias && !cpu_constant(r, 2))) return LEDGE_OK;
  matmul_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  fused_matmul f;
  TRY(fused_matmul_shape(c, a, b, transposed, &f));
  gemm_f32_params p = {.m = f.m, .n = f.n, .k = f.k, .threads = r->threads};
  if (fused) TRY(fused_epilogue(c, &p.epilogue));
  p.b_is_constant = cpu_constant(r, 1) && f.n_batch == 1;
  if (op_has(c, 3) && !p.b_is_constant) return LEDGE_OK;
  s->m = f.m;
  s->n_batch = f.n_batch;
  s->a_stride = f.k;
  s->b_stride_k = transposed ? 1 : f.n;
  s->b_stride_n = transposed ? f.k : 1;
  s->alpha = fused ? op_float(c, "alpha", 1) : 1;
  if (!p.b_is_constant) TRY(matmul_offsets(r, s, &f, a, b, error));
  return matmul_finish(r, s, &p, ret, error);
}

/* Gemm: alpha A' B' + beta C with C a row, absent, or beta 0; other forms are the reference's. */
static ledge_status gemm_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!cpu_is_f32(r, 0) || !cpu_is_f32(r, 1)) return LEDGE_OK;
  const tensor *a = op_in(c, 0), *b = op_in(c, 1), *bias = op_in(c, 2);
  if (a->rank != 2 || b->rank != 2 || !tensor_elements(a) || !tensor_elements(b)) return LEDGE_OK;
  bool ta = op_int(c, "transA", 0) != 0, tb = op_int(c, "transB", 0) != 0;
  int64_t m = a->dims[ta], k = a->dims[!ta], n = b->dims[!tb];
  if (bias && (op_float(c, "beta", 1) != 1 || bias->dtype != LEDGE_F32 || tensor_elements(bias) != n ||
               (bias->rank > 0 && bias->dims[bias->rank - 1] != n)))
    return LEDGE_OK;
  matmul_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  gemm_f32_params p = {
      .m = m, .n = n, .k = k, .a_transposed = ta, .b_is_constant = cpu_constant(r, 1), .threads = r->threads};
  s->m = m;
  s->n_batch = 1;
  s->a_stride = ta ? m : k;
  s->b_stride_k = tb ? 1 : n;
  s->b_stride_n = tb ? k : 1;
  s->alpha = op_float(c, "alpha", 1);
  if (!p.b_is_constant) {
    int64_t *zero = cpu_state(r, sizeof *zero, error);
    if (!zero) return LEDGE_ERROR_MEMORY;
    s->a_offsets = s->b_offsets = s->c_offsets = zero;
  }
  return matmul_finish(r, s, &p, ret, error);
}

const cpu_row cpu_rows_matmul[] = {
    {"", "MatMul", matmul_prepare, MATMUL_B},
    {"ledge", "MatMul", matmul_prepare, MATMUL_B},
    {"", "Gemm", gemm_prepare, MATMUL_B},
    {0},
};
