/* kernels/convtranspose: phase by phase. In one dimension, output o is reached from input i by tap t where
 *
 *   o + pad = i * stride + t * dilation
 *
 * so the outputs of a phase f = (o + pad) mod stride are reached by the taps with t * dilation = f (mod stride) alone:
 * by every period-th tap, period = stride / gcd(stride, dilation). From one such tap to the next, i moves by -dilation
 * / gcd; from one such output to the next, by 1. That is an ordinary convolution of stride 1 with the taps reversed:
 *
 *   i = q + offset of the last tap + t' * (dilation / gcd),    t' = 0 for the last tap, 1 for the one before, ...
 *
 * A phase without taps holds the bias alone. Packed block: [bias][weights of phase 0][weights of phase 1]... */
#include "kernels/convtranspose/convtranspose.h"

#include "base/mem.h"
#include "kernels/conv/conv_impl.h"

#include <assert.h>
#include <string.h>

/* One phase in one dimension. */
typedef struct phase_dim {
  int64_t first, count; /* its first output, and how many, `stride` apart */
  int64_t last, taps;   /* its last tap, and how many, `period` apart */
  int64_t period, dilation;
  int64_t offset; /* input index that the first output reads by the last tap */
} phase_dim;

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b, b = r;
  }
  return a;
}

/* Phase `first`: the outputs first, first + stride, ... */
static phase_dim phase_of(const convtranspose_f32_params *p, int d, int64_t first) {
  int64_t stride = p->stride[d], dilation = p->dilation[d], kernel = p->kernel[d], common = gcd(stride, dilation);
  phase_dim f = {.first = first,
                 .count = first < p->out[d] ? (p->out[d] - 1 - first) / stride + 1 : 0,
                 .period = stride / common,
                 .dilation = dilation / common};
  int64_t t = 0, reach = first + p->pad_begin[d];
  while (t < f.period && t < kernel && (reach - t * dilation) % stride != 0) t++;
  if (t == f.period || t >= kernel) return f;
  f.taps = (kernel - 1 - t) / f.period + 1;
  f.last = t + (f.taps - 1) * f.period;
  f.offset = (reach - f.last * dilation) / stride;
  return f;
}

typedef struct phase {
  phase_dim dim[3];
  bool empty, bare; /* no outputs; no taps */
  conv_f32_params conv;
} phase;

static phase phase_at(const convtranspose_f32_params *p, int64_t index) {
  phase f = {.conv = {.rank = p->rank,
                      .batch = p->batch,
                      .channels_in = p->channels_in,
                      .channels_out = p->channels_out,
                      .groups = p->groups,
                      .x_pixel_stride = p->x_pixel_stride,
                      .y_pixel_stride = p->y_pixel_stride,
                      .epilogue = p->epilogue,
                      .algo = CONV_STRIP,
                      .threads = p->threads}};
  int64_t step = p->y_pixel_stride;
  for (int d = p->rank - 1; d >= 0; d--) {
    f.dim[d] = phase_of(p, d, index % p->stride[d]);
    index /= p->stride[d];
    f.empty = f.empty || f.dim[d].count == 0;
    f.bare = f.bare || f.dim[d].taps == 0;
    f.conv.in[d] = p->in[d];
    f.conv.out[d] = f.dim[d].count;
    f.conv.kernel[d] = f.dim[d].taps;
    f.conv.stride[d] = 1;
    f.conv.dilation[d] = f.dim[d].dilation;
    f.conv.pad_begin[d] = -f.dim[d].offset;
    f.conv.y_step[d] = step * p->stride[d];
    step *= p->out[d];
  }
  f.conv.y_image_step = step;
  return f;
}

static conv_algo phase_algo(const conv_f32_params *conv, const gemm_f32_variant *v) {
  return conv->out[conv->rank - 1] * 2 < v->mr ? CONV_GATHER : CONV_STRIP;
}

static size_t bias_bytes(const convtranspose_f32_params *p) {
  return mem_align((size_t)p->channels_out * sizeof(float), 64);
}

/* The largest number of phases: each costs a pass over its share of y and a plan. */
enum { PHASES_MAX = 1 << 20 };

