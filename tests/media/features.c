/* Features against figures of the toolkits' published formulas, evaluated by themselves in float64 (numpy); those of
 * Kaldi, librosa and whisper agree with Hugging Face transformers' audio_utils and torch.stft to 2e-6. The sound is
 * test_signal below. */
#include "media/features.h"

#include "formats/npy/npy.h"
#include "test.h"

enum { SAMPLES = 9000, POINTS = 5 };

/* Two tones, a little noise from a linear congruential generator, and an offset. */
static void test_signal(float *x, int rate) {
  uint32_t state = 12345;
  for (int i = 0; i < SAMPLES; i++) {
    state = (state * 1103515245u + 12345u) & 0x7fffffffu;
    x[i] = (float)(0.4 * sin(2 * M_PI * 440 * i / rate) + 0.2 * sin(2 * M_PI * 1234.5 * i / rate) +
                   0.05 * (state / 2147483648.0 - 0.5) + 0.01);
  }
}

typedef struct golden {
  const char *spec;
  int64_t rows, columns;
  struct {
    int row, column;
    double value;
  } points[POINTS];
} golden;

static const golden goldens[] = {
    {"mel:preset=librosa",
     128,
     18,
     {{120, 11, -19.7802}, {87, 16, -17.1979}, {74, 13, -18.2794}, {106, 4, -18.3158}, {7, 5, -18.7951}}},
    {"mfcc:preset=librosa",
     20,
     18,
     {{18, 11, 13.023}, {13, 16, -0.952289}, {11, 13, 16.2912}, {16, 4, 25.4935}, {1, 5, 17.12}}},
    {"mel:preset=librosa-htk",
     128,
     18,
     {{120, 11, 5.92692}, {87, 16, 0.841643}, {74, 13, 0.13381}, {106, 4, 1.93851}, {7, 5, -11.0027}}},
    {"mfcc:preset=librosa-htk",
     20,
     18,
     {{18, 11, -9.69327}, {13, 16, 7.66362}, {11, 13, 30.8591}, {16, 4, 0.14256}, {1, 5, -23.3485}}},
    {"mel:preset=librosa,log=none",
     128,
     18,
     {{120, 11, 0.0105192}, {87, 16, 0.0190639}, {74, 13, 0.0148613}, {106, 4, 0.0147375}, {7, 5, 0.0131975}}},
    {"mfcc:preset=librosa,lifter=40",
     20,
     18,
     {{18, 11, 272.68}, {13, 16, -17.9222}, {11, 13, 279.889}, {16, 4, 521.275}, {1, 5, 70.6831}}},
    {"mel:preset=torchaudio",
     128,
     46,
     {{120, 28, -8.55355}, {87, 41, -8.73877}, {74, 35, -11.4415}, {106, 10, -11.5498}, {7, 13, -16.0766}}},
    {"mfcc:preset=torchaudio",
     40,
     46,
     {{37, 28, -24.1809}, {27, 41, -27.2283}, {23, 35, -8.2192}, {33, 10, -5.82456}, {2, 13, -21.6142}}},
    {"mel:preset=whisper,length=16000",
     80,
     100,
     {{75, 62, -0.608679}, {54, 89, -0.608679}, {46, 77, -0.608679}, {66, 22, 0.214007}, {4, 30, 0.228265}}},
    {"mel:preset=whisper,mels=128,length=16000",
     128,
     100,
     {{120, 62, -0.561565}, {87, 89, -0.561565}, {74, 77, -0.561565}, {106, 22, 0.165271}, {7, 30, 0.218287}}},
    {"mel:preset=kaldi",
     54,
     23,
     {{51, 14, 20.2142}, {36, 20, 21.2823}, {31, 17, 20.3985}, {45, 5, 16.9069}, {2, 6, 16.3123}}},
    {"mfcc:preset=kaldi",
     54,
     13,
     {{51, 8, -68.9292}, {36, 11, 49.73}, {31, 10, 54.449}, {45, 2, -6.0071}, {2, 3, -27.2583}}},
    {"mfcc:preset=kaldi,mels=40,ceps=20,energy=none",
     54,
     20,
     {{51, 12, 26.4577}, {36, 17, -30.3999}, {31, 15, 20.1419}, {45, 4, -24.9293}, {2, 6, -43.1738}}},
    {"mel:preset=kaldi,mels=80,framing=mirror",
     56,
     80,
     {{52, 50, 19.1144}, {38, 71, 20.4831}, {32, 62, 18.7339}, {46, 18, 15.7606}, {3, 24, 14.3015}}},
    {"mel:preset=htk",
     54,
     26,
     {{51, 16, 11.1212}, {36, 23, 11.9886}, {31, 20, 11.5983}, {45, 5, 11.9235}, {2, 7, 8.9172}}},
    {"mfcc:preset=htk",
     54,
     13,
     {{51, 8, 8.23348}, {36, 11, 4.52637}, {31, 10, 27.3073}, {45, 2, -15.6392}, {2, 3, -6.88625}}},
    {"mel:preset=tensorflow",
     32,
     80,
     {{30, 50, 0.640947}, {21, 71, 0.941335}, {18, 62, 0.950398}, {26, 18, -0.278963}, {1, 24, 0.0192981}}},
    {"mfcc:preset=tensorflow",
     32,
     13,
     {{30, 8, -3.29759}, {21, 11, 2.14054}, {18, 10, 0.95465}, {26, 2, 0.411361}, {1, 3, -1.94775}}},
    {"spectrogram:rate=16000,fft=400,hop=160,padmode=reflect,power=1,log=none",
     201,
     57,
     {{189, 35, 0.0880258}, {137, 51, 0.157592}, {116, 44, 0.341672}, {167, 12, 0.182648}, {11, 17, 39.8567}}},
    {"mfcc:preset=librosa,normalize=meanvar",
     20,
     18,
     {{18, 11, 0.904053}, {13, 16, -1.12114}, {11, 13, 1.09753}, {16, 4, -0.0452418}, {1, 5, -0.590247}}},
};

