/* Every variant of reduce against the oracle, the cut into units against plain loops, NaN and emptiness, and threads.
 */
#include "kernels/reduce/reduce.h"

#include "kernel_test.h"

static const reduce_kind bases[] = {REDUCE_SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_L1, REDUCE_SUM_SQUARE};
enum { N_BASES = sizeof bases / sizeof *bases };

static void check_double(const char *what, double got, double want, double scale) {
  if (isnan(want) ? !isnan(got) : !(got == want || fabs(got - want) <= 1e-6 * scale + 1e-37))
    TEST_FAIL("%s: %.12g, not %.12g", what, got, want);
}

static void test_runs(void) {
  enum { MAX = 6000 };
  size_t n_variants;
  const reduce_variant *variants = reduce_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  float *x = malloc(MAX * 4);
  for (int64_t n = 0; n < MAX; n += n < 80 ? 1 : 487)
    for (int form = 0; form < 3; form++) {
      fill_uniform(&r, x, n, -1.9f, 2);
      if (form == 1 && n) x[rng_u64(&r) % (uint64_t)n] = NAN;
      if (form == 2 && n) x[rng_u64(&r) % (uint64_t)n] = INFINITY;
      for (size_t v = 0; v < n_variants; v++) {
        if (!can_run(variants[v].isa)) continue;
        const reduce_kernels *k = variants[v].kernels;
        for (int b = 0; b < N_BASES; b++) {
          if (form == 2 && bases[b] == REDUCE_PROD) continue; /* infinity times what has underflowed, or not */
          double want = reduce__ref.run(bases[b], x, n);
          check_double(variants[v].name, k->run(bases[b], x, n), want,
                       bases[b] == REDUCE_PROD ? fabs(want) : (double)n);
        }
        if (form < 2) check_double("exp", k->run_exp(x, n, 2), reduce__ref.run_exp(x, n, 2), (double)n);
      }
    }
  free(x);
}

static void test_columns(void) {
  enum { ROW = 70, ROWS = 150 };
  size_t n_variants;
  const reduce_variant *variants = reduce_variants(&n_variants);
  rng r;
  rng_init(&r, 2);
  static float x[ROW * ROWS], max[ROW];
  fill_uniform(&r, x, ROW * ROWS, -1.5f, 1.5f);
  for (int i = 0; i < ROW; i++) max[i] = 1.5f;
  x[70 * 3 + 5] = NAN;
  for (int64_t n = 0; n < ROWS; n += n < 5 ? 1 : 61)
    for (int64_t inner = 1; inner <= ROW; inner++)
      for (size_t v = 0; v < n_variants; v++) {
        if (!can_run(variants[v].isa)) continue;
        for (int b = 0; b <= N_BASES; b++) {
          guarded got = guarded_make((size_t)inner * sizeof(double), 0);
          double want[ROW];
          if (b < N_BASES) {
            variants[v].kernels->columns(bases[b], x, n, inner, ROW, (double *)(void *)got.data);
            reduce__ref.columns(bases[b], x, n, inner, ROW, want);
          } else {
            variants[v].kernels->columns_exp(x, n, inner, ROW, max, (double *)(void *)got.data);
            reduce__ref.columns_exp(x, n, inner, ROW, max, want);
          }
          for (int64_t i = 0; i < inner; i++)
            check_double(variants[v].name, ((double *)(void *)got.data)[i], want[i],
                         b < N_BASES && bases[b] == REDUCE_PROD ? fabs(want[i]) : (double)n);
          guarded_free(&got, variants[v].name);
        }
      }
}

static double naive(reduce_kind kind, const float *x, int64_t n, int64_t step) {
  double sum = 0, max = -INFINITY, min = INFINITY, prod = 1, l1 = 0, sq = 0, e = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = x[i * step];
    sum += v, prod *= v, l1 += fabs(v), sq += v * v;
    max = fmax(max, v), min = fmin(min, v);
  }
  for (int64_t i = 0; i < n; i++) e += exp(x[i * step] - max);
  switch (kind) {
    case REDUCE_SUM: return sum;
    case REDUCE_MEAN: return sum / (double)n;
    case REDUCE_MAX: return max;
    case REDUCE_MIN: return min;
    case REDUCE_PROD: return prod;
    case REDUCE_L1: return l1;
    case REDUCE_L2: return sqrt(sq);
    case REDUCE_SUM_SQUARE: return sq;
    case REDUCE_LOG_SUM: return log(sum);
    default: return max + log(e);
  }
}

