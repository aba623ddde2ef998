/* backend/cpu/scaled: ledge.ScaledConv, a 1x1 convolution of an image whose channels are multiplied by factors that are
 * computed in each run (squeeze-and-excite). Conv(x * s, W) is Conv(x, W * s): where the image has many more pixels
 * than W has rows, the weights are scaled instead.
 *
 * What stands where in packed weights is the convolution's business: packing the numbers of the channels once tells,
 * for each group of packed floats, by which channel's factor it is multiplied (0: by none, of padding). */
#include "backend/cpu/conv.h"
#include "base/error.h"
#include "ops/fused.h"

enum { SCALED_WEIGHTS = 1u << 2, SCALED_GROUP = 8 };

typedef struct scaled_state {
  conv_f32_plan plan; /* of one image */
  const float *packed;
  const int32_t *channel; /* by group */
  int64_t n_groups, group, batch, x_image, y_image, r_image;
} scaled_state;

static void scale_packed(const scaled_state *s, const float *factors, float *to) {
  const float *from = s->packed;
  for (int64_t g = 0; g < s->n_groups; g++, from += s->group, to += s->group) {
    const float f = s->channel[g] ? factors[s->channel[g] - 1] : 1;
    if (s->group == SCALED_GROUP)
      for (int i = 0; i < SCALED_GROUP; i++) to[i] = from[i] * f;
    else
      to[0] = from[0] * f;
  }
}

static ledge_status scaled_run(op_ctx *c) {
  const scaled_state *s = c->kernel;
  const float *x = op_in(c, 0)->data, *factors = op_in(c, 1)->data, *r = cpu_f32(op_in(c, 4));
  float *y = op_out(c, 0)->data, *scaled = c->scratch;
  char *scratch = (char *)c->scratch + mem_align(s->plan.packed_bytes, 64);
  for (int64_t i = 0; i < s->batch; i++) {
    scale_packed(s, factors + i * s->plan.params.channels_in, scaled);
    conv_f32_run(&s->plan, x + i * s->x_image, scaled, y + i * s->y_image, r ? r + i * s->r_image : NULL, scratch,
                 c->pool);
  }
  return LEDGE_OK;
}

/* The channel that each of n packed floats belongs to, from a packing of the channels' numbers; the bias, which is
 * packed too, is given none. */
static void find_channels(scaled_state *s, const float *numbers, int64_t n, int32_t *channel) {
  s->group = n % SCALED_GROUP ? 1 : SCALED_GROUP;
  for (int64_t i = 0; i < n && s->group > 1; i++) {
    float first = 0;
    for (int64_t k = i - i % SCALED_GROUP; k < i - i % SCALED_GROUP + SCALED_GROUP; k++)
      if (numbers[k] != 0) first = numbers[k];
    if (numbers[i] != 0 && numbers[i] != first) s->group = 1;
  }
  s->n_groups = n / s->group;
  for (int64_t g = 0; g < s->n_groups; g++) {
    channel[g] = 0;
    for (int64_t i = 0; i < s->group; i++)
      if (numbers[g * s->group + i] != 0) channel[g] = (int32_t)numbers[g * s->group + i];
  }
  s->channel = channel;
}

static ledge_status map_channels(const kernel_request *r, scaled_state *s, ledge_error *error) {
  const conv_f32_params *p = &s->plan.params;
  const size_t n_weights = (size_t)p->channels_out * (size_t)p->channels_in, n = s->plan.packed_bytes / sizeof(float);
  float *weights = mem_alloc_array(n_weights, sizeof *weights), *numbers = mem_alloc_aligned(s->plan.packed_bytes, 64);
  int32_t *channel = cpu_state(r, n * sizeof *channel, error);
  ledge_status status = weights && numbers && channel ? LEDGE_OK : error_memory(error, n * 4, "a convolution");
  if (!status) {
    memset(numbers, 0, s->plan.packed_bytes);
    for (size_t i = 0; i < n_weights; i++) weights[i] = (float)(i % (size_t)p->channels_in + 1);
    conv_f32_pack(&s->plan, (const unaligned_f32 *)weights, NULL, numbers, NULL);
    find_channels(s, numbers, (int64_t)n, channel);
  }
  mem_free(weights);
  mem_free(numbers);
  return status;
}

static ledge_status scaled_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *w = op_in(c, 2), *b = op_in(c, 3), *y = op_out(c, 0);
  if (!cpu_constant(r, 2) || (b && !cpu_constant(r, 3)) || !tensor_elements(x) || !tensor_elements(y)) return LEDGE_OK;
  scaled_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  conv_f32_params p;
  TRY(fused_conv_params(c, x, w, true, &p));
  TRY(fused_epilogue(c, &p.epilogue));
  const double multiply_adds = cpu_conv_multiply_adds(&p);
  *s = (scaled_state){.batch = p.batch};
  s->x_image = tensor_elements(x) / p.batch;
  s->y_image = s->r_image = tensor_elements(y) / p.batch;
  p.batch = 1;
  p.threads = r->threads;
  const void *packed;
  if (p.channels_in > 1 << 24 || !conv_f32_plan_init(&s->plan, &p, r->isa)) return LEDGE_OK;
  TRY(cpu_conv_pack(r, &s->plan, w, b, &packed, error));
  s->packed = packed;
  TRY(map_channels(r, s, error));
  *ret = (kernel){.run = scaled_run,
                  .state = s,
                  .scratch_bytes = mem_align(s->plan.packed_bytes, 64) + s->plan.scratch_bytes,
                  .name = conv_algo_name(s->plan.params.algo),
                  .multiply_adds = multiply_adds,
                  .any_address = SCALED_WEIGHTS};
  return LEDGE_OK;
}

const cpu_row cpu_rows_scaled[] = {
    {"ledge", "ScaledConv", scaled_prepare, SCALED_WEIGHTS},
    {0},
};
