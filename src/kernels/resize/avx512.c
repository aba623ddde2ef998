/* resize for AVX-512: see resize_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/resize/resize_body.h"
