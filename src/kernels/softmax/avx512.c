/* softmax for AVX-512: see softmax_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/softmax/softmax_body.h"
