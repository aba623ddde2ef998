/* gather: see gather.h. Rows are copied by the piece; short ones without a call each. */
#include "kernels/gather/gather.h"

#include <string.h>

enum { GRAIN_BYTES = 65536 }; /* worth waking a thread for */

static inline int64_t index_at(const void *indices, bool wide, int64_t i) {
  return wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
}

int64_t gather_check(const void *indices, bool wide, int64_t n, int64_t limit) {
  for (int64_t i = 0; i < n; i++) {
    int64_t k = index_at(indices, wide, i);
    if (k < -limit || k >= limit) return i;
  }
  return -1;
}

typedef struct job {
  const char *src;
  char *dst;
  int64_t limit, n;
  size_t row_bytes;
  const void *indices;
  bool wide;
} job;

static void work(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  size_t bytes = j->row_bytes;
  for (int64_t u = begin; u < end; u++) {
    int64_t k = index_at(j->indices, j->wide, u % j->n);
    if (k < 0) k += j->limit;
    const char *from = j->src + (size_t)(u / j->n * j->limit + k) * bytes;
    char *to = j->dst + (size_t)u * bytes;
    switch (bytes) {
      case 1: *to = *from; break;
      case 2: memcpy(to, from, 2); break;
      case 4: memcpy(to, from, 4); break;
      case 8: memcpy(to, from, 8); break;
      default: memcpy(to, from, bytes); break;
    }
  }
}

void gather_rows(const void *src, int64_t outer, int64_t limit, size_t row_bytes, const void *indices, bool wide,
                 int64_t n, void *dst, pool *p) {
  job j = {src, dst, limit, n, row_bytes, indices, wide};
  if (outer > 0 && n > 0 && row_bytes > 0)
    pool_run(p, outer * n, GRAIN_BYTES / (int64_t)(row_bytes < GRAIN_BYTES ? row_bytes : GRAIN_BYTES) + 1, work, &j);
}
