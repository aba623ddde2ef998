/* Convolutions of bfloat16 with every variant that this machine runs, against conv_f32_ref on rounded factors: tails,
 * strides, dilations, uneven padding, groups, channel slices, slabs, epilogues; and the same bits for one to three
 * threads. */
#include "kernels/conv_bf16/conv_bf16.h"
#include "array_test.h"
#include "kernels/gemm_bf16/tile.h"

typedef struct conv_case {
  int64_t batch, in[2], kernel[2], stride[2], dilation[2], pad[2], channels_in, channels_out, groups;
  int64_t extra; /* floats between pixels beyond the channels */
  bool residual;
  kernel_epilogue epilogue;
  int rank; /* 0: 2 */
} conv_case;

#define RELU \
  { .act = KERNEL_ACT_CLAMP, .beta = INFINITY }
#define SILU \
  { .act = KERNEL_ACT_SILU, .alpha = 1, .residual_after = true }
static const conv_case cases[] = {
    {1, {7, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 32, 40, 1, 0, true, RELU},
    {2, {9, 14}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 64, 33, 1, 3, false, {0}},
    {1, {15, 13}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 64, 70, 1, 0, true, RELU},
    {1, {12, 11}, {1, 1}, {2, 2}, {1, 1}, {0, 0}, 64, 65, 1, 0, false, RELU},
    {1, {20, 21}, {7, 7}, {2, 2}, {1, 1}, {3, 3}, 3, 64, 1, 0, false, RELU},
    {1, {16, 16}, {4, 4}, {4, 4}, {1, 1}, {0, 0}, 3, 24, 1, 1, false, {0}},
    {3, {5, 6}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, 24, 100, 1, 2, true, SILU},
    {1, {14, 14}, {3, 3}, {1, 1}, {2, 2}, {2, 2}, 32, 16, 1, 0, true, {0}},
    {1, {13, 9}, {3, 2}, {3, 2}, {2, 3}, {1, 4}, 40, 31, 1, 0, false, {0}},
    {2, {8, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 96, 48, 3, 0, true, SILU},
    {1, {6, 7}, {5, 3}, {1, 2}, {1, 1}, {0, 5}, 34, 68, 2, 1, false, RELU},
    {1, {70, 64}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 256, 32, 1, 0, false, RELU},
    {1, {1, 50}, {1, 3}, {1, 1}, {1, 1}, {0, 1}, 64, 64, 1, 0, false, RELU, 1},
    {1, {14, 14}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 32, 64, 1, 0, false, {0}},
    {1, {4, 4}, {3, 3}, {1, 1}, {1, 1}, {6, 6}, 32, 8, 1, 0, false, {0}},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static conv_f32_params params_of(const conv_case *c, int threads) {
  int rank = c->rank ? c->rank : 2;
  conv_f32_params p = {.rank = rank,
                       .batch = c->batch,
                       .channels_in = c->channels_in,
                       .channels_out = c->channels_out,
                       .groups = c->groups,
                       .x_pixel_stride = c->channels_in + c->extra,
                       .y_pixel_stride = c->channels_out + c->extra,
                       .residual_pixel_stride = c->channels_out + c->extra,
                       .epilogue = c->epilogue,
                       .threads = threads};
  for (int i = 0; i < rank; i++) {
    int from = i + 2 - rank;
    p.in[i] = c->in[from], p.kernel[i] = c->kernel[from], p.stride[i] = c->stride[from];
    p.dilation[i] = c->dilation[from], p.pad_begin[i] = c->pad[from];
    p.out[i] = (p.in[i] + 2 * p.pad_begin[i] - (p.kernel[i] - 1) * p.dilation[i] - 1) / p.stride[i] + 1;
  }
  return p;
}

static void round_all(test_array *a) {
  for (int64_t i = 0; i < a->n; i++) a->data[i] = bf16_value(bf16_round(a->data[i]));
}

static int n_planes, n_gathers; /* cases that went each way */

static void check_case(const gemm_bf16_variant *v, const conv_case *c) {
  conv_f32_params p = params_of(c, 1);
  rng r;
  rng_init(&r, 7);
  int64_t in = p.batch, out = p.batch, weights = c->channels_out * (c->channels_in / c->groups);
  for (int i = 0; i < p.rank; i++) in *= p.in[i], out *= p.out[i], weights *= p.kernel[i];
  int64_t nx = (in - 1) * p.x_pixel_stride + c->channels_in, ny = (out - 1) * p.y_pixel_stride + c->channels_out;
  test_array x = test_array_random(&r, nx, 1), w = test_array_random(&r, weights, 3);
  test_array b = test_array_random(&r, c->channels_out, 1), add = test_array_random(&r, ny, 2);
  test_array want = test_array_new(ny, 0), whole = test_array_new(ny, 0), got[4];
  const float *residual = c->residual ? add.data : NULL;
  long long at = c - cases;
  for (int threads = 1; threads <= 3; threads++) {
    conv_bf16_plan plan;
    p.threads = threads;
    CHECK(conv_bf16_plan_init(&plan, &p, v->isa));
    n_planes += plan.planes, n_gathers += !plan.planes;
    void *packed = test_alloc(plan.packed_bytes), *scratch = test_alloc(plan.scratch_bytes), *unaligned;
    memset(scratch, 0xff, plan.scratch_bytes); /* NaN: what is not written first shows */
    got[threads] = test_array_new(ny, 1);
    conv_bf16_pack(&plan, test_array_unaligned(&w, (size_t)threads - 1, &unaligned), b.data, packed,
                   test_pool(threads));
    conv_bf16_run(&plan, x.data, packed, got[threads].data, residual, scratch, test_pool(threads));
    mem_free(packed), mem_free(scratch), mem_free(unaligned);
  }
  conv_f32_ref(&p, x.data, w.data, b.data, residual, whole.data);
  round_all(&x), round_all(&w);
  conv_f32_ref(&p, x.data, w.data, b.data, residual, want.data);
  double error = test_array_error(got[1].data, want.data, ny), lost = test_array_error(got[1].data, whole.data, ny);
  if (!(error <= 1e-5)) TEST_FAIL("%s: case %lld: error %g", v->name, at, error);
  if (!(lost <= 0.01)) TEST_FAIL("%s: case %lld: %g off float32", v->name, at, lost);
  for (int threads = 2; threads <= 3; threads++)
    if (memcmp(got[1].data, got[threads].data, (size_t)ny * sizeof(float)))
      TEST_FAIL("%s: case %lld: other bits with %d threads", v->name, at, threads);
  for (int threads = 1; threads <= 3; threads++) test_array_free(&got[threads]);
  test_array_free(&x), test_array_free(&w), test_array_free(&b), test_array_free(&add), test_array_free(&want);
  test_array_free(&whole);
}

static void test_cases(void) {
  size_t n;
  const gemm_bf16_variant *const *rows = gemm_bf16_variants(&n);
  for (size_t i = 0; i < n; i++)
    for (int c = 0; c < N_CASES && !(rows[i]->isa & ~cpu_isa_available()); c++) check_case(rows[i], &cases[c]);
  CHECK(n_planes && n_gathers);
}

/* What it leaves to float32: three dimensions, groups of few channels, a y with gaps, and sizes that fit nothing. */
static void test_refused(void) {
  conv_bf16_plan plan;
  conv_f32_params p = params_of(&cases[0], 1), q = p;
  CHECK(conv_bf16_plan_init(&plan, &p, 0));
  q.groups = 8;
  CHECK(!conv_bf16_plan_init(&plan, &q, 0));
  q = p, q.rank = 3, q.in[2] = q.out[2] = q.kernel[2] = q.stride[2] = q.dilation[2] = 1;
  CHECK(!conv_bf16_plan_init(&plan, &q, 0));
  q = p, q.y_step[1] = 2 * p.channels_out, q.y_step[0] = 99999, q.y_image_step = 999999;
  CHECK(!conv_bf16_plan_init(&plan, &q, 0));
  q = p, q.channels_in = INT64_MAX / 4;
  CHECK(!conv_bf16_plan_init(&plan, &q, 0));
}

TEST_MAIN({"cases", test_cases}, {"refused", test_refused})
