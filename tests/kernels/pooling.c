/* Every variant of pooling against the oracle over random windows, both layouts, and threads. */
#include "kernels/pooling/pooling.h"

#include "kernel_test.h"

static int64_t pick(rng *r, int64_t lo, int64_t hi) { return lo + (int64_t)(rng_u64(r) % (uint64_t)(hi - lo + 1)); }

static pooling_shape random_shape(rng *r, int round) {
  pooling_shape s = {.batch = 1, .count_include_pad = round % 2};
  s.channels = pick(r, 1, round % 3 ? 9 : 150);
  s.in_h = pick(r, 1, 14), s.in_w = pick(r, 1, round % 5 ? 14 : 90);
  s.kernel_h = pick(r, 1, 4), s.kernel_w = pick(r, 1, 4);
  s.stride_h = pick(r, 1, 3), s.stride_w = pick(r, 1, 3);
  s.dilation_h = pick(r, 1, round % 4 ? 1 : 3), s.dilation_w = pick(r, 1, round % 4 ? 1 : 3);
  s.pad_top = pick(r, 0, s.kernel_h), s.pad_left = pick(r, 0, s.kernel_w);
  s.pad_bottom = pick(r, 0, s.kernel_h), s.pad_right = pick(r, 0, s.kernel_w);
  int64_t h = s.in_h + s.pad_top + s.pad_bottom - (s.kernel_h - 1) * s.dilation_h - 1;
  int64_t w = s.in_w + s.pad_left + s.pad_right - (s.kernel_w - 1) * s.dilation_w - 1;
  bool ceil = round % 7 == 3;
  s.out_h = h < 0 ? 1 : (h + (ceil ? s.stride_h - 1 : 0)) / s.stride_h + 1;
  s.out_w = w < 0 ? 1 : (w + (ceil ? s.stride_w - 1 : 0)) / s.stride_w + 1;
  return s;
}

static void check_variants(const pooling_shape *s, const float *x) {
  size_t n_variants;
  const pooling_variant *variants = pooling_variants(&n_variants);
  int64_t n_row = s->out_w * s->channels, n_plane = s->out_h * s->out_w;
  float *want = malloc((size_t)(n_row + n_plane) * sizeof(float));
  for (size_t v = 0; v < n_variants; v++) {
    if (!can_run(variants[v].isa)) continue;
    for (int max = 0; max < 2; max++) {
      const pooling_kernels *k = variants[v].kernels, *ref = &pooling__ref;
      double rel = max ? 0 : 1e-6, abs = max ? 0 : 1e-6;
      for (int64_t oy = 0; oy < s->out_h; oy++) {
        guarded y = guarded_make((size_t)n_row * 4, 4);
        (max ? ref->max_nhwc_row : ref->average_nhwc_row)(s, x, oy, want);
        (max ? k->max_nhwc_row : k->average_nhwc_row)(s, x, oy, (float *)y.data);
        check_near(max ? "max, NHWC" : "average, NHWC", (float *)y.data, want, n_row, rel, abs);
        guarded_free(&y, variants[v].name);
      }
      guarded y = guarded_make((size_t)n_plane * 4, 8);
      (max ? ref->max_nchw_plane : ref->average_nchw_plane)(s, x, want);
      (max ? k->max_nchw_plane : k->average_nchw_plane)(s, x, (float *)y.data);
      check_near(max ? "max, NCHW" : "average, NCHW", (float *)y.data, want, n_plane, rel, abs);
      guarded_free(&y, variants[v].name);
    }
  }
  free(want);
}

static void test_variants(void) {
  rng r;
  rng_init(&r, 1);
  for (int round = 0; round < 300; round++) {
    pooling_shape s = random_shape(&r, round);
    int64_t n = s.in_h * s.in_w * s.channels;
    float *x = malloc((size_t)n * sizeof(float));
    fill_uniform(&r, x, n, -4, 4);
    if (round % 10 == 0) x[rng_u64(&r) % (uint64_t)n] = NAN;
    if (round % 10 == 1) x[rng_u64(&r) % (uint64_t)n] = -INFINITY;
    check_variants(&s, x);
    free(x);
  }
}

/* Rows wider than the buffer of stretches, and a window wider than it. */
static void test_wide(void) {
  enum { W = 9000 };
  float *x = malloc(W * sizeof(float));
  rng r;
  rng_init(&r, 2);
  fill_uniform(&r, x, W, -1, 1);
  for (int i = 0; i < 4; i++) {
    pooling_shape s = {1, 1, 1, W, 1, 0, 1, i == 3 ? 3000 : 5, 1, 1 + i, 1, 1 + i % 2, 0, 2, 0, 2, true};
    s.out_w = (s.in_w + 4 - (s.kernel_w - 1) * s.dilation_w - 1) / s.stride_w + 1;
    check_variants(&s, x);
  }
  free(x);
}

static void test_threads(void) {
  pooling_shape s = {2, 40, 33, 35, 17, 18, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, false};
  int64_t n = s.batch * s.channels * s.in_h * s.in_w, m = s.batch * s.channels * s.out_h * s.out_w;
  float *x = malloc((size_t)n * 4), *y = malloc((size_t)m * 4), *z = malloc((size_t)m * 4);
  rng r;
  rng_init(&r, 3);
  fill_uniform(&r, x, n, -1, 1);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  void (*const run[])(const pooling_shape *, const float *, float *, pool *) = {
      pooling_max_nhwc_f32, pooling_max_nchw_f32, pooling_average_nhwc_f32, pooling_average_nchw_f32};
  for (int k = 0; k < 4; k++) {
    run[k](&s, x, y, NULL);
    for (int t = 2; t <= TEST_THREADS; t++) {
      memset(z, 0, (size_t)m * 4);
      run[k](&s, x, z, pools[t]);
      check_same("threads", y, z, (size_t)m * 4);
    }
  }
  float one; /* the last output of the second image, NCHW, by hand */
  pooling_shape last = s;
  last.out_h = last.out_w = 1, last.pad_top = 1 - 16 * 2, last.pad_left = 1 - 17 * 2;
  pooling__ref.max_nchw_plane(&last, x + n - s.in_h * s.in_w, &one);
  pooling_max_nchw_f32(&s, x, y, NULL);
  CHECK(y[m - 1] == one);
  pools_free(pools);
  free(x), free(y), free(z);
}

TEST_MAIN({"variants", test_variants}, {"wide", test_wide}, {"threads", test_threads})
