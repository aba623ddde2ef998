/* thin_f32__avx2: thin_body.h on the words of simd/avx2.h, in the tile of gemm_f32__avx2_6x16. */
#include "kernels/simd/avx2.h"

#define THIN_MR 6
#define THIN_V 2
#define THIN_ROWS(X) THIN_ROWS_6(X)
#include "kernels/thin/thin_body.h"

THIN_VARIANT(thin_f32__avx2, CPU_ISA_AVX2);
