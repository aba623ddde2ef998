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

static ledge_status conv_pack_stored(const kernel_request *r, const conv_bf16_plan *plan, const tensor *w,
                                     const tensor *b, const void **ret, ledge_error *error) {
  /* The packing depends on the way and the sizes, not on the image's. */
  const conv_f32_params *p = &plan->params;
  int64_t taps = 1;
  for (int i = 0; i < p->rank; i++) taps *= p->kernel[i];
  const int64_t key[] = {plan->planes, p->channels_in, p->channels_out, p->groups, taps};
  const conv_pack_args args = {plan, w->data, cpu_f32(b)};
  const weight_packing packing = {.kind = "conv_bf16",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = plan->variant,
                                  .with = {b},
                                  .bytes = plan->packed_bytes,
                                  .pack = conv_pack,
                                  .arg = &args};
  return weight_store_pack(r->weights, w, &packing, ret, error);
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
  if (!cpu_conv_set_stride(&p, operand, row, stride) || !conv_bf16_plan_init(&plan, &p, s->isa) ||
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
  TRY(conv_pack_stored(r, &s->plan, w, b, &s->packed, error));
  *ret = (kernel){.run = conv_run,
                  .state = s,
                  .scratch_bytes = s->plan.scratch_bytes,
                  .name = s->plan.planes ? "planes_bf16" : "gather_bf16",
                  .multiply_adds = cpu_conv_multiply_adds(p),
                  .any_address = WEIGHTS,
                  .window = conv_window};
  return LEDGE_OK;
}

/* ---- separable convolutions ---- */

/* One by one: what goes between the stages is written whole, but the 1x1 ones are so fast that bands would not pay. */
typedef struct separable_state {
  struct {
    bool bf16;
    conv_bf16_plan half;
    conv_f32_plan whole;
    const void *packed;
    size_t at; /* in scratch: of the stage's output; the last's is y */
  } stage[SEPARABLE_MOST];
  int last;
  size_t at_scratch; /* of the stages' own */
} separable_state;

enum { SEPARABLE_WEIGHTS = 0x15554 }; /* every second input from 2 on */

static ledge_status separable_run(op_ctx *c) {
  const separable_state *s = c->kernel;
  const float *x = op_in(c, 0)->data;
  char *scratch = c->scratch;
  for (int i = 0; i <= s->last; i++) {
    const float *residual = i == s->last ? cpu_f32(op_in(c, 1)) : NULL;
    float *y = i == s->last ? op_out(c, 0)->data : (float *)(void *)(scratch + s->stage[i].at);
    if (s->stage[i].bf16)
      conv_bf16_run(&s->stage[i].half, x, s->stage[i].packed, y, residual, scratch + s->at_scratch, c->pool);
    else
      conv_f32_run(&s->stage[i].whole, x, s->stage[i].packed, y, residual, scratch + s->at_scratch, c->pool);
    x = y;
  }
  return LEDGE_OK;
}

/* One stage's plan and weights; *own: the most scratch that a stage takes. False: not for these sizes. */
static ledge_status separable_stage_prepare(const kernel_request *r, separable_state *s, int i,
                                            const conv_f32_params *p, size_t *own, bool *ret, ledge_error *error) {
  const tensor *w = op_in(r->ctx, 2 + 2 * i), *b = op_in(r->ctx, 3 + 2 * i);
  s->stage[i].bf16 = conv_bf16_plan_init(&s->stage[i].half, p, r->isa);
  *ret = s->stage[i].bf16 || conv_f32_plan_init(&s->stage[i].whole, p, r->isa);
  if (!*ret) return LEDGE_OK;
  size_t scratch = s->stage[i].bf16 ? s->stage[i].half.scratch_bytes : s->stage[i].whole.scratch_bytes;
  if (scratch > *own) *own = scratch;
  if (s->stage[i].bf16) return conv_pack_stored(r, &s->stage[i].half, w, b, &s->stage[i].packed, error);
  return cpu_conv_pack(r, &s->stage[i].whole, w, b, &s->stage[i].packed, error);
}

ledge_status cpu_bf16_separable(const kernel_request *r, const separable_f32_params *p, kernel *ret,
                                ledge_error *error) {
  if (r->precision != LEDGE_PRECISION_BF16 || !tensor_elements(op_out(r->ctx, 0))) return LEDGE_OK;
  separable_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  double multiply_adds = 0;
  size_t between = 0, own = 0;
  *s = (separable_state){.last = p->n - 1};
  for (int i = 0; i <= s->last; i++) {
    conv_f32_params stage = p->stage[i];
    bool fits = false;
    stage.threads = r->threads;
    stage.algo = CONV_AUTO;
    TRY(separable_stage_prepare(r, s, i, &stage, &own, &fits, error));
    size_t bytes = (size_t)stage.batch * sizeof(float);
    for (int d = 0; fits && d < stage.rank; d++) fits = mem_mul(bytes, (size_t)stage.out[d], &bytes);
    fits = fits && mem_mul(bytes, (size_t)stage.channels_out, &bytes) && bytes <= PTRDIFF_MAX / 8;
    if (!fits) return LEDGE_OK;
    s->stage[i].at = between;
    if (i < s->last) between += mem_align(bytes, 64);
    multiply_adds += cpu_conv_multiply_adds(&stage);
  }
  s->at_scratch = between;
  if (!mem_add(between, own, &between)) return LEDGE_OK;
  *ret = (kernel){.run = separable_run,
                  .state = s,
                  .scratch_bytes = between,
                  .name = "separable_bf16",
                  .multiply_adds = multiply_adds,
                  .any_address = SEPARABLE_WEIGHTS};
  return LEDGE_OK;
}
