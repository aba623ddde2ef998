#include "kernels/simd/avx2.h"

#include "kernels/resize/resize_body.h"
