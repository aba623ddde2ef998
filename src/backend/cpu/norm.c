/* backend/cpu/norm: softmax, layer and RMS norm, instance and group norm, LpNormalization, LRN, reductions over
 * neighbouring axes, ArgMax and ArgMin; float32. */
#include "kernels/norm/norm.h"
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/reduce/reduce.h"
#include "kernels/softmax/softmax.h"

/* ---- softmax ---- */

typedef struct split_state {
  int64_t outer, n, inner;
  int kind; /* softmax: log; reduce: reduce_kind */
} split_state;

static ledge_status softmax_run(op_ctx *c) {
  const split_state *s = c->kernel;
  const float *x = op_in(c, 0)->data;
  float *y = op_out(c, 0)->data;
  if (s->inner == 1) {
    const softmax_options o = {.log = s->kind != 0};
    softmax_f32(&o, x, s->n, y, s->n, s->outer, s->n, c->pool);
  } else {
    softmax_f32_inner(s->kind != 0, x, y, s->outer, s->n, s->inner, c->pool);
  }
  return LEDGE_OK;
}

static ledge_status softmax_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!cpu_is_f32(r, 0) || x->rank < 1 || !tensor_elements(x)) return LEDGE_OK;
  bool flat = c->node->version < 13; /* then all axes from `axis` on are one */
  int axis;
  TRY(op_axis(c, op_int(c, "axis", flat ? 1 : -1), x->rank, &axis));
  split_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  s->outer = tensor_span(x, 0, axis);
  s->n = tensor_span(x, axis, flat ? x->rank : axis + 1);
  s->inner = flat ? 1 : tensor_span(x, axis + 1, x->rank);
  s->kind = !strcmp(c->node->op, "LogSoftmax");
  *ret = (kernel){softmax_run, s, 0, "softmax", 0};
  return LEDGE_OK;
}

/* ---- LayerNormalization, RMSNormalization ---- */

typedef struct rows_state {
  int64_t rows, n;
  float epsilon;
  bool rms;
} rows_state;

static ledge_status rows_run(op_ctx *c) {
  const rows_state *s = c->kernel;
  tensor *mean = op_out(c, 1), *inv_std = op_out(c, 2);
  const norm_row_options o = {.epsilon = s->epsilon,
                              .rms = s->rms,
                              .scale = cpu_f32(op_in(c, 1)),
                              .bias = s->rms ? NULL : cpu_f32(op_in(c, 2)),
                              .mean = mean ? mean->data : NULL,
                              .inv_std = inv_std ? inv_std->data : NULL};
  norm_rows_f32(&o, op_in(c, 0)->data, op_out(c, 0)->data, s->rows, s->n, c->pool);
  return LEDGE_OK;
}

static ledge_status rows_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!cpu_is_f32(r, 0) || x->rank < 1 || !tensor_elements(x) || op_int(c, "stash_type", 1) != 1) return LEDGE_OK;
  if (!op_wants(c, 0)) return LEDGE_OK;
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  rows_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (rows_state){tensor_span(x, 0, axis), tensor_span(x, axis, x->rank), op_float(c, "epsilon", 1e-5f),
                    !strcmp(c->node->op, "RMSNormalization")};
  for (int i = 1; i <= 2; i++)
    if (op_has(c, i) && (!cpu_is_f32(r, i) || tensor_elements(op_in(c, i)) != s->n)) return LEDGE_OK;
  *ret = (kernel){rows_run, s, 0, s->rms ? "rms_norm" : "layer_norm", 0};
  return LEDGE_OK;
}

/* ---- SimplifiedLayerNormalization; SkipLayerNormalization and SkipSimplifiedLayerNormalization ---- */

static ledge_status simplified_run(op_ctx *c) {
  const rows_state *s = c->kernel;
  tensor *inv_std = op_out(c, 1);
  const norm_row_options o = {
      .epsilon = s->epsilon, .rms = true, .scale = cpu_f32(op_in(c, 1)), .inv_std = inv_std ? inv_std->data : NULL};
  norm_rows_f32(&o, op_in(c, 0)->data, op_out(c, 0)->data, s->rows, s->n, c->pool);
  return LEDGE_OK;
}

static ledge_status simplified_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0), *inv_std = op_out(c, 1);
  if (!cpu_is_f32(r, 0) || !cpu_is_f32(r, 1) || x->rank < 1 || !tensor_elements(x)) return LEDGE_OK;
  if (!y || y->dtype != LEDGE_F32 || (inv_std && inv_std->dtype != LEDGE_F32)) return LEDGE_OK;
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  rows_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (rows_state){tensor_span(x, 0, axis), tensor_span(x, axis, x->rank), op_float(c, "epsilon", 1e-5f), true};
  if (tensor_elements(op_in(c, 1)) != s->n) return LEDGE_OK;
  *ret = (kernel){simplified_run, s, 0, "rms_norm", 0};
  return LEDGE_OK;
}

