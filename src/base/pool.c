/* base/pool: see pool.h.
 *
 *   pool (a view: how many threads) -> core -> jobs[POOL_JOBS]   one slot a caller that is inside pool_run
 *                                           -> workers           threads that claim chunks of any open job
 *
 * A job is cut into units of `grain` indices, and these into as many ranges as threads are to take part. The `claim`
 * word of a range holds (generation, next unit); a thread claims units by compare-and-swap, in its own range first and
 * then in what is left of the others' (affinity scheduling, Markatos and LeBlanc, 1994): the operators of a model
 * follow each other over the same rows, so a thread finds in its core's cache what it wrote there. Half of what is left
 * goes at once, single units at the end. Each adds what it has finished to `done`. The caller returns when done ==
 * units: it waits for chunks that somebody works at, never for a worker that merely exists. So a run ends even if no
 * worker ever wakes.
 *
 * Why the fields of a job may be read while a caller of a later generation rewrites them: they are rewritten only while
 * all its claim words are POOL_CLOSED, and a reader uses them only after its compare-and-swap found the very word that
 * it had loaded before, which then still was of the generation whose fields it read.
 *
 * Sleeping: a worker publishes ASLEEP, then looks at `epoch` once more; a caller raises `epoch`, then looks for ASLEEP.
 * Both are sequentially consistent, so one of them sees the other. The end of a job is the same handshake between
 * `done` and `waiting`.
 *
 * Spinning pays only while the other side runs on another core. It is limited to POOL_SPIN_NS, shrinks when it proves
 * to be in vain, and is off where the quota is below the threads or several callers are at work. No more workers are
 * woken than there are cores to run on.
 *
 * Beside other programs a run advances only while its threads are on their cores at the same time, so that the wait for
 * a turn is what costs. A worker therefore asks for short turns (woken, it runs at once and not when the other's turn
 * ends), goes on spinning (asleep, it would wait for its turn at each operator), and moves away where the scheduler
 * woke it on its caller's core, which it does to save a look at another cache: there the two would only take turns. */
#include "base/pool.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
  POOL_JOBS = 16,           /* callers served at once; one more runs its job alone */
  POOL_RANGES = 16,         /* of a job; more threads share them */
  POOL_UNITS_MAX = 1 << 30, /* of a job */
  POOL_FEW = 8,             /* units for each thread: as many for one as for another */
  POOL_SPIN_NS = 50 * 1000, /* the longest spin */
  POOL_SPIN_NS_MIN = 2 * 1000,
  POOL_LOOK_EVERY = 64, /* runs between two looks at the clock */
  POOL_STACK_BYTES = 1 << 20,
};
static const uint64_t pool_affinity_ns = 1000u * 1000 * 1000, pool_quota_ns = 10u * 1000 * 1000 * 1000ull;
#define POOL_CLOSED UINT32_MAX /* as the next unit: no job */

typedef struct pool_range {
  _Alignas(64) _Atomic uint64_t claim; /* generation << 32 | next unit */
} pool_range;

typedef struct pool_job {
  pool_range ranges[POOL_RANGES];
  _Alignas(64) atomic_uint done; /* finished units; the caller sleeps on it */
  atomic_uint waiting;           /* the caller sleeps or is about to */
  _Alignas(64) _Atomic(pool_body) body;
  _Atomic(void *) arg;
  _Atomic int64_t n, unit;
  atomic_uint units;
  atomic_int threads, n_ranges;
  atomic_bool taken; /* by a caller */
} pool_job;

enum { WORKER_AWAKE, WORKER_ASLEEP };
typedef struct pool_core pool_core;
typedef struct pool_worker {
  _Alignas(64) atomic_uint state; /* WORKER_*; the worker sleeps on it */
  atomic_int id;                  /* see cpu_usable */
  int index;                      /* from 1 */
  pool_core *core;
  pthread_t thread;
} pool_worker;

