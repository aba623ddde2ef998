/* base/futex_generic: see futex.h. A word sleeps in the bucket that its address falls into; a wake wakes the whole
 * bucket, since the sleepers of a bucket may wait for different words, and each tests its own again. The waker passes
 * through the mutex, so that it cannot fall between a sleeper's test and its sleep. */
#include "base/futex.h"

#include <pthread.h>
#include <stdint.h>

enum { FUTEX_BUCKETS = 16 };
#define FUTEX_BUCKET \
  { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER }
#define FUTEX_BUCKETS_4 FUTEX_BUCKET, FUTEX_BUCKET, FUTEX_BUCKET, FUTEX_BUCKET
static struct futex_bucket {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
} futex_buckets[FUTEX_BUCKETS] = {FUTEX_BUCKETS_4, FUTEX_BUCKETS_4, FUTEX_BUCKETS_4, FUTEX_BUCKETS_4};

static struct futex_bucket *futex_bucket_of(const atomic_uint *word) {
  return &futex_buckets[((uintptr_t)word / 64) % FUTEX_BUCKETS];
}

void futex_wait(atomic_uint *word, unsigned expected) {
  struct futex_bucket *b = futex_bucket_of(word);
  pthread_mutex_lock(&b->mutex);
  if (atomic_load(word) == expected) pthread_cond_wait(&b->changed, &b->mutex);
  pthread_mutex_unlock(&b->mutex);
}

void futex_wake(atomic_uint *word, int n) {
  struct futex_bucket *b = futex_bucket_of(word);
  pthread_mutex_lock(&b->mutex);
  pthread_mutex_unlock(&b->mutex);
  pthread_cond_broadcast(&b->changed);
}
