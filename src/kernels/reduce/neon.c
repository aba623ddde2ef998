#include "kernels/simd/neon.h"

#include "kernels/reduce/reduce_body.h"
