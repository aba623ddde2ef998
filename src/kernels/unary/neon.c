/* unary for NEON: see unary_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/unary/unary_body.h"
