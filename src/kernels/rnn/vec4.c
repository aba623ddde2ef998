#include "kernels/simd/vec4.h"

#include "kernels/rnn/rnn_body.h"
