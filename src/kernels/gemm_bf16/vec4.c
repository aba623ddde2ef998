#include "kernels/simd/vec4.h"

#define GEMM_BF16_VARIANT gemm_bf16__vec4
#define GEMM_BF16_NAME "gemm_bf16__vec4"
#define GEMM_BF16_ISA CPU_ISA_NONE
#include "kernels/gemm_bf16/widen_body.h"
