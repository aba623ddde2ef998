/* qlinear for the four plain lanes of every machine: see qlinear_body.h. */
#include "kernels/simd/vec4.h"

#define QLINEAR_ADD qlinear_add_ref
#include "kernels/qlinear/qlinear_body.h"
