/* Every variant of norm against the oracle, the composed normalisations against plain loops, offsets, and threads. */
#include "kernels/norm/norm.h"

#include "kernel_test.h"

static void test_rows(void) {
  enum { ROWS = 3, MAX = 1200 };
  size_t n_variants;
  const norm_variant *variants = norm_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  static float x[ROWS * MAX], skip[ROWS * MAX], want[ROWS * MAX], sum[2][ROWS * MAX], v[3][MAX], mean[2][ROWS],
      inv[2][ROWS];
  for (int64_t n = 1; n < MAX; n += n < 70 ? 1 : 97)
    for (int form = 0; form < 16; form++) {
      float offset = form & 8 ? 1000 : 0;
      fill_uniform(&r, x, ROWS * n, offset - 2, offset + 2);
      fill_uniform(&r, skip, ROWS * n, -1, 1);
      for (int k = 0; k < 3; k++) fill_uniform(&r, v[k], n, -1, 2);
      norm_row_options o = {.epsilon = 1e-5f, .rms = form & 1, .scale = form & 2 ? v[0] : NULL};
      o.bias = form & 4 ? v[1] : NULL;
      if (form & 4) o.skip = skip, o.skip_bias = form & 2 ? v[2] : NULL, o.sum = form & 1 ? sum[0] : NULL;
      o.mean = mean[0], o.inv_std = inv[0];
      norm__ref.rows(&o, x, want, ROWS, n);
      for (size_t k = 0; k < n_variants; k++) {
        if (!can_run(variants[k].isa)) continue;
        norm_row_options fast = o;
        if (o.sum) fast.sum = sum[1];
        fast.mean = mean[1], fast.inv_std = inv[1];
        guarded y = guarded_make((size_t)(ROWS * n) * 4, 4);
        variants[k].kernels->rows(&fast, x, (float *)y.data, ROWS, n);
        check_near(variants[k].name, (float *)y.data, want, ROWS * n, 5e-6, 1e-5);
        check_near("mean", mean[1], mean[0], ROWS, 1e-6, 1e-6);
        check_near("inverse deviation", inv[1], inv[0], ROWS, n < 3 ? 1 : 2e-6, n < 3 ? 400 : 0);
        if (o.sum) check_near("sum", sum[1], sum[0], ROWS * n, 0, 0);
        memcpy(y.data, x, (size_t)(ROWS * n) * 4);
        fast.sum = NULL;
        variants[k].kernels->rows(&fast, (float *)y.data, (float *)y.data, ROWS, n);
        check_near("in place", (float *)y.data, want, ROWS * n, 5e-6, 1e-5);
        guarded_free(&y, variants[k].name);
      }
    }
}

static void test_parts(void) {
  enum { MAX = 5000 };
  size_t n_variants;
  const norm_variant *variants = norm_variants(&n_variants);
  rng r;
  rng_init(&r, 2);
  static float x[MAX], want[MAX], a[100], b[100], c[100];
  fill_uniform(&r, x, MAX, 99, 101);
  fill_uniform(&r, a, 100, -1, 1);
  fill_uniform(&r, b, 100, -1, 1);
  fill_uniform(&r, c, 100, 99, 101);
  for (size_t k = 0; k < n_variants; k++) {
    if (!can_run(variants[k].isa)) continue;
    const norm_kernels *f = variants[k].kernels;
    for (int64_t n = 0; n < MAX; n += n < 40 ? 1 : 333) {
      double s = norm__ref.sum(x, n), sum[2], square[2];
      norm__ref.moments(x, n, 100, &sum[0], &square[0]);
      f->moments(x, n, 100, &sum[1], &square[1]);
      CHECK_NEAR(f->sum(x, n), s, 1e-6 * s);
      CHECK_NEAR(sum[1], sum[0], 1e-6 * (double)n);
      CHECK_NEAR(square[1], square[0], 1e-6 * square[0]);
    }
    for (int64_t n = 1; n < 100; n++) {
      guarded y = guarded_make((size_t)n * 4, 4);
      f->affine(x, (float *)y.data, n, 100, 1.5f, 2, 1, 3);
      norm__ref.affine(x, want, n, 100, 1.5f, 2, 1, 3);
      check_near("affine", (float *)y.data, want, n, 1e-6, 1e-6);
      guarded_free(&y, variants[k].name);
      y = guarded_make((size_t)(5 * n) * 4, 4);
      for (int centered = 0; centered < 2; centered++) {
        f->affine_rows(x, n + 3, (float *)y.data, n, 5, n, centered ? c : NULL, a, b, -INFINITY, 90);
        norm__ref.affine_rows(x, n + 3, want, n, 5, n, centered ? c : NULL, a, b, -INFINITY, 90);
        check_near("affine rows", (float *)y.data, want, 5 * n, 2e-7, 1e-5);
      }
      guarded_free(&y, variants[k].name);
      double sum[2][100] = {{0}}, square[2][100] = {{0}};
      int64_t rows = MAX / 100 - n % 7;
      f->column_moments(x, rows, n, 100, c, sum[0], square[0]);
      norm__ref.column_moments(x, rows, n, 100, c, sum[1], square[1]);
      for (int64_t i = 0; i < 100; i++) {
        CHECK_NEAR(sum[0][i], sum[1][i], 1e-6 * (double)rows);
        CHECK_NEAR(square[0][i], square[1][i], 1e-6 * square[1][i]);
      }
    }
  }
}

