/* kernels/gemm_bf16: the loops around the tiles. A is rounded and copied to scratch, a slab of rows at a time; then the
 * slab's tiles of rows are multiplied by all panels of B. Where B fits L2, a tile of rows takes all panels in turn, so
 * that rows of C are written whole; else a panel takes all tiles in turn, so that B is read once a slab, and each tile
 * fetches its share of the next panel. Every sum runs over the whole of k in one tile, whoever computes it. */
#include "kernels/gemm_bf16/tile.h"

#include "base/mem.h"

#include <assert.h>

enum {
  JOB_MACS = 1 << 21,     /* multiply-adds that are worth a hand-over to another thread */
  JOB_ELEMENTS = 1 << 14, /* and elements of A */
  WHOLE_BYTES = 1 << 20,  /* a packed B that L2 holds beside the slab */
};

#define VARIANT(variant) extern const gemm_bf16_variant variant;
#include "kernels/gemm_bf16/variants.def"
#undef VARIANT

const gemm_bf16_variant *const *gemm_bf16_variants(size_t *ret_count) {
#define VARIANT(variant) &variant,
  static const gemm_bf16_variant *const rows[] = {
#include "kernels/gemm_bf16/variants.def"
  };
#undef VARIANT
  *ret_count = sizeof rows / sizeof *rows;
  return rows;
}

const gemm_bf16_variant *gemm_bf16_best(uint32_t isa_mask) {
  size_t n, i = 0;
  const gemm_bf16_variant *const *rows = gemm_bf16_variants(&n);
  while (i + 1 < n && ((rows[i]->isa & ~isa_mask) || (rows[i]->slow_with & isa_mask))) i++;
  return rows[i];
}

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

int64_t gemm_bf16_row_stride(const gemm_bf16_variant *v, int64_t k) {
  int64_t all = ceil_div(k, GEMM_BF16_K) * GEMM_BF16_K;
  return all * v->a_bytes % 2048 == 0 ? all + GEMM_BF16_K : all;
}

int64_t gemm_bf16_slab_rows(int64_t m, int64_t row_bytes) {
  int64_t tiles = ceil_div(m, GEMM_BF16_ROWS), most = GEMM_BF16_SLAB_BYTES / (row_bytes * GEMM_BF16_ROWS);
  if (tiles > most) tiles = most;
  return (tiles < 1 ? 1 : tiles) * GEMM_BF16_ROWS;
}

/* ---- tiles ---- */

typedef struct multiply_job {
  const gemm_bf16_product *g;
  int64_t tiles, panels, panel_elements;
  bool rows_outside;
} multiply_job;

/* Where the rows of a tile go. */
static void place_rows(const gemm_bf16_product *g, int64_t q, int rows, int64_t *c_at, int64_t *residual_at) {
  int64_t line = q / g->line, x = q % g->line;
  for (int r = 0; r < rows; r++) {
    c_at[r] = x < g->used ? line * g->c_line + x * g->c_stride : -1;
    residual_at[r] = line * g->residual_line + x * g->residual_stride;
    if (++x == g->line) x = 0, line++;
  }
}

static void multiply_body(void *arg, int64_t begin, int64_t end, int worker) {
  const multiply_job *j = arg;
  const gemm_bf16_product *g = j->g;
  const gemm_bf16_variant *v = g->variant;
  int64_t c_at[GEMM_BF16_ROWS], residual_at[GEMM_BF16_ROWS], placed = -1;
  int64_t steps = g->n_taps * g->k_tap / GEMM_BF16_K, panel_bytes = j->panel_elements * 2;
  gemm_bf16_tile t = {.a_stride = g->a_stride,
                      .taps = g->taps,
                      .n_taps = g->n_taps,
                      .k_tap = g->k_tap,
                      .c_at = c_at,
                      .residual_at = residual_at};
  int64_t tile = j->rows_outside ? begin / j->panels : begin % j->tiles;
  int64_t panel = j->rows_outside ? begin % j->panels : begin / j->tiles;
  if (v->begin) v->begin();
  for (int64_t i = begin; i < end; i++) {
    int64_t q = tile * GEMM_BF16_ROWS, n0 = panel * GEMM_BF16_COLS;
    if (tile != placed) {
      t.rows = (int)(g->rows - q < GEMM_BF16_ROWS ? g->rows - q : GEMM_BF16_ROWS);
      place_rows(g, q, t.rows, c_at, residual_at);
      placed = tile;
    }
    t.cols = (int)(g->n - n0 < GEMM_BF16_COLS ? g->n - n0 : GEMM_BF16_COLS);
    t.a = (const char *)g->a + q * g->a_stride * v->a_bytes;
    t.b = g->b + panel * j->panel_elements;
    t.next = (const char *)t.b, t.next_step = 0;
    if (!j->rows_outside && panel + 1 < j->panels) { /* this tile's share of the next panel */
      t.next_step = panel_bytes / j->tiles / steps;
      t.next += panel_bytes + tile * (panel_bytes / j->tiles);
    }
    t.bias = g->bias ? g->bias + n0 : NULL;
    t.residual = g->residual ? g->residual + n0 : NULL;
    t.c = g->c + n0;
    v->tile(&t, g->epilogue);
    if (j->rows_outside) {
      if (++panel == j->panels) panel = 0, tile++;
    } else {
      if (++tile == j->tiles) tile = 0, panel++;
    }
  }
  if (v->end) v->end();
}

