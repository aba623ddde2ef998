/* kernels/conv/conv_gather: any shape. The rows of a tile, one an output pixel, are gathered into scratch (im2col of a
 * tile, with zeros for what lies outside), and multiplied by all columns of a block while they are in L1. */
#include "kernels/conv/conv_impl.h"

#include "base/mem.h"

#include <string.h>

enum { GATHER_PAD = 16 }; /* floats after a row, so that rows never stand 4096 bytes apart */
enum { GATHER_RANGE };    /* plan->layout: tiles of a thread's scratch */

static int64_t row_stride(const conv_geometry *g) { return g->k % 1024 == 0 ? g->k + GATHER_PAD : g->k; }

static bool gather_plan(conv_f32_plan *plan) {
  conv_geometry g = conv_geometry_of(&plan->params, plan->gemm);
  size_t tile;
  if (!conv_panels_bytes(plan, &plan->packed_bytes)) return false;
  if (!mem_mul((size_t)row_stride(&g) * sizeof(float), (size_t)plan->gemm->mr, &tile) || tile > PTRDIFF_MAX)
    return false;
  int64_t tiles = g.groups * (g.batch * g.out[0] * g.out[1] * g.out[2] / plan->gemm->mr + 1);
  bool again = plan->params.threads > 1 || gemm_block_columns(g.ng, g.k, plan->gemm->nr, 1, 1) < g.ng;
  plan->layout[GATHER_RANGE] = again ? gemm_range_tiles(tiles, (int64_t)tile) : 1;
  return mem_mul(tile, (size_t)plan->layout[GATHER_RANGE], &plan->thread_scratch_bytes);
}

/* The row of A for one output pixel and one group: [tap][channel]. */
static void gather_row(const conv_geometry *g, const float *image, const int64_t o[3], float *to) {
  int64_t at[3], x0, x1;
  size_t tap_bytes = (size_t)g->cg * sizeof *to;
  for (int i = 0; i < 3; i++) at[i] = o[i] * g->stride[i] - g->pad[i];
  conv_valid_taps(at[2], g->kernel[2], g->dilation[2], g->in[2], &x0, &x1);
  bool dense = g->xps == g->cg && g->dilation[2] == 1;
  for (int64_t tz = 0; tz < g->kernel[0]; tz++) {
    for (int64_t ty = 0; ty < g->kernel[1]; ty++, to += g->kernel[2] * g->cg) {
      int64_t z = at[0] + tz * g->dilation[0], y = at[1] + ty * g->dilation[1];
      if (z < 0 || z >= g->in[0] || y < 0 || y >= g->in[1]) {
        memset(to, 0, (size_t)g->kernel[2] * tap_bytes);
        continue;
      }
      memset(to, 0, (size_t)x0 * tap_bytes);
      const float *from = image + z * g->x_row[0] + y * g->x_row[1] + (at[2] + x0 * g->dilation[2]) * g->xps;
      if (dense) {
        memcpy(to + x0 * g->cg, from, (size_t)(x1 - x0) * tap_bytes);
      } else {
        for (int64_t t = x0; t < x1; t++, from += g->dilation[2] * g->xps) memcpy(to + t * g->cg, from, tap_bytes);
      }
      memset(to + x1 * g->cg, 0, (size_t)(g->kernel[2] - x1) * tap_bytes);
    }
  }
}

typedef struct gather_job {
  const conv_run_args *args;
  conv_geometry g;
  int64_t lines;    /* runs of pixels of y at one distance: one where y is dense, else its rows */
  gemm_rows rows;   /* of one line */
  gemm_order order; /* of tiles (line, tile, group), the group fastest */
  int64_t line, block, pixels;
} gather_job;

/* Where in y its q-th pixel stands. */
static int64_t gather_y(const conv_geometry *g, int64_t q, int64_t pixels) {
  int64_t p = q % pixels;
  return q / pixels * g->y_image + p / g->out[2] / g->out[1] * g->y_row[0] + p / g->out[2] % g->out[1] * g->y_row[1] +
         p % g->out[2] * g->yps;
}

