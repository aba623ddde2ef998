#include "kernels/simd/neon.h"

#include "kernels/attention/attention_body.h"
