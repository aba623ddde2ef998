/* rnn for NEON: see rnn_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/rnn/rnn_body.h"
