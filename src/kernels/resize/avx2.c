/* resize for AVX2: see resize_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/resize/resize_body.h"
