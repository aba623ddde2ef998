/* bench/bench.h: what the kernel benches share: time, random arrays, the peak of the multiply-add units. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/gemm/tile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* what neighbours on the processor take does not count */
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void *bench_alloc(size_t bytes) {
  void *p = mem_alloc_aligned(bytes + 64, 64);
  if (!p) exit(1);
  return p;
}

static inline float *bench_random(rng *r, int64_t n) {
  float *p = bench_alloc((size_t)n * sizeof *p);
  for (int64_t i = 0; i < n; i++) p[i] = (float)(2 * rng_uniform(r) - 1);
  return p;
}

/* Seconds of one call: the lower quartile of at least 7 calls and 20 ms, since what neighbours do to the caches only
 * ever slows a call down.
 */
static inline int bench_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static inline double bench_seconds(void (*call)(void *), void *arg) {
  double times[201], total = 0;
  int n = 0;
  call(arg);
  while (n < 7 || (total < 0.02 && n < 201)) {
    double t0 = bench_now();
    call(arg);
    total += times[n++] = bench_now() - t0;
  }
  qsort(times, (size_t)n, sizeof *times, bench_compare);
  return times[n / 4];
}

/* GFLOP/s of the best tile with everything in L1. */
static inline double bench_peak(rng *r) {
  const gemm_f32_variant *v = gemm_f32_best(cpu_isa_available());
  int64_t k = 128, zero = 0, times = 200;
  float *a = bench_random(r, v->mr * k), *b = bench_random(r, v->nr * k), *c = bench_random(r, v->mr * v->nr);
  gemm_f32_tile t = {.rows = v->mr,
                     .cols = v->nr,
                     .a0 = a,
                     .a1 = a + v->mr / 2 * k,
                     .a_stride = k,
                     .taps = &zero,
                     .n_taps = 1,
                     .k_tap = k,
                     .b = b,
                     .b_stride = v->nr,
                     .c = c,
                     .c_stride = v->nr,
                     .lo = -INFINITY,
                     .hi = INFINITY};
  double best = 1e9;
  for (int i = 0; i < 200; i++) {
    double t0 = bench_now();
    for (int64_t j = 0; j < times; j++) v->tile(&t);
    double d = bench_now() - t0;
    if (d < best) best = d;
  }
  mem_free(a), mem_free(b), mem_free(c);
  printf("%s: %.1f GFLOP/s in L1\n", v->name, 2e-9 * (double)(times * v->mr * v->nr * k) / best);
  return 2e-9 * (double)(times * v->mr * v->nr * k) / best;
}

#endif
