/* backend/cpu/conv_train: convolutions whose weights change from run to run, and their gradients, in float32, channels
 * first: by matrix products over columns (kernels/columns), or directly where a group has hardly any channels.
 *
 *   correlate   small [m, o] = W [m, k] * columns [k, o]          k: (channel of the large side, tap)
 *   spread      columns [k, o] = W^T [k, m] * small [m, o]        then the columns are added up
 *   match       dW [m, k] += small [m, o] * columns^T [o, k]
 *
 * Positions o are taken in blocks of whole rows, so that the columns stay in the cache; the last block may be smaller
 * and has a plan of its own. A kernel of one tap at stride 1 without pads needs no columns: the image is them. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/columns/columns.h"
#include "kernels/gemm/gemm.h"
#include "ops/gradient_conv.h"

#include <string.h>

enum { BLOCK_FLOATS = 1 << 18, DIRECT_PRODUCTS = 8, DIRECT_CHANNELS = 3 };

typedef struct conv_train {
  conv_role role;
  columns_shape columns;               /* of one group */
  int64_t batch, groups, small, large; /* channels of a group */
  int64_t small_span, large_span, k;
  int64_t rows, block_rows, tail_rows;
  gemm_f32_plan plan, tail;
  size_t columns_bytes, product_bytes;
  bool pointwise, direct;
  int at_small, at_large, at_weights; /* inputs; -1: the output */
} conv_train;

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static float *side(op_ctx *c, int at) { return at < 0 ? op_out(c, 0)->data : op_in(c, at)->data; }

/* ---- one group of one image ---- */

typedef struct group {
  float *small, *large, *weights, *columns, *product;
  void *scratch;
  pool *pool;
  bool first; /* match: nothing is summed up yet */
} group;

static void add_product(float *to, const float *from, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

static void run_block(const conv_train *s, const group *g, int64_t row, int64_t n_rows, bool first) {
  const gemm_f32_plan *plan = n_rows == s->block_rows ? &s->plan : &s->tail;
  int64_t width = s->columns.places[2], at = row * width, stride = s->pointwise ? s->large_span : n_rows * width;
  float *columns = s->pointwise ? g->large + at : g->columns;
  gemm_f32_batch_args a = {.n_batch = 1, .scale = 1};
  if (s->role == CONV_SPREAD) {
    a = (gemm_f32_batch_args){1, s->k, g->weights, s->k,   g->small + at, s->small_span, 1,
                              1, NULL, columns,    stride, NULL,          NULL,          NULL,
                              0, 0,    0};
    gemm_f32_run_unpacked(plan, &a, g->scratch, g->pool);
    if (!s->pointwise) columns_scatter_f32(&s->columns, columns, stride, row, n_rows, g->large, g->pool);
    return;
  }
  if (!s->pointwise) columns_gather_f32(&s->columns, g->large, row, n_rows, columns, stride, g->pool);
  if (s->role == CONV_CORRELATE) {
    a = (gemm_f32_batch_args){1,    s->small,      g->weights,    s->k, columns, stride, 1, 1,
                              NULL, g->small + at, s->small_span, NULL, NULL,    NULL,   0, 0,
                              0};
    gemm_f32_run_unpacked(plan, &a, g->scratch, g->pool);
    return;
  }
  a = (gemm_f32_batch_args){
      1,    s->small, g->small + at, s->small_span, columns, 1, stride, 1, NULL, first ? g->weights : g->product,
      s->k, NULL,     NULL,          NULL,          0,       0, 0};
  gemm_f32_run_unpacked(plan, &a, g->scratch, g->pool);
  if (!first) add_product(g->weights, g->product, s->small * s->k);
}

static void run_group(const conv_train *s, const group *g) {
  if (s->role == CONV_SPREAD && !s->pointwise) memset(g->large, 0, (size_t)(s->large * s->large_span) * sizeof(float));
  for (int64_t row = 0; row < s->rows; row += s->block_rows) {
    int64_t n_rows = s->rows - row < s->block_rows ? s->rows - row : s->block_rows;
    run_block(s, g, row, n_rows, g->first && row == 0);
  }
}

/* ---- directly: a thread a group ---- */

typedef struct direct_job {
  const conv_train *s;
  float *small, *large, *weights;
} direct_job;

static void direct_groups(void *arg, int64_t begin, int64_t end, int worker) {
  const direct_job *j = arg;
  const conv_train *s = j->s;
  int64_t taps = s->k / s->large;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    bool match = s->role == CONV_MATCH; /* sums over the images: a group; the others: a group of an image */
    for (int64_t n = match ? 0 : i / s->groups; n < (match ? s->batch : i / s->groups + 1); n++) {
      int64_t g = i % s->groups;
      float *small = j->small + (n * s->groups + g) * s->small * s->small_span;
      float *large = j->large + (n * s->groups + g) * s->large * s->large_span, *w = j->weights + g * s->small * s->k;
      for (int64_t m = 0; m < s->small; m++)
        for (int64_t c = 0; c < s->large; c++) {
          float *grid = small + m * s->small_span, *image = large + c * s->large_span, *tap = w + m * s->k + c * taps;
          if (s->role == CONV_CORRELATE) columns_correlate_f32(&s->columns, image, tap, grid);
          if (s->role == CONV_SPREAD) columns_spread_f32(&s->columns, grid, tap, image);
          if (match) columns_match_f32(&s->columns, grid, image, tap);
        }
    }
  }
}