static void test_shapes(void) {
  static const int64_t shapes[][3] = {{1, 1, 1},      {3, 5, 1},    {2, 7, 9},    {1, 200000, 1},
                                      {2, 40000, 1},  {700, 33, 1}, {1, 49, 200}, {5, 40, 65},
                                      {40, 40000, 1}, {3, 1, 4},    {1, 9000, 3}};
  enum { MAX = 40 * 40000 };
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  float *x = malloc(MAX * 4), y[TEST_THREADS + 1][1000];
  rng r;
  rng_init(&r, 3);
  fill_uniform(&r, x, MAX, 0.1f, 1.9f);
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int kind = 0; kind < REDUCE_KIND_COUNT; kind++) {
      int64_t outer = shapes[s][0], n = shapes[s][1], inner = shapes[s][2];
      for (int t = 1; t <= TEST_THREADS; t++) {
        reduce_f32((reduce_kind)kind, x, y[t], outer, n, inner, pools[t]);
        check_same("threads", y[t], y[1], (size_t)(outer * inner) * 4);
      }
      for (int64_t i = 0; i < outer * inner; i++) {
        double want = naive((reduce_kind)kind, x + i / inner * n * inner + i % inner, n, inner);
        double tolerance = 2e-6 * fabs(want) + (kind == REDUCE_PROD ? 1e-37 : 1e-6);
        if (!((float)want == y[1][i] || fabs(y[1][i] - want) <= tolerance))
          TEST_FAIL("kind %d of shape %d: %g, not %g", kind, (int)s, y[1][i], want);
      }
    }
  reduce_global_average_nhwc_f32(x, y[0], 2, 49, 100, pools[2]);
  CHECK_NEAR(y[0][103], naive(REDUCE_MEAN, x + 49 * 100 + 3, 49, 100), 1e-6);
  reduce_global_average_nchw_f32(x, y[0], 2, 100, 49, NULL);
  CHECK_NEAR(y[0][103], naive(REDUCE_MEAN, x + 103 * 49, 49, 1), 1e-6);
  float empty;
  reduce_f32(REDUCE_MAX, x, &empty, 1, 0, 1, NULL);
  CHECK(empty == -INFINITY);
  reduce_f32(REDUCE_PROD, x, &empty, 1, 0, 1, NULL);
  CHECK(empty == 1);
  static const float edges[][3] = {{INFINITY, 1, 2}, {-INFINITY, -INFINITY, -INFINITY}, {NAN, 1, INFINITY}};
  reduce_f32(REDUCE_LOG_SUM_EXP, edges[0], y[0], 3, 3, 1, NULL);
  CHECK(y[0][0] == INFINITY && y[0][1] == -INFINITY && isnan(y[0][2]));
  reduce_f32(REDUCE_LOG_SUM_EXP, edges[0], y[0], 1, 3, 3, NULL);
  CHECK(isnan(y[0][0]) && fabsf(y[0][1] - logf(2 * expf(1))) < 1e-6f && y[0][2] == INFINITY);
  pools_free(pools);
  free(x);
}

static void test_arg(void) {
  const float rows[][5] = {{1, 3, 2, 3, 0}, {0, -1, -1, 5, 5}, {1, NAN, 7, NAN, 0}};
  int64_t y[5];
  reduce_arg_f32(false, false, rows[0], y, 3, 5, 1, NULL);
  CHECK(y[0] == 1 && y[1] == 3 && y[2] == 1);
  reduce_arg_f32(false, true, rows[0], y, 3, 5, 1, NULL);
  CHECK(y[0] == 3 && y[1] == 4 && y[2] == 1);
  reduce_arg_f32(true, false, rows[0], y, 3, 5, 1, NULL);
  CHECK(y[0] == 4 && y[1] == 1 && y[2] == 1);
  reduce_arg_f32(true, true, rows[0], y, 1, 3, 5, NULL);
  CHECK(y[0] == 1 && y[1] == 2 && y[2] == 1 && y[3] == 2 && y[4] == 2);
  reduce_arg_f32(false, false, rows[0], y, 1, 3, 5, NULL);
  CHECK(y[0] == 0 && y[1] == 2 && y[2] == 2 && y[3] == 2 && y[4] == 1);
}

/* Columns, many and few, against a search of one after another; with ties and NaN. */
static void test_arg_columns(void) {
  enum { OUTER = 2, N = 7, INNER = 300 };
  static float x[OUTER * N * INNER];
  static int64_t y[OUTER * INNER];
  uint32_t seed = 1;
  for (int i = 0; i < OUTER * N * INNER; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = seed >> 24 == 0 ? NAN : (float)(seed >> 29);
  }
  for (int kind = 0; kind < 4; kind++) {
    bool min = kind & 1, last = kind & 2;
    reduce_arg_f32(min, last, x, y, OUTER, N, INNER, NULL);
    for (int o = 0; o < OUTER * INNER; o++) {
      const float *column = x + o / INNER * N * INNER + o % INNER;
      int at = 0;
      for (int i = 1; i < N && !isnan(column[at * INNER]); i++) {
        float v = column[i * INNER], best = column[at * INNER];
        if (isnan(v) || (min ? v < best : v > best) || (last && v == best)) at = i;
      }
      CHECK_INT(y[o], at);
    }
  }
}

TEST_MAIN({"runs", test_runs}, {"columns", test_columns}, {"shapes", test_shapes}, {"arg", test_arg},
          {"arg_columns", test_arg_columns})
