/* pooling for NEON: see pooling_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/pooling/pooling_body.h"
