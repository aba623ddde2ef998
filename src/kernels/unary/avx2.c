/* unary for AVX2: see unary_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/unary/unary_body.h"
