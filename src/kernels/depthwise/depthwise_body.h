/* kernels/depthwise/depthwise_body: the tile of depthwise.h on the vector words, which the including file has chosen.
 *
 * For 3 and 5 taps a row at stride 1 and 2, neighbouring pixels share their input: a tile of P pixels loads
 * (P - 1) * S + K vectors of an input row for P * K multiply-adds, and a tile of two output rows uses most of them
 * twice: what comes from L2 comes fewer times. Every other kernel loads each input where it needs it. A pixel's sum
 * runs over kernel rows, then columns, whatever the tile.
 */
#ifndef KERNELS_DEPTHWISE_BODY_H
#define KERNELS_DEPTHWISE_BODY_H

#include "base/compiler.h"
#include "base/cpu.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/simd/stride.h"

#define DW_INLINE INLINE_BODY
#define DW_UNROLL LOOP_UNROLL

#define DW_LOAD(p) (full ? vf_load(p) : vf_loadn(p, n))

/* Column i of a row whose columns stand s floats apart. */
DW_INLINE const float *dw_column(const float *x, int i, int64_t s, int64_t s3, int64_t s5, int64_t s7) {
  return stride_row(i >= 8 ? x + 8 * s : x, i % 8, s, s3, s5, s7);
}

/* One vector of channels, x_at floats on in each input row; y, residual point to it. K = 0: any kernel. `full`: all
 * lanes, else the first n. The tile is a copy whose address nobody has, so that a store cannot make the compiler read
 * its fields again. */
DW_INLINE void dw_vector(const depthwise_f32_tiles t, int64_t x_at, const float *w, vf bias, const float *residual,
                         float *y, const int P, const int K, const int S, const int R, const bool edge, const bool full,
                         int64_t n) {
  vf acc[DEPTHWISE_LINES * DEPTHWISE_PIXELS];
  const int64_t s = t.x_tap, s3 = 3 * s, s5 = 5 * s, s7 = 7 * s;
  DW_UNROLL for (int i = 0; i < R * P; i++) acc[i] = bias;
  if (R == 1) {
    for (int ky = 0; ky < t.n_y; ky++, w += t.w_row) {
      const float *x = t.x[ky] + x_at;
      if (K > 0) {
        vf in[(DEPTHWISE_PIXELS - 1) * 2 + 5];
        DW_UNROLL for (int i = 0; i < (P - 1) * S + K; i++) {
          in[i] = edge && (i < t.column0 || i >= t.column1) ? vf_zero() : DW_LOAD(dw_column(x, i, s, s3, s5, s7));
          VF_KEEP(in[i]);
        }
        DW_UNROLL for (int k = 0; k < K; k++) {
          vf wv = vf_load(w + k * VF_LANES);
          VF_KEEP(wv);
          DW_UNROLL for (int p = 0; p < P; p++) acc[p] = vf_fma(in[p * S + k], wv, acc[p]);
        }
      } else {
        for (int k = 0; k < t.n_x; k++) {
          vf wv = vf_load(w + k * VF_LANES);
          DW_UNROLL for (int p = 0; p < P; p++) acc[p] = vf_fma(DW_LOAD(x + k * s + p * t.x_pixel), wv, acc[p]);
        }
      }
    }
  } else {
    DW_UNROLL for (int row = 0; row < (R - 1) * S + K; row++) {
      const float *x = t.x[row] + x_at;
      vf in[(DEPTHWISE_PIXELS - 1) * 2 + 5];
      DW_UNROLL for (int i = 0; i < (P - 1) * S + K; i++) {
        in[i] = edge && (i < t.column0 || i >= t.column1) ? vf_zero() : DW_LOAD(dw_column(x, i, s, s3, s5, s7));
        VF_KEEP(in[i]);
      }
      DW_UNROLL for (int r = 0; r < R; r++) {
        const int ky = row - r * S;
        if (ky < 0 || ky >= K) continue;
        DW_UNROLL for (int k = 0; k < K; k++) {
          vf wv = vf_load(w + (ky * K + k) * VF_LANES);
          VF_KEEP(wv);
          DW_UNROLL for (int p = 0; p < P; p++) acc[r * P + p] = vf_fma(in[p * S + k], wv, acc[r * P + p]);
        }
      }
    }
  }
  vf lo = vf_set1(t.lo), hi = vf_set1(t.hi);
  DW_UNROLL for (int r = 0; r < R; r++) {
    if (residual) {
      DW_UNROLL for (int p = 0; p < P; p++) {
        acc[r * P + p] = vf_add(acc[r * P + p], DW_LOAD(residual + r * t.residual_line + p * t.residual_pixel));
      }
    }
    DW_UNROLL for (int p = 0; p < P; p++) {
      vf v = vf_min(hi, vf_max(lo, acc[r * P + p]));
      float *to = y + r * t.y_line + p * t.y_pixel;
      if (full)
        vf_store(to, v);
      else
        vf_storen(to, v, n);
    }
  }
}

