#include "kernels/simd/avx512.h"

#include "kernels/quantize/quantize_body.h"