struct pool_core {
  _Alignas(64) atomic_uint epoch; /* raised when a job opens */
  _Alignas(64) pool_job jobs[POOL_JOBS];
  _Alignas(64) atomic_int n_workers;
  atomic_int usable;                      /* threads that can run at once, as last looked at */
  atomic_bool may_spin;                   /* the quota covers them */
  atomic_int callers;                     /* inside pool_run */
  atomic_int waker;                       /* the processor of the caller that woke a worker last */
  _Atomic uint64_t affinity_at, quota_at; /* times */
  _Atomic double quota;
  atomic_bool stop;
  unsigned forks; /* pool_forks at its making: where that is another, its workers are in a parent process */
  int refs;       /* under the registry's lock for the shared core, else 1 */
  bool shared;
  pool_worker *workers[POOL_THREADS_MAX]; /* [0] is unused: the caller */
};

struct pool {
  pool_core *core;
  int threads;
};

/* What the calling thread is in the middle of, and how long its spins may be. */
static _Thread_local struct {
  const pool_core *core;
  int worker;
  uint32_t spin_ns, n_runs;
} pool_here = {.spin_ns = POOL_SPIN_NS};

/* How many forks lie between the first process that had a pool and this one. A child has its parent's memory and none
 * of its threads: there an inherited core must neither wake nor await them (a condition variable of C's library would
 * wait for sleepers that are not there). */
static atomic_uint pool_forks;
static void pool_forked(void) { atomic_fetch_add(&pool_forks, 1); }
static void pool_watch_forks(void) { pthread_atfork(NULL, NULL, pool_forked); }
static bool pool_is_inherited(const pool_core *c) {
  return atomic_load_explicit(&pool_forks, memory_order_relaxed) != c->forks;
}

static void pool_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
  __asm__ volatile("yield" ::: "memory");
#else
  __asm__ volatile("" ::: "memory");
#endif
}

/* Whether `every` has passed since the time at *at, which then becomes `now`: for one of the threads that ask at once.
 */
static bool pool_due(_Atomic uint64_t *at, uint64_t now, uint64_t every) {
  uint64_t last = atomic_load_explicit(at, memory_order_relaxed);
  return now - last >= every && atomic_compare_exchange_strong(at, &last, now);
}

/* Looks now and then at how many cores this process may run on: a system call, for a thread that has time. */
static void pool_look(pool_core *c, uint64_t now) {
  if (!pool_due(&c->affinity_at, now, pool_affinity_ns)) return;
  double quota = atomic_load_explicit(&c->quota, memory_order_relaxed);
  int ids[2] = {0, 0}, n = 1, n_workers = atomic_load_explicit(&c->n_workers, memory_order_acquire);
  if (n_workers) ids[n++] = atomic_load_explicit(&c->workers[1]->id, memory_order_relaxed);
  int usable = cpu_usable(ids, n, quota);
  atomic_store_explicit(&c->usable, usable, memory_order_relaxed);
  int running = usable < n_workers + 1 ? usable : n_workers + 1;
  atomic_store_explicit(&c->may_spin, !(quota > 0 && quota < running), memory_order_relaxed);
}

/* The same for the quota, which is read from files: where nobody waits. */
static void pool_look_quota(pool_core *c, uint64_t now) {
  if (!pool_due(&c->quota_at, now, pool_quota_ns)) return;
  atomic_store_explicit(&c->quota, cpu_quota(), memory_order_relaxed);
  atomic_store_explicit(&c->affinity_at, now - pool_affinity_ns, memory_order_relaxed);
  pool_look(c, now);
}

static bool pool_reached(atomic_uint *word, unsigned value, bool equal) {
  return (atomic_load_explicit(word, memory_order_acquire) == value) == equal;
}

/* Spins until *word is (equal) or is not (!equal) value; false when that takes too long. */
static bool pool_spin(pool_core *c, atomic_uint *word, unsigned value, bool equal) {
  uint64_t start = clock_now_ns();
  if (!atomic_load_explicit(&c->may_spin, memory_order_relaxed) ||
      atomic_load_explicit(&c->callers, memory_order_relaxed) > 1)
    return pool_reached(word, value, equal);
  for (;;) {
    for (int i = 0; i < 16; i++) {
      if (pool_reached(word, value, equal)) return true;
      pool_pause();
    }
    if (clock_now_ns() - start > pool_here.spin_ns) return false;
  }
}

