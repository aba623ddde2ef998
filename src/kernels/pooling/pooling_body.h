/* pooling's body, in the words of simd/.
 *
 * NHWC: one output column at a time, several vectors of channels in registers while the window passes.
 * NCHW: the rows of a window are combined first, vectors of columns into a buffer with the pads' neutral element at its
 * ends; then the columns of each window, by vectors where the stride is 1 or 2. Wide images go in stretches of columns.
 */
#include "kernels/pooling/pooling.h"

#include <math.h>

enum { BUFFER = 4096, STRETCH = 2048, BLOCK = 16 }; /* floats of the buffer; its columns at most; its rows at most */

/* The part of a window that lies inside the input along one axis, and what an average divides by. */
typedef struct window {
  int64_t first;   /* input index of its first element inside */
  int64_t n;       /* elements inside */
  int64_t divisor; /* of the average */
} window;

/* Divisions are the cost of small planes: most windows are not dilated. */
static inline int64_t steps(int64_t distance, int64_t dilation) {
  return dilation == 1 ? distance : (distance + dilation - 1) / dilation;
}

static inline window window_at(int64_t out, int64_t stride, int64_t pad, int64_t pad_end, int64_t dilation,
                               int64_t kernel, int64_t in, bool include_pad) {
  int64_t start = out * stride - pad, skip = start < 0 ? steps(-start, dilation) : 0;
  int64_t first = start + skip * dilation;
  int64_t n = first < in ? steps(in - first, dilation) : 0;
  if (n > kernel - skip) n = kernel - skip;
  if (n < 0) n = 0;
  int64_t padded = start < in + pad_end ? steps(in + pad_end - start, dilation) : 0;
  return (window){first, n, include_pad ? (padded < kernel ? padded : kernel) : n};
}

VF_WORD window row_window(const pooling_shape *s, int64_t oy) {
  return window_at(oy, s->stride_h, s->pad_top, s->pad_bottom, s->dilation_h, s->kernel_h, s->in_h,
                   s->count_include_pad);
}
VF_WORD window column_window(const pooling_shape *s, int64_t ox) {
  return window_at(ox, s->stride_w, s->pad_left, s->pad_right, s->dilation_w, s->kernel_w, s->in_w,
                   s->count_include_pad);
}

VF_WORD vf pooling_join(bool max, vf acc, vf v) { return max ? vf_max_nan(acc, v) : vf_add(acc, v); }

/* `vectors` whole vectors of channels, or, where `tail` > 0, one of `tail` channels. */
VF_WORD void channels_block(bool max, int vectors, int64_t tail, const float *x, window h, window w, int64_t row,
                            int64_t col, float divisor, float *y) {
  vf acc[4];
  for (int v = 0; v < vectors; v++) acc[v] = max ? vf_set1(-INFINITY) : vf_zero();
  for (int64_t i = 0; i < h.n; i++) {
    const float *p = x + i * row;
    for (int64_t j = 0; j < w.n; j++, p += col)
      for (int v = 0; v < vectors; v++)
        acc[v] = pooling_join(max, acc[v], tail ? vf_loadn(p, tail) : vf_load(p + v * VF_LANES));
  }
  for (int v = 0; v < vectors; v++) {
    vf r = max ? acc[v] : vf_div(acc[v], vf_set1(divisor));
    if (tail)
      vf_storen(y, r, tail);
    else
      vf_store(y + v * VF_LANES, r);
  }
}

