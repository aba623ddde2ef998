/* tests/models/model_tflite: every .tflite of the models against TensorFlow Lite's reference kernels, for inputs that
 * are made here and, alike, by make_tflite_samples.cc, which wrote tflite_samples.def. Each model runs three times (its
 * variables last from run to run); of the third run's outputs the number of elements, the largest magnitude, the mean,
 * and elements spread over it. Floats differ by at most 1e-4 of the largest magnitude, integers not at all; floats with
 * 8-bit weights by 6 %, for TensorFlow Lite rounds their inputs to 8 bits and ledge does not. What TensorFlow Lite
 * itself refuses must run here with finite outputs, or be refused with the names of the operators. */
#include "models.h"

#include "tensor/tensor.h"

enum { MAX_OUTPUTS = 4, SAMPLES = 8, RUNS = 3, SEED_OF_SAMPLES = 77 };

typedef struct sample_output {
  int64_t count;
  double magnitude, mean, samples[SAMPLES];
} sample_output;

typedef struct sample_case {
  const char *model;
  double tolerance;
  sample_output outputs[MAX_OUTPUTS];
} sample_case;

#define CASE(...) {__VA_ARGS__},
#define OUTPUTS(...) \
  { __VA_ARGS__ }
static const sample_case samples[] = {
#include "tflite_samples.def"
};

/* Murmur3's last steps. */
static uint32_t mix(uint32_t i, uint32_t seed) {
  uint32_t x = i * 0x9E3779B1u + seed;
  x = (x ^ x >> 16) * 0x85EBCA6Bu;
  x = (x ^ x >> 13) * 0xC2B2AE35u;
  return x ^ x >> 16;
}

/* Floats in -1 .. 1, else any bytes. Open dims are 1. */
static bool set_input(net *n, size_t at, uint32_t seed, void **ret) {
  ledge_value_info want;
  NET_OK(ledge_model_input(n->model, at, &want, error));
  ledge_tensor t = {.dtype = want.dtype, .rank = want.rank};
  size_t count = 1, each = (size_t)ledge_dtype_bits(want.dtype) / 8;
  for (int d = 0; d < want.rank; d++) {
    t.dims[d] = want.dims[d] < 0 ? 1 : want.dims[d];
    count *= (size_t)t.dims[d];
  }
  t.bytes = count * each;
  t.data = *ret = malloc(t.bytes + 1);
  bool floats = want.dtype == LEDGE_F32;
  for (size_t i = 0; t.data && i < (floats ? count : t.bytes); i++) {
    uint32_t bits = mix((uint32_t)i, seed);
    if (floats)
      ((float *)t.data)[i] = (float)((bits >> 8) * 0x1p-23 - 1);
    else
      ((uint8_t *)t.data)[i] = (uint8_t)bits;
  }
  NET_OK(ledge_session_set_input(n->session, at, &t, error));
  return true;
}

static void check_output(const net *n, const sample_case *c, size_t at) {
  const sample_output *want = &c->outputs[at];
  ledge_tensor t;
  ledge_error e = {.message = ""};
  if (ledge_session_output(n->session, at, &t, &e)) {
    TEST_FAIL("%s: %s", c->model, e.message);
    return;
  }
  int64_t count = (int64_t)t.bytes * 8 / ledge_dtype_bits(t.dtype);
  if (want->count && count != want->count) {
    TEST_FAIL("%s: output %zu has %lld elements, not %lld", c->model, at, (long long)count, (long long)want->count);
    return;
  }
  double magnitude = 0, mean = 0, limit = c->tolerance * want->magnitude;
  for (int64_t i = 0; i < count; i++) {
    double x = dtype_load_f64(t.dtype, t.data, i);
    magnitude = fmax(magnitude, fabs(x));
    mean += x / (double)count;
  }
  if (!isfinite(mean)) TEST_FAIL("%s: output %zu is not finite", c->model, at);
  if (!want->count) return;
  if (!(fabs(magnitude - want->magnitude) <= limit && fabs(mean - want->mean) <= limit + 1e-6 * fabs(mean)))
    TEST_FAIL("%s: output %zu has magnitude %.7g and mean %.7g instead of %.7g and %.7g", c->model, at, magnitude, mean,
              want->magnitude, want->mean);
  for (uint32_t i = 0; i < SAMPLES; i++) {
    int64_t k = mix(i, SEED_OF_SAMPLES) % (uint64_t)count;
    double x = dtype_load_f64(t.dtype, t.data, k);
    if (!(fabs(x - want->samples[i]) <= limit))
      TEST_FAIL("%s: output %zu, element %lld: %.7g instead of %.7g (limit %.3g)", c->model, at, (long long)k, x,
                want->samples[i], limit);
  }
}

