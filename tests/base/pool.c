/* Every index is worked on exactly once, whatever the number of threads, the grain, the callers and the nesting. */
#include "base/pool.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_MAX = 10007, WORKERS = 32 };

typedef struct job {
  atomic_uchar seen[N_MAX];
  atomic_int inside[WORKERS]; /* bodies of each worker index at this moment */
  atomic_int clashes, outside, calls;
  int threads;
  pool *inner; /* run from inside the body */
} job;

static void count(void *arg, int64_t begin, int64_t end, int worker) {
  job *j = arg;
  atomic_fetch_add(&j->calls, 1);
  if (worker < 0 || worker >= j->threads) {
    atomic_fetch_add(&j->outside, 1);
    return;
  }
  if (atomic_fetch_add(&j->inside[worker], 1)) atomic_fetch_add(&j->clashes, 1);
  for (int64_t i = begin; i < end; i++) atomic_fetch_add_explicit(&j->seen[i], 1, memory_order_relaxed);
  atomic_fetch_sub(&j->inside[worker], 1);
}

static job *job_create(int threads) {
  job *j = calloc(1, sizeof *j);
  j->threads = threads;
  return j;
}

static void job_check(job *j, int64_t n, const char *what) {
  int64_t wrong = 0;
  for (int64_t i = 0; i < N_MAX; i++) wrong += j->seen[i] != (i < n);
  if (wrong || j->clashes || j->outside)
    TEST_FAIL("%s, n %lld: %lld indices wrong, %d clashes, %d outside", what, (long long)n, (long long)wrong,
              j->clashes, j->outside);
}

static void test_coverage(void) {
  static const int64_t sizes[] = {0, 1, 2, 3, 7, 64, 1000, N_MAX}, grains[] = {-1, 1, 3, 64, 5000, 20000};
  for (int threads = 1; threads <= 8; threads++) {
    pool *p = NULL;
    CHECK(pool_create(threads, &p, NULL) == LEDGE_OK);
    CHECK_INT(pool_threads(p), threads);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
        job *j = job_create(threads);
        pool_run(p, sizes[s], grains[g], count, j);
        job_check(j, sizes[s], "coverage");
        int64_t grain = grains[g] < 1 ? 1 : grains[g];
        CHECK(j->calls <= (sizes[s] + grain - 1) / grain);
        free(j);
      }
    pool_destroy(p);
  }
}

static void test_none(void) {
  job *j = job_create(1);
  pool_run(NULL, 100, 1, count, j);
  job_check(j, 100, "no pool");
  CHECK_INT(j->calls, 1);
  free(j);
  CHECK_INT(pool_threads(NULL), 1);
  pool_destroy(NULL);
  pool_shared_unref(NULL);
}

static void test_wrong_count(void) {
  pool *p = (pool *)&p;
  ledge_error error;
  CHECK_INT(pool_create(-1, &p, &error), LEDGE_ERROR_ARGUMENT);
  CHECK_INT(pool_create(POOL_THREADS_MAX + 1, &p, &error), LEDGE_ERROR_ARGUMENT);
  CHECK(strstr(error.message, "257 threads") != NULL);
  CHECK(p == (pool *)&p);
  CHECK_INT(pool_create(0, &p, &error), LEDGE_OK);
  CHECK_INT(pool_threads(p), cpu_default_threads());
  pool_destroy(p);
}

/* The bodies see what the caller wrote before, and the caller what they wrote; also many runs in a row. */
typedef struct sums {
  int64_t in[512], out[512];
} sums;

static void square(void *arg, int64_t begin, int64_t end, int worker) {
  sums *s = arg;
  for (int64_t i = begin; i < end; i++) s->out[i] = s->in[i] * s->in[i];
}

static void test_many_runs(void) {
  pool *p = NULL;
  CHECK(pool_create(3, &p, NULL) == LEDGE_OK);
  static sums s;
  int64_t wrong = 0;
  long long before = atomic_load(&mem_stats_global.allocations);
  for (int64_t run = 0; run < 3000; run++) {
    for (int64_t i = 0; i < 512; i++) s.in[i] = run + i;
    pool_run(p, 512, 1 + run % 40, square, &s);
    for (int64_t i = 0; i < 512; i++) wrong += s.out[i] != (run + i) * (run + i);
    if (run % 500 == 0) usleep(300); /* lets the workers fall asleep */
  }
  CHECK_INT(wrong, 0);
  CHECK_INT(atomic_load(&mem_stats_global.allocations), before);
  pool_destroy(p);
}

static void nested(void *arg, int64_t begin, int64_t end, int worker) {
  job *j = arg;
  /* Under the outer index: the inner job counts a clash if two of its bodies ran at once under one index. */
  for (int64_t i = begin; i < end; i++) pool_run(j->inner, 10, 1, count, &j[1 + i]);
}

static void test_nested(void) {
  pool *p = NULL, *other = NULL;
  CHECK(pool_create(4, &p, NULL) == LEDGE_OK);
  CHECK(pool_create(3, &other, NULL) == LEDGE_OK);
  for (int turn = 0; turn < 3; turn++) {
    job *j = calloc(21, sizeof *j);
    j[0].inner = turn == 0 ? p : turn == 1 ? other : NULL;
    for (int i = 1; i < 21; i++) j[i].threads = pool_threads(j[0].inner);
    pool_run(p, 20, 1, nested, j);
    for (int i = 1; i < 21; i++) {
      job_check(&j[i], 10, "nested");
      if (turn != 1) CHECK_INT(j[i].calls, 1);
    }
    free(j);
  }
  pool_destroy(other);
  pool_destroy(p);
}

