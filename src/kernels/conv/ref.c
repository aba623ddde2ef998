/* kernels/conv/ref: the oracle: every output by the definition, in double; and the algorithm of last resort. */
#include "kernels/conv/conv_impl.h"

#include <string.h>

/* The sum of one output channel n at output position o of image x. */
static double ref_sum(const conv_f32_params *p, const float *x, const float *w, const int64_t o[3]) {
  int64_t cg = p->channels_in / p->groups, taps = 1;
  for (int i = 0; i < p->rank; i++) taps *= p->kernel[i];
  double sum = 0;
  for (int64_t t = 0; t < taps; t++) {
    int64_t pixel = 0, rest = t, at[3];
    bool inside = true;
    for (int i = p->rank - 1; i >= 0; i--) {
      at[i] = o[i] * p->stride[i] - p->pad_begin[i] + rest % p->kernel[i] * p->dilation[i];
      rest /= p->kernel[i];
      if (at[i] < 0 || at[i] >= p->in[i]) inside = false;
    }
    if (!inside) continue;
    for (int i = 0; i < p->rank; i++) pixel = pixel * p->in[i] + at[i];
    for (int64_t c = 0; c < cg; c++) sum += (double)x[pixel * p->x_pixel_stride + c] * w[c * taps + t];
  }
  return sum;
}

void conv_f32_ref(const conv_f32_params *params, const float *x, const float *weights, const float *bias,
                  const float *residual, float *y) {
  conv_f32_params p = *params;
  if (!p.x_pixel_stride) p.x_pixel_stride = p.channels_in;
  if (!p.y_pixel_stride) p.y_pixel_stride = p.channels_out;
  if (!p.residual_pixel_stride) p.residual_pixel_stride = p.channels_out;
  int64_t pixels = 1, in_pixels = 1, taps = 1, cg = p.channels_in / p.groups, ng = p.channels_out / p.groups;
  for (int i = 0; i < p.rank; i++) pixels *= p.out[i], in_pixels *= p.in[i], taps *= p.kernel[i];
  for (int64_t q = 0; q < p.batch * pixels; q++) {
    int64_t o[3] = {0, 0, 0}, rest = q % pixels;
    for (int i = p.rank - 1; i >= 0; i--) o[i] = rest % p.out[i], rest /= p.out[i];
    const float *image = x + q / pixels * in_pixels * p.x_pixel_stride;
    for (int64_t n = 0; n < p.channels_out; n++) {
      double sum = ref_sum(&p, image + n / ng * cg, weights + n * cg * taps, o) + (bias ? bias[n] : 0);
      double add = residual ? residual[q * p.residual_pixel_stride + n] : 0;
      float *to = &y[q * p.y_pixel_stride + n];
      *to = p.epilogue.residual_after ? (float)(kernel_act_ref(&p.epilogue, (float)sum) + add)
                                      : kernel_act_ref(&p.epilogue, (float)(sum + add));
    }
  }
}

static size_t ref_weights_bytes(const conv_f32_params *p) {
  size_t n = (size_t)p->channels_out * (size_t)(p->channels_in / p->groups);
  for (int i = 0; i < p->rank; i++) n *= (size_t)p->kernel[i];
  return n * sizeof(float);
}

static bool ref_plan(conv_f32_plan *plan) {
  plan->packed_bytes = ref_weights_bytes(&plan->params);
  plan->thread_scratch_bytes = 0;
  return true;
}
static void ref_pack(const conv_f32_plan *plan, const unaligned_f32 *weights, float *packed, pool *p) {
  memcpy(packed, weights, ref_weights_bytes(&plan->params));
}
static void ref_run(const conv_run_args *a) {
  conv_f32_ref(&a->plan->params, a->x, a->packed, a->bias, a->residual, a->y);
}

const conv_algorithm conv_reference = {ref_plan, ref_pack, ref_run};
