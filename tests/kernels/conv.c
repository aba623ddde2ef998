/* Every algorithm of kernels/conv with every kernel that this machine runs, against the oracle, over sizes with tails,
 * strides, dilations, uneven padding, groups, channel slices, one to three dimensions, epilogues; and the same bits for
 * one to three threads. */
#include "kernels/conv/conv.h"
#include "array_test.h"

typedef struct conv_case {
  int rank;
  int64_t batch, in[3], kernel[3], stride[3], dilation[3], pad0[3], pad1[3];
  int64_t channels_in, channels_out, groups;
  int64_t x_extra, y_extra; /* floats between pixels beyond the channels */
  bool bias, residual;
  kernel_epilogue epilogue;
} conv_case;

static conv_f32_params params_of(const conv_case *c) {
  conv_f32_params p = {.rank = c->rank,
                       .batch = c->batch,
                       .channels_in = c->channels_in,
                       .channels_out = c->channels_out,
                       .groups = c->groups,
                       .epilogue = c->epilogue};
  for (int i = 0; i < c->rank; i++) {
    p.in[i] = c->in[i], p.kernel[i] = c->kernel[i], p.stride[i] = c->stride[i] ? c->stride[i] : 1;
    p.dilation[i] = c->dilation[i] ? c->dilation[i] : 1, p.pad_begin[i] = c->pad0[i];
    p.out[i] = (c->in[i] + c->pad0[i] + c->pad1[i] - (c->kernel[i] - 1) * p.dilation[i] - 1) / p.stride[i] + 1;
  }
  p.x_pixel_stride = c->channels_in + c->x_extra;
  p.y_pixel_stride = c->channels_out + c->y_extra;
  p.residual_pixel_stride = p.y_pixel_stride;
  return p;
}

static void check_algo(const conv_case *c, conv_algo algo, uint32_t isa) {
  conv_f32_params p = params_of(c);
  p.algo = algo;
  conv_f32_plan plan;
  CHECK(conv_f32_plan_init(&plan, &p, isa));
  if (algo != CONV_AUTO && plan.params.algo != algo) return; /* it cannot do this shape */
  rng r;
  rng_init(&r, 7);
  int64_t in = p.batch, out = p.batch, weights = c->channels_out * (c->channels_in / c->groups);
  for (int i = 0; i < c->rank; i++) in *= p.in[i], out *= p.out[i], weights *= p.kernel[i];
  int64_t nx = in ? (in - 1) * p.x_pixel_stride + c->channels_in : 0,
          ny = out ? (out - 1) * p.y_pixel_stride + c->channels_out : 0;
  test_array x = test_array_random(&r, nx, 1), w = test_array_random(&r, weights, 3),
             b = test_array_random(&r, c->channels_out, 1);
  test_array add = test_array_random(&r, ny, 2), want = test_array_new(ny, 0), got[4];
  const float *bias = c->bias ? b.data : NULL, *residual = c->residual ? add.data : NULL;
  conv_f32_ref(&p, x.data, w.data, bias, residual, want.data);
  for (int threads = 1; threads <= 3; threads++) {
    p.threads = threads;
    CHECK(conv_f32_plan_init(&plan, &p, isa));
    void *packed = test_alloc(plan.packed_bytes), *scratch = test_alloc(plan.scratch_bytes), *unaligned;
    memset(scratch, 0xff, plan.scratch_bytes); /* NaN: what is not written first shows */
    got[threads] = test_array_new(ny, 1);
    conv_f32_pack(&plan, test_array_unaligned(&w, (size_t)threads - 1, &unaligned), bias, packed, test_pool(threads));
    conv_f32_run(&plan, x.data, packed, got[threads].data, residual, scratch, test_pool(threads));
    mem_free(packed), mem_free(scratch), mem_free(unaligned);
  }
  double error = test_array_error(got[1].data, want.data, ny);
  if (!(error <= (plan.params.algo == CONV_WINOGRAD4 ? 1e-5 : 3e-6)))
    TEST_FAIL("%s, %s, %lldx%lldx%lld of %lld to %lld channels: error %g", conv_algo_name(plan.params.algo),
              isa ? cpu_isa_name((cpu_isa)isa) : "plain", (long long)c->in[0], (long long)c->in[1], (long long)c->in[2],
              (long long)c->channels_in, (long long)c->channels_out, error);
  for (int threads = 2; threads <= 3; threads++) {
    if (memcmp(got[1].data, got[threads].data, (size_t)ny * sizeof(float)))
      TEST_FAIL("%s: other bits with %d threads", conv_algo_name(plan.params.algo), threads);
  }
  for (int threads = 1; threads <= 3; threads++) test_array_free(&got[threads]);
  test_array_free(&x), test_array_free(&w), test_array_free(&b), test_array_free(&add), test_array_free(&want);
}

