/* media/features: the plan of a recipe, and running it over a sound.
 *
 *   samples [n] -> per frame: gather, energy, window, FFT, power -> bands [frames][bands] -> log over all -> per frame:
 * DCT
 *               -> rows [frames][width] -> normalise -> layout
 *
 * Everything that toolkits do on the whole spectrogram (the dB limit, whisper's scaling, mean and variance) stands
 * after the first buffer, so that it is whole by then. */
#include "media/features.h"

#include "base/error.h"
#include "media/fft.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

typedef struct mel_band {
  int first, count; /* bins whose weight is not 0 */
  int at;           /* of the first in plan.weights */
} mel_band;

struct features_plan {
  audio_features f;
  int n_bins, n_bands, width; /* of a spectrum; of what the log is taken of; of a frame of the result */
  float *window;              /* [win_length] */
  mel_band *bands;            /* [n_mels]; NULL where there are none */
  float *weights;
  float *dct; /* [n_ceps][n_mels], the lifter multiplied in */
  fft_plan *fft;
};

/* --- tables --- */

void features_window_fill(features_window window, bool periodic, int n, double *ret) {
  double step = 2 * M_PI / (periodic ? n : n > 1 ? n - 1 : 1);
  for (int i = 0; i < n; i++) {
    double c = cos(step * i);
    switch (window) {
      case FEATURES_WINDOW_HANN: ret[i] = 0.5 - 0.5 * c; break;
      case FEATURES_WINDOW_HAMMING: ret[i] = 0.54 - 0.46 * c; break;
      case FEATURES_WINDOW_POVEY: ret[i] = pow(0.5 - 0.5 * c, 0.85); break;
      case FEATURES_WINDOW_BLACKMAN: ret[i] = 0.42 - 0.5 * c + 0.08 * cos(2 * step * i); break;
      case FEATURES_WINDOW_RECT: ret[i] = 1; break;
    }
  }
}

/* HTK: O'Shaughnessy's formula. Slaney's Auditory Toolbox: straight to 1000 Hz, then 27 steps for a factor of 6.4. */
static double hz_to_mel(features_mel_scale scale, double hz) {
  if (scale == FEATURES_MEL_HTK) return 2595 * log10(1 + hz / 700);
  return hz < 1000 ? hz * 3 / 200 : 15 + 27 * log(hz / 1000) / log(6.4);
}
static double mel_to_hz(features_mel_scale scale, double mel) {
  if (scale == FEATURES_MEL_HTK) return 700 * (pow(10, mel / 2595) - 1);
  return mel < 15 ? mel * 200 / 3 : 1000 * exp(log(6.4) * (mel - 15) / 27);
}

/* Weights of band m over the n_fft / 2 + 1 bins. */
static void mel_row(const audio_features *f, int m, double *row) {
  double fmax = f->fmax > 0 ? f->fmax : f->sample_rate / 2.0 + f->fmax;
  double low = hz_to_mel(f->mel_scale, f->fmin), high = hz_to_mel(f->mel_scale, fmax);
  double hz[3], edge[3]; /* left foot, peak, right foot */
  for (int k = 0; k < 3; k++) {
    edge[k] = low + (high - low) * (m + k) / (f->n_mels + 1);
    hz[k] = mel_to_hz(f->mel_scale, edge[k]);
    if (f->mel_linear_hz) edge[k] = hz[k];
  }
  double height = f->mel_norm_slaney ? 2 / (hz[2] - hz[0]) : 1;
  for (int b = 0; b <= f->n_fft / 2; b++) {
    double x = (double)b * f->sample_rate / f->n_fft;
    if (!f->mel_linear_hz) x = hz_to_mel(f->mel_scale, x);
    double rise = (x - edge[0]) / (edge[1] - edge[0]), fall = (edge[2] - x) / (edge[2] - edge[1]);
    double w = rise < fall ? rise : fall;
    row[b] = w > 0 ? w * height : 0;
  }
}

ledge_status features_mel_filters(const audio_features *f, double *weights, ledge_error *error) {
  TRY(audio_features_check(f, error));
  for (int m = 0; m < f->n_mels; m++) mel_row(f, m, weights + (size_t)m * (size_t)(f->n_fft / 2 + 1));
  return LEDGE_OK;
}

