/* kernels/columns: the windows of a float32 image as the columns of a matrix, and back: what makes a convolution with
 * weights that change, and its gradients, into matrix products (im2col; Chellapilla, Puri and Simard, 2006).
 *
 *   image [channels, d, h, w]     columns [channels * taps, positions]
 *
 *            k0 k1 k2 ...         row (c, k): the element under tap k of channel c, position by position;
 *          +----------            0 where it lies in the padding
 *     o0   | x  x  0
 *     o1   | x  x  x
 *
 * Three spatial dims; fewer are dims of 1 in front. Positions are taken in rows along the last dim, n_rows of them from
 * first_row on. Any number of threads gives the same bits. */
#ifndef KERNELS_COLUMNS_H
#define KERNELS_COLUMNS_H

#include "base/pool.h"

#include <stddef.h>
#include <stdint.h>

typedef struct columns_shape {
  int64_t channels;
  int64_t image[3], places[3]; /* sizes of the image and of the grid of window positions */
  int64_t kernel[3], stride[3], dilation[3], pad[3];
} columns_shape;

/* columns[channels * taps][stride], stride at least n_rows * places[2]: every element of the rows is written. */
void columns_gather_f32(const columns_shape *s, const float *image, int64_t first_row, int64_t n_rows, float *columns,
                        int64_t stride, pool *p);
/* The transpose: adds the columns to the image. */
void columns_scatter_f32(const columns_shape *s, const float *columns, int64_t stride, int64_t first_row,
                         int64_t n_rows, float *image, pool *p);

/* One channel of an image and one grid, without columns: for depthwise convolutions. */
/* grid[o] += sum over k of w[k] * image[o * stride + k * dilation - pad] */
void columns_correlate_f32(const columns_shape *s, const float *image, const float *w, float *grid);
/* image[...] += w[k] * grid[o] */
void columns_spread_f32(const columns_shape *s, const float *grid, const float *w, float *image);
/* w[k] += sum over o of grid[o] * image[...] */
void columns_match_f32(const columns_shape *s, const float *grid, const float *image, float *w);

#endif
