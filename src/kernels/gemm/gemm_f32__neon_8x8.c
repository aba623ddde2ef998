/* gemm_f32__neon_8x8: 8 rows by 2 vectors of 4. On aarch64 16 sums, 2 vectors of B and 8 of A: 26 of 32 registers. Four
 * steps of k share one load of each row of A, whose elements multiply by lane: 64 vector multiply-adds for 16 loads, so
 * that an in-order core pairs every load with arithmetic. 32-bit Arm has 16 registers: tiles of 4 rows, 8 sums. */
#include "kernels/simd/neon.h"

#ifdef __aarch64__
#define GEMM_MR 8
#define GEMM_ROWS_ALL(X) GEMM_ROWS_8(X)
#define GEMM_ROWS_P2(X) GEMM_ROWS_4(X)
#define GEMM_ROWS_P4(X) X(1) X(2)
#define GEMM_FMA_LANE(c, b, a, j) vfmaq_laneq_f32(c, b, a, j)
#else
#define GEMM_MR 4
#define GEMM_ROWS_ALL(X) GEMM_ROWS_4(X)
#define GEMM_ROWS_P2(X) X(1) X(2)
#define GEMM_ROWS_P4(X) X(1)
#define GEMM_FMA_LANE(c, b, a, j) vfmaq_f32(c, b, vdupq_n_f32(vgetq_lane_f32(a, j)))
#endif
#define GEMM_V 2
#define GEMM_OWN_SUM
#include "kernels/gemm/tile_body.h"

#define GEMM_STEP(j)                                                                                              \
  GEMM_UNROLL for (int p = 0; p < P; p++) {                                                                       \
    GEMM_UNROLL for (int v = 0; v < V; v++) {                                                                     \
      vf bv = vf_load(b + (j)*b_stride + p * panel_stride + v * VF_LANES);                                        \
      GEMM_UNROLL for (int r = 0; r < R; r++) acc[r][p * V + v] = GEMM_FMA_LANE(acc[r][p * V + v], bv, av[r], j); \
    }                                                                                                             \
  }

GEMM_INLINE void gemm_tile_sum(const gemm_f32_tile *t, vf acc[GEMM_MR][GEMM_ACC], const int R, const int P,
                               const int V) {
  const int h = (R + 1) / 2;
  const float *b = t->b;
  int64_t panel_stride = t->panel_stride, b_stride = t->b_stride;
  for (int64_t i = 0; i < t->n_taps; i++) {
    const float *row[GEMM_MR];
    GEMM_UNROLL for (int r = 0; r < R; r++) row[r] =
        (r < h ? t->a0 + r * t->a_stride : t->a1 + (r - h) * t->a_stride) + t->taps[i];
    int64_t k = 0;
    for (; k + 4 <= t->k_tap; k += 4, b += 4 * b_stride) {
      vf av[GEMM_MR];
      GEMM_UNROLL for (int r = 0; r < R; r++) av[r] = vf_load(row[r] + k);
      GEMM_STEP(0)
      GEMM_STEP(1)
      GEMM_STEP(2)
      GEMM_STEP(3)
    }
    for (; k < t->k_tap; k++, b += b_stride) {
      vf av[GEMM_MR];
      GEMM_UNROLL for (int r = 0; r < R; r++) av[r] = vf_set1(row[r][k]);
      GEMM_STEP(0)
    }
  }
}

GEMM_VARIANT(gemm_f32__neon_8x8, CPU_ISA_NEON);
