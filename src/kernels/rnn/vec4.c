/* rnn for the four plain lanes of every machine: see rnn_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/rnn/rnn_body.h"
