/* ops/tflite_signal: the fixed-point front end of tflite-micro (its signal library), which makes features of sound: a
 * window, a spectrum, energies, mel channels, their square roots, noise taken out, the gain held (PCAN, Lyon and
 * Wang), logarithms. One dim each but the window.
 *
 *   SignalWindow x, window; shift                       SignalFftAutoScale x; y and by how many bits
 *   SignalRfft x; fft_length; pairs (re, im)            SignalEnergy x; start_index, end_index
 *   SignalFilterBank x, weights, unweights, frequency starts, weight starts, widths; num_channels
 *   SignalFilterBankSquareRoot x, bits                  SignalFilterBankLog x; output_scale, input_correction_bits
 *   SignalFilterBankSpectralSubtraction x, noise; y, noise
 *   SignalPCAN x, noise, gains; snr_shift
 *
 * The spectrum is that of KISS FFT in 16 bits (Borgerding): each butterfly of radix r scales by 1 / r. */
#include "base/error.h"
#include "ops/elementwise.h"

#include <math.h>

static ledge_status need(op_ctx *c, int i, ledge_dtype dtype) {
  const tensor *t = op_in(c, i);
  return t->dtype == dtype ? LEDGE_OK : op_fail_dtype(c, i);
}

/* Bits of v: 1 for 1, 0 for 0. */
static int bits_of(uint64_t v) { return v ? 64 - __builtin_clzll((unsigned long long)v) : 0; }

static ledge_status check_range(op_ctx *c, const char *name, int64_t least, int64_t most) {
  int64_t v = op_int(c, name, least);
  if (v >= least && v <= most) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_FORMAT, "%s is %lld", name, (long long)v);
}

/* ---- window, scale, energy ---- */

static ledge_status window_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1);
  TRY(need(c, 0, LEDGE_I16));
  TRY(need(c, 1, LEDGE_I16));
  TRY(check_range(c, "shift", 0, 31));
  if (w->rank != 1 || x->rank < 1 || x->dims[x->rank - 1] != w->dims[0])
    return op_fail(c, LEDGE_ERROR_SHAPE, "a window that does not fit");
  return op_same_shape(c, 0, 0);
}

static ledge_status window_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1);
  const int16_t *from = x->data, *by = w->data;
  int16_t *to = op_out(c, 0)->data;
  int shift = (int)op_int(c, "shift", 0);
  int64_t n = tensor_elements(x), size = w->dims[0];
  for (int64_t i = 0; i < n; i++) {
    int32_t v = ((int32_t)from[i] * by[i % size]) >> shift;
    to[i] = (int16_t)(v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v);
  }
  return LEDGE_OK;
}

static ledge_status scale_infer(op_ctx *c) {
  TRY(need(c, 0, LEDGE_I16));
  TRY(op_same_shape(c, 0, 0));
  return op_shape(c, 1, LEDGE_I32, 0, NULL);
}

static ledge_status scale_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  const int16_t *from = x->data;
  int64_t n = tensor_elements(x);
  int32_t most = 0;
  for (int64_t i = 0; i < n; i++) {
    int32_t v = from[i] < 0 ? -(int32_t)from[i] : from[i];
    most = v > most ? v : most;
  }
  if (most > INT16_MAX) most = INT16_MAX;
  int by = most ? 15 - bits_of((uint64_t)most) : 0;
  if (op_wants(c, 0))
    for (int64_t i = 0; i < n; i++) ((int16_t *)op_out(c, 0)->data)[i] = (int16_t)(from[i] * (1 << by));
  if (op_wants(c, 1)) *(int32_t *)op_out(c, 1)->data = by;
  return LEDGE_OK;
}

static ledge_status energy_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  TRY(need(c, 0, LEDGE_I16));
  if (x->rank != 1 || x->dims[0] % 2) return op_fail(c, LEDGE_ERROR_SHAPE, "no list of pairs");
  int64_t n = x->dims[0] / 2;
  TRY(check_range(c, "start_index", 0, n));
  TRY(check_range(c, "end_index", 0, n));
  return op_shape(c, 0, LEDGE_U32, 1, &n);
}

