#include "kernels/simd/neon.h"

#include "kernels/norm/norm_body.h"
