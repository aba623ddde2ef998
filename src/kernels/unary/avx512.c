/* unary for AVX-512: see unary_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/unary/unary_body.h"
