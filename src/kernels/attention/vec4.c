#include "kernels/simd/vec4.h"

#include "kernels/attention/attention_body.h"
