/* Every variant of fixed against the oracle: both types, factors of all sizes, ends of the range, lengths. The oracle's
 * roundings against real numbers. */
#include "kernels/fixed/fixed.h"

#include "kernel_test.h"

enum { MAX = 150, ROWS = 3 };

static void test_variants(void) {
  size_t n_variants;
  const fixed_variant *variants = fixed_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  int32_t sums[ROWS * MAX], bias[MAX], m[MAX], shift[MAX];
  uint8_t a[MAX], b[MAX], want[ROWS * MAX];
  for (int64_t n = 1; n < MAX; n += n < 40 ? 1 : 7)
    for (int form = 0; form < 4; form++) {
      bool is_signed = form & 1;
      fill_bytes(&r, sums, sizeof sums), fill_bytes(&r, bias, sizeof bias);
      fill_bytes(&r, a, sizeof a), fill_bytes(&r, b, sizeof b);
      for (int64_t i = 0; i < ROWS * n; i++) sums[i] >>= rng_u64(&r) % 31;
      for (int64_t i = 0; i < n; i++) bias[i] >>= 12;
      for (int64_t i = 0; i < n; i++)
        fixed_multiplier(ldexp(rng_uniform(&r), (int)(rng_u64(&r) % 36) - 33), &m[i], &shift[i]);
      int32_t low = is_signed ? -128 : 0;
      fixed_columns f = {form & 2 ? bias : NULL, m, shift, low + (int32_t)(rng_u64(&r) % 256), low, low + 255};
      if (form & 2) f.min += 20, f.max -= 30;
      fixed_sum s = {.a_zero = low + 77,
                     .b_zero = low + 3,
                     .left = 20,
                     .y_zero = low + 100,
                     .min = f.min,
                     .max = f.max,
                     .subtract = form & 2};
      fixed_multiplier(0.5, &s.a_m, &s.a_shift);
      fixed_multiplier(0.31 * rng_uniform(&r), &s.b_m, &s.b_shift);
      fixed_multiplier(2.7 * rng_uniform(&r) / (1 << 20), &s.y_m, &s.y_shift);
      for (size_t v = 0; v < n_variants; v++) {
        if (!can_run(variants[v].isa)) continue;
        const fixed_kernels *k = variants[v].kernels, *ref = &fixed__ref;
        guarded y = guarded_make((size_t)(ROWS * n), 1);
        ref->columns(sums, n, want, n, ROWS, n, &f);
        k->columns(sums, n, y.data, n, ROWS, n, &f);
        check_same("columns", y.data, want, (size_t)(ROWS * n));
        if (is_signed) {
          ref->add_i8(&s, (const int8_t *)a, (const int8_t *)b, (int8_t *)want, n);
          k->add_i8(&s, (const int8_t *)a, (const int8_t *)b, (int8_t *)y.data, n);
        } else {
          ref->add_u8(&s, a, b, want, n);
          k->add_u8(&s, a, b, y.data, n);
        }
        check_same("add", y.data, want, (size_t)n);
        guarded_free(&y, variants[v].name);
      }
    }
}

static void test_rounding(void) {
  rng r;
  rng_init(&r, 2);
  for (int i = 0; i < 20000; i++) {
    double factor = ldexp(0.5 + rng_uniform(&r) / 2, (int)(rng_u64(&r) % 20) - 15);
    int32_t m, shift, x = (int32_t)rng_u64(&r) >> (8 + rng_u64(&r) % 20);
    fixed_multiplier(factor, &m, &shift);
    if (fabs(x * factor) > 1e9) continue;
    double want = x * factor, got = fixed_apply(x, m, shift);
    if (fabs(got - want) > 0.76 + fabs(want) * 1e-9) /* the first rounding is of at most half, then halved */
      TEST_FAIL("%d * %g is %g, not %g", x, factor, got, want);
  }
  CHECK_INT(fixed_shift_right(3, 1), 2); /* ties go away from zero */
  CHECK_INT(fixed_shift_right(-3, 1), -2);
  CHECK_INT(fixed_shift_right(-1, 1), -1);
  CHECK_INT(fixed_high_mul(INT32_MIN, INT32_MIN), INT32_MAX);
  int32_t m, shift;
  fixed_multiplier(0, &m, &shift);
  CHECK_INT(m, 0);
  fixed_multiplier(1, &m, &shift);
  CHECK_INT(fixed_apply(-12345, m, shift), -12345);
}

TEST_MAIN({"variants", test_variants}, {"rounding", test_rounding})
