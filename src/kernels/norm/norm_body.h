/* norm's body, in the words of simd/. Sums: four vectors of lanes over at most BLOCK of them, then on in double. */
#include "kernels/norm/norm.h"
#include "kernels/simd/upto.h"

#include <math.h>

enum { BLOCK = 64 }; /* vectors: a lane adds up a quarter of them in float32 */

static double sum(const float *x, int64_t n) {
  double total = 0;
  int64_t i = 0;
  while (i + VF_LANES <= n) {
    vf acc[4];
    for (int k = 0; k < 4; k++) acc[k] = vf_zero();
    int64_t end = i + BLOCK * VF_LANES < n ? i + BLOCK * VF_LANES : n;
    for (; i + 4 * VF_LANES <= end; i += 4 * VF_LANES)
      for (int k = 0; k < 4; k++) acc[k] = vf_add(acc[k], vf_load(x + i + k * VF_LANES));
    for (; i + VF_LANES <= end; i += VF_LANES) acc[0] = vf_add(acc[0], vf_load(x + i));
    total += vf_sum_f64(vf_add(vf_add(acc[0], acc[1]), vf_add(acc[2], acc[3])));
  }
  return i < n ? total + vf_sum_f64(vf_loadn(x + i, n - i)) : total;
}

static void moments(const float *x, int64_t n, float mean, double *ret_sum, double *ret_square) {
  const vf m = vf_set1(mean);
  double total = 0, total_square = 0;
  int64_t i = 0;
  while (i + VF_LANES <= n) {
    vf s[2] = {vf_zero(), vf_zero()}, q[2] = {vf_zero(), vf_zero()};
    int64_t end = i + BLOCK * VF_LANES < n ? i + BLOCK * VF_LANES : n;
    for (; i + 2 * VF_LANES <= end; i += 2 * VF_LANES)
      for (int k = 0; k < 2; k++) {
        vf d = vf_sub(vf_load(x + i + k * VF_LANES), m);
        s[k] = vf_add(s[k], d);
        q[k] = vf_fma(d, d, q[k]);
      }
    for (; i + VF_LANES <= end; i += VF_LANES) {
      vf d = vf_sub(vf_load(x + i), m);
      s[0] = vf_add(s[0], d);
      q[0] = vf_fma(d, d, q[0]);
    }
    total += vf_sum_f64(vf_add(s[0], s[1]));
    total_square += vf_sum_f64(vf_add(q[0], q[1]));
  }
  if (i < n) {
    vf d = vf_fill_from(vf_sub(vf_loadn(x + i, n - i), m), n - i, vf_zero());
    total += vf_sum_f64(d);
    total_square += vf_sum_f64(vf_mul(d, d));
  }
  *ret_sum = total, *ret_square = total_square;
}

/* z = x + skip + skip_bias. */
VF_WORD void add_skip(const float *x, const float *skip, const float *skip_bias, float *z, int64_t n) {
  for (int64_t i = 0; i < n; i += VF_LANES) {
    vf v = vf_add(vf_load_upto(x + i, n - i), vf_load_upto(skip + i, n - i));
    if (skip_bias) v = vf_add(v, vf_load_upto(skip_bias + i, n - i));
    vf_store_upto(z + i, v, n - i);
  }
}

/* y = ((x - mean) - mean_rest) * inv_std * scale + bias: the rest is what float32 cannot hold of the mean. */
VF_WORD void apply_row(const float *x, float *y, int64_t n, float mean, float mean_rest, float inv_std,
                       const float *scale, const float *bias) {
  const vf m = vf_set1(mean), rest = vf_set1(mean_rest), inv = vf_set1(inv_std);
  for (int64_t i = 0; i < n; i += VF_LANES) {
    int64_t count = n - i;
    vf v = vf_mul(vf_sub(vf_sub(vf_load_upto(x + i, count), m), rest), inv);
    if (scale) v = vf_mul(v, vf_load_upto(scale + i, count));
    if (bias) v = vf_add(v, vf_load_upto(bias + i, count));
    vf_store_upto(y + i, v, count);
  }
}

/* What a row is to be changed by. */
typedef struct row_change {
  const float *from;
  float mean, mean_rest, inv_std;
} row_change;

static void find_mean(const norm_row_options *o, const float *x, float *y, int64_t r, int64_t n, row_change *ret) {
  ret->from = x + r * n;
  if (o->skip) {
    float *z = (o->sum ? o->sum : y) + r * n;
    add_skip(ret->from, o->skip + r * n, o->skip_bias, z, n);
    ret->from = z;
  }
  ret->mean = o->rms ? 0 : (float)(sum(ret->from, n) / (double)n);
}

