/* qlinear: every variant of the depthwise sums and of the addition against the oracle, and whole convolutions (groups,
 * strides, dilations, pads, both layouts, all signs, sums and bytes, threads) against the definition. */
#include "kernels/qlinear/qlinear.h"
#include "base/mem.h"

#include "kernel_test.h"

enum { MAX = 150, TAPS = 5 };

static void test_variants(void) {
  size_t n_variants;
  const qlinear_variant *variants = qlinear_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  uint8_t x[TAPS * MAX], b[MAX], want_y[MAX];
  int32_t w[TAPS * MAX], start[MAX], want[MAX];
  const uint8_t *taps[TAPS];
  for (int64_t n = 1; n < MAX; n++)
    for (int is_signed = 0; is_signed < 2; is_signed++) {
      fill_bytes(&r, x, sizeof x), fill_bytes(&r, b, sizeof b), fill_bytes(&r, start, sizeof start);
      for (int i = 0; i < TAPS * MAX; i++) w[i] = (int32_t)(rng_u64(&r) % 511) - 255;
      for (int t = 0; t < TAPS; t++) taps[t] = x + t * n;
      qlinear_add_params p = qlinear_add_prepare(0.25f, 7, n % 2 ? 0.5f : 0.013f, -3, 0.5f, n % 3 == 1, is_signed);
      qlinear__ref.depthwise(taps, TAPS, n, w, start, want, is_signed);
      qlinear__ref.add(&p, x, b, want_y, n);
      for (size_t v = 0; v < n_variants; v++) {
        if (!can_run(variants[v].isa)) continue;
        guarded sums = guarded_make((size_t)n * 4, 4), y = guarded_make((size_t)n, 1);
        variants[v].kernels->depthwise(taps, TAPS, n, w, start, (int32_t *)(void *)sums.data, is_signed);
        check_same("depthwise", sums.data, want, (size_t)n * 4);
        variants[v].kernels->add(&p, x, b, y.data, n);
        check_same("add", y.data, want_y, (size_t)n);
        guarded_free(&sums, variants[v].name), guarded_free(&y, variants[v].name);
      }
    }
}

static int32_t byte_of(const uint8_t *p, int64_t i, bool is_signed) { return is_signed ? (int8_t)p[i] : p[i]; }

typedef struct operands {
  const uint8_t *x, *w, *w_zero;
  const int32_t *bias;
  const float *multiplier;
} operands;

/* Two spatial dims, by the definition. */
static void convolve(const qlinear_conv_params *p, const operands *o, void *y) {
  int64_t in_group = p->channels_in / p->groups, out_group = p->channels_out / p->groups;
  for (int64_t m = 0; m < p->channels_out; m++)
    for (int64_t oy = 0; oy < p->out[0]; oy++)
      for (int64_t ox = 0; ox < p->out[1]; ox++) {
        int32_t sum = 0;
        for (int64_t c = 0; c < in_group; c++)
          for (int64_t ky = 0; ky < p->kernel[0]; ky++)
            for (int64_t kx = 0; kx < p->kernel[1]; kx++) {
              int64_t iy = oy * p->stride[0] - p->pad_begin[0] + ky * p->dilation[0];
              int64_t ix = ox * p->stride[1] - p->pad_begin[1] + kx * p->dilation[1],
                      channel = m / out_group * in_group + c;
              if (iy < 0 || iy >= p->in[0] || ix < 0 || ix >= p->in[1]) continue;
              int64_t at = p->channels_last ? (iy * p->in[1] + ix) * p->channels_in + channel
                                            : (channel * p->in[0] + iy) * p->in[1] + ix;
              int64_t w_at = ((m * in_group + c) * p->kernel[0] + ky) * p->kernel[1] + kx;
              sum += (byte_of(o->x, at, p->x_signed) - p->x_zero) *
                     (byte_of(o->w, w_at, p->w_signed) - byte_of(o->w_zero, m, p->w_signed));
            }
        int64_t to =
            p->channels_last ? (oy * p->out[1] + ox) * p->channels_out + m : (m * p->out[0] + oy) * p->out[1] + ox;
        if (p->sums) {
          ((int32_t *)y)[to] = sum;
          continue;
        }
        float v = rintf((float)(sum + o->bias[m]) * o->multiplier[m]) + (float)p->y_zero;
        float low = p->y_signed ? -128 : 0, high = p->y_signed ? 127 : 255;
        ((uint8_t *)y)[to] = (uint8_t)(int32_t)(v < low ? low : v > high ? high : v);
      }
}

