/* winograd_f32__vec4: winograd_body.h on the words of simd/vec4.h. */
#include "kernels/simd/vec4.h"

#include "kernels/winograd/winograd_body.h"

WINO_VARIANT(winograd_f32__vec4, CPU_ISA_NONE);
