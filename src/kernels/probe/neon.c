#include "kernels/simd/neon.h"

#define PROBE_NAME probe_f32__neon
#include "kernels/probe/probe_body.h"
