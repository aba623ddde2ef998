/* resize for NEON: see resize_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/resize/resize_body.h"
