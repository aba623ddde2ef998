/* quantize for NEON: see quantize_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/quantize/quantize_body.h"
