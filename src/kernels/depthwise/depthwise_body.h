/* kernels/depthwise/depthwise_body: the tile of depthwise.h on the vector words, which the including file has chosen.
 *
 * For 3 and 5 taps a row at stride 1 and 2, neighbouring pixels share their input: a tile of P pixels loads
 * (P - 1) * S + K vectors a kernel row for P * K multiply-adds. Every other kernel loads each input where it needs it.
 */
#ifndef KERNELS_DEPTHWISE_BODY_H
#define KERNELS_DEPTHWISE_BODY_H

#include "base/compiler.h"
#include "base/cpu.h"
#include "kernels/depthwise/depthwise.h"

#define DW_INLINE static inline __attribute__((always_inline))
#define DW_UNROLL LOOP_UNROLL

#define DW_LOAD(p) (full ? vf_load(p) : vf_loadn(p, n))

/* One vector of channels: x, y, residual point to it. K = 0: any kernel. `full`: all lanes, else the first n. The tile
 * is a copy whose address nobody has, so that a store cannot make the compiler read its fields again. */
DW_INLINE void dw_vector(const depthwise_f32_tile t, const float *x, const float *w, vf bias, const float *residual,
                         float *y, const int P, const int K, const int S, const bool full, int64_t n) {
  vf acc[DEPTHWISE_PIXELS];
  DW_UNROLL for (int p = 0; p < P; p++) acc[p] = bias;
  for (int ky = 0; ky < t.n_y; ky++, x += t.x_row, w += t.w_row) {
    if (K > 0) {
      vf in[(DEPTHWISE_PIXELS - 1) * 2 + 5];
      DW_UNROLL for (int i = 0; i < (P - 1) * S + K; i++) {
        in[i] = DW_LOAD(x + i * t.x_tap);
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
        DW_UNROLL for (int p = 0; p < P; p++) acc[p] = vf_fma(DW_LOAD(x + k * t.x_tap + p * t.x_pixel), wv, acc[p]);
      }
    }
  }
  if (residual) {
    DW_UNROLL for (int p = 0; p < P; p++) acc[p] = vf_add(acc[p], DW_LOAD(residual + p * t.residual_pixel));
  }
  vf lo = vf_set1(t.lo), hi = vf_set1(t.hi);
  DW_UNROLL for (int p = 0; p < P; p++) {
    vf v = vf_min(hi, vf_max(lo, acc[p]));
    if (full)
      vf_store(y + p * t.y_pixel, v);
    else
      vf_storen(y + p * t.y_pixel, v, n);
  }
}

DW_INLINE void dw_tile(const depthwise_f32_tile *tile, const int P, const int K, const int S) {
  const depthwise_f32_tile t = *tile;
  const float *w = t.w;
  int64_t c = 0;
  for (; c + VF_LANES <= t.channels; c += VF_LANES, w += t.w_block) {
    const float *residual = t.residual ? t.residual + c : t.residual;
    dw_vector(t, t.x + c, w, vf_load(t.bias + c), residual, t.y + c, P, K, S, true, 0);
  }
  int64_t n = t.channels - c;
  const float *residual = t.residual ? t.residual + c : t.residual;
  if (n > 0) dw_vector(t, t.x + c, w, vf_loadn(t.bias + c, n), residual, t.y + c, P, K, S, false, n);
}

#define DW_DEFINE(P, K, S) \
  static void dw_tile_##P##_##K##_##S(const depthwise_f32_tile *t) { dw_tile(t, P, K, S); }
#define DW_EACH(X, K, S) X(1, K, S) X(2, K, S) X(3, K, S) X(4, K, S) X(5, K, S) X(6, K, S)
DW_EACH(DW_DEFINE, 0, 1)
DW_EACH(DW_DEFINE, 3, 1)
DW_EACH(DW_DEFINE, 3, 2)
DW_EACH(DW_DEFINE, 5, 1)
DW_EACH(DW_DEFINE, 5, 2)
#define DW_NAME(P, K, S) dw_tile_##P##_##K##_##S,

static void dw_tile_any(const depthwise_f32_tile *t) {
  typedef void (*tile_fn)(const depthwise_f32_tile *t);
  static const tile_fn any[] = {DW_EACH(DW_NAME, 0, 1)}, k3s1[] = {DW_EACH(DW_NAME, 3, 1)},
                       k3s2[] = {DW_EACH(DW_NAME, 3, 2)}, k5s1[] = {DW_EACH(DW_NAME, 5, 1)},
                       k5s2[] = {DW_EACH(DW_NAME, 5, 2)};
  int stride = t->x_pixel == t->x_tap ? 1 : t->x_pixel == 2 * t->x_tap ? 2 : 0;
  const tile_fn *table = any;
  if (t->n_x == 3 && stride) table = stride == 1 ? k3s1 : k3s2;
  if (t->n_x == 5 && stride) table = stride == 1 ? k5s1 : k5s2;
  table[t->pixels - 1](t);
}

#define DW_VARIANT(variant, isa_bits) const depthwise_f32_variant variant = {#variant, isa_bits, VF_LANES, dw_tile_any}

#endif
