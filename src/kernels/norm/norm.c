/* norm: the choice of a variant, the split over threads, and the normalisations that are made of sums and affine maps.
 */
#include "kernels/norm/norm.h"

#include <math.h>
#include <string.h>

#define VARIANT(isa, kernels) extern const norm_kernels kernels;
#include "kernels/norm/variants.def"
#undef VARIANT
static const norm_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/norm/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(norm, variants)

enum {
  GRAIN = 16384, /* elements worth waking a thread for */
  COLUMNS = 64,  /* of a unit of NHWC work: whole vectors of every variant */
};

static int64_t grain(int64_t unit_elements) { return GRAIN / (unit_elements + 1) + 1; }

typedef struct rows_job {
  const norm_row_options *o;
  norm_rows_fn run;
  const float *x;
  float *y;
  int64_t n;
} rows_job;

static void work_rows(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const rows_job *j = arg;
  norm_row_options o = *j->o;
  int64_t at = begin * j->n;
  if (o.skip) o.skip += at;
  if (o.sum) o.sum += at;
  if (o.mean) o.mean += begin;
  if (o.inv_std) o.inv_std += begin;
  j->run(&o, j->x + at, j->y + at, end - begin, j->n);
}

void norm_rows_f32(const norm_row_options *options, const float *x, float *y, int64_t rows, int64_t n, pool *p) {
  rows_job j = {options, norm_best()->rows, x, y, n};
  if (rows > 0 && n > 0) pool_run(p, rows, grain(n), work_rows, &j);
}

/* What the channel-wise normalisations pass to their bodies. */
typedef struct channel_job {
  const norm_kernels *k;
  const float *x;
  float *y;
  int64_t channels, inner, groups, x_row, y_row;
  const float *scale, *shift;
  float lo, hi, epsilon;
  float *mean;
  double *sum, *square;
} channel_job;

static void work_affine_planes(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const channel_job *j = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t c = i % j->channels;
    j->k->affine(j->x + i * j->inner, j->y + i * j->inner, j->inner, 0, j->scale[c], j->shift[c], j->lo, j->hi);
  }
}

static void work_affine_rows(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const channel_job *j = arg;
  j->k->affine_rows(j->x + begin * j->x_row, j->x_row, j->y + begin * j->y_row, j->y_row, end - begin, j->channels,
                    j->mean, j->scale, j->shift, j->lo, j->hi);
}

void norm_row_affine_f32(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows, int64_t channels,
                         const float *scale, const float *shift, float lo, float hi, pool *p) {
  if (rows <= 0 || channels <= 0) return;
  channel_job j = {.k = norm_best(),
                   .x = x,
                   .y = y,
                   .channels = channels,
                   .x_row = x_row,
                   .y_row = y_row,
                   .scale = scale,
                   .shift = shift,
                   .lo = lo,
                   .hi = hi};
  pool_run(p, rows, grain(channels), work_affine_rows, &j);
}

void norm_channel_affine_f32(const float *x, float *y, int64_t outer, int64_t channels, int64_t inner,
                             const float *scale, const float *shift, float lo, float hi, pool *p) {
  if (inner == 1) {
    norm_row_affine_f32(x, channels, y, channels, outer, channels, scale, shift, lo, hi, p);
    return;
  }
  if (outer <= 0 || channels <= 0 || inner <= 0) return;
  channel_job j = {.k = norm_best(),
                   .x = x,
                   .y = y,
                   .channels = channels,
                   .inner = inner,
                   .scale = scale,
                   .shift = shift,
                   .lo = lo,
                   .hi = hi};
  pool_run(p, outer * channels, grain(inner), work_affine_planes, &j);
}

/* y = (x - mean) inv_std scale + bias as (x - center) a + b, where mean = center + rest. */
static void fold(double rest, double inv_std, const float *scale, const float *bias, int64_t c, float *ret_scale,
                 float *ret_shift) {
  double a = inv_std * (scale ? scale[c] : 1.0);
  *ret_scale = (float)a;
  *ret_shift = (float)((bias ? bias[c] : 0.0) - rest * a);
}

