/* bench/kernels_conv: GFLOP/s of every convolution algorithm on the layers of well-known networks, one thread, and the
 * share of what the multiply-add units can do at best, as a tile measures it on data in L1. The multiplications of the
 * direct sum are counted for all algorithms, so that Winograd's may pass 100 %.
 *
 *   bench_kernels_conv [PART-OF-A-NAME]      rows: layer, microseconds and share of each algorithm; * is the chosen one
 */
#include "bench.h"
#include "kernels/conv/conv.h"

typedef struct layer {
  const char *name;
  int64_t h, w, c, n, k, stride, groups;
} layer;

static const layer layers[] = {
    {"resnet50 conv1", 224, 224, 3, 64, 7, 2, 1},
    {"resnet50 2 1x1 64-64", 56, 56, 64, 64, 1, 1, 1},
    {"resnet50 2 3x3", 56, 56, 64, 64, 3, 1, 1},
    {"resnet50 2 1x1 64-256 +", 56, 56, 64, 256, 1, 1, 1},
    {"resnet50 2 1x1 256-64", 56, 56, 256, 64, 1, 1, 1},
    {"resnet50 3 3x3/2", 56, 56, 128, 128, 3, 2, 1},
    {"resnet50 3 3x3", 28, 28, 128, 128, 3, 1, 1},
    {"resnet50 3 1x1 128-512 +", 28, 28, 128, 512, 1, 1, 1},
    {"resnet50 3 1x1 512-128", 28, 28, 512, 128, 1, 1, 1},
    {"resnet50 3 1x1/2", 56, 56, 256, 512, 1, 2, 1},
    {"resnet50 4 3x3", 14, 14, 256, 256, 3, 1, 1},
    {"resnet50 4 1x1 256-1024 +", 14, 14, 256, 1024, 1, 1, 1},
    {"resnet50 4 1x1 1024-256", 14, 14, 1024, 256, 1, 1, 1},
    {"resnet50 4 3x3/2", 28, 28, 256, 256, 3, 2, 1},
    {"resnet50 4 1x1/2", 28, 28, 512, 1024, 1, 2, 1},
    {"resnet50 5 3x3", 7, 7, 512, 512, 3, 1, 1},
    {"resnet50 5 1x1 512-2048 +", 7, 7, 512, 2048, 1, 1, 1},
    {"resnet50 5 1x1 2048-512", 7, 7, 2048, 512, 1, 1, 1},
    {"resnet50 5 3x3/2", 14, 14, 512, 512, 3, 2, 1},
    {"resnet18 3 3x3/2", 56, 56, 64, 128, 3, 2, 1},
    {"mobilenet conv1", 224, 224, 3, 32, 3, 2, 1},
    {"mobilenet dw 112", 112, 112, 32, 32, 3, 1, 32},
    {"mobilenet 16-96", 112, 112, 16, 96, 1, 1, 1},
    {"mobilenet dw 112/2", 112, 112, 96, 96, 3, 2, 96},
    {"mobilenet 96-24", 56, 56, 96, 24, 1, 1, 1},
    {"mobilenet 24-144", 56, 56, 24, 144, 1, 1, 1},
    {"mobilenet dw 56", 56, 56, 144, 144, 3, 1, 144},
    {"mobilenet dw 28", 28, 28, 192, 192, 3, 1, 192},
    {"mobilenet 192-64", 14, 14, 192, 64, 1, 1, 1},
    {"mobilenet dw 14", 14, 14, 384, 384, 3, 1, 384},
    {"mobilenet dw 7", 7, 7, 960, 960, 3, 1, 960},
    {"mobilenet 960-160", 7, 7, 960, 160, 1, 1, 1},
    {"mobilenet 320-1280", 7, 7, 320, 1280, 1, 1, 1},
    {"efficientnet dw5 28", 28, 28, 240, 240, 5, 1, 240},
    {"efficientnet dw5 14", 14, 14, 672, 672, 5, 1, 672},
    {"efficientnet dw5 14/2", 14, 14, 672, 672, 5, 2, 672},
    {"squeezenet 3x3", 55, 55, 16, 64, 3, 1, 1},
    {"squeezenet 1x1", 55, 55, 64, 16, 1, 1, 1},
    {"squeezenet 3x3 13", 13, 13, 64, 256, 3, 1, 1},
    {"shufflenet dw", 28, 28, 58, 58, 3, 1, 58},
    {"shufflenet 1x1", 28, 28, 58, 58, 1, 1, 1},
    {"densenet 1x1", 28, 28, 320, 128, 1, 1, 1},
    {"densenet 3x3 56", 56, 56, 128, 32, 3, 1, 1},
    {"densenet 3x3 28", 28, 28, 128, 32, 3, 1, 1},
    {"densenet 3x3 14", 14, 14, 128, 32, 3, 1, 1},
    {"densenet 3x3 7", 7, 7, 128, 32, 3, 1, 1},
    {"vgg 3x3 112", 112, 112, 128, 128, 3, 1, 1},
    {"vit patches", 224, 224, 3, 768, 32, 32, 1},
    {"resnext 3x3", 28, 28, 256, 256, 3, 1, 32},
    {"superres 5x5", 224, 224, 1, 64, 5, 1, 1},
};

