/* api/cache: what there is in the cache of packed weights; see ledge.h, section 4. */
#include "backend/cache.h"
#include "backend/tune.h"

#include "api/api.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct ledge_cache {
  int folder; /* -1: none */
  cache_file *files;
  ledge_cache_entry *entries;
  size_t count;
  uint64_t limit;
  char path[CACHE_PATH_MAX];
};

ledge_status ledge_cache_open(ledge_cache **ret, ledge_error *error) {
  if (!ret) return error_set(error, LEDGE_ERROR_ARGUMENT, "ledge_cache_open: ret is NULL");
  ledge_cache *c = mem_zalloc(sizeof *c);
  if (!c) return error_memory(error, sizeof *c, "the list of the cache");
  c->limit = cache_folder_limit();
  c->folder = cache_folder_open(false, c->path);
  bool ok = c->folder < 0 || cache_folder_list(c->folder, &c->files, &c->count);
  c->entries = ok ? mem_alloc_array(c->count, sizeof *c->entries) : NULL;
  ok = ok && c->entries;
  char path[CACHE_PATH_MAX];
  for (size_t i = 0; ok && i < c->count; i++) {
    const cache_file *f = &c->files[c->count - 1 - i];
    ledge_cache_entry *e = &c->entries[i];
    *e = (ledge_cache_entry){.name = f->name, .bytes = f->bytes, .used_s = f->used_s};
    if ((e->choices = tune_is_name(f->name))) {
      e->current = tune_is_current(f->name);
      continue;
    }
    if (!cache_file_describe(c->folder, f->name, path, &e->current)) continue;
    e->model = mem_strndup(path, strlen(path));
    ok = e->model != NULL;
  }
  if (!ok) {
    ledge_cache_close(c);
    return error_memory(error, sizeof *c, "the list of the cache");
  }
  *ret = c;
  return LEDGE_OK;
}

void ledge_cache_close(ledge_cache *c) {
  if (!c) return;
  for (size_t i = 0; c->entries && i < c->count; i++) mem_free((void *)(uintptr_t)c->entries[i].model);
  mem_free(c->entries);
  mem_free(c->files);
  if (c->folder >= 0) close(c->folder);
  mem_free(c);
}

const char *ledge_cache_folder(const ledge_cache *c) { return c->path; }

uint64_t ledge_cache_limit(const ledge_cache *c) { return c->limit; }

size_t ledge_cache_count(const ledge_cache *c) { return c->count; }

bool ledge_cache_get(const ledge_cache *c, size_t i, ledge_cache_entry *ret) {
  if (i >= c->count) return false;
  *ret = c->entries[i];
  return true;
}

ledge_status ledge_cache_remove(ledge_cache *c, size_t i, ledge_error *error) {
  if (i >= c->count)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "the cache has %zu files; there is no file %zu", c->count, i);
  if (!unlinkat(c->folder, c->entries[i].name, 0) || errno == ENOENT) return LEDGE_OK;
  return error_set(error, LEDGE_ERROR_IO, "cannot remove %s/%s: %s", c->path, c->entries[i].name, strerror(errno));
}
