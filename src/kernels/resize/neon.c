#include "kernels/simd/neon.h"

#include "kernels/resize/resize_body.h"