typedef struct caller {
  pool *p;
  int wrong;
} caller;

static void *caller_main(void *arg) {
  caller *c = arg;
  job *j = job_create(pool_threads(c->p));
  for (int run = 0; run < 60; run++) {
    memset(j->seen, 0, sizeof j->seen);
    pool_run(c->p, 1000, 7, count, j);
    for (int i = 0; i < 1000; i++) c->wrong += j->seen[i] != 1;
  }
  c->wrong += j->clashes + j->outside;
  free(j);
  return NULL;
}

/* More callers than job slots, through views of different sizes of one pool. */
static void test_callers(void) {
  enum { CALLERS = 20 };
  pthread_t threads[CALLERS];
  caller callers[CALLERS] = {{0}};
  for (int i = 0; i < CALLERS; i++) {
    CHECK(pool_shared_ref(1 + i % 4, &callers[i].p, NULL) == LEDGE_OK);
    CHECK_INT(pthread_create(&threads[i], NULL, caller_main, &callers[i]), 0);
  }
  for (int i = 0; i < CALLERS; i++) {
    pthread_join(threads[i], NULL);
    CHECK_INT(callers[i].wrong, 0);
    i % 2 ? pool_shared_unref(callers[i].p) : pool_destroy(callers[i].p);
  }
}

static void note_threads(void *arg, int64_t begin, int64_t end, int worker) {
  atomic_fetch_or((atomic_int *)arg, 1 << worker);
  uint64_t until = clock_now_ns() + 20000;
  while (clock_now_ns() < until) continue;
}

/* A pool of more threads than cores uses as many as there are. */
static void test_pinned(void) {
  cpu_set_t before, one;
  CHECK_INT(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  CHECK_INT(sched_setaffinity(0, sizeof one, &one), 0);
  pool *p = NULL;
  CHECK(pool_create(4, &p, NULL) == LEDGE_OK);
  atomic_int used = 0;
  for (int run = 0; run < 5; run++) pool_run(p, 50, 1, note_threads, &used);
  CHECK_INT(used, 1);
  CHECK_INT(sched_setaffinity(0, sizeof before, &before), 0);
  pool_destroy(p);
}

static void test_workers_take_part(void) {
  if (cpu_usable((int[]){0}, 1, cpu_quota()) < 2) return;
  pool *p = NULL;
  CHECK(pool_create(2, &p, NULL) == LEDGE_OK);
  atomic_int used = 0;
  for (int run = 0; run < 200 && used != 3; run++) pool_run(p, 200, 1, note_threads, &used);
  CHECK_INT(used, 3);
  pool_destroy(p);
}

/* The thread sanitizer does not follow threads that are started after a fork. */
#if defined(__SANITIZE_THREAD__)
#define FORK_CAN_START_THREADS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORK_CAN_START_THREADS 0
#endif
#endif
#ifndef FORK_CAN_START_THREADS
#define FORK_CAN_START_THREADS 1
#endif

/* After a fork the child's old pools work on its one thread; new ones are whole. */
static void test_fork(void) {
  pool *p = NULL, *shared = NULL;
  CHECK(pool_create(3, &p, NULL) == LEDGE_OK);
  CHECK(pool_shared_ref(3, &shared, NULL) == LEDGE_OK);
  pid_t child = fork();
  if (child == 0) {
    job *j = job_create(3);
    pool_run(p, 1000, 1, count, j);
    pool_run(shared, 500, 1, count, j);
    int wrong = 0;
    for (int i = 0; i < 1000; i++) wrong += j->seen[i] != 1 + (i < 500);
    pool *again = NULL;
    if (pool_shared_ref(FORK_CAN_START_THREADS ? 2 : 1, &again, NULL)) wrong++;
    memset(j->seen, 0, sizeof j->seen);
    pool_run(again, 1000, 1, count, j);
    for (int i = 0; i < 1000; i++) wrong += j->seen[i] != 1;
    pool_shared_unref(again);
    pool_shared_unref(shared);
    pool_destroy(p);
    _exit(wrong ? 1 : 0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  pool_shared_unref(shared);
  pool_destroy(p);
}

/* Fails each allocation of creating a pool in turn: an error each time, and nothing is left behind. */
static void test_out_of_memory(void) {
  for (int view = 0; view < 2; view++)
    for (int fail = 0;; fail++) {
      long long before = atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
      pool *p = NULL;
      ledge_error error = {0};
      atomic_store(&mem_stats_global.fail_after, fail);
      ledge_status status = view ? pool_shared_ref(3, &p, &error) : pool_create(3, &p, &error);
      atomic_store(&mem_stats_global.fail_after, -1);
      if (!status) {
        pool_destroy(p);
        CHECK(fail >= 4);
        break;
      }
      CHECK_INT(status, LEDGE_ERROR_MEMORY);
      CHECK(p == NULL && error.message[0]);
      CHECK_INT(atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees), before);
    }
}

TEST_MAIN({"coverage", test_coverage}, {"none", test_none}, {"wrong_count", test_wrong_count},
          {"many_runs", test_many_runs}, {"nested", test_nested}, {"callers", test_callers}, {"pinned", test_pinned},
          {"workers_take_part", test_workers_take_part}, {"fork", test_fork}, {"out_of_memory", test_out_of_memory})
