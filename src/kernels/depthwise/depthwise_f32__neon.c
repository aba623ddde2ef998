/* depthwise_f32__neon: depthwise_body.h on the words of simd/neon.h. */
#include "kernels/simd/neon.h"

#include "kernels/depthwise/depthwise_body.h"

DW_VARIANT(depthwise_f32__neon, CPU_ISA_NEON);
