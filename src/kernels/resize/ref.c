/* resize's oracle: four products an element, in double. */
#include "kernels/resize/resize.h"

static void ref_linear_row(const resize_shape *s, const float *top, const float *bottom, float wt, float wb,
                           const resize_taps *columns, float *y) {
  for (int64_t j = 0; j < s->out_w; j++)
    for (int64_t c = 0; c < s->inner; c++) {
      int64_t lo = columns->lo[j] * s->inner + c, hi = columns->hi[j] * s->inner + c;
      double l = (double)top[lo] * wt + (double)bottom[lo] * wb, h = (double)top[hi] * wt + (double)bottom[hi] * wb;
      y[j * s->inner + c] = (float)(l * columns->lo_weight[j] + h * columns->hi_weight[j]);
    }
}

const resize_kernels resize__ref = {ref_linear_row};
