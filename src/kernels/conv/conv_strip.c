/* kernels/conv/conv_strip: a tile is a run of pixels of one output row, or two whole short rows, and reads its input in
 * place: pixel r of the run is the first one moved by r * stride pixels, and a tap is an offset from it (tile.h). Where
 * x is dense and not dilated, the taps of a kernel row are one piece of kernel_w * channels floats: a first layer of
 * three channels runs as well as any other.
 *
 *   input row    . . [ pixel 0 taps ] . . .            a tile whose taps all lie inside reads x;
 *                . . . . [ pixel 1 taps ] . .          one that touches an edge reads a window, a copy of its input
 *                                                      rows with zeros around: [depth][row][window width][channels]
 *
 * Kernel rows above or below the image are skipped, not multiplied by zeros, in tiles of one row. */
#include "kernels/conv/conv_impl.h"
#include "kernels/thin/thin.h"

#include "base/mem.h"

#include <string.h>

enum { STRIP_PAD = 16 };
enum { STRIP_RANGE }; /* plan->layout: windows of a thread's scratch */

typedef struct strip_shape {
  conv_geometry g;
  bool pairs;         /* a tile is two output rows */
  gemm_rows split;    /* of one output row, or of a pair */
  int64_t row_tiles;  /* tiles of one row or pair */
  int64_t rows;       /* rows or pairs of one plane */
  int64_t width;      /* pixels of a window's row */
  int64_t wps, w_row; /* floats between pixels and rows of a window */
  int64_t w_rows;     /* rows of a window, per depth */
  bool crowded;       /* the pixels of a tile fall into one set of the L1: always copy */
} strip_shape;

static strip_shape strip_shape_of(const conv_f32_plan *plan) {
  const gemm_f32_variant *v = plan->gemm;
  strip_shape s = {.g = conv_geometry_of(&plan->params, v)};
  const conv_geometry *g = &s.g;
  s.pairs = g->y_dense && 2 * g->out[2] <= v->mr && g->out[1] >= 2 && g->dilation[1] == 1 && g->kernel[0] == 1;
  s.split = gemm_rows_split(g->out[2], v->mr);
  if (s.pairs) s.split = (gemm_rows){.n = 1, .n_big = 1, .rows = (int)(2 * g->out[2])};
  s.row_tiles = s.split.n;
  s.rows = s.pairs ? (g->out[1] + 1) / 2 : g->out[1];
  int64_t run = s.pairs ? g->out[2] : s.split.rows;
  s.width = (run - 1) * g->stride[2] + (g->kernel[2] - 1) * g->dilation[2] + 1;
  s.wps = plan->params.channels_in;
  if (g->stride[2] * s.wps % 1024 == 0) s.wps += STRIP_PAD;
  s.w_row = s.width * s.wps;
  s.w_rows = g->kernel[1] + (s.pairs ? g->stride[1] : 0);
  s.crowded = g->stride[2] * g->xps % 1024 == 0 && s.split.rows > 4;
  return s;
}

static bool strip_plan(conv_f32_plan *plan) {
  strip_shape s = strip_shape_of(plan);
  size_t window, taps;
  if (!conv_panels_bytes(plan, &plan->packed_bytes)) return false;
  if (!mem_mul((size_t)s.width, (size_t)s.wps * sizeof(float), &window) ||
      !mem_mul(window, (size_t)s.w_rows, &window) || !mem_mul(window, (size_t)s.g.kernel[0], &window))
    return false;
  int64_t n_tiles = s.g.batch * s.g.out[0] * s.rows * s.row_tiles;
  bool again = plan->params.threads > 1 || gemm_block_columns(s.g.ng, s.g.k, plan->gemm->nr, 1, 1) < s.g.ng;
  plan->layout[STRIP_RANGE] = again && window <= PTRDIFF_MAX ? gemm_range_tiles(n_tiles, (int64_t)window) : 1;
  if (!mem_mul(window, (size_t)plan->layout[STRIP_RANGE], &window)) return false;
  if (!mem_mul((size_t)s.g.taps, 2 * sizeof(int64_t), &taps)) return false;
  taps = mem_align(taps, 64);
  return mem_add(taps, window, &plan->thread_scratch_bytes);
}

/* The offsets of the taps from a pixel: one a kernel row where the row is one piece, else one a tap. */
typedef struct strip_taps {
  int64_t *offsets;
  int64_t per_row, k_tap;
} strip_taps;

