/* quantize for AVX2: see quantize_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/quantize/quantize_body.h"
