/* tests/api: the library as a program sees it, on the model that ledge ships and on files that are none. */
#include "base/mem.h"
#include "ledge/ledge.h"
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define MODEL "models/keyword/keyword.onnx"
enum { FRAMES = 98, BANDS = 40, CLASSES = 16 };

static float input[FRAMES * BANDS];

static ledge_tensor features(void) {
  for (int i = 0; i < FRAMES * BANDS; i++) input[i] = (float)sin(i * 0.37) * 3 - 5;
  return (ledge_tensor){LEDGE_F32, 4, {1, 1, FRAMES, BANDS}, input, sizeof input};
}

typedef struct fixture {
  ledge_error error;
  ledge_model *model;
  ledge_session *session;
} fixture;

static void setup(fixture *f, const ledge_session_options *options) {
  *f = (fixture){.error = {.message = ""}};
  ledge_tensor x = features();
  CHECK(ledge_model_open(MODEL, NULL, &f->model, &f->error) == LEDGE_OK);
  CHECK(ledge_session_create(f->model, options, &f->session, &f->error) == LEDGE_OK);
  CHECK(ledge_session_set_input(f->session, 0, &x, &f->error) == LEDGE_OK);
}

static void teardown(fixture *f) {
  ledge_session_destroy(f->session);
  ledge_model_close(f->model);
}

static void run(fixture *f, float *out) {
  ledge_tensor y;
  CHECK(ledge_session_run(f->session, &f->error) == LEDGE_OK);
  CHECK(ledge_session_output(f->session, 0, &y, &f->error) == LEDGE_OK);
  CHECK_INT(y.bytes, CLASSES * sizeof *out);
  memcpy(out, y.data, CLASSES * sizeof *out);
}

static void test_reference_agrees(void) {
  fixture fast, slow;
  float a[CLASSES], b[CLASSES];
  setup(&fast, &(ledge_session_options){.threads = 1});
  setup(&slow, &(ledge_session_options){.threads = 1, .reference = true});
  run(&fast, a);
  run(&slow, b);
  for (int i = 0; i < CLASSES; i++) CHECK_NEAR(a[i], b[i], 1e-5);
  teardown(&fast);
  teardown(&slow);
}

static void test_threads_agree_to_the_bit(void) {
  float first[CLASSES], other[CLASSES];
  for (int threads = 1; threads <= 4; threads++) {
    fixture f;
    setup(&f, &(ledge_session_options){.threads = threads});
    run(&f, threads == 1 ? first : other);
    if (threads > 1) CHECK(!memcmp(first, other, sizeof first));
    teardown(&f);
  }
}

static void test_steady_state_allocates_nothing(void) {
  fixture f;
  setup(&f, &(ledge_session_options){.threads = 2});
  for (int i = 0; i < 3; i++) CHECK(ledge_session_run(f.session, &f.error) == LEDGE_OK);
  long long before = atomic_load(&mem_stats_global.allocations);
  for (int i = 0; i < 1000; i++) CHECK(ledge_session_run(f.session, &f.error) == LEDGE_OK);
  CHECK_INT(atomic_load(&mem_stats_global.allocations) - before, 0);
  teardown(&f);
}

static void test_bound_output(void) {
  fixture f;
  float own[CLASSES], bound[CLASSES + 1];
  setup(&f, NULL);
  run(&f, own);
  bound[CLASSES] = 7;
  CHECK(ledge_session_bind_output(f.session, 0, bound, CLASSES * sizeof *bound, &f.error) == LEDGE_OK);
  CHECK(ledge_session_run(f.session, &f.error) == LEDGE_OK);
  CHECK(!memcmp(own, bound, sizeof own));
  CHECK(bound[CLASSES] == 7);
  CHECK(ledge_session_bind_output(f.session, 0, bound, 8, &f.error) == LEDGE_OK);
  CHECK(ledge_session_run(f.session, &f.error) == LEDGE_ERROR_ARGUMENT);
  CHECK(ledge_session_bind_output(f.session, 0, NULL, 0, &f.error) == LEDGE_OK);
  run(&f, own);
  teardown(&f);
}

static void test_batches(void) { /* the batch is open: a plan a size */
  fixture f;
  setup(&f, NULL);
  float one[CLASSES];
  run(&f, one);
  static float many[12 * FRAMES * BANDS];
  for (int n = 1; n <= 12; n++) {
    ledge_tensor y, x = {LEDGE_F32, 4, {n, 1, FRAMES, BANDS}, many, (size_t)n * sizeof input};
    for (int i = 0; i < n; i++) memcpy(many + i * FRAMES * BANDS, input, sizeof input);
    CHECK(ledge_session_set_input(f.session, 0, &x, &f.error) == LEDGE_OK);
    CHECK(ledge_session_run(f.session, &f.error) == LEDGE_OK);
    CHECK(ledge_session_output(f.session, 0, &y, &f.error) == LEDGE_OK);
    CHECK_INT(y.dims[0], n);
    for (int i = 0; i < n * CLASSES; i++) CHECK_NEAR(((float *)y.data)[i], one[i % CLASSES], 1e-5);
  }
  teardown(&f);
}

