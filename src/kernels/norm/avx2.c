/* norm for AVX2: see norm_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/norm/norm_body.h"
