/* winograd_f32__neon: winograd_body.h on the words of simd/neon.h. */
#include "kernels/simd/neon.h"

#include "kernels/winograd/winograd_body.h"

WINO_VARIANT(winograd_f32__neon, CPU_ISA_NEON);
