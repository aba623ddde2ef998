/* backend/cpu/conv: convolutions, channels last, with constant weights: packed once a model. */
#include "backend/cpu/conv.h"
#include "backend/cpu/bf16.h"
#include "base/error.h"
#include "ops/fused.h"

enum { CONV_WEIGHTS = 1u << 1 }; /* the input that is packed */

typedef struct conv_state {
  conv_f32_plan plan;
  const void *packed;
} conv_state;

typedef struct conv_pack_args {
  const conv_f32_plan *plan;
  const void *weights;
  const float *bias;
} conv_pack_args;

static void conv_pack(const void *arg, void *dst) {
  const conv_pack_args *a = arg;
  conv_f32_pack(a->plan, a->weights, a->bias, dst, NULL);
}

static ledge_status conv_run(op_ctx *c) {
  const conv_state *s = c->kernel;
  conv_f32_run(&s->plan, op_in(c, 0)->data, s->packed, op_out(c, 0)->data, cpu_f32(op_in(c, 3)), c->scratch, c->pool);
  return LEDGE_OK;
}

bool cpu_conv_set_stride(conv_f32_params *p, int operand, int64_t row, int64_t stride) {
  switch (operand) {
    case ~0: p->y_pixel_stride = stride; break;
    case 0: p->x_pixel_stride = stride; break;
    case 3: p->residual_pixel_stride = stride; break;
    default: return false;
  }
  return row == (operand == 0 ? p->channels_in : p->channels_out);
}

/* The weights are packed already: what is made of them must stay as it is. */
static bool conv_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  conv_state *s = state;
  conv_f32_plan plan;
  conv_f32_params p = s->plan.params;
  if (!cpu_conv_set_stride(&p, operand, row, stride) || !conv_f32_plan_init(&plan, &p, s->plan.isa_mask) ||
      plan.params.algo != s->plan.params.algo || plan.packed_bytes != s->plan.packed_bytes ||
      memcmp(plan.layout, s->plan.layout, sizeof plan.layout))
    return false;
  s->plan = plan;
  *scratch_bytes = plan.scratch_bytes;
  return true;
}

double cpu_conv_multiply_adds(const conv_f32_params *p) {
  double n = (double)p->batch * (double)p->channels_out * (double)(p->channels_in / p->groups);
  for (int i = 0; i < p->rank; i++) n *= (double)p->out[i] * (double)p->kernel[i];
  return n;
}

ledge_status cpu_conv_pack(const kernel_request *r, const conv_f32_plan *plan, const tensor *w, const tensor *b,
                           const void **ret, ledge_error *error) {
  /* The packing depends on the algorithm, the tile and the sizes, not on the image's. */
  const conv_f32_params *p = &plan->params;
  const int64_t key[] = {p->algo,         p->channels_in,  p->channels_out, p->groups,
                         plan->layout[0], plan->layout[1], plan->layout[2], plan->layout[3]};
  const conv_pack_args args = {plan, w->data, cpu_f32(b)};
  const weight_packing packing = {.kind = "conv_f32",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = plan->gemm,
                                  .with = {b},
                                  .bytes = plan->packed_bytes,
                                  .pack = conv_pack,
                                  .arg = &args};
  return weight_store_pack(r->weights, w, &packing, ret, error);
}

static ledge_status conv_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!cpu_constant(r, 1) || (op_has(c, 2) && !cpu_constant(r, 2))) return LEDGE_OK;
  if (tensor_elements(op_in(c, 0)) == 0 || tensor_elements(op_out(c, 0)) == 0) return LEDGE_OK;
  conv_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  const tensor *w = op_in(c, 1), *b = op_in(c, 2);
  conv_f32_params p;
  TRY(fused_conv_params(c, op_in(c, 0), w, true, &p));
  TRY(fused_epilogue(c, &p.epilogue));
  p.threads = r->threads;
  TRY(cpu_bf16_conv(r, &p, ret, error));
  if (ret->run) return LEDGE_OK;
  p.algo = cpu_conv_tuned(r, &p);
  if (!conv_f32_plan_init(&s->plan, &p, r->isa)) return LEDGE_OK;
  TRY(cpu_conv_pack(r, &s->plan, w, b, &s->packed, error));
  *ret = (kernel){.run = conv_run,
                  .state = s,
                  .scratch_bytes = s->plan.scratch_bytes,
                  .name = conv_algo_name(s->plan.params.algo),
                  .multiply_adds = cpu_conv_multiply_adds(&p),
                  .any_address = CONV_WEIGHTS,
                  .window = conv_window};
  return LEDGE_OK;
}

typedef struct convtranspose_state {
  convtranspose_f32_plan plan;
  const void *packed;
} convtranspose_state;

typedef struct convtranspose_pack_args {
  const convtranspose_f32_plan *plan;
  const void *weights;
  const float *bias;
} convtranspose_pack_args;

static void convtranspose_pack(const void *arg, void *dst) {
  const convtranspose_pack_args *a = arg;
  convtranspose_f32_pack(a->plan, a->weights, a->bias, dst, NULL);
}

static ledge_status convtranspose_run(op_ctx *c) {
  const convtranspose_state *s = c->kernel;
  convtranspose_f32_run(&s->plan, op_in(c, 0)->data, s->packed, op_out(c, 0)->data, c->scratch, c->pool);
  return LEDGE_OK;
}

static ledge_status convtranspose_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!cpu_constant(r, 1) || (op_has(c, 2) && !cpu_constant(r, 2))) return LEDGE_OK;
  if (tensor_elements(op_in(c, 0)) == 0 || tensor_elements(op_out(c, 0)) == 0) return LEDGE_OK;
  convtranspose_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  const tensor *w = op_in(c, 1), *b = op_in(c, 2);
  convtranspose_f32_params p;
  TRY(fused_convtranspose_params(c, op_in(c, 0), w, true, &p));
  TRY(fused_epilogue(c, &p.epilogue));
  p.threads = r->threads;
  if (!convtranspose_f32_plan_init(&s->plan, &p, r->isa)) return LEDGE_OK;
  int64_t key[10] = {p.groups};
  for (int i = 0; i < p.rank; i++) key[1 + i] = p.stride[i], key[4 + i] = p.dilation[i], key[7 + i] = p.pad_begin[i];
  const convtranspose_pack_args args = {&s->plan, w->data, cpu_f32(b)};
  const weight_packing packing = {.kind = "convtranspose_f32",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = s->plan.gemm,
                                  .with = {b},
                                  .bytes = s->plan.packed_bytes,
                                  .pack = convtranspose_pack,
                                  .arg = &args};
  TRY(weight_store_pack(r->weights, w, &packing, &s->packed, error));
  double n = (double)p.batch * (double)p.channels_in * (double)(p.channels_out / p.groups);
  for (int i = 0; i < p.rank; i++) n *= (double)p.in[i] * (double)p.kernel[i];
  *ret = (kernel){convtranspose_run, s, s->plan.scratch_bytes, "convtranspose", n, CONV_WEIGHTS};
  return LEDGE_OK;
}

const cpu_row cpu_rows_conv[] = {
    {"ledge", "Conv", conv_prepare, CONV_WEIGHTS},
    {"ledge", "ConvTranspose", convtranspose_prepare, CONV_WEIGHTS},
    {0},
};
