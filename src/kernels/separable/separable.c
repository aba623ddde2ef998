/* kernels/separable: bands of output rows, one after another. A band makes the rows of expand's output that it needs
 * and that the one before has not left, in a ring of rows with zeros at both ends; the depthwise stage reads them
 * there, and its own output waits in a band's buffer for the project stage:
 *
 *   x row --expand--> ring: |0| row i     |0|      depthwise      band: | rows of the band |  --project--> y rows
 *                           |0| row i + 1 |0|  -------------->
 *                           |0| ...       |0|
 *
 * A thread that starts in the middle of an image makes the rows above its first band anew, by the same arithmetic. */
#include "kernels/separable/separable.h"
#include "base/mem.h"
#include "kernels/conv/conv_impl.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/thin/thin.h"

#include <assert.h>
#include <string.h>

enum {
  SEPARABLE_L2_BYTES = 512 << 10,  /* ring and band beside the weights */
  SEPARABLE_WIN_BYTES = 768 << 10, /* between the stages: from here on it wins */
  SEPARABLE_BAND_MOST = 8,
  SEPARABLE_CHUNK_ROWS = 16, /* of a thread's chunk: it makes up to kernel - stride rows twice */
  SEPARABLE_KERNEL_MOST = 16,
};

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- plan ---- */

static bool pointwise_stage(const conv_f32_params *p) {
  return p->rank == 2 && p->groups == 1 && conv_pointwise_fits(p);
}

static bool stages_fit(const separable_f32_params *params) {
  const conv_f32_params *e = &params->stage[SEPARABLE_EXPAND], *d = &params->stage[SEPARABLE_DEPTHWISE],
                        *p = &params->stage[SEPARABLE_PROJECT];
  if (!e->rank && !p->rank) return false;
  if (d->rank != 2 || !conv_depthwise_fits(d)) return false;
  for (int i = 0; i < 2; i++) {
    if (d->pad_begin[i] < 0 || d->kernel[i] > SEPARABLE_KERNEL_MOST) return false;
    if (d->in[i] < 1 || d->out[i] < 1) return false;
    if (e->rank && e->out[i] != d->in[i]) return false;
    if (p->rank && p->in[i] != d->out[i]) return false;
  }
  if (d->batch < 1) return false;
  if (e->rank && (!pointwise_stage(e) || e->channels_out != d->channels_in || e->batch != d->batch)) return false;
  return !p->rank || (pointwise_stage(p) && p->channels_in == d->channels_out && p->batch == d->batch);
}

/* Rows of the ring for bands of so many output rows. */
static int64_t ring_rows(const conv_f32_params *d, int64_t band) {
  return (band - 1) * d->stride[0] + (d->kernel[0] - 1) * d->dilation[0] + 1;
}

/* The band whose pixels fill the tiles best, while ring and band stay in L2; of equal ones the smallest. */
static int64_t choose_band(const separable_f32_plan *plan, const conv_f32_params *d, int mr) {
  int64_t best = 1;
  double most = 0;
  for (int64_t band = 1; band <= min_i64(SEPARABLE_BAND_MOST, d->out[0]); band++) {
    int64_t pixels = band * d->out[1];
    double bytes = 4 * ((plan->expand ? (double)(ring_rows(d, band) * plan->ring_row) : 0) +
                        (plan->project ? (double)(pixels * plan->middle) : 0));
    double filled = plan->project ? (double)pixels / (double)(ceil_div(pixels, mr) * mr) : 1;
    double score = filled * (bytes > 2 * SEPARABLE_L2_BYTES ? 0.6 : bytes > SEPARABLE_L2_BYTES ? 0.85 : 1);
    if (band == 1) score *= 0.95; /* the depthwise stage does two rows at once */
    if (score > 1.02 * most) best = band, most = score;
  }
  return best;
}

bool separable_f32_plan_init(separable_f32_plan *ret_plan, const separable_f32_params *params, uint32_t isa_mask) {
  static const conv_algo algos[SEPARABLE_STAGES] = {CONV_POINTWISE, CONV_DEPTHWISE, CONV_POINTWISE};
  separable_f32_plan plan = {.threads = params->threads > 0 ? params->threads : 1,
                             .expand = params->stage[SEPARABLE_EXPAND].rank > 0,
                             .project = params->stage[SEPARABLE_PROJECT].rank > 0};
  if (!stages_fit(params)) return false;
  for (int i = 0; i < SEPARABLE_STAGES; i++) {
    conv_f32_params stage = params->stage[i];
    if (!stage.rank) continue;
    stage.algo = algos[i];
    stage.threads = plan.threads;
    if (!conv_f32_plan_init(&plan.stage[i], &stage, isa_mask) || plan.stage[i].params.algo != algos[i]) return false;
  }
  const conv_f32_params *d = &plan.stage[SEPARABLE_DEPTHWISE].params;
  int64_t last = (d->out[1] - 1) * d->stride[1] + (d->kernel[1] - 1) * d->dilation[1] - d->pad_begin[1];
  int64_t after = max_i64(0, last - (d->in[1] - 1));
  size_t row, ring, band, bytes;
  plan.ring_pad = d->pad_begin[1];
  plan.middle = d->channels_in + (d->channels_in % 1024 == 0 ? 16 : 0); /* else a tile's rows share a set of L1 */
  if (!mem_mul((size_t)(plan.ring_pad + d->in[1] + after), (size_t)plan.middle, &row) || row > PTRDIFF_MAX / 64)
    return false;
  plan.ring_row = (int64_t)row;
  plan.band = choose_band(&plan, d, plan.stage[SEPARABLE_DEPTHWISE].gemm->mr);
  plan.bands = ceil_div(d->out[0], plan.band);
  plan.ring = ring_rows(d, plan.band);
  if (!mem_mul(plan.expand ? row * sizeof(float) : 0, (size_t)plan.ring, &ring) ||
      !mem_mul(plan.project ? (size_t)(plan.band * d->out[1]) * sizeof(float) : 0, (size_t)plan.middle, &band) ||
      !mem_add(mem_align(ring, 64), mem_align(band, 64), &plan.thread_scratch_bytes) ||
      !mem_mul(plan.thread_scratch_bytes, (size_t)plan.threads, &bytes) || bytes > PTRDIFF_MAX)
    return false;
  plan.scratch_bytes = bytes;
  *ret_plan = plan;
  return true;
}