/* 1 / standard deviation from the sums of deviations about the center and of their squares. */
static double inverse_deviation(double sum, double square, double n, float epsilon) {
  double rest = sum / n, variance = square / n - rest * rest;
  return 1 / sqrt((variance > 0 ? variance : 0) + epsilon);
}

static void work_group(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const channel_job *j = arg;
  int64_t width = j->channels / j->groups, n = width * j->inner;
  for (int64_t i = begin; i < end; i++) {
    const float *x = j->x + i * n;
    float center = (float)(j->k->sum(x, n) / (double)n);
    double sum, square;
    j->k->moments(x, n, center, &sum, &square);
    double inv_std = inverse_deviation(sum, square, (double)n, j->epsilon);
    for (int64_t k = 0; k < width; k++) {
      float scale, shift;
      fold(sum / (double)n, inv_std, j->scale, j->shift, i % j->groups * width + k, &scale, &shift);
      j->k->affine(x + k * j->inner, j->y + i * n + k * j->inner, j->inner, center, scale, shift, -INFINITY, INFINITY);
    }
  }
}

void norm_group_f32(const float *x, float *y, int64_t batch, int64_t channels, int64_t inner, int64_t groups,
                    const float *scale, const float *bias, float epsilon, pool *p) {
  if (batch <= 0 || channels <= 0 || inner <= 0) return;
  channel_job j = {.k = norm_best(),
                   .x = x,
                   .y = y,
                   .channels = channels,
                   .inner = inner,
                   .groups = groups,
                   .scale = scale,
                   .shift = bias,
                   .epsilon = epsilon};
  pool_run(p, batch * groups, grain(channels / groups * inner), work_group, &j);
}

static void work_columns(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const channel_job *j = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t c = i * COLUMNS, count = j->channels - c < COLUMNS ? j->channels - c : COLUMNS;
    j->k->column_moments(j->x + c, j->inner, count, j->channels, j->mean ? j->mean + c : NULL, j->sum + c,
                         j->square ? j->square + c : NULL);
  }
}

/* Scratch: sums and squares [channels] of double, then mean, scale and shift [channels] of float. */
size_t norm_group_nhwc_scratch(int64_t channels) { return (size_t)channels * (2 * sizeof(double) + 3 * sizeof(float)); }

void norm_group_nhwc_f32(const float *x, float *y, int64_t batch, int64_t inner, int64_t channels, int64_t groups,
                         const float *scale, const float *bias, float epsilon, void *scratch, pool *p) {
  if (batch <= 0 || channels <= 0 || inner <= 0) return;
  double *sum = scratch, *square = sum + channels;
  float *mean = (float *)(square + channels), *folded_scale = mean + channels, *folded_shift = folded_scale + channels;
  int64_t width = channels / groups, n_units = (channels + COLUMNS - 1) / COLUMNS, unit = inner * COLUMNS;
  double n = (double)(width * inner);
  for (int64_t b = 0; b < batch; b++, x += inner * channels, y += inner * channels) {
    channel_job j = {.k = norm_best(),
                     .x = x,
                     .y = y,
                     .channels = channels,
                     .x_row = channels,
                     .y_row = channels,
                     .inner = inner,
                     .sum = sum,
                     .scale = folded_scale,
                     .shift = folded_shift,
                     .lo = -INFINITY,
                     .hi = INFINITY};
    memset(sum, 0, (size_t)channels * 2 * sizeof(double));
    pool_run(p, n_units, grain(unit), work_columns, &j);
    for (int64_t g = 0; g < channels; g += width) {
      double total = 0;
      for (int64_t c = g; c < g + width; c++) total += sum[c];
      for (int64_t c = g; c < g + width; c++) mean[c] = (float)(total / n);
    }
    memset(sum, 0, (size_t)channels * sizeof(double));
    j.square = square, j.mean = mean;
    pool_run(p, n_units, grain(unit), work_columns, &j);
    for (int64_t g = 0; g < channels; g += width) {
      double s = 0, q = 0;
      for (int64_t c = g; c < g + width; c++) s += sum[c], q += square[c];
      double inv_std = inverse_deviation(s, q, n, epsilon);
      for (int64_t c = g; c < g + width; c++) fold(s / n, inv_std, scale, bias, c, &folded_scale[c], &folded_shift[c]);
    }
    pool_run(p, inner, grain(channels), work_affine_rows, &j);
  }
}

