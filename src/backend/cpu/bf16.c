/* backend/cpu/bf16: see bf16.h. Weights are packed once a model, into half of float32's bytes. */
#include "backend/cpu/bf16.h"
#include "backend/cpu/conv.h"

#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/gemm_bf16/gemm_bf16.h"

enum { WEIGHTS = 1u << 1 }; /* the input that is packed */

/* ---- matrix products ---- */

typedef struct matmul_state {
  gemm_bf16_plan plan;
  const void *packed;
  int64_t m;
} matmul_state;

typedef struct matmul_pack_args {
  const gemm_bf16_plan *plan;
  const bf16_product *product;
  const void *b;
} matmul_pack_args;

static void matmul_pack(const void *arg, void *dst) {
  const matmul_pack_args *a = arg;
  gemm_bf16_pack_b(a->plan, a->b, a->product->stride_k, a->product->stride_n, a->product->alpha, dst, NULL);
}

static ledge_status matmul_run(op_ctx *c) {
  const matmul_state *s = c->kernel;
  int64_t n = s->plan.params.n, k = s->plan.params.k;
  const gemm_bf16_args args = {.m = s->m,
                               .a = op_in(c, 0)->data,
                               .a_stride = k,
                               .packed_b = s->packed,
                               .bias = cpu_f32(op_in(c, 2)),
                               .residual = cpu_f32(op_in(c, 3)),
                               .residual_stride = n,
                               .c = op_out(c, 0)->data,
                               .c_stride = n};
  gemm_bf16_run(&s->plan, &args, c->scratch, c->pool);
  return LEDGE_OK;
}

ledge_status cpu_bf16_matmul(const kernel_request *r, const bf16_product *p, kernel *ret, ledge_error *error) {
  if (r->precision != LEDGE_PRECISION_BF16) return LEDGE_OK;
  const gemm_bf16_params params = {p->m, p->n, p->k, p->epilogue, r->threads};
  const tensor *b = op_in(r->ctx, 1);
  matmul_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  if (!gemm_bf16_plan_init(&s->plan, &params, r->isa)) return LEDGE_OK;
  s->m = p->m;
  union {
    float f;
    int32_t i;
  } alpha = {p->alpha};
  const int64_t key[] = {p->n, p->k, p->stride_k, p->stride_n, alpha.i};
  const matmul_pack_args args = {&s->plan, p, b->data};
  const weight_packing packing = {.kind = "gemm_bf16",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = s->plan.variant,
                                  .bytes = s->plan.packed_b_bytes,
                                  .pack = matmul_pack,
                                  .arg = &args};
  TRY(weight_store_pack(r->weights, b, &packing, &s->packed, error));
  *ret = (kernel){
      matmul_run, s, s->plan.scratch_bytes, gemm_bf16_plan_name(&s->plan), (double)p->m * (double)p->n * (double)p->k,
      WEIGHTS};
  return LEDGE_OK;
}

/* ---- convolutions ---- */

typedef struct conv_state {
  conv_bf16_plan plan;
  uint32_t isa;
  const void *packed;
} conv_state;

typedef struct conv_pack_args {
  const conv_bf16_plan *plan;
  const void *weights;
  const float *bias;
} conv_pack_args;

static void conv_pack(const void *arg, void *dst) {
  const conv_pack_args *a = arg;
  conv_bf16_pack(a->plan, a->weights, a->bias, dst, NULL);
}

static ledge_status conv_run(op_ctx *c) {
  const conv_state *s = c->kernel;
  conv_bf16_run(&s->plan, op_in(c, 0)->data, s->packed, op_out(c, 0)->data, cpu_f32(op_in(c, 3)), c->scratch, c->pool);
  return LEDGE_OK;
}

/* The weights are packed already: what is made of them must stay as it is. */
static bool conv_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  conv_state *s = state;
  conv_bf16_plan plan;
  conv_f32_params p = s->plan.params;
  switch (operand) {
    case ~0: p.y_pixel_stride = stride; break;
    case 0: p.x_pixel_stride = stride; break;
    case 3: p.residual_pixel_stride = stride; break;
    default: return false;
  }
  if (row != (operand == 0 ? p.channels_in : p.channels_out) || !conv_bf16_plan_init(&plan, &p, s->isa) ||
      plan.planes != s->plan.planes || plan.packed_bytes != s->plan.packed_bytes)
    return false;
  s->plan = plan;
  *scratch_bytes = plan.scratch_bytes;
  return true;
}

ledge_status cpu_bf16_conv(const kernel_request *r, const conv_f32_params *p, kernel *ret, ledge_error *error) {
  if (r->precision != LEDGE_PRECISION_BF16) return LEDGE_OK;
  const tensor *w = op_in(r->ctx, 1), *b = op_in(r->ctx, 2);
  conv_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  if (!conv_bf16_plan_init(&s->plan, p, r->isa)) return LEDGE_OK;
  s->isa = r->isa;
  /* The packing depends on the way and the sizes, not on the image's. */
  int64_t taps = 1;
  for (int i = 0; i < p->rank; i++) taps *= p->kernel[i];
  const int64_t key[] = {s->plan.planes, p->channels_in, p->channels_out, p->groups, taps};
  const conv_pack_args args = {&s->plan, w->data, cpu_f32(b)};
  const weight_packing packing = {.kind = "conv_bf16",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = s->plan.variant,
                                  .with = {b},
                                  .bytes = s->plan.packed_bytes,
                                  .pack = conv_pack,
                                  .arg = &args};
  TRY(weight_store_pack(r->weights, w, &packing, &s->packed, error));
  *ret = (kernel){.run = conv_run,
                  .state = s,
                  .scratch_bytes = s->plan.scratch_bytes,
                  .name = s->plan.planes ? "planes_bf16" : "gather_bf16",
                  .multiply_adds = cpu_conv_multiply_adds(p),
                  .any_address = WEIGHTS,
                  .window = conv_window};
  return LEDGE_OK;
}
