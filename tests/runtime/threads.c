/* tests/runtime/threads: sessions of one model in several threads, cancelling from another, and how many threads a
 * session takes. Runs under the thread sanitizer too. */
#include "runtime/api_text.h"

#include "base/clock.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROWS = 6 };

/* ---- sessions side by side ---- */

typedef struct worker {
  ledge_model *model;
  const float *data;
  float want[ROWS][ROWS * 4]; /* by rows: the first thread's results */
  pthread_barrier_t *start;
  int threads, failures;
} worker;

static void *work(void *arg) {
  worker *w = arg;
  ledge_error error;
  ledge_session *s;
  pthread_barrier_wait(w->start); /* the first session makes the optimised graph, its plan packs the weights */
  if (ledge_session_create(w->model, &(ledge_session_options){.threads = w->threads}, &s, &error))
    return w->failures++, NULL;
  for (int i = 0; i < 30; i++) {
    int n = 1 + i % ROWS;
    ledge_tensor x = floats_of((float *)(uintptr_t)w->data, n, 4, 0, 0), y;
    if (ledge_session_set_input(s, 0, &x, &error) || ledge_session_run(s, &error) ||
        ledge_session_output(s, 0, &y, &error) || y.bytes != (size_t)n * 16)
      w->failures++;
    else if (i < ROWS)
      memcpy(w->want[n - 1], y.data, y.bytes);
    else
      w->failures += memcmp(w->want[n - 1], y.data, y.bytes) != 0;
  }
  ledge_session_destroy(s);
  return NULL;
}

static void test_side_by_side(void) {
  float data[ROWS * 4];
  fill(data, ROWS * 4, 0);
  for (int m = 0; m < TEXT_MODELS; m++) {
    static worker workers[THREADS];
    fixture f;
    pthread_barrier_t start;
    pthread_t threads[THREADS];
    if (fixture_open(&f, text_models[m].text, &(ledge_session_options){.threads = 1})) continue;
    ledge_session_destroy(f.session);
    f.session = NULL;
    ledge_model_close(f.model); /* opened anew: nothing is made yet */
    check_ok(&f, ledge_model_open_memory(f.bytes.data, f.bytes.size, NULL, &f.model, &f.error));
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
      workers[i] = (worker){.model = f.model, .data = data, .start = &start, .threads = 1 + i % 3};
      CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
      if (workers[i].failures) TEST_FAIL("%s: %d failures in thread %d", text_models[m].name, workers[i].failures, i);
      if (memcmp(workers[i].want, workers[0].want, sizeof workers[0].want))
        TEST_FAIL("%s: thread %d has other results", text_models[m].name, i);
    }
    pthread_barrier_destroy(&start);
    fixture_close(&f);
  }
}

static void test_weights_are_shared(void) {
  float data[ROWS * 4];
  fill(data, ROWS * 4, 0);
  fixture f;
  if (fixture_open(&f, text_dense, &(ledge_session_options){.threads = 1})) return;
  ledge_session *others[6];
  ledge_memory first, memory;
  ledge_tensor x = floats_of(data, 2, 4, 0, 0);
  set_input(&f, 0, x);
  run_once(&f);
  ledge_session_memory(f.session, &first);
  CHECK(first.packed_bytes > 0);
  for (int i = 0; i < 6; i++) {
    check_ok(&f, ledge_session_create(f.model, &(ledge_session_options){.threads = 1}, &others[i], &f.error));
    check_ok(&f, ledge_session_set_input(others[i], 0, &x, &f.error));
    check_ok(&f, ledge_session_run(others[i], &f.error));
    ledge_session_memory(others[i], &memory);
    CHECK_INT(memory.packed_bytes, first.packed_bytes);
  }
  ledge_model_close(f.model); /* the sessions keep it */
  f.model = NULL;
  run_once(&f);
  for (int i = 0; i < 6; i++) {
    check_ok(&f, ledge_session_run(others[i], &f.error));
    ledge_session_destroy(others[i]);
  }
  fixture_close(&f);
}

/* ---- cancelling ---- */

static const char endless[] = /* a loop of a thousand million rounds */
    "input x f32 N; const trips i64 = 1000000000; const go bool = 1; y = Loop trips go x ;"
    "body { input i i64 ; input k bool ; input v f32 any; w = Neg v; k2 = Identity k; output k2 bool ; output w f32 "
    "any } ;"
    "output y f32 N";

typedef struct canceller {
  ledge_session *session;
  atomic_bool stop;
  atomic_int times;
} canceller;

static void *cancel_often(void *arg) {
  canceller *c = arg;
  while (!atomic_load(&c->stop)) {
    ledge_session_cancel(c->session);
    atomic_fetch_add(&c->times, 1);
    usleep(200);
  }
  return NULL;
}

