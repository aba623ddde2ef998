#include "kernels/simd/avx512.h"

#include "kernels/reduce/reduce_body.h"