bool convtranspose_f32_plan_init(convtranspose_f32_plan *ret_plan, const convtranspose_f32_params *params,
                                 uint32_t isa_mask) {
  convtranspose_f32_plan plan = {.params = *params, .gemm = gemm_f32_best(isa_mask), .n_phases = 1};
  convtranspose_f32_params *p = &plan.params;
  if (p->rank < 1 || p->rank > 3) return false;
  if (!p->x_pixel_stride) p->x_pixel_stride = p->channels_in;
  if (!p->y_pixel_stride) p->y_pixel_stride = p->channels_out;
  if (p->threads < 1) p->threads = 1;
  /* The sizes are checked as those of a convolution that is at least as large as any phase. */
  conv_f32_params whole = {.rank = p->rank,
                           .batch = p->batch,
                           .channels_in = p->channels_in,
                           .channels_out = p->channels_out,
                           .groups = p->groups,
                           .x_pixel_stride = p->x_pixel_stride,
                           .y_pixel_stride = p->y_pixel_stride,
                           .algo = CONV_REF};
  for (int d = 0; d < p->rank; d++) {
    whole.in[d] = p->in[d], whole.out[d] = p->out[d], whole.kernel[d] = p->kernel[d], whole.stride[d] = p->stride[d];
    whole.dilation[d] = p->dilation[d], whole.pad_begin[d] = p->pad_begin[d];
  }
  conv_f32_plan checked;
  if (!conv_f32_plan_init(&checked, &whole, isa_mask)) return false;
  for (int d = 0; d < p->rank; d++) {
    if (__builtin_mul_overflow(plan.n_phases, p->stride[d], &plan.n_phases) || plan.n_phases > PHASES_MAX) return false;
  }
  plan.packed_bytes = bias_bytes(p);
  for (int64_t i = 0; i < plan.n_phases; i++) {
    phase f = phase_at(p, i);
    if (f.empty || f.bare) continue;
    conv_f32_plan conv;
    size_t weights;
    f.conv.algo = phase_algo(&f.conv, plan.gemm);
    if (!conv_f32_plan_init(&conv, &f.conv, plan.gemm->isa) || !conv_panels_bytes(&conv, &weights)) return false;
    if (!mem_add(plan.packed_bytes, mem_align(weights, 64), &plan.packed_bytes)) return false;
    if (conv.thread_scratch_bytes > plan.thread_scratch_bytes) plan.thread_scratch_bytes = conv.thread_scratch_bytes;
  }
  if (!mem_mul(plan.thread_scratch_bytes, (size_t)p->threads, &plan.scratch_bytes)) return false;
  *ret_plan = plan;
  return true;
}

/* Phase i as a planned convolution; false where it has nothing to multiply. `at`: its weights' place, moved past them.
 */
static bool phase_plan(const convtranspose_f32_plan *plan, const phase *f, conv_f32_plan *conv, size_t *at,
                       size_t *weights) {
  if (f->empty || f->bare) return false;
  conv_f32_params params = f->conv;
  size_t bytes;
  params.algo = phase_algo(&params, plan->gemm);
  bool planned = conv_f32_plan_init(conv, &params, plan->gemm->isa) && conv_panels_bytes(conv, &bytes);
  assert(planned); /* convtranspose_f32_plan_init did the same */
  if (!planned) return false;
  *weights = *at;
  *at += mem_align(bytes, 64);
  return true;
}

void convtranspose_f32_pack(const convtranspose_f32_plan *plan, const unaligned_f32 *weights, const float *bias,
                            void *packed, pool *p) {
  const convtranspose_f32_params *t = &plan->params;
  int64_t taps = 1, tap_step[3], out = t->channels_out / t->groups, in = t->channels_in / t->groups;
  memset(packed, 0, bias_bytes(t));
  if (bias) memcpy(packed, bias, (size_t)t->channels_out * sizeof(float));
  for (int d = t->rank - 1; d >= 0; d--) tap_step[d] = taps, taps *= t->kernel[d];
  size_t at = bias_bytes(t), where;
  for (int64_t i = 0; i < plan->n_phases; i++) {
    phase f = phase_at(t, i);
    conv_f32_plan conv;
    if (!phase_plan(plan, &f, &conv, &at, &where)) continue;
    conv_weights w = {.at = weights, .group = in * out * taps, .out = taps, .in = out * taps};
    for (int d = 0; d < t->rank; d++) {
      w.at += f.dim[d].last * tap_step[d];
      w.tap[d + 3 - t->rank] = -f.dim[d].period * tap_step[d];
    }
    conv_panels_pack_from(&conv, &w, (float *)((char *)packed + where), p);
  }
}

/* The positions of a phase without taps: the bias. */
static void phase_fill(const convtranspose_f32_params *p, const phase *f, const float *bias, float *y) {
  int64_t n = p->batch;
  for (int d = 0; d < p->rank; d++) n *= f->conv.out[d];
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i, at = 0;
    for (int d = p->rank - 1; d >= 0; d--) {
      at += rest % f->conv.out[d] * f->conv.y_step[d];
      rest /= f->conv.out[d];
    }
    float *to = y + rest * f->conv.y_image_step + at;
    for (int64_t c = 0; c < p->channels_out; c++) to[c] = kernel_act_ref(&p->epilogue, bias[c]);
  }
}

void convtranspose_f32_run(const convtranspose_f32_plan *plan, const float *x, const void *packed, float *y,
                           void *scratch, pool *p) {
  const convtranspose_f32_params *t = &plan->params;
  size_t at = bias_bytes(t), where;
  for (int64_t i = 0; i < plan->n_phases; i++) {
    phase f = phase_at(t, i);
    conv_f32_plan conv;
    int64_t first = 0;
    for (int d = 0; d < t->rank; d++) first += f.dim[d].first * (f.conv.y_step[d] / t->stride[d]);
    if (f.bare && !f.empty) phase_fill(t, &f, packed, y + first);
    if (!phase_plan(plan, &f, &conv, &at, &where)) continue;
    conv_run_args args = {.plan = &conv,
                          .x = x,
                          .bias = packed,
                          .packed = (const float *)((const char *)packed + where),
                          .y = y + first,
                          .scratch = scratch,
                          .pool = p};
    conv_run_planned(&args);
  }
}
