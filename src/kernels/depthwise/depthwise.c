/* kernels/depthwise: the loops around the tiles. A job is one output row of one block of channels, the row fastest. */
#include "kernels/depthwise/depthwise.h"
#include "base/mem.h"
#include "kernels/conv/conv_impl.h"

#include <string.h>

enum { DEPTHWISE_L1_BYTES = 24 << 10, DEPTHWISE_L2_BYTES = 512 << 10, DEPTHWISE_IMAGE_BYTES = 1 << 20 };

#define VARIANT(variant) extern const depthwise_f32_variant variant;
#include "kernels/depthwise/variants.def"
#undef VARIANT

const depthwise_f32_variant *const *depthwise_f32_variants(size_t *ret_count) {
#define VARIANT(variant) &variant,
  static const depthwise_f32_variant *const rows[] = {
#include "kernels/depthwise/variants.def"
  };
#undef VARIANT
  *ret_count = sizeof rows / sizeof *rows;
  return rows;
}

bool conv_depthwise_fits(const conv_f32_params *p) {
  if (p->groups != p->channels_in || p->groups != p->channels_out || p->y_step[p->rank - 1]) return false;
  return p->rank < 3 || (p->kernel[0] == 1 && p->stride[0] == 1 && p->pad_begin[0] == 0 && p->in[0] == p->out[0]);
}

static bool depthwise_plan(conv_f32_plan *plan) {
  size_t n, i = 0, taps = 1;
  const depthwise_f32_variant *const *rows = depthwise_f32_variants(&n);
  while (i + 1 < n && (rows[i]->isa & ~plan->isa_mask)) i++;
  plan->depthwise = rows[i];
  const conv_f32_params *p = &plan->params;
  for (int d = 0; d < p->rank; d++) taps *= (size_t)p->kernel[d];
  plan->thread_scratch_bytes = 0;
  size_t channels = mem_align((size_t)p->channels_in, (size_t)plan->depthwise->lanes);
  return mem_mul(taps * sizeof(float), channels, &plan->packed_bytes);
}

static void depthwise_pack(const conv_f32_plan *plan, const unaligned_f32 *weights, float *packed, pool *p) {
  int64_t lanes = plan->depthwise->lanes, channels = plan->params.channels_in, taps = 1;
  for (int d = 0; d < plan->params.rank; d++) taps *= plan->params.kernel[d];
  memset(packed, 0, (size_t)(mem_align((size_t)channels, (size_t)lanes)) * (size_t)taps * sizeof *packed);
  for (int64_t c = 0; c < channels; c++) {
    for (int64_t t = 0; t < taps; t++) packed[(c / lanes * taps + t) * lanes + c % lanes] = weights[c * taps + t];
  }
}

typedef struct depthwise_job {
  const conv_run_args *args;
  conv_geometry g;
  int64_t channels, block, blocks;
  int64_t inner0, inner1; /* output columns whose taps all lie inside */
} depthwise_job;

/* Output pixels [x0, x0 + pixels) of a row, with kernel columns [kx0, kx1). */
static void depthwise_pixels(const depthwise_job *j, const depthwise_f32_tile *row, int64_t x0, int pixels, int64_t kx0,
                             int64_t kx1) {
  const conv_geometry *g = &j->g;
  const kernel_epilogue *e = &j->args->plan->params.epilogue;
  depthwise_f32_tile t = *row;
  t.pixels = pixels;
  t.n_x = (int)(kx1 - kx0);
  t.x += (x0 * g->stride[2] - g->pad[2] + kx0 * g->dilation[2]) * g->xps;
  t.w += kx0 * j->args->plan->depthwise->lanes;
  t.y += x0 * g->yps;
  const float *residual = row->residual ? row->residual + x0 * g->rps : NULL;
  bool after = e->residual_after && residual;
  t.residual = after ? NULL : residual;
  j->args->plan->depthwise->tile(&t);
  if (e->act > KERNEL_ACT_CLAMP || after) {
    j->args->plan->gemm->act(e, pixels, t.channels, t.y, t.y_pixel, after ? residual : NULL, g->rps);
  }
}

