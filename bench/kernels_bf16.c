/* bench/kernels_bf16: bfloat16 matrix products of well-known networks with every variant that this machine has, one
 * thread: time, billions of multiply-adds a second, and the time of the float32 product over it.
 *
 *   bench_kernels_bf16 [PART-OF-A-NAME [cold]]
 *
 * cold: each run takes another copy of B, 256 MiB in all, so that it comes from memory as in a large network. */
#include "bench.h"
#include "kernels/gemm_bf16/tile.h"

typedef struct product {
  const char *name;
  int64_t m, n, k;
} product;

static const product products[] = {
    {"resnet50 2a", 3136, 64, 256},    {"resnet50 2c", 3136, 256, 64},   {"resnet50 3a", 784, 128, 512},
    {"resnet50 3c", 784, 512, 128},    {"resnet50 4a", 196, 256, 1024},  {"resnet50 4c", 196, 1024, 256},
    {"resnet50 5a", 49, 512, 2048},    {"resnet50 5c", 49, 2048, 512},   {"resnet50 fc", 1, 1000, 2048},
    {"vit qkv", 50, 2304, 768},        {"vit mlp 1", 50, 3072, 768},     {"vit mlp 2", 50, 768, 3072},
    {"minilm qkv", 128, 1152, 384},    {"minilm mlp 1", 128, 1536, 384}, {"minilm mlp 2", 128, 384, 1536},
    {"square 1024", 1024, 1024, 1024},
};

typedef struct job {
  gemm_bf16_plan plan;
  gemm_f32_plan plan32;
  gemm_bf16_args args;
  gemm_f32_args args32;
  void *scratch;
  char *packed;
  size_t each;
  int64_t copies, turn;
} job;

static const void *next_packed(job *j) { return j->packed + (size_t)(j->turn++ % j->copies) * j->each; }
static void run(void *arg) {
  job *j = arg;
  j->args.packed_b = next_packed(j);
  gemm_bf16_run(&j->plan, &j->args, j->scratch, NULL);
}
static void run32(void *arg) {
  job *j = arg;
  j->args32.packed_b = next_packed(j);
  gemm_f32_run(&j->plan32, &j->args32, j->scratch, NULL);
}

/* Room for a packed B, or for so many that no cache holds them. */
static void job_alloc(job *j, size_t packed_bytes, size_t scratch_bytes, bool cold) {
  j->each = (packed_bytes + 63) / 64 * 64;
  j->copies = cold ? (int64_t)(((size_t)256 << 20) / j->each + 1) : 1;
  j->packed = bench_alloc(j->each * (size_t)j->copies);
  j->scratch = bench_alloc(scratch_bytes);
}

int main(int argc, char **argv) {
  rng r;
  size_t n_variants;
  const gemm_bf16_variant *const *variants = gemm_bf16_variants(&n_variants);
  rng_init(&r, 1);
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
    const product *p = &products[i];
    bool cold = argc > 2;
    if (argc > 1 && !strstr(p->name, argv[1])) continue;
    float *a = bench_random(&r, p->m * p->k), *b = bench_random(&r, p->k * p->n);
    float *c = bench_random(&r, p->m * p->n), *bias = bench_random(&r, p->n);
    job f = {.args32 = {.m = p->m, .a = a, .a_stride = p->k, .bias = bias, .c = c, .c_stride = p->n}};
    gemm_f32_params params32 = {.m = p->m, .n = p->n, .k = p->k, .b_is_constant = true};
    if (!gemm_f32_plan_init(&f.plan32, &params32, cpu_isa_available())) return 1;
    job_alloc(&f, f.plan32.packed_b_bytes, f.plan32.scratch_bytes, cold);
    for (int64_t copy = 0; copy < f.copies; copy++)
      gemm_f32_pack_b(&f.plan32, b, p->n, 1, 1, (float *)(void *)(f.packed + (size_t)copy * f.each), NULL);
    double t32 = bench_seconds(run32, &f), macs = (double)(p->m * p->n * p->k);
    printf("%-13s m %4d n %4d k %4d  float32 %8.1f us", p->name, (int)p->m, (int)p->n, (int)p->k, t32 * 1e6);
    mem_free(f.packed), mem_free(f.scratch);
    for (size_t v = 0; v < n_variants; v++) {
      gemm_bf16_params params = {.m = p->m, .n = p->n, .k = p->k};
      job j = {.args = {.m = p->m, .a = a, .a_stride = p->k, .bias = bias, .c = c, .c_stride = p->n}};
      if (variants[v]->isa & ~cpu_isa_available() || !gemm_bf16_plan_init(&j.plan, &params, variants[v]->isa)) continue;
      job_alloc(&j, j.plan.packed_b_bytes, j.plan.scratch_bytes, cold);
      for (int64_t copy = 0; copy < j.copies; copy++)
        gemm_bf16_pack_b(&j.plan, b, p->n, 1, 1, j.packed + (size_t)copy * j.each, NULL);
      double t = bench_seconds(run, &j);
      printf("  %s %.1f us %.0f G/s %.2fx", strrchr(variants[v]->name, '_') + 1, t * 1e6, macs / t * 1e-9, t32 / t);
      mem_free(j.packed), mem_free(j.scratch);
    }
    putchar('\n');
    mem_free(a), mem_free(b), mem_free(c), mem_free(bias);
  }
  return 0;
}
