/* gemm_f32__vec4_4x8: 4 rows by 2 vectors of 4, for every machine; on x86-64 this is the SSE2 floor. */
#include "kernels/simd/vec4.h"

#define GEMM_MR 4
#define GEMM_V 2
#define GEMM_ROWS_ALL(X) GEMM_ROWS_4(X)
#define GEMM_ROWS_P2(X) X(1) X(2)
#define GEMM_ROWS_P4(X) X(1)
#include "kernels/gemm/tile_body.h"

GEMM_VARIANT(gemm_f32__vec4_4x8, CPU_ISA_NONE);
