/* Every variant of softmax against the oracle: lengths, scales, masks, empty rows, special values, columns, threads. */
#include "kernels/softmax/softmax.h"

#include "kernel_test.h"

static void test_rows(void) {
  size_t n_variants;
  const softmax_variant *variants = softmax_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  for (int64_t n = 1; n < 300; n += n < 70 ? 1 : 37)
    for (int form = 0; form < 8; form++) {
      float x[300], mask[300], want[300];
      fill_uniform(&r, x, n, -20, 20);
      fill_uniform(&r, mask, n, -2, 0);
      if (form & 4)
        for (int64_t i = 0; i < n; i += 3) mask[i] = -INFINITY;
      softmax_options o = {.log = form & 1, .scale = form & 2 ? 0.25f : 0, .empty_is_zero = form & 4};
      softmax__ref.row(&o, form & 4 ? mask : NULL, x, want, n);
      for (size_t v = 0; v < n_variants; v++) {
        if (!can_run(variants[v].isa)) continue;
        guarded y = guarded_make((size_t)n * 4, 4);
        variants[v].kernels->row(&o, form & 4 ? mask : NULL, x, (float *)y.data, n);
        check_near(variants[v].name, (float *)y.data, want, n, form & 1 ? 1e-6 : 5e-6, 2e-6);
        memcpy(y.data, x, (size_t)n * 4);
        variants[v].kernels->row(&o, form & 4 ? mask : NULL, (float *)y.data, (float *)y.data, n);
        check_near("in place", (float *)y.data, want, n, 5e-6, 2e-6);
        guarded_free(&y, variants[v].name);
      }
    }
}

static void test_special(void) {
  enum { LONG = 40 };
  static const float values[][2] = {{-INFINITY, -INFINITY}, {NAN, 1},        {INFINITY, 1}, {-INFINITY, 3},
                                    {NAN, -INFINITY},       {3e38f, -3e38f}, {0, 0}};
  size_t n_variants;
  const softmax_variant *variants = softmax_variants(&n_variants);
  for (size_t c = 0; c < sizeof values / sizeof *values; c++)
    for (int form = 0; form < 4; form++)
      for (int at = 0; at < LONG; at += 13) {
        float x[LONG], want[LONG], y[LONG];
        for (int i = 0; i < LONG; i++) x[i] = i == at ? values[c][0] : values[c][1];
        softmax_options o = {.log = form & 1, .empty_is_zero = form & 2};
        softmax__ref.row(&o, NULL, x, want, LONG);
        for (size_t v = 0; v < n_variants; v++) {
          if (!can_run(variants[v].isa)) continue;
          variants[v].kernels->row(&o, NULL, x, y, LONG);
          check_near(variants[v].name, y, want, LONG, 1e-6, 1e-6);
          if (form & 2) continue;
          variants[v].kernels->columns(form & 1, x, y, LONG, 1, 1);
          check_near("columns", y, want, LONG, 1e-6, 1e-6);
        }
      }
}

static void test_columns(void) {
  size_t n_variants;
  const softmax_variant *variants = softmax_variants(&n_variants);
  rng r;
  rng_init(&r, 2);
  for (int64_t n = 1; n < 20; n += 3)
    for (int64_t inner = 1; inner < 50; inner++)
      for (int log = 0; log < 2; log++) {
        float x[1000], want[1000];
        fill_uniform(&r, x, n * inner, -9, 9);
        softmax__ref.columns(log, x, want, n, inner, inner);
        for (size_t v = 0; v < n_variants; v++) {
          if (!can_run(variants[v].isa)) continue;
          guarded y = guarded_make((size_t)(n * inner) * 4, 4);
          variants[v].kernels->columns(log, x, (float *)y.data, n, inner, inner);
          check_near(variants[v].name, (float *)y.data, want, n * inner, 2e-6, 1e-6);
          guarded_free(&y, variants[v].name);
        }
      }
}

static void test_threads(void) {
  enum { N = 3 * 131 * 517 };
  float *x = malloc(N * 4), *y = malloc(N * 4), *z = malloc(N * 4);
  rng r;
  rng_init(&r, 3);
  fill_uniform(&r, x, N, -9, 9);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  for (int form = 0; form < 2; form++)
    for (int t = 1; t <= TEST_THREADS; t++) {
      memset(z, 0, N * 4);
      if (form)
        softmax_f32_inner(false, x, t == 1 ? y : z, 3, 131, 517, pools[t]);
      else
        softmax_f32(NULL, x, 517, t == 1 ? y : z, 517, 3 * 131, 517, pools[t]);
      if (t > 1) check_same("threads", y, z, N * 4);
    }
  pools_free(pools);
  free(x), free(y), free(z);
}

TEST_MAIN({"rows", test_rows}, {"special", test_special}, {"columns", test_columns}, {"threads", test_threads})
