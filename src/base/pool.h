/* base/pool: the thread pool. One a process by default (pool_shared); work is claimed in chunks, so that a worker that
 * loses its core delays one chunk and not the run. The calling thread takes part. Waiting spins for microseconds, then
 * sleeps on a futex.
 *
 * Determinism: which thread runs a chunk is chance, so a body must compute each index on its own, with the same
 * arithmetic whatever the chunk: results are then the same to the bit at any number of threads. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "ledge/types.h"

typedef struct pool pool;
/* Works on indices [begin, end). `worker` is in [0, pool_threads): an index into per-thread scratch. */
typedef void (*pool_body)(void *arg, int64_t begin, int64_t end, int worker);

/* threads = 0: the default of this machine (cpu_default_threads()). A pool of one thread starts none. */
ledge_status pool_create(int threads, pool **ret_pool, ledge_error *error);
void pool_destroy(pool *p);
int pool_threads(const pool *p); /* p may be NULL: 1 */
/* Runs body over [0, n) in chunks of at least `grain` indices; returns when all are done. p NULL, n <= grain or one
 * thread: on the caller, in one call. Calls from two threads on one pool are served one after the other; a call from
 * inside a body runs on that worker alone. Makes no allocation; no system call while the workers are awake. */
void pool_run(pool *p, int64_t n, int64_t grain, pool_body body, void *arg);

#endif