static strip_taps strip_taps_make(const conv_geometry *g, int64_t *to, int64_t depth_step, int64_t row_step,
                                  int64_t pixel_step) {
  bool piece = (g->dilation[2] == 1 && pixel_step == g->cg) || g->kernel[2] == 1;
  strip_taps t = {.offsets = to, .per_row = piece ? 1 : g->kernel[2], .k_tap = piece ? g->kernel[2] * g->cg : g->cg};
  for (int64_t z = 0; z < g->kernel[0]; z++) {
    for (int64_t y = 0; y < g->kernel[1]; y++) {
      for (int64_t x = 0; x < t.per_row; x++) *to++ = z * depth_step + y * row_step + x * g->dilation[2] * pixel_step;
    }
  }
  return t;
}

/* Where a tile stands. */
typedef struct strip_tile {
  int64_t tile, column; /* its number, and its place in its row */
  int64_t image, oz, oy, ox;
  int rows;               /* output pixels */
  bool second;            /* the second half is the next output row */
  int64_t iz, iy, ix;     /* input position of the first pixel's first tap */
  int64_t z0, z1, y0, y1; /* kernel planes and rows that reach the image */
} strip_tile;

/* Moves to a tile. The next one of the same row is found without divisions, which would cost as much as a small tile.
 */
static void strip_tile_seek(const strip_shape *s, strip_tile *t, int64_t tile) {
  const conv_geometry *g = &s->g;
  if (tile == t->tile + 1 && t->column + 1 < s->row_tiles) {
    t->column++;
  } else if (tile != t->tile) {
    int64_t row = tile / s->row_tiles, plane = row / s->rows;
    t->column = tile % s->row_tiles;
    t->oz = plane % g->out[0];
    t->image = plane / g->out[0];
    t->oy = row % s->rows * (s->pairs ? 2 : 1);
    t->second = s->pairs && t->oy + 1 < g->out[1];
    t->iz = t->oz * g->stride[0] - g->pad[0];
    t->iy = t->oy * g->stride[1] - g->pad[1];
    conv_valid_taps(t->iz, g->kernel[0], g->dilation[0], g->in[0], &t->z0, &t->z1);
    conv_valid_taps(t->iy, g->kernel[1], g->dilation[1], g->in[1], &t->y0, &t->y1);
  }
  t->tile = tile;
  t->ox = s->pairs ? 0 : gemm_rows_begin(&s->split, t->column);
  t->rows = s->pairs ? (int)g->out[2] * (1 + t->second) : gemm_rows_size(&s->split, t->column);
  t->ix = t->ox * g->stride[2] - g->pad[2];
}

/* Pixels of a run: both halves in one row, or a row each. */
static int64_t strip_run(const strip_shape *s, const strip_tile *t) { return s->pairs ? s->g.out[2] : t->rows; }

/* Whether the whole tile can read x itself. Rows that are skipped need not exist. */
static bool strip_in_place(const strip_shape *s, const strip_tile *t) {
  const conv_geometry *g = &s->g;
  int64_t last = t->ix + (strip_run(s, t) - 1) * g->stride[2] + (g->kernel[2] - 1) * g->dilation[2];
  if (s->crowded || t->ix < 0 || last >= g->in[2]) return false;
  bool all_rows = t->y0 == 0 && t->y1 == g->kernel[1];
  if (!t->second) return g->kernel[0] == 1 || all_rows;
  return all_rows && t->iy + g->stride[1] + g->kernel[1] <= g->in[1] && t->z0 < t->z1;
}

/* Copies the tile's input, with zeros for what is outside. */
static void strip_copy(const strip_shape *s, const strip_tile *t, const float *image, float *to) {
  const conv_geometry *g = &s->g;
  int64_t channels = g->cg * g->groups;
  int64_t width = (strip_run(s, t) - 1) * g->stride[2] + (g->kernel[2] - 1) * g->dilation[2] + 1;
  int64_t x0 = t->ix < 0 ? -t->ix : 0, x1 = g->in[2] - t->ix;
  if (x0 > width) x0 = width;
  if (x1 > width) x1 = width;
  if (x1 < x0) x1 = x0;
  bool dense = s->wps == channels && g->xps == channels;
  for (int64_t z = 0; z < g->kernel[0]; z++) {
    for (int64_t y = 0; y < s->w_rows; y++, to += s->w_row) {
      int64_t iz = t->iz + z * g->dilation[0], iy = t->iy + y * g->dilation[1];
      if (iz < 0 || iz >= g->in[0] || iy < 0 || iy >= g->in[1]) {
        memset(to, 0, (size_t)(width * s->wps) * sizeof *to);
        continue;
      }
      const float *from = image + iz * g->x_row[0] + iy * g->x_row[1] + (t->ix + x0) * g->xps;
      memset(to, 0, (size_t)(x0 * s->wps) * sizeof *to);
      if (dense) {
        memcpy(to + x0 * channels, from, (size_t)((x1 - x0) * channels) * sizeof *to);
      } else {
        for (int64_t x = x0; x < x1; x++, from += g->xps) memcpy(to + x * s->wps, from, (size_t)channels * sizeof *to);
      }
      memset(to + x1 * s->wps, 0, (size_t)((width - x1) * s->wps) * sizeof *to);
    }
  }
}

