/* backend/weights: the store of packed weights; see backend.h. Lists under a mutex: looked at while planning only.
 *
 *   block   | packed | packed | ...    zeroed memory of the heap, which the system gives as it is written to, so that
 *                                      what is left of a block costs nothing
 *
 * A store with a cache takes a packing from the mapped file where that has it; what it had to make is written there by
 * a thread after the first plan. The blocks grow with what the store holds. They do not ask for huge pages: a virtual
 * machine that gives free ones back to its host waits for them longer than they save. */
#include "backend/backend.h"

#include "backend/cache.h"
#include "backend/tune.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/map.h"

#include <pthread.h>
#include <signal.h>

enum { WEIGHT_ALIGN = 64 };
/* A file for less would cost more than packing does. */
enum { CACHE_BYTES_MIN = 256 << 10 };
enum { BLOCK_BYTES_MIN = 256 << 10, BLOCK_BYTES_MAX = 64 << 20 };

typedef struct weight_entry weight_entry;
struct weight_entry {
  weight_entry *next;
  const void *key; /* the constant's address */
  const char *kind;
  const void *variant, *with[WEIGHT_WITH_MAX];
  int64_t params[WEIGHT_PARAMS_MAX];
  int n_params;
  size_t bytes;
  const void *data;
  bool fresh; /* packed here, not written to the cache */
  digest cache_key;
};

typedef struct weight_block weight_block;
struct weight_block {
  weight_block *next;
  void *memory;
  char *at;    /* the next packing goes here */
  size_t left; /* bytes behind it */
};

/* The first plan's packings on their way to the disk, which the first run does not wait for. */
typedef struct cache_writing {
  const weight_cache *cache;
  tuner *tuner; /* NULL: it has nothing to write */
  cache_item *items;
  size_t n;
  pthread_t thread;
  bool started, done;
} cache_writing;

struct weight_store {
  atomic_int refs;
  pthread_mutex_t mutex;
  weight_entry *buckets[256];
  weight_block *blocks;
  weight_cache *cache; /* NULL: none */
  tuner *tuner;        /* NULL: none */
  size_t bytes, mapped_bytes, fresh_bytes, n_fresh;
  bool fresh_dear; /* one of the fresh is */
  cache_writing writing;
};

weight_store *weight_store_create(void) {
  weight_store *s = mem_zalloc(sizeof *s);
  if (!s) return NULL;
  atomic_init(&s->refs, 1);
  pthread_mutex_init(&s->mutex, NULL);
  return s;
}

weight_store *weight_store_ref(weight_store *s) {
  atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
  return s;
}

/* ---- the cache ---- */

void weight_store_set_cache(weight_store *s, file_map *const *files, int n_files, const char *path) {
  s->cache = weight_cache_open(files, n_files, path);
}

void weight_store_set_tuner(weight_store *s, tuner *t) { s->tuner = t; }

tuner *weight_store_tuner(const weight_store *s) { return s->tuner; }

/* What the cache's file is to hold: what it has, since packings taken from it and others may be wanted again, and the
 * fresh packings. These are written or given up: either way not tried again. NULL: not worth it, or no memory. */
static cache_item *take_items(weight_store *s, size_t *ret_count) {
  if (!s->cache || (s->fresh_bytes < CACHE_BYTES_MIN && !s->fresh_dear)) return NULL;
  size_t n = 0;
  cache_item *items = weight_cache_items(s->cache, s->n_fresh, &n);
  if (!items) return NULL;
  for (size_t b = 0; b < sizeof s->buckets / sizeof *s->buckets; b++)
    for (weight_entry *e = s->buckets[b]; e; e = e->next) {
      if (!e->fresh) continue;
      items[n++] = (cache_item){.key = e->cache_key, .data = e->data, .bytes = e->bytes};
      e->fresh = false;
    }
  s->fresh_bytes = s->n_fresh = 0;
  s->fresh_dear = false;
  *ret_count = n;
  return items;
}

static void *write_items(void *arg) {
  cache_writing *w = arg;
  if (w->items) (void)weight_cache_save(w->cache, w->items, w->n);
  if (w->tuner) tuner_save(w->tuner);
  mem_free(w->items);
  w->items = NULL;
  return NULL;
}

