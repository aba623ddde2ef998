/* kernels/depthwise: float32 convolution of one channel a group, channels last: what kernels/conv calls CONV_DEPTHWISE.
 *
 *   y[o][c] = clamp(bias[c] + residual[o][c] + sum over taps t of x[o * stride - pad + t * dilation][c] * w[c][t])
 *
 * Vectors run over channels. A tile is up to DEPTHWISE_PIXELS output pixels of one row by a range of channels; the taps
 * that all its pixels have inside the image are a rectangle, and a tile is given only that rectangle: the pixels at the
 * left and right edge go alone, so that no loop looks at the padding.
 *
 * Packed weights: [ceil(channels / lanes)][kernel_h][kernel_w][lanes], zeros beyond the last channel. */
#ifndef KERNELS_DEPTHWISE_H
#define KERNELS_DEPTHWISE_H

#include "kernels/epilogue.h"

#include <stddef.h>
#include <stdint.h>

enum { DEPTHWISE_PIXELS = 6 };

typedef struct depthwise_f32_tile {
  int pixels;   /* 1 to DEPTHWISE_PIXELS */
  int n_y, n_x; /* kernel rows and columns of the rectangle; 0 leaves the bias */
  int64_t channels;
  const float *x;                /* first pixel, first tap of the rectangle, first channel */
  int64_t x_row, x_tap, x_pixel; /* floats between kernel rows, between taps, between output pixels */
  const float *w;                /* first tap of the rectangle, first block of lanes */
  int64_t w_row, w_block;        /* floats between kernel rows, between blocks of lanes */
  const float *bias;             /* channels floats */
  const float *residual;         /* or NULL */
  int64_t residual_pixel;
  float *y;
  int64_t y_pixel;
  float lo, hi;
} depthwise_f32_tile;

typedef struct depthwise_f32_variant {
  const char *name;
  uint32_t isa;
  int lanes;
  void (*tile)(const depthwise_f32_tile *t);
} depthwise_f32_variant;

/* All rows that were built, best first; the last needs no ISA. */
const depthwise_f32_variant *const *depthwise_f32_variants(size_t *ret_count);

#endif
