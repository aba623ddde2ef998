/* kernels/conv_bf16: see conv_bf16.h. Both ways end in gemm_bf16_multiply. */
#include "kernels/conv_bf16/conv_bf16.h"

#include "base/mem.h"
#include "kernels/conv/conv_impl.h"
#include "kernels/gemm_bf16/tile.h"

#include <string.h>

enum { TAPS_MAX = 128 }; /* of planes: their offsets stand on the stack */
enum { JOB_ELEMENTS = 1 << 14 };

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/* ---- sizes ---- */

/* Sizes with always two dimensions, [height, width]. */
typedef struct geometry {
  int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
  int64_t batch, groups, cg, ng, taps;
  int64_t k_tap, k; /* planes: rows of the packed weights a tap; in all */
  int64_t xps, yps, rps;
  int64_t phases[2]; /* planes: of each dimension, those that some tap reads */
  int64_t shift[2];  /* planes: the most that a tap is off its output */
  int64_t line;      /* planes: positions of a line */
  int64_t a_stride;  /* elements of a position, of a row */
  int64_t lines;     /* planes: of a plane in scratch */
} geometry;

static bool reads_phase(int64_t kernel, int64_t dilation, int64_t stride, int64_t phase) {
  for (int64_t t = 0; t < kernel; t++)
    if (t * dilation % stride == phase) return true;
  return false;
}
/* The place of a tap's plane among those that are read, in one dimension. */
static int64_t phase_index(const geometry *g, int d, int64_t tap) {
  int64_t phase = tap * g->dilation[d] % g->stride[d], index = 0;
  for (int64_t f = 0; f < phase; f++) index += reads_phase(g->kernel[d], g->dilation[d], g->stride[d], f);
  return index;
}

static geometry geometry_of(const conv_bf16_plan *plan) {
  const conv_f32_params *p = &plan->params;
  geometry g = {.batch = p->batch,
                .groups = p->groups,
                .cg = p->channels_in / p->groups,
                .ng = p->channels_out / p->groups,
                .xps = p->x_pixel_stride,
                .yps = p->y_pixel_stride,
                .rps = p->residual_pixel_stride};
  for (int i = 0; i < 2; i++) {
    int from = i - (2 - p->rank);
    bool given = from >= 0;
    g.in[i] = given ? p->in[from] : 1;
    g.out[i] = given ? p->out[from] : 1;
    g.kernel[i] = given ? p->kernel[from] : 1;
    g.stride[i] = given ? p->stride[from] : 1;
    g.dilation[i] = given ? p->dilation[from] : 1;
    g.pad[i] = given ? p->pad_begin[from] : 0;
    g.shift[i] = (g.kernel[i] - 1) * g.dilation[i] / g.stride[i];
  }
  g.taps = g.kernel[0] * g.kernel[1];
  g.k_tap = plan->planes ? round_up(g.cg, GEMM_BF16_K) : g.taps * g.cg;
  g.k = plan->planes ? g.taps * g.k_tap : round_up(g.k_tap, GEMM_BF16_K);
  g.a_stride = gemm_bf16_row_stride(plan->variant, plan->planes ? g.groups * g.k_tap : g.k);
  g.line = g.out[1] + g.shift[1];
  g.lines = plan->slab + g.shift[0];
  return g;
}
static void count_phases(geometry *g) {
  for (int d = 0; d < 2; d++)
    for (int64_t f = 0; f < g->stride[d]; f++)
      g->phases[d] += reads_phase(g->kernel[d], g->dilation[d], g->stride[d], f);
}

static bool is_pointwise(const geometry *g) {
  return g->taps == 1 && g->stride[0] == 1 && g->stride[1] == 1 && g->pad[0] == 0 && g->pad[1] == 0 &&
         g->in[0] == g->out[0] && g->in[1] == g->out[1];
}

