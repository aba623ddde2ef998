/* backend/cpu/elementwise: float32 unary and binary operators, batch norm and ScaleShift. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/binary/binary.h"
#include "kernels/integer/integer.h"
#include "kernels/norm/norm.h"
#include "kernels/unary/unary.h"
#include "ops/fused.h"

#include <math.h>

/* ---- unary ---- */

enum { UNARY_ROW_MIN = 16, UNARY_GRAIN = 4096 };

typedef struct unary_name {
  const char *op;
  unary_kind kind;
  float alpha, beta; /* ONNX's defaults */
} unary_name;

static const unary_name unary_names[] = {
    {"Abs", UNARY_ABS, 0, 0},
    {"Neg", UNARY_NEG, 0, 0},
    {"Sqrt", UNARY_SQRT, 0, 0},
    {"Reciprocal", UNARY_RECIPROCAL, 0, 0},
    {"Floor", UNARY_FLOOR, 0, 0},
    {"Ceil", UNARY_CEIL, 0, 0},
    {"Round", UNARY_ROUND, 0, 0},
    {"Sign", UNARY_SIGN, 0, 0},
    {"Exp", UNARY_EXP, 0, 0},
    {"Log", UNARY_LOG, 0, 0},
    {"Sin", UNARY_SIN, 0, 0},
    {"Cos", UNARY_COS, 0, 0},
    {"Tanh", UNARY_TANH, 0, 0},
    {"Sigmoid", UNARY_SIGMOID, 0, 0},
    {"Erf", UNARY_ERF, 0, 0},
    {"Gelu", UNARY_GELU_ERF, 0, 0},
    {"Swish", UNARY_SILU, 1, 0},
    {"HardSigmoid", UNARY_HARD_SIGMOID, 0.2f, 0.5f},
    {"HardSwish", UNARY_HARD_SWISH, 0, 0},
    {"Softplus", UNARY_SOFTPLUS, 0, 0},
    {"Softsign", UNARY_SOFTSIGN, 0, 0},
    {"Mish", UNARY_MISH, 0, 0},
    {"Elu", UNARY_ELU, 1, 0},
    {"Selu", UNARY_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Celu", UNARY_CELU, 1, 0},
    {"Relu", UNARY_RELU, 0, 0},
    {"LeakyRelu", UNARY_LEAKY_RELU, 0.01f, 0},
    {"ThresholdedRelu", UNARY_THRESHOLDED_RELU, 1, 0},
    {"Clip", UNARY_CLIP, -INFINITY, INFINITY},
};

typedef struct unary_state {
  unary_op op;
  int64_t rows, row, x_row, y_row; /* rows of `row` floats, so far apart */
} unary_state;

typedef struct unary_job {
  const unary_state *s;
  const float *x;
  float *y;
} unary_job;

static void work_unary(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const unary_job *j = arg;
  for (int64_t r = begin; r < end; r++)
    unary_f32(&j->s->op, j->x + r * j->s->x_row, j->y + r * j->s->y_row, j->s->row, NULL);
}

static ledge_status unary_run(op_ctx *c) {
  const unary_state *s = c->kernel;
  unary_job j = {s, op_in(c, 0)->data, op_out(c, 0)->data};
  if (s->x_row == s->row && s->y_row == s->row)
    unary_f32(&s->op, j.x, j.y, s->rows * s->row, c->pool);
  else
    pool_run(c->pool, s->rows, 1 + UNARY_GRAIN / s->row, work_unary, &j);
  return LEDGE_OK;
}

/* Rows of a few floats are not worth a call each. */
static bool unary_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)scratch_bytes;
  unary_state *s = state;
  const int64_t n = s->rows * s->row;
  if (row < UNARY_ROW_MIN || n % row || (operand && operand != ~0)) return false;
  if (row != s->row) { /* other rows than the last that were asked for: both sides must be dense */
    if (s->x_row != s->row || s->y_row != s->row) return false;
    s->rows = n / row;
    s->row = s->x_row = s->y_row = row;
  }
  *(operand ? &s->y_row : &s->x_row) = stride;
  return true;
}

/* Clip's bounds: attributes up to opset 6, inputs since; false where they are not known yet. */
static bool clip_bounds(const kernel_request *r, unary_op *op) {
  op_ctx *c = r->ctx;
  if (c->node->version < 11) {
    op->alpha = op_float(c, "min", -INFINITY);
    op->beta = op_float(c, "max", INFINITY);
    return true;
  }
  for (int i = 1; i <= 2; i++) {
    if (!op_has(c, i)) continue;
    if (!cpu_constant(r, i) || !cpu_is_f32(r, i) || tensor_elements(op_in(c, i)) != 1) return false;
    *(i == 1 ? &op->alpha : &op->beta) = *(const float *)op_in(c, i)->data;
  }
  return true;
}

