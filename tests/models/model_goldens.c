/* tests/models: real models against the outputs stored beside them.
 *
 *   model_goldens MODELS
 *
 * MODELS/derived/golden/NAME.npz holds arrays "in:INPUT" and "out:OUTPUT". float32: largest difference at most 1e-4 of
 * the tensor's largest magnitude; float16 2e-3; integers one step. One line a failure, "N passed, N failed" last.
 *
 * The int8 MobileNetV2 is chaotic: one tie rounded to the other side in one of its 52 convolutions or 11 sums moves
 * logits by 15 steps and more. Its stored outputs are from an evaluator in double, and differ by 15 to 25 steps from
 * ONNX Runtime's, whose float32 arithmetic ledge has to the bit. So its rows hold the FNV-1a digest of the bytes that
 * ONNX Runtime 1.23 gives for the stored inputs on x86 with VNNI or without. (With AMX its 1x1 convolutions to 24
 * channels are wrong by up to 230 steps against its own inputs, and differ from process to process.) */
#include "base/map.h"
#include "formats/npy/npy.h"
#include "ledge/ledge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct golden {
  const char *npz, *model;
  double tolerance;           /* of the largest magnitude; 0: one step */
  uint64_t digest;            /* of the output's bytes, instead of the stored output */
  const char *input, *output; /* the model's own names, where the golden has others */
} golden;

static const golden goldens[] = {
    {"mnist_onnx_t10k_0", "Windows-Machine-Learning/SharedContent/models/mnist.onnx", 1e-4},
    {"mobilenet_v2_quant_onnx_bird", "nnstreamer/models/mobilenet_v2_quant.onnx", 0, 0x43d09da706c6644d},
    {"mobilenet_v2_quant_onnx_cat", "nnstreamer/models/mobilenet_v2_quant.onnx", 0, 0x0a6bf4c909dc31ea},
    {"mobilenet_v2_quant_onnx_orange", "nnstreamer/models/mobilenet_v2_quant.onnx", 0, 0xc51dce65a0e43c3c},
    {"squeezenet_fp16_cat", "Windows-Machine-Learning/SharedContent/models/SqueezeNet_fp16.onnx", 2e-3},
    {"squeezenet_fp16_kitten_224", "Windows-Machine-Learning/SharedContent/models/SqueezeNet_fp16.onnx", 2e-3},
    {"super_resolution_ortext", "tutorials/tutorials/assets/super_resolution.onnx", 1e-4, 0, "1", "27"},
    {"ultraface_RFB-320_test_jpg", "Ultra-Light-Fast-Generic-Face-Detector-1MB/models/onnx/version-RFB-320.onnx", 1e-4},
    {"ultraface_slim-320_test_jpg", "Ultra-Light-Fast-Generic-Face-Detector-1MB/models/onnx/version-slim-320.onnx",
     1e-4},
    {"yunet_n_320_test_jpg", "libfacedetection.train/onnx/yunet_n_320_320.onnx", 1e-4},
};

typedef struct state {
  const golden *g;
  ledge_error error;
  char why[512];
} state;

static bool failed(state *s, const char *what) {
  snprintf(s->why, sizeof s->why, "%s: %.400s", what, s->error.message);
  return false;
}

static double magnitude(const tensor *t) {
  double most = 0;
  for (int64_t i = 0; i < tensor_elements(t); i++) most = fmax(most, fabs(tensor_f64(t, i)));
  return most;
}

static uint64_t digest_of(const tensor *t) {
  uint64_t digest = 0xcbf29ce484222325;
  for (size_t i = 0; i < tensor_bytes(t); i++) digest = (digest ^ ((const uint8_t *)t->data)[i]) * 0x100000001b3;
  return digest;
}

static bool same(state *s, const char *name, const tensor *got, const tensor *want) {
  char a[200], b[200];
  if (tensor_elements(got) != tensor_elements(want)) {
    snprintf(s->why, sizeof s->why, "output %s has shape %s instead of %s", name,
             shape_print(got->rank, got->dims, a, sizeof a), shape_print(want->rank, want->dims, b, sizeof b));
    return false;
  }
  if (s->g->digest) {
    uint64_t digest = digest_of(got);
    if (digest != s->g->digest)
      snprintf(s->why, sizeof s->why, "output %s has digest %016llx instead of %016llx", name,
               (unsigned long long)digest, (unsigned long long)s->g->digest);
    return digest == s->g->digest;
  }
  double limit = dtype_is_integer(want->dtype) ? 1 : s->g->tolerance * magnitude(want);
  for (int64_t i = 0; i < tensor_elements(want); i++) {
    double x = tensor_f64(got, i), y = tensor_f64(want, i);
    if (fabs(x - y) <= limit || (isnan(x) && isnan(y))) continue;
    snprintf(s->why, sizeof s->why, "output %s, element %lld: %.9g instead of %.9g (limit %.3g)", name, (long long)i, x,
             y, limit);
    return false;
  }
  return true;
}

