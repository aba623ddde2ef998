#include "kernels/simd/avx512.h"

#include "kernels/pooling/pooling_body.h"