static ledge_status energy_run(op_ctx *c) {
  const int16_t *x = op_in(c, 0)->data;
  tensor *y = op_out(c, 0);
  uint32_t *to = y->data;
  memset(to, 0, tensor_bytes(y));
  for (int64_t i = op_int(c, "start_index", 0); i < op_int(c, "end_index", 0); i++) {
    int32_t re = x[2 * i], im = x[2 * i + 1];
    to[i] = (uint32_t)(re * re) + (uint32_t)(im * im);
  }
  return LEDGE_OK;
}

/* ---- the spectrum ---- */

typedef struct cpx {
  int16_t r, i;
} cpx;

static int16_t rounded(int32_t v) { return (int16_t)((v + (1 << 14)) >> 15); }
static cpx product(cpx a, cpx b) { return (cpx){rounded(a.r * b.r - a.i * b.i), rounded(a.r * b.i + a.i * b.r)}; }
static cpx divided(cpx a, int by) { return (cpx){rounded(a.r * (INT16_MAX / by)), rounded(a.i * (INT16_MAX / by))}; }
static cpx sum(cpx a, cpx b) { return (cpx){(int16_t)(a.r + b.r), (int16_t)(a.i + b.i)}; }
static cpx difference(cpx a, cpx b) { return (cpx){(int16_t)(a.r - b.r), (int16_t)(a.i - b.i)}; }
static cpx turn(double phase) {
  return (cpx){(int16_t)floor(0.5 + INT16_MAX * cos(phase)), (int16_t)floor(0.5 + INT16_MAX * sin(phase))};
}

/* y[n] = the transform of x[0], x[step], ...; twiddles of the whole are `step` apart. n is a power of two. */
static void transform(cpx *y, const cpx *x, int64_t n, int64_t step, const cpx *twiddles) {
  int radix = n % 4 ? (int)n : 4;
  int64_t m = n / radix;
  for (int k = 0; k < radix; k++) {
    if (m == 1)
      y[k] = x[k * step];
    else
      transform(y + k * m, x + k * step, m, step * radix, twiddles);
  }
  for (int64_t k = 0; k < m && radix == 2; k++) {
    cpx a = divided(y[k], 2), b = product(divided(y[m + k], 2), twiddles[k * step]);
    y[k] = sum(a, b), y[m + k] = difference(a, b);
  }
  for (int64_t k = 0; k < m && radix == 4; k++) {
    cpx a = divided(y[k], 4), b = product(divided(y[m + k], 4), twiddles[k * step]),
        d = product(divided(y[2 * m + k], 4), twiddles[2 * k * step]),
        e = product(divided(y[3 * m + k], 4), twiddles[3 * k * step]);
    cpx odd = difference(a, d), even = sum(a, d), s = sum(b, e), t = difference(b, e);
    y[k] = sum(even, s), y[2 * m + k] = difference(even, s);
    y[m + k] = (cpx){(int16_t)(odd.r + t.i), (int16_t)(odd.i - t.r)};
    y[3 * m + k] = (cpx){(int16_t)(odd.r - t.i), (int16_t)(odd.i + t.r)};
  }
}

enum { FFT_MAX = 1 << 16 };

static ledge_status rfft_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t n = op_int(c, "fft_length", 0), out = n + 2;
  TRY(need(c, 0, LEDGE_I16));
  if (n < 8 || n > FFT_MAX || (n & (n - 1)))
    return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "a length of %lld, which is no power of two from 8 to %d", (long long)n,
                   FFT_MAX);
  if (x->rank != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of %d dims", x->rank);
  return op_shape(c, 0, LEDGE_I16, 1, &out);
}

