/* Every gemm variant that this machine runs, against the oracle: tails in m, n and k, strides, transposed operands,
 * misaligned arrays, every activation, residuals, batches; and the same bits for one to three threads. */
#include "array_test.h"
#include "kernels/gemm/tile.h"

typedef struct gemm_case {
  int64_t m, n, k;
  bool a_transposed, b_transposed, bias, residual;
  kernel_epilogue epilogue;
  int pad, skew;
} gemm_case;

static void check_case(const gemm_f32_variant *v, const gemm_case *c) {
  rng r;
  rng_init(&r, (uint64_t)(c->m * 1000003 + c->n * 1009 + c->k));
  int64_t a_rows = c->a_transposed ? c->k : c->m, a_cols = c->a_transposed ? c->m : c->k;
  int64_t lda = a_cols + c->pad, ldc = c->n + c->pad, ldb = (c->b_transposed ? c->k : c->n) + c->pad;
  int64_t b_rows = c->b_transposed ? c->n : c->k;
  test_array a = test_array_random(&r, a_rows ? (a_rows - 1) * lda + a_cols : 0, c->skew);
  test_array b = test_array_random(&r, b_rows ? b_rows * ldb - c->pad : 0, c->skew);
  test_array bias = test_array_random(&r, c->n, c->skew);
  int64_t nc = c->m ? c->m * ldc - c->pad : 0;
  test_array residual = test_array_random(&r, nc, c->skew), want = test_array_new(nc, 0), got[4];
  int64_t sk = c->b_transposed ? 1 : ldb, sn = c->b_transposed ? ldb : 1;
  const float *add = c->residual ? residual.data : NULL, *bi = c->bias ? bias.data : NULL;
  gemm_f32_ref(c->m, c->n, c->k, a.data, lda, c->a_transposed, b.data, sk, sn, 0.5f, bi, add, ldc, &c->epilogue,
               want.data, ldc);
  for (int threads = 1; threads <= 3; threads++) {
    gemm_f32_plan plan;
    gemm_f32_params params = {.m = c->m,
                              .n = c->n,
                              .k = c->k,
                              .a_transposed = c->a_transposed,
                              .b_is_constant = true,
                              .epilogue = c->epilogue,
                              .threads = threads};
    CHECK(gemm_f32_plan_init(&plan, &params, v->isa));
    CHECK_STR(gemm_f32_plan_name(&plan), v->name);
    float *packed = test_alloc(plan.packed_b_bytes), *scratch = test_alloc(plan.scratch_bytes);
    void *unaligned;
    gemm_f32_pack_b(&plan, test_array_unaligned(&b, (size_t)threads - 1, &unaligned), sk, sn, 0.5f, packed,
                    test_pool(threads));
    mem_free(unaligned);
    got[threads] = test_array_new(nc, c->skew);
    gemm_f32_args args = {.m = c->m,
                          .a = a.data,
                          .a_stride = lda,
                          .packed_b = packed,
                          .bias = bi,
                          .residual = add,
                          .residual_stride = ldc,
                          .c = got[threads].data,
                          .c_stride = ldc};
    gemm_f32_run(&plan, &args, scratch, test_pool(threads));
    mem_free(packed);
    mem_free(scratch);
  }
  double error = test_array_error(got[1].data, want.data, nc);
  if (!(error <= 2e-6))
    TEST_FAIL("%s m %lld n %lld k %lld act %d: error %g", v->name, (long long)c->m, (long long)c->n, (long long)c->k,
              c->epilogue.act, error);
  for (int threads = 2; threads <= 3; threads++) {
    if (memcmp(got[1].data, got[threads].data, (size_t)nc * sizeof(float)))
      TEST_FAIL("%s m %lld n %lld k %lld: other bits with %d threads", v->name, (long long)c->m, (long long)c->n,
                (long long)c->k, threads);
  }
  for (int threads = 1; threads <= 3; threads++) test_array_free(&got[threads]);
  test_array_free(&a), test_array_free(&b), test_array_free(&bias), test_array_free(&residual), test_array_free(&want);
}