static void check_algos(const conv_case *c, int first, int last) {
  static const uint32_t isas[] = {CPU_ISA_NONE, CPU_ISA_AVX2, CPU_ISA_AVX512, CPU_ISA_NEON};
  for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
    if (isas[i] & ~cpu_isa_available()) continue;
    for (int algo = first; algo <= last; algo++) {
      if (algo != CONV_REF) check_algo(c, (conv_algo)algo, isas[i]);
    }
  }
}
static void check_case(const conv_case *c) { check_algos(c, CONV_AUTO, CONV_ALGO_COUNT - 1); }

static void check_cases(const conv_case *cases, size_t n) {
  for (size_t i = 0; i < n; i++) check_case(&cases[i]);
}
#define CHECK_CASES(cases) check_cases(cases, sizeof cases / sizeof *cases)

#define RELU \
  { .act = KERNEL_ACT_CLAMP, .beta = INFINITY }

static void test_3x3(void) {
  static const conv_case cases[] = {
      {.rank = 2,
       .batch = 1,
       .in = {7, 7},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 19,
       .channels_out = 40,
       .groups = 1,
       .bias = true},
      {.rank = 2,
       .batch = 2,
       .in = {9, 14},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 16,
       .channels_out = 33,
       .groups = 1,
       .bias = true,
       .residual = true,
       .epilogue = RELU},
      {.rank = 2,
       .batch = 1,
       .in = {13, 30},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 5,
       .channels_out = 70,
       .groups = 1,
       .epilogue = {.act = KERNEL_ACT_SILU, .alpha = 1}},
      {.rank = 2,
       .batch = 1,
       .in = {15, 3},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 33,
       .channels_out = 7,
       .groups = 1,
       .residual = true,
       .epilogue = {.act = KERNEL_ACT_HARDSWISH, .residual_after = true}},
      {.rank = 2,
       .batch = 1,
       .in = {12, 28},
       .kernel = {3, 3},
       .pad0 = {0, 2},
       .pad1 = {1, 0},
       .channels_in = 8,
       .channels_out = 130,
       .groups = 1,
       .bias = true,
       .x_extra = 3,
       .y_extra = 5},
      {.rank = 2,
       .batch = 1,
       .in = {14, 14},
       .kernel = {3, 3},
       .channels_in = 64,
       .channels_out = 64,
       .groups = 1,
       .bias = true,
       .residual = true,
       .epilogue = {.residual_after = true}},
      {.rank = 2,
       .batch = 3,
       .in = {1, 1},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 17,
       .channels_out = 9,
       .groups = 1,
       .bias = true},
      {.rank = 2,
       .batch = 1,
       .in = {3, 2},
       .kernel = {3, 3},
       .pad0 = {4, 5},
       .pad1 = {4, 5},
       .channels_in = 6,
       .channels_out = 20,
       .groups = 1,
       .bias = true},
      {.rank = 2,
       .batch = 1,
       .in = {6, 6},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 256,
       .channels_out = 48,
       .groups = 1},
  };
  CHECK_CASES(cases);
}

