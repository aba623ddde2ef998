/* tests/runtime/files: models in files that change, shrink or lie elsewhere. What would be a bus error is tried in a
 * child of its own. */
#include "runtime/api_text.h"

#include "base/tree.h"
#include "test.h"

#include <fcntl.h>
#include <sys/wait.h>

static tree folder;

__attribute__((constructor)) static void make_folder(void) { folder = tree_create(); }
__attribute__((destructor)) static void remove_folder(void) { tree_remove(&folder); }

static void put(const char *name, const char *text) {
  msg m = model_text(text);
  tree_bytes(&folder, name, m.data, m.size);
  writer_deinit(&m);
}

/* Weights of 250 KiB that a run reads where they lie in the file, and as many that are packed for a kernel. */
static const char inside[] =
    "input x f32 1 250; const t f32 256 250 = *; a = Add t x; s = ReduceSum a | keepdims=0; const w f32 250 256 = *;"
    "m = MatMul x w; r = ReduceMax m | keepdims=0; y = Add s r; output y f32 ";
static const char outside[] =
    "input x f32 1 250; external t f32 256 250 = t.bin 0; a = Add t x; s = ReduceSum a | keepdims=0;"
    "external w f32 250 256 = w.bin 0; m = MatMul x w; r = ReduceMax m | keepdims=0; y = Add s r; output y f32 ";

static void put_weights(const char *name) {
  static float w[64000];
  fill(w, 64000, 0);
  tree_bytes(&folder, name, w, sizeof w);
}

/* What is done between the steps of opening and running, and what must come of it. */
typedef enum moment { AT_OPEN, AT_CREATE, AT_PLAN, AT_RUN, AT_SECOND, AT_SAVE, MOMENTS } moment;

/* The sum that the models come to. */
static double right_sum;

static bool sum_is_right(ledge_session *s) {
  ledge_tensor y;
  return !ledge_session_output(s, 0, &y, NULL) && (double)*(float *)y.data == right_sum;
}

enum { UNREAD = 99 };

/* 0: an error that says which file was cut short; UNREAD: no error, and the right result; else what is wrong. */
static int shrink_at(moment when, const char *name, const char *victim) {
  ledge_error error = {.message = ""};
  ledge_model *m = NULL;
  ledge_session *s = NULL;
  static float x[250];
  ledge_tensor t = floats_of(x, 1, 250, 0, 0);
  char path[512], save[512];
  snprintf(path, sizeof path, "%s", tree_path(&folder, name));
  snprintf(save, sizeof save, "%s", tree_path(&folder, "/saved.onnx"));
  const char *cut = tree_path(&folder, victim);
  ledge_status status = ledge_model_open(path, NULL, &m, &error);
  if (status) return 10;
  if (when == AT_CREATE && truncate(cut, 100)) return 11;
  status = ledge_session_create(m, &(ledge_session_options){.threads = 2}, &s, &error);
  if (!status) status = ledge_session_set_input(s, 0, &t, &error);
  if (when == AT_PLAN && truncate(cut, 100)) return 12;
  if (!status) status = ledge_session_plan(s, &error);
  if (when == AT_RUN && truncate(cut, 100)) return 13;
  if (!status) status = ledge_session_run(s, &error);
  if (when == AT_SECOND && truncate(cut, 100)) return 14;
  if (!status && when == AT_SECOND) status = ledge_session_run(s, &error);
  if (when == AT_SAVE && truncate(cut, 100)) return 15;
  if (!status && when == AT_SAVE) status = ledge_model_save(m, save, NULL, &error);
  if (!status && when == AT_SAVE) return 16;
  if (!status) return sum_is_right(s) ? UNREAD : 17; /* what had been read before was enough */
  if (status != LEDGE_ERROR_CHANGED) {
    fprintf(stderr, "%s: %s\n", ledge_status_name(status), error.message);
    return 18;
  }
  ledge_tensor y;
  if (s && ledge_session_output(s, 0, &y, NULL) == LEDGE_OK && when != AT_SAVE) return 19;
  if (!strstr(error.message, strrchr(victim, '/') + 1)) return 20;
  ledge_session_destroy(s); /* and all can be given back */
  ledge_model_close(m);
  return access(save, F_OK) ? 0 : 21;
}

