/* depthwise_f32__vec4: depthwise_body.h on the words of simd/vec4.h. */
#include "kernels/simd/vec4.h"

#include "kernels/depthwise/depthwise_body.h"

DW_VARIANT(depthwise_f32__vec4, CPU_ISA_NONE);
