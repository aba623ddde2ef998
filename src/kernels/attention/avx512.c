#include "kernels/simd/avx512.h"

#include "kernels/attention/attention_body.h"
