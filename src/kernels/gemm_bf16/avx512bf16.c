/* gemm_bf16 with VDPBF16PS: 8 rows by 2 vectors of 16 sums; a step adds two products of each. AMD's cores do
 * two a cycle; Intel's (which have AVX-512 FP16 too) one in two, half of what float32 reaches. */
#include "kernels/simd/avx512.h"

#include "kernels/gemm_bf16/bf16_convert.h"
#include "kernels/gemm_bf16/finish_body.h"

enum { PAIR_ROWS = 8 };

FINISH_INLINE __m512bh pair_load(const void *p) {
  __m512bh h;
  memcpy(&h, p, sizeof h);
  return h;
}
FINISH_INLINE __m512bh pair_of(const uint16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  __m512i all = _mm512_set1_epi32(pair);
  return pair_load(&all);
}

static void pair_block(const gemm_bf16_tile *t, const uint16_t *a, float *sums) {
  __m512 acc[PAIR_ROWS][2];
  const int64_t s = t->a_stride;
  const uint16_t *b = t->b;
  LOOP_UNROLL
  for (int r = 0; r < PAIR_ROWS; r++) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
  for (int64_t i = 0; i < t->n_taps; i++) {
    const uint16_t *q = a + t->taps[i];
    for (int64_t k = 0; k < t->k_tap; k += 2, q += 2, b += 2 * GEMM_BF16_COLS) {
      __m512bh b0 = pair_load(b), b1 = pair_load(b + 32);
      __builtin_prefetch(b + 1024);
      __builtin_prefetch(b + 1024 + 32);
      LOOP_UNROLL
      for (int r = 0; r < PAIR_ROWS; r++) {
        __m512bh x = pair_of(q + r * s);
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], x, b0);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], x, b1);
      }
    }
  }
  LOOP_UNROLL
  for (int r = 0; r < PAIR_ROWS; r++) {
    vf_store(sums + r * GEMM_BF16_COLS, acc[r][0]);
    vf_store(sums + r * GEMM_BF16_COLS + 16, acc[r][1]);
  }
}

static void pair_tile(const gemm_bf16_tile *t, const kernel_epilogue *e) {
  float sums[GEMM_BF16_ROWS * GEMM_BF16_COLS] __attribute__((aligned(64)));
  for (int r = 0; r < t->rows; r += PAIR_ROWS)
    pair_block(t, (const uint16_t *)t->a + r * t->a_stride, sums + r * GEMM_BF16_COLS);
  gemm_bf16_finish(t, e, sums);
}

const gemm_bf16_variant gemm_bf16__avx512bf16;
const gemm_bf16_variant gemm_bf16__avx512bf16 = {"gemm_bf16__avx512bf16",
                                                 CPU_ISA_AVX512 | CPU_ISA_AVX512BF16,
                                                 CPU_ISA_AVX512FP16,
                                                 2,
                                                 2,
                                                 1000,
                                                 NULL,
                                                 NULL,
                                                 pair_tile,
                                                 bf16_convert,
                                                 bf16_convert_runs};
