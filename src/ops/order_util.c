/* ops/order_util: see order_util.h. */
#include "ops/order_util.h"

static uint64_t key_signed(int64_t v) { return (uint64_t)v ^ UINT64_C(1) << 63; }

/* IEEE 754 numbers order like their bits, where the negative ones are complemented. */
static uint64_t key_double(double v) {
  if (v != v) return UINT64_MAX;
  if (v == 0) v = 0; /* -0 too */
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

void order_keys(ledge_dtype dtype, const void *data, int64_t first, int64_t step, int64_t n, uint64_t *keys) {
  switch (dtype) {
    case LEDGE_F32:
      for (int64_t k = 0; k < n; k++) keys[k] = key_double(((const float *)data)[first + k * step]);
      return;
    case LEDGE_F64:
      for (int64_t k = 0; k < n; k++) keys[k] = key_double(((const double *)data)[first + k * step]);
      return;
    case LEDGE_I64:
      for (int64_t k = 0; k < n; k++) keys[k] = key_signed(((const int64_t *)data)[first + k * step]);
      return;
    case LEDGE_U64:
      for (int64_t k = 0; k < n; k++) keys[k] = ((const uint64_t *)data)[first + k * step];
      return;
    default: break;
  }
  if (dtype_is_float(dtype))
    for (int64_t k = 0; k < n; k++) keys[k] = key_double(dtype_load_f64(dtype, data, first + k * step));
  else
    for (int64_t k = 0; k < n; k++) keys[k] = key_signed(dtype_load_i64(dtype, data, first + k * step));
}

static bool after(order_item a, order_item b) { return a.key > b.key || (a.key == b.key && a.index > b.index); }

/* A heap whose top comes last of all. */
static void sift(order_item *heap, int64_t n, int64_t at) {
  order_item item = heap[at];
  for (int64_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && after(heap[child + 1], heap[child])) child++;
    if (!after(heap[child], item)) break;
    heap[at] = heap[child];
  }
  heap[at] = item;
}

void order_add(order_first *o, uint64_t key, int64_t index) {
  if (o->n < o->k) {
    o->items[o->n++] = (order_item){key, index};
    for (int64_t i = o->n == o->k ? o->k / 2 : 0; i-- > 0;) sift(o->items, o->k, i);
  } else if (o->k > 0 && key < o->items[0].key) { /* an equal one comes behind: its index is higher */
    o->items[0] = (order_item){key, index};
    sift(o->items, o->k, 0);
  }
}

void order_finish(order_first *o) {
  if (o->n < o->k)
    for (int64_t i = o->n / 2; i-- > 0;) sift(o->items, o->n, i);
  for (int64_t i = o->n - 1; i > 0; i--) {
    order_item top = o->items[0];
    o->items[0] = o->items[i];
    o->items[i] = top;
    sift(o->items, i, 0);
  }
}

void order_sort(int64_t *index, int64_t *scratch, int64_t n, order_compare compare, const void *context) {
  int64_t *from = index, *to = scratch;
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t start = 0; start < n; start += 2 * width) {
      int64_t a = start, mid = start + width < n ? start + width : n, b = mid;
      int64_t end = mid + width < n ? mid + width : n;
      for (int64_t at = start; at < end; at++)
        to[at] = b >= end || (a < mid && compare(context, from[a], from[b]) <= 0) ? from[a++] : from[b++];
    }
    int64_t *swap = from;
    from = to, to = swap;
  }
  if (from != index && n) memcpy(index, from, (size_t)n * sizeof *index);
}
