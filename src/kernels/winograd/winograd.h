/* kernels/winograd: the transforms of 3x3 stride-1 convolution by Winograd's way, channels last (Lavin and Gray, "Fast
 * Algorithms for Convolutional Neural Networks", 2015; what kernels/conv calls CONV_WINOGRAD4 and 2).
 *
 *   y = A' [ (G g G') . (B' d B) ] A        d: n x n input pixels, y: m x m output pixels, n = m + 2
 *
 * F(4x4): 36 products for 16 outputs instead of 144, from the points 0, +-5/8, +-3/2 and infinity, all of whose powers
 * in B and A are short in binary: its error is about twice that of the direct sum (with 0, +-1, +-2 it is six times),
 * see tests/kernels/conv.c. F(2x2): 16 for 4 instead of 36, from 0, +-1 and infinity, and a quarter of F(4x4)'s
 * weights.
 *
 * Sums over channels are n * n products of matrices [tiles, channels] x [channels, out], made of gemm tiles. */
#ifndef KERNELS_WINOGRAD_H
#define KERNELS_WINOGRAD_H

#include <stddef.h>
#include <stdint.h>

/* The output side of a tile: what to do with its m x m pixels, of which rows x cols lie inside y. */
typedef struct winograd_f32_output {
  const float *m;  /* [n * n][m_point] with one float a channel */
  int64_t m_point; /* floats between points */
  int64_t channels;
  int rows, cols;
  const float *bias;     /* channels floats */
  const float *residual; /* or NULL */
  int64_t r_row, r_pixel;
  float *y;
  int64_t y_row, y_pixel;
  float lo, hi;
} winograd_f32_output;

typedef struct winograd_f32_variant {
  const char *name;
  uint32_t isa;
  /* v[i * v_point + c] = (B' d B)[i][c] for n * n points i; d[j] points to pixel j's channels. [0]: m = 2, [1]: m = 4.
   */
  void (*input[2])(const float *const *d, int64_t channels, float *v, int64_t v_point);
  void (*output[2])(const winograd_f32_output *o);
  /* u[i * u_point + c] = (G g G')[i][c] of `channels` kernels, g[t * channels + c] for 9 taps t. */
  void (*weights[2])(const float *g, int64_t channels, float *u, int64_t u_point);
} winograd_f32_variant;

/* All rows that were built, best first; the last needs no ISA. */
const winograd_f32_variant *const *winograd_f32_variants(size_t *ret_count);

#endif
