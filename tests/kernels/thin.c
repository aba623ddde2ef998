/* kernels/thin with every kernel that this machine runs: against the oracle, over sizes with tails, activations and
 * residuals, and the bits of kernels/gemm at any number of threads. */
#include "kernels/thin/thin.h"
#include "array_test.h"

static void check(const thin_f32_variant *thin, const gemm_f32_variant *v, int64_t m, int64_t n, int64_t k,
                  const kernel_epilogue *e, int residual) {
  rng r;
  rng_init(&r, (uint64_t)(m * 31 + n * 7 + k));
  int64_t a_stride = k + 3, c_stride = n + 5;
  test_array a = test_array_random(&r, (m - 1) * a_stride + k, 1), b = test_array_random(&r, k * n, 0),
             bias = test_array_random(&r, n, 1), add = test_array_random(&r, (m - 1) * c_stride + n, 2),
             want = test_array_new(add.n, 0);
  gemm_f32_params params = {.m = m, .n = n, .k = k, .b_is_constant = true, .epilogue = *e, .threads = 3};
  gemm_f32_plan plan;
  CHECK(gemm_f32_plan_init(&plan, &params, v->isa));
  float *packed = test_alloc(plan.packed_b_bytes);
  void *scratch = test_alloc(plan.scratch_bytes);
  gemm_f32_pack_b(&plan, b.data, n, 1, 1, packed, NULL);
  const float *plus = residual ? add.data : NULL;
  gemm_f32_ref(m, n, k, a.data, a_stride, false, b.data, n, 1, 1, bias.data, plus, c_stride, e, want.data, c_stride);
  test_array got[5]; /* [0]: of kernels/gemm; [4]: y is the residual, where it may be */
  for (int i = 0; i < 5; i++) {
    got[i] = test_array_new(want.n, 1);
    bool own = i == 4 && residual && !e->residual_after; /* else it is written before it is read */
    if (own) memcpy(got[i].data, add.data, (size_t)add.n * sizeof(float));
    gemm_f32_args args = {.m = m,
                          .a = a.data,
                          .a_stride = a_stride,
                          .packed_b = packed,
                          .bias = bias.data,
                          .residual = own ? got[i].data : plus,
                          .residual_stride = c_stride,
                          .c = got[i].data,
                          .c_stride = c_stride};
    if (i == 0)
      gemm_f32_run(&plan, &args, scratch, NULL);
    else
      thin_f32_run(thin, v, e, &args, n, k, test_pool(i < 4 ? i : 1));
  }
  CHECK(test_array_error(got[1].data, want.data, want.n) <= 2e-5); /* sums of up to 9, clamped at 1 */
  for (int64_t row = 0; row < m; row++) {
    int64_t at = row * c_stride;
    for (int i = 1; i < 5; i++)
      if (memcmp(got[0].data + at, got[i].data + at, (size_t)n * sizeof(float)))
        TEST_FAIL("%s: %lldx%lldx%lld: other bits than gemm", thin->name, (long long)m, (long long)n, (long long)k);
  }
  for (int i = 0; i < 5; i++) test_array_free(&got[i]);
  test_array_free(&a), test_array_free(&b), test_array_free(&bias), test_array_free(&add), test_array_free(&want);
  mem_free(packed), mem_free(scratch);
}

static void test_sizes(void) {
  static const int64_t m[] = {1, 13, 14, 29, 100, 257}, n[] = {1, 8, 16, 23, 32, 50, 144}, k[] = {1, 2, 9, 16, 75, 192};
  static const kernel_epilogue acts[] = {
      {0}, {.act = KERNEL_ACT_CLAMP, .beta = 1}, {.act = KERNEL_ACT_SILU, .alpha = 1}, {.residual_after = true}};
  size_t count;
  const thin_f32_variant *const *rows = thin_f32_variants(&count);
  for (size_t i = 0; i < count; i++) {
    if (rows[i]->isa & ~cpu_isa_available()) continue;
    const gemm_f32_variant *v = gemm_f32_best(rows[i]->isa);
    if (v->isa != rows[i]->isa) continue;
    int turn = 0;
    for (size_t a = 0; a < 6; a++)
      for (size_t b = 0; b < 7; b++)
        for (size_t c = 0; c < 6; c++, turn++) check(rows[i], v, m[a], n[b], k[c], &acts[turn % 4], turn % 3 != 0);
  }
}

static void test_choice(void) {
  const gemm_f32_variant *v = gemm_f32_best(CPU_ISA_NONE);
  CHECK(thin_f32_find(v, 24, 96) != NULL);
  CHECK(!thin_f32_find(v, 0, 96) && !thin_f32_find(v, 24, 0) && !thin_f32_find(v, 24, 193) &&
        !thin_f32_find(v, 4096, 192));
}

TEST_MAIN({"sizes", test_sizes}, {"choice", test_choice})
