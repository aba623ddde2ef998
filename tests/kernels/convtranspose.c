/* kernels/convtranspose with every kernel that this machine runs, against the oracle, over random sizes, strides,
 * dilations, paddings, groups and channel slices; and the same bits for one to three threads. */
#include "kernels/convtranspose/convtranspose.h"
#include "array_test.h"

static int64_t pick(rng *r, int64_t lo, int64_t hi) { return lo + (int64_t)(rng_u64(r) % (uint64_t)(hi - lo + 1)); }

static convtranspose_f32_params random_params(rng *r) {
  convtranspose_f32_params p = {.rank = (int)pick(r, 1, 3), .batch = pick(r, 1, 2)};
  p.groups = pick(r, 0, 2) ? 1 : pick(r, 2, 5);
  p.channels_in = p.groups * pick(r, 1, 9);
  p.channels_out = p.groups * pick(r, 1, p.groups > 1 ? 5 : 40);
  for (int d = 0; d < p.rank; d++) {
    p.in[d] = pick(r, 1, p.rank == 3 ? 5 : 17);
    p.kernel[d] = pick(r, 1, 5), p.stride[d] = pick(r, 1, 4), p.dilation[d] = pick(r, 1, 3);
    int64_t all = (p.in[d] - 1) * p.stride[d] + (p.kernel[d] - 1) * p.dilation[d] + 1;
    p.pad_begin[d] = pick(r, 0, 2);
    p.out[d] = all - p.pad_begin[d] - pick(r, 0, 2) + pick(r, 0, p.stride[d] + 2);
    if (p.out[d] < 1) p.out[d] = 1;
  }
  p.x_pixel_stride = p.channels_in + pick(r, 0, 2);
  p.y_pixel_stride = p.channels_out + pick(r, 0, 2);
  if (pick(r, 0, 2) == 0) p.epilogue = kernel_epilogue_clamp(-0.5f, 0.5f);
  if (pick(r, 0, 3) == 0) p.epilogue = (kernel_epilogue){.act = KERNEL_ACT_SIGMOID};
  return p;
}

static void check_params(rng *r, convtranspose_f32_params p, uint32_t isa) {
  int64_t in = p.batch, out = p.batch, taps = 1;
  for (int d = 0; d < p.rank; d++) in *= p.in[d], out *= p.out[d], taps *= p.kernel[d];
  int64_t nx = (in - 1) * p.x_pixel_stride + p.channels_in, ny = (out - 1) * p.y_pixel_stride + p.channels_out;
  test_array x = test_array_random(r, nx, 1), b = test_array_random(r, p.channels_out, 1), want = test_array_new(ny, 0);
  test_array w = test_array_random(r, p.channels_in * (p.channels_out / p.groups) * taps, 2), got[4];
  const float *bias = pick(r, 0, 1) ? b.data : NULL;
  CHECK(convtranspose_f32_ref(&p, x.data, w.data, bias, want.data));
  for (int threads = 1; threads <= 3; threads++) {
    convtranspose_f32_plan plan;
    p.threads = threads;
    CHECK(convtranspose_f32_plan_init(&plan, &p, isa));
    void *packed = test_alloc(plan.packed_bytes), *scratch = test_alloc(plan.scratch_bytes), *unaligned;
    got[threads] = test_array_new(ny, 1);
    convtranspose_f32_pack(&plan, test_array_unaligned(&w, (size_t)threads - 1, &unaligned), bias, packed,
                           test_pool(threads));
    convtranspose_f32_run(&plan, x.data, packed, got[threads].data, scratch, test_pool(threads));
    mem_free(packed), mem_free(scratch), mem_free(unaligned);
    if (threads > 1 && memcmp(got[1].data, got[threads].data, (size_t)ny * sizeof(float)))
      TEST_FAIL("other bits with %d threads", threads);
  }
  double error = test_array_error(got[1].data, want.data, ny);
  /* Of what a clamp leaves, at most 0.5: the sums whose rounding this is were ten times that. */
  if (!(error <= (p.epilogue.act ? 1e-5 : 2e-6)))
    TEST_FAIL("isa %x rank %d, %lld to %lld channels in %lld groups: error %g", isa, p.rank, (long long)p.channels_in,
              (long long)p.channels_out, (long long)p.groups, error);
  for (int threads = 1; threads <= 3; threads++) test_array_free(&got[threads]);
  test_array_free(&x), test_array_free(&w), test_array_free(&b), test_array_free(&want);
}

static void test_random(void) {
  static const uint32_t isas[] = {CPU_ISA_NONE, CPU_ISA_AVX2, CPU_ISA_AVX512, CPU_ISA_NEON};
  rng r;
  rng_init(&r, 3);
  for (int i = 0; i < 120; i++) {
    convtranspose_f32_params p = random_params(&r);
    for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
      if (!(isas[j] & ~cpu_isa_available())) check_params(&r, p, isas[j]);
    }
  }
}

static void test_limits(void) {
  convtranspose_f32_plan plan;
  convtranspose_f32_params good = {.rank = 1,
                                   .batch = 1,
                                   .in = {4},
                                   .out = {8},
                                   .kernel = {2},
                                   .stride = {2},
                                   .dilation = {1},
                                   .channels_in = 4,
                                   .channels_out = 4,
                                   .groups = 2};
  CHECK(convtranspose_f32_plan_init(&plan, &good, 0));
  CHECK_INT(plan.n_phases, 2);
  convtranspose_f32_params p = good;
  p.groups = 3;
  CHECK(!convtranspose_f32_plan_init(&plan, &p, 0));
  p = good, p.stride[0] = INT32_MAX;
  CHECK(!convtranspose_f32_plan_init(&plan, &p, 0));
  p = good, p.out[0] = INT64_MAX;
  CHECK(!convtranspose_f32_plan_init(&plan, &p, 0));
}

TEST_MAIN({"random", test_random}, {"limits", test_limits})
