#include "kernels/simd/neon.h"

#include "kernels/rnn/rnn_body.h"
