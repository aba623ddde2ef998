/* tests/kernels/array_test: random float arrays of exactly their size, so that the address sanitizer sees every read
 * and write beyond them, comparisons of whole tensors, and pools of 1 to 3 threads, for the tests of gemm and
 * convolution. */
#ifndef TESTS_ARRAY_TEST_H
#define TESTS_ARRAY_TEST_H

#include "base/compiler.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "test.h"

/* `data` starts `skew` floats beyond a 64-byte boundary. */
typedef struct test_array {
  float *block, *data;
  int64_t n;
} test_array;

static inline void *test_alloc(size_t bytes) {
  void *p = mem_alloc_aligned(bytes + (bytes == 0), 64);
  if (!p) exit(2);
  return p;
}
static inline test_array test_array_new(int64_t n, int skew) {
  test_array a = {.n = n, .block = test_alloc((size_t)(n + skew) * sizeof(float))};
  a.data = a.block + skew;
  for (int64_t i = 0; i < n; i++) a.data[i] = NAN;
  return a;
}
static inline test_array test_array_random(rng *r, int64_t n, int skew) {
  test_array a = test_array_new(n, skew);
  for (int64_t i = 0; i < n; i++) a.data[i] = (float)(2 * rng_uniform(r) - 1);
  return a;
}
static inline void test_array_free(test_array *a) { mem_free(a->block); }

/* The same floats `bytes` beyond a 64-byte boundary, as a mapped file may have them; *ret_block is to be freed. */
static inline const unaligned_f32 *test_array_unaligned(const test_array *a, size_t bytes, void **ret_block) {
  char *block = test_alloc((size_t)a->n * sizeof(float) + bytes);
  if (a->n) memcpy(block + bytes, a->data, (size_t)a->n * sizeof(float));
  *ret_block = block;
  return (const unaligned_f32 *)(void *)(block + bytes);
}

/* The largest difference over the largest magnitude of `want`; infinite where one is NaN and the other not. */
static inline double test_array_error(const float *got, const float *want, int64_t n) {
  double most = 0, worst = 0;
  for (int64_t i = 0; i < n; i++) {
    if (isnan(got[i]) != isnan(want[i])) return INFINITY;
    if (isnan(want[i])) continue;
    if (fabs((double)want[i]) > most) most = fabs((double)want[i]);
    double d = fabs((double)got[i] - want[i]);
    if (d > worst) worst = d;
  }
  return worst / (most > 0 ? most : 1);
}

/* One pool for each number of threads, made at its first use. */
static inline pool *test_pool(int threads) {
  static pool *pools[4];
  if (!pools[threads] && pool_create(threads, &pools[threads], NULL)) exit(2);
  return pools[threads];
}

#endif
