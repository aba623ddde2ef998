/* kernels/conv: what stands around the algorithms: checks, the choice, the packed block [bias][weights], dispatch. */
#include "base/mem.h"
#include "kernels/conv/conv_impl.h"

#include <assert.h>
#include <string.h>

static const conv_algorithm *algorithm_of(conv_algo algo) {
  switch (algo) {
    case CONV_POINTWISE: return &conv_pointwise;
    case CONV_STRIP: return &conv_strip;
    case CONV_GATHER: return &conv_gather;
    case CONV_WINOGRAD2:
    case CONV_WINOGRAD4: return &conv_winograd;
    case CONV_DEPTHWISE: return &conv_depthwise;
    case CONV_REF:
    case CONV_AUTO:
    case CONV_ALGO_COUNT: break;
  }
  return &conv_reference;
}

const char *conv_algo_name(conv_algo algo) {
  static const char *const names[CONV_ALGO_COUNT] = {"auto",   "reference", "pointwise", "strip",
                                                     "gather", "winograd4", "winograd2", "depthwise"};
  return (unsigned)algo < CONV_ALGO_COUNT ? names[algo] : "unknown";
}

/* The largest divisor of n that is at most `most`, at least 1. */
static int64_t largest_divisor(int64_t n, int64_t most) {
  for (int64_t d = most < n ? most : n; d > 1; d--) {
    if (n % d == 0) return d;
  }
  return 1;
}

conv_geometry conv_geometry_of(const conv_f32_params *p, const gemm_f32_variant *v) {
  conv_geometry g = {.batch = p->batch,
                     .taps = 1,
                     .xps = p->x_pixel_stride,
                     .yps = p->y_pixel_stride,
                     .rps = p->residual_pixel_stride,
                     .y_dense = p->y_step[p->rank - 1] == 0};
  if (!g.y_dense) g.yps = p->y_step[p->rank - 1];
  for (int i = 0; i < 3; i++) {
    int from = i - (3 - p->rank);
    bool given = from >= 0;
    g.in[i] = given ? p->in[from] : 1;
    g.out[i] = given ? p->out[from] : 1;
    g.kernel[i] = given ? p->kernel[from] : 1;
    g.stride[i] = given ? p->stride[from] : 1;
    g.dilation[i] = given ? p->dilation[from] : 1;
    g.pad[i] = given ? p->pad_begin[from] : 0;
    g.taps *= g.kernel[i];
  }
  int64_t ng = p->channels_out / p->groups;
  g.merged = largest_divisor(p->groups, v->nr / 2 / ng);
  g.groups = p->groups / g.merged;
  g.cg = p->channels_in / g.groups;
  g.ng = p->channels_out / g.groups;
  g.k = g.taps * g.cg;
  g.panels = (g.ng + v->nr - 1) / v->nr;
  g.x_row[2] = g.xps;
  g.x_row[1] = g.in[2] * g.xps;
  g.x_row[0] = g.in[1] * g.x_row[1];
  g.y_row[2] = g.yps;
  g.y_row[1] = g.out[2] * g.yps;
  g.y_row[0] = g.out[1] * g.y_row[1];
  g.x_image = g.in[0] * g.x_row[0];
  for (int i = 3 - p->rank; i < 2 && !g.y_dense; i++) g.y_row[i] = p->y_step[i - (3 - p->rank)];
  g.y_image = g.y_dense ? g.out[0] * g.y_row[0] : p->y_image_step;
  return g;
}

bool conv_panels_bytes(const conv_f32_plan *plan, size_t *ret_bytes) {
  conv_geometry g = conv_geometry_of(&plan->params, plan->gemm);
  size_t bytes;
  return mem_mul((size_t)g.k, (size_t)plan->gemm->nr * sizeof(float), &bytes) &&
         mem_mul(bytes, (size_t)g.panels, &bytes) && mem_mul(bytes, (size_t)g.groups, ret_bytes) &&
         *ret_bytes <= PTRDIFF_MAX / 2;
}

typedef struct pack_job {
  conv_geometry g;
  const conv_weights *weights;
  float *packed;
  const gemm_f32_variant *v;
} pack_job;

