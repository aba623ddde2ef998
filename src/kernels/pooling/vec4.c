#include "kernels/simd/vec4.h"

#include "kernels/pooling/pooling_body.h"
