/* kernels/depthwise: the loops around the tiles. A job is one output row of one block of channels; the order is bands
 * of rows, in each all blocks, in each block the rows of the band. */
#include "kernels/depthwise/depthwise.h"
#include "base/mem.h"
#include "kernels/conv/conv_impl.h"

#include <string.h>

enum { DEPTHWISE_L2_BYTES = 512 << 10 };
enum { DEPTHWISE_ROWS = 64 }; /* kernel rows whose pointers stand on the stack */

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
  if (p->rank > 1 && p->kernel[p->rank - 2] > DEPTHWISE_ROWS) return false;
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

/* Output pixels from x0 on, with kernel columns [kx0, kx1). */
static void line_pixels(const depthwise_f32_line *l, const depthwise_f32_tiles *row, int64_t x0, gemm_rows pixels,
                        int64_t kx0, int64_t kx1) {
  const kernel_epilogue *e = l->epilogue;
  depthwise_f32_tiles t = *row;
  t.pixels = pixels.rows;
  t.n = pixels.n, t.n_big = pixels.n_big;
  t.n_x = (int)(kx1 - kx0);
  t.x_at = (x0 * l->stride - l->pad + kx0 * l->dilation) * l->x_pixel;
  t.w += kx0 * l->kernel->lanes;
  t.y += x0 * l->y_pixel;
  const float *residual = row->residual ? row->residual + x0 * l->residual_pixel : NULL;
  bool after = e->residual_after && residual;
  t.residual = after ? NULL : residual;
  l->kernel->tiles(&t);
  for (int i = 0; i < t.lines && (e->act > KERNEL_ACT_CLAMP || after); i++) {
    l->act->act(e, (int)gemm_rows_begin(&pixels, pixels.n), t.channels, t.y + i * l->y_line, t.y_pixel,
                after ? residual + i * l->residual_line : NULL, l->residual_pixel);
  }
}

/* All pixels of 3 or 5 taps at stride 1 or 2: even tiles from one edge to the other. */
static void line_shared(const depthwise_f32_line *l, const depthwise_f32_tiles *row) {
  gemm_rows split = gemm_rows_split(l->out, l->kernel->pixels[row->lines - 1]);
  for (int64_t i = 0, next; i < split.n; i = next) {
    int64_t x0 = gemm_rows_begin(&split, i), column = x0 * l->stride - l->pad;
    int64_t columns = (gemm_rows_size(&split, i) - 1) * l->stride + l->taps_x;
    gemm_rows one = {1, 1, gemm_rows_size(&split, i)};
    depthwise_f32_tiles t = *row;
    next = i + 1;
    if (column < 0 || column + columns > l->in) {
      t.column0 = -column, t.column1 = l->in - column;
    } else {                                                       /* all tiles up to the edge */
      int64_t room = (l->in - l->taps_x + l->pad) / l->stride + 1; /* pixels that have all their taps */
      while (next < split.n && gemm_rows_begin(&split, next + 1) <= room) next++;
      int64_t big = split.n_big > i ? split.n_big - i : 0;
      one.n = next - i;
      one.n_big = big < one.n ? big : one.n;
      if (one.n_big == 0) one.n_big = one.n;
    }
    line_pixels(l, &t, x0, one, 0, l->taps_x);
  }
}

void depthwise_f32_line_run(const depthwise_f32_line *l, const float *const *rows, int64_t y0, int n_y, int lines,
                            int64_t channels, const float *w, const float *bias, const float *residual, float *y) {
  const int64_t lanes = l->kernel->lanes, reach = (l->taps_x - 1) * l->dilation;
  bool late = l->epilogue->act > KERNEL_ACT_CLAMP || (l->epilogue->residual_after && residual);
  depthwise_f32_tiles row = {
      .n_y = n_y,
      .column1 = INT64_MAX,
      .lines = lines,
      .channels = channels,
      .x = rows,
      .x_tap = l->dilation * l->x_pixel,
      .x_pixel = l->stride * l->x_pixel,
      .w = w + y0 * l->taps_x * lanes,
      .w_row = l->taps_x * lanes,
      .w_block = l->taps * lanes,
      .bias = bias,
      .residual = residual,
      .residual_pixel = l->residual_pixel,
      .residual_line = l->residual_line,
      .y = y,
      .y_pixel = l->y_pixel,
      .y_line = l->y_line,
      .lo = late ? -INFINITY : kernel_epilogue_lo(l->epilogue),
      .hi = late ? INFINITY : kernel_epilogue_hi(l->epilogue),
  };
  if ((l->taps_x == 3 || l->taps_x == 5) && l->stride <= 2 && l->dilation == 1) {
    line_shared(l, &row);
    return;
  }
  /* Output columns [inner0, inner1) have all their taps inside. */
  int64_t inner0 = l->pad > 0 ? (l->pad + l->stride - 1) / l->stride : 0, room = l->in - 1 - reach + l->pad, kx0, kx1;
  int64_t inner1 = room < 0 ? 0 : room / l->stride + 1;
  if (inner1 > l->out) inner1 = l->out;
  for (int64_t x = 0; x < l->out; x++) {
    if (x == inner0 && inner0 < inner1) {
      line_pixels(l, &row, x, gemm_rows_split(inner1 - inner0, l->kernel->pixels[lines - 1]), 0, l->taps_x);
      x = inner1 - 1;
      continue;
    }
    conv_valid_taps(x * l->stride - l->pad, l->taps_x, l->dilation, l->in, &kx0, &kx1);
    depthwise_f32_tiles edge = row;
    edge.lines = 1;
    line_pixels(l, &edge, x, (gemm_rows){1, 1, 1}, kx0, kx1);
    if (lines == 1) continue;
    edge.x += l->stride;
    edge.y += l->y_line;
    if (edge.residual) edge.residual += l->residual_line;
    line_pixels(l, &edge, x, (gemm_rows){1, 1, 1}, kx0, kx1);
  }
}

