/* attention's oracle: a row of scores, its softmax, and the sum of values, in double. */
#include "kernels/attention/window.h"

#include <math.h>

static double score(const attention_shape *s, const float *q, const float *k, const float *mask) {
  double dot = 0;
  for (int64_t e = 0; e < s->head_dim; e++) dot += (double)q[e] * k[e];
  dot *= s->scale;
  if (s->softcap > 0) dot = s->softcap * tanh(dot / s->softcap);
  return mask ? (*mask == -INFINITY ? -INFINITY : dot + *mask) : dot;
}

static void ref_row(const attention_shape *s, const attention_tensors *t, int64_t b, int64_t g, int64_t r) {
  int64_t h = g * (s->q_heads / s->kv_heads) + r / s->q_len, i = r % s->q_len;
  const float *q = t->q.data + b * t->q.batch + h * t->q.head + i * t->q.row;
  const float *k = t->k.data + b * t->k.batch + g * t->k.head, *v = t->v.data + b * t->v.batch + g * t->v.head;
  const float *mask = s->mask ? s->mask + b * s->mask_batch + h * s->mask_head + i * s->mask_q : NULL;
  float *y = t->y + b * t->y_batch + h * t->y_head + i * t->y_row;
  attention_window w = attention_window_of(s, b, i);
  double max = -INFINITY, sum = 0;
  for (int64_t j = w.begin; j < w.end; j++) {
    double x = score(s, q, k + j * t->k.row, mask ? mask + j * s->mask_k : NULL);
    max = x > max || isnan(x) ? x : max;
  }
  for (int64_t e = 0; e < s->v_dim; e++) y[e] = 0;
  if (max == -INFINITY) return;
  for (int64_t j = w.begin; j < w.end; j++)
    sum += exp(score(s, q, k + j * t->k.row, mask ? mask + j * s->mask_k : NULL) - max);
  for (int64_t e = 0; e < s->v_dim; e++) {
    double acc = 0;
    for (int64_t j = w.begin; j < w.end; j++)
      acc += exp(score(s, q, k + j * t->k.row, mask ? mask + j * s->mask_k : NULL) - max) * v[j * t->v.row + e];
    y[e] = (float)(acc / sum);
  }
}

static void ref_block(const attention_shape *s, const attention_tensors *t, int64_t b, int64_t g, int64_t begin,
                      int64_t end, float *scratch) {
  (void)scratch;
  for (int64_t r = begin; r < end; r++) ref_row(s, t, b, g, r);
}

const attention_kernels attention__ref = {ref_block};
