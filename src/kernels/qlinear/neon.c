/* qlinear for NEON: see qlinear_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/qlinear/qlinear_body.h"
