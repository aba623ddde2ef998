/* kernels/winograd: the loops around the transforms and the products.
 *
 * Tiles are worked on in blocks so small that their transformed input stays in L2, from where the products read it once
 * for each panel of columns:
 *
 *   for each block of tiles:  V [n * n points][tile][channel]          input transform
 *     for each panel:         M [n * n points][tile][nr] = V * U       n * n products, k = channels
 *                             y                                        output transform, bias, residual, activation
 *
 * Packed weights U: [panel][point][channel][nr]. Scratch of a thread: [zero pixel][V][M]. */
#include "kernels/winograd/winograd.h"
#include "base/mem.h"
#include "kernels/conv/conv_impl.h"

#include <string.h>

enum { WINO_V_BYTES = 768 << 10, WINO_PAD = 16 };
enum { WINO_AHEAD = 16 << 10 }; /* floats of U that the products fetch ahead: at least a point or two */

#define VARIANT(variant) extern const winograd_f32_variant variant;
#include "kernels/winograd/variants.def"
#undef VARIANT

const winograd_f32_variant *const *winograd_f32_variants(size_t *ret_count) {
#define VARIANT(variant) &variant,
  static const winograd_f32_variant *const rows[] = {
#include "kernels/winograd/variants.def"
  };
#undef VARIANT
  *ret_count = sizeof rows / sizeof *rows;
  return rows;
}

bool conv_winograd_fits(const conv_f32_params *p) {
  if (p->rank != 2 || p->groups != 1 || p->y_step[1]) return false;
  for (int i = 0; i < 2; i++) {
    if (p->kernel[i] != 3 || p->stride[i] != 1 || p->dilation[i] != 1) return false;
  }
  return true;
}

typedef struct wino_shape {
  int m, n, points;
  int64_t tiles_y, tiles_x, tiles;
  int64_t block;   /* tiles of a block */
  int64_t v_row;   /* floats between tiles of V */
  int64_t v_point; /* floats between points of V */
  int64_t group;   /* panels that one call of the product covers */
  int64_t m_point; /* floats between points of M */
  int64_t panels, zero;
} wino_shape;

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

static wino_shape wino_shape_of(const conv_f32_plan *plan) {
  const conv_f32_params *p = &plan->params;
  const gemm_f32_variant *v = plan->gemm;
  wino_shape s = {.m = p->algo == CONV_WINOGRAD4 ? 4 : 2};
  s.n = s.m + 2;
  s.points = s.n * s.n;
  s.tiles_y = ceil_div(p->out[0], s.m);
  s.tiles_x = ceil_div(p->out[1], s.m);
  s.tiles = p->batch * s.tiles_y * s.tiles_x;
  s.panels = ceil_div(p->channels_out, v->nr);
  s.v_row = p->channels_in + (p->channels_in % 256 == 0 ? WINO_PAD : 0);
  int64_t most = WINO_V_BYTES / (int64_t)sizeof(float) / s.points / s.v_row, fair = ceil_div(s.tiles, 3 * p->threads);
  if (most < v->mr) most = v->mr;
  if (p->threads > 1 && most > fair) most = fair < v->mr ? v->mr : fair;
  s.block = ceil_div(s.tiles, ceil_div(s.tiles, most));
  s.v_point = s.block * s.v_row;
  int rows = gemm_rows_split(s.block, v->mr).rows;
  s.group = rows <= v->rows_p4 ? 4 : rows <= v->rows_p2 ? 2 : 1;
  s.m_point = s.block * s.group * v->nr + WINO_PAD;
  s.zero = (int64_t)mem_align((size_t)p->channels_in, 16);
  return s;
}

static bool wino_plan(conv_f32_plan *plan) {
  size_t n, i = 0, v, m;
  const winograd_f32_variant *const *rows = winograd_f32_variants(&n);
  while (i + 1 < n && (rows[i]->isa & ~plan->isa_mask)) i++;
  plan->winograd = rows[i];
  wino_shape s = wino_shape_of(plan);
  size_t points = (size_t)s.points * sizeof(float);
  if (!mem_mul(points * (size_t)plan->gemm->nr, (size_t)plan->params.channels_in, &plan->packed_bytes) ||
      !mem_mul(plan->packed_bytes, (size_t)s.panels, &plan->packed_bytes))
    return false;
  if (!mem_mul(points, (size_t)s.v_point, &v) || !mem_mul(points, (size_t)s.m_point, &m)) return false;
  return mem_add(v, m, &v) && mem_add(v, (size_t)s.zero * sizeof(float), &plan->thread_scratch_bytes);
}

