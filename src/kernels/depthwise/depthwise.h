/* kernels/depthwise: float32 convolution of one channel a group, channels last: what kernels/conv calls CONV_DEPTHWISE.
 *
 *   y[o][c] = clamp(bias[c] + residual[o][c] + sum over taps t of x[o * stride - pad + t * dilation][c] * w[c][t])
 *
 * Vectors run over channels. A tile is a few output pixels of one row, or of two, by a range of channels; a call does
 * several tiles one beside the other. The taps that all their pixels have inside the image are a rectangle, and a call
 * is given only that rectangle, so that no loop looks at the padding: pixels at the left and right edge go alone, or,
 * in the shapes that networks are made of, tiles at the edges take zeros for the columns that are not there.
 *
 * Packed weights: [ceil(channels / lanes)][kernel_h][kernel_w][lanes], zeros beyond the last channel. */
#ifndef KERNELS_DEPTHWISE_H
#define KERNELS_DEPTHWISE_H

#include "kernels/epilogue.h"

#include <stddef.h>
#include <stdint.h>

enum { DEPTHWISE_PIXELS = 6, DEPTHWISE_LINES = 2 };

typedef struct depthwise_f32_tiles {
  int pixels;       /* of the tiles, 1 to the variant's pixels[lines - 1] */
  int64_t n, n_big; /* tiles: the first n_big of `pixels` pixels, the others of one less */
  int lines;    /* output rows, 1 or 2; 2 only with the whole of a 3x3 or 5x5 kernel at stride 1 or 2 along both dims */
  int n_y, n_x; /* kernel rows and columns of the rectangle; 0 leaves the bias */
  /* With 3 or 5 taps at stride 1 or 2: only columns [column0, column1) of each tile exist, the others count as 0. */
  int64_t column0, column1;
  int64_t channels;
  const float *const *x;  /* a pointer for each input row: n_y, and the stride more for the second line */
  int64_t x_at;           /* from there to the first pixel's first tap, first channel */
  int64_t x_tap, x_pixel; /* floats between taps, between output pixels */
  const float *w;         /* first tap of the rectangle, first block of lanes */
  int64_t w_row, w_block; /* floats between kernel rows, between blocks of lanes */
  const float *bias;      /* channels floats */
  const float *residual;  /* or NULL */
  int64_t residual_pixel, residual_line;
  float *y;
  int64_t y_pixel, y_line;
  float lo, hi;
} depthwise_f32_tiles;

typedef struct depthwise_f32_variant {
  const char *name;
  uint32_t isa;
  int lanes;
  int pixels[DEPTHWISE_LINES]; /* the most of a tile, by its lines */
  void (*tiles)(const depthwise_f32_tiles *t);
} depthwise_f32_variant;

/* Rows of output pixels, at any address each: what is the same for all of them. */
typedef struct depthwise_f32_line {
  const depthwise_f32_variant *kernel;
  const struct gemm_f32_variant *act; /* for the activations that tiles do not know */
  const kernel_epilogue *epilogue;
  int64_t in, out, taps_x, stride, dilation, pad; /* along the row; in: pixels that exist */
  int64_t taps;                                   /* of the whole kernel: rows of w */
  int64_t x_pixel, y_pixel, residual_pixel;       /* floats between neighbouring pixels */
  int64_t y_line, residual_line;                  /* floats between output rows */
  int lines;                                      /* that one call may do at once where all kernel rows are there */
} depthwise_f32_line;

/* All pixels of one output row (lines = 1) or of two, for some channels. rows: pointers to the first pixel of the input
 * rows that kernel rows [y0, y0 + n_y) meet, those beyond the image left out; for two lines, those of both, and all
 * kernel rows. w: packed weights of the first of the channels, a multiple of the variant's lanes. residual may be NULL.
 */
void depthwise_f32_line_run(const depthwise_f32_line *line, const float *const *rows, int64_t y0, int n_y, int lines,
                            int64_t channels, const float *w, const float *bias, const float *residual, float *y);

/* All rows that were built, best first; the last needs no ISA. */
const depthwise_f32_variant *const *depthwise_f32_variants(size_t *ret_count);

#endif
