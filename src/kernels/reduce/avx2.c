/* reduce for AVX2: see reduce_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/reduce/reduce_body.h"
