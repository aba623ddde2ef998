/* backend/cache: see cache.h. */
#include "backend/cache.h"

#include "base/build_id.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CACHE_VERSION = 1, CACHE_SOURCES_MAX = 16, CACHE_ALIGN = 64, CACHE_SAMPLE = 64, CACHE_TOUCH_S = 60 };

/* Written as they are in memory: a file is read on the machine that wrote it, by the build that wrote it. */
typedef struct cache_entry {
  digest key;
  uint64_t at, bytes;
  digest sum; /* of the packing */
} cache_entry;

typedef struct cache_header {
  char magic[8];
  uint64_t version, file_bytes, n_entries, model_bytes;
  digest maker; /* ledge's build and the processor */
  digest index; /* of the entries and the model's path */
  digest own;   /* of this header up to here */
} cache_header;

static const char cache_magic[8] = "ledgepk";

struct weight_cache {
  file_map *sources[CACHE_SOURCES_MAX];
  int n_sources;
  file_map *map; /* of the cache's file; NULL: none yet */
  cache_entry *entries;
  size_t n_entries;
  atomic_bool used; /* packings of the map were handed out */
  digest maker;
  char name[CACHE_NAME_MAX];
  char model[CACHE_PATH_MAX];
};

/* ---- keys ---- */

static void put_digest(writer *w, digest d) { writer_bytes(w, &d, sizeof d); }

bool cache_maker(digest *ret) {
  uint8_t id[BUILD_ID_MAX];
  size_t n = build_id_get(id);
  cpu_caches caches = cpu_cache_sizes();
  writer w = {0};
  writer_bytes(&w, id, n);
  writer_u64le(&w, CACHE_VERSION);
  writer_u64le(&w, cpu_isa_available());
  writer_u64le(&w, caches.l1d_bytes), writer_u64le(&w, caches.l2_bytes), writer_u64le(&w, caches.l3_bytes);
  writer_text(&w, cpu_model());
  bool ok = n && !w.failed;
  if (ok) *ret = digest_bytes(w.data, w.size);
  writer_deinit(&w);
  return ok;
}

static bool name_cache(weight_cache *c) {
  writer w = {0};
  put_digest(&w, c->maker);
  for (int i = 0; i < c->n_sources; i++) {
    file_identity id;
    if (!file_map_identity(c->sources[i], &id)) return false;
    const uint64_t words[] = {id.device,
                              id.inode,
                              id.bytes,
                              (uint64_t)id.mtime_s,
                              (uint64_t)id.mtime_ns,
                              (uint64_t)id.ctime_s,
                              (uint64_t)id.ctime_ns};
    writer_bytes(&w, words, sizeof words);
  }
  bool ok = !w.failed;
  digest d = ok ? digest_bytes(w.data, w.size) : (digest){0};
  snprintf(c->name, sizeof c->name, "%016llx%016llx.pack", (unsigned long long)d.a, (unsigned long long)d.b);
  writer_deinit(&w);
  return ok;
}

/* A constant in a file is known by its place: whose file it is, the cache's name says. Its ends go in too, should a
 * file have changed in a way that its times hide. One that lies elsewhere was computed: all its bytes count. */
static void put_source(writer *w, const weight_cache *c, const void *data, size_t bytes) {
  for (int i = 0; i < c->n_sources; i++) {
    const uint8_t *start = file_map_data(c->sources[i]), *at = data;
    if (at < start || at >= start + file_map_size(c->sources[i])) continue;
    size_t sample = bytes < CACHE_SAMPLE ? bytes : CACHE_SAMPLE;
    writer_u64le(w, 1 + (uint64_t)i);
    writer_u64le(w, (uint64_t)(at - start));
    writer_u64le(w, bytes);
    writer_bytes(w, at, sample);
    writer_bytes(w, at + bytes - sample, sample);
    return;
  }
  writer_u64le(w, 0);
  writer_u64le(w, bytes);
  put_digest(w, digest_bytes(data, bytes));
}

digest weight_cache_key(const weight_cache *c, const void *data, size_t bytes, const weight_packing *p) {
  writer w = {0};
  writer_text(&w, p->kind);
  writer_u8(&w, 0);
  writer_u64le(&w, (uint64_t)p->n_params);
  for (int i = 0; i < p->n_params; i++) writer_u64le(&w, (uint64_t)p->params[i]);
  writer_u64le(&w, p->variant ? build_id_offset(p->variant) : 0);
  writer_u64le(&w, p->bytes);
  put_source(&w, c, data, bytes);
  for (int i = 0; i < WEIGHT_WITH_MAX; i++) {
    writer_u8(&w, p->with[i] != NULL);
    if (p->with[i]) put_source(&w, c, p->with[i]->data, tensor_bytes(p->with[i]));
  }
  digest d = w.failed ? (digest){0} : digest_bytes(w.data, w.size);
  writer_deinit(&w);
  return d;
}

