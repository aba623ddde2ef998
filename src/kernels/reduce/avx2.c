#include "kernels/simd/avx2.h"

#include "kernels/reduce/reduce_body.h"