/* The rows without their zeros: the bins of a triangle follow each other. A bin lies in two triangles at most. */
static ledge_status plan_mel(features_plan *p, ledge_error *error) {
  size_t kept = 0, most = 2 * (size_t)p->n_bins;
  double *row = mem_alloc_array((size_t)p->n_bins, sizeof *row);
  p->bands = mem_alloc_array((size_t)p->f.n_mels, sizeof *p->bands);
  p->weights = mem_alloc_array(most, sizeof *p->weights);
  bool ok = row && p->bands && p->weights;
  for (int m = 0; ok && m < p->f.n_mels; m++) {
    mel_row(&p->f, m, row);
    p->bands[m].at = (int)kept;
    for (int b = 0; b < p->n_bins && kept < most; b++) {
      if (row[b] <= 0) continue;
      if (p->bands[m].count++ == 0) p->bands[m].first = b;
      p->weights[kept++] = (float)row[b];
    }
  }
  mem_free(row);
  return ok ? LEDGE_OK : error_memory(error, most * sizeof *p->weights, "mel filters");
}

static ledge_status plan_dct(features_plan *p, ledge_error *error) {
  const audio_features *f = &p->f;
  size_t n = (size_t)f->n_ceps * (size_t)f->n_mels;
  p->dct = mem_alloc_array(n, sizeof *p->dct);
  if (!p->dct) return error_memory(error, n * sizeof *p->dct, "a cosine transform");
  for (int k = 0; k < f->n_ceps; k++) {
    double scale = sqrt((k == 0 && f->dct_ortho ? 1.0 : 2.0) / f->n_mels);
    if (f->lifter > 0) scale *= 1 + f->lifter / 2 * sin(M_PI * (k + f->lifter_from_one) / f->lifter);
    for (int m = 0; m < f->n_mels; m++)
      p->dct[(size_t)k * (size_t)f->n_mels + (size_t)m] = (float)(scale * cos(M_PI / f->n_mels * (m + 0.5) * k));
  }
  return LEDGE_OK;
}

static ledge_status plan_fill(features_plan *p, ledge_error *error) {
  const audio_features *f = &p->f;
  bool mel = f->kind == FEATURES_MEL || f->kind == FEATURES_MFCC;
  p->width = 1;
  if (f->kind == FEATURES_WAVE) return LEDGE_OK;
  p->n_bins = f->n_fft / 2 + 1;
  p->n_bands = mel ? f->n_mels : p->n_bins;
  p->width = f->kind == FEATURES_MFCC ? f->n_ceps : p->n_bands + (f->energy != FEATURES_ENERGY_NONE);
  TRY(fft_plan_create(f->n_fft, LEDGE_F32, &p->fft, error));
  double *wide = mem_alloc_array((size_t)f->win_length, sizeof *wide);
  p->window = mem_alloc_array((size_t)f->win_length, sizeof *p->window);
  if (wide && p->window) {
    features_window_fill(f->window, f->window_periodic, f->win_length, wide);
    for (int i = 0; i < f->win_length; i++) p->window[i] = (float)wide[i];
  }
  bool ok = wide && p->window;
  mem_free(wide);
  if (!ok) return error_memory(error, (size_t)f->win_length * sizeof *wide, "a window");
  if (mel) TRY(plan_mel(p, error));
  return f->kind == FEATURES_MFCC ? plan_dct(p, error) : LEDGE_OK;
}

ledge_status features_plan_create(const audio_features *f, features_plan **ret, ledge_error *error) {
  TRY(audio_features_check(f, error));
  features_plan *p = mem_zalloc(sizeof *p);
  if (!p) return error_memory(error, sizeof *p, "sound features");
  p->f = *f;
  ledge_status status = plan_fill(p, error);
  if (status)
    features_plan_destroy(p);
  else
    *ret = p;
  return status;
}

void features_plan_destroy(features_plan *p) {
  if (!p) return;
  fft_plan_destroy(p->fft);
  mem_free(p->window);
  mem_free(p->bands);
  mem_free(p->weights);
  mem_free(p->dct);
  mem_free(p);
}

int features_plan_width(const features_plan *p) { return p->width; }

int64_t features_plan_frames(const features_plan *p, int64_t n_samples) {
  const audio_features *f = &p->f;
  int64_t n = f->length > 0 ? f->length : n_samples, frames = 0;
  if (f->kind == FEATURES_WAVE) return n;
  if (n < 1) return 0;
  switch (f->framing) {
    case FEATURES_FRAMING_CENTER: frames = 1 + (n + 2 * (f->n_fft / 2) - f->n_fft) / f->hop_length; break;
    case FEATURES_FRAMING_SNIP: frames = n < f->win_length ? 0 : 1 + (n - f->win_length) / f->hop_length; break;
    case FEATURES_FRAMING_MIRROR: frames = (n + f->hop_length / 2) / f->hop_length; break;
  }
  if (f->drop_last_frame && frames > 0) frames--;
  return frames;
}

