/* kernels/attention: scaled dot-product attention of float32, in one pass over the keys with a running maximum and sum
 * (Dao et al., "FlashAttention", 2022; Milakov and Gimelshein, 2018), so that the scores are never stored whole.
 *
 *   s[i, j] = softcap(scale * q[i] . k[j]) + mask[i, j]        softcap(x) = c tanh(x / c), where c > 0
 *   y[i]    = sum_j e^(s[i, j] - max_j s) v[j] / sum_j e^(s[i, j] - max_j s)
 *
 * Query i sees key j if j < its batch's kv_length, and, with p = i + offset of its batch, j <= p where causal,
 * j >= p - window_left and j <= p + window_right where these are not negative. A query that sees no key, or only keys
 * masked by -infinity, gives zeros. Query head h reads key and value head h / (q_heads / kv_heads).
 * The rows of one key head are its query heads' queries one after the other, so that grouped heads share the keys while
 * these are in the cache; work is split into (batch, key head, block of rows): the same bits at any number of threads.
 * Aliasing: none allowed. */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include "base/pool.h"
#include "kernels/variant.h"

/* Element (b, h, row, e) is data[b * batch + h * head + row * row_stride + e]: strides in elements. */
typedef struct attention_view {
  const float *data;
  int64_t batch, head, row;
} attention_view;

typedef struct attention_shape {
  int64_t batch, q_heads, kv_heads, q_len, kv_len, head_dim, v_dim; /* kv_heads divides q_heads */
  float scale;                                                      /* as it is: 0 is not a default */
  float softcap;                                                    /* 0: none */
  bool causal;
  int64_t window_left, window_right;             /* -1: unbounded */
  int64_t offset;                                /* the position of query 0 among the keys, for causal and windows */
  const int64_t *offsets;                        /* [batch], instead of offset; NULL: none */
  const int64_t *kv_lengths;                     /* [batch], each clipped to 0..kv_len; NULL: all kv_len */
  const float *mask;                             /* additive, NULL: none */
  int64_t mask_batch, mask_head, mask_q, mask_k; /* strides in elements; 0 where it broadcasts */
} attention_shape;

typedef struct attention_tensors {
  attention_view q, k, v;
  float *y;
  int64_t y_batch, y_head, y_row;
} attention_tensors;

/* Rows [begin, end) of key head g in batch entry b: row r is query r % q_len of query head g * group + r / q_len, where
 * group = q_heads / kv_heads. At most ATTENTION_ROWS of them. scratch: see attention_f32_scratch, for one thread. */
enum { ATTENTION_ROWS = 64, ATTENTION_KEYS = 64, ATTENTION_LANES = 16 }; /* of the widest vectors */
typedef void (*attention_block_fn)(const attention_shape *s, const attention_tensors *t, int64_t b, int64_t g,
                                   int64_t begin, int64_t end, float *scratch);
typedef struct attention_kernels {
  attention_block_fn block;
} attention_kernels;
KERNEL_VARIANTS_DECLARE(attention);
extern const attention_kernels attention__ref;

/* Bytes of scratch (64-byte aligned) for a pool of so many threads. */
size_t attention_f32_scratch(const attention_shape *s, int threads);
/* y is [batch, q_heads, q_len, v_dim] with the strides given, its last axis contiguous. */
void attention_f32(const attention_shape *s, attention_view q, attention_view k, attention_view v, float *y,
                   int64_t y_batch, int64_t y_head, int64_t y_row, void *scratch, pool *p);

#endif