void weight_store_save(weight_store *s) {
  sigset_t most, before;
  pthread_mutex_lock(&s->mutex);
  cache_writing *w = &s->writing;
  if (!w->done && tuner_end(s->tuner)) w->tuner = s->tuner;
  if (!w->done && ((w->items = take_items(s, &w->n)) || w->tuner)) {
    w->cache = s->cache;
    sigfillset(
        &most); /* signals are the program's own threads' to take; faults of mapped files come to whoever reads */
    sigdelset(&most, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &most, &before);
    w->started = !pthread_create(&w->thread, NULL, write_items, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!w->started) mem_free(w->items);
  }
  w->done = true;
  pthread_mutex_unlock(&s->mutex);
}

/* Waits for the thread, and writes what came later. */
static void finish_saving(weight_store *s) {
  cache_writing late = {.cache = s->cache};
  if (s->writing.started) pthread_join(s->writing.thread, NULL);
  late.items = take_items(s, &late.n);
  if (late.items) write_items(&late);
}

ledge_status weight_store_check(const weight_store *s, ledge_error *error) {
  const char *path = s->cache ? weight_cache_damaged(s->cache) : NULL;
  if (!path) return LEDGE_OK;
  return error_set(error, LEDGE_ERROR_CHANGED,
                   "%s was cut short while its packed weights were in use: open the model again, and clear the cache "
                   "by `ledge cache clear`",
                   path);
}

/* ---- the store ---- */

void weight_store_unref(weight_store *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  finish_saving(s);
  weight_cache_close(s->cache);
  tuner_destroy(s->tuner);
  for (size_t b = 0; b < sizeof s->buckets / sizeof *s->buckets; b++) {
    for (weight_entry *e = s->buckets[b], *next; e; e = next) {
      next = e->next;
      mem_free(e);
    }
  }
  for (weight_block *b = s->blocks, *next; b; b = next) {
    next = b->next;
    mem_free(b->memory);
    mem_free(b);
  }
  pthread_mutex_destroy(&s->mutex);
  mem_free(s);
}

size_t weight_store_bytes(weight_store *s) {
  pthread_mutex_lock(&s->mutex);
  size_t bytes = s->bytes;
  pthread_mutex_unlock(&s->mutex);
  return bytes;
}

size_t weight_store_mapped_bytes(weight_store *s) {
  pthread_mutex_lock(&s->mutex);
  size_t bytes = s->mapped_bytes;
  pthread_mutex_unlock(&s->mutex);
  return bytes;
}

static weight_block *block_create(const weight_store *s, size_t bytes) {
  size_t whole = s->bytes < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : s->bytes > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : s->bytes;
  if (whole < bytes) whole = bytes;
  weight_block *b = mem_zalloc(sizeof *b);
  if (b && whole <= SIZE_MAX - WEIGHT_ALIGN) b->memory = mem_zalloc(whole + WEIGHT_ALIGN);
  if (b && !b->memory && bytes < whole) b->memory = mem_zalloc((whole = bytes) + WEIGHT_ALIGN);
  if (!b || !b->memory) {
    mem_free(b);
    return NULL;
  }
  b->at = (char *)mem_align((size_t)(uintptr_t)b->memory, WEIGHT_ALIGN);
  b->left = whole;
  return b;
}

/* Zeroed and aligned. Memory that the system has promised and not got ends a process when it is written to; and
 * constants of which many lie over each other in a small file take much when packed. So what is free is looked at
 * first. */
static ledge_status weight_alloc(weight_store *s, size_t bytes, void **ret, ledge_error *error) {
  if (bytes > PTRDIFF_MAX) return error_memory(error, bytes, "packed weights");
  size_t whole = mem_align(bytes, WEIGHT_ALIGN);
  weight_block *b = s->blocks;
  while (b && b->left < whole) b = b->next;
  if (!b) {
    size_t available = cpu_memory_available();
    if (whole > available)
      return error_set(
          error, LEDGE_ERROR_LIMIT,
          "packed weights take %zu bytes more than the %zu so far, and the machine and the cgroup have %zu "
          "free: use a smaller or a quantised model, or free memory",
          bytes, s->bytes - s->mapped_bytes, available);
    b = block_create(s, whole);
    if (!b) return error_memory(error, bytes, "packed weights");
    b->next = s->blocks;
    s->blocks = b;
  }
  *ret = b->at;
  b->at += whole;
  b->left -= whole;
  return LEDGE_OK;
}

