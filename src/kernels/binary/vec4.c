#include "kernels/simd/vec4.h"

#include "kernels/binary/binary_body.h"
