/* convert's body for bfloat16: plain loops that the compiler turns into the vectors of whichever ISA the file is built
 * for. f16 is each file's own. */
#include "kernels/convert/convert.h"

#include <string.h>

#define CONVERT_INLINE static inline __attribute__((always_inline))

CONVERT_INLINE uint32_t bits_of(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return u;
}
CONVERT_INLINE float float_of(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

static void bf16_to_f32(const uint16_t *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = float_of((uint32_t)x[i] << 16);
}

/* Half of the last place less its own bit makes ties even; NaN, which that could carry to infinity, becomes quiet. */
static void f32_to_bf16(const float *x, uint16_t *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t u = bits_of(x[i]), rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16, quiet = (u >> 16) | 0x40;
    y[i] = (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
  }
}
