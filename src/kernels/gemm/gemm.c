/* kernels/gemm: the loops around the tiles.
 *
 * C is cut into blocks of columns whose packed B stays in L2, and each into tiles of rows; a job is one tile of rows by
 * one block of columns, jobs of one block are neighbours, and threads share out the jobs. Every element of C is one
 * chain of multiply-adds over k, whoever computes it.
 *
 * A row of A is read in place, by broadcasts. It is copied to scratch first where A is transposed, and where its stride
 * is a multiple of 4096 bytes: the rows of a tile would then fall into one set of an L1 of 12 ways and evict each
 * other. */
#include "kernels/gemm/tile.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

enum {
  GEMM_WHOLE_BYTES = 768 << 10, /* a packed B that L2 holds beside A and C: one block */
  GEMM_BLOCK_BYTES = 320 << 10, /* a block of a longer one: L2 holds it and the next, which is fetched meanwhile */
  GEMM_SMALL_BYTES = 160 << 10, /* a block where L2 holds A too: only the first waits for memory */
  GEMM_SMALL_A_BYTES = 1 << 20,
  GEMM_COPY_PAD = 16,
  GEMM_BATCH_BYTES = 1 << 20, /* of a packed B that each thread may have for itself */
};

#define VARIANT(variant) extern const gemm_f32_variant variant;
#include "kernels/gemm/variants.def"
#undef VARIANT

const gemm_f32_variant *const *gemm_f32_variants(size_t *ret_count) {
#define VARIANT(variant) &variant,
  static const gemm_f32_variant *const rows[] = {
#include "kernels/gemm/variants.def"
  };
#undef VARIANT
  *ret_count = sizeof rows / sizeof *rows;
  return rows;
}

const gemm_f32_variant *gemm_f32_best(uint32_t isa_mask) {
  size_t n, i = 0;
  const gemm_f32_variant *const *rows = gemm_f32_variants(&n);
  while (i + 1 < n && (rows[i]->isa & ~isa_mask)) i++;
  return rows[i];
}

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* Tiles of equal size, or one less: an odd rest of one row would cost nearly a whole tile. */
gemm_rows gemm_rows_split(int64_t m, int mr) {
  int64_t n = ceil_div(m, mr);
  if (n == 0) return (gemm_rows){0, 0, 0};
  int64_t rows = ceil_div(m, n);
  return (gemm_rows){.n = n, .n_big = m - n * (rows - 1), .rows = (int)rows};
}

/* Blocks whose packed B takes `bytes`, one where all of it is within whole_bytes. */
static int64_t block_columns(int64_t n, int64_t k, int nr, int64_t row_jobs, int threads, int64_t whole_bytes,
                             int64_t bytes) {
  int64_t panels = ceil_div(n, nr), panel_bytes = k * nr * (int64_t)sizeof(float);
  int64_t most = (panels <= whole_bytes / panel_bytes ? whole_bytes : bytes) / panel_bytes;
  int64_t blocks = ceil_div(panels, most < 1 ? 1 : most), wanted = ceil_div(4 * (int64_t)threads, row_jobs);
  if (threads > 1 && blocks < wanted) blocks = min_i64(wanted, panels);
  return ceil_div(panels, blocks) * nr;
}

int64_t gemm_block_columns(int64_t n, int64_t k, int nr, int64_t row_jobs, int threads) {
  return block_columns(n, k, nr, row_jobs, threads, GEMM_WHOLE_BYTES, GEMM_BLOCK_BYTES);
}

void gemm_f32_columns(const gemm_f32_variant *v, const gemm_f32_tile *t, const kernel_epilogue *e, int64_t n0,
                      int64_t n1) {
  gemm_f32_tile s = *t;
  int64_t nr = v->nr;
  bool after = e->residual_after && t->residual;
  bool late = e->act > KERNEL_ACT_CLAMP || after; /* what the tile itself cannot do in registers */
  if (!s.b_stride) s.b_stride = nr;
  s.lo = late ? -INFINITY : kernel_epilogue_lo(e);
  s.hi = late ? INFINITY : kernel_epilogue_hi(e);
  if (after) s.residual = NULL;
  s.b += n0 / nr * t->panel_stride;
  s.c += n0;
  if (s.bias) s.bias += n0;
  if (s.residual) s.residual += n0;
  for (int64_t n = n0; n < n1; n += s.cols) {
    int64_t panels = t->rows <= v->rows_p4 && n1 - n >= 4 * nr ? 4 : t->rows <= v->rows_p2 && n1 - n >= 2 * nr ? 2 : 1;
    s.cols = min_i64(panels * nr, n1 - n);
    v->tile(&s);
    if (late) {
      v->act(e, s.rows, s.cols, s.c, s.c_stride, after ? t->residual + n : NULL, t->residual_stride);
    }
    s.b += panels * t->panel_stride;
    s.next += s.next_step * t->n_taps * t->k_tap;
    s.c += s.cols;
    if (s.bias) s.bias += s.cols;
    if (s.residual) s.residual += s.cols;
  }
}

