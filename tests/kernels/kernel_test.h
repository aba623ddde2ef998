/* tests/kernels/kernel_test: what the kernels' tests share: random data with special values among it, buffers whose
 * borders are watched, distances in units of the last place, and pools of 1 to 3 threads. */
#ifndef TESTS_KERNEL_TEST_H
#define TESTS_KERNEL_TEST_H

#include "base/cpu.h"
#include "base/pool.h"
#include "base/rng.h"
#include "test.h"

#include <stdint.h>

/* How near to 0 a result may be that should be denormal: NEON of ARMv7 flushes these. */
#ifdef __arm__
static const double test_denormal = 1.2e-38;
#else
static const double test_denormal = 2e-45;
#endif

/* A buffer of `bytes` between two borders of a known pattern, `skew` bytes off alignment. */
typedef struct guarded {
  unsigned char *block, *data;
  size_t bytes;
} guarded;
enum { GUARD = 128, GUARD_BYTE = 0xa5 };

static inline guarded guarded_make(size_t bytes, size_t skew) {
  guarded g = {.bytes = bytes, .block = malloc(bytes + 2 * GUARD + 64)};
  g.data = (unsigned char *)(((uintptr_t)g.block + GUARD + 63) & ~(uintptr_t)63) + skew;
  memset(g.block, GUARD_BYTE, bytes + 2 * GUARD + 64);
  return g;
}
/* Frees it; a failure where a border was touched. */
static inline void guarded_free(guarded *g, const char *what) {
  for (int i = 1; i <= 64; i++)
    if (g->data[-i] != GUARD_BYTE || g->data[g->bytes + (size_t)i - 1] != GUARD_BYTE) {
      TEST_FAIL("%s: a byte outside the array was written", what);
      break;
    }
  free(g->block);
}

static inline void fill_uniform(rng *r, float *x, int64_t n, float lo, float hi) {
  for (int64_t i = 0; i < n; i++) x[i] = lo + (hi - lo) * (float)rng_uniform(r);
}
static inline void fill_bytes(rng *r, void *x, size_t n) {
  unsigned char *p = x;
  for (size_t i = 0; i < n; i++) p[i] = (unsigned char)rng_u64(r);
}

/* The distance of two floats in units of the last place; 0 for two NaN or equal infinities, huge where only one is. */
static inline double ulp_distance(float a, float b) {
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b) ? 0 : INFINITY;
  if (a == b) return 0;
  if (isinf(a) || isinf(b)) return INFINITY;
  int e;
  frexpf(fabsf(b) > 1.17549435e-38f ? b : 1.17549435e-38f, &e);
  return fabs((double)a - (double)b) / ldexp(1.0, e - 24);
}
/* Whether two floats agree: within rel of the larger, or abs; NaN with NaN. */
static inline bool near_enough(float a, float b, double rel, double abs) {
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  if (a == b) return true;
  return fabs((double)a - (double)b) <= abs + rel * fmax(fabs(a), fabs(b));
}
static inline void check_near(const char *what, const float *got, const float *want, int64_t n, double rel,
                              double abs) {
  for (int64_t i = 0; i < n; i++)
    if (!near_enough(got[i], want[i], rel, abs)) {
      TEST_FAIL("%s: element %lld of %lld is %.9g, not %.9g", what, (long long)i, (long long)n, got[i], want[i]);
      return;
    }
}
static inline void check_same(const char *what, const void *got, const void *want, size_t bytes) {
  if (memcmp(got, want, bytes)) TEST_FAIL("%s: not the same to the bit", what);
}
static inline bool can_run(uint32_t isa) { return !(isa & ~cpu_isa_available()); }

/* pools[t] has t threads; pools[1] is NULL (the caller alone). */
enum { TEST_THREADS = 3 };
static inline void pools_make(pool *pools[TEST_THREADS + 1]) {
  pools[0] = pools[1] = NULL;
  for (int t = 2; t <= TEST_THREADS; t++)
    if (pool_create(t, &pools[t], NULL)) {
      TEST_FAIL("no pool of %d threads", t);
      pools[t] = NULL;
    }
}
static inline void pools_free(pool *pools[TEST_THREADS + 1]) {
  for (int t = 2; t <= TEST_THREADS; t++) pool_destroy(pools[t]);
}

#endif
