/* attention for NEON: see attention_body.h. */
#include "kernels/simd/neon.h"

#include "kernels/attention/attention_body.h"