/* x, skip, gamma, beta (not simplified), bias; the sum that was normalised is output 3. */
static ledge_status skip_run(op_ctx *c) {
  const rows_state *s = c->kernel;
  tensor *mean = op_out(c, 1), *inv_std = op_out(c, 2), *sum = op_out(c, 3);
  const norm_row_options o = {.epsilon = s->epsilon,
                              .rms = s->rms,
                              .scale = cpu_f32(op_in(c, 2)),
                              .bias = s->rms ? NULL : cpu_f32(op_in(c, 3)),
                              .skip = op_in(c, 1)->data,
                              .skip_bias = cpu_f32(op_in(c, s->rms ? 3 : 4)),
                              .sum = sum ? sum->data : NULL,
                              .mean = mean ? mean->data : NULL,
                              .inv_std = inv_std ? inv_std->data : NULL};
  norm_rows_f32(&o, op_in(c, 0)->data, op_out(c, 0)->data, s->rows, s->n, c->pool);
  return LEDGE_OK;
}

static ledge_status skip_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  bool simplified = !strcmp(c->node->op, "SkipSimplifiedLayerNormalization");
  for (int i = 0; i < c->n_in; i++)
    if (op_has(c, i) && !cpu_is_f32(r, i)) return LEDGE_OK;
  if (!tensor_elements(x) || !tensor_same_shape(x, op_in(c, 1)) || !op_wants(c, 0)) return LEDGE_OK;
  if (simplified && op_wants(c, 1)) return LEDGE_OK;
  rows_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (rows_state){tensor_span(x, 0, x->rank - 1), x->dims[x->rank - 1], op_float(c, "epsilon", 1e-12f), simplified};
  *ret = (kernel){skip_run, s, 0, "skip_norm", 0};
  return LEDGE_OK;
}

/* ---- InstanceNormalization, GroupNormalization (21, with a scale a channel) ---- */

typedef struct group_state {
  int64_t batch, channels, inner, groups;
  float epsilon;
} group_state;

static ledge_status group_run(op_ctx *c) {
  const group_state *s = c->kernel;
  norm_group_f32(op_in(c, 0)->data, op_out(c, 0)->data, s->batch, s->channels, s->inner, s->groups,
                 cpu_f32(op_in(c, 1)), cpu_f32(op_in(c, 2)), s->epsilon, c->pool);
  return LEDGE_OK;
}

static ledge_status group_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  bool instance = !strcmp(c->node->op, "InstanceNormalization");
  if (!cpu_is_f32(r, 0) || x->rank < 3 || !tensor_elements(x) ||
      (instance ? c->node->version < 6 : c->node->version < 21) || op_int(c, "stash_type", 1) != 1)
    return LEDGE_OK;
  for (int i = 1; i <= 2; i++)
    if (!cpu_is_f32(r, i) || tensor_elements(op_in(c, i)) != x->dims[1]) return LEDGE_OK;
  group_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (group_state){x->dims[0], x->dims[1], tensor_span(x, 2, x->rank),
                     instance ? x->dims[1] : op_int(c, "num_groups", 1), op_float(c, "epsilon", 1e-5f)};
  if (s->groups < 1 || s->channels % s->groups) return LEDGE_OK;
  *ret = (kernel){group_run, s, 0, "group_norm", 0};
  return LEDGE_OK;
}

/* ---- LpNormalization, LRN ---- */

static ledge_status lp_run(op_ctx *c) {
  const split_state *s = c->kernel;
  norm_lp_f32(op_in(c, 0)->data, op_out(c, 0)->data, s->outer, s->n, s->inner, s->kind, c->pool);
  return LEDGE_OK;
}

static ledge_status lp_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  int64_t p = op_int(c, "p", 2);
  if (!cpu_is_f32(r, 0) || x->rank < 1 || !tensor_elements(x) || (p != 1 && p != 2)) return LEDGE_OK;
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  split_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (split_state){tensor_span(x, 0, axis), x->dims[axis], tensor_span(x, axis + 1, x->rank), (int)p};
  *ret = (kernel){lp_run, s, 0, "lp_norm", 0};
  return LEDGE_OK;
}

static ledge_status lrn_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  norm_lrn_f32(x->data, op_out(c, 0)->data, x->dims[0], x->dims[1], tensor_span(x, 2, x->rank), op_int(c, "size", 1),
               op_float(c, "alpha", 1e-4f), op_float(c, "beta", 0.75f), op_float(c, "bias", 1), c->pool);
  return LEDGE_OK;
}

static ledge_status lrn_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  (void)error;
  const tensor *x = op_in(r->ctx, 0);
  if (cpu_is_f32(r, 0) && x->rank >= 2 && tensor_elements(x) && op_int(r->ctx, "size", 1) > 0)
    *ret = (kernel){lrn_run, NULL, 0, "lrn", 0};
  return LEDGE_OK;
}

/* ---- reductions ---- */

