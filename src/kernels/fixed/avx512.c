/* fixed for AVX-512: see fixed_body.h. */
#define FIXED_NAME fixed__avx512
#include "kernels/fixed/fixed_body.h"
