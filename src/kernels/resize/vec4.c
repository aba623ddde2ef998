#include "kernels/simd/vec4.h"

#include "kernels/resize/resize_body.h"
