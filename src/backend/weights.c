/* backend/weights: the store of packed weights; see backend.h. A list under a mutex: looked at while planning only. */
#include "backend/backend.h"

#include <pthread.h>

enum { WEIGHT_PARAMS_MAX = 16 };

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

struct weight_store {
  atomic_int refs;
  pthread_mutex_t mutex;
  weight_entry *buckets[256];
  size_t bytes;
  file_map *map;
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
      mem_free(e->data);
      mem_free(e);
    }
  }
  file_map_unref(s->map);
  pthread_mutex_destroy(&s->mutex);
  mem_free(s);
}

size_t weight_store_bytes(weight_store *s) {
  pthread_mutex_lock(&s->mutex);
  size_t bytes = s->bytes;
  pthread_mutex_unlock(&s->mutex);
  return bytes;
}

void weight_store_set_map(weight_store *s, file_map *map) { s->map = file_map_ref(map); }

void weight_store_release(weight_store *s, const void *data, size_t bytes) {
  if (!s->map || !file_map_is_file(s->map)) return;
  const uint8_t *base = file_map_data(s->map), *at = data;
  if (at >= base && (size_t)(at - base) < file_map_size(s->map)) file_map_drop(s->map, (size_t)(at - base), bytes);
}

static weight_entry **weight_bucket(weight_store *s, const void *key) {
  uintptr_t k = (uintptr_t)key;
  return &s->buckets[(k >> 6 ^ k >> 14) % (sizeof s->buckets / sizeof *s->buckets)];
}

static weight_entry *weight_find(weight_entry *e, const void *key, const char *kind, const int64_t *params,
                                 int n_params, size_t bytes) {
  for (; e; e = e->next)
    if (e->key == key && e->n_params == n_params && e->bytes == bytes && !strcmp(e->kind, kind) &&
        !memcmp(e->params, params, (size_t)n_params * sizeof *params))
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
    void *data = e ? mem_alloc_aligned(bytes, 64) : NULL;
    if (!data) {
      mem_free(e);
      pthread_mutex_unlock(&s->mutex);
      return error_memory(error, bytes, "packed weights");
    }
    memset(data, 0, bytes);
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
