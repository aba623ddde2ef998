#include "kernels/simd/avx2.h"

#include "kernels/rnn/rnn_body.h"
