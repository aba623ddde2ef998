#include "kernels/simd/avx512.h"

#define PROBE_NAME probe_f32__avx512
#include "kernels/probe/probe_body.h"
