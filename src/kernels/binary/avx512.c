#include "kernels/simd/avx512.h"

#include "kernels/binary/binary_body.h"