/* ---- reading ---- */

static bool read_header(const uint8_t *data, size_t size, cache_header *h) {
  if (size < sizeof *h) return false;
  memcpy(h, data, sizeof *h);
  size_t left = size - sizeof *h;
  return !memcmp(h->magic, cache_magic, sizeof cache_magic) && h->version == CACHE_VERSION && h->file_bytes == size &&
         digest_equal(h->own, digest_bytes(h, offsetof(cache_header, own))) &&
         h->n_entries <= left / sizeof(cache_entry) && h->model_bytes < CACHE_PATH_MAX &&
         h->model_bytes <= left - h->n_entries * sizeof(cache_entry) &&
         digest_equal(h->index, digest_bytes(data + sizeof *h, h->n_entries * sizeof(cache_entry) + h->model_bytes));
}

static bool read_index(weight_cache *c) {
  cache_header h;
  const uint8_t *data = file_map_data(c->map);
  size_t size = file_map_size(c->map);
  if (!read_header(data, size, &h) || !digest_equal(h.maker, c->maker)) return false;
  c->entries = mem_alloc_array((size_t)h.n_entries, sizeof *c->entries);
  if (!c->entries) return false;
  memcpy(c->entries, data + sizeof h, (size_t)h.n_entries * sizeof *c->entries);
  for (size_t i = 0; i < h.n_entries; i++) {
    const cache_entry *e = &c->entries[i];
    if (e->at % CACHE_ALIGN || e->at > size || e->bytes > size - e->at) return false;
  }
  c->n_entries = (size_t)h.n_entries;
  return !file_map_damaged(c->map);
}

static void forget_file(weight_cache *c) {
  mem_free(c->entries);
  c->entries = NULL;
  c->n_entries = 0;
  file_map_unref(c->map);
  c->map = NULL;
}

static void open_file(weight_cache *c) {
  char path[CACHE_PATH_MAX], whole[CACHE_PATH_MAX + CACHE_NAME_MAX];
  struct stat s;
  struct timespec now;
  int folder = cache_folder_open(false, path), fd = folder >= 0 ? cache_folder_open_file(folder, c->name) : -1;
  if (folder >= 0) close(folder);
  if (fd < 0) return;
  snprintf(whole, sizeof whole, "%s/%s", path, c->name);
  if (!file_map_fd(fd, whole, &c->map, NULL) && !read_index(c)) forget_file(c);
  if (c->map && !fstat(fd, &s) && !clock_gettime(CLOCK_REALTIME, &now) &&
      (s.st_mtim.tv_sec > now.tv_sec || s.st_mtim.tv_sec < now.tv_sec - CACHE_TOUCH_S)) {
    int ignored = futimens(fd, NULL); /* the order in which files are removed */
    (void)ignored;
  }
  close(fd);
}

weight_cache *weight_cache_open(file_map *const *files, int n_files, const char *path) {
  if (n_files < 1 || n_files > CACHE_SOURCES_MAX || !cache_folder_limit()) return NULL;
  for (int i = 0; i < n_files; i++)
    if (!file_map_identity_tells(files[i])) return NULL;
  weight_cache *c = mem_zalloc(sizeof *c);
  if (!c) return NULL;
  for (int i = 0; i < n_files; i++) c->sources[c->n_sources++] = file_map_ref(files[i]);
  snprintf(c->model, sizeof c->model, "%s", path);
  if (!cache_maker(&c->maker) || !name_cache(c)) {
    weight_cache_close(c);
    return NULL;
  }
  open_file(c);
  return c;
}

void weight_cache_close(weight_cache *c) {
  if (!c) return;
  for (int i = 0; i < c->n_sources; i++) file_map_unref(c->sources[i]);
  file_map_unref(c->map);
  mem_free(c->entries);
  mem_free(c);
}

const void *weight_cache_find(weight_cache *c, digest key, size_t bytes) {
  if (!key.a && !key.b) return NULL; /* no key */
  for (size_t i = 0; i < c->n_entries; i++) {
    cache_entry *e = &c->entries[i];
    if (!digest_equal(e->key, key) || e->bytes != bytes) continue;
    const uint8_t *data = file_map_data(c->map) + e->at;
    if (!digest_equal(e->sum, digest_bytes(data, bytes)) || file_map_damaged(c->map)) {
      *e = c->entries[--c->n_entries]; /* made anew, and written anew */
      return NULL;
    }
    c->used = true;
    return data;
  }
  return NULL;
}

const char *weight_cache_damaged(const weight_cache *c) {
  return c->used && file_map_damaged(c->map) ? file_map_path(c->map) : NULL;
}

