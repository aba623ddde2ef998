/* tests/models/model_samples: real models against ONNX Runtime, for inputs that are made here and, alike, by
 * make_samples.py, which wrote samples.def: of each output its shape, its largest magnitude, its mean, and elements
 * spread over it. The models run as they are, as ledge writes them, and as it writes them simplified. The largest
 * difference is at most 1e-4 of the largest magnitude (float16: 2e-3). */
#include "models.h"

#include "tensor/tensor.h"

enum { MAX_INPUTS = 4, MAX_OUTPUTS = 12, SAMPLES = 8, RANK = 5, SEED_OF_SAMPLES = 77 };

typedef struct sample_input {
  const char *name;
  ledge_dtype dtype;
  double scale; /* of floats: -scale .. scale; integers: 0 .. scale-1; of rank 0: the value itself */
  int rank;
  int64_t dims[RANK];
} sample_input;

typedef struct sample_output {
  const char *name;
  int rank;
  int64_t dims[RANK];
  double magnitude, mean, samples[SAMPLES];
} sample_output;

typedef struct sample_case {
  const char *model;
  double tolerance;
  sample_input inputs[MAX_INPUTS];
  sample_output outputs[MAX_OUTPUTS];
} sample_case;

#define CASE(...) {__VA_ARGS__},
#define INPUTS(...) \
  { __VA_ARGS__ }
#define OUTPUTS(...) \
  { __VA_ARGS__ }
static const sample_case samples[] = {
#include "samples.def"
};

/* Murmur3's last steps. */
static uint32_t mix(uint32_t i, uint32_t seed) {
  uint32_t x = i * 0x9E3779B1u + seed;
  x = (x ^ x >> 16) * 0x85EBCA6Bu;
  x = (x ^ x >> 13) * 0xC2B2AE35u;
  return x ^ x >> 16;
}

static void *make_input(const sample_input *in, uint32_t seed) {
  int64_t n = 1;
  for (int i = 0; i < in->rank; i++) n *= in->dims[i];
  void *data = calloc((size_t)n, 8);
  for (int64_t i = 0; data && i < n; i++) {
    uint32_t bits = mix((uint32_t)i, seed);
    double v = dtype_is_integer(in->dtype) ? bits % (uint32_t)in->scale : ((bits >> 8) * 0x1p-23 - 1) * in->scale;
    dtype_store_f64(in->dtype, data, i, in->rank ? v : in->scale);
  }
  return data;
}

static void check_output(const net *n, const sample_case *c, const sample_output *want) {
  ledge_tensor t;
  if (!net_output(n, want->name, &t)) return;
  int64_t count = 1;
  bool same = t.rank == want->rank;
  for (int i = 0; same && i < t.rank; i++) {
    same = t.dims[i] == want->dims[i];
    count *= t.dims[i];
  }
  if (!same) {
    TEST_FAIL("%s: output %s has another shape", c->model, want->name);
    return;
  }
  double magnitude = 0, mean = 0, limit = c->tolerance * want->magnitude;
  for (int64_t i = 0; i < count; i++) {
    double x = dtype_load_f64(t.dtype, t.data, i);
    magnitude = fmax(magnitude, fabs(x));
    mean += x / (double)count;
  }
  if (!(fabs(magnitude - want->magnitude) <= limit && fabs(mean - want->mean) <= limit))
    TEST_FAIL("%s: output %s has magnitude %.7g and mean %.7g instead of %.7g and %.7g", c->model, want->name,
              magnitude, mean, want->magnitude, want->mean);
  for (uint32_t i = 0; i < SAMPLES; i++) {
    int64_t at = mix(i, SEED_OF_SAMPLES) % (uint64_t)count;
    double x = dtype_load_f64(t.dtype, t.data, at);
    if (!(fabs(x - want->samples[i]) <= limit))
      TEST_FAIL("%s: output %s, element %lld: %.7g instead of %.7g (limit %.3g)", c->model, want->name, (long long)at,
                x, want->samples[i], limit);
  }
}

typedef enum form { AS_IT_IS, WRITTEN, SIMPLIFIED, FORMS } form;

static void run_case(const sample_case *c, form f) {
  net n;
  void *data[MAX_INPUTS] = {NULL};
  bool ok = f == AS_IT_IS ? net_open(&n, c->model) : net_open_written(&n, c->model, f == SIMPLIFIED);
  for (uint32_t i = 0; ok && i < MAX_INPUTS && c->inputs[i].name; i++) {
    const sample_input *in = &c->inputs[i];
    data[i] = make_input(in, i);
    ok = data[i] && net_set(&n, in->name, in->dtype, in->rank, in->dims, data[i]);
  }
  ok = ok && net_run(&n);
  for (int i = 0; ok && i < MAX_OUTPUTS && c->outputs[i].name; i++) check_output(&n, c, &c->outputs[i]);
  net_close(&n);
  for (int i = 0; i < MAX_INPUTS; i++) free(data[i]);
}

int main(int argc, char **argv) {
  int passed = 0, failed = 0;
  (void)test_main_;
  if (argc < 2) return fprintf(stderr, "usage: model_samples MODELS\n"), 2;
  models_root_ = argv[1];
  for (size_t i = 0; i < FORMS * sizeof samples / sizeof *samples; i++) {
    static const char *const forms[FORMS] = {"as it is", "written", "simplified"};
    test_failures_ = 0;
    test_now_ = forms[i % FORMS];
    run_case(&samples[i / FORMS], (form)(i % FORMS));
    test_failures_ ? failed++ : passed++;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
