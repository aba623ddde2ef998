/* norm for NEON: see norm_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/norm/norm_body.h"
