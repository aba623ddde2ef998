#include "kernels/simd/avx2.h"

#include "kernels/quantize/quantize_body.h"