VF_WORD void nhwc_row(bool max, const pooling_shape *s, const float *x, int64_t out_y, float *y) {
  window h = row_window(s, out_y);
  int64_t row = s->in_w * s->channels * s->dilation_h, col = s->channels * s->dilation_w;
  for (int64_t ox = 0; ox < s->out_w; ox++, y += s->channels) {
    window w = column_window(s, ox);
    window rows = h;
    if (!h.n || !w.n) rows.n = rows.first = w.first = 0;
    const float *p = x + (rows.first * s->in_w + w.first) * s->channels;
    float divisor = h.divisor > 0 && w.divisor > 0 ? (float)(h.divisor * w.divisor) : 1.0f;
    int64_t c = 0;
    for (; c + 4 * VF_LANES <= s->channels; c += 4 * VF_LANES)
      channels_block(max, 4, 0, p + c, rows, w, row, col, divisor, y + c);
    for (; c + VF_LANES <= s->channels; c += VF_LANES)
      channels_block(max, 1, 0, p + c, rows, w, row, col, divisor, y + c);
    if (c < s->channels) channels_block(max, 1, s->channels - c, p + c, rows, w, row, col, divisor, y + c);
  }
}

/* buffer[i] = the join over the window's rows of column i, for n columns. */
VF_WORD void join_rows(bool max, const float *x, window h, int64_t row, int64_t n, float *buffer) {
  int64_t i = 0;
  for (; i + VF_LANES <= n; i += VF_LANES) {
    vf acc = vf_load(x + i);
    for (int64_t k = 1; k < h.n; k++) acc = pooling_join(max, acc, vf_load(x + k * row + i));
    vf_store(buffer + i, acc);
  }
  if (i < n) {
    vf acc = vf_loadn(x + i, n - i);
    for (int64_t k = 1; k < h.n; k++) acc = pooling_join(max, acc, vf_loadn(x + k * row + i, n - i));
    vf_storen(buffer + i, acc, n - i);
  }
}

VF_WORD vf load_step(const float *p, int64_t stride) { return stride == 1 ? vf_load(p) : vf_load_even(p); }

/* y[i] = the join of buffer[i * stride + k * dilation] over k < kernel. Vectors read up to 2 VF_LANES past the last. */
VF_WORD void join_columns(bool max, const float *buffer, int64_t stride, int64_t dilation, int64_t kernel, int64_t n,
                          float *y) {
  if (stride <= 2) {
    for (int64_t i = 0; i < n; i += VF_LANES) {
      const float *p = buffer + i * stride;
      vf acc = load_step(p, stride);
      for (int64_t k = 1; k < kernel; k++) acc = pooling_join(max, acc, load_step(p += dilation, stride));
      if (i + VF_LANES <= n)
        vf_store(y + i, acc);
      else
        vf_storen(y + i, acc, n - i);
    }
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    const float *p = buffer + i * stride;
    float acc = *p;
    for (int64_t k = 1; k < kernel; k++) {
      p += dilation;
      float larger = acc > *p || acc != acc ? acc : *p;
      acc = max ? larger : acc + *p;
    }
    y[i] = acc;
  }
}

VF_WORD float join_window(bool max, const float *x, window h, window w, int64_t row, int64_t col) {
  float acc = max ? -INFINITY : 0;
  for (int64_t i = 0; i < h.n; i++)
    for (int64_t j = 0; j < w.n; j++) {
      float v = x[i * row + j * col];
      acc = !max ? acc + v : v > acc || v != v ? v : acc;
    }
  return acc;
}

typedef struct stretch {
  int64_t begin, end; /* outputs of a row */
  int64_t left, span; /* the first input column of their windows, and how many there are, pads included */
} stretch;

/* The rows of one window, joined, to the buffer. */
VF_WORD void fill_buffer(bool max, const pooling_shape *s, const float *x, window h, stretch t, float *buffer) {
  int64_t from = t.left < 0 ? 0 : t.left, to = t.left + t.span < s->in_w ? t.left + t.span : s->in_w;
  const float neutral = max ? -INFINITY : 0;
  if (from >= to || !h.n) from = to = t.left; /* pads alone */
  for (int64_t i = 0; i < from - t.left; i++) buffer[i] = neutral;
  if (from < to)
    join_rows(max, x + h.first * s->in_w + from, h, s->in_w * s->dilation_h, to - from, buffer + from - t.left);
  for (int64_t i = to - t.left; i < t.span; i++) buffer[i] = neutral;
}