/* Whether planes are the quicker way, by the cycles of products and copies. */
static bool wants_planes(conv_bf16_plan *plan) {
  plan->planes = false;
  geometry g = geometry_of(plan);
  if (is_pointwise(&g) || g.taps > TAPS_MAX || g.stride[0] > 8 || g.stride[1] > 8) return false;
  double panels = (double)(g.groups * ceil_div(g.ng, GEMM_BF16_COLS)), step = plan->variant->step_cycles;
  double pixels = (double)(g.out[0] * g.out[1]);
  double gather = pixels / GEMM_BF16_ROWS * panels * (double)(g.k / GEMM_BF16_K) * step +
                  pixels * (double)g.groups * ((double)g.k / 8 + (double)g.kernel[0] * 20);
  plan->planes = true;
  g = geometry_of(plan);
  count_phases(&g);
  double positions = (double)(g.out[0] * g.line);
  double planes = positions / GEMM_BF16_ROWS * panels * (double)(g.k / GEMM_BF16_K) * step +
                  (double)(g.phases[0] * g.phases[1]) * (positions * (double)(g.groups * g.k_tap) / 8);
  return planes < gather;
}

static size_t bias_bytes(const conv_f32_params *p) { return mem_align((size_t)p->channels_out * sizeof(float), 64); }

static bool plan_planes(conv_bf16_plan *plan) {
  plan->slab = 1;
  geometry g = geometry_of(plan);
  count_phases(&g);
  size_t line, bytes, lines, row = (size_t)(g.a_stride * plan->variant->a_bytes), taps;
  if (!mem_mul((size_t)g.line, row, &line) || !mem_mul(line, (size_t)(g.phases[0] * g.phases[1]), &line)) return false;
  int64_t most = (int64_t)(GEMM_BF16_SLAB_BYTES / line);
  plan->slab = most < 1 ? 1 : most < g.out[0] ? most : g.out[0];
  /* A slab's lines, and what tiles read beyond: the rest of the last one, and its taps. */
  lines = (size_t)(plan->slab + g.shift[0]);
  taps = (size_t)(g.shift[0] * g.line + g.shift[1] + GEMM_BF16_ROWS);
  return mem_mul(line, lines, &bytes) && mem_mul(row, taps, &taps) && mem_add(bytes, taps, &plan->scratch_bytes);
}

bool conv_bf16_plan_init(conv_bf16_plan *ret, const conv_f32_params *params, uint32_t isa_mask) {
  conv_f32_plan checked;
  conv_f32_params p = *params;
  if (p.rank > 2 || p.y_step[p.rank - 1] || p.groups < 1) return false;
  if (p.groups > 1 && (p.channels_in / p.groups < 16 || p.channels_out / p.groups < 16)) return false;
  p.algo = CONV_REF;
  if (!conv_f32_plan_init(&checked, &p, isa_mask)) return false;
  conv_bf16_plan plan = {.params = checked.params, .variant = gemm_bf16_best(isa_mask)};
  if (plan.params.batch == 0 || plan.params.out[0] == 0 || plan.params.out[p.rank - 1] == 0) return false;
  plan.planes = wants_planes(&plan);
  geometry g = geometry_of(&plan);
  if (!gemm_bf16_panels_bytes(g.ng, g.k, &plan.packed_bytes) ||
      !mem_mul(plan.packed_bytes, (size_t)g.groups, &plan.packed_bytes) ||
      !mem_add(plan.packed_bytes, bias_bytes(&plan.params), &plan.packed_bytes))
    return false;
  if (plan.planes && !plan_planes(&plan)) return false;
  if (!plan.planes) {
    int64_t row = g.a_stride * plan.variant->a_bytes;
    plan.slab = gemm_bf16_slab_rows(g.batch * g.out[0] * g.out[1], row);
    if (!mem_mul((size_t)plan.slab, (size_t)row, &plan.scratch_bytes)) return false;
  }
  *ret = plan;
  return true;
}

/* ---- weights ---- */

typedef struct pack_job {
  const conv_bf16_plan *plan;
  geometry g;
  const unaligned_f32 *weights; /* [groups * ng][cg][taps] */
  uint16_t *packed;
} pack_job;

