/* reduce for NEON: see reduce_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/reduce/reduce_body.h"