static ledge_status rfft_run(op_ctx *c) {
  const double pi = 3.14159265358979323846;
  const tensor *x = op_in(c, 0);
  int64_t n = op_int(c, "fft_length", 0), half = n / 2, given = x->dims[0] < n ? x->dims[0] : n;
  cpx *to = op_out(c, 0)->data, *in = op_scratch(c, (size_t)(3 * half), sizeof *in);
  if (!in) return LEDGE_ERROR_MEMORY;
  cpx *y = in + half, *twiddles = y + half;
  memset(in, 0, (size_t)half * sizeof *in);
  memcpy(in, x->data, (size_t)given * sizeof(int16_t));
  for (int64_t i = 0; i < half; i++) twiddles[i] = turn(-2 * pi * (double)i / (double)half);
  transform(y, in, half, 1, twiddles);
  cpx first = divided(y[0], 2);
  to[0] = (cpx){(int16_t)(first.r + first.i), 0};
  to[half] = (cpx){(int16_t)(first.r - first.i), 0};
  for (int64_t k = 1; k <= half / 2; k++) {
    cpx a = divided(y[k], 2), b = divided((cpx){y[half - k].r, (int16_t)-y[half - k].i}, 2);
    cpx f = sum(a, b), t = product(difference(a, b), turn(-pi * ((double)k / (double)half + 0.5)));
    to[k] = (cpx){(int16_t)((f.r + t.r) >> 1), (int16_t)((f.i + t.i) >> 1)};
    to[half - k] = (cpx){(int16_t)((f.r - t.r) >> 1), (int16_t)((t.i - f.i) >> 1)};
  }
  op_scratch_free(in);
  return LEDGE_OK;
}

/* ---- channels ---- */

static ledge_status bank_infer(op_ctx *c) {
  int64_t n = op_int(c, "num_channels", 0);
  TRY(need(c, 0, LEDGE_U32));
  TRY(check_range(c, "num_channels", 0, 65536));
  for (int i = 1; i < 6; i++) {
    TRY(need(c, i, LEDGE_I16));
    if (i > 2 && tensor_elements(op_in(c, i)) < n + 1)
      return op_fail(c, LEDGE_ERROR_SHAPE, "%lld channels, and fewer starts", (long long)n);
  }
  return op_shape(c, 0, LEDGE_U64, 1, &n);
}

static ledge_status bank_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *u = op_in(c, 2);
  const int16_t *from = op_in(c, 3)->data, *at = op_in(c, 4)->data, *widths = op_in(c, 5)->data;
  int64_t n = op_int(c, "num_channels", 0), n_x = tensor_elements(x), n_w = tensor_elements(w);
  uint64_t *to = op_out(c, 0)->data, rest = 0;
  if (tensor_elements(u) < n_w) n_w = tensor_elements(u);
  for (int64_t i = 0; i <= n; i++) {
    uint64_t own = rest;
    rest = 0;
    if (from[i] < 0 || at[i] < 0 || widths[i] < 0 || from[i] + widths[i] > n_x || at[i] + widths[i] > n_w)
      return op_fail(c, LEDGE_ERROR_DATA, "channel %lld reads outside of its inputs", (long long)i);
    for (int64_t j = 0; j < widths[i]; j++) {
      uint64_t v = ((const uint32_t *)x->data)[from[i] + j];
      own += (uint64_t)(int64_t)((const int16_t *)w->data)[at[i] + j] * v;
      rest += (uint64_t)(int64_t)((const int16_t *)u->data)[at[i] + j] * v;
    }
    if (i) to[i - 1] = own; /* the first is what the first channel leaves over */
  }
  return LEDGE_OK;
}