static void depthwise_row(const depthwise_job *j, int64_t image, int64_t c0, int64_t oy) {
  const conv_run_args *a = j->args;
  const conv_geometry *g = &j->g;
  const kernel_epilogue *e = &a->plan->params.epilogue;
  int64_t lanes = a->plan->depthwise->lanes, iy = oy * g->stride[1] - g->pad[1], y0, y1, kx0, kx1;
  conv_valid_taps(iy, g->kernel[1], g->dilation[1], g->in[1], &y0, &y1);
  bool late = e->act > KERNEL_ACT_CLAMP || (e->residual_after && a->residual);
  depthwise_f32_tile row = {
      .n_y = (int)(y1 - y0),
      .channels = j->channels - c0 < j->block ? j->channels - c0 : j->block,
      .x = a->x + image * g->in[1] * g->x_row[1] + (iy + y0 * g->dilation[1]) * g->x_row[1] + c0,
      .x_row = g->dilation[1] * g->x_row[1],
      .x_tap = g->dilation[2] * g->xps,
      .x_pixel = g->stride[2] * g->xps,
      .w = a->packed + (c0 / lanes * g->taps + y0 * g->kernel[2]) * lanes,
      .w_row = g->kernel[2] * lanes,
      .w_block = g->taps * lanes,
      .bias = a->bias + c0,
      .residual = a->residual ? a->residual + (image * g->out[1] + oy) * g->out[2] * g->rps + c0 : NULL,
      .residual_pixel = g->rps,
      .y = a->y + (image * g->out[1] + oy) * g->y_row[1] + c0,
      .y_pixel = g->yps,
      .lo = late ? -INFINITY : kernel_epilogue_lo(e),
      .hi = late ? INFINITY : kernel_epilogue_hi(e),
  };
  for (int64_t x = 0; x < g->out[2]; x++) {
    if (x == j->inner0 && j->inner0 < j->inner1) {
      gemm_rows split = gemm_rows_split(j->inner1 - j->inner0, DEPTHWISE_PIXELS);
      for (int64_t i = 0; i < split.n; i++) {
        depthwise_pixels(j, &row, x + gemm_rows_begin(&split, i), gemm_rows_size(&split, i), 0, g->kernel[2]);
      }
      x = j->inner1 - 1;
      continue;
    }
    conv_valid_taps(x * g->stride[2] - g->pad[2], g->kernel[2], g->dilation[2], g->in[2], &kx0, &kx1);
    depthwise_pixels(j, &row, x, 1, kx0, kx1);
  }
}

static void depthwise_body(void *arg, int64_t begin, int64_t end, int worker) {
  const depthwise_job *j = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t oy = i % j->g.out[1], c = i / j->g.out[1] % j->blocks, image = i / j->g.out[1] / j->blocks;
    depthwise_row(j, image, c * j->block, oy);
  }
}

/* Channels of a block, whole vectors. An image that L2 holds is cut so that the rows of a kernel fit L1; from a larger
 * one whole rows are read, since only they are fetched ahead of their use. */
static int64_t depthwise_block(const conv_geometry *g, int64_t channels, int64_t lanes) {
  int64_t pixels = g->in[1] * g->in[2], all = (channels + lanes - 1) / lanes;
  bool fits = pixels * channels * (int64_t)sizeof(float) <= DEPTHWISE_IMAGE_BYTES;
  int64_t row_bytes = g->in[2] * g->kernel[1] * lanes * (int64_t)sizeof(float) + 1;
  int64_t vectors = (fits ? DEPTHWISE_L1_BYTES : DEPTHWISE_L2_BYTES) / row_bytes;
  if (vectors < 2) vectors = 2;
  if (vectors > all) vectors = all;
  int64_t blocks = (all + vectors - 1) / vectors;
  return (all + blocks - 1) / blocks * lanes;
}

static void depthwise_run(const conv_run_args *a) {
  depthwise_job job = {
      .args = a, .g = conv_geometry_of(&a->plan->params, a->plan->gemm), .channels = a->plan->params.channels_in};
  conv_geometry *g = &job.g;
  int64_t lanes = a->plan->depthwise->lanes, reach = (g->kernel[2] - 1) * g->dilation[2];
  int64_t first = g->pad[2] > 0 ? (g->pad[2] + g->stride[2] - 1) / g->stride[2] : 0;
  int64_t room = g->in[2] - 1 - reach + g->pad[2], end = room < 0 ? 0 : room / g->stride[2] + 1;
  job.inner0 = first;
  job.inner1 = end < g->out[2] ? end : g->out[2];
  job.block = depthwise_block(g, job.channels, lanes);
  job.blocks = (job.channels + job.block - 1) / job.block;
  int64_t images = g->batch * g->out[0], macs = job.block * g->out[2] * g->taps;
  pool_run(a->pool, images * job.blocks * g->out[1], 1 + (GEMM_JOB_MACS >> 2) / macs, depthwise_body, &job);
}

const conv_algorithm conv_depthwise = {depthwise_plan, depthwise_pack, depthwise_run};
