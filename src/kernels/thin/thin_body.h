/* kernels/thin/thin_body: the panel of thin.h on the vector words. The including file has chosen the words, and defines
 * THIN_MR (even, at most 16), THIN_V (vectors of a panel, 1 or 2) and THIN_ROWS(X): X(1) to X(THIN_MR). */
#ifndef KERNELS_THIN_BODY_H
#define KERNELS_THIN_BODY_H

#include "base/compiler.h"
#include "kernels/simd/stride.h"
#include "kernels/thin/thin.h"

#include <math.h>

#define THIN_INLINE INLINE_BODY
#define THIN_EACH LOOP_UNROLL for (int r = 0; r < R; r++) LOOP_UNROLL for (int v = 0; v < V; v++)

/* `count` tiles of R rows by V vectors, from row `at` on; `last`: columns of the last vector, where not full. */
THIN_INLINE void thin_tiles(const thin_f32_panel t, int64_t at, int64_t count, const int R, const int V,
                            const bool full, int64_t last) {
#define THIN_LOAD(p) (v + 1 == V && !full ? vf_loadn((p) + v * VF_LANES, last) : vf_load((p) + v * VF_LANES))
  const int h = (R + 1) / 2;
  const int64_t s = t.a_stride, s3 = 3 * s, s5 = 5 * s, s7 = 7 * s;
  const float *a = t.a + at * s, *residual = t.residual ? t.residual + at * t.residual_stride : t.residual;
  const vf lo = vf_set1(t.lo), hi = vf_set1(t.hi);
  const bool low = t.lo > -INFINITY, high = t.hi < INFINITY;
  float *c = t.c + at * t.c_stride;
  for (; count > 0; count--, a += R * s) {
    vf acc[THIN_MR][THIN_V];
    LOOP_UNROLL for (int v = 0; v < V; v++) {
      vf first = THIN_LOAD(t.bias);
      LOOP_UNROLL for (int r = 0; r < R; r++) acc[r][v] = first;
    }
    const float *b = t.b;
    for (int64_t i = 0; i < t.n_taps; i++) {
      const float *q0 = a + t.taps[i], *q1 = q0 + h * s;
      int64_t k = t.k_tap;
      do {
        vf bv[THIN_V];
        LOOP_UNROLL for (int v = 0; v < V; v++) bv[v] = vf_load(b + v * VF_LANES);
        LOOP_UNROLL for (int r = 0; r < R; r++) {
          vf x = vf_set1(*(r < h ? stride_row(q0, r, s, s3, s5, s7) : stride_row(q1, r - h, s, s3, s5, s7)));
          LOOP_UNROLL for (int v = 0; v < V; v++) acc[r][v] = vf_fma(x, bv[v], acc[r][v]);
        }
        q0++, q1++, b += THIN_V * VF_LANES;
        STRIDE_HIDE(q0);
        STRIDE_HIDE(q1);
      } while (--k);
    }
    if (residual) {
      THIN_EACH acc[r][v] = vf_add(acc[r][v], THIN_LOAD(residual + r * t.residual_stride));
      residual += R * t.residual_stride;
    }
    if (low) THIN_EACH acc[r][v] = vf_max(lo, acc[r][v]);
    if (high) THIN_EACH acc[r][v] = vf_min(hi, acc[r][v]);
    LOOP_UNROLL for (int r = 0; r < R; r++) {
      LOOP_UNROLL for (int v = 0; v < V; v++) {
        if (v + 1 == V && !full)
          vf_storen(c + v * VF_LANES, acc[r][v], last);
        else
          vf_store(c + v * VF_LANES, acc[r][v]);
      }
      c += t.c_stride;
    }
  }
#undef THIN_LOAD
}

THIN_INLINE void thin_any(const thin_f32_panel *panel, int64_t at, int64_t count, const int R, const int V) {
  const thin_f32_panel t = *panel;
  int64_t last = t.cols - (V - 1) * VF_LANES;
  if (last == VF_LANES)
    thin_tiles(t, at, count, R, V, true, 0);
  else
    thin_tiles(t, at, count, R, V, false, last);
}

#define THIN_DEFINE(R)                                                                                            \
  static void thin_half_##R(const thin_f32_panel *t, int64_t at, int64_t count) { thin_any(t, at, count, R, 1); } \
  static void thin_whole_##R(const thin_f32_panel *t, int64_t at, int64_t count) { thin_any(t, at, count, R, THIN_V); }
#define THIN_HALF(R) thin_half_##R,
#define THIN_WHOLE(R) thin_whole_##R,
#define THIN_ROWS_4(X) X(1) X(2) X(3) X(4)
#define THIN_ROWS_6(X) THIN_ROWS_4(X) X(5) X(6)
#define THIN_ROWS_8(X) THIN_ROWS_6(X) X(7) X(8)
#define THIN_ROWS_14(X) THIN_ROWS_8(X) X(9) X(10) X(11) X(12) X(13) X(14)
THIN_ROWS(THIN_DEFINE)

static void thin_panel(const thin_f32_panel *t) {
  typedef void (*tiles_fn)(const thin_f32_panel *t, int64_t at, int64_t count);
  static const tiles_fn half[] = {THIN_ROWS(THIN_HALF)}, whole[] = {THIN_ROWS(THIN_WHOLE)};
  const tiles_fn *table = t->cols <= VF_LANES ? half : whole;
  table[t->rows - 1](t, 0, t->n_big);
  if (t->n > t->n_big) table[t->rows - 2](t, t->n_big * t->rows, t->n - t->n_big);
}

#define THIN_VARIANT(variant, isa_bits) \
  const thin_f32_variant variant = {#variant, isa_bits, THIN_MR, THIN_V * VF_LANES, thin_panel}

#endif
