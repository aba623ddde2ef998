/* ops/tflite_custom: operators that MediaPipe adds to TensorFlow Lite, of float32 images [batch, h, w, channels]:
 *
 *   MaxPoolArgmax   x; the largest of each window, and where in the window it stood (row * kernel width + column, and a
 *                   tenth, so that rounding down finds it in any precision)
 *   MaxUnpool       x, places; `size` [h, w]: an image of zeros but for x at those places */
#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/window.h"

#include <math.h>

static ledge_status pool_read(op_ctx *c, window *w) {
  const tensor *x = op_in(c, 0);
  if (x->rank != 4) return op_fail(c, LEDGE_ERROR_SHAPE, "an image of %d dims", x->rank);
  return window_read(c, 2, x->dims + 1, NULL, true, w);
}

static ledge_status argmax_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  window w;
  TRY(elem_check(c, 0, DTYPE_BIT(LEDGE_F32)));
  TRY(pool_read(c, &w));
  const int64_t dims[] = {x->dims[0], w.out[0], w.out[1], x->dims[3]};
  TRY(op_shape(c, 0, LEDGE_F32, 4, dims));
  return op_shape(c, 1, LEDGE_F32, 4, dims);
}

static ledge_status argmax_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0), *places = op_out(c, 1);
  const tensor *shape = y ? y : places;
  const float *from = x->data;
  window w;
  TRY(pool_read(c, &w));
  int64_t channels = x->dims[3], n = shape ? tensor_elements(shape) : 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t ch = i % channels, px = i / channels % w.out[1], py = i / channels / w.out[1] % w.out[0],
            b = i / channels / w.out[1] / w.out[0], place = 0;
    float most = -INFINITY;
    for (int64_t ky = 0; ky < w.kernel[0]; ky++)
      for (int64_t kx = 0; kx < w.kernel[1]; kx++) {
        int64_t sy = py * w.stride[0] + ky - w.pad_begin[0], sx = px * w.stride[1] + kx - w.pad_begin[1];
        if (sy < 0 || sy >= w.in[0] || sx < 0 || sx >= w.in[1]) continue;
        float v = from[((b * w.in[0] + sy) * w.in[1] + sx) * channels + ch];
        if (v > most) most = v, place = ky * w.kernel[1] + kx;
      }
    if (y) ((float *)y->data)[i] = most;
    if (places) ((float *)places->data)[i] = (float)place + 0.1f;
  }
  return LEDGE_OK;
}

static ledge_status unpool_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *places = op_in(c, 1);
  int64_t n;
  const int64_t *size = op_ints(c, "size", &n);
  TRY(elem_check(c, 0, DTYPE_BIT(LEDGE_F32)));
  TRY(elem_check(c, 1, DTYPE_BIT(LEDGE_F32)));
  if (x->rank != 4 || !tensor_same_shape(x, places) || !size || n != 2 || size[0] < 0 || size[1] < 0)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an image and places that do not fit each other");
  return op_shape(c, 0, LEDGE_F32, 4, (int64_t[]){x->dims[0], size[0], size[1], x->dims[3]});
}

static ledge_status unpool_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *places = op_in(c, 1);
  tensor *y = op_out(c, 0);
  const float *from = x->data, *at = places->data;
  float *to = y->data;
  int64_t n_kernel, n_stride, n_pads;
  const int64_t *kernel = op_ints(c, "kernel_shape", &n_kernel), *stride = op_ints(c, "strides", &n_stride),
                *pads = op_ints(c, "pads", &n_pads);
  if (!kernel || n_kernel != 2 || !stride || n_stride != 2 || (pads && n_pads != 2) || kernel[1] < 1)
    return op_fail(c, LEDGE_ERROR_FORMAT, "a window that is none");
  int64_t h = y->dims[1], w = y->dims[2], channels = x->dims[3], n = tensor_elements(x);
  memset(to, 0, tensor_bytes(y));
  for (int64_t i = 0; i < n; i++) {
    int64_t ch = i % channels, px = i / channels % x->dims[2], py = i / channels / x->dims[2] % x->dims[1],
            b = i / channels / x->dims[2] / x->dims[1];
    if (!(at[i] >= 0 && at[i] < 1e9f)) return op_fail(c, LEDGE_ERROR_DATA, "a place of %g", (double)at[i]);
    int64_t place = (int64_t)at[i];
    int64_t sy = py * stride[0] + place / kernel[1] - (pads ? pads[0] : 0),
            sx = px * stride[1] + place % kernel[1] - (pads ? pads[1] : 0);
    if (sy < 0 || sy >= h || sx < 0 || sx >= w) continue;
    to[((b * h + sy) * w + sx) * channels + ch] = from[i];
  }
  return LEDGE_OK;
}

const op_def ops_tflite_custom[] = {
    {"tflite", "MaxPoolArgmax", 1, 0, 1, 1, 1, 2, 0, argmax_infer, argmax_run},
    {"tflite", "MaxUnpool", 1, 0, 2, 2, 1, 1, 0, unpool_infer, unpool_run},
    {0},
};
