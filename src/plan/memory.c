/* plan/memory: offsets of blocks with lifetimes in one arena, greedy by size: the largest block first, each at the
 * lowest offset where it overlaps no block that is alive at the same time. Sizes come from a file and may be anything:
 * what passes the address space has no place. */
#include "plan/plan.h"

#include <assert.h>
#include <stdlib.h>

enum { MEMORY_ALIGN = 64 };

static int compare_size(const void *a, const void *b, void *blocks) {
  const memory_block *x = (const memory_block *)blocks + *(const int *)a,
                     *y = (const memory_block *)blocks + *(const int *)b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return *(const int *)a - *(const int *)b;
}

size_t memory_plan(memory_block *blocks, int n, int *order) {
  /* order[0, n): all by size; order[n, n + n_placed): the placed ones by offset. */
  int *placed = order + n;
  int n_placed = 0;
  size_t peak = 0;
  for (int i = 0; i < n; i++) order[i] = i;
  qsort_r(order, (size_t)n, sizeof *order, compare_size, blocks);
  for (int i = 0; i < n; i++) {
    memory_block *b = &blocks[order[i]];
    if (b->bytes > SIZE_MAX - MEMORY_ALIGN) return SIZE_MAX;
    b->bytes = mem_align(b->bytes, MEMORY_ALIGN);
    size_t at = 0, end;
    for (int k = 0; k < n_placed; k++) {
      const memory_block *o = &blocks[placed[k]];
      if (o->last < b->first || o->first > b->last) continue;
      if (o->offset >= at && o->offset - at >= b->bytes) break; /* a gap before it, and all later ones start later */
      if (o->offset + o->bytes > at) at = o->offset + o->bytes;
    }
    b->offset = at;
    if (!mem_add(at, b->bytes, &end)) return SIZE_MAX;
    if (end > peak) peak = end;
    int k = n_placed++;
    for (; k > 0 && blocks[placed[k - 1]].offset > at; k--) placed[k] = placed[k - 1];
    placed[k] = order[i];
  }
  return peak;
}
