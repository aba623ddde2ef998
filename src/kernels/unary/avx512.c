#include "kernels/simd/avx512.h"

#include "kernels/unary/unary_body.h"