/* --- frames --- */

/* The sound that frames are cut from: n samples at x, zeros from there to `length`, and past both ends what the padding
 * says. */
typedef struct signal {
  const float *x;
  int64_t n, length;
} signal;

static float signal_inside(const signal *s, int64_t i) { return i < s->n ? s->x[i] : 0; }

/* Sample i of a sound that goes on, for any i. `half` 0 mirrors around the first and last sample, 1 around their edge.
 */
static float signal_mirrored(const signal *s, int64_t i, int half) {
  int64_t period = 2 * s->length - (half ? 0 : 2);
  if (period < 1) return signal_inside(s, 0);
  i %= period;
  if (i < 0) i += period;
  if (i >= s->length) i = period - i - half;
  return signal_inside(s, i);
}

static float signal_at(const audio_features *f, const signal *s, int64_t i) {
  if (i >= 0 && i < s->length) return signal_inside(s, i);
  if (f->framing == FEATURES_FRAMING_MIRROR) return signal_mirrored(s, i, 1);
  if (f->pad_mode == FEATURES_PAD_ZERO) return 0;
  if (f->pad_mode == FEATURES_PAD_EDGE) return signal_inside(s, i < 0 ? 0 : s->length - 1);
  return signal_mirrored(s, i, 0);
}

static int64_t frame_start(const audio_features *f, int64_t frame) {
  int64_t at = frame * f->hop_length;
  switch (f->framing) {
    case FEATURES_FRAMING_CENTER: return at - f->n_fft / 2 + (f->n_fft - f->win_length) / 2;
    case FEATURES_FRAMING_MIRROR: return at + f->hop_length / 2 - f->win_length / 2;
    default: return at;
  }
}

static void frame_gather(const audio_features *f, const signal *s, int64_t frame, float *x) {
  int64_t start = frame_start(f, frame);
  float gain = (float)f->gain;
  bool inside = start >= 0 && start <= s->n - f->win_length;
  for (int i = 0; i < f->win_length; i++) x[i] = gain * (inside ? s->x[start + i] : signal_at(f, s, start + i));
  for (int i = f->win_length; i < f->n_fft; i++) x[i] = 0;
}

/* ln of the sum of squares, as Kaldi and HTK have it. */
static float frame_energy(const audio_features *f, const float *x) {
  double sum = 0;
  for (int i = 0; i < f->win_length; i++) sum += (double)x[i] * x[i];
  double least = f->energy_floor > FLT_EPSILON ? f->energy_floor : FLT_EPSILON;
  return (float)log(sum > least ? sum : least);
}

static void frame_condition(const audio_features *f, float *x) {
  int n = f->win_length;
  if (f->remove_dc) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    float mean = (float)(sum / n);
    for (int i = 0; i < n; i++) x[i] -= mean;
  }
}

static void frame_emphasize(const audio_features *f, float *x) {
  float c = (float)f->preemphasis;
  if (c == 0) return;
  for (int i = f->win_length - 1; i > 0; i--) x[i] -= c * x[i - 1];
  x[0] -= c * x[0];
}

typedef struct workspace {
  float *frame;    /* [n_fft] */
  float *spectrum; /* [n_bins] complex, then its powers in front */
  void *scratch;
  float *bands;  /* [frames][n_bands] */
  float *energy; /* [frames] */
  float *rows;   /* [frames][width]; the bands themselves where width is n_bands */
} workspace;

static void frame_powers(const features_plan *p, workspace *w) {
  fft_real_f32(p->fft, w->frame, w->spectrum, w->scratch);
  for (int b = 0; b < p->n_bins; b++) {
    float re = w->spectrum[2 * b], im = w->spectrum[2 * b + 1], power = re * re + im * im;
    w->spectrum[b] = p->f.power == 1 ? sqrtf(power) : power;
  }
}

static void frame_bands(const features_plan *p, const float *spectrum, float *out) {
  if (!p->bands) {
    memcpy(out, spectrum, (size_t)p->n_bins * sizeof *out);
    return;
  }
  for (int m = 0; m < p->f.n_mels; m++) {
    const float *w = p->weights + p->bands[m].at, *x = spectrum + p->bands[m].first;
    float sum = 0;
    for (int k = 0; k < p->bands[m].count; k++) sum += w[k] * x[k];
    out[m] = sum;
  }
}