static void test_convolutions(void) {
  static const struct {
    int64_t in, out, groups, kernel, stride, dilation, pad, size;
  } shapes[] = {{3, 8, 1, 3, 2, 1, 1, 17},   {8, 24, 1, 1, 1, 1, 0, 11}, {33, 33, 33, 3, 1, 1, 1, 9},
                {8, 6, 2, 3, 1, 2, 2, 8},    {6, 4, 2, 1, 2, 1, 0, 7},   {1, 1, 1, 5, 1, 1, 2, 40},
                {16, 16, 16, 3, 2, 1, 0, 12}};
  rng r;
  rng_init(&r, 2);
  pool *threads = NULL;
  CHECK(!pool_create(2, &threads, NULL));
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
    for (int form = 0; form < 32; form++) {
      int64_t n = shapes[k].size, f = shapes[k].kernel, s = shapes[k].stride, d = shapes[k].dilation,
              pad = shapes[k].pad;
      int64_t out = (n + 2 * pad - d * (f - 1) - 1) / s + 1;
      qlinear_conv_params p = {.batch = 1, .channels_in = shapes[k].in, .channels_out = shapes[k].out};
      p.groups = shapes[k].groups, p.rank = 2;
      for (int i = 0; i < 2; i++) {
        p.in[i] = n, p.out[i] = out, p.kernel[i] = f;
        p.stride[i] = s, p.dilation[i] = d, p.pad_begin[i] = pad;
      }
      p.x_signed = form & 1, p.w_signed = form & 2, p.y_signed = form & 4, p.channels_last = form & 8,
      p.sums = form & 16;
      p.x_zero = p.x_signed ? -5 : 117, p.y_zero = p.y_signed ? 3 : 128, p.threads = 2;
      uint8_t x[4096], w[4096], w_zero[64];
      int32_t bias[64];
      float multiplier[64];
      fill_bytes(&r, x, sizeof x), fill_bytes(&r, w, sizeof w), fill_bytes(&r, w_zero, sizeof w_zero);
      for (int i = 0; i < 64; i++)
        bias[i] = (int32_t)(rng_u64(&r) % 2000) - 1000, multiplier[i] = 0.0007f * (float)(i + 1);
      qlinear_conv_plan plan;
      CHECK(qlinear_conv_plan_init(&plan, &p));
      size_t bytes = (size_t)(out * out * p.channels_out) * (p.sums ? 4 : 1);
      char *packed = mem_alloc_aligned(plan.packed_bytes, 64), *temp = mem_alloc(plan.temp_bytes);
      char *scratch = mem_alloc_aligned(plan.scratch_bytes, 64), *want = mem_alloc(bytes);
      guarded y = guarded_make(bytes, 4);
      memset(packed, 0, plan.packed_bytes);
      qlinear_conv_pack(&plan, w, w_zero, p.channels_out, packed, temp);
      const operands o = {x, w, w_zero, bias, multiplier};
      convolve(&p, &o, want);
      qlinear_conv_run(&plan, x, packed, bias, multiplier, y.data, scratch, form % 3 ? threads : NULL);
      check_same("convolution", y.data, want, bytes);
      guarded_free(&y, "convolution");
      mem_free(packed), mem_free(temp), mem_free(scratch), mem_free(want);
    }
  pool_destroy(threads);
}

TEST_MAIN({"variants", test_variants}, {"convolutions", test_convolutions})
