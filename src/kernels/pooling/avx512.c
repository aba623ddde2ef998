/* pooling for AVX-512: see pooling_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/pooling/pooling_body.h"
