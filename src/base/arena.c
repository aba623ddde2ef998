/* base/arena: see arena.h. Under the address sanitizer the free part of a chunk is poisoned. */
#include "base/arena.h"

#include "base/mem.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define ARENA_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define ARENA_POISON(p, n) ((void)0)
#define ARENA_UNPOISON(p, n) ((void)0)
#endif

enum { ARENA_CHUNK_MIN = 4096, ARENA_CHUNK_MAX = 1 << 20 };

struct arena_chunk {
  arena_chunk *older;
  size_t size, used; /* of data[] */
  _Alignas(16) unsigned char data[];
};

void arena_init(arena *a) { *a = (arena){0}; }

void arena_deinit(arena *a) {
  for (arena_chunk *c = a->chunk; c;) {
    arena_chunk *older = c->older;
    ARENA_UNPOISON(c->data, c->size);
    mem_free(c);
    c = older;
  }
  *a = (arena){0};
}

static arena_chunk *arena_grow(arena *a, size_t at_least) {
  size_t size = a->chunk ? a->chunk->size * 2 : ARENA_CHUNK_MIN;
  if (size > ARENA_CHUNK_MAX) size = ARENA_CHUNK_MAX;
  if (size < at_least) size = at_least;
  size_t bytes;
  if (!mem_add(size, sizeof(arena_chunk), &bytes)) return NULL;
  arena_chunk *c = mem_alloc_aligned(bytes, _Alignof(arena_chunk)); /* malloc's own may be less on 32 bits */
  if (!c) return NULL;
  c->older = a->chunk;
  c->size = size;
  c->used = 0;
  ARENA_POISON(c->data, c->size);
  a->chunk = c;
  a->total_bytes += bytes;
  return c;
}

void *arena_alloc_aligned(arena *a, size_t bytes, size_t align) {
  if (align < 16) align = 16;
  if (bytes > SIZE_MAX / 2) return NULL;
  size_t worst = bytes + align;
  arena_chunk *c = a->chunk;
  if (!c || worst > c->size - c->used) {
    c = arena_grow(a, worst);
    if (!c) return NULL;
  }
  uintptr_t at = mem_align((uintptr_t)(c->data + c->used), align);
  unsigned char *block = (unsigned char *)at;
  c->used = (size_t)(block - c->data) + bytes;
  ARENA_UNPOISON(block, bytes);
  if (bytes) memset(block, 0, bytes);
  return block;
}

void *arena_alloc(arena *a, size_t bytes) { return arena_alloc_aligned(a, bytes, 16); }

void *arena_alloc_array(arena *a, size_t count, size_t each) {
  size_t bytes;
  return mem_mul(count, each, &bytes) ? arena_alloc(a, bytes) : NULL;
}

char *arena_strndup(arena *a, const char *text, size_t size) {
  char *copy = size < SIZE_MAX / 2 ? arena_alloc(a, size + 1) : NULL;
  if (copy && size) memcpy(copy, text, size);
  return copy;
}

char *arena_strdup(arena *a, const char *text) { return arena_strndup(a, text, strlen(text)); }