static void as_public(const tensor *t, ledge_tensor *ret) {
  *ret = (ledge_tensor){.dtype = t->dtype, .rank = t->rank, .data = t->data, .bytes = tensor_bytes(t)};
  memcpy(ret->dims, t->dims, sizeof ret->dims);
}

static bool set_inputs(state *s, const npz *z, ledge_model *m, ledge_session *session, tensor *keep) {
  for (size_t i = 0; i < npz_count(z); i++) {
    const char *name = npz_name(z, i);
    size_t at;
    if (strncmp(name, "in:", 3)) continue;
    ledge_value_info info;
    if (ledge_model_find_input(m, s->g->input ? s->g->input : name + 3, &at, &s->error) ||
        ledge_model_input(m, at, &info, &s->error))
      return failed(s, "input");
    if (npz_read(z, i, &(npy_options){info.dtype}, &keep[i], &s->error)) return failed(s, "golden");
    ledge_tensor t;
    as_public(&keep[i], &t);
    if (ledge_session_set_input(session, at, &t, &s->error)) return failed(s, "input");
  }
  return true;
}

static bool check_outputs(state *s, const npz *z, ledge_model *m, ledge_session *session) {
  bool ok = true;
  for (size_t i = 0; ok && i < npz_count(z); i++) {
    const char *name = npz_name(z, i);
    size_t at;
    ledge_tensor t;
    tensor want = {0};
    if (strncmp(name, "out:", 4)) continue;
    if (ledge_model_find_output(m, s->g->output ? s->g->output : name + 4, &at, &s->error) ||
        ledge_session_output(session, at, &t, &s->error))
      return failed(s, "output");
    if (npz_read(z, i, &(npy_options){t.dtype}, &want, &s->error)) return failed(s, "golden");
    tensor got = {.dtype = t.dtype, .rank = t.rank, .data = t.data};
    memcpy(got.dims, t.dims, sizeof got.dims);
    ok = same(s, name + 4, &got, &want);
    tensor_deinit(&want);
  }
  return ok;
}

static bool run_golden(state *s, const char *models, const char *npz_path, const char *model_path) {
  file_map *map = NULL;
  npz *z = NULL;
  ledge_model *m = NULL;
  ledge_session *session = NULL;
  tensor keep[64] = {0};
  bool ok = true;
  if (file_map_open(npz_path, &map, &s->error) || npz_open(file_map_data(map), file_map_size(map), &z, &s->error) ||
      npz_count(z) > 64)
    ok = failed(s, "golden");
  if (ok && ledge_model_open(model_path, NULL, &m, &s->error)) ok = failed(s, "open");
  if (ok && ledge_session_create(m, &(ledge_session_options){.threads = 1}, &session, &s->error))
    ok = failed(s, "session");
  ok = ok && set_inputs(s, z, m, session, keep);
  if (ok && ledge_session_run(session, &s->error)) ok = failed(s, "run");
  ok = ok && check_outputs(s, z, m, session);
  ledge_session_destroy(session);
  ledge_model_close(m);
  for (size_t i = 0; i < 64; i++) tensor_deinit(&keep[i]);
  npz_close(z);
  file_map_unref(map);
  return ok;
}

int main(int argc, char **argv) {
  int n_passed = 0, n_failed = 0;
  if (argc != 2) {
    fprintf(stderr, "usage: model_goldens MODELS\n");
    return 2;
  }
  for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
    char npz_path[4096], model_path[4096];
    state s = {.g = &goldens[i]};
    snprintf(npz_path, sizeof npz_path, "%s/derived/golden/%s.npz", argv[1], goldens[i].npz);
    snprintf(model_path, sizeof model_path, "%s/%s", argv[1], goldens[i].model);
    bool ok = run_golden(&s, argv[1], npz_path, model_path);
    if (!ok) printf("FAILED %s: %s\n", goldens[i].npz, s.why);
    ok ? n_passed++ : n_failed++;
  }
  printf("%d passed, %d failed\n", n_passed, n_failed);
  return n_failed ? 1 : 0;
}