static const struct {
  const char *op;
  reduce_kind kind;
} reduce_names[] = {{"ReduceSum", REDUCE_SUM},        {"ReduceMean", REDUCE_MEAN},
                    {"ReduceMax", REDUCE_MAX},        {"ReduceMin", REDUCE_MIN},
                    {"ReduceProd", REDUCE_PROD},      {"ReduceL1", REDUCE_L1},
                    {"ReduceL2", REDUCE_L2},          {"ReduceSumSquare", REDUCE_SUM_SQUARE},
                    {"ReduceLogSum", REDUCE_LOG_SUM}, {"ReduceLogSumExp", REDUCE_LOG_SUM_EXP}};

static ledge_status reduce_run(op_ctx *c) {
  const split_state *s = c->kernel;
  reduce_f32((reduce_kind)s->kind, op_in(c, 0)->data, op_out(c, 0)->data, s->outer, s->n, s->inner, c->pool);
  return LEDGE_OK;
}

/* The axes as a bit set; false where they are not known. */
static bool reduce_axes(const kernel_request *r, int rank, uint32_t *ret) {
  op_ctx *c = r->ctx;
  int64_t list[LEDGE_MAX_RANK], count;
  const int64_t *axes = op_ints(c, "axes", &count);
  if (op_has(c, 1)) {
    int n;
    if (!cpu_constant(r, 1) || op_read_ints(c, op_in(c, 1), list, LEDGE_MAX_RANK, &n)) return false;
    axes = list;
    count = n;
  }
  *ret = 0;
  if (!count && op_int(c, "noop_with_empty_axes", 0)) return false;
  if (!count) *ret = (1u << rank) - 1;
  for (int64_t i = 0; i < count; i++) {
    int axis;
    if (op_axis(c, axes[i], rank, &axis)) return false;
    *ret |= 1u << axis;
  }
  return true;
}

static ledge_status reduce_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  uint32_t axes;
  if (!cpu_is_f32(r, 0) || !tensor_elements(x) || !x->rank || !reduce_axes(r, x->rank, &axes) || !axes) return LEDGE_OK;
  int first = __builtin_ctz(axes), last = 31 - __builtin_clz(axes);
  for (int i = first; i <= last; i++)
    if (!(axes >> i & 1) && x->dims[i] != 1) return LEDGE_OK; /* not neighbours */
  split_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (split_state){tensor_span(x, 0, first), tensor_span(x, first, last + 1), tensor_span(x, last + 1, x->rank), 0};
  size_t k = 0;
  while (strcmp(reduce_names[k].op, c->node->op)) k++;
  s->kind = reduce_names[k].kind;
  *ret = (kernel){reduce_run, s, 0, "reduce", 0};
  return LEDGE_OK;
}

static ledge_status globalmax_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  const tensor *x = op_in(r->ctx, 0);
  if (!cpu_is_f32(r, 0) || x->rank < 3 || !tensor_elements(x)) return LEDGE_OK;
  split_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (split_state){tensor_span(x, 0, 2), tensor_span(x, 2, x->rank), 1, REDUCE_MAX};
  *ret = (kernel){reduce_run, s, 0, "global_max_pool", 0};
  return LEDGE_OK;
}

/* ---- ArgMax, ArgMin ---- */

static ledge_status arg_run(op_ctx *c) {
  const split_state *s = c->kernel;
  reduce_arg_f32(s->kind != 0, false, op_in(c, 0)->data, op_out(c, 0)->data, s->outer, s->n, s->inner, c->pool);
  return LEDGE_OK;
}

static ledge_status arg_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!cpu_is_f32(r, 0) || x->rank < 1 || !tensor_elements(x)) return LEDGE_OK;
  if (op_int(c, "select_last_index", 0)) return LEDGE_OK; /* the last of several NaN is not the kernel's */
  int axis;
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  split_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (split_state){tensor_span(x, 0, axis), x->dims[axis], tensor_span(x, axis + 1, x->rank),
                     !strcmp(c->node->op, "ArgMin")};
  *ret = (kernel){arg_run, s, 0, "arg", 0};
  return LEDGE_OK;
}

#define REDUCE(op) \
  { "", op, reduce_prepare }
const cpu_row cpu_rows_norm[] = {
    {"", "Softmax", softmax_prepare},
    {"", "LogSoftmax", softmax_prepare},
    {"", "LayerNormalization", rows_prepare},
    {"", "RMSNormalization", rows_prepare},
    {"", "SimplifiedLayerNormalization", simplified_prepare},
    {"com.microsoft", "SkipLayerNormalization", skip_prepare},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", skip_prepare},
    {"", "LpNormalization", lp_prepare},
    {"", "LRN", lrn_prepare},
    {"", "GlobalMaxPool", globalmax_prepare},
    {"", "ArgMax", arg_prepare},
    {"", "ArgMin", arg_prepare},
    {"", "InstanceNormalization", group_prepare},
    {"", "GroupNormalization", group_prepare},
    REDUCE("ReduceSum"),
    REDUCE("ReduceMean"),
    REDUCE("ReduceMax"),
    REDUCE("ReduceMin"),
    REDUCE("ReduceProd"),
    REDUCE("ReduceL1"),
    REDUCE("ReduceL2"),
    REDUCE("ReduceSumSquare"),
    REDUCE("ReduceLogSum"),
    REDUCE("ReduceLogSumExp"),
    {0},
};
