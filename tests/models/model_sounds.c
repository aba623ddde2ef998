/* tests/models/model_sounds: real models of sound, whole: from the recording through the model, block after block with
 * its state, to the known right answer. */
#include "models.h"

#include "base/map.h"
#include "formats/npy/npy.h"
#include "media/fft.h"

#define SPEECH "silero-vad/tests/data/test.wav"

/* ---- noise suppression: DTLN ---- */

enum { BLOCK = 512, HOP = 128, BINS = BLOCK / 2 + 1, DTLN_STATE = 2 * 128 * 2, DELAY = BLOCK - HOP };

/* Blocks of 512 samples, 128 apart: model 1 masks the magnitudes of the spectrum, model 2 works on the samples; what
 * comes out is added up. Each has a state that goes from block to block. */
typedef struct dtln {
  net a, b;
  fft_plan *plan;
  void *scratch;
  float in[BLOCK], out[BLOCK], block[BLOCK], magnitude[BINS], spectrum[2 * BINS], state_a[DTLN_STATE],
      state_b[DTLN_STATE];
} dtln;

static bool dtln_open(dtln *d) {
  static const int64_t bins[] = {1, 1, BINS}, samples[] = {1, 1, BLOCK}, state[] = {1, 2, 128, 2};
  ledge_error e = {.message = ""};
  memset(d, 0, sizeof *d);
  if (fft_plan_create(BLOCK, LEDGE_F32, &d->plan, &e)) TEST_FAIL("%s", e.message);
  d->scratch = d->plan ? malloc(fft_plan_scratch_bytes(d->plan)) : NULL;
  return d->scratch && net_open(&d->a, "DTLN/pretrained_model/model_1.onnx") &&
         net_open(&d->b, "DTLN/pretrained_model/model_2.onnx") &&
         net_set(&d->a, "input_2", LEDGE_F32, 3, bins, d->magnitude) &&
         net_set(&d->a, "input_3", LEDGE_F32, 4, state, d->state_a) &&
         net_set(&d->b, "input_4", LEDGE_F32, 3, samples, d->block) &&
         net_set(&d->b, "input_5", LEDGE_F32, 4, state, d->state_b);
}

static void dtln_close(dtln *d) {
  net_close(&d->a);
  net_close(&d->b);
  fft_plan_destroy(d->plan);
  free(d->scratch);
}

/* Takes 128 samples, gives 128, which are those that came DELAY samples before. */
static bool dtln_step(dtln *d, const float *in, float *out) {
  memmove(d->in, d->in + HOP, (BLOCK - HOP) * sizeof *d->in);
  memcpy(d->in + BLOCK - HOP, in, HOP * sizeof *in);
  fft_real_f32(d->plan, d->in, d->spectrum, d->scratch);
  for (int i = 0; i < BINS; i++) d->magnitude[i] = hypotf(d->spectrum[2 * i], d->spectrum[2 * i + 1]);
  const float *mask = net_run(&d->a) ? net_floats(&d->a, "activation_2", BINS) : NULL;
  const float *state = mask ? net_floats(&d->a, "tf_op_layer_stack_2", DTLN_STATE) : NULL;
  if (!state) return false;
  memcpy(d->state_a, state, sizeof d->state_a);
  for (int i = 0; i < 2 * BINS; i++) d->spectrum[i] *= mask[i / 2] / BLOCK;
  fft_real_inverse_f32(d->plan, d->spectrum, d->block, d->scratch);
  const float *clean = net_run(&d->b) ? net_floats(&d->b, "conv1d_3", BLOCK) : NULL;
  state = clean ? net_floats(&d->b, "tf_op_layer_stack_5", DTLN_STATE) : NULL;
  if (!state) return false;
  memcpy(d->state_b, state, sizeof d->state_b);
  memmove(d->out, d->out + HOP, (BLOCK - HOP) * sizeof *d->out);
  memset(d->out + BLOCK - HOP, 0, HOP * sizeof *d->out);
  for (int i = 0; i < BLOCK; i++) d->out[i] += clean[i];
  memcpy(out, d->out, HOP * sizeof *out);
  return true;
}