bool gemm_f32_plan_init(gemm_f32_plan *plan, const gemm_f32_params *params, uint32_t isa_mask) {
  const gemm_f32_variant *v = gemm_f32_best(isa_mask);
  int threads = params->threads > 0 ? params->threads : 1;
  if (params->m < 0 || params->n < 0 || params->k < 0) return false;
  if (params->m > PTRDIFF_MAX / 64 || params->n > PTRDIFF_MAX / 64 || params->k > PTRDIFF_MAX / 64) return false;
  size_t panel, packed, row, scratch;
  if (!mem_mul((size_t)params->k, (size_t)v->nr * sizeof(float), &panel) ||
      !mem_mul(panel, (size_t)ceil_div(params->n, v->nr), &packed) || packed > PTRDIFF_MAX)
    return false;
  int64_t tile_bytes = (params->k + GEMM_COPY_PAD) * (int64_t)sizeof(float) * v->mr;
  int64_t tiles = gemm_range_tiles(ceil_div(params->m, v->mr), tile_bytes);
  if (!mem_mul((size_t)tile_bytes, (size_t)tiles, &row)) return false;
  row = mem_align(row, 64);
  if (!mem_mul(row, (size_t)threads, &scratch)) return false;
  size_t batch_packed = params->b_is_constant ? 0 : mem_align(packed, 64), all_packed = batch_packed;
  bool by_thread = batch_packed <= GEMM_BATCH_BYTES;
  if (by_thread && !mem_mul(batch_packed, (size_t)threads, &all_packed)) return false;
  if (!mem_add(scratch, all_packed, &scratch)) return false;
  *plan = (gemm_f32_plan){.params = *params,
                          .variant = v,
                          .packed_b_bytes = packed,
                          .scratch_bytes = scratch,
                          .thread_scratch_bytes = row,
                          .batch_packed_bytes = batch_packed,
                          .batch_by_thread = by_thread,
                          .copied_rows = tiles * v->mr};
  plan->params.threads = threads;
  return true;
}

const char *gemm_f32_plan_name(const gemm_f32_plan *plan) { return plan->variant->name; }

typedef struct pack_job {
  const gemm_f32_plan *plan;
  const unaligned_f32 *b;
  int64_t stride_k, stride_n;
  float scale;
  float *packed;
} pack_job;

static void pack_body(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *j = arg;
  const gemm_f32_params *p = &j->plan->params;
  gemm_f32_pack_panels(j->plan->variant, p->n, p->k, j->b, j->stride_k, j->stride_n, j->scale, begin, end, j->packed);
}

void gemm_f32_pack_b(const gemm_f32_plan *plan, const unaligned_f32 *b, int64_t stride_k, int64_t stride_n, float scale,
                     float *packed, pool *p) {
  pack_job job = {plan, b, stride_k, stride_n, scale, packed};
  int64_t panel = plan->params.k * plan->variant->nr;
  pool_run(p, ceil_div(plan->params.n, plan->variant->nr), 1 + (1 << 16) / (panel + 1), pack_body, &job);
}

typedef struct gemm_job {
  const gemm_f32_plan *plan;
  const gemm_f32_args *args;
  gemm_rows rows;
  gemm_order order;
  int64_t block; /* columns of a block */
  bool copy;
  char *scratch;
} gemm_job;

/* Rows [i0, i0 + rows) of A, made contiguous. */
static void copy_rows(const gemm_f32_plan *plan, const gemm_f32_args *args, int64_t i0, int rows, float *to,
                      int64_t stride) {
  int64_t k = plan->params.k;
  if (!plan->params.a_transposed) {
    for (int r = 0; r < rows; r++) memcpy(to + r * stride, args->a + (i0 + r) * args->a_stride, (size_t)k * sizeof *to);
    return;
  }
  const float *a = args->a + i0;
  for (int64_t l = 0; l < k; l++, a += args->a_stride) {
    for (int r = 0; r < rows; r++) to[r * stride + l] = a[r];
  }
}