static void each_variant(void (*check)(const gemm_f32_variant *v)) {
  size_t n;
  const gemm_f32_variant *const *rows = gemm_f32_variants(&n);
  for (size_t i = 0; i < n; i++) {
    if (!(rows[i]->isa & ~cpu_isa_available())) check(rows[i]);
  }
}

static void check_tails(const gemm_f32_variant *v) {
  for (int64_t m = 1; m <= 2 * v->mr + 1; m++) {
    for (int i = 0; i < 6; i++) {
      int64_t n[] = {1, v->nr / 2, v->nr / 2 + 1, v->nr, 4 * v->nr + 3, 7 * v->nr}, k[] = {1, 2, 3, 17, 5, 33};
      gemm_case c = {.m = m,
                     .n = n[i],
                     .k = k[(i + m) % 6],
                     .bias = m % 2,
                     .residual = m % 3 == 0,
                     .pad = (int)(m % 5),
                     .skew = (int)(m % 4)};
      c.epilogue = m % 4 ? (kernel_epilogue){0} : kernel_epilogue_clamp(-0.25f, 0.5f);
      check_case(v, &c);
    }
  }
}

static void check_layouts(const gemm_f32_variant *v) {
  for (int i = 0; i < 16; i++) {
    gemm_case c = {.m = 3 + 7 * i,
                   .n = 41 + 13 * i,
                   .k = 9 * i,
                   .a_transposed = i & 1,
                   .b_transposed = i & 2,
                   .bias = i & 4,
                   .residual = i & 8,
                   .pad = i % 3,
                   .skew = i % 5};
    c.epilogue.residual_after = i & 1;
    check_case(v, &c);
  }
  gemm_case wide = {.m = 30, .n = 70, .k = 1024, .bias = true}; /* rows 4096 bytes apart: the copy */
  check_case(v, &wide);
  gemm_case empty[] = {
      {.m = 0, .n = 5, .k = 3}, {.m = 5, .n = 0, .k = 3}, {.m = 4, .n = 3, .k = 0, .bias = true, .residual = true}};
  for (int i = 0; i < 3; i++) check_case(v, &empty[i]);
}

static void check_acts(const gemm_f32_variant *v) {
  for (int act = 0; act < KERNEL_ACT_COUNT; act++) {
    for (int after = 0; after <= 1; after++) {
      gemm_case c = {.m = 19, .n = 57, .k = 40, .bias = true, .residual = true};
      c.epilogue = (kernel_epilogue){.act = (kernel_act)act,
                                     .alpha = act == KERNEL_ACT_CLAMP ? -0.1f : 0.3f,
                                     .beta = 0.5f,
                                     .residual_after = after};
      check_case(v, &c);
    }
  }
}

/* The activations over the whole range of floats, and NaN. */
static void check_act_range(const gemm_f32_variant *v) {
  enum { N = 4001 };
  float x[N], got[N];
  for (int act = 0; act < KERNEL_ACT_COUNT; act++) {
    kernel_epilogue e = {.act = (kernel_act)act, .alpha = act == KERNEL_ACT_CLAMP ? -1.0f : 0.5f, .beta = 0.5f};
    for (int i = 0; i < N; i++)
      x[i] = i < 3000 ? (float)(i - 1500) / 100 : (float)pow(10, (i - 3500) / 14.0) * (i % 2 ? 1 : -1);
    x[0] = NAN;
    memcpy(got, x, sizeof x);
    v->act(&e, 1, N, got, N, NULL, 0);
    for (int i = 0; i < N; i++) {
      float want = kernel_act_ref(&e, x[i]);
      bool same = isnan(want)   ? isnan(got[i])
                  : isinf(want) ? got[i] == want
                                : fabs((double)got[i] - want) <= 3e-7 * fmax(1, fabs(x[i]));
      if (!same) TEST_FAIL("%s activation %d of %g is %g, not %g", v->name, act, x[i], got[i], want);
    }
  }
}

