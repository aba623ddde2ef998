/* pooling's oracle: every element of every window, in double. */
#include "kernels/pooling/pooling.h"

#include <math.h>

static void ref(const pooling_shape *s, bool max, const float *x, int64_t row, int64_t col, int64_t oy, int64_t ox,
                float *y) {
  double best = -INFINITY, sum = 0;
  int64_t inside = 0, padded = 0;
  for (int64_t ky = 0; ky < s->kernel_h; ky++)
    for (int64_t kx = 0; kx < s->kernel_w; kx++) {
      int64_t iy = oy * s->stride_h - s->pad_top + ky * s->dilation_h;
      int64_t ix = ox * s->stride_w - s->pad_left + kx * s->dilation_w;
      padded += iy < s->in_h + s->pad_bottom && ix < s->in_w + s->pad_right;
      if (iy < 0 || iy >= s->in_h || ix < 0 || ix >= s->in_w) continue;
      float v = x[iy * row + ix * col];
      inside++;
      sum += v;
      if (v > best || isnan(v)) best = v;
    }
  int64_t count = s->count_include_pad ? padded : inside;
  *y = (float)(max ? best : count ? sum / (double)count : 0);
}

static void nhwc_row(const pooling_shape *s, bool max, const float *x, int64_t oy, float *y) {
  for (int64_t ox = 0; ox < s->out_w; ox++)
    for (int64_t c = 0; c < s->channels; c++)
      ref(s, max, x + c, s->in_w * s->channels, s->channels, oy, ox, y + ox * s->channels + c);
}
static void nchw_plane(const pooling_shape *s, bool max, const float *x, float *y) {
  for (int64_t oy = 0; oy < s->out_h; oy++)
    for (int64_t ox = 0; ox < s->out_w; ox++) ref(s, max, x, s->in_w, 1, oy, ox, y + oy * s->out_w + ox);
}

static void max_row(const pooling_shape *s, const float *x, int64_t oy, float *y) { nhwc_row(s, true, x, oy, y); }
static void average_row(const pooling_shape *s, const float *x, int64_t oy, float *y) { nhwc_row(s, false, x, oy, y); }
static void max_plane(const pooling_shape *s, const float *x, float *y) { nchw_plane(s, true, x, y); }
static void average_plane(const pooling_shape *s, const float *x, float *y) { nchw_plane(s, false, x, y); }

const pooling_kernels pooling__ref = {max_row, average_row, max_plane, average_plane};
