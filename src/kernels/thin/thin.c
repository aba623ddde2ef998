/* kernels/thin: the loops around the panels. Rows go in stretches of a few tiles, whose output stays in L1 while all
 * panels and the activation pass over it. */
#include "kernels/thin/thin.h"

enum { THIN_STRETCH_BYTES = 24 << 10 };

#define VARIANT(variant) extern const thin_f32_variant variant;
#include "kernels/thin/variants.def"
#undef VARIANT

const thin_f32_variant *const *thin_f32_variants(size_t *ret_count) {
#define VARIANT(variant) &variant,
  static const thin_f32_variant *const rows[] = {
#include "kernels/thin/variants.def"
  };
#undef VARIANT
  *ret_count = sizeof rows / sizeof *rows;
  return rows;
}

const thin_f32_variant *thin_f32_find(const gemm_f32_variant *v, int64_t n, int64_t k) {
  if (n < 1 || k < 1 || k > THIN_K_MOST || n > THIN_B_BYTES / (k * (int64_t)sizeof(float))) return NULL;
  size_t count;
  const thin_f32_variant *const *rows = thin_f32_variants(&count);
  for (size_t i = 0; i < count; i++)
    if (rows[i]->isa == v->isa && rows[i]->nr == v->nr) return rows[i];
  return NULL;
}

void thin_f32_columns(const thin_f32_variant *thin, const gemm_f32_variant *v, const kernel_epilogue *e,
                      const thin_f32_panel *panel, int64_t panel_stride, int64_t n) {
  thin_f32_panel p = *panel;
  bool after = e->residual_after && p.residual, late = e->act > KERNEL_ACT_CLAMP || after;
  p.lo = late ? -INFINITY : kernel_epilogue_lo(e);
  p.hi = late ? INFINITY : kernel_epilogue_hi(e);
  if (after) p.residual = NULL;
  for (int64_t n0 = 0; n0 < n; n0 += thin->nr) {
    p.cols = n - n0 < thin->nr ? n - n0 : thin->nr;
    thin->panel(&p);
    p.b += panel_stride;
    p.bias += thin->nr;
    p.c += thin->nr;
    if (p.residual) p.residual += thin->nr;
  }
  if (!late) return;
  int64_t rows = p.n_big * p.rows + (p.n - p.n_big) * (p.rows - 1);
  v->act(e, (int)rows, n, panel->c, p.c_stride, after ? panel->residual : NULL, p.residual_stride);
}

typedef struct thin_job {
  const thin_f32_variant *thin;
  const gemm_f32_variant *v;
  const kernel_epilogue *e;
  const gemm_f32_args *args;
  int64_t n, k;
  gemm_rows rows;
} thin_job;

static void thin_body(void *arg, int64_t begin, int64_t end, int worker) {
  const thin_job *j = arg;
  const gemm_f32_args *args = j->args;
  const int64_t zero = 0;
  int64_t stretch = THIN_STRETCH_BYTES / (j->rows.rows * (j->n + j->k) * (int64_t)sizeof(float));
  if (stretch < 1) stretch = 1;
  for (int64_t i = begin, count; i < end; i += count) {
    count = end - i < stretch ? end - i : stretch;
    int64_t row = gemm_rows_begin(&j->rows, i), big = j->rows.n_big > i ? j->rows.n_big - i : 0;
    const thin_f32_panel p = {.rows = j->rows.rows,
                              .n = count,
                              .n_big = big < count ? big : count,
                              .a = args->a + row * args->a_stride,
                              .a_stride = args->a_stride,
                              .taps = &zero,
                              .n_taps = 1,
                              .k_tap = j->k,
                              .b = args->packed_b,
                              .bias = args->bias,
                              .residual = args->residual ? args->residual + row * args->residual_stride : NULL,
                              .residual_stride = args->residual_stride,
                              .c = args->c + row * args->c_stride,
                              .c_stride = args->c_stride};
    thin_f32_columns(j->thin, j->v, j->e, &p, j->k * j->thin->nr, j->n);
  }
}

void thin_f32_run(const thin_f32_variant *thin, const gemm_f32_variant *v, const kernel_epilogue *e,
                  const gemm_f32_args *args, int64_t n, int64_t k, pool *p) {
  thin_job job = {thin, v, e, args, n, k, gemm_rows_split(args->m, thin->mr)};
  pool_run(p, job.rows.n, 1 + GEMM_JOB_MACS / (job.rows.rows * n * k), thin_body, &job);
}
