/* tests/runtime/memory: each allocation fails in turn, while a model is opened, planned and run for two shapes: an
 * error each time, no crash, nothing lost (counted here, and for the leak sanitizer), and the session runs as if
 * nothing had been once there is memory again. */
#include "runtime/api_text.h"

#include "base/tree.h"
#include "test.h"

enum { ROWS = 3 };

static float data[(ROWS + 2) * 4], want[2][(ROWS + 2) * 4];
static tree folder;

static long long standing(void) {
  return atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
}

static void fail_after(long long n, bool sticky) {
  atomic_store(&mem_stats_global.fail_sticky, sticky);
  atomic_store(&mem_stats_global.fail_after, n);
}

/* Did the failure that was asked for come? (If sticky, the count stays at 0.) */
static bool failed_once(void) { return atomic_load(&mem_stats_global.fail_after) <= 0; }

typedef struct attempt {
  const msg *bytes;
  const ledge_model_options *options;
  int threads;
  bool values; /* outputs are taken as values too */
} attempt;

/* Two shapes, then the first again; outputs are compared where the run succeeded. */
static ledge_status run_shapes(ledge_session *s, const attempt *a, ledge_error *error) {
  ledge_status status = LEDGE_OK;
  for (int i = 0; !status && i < 3; i++) {
    int n = ROWS + (i & 1) * 2;
    ledge_tensor x = floats_of(data, n, 4, 0, 0), y;
    ledge_value *v = NULL;
    status = ledge_session_set_input(s, 0, &x, error);
    if (!status) status = ledge_session_run(s, error);
    if (!status) status = ledge_session_output(s, 0, &y, error);
    if (!status && a->values) status = ledge_session_output_value(s, 1, &v, error);
    ledge_value_destroy(v);
    if (!status && memcmp(y.data, want[i & 1], (size_t)n * 16)) TEST_FAIL("other results after a failed allocation");
  }
  return status;
}

static void check_status(ledge_status status, const ledge_error *error, const char *name, long long n) {
  if (status == LEDGE_OK || status == LEDGE_ERROR_MEMORY) return;
  TEST_FAIL("%s: allocation %lld: %s: %s", name, n, ledge_status_name(status), error->message);
}

static void check_model(const char *name, const attempt *a) {
  ledge_error error = {.message = ""};
  ledge_model *m = NULL;
  ledge_session *s = NULL;
  /* What is right. */
  if (ledge_model_open_memory(a->bytes->data, a->bytes->size, a->options, &m, &error) ||
      ledge_session_create(m, &(ledge_session_options){.threads = a->threads}, &s, &error)) {
    TEST_FAIL("%s: %s", name, error.message);
    ledge_model_close(m);
    return;
  }
  for (int i = 0; i < 2; i++) {
    ledge_tensor x = floats_of(data, ROWS + i * 2, 4, 0, 0), y;
    if (ledge_session_set_input(s, 0, &x, &error) || ledge_session_run(s, &error) ||
        ledge_session_output(s, 0, &y, &error))
      TEST_FAIL("%s: %s", name, error.message);
    else
      memcpy(want[i], y.data, x.bytes);
  }
  ledge_session_destroy(s);
  ledge_model_close(m);
  for (int sticky = 0; sticky < 2; sticky++) {
    long long n = 0;
    for (;; n++) {
      long long before = standing();
      m = NULL;
      s = NULL;
      error = (ledge_error){.message = ""};
      fail_after(n, sticky);
      ledge_status status = ledge_model_open_memory(a->bytes->data, a->bytes->size, a->options, &m, &error);
      if (!status) status = ledge_session_create(m, &(ledge_session_options){.threads = a->threads}, &s, &error);
      if (!status) status = run_shapes(s, a, &error);
      bool failed = failed_once();
      fail_after(-1, false);
      check_status(status, &error, name, n);
      if (status && !error.message[0]) TEST_FAIL("%s: allocation %lld: no message", name, n);
      if (s) { /* with memory again */
        status = run_shapes(s, a, &error);
        if (status) TEST_FAIL("%s: after allocation %lld: %s", name, n, error.message);
      }
      ledge_session_destroy(s);
      ledge_model_close(m);
      if (standing() != before) TEST_FAIL("%s: allocation %lld: %lld blocks are lost", name, n, standing() - before);
      /* For good: it is the first that succeeds that needed no more. */
      if (!failed || (sticky && !status) || test_failures_ > 10) break;
    }
    CHECK(n > 50);
  }
}