/* After a wait that began at `start` and had to sleep: would spinning to the limit have been enough? */
static void pool_spin_learn(uint64_t start) {
  if (clock_now_ns() - start < POOL_SPIN_NS)
    pool_here.spin_ns = POOL_SPIN_NS;
  else if (pool_here.spin_ns > POOL_SPIN_NS_MIN)
    pool_here.spin_ns /= 2;
}

/* The units of range r of n end before this one. */
static unsigned pool_range_end(unsigned units, int r, int n) {
  return (unsigned)((uint64_t)units * (unsigned)(r + 1) / (unsigned)(n ? n : 1));
}

/* Claims and runs chunks of range `r` of a job until none is left; adds the units that it finished to *finished and
 * sets *units to those of the job. */
static void pool_work_range(pool_job *j, int r, int worker, unsigned *finished, unsigned *ret_units) {
  _Atomic uint64_t *word = &j->ranges[r].claim;
  uint64_t claim = atomic_load_explicit(word, memory_order_acquire);
  for (;;) {
    uint32_t next = (uint32_t)claim;
    if (next == POOL_CLOSED) return;
    unsigned units = atomic_load_explicit(&j->units, memory_order_relaxed);
    int threads = atomic_load_explicit(&j->threads, memory_order_relaxed);
    unsigned end = pool_range_end(units, r, atomic_load_explicit(&j->n_ranges, memory_order_relaxed));
    if (next >= end || worker >= threads) return;
    pool_body body = atomic_load_explicit(&j->body, memory_order_relaxed);
    void *arg = atomic_load_explicit(&j->arg, memory_order_relaxed);
    int64_t n = atomic_load_explicit(&j->n, memory_order_relaxed);
    int64_t unit = atomic_load_explicit(&j->unit, memory_order_relaxed);
    unsigned take = (end - next + 1) / 2;
    if (!atomic_compare_exchange_weak_explicit(word, &claim, claim + take, memory_order_acq_rel, memory_order_acquire))
      continue;
    body(arg, next * unit, next + take == units ? n : (next + take) * unit, worker);
    *finished += take;
    *ret_units = units;
    claim = atomic_load_explicit(word, memory_order_acquire);
  }
}

/* Claims and runs chunks of a job until none is left. */
static bool pool_work(pool_job *j, int worker) {
  unsigned finished = 0, of = 0;
  int n_ranges = atomic_load_explicit(&j->n_ranges, memory_order_relaxed);
  for (int i = 0; i < n_ranges; i++) pool_work_range(j, (worker + i) % n_ranges, worker, &finished, &of);
  if (!finished) return false;
  /* From here on the job may end and its slot be used anew: a wake too many does no harm. */
  if (atomic_fetch_add(&j->done, finished) + finished == of && worker && atomic_load(&j->waiting))
    futex_wake(&j->done, 1);
  return true;
}

static void pool_worker_idle(pool_worker *w, unsigned epoch) {
  pool_core *c = w->core;
  uint64_t start = clock_now_ns();
  if (pool_spin(c, &c->epoch, epoch, false)) return;
  pool_look(c, start);
  pool_look_quota(c, start);
  atomic_store(&w->state, WORKER_ASLEEP);
  while (atomic_load(&c->epoch) == epoch && atomic_load(&w->state) == WORKER_ASLEEP)
    futex_wait(&w->state, WORKER_ASLEEP);
  atomic_store(&w->state, WORKER_AWAKE);
  int here = cpu_here();
  if (here == atomic_load_explicit(&c->waker, memory_order_relaxed)) cpu_leave(here);
  pool_spin_learn(start);
}

