/* kernels/gemm/tile_body: the tile of tile.h on the vector words. The including file has chosen the words, and defines
 *
 *   GEMM_MR          rows of a full tile, at most 16, and even
 *   GEMM_V           vectors of a panel, 1 or 2: nr = GEMM_V * VF_LANES
 *   GEMM_ROWS_ALL(X) X(1) to X(GEMM_MR)
 *   GEMM_ROWS_P2(X)  the counts of rows for which a call may cover two panels, from X(1) on; GEMM_ROWS_P4(X): four
 *   GEMM_OWN_SUM, GEMM_OWN_PACK   if it brings a gemm_tile_sum, a gemm_pack_transposed of its own
 *
 * The body is inlined once for each count of rows, panels and vectors, so that all sums live in registers: the loop
 * over k loads a vector row of the panels and multiplies it by one broadcast element of each row of A.  */
#ifndef KERNELS_GEMM_TILE_BODY_H
#define KERNELS_GEMM_TILE_BODY_H

#include "base/compiler.h"
#include "kernels/gemm/tile.h"
#include "kernels/simd/act_body.h"
#include "kernels/simd/stride.h"

#define GEMM_INLINE INLINE_BODY
#define GEMM_UNROLL LOOP_UNROLL
#define GEMM_NR (GEMM_V * VF_LANES)
#define GEMM_ACC 8 /* the most vectors a row */
/* B is fetched so many floats before its use, which hides the way from L3 and memory on the first pass over a panel:
 * 7x7 tiles of 2048 channels gain a tenth, 3x3x512 a quarter. One row alone asks for nothing but B: there the processor
 * fetches better by itself, by a tenth from memory and a quarter from L2. */
#define GEMM_AHEAD 1024
#define GEMM_LINE (VF_LANES >= 16 ? 1 : 16 / VF_LANES) /* vectors of a cache line */

#ifdef GEMM_OWN_SUM
GEMM_INLINE void gemm_tile_sum(const gemm_f32_tile *t, vf acc[GEMM_MR][GEMM_ACC], const int R, const int P,
                               const int V);
#else
/* acc[r][p * V + v] += sums over all taps. */
GEMM_INLINE void gemm_tile_sum(const gemm_f32_tile *t, vf acc[GEMM_MR][GEMM_ACC], const int R, const int P,
                               const int V) {
  const int h = (R + 1) / 2;
  const float *b = t->b;
  const char *next = t->next;
  int64_t next_step = t->next_step;
  int64_t s = t->a_stride, s3 = 3 * s, s5 = 5 * s, s7 = 7 * s, panel_stride = t->panel_stride, b_stride = t->b_stride;
  for (int64_t i = 0; i < t->n_taps; i++) {
    const float *q0 = t->a0 + t->taps[i], *q1 = t->a1 + t->taps[i];
    int64_t k = t->k_tap;
    do {
      vf bv[GEMM_ACC];
      GEMM_UNROLL for (int p = 0; p < P && R > 1; p++) {
        GEMM_UNROLL for (int v = 0; v < V; v += GEMM_LINE) {
          __builtin_prefetch(b + GEMM_AHEAD + p * panel_stride + v * VF_LANES);
        }
      }
      GEMM_UNROLL for (int p = 0; p < P; p++) {
        GEMM_UNROLL for (int v = 0; v < V; v++) bv[p * V + v] = vf_load(b + p * panel_stride + v * VF_LANES);
      }
      if (R > 1) __builtin_prefetch(next, 0, 2);
      next += next_step;
      GEMM_UNROLL for (int r = 0; r < R; r++) {
        vf a = vf_set1(*(r < h ? stride_row(q0, r, s, s3, s5, s7) : stride_row(q1, r - h, s, s3, s5, s7)));
        GEMM_UNROLL for (int v = 0; v < P * V; v++) acc[r][v] = vf_fma(a, bv[v], acc[r][v]);
      }
      q0++, q1++, b += b_stride;
      STRIDE_HIDE(q0);
      STRIDE_HIDE(q1);
    } while (--k);
  }
}
#endif

#define GEMM_EACH GEMM_UNROLL for (int r = 0; r < R; r++) GEMM_UNROLL for (int v = 0; v < n_v; v++)
#define GEMM_LOAD(p) (v + 1 == n_v && !full ? vf_loadn((p) + v * VF_LANES, last) : vf_load((p) + v * VF_LANES))

/* The epilogue in registers. `last`: columns in the last vector, where not full. */
GEMM_INLINE void gemm_tile_finish(const gemm_f32_tile *t, vf acc[GEMM_MR][GEMM_ACC], const int R, const int n_v,
                                  const bool full, int64_t last) {
  if (t->residual) {
    GEMM_EACH acc[r][v] = vf_add(acc[r][v], GEMM_LOAD(t->residual + r * t->residual_stride));
  }
  if (t->lo > -INFINITY) {
    vf lo = vf_set1(t->lo);
    GEMM_EACH acc[r][v] = vf_max(lo, acc[r][v]);
  }
  if (t->hi < INFINITY) {
    vf hi = vf_set1(t->hi);
    GEMM_EACH acc[r][v] = vf_min(hi, acc[r][v]);
  }
  float *c = t->c;
  GEMM_UNROLL for (int r = 0; r < R; r++) {
    GEMM_UNROLL for (int v = 0; v < n_v; v++) {
      if (v + 1 == n_v && !full)
        vf_storen(c + v * VF_LANES, acc[r][v], last);
      else
        vf_store(c + v * VF_LANES, acc[r][v]);
    }
    c += t->c_stride;
  }
}