static double run_sum(ledge_model *m);

static int check_shrinking(const char *name, const char *victim, void (*make)(void)) {
  int errors = 0;
  for (moment when = AT_CREATE; when < MOMENTS; when++) {
    make();
    ledge_model *m = NULL;
    CHECK_INT(ledge_model_open(tree_path(&folder, name), NULL, &m, NULL), LEDGE_OK);
    if (m) right_sum = run_sum(m);
    ledge_model_close(m);
    fflush(NULL);
    pid_t child = fork();
    if (!child) _exit(shrink_at(when, name, victim));
    int status = 0;
    waitpid(child, &status, 0);
    errors += WIFEXITED(status) && !WEXITSTATUS(status);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) && (WEXITSTATUS(status) != UNREAD || when == AT_SAVE)))
      TEST_FAIL("%s cut at moment %d: %s %d", victim, (int)when, WIFEXITED(status) ? "fault" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  }
  return errors;
}

static int padding; /* of the model's file: constants stand at other multiples */

static void make_inside(void) {
  char text[1024];
  snprintf(text, sizeof text, "meta pad %.*s; %s", 1 + padding, "xxxxxxxx", inside);
  put("/inside.onnx", text);
}

static void make_outside(void) {
  put("/outside.onnx", outside);
  put_weights("/t.bin");
  put_weights("/w.bin");
}

static void test_model_shrinks(void) {
  int errors = 0;
  for (padding = 0; padding < 4; padding++) errors += check_shrinking("/inside.onnx", "/inside.onnx", make_inside);
  CHECK(errors >= 4 * 3 + 2); /* constants at a multiple of their size are read in each run */
}

static void test_weights_shrink(void) {
  CHECK_INT(check_shrinking("/outside.onnx", "/t.bin", make_outside), MOMENTS - 1);
  CHECK(check_shrinking("/outside.onnx", "/w.bin", make_outside) >= 3); /* packed when it is planned */
}

