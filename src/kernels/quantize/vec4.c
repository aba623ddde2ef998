#include "kernels/simd/vec4.h"

#include "kernels/quantize/quantize_body.h"
