/* The transforms against the sum that defines them, in double, for every length to 130 and odd large ones. */
#include "media/fft.h"

#include "base/mem.h"
#include "base/rng.h"
#include "test.h"

static const int64_t large[] = {243, 256, 360, 400, 401, 512, 625, 1001, 1024, 1155, 2048, 2187};

/* X[k] = sum x[j] exp(-2 pi i sign j k / n), the angle reduced in integers. */
static void plain(int64_t n, double sign, const double *x, double *X) {
  static double c[4096], s[4096];
  for (int64_t k = 0; k < n; k++) {
    c[k] = cos(2 * M_PI * (double)k / (double)n);
    s[k] = -sign * sin(2 * M_PI * (double)k / (double)n);
  }
  for (int64_t k = 0; k < n; k++) {
    double re = 0, im = 0;
    for (int64_t j = 0, at = 0; j < n; j++, at = (at + k) % n) {
      re += x[2 * j] * c[at] - x[2 * j + 1] * s[at];
      im += x[2 * j] * s[at] + x[2 * j + 1] * c[at];
    }
    X[2 * k] = re, X[2 * k + 1] = im;
  }
}

static double worst(int64_t n, const double *a, const double *b) {
  double w = 0, top = 1e-300;
  for (int64_t i = 0; i < n; i++) {
    if (!(fabs(a[i] - b[i]) <= w)) w = fabs(a[i] - b[i]);
    if (fabs(b[i]) > top) top = fabs(b[i]);
  }
  return w / top;
}

static double *random_numbers(rng *r, int64_t n) {
  double *x = mem_alloc_array((size_t)n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = rng_normal(r);
  return x;
}

static void check_f64(int64_t n, rng *r) {
  fft_plan *plan = NULL;
  CHECK_INT(fft_plan_create(n, LEDGE_F64, &plan, NULL), LEDGE_OK);
  double *x = random_numbers(r, 2 * n), *want = random_numbers(r, 2 * n), *got = random_numbers(r, 2 * n + 2);
  double *back = random_numbers(r, 2 * n), *reals = random_numbers(r, n);
  void *scratch = mem_alloc(fft_plan_scratch_bytes(plan));
  plain(n, 1, x, want);
  fft_complex_f64(plan, false, x, got, scratch);
  if (worst(2 * n, got, want) > 1e-13) TEST_FAIL("n %lld forward is off by %g", (long long)n, worst(2 * n, got, want));
  plain(n, -1, x, want);
  memcpy(got, x, (size_t)(2 * n) * sizeof *x);
  fft_complex_f64(plan, true, got, got, scratch); /* in place */
  if (worst(2 * n, got, want) > 1e-13) TEST_FAIL("n %lld inverse is off by %g", (long long)n, worst(2 * n, got, want));
  for (int64_t i = 0; i < n; i++) x[2 * i] = reals[i], x[2 * i + 1] = 0;
  plain(n, 1, x, want);
  fft_real_f64(plan, reals, got, scratch);
  if (worst(2 * (n / 2 + 1), got, want) > 1e-13) TEST_FAIL("n %lld real is off", (long long)n);
  fft_real_inverse_f64(plan, got, back, scratch);
  for (int64_t i = 0; i < n; i++) back[i] /= (double)n;
  if (worst(n, back, reals) > 1e-13) TEST_FAIL("n %lld real does not come back", (long long)n);
  mem_free(x), mem_free(want), mem_free(got), mem_free(back), mem_free(reals), mem_free(scratch);
  fft_plan_destroy(plan);
}

static void check_f32(int64_t n, rng *r) {
  fft_plan *plan = NULL;
  CHECK_INT(fft_plan_create(n, LEDGE_F32, &plan, NULL), LEDGE_OK);
  double *x = random_numbers(r, 2 * n), *want = random_numbers(r, 2 * n), *wide = random_numbers(r, 2 * n + 2);
  float *f = mem_alloc_array((size_t)(2 * n + 2), sizeof *f), *g = mem_alloc_array((size_t)(2 * n + 2), sizeof *g);
  void *scratch = mem_alloc(fft_plan_scratch_bytes(plan));
  plain(n, 1, x, want);
  for (int64_t i = 0; i < 2 * n; i++) f[i] = (float)x[i];
  fft_complex_f32(plan, false, f, g, scratch);
  for (int64_t i = 0; i < 2 * n; i++) wide[i] = g[i];
  if (worst(2 * n, wide, want) > 2e-6) TEST_FAIL("n %lld f32 is off by %g", (long long)n, worst(2 * n, wide, want));
  fft_real_f32(plan, f, g, scratch);
  for (int64_t i = 0; i < n; i++) x[2 * i] = f[i], x[2 * i + 1] = 0;
  plain(n, 1, x, want);
  for (int64_t i = 0; i < 2 * (n / 2 + 1); i++) wide[i] = g[i];
  if (worst(2 * (n / 2 + 1), wide, want) > 2e-6) TEST_FAIL("n %lld real f32 is off", (long long)n);
  mem_free(x), mem_free(want), mem_free(wide), mem_free(f), mem_free(g), mem_free(scratch);
  fft_plan_destroy(plan);
}

static void test_lengths(void) {
  rng r;
  rng_init(&r, 1);
  for (int64_t n = 1; n <= 130; n++) check_f64(n, &r), check_f32(n, &r);
  for (size_t i = 0; i < sizeof large / sizeof *large; i++) check_f64(large[i], &r), check_f32(large[i], &r);
}

static void test_limits(void) {
  fft_plan *plan = NULL;
  ledge_error error;
  CHECK_INT(fft_plan_create(0, LEDGE_F32, &plan, &error), LEDGE_ERROR_ARGUMENT);
  CHECK_INT(fft_plan_create(8, LEDGE_I32, &plan, &error), LEDGE_ERROR_ARGUMENT);
  CHECK_INT(fft_plan_create(FFT_LENGTH_MAX + 1, LEDGE_F32, &plan, &error), LEDGE_ERROR_LIMIT);
  CHECK(plan == NULL);
}

static void test_memory(void) { /* each allocation of a plan fails in turn: an error, and nothing left behind */
  for (int64_t n = 100; n <= 101; n++) {
    for (int fail = 0; fail < 20; fail++) {
      long long live = mem_stats_global.allocations - mem_stats_global.frees;
      fft_plan *plan = NULL;
      mem_stats_global.fail_after = fail;
      ledge_status status = fft_plan_create(n, LEDGE_F64, &plan, NULL);
      mem_stats_global.fail_after = -1;
      CHECK(status == LEDGE_OK || status == LEDGE_ERROR_MEMORY);
      fft_plan_destroy(plan);
      CHECK_INT(mem_stats_global.allocations - mem_stats_global.frees, live);
    }
  }
}

TEST_MAIN({"lengths", test_lengths}, {"limits", test_limits}, {"memory", test_memory})
