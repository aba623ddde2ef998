/* kernels/columns: see columns.h. Plain C: the inner loops are copies, and sums along a row, which compilers turn into
 * vectors. */
#include "kernels/columns/columns.h"

#include <string.h>

/* The window positions [begin, end) of a row for which a tap lies inside the image: o * stride + offset in [0, size).
 */
static void inside(int64_t offset, int64_t stride, int64_t size, int64_t places, int64_t *begin, int64_t *end) {
  int64_t lo = offset < 0 ? (-offset + stride - 1) / stride : 0;
  int64_t hi = size - 1 - offset < 0 ? 0 : (size - 1 - offset) / stride + 1;
  *end = hi < places ? hi : places;
  *begin = lo < *end ? lo : *end;
}

/* A tap of one channel: where it reads for each row of positions. */
typedef struct tap {
  int64_t offset[3]; /* of the image's element from the position times the stride, by dim */
  int64_t begin, end;
} tap;

static tap tap_at(const columns_shape *s, int64_t k) {
  const int64_t at[3] = {k / (s->kernel[1] * s->kernel[2]), k / s->kernel[2] % s->kernel[1], k % s->kernel[2]};
  tap t;
  for (int i = 0; i < 3; i++) t.offset[i] = at[i] * s->dilation[i] - s->pad[i];
  inside(t.offset[2], s->stride[2], s->image[2], s->places[2], &t.begin, &t.end);
  return t;
}

/* Where the image's row for row r of positions begins, offset of the tap included; -1: outside. *row: its first element
 * that is read, t->begin positions in. */
static int64_t row_at(const columns_shape *s, const tap *t, int64_t r) {
  int64_t d = r / s->places[1] * s->stride[0] + t->offset[0], h = r % s->places[1] * s->stride[1] + t->offset[1];
  if (d < 0 || d >= s->image[0] || h < 0 || h >= s->image[1] || t->begin >= t->end) return -1;
  return (d * s->image[1] + h) * s->image[2] + t->begin * s->stride[2] + t->offset[2];
}

static int64_t taps_of(const columns_shape *s) { return s->kernel[0] * s->kernel[1] * s->kernel[2]; }
static int64_t image_of(const columns_shape *s) { return s->image[0] * s->image[1] * s->image[2]; }

typedef struct columns_job {
  const columns_shape *s;
  const float *from;
  float *to;
  int64_t first_row, n_rows, stride;
} columns_job;

static void gather_rows(void *arg, int64_t begin, int64_t end, int worker) {
  const columns_job *j = arg;
  const columns_shape *s = j->s;
  int64_t taps = taps_of(s), width = s->places[2], step = s->stride[2];
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const float *image = j->from + i / taps * image_of(s);
    float *to = j->to + i * j->stride;
    tap t = tap_at(s, i % taps);
    for (int64_t r = 0; r < j->n_rows; r++, to += width) {
      int64_t at = row_at(s, &t, j->first_row + r), n = t.end - t.begin;
      if (at < 0) {
        memset(to, 0, (size_t)width * sizeof *to);
        continue;
      }
      if (t.begin) memset(to, 0, (size_t)t.begin * sizeof *to);
      if (step == 1) {
        memcpy(to + t.begin, image + at, (size_t)n * sizeof *to);
      } else {
        for (int64_t o = 0; o < n; o++) to[t.begin + o] = image[at + o * step];
      }
      if (t.end < width) memset(to + t.end, 0, (size_t)(width - t.end) * sizeof *to);
    }
  }
}

void columns_gather_f32(const columns_shape *s, const float *image, int64_t first_row, int64_t n_rows, float *columns,
                        int64_t stride, pool *p) {
  columns_job j = {s, image, columns, first_row, n_rows, stride};
  pool_run(p, s->channels * taps_of(s), 4, gather_rows, &j);
}

