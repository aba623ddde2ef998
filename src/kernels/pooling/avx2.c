#include "kernels/simd/avx2.h"

#include "kernels/pooling/pooling_body.h"
