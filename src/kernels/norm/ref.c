/* norm's oracle: the definitions, in double. */
#include "kernels/norm/norm.h"

#include <math.h>

static double ref_sum(const float *x, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i];
  return s;
}

static void ref_moments(const float *x, int64_t n, float mean, double *ret_sum, double *ret_square) {
  double s = 0, q = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = (double)x[i] - mean;
    s += d, q += d * d;
  }
  *ret_sum = s, *ret_square = q;
}

static void ref_rows(const norm_row_options *o, const float *x, float *y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++, x += n, y += n) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) {
      float v = x[i];
      if (o->skip) v = v + o->skip[r * n + i];
      if (o->skip && o->skip_bias) v = v + o->skip_bias[i];
      if (o->skip && o->sum) o->sum[r * n + i] = v;
      y[i] = v;
      mean += v;
    }
    mean = o->rms ? 0 : mean / (double)n;
    for (int64_t i = 0; i < n; i++) variance += (y[i] - mean) * (y[i] - mean);
    double inv_std = 1 / sqrt(variance / (double)n + o->epsilon);
    for (int64_t i = 0; i < n; i++)
      y[i] = (float)((y[i] - mean) * inv_std * (o->scale ? o->scale[i] : 1) + (o->bias ? o->bias[i] : 0));
    if (o->mean) o->mean[r] = (float)mean;
    if (o->inv_std) o->inv_std[r] = (float)inv_std;
  }
}

static float clamp(double v, float lo, float hi) { return v < lo ? lo : v > hi ? hi : (float)v; }

static void ref_affine(const float *x, float *y, int64_t n, float center, float scale, float shift, float lo,
                       float hi) {
  for (int64_t i = 0; i < n; i++) y[i] = clamp(((double)x[i] - center) * scale + shift, lo, hi);
}

static void ref_affine_rows(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows, int64_t c,
                            const float *center, const float *scale, const float *shift, float lo, float hi) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < c; i++)
      ref_affine(x + r * x_row + i, y + r * y_row + i, 1, center ? center[i] : 0, scale[i], shift[i], lo, hi);
}

static void ref_column_moments(const float *x, int64_t rows, int64_t c, int64_t x_row, const float *mean, double *sum,
                               double *square) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < c; i++) {
      double d = (double)x[r * x_row + i] - (mean ? mean[i] : 0);
      sum[i] += d;
      if (square) square[i] += d * d;
    }
}

const norm_kernels norm__ref = {ref_rows, ref_affine, ref_affine_rows, ref_sum, ref_moments, ref_column_moments};
