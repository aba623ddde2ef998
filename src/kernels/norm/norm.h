/* kernels/norm: normalisations of float32.
 *
 * The variance is taken about a first mean in float32, and both are then corrected by the sum of the deviations (the
 * two-pass algorithm of Chan, Golub and LeVeque, 1983): an offset much larger than the spread costs no accuracy. Sums
 * run over lanes in short blocks and go on in double. The same bits at any number of threads.
 * Aliasing: y may be x exactly (and skip's sum may be x or skip); any other overlap is not allowed. */
#ifndef KERNELS_NORM_H
#define KERNELS_NORM_H

#include "base/pool.h"
#include "kernels/variant.h"

/* What a row normalisation does beside y = (x - mean) * inv_std * scale + bias; NULL means absent. */
typedef struct norm_row_options {
  float epsilon;
  bool rms;               /* root mean square: no mean is taken off, bias still applies */
  const float *scale;     /* [n] */
  const float *bias;      /* [n] */
  const float *skip;      /* [rows, n]: x + skip (+ skip_bias) is what is normalised ... */
  const float *skip_bias; /* [n] */
  float *sum;             /* [rows, n]: ... and stored here */
  float *mean;            /* [rows] */
  float *inv_std;         /* [rows] */
} norm_row_options;

typedef void (*norm_rows_fn)(const norm_row_options *o, const float *x, float *y, int64_t rows, int64_t n);
typedef struct norm_kernels {
  norm_rows_fn rows;
  /* y[i] = x[i] * scale + shift for n elements; and [rows, c] with vectors of scale and shift, rows x_row and y_row
   * elements apart; both clamped to lo..hi. */
  void (*affine)(const float *x, float *y, int64_t n, float center, float scale, float shift, float lo, float hi);
  void (*affine_rows)(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows, int64_t c,
                      const float *center, const float *scale, const float *shift, float lo, float hi);
  /* The sum of n elements; of x - mean, and of (x - mean)^2. */
  double (*sum)(const float *x, int64_t n);
  void (*moments)(const float *x, int64_t n, float mean, double *ret_sum, double *ret_square);
  /* sum[c] += x - mean[c] and square[c] += (x - mean[c])^2 over [rows, c] with rows x_row elements apart; mean may be
   * NULL, for 0, and square too. */
  void (*column_moments)(const float *x, int64_t rows, int64_t c, int64_t x_row, const float *mean, double *sum,
                         double *square);
} norm_kernels;
KERNEL_VARIANTS_DECLARE(norm);
extern const norm_kernels norm__ref;

/* Layer norm or RMS norm of contiguous rows of n elements. options->epsilon is inside the square root. */
void norm_rows_f32(const norm_row_options *options, const float *x, float *y, int64_t rows, int64_t n, pool *p);
/* Batch norm applied: y = x * scale[c] + shift[c] over [outer, channels, inner]: inner = H*W for NCHW, 1 for NHWC. The
 * result is clamped to [lo, hi]: give -INFINITY and INFINITY for none. */
void norm_channel_affine_f32(const float *x, float *y, int64_t outer, int64_t channels, int64_t inner,
                             const float *scale, const float *shift, float lo, float hi, pool *p);
/* The same over [rows, channels] whose rows stand x_row and y_row floats apart. */
void norm_row_affine_f32(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows, int64_t channels,
                         const float *scale, const float *shift, float lo, float hi, pool *p);
/* Group norm of [batch, channels, inner] (instance norm: groups = channels); scale and bias [channels] or NULL. groups
 * divides channels. In the NHWC form x is [batch, inner, channels]; scratch holds norm_group_nhwc_scratch() bytes,
 * 16-byte aligned. */
void norm_group_f32(const float *x, float *y, int64_t batch, int64_t channels, int64_t inner, int64_t groups,
                    const float *scale, const float *bias, float epsilon, pool *p);
size_t norm_group_nhwc_scratch(int64_t channels);
void norm_group_nhwc_f32(const float *x, float *y, int64_t batch, int64_t inner, int64_t channels, int64_t groups,
                         const float *scale, const float *bias, float epsilon, void *scratch, pool *p);
/* y = x / ||x|| over the middle axis of [outer, n, inner], by the norm p_norm = 1 or 2; a norm of 0 gives 0. */
void norm_lp_f32(const float *x, float *y, int64_t outer, int64_t n, int64_t inner, int p_norm, pool *p);
/* Local response normalisation across channels of [batch, channels, inner]:
 * y = x / (bias + alpha / size * sum over the window of x^2)^beta. y must not be x. */
void norm_lrn_f32(const float *x, float *y, int64_t batch, int64_t channels, int64_t inner, int64_t size, float alpha,
                  float beta, float bias, pool *p);

#endif
