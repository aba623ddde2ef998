/* norm for AVX-512: see norm_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/norm/norm_body.h"
