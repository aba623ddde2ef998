/* tests/models/models: what the tests of real models share: a model and its session through the public interface. A
 * failure is counted by tests/test.h, with ledge's own message. */
#ifndef TESTS_MODELS_MODELS_H
#define TESTS_MODELS_MODELS_H

#include "ledge/ledge.h"
#include "test.h"

#include <unistd.h>

static const char *models_root_;

typedef struct net {
  ledge_model *model;
  ledge_session *session;
} net;

static inline const char *models_path(const char *name, char path[4096]) {
  snprintf(path, 4096, "%s/%s", models_root_, name);
  return path;
}

#define NET_OK(call)                      \
  do {                                    \
    ledge_error error_ = {.message = ""}; \
    ledge_error *error = &error_;         \
    if ((call) != LEDGE_OK) {             \
      TEST_FAIL("%s", error_.message);    \
      return false;                       \
    }                                     \
  } while (0)

/* The session runs in one thread: the machine that tests may be busy. */
static inline bool net_open(net *n, const char *name) {
  char path[4096];
  memset(n, 0, sizeof *n);
  NET_OK(ledge_model_open(models_path(name, path), NULL, &n->model, error));
  NET_OK(ledge_session_create(n->model, &(ledge_session_options){.threads = 1}, &n->session, error));
  return true;
}

/* The same of the model as ledge writes it. */
static inline bool net_open_written(net *n, const char *name, bool simplify) {
  char path[4096], copy[] = "/tmp/ledge-model-XXXXXX.onnx";
  ledge_model *m = NULL;
  memset(n, 0, sizeof *n);
  int file = mkstemps(copy, 5);
  if (file < 0) {
    TEST_FAIL("%s: cannot be made", copy);
    return false;
  }
  close(file);
  ledge_error e = {.message = ""};
  ledge_status status = ledge_model_open(models_path(name, path), NULL, &m, &e);
  if (!status) status = ledge_model_save(m, copy, &(ledge_save_options){.simplify = simplify}, &e);
  if (!status) status = ledge_model_open(copy, NULL, &n->model, &e);
  if (!status) status = ledge_session_create(n->model, &(ledge_session_options){.threads = 1}, &n->session, &e);
  if (status) TEST_FAIL("%s", e.message);
  ledge_model_close(m);
  unlink(copy);
  return !status;
}

static inline void net_close(net *n) {
  ledge_session_destroy(n->session);
  ledge_model_close(n->model);
}

/* The elements stay the caller's, and are read by the runs to come. */
static inline bool net_set(net *n, const char *input, ledge_dtype dtype, int rank, const int64_t *dims, void *data) {
  ledge_tensor t = {.dtype = dtype, .rank = rank, .data = data, .bytes = (size_t)ledge_dtype_bits(dtype) / 8};
  size_t at;
  for (int i = 0; i < rank; i++) t.bytes *= (size_t)(t.dims[i] = dims[i]);
  NET_OK(ledge_model_find_input(n->model, input, &at, error));
  NET_OK(ledge_session_set_input(n->session, at, &t, error));
  return true;
}

/* An input from a file, as `ledge run` reads it. */
static inline bool net_load(net *n, const char *input, const char *file, const char *recipe) {
  char path[4096];
  ledge_value_info info;
  ledge_value *v;
  size_t at;
  NET_OK(ledge_model_find_input(n->model, input, &at, error));
  NET_OK(ledge_model_input(n->model, at, &info, error));
  NET_OK(ledge_value_load(models_path(file, path), recipe, &info, &v, error));
  ledge_error e = {.message = ""};
  bool ok = ledge_session_set_input_value(n->session, at, v, &e) == LEDGE_OK;
  if (!ok) TEST_FAIL("%s", e.message);
  ledge_value_destroy(v);
  return ok;
}

static inline bool net_run(net *n) {
  NET_OK(ledge_session_run(n->session, error));
  return true;
}

static inline bool net_output(const net *n, const char *output, ledge_tensor *ret) {
  size_t at;
  NET_OK(ledge_model_find_output(n->model, output, &at, error));
  NET_OK(ledge_session_output(n->session, at, ret, error));
  return true;
}

/* Output `output` as count float32; NULL, and a failure counted, where it is not that. */
static inline const float *net_floats(const net *n, const char *output, int64_t count) {
  ledge_tensor t;
  if (!net_output(n, output, &t)) return NULL;
  int64_t have = 1;
  for (int i = 0; i < t.rank; i++) have *= t.dims[i];
  if (t.dtype == LEDGE_F32 && have == count) return t.data;
  TEST_FAIL("output %s has %lld elements of %s, not %lld of f32", output, (long long)have, ledge_dtype_name(t.dtype),
            (long long)count);
  return NULL;
}

/* A sound file's samples: mono, at `rate`; *ret is NULL on failure, else to be destroyed. */
static inline const float *models_sound(const char *file, int rate, ledge_value **ret, int64_t *ret_count) {
  char path[4096], recipe[64];
  ledge_error error = {.message = ""};
  ledge_tensor t;
  ledge_value_info want = {.name = "sound", .kind = LEDGE_KIND_TENSOR, .dtype = LEDGE_F32, .rank = 1, .dims = {-1}};
  snprintf(recipe, sizeof recipe, "wave:rate=%d,layout=t", rate);
  *ret = NULL;
  if (ledge_value_load(models_path(file, path), recipe, &want, ret, &error) || ledge_value_tensor(*ret, &t, &error)) {
    TEST_FAIL("%s", error.message);
    return NULL;
  }
  *ret_count = t.dims[0];
  return t.data;
}

static inline int64_t models_argmax(const float *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

#define MODELS_MAIN(...)                                                           \
  int main(int argc, char **argv) {                                                \
    static const test_case cases[] = {__VA_ARGS__};                                \
    if (argc < 2) return fprintf(stderr, "usage: %s MODELS [CASE]\n", argv[0]), 2; \
    models_root_ = argv[1];                                                        \
    return test_main_(cases, sizeof cases / sizeof *cases, argc - 1, argv + 1);    \
  }

#endif