/* `count` tiles of P pixels. */
DW_INLINE void dw_row(const depthwise_f32_tiles t, int64_t count, const int P, const int K, const int S, const int R,
                      const bool edge) {
  int64_t x_at = t.x_at;
  float *y = t.y;
  const float *residual = t.residual;
  for (; count > 0; count--, x_at += P * t.x_pixel, y += P * t.y_pixel) {
    const float *w = t.w;
    int64_t c = 0;
    for (; c + VF_LANES <= t.channels; c += VF_LANES, w += t.w_block) {
      const float *r = residual ? residual + c : residual;
      dw_vector(t, x_at + c, w, vf_load(t.bias + c), r, y + c, P, K, S, R, edge, true, 0);
    }
    int64_t n = t.channels - c;
    if (n > 0) { /* one body for all: edge or not */
      const float *r = residual ? residual + c : residual;
      dw_vector(t, x_at + c, w, vf_loadn(t.bias + c, n), r, y + c, P, K, S, R, true, false, n);
    }
    if (residual) residual += P * t.residual_pixel;
  }
}

DW_INLINE void dw_tiles(const depthwise_f32_tiles *tiles, const int P, const int K, const int S, const int R) {
  const depthwise_f32_tiles t = *tiles;
  bool edge = K > 0 && (t.column0 > 0 || t.column1 < (P - 1) * S + K);
  if (edge)
    dw_row(t, t.n, P, K, S, R, true);
  else
    dw_row(t, t.n, P, K, S, R, false);
}

#define DW_PIXELS_2 (VF_REGISTERS > 16 ? 4 : 3)
#define DW_DEFINE(P, K, S, R) \
  static void dw_tiles_##P##_##K##_##S##_##R(const depthwise_f32_tiles *t) { dw_tiles(t, P, K, S, R); }
#define DW_EACH(X, K, S) X(1, K, S, 1) X(2, K, S, 1) X(3, K, S, 1) X(4, K, S, 1) X(5, K, S, 1) X(6, K, S, 1)
#if VF_REGISTERS > 16
#define DW_EACH_2(X, K, S) X(1, K, S, 2) X(2, K, S, 2) X(3, K, S, 2) X(4, K, S, 2)
#else
#define DW_EACH_2(X, K, S) X(1, K, S, 2) X(2, K, S, 2) X(3, K, S, 2)
#endif
DW_EACH(DW_DEFINE, 0, 1)
DW_EACH(DW_DEFINE, 3, 1)
DW_EACH(DW_DEFINE, 3, 2)
DW_EACH(DW_DEFINE, 5, 1)
DW_EACH(DW_DEFINE, 5, 2)
DW_EACH_2(DW_DEFINE, 3, 1)
DW_EACH_2(DW_DEFINE, 3, 2)
DW_EACH_2(DW_DEFINE, 5, 1)
DW_EACH_2(DW_DEFINE, 5, 2)
#define DW_NAME(P, K, S, R) dw_tiles_##P##_##K##_##S##_##R,

typedef void (*dw_tiles_fn)(const depthwise_f32_tiles *t);

static const dw_tiles_fn *dw_table(const depthwise_f32_tiles *t) {
  static const dw_tiles_fn any[] = {DW_EACH(DW_NAME, 0, 1)};
  static const dw_tiles_fn one[2][2][DEPTHWISE_PIXELS] = {{{DW_EACH(DW_NAME, 3, 1)}, {DW_EACH(DW_NAME, 3, 2)}},
                                                          {{DW_EACH(DW_NAME, 5, 1)}, {DW_EACH(DW_NAME, 5, 2)}}};
  static const dw_tiles_fn two[2][2][DEPTHWISE_PIXELS] = {{{DW_EACH_2(DW_NAME, 3, 1)}, {DW_EACH_2(DW_NAME, 3, 2)}},
                                                          {{DW_EACH_2(DW_NAME, 5, 1)}, {DW_EACH_2(DW_NAME, 5, 2)}}};
  int stride = t->x_pixel == t->x_tap ? 1 : t->x_pixel == 2 * t->x_tap ? 2 : 0;
  if (!stride || (t->n_x != 3 && t->n_x != 5)) return any;
  return (t->lines == 2 ? two : one)[t->n_x == 5][stride == 2];
}

static void dw_tiles_any(const depthwise_f32_tiles *t) {
  const dw_tiles_fn *table = dw_table(t);
  depthwise_f32_tiles part = *t;
  part.n = t->n_big;
  table[t->pixels - 1](&part);
  if (t->n == t->n_big) return;
  part.n = t->n - t->n_big;
  part.x_at += t->n_big * t->pixels * t->x_pixel;
  part.y += t->n_big * t->pixels * t->y_pixel;
  if (part.residual) part.residual += t->n_big * t->pixels * t->residual_pixel;
  table[t->pixels - 2](&part);
}

#define DW_VARIANT(variant, isa_bits) \
  const depthwise_f32_variant variant = {#variant, isa_bits, VF_LANES, {DEPTHWISE_PIXELS, DW_PIXELS_2}, dw_tiles_any}

#endif
