/* binary for the four plain lanes of every machine: see binary_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/binary/binary_body.h"
