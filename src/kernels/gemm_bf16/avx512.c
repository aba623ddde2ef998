#include "kernels/simd/avx512.h"

#define GEMM_BF16_VARIANT gemm_bf16__avx512
#define GEMM_BF16_NAME "gemm_bf16__avx512"
#define GEMM_BF16_ISA CPU_ISA_AVX512
#include "kernels/gemm_bf16/widen_body.h"
