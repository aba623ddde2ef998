/* pooling for AVX2: see pooling_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/pooling/pooling_body.h"