static void gemm_body(void *arg, int64_t begin, int64_t end, int worker) {
  const gemm_job *j = arg;
  const gemm_f32_plan *plan = j->plan;
  const gemm_f32_args *args = j->args;
  const int64_t k = plan->params.k, copied_stride = k + GEMM_COPY_PAD, zero = 0;
  float *copied = (float *)(j->scratch + (size_t)worker * plan->thread_scratch_bytes);
  gemm_f32_tile t = {.taps = &zero,
                     .n_taps = 1,
                     .k_tap = k,
                     .b = args->packed_b,
                     .next = (const char *)args->packed_b,
                     .panel_stride = k * plan->variant->nr,
                     .bias = args->bias,
                     .residual_stride = args->residual_stride,
                     .c_stride = args->c_stride};
  int64_t block_bytes = j->block * k * (int64_t)sizeof(float);
  size_t behind = mem_align(plan->packed_b_bytes, 64);
  gemm_place at = gemm_place_first(&j->order, begin);
  for (int64_t i = begin; i < end; i++, gemm_place_next(&j->order, &at)) {
    int64_t i0 = gemm_rows_begin(&j->rows, at.tile), n0 = at.block * j->block;
    t.rows = gemm_rows_size(&j->rows, at.tile);
    t.a0 = args->a + i0 * args->a_stride;
    t.a_stride = args->a_stride;
    if (j->copy) {
      float *to = copied + at.slot * j->rows.rows * copied_stride;
      if (at.copy) copy_rows(plan, args, i0, t.rows, to, copied_stride);
      t.a0 = to;
      t.a_stride = copied_stride;
    }
    t.a1 = t.a0 + (t.rows + 1) / 2 * t.a_stride;
    t.c = args->c + i0 * args->c_stride;
    t.residual = args->residual ? args->residual + i0 * args->residual_stride : NULL;
    bool last = at.block + 1 == j->order.blocks;
    if (!last || args->fetch_behind) {
      const void *next = (const char *)args->packed_b + (last ? behind : (size_t)((n0 + j->block) * k) * sizeof(float));
      gemm_f32_fetch_next(&t, next, block_bytes, at.slot, at.tiles, at.tiles * j->block / plan->variant->nr * k);
    } else {
      t.next_step = 0;
    }
    gemm_f32_columns(plan->variant, &t, &plan->params.epilogue, n0, min_i64(n0 + j->block, plan->params.n));
  }
}

/* k = 0: the sum is empty. */
static void gemm_empty(const gemm_f32_plan *plan, const gemm_f32_args *args) {
  const kernel_epilogue *e = &plan->params.epilogue;
  for (int64_t i = 0; i < args->m; i++) {
    float *c = args->c + i * args->c_stride;
    const float *add = args->residual ? args->residual + i * args->residual_stride : NULL;
    for (int64_t n = 0; n < plan->params.n; n++) {
      c[n] = (args->bias ? args->bias[n] : 0) + (add && !e->residual_after ? add[n] : 0);
      c[n] = kernel_act_ref(e, c[n]) + (add && e->residual_after ? add[n] : 0);
    }
  }
}

void gemm_f32_run(const gemm_f32_plan *plan, const gemm_f32_args *args, void *scratch, pool *p) {
  const gemm_f32_variant *v = plan->variant;
  int64_t n = plan->params.n, k = plan->params.k, threads = pool_threads(p);
  assert(threads <= plan->params.threads);
  if (args->m == 0 || n == 0) return;
  if (k == 0) {
    gemm_empty(plan, args);
    return;
  }
  gemm_job job = {.plan = plan, .args = args, .rows = gemm_rows_split(args->m, v->mr), .scratch = scratch};
  bool one_set = args->a_stride % 1024 == 0 && args->m > 4 && n > v->nr;
  job.copy = plan->params.a_transposed || one_set;

  bool small = args->m <= GEMM_SMALL_A_BYTES / (k * (int64_t)sizeof(float));
  int64_t whole = small ? GEMM_SMALL_BYTES : GEMM_WHOLE_BYTES, bytes = small ? GEMM_SMALL_BYTES : GEMM_BLOCK_BYTES;
  job.block = block_columns(n, k, v->nr, job.rows.n, (int)threads, whole, bytes);
  int64_t range = job.copy ? min_i64(plan->copied_rows / v->mr, job.rows.n) : job.rows.n;
  job.order = gemm_order_make(job.rows.n, range, ceil_div(n, job.block), (int)threads, args->m, n);
  int64_t macs = job.rows.rows * job.block * k;
  pool_run(p, job.rows.n * job.order.blocks, 1 + GEMM_JOB_MACS / macs, gemm_body, &job);
}