/* Rows in the order of gather, [tap][channel], 32 at a time. */
static void pack_gathered(const pack_job *j, const unaligned_f32 *w, int64_t cols, uint16_t *panel) {
  const geometry *g = &j->g;
  float block[GEMM_BF16_K][GEMM_BF16_COLS];
  for (int64_t k0 = 0; k0 < g->k_tap; k0 += GEMM_BF16_K) {
    int64_t rows = g->k_tap - k0 < GEMM_BF16_K ? g->k_tap - k0 : GEMM_BF16_K;
    for (int64_t i = 0; i < rows; i++) {
      int64_t tap = (k0 + i) / g->cg, c = (k0 + i) % g->cg;
      for (int64_t n = 0; n < cols; n++) block[i][n] = w[(n * g->cg + c) * g->taps + tap];
    }
    gemm_bf16_pack_panel(j->plan->variant, cols, rows, &block[0][0], GEMM_BF16_COLS, 1, 1, k0, panel);
  }
}

static void pack_body(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *j = arg;
  const geometry *g = &j->g;
  int64_t panels = ceil_div(g->ng, GEMM_BF16_COLS);
  for (int64_t i = begin; i < end; i++) {
    int64_t n0 = i % panels * GEMM_BF16_COLS, cols = g->ng - n0 < GEMM_BF16_COLS ? g->ng - n0 : GEMM_BF16_COLS;
    const unaligned_f32 *w = j->weights + (i / panels * g->ng + n0) * g->cg * g->taps;
    uint16_t *panel = j->packed + i * g->k * GEMM_BF16_COLS;
    if (!j->plan->planes && g->taps > 1) {
      pack_gathered(j, w, cols, panel);
      continue;
    }
    for (int64_t t = 0; t < g->taps; t++)
      gemm_bf16_pack_panel(j->plan->variant, cols, g->cg, w + t, g->taps, g->cg * g->taps, 1, t * g->k_tap, panel);
  }
}

void conv_bf16_pack(const conv_bf16_plan *plan, const unaligned_f32 *weights, const float *bias, void *packed,
                    pool *p) {
  memset(packed, 0, bias_bytes(&plan->params));
  if (bias) memcpy(packed, bias, (size_t)plan->params.channels_out * sizeof(float));
  pack_job job = {plan, geometry_of(plan), weights, (uint16_t *)((char *)packed + bias_bytes(&plan->params))};
  pool_run(p, job.g.groups * ceil_div(job.g.ng, GEMM_BF16_COLS), 1 + (1 << 16) / (job.g.k * GEMM_BF16_COLS), pack_body,
           &job);
}

/* ---- planes ---- */

typedef struct planes_job {
  const conv_bf16_plan *plan;
  const geometry *g;
  const float *image;
  char *planes;
  int64_t first, lines; /* of the slab's y: the first line, and lines of each plane */
  int64_t phase[2][8];  /* the phases that are read */
} planes_job;

/* Lines of planes: line % lines of plane line / lines. */
static void planes_fill(void *arg, int64_t begin, int64_t end, int worker) {
  const planes_job *j = arg;
  const geometry *g = j->g;
  const gemm_bf16_variant *v = j->plan->variant;
  const int64_t row = g->a_stride * v->a_bytes, channels = g->cg * g->groups;
  for (int64_t i = begin; i < end; i++) {
    int64_t plane = i / j->lines, line = i % j->lines;
    int64_t fy = j->phase[0][plane / g->phases[1]], fx = j->phase[1][plane % g->phases[1]];
    int64_t iy = (j->first + line) * g->stride[0] + fy - g->pad[0], ix = fx - g->pad[1];
    char *to = j->planes + (plane * g->lines + line) * g->line * row;
    if (iy < 0 || iy >= g->in[0]) {
      memset(to, 0, (size_t)(g->line * row));
      continue;
    }
    int64_t x0 = ix < 0 ? ceil_div(-ix, g->stride[1]) : 0,
            x1 = ix < g->in[1] ? ceil_div(g->in[1] - ix, g->stride[1]) : 0;
    if (x1 > g->line) x1 = g->line;
    if (x0 > x1) x0 = x1;
    memset(to, 0, (size_t)(x0 * row));
    memset(to + x1 * row, 0, (size_t)((g->line - x1) * row));
    const float *from = j->image + (iy * g->in[1] + ix + x0 * g->stride[1]) * g->xps;
    to += x0 * row;
    if (g->stride[1] == 1 && g->xps == channels && channels == g->a_stride) {
      v->convert(from, (x1 - x0) * channels, (x1 - x0) * channels, to);
      continue;
    }
    for (int64_t x = x0; x < x1; x++, from += g->stride[1] * g->xps, to += row)
      for (int64_t group = 0; group < g->groups; group++)
        v->convert(from + group * g->cg, g->cg, g->k_tap, to + group * g->k_tap * v->a_bytes);
  }
}