static void *pool_worker_main(void *arg) {
  pool_worker *w = arg;
  pool_core *c = w->core;
  char name[16];
  snprintf(name, sizeof name, "ledge-%d", w->index);
#ifdef __linux__
  pthread_setname_np(pthread_self(), name);
#endif
  atomic_store_explicit(&w->id, cpu_thread_id(), memory_order_relaxed);
  cpu_ask_short_turns();
  pool_here.core = c;
  pool_here.worker = w->index;
  for (;;) {
    unsigned epoch = atomic_load(&c->epoch);
    if (atomic_load(&c->stop)) return NULL;
    bool worked = false;
    for (int i = 0; i < POOL_JOBS; i++) worked |= pool_work(&c->jobs[(w->index + i) % POOL_JOBS], w->index);
    if (!worked) pool_worker_idle(w, epoch);
  }
}

/* Makes sure that at least `helpers` of the first workers are awake. */
static void pool_wake(pool_core *c, int helpers) {
  int n_workers = atomic_load_explicit(&c->n_workers, memory_order_acquire);
  atomic_fetch_add(&c->epoch, 1);
  for (int i = 1; i <= helpers && i <= n_workers; i++) {
    unsigned asleep = WORKER_ASLEEP;
    if (atomic_compare_exchange_strong(&c->workers[i]->state, &asleep, WORKER_AWAKE)) {
      atomic_store_explicit(&c->waker, cpu_here(), memory_order_relaxed);
      futex_wake(&c->workers[i]->state, 1);
    }
  }
}

static void pool_wait_done(pool_core *c, pool_job *j, unsigned units) {
  if (pool_reached(&j->done, units, true)) return;
  uint64_t start = clock_now_ns();
  if (pool_spin(c, &j->done, units, true)) return;
  atomic_store(&j->waiting, 1);
  for (unsigned done; (done = atomic_load(&j->done)) != units;) futex_wait(&j->done, done);
  atomic_store_explicit(&j->waiting, 0, memory_order_relaxed);
  pool_spin_learn(start);
}

static pool_job *pool_take_job(pool_core *c) {
  for (int i = 0; i < POOL_JOBS; i++) {
    pool_job *j = &c->jobs[i];
    if (!atomic_load_explicit(&j->taken, memory_order_relaxed) &&
        !atomic_exchange_explicit(&j->taken, true, memory_order_acquire))
      return j;
  }
  return NULL;
}

static void pool_open_job(pool_job *j, int64_t n, int64_t unit, unsigned units, int threads, int n_ranges,
                          pool_body body, void *arg) {
  atomic_store_explicit(&j->body, body, memory_order_relaxed);
  atomic_store_explicit(&j->arg, arg, memory_order_relaxed);
  atomic_store_explicit(&j->n, n, memory_order_relaxed);
  atomic_store_explicit(&j->unit, unit, memory_order_relaxed);
  atomic_store_explicit(&j->units, units, memory_order_relaxed);
  atomic_store_explicit(&j->threads, threads, memory_order_relaxed);
  atomic_store_explicit(&j->n_ranges, n_ranges, memory_order_relaxed);
  atomic_store_explicit(&j->done, 0, memory_order_relaxed);
  for (int r = 0; r < n_ranges; r++) {
    _Atomic uint64_t *word = &j->ranges[r].claim;
    uint64_t generation = (atomic_load_explicit(word, memory_order_relaxed) >> 32) + 1;
    uint64_t first = r ? pool_range_end(units, r - 1, n_ranges) : 0;
    atomic_store_explicit(word, generation << 32 | first, memory_order_release);
  }
}

static void pool_close_job(pool_job *j) {
  int n_ranges = atomic_load_explicit(&j->n_ranges, memory_order_relaxed);
  for (int r = 0; r < n_ranges; r++) {
    uint64_t claim = atomic_load_explicit(&j->ranges[r].claim, memory_order_relaxed);
    atomic_store_explicit(&j->ranges[r].claim, claim | POOL_CLOSED, memory_order_release);
  }
  atomic_store_explicit(&j->taken, false, memory_order_release);
}

