/* fixed: the loops of every instruction set, left to the compiler: it has products of 32 bits into 64 and shifts by
 * lanes. The including file names the result, FIXED_NAME, and
 * may have a `columns` of its own. */
#include "base/compiler.h"
#include "kernels/fixed/fixed.h"

static inline int32_t apply(int32_t x, int32_t m, int32_t left, int32_t right) {
  int64_t wide = (int64_t)(int32_t)((uint32_t)x << left) * m;
  int32_t high = (int32_t)(uint32_t)((uint64_t)(wide + (1 << 30)) >> 31);
  int32_t mask = (int32_t)((1u << right) - 1u), rest = high & mask;
  return (high >> right) + (rest > (mask >> 1) + (high < 0));
}

#ifndef FIXED_OWN_COLUMNS
enum { STRETCH = 64 };

static void columns(const int32_t *sums, int64_t sums_row, uint8_t *y, int64_t y_row, int64_t rows, int64_t c,
                    const fixed_columns *f) {
  for (int64_t at = 0; at < c; at += STRETCH) {
    int32_t m[STRETCH], left[STRETCH], right[STRETCH], bias[STRETCH];
    int n = (int)(c - at < STRETCH ? c - at : STRETCH);
    for (int j = 0; j < n; j++) {
      int32_t shift = f->shift[at + j];
      m[j] = f->m[at + j];
      left[j] = shift > 0 ? shift : 0, right[j] = shift > 0 ? 0 : -shift;
      bias[j] = f->bias ? f->bias[at + j] : 0;
    }
    const int32_t zero = f->zero, least = f->min, most = f->max;
    for (int64_t i = 0; i < rows; i++) {
      const int32_t *from = sums + i * sums_row + at;
      uint8_t *to = y + i * y_row + at;
      LOOP_INDEPENDENT
      for (int j = 0; j < n; j++) {
        int32_t v = apply((int32_t)((uint32_t)from[j] + (uint32_t)bias[j]), m[j], left[j], right[j]);
        /* within [min - zero, max - zero] first: adding zero cannot overflow then */
        v = v < least - zero ? least - zero : v;
        v = v > most - zero ? most - zero : v;
        to[j] = (uint8_t)(v + zero);
      }
    }
  }
}
#endif

#define ADD(NAME, TYPE)                                                                            \
  static void NAME(const fixed_sum *f, const TYPE *a, const TYPE *b, TYPE *y, int64_t n) {         \
    const fixed_sum s = *f;                                                                        \
    const int32_t sign = s.subtract ? -1 : 1;                                                      \
    const int32_t al = s.a_shift > 0 ? s.a_shift : 0, ar = s.a_shift > 0 ? 0 : -s.a_shift;         \
    const int32_t bl = s.b_shift > 0 ? s.b_shift : 0, br = s.b_shift > 0 ? 0 : -s.b_shift;         \
    const int32_t yl = s.y_shift > 0 ? s.y_shift : 0, yr = s.y_shift > 0 ? 0 : -s.y_shift;         \
    LOOP_INDEPENDENT                                                                               \
    for (int64_t i = 0; i < n; i++) {                                                              \
      int32_t p = apply((int32_t)((uint32_t)((int32_t)a[i] - s.a_zero) << s.left), s.a_m, al, ar); \
      int32_t q = apply((int32_t)((uint32_t)((int32_t)b[i] - s.b_zero) << s.left), s.b_m, bl, br); \
      int32_t v = apply(p + sign * q, s.y_m, yl, yr) + s.y_zero;                                   \
      v = v < s.min ? s.min : v;                                                                   \
      v = v > s.max ? s.max : v;                                                                   \
      y[i] = (TYPE)v;                                                                              \
    }                                                                                              \
  }
ADD(add_u8, uint8_t)
ADD(add_i8, int8_t)

const fixed_kernels FIXED_NAME = {columns, add_u8, add_i8};
