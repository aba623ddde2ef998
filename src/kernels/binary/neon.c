#include "kernels/simd/neon.h"

#include "kernels/binary/binary_body.h"