static void test_cancel_a_loop(void) {
  fixture f;
  float x[4] = {1, 2, 3, 4};
  if (fixture_open(&f, endless, &(ledge_session_options){.threads = 1})) return;
  set_input(&f, 0, floats_of(x, 4, 0, 0, 0));
  canceller c = {.session = f.session};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cancel_often, &c) == 0);
  for (int i = 0; i < 5; i++) {
    uint64_t start = clock_now_ns();
    CHECK_INT(ledge_session_run(f.session, &f.error), LEDGE_ERROR_CANCELLED);
    CHECK(clock_now_ns() - start < 5000000000u);
    ledge_tensor y;
    CHECK(ledge_session_output(f.session, 0, &y, &f.error) != LEDGE_OK);
  }
  atomic_store(&c.stop, true);
  pthread_join(thread, NULL);
  CHECK(atomic_load(&c.times) > 0);
  fixture_close(&f);
}

/* A cancel that meets no run is forgotten; one may come while inputs are set, plans made, defaults given. */
static void test_cancel_at_any_time(void) {
  fixture f;
  if (fixture_open(&f,
                   "input x f32 N; input w f32 1; const w f32 1 = 2; y = Mul x w; z = Exp y; output y f32 N;"
                   "output z f32 N",
                   &(ledge_session_options){.threads = 2}))
    return;
  float x[64] = {1}, w = 3;
  canceller c = {.session = f.session};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cancel_often, &c) == 0);
  int done = 0;
  for (int i = 1; i < 60; i++) {
    set_input(&f, 0, floats_of(x, i, 0, 0, 0));
    if (i == 20) set_input(&f, 1, floats_of(&w, 1, 0, 0, 0)); /* from now on another session stands behind */
    ledge_status status = ledge_session_run(f.session, &f.error);
    if (status && status != LEDGE_ERROR_CANCELLED) TEST_FAIL("%s", f.error.message);
    done += !status;
    if (!status) CHECK(*(float *)output_of(&f, 0).data == (i < 20 ? 2 : 3));
  }
  atomic_store(&c.stop, true);
  pthread_join(thread, NULL);
  CHECK(done > 0);
  ledge_session_cancel(f.session);
  run_once(&f);
  fixture_close(&f);
}

/* ---- how many threads ---- */

static int threads_within(int cpus, int asked) { /* in a child of its own mask; the status is the number */
  pid_t child = fork();
  if (!child) {
    cpu_set_t all, few;
    CPU_ZERO(&few);
    if (sched_getaffinity(0, sizeof all, &all)) _exit(100);
    for (int i = 0, n = 0; i < CPU_SETSIZE && n < cpus; i++)
      if (CPU_ISSET(i, &all)) CPU_SET(i, &few), n++;
    if (sched_setaffinity(0, sizeof few, &few)) _exit(101);
    fixture f;
    if (fixture_open(&f, text_dense, &(ledge_session_options){.threads = asked})) _exit(102);
    float x[4] = {0};
    ledge_tensor t = floats_of(x, 1, 4, 0, 0);
    if (ledge_session_set_input(f.session, 0, &t, NULL) || ledge_session_run(f.session, NULL)) _exit(103);
    _exit(ledge_session_threads(f.session));
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_affinity(void) {
  CHECK_INT(threads_within(1, 0), 1);
  CHECK(threads_within(2, 0) <= 2);
  CHECK_INT(threads_within(1, 3), 3); /* who asks for more gets them */
}

static void test_numbers(void) {
  fixture f;
  for (int threads = 1; threads <= 6; threads++) {
    if (fixture_open(&f, text_dense, &(ledge_session_options){.threads = threads})) continue;
    CHECK_INT(ledge_session_threads(f.session), threads);
    fixture_close(&f);
  }
  if (fixture_open(&f, text_dense, NULL)) return;
  ledge_session *s;
  CHECK_INT(ledge_session_create(f.model, &(ledge_session_options){.threads = -1}, &s, &f.error), LEDGE_ERROR_ARGUMENT);
  CHECK(ledge_session_create(f.model, &(ledge_session_options){.threads = 100000}, &s, &f.error) != LEDGE_OK);
  ledge_machine machine;
  ledge_machine_get(&machine);
  CHECK_INT(ledge_session_threads(f.session), machine.default_threads);
  fixture_close(&f);
}

/* `affinity` comes first: its children must have started no thread before. */
TEST_MAIN({"affinity", test_affinity}, {"numbers", test_numbers}, {"side by side", test_side_by_side},
          {"weights are shared", test_weights_are_shared}, {"cancel a loop", test_cancel_a_loop},
          {"cancel at any time", test_cancel_at_any_time})
