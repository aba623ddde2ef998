/* thin_f32__vec4: thin_body.h on the words of simd/vec4.h, in the tile of gemm_f32__vec4_4x8. */
#include "kernels/simd/vec4.h"

#define THIN_MR 4
#define THIN_V 2
#define THIN_ROWS(X) THIN_ROWS_4(X)
#include "kernels/thin/thin_body.h"

THIN_VARIANT(thin_f32__vec4, CPU_ISA_NONE);
