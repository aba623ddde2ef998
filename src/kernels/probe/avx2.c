#include "kernels/simd/avx2.h"

#define PROBE_NAME probe_f32__avx2
#include "kernels/probe/probe_body.h"