bool separable_f32_wins(int64_t expanded_bytes, int64_t filtered_bytes) {
  return expanded_bytes + filtered_bytes >= SEPARABLE_WIN_BYTES;
}

/* ---- run ---- */

typedef struct separable_job {
  const separable_f32_plan *plan;
  const float *x, *residual;
  float *y;
  const void *const *packed;
  void *scratch;
  depthwise_f32_line line;
  conv_geometry g; /* of the depthwise stage */
} separable_job;

/* The bias stands before the weights of a packed stage. */
static const float *stage_bias(const separable_job *j, separable_stage s) { return j->packed[s]; }
static const float *stage_weights(const separable_job *j, separable_stage s) {
  return (const float *)((const char *)j->packed[s] + conv_bias_bytes(&j->plan->stage[s].params));
}

/* A 1x1 stage over `pixels` neighbouring pixels. */
static void product(const separable_job *j, separable_stage s, int64_t pixels, const float *x, int64_t x_pixel,
                    const float *residual, float *y, int64_t y_pixel) {
  const conv_f32_plan *plan = &j->plan->stage[s];
  const int64_t zero = 0, k = plan->params.channels_in, r_pixel = plan->params.residual_pixel_stride;
  const gemm_f32_args args = {.m = pixels,
                              .a = x,
                              .a_stride = x_pixel,
                              .packed_b = stage_weights(j, s),
                              .bias = stage_bias(j, s),
                              .residual = residual,
                              .residual_stride = r_pixel,
                              .c = y,
                              .c_stride = y_pixel};
  const thin_f32_variant *thin = thin_f32_find(plan->gemm, plan->params.channels_out, k);
  if (thin) {
    thin_f32_run(thin, plan->gemm, &plan->params.epilogue, &args, plan->params.channels_out, k, NULL);
    return;
  }
  gemm_rows split = gemm_rows_split(pixels, plan->gemm->mr);
  gemm_f32_tile t = {.a_stride = x_pixel,
                     .taps = &zero,
                     .n_taps = 1,
                     .k_tap = k,
                     .b = stage_weights(j, s),
                     .next = (const char *)stage_weights(j, s),
                     .panel_stride = k * plan->gemm->nr,
                     .bias = stage_bias(j, s),
                     .residual_stride = r_pixel,
                     .c_stride = y_pixel};
  for (int64_t i = 0; i < split.n; i++) {
    int64_t begin = gemm_rows_begin(&split, i);
    t.rows = gemm_rows_size(&split, i);
    t.a0 = x + begin * x_pixel;
    t.a1 = t.a0 + (t.rows + 1) / 2 * x_pixel;
    t.c = y + begin * y_pixel;
    t.residual = residual ? residual + begin * r_pixel : NULL;
    gemm_f32_columns(plan->gemm, &t, &plan->params.epilogue, 0, plan->params.channels_out);
  }
}

/* Where input row iy of the depthwise stage begins. */
static const float *middle_row(const separable_job *j, const float *ring, const float *image, int64_t iy) {
  return j->plan->expand ? ring + iy % j->plan->ring * j->plan->ring_row : image + iy * j->g.x_row[1];
}

