/* media/resample: changing the sample rate by a rational factor L / M (smallest terms).
 *
 *   out[j] = sum over k of in[k] h(j M / L - k)        h(t) = c sinc(c t) kaiser(t / width)
 *
 * c is the cut-off in units of the input's Nyquist rate; 1 where the rate rises. The fraction of j M / L takes L
 * values, each with its own row of weights: all are computed ahead where they fit RESAMPLE_ROWS_MAX and the sound is
 * long enough to use them, else each when it is needed. Many rows are read between the points of a table of h
 * (RESAMPLE_DENSITY points to a zero crossing: an error of -118 dB), few are computed directly. Each row is scaled to
 * sum 1, so that a constant stays what it is. Kaiser's design (1974): A dB of stop band and a transition of d radians
 * take a window of (A - 7.95) / (2.285 d) samples with beta = 0.1102 (A - 8.7). */
#include "base/error.h"
#include "media/audio.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define RESAMPLE_STOP_DB 100.0
#define RESAMPLE_PASS 0.93 /* of the lower Nyquist rate */
#define RESAMPLE_ROWS_MAX ((int64_t)1 << 21)
#define RESAMPLE_DIRECT_MAX ((int64_t)1 << 18)
#define RESAMPLE_DENSITY 1024
#define RESAMPLE_TAPS_MAX ((int64_t)1 << 18)

typedef struct resampler {
  int64_t up, down; /* L, M */
  int64_t taps;     /* weights of a row, a multiple of 8 */
  double cutoff, half_width, beta;
  float *rows; /* [up][taps], or one row */
  bool all;
  double *work;  /* [taps] */
  double *table; /* h(i / density), i <= half_width * density + 1; NULL where rows are computed directly */
  double density;
} resampler;

/* The modified Bessel function of order 0, by its series. */
static double bessel_i0(double x) {
  double sum = 1, term = 1;
  for (int k = 1; k < 200 && term > sum * 1e-17; k++) {
    term *= (x / 2 / k) * (x / 2 / k);
    sum += term;
  }
  return sum;
}

static double filter_at(const resampler *r, double t, double i0_beta) {
  double x = t / r->half_width;
  if (x <= -1 || x >= 1) return 0;
  double a = M_PI * r->cutoff * t, sinc = fabs(a) < 1e-9 ? 1 : sin(a) / a;
  return sinc * bessel_i0(r->beta * sqrt(1 - x * x)) / i0_beta;
}

static double filter_read(const resampler *r, double t) {
  double x = fabs(t);
  if (x >= r->half_width) return 0;
  x *= r->density;
  int64_t i = (int64_t)x;
  return r->table[i] + (x - (double)i) * (r->table[i + 1] - r->table[i]);
}

/* Weights of in[first ... first + taps), first = floor(j M / L) - taps / 2 + 1, for the fraction phase / L. */
static void fill_row(const resampler *r, int64_t phase, float *row) {
  double sum = 0, fraction = (double)phase / (double)r->up, i0_beta = bessel_i0(r->beta);
  for (int64_t k = 0; k < r->taps; k++) {
    double t = fraction + (double)(r->taps / 2 - 1 - k);
    r->work[k] = r->table ? filter_read(r, t) : filter_at(r, t, i0_beta);
    sum += r->work[k];
  }
  for (int64_t k = 0; k < r->taps; k++) row[k] = (float)(r->work[k] / sum);
}

static int64_t common_divisor(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a = b, b = rest;
  }
  return a;
}

static void resampler_deinit(resampler *r) {
  mem_free(r->rows);
  mem_free(r->work);
  mem_free(r->table);
}

static ledge_status resampler_fill_table(resampler *r, double lower, ledge_error *error) {
  r->density = RESAMPLE_DENSITY * lower;
  size_t n = (size_t)(r->half_width * r->density) + 3;
  double *table = mem_alloc_array(n, sizeof *table), i0_beta = bessel_i0(r->beta);
  if (!table) {
    resampler_deinit(r);
    return error_memory(error, n * sizeof *table, "a resampler");
  }
  for (size_t i = 0; i < n; i++) table[i] = filter_at(r, (double)i / r->density, i0_beta);
  r->table = table;
  return LEDGE_OK;
}

