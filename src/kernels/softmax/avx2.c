#include "kernels/simd/avx2.h"

#include "kernels/softmax/softmax_body.h"
