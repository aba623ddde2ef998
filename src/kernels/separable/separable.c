/* kernels/separable: bands of output rows, one after another. A stage asks the one before it for the rows that it needs
 * next; that makes those that are not there yet, and asks in its turn:
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
  SEPARABLE_L2_BYTES = 512 << 10,  /* of rows that are kept, beside the weights */
  SEPARABLE_WIN_BYTES = 384 << 10, /* between two stages: from here on it wins */
  SEPARABLE_BAND_MOST = 8,
  SEPARABLE_CHUNK_ROWS = 16, /* of a thread's chunk: it makes up to kernel - stride rows twice */
  SEPARABLE_KERNEL_MOST = 16,
  SEPARABLE_LINES = 2, /* output rows that a depthwise stage makes at once */
};

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- plan ---- */

static bool is_pointwise(const conv_f32_params *p) { return p->groups == 1 && conv_pointwise_fits(p); }

static bool stages_fit(const separable_f32_params *params) {
  if (params->n < 2 || params->n > SEPARABLE_MOST) return false;
  for (int i = 0; i < params->n; i++) {
    const conv_f32_params *s = &params->stage[i], *before = &params->stage[i > 0 ? i - 1 : 0];
    if (s->rank != 2 || s->batch < 1 || (!is_pointwise(s) && !conv_depthwise_fits(s))) return false;
    if (i > 0 && (s->batch != before->batch || s->channels_in != before->channels_out)) return false;
    for (int d = 0; d < 2; d++) {
      if (s->pad_begin[d] < 0 || s->kernel[d] > SEPARABLE_KERNEL_MOST || s->in[d] < 1 || s->out[d] < 1) return false;
      if (i > 0 && s->in[d] != before->out[d]) return false;
    }
  }
  return true;
}

/* Input rows of a depthwise stage for so many output rows. */
static int64_t input_rows(const conv_f32_params *d, int64_t rows) {
  return (rows - 1) * d->stride[0] + (d->kernel[0] - 1) * d->dilation[0] + 1;
}

/* The rows that stand between the stages, for bands of plan->band rows. False where a size overflows. */
static bool plan_rows(separable_f32_plan *plan) {
  int64_t at = 0, most = plan->band; /* rows that the stage makes at once */
  for (int i = plan->n - 1; i > 0; i--) {
    const conv_f32_params *s = &plan->stage[i].params;
    separable_f32_rows *r = &plan->rows[i - 1];
    *r = (separable_f32_rows){.ring = s->algo == CONV_DEPTHWISE, .at = at};
    int64_t after = 0;
    if (r->ring) {
      int64_t last = (s->out[1] - 1) * s->stride[1] + (s->kernel[1] - 1) * s->dilation[1] - s->pad_begin[1];
      after = max_i64(0, last - (s->in[1] - 1));
      r->pad = s->pad_begin[1];
      most = input_rows(s, SEPARABLE_LINES);
    }
    size_t row, all;
    r->rows = most;
    r->pixel = s->channels_in + (s->channels_in % 1024 == 0 ? 16 : 0); /* else a tile's rows share a set of L1 */
    if (!mem_mul((size_t)(r->pad + s->in[1] + after), (size_t)r->pixel, &row) ||
        !mem_mul(row, (size_t)most * sizeof(float), &all) || all > PTRDIFF_MAX / 64)
      return false;
    r->row = (int64_t)row;
    at += (int64_t)mem_align(all, 64) / (int64_t)sizeof(float);
    if (at > PTRDIFF_MAX / 64) return false;
  }
  plan->thread_scratch_bytes = (size_t)at * sizeof(float);
  return true;
}

/* The band whose pixels fill the tiles best, while what is kept stays in L2; of equal ones the smallest. */
static bool choose_band(separable_f32_plan *plan) {
  const conv_f32_plan *last = &plan->stage[plan->n - 1];
  const conv_f32_params *p = &last->params;
  int64_t best = 1, mr = last->gemm->mr;
  double most = 0;
  for (int64_t band = 1; band <= min_i64(SEPARABLE_BAND_MOST, p->out[0]); band++) {
    plan->band = band;
    if (!plan_rows(plan)) return false;
    int64_t pixels = band * p->out[1], bytes = (int64_t)plan->thread_scratch_bytes;
    double filled = p->algo == CONV_POINTWISE ? (double)pixels / (double)(ceil_div(pixels, mr) * mr) : 1;
    double score = filled * (bytes > 2 * SEPARABLE_L2_BYTES ? 0.6 : bytes > SEPARABLE_L2_BYTES ? 0.85 : 1);
    if (band == 1) score *= 0.95; /* a depthwise stage makes two rows at once */
    if (score > 1.02 * most) best = band, most = score;
  }
  plan->band = best;
  plan->bands = ceil_div(p->out[0], best);
  return plan_rows(plan);
}

