#include "kernels/simd/avx2.h"

#include "kernels/attention/attention_body.h"