/* Windows wider than the buffer. */
static void nchw_plane_direct(bool max, const pooling_shape *s, const float *x, float *y) {
  for (int64_t oy = 0; oy < s->out_h; oy++)
    for (int64_t ox = 0; ox < s->out_w; ox++, y++) {
      window h = row_window(s, oy), w = column_window(s, ox);
      const float *p = h.n && w.n ? x + h.first * s->in_w + w.first : x;
      *y = join_window(max, p, h, w, s->in_w * s->dilation_h, s->dilation_w);
      if (!max && h.divisor > 0 && w.divisor > 0) *y /= (float)(h.divisor * w.divisor);
    }
}

/* An average of one row: the columns' share of the divisors stands in `columns`. */
VF_WORD void divide_row(float rows, const float *columns, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) y[i] /= rows * columns[i];
}

VF_WORD void nchw_plane_buffered(bool max, const pooling_shape *s, const float *x, float *y) {
  float buffer[BUFFER], columns[STRETCH];
  int64_t kernel_span = (s->kernel_w - 1) * s->dilation_w + 1;
  int64_t n_outputs = (STRETCH - kernel_span) / s->stride_w + 1; /* whose windows fit a row of the buffer together */
  if (n_outputs > s->out_w) n_outputs = s->out_w;
  int64_t pitch = (n_outputs - 1) * s->stride_w + kernel_span + 2 * VF_LANES; /* vectors read past the last column */
  int64_t n_rows = BUFFER / pitch < BLOCK ? BUFFER / pitch : BLOCK;
  for (int64_t i = 0; i < n_rows * pitch; i++) buffer[i] = 0;
  for (int64_t ox = 0; ox < s->out_w; ox += n_outputs) {
    stretch t = {.begin = ox, .end = ox + n_outputs < s->out_w ? ox + n_outputs : s->out_w};
    t.left = ox * s->stride_w - s->pad_left;
    t.span = (t.end - 1 - ox) * s->stride_w + kernel_span;
    for (int64_t i = ox; i < t.end && !max; i++) {
      int64_t divisor = column_window(s, i).divisor;
      columns[i - ox] = divisor > 0 ? (float)divisor : 1;
    }
    for (int64_t oy = 0; oy < s->out_h; oy += n_rows) {
      int64_t end_y = oy + n_rows < s->out_h ? oy + n_rows : s->out_h;
      for (int64_t i = oy; i < end_y; i++) fill_buffer(max, s, x, row_window(s, i), t, buffer + (i - oy) * pitch);
      for (int64_t i = oy; i < end_y; i++) {
        float *row = y + i * s->out_w + ox;
        int64_t divisor = row_window(s, i).divisor;
        join_columns(max, buffer + (i - oy) * pitch, s->stride_w, s->dilation_w, s->kernel_w, t.end - ox, row);
        if (!max && divisor > 0) divide_row((float)divisor, columns, t.end - ox, row);
      }
    }
  }
}

VF_WORD void nchw_plane(bool max, const pooling_shape *s, const float *x, float *y) {
  if ((s->kernel_w - 1) * s->dilation_w < STRETCH / 2)
    nchw_plane_buffered(max, s, x, y);
  else
    nchw_plane_direct(max, s, x, y);
}

static void max_row(const pooling_shape *s, const float *x, int64_t oy, float *y) { nhwc_row(true, s, x, oy, y); }
static void average_row(const pooling_shape *s, const float *x, int64_t oy, float *y) { nhwc_row(false, s, x, oy, y); }
static void max_plane(const pooling_shape *s, const float *x, float *y) { nchw_plane(true, s, x, y); }
static void average_plane(const pooling_shape *s, const float *x, float *y) { nchw_plane(false, s, x, y); }

const pooling_kernels VF_NAME(pooling);
const pooling_kernels VF_NAME(pooling) = {max_row, average_row, max_plane, average_plane};