static weight_entry **weight_bucket(weight_store *s, const void *key) {
  uintptr_t k = (uintptr_t)key;
  return &s->buckets[(k >> 6 ^ k >> 14) % (sizeof s->buckets / sizeof *s->buckets)];
}

static bool is_packing(const weight_entry *e, const void *key, const weight_packing *p) {
  if (e->key != key || e->n_params != p->n_params || e->bytes != p->bytes || e->variant != p->variant) return false;
  for (int i = 0; i < WEIGHT_WITH_MAX; i++)
    if (e->with[i] != (p->with[i] ? p->with[i]->data : NULL)) return false;
  return !strcmp(e->kind, p->kind) &&
         (!p->n_params || !memcmp(e->params, p->params, (size_t)p->n_params * sizeof *p->params));
}

static weight_entry *entry_create(const void *key, const weight_packing *p) {
  weight_entry *e = mem_zalloc(sizeof *e);
  if (!e) return NULL;
  *e = (weight_entry){.key = key, .kind = p->kind, .variant = p->variant, .n_params = p->n_params, .bytes = p->bytes};
  for (int i = 0; i < WEIGHT_WITH_MAX; i++) e->with[i] = p->with[i] ? p->with[i]->data : NULL;
  if (p->n_params) memcpy(e->params, p->params, (size_t)p->n_params * sizeof *p->params);
  return e;
}

/* Fills e->data from the cache, or by packing. */
static ledge_status entry_fill(weight_store *s, weight_entry *e, size_t bytes, const weight_packing *p,
                               ledge_error *error) {
  if (s->cache) {
    e->cache_key = weight_cache_key(s->cache, e->key, bytes, p);
    e->data = weight_cache_find(s->cache, e->cache_key, e->bytes);
    if (e->data) {
      s->mapped_bytes += e->bytes;
      return LEDGE_OK;
    }
  }
  void *data = NULL;
  TRY(weight_alloc(s, e->bytes, &data, error));
  mem_expect_write(data, e->bytes);
  p->pack(p->arg, data);
  e->data = data;
  if (s->cache && (e->cache_key.a || e->cache_key.b)) {
    e->fresh = true;
    s->fresh_bytes += e->bytes;
    s->n_fresh++;
    s->fresh_dear = s->fresh_dear || p->dear;
  }
  return LEDGE_OK;
}

ledge_status weight_store_get(weight_store *s, const void *data, size_t bytes, const weight_packing *p,
                              const void **ret, ledge_error *error) {
  if (p->n_params > WEIGHT_PARAMS_MAX)
    return error_set(error, LEDGE_ERROR_INTERNAL, "%s: too many parameters", p->kind);
  weight_entry **bucket = weight_bucket(s, data);
  pthread_mutex_lock(&s->mutex);
  weight_entry *e = *bucket;
  while (e && !is_packing(e, data, p)) e = e->next;
  if (!e) {
    e = entry_create(data, p);
    ledge_status status = e ? entry_fill(s, e, bytes, p, error) : error_memory(error, sizeof *e, "packed weights");
    if (status) {
      mem_free(e);
      pthread_mutex_unlock(&s->mutex);
      return status;
    }
    e->next = *bucket;
    *bucket = e;
    s->bytes += e->bytes;
  }
  *ret = e->data;
  pthread_mutex_unlock(&s->mutex);
  return LEDGE_OK;
}

ledge_status weight_store_pack(weight_store *s, const tensor *t, const weight_packing *p, const void **ret,
                               ledge_error *error) {
  TRY(weight_store_get(s, t->data, tensor_bytes(t), p, ret, error));
  file_map_drop_at(t->data, tensor_bytes(t));
  return LEDGE_OK;
}

static void copy_elements(const void *arg, void *dst) {
  const tensor *t = arg;
  memcpy(dst, t->data, tensor_bytes(t));
}

ledge_status weight_store_aligned(weight_store *s, const tensor *t, void **ret, ledge_error *error) {
  if (tensor_is_aligned(t)) {
    *ret = t->data;
    return LEDGE_OK;
  }
  const void *copy = NULL;
  const weight_packing packing = {.kind = "aligned", .bytes = tensor_bytes(t), .pack = copy_elements, .arg = t};
  TRY(weight_store_pack(s, t, &packing, &copy, error));
  *ret = (void *)(uintptr_t)copy;
  return LEDGE_OK;
}
