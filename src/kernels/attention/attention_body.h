/* attention's body, in the words of simd/. For a block of rows, keys pass in blocks of K (at multiples of K, so that
 * the split of rows changes no bit):
 *
 *   keys' block transposed           kt[head_dim][K]
 *   scores[rows][K] = q kt           tiles of TILE_ROWS x TILE_VECTORS vectors in registers
 *   each row: scale, softcap, mask, new maximum m, p = e^(score - m), sum l, and what the old sums shrink by;
 *     powers are of two, m is in units of log 2, and l stays a vector until the end
 *   sums = shrink sums + p v         tiles again
 *
 * and at the end y = sums / l. With fewer than FEW rows in all (decoding), transposing would cost more than it saves:
 * the scores are then dot products along head_dim.
 *
 * Values and sums are packed beside each other, since rows of tensors often lie a power of two apart, where they would
 * push each other out of the cache.
 *
 * Scratch: kt, values [K, v_dim], sums [ROWS, v_dim], scores [ROWS, K], l [ROWS, lanes], then m, the m before and
 * shrink of each row. */
#include "kernels/attention/window.h"
#include "kernels/copy/copy.h"
#include "kernels/simd/math.h"
#include "kernels/simd/upto.h"

#include <math.h>
#include <string.h>

enum { K = ATTENTION_KEYS, ROWS = ATTENTION_ROWS, FEW = 4, TILE_ROWS = 4, TILE_VECTORS = VF_REGISTERS / 8 };
enum { TALL = 2 * TILE_ROWS, NARROW = TILE_VECTORS / 2 }; /* a tile of as many registers, for heads of few values */

/* What one block of rows works on. */
typedef struct work {
  const attention_shape *s;
  int64_t n_rows;
  const float *q[ROWS]; /* of each row */
  const float *mask[ROWS];
  float *y[ROWS];
  attention_window window[ROWS];
  bool plain;   /* scores are to be scaled alone */
  float factor; /* of scores, as they are left by finish_scores, to log 2 */
  float *kt, *values, *acc, *scores, *sum, *max, *old, *shrink;
} work;

#define LOG2E 1.44269504f

static void work_init(work *w, const attention_shape *s, const attention_tensors *t, int64_t b, int64_t g,
                      int64_t begin, int64_t end, float *scratch) {
  w->s = s;
  w->n_rows = end - begin;
  w->kt = scratch;
  w->values = w->kt + s->head_dim * K;
  w->acc = w->values + s->v_dim * K;
  w->scores = w->acc + s->v_dim * ROWS;
  w->sum = w->scores + ROWS * K;
  w->max = w->sum + ROWS * VF_LANES;
  w->old = w->max + ROWS;
  w->shrink = w->old + ROWS;
  w->plain = !s->mask && !(s->softcap > 0) && s->scale > 0;
  w->factor = w->plain ? s->scale * LOG2E : LOG2E;
  int64_t h = g * (s->q_heads / s->kv_heads) + begin / s->q_len, i = begin % s->q_len;
  for (int64_t r = 0; r < w->n_rows; r++) {
    w->q[r] = t->q.data + b * t->q.batch + h * t->q.head + i * t->q.row;
    w->mask[r] = s->mask ? s->mask + b * s->mask_batch + h * s->mask_head + i * s->mask_q : NULL;
    w->y[r] = t->y + b * t->y_batch + h * t->y_head + i * t->y_row;
    w->window[r] = attention_window_of(s, b, i);
    if (++i == s->q_len) i = 0, h++;
  }
  for (int64_t r = 0; r < ROWS; r++) w->max[r] = -INFINITY;
  for (int64_t k = 0; k < w->n_rows * VF_LANES; k++) w->sum[k] = 0;
  for (int64_t k = 0; k < w->n_rows * s->v_dim; k++) w->acc[k] = 0;
}

