/* ops/order_util: putting elements of any dtype in order, for TopK, Unique and NonMaxSuppression. */
#ifndef OPS_ORDER_UTIL_H
#define OPS_ORDER_UTIL_H

#include "ops/op.h"

/* keys[k] orders element first + k * step like its value: -0 equals 0, every NaN comes last and equals every other.
 * `dtype` is any real one (no string, no complex). */
void order_keys(ledge_dtype dtype, const void *data, int64_t first, int64_t step, int64_t n, uint64_t *keys);

/* A key and where it came from; of equal keys the lower index comes first. */
typedef struct order_item {
  uint64_t key;
  int64_t index;
} order_item;

/* The k first of any number of keys: a heap in items[k]. Keys come with rising indices; O(log k) each. order_finish
 * puts the items in order; there are o->n of them, k or as many as keys came. */
typedef struct order_first {
  order_item *items;
  int64_t k, n;
} order_first;
void order_add(order_first *o, uint64_t key, int64_t index);
void order_finish(order_first *o);

/* Sorts index[n] by `compare`, which is negative, 0 or positive as item a comes before, with or after b. Stable, with
 * scratch[n]: O(n log n). */
typedef int (*order_compare)(const void *context, int64_t a, int64_t b);
void order_sort(int64_t *index, int64_t *scratch, int64_t n, order_compare compare, const void *context);

#endif
