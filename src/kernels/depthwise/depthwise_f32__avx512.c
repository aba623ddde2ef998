/* depthwise_f32__avx512: depthwise_body.h on the words of simd/avx512.h. */
#include "kernels/simd/avx512.h"

#include "kernels/depthwise/depthwise_body.h"

DW_VARIANT(depthwise_f32__avx512, CPU_ISA_AVX512);