/* scores[row .. row + rows][column .. ] for `vectors` vectors of keys. */
VF_WORD void score_tile(const work *w, int rows, int vectors, int64_t row, int64_t column) {
  vf acc[TILE_ROWS][TILE_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < vectors; c++) acc[r][c] = vf_zero();
  const float *kt = w->kt + column;
  for (int64_t e = 0; e < w->s->head_dim; e++, kt += K) {
    vf k[TILE_VECTORS];
    for (int c = 0; c < vectors; c++) k[c] = vf_load(kt + c * VF_LANES);
    for (int r = 0; r < rows; r++) {
      const vf q = vf_set1(w->q[row + r][e]);
      for (int c = 0; c < vectors; c++) acc[r][c] = vf_fma(q, k[c], acc[r][c]);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < vectors; c++) vf_store(w->scores + (row + r) * K + column + c * VF_LANES, acc[r][c]);
}

VF_WORD void score_rows(const work *w, int rows, int64_t row, int64_t n_keys) {
  int64_t c = 0;
  for (; c + TILE_VECTORS * VF_LANES <= K && c < n_keys; c += TILE_VECTORS * VF_LANES)
    score_tile(w, rows, TILE_VECTORS, row, c);
  for (; c < n_keys; c += VF_LANES) score_tile(w, rows, 1, row, c);
}

static void scores_by_tiles(const work *w, const float *k, int64_t k_row, int64_t n_keys) {
  int64_t row = 0;
  copy_transpose_2d(sizeof(float), n_keys, w->s->head_dim, k, k_row, w->kt, K, NULL);
  if (n_keys < K) /* the lanes past the last key must hold numbers */
    for (int64_t e = 0; e < w->s->head_dim; e++)
      for (int64_t j = n_keys; j < K; j++) w->kt[e * K + j] = 0;
  for (; row + TILE_ROWS <= w->n_rows; row += TILE_ROWS) score_rows(w, TILE_ROWS, row, n_keys);
  for (; row < w->n_rows; row++) score_rows(w, 1, row, n_keys);
}

/* Four keys at a time along head_dim. */
static void scores_by_dots(const work *w, const float *k, int64_t k_row, int64_t n_keys) {
  int64_t d = w->s->head_dim;
  for (int64_t r = 0; r < w->n_rows; r++) {
    float *scores = w->scores + r * K;
    for (int64_t j = 0; j < n_keys; j += 4) {
      const float *key[4];
      vf acc[4];
      for (int c = 0; c < 4; c++) {
        key[c] = k + (j + c < n_keys ? j + c : j) * k_row;
        acc[c] = vf_zero();
      }
      for (int64_t e = 0; e < d; e += VF_LANES) {
        const vf q = vf_load_upto(w->q[r] + e, d - e);
        for (int c = 0; c < 4; c++) acc[c] = vf_fma(q, vf_load_upto(key[c] + e, d - e), acc[c]);
      }
      for (int c = 0; c < 4; c++) scores[j + c] = vf_sum(acc[c]);
    }
    for (int64_t j = (n_keys + 3) & ~3; j < K; j++) scores[j] = 0;
  }
}

VF_WORD float highest(vf max) { return vm_any(vf_unordered(max, max)) ? NAN : vf_hmax(max); }

/* Softcap, mask and window of one row's scores, and their scale unless they are plain; their maximum. first is the
 * block's first key. */
static float finish_scores(const work *w, int64_t row, int64_t first, int64_t n_keys) {
  const attention_shape *s = w->s;
  float *scores = w->scores + row * K;
  const float *mask = w->mask[row] ? w->mask[row] + first * s->mask_k : NULL;
  const vf scale = vf_set1(w->plain ? 1 : s->scale), minus_infinity = vf_set1(-INFINITY);
  float gathered[K];
  if (mask && s->mask_k != 1) {
    for (int64_t j = 0; j < n_keys; j++) gathered[j] = mask[j * s->mask_k];
    mask = gathered;
  }
  int64_t begin = w->window[row].begin - first, end = w->window[row].end - first;
  if (end > n_keys) end = n_keys;
  vf max = minus_infinity;
  for (int64_t j = 0; j < n_keys; j += VF_LANES) {
    vf x = vf_mul(vf_load(scores + j), scale);
    if (s->softcap > 0) x = vf_mul(vf_set1(s->softcap), vf_tanh(vf_mul(x, vf_set1(1.0f / s->softcap))));
    if (mask) {
      vf m = vf_load_upto(mask + j, n_keys - j);
      x = vf_select(vf_eq(m, minus_infinity), minus_infinity, vf_add(x, m));
    }
    if (j + VF_LANES > end) x = vf_fill_from(x, end > j ? end - j : 0, minus_infinity);
    if (j < begin) x = vf_fill_from(minus_infinity, begin - j < VF_LANES ? begin - j : VF_LANES, x);
    vf_store(scores + j, x);
    max = vf_max_nan(max, x);
  }
  return highest(max);
}

/* The same for plain scores of keys that the row sees all. */
VF_WORD float highest_score(const float *scores) {
  vf max = vf_load(scores);
  for (int64_t j = VF_LANES; j < K; j += VF_LANES) max = vf_max_nan(max, vf_load(scores + j));
  return highest(max);
}

/* 2^t for t <= 127, to 1e-7; where it would be less than the least normal number, 0. NaN stays. The polynomial
 * interpolates 2^f on [-1/2, 1/2] at Chebyshev nodes. */
VF_WORD vf exp2_flush(vf t) {
  const vf least = vf_set1(-126.0f);
  vf y = vf_max(least, t), n = vf_round(y), f = vf_sub(y, n);
  vf p = vf_fma(vf_set1(1.33908634e-3f), f, vf_set1(9.67603192e-3f));
  p = vf_fma(p, f, vf_set1(5.55035711e-2f));
  p = vf_fma(p, f, vf_set1(0.240221075f));
  p = vf_fma(p, f, vf_set1(0.693147188f));
  p = vf_fma(p, f, vf_set1(1.0f));
  return vf_select(vf_lt(t, least), vf_zero(), vf_scale2_normal(p, n));
}

/* A row's scores to p, in place, and its sum; lanes past the last key hold -infinity, and become 0. */
VF_WORD void soften_row(const work *w, int64_t row, int64_t n_keys) {
  float *p = w->scores + row * K;
  if (w->max[row] == -INFINITY) { /* nothing seen yet */
    for (int64_t j = 0; j < K; j++) p[j] = 0;
    return;
  }
  const vf m = vf_set1(-w->max[row]), factor = vf_set1(w->factor);
  vf sum = vf_mul(vf_load(w->sum + row * VF_LANES), vf_set1(w->shrink[row]));
  for (int64_t j = 0; j < n_keys; j += VF_LANES) {
    vf e = exp2_flush(vf_fma(vf_load(p + j), factor, m));
    vf_store(p + j, e);
    sum = vf_add(sum, e);
  }
  vf_store(w->sum + row * VF_LANES, sum);
}

/* Scores to p, in place; m, l and the factor by which what was summed so far shrinks. */
static void soften(const work *w, int64_t first, int64_t n_keys) {
  const vf minus_infinity = vf_set1(-INFINITY);
  for (int64_t r = 0; r < w->n_rows; r++) {
    bool whole = w->plain && n_keys == K && w->window[r].begin <= first && w->window[r].end >= first + K;
    float found = whole ? highest_score(w->scores + r * K) : finish_scores(w, r, first, n_keys);
    float old = w->max[r], new = found * w->factor;
    w->old[r] = old;
    w->max[r] = old != old || old >= new ? old : new; /* NaN stays, and comes in */
  }
  for (int64_t r = 0; r < w->n_rows; r += VF_LANES) {
    vf old = vf_load(w->old + r), new = vf_load(w->max + r);
    vf_store(w->shrink + r, vf_select(vf_eq(new, minus_infinity), vf_set1(1.0f), exp2_flush(vf_sub(old, new))));
  }
  if (n_keys == K)
    for (int64_t r = 0; r < w->n_rows; r++) soften_row(w, r, K);
  else
    for (int64_t r = 0; r < w->n_rows; r++) soften_row(w, r, n_keys);
}

/* sums = shrink sums + p v for `rows` rows and `vectors` vectors of values, or one of `count` values. */
VF_WORD void value_tile(const work *w, int rows, int vectors, int64_t count, int64_t row, int64_t column,
                        const float *v, int64_t v_row, int64_t n_keys) {
  vf acc[TALL][TILE_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < vectors; c++) acc[r][c] = vf_zero();
  const float *p = w->scores + row * K;
  v += column;
  for (int64_t j = 0; j < n_keys; j++, v += v_row) {
    vf x[TILE_VECTORS];
    for (int c = 0; c < vectors; c++) x[c] = vf_load_upto(v + c * VF_LANES, count);
    for (int r = 0; r < rows; r++) {
      const vf weight = vf_set1(p[r * K + j]);
      for (int c = 0; c < vectors; c++) acc[r][c] = vf_fma(weight, x[c], acc[r][c]);
    }
  }
  for (int r = 0; r < rows; r++) {
    const vf shrink = vf_set1(w->shrink[row + r]);
    for (int c = 0; c < vectors; c++) {
      float *y = w->acc + (row + r) * w->s->v_dim + column + c * VF_LANES;
      vf_store_upto(y, vf_fma(shrink, vf_load_upto(y, count), acc[r][c]), count);
    }
  }
}

VF_WORD void value_rows(const work *w, int rows, int64_t row, const float *v, int64_t v_row, int64_t n_keys) {
  int64_t c = 0, n = w->s->v_dim;
  for (; c + TILE_VECTORS * VF_LANES <= n; c += TILE_VECTORS * VF_LANES) {
    value_tile(w, rows < TILE_ROWS ? rows : TILE_ROWS, TILE_VECTORS, VF_LANES, row, c, v, v_row, n_keys);
    if (rows == TALL) value_tile(w, TILE_ROWS, TILE_VECTORS, VF_LANES, row + TILE_ROWS, c, v, v_row, n_keys);
  }
  for (; NARROW > 1 && c + NARROW * VF_LANES <= n; c += NARROW * VF_LANES)
    value_tile(w, rows, NARROW, VF_LANES, row, c, v, v_row, n_keys);
  for (; c + VF_LANES <= n; c += VF_LANES) value_tile(w, rows, 1, VF_LANES, row, c, v, v_row, n_keys);
  if (c < n) value_tile(w, rows, 1, n - c, row, c, v, v_row, n_keys);
}

static void block(const attention_shape *s, const attention_tensors *t, int64_t b, int64_t g, int64_t begin,
                  int64_t end, float *scratch) {
  work w;
  work_init(&w, s, t, b, g, begin, end, scratch);
  bool few = s->q_heads / s->kv_heads * s->q_len < FEW; /* of all rows: the same choice for every split */
  int64_t first = s->kv_len, last = 0;
  for (int64_t r = 0; r < w.n_rows; r++) {
    if (w.window[r].begin >= w.window[r].end) continue;
    if (w.window[r].begin < first) first = w.window[r].begin;
    if (w.window[r].end > last) last = w.window[r].end;
  }
  const float *k = t->k.data + b * t->k.batch + g * t->k.head, *v = t->v.data + b * t->v.batch + g * t->v.head;
  for (int64_t key = first / K * K; key < last; key += K) {
    int64_t n_keys = last - key < K ? last - key : K, row = 0;
    (few ? scores_by_dots : scores_by_tiles)(&w, k + key * t->k.row, t->k.row, n_keys);
    soften(&w, key, n_keys);
    const float *values = v + key * t->v.row;
    int64_t v_row = t->v.row;
    if (w.n_rows > TILE_ROWS && v_row != s->v_dim) {
      for (int64_t j = 0; j < n_keys; j++)
        memcpy(w.values + j * s->v_dim, values + j * v_row, (size_t)s->v_dim * sizeof(float));
      values = w.values, v_row = s->v_dim;
    }
    for (; row + TALL <= w.n_rows; row += TALL) value_rows(&w, TALL, row, values, v_row, n_keys);
    for (; row < w.n_rows; row++) value_rows(&w, 1, row, values, v_row, n_keys);
  }
  for (int64_t r = 0; r < w.n_rows; r++) {
    const vf factor = vf_set1(w.max[r] == -INFINITY ? 0 : 1.0f / vf_sum(vf_load(w.sum + r * VF_LANES)));
    for (int64_t e = 0; e < s->v_dim; e += VF_LANES)
      vf_store_upto(w.y[r] + e, vf_mul(vf_load_upto(w.acc + r * s->v_dim + e, s->v_dim - e), factor), s->v_dim - e);
  }
}

const attention_kernels VF_NAME(attention);
const attention_kernels VF_NAME(attention) = {block};