static void pool_run_shared(pool *p, int helpers, int64_t n, int64_t unit, unsigned units, pool_body body, void *arg) {
  pool_core *c = p->core;
  pool_job *j = pool_take_job(c);
  if (!j) {
    body(arg, 0, n, 0);
    return;
  }
  const pool_core *outer = pool_here.core;
  int outer_worker = pool_here.worker;
  pool_here.core = c;
  pool_here.worker = 0;
  atomic_fetch_add_explicit(&c->callers, 1, memory_order_relaxed);
  pool_open_job(j, n, unit, units, p->threads, helpers < POOL_RANGES ? helpers + 1 : POOL_RANGES, body, arg);
  pool_wake(c, helpers);
  pool_work(j, 0);
  pool_wait_done(c, j, units);
  pool_close_job(j);
  atomic_fetch_sub_explicit(&c->callers, 1, memory_order_relaxed);
  pool_here.core = outer;
  pool_here.worker = outer_worker;
}

/* The indices of a unit: about `grain`, so that few units are equal shares for all threads. */
static int64_t pool_unit(int64_t n, int64_t grain, int threads) {
  int64_t pieces = (n - 1) / grain + 1;
  if (pieces > POOL_UNITS_MAX) pieces = POOL_UNITS_MAX;
  if (pieces > threads && pieces < POOL_FEW * threads) pieces -= pieces % threads;
  return (n - 1) / pieces + 1;
}

void pool_run(pool *p, int64_t n, int64_t grain, pool_body body, void *arg) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  if (p && pool_here.core == p->core) {
    body(arg, 0, n, pool_here.worker < p->threads ? pool_here.worker : 0);
    return;
  }
  if (!p || p->threads == 1 || n <= grain || pool_is_inherited(p->core)) {
    body(arg, 0, n, 0);
    return;
  }
  pool_core *c = p->core;
  int usable = atomic_load_explicit(&c->usable, memory_order_relaxed);
  if (usable == 1 && ++pool_here.n_runs % POOL_LOOK_EVERY == 0) { /* no worker runs, so none looks */
    uint64_t now = clock_now_ns();
    pool_look(c, now);
    pool_look_quota(c, now);
  }
  int helpers = (usable < p->threads ? usable : p->threads) - 1;
  int64_t unit = pool_unit(n, grain, helpers + 1);
  unsigned units = (unsigned)((n - 1) / unit + 1);
  if ((unsigned)helpers > units - 1) helpers = (int)units - 1;
  if (helpers < 1)
    body(arg, 0, n, 0);
  else
    pool_run_shared(p, helpers, n, unit, units, body, arg);
}

int pool_threads(const pool *p) { return p ? p->threads : 1; }

/* Starts one more worker. The caller holds the core alone or the registry's lock. */
static ledge_status pool_add_worker(pool_core *c, ledge_error *error) {
  int n = atomic_load_explicit(&c->n_workers, memory_order_relaxed);
  pool_worker *w = mem_alloc_aligned(sizeof *w, 64);
  if (!w) return error_memory(error, sizeof *w, "a worker of the thread pool");
  memset(w, 0, sizeof *w);
  w->core = c;
  w->index = n + 1;
  sigset_t blocked, before;
  sigfillset(&blocked);
  static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&blocked, faults[i]);
  pthread_attr_t attr;
  size_t stack = 0;
  pthread_attr_init(&attr);
  if (!pthread_attr_getstacksize(&attr, &stack) && stack < POOL_STACK_BYTES)
    pthread_attr_setstacksize(&attr, POOL_STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int failed = pthread_create(&w->thread, &attr, pool_worker_main, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  if (failed) {
    mem_free(w);
    return error_set(error, LEDGE_ERROR_IO, "cannot start thread %d of the pool: %s; ask for fewer threads", n + 2,
                     strerror(failed));
  }
  c->workers[n + 1] = w;
  atomic_store_explicit(&c->n_workers, n + 1, memory_order_release);
  return LEDGE_OK;
}

/* Brings the core to `threads`, counting the caller. */
static ledge_status pool_grow(pool_core *c, int threads, ledge_error *error) {
  while (atomic_load_explicit(&c->n_workers, memory_order_relaxed) + 1 < threads) TRY(pool_add_worker(c, error));
  return LEDGE_OK;
}

static pool_core *pool_core_create(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, pool_watch_forks);
  pool_core *c = mem_alloc_aligned(sizeof *c, 64);
  if (!c) return NULL;
  memset(c, 0, sizeof *c);
  for (int i = 0; i < POOL_JOBS; i++)
    for (int r = 0; r < POOL_RANGES; r++) atomic_init(&c->jobs[i].ranges[r].claim, POOL_CLOSED);
  c->forks = atomic_load(&pool_forks);
  c->refs = 1;
  atomic_init(&c->quota, cpu_quota());
  atomic_init(&c->quota_at, clock_now_ns());
  atomic_init(&c->usable, 1);
  pool_look(c, UINT64_MAX / 2); /* due, whatever the clock says */
  atomic_init(&c->affinity_at, clock_now_ns());
  return c;
}

