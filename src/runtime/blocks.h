/* runtime/blocks: a bounded pool of blocks for values whose size only the data tell. A released storage goes back to
 * the pool's free lists (by size class, four classes an octave), so that a steady state allocates nothing. */
#ifndef RUNTIME_BLOCKS_H
#define RUNTIME_BLOCKS_H

#include "tensor/tensor.h"

typedef struct block_pool block_pool;
/* limit_bytes bounds what lives and what is kept free together; 0: no bound. NULL when out of memory. */
block_pool *block_pool_create(size_t limit_bytes);
/* The pool itself goes when its last storage has come back. */
void block_pool_destroy(block_pool *p);
/* A new limit, from the next block that is taken on; what stands may be above it. */
void block_pool_set_limit(block_pool *p, size_t limit_bytes);
/* Gives t (dtype and dims set) a storage of the pool; an old one is released. */
ledge_status block_pool_alloc(block_pool *p, tensor *t, ledge_error *error);
size_t block_pool_peak_bytes(const block_pool *p);

#endif
