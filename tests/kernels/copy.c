/* Every variant's transposes, and copy_strided over random shapes, permutations, strides and threads, against loops. */
#include "kernels/copy/copy.h"

#include "kernel_test.h"

static void test_transpose(void) {
  static const size_t widths[] = {1, 2, 4, 8};
  static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64};
  enum { N_SIZES = sizeof sizes / sizeof *sizes };
  size_t n_variants;
  const copy_variant *variants = copy_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  static unsigned char src[64 * 70 * 8], want[70 * 64 * 8];
  fill_bytes(&r, src, sizeof src);
  for (size_t v = 0; v < n_variants; v++) {
    if (!can_run(variants[v].isa)) continue;
    const copy_transpose_fn *fast = &variants[v].kernels->transpose_1, *ref = &copy__ref.transpose_1;
    for (int w = 0; w < 4; w++)
      for (int a = 0; a < N_SIZES; a++)
        for (int b = 0; b < N_SIZES; b++) {
          int64_t rows = sizes[a], cols = sizes[b], src_row = cols + (a + b) % 3, dst_row = rows;
          size_t bytes = (size_t)(cols * rows) * widths[w];
          guarded dst = guarded_make(bytes, widths[w] * (size_t)(a % 2));
          ref[w](rows, cols, src + 1, src_row, want, dst_row);
          fast[w](rows, cols, src + 1, src_row, dst.data, dst_row);
          check_same(variants[v].name, dst.data, want, bytes);
          guarded_free(&dst, variants[v].name);
        }
  }
}

static void naive(size_t bytes, int rank, const int64_t *dims, const char *src, const int64_t *ss, char *dst,
                  const int64_t *ds) {
  int64_t total = 1;
  for (int d = 0; d < rank; d++) total *= dims[d];
  for (int64_t i = 0; i < total; i++) {
    int64_t s = 0, t = 0, k = i;
    for (int d = rank - 1; d >= 0; d--) {
      s += k % dims[d] * ss[d];
      t += k % dims[d] * ds[d];
      k /= dims[d];
    }
    memcpy(dst + t * (int64_t)bytes, src + s * (int64_t)bytes, bytes);
  }
}

static void test_strided(void) {
  enum { ELEMENTS = 120000 };
  static const size_t widths[] = {1, 2, 4, 8, 16};
  rng r;
  rng_init(&r, 2);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  char *src = malloc(ELEMENTS * 16), *want = malloc(ELEMENTS * 16), *got = malloc(ELEMENTS * 16);
  fill_bytes(&r, src, ELEMENTS * 16);
  for (int round = 0; round < 1500; round++) {
    size_t bytes = widths[rng_u64(&r) % 5];
    int rank = (int)(rng_u64(&r) % 6), perm[6];
    int64_t dims[6], ss[6], ds[6], total = 1, n = 1, m = 1;
    for (int d = 0; d < rank; d++) {
      perm[d] = d;
      dims[d] = 1 + (int64_t)(rng_u64(&r) % (rank > 3 ? 6 : round % 11 == 0 ? 90 : 20));
      if (total * dims[d] > 40000) dims[d] = 1;
      total *= dims[d];
    }
    for (int d = rank - 1; d > 0; d--) {
      int k = (int)(rng_u64(&r) % (unsigned)(d + 1)), t = perm[d];
      perm[d] = perm[k], perm[k] = t;
    }
    bool cut = round % 3 == 1, flip = round % 4 == 2, repeat = round % 5 == 3;
    int64_t origin = 0; /* of a flipped dim: its last element */
    for (int d = rank - 1; d >= 0; d--) {
      ss[perm[d]] = n;
      n *= dims[perm[d]] + (cut && d == rank - 1);
      ds[d] = m;
      m *= dims[d] + (cut && d == 0);
    }
    if (flip && rank) origin = (dims[0] - 1) * ss[0], ss[0] = -ss[0];
    if (repeat && rank) ss[rank - 1] = 0;
    memset(want, 0, (size_t)ELEMENTS * 16);
    naive(bytes, rank, dims, src + origin * (int64_t)bytes, ss, want, ds);
    for (int t = 1; t <= (round % 20 ? 1 : TEST_THREADS); t++) {
      memset(got, 0, (size_t)ELEMENTS * 16);
      copy_strided(bytes, rank, dims, src + origin * (int64_t)bytes, ss, got, ds, pools[t]);
      if (memcmp(got, want, (size_t)ELEMENTS * 16)) {
        TEST_FAIL("round %d: rank %d, %d bytes, %d threads", round, rank, (int)bytes, t);
        for (int d = 0; d < rank; d++)
          fprintf(stderr, " dim %d: %d, strides %d, %d\n", d, (int)dims[d], (int)ss[d], (int)ds[d]);
      }
    }
  }
  pools_free(pools);
  free(src), free(want), free(got);
}