/* Decibels of `clean` over what x[i + delay] differs from it. */
static double snr(const float *clean, const float *x, int64_t n, int64_t delay) {
  double signal = 0, noise = 0;
  for (int64_t i = 0; i + delay < n; i++) {
    signal += (double)clean[i] * clean[i];
    noise += pow((double)x[i + delay] - clean[i], 2);
  }
  return 10 * log10(signal / noise);
}

static bool read_golden(const npz *z, const char *name, int64_t n, tensor *ret) {
  ledge_error e = {.message = ""};
  int64_t at = npz_find(z, name);
  if (at < 0 || npz_read(z, (size_t)at, &(npy_options){LEDGE_F32}, ret, &e)) TEST_FAIL("%s: %s", name, e.message);
  return at >= 0 && tensor_elements(ret) == n;
}

/* Three seconds of speech in noise of 11.65 dB come out at 17.98 dB, and as stored. */
static void test_dtln(void) {
  enum { SAMPLES = 48000 };
  static float out[SAMPLES];
  char path[4096];
  ledge_error e = {.message = ""};
  file_map *map = NULL;
  npz *z = NULL;
  tensor noisy = {0}, enhanced = {0};
  ledge_value *speech;
  int64_t n = 0;
  dtln d;
  const float *clean = models_sound(SPEECH, 16000, &speech, &n);
  bool ok = dtln_open(&d) && clean && n >= SAMPLES;
  CHECK(ok);
  if (ok && (file_map_open(models_path("derived/golden/dtln_stream_3s.npz", path), &map, &e) ||
             npz_open(file_map_data(map), file_map_size(map), &z, &e)))
    TEST_FAIL("%s", e.message);
  ok = ok && z && read_golden(z, "in:noisy", SAMPLES, &noisy) && read_golden(z, "out:enhanced", SAMPLES, &enhanced);
  for (int i = 0; ok && i < SAMPLES; i += HOP) ok = dtln_step(&d, (const float *)noisy.data + i, out + i);
  if (ok) {
    const float *want = enhanced.data;
    double most = 0, largest = 0;
    for (int i = 0; i < SAMPLES; i++) {
      most = fmax(most, fabs((double)out[i] - want[i]));
      largest = fmax(largest, fabs(want[i]));
    }
    CHECK_NEAR(most, 0, 1e-4 * largest);
    CHECK_NEAR(snr(clean, noisy.data, SAMPLES - DELAY, 0), 11.65, 0.005);
    CHECK_NEAR(snr(clean, out, SAMPLES, DELAY), 17.98, 0.005);
  }
  tensor_deinit(&noisy);
  tensor_deinit(&enhanced);
  npz_close(z);
  file_map_unref(map);
  ledge_value_destroy(speech);
  dtln_close(&d);
}

/* ---- voice activity: Silero ---- */

enum { WINDOW = 512, CONTEXT = 64, MAX_WINDOWS = 2048, MAX_SPEECH = 64, PAD = 480 };

typedef struct stretch {
  int64_t from, to; /* samples */
} stretch;

/* The probability of speech in each window of 512 samples, which the model sees behind the 64 before it. */
static int speech_probabilities(net *n, const float *x, int64_t count, float *ret) {
  static float window[CONTEXT + WINDOW], state[2 * 128];
  static int64_t rate;
  rate = 16000;
  memset(window, 0, sizeof window);
  memset(state, 0, sizeof state);
  if (!net_set(n, "input", LEDGE_F32, 2, (int64_t[]){1, CONTEXT + WINDOW}, window) ||
      !net_set(n, "state", LEDGE_F32, 3, (int64_t[]){2, 1, 128}, state) || !net_set(n, "sr", LEDGE_I64, 0, NULL, &rate))
    return 0;
  int windows = 0;
  for (int64_t at = 0; at < count && windows < MAX_WINDOWS; at += WINDOW) {
    memmove(window, window + WINDOW, CONTEXT * sizeof *window);
    for (int64_t i = 0; i < WINDOW; i++) window[CONTEXT + i] = at + i < count ? x[at + i] : 0;
    const float *p = net_run(n) ? net_floats(n, "output", 1) : NULL, *next = p ? net_floats(n, "stateN", 256) : NULL;
    if (!next) return 0;
    ret[windows++] = *p;
    memcpy(state, next, sizeof state);
  }
  return windows;
}

