/* gemm_f32__avx2_6x16: 6 rows by 2 vectors of 8: 12 sums, 2 vectors of B, 1 broadcast of A: 15 of 16 registers. */
#include "kernels/simd/avx2.h"

#define GEMM_MR 6
#define GEMM_V 2
#define GEMM_ROWS_ALL(X) GEMM_ROWS_6(X)
#define GEMM_ROWS_P2(X) X(1) X(2) X(3)
#define GEMM_ROWS_P4(X) X(1)
#include "kernels/gemm/tile_body.h"

GEMM_VARIANT(gemm_f32__avx2_6x16, CPU_ISA_AVX2);
