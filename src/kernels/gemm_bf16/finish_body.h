/* kernels/gemm_bf16/finish_body: the sums of a tile, [32][32], become rows of C: bias, residual, activation. On the
 * vector words, which the including file has chosen. */
#ifndef KERNELS_GEMM_BF16_FINISH_BODY_H
#define KERNELS_GEMM_BF16_FINISH_BODY_H

#include "kernels/gemm_bf16/tile.h"
#include "kernels/simd/act_body.h"

#define FINISH_INLINE static inline __attribute__((always_inline))
enum { FINISH_VECTORS = GEMM_BF16_COLS / VF_LANES };

/* Row by row c = clamp(sums + bias + residual); `late`: to the sums themselves, without the clamp. */
FINISH_INLINE void finish_rows(const gemm_bf16_tile *t, float *sums, float lo, float hi, const bool residual,
                               const bool full, const bool late) {
  const int vectors = full ? FINISH_VECTORS : (t->cols + VF_LANES - 1) / VF_LANES;
  const int64_t last = t->cols - (vectors - 1) * VF_LANES;
  float bias[GEMM_BF16_COLS] = {0};
  for (int i = 0; i < t->cols && t->bias; i++) bias[i] = t->bias[i];
  vf low = vf_set1(lo), high = vf_set1(hi);
  for (int r = 0; r < t->rows; r++) {
    float *row = sums + r * GEMM_BF16_COLS, *c = t->c + t->c_at[r];
    const float *add = residual ? t->residual + t->residual_at[r] : row;
    if (t->c_at[r] < 0) continue;
    for (int v = 0; v < vectors; v++) {
      const bool part = !full && v + 1 == vectors;
      vf x = vf_add(vf_load(row + v * VF_LANES), vf_load(bias + v * VF_LANES));
      if (residual) x = vf_add(x, part ? vf_loadn(add + v * VF_LANES, last) : vf_load(add + v * VF_LANES));
      if (late) {
        vf_store(row + v * VF_LANES, x);
        continue;
      }
      x = vf_min(high, vf_max(low, x));
      if (part)
        vf_storen(c + v * VF_LANES, x, last);
      else
        vf_store(c + v * VF_LANES, x);
    }
  }
}

/* What needs the sums twice: other activations, and residuals that come after one. */
static void finish_late(const gemm_bf16_tile *t, const kernel_epilogue *e, float *sums) {
  gemm_bf16_tile plain = *t;
  plain.bias = NULL;
  if (t->residual && !e->residual_after)
    finish_rows(t, sums, 0, 0, true, t->cols == GEMM_BF16_COLS, true);
  else
    finish_rows(t, sums, 0, 0, false, t->cols == GEMM_BF16_COLS, true);
  act_tile_body(e, t->rows, t->cols, sums, GEMM_BF16_COLS, NULL, 0);
  if (t->residual && e->residual_after)
    finish_rows(&plain, sums, -INFINITY, INFINITY, true, false, false);
  else
    finish_rows(&plain, sums, -INFINITY, INFINITY, false, false, false);
}

static inline void gemm_bf16_finish(const gemm_bf16_tile *t, const kernel_epilogue *e, float *sums) {
  float lo = kernel_epilogue_lo(e), hi = kernel_epilogue_hi(e);
  if (e->act > KERNEL_ACT_CLAMP || (e->residual_after && t->residual))
    finish_late(t, e, sums);
  else if (t->cols < GEMM_BF16_COLS)
    t->residual ? finish_rows(t, sums, lo, hi, true, false, false) : finish_rows(t, sums, lo, hi, false, false, false);
  else
    t->residual ? finish_rows(t, sums, lo, hi, true, true, false) : finish_rows(t, sums, lo, hi, false, true, false);
}

#endif
