#include "kernels/simd/neon.h"

#include "kernels/pooling/pooling_body.h"