static ledge_status unary_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!cpu_is_f32(r, 0)) return LEDGE_OK;
  const unary_name *n = unary_names;
  while (strcmp(n->op, c->node->op)) n++;
  unary_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  const int64_t count = tensor_elements(op_in(c, 0));
  *s = (unary_state){.rows = 1, .row = count, .x_row = count, .y_row = count};
  unary_op *op = &s->op;
  *op = (unary_op){n->kind, op_float(c, "alpha", n->alpha), n->beta};
  if (n->kind == UNARY_HARD_SIGMOID) op->beta = op_float(c, "beta", n->beta);
  if (n->kind == UNARY_SELU) op->beta = op_float(c, "gamma", n->beta);
  if (n->kind == UNARY_GELU_ERF && op_string_is(c, "approximate", "none", "tanh")) op->kind = UNARY_GELU_TANH;
  if (n->kind == UNARY_CLIP && !clip_bounds(r, op)) return LEDGE_OK;
  *ret = (kernel){unary_run, s, 0, "unary", 0, .window = unary_window};
  return LEDGE_OK;
}

/* ---- binary ---- */

typedef struct binary_name {
  const char *op;
  binary_kind kind;
} binary_name;

static const binary_name binary_names[] = {
    {"Add", BINARY_ADD}, {"Sub", BINARY_SUB}, {"Mul", BINARY_MUL}, {"Div", BINARY_DIV},     {"Max", BINARY_MAX},
    {"Min", BINARY_MIN}, {"Pow", BINARY_POW}, {"Sum", BINARY_ADD}, {"PRelu", BINARY_PRELU},
};

typedef struct binary_state {
  binary_op op;
  bool same; /* the same shapes, dense: no strides to walk */
  int rank, in_rank[2];
  int64_t dims[2][LEDGE_MAX_RANK], strides[2][LEDGE_MAX_RANK]; /* of the inputs; strides as broadcast to the output */
} binary_state;

static ledge_status binary_run(op_ctx *c) {
  const binary_state *s = c->kernel;
  tensor *y = op_out(c, 0);
  const float *a = op_in(c, 0)->data, *b = op_in(c, 1)->data;
  if (s->same)
    binary_f32(&s->op, a, b, y->data, tensor_elements(y), c->pool);
  else
    binary_f32_broadcast(&s->op, y->rank, y->dims, a, s->strides[0], b, s->strides[1], y->data, c->pool);
  return LEDGE_OK;
}

/* Strides of input k, whose own are `own`, as broadcast to the output. */
static void broadcast_strides(binary_state *s, int k, const int64_t *own) {
  const int before = s->rank - s->in_rank[k];
  for (int i = 0; i < s->rank; i++) s->strides[k][i] = i < before || s->dims[k][i - before] == 1 ? 0 : own[i - before];
}

static bool binary_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)scratch_bytes;
  binary_state *s = state;
  int64_t own[LEDGE_MAX_RANK];
  if ((operand != 0 && operand != 1) || !cpu_window_strides(s->in_rank[operand], s->dims[operand], row, stride, own))
    return false;
  broadcast_strides(s, operand, own);
  s->same = false;
  return true;
}

static ledge_status binary_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (c->n_in != 2 || !cpu_is_f32(r, 0) || !cpu_is_f32(r, 1)) return LEDGE_OK;
  if (c->node->version < 7 && op_attr_given(c, "axis")) return LEDGE_OK; /* the old broadcast */
  const tensor *a = op_in(c, 0), *b = op_in(c, 1), *y = op_out(c, 0);
  if (c->node->version < 7 && !tensor_same_shape(a, b)) return LEDGE_OK;
  if (b->rank > y->rank) return LEDGE_OK;
  const binary_name *n = binary_names;
  while (strcmp(n->op, c->node->op)) n++;
  binary_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (binary_state){.op.kind = n->kind, .same = tensor_same_shape(a, b), .rank = y->rank};
  for (int k = 0; k < 2; k++) {
    const tensor *x = k ? b : a;
    int64_t own[LEDGE_MAX_RANK];
    s->in_rank[k] = x->rank;
    memcpy(s->dims[k], x->dims, (size_t)x->rank * sizeof *x->dims);
    shape_strides(x->rank, x->dims, own);
    broadcast_strides(s, k, own);
  }
  *ret = (kernel){binary_run, s, 0, "binary", 0, .window = binary_window};
  return LEDGE_OK;
}

/* ---- an affine function of each channel ---- */

typedef struct affine_state {
  int64_t outer, channels, inner, x_row, y_row; /* rows: where inner is 1 */
  const float *scale, *shift;
  float lo, hi;
} affine_state;

