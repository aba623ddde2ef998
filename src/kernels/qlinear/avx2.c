/* qlinear for AVX2: see qlinear_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/qlinear/qlinear_body.h"
