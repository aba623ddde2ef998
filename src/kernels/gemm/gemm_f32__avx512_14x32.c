/* gemm_f32__avx512_14x32: 14 rows by 2 vectors of 16: 28 sums, 2 vectors of B, 1 broadcast of A: 31 of 32 registers.
 * A row of k costs 16 loads for 28 multiply-adds, so that the two FMA ports are the limit and not the two load ports.
 */
#include "kernels/simd/avx512.h"

#define GEMM_MR 14
#define GEMM_V 2
#define GEMM_ROWS_ALL(X) GEMM_ROWS_14(X)
#define GEMM_ROWS_P2(X) GEMM_ROWS_6(X)
#define GEMM_ROWS_P4(X) X(1) X(2) X(3)
#include "kernels/gemm/tile_body.h"

GEMM_VARIANT(gemm_f32__avx512_14x32, CPU_ISA_AVX512);
