/* base/mem: the one door to the heap. Every allocation of the library passes here, so that a test can count them, and
 * can make the n-th one fail. Sizes that overflow fail like an exhausted heap. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t bytes);                    /* uninitialised; NULL on failure; a size of 0 gives a unique block */
void *mem_zalloc(size_t bytes);                   /* zeroed */
void *mem_alloc_array(size_t count, size_t each); /* zeroed, product checked */
void *mem_realloc(void *block, size_t bytes);     /* as realloc; the old block stands on failure */
void *mem_alloc_aligned(size_t bytes, size_t align); /* align is a power of two; freed by mem_free */
void mem_free(void *block);
/* Memory that is about to be written from end to end: the system gives its pages at once, which costs half of what
 * giving them one by one does. Changes no contents. */
void mem_expect_write(void *start, size_t bytes);
char *mem_strndup(const char *text, size_t size);

/* What the tests read and set. `fail_after` < 0: never; n: the allocation after n more fails, and all after it if
 * `fail_sticky`. A realloc that succeeds counts as an allocation, and as the free of the old block if there was one. */
typedef struct mem_stats {
  atomic_llong allocations; /* that succeeded */
  atomic_llong frees;
  atomic_llong bytes; /* that they asked for, in all */
  atomic_llong fail_after;
  atomic_bool fail_sticky;
} mem_stats;
extern mem_stats mem_stats_global;

/* Product and sum that say when they wrap. */
static inline bool mem_mul(size_t a, size_t b, size_t *product) { return !__builtin_mul_overflow(a, b, product); }
static inline bool mem_add(size_t a, size_t b, size_t *sum) { return !__builtin_add_overflow(a, b, sum); }
static inline size_t mem_align(size_t n, size_t align) { return (n + align - 1) & ~(align - 1); }

#endif
