#include "kernels/simd/neon.h"

#define GEMM_BF16_VARIANT gemm_bf16__neon
#define GEMM_BF16_NAME "gemm_bf16__neon"
#define GEMM_BF16_ISA CPU_ISA_NEON
#include "kernels/gemm_bf16/widen_body.h"