typedef struct job {
  conv_f32_plan plan;
  const float *x;
  char *packed;
  int64_t copies, turn;
  void *scratch;
  float *y, *residual;
} job;

static void run(void *arg) {
  job *j = arg;
  size_t each = (j->plan.packed_bytes + 63) / 64 * 64;
  conv_f32_run(&j->plan, j->x, j->packed + (size_t)(j->turn++ % j->copies) * each, j->y, j->residual, j->scratch, NULL);
}

int main(int argc, char **argv) {
  rng r;
  rng_init(&r, 1);
  double top = bench_peak(&r);
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    const layer *l = &layers[i];
    if (argc > 1 && !strstr(l->name, argv[1])) continue;
    int64_t pad = l->k == l->stride ? 0 : l->k / 2;
    conv_f32_params p = {.rank = 2,
                         .batch = 1,
                         .in = {l->h, l->w},
                         .kernel = {l->k, l->k},
                         .stride = {l->stride, l->stride},
                         .dilation = {1, 1},
                         .pad_begin = {pad, pad},
                         .channels_in = l->c,
                         .channels_out = l->n,
                         .groups = l->groups,
                         .epilogue = kernel_epilogue_clamp(0, INFINITY)};
    for (int d = 0; d < 2; d++) p.out[d] = (p.in[d] + 2 * pad - l->k) / l->stride + 1;
    double macs = (double)(p.out[0] * p.out[1] * l->n * (l->c / l->groups) * l->k * l->k);
    float *x = bench_random(&r, l->h * l->w * l->c), *w = bench_random(&r, l->n * l->c / l->groups * l->k * l->k);
    float *y = bench_random(&r, p.out[0] * p.out[1] * l->n), *residual = bench_random(&r, p.out[0] * p.out[1] * l->n);
    printf("%-24s %7.1f MMAC", l->name, macs * 1e-6);
    conv_f32_plan chosen;
    if (!conv_f32_plan_init(&chosen, &p, cpu_isa_available())) return 1;
    for (int algo = CONV_POINTWISE; algo < CONV_ALGO_COUNT; algo++) {
      job j = {.x = x, .y = y};
      p.algo = (conv_algo)algo;
      if (!conv_f32_plan_init(&j.plan, &p, cpu_isa_available())) return 1;
      if (j.plan.params.algo != p.algo || (p.algo == CONV_GATHER && chosen.params.algo == CONV_DEPTHWISE)) continue;
      size_t each = (j.plan.packed_bytes + 63) / 64 * 64;
      j.copies = argc > 2 ? (int64_t)(((size_t)256 << 20) / each + 1) : 1;
      if (j.copies > 100) j.copies = 100;
      j.packed = bench_alloc(each * (size_t)j.copies);
      j.residual = strchr(l->name, '+') ? residual : NULL;
      j.scratch = bench_alloc(j.plan.scratch_bytes);
      conv_f32_pack(&j.plan, w, NULL, j.packed, NULL);
      for (int64_t c = 1; c < j.copies; c++) memcpy(j.packed + (size_t)c * each, j.packed, each);
      double t = bench_seconds(run, &j);
      printf("  %s%s %.0f us %.0f%%", p.algo == chosen.params.algo ? "*" : "", conv_algo_name(p.algo), t * 1e6,
             100 * 2e-9 * macs / t / top);
      mem_free(j.packed), mem_free(j.scratch);
    }
    putchar('\n');
    fflush(stdout);
    mem_free(x), mem_free(w), mem_free(y), mem_free(residual);
  }
  return 0;
}