static void test_shapes(void) {
  static const conv_case cases[] = {
      {.rank = 2,
       .batch = 2,
       .in = {23, 37},
       .kernel = {7, 7},
       .stride = {2, 2},
       .pad0 = {3, 3},
       .pad1 = {3, 3},
       .channels_in = 3,
       .channels_out = 64,
       .groups = 1,
       .bias = true,
       .epilogue = RELU},
      {.rank = 2,
       .batch = 1,
       .in = {20, 21},
       .kernel = {3, 3},
       .stride = {2, 2},
       .pad0 = {1, 0},
       .pad1 = {0, 1},
       .channels_in = 12,
       .channels_out = 24,
       .groups = 1,
       .bias = true},
      {.rank = 2,
       .batch = 1,
       .in = {14, 14},
       .kernel = {1, 1},
       .stride = {2, 2},
       .channels_in = 50,
       .channels_out = 65,
       .groups = 1,
       .bias = true,
       .x_extra = 14},
      {.rank = 2,
       .batch = 2,
       .in = {5, 9},
       .kernel = {1, 1},
       .channels_in = 31,
       .channels_out = 33,
       .groups = 1,
       .bias = true,
       .residual = true,
       .x_extra = 1,
       .y_extra = 7},
      {.rank = 2,
       .batch = 1,
       .in = {16, 17},
       .kernel = {3, 5},
       .dilation = {2, 3},
       .pad0 = {2, 6},
       .pad1 = {2, 6},
       .channels_in = 9,
       .channels_out = 18,
       .groups = 1,
       .bias = true},
      {.rank = 2,
       .batch = 1,
       .in = {10, 10},
       .kernel = {3, 3},
       .dilation = {6, 6},
       .pad0 = {6, 6},
       .pad1 = {6, 6},
       .channels_in = 20,
       .channels_out = 40,
       .groups = 1},
      {.rank = 2,
       .batch = 1,
       .in = {6, 5},
       .kernel = {3, 3},
       .stride = {2, 3},
       .pad0 = {2, 2},
       .pad1 = {2, 2},
       .channels_in = 10,
       .channels_out = 40,
       .groups = 1},
      {.rank = 2,
       .batch = 1,
       .in = {9, 9},
       .kernel = {2, 4},
       .stride = {1, 2},
       .pad0 = {-1, -2},
       .pad1 = {1, -1},
       .channels_in = 10,
       .channels_out = 40,
       .groups = 1},
      {.rank = 1,
       .batch = 2,
       .in = {50},
       .kernel = {9},
       .stride = {3},
       .dilation = {2},
       .pad0 = {8},
       .pad1 = {3},
       .channels_in = 14,
       .channels_out = 21,
       .groups = 1,
       .bias = true},
      {.rank = 1,
       .batch = 1,
       .in = {300},
       .kernel = {64},
       .stride = {20},
       .channels_in = 1,
       .channels_out = 30,
       .groups = 1,
       .bias = true},
      {.rank = 1,
       .batch = 1,
       .in = {17},
       .kernel = {1},
       .channels_in = 14,
       .channels_out = 21,
       .groups = 1,
       .bias = true},
      {.rank = 3,
       .batch = 1,
       .in = {5, 6, 17},
       .kernel = {3, 3, 3},
       .pad0 = {1, 1, 1},
       .pad1 = {1, 1, 1},
       .channels_in = 7,
       .channels_out = 35,
       .groups = 1,
       .bias = true},
      {.rank = 3,
       .batch = 2,
       .in = {6, 5, 5},
       .kernel = {2, 3, 2},
       .stride = {2, 1, 1},
       .dilation = {2, 1, 2},
       .pad0 = {1, 0, 2},
       .pad1 = {1, 2, 0},
       .channels_in = 4,
       .channels_out = 8,
       .groups = 2},
      {.rank = 2,
       .batch = 1,
       .in = {4, 5},
       .kernel = {1, 1},
       .stride = {2, 2},
       .channels_in = 1024,
       .channels_out = 40,
       .groups = 1},
      {.rank = 2, .batch = 0, .in = {4, 5}, .kernel = {1, 1}, .channels_in = 3, .channels_out = 4, .groups = 1},
      {.rank = 2,
       .batch = 1,
       .in = {3, 40},
       .kernel = {1, 3},
       .stride = {1, 2},
       .pad1 = {0, 1},
       .channels_in = 1024,
       .channels_out = 40,
       .groups = 1},
  };
  CHECK_CASES(cases);
}

