/* kernels/select: the choice between two arrays, element by element, with broadcasting. */
#ifndef KERNELS_SELECT_H
#define KERNELS_SELECT_H

#include "base/pool.h"

/* y[i] = condition[i] ? a[i] : b[i] over dims[rank], y contiguous; strides in elements, 0 where an operand broadcasts.
 * element_bytes is 1, 2, 4 or 8; conditions are bytes. y may be a or b exactly where that is not broadcast. */
void select_where(size_t element_bytes, int rank, const int64_t *dims, const uint8_t *condition,
                  const int64_t *condition_strides, const void *a, const int64_t *a_strides, const void *b,
                  const int64_t *b_strides, void *y, pool *p);

#endif
