/* base/pool: the thread pool. One a process by default (pool_shared_ref); work is claimed in chunks, so that a worker
 * that loses its core delays one chunk and not the run. The calling thread takes part. Waiting spins for microseconds,
 * then sleeps on a futex.
 *
 * Determinism: which thread runs a chunk is chance, so a body must compute each index on its own, with the same
 * arithmetic whatever the chunk: results are then the same to the bit at any number of threads.
 *
 * Signals: workers block all but those that a fault raises, so that the program's handlers run on its own threads.
 * Workers inherit affinity, scheduling policy and floating-point mode of the thread that made them.
 * Fork: the child has no workers. A pool that it inherits still works, on the calling thread alone; make a new one for
 * more. No fork while another thread is inside pool_create, pool_shared_ref or pool_destroy, as for any lock. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "ledge/types.h"

typedef struct pool pool;
/* Works on indices [begin, end). `worker` is in [0, pool_threads): an index into per-thread scratch. */
typedef void (*pool_body)(void *arg, int64_t begin, int64_t end, int worker);

enum { POOL_THREADS_MAX = 256 };

/* threads = 0: the default of this machine (cpu_default_threads()); more than POOL_THREADS_MAX is an error. A pool of
 * one thread starts none. */
ledge_status pool_create(int threads, pool **ret_pool, ledge_error *error);
void pool_destroy(pool *p); /* NULL passes; no run may be going on */
/* A view of the one pool of this process, which is made at the first call and grown to the most threads asked for.
 * Views of different sizes share its workers. Any thread; given back by pool_shared_unref, the last of which ends the
 * workers. */
ledge_status pool_shared_ref(int threads, pool **ret_pool, ledge_error *error);
void pool_shared_unref(pool *p); /* NULL passes */
int pool_threads(const pool *p); /* p may be NULL: 1 */
/* Runs body over [0, n) in chunks of about `grain` indices or more (so that few are equal shares); returns when all are
 * done. A thread begins with its own stretch of them, the same at every run of that n and grain: what follows along the
 * same indices finds its data in the core that wrote it.
 * On the caller alone, in one call: p NULL, n <= grain, one thread, or one core to run on. Calls from several threads
 * on one pool are served side by side: each caller works at its own run, the workers help where work is left. A call
 * from inside a body runs on that worker alone, under its index. `worker` is unique within a run, 0 is its caller.
 * Makes no allocation; no system call while the workers are awake. */
void pool_run(pool *p, int64_t n, int64_t grain, pool_body body, void *arg);

#endif
