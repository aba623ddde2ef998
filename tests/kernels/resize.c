/* Every variant of resize's linear rows against the oracle, nearest against plain loops, both layouts, and threads. */
#include "kernels/resize/resize.h"

#include "kernel_test.h"

enum { MAX = 6000 };
static int32_t lo[MAX], hi[MAX];
static float lo_weight[MAX], hi_weight[MAX];
static const resize_taps taps = {lo, hi, lo_weight, hi_weight};

/* Half-pixel coordinates, clamped at the edges. */
static void make_taps(int64_t in, int64_t out) {
  for (int64_t i = 0; i < out; i++) {
    double at = ((double)i + 0.5) * (double)in / (double)out - 0.5;
    at = at < 0 ? 0 : at > (double)(in - 1) ? (double)(in - 1) : at;
    lo[i] = (int32_t)at;
    hi[i] = lo[i] + 1 < in ? lo[i] + 1 : lo[i];
    hi_weight[i] = (float)(at - lo[i]);
    lo_weight[i] = 1 - hi_weight[i];
  }
}

static void check_row(int64_t in, int64_t out, int64_t inner) {
  size_t n_variants;
  const resize_variant *variants = resize_variants(&n_variants);
  resize_shape s = {1, 2, in, 1, out, inner};
  int64_t n_in = in * inner, n_out = out * inner;
  float *x = malloc((size_t)(2 * n_in) * 4), *want = malloc((size_t)n_out * 4);
  rng r;
  rng_init(&r, (uint64_t)(in * 31 + out));
  fill_uniform(&r, x, 2 * n_in, -3, 3);
  resize__ref.linear_row(&s, x, x + n_in, 0.3f, 0.7f, &taps, want);
  for (size_t v = 0; v < n_variants; v++) {
    if (!can_run(variants[v].isa)) continue;
    guarded y = guarded_make((size_t)n_out * 4, 4);
    variants[v].kernels->linear_row(&s, x, x + n_in, 0.3f, 0.7f, &taps, (float *)y.data);
    check_near(variants[v].name, (float *)y.data, want, n_out, 1e-6, 1e-6);
    guarded_free(&y, variants[v].name);
  }
  free(x), free(want);
}

static void test_linear(void) {
  static const int64_t sizes[] = {1, 2, 3, 7, 16, 33, 50};
  for (int i = 0; i < 7; i++)
    for (int j = 0; j < 7; j++)
      for (int64_t inner = 1; inner < 40; inner += inner < 5 ? 1 : 11) {
        make_taps(sizes[i], sizes[j]);
        check_row(sizes[i], sizes[j], inner);
      }
  make_taps(MAX, 500); /* more source columns than the buffer holds */
  check_row(MAX, 500, 1);
  make_taps(100, MAX);
  check_row(100, MAX, 1);
  for (int i = 0; i < 100; i++) hi[i * 3] = MAX - 1, lo[i * 3] = 0; /* wrapped coordinates */
  check_row(MAX, 300, 1);
}

static void test_threads(void) {
  resize_shape s = {3, 20, 31, 47, 64, 1};
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  static float x[3 * 20 * 31], y[3 * 47 * 64], z[3 * 47 * 64];
  rng r;
  rng_init(&r, 5);
  fill_uniform(&r, x, 3 * 20 * 31, -3, 3);
  int32_t row_lo[64], row_hi[64];
  float row_lo_weight[64], row_hi_weight[64];
  make_taps(s.in_h, s.out_h);
  memcpy(row_lo, lo, sizeof row_lo), memcpy(row_hi, hi, sizeof row_hi);
  memcpy(row_lo_weight, lo_weight, sizeof row_lo_weight), memcpy(row_hi_weight, hi_weight, sizeof row_hi_weight);
  const resize_taps row_taps = {row_lo, row_hi, row_lo_weight, row_hi_weight};
  make_taps(s.in_w, s.out_w);
  for (int t = 1; t <= TEST_THREADS; t++) {
    resize_linear_f32(&s, &row_taps, &taps, x, t == 1 ? y : z, pools[t]);
    if (t > 1) check_same("linear, threads", y, z, sizeof y);
  }
  float at; /* one output by hand */
  resize_shape one = s;
  one.out_w = 1;
  resize__ref.linear_row(&one, x + (2 * 20 + row_lo[46]) * 31, x + (2 * 20 + row_hi[46]) * 31, row_lo_weight[46],
                         row_hi_weight[46], &taps, &at);
  CHECK_NEAR(y[(2 * 47 + 46) * 64], at, 1e-6);
  for (size_t bytes = 1; bytes <= 16; bytes *= 2)
    for (int64_t inner = 1; inner < 6; inner += 2)
      for (int t = 1; t <= TEST_THREADS; t++) {
        resize_shape q = {2, 5, 4, 11, 9, inner};
        size_t e = bytes * (size_t)inner;
        char from[2 * 5 * 4 * 16 * 5], to[2 * 11 * 9 * 16 * 5];
        fill_bytes(&r, from, sizeof from);
        int32_t qr[11], qc[9];
        for (int i = 0; i < 11; i++) qr[i] = i * 5 / 11;
        for (int i = 0; i < 9; i++) qc[i] = i * 4 / 9;
        resize_nearest(bytes, &q, qr, qc, from, to, pools[t]);
        for (int i = 0; i < 2 * 11 * 9; i++) {
          int o = i / 99, row = i / 9 % 11, col = i % 9;
          if (memcmp(to + (size_t)i * e, from + (size_t)((o * 5 + qr[row]) * 4 + qc[col]) * e, e))
            TEST_FAIL("nearest: %d bytes, output %d", (int)e, i);
        }
      }
  pools_free(pools);
}

TEST_MAIN({"linear", test_linear}, {"threads", test_threads})
