/* thin_f32__avx512: thin_body.h on the words of simd/avx512.h, in the tile of gemm_f32__avx512_14x32. */
#include "kernels/simd/avx512.h"

#define THIN_MR 14
#define THIN_V 2
#define THIN_ROWS(X) THIN_ROWS_14(X)
#include "kernels/thin/thin_body.h"

THIN_VARIANT(thin_f32__avx512, CPU_ISA_AVX512);