static void add_bias(op_ctx *c) {
  const tensor *bias = op_in(c, 2);
  tensor *y = op_out(c, 0);
  int64_t span = tensor_span(y, 2, y->rank), channels = y->dims[1];
  for (int64_t i = 0; i < y->dims[0] * channels; i++) {
    float v = ((const float *)bias->data)[i % channels], *to = (float *)y->data + i * span;
    for (int64_t k = 0; k < span; k++) to[k] += v;
  }
}

static ledge_status conv_train_run(op_ctx *c) {
  const conv_train *s = c->kernel;
  float *small = side(c, s->at_small), *large = side(c, s->at_large), *weights = side(c, s->at_weights);
  if (s->direct) {
    direct_job j = {s, small, large, weights};
    memset(op_out(c, 0)->data, 0, tensor_bytes(op_out(c, 0)));
    pool_run(c->pool, s->role == CONV_MATCH ? s->groups : s->batch * s->groups, 1, direct_groups, &j);
  }
  for (int64_t i = 0; !s->direct && i < s->batch * s->groups; i++) {
    char *scratch = c->scratch;
    const group g = {.small = small + i * s->small * s->small_span,
                     .large = large + i * s->large * s->large_span,
                     .weights = weights + i % s->groups * s->small * s->k,
                     .columns = (float *)(void *)scratch,
                     .product = (float *)(void *)(scratch + s->columns_bytes),
                     .scratch = scratch + s->columns_bytes + s->product_bytes,
                     .pool = c->pool,
                     .first = i < s->groups};
    run_group(s, &g);
  }
  if (!c->def->domain[0] && op_in(c, 2)) add_bias(c);
  return LEDGE_OK;
}

/* ---- preparation ---- */

static bool read_columns(const conv_grad *g, columns_shape *s) {
  if (g->w.rank > 3) return false;
  for (int i = 0; i < 3; i++) {
    int k = i - (3 - g->w.rank);
    bool has = k >= 0;
    s->image[i] = has ? g->large_dims[k] : 1;
    s->places[i] = has ? g->small_dims[k] : 1;
    s->kernel[i] = has ? g->w.kernel[k] : 1;
    s->stride[i] = has ? g->w.stride[k] : 1;
    s->dilation[i] = has ? g->w.dilation[k] : 1;
    s->pad[i] = has ? g->w.pad_begin[k] : 0;
  }
  s->channels = g->large / g->groups;
  return true;
}