typedef struct depthwise_job {
  const conv_run_args *args;
  conv_geometry g;
  depthwise_f32_line line;
  int64_t channels, block, blocks;
  int64_t rows, band; /* output rows of all images, in bands of so many: a thread's share */
} depthwise_job;

/* Output rows [oy, end) of a block of channels. */
static void depthwise_rows(const depthwise_job *j, int64_t image, int64_t c0, int64_t oy, int64_t end) {
  const conv_run_args *a = j->args;
  const conv_geometry *g = &j->g;
  int64_t lanes = a->plan->depthwise->lanes, y0, y1, again0, again1;
  const float *x = a->x + image * g->in[1] * g->x_row[1] + c0, *rows[DEPTHWISE_ROWS + 2];
  for (int64_t lines; oy < end; oy += lines) {
    int64_t iy = oy * g->stride[1] - g->pad[1];
    conv_valid_taps(iy, g->kernel[1], g->dilation[1], g->in[1], &y0, &y1);
    conv_valid_taps(iy + g->stride[1], g->kernel[1], g->dilation[1], g->in[1], &again0, &again1);
    bool whole = y1 - y0 == g->kernel[1] && again1 - again0 == g->kernel[1];
    lines = whole && j->line.lines > 1 && oy + 1 < end ? 2 : 1;
    for (int64_t ky = y0; ky < y1 + (lines - 1) * g->stride[1]; ky++)
      rows[ky - y0] = x + (iy + ky * g->dilation[1]) * g->x_row[1];
    const float *residual = a->residual ? a->residual + (image * g->out[1] + oy) * g->out[2] * g->rps + c0 : NULL;
    depthwise_f32_line_run(&j->line, rows, y0, (int)(y1 - y0), (int)lines,
                           j->channels - c0 < j->block ? j->channels - c0 : j->block,
                           a->packed + c0 / lanes * g->taps * lanes, a->bias + c0, residual,
                           a->y + (image * g->out[1] + oy) * g->y_row[1] + c0);
  }
}

depthwise_f32_line depthwise_f32_line_of(const conv_f32_plan *plan) {
  conv_geometry g = conv_geometry_of(&plan->params, plan->gemm);
  bool two = g.kernel[1] == g.kernel[2] && (g.kernel[2] == 3 || g.kernel[2] == 5) && g.stride[1] == g.stride[2] &&
             g.stride[2] <= 2 && g.dilation[1] == 1 && g.dilation[2] == 1;
  return (depthwise_f32_line){.kernel = plan->depthwise,
                              .act = plan->gemm,
                              .epilogue = &plan->params.epilogue,
                              .in = g.in[2],
                              .out = g.out[2],
                              .taps_x = g.kernel[2],
                              .stride = g.stride[2],
                              .dilation = g.dilation[2],
                              .pad = g.pad[2],
                              .taps = g.taps,
                              .x_pixel = g.xps,
                              .y_pixel = g.yps,
                              .residual_pixel = g.rps,
                              .y_line = g.y_row[1],
                              .residual_line = g.out[2] * g.rps,
                              .lines = two ? 2 : 1};
}

static void depthwise_body(void *arg, int64_t begin, int64_t end, int worker) {
  const depthwise_job *j = arg;
  for (int64_t i = begin, next; i < end; i = next) {
    int64_t row0 = i / (j->band * j->blocks) * j->band, in_band = i - row0 * j->blocks;
    int64_t rows = j->rows - row0 < j->band ? j->rows - row0 : j->band;
    int64_t row = row0 + in_band % rows, image = row / j->g.out[1], oy = row % j->g.out[1];
    next = i + row0 + rows - row < end ? i + row0 + rows - row : end;
    depthwise_rows(j, image, in_band / rows * j->block, oy, oy + next - i);
  }
}

/* Channels of a block, whole vectors: so many that the rows of a kernel fit L2. Smaller blocks, which fit L1, are
 * slower: long runs of channels are fetched ahead of their use. */
static int64_t depthwise_block(const conv_geometry *g, int64_t channels, int64_t lanes) {
  int64_t all = (channels + lanes - 1) / lanes;
  int64_t vectors = DEPTHWISE_L2_BYTES / (g->in[2] * g->kernel[1] * lanes * (int64_t)sizeof(float) + 1);
  if (vectors < 2) vectors = 2;
  if (vectors > all) vectors = all;
  int64_t blocks = (all + vectors - 1) / vectors;
  return (all + blocks - 1) / blocks * lanes;
}

static void depthwise_run(const conv_run_args *a) {
  depthwise_job job = {
      .args = a, .g = conv_geometry_of(&a->plan->params, a->plan->gemm), .channels = a->plan->params.channels_in};
  conv_geometry *g = &job.g;
  int64_t lanes = a->plan->depthwise->lanes;
  job.line = depthwise_f32_line_of(a->plan);
  job.block = depthwise_block(g, job.channels, lanes);
  job.blocks = (job.channels + job.block - 1) / job.block;
  int64_t images = g->batch * g->out[0], threads = pool_threads(a->pool), macs = job.block * g->out[2] * g->taps;
  job.rows = images * g->out[1];
  job.band = images > 1 || threads == 1 ? g->out[1] : (job.rows - 1) / threads + 1;
  pool_run(a->pool, job.rows * job.blocks, 1 + (GEMM_JOB_MACS >> 2) / macs, depthwise_body, &job);
}

const conv_algorithm conv_depthwise = {depthwise_plan, depthwise_pack, depthwise_run};
