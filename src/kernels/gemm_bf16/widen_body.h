/* kernels/gemm_bf16/widen_body: the tile for instruction sets without bfloat16: pairs of k are taken apart by a shift
 * and a mask, which makes them float32, and A is kept as rounded float32. On the vector words, which the including file
 * has chosen; it defines GEMM_BF16_VARIANT, the row's name, and GEMM_BF16_ISA. */
#include "kernels/gemm_bf16/finish_body.h"

#include <string.h>

/* Sums in registers: rows by vectors. */
enum { WIDEN_ROWS = VF_REGISTERS >= 32 ? 8 : 4, WIDEN_VECTORS = 2 };

FINISH_INLINE void widen_block(const gemm_bf16_tile *t, const float *a, const uint16_t *b, float *sums) {
  vf acc[WIDEN_ROWS][WIDEN_VECTORS];
  const vi upper = vi_set1((int32_t)0xffff0000u);
  const int64_t s = t->a_stride;
  LOOP_UNROLL
  for (int r = 0; r < WIDEN_ROWS; r++) {
    LOOP_UNROLL
    for (int v = 0; v < WIDEN_VECTORS; v++) acc[r][v] = vf_zero();
  }
  for (int64_t i = 0; i < t->n_taps; i++) {
    const float *q = a + t->taps[i];
    for (int64_t k = 0; k < t->k_tap; k += 2, q += 2, b += 2 * GEMM_BF16_COLS) {
      vf even[WIDEN_VECTORS], odd[WIDEN_VECTORS];
      LOOP_UNROLL
      for (int v = 0; v < WIDEN_VECTORS; v++) {
        vi pair = vi_load((const int32_t *)(const void *)(b + 2 * v * VF_LANES));
        even[v] = vf_from_bits(vi_shl(pair, 16));
        odd[v] = vf_from_bits(vi_and(pair, upper));
      }
      LOOP_UNROLL
      for (int r = 0; r < WIDEN_ROWS; r++) {
        vf x = vf_set1(q[r * s]), y = vf_set1(q[r * s + 1]);
        LOOP_UNROLL
        for (int v = 0; v < WIDEN_VECTORS; v++) acc[r][v] = vf_fma(y, odd[v], vf_fma(x, even[v], acc[r][v]));
      }
    }
  }
  LOOP_UNROLL
  for (int r = 0; r < WIDEN_ROWS; r++) {
    LOOP_UNROLL
    for (int v = 0; v < WIDEN_VECTORS; v++) vf_store(sums + r * GEMM_BF16_COLS + v * VF_LANES, acc[r][v]);
  }
}

static void widen_tile(const gemm_bf16_tile *t, const kernel_epilogue *e) {
  float sums[GEMM_BF16_ROWS * GEMM_BF16_COLS] __attribute__((aligned(64)));
  const int step = WIDEN_VECTORS * VF_LANES;
  for (int c = 0; c < t->cols; c += step)
    for (int r = 0; r < t->rows; r += WIDEN_ROWS)
      widen_block(t, (const float *)t->a + r * t->a_stride, t->b + 2 * c, sums + r * GEMM_BF16_COLS + c);
  gemm_bf16_finish(t, e, sums);
}

/* Rounding by hand: half of the last place, and one less where the last bit that stays is even. NaN goes through. */
FINISH_INLINE vf widen_round(vf x) {
  vi u = vi_from_bits(x);
  vi bit = vi_and(vi_from_bits(vf_from_bits(vi_shr(u, 16))), vi_set1(1));
  vi y = vi_and(vi_add(u, vi_add(bit, vi_set1(0x7fff))), vi_set1((int32_t)0xffff0000u));
  return vf_select(vf_eq(x, x), vf_from_bits(y), x);
}

static void widen_convert(const float *x, int64_t n, int64_t n_all, void *to) {
  float *y = to;
  int64_t i = 0;
  for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, widen_round(vf_load(x + i)));
  if (i < n) vf_storen(y + i, widen_round(vf_loadn(x + i, n - i)), n - i);
  if (n_all > n) memset(y + n, 0, (size_t)(n_all - n) * sizeof *y);
}

static void widen_convert_runs(const float *x, int64_t x_stride, int64_t runs, int64_t n, int64_t n_all, void *to) {
  float *y = to;
  for (int64_t r = 0; r + 1 < runs; r++, x += x_stride, y += n) widen_convert(x, n, n, y);
  if (runs) widen_convert(x, n, n_all - (runs - 1) * n, y);
}

const gemm_bf16_variant GEMM_BF16_VARIANT;
const gemm_bf16_variant GEMM_BF16_VARIANT = {GEMM_BF16_NAME,    GEMM_BF16_ISA, 0,    2,          4,
                                             20000 / VF_LANES,  NULL,          NULL, widen_tile, widen_convert,
                                             widen_convert_runs};
