#include "kernels/simd/avx2.h"

#include "kernels/binary/binary_body.h"
