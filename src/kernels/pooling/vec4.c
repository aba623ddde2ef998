/* pooling for the four plain lanes of every machine: see pooling_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/pooling/pooling_body.h"
