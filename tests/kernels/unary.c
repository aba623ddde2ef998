/* Every variant of unary against the oracle: accuracy in units of the last place over wide ranges, special values,
 * lengths around the vectors' widths, in place, misaligned, and any number of threads. */
#include "kernels/unary/unary.h"

#include "kernel_test.h"

typedef struct limit {
  unary_kind kind;
  const char *name;
  float alpha, beta;
  float lo, hi; /* where accuracy is held */
  double ulp;
  double absolute; /* ... or this near */
} limit;

static const limit limits[] = {
    {UNARY_COPY, "copy", 0, 0, -9, 9, 0, 0},
    {UNARY_ABS, "abs", 0, 0, -9, 9, 0, 0},
    {UNARY_NEG, "neg", 0, 0, -9, 9, 0, 0},
    {UNARY_SQRT, "sqrt", 0, 0, 0, 1e6f, 0.51, 0},
    {UNARY_RSQRT, "rsqrt", 0, 0, 0, 1e6f, 1.01, 0},
    {UNARY_RECIPROCAL, "reciprocal", 0, 0, -9, 9, 0.51, 0},
    {UNARY_SQUARE, "square", 0, 0, -9, 9, 0.51, 0},
    {UNARY_FLOOR, "floor", 0, 0, -99, 99, 0, 0},
    {UNARY_CEIL, "ceil", 0, 0, -99, 99, 0, 0},
    {UNARY_ROUND, "round", 0, 0, -99, 99, 0, 0},
    {UNARY_SIGN, "sign", 0, 0, -9, 9, 0, 0},
    {UNARY_EXP, "exp", 0, 0, -87, 88.7f, 1.2, 0},
    {UNARY_EXP, "exp, denormal", 0, 0, -104, -87, 0, 1.5e-45},
    {UNARY_LOG, "log", 0, 0, 0, 1e6f, 1.2, 0},
    {UNARY_LOG, "log near 1", 0, 0, 0.5f, 2, 1.2, 0},
    {UNARY_LOG, "log, denormal", 0, 0, 0, 1e-37f, 1.2, 0},
    {UNARY_SIN, "sin", 0, 0, -8192, 8192, 2, 0},
    {UNARY_COS, "cos", 0, 0, -8192, 8192, 2, 0},
    {UNARY_SIN, "sin, small", 0, 0, -7, 7, 1.5, 0},
    {UNARY_COS, "cos, small", 0, 0, -7, 7, 1.5, 0},
    {UNARY_SIN, "sin, huge", 0, 0, -1e20f, 1e20f, 1.5, 0},
    {UNARY_TANH, "tanh", 0, 0, -10, 10, 2, 0},
    {UNARY_TANH, "tanh, small", 0, 0, -1e-3f, 1e-3f, 2, 0},
    {UNARY_SIGMOID, "sigmoid", 0, 0, -87, 87, 2.5, 0},
    {UNARY_ERF, "erf", 0, 0, -4.5f, 4.5f, 2.5, 0},
    {UNARY_ERF, "erf, small", 0, 0, -1e-2f, 1e-2f, 2, 0},
    {UNARY_GELU_ERF, "gelu erf", 0, 0, -2, 10, 8, 0},
    {UNARY_GELU_ERF, "gelu erf, tail", 0, 0, -13, -2, 1000, 1e-12},
    {UNARY_GELU_TANH, "gelu tanh", 0, 0, -2, 10, 8, 0},
    {UNARY_GELU_TANH, "gelu tanh, tail", 0, 0, -5, -2, 100, 0},
    {UNARY_SILU, "silu", 1, 0, -80, 80, 3.5, 0},
    {UNARY_SILU, "quick gelu", 1.702f, 0, -5, 5, 12, 0},
    {UNARY_HARD_SIGMOID, "hard sigmoid", 0.2f, 0.5f, -9, 9, 2, 1e-7},
    {UNARY_HARD_SWISH, "hard swish", 0, 0, -9, 9, 2, 2e-7},
    {UNARY_SOFTPLUS, "softplus", 0, 0, -80, 80, 2.5, 0},
    {UNARY_SOFTSIGN, "softsign", 0, 0, -9, 9, 1.1, 0},
    {UNARY_MISH, "mish", 0, 0, -80, 80, 5, 0},
    {UNARY_ELU, "elu", 1.3f, 0, -20, 20, 2.5, 0},
    {UNARY_ELU, "elu, small", 1, 0, -1e-3f, 1e-3f, 2, 0},
    {UNARY_SELU, "selu", 1.67326f, 1.0507f, -20, 20, 3.5, 0},
    {UNARY_CELU, "celu", 2, 0, -20, 20, 2.5, 0},
    {UNARY_RELU, "relu", 0, 0, -9, 9, 0, 0},
    {UNARY_LEAKY_RELU, "leaky relu", 0.01f, 0, -9, 9, 0.51, 0},
    {UNARY_THRESHOLDED_RELU, "thresholded relu", 1, 0, -9, 9, 0, 0},
    {UNARY_CLIP, "clip", -1, 6, -9, 9, 0, 0},
    {UNARY_AFFINE, "affine", 2.5f, 1, -9, 9, 1.01, 1e-7},
};
enum { N_LIMITS = sizeof limits / sizeof *limits, N = 20000 };

