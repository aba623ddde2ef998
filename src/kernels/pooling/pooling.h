/* kernels/pooling: two-dimensional max and average pooling of float32, NHWC (vectors of channels) and NCHW. One
 * dimension is in_h = kernel_h = 1.
 *
 * The window of output (oy, ox) covers input rows oy * stride_h - pad_top + ky * dilation_h, columns alike. What lies
 * outside the input counts as -infinity for max. An average divides by the elements inside the input, or, with
 * count_include_pad, by those inside the input and its pads (what ceil_mode lets hang beyond the end pads counts for
 * neither). out_h and out_w are the caller's, from its rounding mode. A window that holds nothing gives -infinity
 * (max) or 0 (average). NaN inside a max window passes through.
 * Aliasing: none allowed. */
#ifndef KERNELS_POOLING_H
#define KERNELS_POOLING_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef struct pooling_shape {
  int64_t batch, channels, in_h, in_w, out_h, out_w;
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;
  bool count_include_pad;
} pooling_shape;

/* One row of outputs, NHWC: x is the image, y the row [out_w, channels]. One plane NCHW: x [in_h, in_w], y [out_h,
 * out_w]. */
typedef void (*pooling_row_fn)(const pooling_shape *s, const float *x, int64_t out_y, float *y);
typedef void (*pooling_plane_fn)(const pooling_shape *s, const float *x, float *y);
typedef struct pooling_kernels {
  pooling_row_fn max_nhwc_row, average_nhwc_row;
  pooling_plane_fn max_nchw_plane, average_nchw_plane;
} pooling_kernels;
KERNEL_VARIANTS_DECLARE(pooling);
extern const pooling_kernels pooling__ref;

void pooling_max_nhwc_f32(const pooling_shape *s, const float *x, float *y, pool *p);
void pooling_max_nchw_f32(const pooling_shape *s, const float *x, float *y, pool *p);
void pooling_average_nhwc_f32(const pooling_shape *s, const float *x, float *y, pool *p);
void pooling_average_nchw_f32(const pooling_shape *s, const float *x, float *y, pool *p);

#endif