/* For n frames of output. */
static ledge_status resampler_init(resampler *r, int from, int to, int64_t n_frames, ledge_error *error) {
  int64_t divisor = common_divisor(from, to);
  double lower = to < from ? (double)to / from : 1;
  double half = (RESAMPLE_STOP_DB - 7.95) / (2.285 * (1 - RESAMPLE_PASS) * M_PI) / 2 / lower;
  *r = (resampler){.up = to / divisor,
                   .down = from / divisor,
                   .cutoff = lower * (1 + RESAMPLE_PASS) / 2,
                   .half_width = half,
                   .beta = 0.1102 * (RESAMPLE_STOP_DB - 8.7)};
  r->taps = (int64_t)mem_align((size_t)(2 * ((int64_t)half + 1)), 8);
  if (r->taps > RESAMPLE_TAPS_MAX)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "resampling from %d Hz to %d Hz: the rates are too far apart; go by a step between", from, to);
  r->all = r->up <= n_frames && r->up <= RESAMPLE_ROWS_MAX / r->taps;
  size_t n = (size_t)((r->all ? r->up : 1) * r->taps);
  r->rows = mem_alloc_array(n, sizeof *r->rows);
  r->work = mem_alloc_array((size_t)r->taps, sizeof *r->work);
  if (!r->rows || !r->work) {
    resampler_deinit(r);
    return error_memory(error, n * sizeof *r->rows, "a resampler");
  }
  if ((r->up < n_frames ? r->up : n_frames) > RESAMPLE_DIRECT_MAX / r->taps) TRY(resampler_fill_table(r, lower, error));
  for (int64_t i = 0; r->all && i < r->up; i++) fill_row(r, i, r->rows + i * r->taps);
  return LEDGE_OK;
}

/* Eight sums side by side, so that the compiler may keep them in one register. */
static float dot(const float *a, const float *b, int64_t n) {
  float sums[8] = {0};
  for (int64_t i = 0; i < n; i += 8)
    for (int k = 0; k < 8; k++) sums[k] += a[i + k] * b[i + k];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* `padded` holds taps zeros, a channel's frames, and taps zeros; channels follow each other at `stride`. */
static void resampler_run(const resampler *r, const float *padded, int64_t channels, int64_t stride, int64_t n,
                          float *out) {
  int64_t at = 0, phase = 0; /* j M = at L + phase */
  for (int64_t j = 0; j < n; j++) {
    float *row = r->rows + (r->all ? phase * r->taps : 0);
    if (!r->all) fill_row(r, phase, row);
    const float *in = padded + at + r->taps / 2 + 1; /* taps + at - taps / 2 + 1 */
    for (int64_t c = 0; c < channels; c++) out[c * n + j] = dot(in + c * stride, row, r->taps);
    phase += r->down;
    at += phase / r->up;
    phase %= r->up;
  }
}

static ledge_status resample(const resampler *r, const tensor *samples, int64_t n, tensor *out, ledge_error *error) {
  int64_t channels = samples->dims[0], frames = samples->dims[1], stride = frames + 2 * r->taps;
  TRY(tensor_alloc(out, error));
  float *padded = mem_alloc_array((size_t)(channels * stride), sizeof *padded);
  if (!padded) return error_memory(error, (size_t)(channels * stride) * sizeof *padded, "a resampled sound");
  for (int64_t c = 0; c < channels && frames; c++)
    memcpy(padded + c * stride + r->taps, (const float *)samples->data + c * frames, (size_t)frames * sizeof *padded);
  resampler_run(r, padded, channels, stride, n, out->data);
  mem_free(padded);
  return LEDGE_OK;
}

ledge_status audio_resample(const tensor *samples, int from_rate, int to_rate, tensor *ret_out, ledge_error *error) {
  if (samples->dtype != LEDGE_F32 || samples->rank != 2 || samples->dims[0] < 1 || samples->dims[1] < 0)
    return error_set(error, LEDGE_ERROR_SHAPE, "sound must be f32 [channels, frames]");
  int64_t channels = samples->dims[0], frames = samples->dims[1];
  if (from_rate < 1 || from_rate > AUDIO_RATE_MAX || to_rate < 1 || to_rate > AUDIO_RATE_MAX ||
      frames > AUDIO_SAMPLES_MAX)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "resampling from %d Hz to %d Hz: rates go from 1 to %d", from_rate,
                     to_rate, AUDIO_RATE_MAX);
  int64_t n = (frames * to_rate + from_rate - 1) / from_rate; /* at most 2^28 * 2^20 */
  if (n > AUDIO_SAMPLES_MAX / channels)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "resampling from %d Hz to %d Hz: %" PRId64 " frames; the limit is %" PRId64 " samples", from_rate,
                     to_rate, n, AUDIO_SAMPLES_MAX);
  tensor out = {.dtype = LEDGE_F32, .rank = 2, .dims = {channels, n}};
  resampler r;
  TRY(resampler_init(&r, from_rate, to_rate, n, error));
  ledge_status status = resample(&r, samples, n, &out, error);
  resampler_deinit(&r);
  if (status) {
    tensor_deinit(&out);
    return status;
  }
  tensor_deinit(ret_out);
  *ret_out = out;
  return LEDGE_OK;
}
