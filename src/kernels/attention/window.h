/* attention/window: which keys a query may see. */
#ifndef KERNELS_ATTENTION_WINDOW_H
#define KERNELS_ATTENTION_WINDOW_H

#include "kernels/attention/attention.h"

/* Keys [begin, end); empty where begin >= end. */
typedef struct attention_window {
  int64_t begin, end;
} attention_window;

static inline attention_window attention_window_of(const attention_shape *s, int64_t b, int64_t query) {
  attention_window w = {0, s->kv_len};
  if (s->kv_lengths) {
    int64_t length = s->kv_lengths[b];
    w.end = length < 0 ? 0 : length < s->kv_len ? length : s->kv_len;
  }
  int64_t p = query + (s->offsets ? s->offsets[b] : s->offset);
  if (s->causal && p + 1 < w.end) w.end = p + 1;
  if (s->window_right >= 0 && p < w.end - s->window_right - 1) w.end = p + s->window_right + 1;
  if (s->window_left >= 0 && p > s->window_left) w.begin = p - s->window_left;
  return w;
}

#endif
