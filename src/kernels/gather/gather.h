/* kernels/gather: whole rows by index: embedding tables, and Gather along any axis. */
#ifndef KERNELS_GATHER_H
#define KERNELS_GATHER_H

#include "base/pool.h"

/* The position of the first index outside [-limit, limit), or -1 where all are inside. indices: n of int64, or of
 * int32 where not wide. */
int64_t gather_check(const void *indices, bool wide, int64_t n, int64_t limit);
/* dst[o, i, :] = src[o, indices[i], :] where src is [outer, limit, row_bytes] and dst [outer, n, row_bytes]; a negative
 * index counts from the end. The indices must have passed gather_check. No overlap. */
void gather_rows(const void *src, int64_t outer, int64_t limit, size_t row_bytes, const void *indices, bool wide,
                 int64_t n, void *dst, pool *p);

#endif
