/* tensor/mapped: see mapped.h. */
#include "tensor/mapped.h"

static void release_map(storage *s) {
  file_map_unref(s->owner);
  arena_deinit(&s->strings);
  mem_free(s);
}

storage *storage_from_map(file_map *m) {
  storage *s = mem_zalloc(sizeof *s);
  if (!s) return NULL;
  s->data = (void *)(uintptr_t)file_map_data(m);
  s->bytes = file_map_size(m);
  s->release = release_map;
  s->owner = file_map_ref(m);
  atomic_init(&s->refs, 1);
  arena_init(&s->strings);
  return s;
}

file_map *storage_map(const storage *s) { return s && s->release == release_map ? s->owner : NULL; }

ledge_status storage_check(const storage *s, ledge_error *error) {
  const file_map *m = storage_map(s);
  return m ? file_map_check(m, error) : LEDGE_OK;
}