/* Speech begins at a probability of 0.5 and ends where it stays under 0.35 for 100 ms; under 250 ms it is none. */
static int find_speech(const float *p, int windows, int64_t count, stretch *ret) {
  const int64_t min_speech = 4000, min_silence = 1600;
  int n = 0;
  int64_t from = -1, quiet = -1;
  for (int i = 0; i < windows && n < MAX_SPEECH; i++) {
    int64_t at = (int64_t)i * WINDOW;
    if (p[i] >= 0.5f) {
      quiet = -1;
      if (from < 0) from = at;
    } else if (p[i] < 0.35f && from >= 0) {
      if (quiet < 0) quiet = at;
      if (at - quiet < min_silence) continue;
      if (quiet - from > min_speech) ret[n++] = (stretch){from, quiet};
      from = quiet = -1;
    }
  }
  if (from >= 0 && count - from > min_speech && n < MAX_SPEECH) ret[n++] = (stretch){from, count};
  for (int i = 0; i < n; i++) { /* 30 ms more at each side, or half of the silence */
    int64_t silence = i + 1 < n ? ret[i + 1].from - ret[i].to : 2 * PAD;
    int64_t pad = silence < 2 * PAD ? silence / 2 : PAD;
    if (i == 0) ret[i].from = ret[i].from > PAD ? ret[i].from - PAD : 0;
    ret[i].to = i + 1 < n || ret[i].to + pad < count ? ret[i].to + pad : count;
    if (i + 1 < n) ret[i + 1].from -= pad;
  }
  return n;
}

/* What ONNX Runtime's probabilities give. */
static const stretch speech[] = {
    {32, 32736},      {42528, 75232},   {79392, 110048},  {149024, 213472}, {216608, 241632},
    {245280, 253920}, {260640, 286688}, {293920, 313824}, {325152, 521696}, {523296, 569824},
    {571936, 602080}, {607264, 623072}, {637984, 692704}, {697888, 714208}, {720416, 749024},
    {781344, 799712}, {817184, 867808}, {871456, 918496}, {920096, 953312},
};

static void check_silero(const char *model) {
  enum { N = sizeof speech / sizeof *speech };
  static float p[MAX_WINDOWS];
  stretch found[MAX_SPEECH];
  net n;
  ledge_value *sound = NULL;
  int64_t count = 0;
  const float *x = net_open(&n, model) ? models_sound(SPEECH, 16000, &sound, &count) : NULL;
  int windows = x ? speech_probabilities(&n, x, count, p) : 0, n_found = find_speech(p, windows, count, found);
  double mean = 0;
  for (int i = 0; i < windows; i++) mean += p[i] / windows;
  CHECK_INT(windows, 1875);
  CHECK_NEAR(mean, 0.7783314, 1e-5);
  CHECK_INT(n_found, N);
  for (int i = 0; i < N && i < n_found; i++)
    if (found[i].from != speech[i].from || found[i].to != speech[i].to)
      TEST_FAIL("speech %d is %lld to %lld instead of %lld to %lld", i, (long long)found[i].from,
                (long long)found[i].to, (long long)speech[i].from, (long long)speech[i].to);
  ledge_value_destroy(sound);
  net_close(&n);
}

static void test_silero(void) { check_silero("silero-vad/src/silero_vad/data/silero_vad.onnx"); }
static void test_silero_16k(void) { check_silero("silero-vad/src/silero_vad/data/silero_vad_16k_op15.onnx"); }

/* ---- notes: basic-pitch ---- */

enum {
  PITCH_WINDOW = 43844, /* samples at 22,050 Hz */
  PITCH_FRAME = 256,    /* samples a frame */
  PITCH_FRAMES = 172,   /* a window */
  PITCH_OVERLAP = 30,   /* frames that two windows share */
  PITCH_NOTES = 88,
  PITCH_MAX_FRAMES = 1024,
};