/* Rounded; a number of 32 bits has a root of 16. */
static uint32_t root_of(uint64_t v) {
  uint64_t root = 0, most = v >> 32 ? UINT32_MAX : UINT16_MAX;
  if (!v) return 0;
  for (uint64_t bit = (uint64_t)1 << ((bits_of(v) - 1) / 2 * 2); bit; bit >>= 2) {
    if (v >= root + bit) {
      v -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return (uint32_t)(v > root && root != most ? root + 1 : root);
}

static ledge_status root_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  TRY(need(c, 0, LEDGE_U64));
  TRY(need(c, 1, LEDGE_I32));
  TRY(elem_check_scalar(c, 1));
  return op_shape(c, 0, LEDGE_U32, x->rank, x->dims);
}

static ledge_status root_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t by = tensor_i64(op_in(c, 1), 0);
  if (by < 0 || by > 31) return op_fail(c, LEDGE_ERROR_DATA, "%lld bits", (long long)by);
  for (int64_t i = 0; i < tensor_elements(x); i++)
    ((uint32_t *)op_out(c, 0)->data)[i] = root_of(((const uint64_t *)x->data)[i]) >> by;
  return LEDGE_OK;
}

static ledge_status noise_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *noise = op_in(c, 1);
  TRY(need(c, 0, LEDGE_U32));
  TRY(need(c, 1, LEDGE_U32));
  TRY(check_range(c, "smoothing_bits", 0, 31));
  TRY(check_range(c, "spectral_subtraction_bits", 0, 63));
  if (!tensor_same_shape(x, noise)) return op_fail(c, LEDGE_ERROR_SHAPE, "an estimate that does not fit");
  TRY(op_same_shape(c, 0, 0));
  return op_same_shape(c, 1, 1);
}

static ledge_status noise_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  const uint32_t *from = x->data, *noise = op_in(c, 1)->data;
  uint32_t *y = op_wants(c, 0) ? op_out(c, 0)->data : NULL, *next = op_wants(c, 1) ? op_out(c, 1)->data : NULL;
  const uint32_t new_part[] = {(uint32_t)op_int(c, "smoothing", 0), (uint32_t)op_int(c, "alternate_smoothing", 0)},
                 old_part[] = {(uint32_t)op_int(c, "one_minus_smoothing", 0),
                               (uint32_t)op_int(c, "alternate_one_minus_smoothing", 0)},
                 least = (uint32_t)op_int(c, "min_signal_remaining", 0);
  int up = (int)op_int(c, "smoothing_bits", 0), down = (int)op_int(c, "spectral_subtraction_bits", 0);
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    uint32_t scaled = from[i] << up;
    uint32_t kept = (uint32_t)(((uint64_t)scaled * new_part[i & 1] + (uint64_t)noise[i] * old_part[i & 1]) >> down);
    uint32_t taken = kept < scaled ? kept : scaled;
    uint32_t low = (uint32_t)(((uint64_t)from[i] * least) >> down), rest = (scaled - taken) >> up;
    if (next) next[i] = op_int(c, "clamping", 0) ? taken : kept;
    if (y) y[i] = rest > low ? rest : low;
  }
  return LEDGE_OK;
}

/* A curve of pieces: for each power of two three numbers of a parabola, of which one is spare. */
enum { GAIN_LUT = 125, SNR_BITS = 12, OUT_BITS = 6 };

static int16_t gain_at(uint32_t x, const int16_t *lut) {
  if (x <= 2) return lut[x];
  int interval = bits_of(x);
  lut += 4 * interval - 6;
  int32_t part = (int32_t)((interval < 11 ? x << (11 - interval) : x >> (interval - 11)) & 0x3FF);
  int32_t v = (((int32_t)lut[2] * part) >> 5) + (int32_t)((uint32_t)lut[1] << 5);
  v = (int32_t)((uint32_t)v * (uint32_t)part);
  return (int16_t)(((v + (1 << 14)) >> 15) + lut[0]);
}

static ledge_status pcan_infer(op_ctx *c) {
  TRY(need(c, 0, LEDGE_U32));
  TRY(need(c, 1, LEDGE_U32));
  TRY(need(c, 2, LEDGE_I16));
  TRY(check_range(c, "snr_shift", 0, 63));
  if (!tensor_same_shape(op_in(c, 0), op_in(c, 1)) || tensor_elements(op_in(c, 2)) < GAIN_LUT)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an estimate or a table that does not fit");
  return op_same_shape(c, 0, 0);
}