/* The depthwise stage of output rows [oy0, oy1): to `to`, dense rows. */
static void depthwise_band(const separable_job *j, const float *ring, const float *image, int64_t oy0, int64_t oy1,
                           const float *residual, float *to) {
  const conv_geometry *g = &j->g;
  const float *rows[SEPARABLE_KERNEL_MOST + 2];
  int64_t y0, y1, again0, again1;
  for (int64_t oy = oy0, lines; oy < oy1; oy += lines, to += lines * j->line.y_line) {
    int64_t iy = oy * g->stride[1] - g->pad[1];
    conv_valid_taps(iy, g->kernel[1], g->dilation[1], g->in[1], &y0, &y1);
    conv_valid_taps(iy + g->stride[1], g->kernel[1], g->dilation[1], g->in[1], &again0, &again1);
    bool whole = y1 - y0 == g->kernel[1] && again1 - again0 == g->kernel[1];
    lines = whole && j->line.lines > 1 && oy + 1 < oy1 ? 2 : 1;
    for (int64_t ky = y0; ky < y1 + (lines - 1) * g->stride[1]; ky++)
      rows[ky - y0] = middle_row(j, ring, image, iy + ky * g->dilation[1]);
    depthwise_f32_line_run(&j->line, rows, y0, (int)(y1 - y0), (int)lines, g->cg * g->groups,
                           stage_weights(j, SEPARABLE_DEPTHWISE), stage_bias(j, SEPARABLE_DEPTHWISE),
                           residual ? residual + (oy - oy0) * j->line.residual_line : NULL, to);
  }
}

static void separable_body(void *arg, int64_t begin, int64_t end, int worker) {
  const separable_job *j = arg;
  const separable_f32_plan *plan = j->plan;
  const conv_geometry *g = &j->g;
  const conv_f32_params *e = &plan->stage[SEPARABLE_EXPAND].params, *p = &plan->stage[SEPARABLE_PROJECT].params,
                        *d = &plan->stage[SEPARABLE_DEPTHWISE].params;
  float *ring = (float *)((char *)j->scratch + (size_t)worker * plan->thread_scratch_bytes);
  float *band =
      (float *)((char *)ring + mem_align((size_t)(plan->expand ? plan->ring * plan->ring_row : 0) * sizeof *ring, 64));
  const conv_f32_params *first = plan->expand ? e : d, *last = plan->project ? p : d;
  int64_t x_image = g->in[1] * g->in[2] * first->x_pixel_stride, pixels = g->out[1] * g->out[2];
  for (int64_t i = 0; plan->expand && i < plan->ring; i++) { /* the columns that are not there */
    float *row = ring + i * plan->ring_row;
    int64_t inside = (plan->ring_pad + g->in[2]) * plan->middle;
    memset(row, 0, (size_t)(plan->ring_pad * plan->middle) * sizeof *row);
    memset(row + inside, 0, (size_t)(plan->ring_row - inside) * sizeof *row);
  }
  int64_t made = 0; /* rows of the ring that stand for this image, up to here */
  for (int64_t i = begin; i < end; i++) {
    int64_t image = i / plan->bands, oy0 = i % plan->bands * plan->band, oy1 = min_i64(oy0 + plan->band, g->out[1]);
    int64_t from = max_i64(0, oy0 * g->stride[1] - g->pad[1]);
    int64_t to = min_i64(g->in[1], (oy1 - 1) * g->stride[1] - g->pad[1] + (g->kernel[1] - 1) * g->dilation[1] + 1);
    const float *x = j->x + image * x_image;
    if (i == begin || oy0 == 0) made = 0;
    for (int64_t iy = max_i64(made, from); plan->expand && iy < to; iy++) {
      float *row = ring + iy % plan->ring * plan->ring_row + plan->ring_pad * plan->middle;
      product(j, SEPARABLE_EXPAND, g->in[2], x + iy * g->in[2] * e->x_pixel_stride, e->x_pixel_stride, NULL, row,
              plan->middle);
    }
    made = max_i64(made, to);
    int64_t at = image * pixels + oy0 * g->out[2];
    float *y = j->y + at * last->y_pixel_stride;
    const float *residual = j->residual ? j->residual + at * last->residual_pixel_stride : NULL;
    depthwise_band(j, ring, x, oy0, oy1, plan->project ? NULL : residual, plan->project ? band : y);
    if (plan->project)
      product(j, SEPARABLE_PROJECT, (oy1 - oy0) * g->out[2], band, plan->middle, residual, y, p->y_pixel_stride);
  }
}

void separable_f32_run(const separable_f32_plan *plan, const float *x, const void *const packed[SEPARABLE_STAGES],
                       float *y, const float *residual, void *scratch, pool *p) {
  const conv_f32_plan *d = &plan->stage[SEPARABLE_DEPTHWISE];
  int64_t threads = pool_threads(p);
  assert(threads <= plan->threads);
  separable_job job = {.plan = plan, .x = x, .residual = residual, .y = y, .packed = packed, .scratch = scratch};
  job.g = conv_geometry_of(&d->params, d->gemm);
  job.line = depthwise_f32_line_of(d);
  if (plan->expand) { /* columns are counted from the zeros on */
    job.line.in = plan->ring_row / plan->middle;
    job.line.pad = 0;
    job.line.x_pixel = plan->middle;
  }
  if (plan->project) {
    job.line.y_pixel = plan->middle;
    job.line.y_line = job.g.out[2] * plan->middle;
  }
  int64_t jobs = job.g.batch * plan->bands, rows = job.g.batch * job.g.out[1];
  int64_t chunks = threads * max_i64(1, rows / threads / SEPARABLE_CHUNK_ROWS);
  pool_run(p, jobs, ceil_div(jobs, chunks), separable_body, &job);
}
