/* Every variant of gemm_i8 against the definition: signs, zero points, extremes, edges of tiles, long k, and threads.
 */
#include "kernels/gemm_i8/gemm_i8.h"

#include "kernel_test.h"

static void check_product(const gemm_i8_variant *v, rng *r, int64_t m, int64_t n, int64_t k, int form, pool *p) {
  bool a_signed = form & 1, b_signed = form & 2, transposed = form & 4, extreme = form & 8;
  int64_t n_zero = form & 16 ? n : 1, a_row = k + form % 3, c_row = n + form % 2;
  unsigned char *a = malloc((size_t)(m * a_row) + 1), *b = malloc((size_t)(k * n) + 1), *zero = malloc((size_t)n);
  fill_bytes(r, a, (size_t)(m * a_row));
  fill_bytes(r, b, (size_t)(k * n));
  fill_bytes(r, zero, (size_t)n);
  if (extreme)
    memset(a, a_signed ? 0x80 : 0xff, (size_t)(m * a_row)), memset(b, b_signed ? 0x80 : 0xff, (size_t)(k * n));
  int32_t a_zero = form & 32 ? 0 : a_signed ? (int8_t)zero[0] : zero[0];
  const void *b_zero = form & 64 ? NULL : zero;
  int64_t b_k = transposed ? 1 : n, b_j = transposed ? k : 1;
  size_t bytes = (size_t)((m - 1) * c_row + n) * 4;
  int32_t *want = malloc(bytes);
  guarded c = guarded_make(bytes, 4);
  void *packed = aligned_alloc(64, (gemm_i8_packed_bytes(v->kernels, k, n) + 63) & ~(size_t)63);
  memset(want, 0, bytes), memset(c.data, 0, bytes);
  gemm_i8_ref(m, n, k, a, a_row, a_signed, a_zero, b, b_k, b_j, b_signed, b_zero, n_zero, want, c_row);
  gemm_i8_b packed_b = gemm_i8_pack(v->kernels, k, n, b, b_k, b_j, b_signed, b_zero, n_zero, packed);
  gemm_i8(m, a, a_row, a_signed, a_zero, &packed_b, (int32_t *)(void *)c.data, c_row, p);
  if (memcmp(c.data, want, bytes)) TEST_FAIL("%s: %d x %d x %d, form %d", v->name, (int)m, (int)n, (int)k, form);
  guarded_free(&c, v->name);
  free(a), free(b), free(zero), free(want), free(packed);
}

static void test_variants(void) {
  static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 17, 31, 33};
  enum { N_SIZES = sizeof sizes / sizeof *sizes };
  size_t n_variants;
  const gemm_i8_variant *variants = gemm_i8_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  for (size_t v = 0; v < n_variants; v++) {
    if (!can_run(variants[v].isa)) continue;
    int form = 0;
    for (int i = 0; i < N_SIZES; i++)
      for (int j = 0; j < N_SIZES; j++)
        for (int q = 0; q < N_SIZES; q += 2)
          check_product(&variants[v], &r, sizes[i], sizes[j], sizes[q], form++ % 128, NULL);
    for (form = 0; form < 128; form += 5)
      check_product(&variants[v], &r, 50, 70, form % 2 ? 2100 : 1024, form, pools[form % (TEST_THREADS + 1)]);
    check_product(&variants[v], &r, 3, 1100, 40, 0, pools[3]);
    check_product(&variants[v], &r, 5, 6, 0, 0, NULL);
  }
  CHECK(gemm_i8_packed_bytes(gemm_i8_choose(), INT64_MAX / 2, INT64_MAX / 2) == SIZE_MAX);
  pools_free(pools);
}

TEST_MAIN({"variants", test_variants})
