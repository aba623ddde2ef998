/* qlinear for AVX-512: see qlinear_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/qlinear/qlinear_body.h"
