/* kernels/resize: nearest and linear interpolation in two dimensions from tables that the caller computes once per
 * shape (so that every coordinate mode of the standard is the caller's affair).
 *
 * One form serves both layouts: x is [outer, in_h, in_w, inner] and y [outer, out_h, out_w, inner]; NCHW has outer =
 * N*C and inner = 1, NHWC has outer = N and inner = C.
 * Aliasing: none allowed. */
#ifndef KERNELS_RESIZE_H
#define KERNELS_RESIZE_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef struct resize_shape {
  int64_t outer, in_h, in_w, out_h, out_w, inner;
} resize_shape;

/* For each output index along an axis: two source indices in [0, in) and the weights of both. Their sum is 1, but for a
 * point outside the input that the caller will overwrite: its weights are 0. */
typedef struct resize_taps {
  const int32_t *lo, *hi;
  const float *lo_weight, *hi_weight;
} resize_taps;

/* One row of outputs: top and bottom are the source rows [in_w, inner] with weights wt and wb. */
typedef void (*resize_linear_row_fn)(const resize_shape *s, const float *top, const float *bottom, float wt, float wb,
                                     const resize_taps *columns, float *y);
typedef struct resize_kernels {
  resize_linear_row_fn linear_row;
} resize_kernels;
KERNEL_VARIANTS_DECLARE(resize);
extern const resize_kernels resize__ref;

/* y[o, i, j, :] = x[o, rows[i], cols[j], :], elements of element_bytes (1, 2, 4 or 8). */
void resize_nearest(size_t element_bytes, const resize_shape *s, const int32_t *rows, const int32_t *cols,
                    const void *x, void *y, pool *p);
/* Bilinear. */
void resize_linear_f32(const resize_shape *s, const resize_taps *rows, const resize_taps *cols, const float *x,
                       float *y, pool *p);

#endif