typedef struct plain_job {
  const float *x;
  float *y;
  int64_t channels, inner, n_blocks; /* channels is the middle axis */
  int p;                             /* of the norm */
  int64_t size;
  float alpha, beta, bias;
} plain_job;

/* A block of COLUMNS of the inner axis: plain loops over it, which the compiler turns into vectors. */
static void work_lp(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const plain_job *j = arg;
  for (int64_t u = begin; u < end; u++) {
    int64_t at = u % j->n_blocks * COLUMNS, base = u / j->n_blocks * j->channels * j->inner + at;
    int64_t count = j->inner - at < COLUMNS ? j->inner - at : COLUMNS;
    double norm[COLUMNS] = {0};
    for (int64_t c = 0; c < j->channels; c++)
      for (int64_t i = 0; i < count; i++) {
        double v = j->x[base + c * j->inner + i];
        norm[i] += j->p == 1 ? fabs(v) : v * v;
      }
    for (int64_t i = 0; i < count; i++) norm[i] = j->p == 1 ? norm[i] : sqrt(norm[i]);
    for (int64_t c = 0; c < j->channels; c++)
      for (int64_t i = 0; i < count; i++) {
        int64_t k = base + c * j->inner + i;
        j->y[k] = norm[i] == 0 ? 0 : (float)(j->x[k] / norm[i]);
      }
  }
}

void norm_lp_f32(const float *x, float *y, int64_t outer, int64_t n, int64_t inner, int p_norm, pool *p) {
  if (outer <= 0 || n <= 0 || inner <= 0) return;
  plain_job j = {.x = x, .y = y, .channels = n, .inner = inner, .p = p_norm};
  j.n_blocks = (inner + COLUMNS - 1) / COLUMNS;
  pool_run(p, outer * j.n_blocks, grain(n * (inner < COLUMNS ? inner : COLUMNS)), work_lp, &j);
}

/* v^-beta; the usual exponents without a logarithm. */
static inline float power_minus(float v, float beta) {
  if (beta == 0.75f) return 1.0f / (sqrtf(v) * sqrtf(sqrtf(v)));
  if (beta == 0.5f) return 1.0f / sqrtf(v);
  return beta == 1.0f ? 1.0f / v : powf(v, -beta);
}

static void work_lrn(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const plain_job *j = arg;
  int64_t before = (j->size - 1) / 2, after = j->size - 1 - before;
  float factor = j->alpha / (float)j->size;
  for (int64_t u = begin; u < end; u++) {
    int64_t at = u % j->n_blocks * COLUMNS, base = u / j->n_blocks * j->channels * j->inner + at;
    int64_t count = j->inner - at < COLUMNS ? j->inner - at : COLUMNS;
    for (int64_t c = 0; c < j->channels; c++) {
      int64_t first = c - before < 0 ? 0 : c - before, last = c + after < j->channels ? c + after : j->channels - 1;
      float square[COLUMNS] = {0};
      for (int64_t k = first; k <= last; k++)
        for (int64_t i = 0; i < count; i++) {
          float v = j->x[base + k * j->inner + i];
          square[i] += v * v;
        }
      for (int64_t i = 0; i < count; i++) {
        int64_t k = base + c * j->inner + i;
        j->y[k] = j->x[k] * power_minus(j->bias + factor * square[i], j->beta);
      }
    }
  }
}

void norm_lrn_f32(const float *x, float *y, int64_t batch, int64_t channels, int64_t inner, int64_t size, float alpha,
                  float beta, float bias, pool *p) {
  if (batch <= 0 || channels <= 0 || inner <= 0 || size <= 0) return;
  plain_job j = {
      .x = x, .y = y, .channels = channels, .inner = inner, .size = size, .alpha = alpha, .beta = beta, .bias = bias};
  j.n_blocks = (inner + COLUMNS - 1) / COLUMNS;
  pool_run(p, batch * j.n_blocks, grain(channels * (inner < COLUMNS ? inner : COLUMNS)), work_lrn, &j);
}