typedef struct wino_pack_job {
  const conv_f32_plan *plan;
  const unaligned_f32 *weights;
  float *packed;
  wino_shape s;
} wino_pack_job;

/* Channels of a panel are transposed a few at a time, so that the transform runs over its columns. */
enum { WINO_PACK_FLOATS = 4096 };
static void wino_pack_body(void *arg, int64_t begin, int64_t end, int worker) {
  const wino_pack_job *j = arg;
  const gemm_f32_variant *v = j->plan->gemm;
  const int64_t nr = v->nr, channels = j->plan->params.channels_in, n = j->plan->params.channels_out;
  const int64_t most = WINO_PACK_FLOATS / (9 * nr);
  float g[WINO_PACK_FLOATS];
  for (int64_t p = begin; p < end; p++) {
    const unaligned_f32 *from = j->weights + p * nr * channels * 9;
    float *to = j->packed + p * j->s.points * channels * nr;
    for (int64_t c0 = 0; c0 < channels; c0 += most) {
      int64_t count = min_i64(most, channels - c0);
      v->pack_transposed(min_i64(nr, n - p * nr), count * 9, from + c0 * 9, channels * 9, 1, g);
      for (int64_t c = 0; c < count; c++)
        j->plan->winograd->weights[j->s.m == 4](g + c * 9 * nr, nr, to + (c0 + c) * nr, channels * nr);
    }
  }
}

static void wino_pack(const conv_f32_plan *plan, const unaligned_f32 *weights, float *packed, pool *p) {
  wino_pack_job job = {plan, weights, packed, wino_shape_of(plan)};
  pool_run(p, job.s.panels, 1, wino_pack_body, &job);
}

typedef struct wino_job {
  const conv_run_args *args;
  wino_shape s;
  int64_t blocks, columns; /* columns: panels of a job */
} wino_job;

typedef struct wino_tile {
  int64_t image, y, x; /* its first output pixel */
} wino_tile;

static wino_tile wino_tile_at(const wino_shape *s, int64_t i) {
  int64_t in_image = i % (s->tiles_y * s->tiles_x);
  return (wino_tile){i / (s->tiles_y * s->tiles_x), in_image / s->tiles_x * s->m, in_image % s->tiles_x * s->m};
}

/* V of one tile. Pixels outside the image point to the zero pixel. */
static void wino_load(const wino_job *j, int64_t i, const float *zero, float *v) {
  const conv_f32_params *p = &j->args->plan->params;
  wino_tile t = wino_tile_at(&j->s, i);
  const float *d[36], *image = j->args->x + t.image * p->in[0] * p->in[1] * p->x_pixel_stride;
  int n = j->s.n;
  for (int r = 0; r < n; r++) {
    int64_t y = t.y - p->pad_begin[0] + r;
    for (int c = 0; c < n; c++) {
      int64_t x = t.x - p->pad_begin[1] + c;
      bool inside = y >= 0 && y < p->in[0] && x >= 0 && x < p->in[1];
      d[r * n + c] = inside ? image + (y * p->in[1] + x) * p->x_pixel_stride : zero;
    }
  }
  j->args->plan->winograd->input[j->s.m == 4](d, p->channels_in, v, j->s.v_point);
}

/* All points of the panels [p0, p0 + group). */
static void wino_products(const wino_job *j, const float *v, int64_t tiles, int64_t p0, int64_t cols, float *m) {
  const conv_f32_plan *plan = j->args->plan;
  const wino_shape *s = &j->s;
  int64_t nr = plan->gemm->nr, channels = plan->params.channels_in, zero = 0, width = s->group * nr;
  gemm_rows rows = gemm_rows_split(tiles, plan->gemm->mr);
  gemm_f32_tile t = {.a_stride = s->v_row,
                     .taps = &zero,
                     .n_taps = 1,
                     .k_tap = channels,
                     .b_stride = nr,
                     .panel_stride = s->points * channels * nr,
                     .c_stride = width,
                     .lo = -INFINITY,
                     .hi = INFINITY};
  for (int64_t i = 0; i < s->points; i++) {
    for (int64_t r = 0; r < rows.n; r++) {
      int64_t row = gemm_rows_begin(&rows, r);
      t.rows = gemm_rows_size(&rows, r);
      t.a0 = v + i * s->v_point + row * s->v_row;
      t.a1 = t.a0 + (t.rows + 1) / 2 * s->v_row;
      int64_t together = t.rows <= plan->gemm->rows_p4 && cols == 4 * nr ? 4 : t.rows <= plan->gemm->rows_p2 ? 2 : 1;
      for (int64_t c = 0; c < cols; c += t.cols) {
        t.cols = c + together * nr <= cols ? together * nr : min_i64(nr, cols - c);
        t.b = j->args->packed + ((p0 + c / nr) * s->points + i) * channels * nr;
        t.c = m + i * s->m_point + row * width + c;
        gemm_f32_fetch_next(&t, t.b + WINO_AHEAD, channels * nr * (int64_t)sizeof(float), r, rows.n, rows.n * channels);
        plan->gemm->tile(&t);
      }
    }
  }
}

