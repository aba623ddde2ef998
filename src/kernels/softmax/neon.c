#include "kernels/simd/neon.h"

#include "kernels/softmax/softmax_body.h"
