/* quantize for AVX-512: see quantize_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/quantize/quantize_body.h"