static void planes_run(const conv_bf16_plan *plan, const float *x, const float *bias, const uint16_t *packed, float *y,
                       const float *residual, void *scratch, pool *p) {
  geometry g = geometry_of(plan);
  count_phases(&g);
  int64_t taps[TAPS_MAX], plane = g.lines * g.line;
  planes_job job = {.plan = plan, .g = &g, .planes = scratch};
  for (int d = 0; d < 2; d++)
    for (int64_t f = 0, n = 0; f < g.stride[d]; f++)
      if (reads_phase(g.kernel[d], g.dilation[d], g.stride[d], f)) job.phase[d][n++] = f;
  for (int64_t t = 0; t < g.taps; t++) {
    int64_t ty = t / g.kernel[1], tx = t % g.kernel[1];
    int64_t which = phase_index(&g, 0, ty) * g.phases[1] + phase_index(&g, 1, tx);
    int64_t at = ty * g.dilation[0] / g.stride[0] * g.line + tx * g.dilation[1] / g.stride[1];
    taps[t] = (which * plane + at) * g.a_stride;
  }
  gemm_bf16_product product = {.variant = plan->variant,
                               .epilogue = &plan->params.epilogue,
                               .a_stride = g.a_stride,
                               .taps = taps,
                               .n_taps = g.taps,
                               .k_tap = g.k_tap,
                               .n = g.ng,
                               .line = g.line,
                               .used = g.out[1],
                               .residual_stride = g.rps,
                               .residual_line = g.out[1] * g.rps,
                               .c_stride = g.yps,
                               .c_line = g.out[1] * g.yps};
  int64_t panels = ceil_div(g.ng, GEMM_BF16_COLS);
  for (int64_t b = 0; b < g.batch; b++) {
    job.image = x + b * g.in[0] * g.in[1] * g.xps;
    for (job.first = 0; job.first < g.out[0]; job.first += plan->slab) {
      int64_t lines = g.out[0] - job.first < plan->slab ? g.out[0] - job.first : plan->slab;
      int64_t at = (b * g.out[0] + job.first) * g.out[1];
      job.lines = lines + g.shift[0];
      pool_run(p, g.phases[0] * g.phases[1] * job.lines, 1 + JOB_ELEMENTS / (g.line * g.a_stride), planes_fill, &job);
      product.rows = (lines - 1) * g.line + g.out[1];
      for (int64_t i = 0; i < g.groups; i++) {
        product.a = (const char *)scratch + i * g.k_tap * plan->variant->a_bytes;
        product.b = packed + i * panels * g.k * GEMM_BF16_COLS;
        product.bias = bias + i * g.ng;
        product.c = y + at * g.yps + i * g.ng;
        product.residual = residual ? residual + at * g.rps + i * g.ng : NULL;
        gemm_bf16_multiply(&product, p);
      }
    }
  }
}

/* ---- gather ---- */

typedef struct gather_job {
  const conv_bf16_plan *plan;
  const geometry *g;
  const float *x; /* the group's first channel */
  bool pointwise;
} gather_job;

