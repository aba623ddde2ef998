/* Every variant of quantize against the oracle: both types, ties, ends of the range, columns, lengths, and threads. */
#include "kernels/quantize/quantize.h"

#include "kernel_test.h"

enum { MAX = 70, ROWS = 3 };

static void test_variants(void) {
  size_t n_variants;
  const quantize_variant *variants = quantize_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  float x[ROWS * MAX], scale[MAX], f[ROWS * MAX];
  int32_t acc[ROWS * MAX], bias[MAX];
  uint8_t q[ROWS * MAX], zero[MAX], want[ROWS * MAX];
  for (int64_t n = 1; n < MAX; n++)
    for (int form = 0; form < 4; form++) {
      bool is_signed = form & 1;
      fill_uniform(&r, x, ROWS * n, -200, 200);
      for (int64_t i = 0; i < ROWS * n; i += 5) x[i] = (float)((int)(rng_u64(&r) % 600) - 300) * 0.25f; /* ties */
      if (form & 2) x[0] = NAN, x[n - 1] = INFINITY, x[n] = -INFINITY;
      for (int64_t i = 0; i < n; i++) scale[i] = i % 2 ? 0.5f : 0.013f + (float)rng_uniform(&r);
      fill_bytes(&r, zero, (size_t)n), fill_bytes(&r, q, (size_t)(ROWS * n));
      fill_bytes(&r, acc, (size_t)(ROWS * n) * 4), fill_bytes(&r, bias, (size_t)n * 4);
      for (int64_t i = 0; i < ROWS * n; i += 2) acc[i] >>= 14;
      const void *zeros = form & 2 ? NULL : zero;
      int32_t z = is_signed ? (int8_t)zero[0] : zero[0];
      for (size_t v = 0; v < n_variants; v++) {
        if (!can_run(variants[v].isa)) continue;
        const quantize_kernels *k = variants[v].kernels, *ref = &quantize__ref;
        size_t all = (size_t)(ROWS * n);
        guarded y = guarded_make(all, 1), yf = guarded_make(all * 4, 4);
        ref->quantize(x, want, n, 0.5f, z, is_signed);
        k->quantize(x, y.data, n, 0.5f, z, is_signed);
        check_same("quantize", y.data, want, (size_t)n);
        ref->quantize_columns(x, want, ROWS, n, scale, zeros, is_signed);
        k->quantize_columns(x, y.data, ROWS, n, scale, zeros, is_signed);
        check_same("quantize columns", y.data, want, all);
        for (int64_t i = 0; i < n; i++) scale[i] *= 0.01f;
        ref->requantize_columns(acc, n, want, n, ROWS, n, form & 2 ? NULL : bias, scale, z, is_signed);
        k->requantize_columns(acc, n, y.data, n, ROWS, n, form & 2 ? NULL : bias, scale, z, is_signed);
        check_same("requantize", y.data, want, all);
        for (int64_t i = 0; i < n; i++) scale[i] *= 100;
        ref->dequantize(q, f, n, 0.3f, z, is_signed);
        k->dequantize(q, (float *)(void *)yf.data, n, 0.3f, z, is_signed);
        check_same("dequantize", yf.data, f, (size_t)n * 4);
        ref->dequantize_columns(q, f, ROWS, n, scale, zeros, is_signed);
        k->dequantize_columns(q, (float *)(void *)yf.data, ROWS, n, scale, zeros, is_signed);
        check_same("dequantize columns", yf.data, f, all * 4);
        float got[2], range[2];
        ref->range(x, n, &range[0], &range[1]);
        k->range(x, n, &got[0], &got[1]);
        CHECK(got[0] == range[0] && got[1] == range[1]);
        guarded_free(&y, variants[v].name), guarded_free(&yf, variants[v].name);
      }
    }
}

static void test_shapes(void) {
  enum { N = 3 * 37 * 500 };
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  float *x = malloc(N * 4), *back = malloc(N * 4), scale[37];
  uint8_t *q = malloc(N), *want = malloc(N), zero[37];
  rng r;
  rng_init(&r, 2);
  fill_uniform(&r, x, N, -100, 100);
  fill_uniform(&r, scale, 37, 0.5f, 2);
  fill_bytes(&r, zero, 37);
  static const int64_t shapes[][3] = {{3, 37, 500}, {1500, 37, 1}, {1, 1, N}};
  for (int s = 0; s < 3; s++)
    for (int t = 1; t <= TEST_THREADS; t++) {
      const int64_t *d = shapes[s];
      quantize_f32(x, q, d[0], d[1], d[2], scale, zero, true, pools[t]);
      for (int i = 0; i < N; i++) {
        int64_t c = i / d[2] % d[1];
        quantize__ref.quantize(x + i, want + i, 1, scale[c], (int8_t)zero[c], true);
      }
      check_same("quantize", q, want, N);
      quantize_dequantize_f32(q, back, d[0], d[1], d[2], scale, zero, true, pools[t]);
      for (int i = 0; i < N; i++) {
        int64_t c = i / d[2] % d[1];
        if (back[i] != (float)((int8_t)q[i] - (int8_t)zero[c]) * scale[c]) {
          TEST_FAIL("dequantize: element %d of shape %d", i, s);
          break;
        }
      }
    }
  float one;
  uint8_t z;
  const float dynamic[] = {0, 2, -3, -2.5f, 1.34f, 0.5f};
  const uint8_t expected[] = {153, 255, 0, 26, 221, 179}; /* the example of ONNX's DynamicQuantizeLinear */
  quantize_dynamic_u8(dynamic, q, 6, &one, &z, NULL);
  CHECK(fabsf(one - 0.0196078438f) < 1e-9f && z == 153 && !memcmp(q, expected, 6));
  pools_free(pools);
  free(x), free(back), free(q), free(want);
}

TEST_MAIN({"variants", test_variants}, {"shapes", test_shapes})
