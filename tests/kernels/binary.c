/* Every variant of binary against the oracle, broadcasts of random shapes and strides against plain loops, threads, and
 * the integers' edges. */
#include "kernels/binary/binary.h"

#include "kernel_test.h"
#include "kernels/integer/integer.h"

static void test_variants(void) {
  static const float special[] = {0.0f, -0.0f, 1, -1, 2.5f, -3, INFINITY, -INFINITY, NAN, 3e38f, 1e-40f};
  enum { ROWS = 3, COLS = 37 };
  size_t n_special = sizeof special / sizeof *special - (test_denormal > 1e-40); /* without the denormal one */
  size_t n_variants;
  const binary_variant *variants = binary_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  float a[ROWS * COLS], b[ROWS * COLS], want[ROWS * COLS];
  for (int k = 0; k < BINARY_KIND_COUNT; k++)
    for (int form = 0; form < 32; form++)
      for (int64_t cols = 1; cols <= COLS; cols++) {
        for (int i = 0; i < ROWS * COLS; i++) {
          a[i] = i % 4 ? (float)rng_uniform(&r) * 8 - 4 : special[rng_u64(&r) % n_special];
          b[i] = i % 5 ? (float)rng_uniform(&r) * 8 - 4 : special[rng_u64(&r) % n_special];
        }
        static const float exponents[] = {2, 3, 0.5f, -0.5f, -1, 1, 0, 1.7f};
        if (k == BINARY_POW) b[0] = exponents[cols % 8];
        binary_op op = {(binary_kind)k, form & 16, -1, 2};
        binary_operand oa = {a, form & 1 ? COLS : 0, (form >> 1) & 1}, ob = {b, form & 4 ? COLS : 0, (form >> 3) & 1};
        binary__ref.f32_2d(&op, ROWS, cols, oa, ob, want, cols);
        for (size_t v = 0; v < n_variants; v++) {
          if (!can_run(variants[v].isa)) continue;
          size_t bytes = (size_t)(ROWS * cols) * sizeof(float);
          guarded y = guarded_make(bytes, 4);
          variants[v].kernels->f32_2d(&op, ROWS, cols, oa, ob, (float *)y.data, cols);
          check_near(variants[v].name, (float *)y.data, want, ROWS * cols, 2e-7, test_denormal);
          guarded_free(&y, variants[v].name);
        }
      }
}

static void test_broadcast(void) {
  enum { MAX = 6000 };
  rng r;
  rng_init(&r, 2);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  float *a = malloc(sizeof(float) * 40000), *b = malloc(sizeof(float) * 40000);
  float *want = malloc(sizeof(float) * 40000), *y = malloc(sizeof(float) * 40000);
  fill_uniform(&r, a, 40000, -4, 4);
  fill_uniform(&r, b, 40000, -4, 4);
  for (int round = 0; round < 400; round++) {
    int rank = (int)(rng_u64(&r) % 5);
    int64_t dims[4], sa[4], sb[4], total = 1, ta = 1, tb = 1;
    for (int d = rank - 1; d >= 0; d--) {
      dims[d] = 1 + (int64_t)(rng_u64(&r) % (d == rank - 1 && round % 7 == 0 ? 5000 : 9));
      if (round % 5 == 1 && d == 0) dims[d] *= 90;
      if (total * dims[d] > 30000) dims[d] = 1;
      int how = (int)(rng_u64(&r) % 6);
      sa[d] = how == 0 ? 0 : ta;
      sb[d] = how == 1 ? 0 : tb;
      if (sa[d]) ta *= dims[d];
      if (sb[d]) tb *= dims[d];
      total *= dims[d];
    }
    if (rank == 2 && round % 3 == 0) { /* a transposed operand */
      sa[0] = 1, sa[1] = dims[0];
    }
    binary_op op = {(binary_kind)(round % 4), false, 0, 0};
    for (int64_t i = 0; i < total; i++) {
      int64_t ia = 0, ib = 0, k = i;
      for (int d = rank - 1; d >= 0; d--) {
        ia += k % dims[d] * sa[d];
        ib += k % dims[d] * sb[d];
        k /= dims[d];
      }
      binary__ref.f32_2d(&op, 1, 1, (binary_operand){a + ia, 0, 0}, (binary_operand){b + ib, 0, 0}, want + i, 1);
    }
    for (int t = 1; t <= TEST_THREADS; t++) {
      memset(y, 0, (size_t)total * sizeof(float));
      binary_f32_broadcast(&op, rank, dims, a, sa, b, sb, y, pools[t]);
      check_same("broadcast", y, want, (size_t)total * sizeof(float));
    }
  }
  binary_op op = {BINARY_ADD, true, 0, 6};
  binary_f32_2d(&op, 5, 7, (binary_operand){a, 7, 1}, (binary_operand){b, 0, 1}, y, 9, NULL);
  for (int i = 0; i < 5; i++)
    binary__ref.f32_2d(&op, 1, 7, (binary_operand){a + i * 7, 0, 1}, (binary_operand){b, 0, 1}, want + i * 9, 9);
  for (int i = 0; i < 5; i++) check_same("2d", y + i * 9, want + i * 9, 28);
  pools_free(pools);
  free(a), free(b), free(want), free(y);
}

static void test_integer(void) {
  const int64_t a[] = {7, -7, 7, -7, INT64_MIN, 5, INT64_MAX}, b[] = {3, 3, -3, -3, -1, 0, 2}, dims = 7, one = 1;
  static const int64_t want[][7] = {
      [INTEGER_ADD] = {10, -4, 4, -10, INT64_MAX, 5, INT64_MIN + 1},
      [INTEGER_SUB] = {4, -10, 10, -4, INT64_MIN + 1, 5, INT64_MAX - 2},
      [INTEGER_MUL] = {21, -21, -21, 21, INT64_MIN, 0, -2},
      [INTEGER_DIV] = {2, -2, -2, 2, INT64_MIN, 0, INT64_MAX / 2},
      [INTEGER_MOD] = {1, 2, -2, -1, 0, 0, 1},
      [INTEGER_FMOD] = {1, -1, 1, -1, 0, 0, 1},
      [INTEGER_MAX] = {7, 3, 7, -3, -1, 5, INT64_MAX},
      [INTEGER_MIN] = {3, -7, -3, -7, INT64_MIN, 0, 2},
      [INTEGER_AND] = {3, 1, 5, -7, INT64_MIN, 0, 2},
      [INTEGER_OR] = {7, -5, -1, -3, -1, 5, INT64_MAX},
      [INTEGER_XOR] = {4, -6, -6, 4, INT64_MAX, 5, INT64_MAX - 2},
  };
  int64_t y[7];
  for (int k = 0; k < INTEGER_KIND_COUNT; k++) {
    integer_i64_broadcast((integer_kind)k, 1, &dims, a, &one, b, &one, y);
    for (int i = 0; i < 7; i++) CHECK_INT(y[i], want[k][i]);
  }
  const int32_t c[] = {1, 2, 3}, d[] = {10, 20};
  const int64_t shape[] = {2, 3}, sc[] = {0, 1}, sd[] = {1, 0};
  int32_t z[6];
  integer_i32_broadcast(INTEGER_ADD, 2, shape, c, sc, d, sd, z);
  const int32_t sums[] = {11, 12, 13, 21, 22, 23};
  check_same("int32 broadcast", z, sums, sizeof z);
}

TEST_MAIN({"variants", test_variants}, {"broadcast", test_broadcast}, {"integer", test_integer})
