/* binary for AVX2: see binary_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/binary/binary_body.h"
