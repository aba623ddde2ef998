#include "kernels/simd/avx2.h"

#include "kernels/unary/unary_body.h"
