/* rnn for AVX-512: see rnn_body.h. */
#include "kernels/simd/avx512.h"

#include "kernels/rnn/rnn_body.h"
