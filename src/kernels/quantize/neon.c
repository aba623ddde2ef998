#include "kernels/simd/neon.h"

#include "kernels/quantize/quantize_body.h"
