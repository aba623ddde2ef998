/* kernels/convtranspose/ref: the oracle: every input pixel is scattered by every tap, in double. */
#include "base/mem.h"
#include "kernels/convtranspose/convtranspose.h"

/* The output pixel that input pixel i reaches by tap t, or -1. */
static int64_t ref_target(const convtranspose_f32_params *p, int64_t i, int64_t t) {
  int64_t at[3], pixel = 0;
  for (int d = p->rank - 1; d >= 0; d--) {
    at[d] = i % p->in[d] * p->stride[d] - p->pad_begin[d] + t % p->kernel[d] * p->dilation[d];
    i /= p->in[d], t /= p->kernel[d];
    if (at[d] < 0 || at[d] >= p->out[d]) return -1;
  }
  for (int d = 0; d < p->rank; d++) pixel = pixel * p->out[d] + at[d];
  return pixel;
}

/* y of one image and output channel n; sums: one double an output pixel. */
static void ref_channel(const convtranspose_f32_params *p, const float *x, const float *w, int64_t n, int64_t pixels_in,
                        int64_t taps, double *sums) {
  int64_t cg = p->channels_in / p->groups, ng = p->channels_out / p->groups, group = n / ng;
  for (int64_t i = 0; i < pixels_in; i++) {
    for (int64_t t = 0; t < taps; t++) {
      int64_t o = ref_target(p, i, t);
      if (o < 0) continue;
      for (int64_t c = group * cg; c < (group + 1) * cg; c++) {
        sums[o] += (double)x[i * p->x_pixel_stride + c] * w[(c * ng + n % ng) * taps + t];
      }
    }
  }
}

bool convtranspose_f32_ref(const convtranspose_f32_params *params, const float *x, const float *weights,
                           const float *bias, float *y) {
  convtranspose_f32_params p = *params;
  if (!p.x_pixel_stride) p.x_pixel_stride = p.channels_in;
  if (!p.y_pixel_stride) p.y_pixel_stride = p.channels_out;
  int64_t pixels_in = 1, pixels = 1, taps = 1;
  for (int d = 0; d < p.rank; d++) pixels_in *= p.in[d], pixels *= p.out[d], taps *= p.kernel[d];
  double *sums = mem_alloc_array((size_t)pixels, sizeof *sums);
  if (!sums) return false;
  for (int64_t i = 0; i < p.batch * p.channels_out; i++) {
    int64_t b = i / p.channels_out, n = i % p.channels_out;
    for (int64_t o = 0; o < pixels; o++) sums[o] = bias ? bias[n] : 0;
    ref_channel(&p, x + b * pixels_in * p.x_pixel_stride, weights, n, pixels_in, taps, sums);
    for (int64_t o = 0; o < pixels; o++)
      y[(b * pixels + o) * p.y_pixel_stride + n] = kernel_act_ref(&p.epilogue, (float)sums[o]);
  }
  mem_free(sums);
  return true;
}
