/* qlinear for the four plain lanes of every machine: see qlinear_body.h. */
#include "kernels/simd/vec4.h"

#include "kernels/qlinear/qlinear_body.h"
