/* winograd_f32__avx2: winograd_body.h on the words of simd/avx2.h. */
#include "kernels/simd/avx2.h"

#include "kernels/winograd/winograd_body.h"

WINO_VARIANT(winograd_f32__avx2, CPU_ISA_AVX2);