static void test_wrong_inputs(void) {
  fixture f;
  setup(&f, NULL);
  ledge_tensor x = features();
  size_t at;
  CHECK(ledge_session_set_input(f.session, 1, &x, &f.error) == LEDGE_ERROR_NAME);
  x.dims[3] = BANDS - 1;
  CHECK(ledge_session_set_input(f.session, 0, &x, &f.error) == LEDGE_ERROR_SHAPE);
  CHECK(strstr(f.error.message, "features") != NULL);
  x = features();
  x.dtype = LEDGE_I32;
  CHECK(ledge_session_set_input(f.session, 0, &x, &f.error) == LEDGE_ERROR_SHAPE);
  x = features();
  x.bytes = 4;
  CHECK(ledge_session_set_input(f.session, 0, &x, &f.error) == LEDGE_ERROR_ARGUMENT);
  CHECK(ledge_model_find_input(f.model, "nothing", &at, &f.error) == LEDGE_ERROR_NAME);
  CHECK(ledge_model_find_input(f.model, "0", &at, &f.error) == LEDGE_OK);
  CHECK(ledge_session_set_input(f.session, 0, NULL, &f.error) == LEDGE_OK);
  CHECK(ledge_session_run(f.session, &f.error) == LEDGE_ERROR_NAME);
  teardown(&f);
}

static void test_memory_limit(void) {
  fixture f = {.model = NULL};
  ledge_tensor x = features();
  CHECK(ledge_model_open(MODEL, NULL, &f.model, &f.error) == LEDGE_OK);
  CHECK(ledge_session_create(f.model, &(ledge_session_options){.memory_limit = 1000}, &f.session, &f.error) ==
        LEDGE_OK);
  CHECK(ledge_session_set_input(f.session, 0, &x, &f.error) == LEDGE_OK);
  CHECK(ledge_session_run(f.session, &f.error) == LEDGE_ERROR_LIMIT);
  CHECK(strstr(f.error.message, "1000 bytes") != NULL);
  teardown(&f);
}

static void test_sessions_share_weights(void) {
  fixture f;
  float out[CLASSES];
  ledge_memory one, two;
  setup(&f, &(ledge_session_options){.threads = 1});
  run(&f, out);
  ledge_session_memory(f.session, &one);
  ledge_session *other;
  ledge_tensor x = features();
  CHECK(ledge_session_create(f.model, &(ledge_session_options){.threads = 1}, &other, &f.error) == LEDGE_OK);
  CHECK(ledge_session_set_input(other, 0, &x, &f.error) == LEDGE_OK);
  CHECK(ledge_session_run(other, &f.error) == LEDGE_OK);
  ledge_session_memory(other, &two);
  CHECK_INT(two.packed_bytes, one.packed_bytes);
  ledge_model_close(f.model); /* the sessions keep it */
  f.model = NULL;
  CHECK(ledge_session_run(other, &f.error) == LEDGE_OK);
  ledge_session_destroy(other);
  teardown(&f);
}

static void test_open_fd_and_memory(void) {
  ledge_error error;
  ledge_model *m;
  int fd = open(MODEL, O_RDONLY);
  CHECK(fd >= 0);
  off_t size = lseek(fd, 0, SEEK_END);
  char *bytes = malloc((size_t)size);
  CHECK(pread(fd, bytes, (size_t)size, 0) == size);
  CHECK(ledge_model_open_fd(fd, NULL, &m, &error) == LEDGE_OK);
  close(fd);
  CHECK_INT(ledge_model_input_count(m), 1);
  ledge_model_close(m);
  CHECK(ledge_model_open_memory(bytes, (size_t)size, NULL, &m, &error) == LEDGE_OK);
  ledge_model_close(m);
  for (size_t n = 0; n < (size_t)size; n += 1 + n / 3) /* truncated: an error, or a model that lacks its end */
    if (ledge_model_open_memory(bytes, n, NULL, &m, &error) == LEDGE_OK) ledge_model_close(m);
  free(bytes);
  CHECK(ledge_model_open("models/none.onnx", NULL, &m, &error) == LEDGE_ERROR_IO);
  CHECK(strstr(error.message, "models/none.onnx") != NULL);
  CHECK(ledge_model_open("models", NULL, &m, &error) == LEDGE_ERROR_IO);
  CHECK(ledge_model_open("models/keyword/recordings/yes.wav", NULL, &m, &error) != LEDGE_OK);
}

