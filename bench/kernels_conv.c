/* bench/kernels_conv: GFLOP/s of every convolution algorithm on the layers of well-known networks, one thread, and the
 * share of what the multiply-add units can do at best, as a tile measures it on data in L1. The multiplications of the
 * direct sum are counted for all algorithms, so that Winograd's may pass 100 %.
 *
 *   bench_kernels_conv [PART-OF-A-NAME]      rows: layer, microseconds and share of each algorithm; * is the chosen one
 */
#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/conv/conv.h"
#include "kernels/gemm/tile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct layer {
  const char *name;
  int64_t h, w, c, n, k, stride, groups;
} layer;

static const layer layers[] = {
    {"resnet50 conv1", 224, 224, 3, 64, 7, 2, 1},
    {"resnet50 2 1x1 64-64", 56, 56, 64, 64, 1, 1, 1},
    {"resnet50 2 3x3", 56, 56, 64, 64, 3, 1, 1},
    {"resnet50 2 1x1 64-256", 56, 56, 64, 256, 1, 1, 1},
    {"resnet50 2 1x1 256-64", 56, 56, 256, 64, 1, 1, 1},
    {"resnet50 3 3x3/2", 56, 56, 128, 128, 3, 2, 1},
    {"resnet50 3 3x3", 28, 28, 128, 128, 3, 1, 1},
    {"resnet50 3 1x1 128-512", 28, 28, 128, 512, 1, 1, 1},
    {"resnet50 3 1x1 512-128", 28, 28, 512, 128, 1, 1, 1},
    {"resnet50 3 1x1/2", 56, 56, 256, 512, 1, 2, 1},
    {"resnet50 4 3x3", 14, 14, 256, 256, 3, 1, 1},
    {"resnet50 4 1x1 256-1024", 14, 14, 256, 1024, 1, 1, 1},
    {"resnet50 4 1x1 1024-256", 14, 14, 1024, 256, 1, 1, 1},
    {"resnet50 4 3x3/2", 28, 28, 256, 256, 3, 2, 1},
    {"resnet50 4 1x1/2", 28, 28, 512, 1024, 1, 2, 1},
    {"resnet50 5 3x3", 7, 7, 512, 512, 3, 1, 1},
    {"resnet50 5 1x1 512-2048", 7, 7, 512, 2048, 1, 1, 1},
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

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static float *random_array(rng *r, int64_t n) {
  float *p = mem_alloc_aligned((size_t)n * sizeof *p + 64, 64);
  if (!p) exit(1);
  for (int64_t i = 0; i < n; i++) p[i] = (float)(2 * rng_uniform(r) - 1);
  return p;
}

/* GFLOP/s of the tile with everything in L1. */
static double peak(rng *r) {
  const gemm_f32_variant *v = gemm_f32_best(cpu_isa_available());
  int64_t k = 128, zero = 0, times = 200;
  float *a = random_array(r, v->mr * k), *b = random_array(r, v->nr * k), *c = random_array(r, v->mr * v->nr);
  gemm_f32_tile t = {.rows = v->mr,
                     .cols = v->nr,
                     .a0 = a,
                     .a1 = a + v->mr / 2 * k,
                     .a_stride = k,
                     .taps = &zero,
                     .n_taps = 1,
                     .k_tap = k,
                     .b = b,
                     .b_stride = v->nr,
                     .c = c,
                     .c_stride = v->nr,
                     .lo = -INFINITY,
                     .hi = INFINITY};
  double best = 1e9;
  for (int i = 0; i < 200; i++) {
    double t0 = now();
    for (int64_t j = 0; j < times; j++) v->tile(&t);
    double d = now() - t0;
    if (d < best) best = d;
  }
  mem_free(a), mem_free(b), mem_free(c);
  return 2e-9 * (double)(times * v->mr * v->nr * k) / best;
}

/* The median of enough runs; least: also the shortest. */
static double measure(const conv_f32_plan *plan, const float *x, const void *packed, float *y, void *scratch) {
  double times[201], total = 0;
  int n = 0;
  conv_f32_run(plan, x, packed, y, NULL, scratch, NULL);
  while (n < 7 || (total < 0.02 && n < 201)) {
    double t0 = now();
    conv_f32_run(plan, x, packed, y, NULL, scratch, NULL);
    total += times[n++] = now() - t0;
  }
  qsort(times, (size_t)n, sizeof *times, compare);
  return times[n / 4];
}

int main(int argc, char **argv) {
  rng r;
  rng_init(&r, 1);
  double top = peak(&r);
  printf("peak of a tile in L1: %.1f GFLOP/s\n", top);
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
    float *x = random_array(&r, l->h * l->w * l->c), *w = random_array(&r, l->n * l->c / l->groups * l->k * l->k);
    float *y = random_array(&r, p.out[0] * p.out[1] * l->n);
    printf("%-24s %7.1f MMAC", l->name, macs * 1e-6);
    conv_f32_plan chosen;
    if (!conv_f32_plan_init(&chosen, &p, cpu_isa_available())) return 1;
    for (int algo = CONV_POINTWISE; algo < CONV_ALGO_COUNT; algo++) {
      conv_f32_plan plan;
      p.algo = (conv_algo)algo;
      if (!conv_f32_plan_init(&plan, &p, cpu_isa_available())) return 1;
      if (plan.params.algo != p.algo || (p.algo == CONV_GATHER && chosen.params.algo == CONV_DEPTHWISE)) continue;
      void *packed = mem_alloc_aligned(plan.packed_bytes, 64), *scratch = mem_alloc_aligned(plan.scratch_bytes + 1, 64);
      if (!packed || !scratch) return 1;
      conv_f32_pack(&plan, w, NULL, packed, NULL);
      double t = measure(&plan, x, packed, y, scratch);
      printf("  %s%s %.0f us %.0f%%", plan.params.algo == chosen.params.algo ? "*" : "", conv_algo_name(p.algo),
             t * 1e6, 100 * 2e-9 * macs / t / top);
      mem_free(packed), mem_free(scratch);
    }
    putchar('\n');
    fflush(stdout);
    mem_free(x), mem_free(w), mem_free(y);
  }
  return 0;
}
