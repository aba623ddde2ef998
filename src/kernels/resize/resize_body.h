/* resize's body, in the words of simd/.
 *
 * inner > 1 (NHWC): vectors of channels, four taps each. inner = 1 (NCHW): the two source rows are joined into a
 * buffer, a stretch of outputs at a time, and then each output gathers its two columns. */
#include "kernels/resize/resize.h"
#include "kernels/simd/upto.h"

enum { BUFFER = 2048 }; /* source columns */

static void row_nhwc(const resize_shape *s, const float *top, const float *bottom, float wt, float wb,
                     const resize_taps *t, float *y) {
  int64_t n = s->inner;
  for (int64_t j = 0; j < s->out_w; j++, y += n) {
    const float *tl = top + t->lo[j] * n, *th = top + t->hi[j] * n;
    const float *bl = bottom + t->lo[j] * n, *bh = bottom + t->hi[j] * n;
    const vf wtl = vf_set1(wt * t->lo_weight[j]), wth = vf_set1(wt * t->hi_weight[j]);
    const vf wbl = vf_set1(wb * t->lo_weight[j]), wbh = vf_set1(wb * t->hi_weight[j]);
    for (int64_t c = 0; c < n; c += VF_LANES) {
      vf v = vf_mul(vf_load_upto(tl + c, n - c), wtl);
      v = vf_fma(vf_load_upto(th + c, n - c), wth, v);
      v = vf_fma(vf_load_upto(bl + c, n - c), wbl, v);
      vf_store_upto(y + c, vf_fma(vf_load_upto(bh + c, n - c), wbh, v), n - c);
    }
  }
}

/* buffer[i] = top[i] wt + bottom[i] wb. */
VF_WORD void join_rows(const float *top, const float *bottom, float wt_, float wb_, int64_t n, float *buffer) {
  const vf wt = vf_set1(wt_), wb = vf_set1(wb_);
  for (int64_t i = 0; i < n; i += VF_LANES)
    vf_store_upto(buffer + i, vf_fma(vf_load_upto(bottom + i, n - i), wb, vf_mul(vf_load_upto(top + i, n - i), wt)),
                  n - i);
}

/* Outputs [begin, end) from a buffer that starts at source column `from`. */
VF_WORD void join_columns(const float *buffer, int64_t from, const resize_taps *t, int64_t begin, int64_t end,
                          float *y) {
  const vi base = vi_set1((int32_t)from);
  int64_t j = begin;
  for (; j + VF_LANES <= end; j += VF_LANES) {
    vf lo = vf_gather(buffer, vi_sub(vi_load(t->lo + j), base)),
       hi = vf_gather(buffer, vi_sub(vi_load(t->hi + j), base));
    vf_store(y + j, vf_fma(hi, vf_load(t->hi_weight + j), vf_mul(lo, vf_load(t->lo_weight + j))));
  }
  for (; j < end; j++) y[j] = buffer[t->lo[j] - from] * t->lo_weight[j] + buffer[t->hi[j] - from] * t->hi_weight[j];
}

static void row_nchw(const resize_shape *s, const float *top, const float *bottom, float wt, float wb,
                     const resize_taps *t, float *y) {
  float buffer[BUFFER];
  if (s->in_w <= BUFFER) {
    join_rows(top, bottom, wt, wb, s->in_w, buffer);
    join_columns(buffer, 0, t, 0, s->out_w, y);
    return;
  }
  for (int64_t begin = 0, end; begin < s->out_w; begin = end) {
    /* As many outputs as have their sources within BUFFER columns. */
    int64_t from = s->in_w, to = 0;
    for (end = begin; end < s->out_w; end++) {
      int64_t lo = t->lo[end] < t->hi[end] ? t->lo[end] : t->hi[end], hi = t->lo[end] + t->hi[end] - lo;
      int64_t first = lo < from ? lo : from, last = hi + 1 > to ? hi + 1 : to;
      if (last - first > BUFFER) break;
      from = first, to = last;
    }
    if (end == begin) { /* a single output with sources far apart: wrapped coordinates */
      int64_t lo = t->lo[begin], hi = t->hi[begin];
      y[begin] = (top[lo] * wt + bottom[lo] * wb) * t->lo_weight[begin] +
                 (top[hi] * wt + bottom[hi] * wb) * t->hi_weight[begin];
      end = begin + 1;
      continue;
    }
    join_rows(top + from, bottom + from, wt, wb, to - from, buffer);
    join_columns(buffer, from, t, begin, end, y);
  }
}

static void linear_row(const resize_shape *s, const float *top, const float *bottom, float wt, float wb,
                       const resize_taps *columns, float *y) {
  if (s->inner == 1)
    row_nchw(s, top, bottom, wt, wb, columns, y);
  else
    row_nhwc(s, top, bottom, wt, wb, columns, y);
}

const resize_kernels VF_NAME(resize);
const resize_kernels VF_NAME(resize) = {linear_row};
