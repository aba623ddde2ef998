/* unary for the four plain lanes of every machine: see unary_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/unary/unary_body.h"