static void run_frames(const features_plan *p, const signal *s, int64_t frames, workspace *w) {
  const audio_features *f = &p->f;
  for (int64_t t = 0; t < frames; t++) {
    frame_gather(f, s, t, w->frame);
    frame_condition(f, w->frame);
    if (f->energy == FEATURES_ENERGY_RAW) w->energy[t] = frame_energy(f, w->frame);
    frame_emphasize(f, w->frame);
    for (int i = 0; i < f->win_length; i++) w->frame[i] *= p->window[i];
    if (f->energy == FEATURES_ENERGY_WINDOWED) w->energy[t] = frame_energy(f, w->frame);
    frame_powers(p, w);
    frame_bands(p, w->spectrum, w->bands + t * p->n_bands);
  }
}

/* --- the whole spectrogram --- */

static float maximum(const float *x, int64_t n) {
  float top = -INFINITY;
  for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
  return top;
}

static void take_log(const audio_features *f, float *x, int64_t n) {
  if (f->log == FEATURES_LOG_NONE || n == 0) return;
  double factor = f->log == FEATURES_LOG_LN ? 1 : 1 / log(10.0);
  double zero = 0; /* what is subtracted: the reference, in dB */
  if (f->log == FEATURES_LOG_DB) {
    factor *= 20 / f->power; /* 10 of a power, 20 of a magnitude */
    double ref = f->db_ref > 0 ? f->db_ref : (double)maximum(x, n);
    zero = factor * log(fmax(fmax(ref, f->log_floor), DBL_MIN));
  }
  for (int64_t i = 0; i < n; i++) {
    double v = fmax((double)x[i] + f->log_offset, f->log_floor);
    x[i] = (float)(factor * log(v > 0 ? v : DBL_MIN) - zero);
  }
  if (f->log == FEATURES_LOG_DB && f->db_top > 0) {
    float least = maximum(x, n) - (float)f->db_top;
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > least ? x[i] : least;
  }
}

static void make_row(const features_plan *p, const float *bands, float energy, float *row) {
  const audio_features *f = &p->f;
  bool has_energy = f->energy != FEATURES_ENERGY_NONE;
  if (f->kind != FEATURES_MFCC) {
    if (has_energy) *row++ = energy;
    memcpy(row, bands, (size_t)p->n_bands * sizeof *row);
    return;
  }
  for (int k = 0; k < f->n_ceps; k++) {
    const float *c = p->dct + (size_t)k * (size_t)f->n_mels;
    float sum = 0;
    for (int m = 0; m < f->n_mels; m++) sum += c[m] * bands[m];
    if (k == 0 && has_energy) sum = energy;
    row[f->c0_last ? (k + f->n_ceps - 1) % f->n_ceps : k] = sum;
  }
}

static void normalize(const features_plan *p, float *rows, int64_t frames) {
  int64_t n = frames * p->width;
  if (p->f.normalize == FEATURES_NORMALIZE_WHISPER) {
    float least = maximum(rows, n) - 8;
    for (int64_t i = 0; i < n; i++) rows[i] = ((rows[i] > least ? rows[i] : least) + 4) / 4;
  }
  if (p->f.normalize != FEATURES_NORMALIZE_MEAN && p->f.normalize != FEATURES_NORMALIZE_MEANVAR) return;
  for (int k = 0; k < p->width; k++) {
    double sum = 0, squares = 0;
    for (int64_t t = 0; t < frames; t++) sum += rows[t * p->width + k];
    double mean = sum / (double)frames;
    for (int64_t t = 0; t < frames; t++) squares += pow(rows[t * p->width + k] - mean, 2);
    double scale = p->f.normalize == FEATURES_NORMALIZE_MEAN ? 1 : 1 / sqrt(fmax(squares / (double)frames, 1e-10));
    for (int64_t t = 0; t < frames; t++) rows[t * p->width + k] = (float)((rows[t * p->width + k] - mean) * scale);
  }
}

/* --- the result --- */

static ledge_status make_output(const features_plan *p, int64_t frames, tensor *out, ledge_error *error) {
  if (frames > FEATURES_OUTPUT_MAX / p->width)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "sound features: %" PRId64 " frames of %d values; the limit is %" PRId64 " values", frames,
                     p->width, FEATURES_OUTPUT_MAX);
  out->dtype = LEDGE_F32;
  for (const char *c = p->f.layout; *c; c++) out->dims[out->rank++] = *c == 't' ? frames : *c == 'f' ? p->width : 1;
  return tensor_alloc(out, error);
}

static void lay_out(const features_plan *p, const float *rows, int64_t frames, float *out) {
  const char *layout = p->f.layout;
  int64_t width = p->width;
  if (strchr(layout, 't') < strchr(layout, 'f')) {
    memcpy(out, rows, (size_t)(frames * width) * sizeof *out);
    return;
  }
  for (int64_t k = 0; k < width; k++)
    for (int64_t t = 0; t < frames; t++) *out++ = rows[t * width + k];
}