/* The rows of one tap of a panel, columns [n0, n0 + cols). A merged group is zero off its diagonal blocks. */
static void pack_tap(const pack_job *j, int64_t group, int64_t n0, int64_t cols, int64_t tap, float *to) {
  const conv_geometry *g = &j->g;
  const conv_weights *w = j->weights;
  int64_t cg = g->cg / g->merged, ng = g->ng / g->merged; /* before merging */
  const unaligned_f32 *at = w->at + tap % g->kernel[2] * w->tap[2] + tap / g->kernel[2] % g->kernel[1] * w->tap[1] +
                            tap / g->kernel[2] / g->kernel[1] * w->tap[0];
  if (g->merged == 1) {
    gemm_f32_pack_panels(j->v, cols, cg, at + group * w->group + n0 * w->out, w->in, w->out, 1, 0, 1, to);
    return;
  }
  memset(to, 0, (size_t)(g->cg * j->v->nr) * sizeof *to);
  for (int64_t n = 0; n < cols; n++) {
    int64_t one = (n0 + n) / ng; /* which of the merged groups */
    const unaligned_f32 *from = at + (group * g->merged + one) * w->group + (n0 + n) % ng * w->out;
    for (int64_t c = 0; c < cg; c++) to[(one * cg + c) * j->v->nr + n] = from[c * w->in];
  }
}

/* The same for all taps where they stand one after another: the panel is transposed a few channels at a time, and its
 * rows, which come out by (channel, tap), are put in order. */
enum { PACK_FLOATS = 4096 };
static void pack_dense_taps(const pack_job *j, int64_t group, int64_t n0, int64_t cols, float *to) {
  const conv_geometry *g = &j->g;
  const conv_weights *w = j->weights;
  const int64_t nr = j->v->nr, most = PACK_FLOATS / (g->taps * nr);
  float rows[PACK_FLOATS];
  for (int64_t c0 = 0; c0 < g->cg; c0 += most) {
    int64_t n = g->cg - c0 < most ? g->cg - c0 : most;
    j->v->pack_transposed(cols, n * g->taps, w->at + group * w->group + n0 * w->out + c0 * g->taps, w->out, 1, rows);
    for (int64_t t = 0; t < g->taps; t++) {
      for (int64_t c = 0; c < n; c++)
        memcpy(to + (t * g->cg + c0 + c) * nr, rows + (c * g->taps + t) * nr, (size_t)nr * sizeof *to);
    }
  }
}

static bool has_dense_taps(const conv_geometry *g, const conv_weights *w, int nr) {
  return g->merged == 1 && g->taps > 1 && g->taps * nr <= PACK_FLOATS && w->in == g->taps && w->tap[2] == 1 &&
         w->tap[1] == g->kernel[2] && w->tap[0] == g->kernel[1] * g->kernel[2];
}

static void pack_body(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *j = arg;
  const conv_geometry *g = &j->g;
  bool dense = has_dense_taps(g, j->weights, j->v->nr);
  for (int64_t i = begin; i < end; i++) {
    int64_t n0 = i % g->panels * j->v->nr, cols = g->ng - n0 < j->v->nr ? g->ng - n0 : j->v->nr;
    if (dense) {
      pack_dense_taps(j, i / g->panels, n0, cols, j->packed + i * g->k * j->v->nr);
      continue;
    }
    for (int64_t t = 0; t < g->taps; t++) {
      pack_tap(j, i / g->panels, n0, cols, t, j->packed + (i * g->k + t * g->cg) * j->v->nr);
    }
  }
}

void conv_panels_pack_from(const conv_f32_plan *plan, const conv_weights *weights, float *packed, pool *p) {
  pack_job job = {conv_geometry_of(&plan->params, plan->gemm), weights, packed, plan->gemm};
  pool_run(p, job.g.groups * job.g.panels, 1 + (1 << 16) / (job.g.k * job.v->nr), pack_body, &job);
}

void conv_panels_pack(const conv_f32_plan *plan, const unaligned_f32 *weights, float *packed, pool *p) {
  conv_geometry g = conv_geometry_of(&plan->params, plan->gemm);
  int64_t cg = g.cg / g.merged, ng = g.ng / g.merged;
  conv_weights w = {weights, ng * cg * g.taps, cg * g.taps, g.taps, {g.kernel[1] * g.kernel[2], g.kernel[2], 1}};
  conv_panels_pack_from(plan, &w, packed, p);
}

