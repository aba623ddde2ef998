#include "kernels/simd/neon.h"

#include "kernels/unary/unary_body.h"
