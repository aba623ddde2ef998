/* Every bf16 product that this machine runs, against the oracle: tails in m, n and k, strides, misaligned arrays, every
 * activation, residuals; slabs; the same bits for one to three threads; rounding; and what factors of 8 bits may cost
 * against a product of float32. */
#include "array_test.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm_bf16/tile.h"

typedef struct gemm_case {
  int64_t m, n, k;
  bool b_transposed, bias, residual;
  kernel_epilogue epilogue;
  int pad, skew;
} gemm_case;

static void check_case(const gemm_bf16_variant *v, const gemm_case *c) {
  rng r;
  rng_init(&r, (uint64_t)(c->m * 1000003 + c->n * 1009 + c->k));
  int64_t lda = c->k + c->pad, ldc = c->n + c->pad, ldb = (c->b_transposed ? c->k : c->n) + c->pad;
  int64_t b_rows = c->b_transposed ? c->n : c->k, nc = c->m ? c->m * ldc - c->pad : 0;
  test_array a = test_array_random(&r, c->m ? c->m * lda - c->pad : 0, c->skew);
  test_array b = test_array_random(&r, b_rows * ldb - c->pad, c->skew), bias = test_array_random(&r, c->n, c->skew);
  test_array residual = test_array_random(&r, nc, c->skew), want = test_array_new(nc, 0), whole = test_array_new(nc, 0);
  test_array got[4];
  int64_t sk = c->b_transposed ? 1 : ldb, sn = c->b_transposed ? ldb : 1;
  const float *add = c->residual ? residual.data : NULL, *bi = c->bias ? bias.data : NULL;
  gemm_bf16_ref(c->m, c->n, c->k, a.data, lda, b.data, sk, sn, 0.5f, bi, add, ldc, &c->epilogue, want.data, ldc);
  gemm_f32_ref(c->m, c->n, c->k, a.data, lda, false, b.data, sk, sn, 0.5f, bi, add, ldc, &c->epilogue, whole.data, ldc);
  for (int threads = 1; threads <= 3; threads++) {
    gemm_bf16_plan plan;
    gemm_bf16_params params = {c->m, c->n, c->k, c->epilogue, threads};
    CHECK(gemm_bf16_plan_init(&plan, &params, v->isa));
    CHECK_STR(gemm_bf16_plan_name(&plan), v->name);
    void *packed = test_alloc(plan.packed_b_bytes), *scratch = test_alloc(plan.scratch_bytes), *unaligned;
    memset(scratch, 0xff, plan.scratch_bytes); /* NaN: what is not A must not be seen */
    gemm_bf16_pack_b(&plan, test_array_unaligned(&b, (size_t)threads - 1, &unaligned), sk, sn, 0.5f, packed,
                     test_pool(threads));
    mem_free(unaligned);
    got[threads] = test_array_new(nc, c->skew);
    gemm_bf16_args args = {.m = c->m,
                           .a = a.data,
                           .a_stride = lda,
                           .packed_b = packed,
                           .bias = bi,
                           .residual = add,
                           .residual_stride = ldc,
                           .c = got[threads].data,
                           .c_stride = ldc};
    gemm_bf16_run(&plan, &args, scratch, test_pool(threads));
    mem_free(packed);
    mem_free(scratch);
  }
  double error = test_array_error(got[1].data, want.data, nc), lost = test_array_error(got[1].data, whole.data, nc);
  if (!(error <= 1e-5))
    TEST_FAIL("%s m %lld n %lld k %lld act %d: error %g", v->name, (long long)c->m, (long long)c->n, (long long)c->k,
              c->epilogue.act, error);
  if (!(lost <= 0.01) && c->epilogue.act != KERNEL_ACT_CLAMP) /* a clamp leaves no magnitude to compare with */
    TEST_FAIL("%s m %lld n %lld k %lld act %d: %g off float32", v->name, (long long)c->m, (long long)c->n,
              (long long)c->k, c->epilogue.act, lost);
  for (int threads = 2; threads <= 3; threads++) {
    if (memcmp(got[1].data, got[threads].data, (size_t)nc * sizeof(float)))
      TEST_FAIL("%s m %lld n %lld k %lld: other bits with %d threads", v->name, (long long)c->m, (long long)c->n,
                (long long)c->k, threads);
  }
  for (int threads = 1; threads <= 3; threads++) test_array_free(&got[threads]);
  test_array_free(&a), test_array_free(&b), test_array_free(&bias), test_array_free(&residual), test_array_free(&want);
  test_array_free(&whole);
}

static void each_variant(void (*check)(const gemm_bf16_variant *v)) {
  size_t n;
  const gemm_bf16_variant *const *rows = gemm_bf16_variants(&n);
  for (size_t i = 0; i < n; i++) {
    if (!(rows[i]->isa & ~cpu_isa_available())) check(rows[i]);
  }
}