static void check_nan(const gemm_f32_variant *v) {
  float a[8], b[8], c[1];
  for (int i = 0; i < 8; i++) a[i] = b[i] = 1;
  a[3] = NAN;
  gemm_f32_plan plan;
  gemm_f32_params params = {.m = 1, .n = 1, .k = 8, .b_is_constant = true, .epilogue = kernel_epilogue_clamp(0, 6)};
  CHECK(gemm_f32_plan_init(&plan, &params, v->isa));
  float *packed = test_alloc(plan.packed_b_bytes), *scratch = test_alloc(plan.scratch_bytes);
  gemm_f32_pack_b(&plan, b, 1, 8, 1, packed, NULL);
  gemm_f32_args args = {.m = 1, .a = a, .a_stride = 8, .packed_b = packed, .c = c, .c_stride = 1};
  gemm_f32_run(&plan, &args, scratch, NULL);
  CHECK(isnan(c[0]));
  mem_free(packed);
  mem_free(scratch);
}

static void check_batch(const gemm_f32_variant *v) {
  enum { B = 6 };
  static const int64_t ms[] = {1, 2, 5, 33}, ns[] = {7, 64, 150, 33}, ks[] = {64, 33, 50, 20};
  for (int i = 0; i < 16; i++) {
    int64_t m = ms[i / 2 % 4], n = ns[i / 2 % 4], k = ks[i / 2 % 4];
    bool b_transposed = i % 2;
    float scale = i < 8 ? 0.125f : 1; /* 1: a small product reads B where it stands */
    rng r;
    rng_init(&r, (uint64_t)i);
    test_array a = test_array_random(&r, B * m * k, 1), b = test_array_random(&r, 2 * k * n, 3),
               want = test_array_new(B * m * n, 0);
    test_array got = test_array_new(B * m * n, 2);
    int64_t offsets[B], sk = b_transposed ? 1 : n, sn = b_transposed ? k : 1;
    kernel_epilogue none = {0};
    for (int j = 0; j < B; j++) {
      offsets[j] = j / 2 % 2 * k * n;
      gemm_f32_ref(m, n, k, a.data + j * m * k, k, false, b.data + offsets[j], sk, sn, scale, NULL, NULL, 0, &none,
                   want.data + j * m * n, n);
    }
    for (int threads = 1; threads <= 3; threads++) {
      gemm_f32_plan plan;
      gemm_f32_params params = {.m = m, .n = n, .k = k, .threads = threads};
      CHECK(gemm_f32_plan_init(&plan, &params, v->isa));
      void *scratch = test_alloc(plan.scratch_bytes);
      gemm_f32_batch_args args = {.n_batch = B,
                                  .m = m,
                                  .a = a.data,
                                  .a_stride = k,
                                  .b = b.data,
                                  .b_stride_k = sk,
                                  .b_stride_n = sn,
                                  .scale = scale,
                                  .c = got.data,
                                  .c_stride = n,
                                  .b_offsets = offsets,
                                  .a_batch_stride = m * k,
                                  .c_batch_stride = m * n};
      gemm_f32_run_unpacked(&plan, &args, scratch, test_pool(threads));
      double error = test_array_error(got.data, want.data, B * m * n);
      if (!(error <= 2e-6)) TEST_FAIL("%s batch %d, %d threads: error %g", v->name, i, threads, error);
      mem_free(scratch);
    }
    test_array_free(&a), test_array_free(&b), test_array_free(&want), test_array_free(&got);
  }
}

static void test_tails(void) { each_variant(check_tails); }
static void test_layouts(void) { each_variant(check_layouts); }
static void test_acts(void) { each_variant(check_acts), each_variant(check_act_range); }
static void test_nan(void) { each_variant(check_nan); }
static void test_batch(void) { each_variant(check_batch); }

static void test_limits(void) {
  gemm_f32_plan plan;
  gemm_f32_params huge = {.m = 1, .n = INT64_MAX / 4, .k = INT64_MAX / 4}, negative = {.m = -1, .n = 2, .k = 2};
  CHECK(!gemm_f32_plan_init(&plan, &huge, 0));
  CHECK(!gemm_f32_plan_init(&plan, &negative, 0));
}

TEST_MAIN({"tails", test_tails}, {"layouts", test_layouts}, {"acts", test_acts}, {"nan", test_nan},
          {"batch", test_batch}, {"limits", test_limits})
