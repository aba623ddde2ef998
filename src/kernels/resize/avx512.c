#include "kernels/simd/avx512.h"

#include "kernels/resize/resize_body.h"