/* Sizes that later arithmetic may add and multiply without a thought. */
static bool sizes_are_sane(const conv_f32_params *p) {
  const int64_t most = INT32_MAX;
  if (p->rank < 1 || p->rank > 3 || p->batch < 0 || p->batch > most) return false;
  if (p->channels_in < 1 || p->channels_out < 1 || p->groups < 1 || p->channels_in > most || p->channels_out > most)
    return false;
  if (p->channels_in % p->groups || p->channels_out % p->groups) return false;
  if (p->x_pixel_stride < p->channels_in || p->y_pixel_stride < p->channels_out ||
      p->residual_pixel_stride < p->channels_out)
    return false;
  size_t x = (size_t)p->batch, y = x, r = x, w = (size_t)p->channels_out;
  for (int i = 0; i < p->rank; i++) {
    if (p->in[i] < 0 || p->out[i] < 0 || p->kernel[i] < 1 || p->stride[i] < 1 || p->dilation[i] < 1) return false;
    if (p->in[i] > most || p->out[i] > most || p->kernel[i] > most || p->stride[i] > most || p->dilation[i] > most)
      return false;
    if (p->pad_begin[i] > most || p->pad_begin[i] < -most) return false;
    if (!mem_mul(x, (size_t)p->in[i], &x) || !mem_mul(y, (size_t)p->out[i], &y) ||
        !mem_mul(w, (size_t)p->kernel[i], &w))
      return false;
  }
  r = y;
  return mem_mul(x, (size_t)p->x_pixel_stride, &x) && mem_mul(y, (size_t)p->y_pixel_stride, &y) &&
         mem_mul(r, (size_t)p->residual_pixel_stride, &r) && mem_mul(w, (size_t)p->channels_in, &w) &&
         x <= PTRDIFF_MAX / 64 && y <= PTRDIFF_MAX / 64 && r <= PTRDIFF_MAX / 64 && w <= PTRDIFF_MAX / 64;
}

bool conv_pointwise_fits(const conv_f32_params *p) {
  if (p->y_step[p->rank - 1]) return false;
  for (int i = 0; i < p->rank; i++) {
    if (p->kernel[i] != 1 || p->stride[i] != 1 || p->pad_begin[i] != 0 || p->in[i] != p->out[i]) return false;
  }
  return true;
}

static bool algo_fits(conv_algo algo, const conv_f32_params *p) {
  switch (algo) {
    case CONV_POINTWISE: return conv_pointwise_fits(p);
    case CONV_WINOGRAD4:
    case CONV_WINOGRAD2: return conv_winograd_fits(p);
    case CONV_DEPTHWISE: return conv_depthwise_fits(p);
    case CONV_REF:
    case CONV_STRIP:
    case CONV_GATHER: return true;
    case CONV_AUTO:
    case CONV_ALGO_COUNT: break;
  }
  return false;
}

size_t conv_bias_bytes(const conv_f32_params *p) { return mem_align((size_t)p->channels_out * sizeof(float), 64); }

static bool is_empty(const conv_f32_params *p) {
  bool empty = p->batch == 0;
  for (int i = 0; i < p->rank; i++) empty = empty || p->out[i] == 0;
  return empty;
}

bool conv_f32_plan_init(conv_f32_plan *ret_plan, const conv_f32_params *params, uint32_t isa_mask) {
  conv_f32_plan plan = {.params = *params, .isa_mask = isa_mask, .gemm = gemm_f32_best(isa_mask)};
  conv_f32_params *p = &plan.params;
  if (!p->x_pixel_stride) p->x_pixel_stride = p->channels_in;
  if (!p->y_pixel_stride) p->y_pixel_stride = p->channels_out;
  if (!p->residual_pixel_stride) p->residual_pixel_stride = p->channels_out;
  if (p->threads < 1) p->threads = 1;
  if (!sizes_are_sane(p)) return false;
  if (is_empty(p))
    p->algo = CONV_REF;
  else if (!algo_fits(p->algo, p))
    p->algo = conv_f32_choose(p, isa_mask);
  if (!algorithm_of(p->algo)->plan(&plan)) return false;
  plan.thread_scratch_bytes = mem_align(plan.thread_scratch_bytes, 64);
  if (!mem_mul(plan.thread_scratch_bytes, (size_t)p->threads, &plan.scratch_bytes)) return false;
  if (!mem_add(plan.packed_bytes, conv_bias_bytes(p), &plan.packed_bytes)) return false;
  *ret_plan = plan;
  return true;
}

void conv_f32_pack(const conv_f32_plan *plan, const unaligned_f32 *weights, const float *bias, void *packed, pool *p) {
  memset(packed, 0, conv_bias_bytes(&plan->params));
  if (bias) memcpy(packed, bias, (size_t)plan->params.channels_out * sizeof(float));
  algorithm_of(plan->params.algo)->pack(plan, weights, (float *)((char *)packed + conv_bias_bytes(&plan->params)), p);
}

void conv_run_planned(const conv_run_args *args) { algorithm_of(args->plan->params.algo)->run(args); }

void conv_f32_run(const conv_f32_plan *plan, const float *x, const void *packed, float *y, const float *residual,
                  void *scratch, pool *p) {
  assert(pool_threads(p) <= plan->params.threads);
  if (is_empty(&plan->params)) return;
  conv_run_args args = {
      .plan = plan, .x = x, .bias = packed, .y = y, .residual = residual, .scratch = scratch, .pool = p};
  args.packed = (const float *)((const char *)packed + conv_bias_bytes(&plan->params));
  conv_run_planned(&args);
}