static void wino_store(const wino_job *j, int64_t i, int64_t n0, int64_t cols, const float *m) {
  const conv_run_args *a = j->args;
  const conv_f32_params *p = &a->plan->params;
  wino_tile t = wino_tile_at(&j->s, i);
  const kernel_epilogue *e = &p->epilogue;
  int64_t pixel = (t.image * p->out[0] + t.y) * p->out[1] + t.x;
  const float *residual = a->residual ? a->residual + pixel * p->residual_pixel_stride + n0 : NULL;
  bool after = e->residual_after && residual, late = e->act > KERNEL_ACT_CLAMP || after;
  winograd_f32_output o = {
      .m = m,
      .m_point = j->s.m_point,
      .channels = cols,
      .rows = (int)min_i64(j->s.m, p->out[0] - t.y),
      .cols = (int)min_i64(j->s.m, p->out[1] - t.x),
      .bias = a->bias + n0,
      .residual = after ? NULL : residual,
      .r_row = p->out[1] * p->residual_pixel_stride,
      .r_pixel = p->residual_pixel_stride,
      .y = a->y + pixel * p->y_pixel_stride + n0,
      .y_row = p->out[1] * p->y_pixel_stride,
      .y_pixel = p->y_pixel_stride,
      .lo = late ? -INFINITY : kernel_epilogue_lo(e),
      .hi = late ? INFINITY : kernel_epilogue_hi(e),
  };
  a->plan->winograd->output[j->s.m == 4](&o);
  for (int r = 0; late && r < o.rows; r++) {
    a->plan->gemm->act(e, o.cols, cols, o.y + r * o.y_row, o.y_pixel, after ? residual + r * o.r_row : NULL, o.r_pixel);
  }
}

/* A job: (block of tiles, range of panels), the block fastest. */
static void wino_body(void *arg, int64_t begin, int64_t end, int worker) {
  const wino_job *j = arg;
  const wino_shape *s = &j->s;
  const conv_f32_plan *plan = j->args->plan;
  int64_t nr = plan->gemm->nr, n = plan->params.channels_out;
  float *zero = (float *)(j->args->scratch + (size_t)worker * plan->thread_scratch_bytes), *v = zero + s->zero;
  float *m = v + s->points * s->v_point;
  memset(zero, 0, (size_t)s->zero * sizeof *zero);
  for (int64_t i = begin; i < end; i++) {
    int64_t t0 = i % j->blocks * s->block, t1 = min_i64(t0 + s->block, s->tiles);
    int64_t p0 = i / j->blocks * j->columns, p1 = min_i64(p0 + j->columns, s->panels);
    for (int64_t t = t0; t < t1; t++) wino_load(j, t, zero, v + (t - t0) * s->v_row);
    for (int64_t p = p0; p < p1; p += s->group) {
      int64_t cols = min_i64(min_i64(s->group, p1 - p) * nr, n - p * nr);
      wino_products(j, v, t1 - t0, p, cols, m);
      for (int64_t t = t0; t < t1; t++) wino_store(j, t, p * nr, cols, m + (t - t0) * s->group * nr);
    }
  }
}

static void wino_run(const conv_run_args *a) {
  wino_job job = {.args = a, .s = wino_shape_of(a->plan)};
  int64_t threads = pool_threads(a->pool);
  job.blocks = ceil_div(job.s.tiles, job.s.block);
  int64_t parts =
      threads > 1 && job.blocks < 2 * threads ? min_i64(ceil_div(2 * threads, job.blocks), job.s.panels) : 1;
  job.columns = ceil_div(job.s.panels, parts);
  pool_run(a->pool, job.blocks * ceil_div(job.s.panels, job.columns), 1, wino_body, &job);
}

const conv_algorithm conv_winograd = {wino_plan, wino_pack, wino_run};
