/* backend/cpu/pool: max, average and global average pooling of float32, in both layouts. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/reduce/reduce.h"
#include "ops/fused.h"

typedef struct pool_state {
  pooling_shape shape;
  bool max, channels_last;
} pool_state;

static ledge_status pool_state_run(op_ctx *c) {
  const pool_state *s = c->kernel;
  const float *x = op_in(c, 0)->data;
  float *y = op_out(c, 0)->data;
  if (s->max)
    (s->channels_last ? pooling_max_nhwc_f32 : pooling_max_nchw_f32)(&s->shape, x, y, c->pool);
  else
    (s->channels_last ? pooling_average_nhwc_f32 : pooling_average_nchw_f32)(&s->shape, x, y, c->pool);
  return LEDGE_OK;
}

static ledge_status pool_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!cpu_is_f32(r, 0) || op_wants(c, 1) || (x->rank != 3 && x->rank != 4) || !tensor_elements(x)) return LEDGE_OK;
  pool_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  s->channels_last = !strcmp(c->node->domain, "ledge");
  s->max = !strcmp(c->node->op, "MaxPool");
  TRY(fused_pooling_shape(c, x, s->channels_last, &s->shape));
  *ret = (kernel){pool_state_run, s, 0, s->max ? "max_pool" : "average_pool", 0};
  return LEDGE_OK;
}

typedef struct global_state {
  int64_t batch, channels, hw;
  bool channels_last;
} global_state;

static ledge_status global_run(op_ctx *c) {
  const global_state *s = c->kernel;
  const float *x = op_in(c, 0)->data;
  float *y = op_out(c, 0)->data;
  if (s->channels_last)
    reduce_global_average_nhwc_f32(x, y, s->batch, s->hw, s->channels, c->pool);
  else
    reduce_global_average_nchw_f32(x, y, s->batch, s->channels, s->hw, c->pool);
  return LEDGE_OK;
}

static ledge_status global_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!cpu_is_f32(r, 0) || x->rank < 3 || !tensor_elements(x)) return LEDGE_OK;
  global_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  s->channels_last = !strcmp(c->node->domain, "ledge");
  s->batch = x->dims[0];
  s->channels = x->dims[s->channels_last ? x->rank - 1 : 1];
  s->hw = s->channels_last ? tensor_span(x, 1, x->rank - 1) : tensor_span(x, 2, x->rank);
  *ret = (kernel){global_run, s, 0, "global_average_pool", 0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_pool[] = {
    {"", "MaxPool", pool_prepare},
    {"", "AveragePool", pool_prepare},
    {"ledge", "MaxPool", pool_prepare},
    {"ledge", "AveragePool", pool_prepare},
    {"", "GlobalAveragePool", global_prepare},
    {"ledge", "GlobalAveragePool", global_prepare},
    {0},
};