/* The row of one output pixel: [tap][channel], and zeros. */
static void gather_row(const gather_job *j, int64_t image, int64_t oy, int64_t ox, char *to) {
  const geometry *g = j->g;
  const gemm_bf16_variant *v = j->plan->variant;
  const int64_t bytes = v->a_bytes, tap = g->cg * bytes;
  int64_t y0 = oy * g->stride[0] - g->pad[0], x0 = ox * g->stride[1] - g->pad[1], t0, t1;
  const float *from = j->x + image * g->in[0] * g->in[1] * g->xps;
  conv_valid_taps(x0, g->kernel[1], g->dilation[1], g->in[1], &t0, &t1);
  bool dense = g->xps == g->cg && g->dilation[1] == 1;
  if (dense && t1 - t0 == g->kernel[1] && y0 >= 0 && y0 + (g->kernel[0] - 1) * g->dilation[0] < g->in[0]) {
    const float *at = from + (y0 * g->in[1] + x0) * g->xps;
    v->convert_runs(at, g->dilation[0] * g->in[1] * g->xps, g->kernel[0], g->kernel[1] * g->cg, g->k, to);
    return;
  }
  memset(to + g->k_tap * bytes, 0, (size_t)((g->k - g->k_tap) * bytes));
  for (int64_t ty = 0; ty < g->kernel[0]; ty++, to += g->kernel[1] * tap) {
    int64_t y = y0 + ty * g->dilation[0];
    if (y < 0 || y >= g->in[0]) {
      memset(to, 0, (size_t)(g->kernel[1] * tap));
      continue;
    }
    const float *at = from + (y * g->in[1] + x0 + t0 * g->dilation[1]) * g->xps;
    memset(to, 0, (size_t)(t0 * tap));
    memset(to + t1 * tap, 0, (size_t)((g->kernel[1] - t1) * tap));
    if (dense) {
      v->convert(at, (t1 - t0) * g->cg, (t1 - t0) * g->cg, to + t0 * tap);
      continue;
    }
    for (int64_t t = t0; t < t1; t++, at += g->dilation[1] * g->xps) v->convert(at, g->cg, g->cg, to + t * tap);
  }
}

static void gather_fill(const void *arg, int64_t begin, int64_t end, char *to) {
  const gather_job *j = arg;
  const geometry *g = j->g;
  const int64_t row = g->a_stride * j->plan->variant->a_bytes;
  int64_t ox = begin % g->out[1], oy = begin / g->out[1] % g->out[0], image = begin / g->out[1] / g->out[0];
  for (int64_t i = begin; i < end; i++, to += row) {
    if (j->pointwise) {
      j->plan->variant->convert(j->x + i * g->xps, g->cg, g->k, to);
      continue;
    }
    gather_row(j, image, oy, ox, to);
    if (++ox == g->out[1]) {
      ox = 0;
      if (++oy == g->out[0]) oy = 0, image++;
    }
  }
}

static void gather_run(const conv_bf16_plan *plan, const float *x, const float *bias, const uint16_t *packed, float *y,
                       const float *residual, void *scratch, pool *p) {
  const geometry g = geometry_of(plan);
  const int64_t zero = 0, rows = g.batch * g.out[0] * g.out[1], panels = ceil_div(g.ng, GEMM_BF16_COLS);
  for (int64_t i = 0; i < g.groups; i++) {
    gather_job job = {plan, &g, x + i * g.cg, is_pointwise(&g)};
    gemm_bf16_product product = {.variant = plan->variant,
                                 .epilogue = &plan->params.epilogue,
                                 .a_stride = g.a_stride,
                                 .taps = &zero,
                                 .n_taps = 1,
                                 .k_tap = g.k,
                                 .b = packed + i * panels * g.k * GEMM_BF16_COLS,
                                 .n = g.ng,
                                 .rows = rows,
                                 .line = rows,
                                 .used = rows,
                                 .bias = bias + i * g.ng,
                                 .residual = residual ? residual + i * g.ng : NULL,
                                 .residual_stride = g.rps,
                                 .c = y + i * g.ng,
                                 .c_stride = g.yps};
    gemm_bf16_multiply_slabs(&product, plan->slab, gather_fill, &job, scratch, p);
  }
}

void conv_bf16_run(const conv_bf16_plan *plan, const float *x, const void *packed, float *y, const float *residual,
                   void *scratch, pool *p) {
  const uint16_t *weights = (const uint16_t *)((const char *)packed + bias_bytes(&plan->params));
  (plan->planes ? planes_run : gather_run)(plan, x, packed, weights, y, residual, scratch, p);
}