static void test_groups(void) {
  static const conv_case cases[] = {
      {.rank = 2,
       .batch = 1,
       .in = {9, 16},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 128,
       .channels_out = 128,
       .groups = 32,
       .bias = true,
       .epilogue = RELU},
      {.rank = 2,
       .batch = 2,
       .in = {8, 7},
       .kernel = {3, 3},
       .stride = {2, 2},
       .pad0 = {1, 1},
       .pad1 = {1, 1},
       .channels_in = 30,
       .channels_out = 60,
       .groups = 6,
       .bias = true,
       .residual = true,
       .x_extra = 2},
      {.rank = 2,
       .batch = 1,
       .in = {7, 7},
       .kernel = {1, 1},
       .channels_in = 36,
       .channels_out = 54,
       .groups = 9,
       .bias = true},
      {.rank = 2,
       .batch = 1,
       .in = {7, 8},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .channels_in = 6,
       .channels_out = 18,
       .groups = 6,
       .bias = true},
      {.rank = 2,
       .batch = 1,
       .in = {7, 8},
       .kernel = {3, 3},
       .pad0 = {1, 1},
       .channels_in = 80,
       .channels_out = 130,
       .groups = 2,
       .bias = true},
  };
  CHECK_CASES(cases);
}

static void test_depthwise(void) {
  for (int i = 0; i < 96; i++) {
    int64_t k = (int64_t[]){3, 5, 3, 4, 7, 1}[i % 6], s = 1 + i / 6 % 2, d = i % 16 == 7 ? 2 : 1,
            n = (int64_t[]){1, 7, 14, 23}[i / 12 % 4];
    conv_case c = {.rank = 2,
                   .batch = 1 + i % 2,
                   .in = {n, n + i % 3},
                   .kernel = {k, k},
                   .stride = {s, s},
                   .dilation = {d, d},
                   .pad0 = {k / 2 * d, k / 2 * d},
                   .pad1 = {k / 2 * d, (k - 1) / 2 * d},
                   .bias = i % 3 != 0,
                   .residual = i % 5 == 0};
    c.channels_in = c.channels_out = c.groups = (int64_t[]){1, 8, 16, 24, 40, 67}[i / 16];
    if (i % 4 == 0) c.epilogue = kernel_epilogue_clamp(0, 6);
    if (i % 4 == 1) c.epilogue = (kernel_epilogue){.act = KERNEL_ACT_HARDSWISH, .residual_after = i % 5 == 0};
    c.x_extra = i % 7, c.y_extra = i % 4;
    check_algos(&c, CONV_DEPTHWISE, CONV_DEPTHWISE);
  }
  static const conv_case cases[] = {
      {.rank = 1,
       .batch = 2,
       .in = {31},
       .kernel = {5},
       .pad0 = {4},
       .channels_in = 20,
       .channels_out = 20,
       .groups = 20,
       .bias = true},
      {.rank = 3,
       .batch = 1,
       .in = {3, 6, 6},
       .kernel = {1, 3, 3},
       .pad0 = {0, 1, 1},
       .pad1 = {0, 1, 1},
       .channels_in = 20,
       .channels_out = 20,
       .groups = 20},
      {.rank = 3,
       .batch = 1,
       .in = {3, 6, 6},
       .kernel = {3, 3, 3},
       .pad0 = {1, 1, 1},
       .pad1 = {1, 1, 1},
       .channels_in = 20,
       .channels_out = 20,
       .groups = 20},
      {.rank = 2,
       .batch = 1,
       .in = {2, 2},
       .kernel = {3, 3},
       .pad0 = {4, 4},
       .pad1 = {4, 4},
       .channels_in = 20,
       .channels_out = 20,
       .groups = 20,
       .bias = true},
  };
  CHECK_CASES(cases);
}