bool separable_f32_plan_init(separable_f32_plan *ret_plan, const separable_f32_params *params, uint32_t isa_mask) {
  separable_f32_plan plan = {.n = params->n, .threads = params->threads > 0 ? params->threads : 1};
  if (!stages_fit(params)) return false;
  for (int i = 0; i < plan.n; i++) {
    conv_f32_params stage = params->stage[i];
    stage.algo = is_pointwise(&stage) ? CONV_POINTWISE : CONV_DEPTHWISE;
    stage.threads = plan.threads;
    if (!conv_f32_plan_init(&plan.stage[i], &stage, isa_mask) || plan.stage[i].params.algo != stage.algo) return false;
  }
  if (!choose_band(&plan)) return false;
  if (!mem_mul(plan.thread_scratch_bytes, (size_t)plan.threads, &plan.scratch_bytes)) return false;
  *ret_plan = plan;
  return plan.scratch_bytes <= PTRDIFF_MAX;
}

bool separable_f32_wins(int64_t bytes) { return bytes >= SEPARABLE_WIN_BYTES; }

/* ---- run ---- */

typedef struct separable_job {
  const separable_f32_plan *plan;
  const float *x, *residual;
  float *y;
  const void *const *packed;
  void *scratch;
  depthwise_f32_line line[SEPARABLE_MOST]; /* of the depthwise stages */
} separable_job;

/* A thread's place. */
typedef struct separable_work {
  const separable_job *job;
  float *scratch;
  const float *x, *residual; /* of the image */
  float *y;
  int64_t made[SEPARABLE_MOST];  /* of a ring: rows of the image stand there up to this one */
  int64_t first[SEPARABLE_MOST]; /* of a band: the row in slot 0 */
} separable_work;

/* The bias stands before the weights of a packed stage. */
static const float *stage_bias(const separable_job *j, int s) { return j->packed[s]; }
static const float *stage_weights(const separable_job *j, int s) {
  return (const float *)((const char *)j->packed[s] + conv_bias_bytes(&j->plan->stage[s].params));
}

