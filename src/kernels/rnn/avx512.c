#include "kernels/simd/avx512.h"

#include "kernels/rnn/rnn_body.h"