static void test_acts(void) {
  for (int act = 0; act < KERNEL_ACT_COUNT; act++) {
    for (int i = 0; i < 3; i++) {
      conv_case c = {.rank = 2,
                     .batch = 1,
                     .in = {6, 9},
                     .kernel = {3, 3},
                     .pad0 = {1, 1},
                     .pad1 = {1, 1},
                     .channels_in = 8,
                     .channels_out = 8,
                     .groups = i == 2 ? 8 : 1,
                     .bias = true,
                     .residual = i == 1};
      c.epilogue = (kernel_epilogue){.act = (kernel_act)act,
                                     .alpha = act == KERNEL_ACT_CLAMP ? -0.1f : 0.3f,
                                     .beta = 0.5f,
                                     .residual_after = act % 2};
      check_case(&c);
    }
  }
}

static void test_candidates(void) {
  static const conv_case cases[] = {
      {.rank = 2, .in = {14, 14}, .kernel = {3, 3}, .pad0 = {1, 1}, .pad1 = {1, 1}, .channels_in = 64, .groups = 1},
      {.rank = 2, .in = {14, 14}, .kernel = {3, 3}, .stride = {2, 2}, .channels_in = 64, .groups = 1},
      {.rank = 2, .in = {14, 14}, .kernel = {1, 1}, .channels_in = 64, .groups = 1},
      {.rank = 2, .in = {14, 14}, .kernel = {3, 3}, .channels_in = 64, .groups = 64}};
  static const int want[] = {4, 2, 1, 1};
  for (int i = 0; i < 4; i++) {
    conv_case c = cases[i];
    c.batch = 1, c.channels_out = 64;
    conv_f32_params p = params_of(&c);
    conv_candidate found[CONV_ALGO_COUNT];
    int n = conv_f32_candidates(&p, cpu_isa_available(), found);
    CHECK(n == want[i] && found[0].algo == conv_f32_choose(&p, cpu_isa_available()));
    for (int k = 0; k < n; k++) {
      conv_f32_plan plan;
      p.algo = found[k].algo;
      CHECK(found[k].cycles > 0 && (k == 0 || found[k].cycles >= found[k - 1].cycles));
      CHECK(conv_f32_plan_init(&plan, &p, cpu_isa_available()) && plan.params.algo == p.algo);
    }
  }
}

static void test_limits(void) {
  conv_f32_plan plan;
  conv_f32_params good = {.rank = 1,
                          .batch = 1,
                          .in = {4},
                          .out = {4},
                          .kernel = {1},
                          .stride = {1},
                          .dilation = {1},
                          .channels_in = 4,
                          .channels_out = 4,
                          .groups = 2};
  CHECK(conv_f32_plan_init(&plan, &good, 0));
  conv_f32_params p = good;
  p.groups = 3;
  CHECK(!conv_f32_plan_init(&plan, &p, 0));
  p = good, p.stride[0] = 0;
  CHECK(!conv_f32_plan_init(&plan, &p, 0));
  p = good, p.x_pixel_stride = 3;
  CHECK(!conv_f32_plan_init(&plan, &p, 0));
  p = good, p.in[0] = INT64_MAX;
  CHECK(!conv_f32_plan_init(&plan, &p, 0));
  p = good, p.channels_in = p.channels_out = INT32_MAX - 1, p.kernel[0] = INT32_MAX;
  CHECK(!conv_f32_plan_init(&plan, &p, 0));
  p = good, p.rank = 4;
  CHECK(!conv_f32_plan_init(&plan, &p, 0));
}

TEST_MAIN({"3x3", test_3x3}, {"shapes", test_shapes}, {"groups", test_groups}, {"depthwise", test_depthwise},
          {"acts", test_acts}, {"candidates", test_candidates}, {"limits", test_limits})
