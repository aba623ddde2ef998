/* unary: the choice of a variant, and the split over threads. */
#include "kernels/unary/unary.h"

#define VARIANT(isa, kernels) extern const unary_kernels kernels;
#include "kernels/unary/variants.def"
#undef VARIANT
static const unary_variant rows[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/unary/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(unary, rows)

/* Elements worth waking a thread for: a few microseconds. */
enum { GRAIN_CHEAP = 32768, GRAIN_DEAR = 8192 };

typedef struct job {
  const unary_op *op;
  unary_f32_fn run;
  const float *x;
  float *y;
} job;

static void work(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  j->run(j->op, j->x + begin, j->y + begin, end - begin);
}

static bool is_cheap(unary_kind kind) {
  return kind < UNARY_EXP || kind >= UNARY_RELU || kind == UNARY_HARD_SWISH || kind == UNARY_HARD_SIGMOID;
}

void unary_f32(const unary_op *op, const float *x, float *y, int64_t n, pool *p) {
  job j = {op, unary_best()->f32, x, y};
  if (n > 0) pool_run(p, n, is_cheap(op->kind) ? GRAIN_CHEAP : GRAIN_DEAR, work, &j);
}
