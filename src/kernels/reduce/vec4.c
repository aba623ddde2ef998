#include "kernels/simd/vec4.h"

#include "kernels/reduce/reduce_body.h"
