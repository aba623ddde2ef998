/* softmax for NEON: see softmax_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/softmax/softmax_body.h"
