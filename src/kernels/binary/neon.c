/* binary for NEON: see binary_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/binary/binary_body.h"
