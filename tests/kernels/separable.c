/* kernels/separable with every kernel that this machine runs: the same bits as the convolutions one by one, whatever
 * the number of threads, over sizes, strides, paddings, missing stages, activations and residuals. */
#include "kernels/separable/separable.h"
#include "array_test.h"

enum { STAGES = 5 };

typedef struct block_case {
  int64_t batch, in[2], kernel[2], stride, dilation, pad0[2], pad1[2];
  int64_t from, channels, to; /* from, to 0: no expand, no project */
  int residual;               /* 1: before the last activation, 2: after it, 3: y itself */
  kernel_act act[3];
  bool again; /* depthwise and expand once more behind it */
} block_case;

static conv_f32_params pointwise(int64_t batch, const int64_t *size, int64_t from, int64_t to, kernel_act act) {
  return (conv_f32_params){.rank = 2,
                           .batch = batch,
                           .in = {size[0], size[1]},
                           .out = {size[0], size[1]},
                           .kernel = {1, 1},
                           .stride = {1, 1},
                           .dilation = {1, 1},
                           .channels_in = from,
                           .channels_out = to,
                           .groups = 1,
                           .epilogue = {.act = act, .alpha = act == KERNEL_ACT_SILU, .beta = 6}};
}

static conv_f32_params depthwise(const block_case *c, const int64_t *size, int64_t channels) {
  conv_f32_params p = pointwise(c->batch, size, channels, channels, c->act[1]);
  p.groups = channels;
  for (int i = 0; i < 2; i++) {
    p.kernel[i] = c->kernel[i], p.stride[i] = c->stride, p.dilation[i] = c->dilation ? c->dilation : 1;
    p.pad_begin[i] = c->pad0[i];
    p.out[i] = (c->in[i] + c->pad0[i] + c->pad1[i] - (c->kernel[i] - 1) * p.dilation[i] - 1) / c->stride + 1;
  }
  return p;
}

static separable_f32_params params_of(const block_case *c) {
  separable_f32_params p = {0};
  if (c->from) p.stage[p.n++] = pointwise(c->batch, c->in, c->from, c->channels, c->act[0]);
  p.stage[p.n++] = depthwise(c, c->in, c->channels);
  if (c->to) p.stage[p.n] = pointwise(c->batch, p.stage[p.n - 1].out, c->channels, c->to, c->act[2]), p.n++;
  if (c->again) {
    int64_t channels = p.stage[p.n - 1].channels_out;
    block_case d = *c;
    memcpy(d.in, p.stage[p.n - 1].out, sizeof d.in);
    p.stage[p.n] = depthwise(&d, d.in, channels), p.n++;
    p.stage[p.n] = pointwise(c->batch, p.stage[p.n - 1].out, channels, c->channels, c->act[0]), p.n++;
  }
  p.stage[p.n - 1].epilogue.residual_after = c->residual == 2;
  return p;
}

static int64_t pixels_of(const conv_f32_params *p, bool out) {
  return p->batch * (out ? p->out[0] * p->out[1] : p->in[0] * p->in[1]);
}

typedef struct stage_data {
  test_array w, b, y; /* y: of the convolution alone */
  void *packed;
} stage_data;

/* The stages one by one, each against the oracle. */
static void run_alone(const separable_f32_plan *plan, const float *x, const float *residual, stage_data *data, rng *r) {
  const int last = plan->n - 1;
  for (int i = 0; i < plan->n; i++) {
    const conv_f32_plan *s = &plan->stage[i];
    const conv_f32_params *p = &s->params;
    data[i].w = test_array_random(r, p->channels_out * p->channels_in / p->groups * p->kernel[0] * p->kernel[1], 1);
    data[i].b = test_array_random(r, p->channels_out, 0);
    data[i].y = test_array_new(pixels_of(p, true) * p->channels_out, 0);
    data[i].packed = test_alloc(s->packed_bytes);
    void *scratch = test_alloc(s->scratch_bytes);
    conv_f32_pack(s, data[i].w.data, data[i].b.data, data[i].packed, NULL);
    conv_f32_run(s, x, data[i].packed, data[i].y.data, i == last ? residual : NULL, scratch, NULL);
    test_array want = test_array_new(data[i].y.n, 0);
    conv_f32_ref(p, x, data[i].w.data, data[i].b.data, i == last ? residual : NULL, want.data);
    CHECK(test_array_error(data[i].y.data, want.data, want.n) <= 3e-6);
    test_array_free(&want);
    mem_free(scratch);
    x = data[i].y.data;
  }
}

