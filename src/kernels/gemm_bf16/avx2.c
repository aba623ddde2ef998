#include "kernels/simd/avx2.h"

#define GEMM_BF16_VARIANT gemm_bf16__avx2
#define GEMM_BF16_NAME "gemm_bf16__avx2"
#define GEMM_BF16_ISA CPU_ISA_AVX2
#include "kernels/gemm_bf16/widen_body.h"
