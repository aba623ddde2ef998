#include "kernels/simd/vec4.h"

#include "kernels/softmax/softmax_body.h"