typedef struct strip_job {
  const conv_run_args *args;
  strip_shape s;
  gemm_order order;
  int64_t block;
  const thin_f32_variant *thin; /* for the tiles of a row that read x in place, or NULL */
} strip_job;

/* All groups and the columns of one block of one tile. */
static void strip_one(const strip_job *j, const strip_tile *t, const strip_taps *in_place, const strip_taps *windowed,
                      float *window, const gemm_place *at) {
  const conv_run_args *a = j->args;
  const strip_shape *s = &j->s;
  const conv_geometry *g = &s->g;
  const gemm_f32_variant *v = a->plan->gemm;
  const float *image = a->x + t->image * g->x_image, *base;
  int64_t n0 = at->block * j->block, n1 = n0 + j->block < g->ng ? n0 + j->block : g->ng;
  int64_t row_step, tap0 = 0, tap1 = g->kernel[0] * g->kernel[1], pixel_step;
  const strip_taps *taps;
  bool all_rows = t->y0 == 0 && t->y1 == g->kernel[1];
  if (!t->second && (g->kernel[0] == 1 || all_rows)) {
    tap0 = t->z0 * g->kernel[1] + t->y0;
    tap1 = t->z1 > t->z0 ? (t->z1 - 1) * g->kernel[1] + t->y1 : tap0;
  }
  if (strip_in_place(s, t)) {
    taps = in_place;
    base = image + t->iz * g->x_row[0] + t->iy * g->x_row[1] + t->ix * g->xps;
    pixel_step = g->stride[2] * g->xps;
    row_step = g->stride[1] * g->x_row[1];
  } else {
    taps = windowed;
    if (at->copy) strip_copy(s, t, image, window);
    base = window;
    pixel_step = g->stride[2] * s->wps;
    row_step = g->stride[1] * s->w_row;
  }
  int64_t y_at = t->image * g->y_image + t->oz * g->y_row[0] + t->oy * g->y_row[1] + t->ox * g->yps;
  int64_t r_at =
      (((t->image * g->out[0] + t->oz) * g->out[1] + t->oy) * g->out[2] + t->ox) * g->rps; /* y is dense then */
  gemm_f32_tile tile = {.rows = t->rows,
                        .next = (const char *)a->packed,
                        .a_stride = pixel_step,
                        .taps = taps->offsets + tap0 * taps->per_row,
                        .n_taps = (tap1 - tap0) * taps->per_row,
                        .k_tap = taps->k_tap,
                        .panel_stride = g->k * v->nr,
                        .c_stride = g->yps,
                        .residual_stride = g->rps};
  int64_t second = t->second ? row_step : (t->rows + 1) / 2 * pixel_step;
  if (at->block + 1 < j->order.blocks && g->groups == 1) {
    int64_t block_bytes = j->block * g->k * (int64_t)sizeof(float);
    gemm_f32_fetch_next(&tile, a->packed + n1 * g->k, block_bytes, at->slot, at->tiles,
                        at->tiles * j->block / v->nr * g->k);
  }
  for (int64_t i = 0; i < g->groups; i++) {
    tile.a0 = base + i * g->cg;
    tile.a1 = tile.a0 + second;
    tile.b = a->packed + (i * g->panels * g->k + tap0 * g->kernel[2] * g->cg) * v->nr;
    tile.bias = a->bias + i * g->ng;
    tile.c = a->y + y_at + i * g->ng;
    tile.residual = a->residual ? a->residual + r_at + i * g->ng : NULL;
    gemm_f32_columns(v, &tile, &a->plan->params.epilogue, n0, n1);
  }
}

/* Tiles from t on that read x in place, in its row and below `most`: at least t itself, which does. */
static int64_t strip_stretch(const strip_shape *s, const strip_tile *t, int64_t most) {
  const conv_geometry *g = &s->g;
  int64_t n = 1, reach = (g->kernel[2] - 1) * g->dilation[2] - g->pad[2];
  if (most > s->row_tiles - t->column) most = s->row_tiles - t->column;
  while (n < most && (gemm_rows_begin(&s->split, t->column + n + 1) - 1) * g->stride[2] + reach < g->in[2]) n++;
  return n;
}

