/* ops/gradient: what backward graphs need beside the standard's operators, and ONNX's Gradient itself, which
 * passes/gradient replaces before anything runs.
 *
 *   ledge.ReduceTo   g, like: g summed over the dims along which `like` was broadcast, down to like's shape */
#include "ops/real.h"

static ledge_status reduceto_infer(op_ctx *c) {
  const tensor *g = op_in(c, 0), *like = op_in(c, 1);
  int64_t dims[LEDGE_MAX_RANK];
  TRY(real_check(c, 0, false));
  int rank = shape_broadcast(g->rank, g->dims, like->rank, like->dims, dims);
  if (!shape_equal(rank, dims, g->rank, g->dims))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the second input does not broadcast to the first");
  return op_shape(c, 0, g->dtype, like->rank, like->dims);
}

static ledge_status reduceto_run(op_ctx *c) {
  const tensor *g = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(g), n_y = tensor_elements(y), strides[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK] = {0};
  shape_strides(y->rank, y->dims, strides);
  double *sum = real_scratch(c, n_y);
  if (!sum) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++) {
    int64_t to = 0;
    for (int d = 0; d < y->rank; d++)
      if (y->dims[d] != 1) to += at[d + g->rank - y->rank] * strides[d];
    sum[to] += tensor_f64(g, i);
    for (int d = g->rank - 1; d >= 0 && ++at[d] == g->dims[d]; d--) at[d] = 0;
  }
  real_store(sum, y);
  op_scratch_free(sum);
  return LEDGE_OK;
}

static ledge_status gradient_run(op_ctx *c) {
  return op_fail(c, LEDGE_ERROR_INTERNAL, "the backward graph was not built: the pass `gradient` did not run");
}

const op_def ops_gradient[] = {
    {"ledge", "ReduceTo", 1, 0, 2, 2, 1, 1, 0, reduceto_infer, reduceto_run, NULL},
    {"ai.onnx.preview.training", "Gradient", 1, 0, 1, -1, 1, -1, OP_DYNAMIC, NULL, gradient_run, NULL},
    {0},
};
