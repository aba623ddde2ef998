/* attention for AVX-512: see attention_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/attention/attention_body.h"