/* All columns of `count` tiles of a row, the first of which is t. */
static void strip_thin(const strip_job *j, const strip_tile *t, const strip_taps *taps, int64_t count) {
  const conv_run_args *a = j->args;
  const conv_geometry *g = &j->s.g;
  int64_t tap0 = t->z0 * g->kernel[1] + t->y0, tap1 = t->z1 > t->z0 ? (t->z1 - 1) * g->kernel[1] + t->y1 : tap0;
  int64_t pixel = ((t->image * g->out[0] + t->oz) * g->out[1] + t->oy) * g->out[2] + t->ox; /* of a dense y */
  int64_t big = j->s.split.n_big > t->column ? j->s.split.n_big - t->column : 0;
  const thin_f32_panel p = {
      .rows = j->s.split.rows,
      .n = count,
      .n_big = big < count ? big : count,
      .a = a->x + t->image * g->x_image + t->iz * g->x_row[0] + t->iy * g->x_row[1] + t->ix * g->xps,
      .a_stride = g->stride[2] * g->xps,
      .taps = taps->offsets + tap0 * taps->per_row,
      .n_taps = (tap1 - tap0) * taps->per_row,
      .k_tap = taps->k_tap,
      .b = a->packed + tap0 * g->kernel[2] * g->cg * a->plan->gemm->nr,
      .bias = a->bias,
      .residual = a->residual ? a->residual + pixel * g->rps : NULL,
      .residual_stride = g->rps,
      .c = a->y + t->image * g->y_image + t->oz * g->y_row[0] + t->oy * g->y_row[1] + t->ox * g->yps,
      .c_stride = g->yps};
  thin_f32_columns(j->thin, a->plan->gemm, &a->plan->params.epilogue, &p, g->k * a->plan->gemm->nr, g->ng);
}

static void strip_body(void *arg, int64_t begin, int64_t end, int worker) {
  const strip_job *j = arg;
  const strip_shape *s = &j->s;
  const conv_geometry *g = &s->g;
  int64_t *offsets = (int64_t *)(j->args->scratch + (size_t)worker * j->args->plan->thread_scratch_bytes);
  strip_taps in_place = strip_taps_make(g, offsets, g->dilation[0] * g->x_row[0], g->dilation[1] * g->x_row[1], g->xps);
  strip_taps windowed = strip_taps_make(g, offsets + g->taps, s->w_rows * s->w_row, s->w_row, s->wps);
  float *window = (float *)((char *)offsets + mem_align((size_t)g->taps * 2 * sizeof(int64_t), 64));
  gemm_place at = gemm_place_first(&j->order, begin);
  strip_tile t = {.tile = -2};
  for (int64_t i = begin; i < end; i++, gemm_place_next(&j->order, &at)) {
    strip_tile_seek(s, &t, at.tile);
    if (j->thin && strip_in_place(s, &t)) {
      int64_t count = strip_stretch(s, &t, end - i);
      strip_thin(j, &t, &in_place, count);
      for (; count > 1; count--, i++) gemm_place_next(&j->order, &at);
      continue;
    }
    strip_one(j, &t, &in_place, &windowed, window + at.slot * g->kernel[0] * s->w_rows * s->w_row, &at);
  }
}

static void strip_run_all(const conv_run_args *a) {
  strip_job job = {.args = a, .s = strip_shape_of(a->plan)};
  const conv_geometry *g = &job.s.g;
  int64_t tiles = g->batch * g->out[0] * job.s.rows * job.s.row_tiles;
  job.block = gemm_block_columns(g->ng, g->k, a->plan->gemm->nr, tiles, pool_threads(a->pool));
  job.order = gemm_order_make(tiles, a->plan->layout[STRIP_RANGE], (g->ng - 1) / job.block + 1, pool_threads(a->pool),
                              g->batch * g->y_image / g->yps, g->ng);
  if (g->groups == 1 && !job.s.pairs && job.order.blocks == 1) job.thin = thin_f32_find(a->plan->gemm, g->ng, g->k);
  int64_t macs = job.s.split.rows * job.block * g->k * g->groups;
  pool_run(a->pool, tiles * job.order.blocks, 1 + GEMM_JOB_MACS / macs, strip_body, &job);
}

const conv_algorithm conv_strip = {strip_plan, conv_panels_pack, strip_run_all};
