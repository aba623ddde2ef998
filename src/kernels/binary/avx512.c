/* binary for AVX-512: see binary_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/binary/binary_body.h"
