#include "kernels/simd/avx512.h"

#include "kernels/softmax/softmax_body.h"
