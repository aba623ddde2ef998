/* fixed for AVX2: see fixed_body.h. */
#define FIXED_NAME fixed__avx2
#include "kernels/fixed/fixed_body.h"
