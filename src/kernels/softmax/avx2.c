/* softmax for AVX2: see softmax_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/softmax/softmax_body.h"
