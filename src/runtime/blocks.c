/* runtime/blocks: see blocks.h. Used by one session, but a storage may be released by another thread: hence the mutex.
 */
#include "runtime/blocks.h"

#include "base/error.h"

#include <pthread.h>

enum { BLOCK_CLASSES = 256, BLOCK_ALIGN = 64 };

typedef struct block {
  storage s; /* first: a storage of the pool is a block */
  struct block *next;
  int class;
} block;

struct block_pool {
  pthread_mutex_t mutex;
  block *free[BLOCK_CLASSES];
  size_t limit, live, held, peak; /* bytes: in use, in the free lists, the most of both */
  int n_live;
  bool closed;
};

/* Sizes 64, 80, 96, 112, 128, 160, ...: four a power of two. */
static size_t class_bytes(int class) {
  int octave = class / 4;
  return octave >= 57 ? SIZE_MAX : ((size_t)64 << octave) + (((size_t)16 << octave) * (size_t)(class % 4));
}

static int class_of(size_t bytes) {
  if (bytes <= 64) return 0;
  int octave = 63 - __builtin_clzll((unsigned long long)(bytes - 1)) - 6;
  int class = octave * 4;
  while (class_bytes(class) < bytes) class ++;
  return class;
}

block_pool *block_pool_create(size_t limit_bytes) {
  block_pool *p = mem_zalloc(sizeof *p);
  if (!p) return NULL;
  pthread_mutex_init(&p->mutex, NULL);
  p->limit = limit_bytes;
  return p;
}

static void block_free(block_pool *p, block *b) {
  arena_deinit(&b->s.strings);
  mem_free(b->s.data);
  mem_free(b);
}

static void pool_trim(block_pool *p) {
  for (int c = 0; c < BLOCK_CLASSES; c++) {
    for (block *b = p->free[c], *next; b; b = next) {
      next = b->next;
      block_free(p, b);
    }
    p->free[c] = NULL;
  }
  p->held = 0;
}

static void pool_free(block_pool *p) {
  pool_trim(p);
  pthread_mutex_destroy(&p->mutex);
  mem_free(p);
}

void block_pool_destroy(block_pool *p) {
  if (!p) return;
  pthread_mutex_lock(&p->mutex);
  p->closed = true;
  bool last = p->n_live == 0;
  pthread_mutex_unlock(&p->mutex);
  if (last) pool_free(p);
}

static void block_release(storage *s) {
  block *b = (block *)s;
  block_pool *p = s->owner;
  arena_deinit(&s->strings);
  pthread_mutex_lock(&p->mutex);
  p->live -= s->bytes;
  p->n_live--;
  p->held += s->bytes;
  b->next = p->free[b->class];
  p->free[b->class] = b;
  bool last = p->closed && p->n_live == 0;
  pthread_mutex_unlock(&p->mutex);
  if (last) pool_free(p);
}

static block *block_take(block_pool *p, size_t bytes, ledge_error *error) {
  int class = class_of(bytes);
  size_t size = class < BLOCK_CLASSES ? class_bytes(class) : SIZE_MAX;
  if (size == SIZE_MAX || (p->limit && (size > p->limit || p->live > p->limit - size))) {
    error_set(
        error, LEDGE_ERROR_LIMIT,
        "a value of %zu bytes, sized by the data, does not fit: the memory limit leaves %zu bytes for such values, "
        "of which %zu are in use",
        bytes, p->limit, p->live);
    return NULL;
  }
  block *b = p->free[class];
  if (b) {
    p->free[class] = b->next;
    p->held -= size;
  } else {
    if (p->limit && p->held > p->limit - size - p->live) pool_trim(p);
    b = mem_zalloc(sizeof *b);
    void *data = b ? mem_alloc_aligned(size, BLOCK_ALIGN) : NULL;
    if (!data) {
      mem_free(b);
      error_memory(error, bytes, "a value");
      return NULL;
    }
    b->class = class;
    b->s.data = data;
    b->s.bytes = size;
    b->s.release = block_release;
    b->s.owner = p;
  }
  p->live += size;
  p->n_live++;
  if (p->live + p->held > p->peak) p->peak = p->live + p->held;
  return b;
}

ledge_status block_pool_alloc(block_pool *p, tensor *t, ledge_error *error) {
  size_t bytes = tensor_bytes(t);
  if (bytes == SIZE_MAX) return error_set(error, LEDGE_ERROR_LIMIT, "a value's size overflows");
  storage_unref(t->own);
  t->own = NULL;
  t->data = NULL;
  pthread_mutex_lock(&p->mutex);
  block *b = block_take(p, bytes, error);
  pthread_mutex_unlock(&p->mutex);
  if (!b) return error ? error->code : LEDGE_ERROR_MEMORY;
  atomic_init(&b->s.refs, 1);
  arena_init(&b->s.strings);
  if (t->dtype == LEDGE_STRING) memset(b->s.data, 0, bytes);
  t->own = &b->s;
  t->data = b->s.data;
  return LEDGE_OK;
}

void block_pool_set_limit(block_pool *p, size_t limit_bytes) {
  pthread_mutex_lock(&p->mutex);
  p->limit = limit_bytes;
  pthread_mutex_unlock(&p->mutex);
}

size_t block_pool_peak_bytes(const block_pool *p) { return p->peak; }