/* A model that TensorFlow Lite refuses may be refused here too, by name. */
static bool may_refuse(const sample_case *c) {
  char path[4096];
  ledge_error e = {.message = ""};
  ledge_model *m = NULL;
  ledge_session *s = NULL;
  if (c->outputs[0].count) return false;
  ledge_status status = ledge_model_open(models_path(c->model, path), NULL, &m, &e);
  if (!status) status = ledge_session_create(m, NULL, &s, &e);
  ledge_session_destroy(s);
  ledge_model_close(m);
  return status == LEDGE_ERROR_UNSUPPORTED && strstr(e.message, "tflite.");
}

static void run_case(const sample_case *c) {
  net n;
  void *data[64] = {NULL};
  if (may_refuse(c)) return;
  bool ok = net_open(&n, c->model);
  size_t inputs = ok ? ledge_model_input_count(n.model) : 0;
  if (inputs > 64) inputs = 64;
  for (uint32_t run = 0; run < RUNS && ok; run++) {
    for (size_t i = 0; ok && i < inputs; i++) {
      free(data[i]);
      ok = set_input(&n, i, run * 16 + (uint32_t)i, &data[i]);
    }
    ok = ok && net_run(&n);
  }
  for (size_t i = 0; ok && i < MAX_OUTPUTS && i < ledge_model_output_count(n.model); i++) check_output(&n, c, i);
  net_close(&n);
  for (int i = 0; i < 64; i++) free(data[i]);
}

/* The features of 30 ms of speech that tflite-micro's own test expects (micro_speech_test.cc). */
static void test_features(void) {
  static const char *const words[] = {"no", "yes"};
  static const int8_t want[2][40] = {
      {126, 103, 124, 102, 124, 102, 123, 100, 118, 97, 118, 100, 118, 98, 121, 100, 121, 98, 117, 91,
       96,  74,  54,  87,  100, 87,  109, 92,  91,  80, 64,  55,  83,  74, 74,  78,  114, 95, 101, 81},
      {124, 105, 126, 103, 125, 101, 123, 100, 116, 98,  115, 97, 113, 90, 91, 82, 104, 96, 117, 97,
       121, 103, 126, 101, 125, 104, 126, 104, 125, 101, 116, 90, 81,  74, 80, 71, 83,  76, 82,  71}};
  for (int k = 0; k < 2; k++) {
    char name[256], path[4096];
    int16_t x[480];
    net n;
    ledge_tensor t = {.dtype = LEDGE_I16, .rank = 2, .dims = {1, 480}, .data = x, .bytes = sizeof x};
    ledge_error e = {.message = ""};
    snprintf(name, sizeof name, "tflite-micro/tensorflow/lite/micro/examples/micro_speech/testdata/%s_30ms.wav",
             words[k]);
    FILE *f = fopen(models_path(name, path), "rb");
    bool ok = f && !fseek(f, 44, SEEK_SET) && fread(x, 2, 480, f) == 480;
    if (f) fclose(f);
    if (!ok) TEST_FAIL("%s cannot be read", path);
    ok = net_open(&n,
                  "tflite-micro/tensorflow/lite/micro/examples/micro_speech/models/audio_preprocessor_int8.tflite") &&
         ok;
    if (ok && (ledge_session_set_input(n.session, 0, &t, &e) || ledge_session_run(n.session, &e) ||
               ledge_session_output(n.session, 0, &t, &e)))
      TEST_FAIL("%s", e.message);
    else if (ok && (t.bytes != 40 || memcmp(t.data, want[k], 40)))
      TEST_FAIL("features of '%s' are others than tflite-micro's", words[k]);
    net_close(&n);
  }
}

int main(int argc, char **argv) {
  int passed = 0, failed = 0;
  (void)test_main_;
  if (argc < 2) return fprintf(stderr, "usage: model_tflite MODELS\n"), 2;
  models_root_ = argv[1];
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    test_failures_ = 0;
    test_now_ = "tflite";
    run_case(&samples[i]);
    test_failures_ ? failed++ : passed++;
  }
  test_failures_ = 0;
  test_features();
  test_failures_ ? failed++ : passed++;
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
