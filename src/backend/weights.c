/* backend/weights: the store of packed weights; see backend.h. Lists under a mutex: looked at while planning only.
 *
 *   block   | packed | packed | ...    zeroed memory of the heap, which the system gives as it is written to, so that
 *                                      what is left of a block costs nothing
 *
 * The blocks grow with what the store holds. They do not ask for huge pages: a virtual machine that gives free ones
 * back to its host waits for them longer than they save. */
#include "backend/backend.h"

#include "base/error.h"
#include "base/map.h"

#include <pthread.h>

enum { WEIGHT_PARAMS_MAX = 16, WEIGHT_ALIGN = 64 };
enum { BLOCK_BYTES_MIN = 256 << 10, BLOCK_BYTES_MAX = 64 << 20 };

typedef struct weight_entry weight_entry;
struct weight_entry {
  weight_entry *next;
  const void *key;
  const char *kind;
  int64_t params[WEIGHT_PARAMS_MAX];
  int n_params;
  size_t bytes;
  void *data;
};

typedef struct weight_block weight_block;
struct weight_block {
  weight_block *next;
  void *memory;
  char *at;    /* the next packing goes here */
  size_t left; /* bytes behind it */
};

struct weight_store {
  atomic_int refs;
  pthread_mutex_t mutex;
  weight_entry *buckets[256];
  weight_block *blocks;
  size_t bytes;
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

void weight_store_unref(weight_store *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
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

/* Zeroed and aligned; NULL when out of memory. */
static void *weight_alloc(weight_store *s, size_t bytes) {
  size_t whole = mem_align(bytes, WEIGHT_ALIGN);
  if (bytes > PTRDIFF_MAX) return NULL;
  weight_block *b = s->blocks;
  while (b && b->left < whole) b = b->next;
  if (!b) {
    b = block_create(s, whole);
    if (!b) return NULL;
    b->next = s->blocks;
    s->blocks = b;
  }
  void *data = b->at;
  b->at += whole;
  b->left -= whole;
  return data;
}

static weight_entry **weight_bucket(weight_store *s, const void *key) {
  uintptr_t k = (uintptr_t)key;
  return &s->buckets[(k >> 6 ^ k >> 14) % (sizeof s->buckets / sizeof *s->buckets)];
}

static weight_entry *weight_find(weight_entry *e, const void *key, const char *kind, const int64_t *params,
                                 int n_params, size_t bytes) {
  for (; e; e = e->next)
    if (e->key == key && e->n_params == n_params && e->bytes == bytes && !strcmp(e->kind, kind) &&
        (!n_params || !memcmp(e->params, params, (size_t)n_params * sizeof *params)))
      return e;
  return NULL;
}

ledge_status weight_store_get(weight_store *s, const void *key, const char *kind, const int64_t *params, int n_params,
                              size_t bytes, weight_pack_fn pack, const void *arg, const void **ret,
                              ledge_error *error) {
  if (n_params > WEIGHT_PARAMS_MAX) return error_set(error, LEDGE_ERROR_INTERNAL, "%s: too many parameters", kind);
  weight_entry **bucket = weight_bucket(s, key);
  pthread_mutex_lock(&s->mutex);
  weight_entry *e = weight_find(*bucket, key, kind, params, n_params, bytes);
  if (!e) {
    e = mem_zalloc(sizeof *e);
    void *data = e ? weight_alloc(s, bytes) : NULL;
    if (!data) {
      mem_free(e);
      pthread_mutex_unlock(&s->mutex);
      return error_memory(error, bytes, "packed weights");
    }
    mem_expect_write(data, bytes);
    pack(arg, data);
    *e = (weight_entry){.next = *bucket, .key = key, .kind = kind, .n_params = n_params, .bytes = bytes, .data = data};
    if (n_params) memcpy(e->params, params, (size_t)n_params * sizeof *params);
    *bucket = e;
    s->bytes += bytes;
  }
  *ret = e->data;
  pthread_mutex_unlock(&s->mutex);
  return LEDGE_OK;
}

ledge_status weight_store_pack(weight_store *s, const tensor *t, const char *kind, const int64_t *params, int n_params,
                               size_t bytes, weight_pack_fn pack, const void *arg, const void **ret,
                               ledge_error *error) {
  TRY(weight_store_get(s, t->data, kind, params, n_params, bytes, pack, arg, ret, error));
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
  TRY(weight_store_pack(s, t, "aligned", NULL, 0, tensor_bytes(t), copy_elements, t, &copy, error));
  *ret = (void *)(uintptr_t)copy;
  return LEDGE_OK;
}
