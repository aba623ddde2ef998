/* qlinear, the definition: the oracle of the variants. */
#include "kernels/qlinear/qlinear.h"

#include <math.h>

static int32_t byte_at(const void *p, int64_t i, bool is_signed) {
  return is_signed ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

static void depthwise(const uint8_t *const *taps, int64_t n_taps, int64_t c, const int32_t *w, const int32_t *start,
                      int32_t *sums, bool is_signed) {
  for (int64_t i = 0; i < c; i++) {
    uint32_t sum = (uint32_t)start[i];
    for (int64_t t = 0; t < n_taps; t++) sum += (uint32_t)byte_at(taps[t], i, is_signed) * (uint32_t)w[t * c + i];
    sums[i] = (int32_t)sum;
  }
}

qlinear_add_params qlinear_add_prepare(float a_scale, int32_t a_zero, float b_scale, int32_t b_zero, float y_scale,
                                       int32_t y_zero, bool is_signed) {
  qlinear_add_params p = {a_scale / y_scale, b_scale / y_scale, 0, is_signed};
  float b_part = p.b_ratio * (float)b_zero;
  p.fixed = (float)y_zero - fmaf(p.a_ratio, (float)a_zero, b_part);
  return p;
}

void qlinear_add_ref(const qlinear_add_params *p, const void *a, const void *b, void *y, int64_t n) {
  float low = p->is_signed ? -128 : 0, high = p->is_signed ? 127 : 255;
  for (int64_t i = 0; i < n; i++) {
    float va = (float)byte_at(a, i, p->is_signed), vb = (float)byte_at(b, i, p->is_signed);
    float v = fmaf(va, p->a_ratio, fmaf(vb, p->b_ratio, p->fixed));
    v = v >= low ? v : low; /* NaN becomes the lowest */
    v = v > high ? high : v;
    ((uint8_t *)y)[i] = (uint8_t)(int32_t)rintf(v);
  }
}

const qlinear_kernels qlinear__ref = {depthwise, qlinear_add_ref};
