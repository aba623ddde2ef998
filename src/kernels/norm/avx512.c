#include "kernels/simd/avx512.h"

#include "kernels/norm/norm_body.h"