/* Where C will be written, and what will be added to it: a wait of a hundred nanoseconds at the end of a tile, else. */
#define GEMM_LONG 256 /* of shorter sums it would be a part that counts */
GEMM_INLINE void gemm_tile_fetch_c(const gemm_f32_tile *t, const int R, const int n_v) {
  for (int r = 0; r < R; r++) {
    for (int v = 0; v < n_v; v += GEMM_LINE) {
      __builtin_prefetch(t->c + r * t->c_stride + v * VF_LANES, 1);
      if (t->residual) __builtin_prefetch(t->residual + r * t->residual_stride + v * VF_LANES);
    }
  }
}

GEMM_INLINE void gemm_tile_inline(const gemm_f32_tile *t, const int R, const int P, const int V) {
  const int n_v = P * V;
  int64_t last = t->cols - (int64_t)(n_v - 1) * VF_LANES;
  bool full = last == VF_LANES;
  vf acc[GEMM_MR][GEMM_ACC];
  if (t->bias) {
    GEMM_EACH acc[r][v] = GEMM_LOAD(t->bias);
  } else {
    GEMM_EACH acc[r][v] = vf_zero();
  }
  if (t->n_taps * t->k_tap >= GEMM_LONG) gemm_tile_fetch_c(t, R, n_v);
  gemm_tile_sum(t, acc, R, P, V);
  if (full)
    gemm_tile_finish(t, acc, R, n_v, true, last);
  else
    gemm_tile_finish(t, acc, R, n_v, false, last);
}

#define GEMM_ROWS_4(X) X(1) X(2) X(3) X(4)
#define GEMM_ROWS_6(X) GEMM_ROWS_4(X) X(5) X(6)
#define GEMM_ROWS_8(X) GEMM_ROWS_6(X) X(7) X(8)
#define GEMM_ROWS_14(X) GEMM_ROWS_8(X) X(9) X(10) X(11) X(12) X(13) X(14)

#define GEMM_DEFINE_1(R) \
  static void gemm_tile_1_##R(const gemm_f32_tile *t) { gemm_tile_inline(t, R, 1, GEMM_V); }
#define GEMM_DEFINE_HALF(R) \
  static void gemm_tile_half_##R(const gemm_f32_tile *t) { gemm_tile_inline(t, R, 1, 1); }
#define GEMM_DEFINE_2(R) \
  static void gemm_tile_2_##R(const gemm_f32_tile *t) { gemm_tile_inline(t, R, 2, GEMM_V); }
#define GEMM_DEFINE_4(R) \
  static void gemm_tile_4_##R(const gemm_f32_tile *t) { gemm_tile_inline(t, R, 4, GEMM_V); }
GEMM_ROWS_ALL(GEMM_DEFINE_1)
GEMM_ROWS_ALL(GEMM_DEFINE_HALF)
GEMM_ROWS_P2(GEMM_DEFINE_2)
GEMM_ROWS_P4(GEMM_DEFINE_4)

typedef void (*gemm_tile_fn)(const gemm_f32_tile *t);
#define GEMM_NAME_1(R) gemm_tile_1_##R,
#define GEMM_NAME_HALF(R) gemm_tile_half_##R,
#define GEMM_NAME_2(R) gemm_tile_2_##R,
#define GEMM_NAME_4(R) gemm_tile_4_##R,

static void gemm_tile(const gemm_f32_tile *t) {
  static const gemm_tile_fn one[] = {GEMM_ROWS_ALL(GEMM_NAME_1)}, half[] = {GEMM_ROWS_ALL(GEMM_NAME_HALF)};
  static const gemm_tile_fn two[] = {GEMM_ROWS_P2(GEMM_NAME_2)}, four[] = {GEMM_ROWS_P4(GEMM_NAME_4)};
  if (t->cols <= VF_LANES)
    half[t->rows - 1](t);
  else if (t->cols <= GEMM_NR)
    one[t->rows - 1](t);
  else if (t->cols <= 2 * GEMM_NR)
    two[t->rows - 1](t);
  else
    four[t->rows - 1](t);
}

static void gemm_act_tile(const kernel_epilogue *e, int rows, int64_t cols, float *c, int64_t c_stride,
                          const float *residual, int64_t residual_stride) {
  act_tile_body(e, rows, cols, c, c_stride, residual, residual_stride);
}

#ifdef GEMM_OWN_PACK
static void gemm_pack_transposed(int64_t cols, int64_t k, const unaligned_f32 *b, int64_t stride_n, float scale,
                                 float *packed);
#else
/* Blocks of 16 rows of k, so that each cache line of b is used whole while it is in L1. */
static void gemm_pack_transposed(int64_t cols, int64_t k, const unaligned_f32 *b, int64_t stride_n, float scale,
                                 float *packed) {
  for (int64_t i0 = 0; i0 < k; i0 += 16) {
    int64_t i1 = k - i0 < 16 ? k : i0 + 16;
    for (int64_t j = 0; j < GEMM_NR; j++) {
      for (int64_t i = i0; i < i1; i++) packed[i * GEMM_NR + j] = j < cols ? scale * b[j * stride_n + i] : 0;
    }
  }
}
#endif

#define GEMM_COUNT(R) +1
#define GEMM_VARIANT(variant, isa_bits)                         \
  const gemm_f32_variant variant = {#variant,                   \
                                    isa_bits,                   \
                                    GEMM_MR,                    \
                                    GEMM_NR,                    \
                                    0 GEMM_ROWS_P2(GEMM_COUNT), \
                                    0 GEMM_ROWS_P4(GEMM_COUNT), \
                                    gemm_tile,                  \
                                    gemm_act_tile,              \
                                    gemm_pack_transposed}

#endif
