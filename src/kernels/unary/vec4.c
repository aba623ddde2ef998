#include "kernels/simd/vec4.h"

#include "kernels/unary/unary_body.h"