static bool plan_block(const conv_train *s, int64_t rows, int threads, uint32_t isa, gemm_f32_plan *plan) {
  int64_t o = rows * s->columns.places[2];
  gemm_f32_params p = {.m = s->small, .n = o, .k = s->k, .threads = threads};
  if (s->role == CONV_SPREAD) p.m = s->k, p.k = s->small, p.a_transposed = true;
  if (s->role == CONV_MATCH) p.n = s->k, p.k = o;
  return gemm_f32_plan_init(plan, &p, isa);
}

static bool is_pointwise(const columns_shape *s) {
  for (int i = 0; i < 3; i++)
    if (s->kernel[i] != 1 || s->stride[i] != 1 || s->pad[i] || s->image[i] != s->places[i]) return false;
  return true;
}

static ledge_status conv_train_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  conv_grad g;
  if (!cpu_is_f32(r, 0) || !cpu_is_f32(r, 1) || !tensor_elements(op_in(c, 0)) || !tensor_elements(op_in(c, 1)) ||
      !tensor_elements(op_out(c, 0)))
    return LEDGE_OK;
  if (!c->def->domain[0] && op_has(c, 2) && !cpu_is_f32(r, 2)) return LEDGE_OK;
  if (conv_grad_read(c, &g)) return LEDGE_OK; /* the reference says what is wrong */
  conv_train *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (conv_train){.role = g.role,
                    .batch = g.batch,
                    .groups = g.groups,
                    .small = g.small / g.groups,
                    .large = g.large / g.groups,
                    .small_span = g.small_span,
                    .large_span = g.large_span};
  if (!read_columns(&g, &s->columns)) return LEDGE_OK;
  bool forward = !c->def->domain[0];
  int input = forward || g.role == CONV_MATCH ? 0 : -1, output = forward ? -1 : g.role == CONV_MATCH ? 1 : 0;
  s->at_small = g.transposed ? input : output;
  s->at_large = g.transposed ? output : input;
  s->at_weights = g.role == CONV_MATCH ? -1 : 1;
  s->k = s->large * g.kernel_span;
  s->rows = s->columns.places[0] * s->columns.places[1];
  s->pointwise = is_pointwise(&s->columns);
  s->direct = !s->pointwise && s->small * s->large <= DIRECT_PRODUCTS && s->large <= DIRECT_CHANNELS;
  int64_t width = s->columns.places[2], fit = BLOCK_FLOATS / s->k / width;
  s->block_rows = s->pointwise || fit >= s->rows ? s->rows : fit > 0 ? fit : 1;
  s->tail_rows = s->rows % s->block_rows;
  if (!s->direct && (!plan_block(s, s->block_rows, r->threads, r->isa, &s->plan) ||
                     (s->tail_rows && !plan_block(s, s->tail_rows, r->threads, r->isa, &s->tail))))
    return LEDGE_OK;
  size_t most = s->plan.scratch_bytes > s->tail.scratch_bytes ? s->plan.scratch_bytes : s->tail.scratch_bytes;
  if (!s->direct && !s->pointwise) s->columns_bytes = aligned((size_t)(s->k * s->block_rows * width) * sizeof(float));
  if (!s->direct && s->role == CONV_MATCH) s->product_bytes = aligned((size_t)(s->small * s->k) * sizeof(float));
  double n = (double)g.batch * (double)g.small * (double)s->k * (double)g.small_span;
  *ret = (kernel){conv_train_run,
                  s,
                  s->direct ? 0 : s->columns_bytes + s->product_bytes + most,
                  s->direct ? "conv_direct" : "conv_columns",
                  n,
                  0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_conv_train[] = {
    {"", "Conv", conv_train_prepare},
    {"", "ConvTranspose", conv_train_prepare},
    {"ledge", "ConvInputGrad", conv_train_prepare},
    {"ledge", "ConvWeightGrad", conv_train_prepare},
    {"ledge", "ConvTransposeInputGrad", conv_train_prepare},
    {"ledge", "ConvTransposeWeightGrad", conv_train_prepare},
    {0},
};