/* Rows of two and more sources: each variant, then over strides and threads. */
static void test_interleave(void) {
  static const size_t widths[] = {1, 2, 4, 8};
  size_t n_variants;
  const copy_variant *variants = copy_variants(&n_variants);
  static unsigned char src[40000], want[40000];
  pool *pools[TEST_THREADS + 1];
  rng r;
  rng_init(&r, 4);
  fill_bytes(&r, src, sizeof src);
  pools_make(pools);
  for (size_t v = 0; v < n_variants; v++)
    for (int64_t n = 0; n < 70 && can_run(variants[v].isa); n++) {
      guarded dst = guarded_make((size_t)n * 8, (size_t)(n % 3));
      copy__ref.interleave_4(n, src + 1, src + 2001, want);
      variants[v].kernels->interleave_4(n, src + 1, src + 2001, dst.data);
      check_same(variants[v].name, dst.data, want, (size_t)n * 8);
      guarded_free(&dst, variants[v].name);
    }
  for (int round = 0; round < 200; round++) {
    size_t bytes = widths[round % 4];
    int groups = 1 + round % 5;
    int64_t rows = 1 + round % 37, n = 1 + (int64_t)(rng_u64(&r) % 20), step[5], total = rows * groups * n;
    const void *from[5];
    for (int k = 0; k < groups; k++) step[k] = n + k, from[k] = src + 8 * k;
    for (int64_t i = 0; i < total; i++) {
      int64_t row = i / (groups * n), k = i % groups, at = row * step[k] + i % (groups * n) / groups;
      memcpy(want + (size_t)i * bytes, (const char *)from[k] + (size_t)at * bytes, bytes);
    }
    for (int t = 1; t <= TEST_THREADS; t++) {
      guarded dst = guarded_make((size_t)total * bytes, 0);
      copy_interleave(bytes, groups, rows, n, from, step, dst.data, groups * n, pools[t]);
      check_same("interleave", dst.data, want, (size_t)total * bytes);
      guarded_free(&dst, "interleave");
    }
  }
  pools_free(pools);
}

static void test_large(void) {
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  enum { C = 37, HW = 57 * 57, N = 2 };
  float *x = malloc(N * C * HW * 4), *y = malloc(N * C * HW * 4), *z = malloc(N * C * HW * 4);
  rng r;
  rng_init(&r, 3);
  fill_uniform(&r, x, N * C * HW, -1, 1);
  for (int t = 1; t <= TEST_THREADS; t++) {
    copy_nchw_to_nhwc_f32(N, C, HW, x, y, pools[t]);
    CHECK(y[((1 * HW) + 100) * C + 5] == x[(1 * C + 5) * HW + 100]);
    copy_nhwc_to_nchw_f32(N, C, HW, y, z, pools[t]);
    check_same("there and back", x, z, sizeof(float) * N * C * HW);
  }
  const int64_t dims[] = {N, C, HW}, strides[] = {C * HW, HW, 1};
  const int perm[] = {1, 0, 2};
  copy_permute(4, 3, dims, perm, x, y, NULL);
  CHECK(y[(5 * N + 1) * HW + 7] == x[(1 * C + 5) * HW + 7]);
  float seven = 7;
  copy_fill_strided(4, 3, dims, &seven, y, strides, pools[2]);
  for (int i = 0; i < N * C * HW; i++)
    if (y[i] != 7) {
      TEST_FAIL("fill: element %d", i);
      break;
    }
  free(x), free(y), free(z);
  pools_free(pools);
}

TEST_MAIN({"transpose", test_transpose}, {"strided", test_strided}, {"interleave", test_interleave},
          {"large", test_large})
