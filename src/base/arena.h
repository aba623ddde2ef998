/* base/arena: memory of one lifetime (a model, a session, a step). Blocks are cut off the front of chunks and given
 * back all at once.
 *
 *   chunk   [header | block block block ......... free ]      chunks double up to ARENA_CHUNK_MAX
 *                                          ^ used
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

typedef struct arena_chunk arena_chunk;
typedef struct arena {
  arena_chunk *chunk; /* the newest chunk, which links to the older ones */
  size_t total_bytes; /* of all chunks */
} arena;

void arena_init(arena *a);
void arena_deinit(arena *a); /* gives everything back; the arena may be used again */
/* Zeroed memory, aligned to 16 bytes; NULL when the heap is exhausted. */
void *arena_alloc(arena *a, size_t bytes);
void *arena_alloc_array(arena *a, size_t count, size_t each);
void *arena_alloc_aligned(arena *a, size_t bytes, size_t align);
char *arena_strndup(arena *a, const char *text, size_t size);
char *arena_strdup(arena *a, const char *text);

#endif