bool cache_file_describe(int folder, const char *name, char ret_model[CACHE_PATH_MAX], bool *ret_current) {
  file_map *map = NULL;
  cache_header h;
  digest maker;
  int fd = cache_folder_open_file(folder, name);
  bool ok = fd >= 0 && !file_map_fd(fd, name, &map, NULL);
  if (fd >= 0) close(fd);
  ok = ok && read_header(file_map_data(map), file_map_size(map), &h);
  if (ok) {
    memcpy(ret_model, file_map_data(map) + sizeof h + h.n_entries * sizeof(cache_entry), (size_t)h.model_bytes);
    ret_model[h.model_bytes] = 0;
    *ret_current = cache_maker(&maker) && digest_equal(maker, h.maker);
    ok = !file_map_damaged(map);
  }
  file_map_unref(map);
  return ok;
}

/* ---- writing ---- */

/* Are the files that packings were made of still what they were when they were mapped, so that name and contents fit?
 */
static bool sources_stand(const weight_cache *c) {
  for (int i = 0; i < c->n_sources; i++) {
    file_identity then, now;
    if (file_map_damaged(c->sources[i]) || !file_map_identity(c->sources[i], &then) ||
        !file_map_identity_now(c->sources[i], &now) || memcmp(&then, &now, sizeof then))
      return false;
  }
  return true;
}

static bool write_head(const weight_cache *c, const cache_item *items, size_t n, writer *w, uint64_t *ret_bytes) {
  cache_header h = {.version = CACHE_VERSION, .n_entries = n, .model_bytes = strlen(c->model), .maker = c->maker};
  memcpy(h.magic, cache_magic, sizeof h.magic);
  writer_fill(w, 0, sizeof h);
  uint64_t at = mem_align(sizeof h + n * sizeof(cache_entry) + (size_t)h.model_bytes, CACHE_ALIGN);
  for (size_t i = 0; i < n; i++) {
    cache_entry e = {items[i].key, at, items[i].bytes, items[i].sum};
    writer_bytes(w, &e, sizeof e);
    at += mem_align(items[i].bytes, CACHE_ALIGN);
  }
  writer_text(w, c->model);
  if (w->failed) return false;
  h.file_bytes = *ret_bytes = at;
  h.index = digest_bytes(w->data + sizeof h, w->size - sizeof h);
  h.own = digest_bytes(&h, offsetof(cache_header, own));
  return writer_patch(w, 0, &h, sizeof h);
}

/* A reader, a crash or a full disk meets the old file, the new one or none. */
static bool write_file(const weight_cache *c, int folder, const writer *head, const cache_item *items, size_t n) {
  file_writer *w;
  if (file_writer_open_private(folder, c->name, &w, NULL)) return false;
  bool ok = !file_writer_append(w, head->data, head->size, NULL) && !file_writer_align(w, CACHE_ALIGN, NULL);
  for (size_t i = 0; ok && i < n; i++)
    ok = !file_writer_append(w, items[i].data, items[i].bytes, NULL) && !file_writer_align(w, CACHE_ALIGN, NULL);
  if (ok && sources_stand(c)) return !file_writer_commit(w, NULL);
  file_writer_abort(w);
  return false;
}

/* Fills the sums in; what the file had is left out if it is no longer whole. Returns how many are left. */
static size_t sum_items(const weight_cache *c, cache_item *items, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    cache_item item = items[i];
    digest now = digest_bytes(item.data, item.bytes);
    bool old = item.sum.a || item.sum.b;
    if (old && (!digest_equal(now, item.sum) || file_map_damaged(c->map))) continue;
    item.sum = now;
    items[kept++] = item;
  }
  return kept;
}

cache_item *weight_cache_items(const weight_cache *c, size_t more, size_t *ret_count) {
  cache_item *items = mem_alloc_array(c->n_entries + more, sizeof *items);
  if (!items) return NULL;
  for (size_t i = 0; i < c->n_entries; i++) {
    const cache_entry *e = &c->entries[i];
    items[i] = (cache_item){e->key, file_map_data(c->map) + e->at, (size_t)e->bytes, e->sum};
  }
  *ret_count = c->n_entries;
  return items;
}

bool weight_cache_save(const weight_cache *c, cache_item *items, size_t n) {
  char path[CACHE_PATH_MAX];
  writer head = {0};
  uint64_t bytes = 0;
  int folder = sources_stand(c) ? cache_folder_open(true, path) : -1;
  if (folder < 0) return false;
  n = sum_items(c, items, n);
  bool ok = write_head(c, items, n, &head, &bytes) && cache_folder_make_room(folder, bytes, c->name) &&
            write_file(c, folder, &head, items, n);
  close(folder);
  writer_deinit(&head);
  return ok;
}
