/* quantize for the four plain lanes of every machine: see quantize_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/quantize/quantize_body.h"
