/* depthwise_f32__avx2: depthwise_body.h on the words of simd/avx2.h. */
#include "kernels/simd/avx2.h"

#include "kernels/depthwise/depthwise_body.h"

DW_VARIANT(depthwise_f32__avx2, CPU_ISA_AVX2);