/* Group norm by its definition over [batch, channels, inner] where element (b, c, i) is at the given strides. */
static void naive_group(const float *x, float *y, const int64_t n[3], const int64_t stride[3], int64_t groups,
                        const float *scale, const float *bias, float epsilon) {
  int64_t width = n[1] / groups;
  for (int64_t b = 0; b < n[0]; b++)
    for (int64_t g = 0; g < groups; g++) {
      double mean = 0, variance = 0, count = (double)(width * n[2]);
      for (int pass = 0; pass < 3; pass++)
        for (int64_t c = g * width; c < (g + 1) * width; c++)
          for (int64_t i = 0; i < n[2]; i++) {
            int64_t at = b * stride[0] + c * stride[1] + i * stride[2];
            if (pass == 0) mean += x[at] / count;
            if (pass == 1) variance += (x[at] - mean) * (x[at] - mean) / count;
            if (pass == 2)
              y[at] =
                  (float)((x[at] - mean) / sqrt(variance + epsilon) * (scale ? scale[c] : 1) + (bias ? bias[c] : 0));
          }
    }
}

static void test_composed(void) {
  enum { B = 2, C = 72, I = 130, N = B * C * I };
  static const int64_t n[] = {B, C, I}, nchw[] = {C * I, I, 1}, nhwc[] = {C * I, 1, C};
  float *x = malloc(N * 4), *y = malloc(N * 4), *want = malloc(N * 4), scale[C], bias[C];
  void *scratch = malloc(norm_group_nhwc_scratch(C));
  rng r;
  rng_init(&r, 3);
  fill_uniform(&r, x, N, 9, 12);
  fill_uniform(&r, scale, C, -1, 1);
  fill_uniform(&r, bias, C, -1, 1);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  for (int t = 1; t <= TEST_THREADS; t++) {
    static const int64_t groups[] = {1, 8, C};
    for (int g = 0; g < 3; g++) {
      naive_group(x, want, n, nchw, groups[g], g ? scale : NULL, g ? bias : NULL, 1e-5f);
      norm_group_f32(x, y, B, C, I, groups[g], g ? scale : NULL, g ? bias : NULL, 1e-5f, pools[t]);
      check_near("group norm, NCHW", y, want, N, 3e-6, 3e-6);
      naive_group(x, want, n, nhwc, groups[g], g ? scale : NULL, g ? bias : NULL, 1e-5f);
      norm_group_nhwc_f32(x, y, B, I, C, groups[g], g ? scale : NULL, g ? bias : NULL, 1e-5f, scratch, pools[t]);
      check_near("group norm, NHWC", y, want, N, 3e-6, 3e-6);
    }
    norm_channel_affine_f32(x, y, B, C, I, scale, bias, 0, INFINITY, pools[t]);
    for (int i = 0; i < N; i++) want[i] = fmaxf(x[i] * scale[i / I % C] + bias[i / I % C], 0);
    check_near("affine, NCHW", y, want, N, 1e-6, 1e-5);
    norm_channel_affine_f32(x, y, B * I, C, 1, scale, bias, 0, INFINITY, pools[t]);
    for (int i = 0; i < N; i++) want[i] = fmaxf(x[i] * scale[i % C] + bias[i % C], 0);
    check_near("affine, NHWC", y, want, N, 1e-6, 1e-5);

    memset(y, 0, sizeof(float) * N);
    norm_row_affine_f32(x, C + 1, y, C + 2, N / (C + 2), C, scale, bias, 0, INFINITY, pools[t]);
    for (int i = 0; i < N / (C + 2) * (C + 2); i++) {
      int row = i / (C + 2), k = i % (C + 2);
      want[i] = k < C ? fmaxf(x[row * (C + 1) + k] * scale[k] + bias[k], 0) : 0;
    }
    check_near("affine, rows", y, want, N / (C + 2) * (C + 2), 1e-6, 1e-5);

    for (int p = 1; p <= 2; p++) {
      norm_lp_f32(x, y, B, C, I, p, pools[t]);
      for (int b = 0; b < B; b++)
        for (int i = 0; i < I; i++) {
          double s = 0;
          for (int c = 0; c < C; c++) s += p == 1 ? fabsf(x[(b * C + c) * I + i]) : pow(x[(b * C + c) * I + i], 2);
          for (int c = 0; c < C; c++)
            want[(b * C + c) * I + i] = (float)(x[(b * C + c) * I + i] / (p == 1 ? s : sqrt(s)));
        }
      check_near("lp norm", y, want, N, 1e-6, 0);
    }
    static const float betas[] = {0.75f, 0.5f, 1, 0.6f};
    for (int k = 0; k < 4; k++) {
      norm_lrn_f32(x, y, B, C, I, 5 + k % 2, 0.1f, betas[k], 2, pools[t]);
      for (int at = 0; at < N; at++) {
        int c = at / I % C, size = 5 + k % 2;
        double s = 0;
        for (int d = -(size - 1) / 2; d <= size / 2; d++)
          if (c + d >= 0 && c + d < C) s += pow(x[at + d * I], 2);
        want[at] = (float)(x[at] * pow(2 + 0.1f / size * s, -betas[k]));
      }
      check_near("local response", y, want, N, 2e-6, 0);
    }
  }
  norm_row_options o = {.epsilon = 1e-5f};
  norm_rows_f32(&o, x, want, N / I, I, NULL);
  for (int t = 2; t <= TEST_THREADS; t++) {
    norm_rows_f32(&o, x, y, N / I, I, pools[t]);
    check_same("threads", y, want, N * 4);
  }
  pools_free(pools);
  free(x), free(y), free(want), free(scratch);
}

TEST_MAIN({"rows", test_rows}, {"parts", test_parts}, {"composed", test_composed})