static void check_golden(const golden *g) {
  audio_features f;
  features_plan *plan = NULL;
  ledge_error error = {0};
  tensor t = {0};
  static float x[SAMPLES];
  if (audio_features_parse(g->spec, &f, &error) || features_plan_create(&f, &plan, &error)) {
    TEST_FAIL("%s: %s", g->spec, error.message);
    return;
  }
  test_signal(x, f.sample_rate);
  CHECK_INT(features_plan_run(plan, x, SAMPLES, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_F32 && t.rank == 2 && t.dims[0] == g->rows && t.dims[1] == g->columns);
  for (int i = 0; i < POINTS && t.rank == 2; i++) {
    double got = tensor_f64(&t, g->points[i].row * t.dims[1] + g->points[i].column), want = g->points[i].value;
    double tolerance = 5e-4 + 2e-5 * fabs(want); /* float32 before a logarithm, 6 digits here */
    if (!(fabs(got - want) <= tolerance))
      TEST_FAIL("%s [%d][%d]: %.7g, not %.7g", g->spec, g->points[i].row, g->points[i].column, got, want);
  }
  tensor_deinit(&t);
  features_plan_destroy(plan);
}

static void test_goldens(void) {
  for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) check_golden(&goldens[i]);
}

static void test_layouts(void) {
  static const struct {
    const char *spec;
    int rank;
    int64_t dims[5];
  } cases[] = {
      {"mel:preset=whisper,length=3200,layout=nft", 3, {1, 80, 20}},
      {"mel:preset=whisper,length=3200,layout=ntfc", 4, {1, 20, 80, 1}},
      {"mfcc:preset=kaldi,layout=nctf", 4, {1, 1, 54, 13}},
      {"mel:preset=kaldi,energy=raw", 2, {54, 24}},
      {"mel:preset=kaldi,hop=400", 2, {22, 23}},
      {"mel:preset=librosa,fft=512", 2, {128, 18}},
      {"spectrogram:preset=tensorflow,win=512", 2, {34, 513}},
      {"wave:rate=16000,length=4000", 2, {1, 4000}},
      {"wave:layout=t", 1, {SAMPLES}},
      {"wave:layout=nct", 3, {1, 1, SAMPLES}},
  };
  static float x[SAMPLES];
  test_signal(x, 16000);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    audio_features f;
    features_plan *plan = NULL;
    tensor t = {0};
    CHECK_INT(audio_features_parse(cases[i].spec, &f, NULL), LEDGE_OK);
    CHECK_INT(features_plan_create(&f, &plan, NULL), LEDGE_OK);
    CHECK_INT(features_plan_run(plan, x, SAMPLES, &t, NULL), LEDGE_OK);
    char got[128];
    if (!shape_equal(t.rank, t.dims, cases[i].rank, cases[i].dims))
      TEST_FAIL("%s: %s", cases[i].spec, shape_print(t.rank, t.dims, got, sizeof got));
    tensor_deinit(&t);
    features_plan_destroy(plan);
  }
}