/* A simplified model is a clone: what it shares with the file is looked at all the same. */
static void test_simplified_shrinks(void) {
  make_inside();
  pid_t child = fork();
  if (!child) {
    ledge_model *m;
    ledge_error error;
    if (ledge_model_open(tree_path(&folder, "/inside.onnx"), NULL, &m, &error)) _exit(1);
    if (truncate(tree_path(&folder, "/inside.onnx"), 100)) _exit(2);
    ledge_status status =
        ledge_model_save(m, tree_path(&folder, "/simple.onnx"), &(ledge_save_options){.simplify = true}, &error);
    ledge_model_close(m);
    _exit(status == LEDGE_ERROR_CHANGED && access(tree_path(&folder, "/simple.onnx"), F_OK) ? 0 : 3);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A file that is replaced by renaming another over it is no change for those who have it open. */
static void test_replaced(void) {
  ledge_error error;
  ledge_model *m;
  ledge_session *s;
  static float x[250];
  ledge_tensor t = floats_of(x, 1, 250, 0, 0), y;
  make_outside();
  CHECK_INT(ledge_model_open(tree_path(&folder, "/outside.onnx"), NULL, &m, &error), LEDGE_OK);
  CHECK_INT(ledge_session_create(m, NULL, &s, &error), LEDGE_OK);
  CHECK_INT(ledge_session_set_input(s, 0, &t, &error), LEDGE_OK);
  CHECK_INT(ledge_session_run(s, &error), LEDGE_OK);
  CHECK_INT(ledge_session_output(s, 0, &y, &error), LEDGE_OK);
  float before = *(float *)y.data;
  tree_file(&folder, "/other", "short");
  CHECK(!rename(tree_path(&folder, "/other"), tree_path(&folder, "/t.bin")));
  CHECK(!unlink(tree_path(&folder, "/w.bin")) && !unlink(tree_path(&folder, "/outside.onnx")));
  CHECK_INT(ledge_session_run(s, &error), LEDGE_OK);
  CHECK_INT(ledge_session_output(s, 0, &y, &error), LEDGE_OK);
  CHECK(*(float *)y.data == before);
  ledge_session_destroy(s);
  ledge_model_close(m);
}

/* ---- where models come from ---- */

static double run_sum(ledge_model *m) {
  ledge_error error = {.message = ""};
  ledge_session *s = NULL;
  static float x[250];
  ledge_tensor t = floats_of(x, 1, 250, 0, 0), y = {0};
  ledge_status status = ledge_session_create(m, NULL, &s, &error);
  if (!status) status = ledge_session_set_input(s, 0, &t, &error);
  if (!status) status = ledge_session_run(s, &error);
  if (!status) status = ledge_session_output(s, 0, &y, &error);
  if (status) TEST_FAIL("%s", error.message);
  double sum = status ? NAN : (double)*(float *)y.data;
  ledge_session_destroy(s);
  return sum;
}

static void test_sources(void) {
  ledge_error error;
  ledge_model *m;
  make_outside();
  char path[512];
  snprintf(path, sizeof path, "%s", tree_path(&folder, "/outside.onnx"));
  CHECK_INT(ledge_model_open(path, NULL, &m, &error), LEDGE_OK);
  double want = run_sum(m);
  ledge_model_close(m);
  msg bytes = model_text(outside);
  CHECK(ledge_model_open_memory(bytes.data, bytes.size, NULL, &m, &error) != LEDGE_OK); /* it has no folder */
  CHECK(strstr(error.message, "folder") != NULL);
  ledge_model_options options = {.folder = folder.root};
  CHECK_INT(ledge_model_open_memory(bytes.data, bytes.size, &options, &m, &error), LEDGE_OK);
  CHECK(run_sum(m) == want);
  ledge_model_close(m);
  int fd = open(path, O_RDONLY);
  CHECK(ledge_model_open_fd(fd, NULL, &m, &error) != LEDGE_OK);
  CHECK_INT(ledge_model_open_fd(fd, &options, &m, &error), LEDGE_OK);
  close(fd);
  CHECK(run_sum(m) == want);
  ledge_model_close(m);
  CHECK(ledge_model_open_fd(-1, &options, &m, &error) == LEDGE_ERROR_IO);
  int pipes[2];
  CHECK(!pipe(pipes));
  CHECK(ledge_model_open_fd(pipes[0], &options, &m, &error) == LEDGE_ERROR_IO);
  close(pipes[0]);
  close(pipes[1]);
  CHECK(ledge_model_open_memory(bytes.data, 0, &options, &m, &error) == LEDGE_ERROR_FORMAT);
  writer_deinit(&bytes);
}

static void test_links(void) { /* as download caches have it: everything is a link into a store */
  ledge_error error;
  ledge_model *m;
  make_outside();
  mkdir(tree_path(&folder, "/store"), 0700);
  mkdir(tree_path(&folder, "/snapshot"), 0700);
  static const char *const names[] = {"outside.onnx", "t.bin", "w.bin"};
  for (int i = 0; i < 3; i++) {
    char from[512], to[512], link[512], target[64];
    snprintf(from, sizeof from, "%s/%s", folder.root, names[i]);
    snprintf(to, sizeof to, "%s/store/blob%d", folder.root, i);
    snprintf(link, sizeof link, "%s/snapshot/%s", folder.root, names[i]);
    snprintf(target, sizeof target, "../store/blob%d", i);
    CHECK(!rename(from, to) && !symlink(target, link));
  }
  const char *path = tree_path(&folder, "/snapshot/outside.onnx");
  CHECK(ledge_model_open(path, NULL, &m, &error) == LEDGE_ERROR_IO);
  CHECK(strstr(error.message, "allow") != NULL);
  CHECK_INT(ledge_model_open(path, &(ledge_model_options){.allow_links = true}, &m, &error), LEDGE_OK);
  CHECK(isfinite(run_sum(m)));
  ledge_model_close(m);
}

TEST_MAIN({"model shrinks", test_model_shrinks}, {"weights shrink", test_weights_shrink},
          {"simplified shrinks", test_simplified_shrinks}, {"replaced", test_replaced}, {"sources", test_sources},
          {"links", test_links})
