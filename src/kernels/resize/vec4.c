/* resize for the four plain lanes of every machine: see resize_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/resize/resize_body.h"