/* note [frames, 88], joined from windows of which half the overlap is cut at each end; returns the frames. */
static int transcribe(net *n, const float *x, int64_t count, float note[][PITCH_NOTES]) {
  static float window[PITCH_WINDOW];
  const int64_t overlap = PITCH_OVERLAP * PITCH_FRAME, hop = PITCH_WINDOW - overlap;
  const int half = PITCH_OVERLAP / 2, kept = PITCH_FRAMES - PITCH_OVERLAP;
  int frames = 0, all = (int)((double)count / (double)hop * kept); /* as its authors cut it */
  if (!net_set(n, "serving_default_input_2:0", LEDGE_F32, 3, (int64_t[]){1, PITCH_WINDOW, 1}, window)) return 0;
  for (int64_t at = -overlap / 2; at < count && frames + kept <= PITCH_MAX_FRAMES; at += hop) {
    for (int64_t i = 0; i < PITCH_WINDOW; i++) window[i] = at + i >= 0 && at + i < count ? x[at + i] : 0;
    const float *y = net_run(n) ? net_floats(n, "StatefulPartitionedCall:1", PITCH_FRAMES * PITCH_NOTES) : NULL;
    if (!y) return 0;
    memcpy(note[frames], y + half * PITCH_NOTES, (size_t)kept * sizeof *note);
    frames += kept;
  }
  return frames < all ? frames : all;
}

/* Pitches (MIDI) and middles (seconds) of the notes that its authors' program finds in the recording. */
static const struct {
  float time;
  int pitch;
} notes[] = {{8.79f, 48}, {8.58f, 47}, {8.35f, 47}, {8.12f, 47}, {7.41f, 48}, {7.18f, 52}, {6.92f, 56},
             {6.78f, 55}, {6.53f, 54}, {6.23f, 54}, {5.58f, 47}, {5.39f, 46}, {5.06f, 46}, {4.47f, 47},
             {4.30f, 47}, {4.04f, 47}, {3.65f, 45}, {3.06f, 49}, {2.89f, 51}, {2.32f, 54}, {2.10f, 54},
             {1.89f, 54}, {1.60f, 51}, {1.17f, 46}, {0.96f, 46}, {0.75f, 47}, {2.58f, 56}, {1.36f, 47}};

/* Elements of the note activations that its authors publish for this recording. */
static const struct {
  int frame, note;
  float value;
} activations[] = {{537, 33, 0.89684f}, {337, 26, 0.78575f}, {364, 26, 0.63991f}, {444, 38, 0.24507f}};

static void test_basic_pitch(void) {
  static float note[PITCH_MAX_FRAMES][PITCH_NOTES];
  net n;
  ledge_value *sound = NULL;
  int64_t count = 0;
  const float *x = net_open(&n, "basic-pitch/basic_pitch/saved_models/icassp_2022/nmp.onnx")
                       ? models_sound("basic-pitch/tests/resources/vocadito_10.wav", 22050, &sound, &count)
                       : NULL;
  int frames = x ? transcribe(&n, x, count, note) : 0;
  CHECK_INT(frames, 787);
  double mean = 0;
  for (int i = 0; i < frames * PITCH_NOTES; i++) mean += note[i / PITCH_NOTES][i % PITCH_NOTES];
  CHECK_NEAR(mean / (787 * PITCH_NOTES), 0.109803, 2e-4);
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
    CHECK_NEAR(note[activations[i].frame][activations[i].note], activations[i].value, 0.01);
  for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) { /* pitch 21 is the first of the 88 */
    int frame = (int)(notes[i].time * 22050 / PITCH_FRAME + 0.5f);
    float activation = note[frame][notes[i].pitch - 21];
    if (!(activation > 0.3f))
      TEST_FAIL("at %.2f s pitch %d has an activation of %.3f", notes[i].time, notes[i].pitch, activation);
  }
  ledge_value_destroy(sound);
  net_close(&n);
}

MODELS_MAIN({"dtln", test_dtln}, {"silero", test_silero}, {"silero_16k", test_silero_16k},
            {"basic_pitch", test_basic_pitch})
