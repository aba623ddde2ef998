/* kernels/dims: what the drivers of strided kernels share: fewer, longer dimensions, and a walk over the outer ones. */
#ifndef KERNELS_DIMS_H
#define KERNELS_DIMS_H

#include <stdbool.h>
#include <stdint.h>

enum { DIMS_MAX_RANK = 16, DIMS_MAX_OPERANDS = 3 };

/* A shape and the strides, in elements, of up to three operands over it. */
typedef struct dims_block {
  int rank, n_operands;
  int64_t dims[DIMS_MAX_RANK];
  int64_t strides[DIMS_MAX_OPERANDS][DIMS_MAX_RANK];
} dims_block;

static inline int64_t dims_product(const int64_t *dims, int from, int to) {
  int64_t n = 1;
  for (int d = from; d < to; d++) n *= dims[d];
  return n;
}

/* Drops dims of one and merges neighbours that every operand walks as one. The rank may become 0. Rank 0 and empty
 * shapes are fine. */
static inline void dims_collapse(dims_block *b) {
  int rank = 0;
  for (int d = 0; d < b->rank; d++) {
    if (b->dims[d] == 1) continue;
    bool merge = rank > 0;
    for (int k = 0; k < b->n_operands && merge; k++) merge = b->strides[k][rank - 1] == b->strides[k][d] * b->dims[d];
    if (!merge) {
      b->dims[rank] = b->dims[d];
      rank++;
    } else {
      b->dims[rank - 1] *= b->dims[d];
    }
    for (int k = 0; k < b->n_operands; k++) b->strides[k][rank - 1] = b->strides[k][d];
  }
  b->rank = rank;
}

/* The offset of operand k at the i-th index of dims [0, rank_outer), counted row-major. */
static inline int64_t dims_offset(const dims_block *b, int k, int rank_outer, int64_t i) {
  int64_t offset = 0;
  for (int d = rank_outer - 1; d >= 0; d--) {
    offset += i % b->dims[d] * b->strides[k][d];
    i /= b->dims[d];
  }
  return offset;
}

#endif
