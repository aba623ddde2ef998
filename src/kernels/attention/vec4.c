/* attention for the four plain lanes of every machine: see attention_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/attention/attention_body.h"
