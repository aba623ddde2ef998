/* rnn for AVX2: see rnn_body.h. */
#include "kernels/simd/avx2.h"

#include "kernels/rnn/rnn_body.h"
