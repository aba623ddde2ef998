/* kernels/fixed: TensorFlow Lite's fixed-point arithmetic (gemmlowp's, Jacob et al., 2017, arXiv:1712.05877,
 * section 2.2): a real factor becomes m * 2^(shift - 31) with a 32-bit m, and a product by it is rounded twice:
 *
 *   high = round(x * 2^left * m / 2^31), ties up       y = round(high / 2^right), ties away from zero
 *
 * left = max(shift, 0), right = max(-shift, 0). Results are the same to the bit on every machine.
 * Aliasing: y may be a or b of an addition exactly; else none is allowed. */
#ifndef KERNELS_FIXED_H
#define KERNELS_FIXED_H

#include "base/pool.h"
#include "kernels/variant.h"

#include <stddef.h>
#include <stdint.h>

/* m in [2^30, 2^31), shift in [-31, 30]; a factor too small for that is 0. */
void fixed_multiplier(double factor, int32_t *ret_m, int32_t *ret_shift);

static inline int32_t fixed_high_mul(int32_t a, int32_t b) {
  if (a == b && a == INT32_MIN) return INT32_MAX;
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
/* x / 2^by, rounded; by in [0, 31]. */
static inline int32_t fixed_shift_right(int32_t x, int by) {
  uint32_t mask = (1u << by) - 1u, rest = (uint32_t)x & mask;
  return (x >> by) + (rest > (mask >> 1) + (x < 0));
}
static inline int32_t fixed_apply(int32_t x, int32_t m, int32_t shift) {
  int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
  return fixed_shift_right(fixed_high_mul((int32_t)((uint32_t)x << left), m), right);
}
/* The same of a wide sum, with 16 bits of m and one rounding: |x| < 2^47, shift in [-31, 7]. */
static inline int32_t fixed_apply_wide(int64_t x, int32_t m, int32_t shift) {
  int64_t factor = m < 0x7FFF0000 ? (m + (1 << 15)) >> 16 : 0x7FFF;
  int by = 15 - shift;
  return (int32_t)((x * factor + ((int64_t)1 << (by - 1))) >> by);
}

/* What becomes of sums, by column. */
typedef struct fixed_columns {
  const int32_t *bias;      /* or NULL */
  const int32_t *m, *shift; /* a column each */
  int32_t zero, min, max;   /* of the result: zero is added, then it is held within [min, max] */
} fixed_columns;

/* y = clamp(((a - a_zero) 2^left a_m + (+-)(b - b_zero) 2^left b_m) y_m + y_zero) */
typedef struct fixed_sum {
  int32_t a_zero, a_m, a_shift, b_zero, b_m, b_shift, left, y_zero, y_m, y_shift, min, max;
  bool subtract;
} fixed_sum;

typedef struct fixed_kernels {
  /* rows x c sums of int32 to bytes (u8 or i8: the same bits, as min and max say). */
  void (*columns)(const int32_t *sums, int64_t sums_row, uint8_t *y, int64_t y_row, int64_t rows, int64_t c,
                  const fixed_columns *f);
  void (*add_u8)(const fixed_sum *f, const uint8_t *a, const uint8_t *b, uint8_t *y, int64_t n);
  void (*add_i8)(const fixed_sum *f, const int8_t *a, const int8_t *b, int8_t *y, int64_t n);
} fixed_kernels;
KERNEL_VARIANTS_DECLARE(fixed);
extern const fixed_kernels fixed__ref;

void fixed_requantize(const int32_t *sums, int64_t sums_row, void *y, int64_t y_row, int64_t rows, int64_t c,
                      const fixed_columns *f);
void fixed_add(const fixed_sum *f, const void *a, const void *b, void *y, int64_t n, bool is_signed, pool *p);
/* One element of it. */
static inline int32_t fixed_sum_apply(const fixed_sum *f, int32_t a, int32_t b) {
  int32_t x = fixed_apply((int32_t)((uint32_t)(a - f->a_zero) << f->left), f->a_m, f->a_shift),
          y = fixed_apply((int32_t)((uint32_t)(b - f->b_zero) << f->left), f->b_m, f->b_shift);
  int32_t v = fixed_apply(f->subtract ? x - y : x + y, f->y_m, f->y_shift) + f->y_zero;
  return v < f->min ? f->min : v > f->max ? f->max : v;
}

#endif
