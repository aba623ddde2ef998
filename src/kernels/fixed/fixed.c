/* fixed: the choice of a variant, and the split over threads. */
#include "kernels/fixed/fixed.h"

#define VARIANT(isa, kernels) extern const fixed_kernels kernels;
#include "kernels/fixed/variants.def"
#undef VARIANT
static const fixed_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/fixed/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(fixed, variants)

enum { GRAIN = 16384 }; /* elements worth waking a thread for */

void fixed_requantize(const int32_t *sums, int64_t sums_row, void *y, int64_t y_row, int64_t rows, int64_t c,
                      const fixed_columns *f) {
  fixed_best()->columns(sums, sums_row, y, y_row, rows, c, f);
}

typedef struct add_job {
  const fixed_kernels *k;
  const fixed_sum *f;
  const uint8_t *a, *b;
  uint8_t *y;
  bool is_signed;
} add_job;

static void add_stretch(void *arg, int64_t begin, int64_t end, int worker) {
  const add_job *j = arg;
  (void)worker;
  if (j->is_signed)
    j->k->add_i8(j->f, (const int8_t *)j->a + begin, (const int8_t *)j->b + begin, (int8_t *)j->y + begin, end - begin);
  else
    j->k->add_u8(j->f, j->a + begin, j->b + begin, j->y + begin, end - begin);
}

void fixed_add(const fixed_sum *f, const void *a, const void *b, void *y, int64_t n, bool is_signed, pool *p) {
  add_job j = {fixed_best(), f, a, b, y, is_signed};
  pool_run(p, n, GRAIN, add_stretch, &j);
}