static ledge_status affine_run(op_ctx *c) {
  const affine_state *s = c->kernel;
  const float *x = op_in(c, 0)->data;
  float *y = op_out(c, 0)->data;
  if (s->inner == 1)
    norm_row_affine_f32(x, s->x_row, y, s->y_row, s->outer, s->channels, s->scale, s->shift, s->lo, s->hi, c->pool);
  else
    norm_channel_affine_f32(x, y, s->outer, s->channels, s->inner, s->scale, s->shift, s->lo, s->hi, c->pool);
  return LEDGE_OK;
}

static bool affine_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  (void)scratch_bytes;
  affine_state *s = state;
  if (s->inner != 1 || row != s->channels || (operand && operand != ~0)) return false;
  *(operand ? &s->y_row : &s->x_row) = stride;
  return true;
}

static ledge_status scaleshift_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  if (!cpu_constant(r, 1) || !cpu_constant(r, 2) || (e.act != KERNEL_ACT_NONE && e.act != KERNEL_ACT_CLAMP))
    return LEDGE_OK;
  const tensor *x = op_in(c, 0);
  affine_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  int64_t channels = x->dims[x->rank - 1];
  *s = (affine_state){channels ? tensor_elements(x) / channels : 0,
                      channels,
                      1,
                      channels,
                      channels,
                      op_in(c, 1)->data,
                      op_in(c, 2)->data,
                      kernel_epilogue_lo(&e),
                      kernel_epilogue_hi(&e)};
  *ret = (kernel){affine_run, s, 0, "affine", 0, .window = affine_window};
  return LEDGE_OK;
}

/* Inference form with constant statistics: scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale. */
static ledge_status batchnorm_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!cpu_is_f32(r, 0) || x->rank < 2 || op_wants(c, 1) || op_int(c, "training_mode", 0) ||
      op_int(c, "spatial", 1) != 1 || (c->node->version < 7 && !op_int(c, "is_test", 0)))
    return LEDGE_OK;
  int64_t channels = x->dims[1];
  for (int i = 1; i <= 4; i++)
    if (!cpu_constant(r, i) || !cpu_is_f32(r, i) || tensor_elements(op_in(c, i)) != channels) return LEDGE_OK;
  affine_state *s = cpu_state(r, sizeof *s, error);
  float *table = cpu_state(r, (size_t)channels * 2 * sizeof *table, error);
  if (!s || !table) return LEDGE_ERROR_MEMORY;
  const float *gamma = op_in(c, 1)->data, *beta = op_in(c, 2)->data, *mean = op_in(c, 3)->data,
              *var = op_in(c, 4)->data;
  float epsilon = op_float(c, "epsilon", 1e-5f);
  for (int64_t i = 0; i < channels; i++) {
    double scale = gamma[i] / sqrt((double)var[i] + epsilon);
    table[i] = (float)scale;
    table[channels + i] = (float)(beta[i] - mean[i] * scale);
  }
  *s = (affine_state){x->dims[0], channels, tensor_span(x, 2, x->rank), channels, channels, table, table + channels,
                      -INFINITY,  INFINITY};
  *ret = (kernel){affine_run, s, 0, "affine", 0, .window = affine_window};
  return LEDGE_OK;
}

#define UNARY(op) \
  { "", op, unary_prepare }
#define BINARY(op) \
  { "", op, binary_prepare }
const cpu_row cpu_rows_elementwise[] = {
    UNARY("Abs"),
    UNARY("Neg"),
    UNARY("Sqrt"),
    UNARY("Reciprocal"),
    UNARY("Floor"),
    UNARY("Ceil"),
    UNARY("Round"),
    UNARY("Sign"),
    UNARY("Exp"),
    UNARY("Log"),
    UNARY("Sin"),
    UNARY("Cos"),
    UNARY("Tanh"),
    UNARY("Sigmoid"),
    UNARY("Erf"),
    UNARY("Gelu"),
    UNARY("Swish"),
    UNARY("HardSwish"),
    UNARY("HardSigmoid"),
    UNARY("Softplus"),
    UNARY("Softsign"),
    UNARY("Mish"),
    UNARY("Elu"),
    UNARY("Selu"),
    UNARY("Celu"),
    UNARY("Relu"),
    UNARY("LeakyRelu"),
    UNARY("Clip"),
    UNARY("ThresholdedRelu"),
    BINARY("Add"),
    BINARY("Sub"),
    BINARY("Mul"),
    BINARY("Div"),
    BINARY("Max"),
    BINARY("Min"),
    BINARY("Pow"),
    BINARY("Sum"),
    BINARY("PRelu"),
    {"ledge", "ScaleShift", scaleshift_prepare},
    {"", "BatchNormalization", batchnorm_prepare},
    {0},
};
