/* softmax for the four plain lanes of every machine: see softmax_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/softmax/softmax_body.h"