static void check_tails(const gemm_bf16_variant *v) {
  static const int64_t ms[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64, 65},
                       ns[] = {1, 15, 16, 17, 31, 32, 33, 95, 130}, ks[] = {1, 2, 3, 31, 32, 33, 64, 147, 288};
  for (size_t i = 0; i < 15; i++) {
    for (size_t j = 0; j < 9; j++) {
      gemm_case c = {.m = ms[i],
                     .n = ns[j],
                     .k = ks[(i + j) % 9],
                     .b_transposed = i & 1,
                     .bias = j & 1,
                     .residual = (i + j) % 3 == 0,
                     .pad = (int)(i % 5),
                     .skew = (int)(j % 4)};
      c.epilogue = i % 4 ? (kernel_epilogue){0} : kernel_epilogue_clamp(-0.25f, 0.5f);
      check_case(v, &c);
    }
  }
}

static void check_acts(const gemm_bf16_variant *v) {
  for (int act = 0; act < KERNEL_ACT_COUNT; act++) {
    for (int i = 0; i < 4; i++) {
      gemm_case c = {.m = 19, .n = 57, .k = 40, .bias = true, .residual = i & 1};
      c.epilogue = (kernel_epilogue){.act = (kernel_act)act,
                                     .alpha = act == KERNEL_ACT_CLAMP ? -0.1f : 0.3f,
                                     .beta = 0.5f,
                                     .residual_after = i & 2};
      check_case(v, &c);
    }
  }
}

/* Rows 4096 bytes apart, more than a slab of them, and a B that L2 does not hold. */
static void check_large(const gemm_bf16_variant *v) {
  gemm_case cases[] = {{.m = 40, .n = 70, .k = 2048, .bias = true},
                       {.m = 700, .n = 33, .k = 1000, .residual = true},
                       {.m = 45, .n = 1600, .k = 400, .b_transposed = true}};
  for (int i = 0; i < 3; i++) check_case(v, &cases[i]);
}

/* A row of A goes through `convert`, times the identity: it comes back rounded, ties to even, NaN and infinity kept. */
static void check_rounding(const gemm_bf16_variant *v) {
  static const float x[] = {1,        1.00390625f, 1.01171875f, -1.00390625f, 1.0039063f, 3.3895314e38f,
                            -3.4e38f, 0.1f,        INFINITY,    65504};
  enum { N = sizeof x / sizeof *x };
  for (int i = 0; i < N; i++) {
    float b = 1, c = 0;
    gemm_bf16_plan plan;
    gemm_bf16_params params = {.m = 1, .n = 1, .k = 1};
    CHECK(gemm_bf16_plan_init(&plan, &params, v->isa));
    void *packed = test_alloc(plan.packed_b_bytes), *scratch = test_alloc(plan.scratch_bytes);
    gemm_bf16_pack_b(&plan, &b, 1, 1, 1, packed, NULL);
    gemm_bf16_args args = {.m = 1, .a = &x[i], .a_stride = 1, .packed_b = packed, .c = &c, .c_stride = 1};
    gemm_bf16_run(&plan, &args, scratch, NULL);
    float want = bf16_value(bf16_round(x[i]));
    if (c != want) TEST_FAIL("%s: %.9g became %.9g, not %.9g", v->name, x[i], c, want);
    mem_free(packed), mem_free(scratch);
  }
  CHECK(bf16_value(bf16_round(1.00390625f)) == 1 && bf16_value(bf16_round(1.01171875f)) == 1.015625f);
  CHECK(isnan(bf16_value(bf16_round(NAN))) && isinf(bf16_value(bf16_round(3.4e38f))));
}

static void check_nan(const gemm_bf16_variant *v) {
  float a[3] = {1, NAN, 1}, b = 1, c[3];
  gemm_bf16_plan plan;
  gemm_bf16_params params = {.m = 3, .n = 1, .k = 1};
  CHECK(gemm_bf16_plan_init(&plan, &params, v->isa));
  void *packed = test_alloc(plan.packed_b_bytes), *scratch = test_alloc(plan.scratch_bytes);
  gemm_bf16_pack_b(&plan, &b, 1, 1, 1, packed, NULL);
  gemm_bf16_args args = {.m = 3, .a = a, .a_stride = 1, .packed_b = packed, .c = c, .c_stride = 1};
  gemm_bf16_run(&plan, &args, scratch, NULL);
  CHECK(c[0] == 1 && isnan(c[1]) && c[2] == 1);
  mem_free(packed), mem_free(scratch);
}

static void test_tails(void) { each_variant(check_tails); }
static void test_acts(void) { each_variant(check_acts); }
static void test_large(void) { each_variant(check_large); }
static void test_rounding(void) { each_variant(check_rounding); }
static void test_nan(void) { each_variant(check_nan); }

static void test_refused(void) {
  gemm_bf16_plan plan;
  gemm_bf16_params bad[] = {{-1, 1, 1, {0}, 0},
                            {1, 0, 1, {0}, 0},
                            {1, 1, 0, {0}, 0},
                            {1, PTRDIFF_MAX, 1, {0}, 0},
                            {1, 1, PTRDIFF_MAX / 64, {0}, 0},
                            {1, PTRDIFF_MAX / 128, PTRDIFF_MAX / 2048, {0}, 0}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!gemm_bf16_plan_init(&plan, &bad[i], 0));
}

TEST_MAIN({"tails", test_tails}, {"acts", test_acts}, {"large", test_large}, {"rounding", test_rounding},
          {"nan", test_nan}, {"refused", test_refused})
