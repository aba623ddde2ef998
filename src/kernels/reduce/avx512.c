/* reduce for AVX-512: see reduce_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/reduce/reduce_body.h"