/* A product of one tile of rows with a row-major B read where it stands: each element is used once or a few times, and
 * packing would move it twice more. The columns beyond the last whole panel are packed. */
static bool direct_fits(const gemm_f32_plan *plan, const gemm_f32_batch_args *args) {
  const gemm_f32_params *p = &plan->params;
  return args->m > 0 && args->m <= plan->variant->mr && args->b_stride_n == 1 && args->scale == 1 && p->k > 0 &&
         !p->a_transposed;
}

static void direct_run(const gemm_f32_plan *plan, const gemm_f32_args *args, const float *b, int64_t b_stride,
                       float *packed) {
  const gemm_f32_variant *v = plan->variant;
  const kernel_epilogue *e = &plan->params.epilogue;
  int64_t n = plan->params.n, k = plan->params.k, whole = n - n % v->nr, zero = 0;
  gemm_f32_tile t = {.rows = (int)args->m,
                     .a0 = args->a,
                     .a1 = args->a + (args->m + 1) / 2 * args->a_stride,
                     .a_stride = args->a_stride,
                     .taps = &zero,
                     .n_taps = 1,
                     .k_tap = k,
                     .b = b,
                     .b_stride = b_stride,
                     .panel_stride = v->nr,
                     .next = (const char *)b,
                     .bias = args->bias,
                     .c = args->c,
                     .c_stride = args->c_stride};
  gemm_f32_columns(v, &t, e, 0, whole);
  if (whole == n) return;
  gemm_f32_pack_panels(v, n - whole, k, b + whole, b_stride, 1, 1, 0, 1, packed);
  t.b = packed;
  t.b_stride = 0;
  t.bias = args->bias ? args->bias + whole : NULL;
  t.c += whole;
  gemm_f32_columns(v, &t, e, 0, n - whole);
}

typedef struct batch_job {
  const gemm_f32_plan *plan;
  const gemm_f32_batch_args *args;
  char *scratch;
} batch_job;

/* The i-th products, i in [begin, end), with one packed B, and `p` for each of them. */
static void batch_range(const batch_job *j, int64_t begin, int64_t end, float *packed, void *scratch, pool *p) {
  const gemm_f32_batch_args *args = j->args;
  int64_t packed_offset = -1;
  for (int64_t i = begin; i < end; i++) {
    int64_t a = args->a_offsets ? args->a_offsets[i] : i * args->a_batch_stride;
    int64_t b = args->b_offsets ? args->b_offsets[i] : i * args->b_batch_stride;
    int64_t c = args->c_offsets ? args->c_offsets[i] : i * args->c_batch_stride;
    gemm_f32_args one = {.m = args->m,
                         .a = args->a + a,
                         .a_stride = args->a_stride,
                         .packed_b = packed,
                         .bias = args->bias,
                         .c = args->c + c,
                         .c_stride = args->c_stride};
    if (pool_threads(p) == 1 && direct_fits(j->plan, args)) {
      direct_run(j->plan, &one, args->b + b, args->b_stride_k, packed);
      continue;
    }
    if (b != packed_offset) {
      gemm_f32_pack_b(j->plan, args->b + b, args->b_stride_k, args->b_stride_n, args->scale, packed, p);
    }
    packed_offset = b;
    gemm_f32_run(j->plan, &one, scratch, p);
  }
}

static void batch_body(void *arg, int64_t begin, int64_t end, int worker) {
  const batch_job *j = arg;
  size_t bytes = j->plan->batch_packed_bytes + j->plan->thread_scratch_bytes;
  char *own = j->scratch + (size_t)worker * bytes;
  batch_range(j, begin, end, (float *)own, own + j->plan->batch_packed_bytes, NULL);
}

void gemm_f32_run_unpacked(const gemm_f32_plan *plan, const gemm_f32_batch_args *args, void *scratch, pool *p) {
  batch_job job = {plan, args, scratch};
  if (plan->batch_by_thread && args->n_batch >= pool_threads(p)) {
    pool_run(p, args->n_batch, 1 + GEMM_JOB_MACS / (args->m * plan->params.n * plan->params.k + 1), batch_body, &job);
    return;
  }
  batch_range(&job, 0, args->n_batch, scratch, (char *)scratch + plan->batch_packed_bytes, p);
}