static void test_transposed(void) { /* the layout changes places, not values */
  static float x[SAMPLES];
  tensor a = {0}, b = {0};
  audio_features f;
  features_plan *plan;
  test_signal(x, 16000);
  for (int i = 0; i < 2; i++) {
    CHECK_INT(audio_features_parse(i ? "mfcc:preset=kaldi,layout=ft" : "mfcc:preset=kaldi,layout=tf", &f, NULL),
              LEDGE_OK);
    CHECK_INT(features_plan_create(&f, &plan, NULL), LEDGE_OK);
    CHECK_INT(features_plan_run(plan, x, SAMPLES, i ? &b : &a, NULL), LEDGE_OK);
    features_plan_destroy(plan);
  }
  for (int64_t t = 0; t < a.dims[0]; t++)
    for (int64_t k = 0; k < a.dims[1]; k++)
      CHECK(tensor_f64(&a, t * a.dims[1] + k) == tensor_f64(&b, k * b.dims[1] + t));
  tensor_deinit(&a);
  tensor_deinit(&b);
}

static void test_errors(void) {
  static const struct {
    const char *spec, *part;
  } cases[] = {
      {"mels:preset=whisper", "\"mels\" is no kind"},
      {"mel:preset=wisper", "librosa, librosa-htk, torchaudio, whisper, kaldi, htk, tensorflow"},
      {"mel:mles=80", "there is no item \"mles\""},
      {"mel:mels", "not of the form item=value"},
      {"mel:mels=many", "give a whole number"},
      {"mel:window=square", "hann hamming povey blackman rect"},
      {"mel:mels=0", "mels must be 1 to 4096"},
      {"mel:preset=whisper,fmax=9000", "fmin and fmax"},
      {"mel:win=4096", "win must be 1 to fft"},
      {"mel:hop=0", "hop must be 1"},
      {"mel:fft=1000000", "fft must be"},
      {"mfcc:ceps=200", "ceps must be 1 to mels"},
      {"mel:layout=ff", "layout must hold f and t"},
      {"mel:layout=nnnnnnft", "layout"},
      {"wave:layout=ft", "layout must hold t once"},
      {"mel:power=3", "power must be 1 or 2"},
      {"mel:rate=0", "rate must be"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    audio_features f;
    ledge_error error = {0};
    CHECK_INT(audio_features_parse(cases[i].spec, &f, &error), LEDGE_ERROR_ARGUMENT);
    if (!strstr(error.message, cases[i].part)) TEST_FAIL("%s: %s", cases[i].spec, error.message);
  }
}

static void test_short(void) {
  float x[3] = {0.1f, 0.2f, 0.3f};
  static const char *const specs[] = {"mel:preset=librosa", "mel:preset=whisper,length=0", "mfcc:preset=kaldi",
                                      "mel:preset=kaldi,framing=mirror", "mel:preset=librosa,padmode=edge"};
  for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
    for (int64_t n = 0; n <= 3; n++) {
      audio_features f;
      features_plan *plan;
      tensor t = {0};
      CHECK_INT(audio_features_parse(specs[i], &f, NULL), LEDGE_OK);
      CHECK_INT(features_plan_create(&f, &plan, NULL), LEDGE_OK);
      ledge_status status = features_plan_run(plan, x, n, &t, NULL);
      CHECK_INT(status, features_plan_frames(plan, n) > 0 ? LEDGE_OK : LEDGE_ERROR_DATA);
      for (int64_t k = 0; status == LEDGE_OK && k < tensor_elements(&t); k++) CHECK(isfinite(tensor_f64(&t, k)));
      tensor_deinit(&t);
      features_plan_destroy(plan);
    }
  }
}