static void workspace_deinit(workspace *w) {
  mem_free(w->frame);
  mem_free(w->spectrum);
  mem_free(w->scratch);
  mem_free(w->energy);
  if (w->rows != w->bands) mem_free(w->rows);
  mem_free(w->bands);
}

static ledge_status workspace_init(const features_plan *p, int64_t frames, workspace *w, ledge_error *error) {
  size_t n = (size_t)frames;
  if (frames > FEATURES_OUTPUT_MAX / p->n_bands)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "sound features: %" PRId64 " frames of %d bands; the limit is %" PRId64 " values", frames,
                     p->n_bands, FEATURES_OUTPUT_MAX);
  w->frame = mem_alloc_array((size_t)p->f.n_fft, sizeof(float));
  w->spectrum = mem_alloc_array((size_t)p->n_bins, 2 * sizeof(float));
  w->scratch = mem_alloc(fft_plan_scratch_bytes(p->fft));
  w->energy = mem_alloc_array(n, sizeof(float));
  w->bands = mem_alloc_array(n * (size_t)p->n_bands, sizeof(float));
  w->rows = p->width == p->n_bands && p->f.kind != FEATURES_MFCC ? w->bands
                                                                 : mem_alloc_array(n * (size_t)p->width, sizeof(float));
  if (w->frame && w->spectrum && w->scratch && w->energy && w->bands && w->rows) return LEDGE_OK;
  return error_memory(error, n * (size_t)(p->n_bands + p->width) * sizeof(float), "sound features");
}

static ledge_status run_wave(const features_plan *p, const signal *s, tensor *out, ledge_error *error) {
  TRY(make_output(p, s->length, out, error));
  float *to = out->data, gain = (float)p->f.gain;
  for (int64_t i = 0; i < s->length; i++) to[i] = gain * signal_inside(s, i);
  return LEDGE_OK;
}

static ledge_status run_spectral(const features_plan *p, const signal *s, tensor *out, ledge_error *error) {
  int64_t frames = features_plan_frames(p, s->length);
  if (frames < 1)
    return error_set(error, LEDGE_ERROR_DATA,
                     "sound features: %" PRId64
                     " samples are too few for one frame of %d: give more, or length= to pad",
                     s->length, p->f.win_length);
  workspace w = {0};
  ledge_status status = workspace_init(p, frames, &w, error);
  if (status == LEDGE_OK) status = make_output(p, frames, out, error);
  if (status == LEDGE_OK) {
    run_frames(p, s, frames, &w);
    take_log(&p->f, w.bands, frames * p->n_bands);
    for (int64_t t = 0; w.rows != w.bands && t < frames; t++)
      make_row(p, w.bands + t * p->n_bands, w.energy[t], w.rows + t * p->width);
    normalize(p, w.rows, frames);
    lay_out(p, w.rows, frames, out->data);
  }
  workspace_deinit(&w);
  return status;
}

ledge_status features_plan_run(const features_plan *p, const float *samples, int64_t n, tensor *ret,
                               ledge_error *error) {
  if (n < 0 || n > AUDIO_SAMPLES_MAX)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "sound features: %" PRId64 " samples; the limit is %" PRId64, n,
                     AUDIO_SAMPLES_MAX);
  int64_t length = p->f.length > 0 ? p->f.length : n;
  signal s = {.x = samples, .n = n < length ? n : length, .length = length};
  tensor out = {0};
  ledge_status status = p->f.kind == FEATURES_WAVE ? run_wave(p, &s, &out, error) : run_spectral(p, &s, &out, error);
  if (status) {
    tensor_deinit(&out);
    return status;
  }
  tensor_deinit(ret);
  *ret = out;
  return LEDGE_OK;
}

ledge_status audio_features_run(const audio_features *f, const audio_clip *clip, tensor *ret, ledge_error *error) {
  tensor mono = {0}, resampled = {0};
  features_plan *plan = NULL;
  ledge_status status = features_plan_create(f, &plan, error);
  if (status == LEDGE_OK) status = audio_mono(&clip->samples, &mono, error);
  if (status == LEDGE_OK && clip->sample_rate != f->sample_rate)
    status = audio_resample(&mono, clip->sample_rate, f->sample_rate, &resampled, error);
  const tensor *samples = resampled.rank ? &resampled : &mono;
  if (status == LEDGE_OK) status = features_plan_run(plan, samples->data, samples->dims[1], ret, error);
  features_plan_destroy(plan);
  tensor_deinit(&mono);
  tensor_deinit(&resampled);
  return status;
}
