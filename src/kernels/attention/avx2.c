/* attention for AVX2: see attention_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/attention/attention_body.h"
