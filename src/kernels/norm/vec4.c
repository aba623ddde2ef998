/* norm for the four plain lanes of every machine: see norm_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/norm/norm_body.h"
