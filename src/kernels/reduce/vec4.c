/* reduce for the four plain lanes of every machine: see reduce_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/reduce/reduce_body.h"
