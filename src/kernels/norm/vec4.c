#include "kernels/simd/vec4.h"

#include "kernels/norm/norm_body.h"