static void find_deviation(const norm_row_options *o, int64_t r, int64_t n, row_change *c) {
  double deviation, square;
  moments(c->from, n, c->mean, &deviation, &square);
  double variance = square / (double)n;
  c->mean_rest = 0;
  if (!o->rms) {
    c->mean_rest = (float)(deviation / (double)n);
    variance = variance - (double)c->mean_rest * c->mean_rest;
    if (variance < 0) variance = 0;
  }
  c->inv_std = (float)(1 / sqrt(variance + o->epsilon));
  if (o->mean) o->mean[r] = c->mean + c->mean_rest;
  if (o->inv_std) o->inv_std[r] = c->inv_std;
}

static void change_row(const norm_row_options *o, const row_change *c, float *to, int64_t n) {
  if (o->scale && o->bias)
    apply_row(c->from, to, n, c->mean, c->mean_rest, c->inv_std, o->scale, o->bias);
  else if (o->scale)
    apply_row(c->from, to, n, c->mean, c->mean_rest, c->inv_std, o->scale, NULL);
  else
    apply_row(c->from, to, n, c->mean, c->mean_rest, c->inv_std, NULL, o->bias);
}

/* Some rows at a time, which stay in L1: the sums across a vector's lanes, the divisions and the root of one row are
 * waited for while another's are on the way. */
static void norm_rows(const norm_row_options *o, const float *x, float *y, int64_t rows, int64_t n) {
  enum { AT_ONCE = 8, SHORT = 1024 }; /* longer rows have work enough of their own */
  row_change change[AT_ONCE];
  int64_t some = n <= SHORT ? AT_ONCE : 1;
  for (int64_t begin = 0; begin < rows; begin += some) {
    int64_t count = rows - begin < some ? rows - begin : some;
    for (int64_t i = 0; i < count; i++) find_mean(o, x, y, begin + i, n, &change[i]);
    for (int64_t i = 0; i < count; i++) find_deviation(o, begin + i, n, &change[i]);
    for (int64_t i = 0; i < count; i++) change_row(o, &change[i], y + (begin + i) * n, n);
  }
}

static void affine(const float *x, float *y, int64_t n, float center_, float scale_, float shift_, float lo_,
                   float hi_) {
  const vf center = vf_set1(center_), scale = vf_set1(scale_), shift = vf_set1(shift_);
  const vf lo = vf_set1(lo_), hi = vf_set1(hi_);
  for (int64_t i = 0; i < n; i += VF_LANES) {
    vf v = vf_fma(vf_sub(vf_load_upto(x + i, n - i), center), scale, shift);
    vf_store_upto(y + i, vf_min(hi, vf_max(lo, v)), n - i);
  }
}

VF_WORD void run_affine_rows(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows, int64_t c,
                             bool centered, const float *center, const float *scale, const float *shift, vf lo, vf hi) {
  for (int64_t r = 0; r < rows; r++, x += x_row, y += y_row)
    for (int64_t i = 0; i < c; i += VF_LANES) {
      int64_t count = c - i;
      vf v = vf_load_upto(x + i, count);
      if (centered) v = vf_sub(v, vf_load_upto(center + i, count));
      v = vf_fma(v, vf_load_upto(scale + i, count), vf_load_upto(shift + i, count));
      vf_store_upto(y + i, vf_min(hi, vf_max(lo, v)), count);
    }
}

static void affine_rows(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows, int64_t c,
                        const float *center, const float *scale, const float *shift, float lo, float hi) {
  if (center)
    run_affine_rows(x, x_row, y, y_row, rows, c, true, center, scale, shift, vf_set1(lo), vf_set1(hi));
  else
    run_affine_rows(x, x_row, y, y_row, rows, c, false, NULL, scale, shift, vf_set1(lo), vf_set1(hi));
}

/* One vector of columns, over blocks of rows that are short enough for float32. */
VF_WORD void column_block(const float *x, int64_t rows, int64_t count, int64_t x_row, const float *mean, double *total,
                          double *square) {
  const vf m = mean ? vf_load_upto(mean, count) : vf_zero();
  for (int64_t begin = 0; begin < rows; begin += BLOCK) {
    int64_t end = begin + BLOCK < rows ? begin + BLOCK : rows;
    vf s = vf_zero(), q = vf_zero();
    for (int64_t r = begin; r < end; r++) {
      vf d = vf_sub(vf_load_upto(x + r * x_row, count), m);
      s = vf_add(s, d);
      q = vf_fma(d, d, q);
    }
    float lanes[VF_LANES];
    vf_store(lanes, s);
    for (int64_t i = 0; i < VF_LANES && i < count; i++) total[i] += lanes[i];
    vf_store(lanes, q);
    for (int64_t i = 0; i < VF_LANES && i < count && square; i++) square[i] += lanes[i];
  }
}

static void column_moments(const float *x, int64_t rows, int64_t c, int64_t x_row, const float *mean, double *total,
                           double *square) {
  for (int64_t i = 0; i < c; i += VF_LANES)
    column_block(x + i, rows, c - i, x_row, mean ? mean + i : NULL, total + i, square ? square + i : NULL);
}

const norm_kernels VF_NAME(norm);
const norm_kernels VF_NAME(norm) = {norm_rows, affine, affine_rows, sum, moments, column_moments};