static void gather_body(void *arg, int64_t begin, int64_t end, int worker) {
  const gather_job *j = arg;
  const conv_run_args *a = j->args;
  const conv_geometry *g = &j->g;
  const gemm_f32_variant *v = a->plan->gemm;
  const int64_t zero = 0, stride = row_stride(g);
  float *slots = (float *)(a->scratch + (size_t)worker * a->plan->thread_scratch_bytes);
  gemm_f32_tile t = {.a_stride = stride,
                     .taps = &zero,
                     .n_taps = 1,
                     .next = (const char *)a->packed,
                     .k_tap = g->k,
                     .panel_stride = g->k * v->nr,
                     .residual_stride = g->rps,
                     .c_stride = g->yps};
  gemm_place at = gemm_place_first(&j->order, begin);
  for (int64_t i = begin; i < end; i++, gemm_place_next(&j->order, &at)) {
    int64_t group = at.tile % g->groups, tile = at.tile / g->groups % j->rows.n, line = at.tile / g->groups / j->rows.n;
    int64_t n0 = at.block * j->block, n1 = n0 + j->block < g->ng ? n0 + j->block : g->ng;
    int64_t q0 = line * j->line + gemm_rows_begin(&j->rows, tile);
    float *rows = slots + at.slot * v->mr * stride;
    t.rows = gemm_rows_size(&j->rows, tile);
    for (int r = 0; r < t.rows && at.copy; r++) {
      int64_t q = q0 + r, p = q % j->pixels, o[3];
      o[2] = p % g->out[2];
      o[1] = p / g->out[2] % g->out[1];
      o[0] = p / g->out[2] / g->out[1];
      gather_row(g, a->x + q / j->pixels * g->x_image + group * g->cg, o, rows + r * stride);
    }
    t.a0 = rows;
    t.a1 = rows + (t.rows + 1) / 2 * stride;
    t.b = a->packed + group * g->panels * t.panel_stride;
    t.bias = a->bias + group * g->ng;
    t.c = a->y + gather_y(g, q0, j->pixels) + group * g->ng;
    t.residual = a->residual ? a->residual + q0 * g->rps + group * g->ng : NULL;
    if (at.block + 1 < j->order.blocks && g->groups == 1) {
      int64_t block_bytes = j->block * g->k * (int64_t)sizeof(float);
      gemm_f32_fetch_next(&t, a->packed + n1 * g->k, block_bytes, at.slot, at.tiles,
                          at.tiles * j->block / v->nr * g->k);
    } else {
      t.next_step = 0;
    }
    gemm_f32_columns(v, &t, &a->plan->params.epilogue, n0, n1);
  }
}

static void gather_run(const conv_run_args *a) {
  const gemm_f32_variant *v = a->plan->gemm;
  gather_job job = {.args = a, .g = conv_geometry_of(&a->plan->params, v)};
  const conv_geometry *g = &job.g;
  job.pixels = g->out[0] * g->out[1] * g->out[2];
  job.lines = g->y_dense ? 1 : g->batch * g->out[0] * g->out[1];
  job.line = g->batch * job.pixels / job.lines;
  job.rows = gemm_rows_split(job.line, v->mr);
  int64_t tiles = job.lines * job.rows.n * g->groups;
  job.block = gemm_block_columns(g->ng, g->k, v->nr, tiles, pool_threads(a->pool));
  int64_t macs = job.rows.rows * job.block * g->k;
  job.order = gemm_order_make(tiles, a->plan->layout[GATHER_RANGE], (g->ng - 1) / job.block + 1, pool_threads(a->pool),
                              g->batch * job.pixels, g->ng);
  pool_run(a->pool, tiles * job.order.blocks, 1 + GEMM_JOB_MACS / macs, gather_body, &job);
}

const conv_algorithm conv_gather = {gather_plan, conv_panels_pack, gather_run};
