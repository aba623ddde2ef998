/* winograd_f32__avx512: winograd_body.h on the words of simd/avx512.h. */
#include "kernels/simd/avx512.h"

#include "kernels/winograd/winograd_body.h"

WINO_VARIANT(winograd_f32__avx512, CPU_ISA_AVX512);
