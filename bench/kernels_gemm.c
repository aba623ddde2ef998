/* bench/kernels_gemm: GFLOP/s of matrix products of well-known networks, one thread, and the share of what the
 * multiply-add units can do at best, as a tile measures it on data in L1; for one row, the rate at which B is read.
 *
 *   bench_kernels_gemm [PART-OF-A-NAME [cold]]
 *
 * cold: each run takes another copy of B, 256 MiB in all, so that it comes from memory as in a large network. */
#include "bench.h"
#include "kernels/gemm/gemm.h"

typedef struct product {
  const char *name;
  int64_t m, n, k, batch; /* batch > 0: B is an activation, transposed */
} product;

static const product products[] = {
    {"resnet50 fc", 1, 1000, 2048, 0},   {"mobilenet fc", 1, 1000, 1280, 0},   {"vit qkv", 50, 2304, 768, 0},
    {"vit mlp 1", 50, 3072, 768, 0},     {"vit mlp 2", 50, 768, 3072, 0},      {"vit scores", 50, 50, 64, 12},
    {"vit context", 50, 64, 50, 12},     {"minilm qkv", 128, 1152, 384, 0},    {"minilm mlp 1", 128, 1536, 384, 0},
    {"minilm mlp 2", 128, 384, 1536, 0}, {"minilm scores", 128, 128, 32, 12},  {"minilm context", 128, 32, 128, 12},
    {"square 256", 256, 256, 256, 0},    {"square 1024", 1024, 1024, 1024, 0}, {"rows 2", 2, 1024, 1024, 0},
    {"rows 4", 4, 1024, 1024, 0},        {"rows 6", 6, 1024, 1024, 0},         {"rows 8", 8, 1024, 1024, 0},
    {"small k", 3136, 96, 16, 0},        {"small n", 3136, 16, 96, 0},         {"one column", 4096, 1, 512, 0},
};

typedef struct job {
  gemm_f32_plan plan;
  gemm_f32_args args;
  gemm_f32_batch_args batch;
  void *scratch;
  char *packed;
  int64_t copies, turn;
} job;

static void run(void *arg) {
  job *j = arg;
  size_t each = (j->plan.packed_b_bytes + 63) / 64 * 64;
  j->args.packed_b = (const float *)(j->packed + (size_t)(j->turn++ % j->copies) * each);
  if (j->batch.n_batch)
    gemm_f32_run_unpacked(&j->plan, &j->batch, j->scratch, NULL);
  else
    gemm_f32_run(&j->plan, &j->args, j->scratch, NULL);
}

int main(int argc, char **argv) {
  rng r;
  rng_init(&r, 1);
  double top = bench_peak(&r);
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
    const product *p = &products[i];
    if (argc > 1 && !strstr(p->name, argv[1])) continue;
    int64_t batch = p->batch ? p->batch : 1;
    float *a = bench_random(&r, batch * p->m * p->k), *b = bench_random(&r, batch * p->k * p->n);
    float *c = bench_random(&r, batch * p->m * p->n), *bias = bench_random(&r, p->n);
    job j = {0};
    gemm_f32_params params = {.m = p->m, .n = p->n, .k = p->k, .b_is_constant = !p->batch};
    if (!gemm_f32_plan_init(&j.plan, &params, cpu_isa_available())) return 1;
    size_t each = (j.plan.packed_b_bytes + 63) / 64 * 64;
    j.copies = argc > 2 && !p->batch ? (int64_t)(((size_t)256 << 20) / each + 1) : 1;
    j.packed = bench_alloc(each * (size_t)j.copies);
    j.scratch = bench_alloc(j.plan.scratch_bytes);
    for (int64_t copy = 0; copy < j.copies; copy++) {
      gemm_f32_pack_b(&j.plan, b, p->n, 1, 1, (float *)(j.packed + (size_t)copy * each), NULL);
    }
    j.args = (gemm_f32_args){.m = p->m, .a = a, .a_stride = p->k, .bias = bias, .c = c, .c_stride = p->n};
    j.batch = (gemm_f32_batch_args){.n_batch = p->batch,
                                    .m = p->m,
                                    .a = a,
                                    .a_stride = p->k,
                                    .b = b,
                                    .b_stride_k = 1,
                                    .b_stride_n = p->k,
                                    .scale = 0.125f,
                                    .c = c,
                                    .c_stride = p->n,
                                    .a_batch_stride = p->m * p->k,
                                    .b_batch_stride = p->k * p->n,
                                    .c_batch_stride = p->m * p->n};
    double t = bench_seconds(run, &j), flops = 2 * (double)(batch * p->m * p->n * p->k);
    printf("%-16s m %4d n %4d k %4d batch %2d %9.1f us %7.1f GFLOP/s %5.0f%%", p->name, (int)p->m, (int)p->n, (int)p->k,
           (int)batch, t * 1e6, flops / t * 1e-9, flops / t * 1e-7 / top);
    if (p->m == 1) printf("  %.1f GB/s of B", (double)(p->n * p->k) * 4e-9 / t);
    putchar('\n');
    mem_free(a), mem_free(b), mem_free(c), mem_free(bias), mem_free(j.packed), mem_free(j.scratch);
  }
  return 0;
}
