/* fixed: the oracle, an element at a time. */
#include "kernels/fixed/fixed.h"

#include <math.h>

void fixed_multiplier(double factor, int32_t *ret_m, int32_t *ret_shift) {
  int shift = 0;
  *ret_m = *ret_shift = 0;
  if (!(factor > 0)) return;
  double part = frexp(factor, &shift);
  int64_t m = (int64_t)round(part * (double)(1ll << 31));
  if (m == 1ll << 31) m /= 2, shift++;
  if (shift < -31) return;
  if (shift > 30) shift = 30, m = INT32_MAX;
  *ret_m = (int32_t)m;
  *ret_shift = shift;
}

static void columns(const int32_t *sums, int64_t sums_row, uint8_t *y, int64_t y_row, int64_t rows, int64_t c,
                    const fixed_columns *f) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < c; j++) {
      uint32_t sum = (uint32_t)sums[i * sums_row + j] + (f->bias ? (uint32_t)f->bias[j] : 0);
      int64_t v = (int64_t)fixed_apply((int32_t)sum, f->m[j], f->shift[j]) + f->zero;
      y[i * y_row + j] = (uint8_t)(v < f->min ? f->min : v > f->max ? f->max : v);
    }
}

static void add_u8(const fixed_sum *f, const uint8_t *a, const uint8_t *b, uint8_t *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = (uint8_t)fixed_sum_apply(f, a[i], b[i]);
}

static void add_i8(const fixed_sum *f, const int8_t *a, const int8_t *b, int8_t *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = (int8_t)fixed_sum_apply(f, a[i], b[i]);
}

const fixed_kernels fixed__ref = {columns, add_u8, add_i8};