static void test_models(void) {
  fill(data, sizeof data / sizeof *data, 0);
  for (int m = 0; m < TEXT_MODELS; m++) {
    msg bytes = model_text(text_models[m].text);
    attempt a = {.bytes = &bytes,
                 .threads = 1,
                 .values = text_models[m].text == text_sequence || text_models[m].text == text_strings};
    check_model(text_models[m].name, &a);
    writer_deinit(&bytes);
  }
}

static void test_external(void) {
  fill(data, sizeof data / sizeof *data, 0);
  folder = tree_create();
  float w[128];
  fill(w, 128, 0);
  tree_bytes(&folder, "/w.bin", w, sizeof w);
  msg bytes = model_text(
      "input x f32 N 4; external w f32 4 32 = w.bin 0; external v f32 32 4 = w.bin 0; h = MatMul x w;"
      "r = Relu h; m = MatMul r v; y = Add m x; output y f32 N 4");
  check_model("external",
              &(attempt){.bytes = &bytes, .options = &(ledge_model_options){.folder = folder.root}, .threads = 1});
  writer_deinit(&bytes);
  tree_remove(&folder);
}

/* A default that is given: a second session behind the first. */
static void test_defaults(void) {
  msg bytes = model_text("input x f32 2; input w f32 2; const w f32 2 = 10 20; y = Mul x w; z = Exp y; output z f32 2");
  float x[2] = {0, 0}, w[2] = {1, 2};
  ledge_tensor tx = floats_of(x, 2, 0, 0, 0), tw = floats_of(w, 2, 0, 0, 0), y;
  for (long long n = 0;; n++) {
    ledge_error error = {.message = ""};
    ledge_model *m = NULL;
    ledge_session *s = NULL;
    long long before = standing();
    CHECK_INT(ledge_model_open_memory(bytes.data, bytes.size, NULL, &m, &error), LEDGE_OK);
    CHECK_INT(ledge_session_create(m, &(ledge_session_options){.threads = 1}, &s, &error), LEDGE_OK);
    CHECK_INT(ledge_session_set_input(s, 0, &tx, &error), LEDGE_OK);
    CHECK_INT(ledge_session_run(s, &error), LEDGE_OK);
    fail_after(n, false);
    ledge_status status = ledge_session_set_input(s, 1, &tw, &error);
    if (!status) status = ledge_session_run(s, &error);
    bool failed = failed_once();
    fail_after(-1, false);
    check_status(status, &error, "defaults", n);
    CHECK_INT(ledge_session_set_input(s, 1, &tw, &error), LEDGE_OK);
    CHECK_INT(ledge_session_run(s, &error), LEDGE_OK);
    CHECK(!ledge_session_output(s, 0, &y, &error) && ((float *)y.data)[1] == 1);
    ledge_session_destroy(s);
    ledge_model_close(m);
    CHECK_INT(standing(), before);
    if (!failed || test_failures_) break;
  }
  writer_deinit(&bytes);
}

/* Saving, plain and simplified, with data beside it. */
static void test_saving(void) {
  folder = tree_create();
  msg bytes = model_text(text_dense);
  ledge_error error;
  ledge_model *m;
  CHECK_INT(ledge_model_open_memory(bytes.data, bytes.size, NULL, &m, &error), LEDGE_OK);
  for (int kind = 0; kind < 3; kind++)
    for (long long n = 0;; n++) {
      const char *path = tree_path(&folder, "/saved.onnx");
      long long before = standing();
      unlink(path);
      fail_after(n, false);
      ledge_status status = ledge_model_save(m, path, &(ledge_save_options){kind == 1, kind == 2 ? 512 : 0}, &error);
      bool failed = failed_once();
      fail_after(-1, false);
      check_status(status, &error, "saving", n);
      CHECK_INT(standing(), before);
      CHECK((access(path, F_OK) == 0) == (status == LEDGE_OK));
      if (!failed || test_failures_) break;
    }
  ledge_model_close(m);
  writer_deinit(&bytes);
  tree_remove(&folder);
}

TEST_MAIN({"models", test_models}, {"external", test_external}, {"defaults", test_defaults}, {"saving", test_saving})