static void test_accuracy(void) {
  size_t n_rows;
  const unary_variant *rows = unary_variants(&n_rows);
  float *x = malloc(N * sizeof *x), *want = malloc(N * sizeof *x), *got = malloc(N * sizeof *x);
  rng r;
  rng_init(&r, 1);
  for (int k = 0; k < N_LIMITS; k++) {
    const limit *l = &limits[k];
    if (test_denormal > 1e-40 && strstr(l->name, "denormal")) continue;
    unary_op op = {l->kind, l->alpha, l->beta};
    fill_uniform(&r, x, N, l->lo, l->hi);
    unary__ref.f32(&op, x, want, N);
    for (size_t v = 0; v < n_rows; v++) {
      if (!can_run(rows[v].isa)) continue;
      rows[v].kernels->f32(&op, x, got, N);
      double worst = 0, at = 0;
      for (int i = 0; i < N; i++) {
        double d = fabs((double)got[i] - want[i]) <= l->absolute ? 0 : ulp_distance(got[i], want[i]);
        if (d > worst) worst = d, at = x[i];
      }
      if (getenv("TEST_VERBOSE")) printf("%-20s %-16s %.2f ulp at %.9g\n", l->name, rows[v].name, worst, at);
      if (worst > l->ulp) TEST_FAIL("%s, %s: %.2f ulp at %.9g, allowed %.2f", rows[v].name, l->name, worst, at, l->ulp);
    }
  }
  free(x), free(want), free(got);
}

/* Special values must come out as the oracle has them, but for the flush of denormal results. */
static void test_special(void) {
  static const float special[] = {0.0f,  -0.0f,  INFINITY, -INFINITY, NAN,     1e-45f, -1e-45f, 1e-39f,     -1e-39f,
                                  1e38f, -1e38f, 3e38f,    -3e38f,    88.72f,  88.73f, 89.5f,   -103.9f,    -104.5f,
                                  1,     -1,     0.5f,     -0.5f,     1.5f,    2.5f,   -2.5f,   8388609.0f, -3e9f,
                                  3e9f,  20,     -20,      0.9f,      0.8999f, 1e-20f, -1e-20f};
  enum { N_SPECIAL = sizeof special / sizeof *special };
  size_t n_rows;
  const unary_variant *rows = unary_variants(&n_rows);
  for (int k = 0; k < N_LIMITS; k++) {
    unary_op op = {limits[k].kind, limits[k].alpha, limits[k].beta};
    float want[N_SPECIAL], got[N_SPECIAL];
    unary__ref.f32(&op, special, want, N_SPECIAL);
    for (size_t v = 0; v < n_rows; v++) {
      if (!can_run(rows[v].isa)) continue;
      rows[v].kernels->f32(&op, special, got, N_SPECIAL);
      for (int i = 0; i < N_SPECIAL; i++) {
        bool product_of_infinity = isinf(special[i]) && (isnan(want[i]) || isnan(got[i]));
        bool overflow_inside = fabsf(special[i]) > 1e37f && isnan(got[i]) && isnan(want[i]);
        if (product_of_infinity || overflow_inside) continue; /* -inf * 0 in gelu, silu, mish */
        if (!near_enough(got[i], want[i], 3e-6, 3e-38) || signbit(got[i]) != signbit(want[i]))
          if (!isnan(want[i]) && !(fabsf(got[i]) < 3e-38f && fabsf(want[i]) < 3e-38f && op.kind != UNARY_SIN))
            TEST_FAIL("%s, %s of %.9g: %.9g, not %.9g", rows[v].name, limits[k].name, special[i], got[i], want[i]);
        if (isnan(special[i]) && !isnan(got[i])) TEST_FAIL("%s, %s of NaN: %g", rows[v].name, limits[k].name, got[i]);
      }
    }
  }
}

static void test_shapes(void) {
  size_t n_rows;
  const unary_variant *rows = unary_variants(&n_rows);
  rng r;
  rng_init(&r, 2);
  for (size_t v = 0; v < n_rows; v++) {
    if (!can_run(rows[v].isa)) continue;
    for (int k = 0; k < UNARY_KIND_COUNT; k++) {
      unary_op op = {(unary_kind)k, 0.7f, 0.9f};
      for (int64_t n = 0; n <= 35; n++) {
        guarded x = guarded_make((size_t)n * 4, 4 * (size_t)(n % 3)), y = guarded_make((size_t)n * 4, 4);
        fill_uniform(&r, (float *)x.data, n, 0.1f, 5);
        rows[v].kernels->f32(&op, (float *)x.data, (float *)y.data, n);
        for (int64_t i = 0; i < n; i++) { /* a value does not depend on its place */
          float one;
          rows[v].kernels->f32(&op, (float *)x.data + i, &one, 1);
          if (one != ((float *)y.data)[i])
            TEST_FAIL("%s, kind %d, n %d: place %d differs", rows[v].name, k, (int)n, (int)i);
        }
        rows[v].kernels->f32(&op, (float *)x.data, (float *)x.data, n);
        check_same("in place", x.data, y.data, (size_t)n * 4);
        guarded_free(&x, rows[v].name), guarded_free(&y, rows[v].name);
      }
    }
  }
}

static void test_threads(void) {
  enum { BIG = 200003 };
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  float *x = malloc(BIG * 4), *a = malloc(BIG * 4), *b = malloc(BIG * 4);
  rng r;
  rng_init(&r, 3);
  fill_uniform(&r, x, BIG, -4, 4);
  unary_op op = {UNARY_GELU_ERF, 0, 0};
  unary_f32(&op, x, a, BIG, NULL);
  for (int t = 1; t <= TEST_THREADS; t++) {
    memset(b, 0, BIG * 4);
    unary_f32(&op, x, b, BIG, pools[t]);
    check_same("threads", a, b, BIG * 4);
  }
  free(x), free(a), free(b);
  pools_free(pools);
}

TEST_MAIN({"accuracy", test_accuracy}, {"special", test_special}, {"shapes", test_shapes}, {"threads", test_threads})