/* Each allocation fails in turn, from opening to the first run: an error each time, and no leak (for the sanitizer). */
static void test_every_allocation_fails(void) {
  ledge_tensor x = features();
  int n = 0;
  for (;; n++) {
    ledge_error error = {.message = ""};
    ledge_model *m = NULL;
    ledge_session *s = NULL;
    atomic_store(&mem_stats_global.fail_after, n);
    ledge_status status = ledge_model_open(MODEL, NULL, &m, &error);
    if (!status) status = ledge_session_create(m, &(ledge_session_options){.threads = 1}, &s, &error);
    if (!status) status = ledge_session_set_input(s, 0, &x, &error);
    if (!status) status = ledge_session_run(s, &error);
    bool reached = atomic_load(&mem_stats_global.fail_after) < 0;
    atomic_store(&mem_stats_global.fail_after, -1);
    ledge_session_destroy(s);
    ledge_model_close(m);
    if (!reached) {
      CHECK(status == LEDGE_OK);
      break;
    }
    if (status) CHECK(status == LEDGE_ERROR_MEMORY);
  }
  CHECK(n > 100);
}

static ledge_status twice_infer(ledge_op_context *c, void *user) {
  ledge_tensor x;
  (void)user;
  if (!ledge_op_input(c, 0, &x)) return ledge_op_fail(c, LEDGE_ERROR_ARGUMENT, "no input");
  return ledge_op_set_output(c, 0, x.dtype, x.rank, x.dims);
}

static ledge_status twice_run(ledge_op_context *c, void *user) {
  ledge_tensor x, y;
  if (!ledge_op_input(c, 0, &x) || !ledge_op_output(c, 0, &y))
    return ledge_op_fail(c, LEDGE_ERROR_ARGUMENT, "no tensor");
  for (size_t i = 0; i < x.bytes / 4; i++) ((float *)y.data)[i] = *(float *)user * ((float *)x.data)[i];
  return LEDGE_OK;
}

/* A program's own Relu stands before ledge's. */
static void test_own_operator(void) {
  float factor = 0, out[CLASSES], plain[CLASSES];
  const ledge_operator relu = {.domain = "",
                               .name = "Relu",
                               .since_version = 1,
                               .min_inputs = 1,
                               .max_inputs = 1,
                               .min_outputs = 1,
                               .max_outputs = 1,
                               .infer = twice_infer,
                               .run = twice_run,
                               .user = &factor};
  const ledge_operator *list[] = {&relu};
  ledge_model_options options = {.operators = list, .n_operators = 1, .disable_passes = "all"};
  fixture f = {.model = NULL};
  ledge_tensor x = features();
  CHECK(ledge_model_open(MODEL, &options, &f.model, &f.error) == LEDGE_OK);
  CHECK(ledge_session_create(f.model, NULL, &f.session, &f.error) == LEDGE_OK);
  CHECK(ledge_session_set_input(f.session, 0, &x, &f.error) == LEDGE_OK);
  run(&f, out);
  teardown(&f);
  setup(&f, NULL);
  run(&f, plain);
  teardown(&f);
  CHECK(memcmp(out, plain, sizeof out) != 0);
}

static void *cancel_soon(void *session) {
  for (int i = 0; i < 200; i++) {
    usleep(500);
    ledge_session_cancel(session);
  }
  return NULL;
}

static void test_cancel(void) {
  fixture f;
  setup(&f, &(ledge_session_options){.threads = 1, .reference = true});
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cancel_soon, f.session) == 0);
  bool cancelled = false;
  for (int i = 0; i < 400 && !cancelled; i++)
    cancelled = ledge_session_run(f.session, &f.error) == LEDGE_ERROR_CANCELLED;
  pthread_join(thread, NULL);
  CHECK(cancelled);
  CHECK(ledge_session_run(f.session, &f.error) == LEDGE_OK);
  teardown(&f);
}

TEST_MAIN({"reference agrees", test_reference_agrees}, {"threads agree to the bit", test_threads_agree_to_the_bit},
          {"steady state allocates nothing", test_steady_state_allocates_nothing}, {"bound output", test_bound_output},
          {"batches", test_batches}, {"wrong inputs", test_wrong_inputs}, {"memory limit", test_memory_limit},
          {"sessions share weights", test_sessions_share_weights}, {"open fd and memory", test_open_fd_and_memory},
          {"every allocation fails", test_every_allocation_fails}, {"own operator", test_own_operator},
          {"cancel", test_cancel})
