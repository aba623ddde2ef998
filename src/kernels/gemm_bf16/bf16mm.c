/* gemm_bf16 for Arm with BFMMLA: a step multiplies two rows of 4 k by two columns. Sums are squares of 2 x 2; 8 rows
 * by 8 columns of them stay in registers. */
#include "kernels/simd/neon.h"

#include "kernels/gemm_bf16/finish_body.h"

enum { MM_ROWS = 8, MM_COLS = 8 };

FINISH_INLINE bfloat16x8_t mm_load(const uint16_t *p) { return vreinterpretq_bf16_u16(vld1q_u16(p)); }
FINISH_INLINE bfloat16x8_t mm_rows(const uint16_t *p, int64_t stride) {
  return vreinterpretq_bf16_u16(vcombine_u16(vld1_u16(p), vld1_u16(p + stride)));
}

static void mm_block(const gemm_bf16_tile *t, const uint16_t *a, const uint16_t *b, float *sums) {
  float32x4_t acc[MM_ROWS / 2][MM_COLS / 2];
  const int64_t s = t->a_stride;
  LOOP_UNROLL
  for (int r = 0; r < MM_ROWS / 2; r++) {
    LOOP_UNROLL
    for (int c = 0; c < MM_COLS / 2; c++) acc[r][c] = vdupq_n_f32(0);
  }
  for (int64_t i = 0; i < t->n_taps; i++) {
    const uint16_t *q = a + t->taps[i];
    for (int64_t k = 0; k < t->k_tap; k += 4, q += 4, b += 4 * GEMM_BF16_COLS) {
      bfloat16x8_t x[MM_ROWS / 2];
      LOOP_UNROLL
      for (int r = 0; r < MM_ROWS / 2; r++) x[r] = mm_rows(q + 2 * r * s, s);
      LOOP_UNROLL
      for (int c = 0; c < MM_COLS / 2; c++) {
        bfloat16x8_t y = mm_load(b + 8 * c);
        LOOP_UNROLL
        for (int r = 0; r < MM_ROWS / 2; r++) acc[r][c] = vbfmmlaq_f32(acc[r][c], x[r], y);
      }
    }
  }
  LOOP_UNROLL
  for (int r = 0; r < MM_ROWS / 2; r++) {
    LOOP_UNROLL
    for (int c = 0; c < MM_COLS / 2; c++) {
      vst1_f32(sums + 2 * r * GEMM_BF16_COLS + 2 * c, vget_low_f32(acc[r][c]));
      vst1_f32(sums + (2 * r + 1) * GEMM_BF16_COLS + 2 * c, vget_high_f32(acc[r][c]));
    }
  }
}

static void mm_tile(const gemm_bf16_tile *t, const kernel_epilogue *e) {
  float sums[GEMM_BF16_ROWS * GEMM_BF16_COLS] __attribute__((aligned(64)));
  for (int c = 0; c < t->cols; c += MM_COLS)
    for (int r = 0; r < t->rows; r += MM_ROWS)
      mm_block(t, (const uint16_t *)t->a + r * t->a_stride, t->b + 4 * c, sums + r * GEMM_BF16_COLS + c);
  gemm_bf16_finish(t, e, sums);
}

static void mm_convert(const float *x, int64_t n, int64_t n_all, void *to) {
  uint16_t *y = to;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    bfloat16x8_t low = vcvtq_low_bf16_f32(vld1q_f32(x + i));
    vst1q_u16(y + i, vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(low, vld1q_f32(x + i + 4))));
  }
  for (; i < n; i++) y[i] = bf16_round(x[i]);
  if (n_all > n) memset(y + n, 0, (size_t)(n_all - n) * sizeof *y);
}

static void mm_convert_runs(const float *x, int64_t x_stride, int64_t runs, int64_t n, int64_t n_all, void *to) {
  uint16_t *y = to;
  for (int64_t r = 0; r + 1 < runs; r++, x += x_stride, y += n) mm_convert(x, n, n, y);
  if (runs) mm_convert(x, n, n_all - (runs - 1) * n, y);
}

const gemm_bf16_variant gemm_bf16__bf16mm;
const gemm_bf16_variant gemm_bf16__bf16mm = {
    "gemm_bf16__bf16mm", CPU_ISA_NEON | CPU_ISA_NEON_BF16, 0, 4, 2, 2000, NULL, NULL, mm_tile, mm_convert,
    mm_convert_runs};
