/* kernels/simd/stride: rows that stand s floats apart, by the addresses that x86 and Arm add up in a load. */
#ifndef KERNELS_SIMD_STRIDE_H
#define KERNELS_SIMD_STRIDE_H

#include "base/compiler.h"

#include <stdint.h>

/* Row i of 0 to 7; s3, s5, s7: 3 s, 5 s, 7 s. */
INLINE_BODY const float *stride_row(const float *base, int i, int64_t s, int64_t s3, int64_t s5, int64_t s7) {
  switch (i) {
    case 0: return base;
    case 1: return base + s;
    case 2: return base + 2 * s;
    case 3: return base + s3;
    case 4: return base + 4 * s;
    case 5: return base + s5;
    case 6: return base + 2 * s3;
    default: return base + s7;
  }
}

/* Keeps the compiler from turning the few shared pointers into one counter a row, which would not fit in registers. */
#define STRIDE_HIDE(p) __asm__("" : "+r"(p))

#endif