static void check_case(const block_case *c, uint32_t isa) {
  separable_f32_params params = params_of(c);
  separable_f32_plan plan;
  CHECK(separable_f32_plan_init(&plan, &params, isa));
  const conv_f32_params *first = &plan.stage[0].params, *last = &plan.stage[plan.n - 1].params;
  rng r;
  rng_init(&r, 3);
  stage_data data[STAGES] = {0};
  int64_t ny = pixels_of(last, true) * last->channels_out;
  test_array x = test_array_random(&r, pixels_of(first, false) * first->channels_in, 1),
             add = test_array_random(&r, ny, 1);
  run_alone(&plan, x.data, c->residual ? add.data : NULL, data, &r);
  const void *packed[STAGES];
  for (int i = 0; i < plan.n; i++) packed[i] = data[i].packed;
  for (int threads = 1; threads <= 3; threads++) {
    params.threads = threads;
    CHECK(separable_f32_plan_init(&plan, &params, isa));
    void *scratch = test_alloc(plan.scratch_bytes);
    memset(scratch, 0xff, plan.scratch_bytes); /* NaN: what is not written first shows */
    test_array y = test_array_new(ny, 1);
    if (c->residual == 3) memcpy(y.data, add.data, (size_t)ny * sizeof(float));
    const float *residual = c->residual == 3 ? y.data : c->residual ? add.data : NULL;
    separable_f32_run(&plan, x.data, packed, y.data, residual, scratch, test_pool(threads));
    if (memcmp(y.data, data[plan.n - 1].y.data, (size_t)ny * sizeof(float)))
      TEST_FAIL("%lldx%lld, %lld-%lld-%lld channels, %s: other bits with %d threads", (long long)c->in[0],
                (long long)c->in[1], (long long)c->from, (long long)c->channels, (long long)c->to,
                isa ? cpu_isa_name((cpu_isa)isa) : "plain", threads);
    test_array_free(&y);
    mem_free(scratch);
  }
  for (int i = 0; i < plan.n; i++) {
    test_array_free(&data[i].w), test_array_free(&data[i].b), test_array_free(&data[i].y);
    mem_free(data[i].packed);
  }
  test_array_free(&x), test_array_free(&add);
}

#define RELU6 KERNEL_ACT_CLAMP
#define SILU KERNEL_ACT_SILU
static const block_case cases[] = {
    {1, {14, 14}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 16, 96, 24, 0, {RELU6, RELU6, KERNEL_ACT_NONE}},
    {1, {14, 14}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 24, 40, 24, 1, {RELU6, RELU6, KERNEL_ACT_NONE}},
    {2, {15, 13}, {3, 3}, 2, 1, {1, 1}, {1, 1}, 8, 35, 17, 0, {SILU, SILU, KERNEL_ACT_NONE}},
    {1, {40, 12}, {3, 3}, 2, 1, {0, 0}, {1, 1}, 8, 48, 20, 3, {RELU6, SILU, RELU6}},
    {1, {20, 21}, {5, 5}, 1, 1, {2, 2}, {2, 2}, 8, 32, 8, 2, {SILU, SILU, SILU}},
    {3, {11, 9}, {5, 5}, 2, 1, {2, 2}, {2, 2}, 5, 33, 9, 3, {KERNEL_ACT_HARDSWISH, RELU6, KERNEL_ACT_NONE}},
    {1, {37, 30}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 0, 32, 16, 0, {RELU6, RELU6, RELU6}},
    {2, {16, 7}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 0, 19, 5, 1, {RELU6, RELU6, KERNEL_ACT_NONE}},
    {1, {24, 24}, {3, 3}, 2, 1, {1, 1}, {1, 1}, 12, 64, 0, 0, {RELU6, SILU, RELU6}},
    {1, {9, 24}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 12, 64, 0, 2, {RELU6, RELU6, RELU6}},
    {1, {9, 24}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 12, 20, 0, 3, {RELU6, RELU6, RELU6}},
    {1, {18, 18}, {3, 3}, 1, 3, {3, 3}, {3, 3}, 6, 20, 10, 0, {RELU6, RELU6, RELU6}},
    {1, {10, 10}, {7, 2}, 1, 1, {3, 0}, {3, 1}, 6, 20, 10, 1, {RELU6, RELU6, RELU6}},
    {1, {10, 10}, {3, 3}, 3, 1, {2, 0}, {4, 3}, 6, 20, 10, 0, {RELU6, RELU6, RELU6}},
    {1, {1, 1}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 6, 20, 10, 0, {RELU6, RELU6, RELU6}},
    {1, {2, 3}, {5, 5}, 1, 1, {4, 4}, {4, 4}, 6, 20, 10, 0, {RELU6, RELU6, RELU6}},
    {1, {33, 30}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 12, 64, 16, 0, {RELU6, RELU6, RELU6}, true},
    {2, {34, 17}, {3, 3}, 2, 1, {1, 0}, {1, 1}, 12, 40, 8, 3, {RELU6, SILU, RELU6}, true},
    {1, {31, 20}, {5, 5}, 1, 1, {2, 2}, {2, 2}, 0, 24, 0, 0, {RELU6, RELU6, RELU6}, true},
    {1, {40, 9}, {3, 3}, 1, 2, {2, 2}, {2, 2}, 7, 24, 0, 2, {RELU6, RELU6, RELU6}, true},
    {1, {5, 4}, {3, 3}, 1, 1, {1, 1}, {1, 1}, 6, 1024, 10, 0, {RELU6, RELU6, RELU6}},
};

static void test_blocks(void) {
  static const uint32_t isas[] = {CPU_ISA_NONE, CPU_ISA_AVX2, CPU_ISA_AVX512, CPU_ISA_NEON};
  for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
    if (isas[i] & ~cpu_isa_available()) continue;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) check_case(&cases[k], isas[i]);
  }
}

static void test_refused(void) {
  separable_f32_plan plan;
  const separable_f32_params good = params_of(&cases[0]);
  CHECK(separable_f32_plan_init(&plan, &good, 0));
  separable_f32_params p = good;
  p.n = 1;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[1].rank = 0;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[0].stride[0] = 2;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[0].channels_out = 95;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[2].in[0] = 13;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[1].pad_begin[1] = -1;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[1].kernel[0] = 17;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[1].groups = 1;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
  p = good, p.stage[1].batch = 2;
  CHECK(!separable_f32_plan_init(&plan, &p, 0));
}

TEST_MAIN({"blocks", test_blocks}, {"refused", test_refused})