static ledge_status pcan_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  const uint32_t *from = x->data, *noise = op_in(c, 1)->data;
  uint32_t *to = op_out(c, 0)->data;
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    uint32_t gain = (uint32_t)gain_at(noise[i], op_in(c, 2)->data);
    uint32_t snr = (uint32_t)(((uint64_t)from[i] * gain) >> op_int(c, "snr_shift", 0));
    to[i] = snr < 2u << SNR_BITS ? (snr * snr) >> (2 + 2 * SNR_BITS - OUT_BITS)
                                 : (snr >> (SNR_BITS - OUT_BITS)) - (1u << OUT_BITS);
  }
  return LEDGE_OK;
}

/* How far log2(1 + s / 128) lies above s / 128, in 65536ths. */
static void log_table(uint16_t table[130]) {
  for (int s = 0; s < 130; s++) table[s] = s < 128 ? (uint16_t)lround(65536 * (log2(1 + s / 128.0) - s / 128.0)) : 0;
}

static uint32_t log_of(uint32_t x, uint32_t scale, const uint16_t *table) {
  int whole = bits_of(x) - 1;
  int64_t part = (int64_t)x - ((int64_t)1 << whole);
  uint32_t frac = (uint32_t)(whole < 16 ? part << (16 - whole) : part >> (whole - 16)), s = frac >> 9;
  int32_t bend = ((table[s + 1] - (int32_t)table[s]) * (int32_t)(frac - (s << 9))) >> 16;
  uint32_t log_2 = ((uint32_t)whole << 16) + frac + table[s] + (uint32_t)bend;
  uint32_t natural = (uint32_t)((45426 * (uint64_t)log_2 + 32768) >> 16);
  return (scale * natural + 32768) >> 16;
}

static ledge_status log_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  TRY(need(c, 0, LEDGE_U32));
  TRY(check_range(c, "input_correction_bits", 0, 31));
  return op_shape(c, 0, LEDGE_I16, x->rank, x->dims);
}

static ledge_status log_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  uint16_t table[130];
  log_table(table);
  int up = (int)op_int(c, "input_correction_bits", 0);
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    uint32_t v = ((const uint32_t *)x->data)[i] << up;
    uint32_t y = v > 1 ? log_of(v, (uint32_t)op_int(c, "output_scale", 1), table) : 0;
    ((int16_t *)op_out(c, 0)->data)[i] = (int16_t)(y < INT16_MAX ? y : INT16_MAX);
  }
  return LEDGE_OK;
}

const op_def ops_tflite_signal[] = {
    {"tflite", "SignalWindow", 1, 0, 2, 2, 1, 1, 0, window_infer, window_run},
    {"tflite", "SignalFftAutoScale", 1, 0, 1, 1, 1, 2, 0, scale_infer, scale_run},
    {"tflite", "SignalRfft", 1, 0, 1, 1, 1, 1, 0, rfft_infer, rfft_run},
    {"tflite", "SignalEnergy", 1, 0, 1, 1, 1, 1, 0, energy_infer, energy_run},
    {"tflite", "SignalFilterBank", 1, 0, 6, 6, 1, 1, 0, bank_infer, bank_run},
    {"tflite", "SignalFilterBankSquareRoot", 1, 0, 2, 2, 1, 1, 0, root_infer, root_run},
    {"tflite", "SignalFilterBankSpectralSubtraction", 1, 0, 2, 2, 1, 2, 0, noise_infer, noise_run},
    {"tflite", "SignalPCAN", 1, 0, 3, 3, 1, 1, 0, pcan_infer, pcan_run},
    {"tflite", "SignalFilterBankLog", 1, 0, 1, 1, 1, 1, 0, log_infer, log_run},
    {0},
};