static void *read_file(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  fseek(f, 0, SEEK_END);
  *size = (size_t)ftell(f);
  rewind(f);
  void *data = mem_alloc(*size);
  if (fread(data, 1, *size, f) != *size) *size = 0;
  fclose(f);
  return data;
}

#define WHISPER "../shared/models/whisper/"

/* The filter bank that whisper itself ships. */
static void test_whisper_filters(void) {
  size_t size;
  void *data = read_file(WHISPER "whisper/assets/mel_filters.npz", &size);
  if (!data) return;
  npz *z = NULL;
  CHECK_INT(npz_open(data, size, &z, NULL), LEDGE_OK);
  static double weights[128 * 201];
  static const char *const specs[] = {"mel:preset=whisper,mels=80", "mel:preset=whisper,mels=128"};
  for (int i = 0; i < 2; i++) {
    audio_features f;
    tensor t = {0};
    char name[16];
    CHECK_INT(audio_features_parse(specs[i], &f, NULL), LEDGE_OK);
    CHECK_INT(features_mel_filters(&f, weights, NULL), LEDGE_OK);
    snprintf(name, sizeof name, "mel_%d", f.n_mels);
    int64_t at = npz_find(z, name);
    if (at < 0 || npz_read(z, (size_t)at, NULL, &t, NULL)) continue;
    CHECK(t.dims[0] == f.n_mels && t.dims[1] == 201);
    for (int64_t k = 0; k < tensor_elements(&t); k++) CHECK_NEAR(weights[k], tensor_f64(&t, k), 1e-8);
    tensor_deinit(&t);
  }
  npz_close(z);
  mem_free(data);
}

/* A real recording through the whole way: the figures are of the same formulas in
 * numpy, after resampling by a whole Fourier transform. */
static void test_recording(void) {
  size_t size;
  void *data = read_file(WHISPER "tests/jfk.flac", &size);
#ifdef LEDGE_WITH_SNDFILE
  if (data) {
    audio_clip clip = {0};
    audio_features f;
    tensor t = {0};
    CHECK_INT(audio_decode(data, size, NULL, &clip, NULL), LEDGE_OK);
    CHECK_INT(audio_features_parse("mel:preset=whisper", &f, NULL), LEDGE_OK);
    CHECK_INT(audio_features_run(&f, &clip, &t, NULL), LEDGE_OK);
    CHECK(t.rank == 2 && t.dims[0] == 80 && t.dims[1] == 3000);
    double sum = 0, top = -10;
    for (int64_t i = 0; i < tensor_elements(&t); i++) {
      sum += tensor_f64(&t, i);
      top = fmax(top, tensor_f64(&t, i));
    }
    CHECK_NEAR(sum / 240000, -70805.645 / 240000, 2e-5);
    CHECK_NEAR(top, 1.461254, 2e-5);
    CHECK_NEAR(tensor_f64(&t, 10 * 3000 + 100), 0.428428, 1e-4);
    CHECK_NEAR(tensor_f64(&t, 40 * 3000 + 500), -0.044623, 1e-4);
    CHECK_NEAR(tensor_f64(&t, 60 * 3000 + 1000), -0.183864, 1e-4);
    audio_deinit(&clip);
    tensor_deinit(&t);
  }
#endif
  mem_free(data);
}

TEST_MAIN({"goldens", test_goldens}, {"layouts", test_layouts}, {"transposed", test_transposed},
          {"errors", test_errors}, {"short", test_short}, {"whisper filters", test_whisper_filters},
          {"recording", test_recording})