static void pool_core_destroy(pool_core *c) {
  int n = atomic_load_explicit(&c->n_workers, memory_order_acquire);
  assert(!atomic_load(&c->callers) || pool_is_inherited(c));
  if (!pool_is_inherited(c)) {
    atomic_store(&c->stop, true);
    pool_wake(c, n);
    for (int i = 1; i <= n; i++) pthread_join(c->workers[i]->thread, NULL);
  }
  for (int i = 1; i <= n; i++) mem_free(c->workers[i]);
  mem_free(c);
}

static pthread_mutex_t pool_registry = PTHREAD_MUTEX_INITIALIZER;
static pool_core *pool_shared_core; /* under pool_registry */

static ledge_status pool_count(int *threads, ledge_error *error) {
  if (*threads < 0 || *threads > POOL_THREADS_MAX)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "%d threads: give 1 to %d, or 0 for this machine's default", *threads,
                     POOL_THREADS_MAX);
  if (!*threads) *threads = cpu_default_threads();
  if (*threads > POOL_THREADS_MAX) *threads = POOL_THREADS_MAX;
  return LEDGE_OK;
}

ledge_status pool_create(int threads, pool **ret_pool, ledge_error *error) {
  TRY(pool_count(&threads, error));
  pool *p = mem_zalloc(sizeof *p);
  pool_core *c = p ? pool_core_create() : NULL;
  ledge_status status = c ? pool_grow(c, threads, error) : error_memory(error, sizeof *c, "the thread pool");
  if (status) {
    if (c) pool_core_destroy(c);
    mem_free(p);
    return status;
  }
  *p = (pool){.core = c, .threads = threads};
  *ret_pool = p;
  return LEDGE_OK;
}

void pool_destroy(pool *p) {
  if (!p) return;
  if (p->core->shared) {
    pool_shared_unref(p);
    return;
  }
  pool_core_destroy(p->core);
  mem_free(p);
}

ledge_status pool_shared_ref(int threads, pool **ret_pool, ledge_error *error) {
  TRY(pool_count(&threads, error));
  pool *p = mem_zalloc(sizeof *p);
  if (!p) return error_memory(error, sizeof *p, "the thread pool");
  pthread_mutex_lock(&pool_registry);
  pool_core *c = pool_shared_core;
  if (!c || pool_is_inherited(c)) { /* its other users keep it */
    c = pool_core_create();
    if (c) {
      c->shared = true;
      c->refs = 0;
    }
  }
  ledge_status status = c ? pool_grow(c, threads, error) : error_memory(error, sizeof *c, "the thread pool");
  if (!status) {
    c->refs++;
    pool_shared_core = c;
    *p = (pool){.core = c, .threads = threads};
    *ret_pool = p;
  } else {
    if (c && !c->refs) pool_core_destroy(c);
    mem_free(p);
  }
  pthread_mutex_unlock(&pool_registry);
  return status;
}

void pool_shared_unref(pool *p) {
  if (!p) return;
  assert(p->core->shared);
  pthread_mutex_lock(&pool_registry);
  pool_core *c = p->core;
  if (--c->refs == 0) {
    if (c == pool_shared_core) pool_shared_core = NULL;
    pool_core_destroy(c);
  }
  pthread_mutex_unlock(&pool_registry);
  mem_free(p);
}