/* A 1x1 stage over `pixels` neighbouring pixels. */
static void product(const separable_job *j, int s, int64_t pixels, const float *x, int64_t x_pixel,
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

/* Where row i of stage s's output begins; in a ring, the zeros before it. */
static float *kept_row(const separable_work *w, int s, int64_t i) {
  const separable_f32_rows *r = &w->job->plan->rows[s];
  return w->scratch + r->at + (r->ring ? i % r->rows : i - w->first[s]) * r->row;
}
static const float *input_row(const separable_work *w, int s, int64_t i) {
  const conv_f32_params *p = &w->job->plan->stage[s].params;
  return s > 0 ? kept_row(w, s - 1, i) : w->x + i * p->in[1] * p->x_pixel_stride;
}
static float *output_row(const separable_work *w, int s, int64_t i) {
  const separable_f32_plan *plan = w->job->plan;
  const conv_f32_params *p = &plan->stage[s].params;
  if (s + 1 == plan->n) return w->y + i * p->out[1] * p->y_pixel_stride;
  return kept_row(w, s, i) + plan->rows[s].pad * plan->rows[s].pixel;
}
static const float *residual_row(const separable_work *w, int s, int64_t i) {
  const conv_f32_params *p = &w->job->plan->stage[s].params;
  return w->residual && s + 1 == w->job->plan->n ? w->residual + i * p->out[1] * p->residual_pixel_stride : NULL;
}

static void make_rows(separable_work *w, int s, int64_t from, int64_t to);

static void pointwise_rows(separable_work *w, int s, int64_t from, int64_t to) {
  const separable_f32_plan *plan = w->job->plan;
  const conv_f32_params *p = &plan->stage[s].params;
  const bool last = s + 1 == plan->n;
  if (s > 0) make_rows(w, s - 1, from, to);
  int64_t x_pixel = s > 0 ? plan->rows[s - 1].pixel : p->x_pixel_stride;
  int64_t y_pixel = last ? p->y_pixel_stride : plan->rows[s].pixel;
  int64_t together = last || !plan->rows[s].ring ? to - from : 1; /* rows without zeros between them */
  for (int64_t i = from; i < to; i += together) {
    product(w->job, s, together * p->out[1], input_row(w, s, i), x_pixel, residual_row(w, s, i), output_row(w, s, i),
            y_pixel);
  }
}

static void depthwise_rows(separable_work *w, int s, int64_t from, int64_t to) {
  const separable_job *j = w->job;
  const conv_f32_params *p = &j->plan->stage[s].params;
  depthwise_f32_line line = j->line[s];
  const float *rows[SEPARABLE_KERNEL_MOST + 2];
  int64_t y0, y1, again0, again1;
  for (int64_t oy = from, lines; oy < to; oy += lines) {
    int64_t iy = oy * p->stride[0] - p->pad_begin[0];
    conv_valid_taps(iy, p->kernel[0], p->dilation[0], p->in[0], &y0, &y1);
    conv_valid_taps(iy + p->stride[0], p->kernel[0], p->dilation[0], p->in[0], &again0, &again1);
    bool whole = y1 - y0 == p->kernel[0] && again1 - again0 == p->kernel[0];
    lines = whole && line.lines > 1 && oy + 1 < to ? 2 : 1;
    if (s > 0 && y1 > y0)
      make_rows(w, s - 1, iy + y0 * p->dilation[0], iy + (lines - 1) * p->stride[0] + (y1 - 1) * p->dilation[0] + 1);
    for (int64_t ky = y0; ky < y1 + (lines - 1) * p->stride[0]; ky++)
      rows[ky - y0] = input_row(w, s, iy + ky * p->dilation[0]);
    float *y = output_row(w, s, oy);
    if (lines > 1) line.y_line = output_row(w, s, oy + 1) - y;
    depthwise_f32_line_run(&line, rows, y0, (int)(y1 - y0), (int)lines, p->channels_in, stage_weights(j, s),
                           stage_bias(j, s), residual_row(w, s, oy), y);
  }
}

/* Makes rows [from, to) of stage s's output, or of a ring those that are not there: no more than it keeps. */
static void make_rows(separable_work *w, int s, int64_t from, int64_t to) {
  const separable_f32_plan *plan = w->job->plan;
  if (s + 1 < plan->n && plan->rows[s].ring) {
    from = max_i64(from, w->made[s]);
    w->made[s] = max_i64(to, w->made[s]);
  } else {
    w->first[s] = from;
  }
  if (from >= to) return;
  if (plan->stage[s].params.algo == CONV_POINTWISE)
    pointwise_rows(w, s, from, to);
  else
    depthwise_rows(w, s, from, to);
}

/* The columns that are not there. */
static void clear_edges(const separable_work *w) {
  const separable_f32_plan *plan = w->job->plan;
  for (int s = 0; s + 1 < plan->n; s++) {
    const separable_f32_rows *r = &plan->rows[s];
    int64_t inside = (r->pad + plan->stage[s].params.out[1]) * r->pixel;
    for (int64_t i = 0; r->ring && i < r->rows; i++) {
      float *row = w->scratch + r->at + i * r->row;
      memset(row, 0, (size_t)(r->pad * r->pixel) * sizeof *row);
      memset(row + inside, 0, (size_t)(r->row - inside) * sizeof *row);
    }
  }
}

static void separable_body(void *arg, int64_t begin, int64_t end, int worker) {
  const separable_job *j = arg;
  const separable_f32_plan *plan = j->plan;
  const conv_f32_params *first = &plan->stage[0].params, *last = &plan->stage[plan->n - 1].params;
  separable_work w = {.job = j, .scratch = (float *)((char *)j->scratch + (size_t)worker * plan->thread_scratch_bytes)};
  clear_edges(&w);
  for (int64_t i = begin; i < end; i++) {
    int64_t image = i / plan->bands, from = i % plan->bands * plan->band;
    if (i == begin || from == 0) {
      int64_t pixels = last->out[0] * last->out[1];
      w.x = j->x + image * first->in[0] * first->in[1] * first->x_pixel_stride;
      w.y = j->y + image * pixels * last->y_pixel_stride;
      w.residual = j->residual ? j->residual + image * pixels * last->residual_pixel_stride : NULL;
      memset(w.made, 0, sizeof w.made);
    }
    make_rows(&w, plan->n - 1, from, min_i64(from + plan->band, last->out[0]));
  }
}

void separable_f32_run(const separable_f32_plan *plan, const float *x, const void *const *packed, float *y,
                       const float *residual, void *scratch, pool *p) {
  int64_t threads = pool_threads(p);
  assert(threads <= plan->threads);
  separable_job job = {.plan = plan, .x = x, .residual = residual, .y = y, .packed = packed, .scratch = scratch};
  for (int s = 0; s < plan->n; s++) {
    if (plan->stage[s].params.algo != CONV_DEPTHWISE) continue;
    depthwise_f32_line *line = &job.line[s];
    *line = depthwise_f32_line_of(&plan->stage[s]);
    if (s > 0) { /* columns are counted from the zeros on */
      line->in = plan->rows[s - 1].row / plan->rows[s - 1].pixel;
      line->pad = 0;
      line->x_pixel = plan->rows[s - 1].pixel;
    }
    if (s + 1 < plan->n) line->y_pixel = plan->rows[s].pixel;
  }
  const conv_f32_params *last = &plan->stage[plan->n - 1].params;
  int64_t jobs = last->batch * plan->bands, rows = last->batch * last->out[0];
  int64_t chunks = threads * max_i64(1, rows / threads / SEPARABLE_CHUNK_ROWS / plan->n);
  pool_run(p, jobs, ceil_div(jobs, chunks), separable_body, &job);
}
