/* base/mem: see mem.h. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

mem_stats mem_stats_global = {.fail_after = -1};

static bool mem_may_allocate(size_t bytes) {
  if (bytes > PTRDIFF_MAX) return false; /* no object is larger, and the sanitizers stop at the attempt */
  long long left = atomic_load_explicit(&mem_stats_global.fail_after, memory_order_relaxed);
  for (;;) {
    if (left < 0) return true;
    if (left == 0 && atomic_load_explicit(&mem_stats_global.fail_sticky, memory_order_relaxed)) return false;
    if (atomic_compare_exchange_weak_explicit(&mem_stats_global.fail_after, &left, left - 1, memory_order_relaxed,
                                              memory_order_relaxed))
      return left > 0;
  }
}

/* Only blocks that came to be are counted, so that allocations - frees is what stands. */
static void *mem_counted(void *block, size_t bytes) {
  if (!block) return NULL;
  atomic_fetch_add_explicit(&mem_stats_global.allocations, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&mem_stats_global.bytes, (long long)bytes, memory_order_relaxed);
  return block;
}

void *mem_alloc(size_t bytes) { return mem_may_allocate(bytes) ? mem_counted(malloc(bytes ? bytes : 1), bytes) : NULL; }

void *mem_zalloc(size_t bytes) {
  return mem_may_allocate(bytes) ? mem_counted(calloc(1, bytes ? bytes : 1), bytes) : NULL;
}

void *mem_alloc_array(size_t count, size_t each) {
  size_t bytes;
  if (!mem_mul(count, each, &bytes)) return NULL;
  return mem_zalloc(bytes);
}

void *mem_realloc(void *block, size_t bytes) {
  void *bigger = mem_may_allocate(bytes) ? mem_counted(realloc(block, bytes ? bytes : 1), bytes) : NULL;
  if (bigger && block) atomic_fetch_add_explicit(&mem_stats_global.frees, 1, memory_order_relaxed);
  return bigger;
}

void *mem_alloc_aligned(size_t bytes, size_t align) {
  if (align < sizeof(void *)) align = sizeof(void *);
  if (bytes > SIZE_MAX - align) return NULL;
  size_t whole = mem_align(bytes ? bytes : 1, align);
  return mem_may_allocate(whole) ? mem_counted(aligned_alloc(align, whole), whole) : NULL;
}

void mem_free(void *block) {
  if (block) atomic_fetch_add_explicit(&mem_stats_global.frees, 1, memory_order_relaxed);
  free(block);
}

void mem_expect_write(void *start, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  static const uintptr_t page = 4096; /* or more: then the call is refused, and the pages come one by one */
  uintptr_t from = mem_align((size_t)(uintptr_t)start, page), end = ((uintptr_t)start + bytes) & ~(page - 1);
  if (from < end) madvise((void *)from, end - from, MADV_POPULATE_WRITE);
#else
  (void)start, (void)bytes;
#endif
}

char *mem_strndup(const char *text, size_t size) {
  char *copy = size < SIZE_MAX ? mem_alloc(size + 1) : NULL;
  if (!copy) return NULL;
  if (size) memcpy(copy, text, size);
  copy[size] = 0;
  return copy;
}