static void scatter_channels(void *arg, int64_t begin, int64_t end, int worker) {
  const columns_job *j = arg;
  const columns_shape *s = j->s;
  int64_t taps = taps_of(s), width = s->places[2], step = s->stride[2];
  (void)worker;
  for (int64_t c = begin; c < end; c++) {
    float *image = j->to + c * image_of(s);
    for (int64_t k = 0; k < taps; k++) {
      const float *from = j->from + (c * taps + k) * j->stride;
      tap t = tap_at(s, k);
      for (int64_t r = 0; r < j->n_rows; r++, from += width) {
        int64_t at = row_at(s, &t, j->first_row + r);
        for (int64_t o = t.begin; at >= 0 && o < t.end; o++) image[at + (o - t.begin) * step] += from[o];
      }
    }
  }
}

void columns_scatter_f32(const columns_shape *s, const float *columns, int64_t stride, int64_t first_row,
                         int64_t n_rows, float *image, pool *p) {
  columns_job j = {s, columns, image, first_row, n_rows, stride};
  pool_run(p, s->channels, 1, scatter_channels, &j);
}

/* ---- one channel at a time ---- */

void columns_correlate_f32(const columns_shape *s, const float *image, const float *w, float *grid) {
  int64_t taps = taps_of(s), rows = s->places[0] * s->places[1], width = s->places[2], step = s->stride[2];
  for (int64_t k = 0; k < taps; k++) {
    tap t = tap_at(s, k);
    for (int64_t r = 0; r < rows; r++) {
      int64_t at = row_at(s, &t, r), n = t.end - t.begin;
      float *restrict to = grid + r * width + t.begin;
      const float *restrict from = image + (at < 0 ? 0 : at);
      if (at < 0) continue;
      if (step == 1)
        for (int64_t o = 0; o < n; o++) to[o] += w[k] * from[o];
      else
        for (int64_t o = 0; o < n; o++) to[o] += w[k] * from[o * step];
    }
  }
}

void columns_spread_f32(const columns_shape *s, const float *grid, const float *w, float *image) {
  int64_t taps = taps_of(s), rows = s->places[0] * s->places[1], width = s->places[2], step = s->stride[2];
  for (int64_t k = 0; k < taps; k++) {
    tap t = tap_at(s, k);
    for (int64_t r = 0; r < rows; r++) {
      int64_t at = row_at(s, &t, r), n = t.end - t.begin;
      const float *restrict from = grid + r * width + t.begin;
      float *restrict to = image + (at < 0 ? 0 : at);
      if (at < 0) continue;
      if (step == 1)
        for (int64_t o = 0; o < n; o++) to[o] += w[k] * from[o];
      else
        for (int64_t o = 0; o < n; o++) to[o * step] += w[k] * from[o];
    }
  }
}

/* Eight partial sums, so that the compiler may use vectors without reordering what is not its own to reorder. */
static float dot(const float *a, const float *b, int64_t step, int64_t n) {
  float sum[8] = {0}, rest = 0;
  int64_t o = 0;
  for (; o + 8 <= n; o += 8)
    for (int i = 0; i < 8; i++) sum[i] += a[o + i] * b[(o + i) * step];
  for (; o < n; o++) rest += a[o] * b[o * step];
  for (int i = 0; i < 8; i++) rest += sum[i];
  return rest;
}

void columns_match_f32(const columns_shape *s, const float *grid, const float *image, float *w) {
  int64_t taps = taps_of(s), rows = s->places[0] * s->places[1], width = s->places[2], step = s->stride[2];
  for (int64_t k = 0; k < taps; k++) {
    tap t = tap_at(s, k);
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) {
      int64_t at = row_at(s, &t, r);
      if (at < 0) continue;
      const float *from = grid + r * width + t.begin;
      sum += step == 1 ? dot(from, image + at, 1, t.end - t.begin) : dot(from, image + at, step, t.end - t.begin);
    }
    w[k] += (float)sum;
  }
}