void gemm_bf16_multiply(const gemm_bf16_product *g, pool *p) {
  if (g->rows <= 0) return;
  int64_t k = g->n_taps * g->k_tap;
  multiply_job job = {.g = g,
                      .tiles = ceil_div(g->rows, GEMM_BF16_ROWS),
                      .panels = ceil_div(g->n, GEMM_BF16_COLS),
                      .panel_elements = k * GEMM_BF16_COLS};
  job.rows_outside = job.tiles > 1 && job.panels * job.panel_elements * 2 <= WHOLE_BYTES;
  pool_run(p, job.tiles * job.panels, 1 + JOB_MACS / (GEMM_BF16_ROWS * GEMM_BF16_COLS * k), multiply_body, &job);
}

/* ---- slabs ---- */

typedef struct fill_job {
  gemm_bf16_fill fill;
  const void *arg;
  char *scratch;
  int64_t first, row_bytes;
} fill_job;

static void fill_body(void *arg, int64_t begin, int64_t end, int worker) {
  const fill_job *j = arg;
  j->fill(j->arg, j->first + begin, j->first + end, j->scratch + begin * j->row_bytes);
}

/* Rows follow each other at c_stride: a product of one line. */
void gemm_bf16_multiply_slabs(const gemm_bf16_product *g, int64_t slab_rows, gemm_bf16_fill fill, const void *arg,
                              void *scratch, pool *p) {
  gemm_bf16_product slab = *g;
  fill_job job = {.fill = fill, .arg = arg, .scratch = scratch, .row_bytes = g->a_stride * g->variant->a_bytes};
  assert(g->line == g->used);
  slab.a = scratch;
  for (job.first = 0; job.first < g->rows; job.first += slab_rows) {
    slab.rows = g->rows - job.first < slab_rows ? g->rows - job.first : slab_rows;
    slab.line = slab.used = slab.rows;
    pool_run(p, slab.rows, 1 + JOB_ELEMENTS / g->a_stride, fill_body, &job);
    gemm_bf16_multiply(&slab, p);
    slab.c += slab.rows * g->c_stride;
    if (slab.residual) slab.residual += slab.rows * g->residual_stride;
  }
}

/* ---- matrix products ---- */

bool gemm_bf16_plan_init(gemm_bf16_plan *ret, const gemm_bf16_params *params, uint32_t isa_mask) {
  gemm_bf16_plan plan = {.params = *params, .variant = gemm_bf16_best(isa_mask)};
  const gemm_bf16_params *p = params;
  if (p->m < 0 || p->n < 1 || p->k < 1) return false;
  if (p->m > PTRDIFF_MAX / 64 || p->n > PTRDIFF_MAX / 64 || p->k > PTRDIFF_MAX / 1024) return false;
  if (plan.params.threads < 1) plan.params.threads = 1;
  plan.a_stride = gemm_bf16_row_stride(plan.variant, p->k);
  plan.slab_rows = gemm_bf16_slab_rows(p->m, plan.a_stride * plan.variant->a_bytes);
  if (!gemm_bf16_panels_bytes(p->n, ceil_div(p->k, GEMM_BF16_K) * GEMM_BF16_K, &plan.packed_b_bytes) ||
      !mem_mul((size_t)plan.slab_rows, (size_t)(plan.a_stride * plan.variant->a_bytes), &plan.scratch_bytes))
    return false;
  *ret = plan;
  return true;
}

const char *gemm_bf16_plan_name(const gemm_bf16_plan *plan) { return plan->variant->name; }

typedef struct copy_args {
  const gemm_bf16_plan *plan;
  const gemm_bf16_args *args;
} copy_args;

static void copy_rows(const void *arg, int64_t begin, int64_t end, char *to) {
  const copy_args *c = arg;
  const gemm_bf16_plan *plan = c->plan;
  int64_t k = plan->params.k, all = ceil_div(k, GEMM_BF16_K) * GEMM_BF16_K;
  for (int64_t i = begin; i < end; i++, to += plan->a_stride * plan->variant->a_bytes)
    plan->variant->convert(c->args->a + i * c->args->a_stride, k, all, to);
}

void gemm_bf16_run(const gemm_bf16_plan *plan, const gemm_bf16_args *args, void *scratch, pool *p) {
  const copy_args copy = {plan, args};
  const int64_t zero = 0;
  const gemm_bf16_product g = {.variant = plan->variant,
                               .epilogue = &plan->params.epilogue,
                               .a_stride = plan->a_stride,
                               .taps = &zero,
                               .n_taps = 1,
                               .k_tap = ceil_div(plan->params.k, GEMM_BF16_K) * GEMM_BF16_K,
                               .b = args->packed_b,
                               .n = plan->params.n,
                               .rows = args->m,
                               .line = args->m,
                               .used = args->m,
                               .bias = args->bias,
                               .residual = args->residual,
                               .residual_stride = args->residual_stride,
                               .c = args->c,
                               .c_stride = args->c_stride};
  gemm_bf16_multiply_slabs(&g, plan->slab_rows, copy_rows, &copy, scratch, p);
}
