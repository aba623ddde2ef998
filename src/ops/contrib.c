/* ops/contrib: the float operators of domain com.microsoft that ONNX Runtime's optimiser writes, but for attention
 * (contrib_attention.c) and what is quantised (contrib_quant.c). Most are a few standard operators in a row. Source:
 * the operator documents of ONNX Runtime (docs/ContribOperators.md). */
#include "ops/attend.h"
#include "ops/steps.h"

#include <math.h>

#define MS "com.microsoft"

/* ---- the same by another name ---- */

#define ALIAS(NAME, OP, VERSION, ATTRIBUTES)                                                             \
  static ledge_status NAME##_infer(op_ctx *c) { return steps_alias(c, false, OP, VERSION, ATTRIBUTES); } \
  static ledge_status NAME##_run(op_ctx *c) { return steps_alias(c, true, OP, VERSION, ATTRIBUTES); }

ALIAS(gelu, "Gelu", 20, ATTRS({0}))
ALIAS(trilu, "Trilu", 14, NULL)
ALIAS(pad, "Pad", 13, NULL)
ALIAS(gather_nd, "GatherND", 11, ATTRS({0}))
ALIAS(grid_sample, "GridSample", 16, NULL)
ALIAS(quantize, "QuantizeLinear", 21, NULL)
ALIAS(dequantize, "DequantizeLinear", 21, NULL)

static ledge_status quick_gelu(op_ctx *c, bool run) {
  return steps_alias(c, run, "Swish", 24, ATTRS(ATTR_F("alpha", op_float(c, "alpha", 1.702f))));
}
static ledge_status quick_gelu_infer(op_ctx *c) { return quick_gelu(c, false); }
static ledge_status quick_gelu_run(op_ctx *c) { return quick_gelu(c, true); }

/* Unique in order of occurrence; its outputs are the values, where each element's value stands, and the counts. */
static ledge_status unique_run(op_ctx *c) {
  value *out[4] = {c->n_out > 0 ? c->out[0] : NULL, NULL, c->n_out > 1 ? c->out[1] : NULL,
                   c->n_out > 2 ? c->out[2] : NULL};
  op_ctx k = *c;
  k.out = out;
  k.n_out = 4;
  if (op_in(c, 0)->rank != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "its input has rank %d, not 1", op_in(c, 0)->rank);
  return steps_alias(&k, true, "Unique", 11, ATTRS(ATTR_I("sorted", 0)));
}

static void range(steps *s) {
  const value *from = steps_in(s, 0), *step = steps_in(s, 2);
  const value *in[3] = {from, steps_in(s, 1), step ? step : steps_scalar(s, from->tensor.dtype, 1)};
  for (int i = 0; i < 3; i++) {
    if (in[i] && tensor_elements(&in[i]->tensor) != 1)
      steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "input %d is not one number", i));
    in[i] = steps_reshape(s, in[i], 0, NULL);
  }
  steps_out(s, 0, STEP(s, "Range", 11, ATTRS({0}), in[0], in[1], in[2]), LEDGE_DTYPE_NONE);
}
STEPS_ROW(range)

/* ---- activations ---- */

/* x through the activation that attribute `activation` names; its numbers are p[0], p[1]. */
static const value *activate(steps *s, const value *x, const float *p, int n) {
  static const struct {
    const char *name, *first, *second; /* the attributes that the numbers are */
  } known[] = {{"Relu", 0, 0},
               {"Tanh", 0, 0},
               {"Sigmoid", 0, 0},
               {"LeakyRelu", "alpha", 0},
               {"HardSigmoid", "alpha", "beta"},
               {"Elu", "alpha", 0},
               {"Selu", "alpha", "gamma"},
               {"Softplus", 0, 0},
               {"Softsign", 0, 0},
               {"ThresholdedRelu", "alpha", 0},
               {"HardSwish", 0, 0},
               {"Clip", 0, 0},
               {"Gelu", 0, 0}};
  ledge_string name = op_string(s->c, "activation");
  if (!name.size || s->status) return x;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strlen(known[i].name) != name.size || memcmp(known[i].name, name.data, name.size)) continue;
    attr a[3] = {{0}};
    int n_a = 0;
    if (known[i].first && n > 0) a[n_a++] = (attr)ATTR_F(known[i].first, p[0]);
    if (known[i].second && n > 1) a[n_a++] = (attr)ATTR_F(known[i].second, p[1]);
    if (strcmp(known[i].name, "Clip")) return STEP(s, known[i].name, 23, a, x);
    if (!x) return NULL;
    return STEP(s, "Clip", 23, a, x, n > 0 ? steps_scalar(s, x->tensor.dtype, (double)p[0]) : NULL,
                n > 1 ? steps_scalar(s, x->tensor.dtype, (double)p[1]) : NULL);
  }
  steps_fail(s, op_fail(s->c, LEDGE_ERROR_UNSUPPORTED, "no activation '%.*s'", (int)(name.size < 40 ? name.size : 40),
                        name.data));
  return NULL;
}

/* activation_alpha, _beta (_gamma stands for beta in Selu). */
static const value *activate_by_names(steps *s, const value *x) {
  static const char *const names[] = {"activation_alpha", "activation_beta", "activation_gamma"};
  float p[3];
  int n = 0;
  for (int i = 0; i < 3; i++)
    if (op_attr_given(s->c, names[i])) p[n++] = op_float(s->c, names[i], 0);
  return activate(s, x, p, n);
}

static void fast_gelu(steps *s) {
  const value *x = steps_wide(s, steps_in(s, 0)), *bias = steps_wide(s, steps_in(s, 1));
  if (bias) x = STEP(s, "Add", 23, ATTRS({0}), x, bias);
  steps_out(s, 0, STEP(s, "Gelu", 23, ATTRS(ATTR_S("approximate", "tanh")), x), steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(fast_gelu)

static void bias_gelu(steps *s) {
  const value *sum = STEP(s, "Add", 23, ATTRS({0}), steps_wide(s, steps_in(s, 0)), steps_wide(s, steps_in(s, 1)));
  steps_out(s, 0, STEP(s, "Gelu", 23, ATTRS({0}), sum), steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(bias_gelu)

static void bias_add(steps *s) {
  const value *sum = STEP(s, "Add", 23, ATTRS({0}), steps_wide(s, steps_in(s, 0)), steps_wide(s, steps_in(s, 1)));
  steps_out(s, 0, STEP(s, "Add", 23, ATTRS({0}), sum, steps_wide(s, steps_in(s, 2))), steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(bias_add)

/* Left half times gelu of the right half. */
static void bias_split_gelu(steps *s) {
  const value *x = STEP(s, "Add", 23, ATTRS({0}), steps_wide(s, steps_in(s, 0)), steps_wide(s, steps_in(s, 1)));
  const tensor *t = op_in(s->c, 0);
  int64_t width = t->rank ? t->dims[t->rank - 1] : 0, half[2] = {0, width / 2}, end[2] = {width / 2, width}, one = 1;
  if (!t->rank || width % 2) steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "the last dim cannot be halved"));
  const value *part[2] = {NULL, NULL};
  for (int i = 0; i < 2 && !s->status; i++) {
    const int64_t axis = t->rank - 1;
    part[i] = STEP(s, "Slice", 9,
                   ATTRS(ATTR_IS("starts", &half[i], 1), ATTR_IS("ends", &end[i], 1), ATTR_IS("axes", &axis, one)), x);
  }
  const value *gelu = STEP(s, "Gelu", 23, ATTRS({0}), part[1]);
  steps_out(s, 0, STEP(s, "Mul", 23, ATTRS({0}), part[0], gelu), t->dtype);
}
STEPS_ROW(bias_split_gelu)

/* The axes from `axis` on are one row, as in Softmax before version 13. */
static void bias_softmax(steps *s) {
  const value *x = STEP(s, "Add", 23, ATTRS({0}), steps_wide(s, steps_in(s, 0)), steps_wide(s, steps_in(s, 1)));
  if (x && !tensor_same_shape(&x->tensor, op_in(s->c, 0)))
    steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "the bias does not broadcast to the data"));
  steps_out(s, 0, STEP(s, "Softmax", 11, ATTRS(ATTR_I("axis", op_int(s->c, "axis", 1))), x),
            steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(bias_softmax)

/* ---- products ---- */

/* A operand of FusedMatMul: batches are dim 0 on where not `batch`, which puts dim 0 behind the others. */
static const value *operand(steps *s, int input, const char *matrix, const char *batch) {
  const value *x = steps_wide(s, steps_in(s, input));
  int rank = steps_rank(x);
  bool turn = op_int(s->c, matrix, 0) != 0, batches = op_int(s->c, batch, 0) != 0;
  if (s->status || rank < 2 || (!turn && !batches)) return x;
  int64_t perm[LEDGE_MAX_RANK];
  for (int i = 0; i < rank; i++) perm[i] = i;
  for (int i = 0; batches && i < rank - 1; i++) perm[i] = i < rank - 2 ? i + 1 : 0;
  if (turn) {
    int64_t last = perm[rank - 1];
    perm[rank - 1] = perm[rank - 2];
    perm[rank - 2] = last;
  }
  return STEP(s, "Transpose", 23, ATTRS(ATTR_IS("perm", perm, rank)), x);
}

static const value *fused_product(steps *s) {
  const value *a = operand(s, 0, "transA", "transBatchA"), *b = operand(s, 1, "transB", "transBatchB");
  const value *y = STEP(s, "MatMul", 23, ATTRS({0}), a, b);
  double alpha = (double)op_float(s->c, "alpha", 1);
  return !y || alpha == 1 ? y : STEP(s, "Mul", 23, ATTRS({0}), y, steps_scalar(s, y->tensor.dtype, alpha));
}

static void fused_matmul(steps *s) { steps_out(s, 0, fused_product(s), steps_in(s, 0)->tensor.dtype); }
STEPS_ROW(fused_matmul)

static void fused_matmul_activation(steps *s) {
  steps_out(s, 0, activate_by_names(s, fused_product(s)), steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(fused_matmul_activation)

static void fused_gemm(steps *s) {
  const value *y = STEP(s, "Gemm", 23, NULL, steps_wide(s, steps_in(s, 0)), steps_wide(s, steps_in(s, 1)),
                        steps_wide(s, steps_in(s, 2)));
  steps_out(s, 0, activate_by_names(s, y), steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(fused_gemm)

static void gemm_fast_gelu(steps *s) {
  const value *y = STEP(s, "MatMul", 23, ATTRS({0}), steps_wide(s, steps_in(s, 0)), steps_wide(s, steps_in(s, 1)));
  if (steps_in(s, 2)) y = STEP(s, "Add", 23, ATTRS({0}), y, steps_wide(s, steps_in(s, 2)));
  steps_out(s, 0, STEP(s, "Gelu", 23, ATTRS(ATTR_S("approximate", "tanh")), y), steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(gemm_fast_gelu)

/* ---- convolutions and pools ---- */

/* [N, spatial..., C] to [N, C, spatial...], or back. */
static const value *turn_channels(steps *s, const value *x, bool to_first) {
  int rank = steps_rank(x);
  int64_t perm[LEDGE_MAX_RANK] = {0};
  if (rank < 3) {
    if (!s->status) steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "an input of rank %d has no spatial dims", rank));
    return NULL;
  }
  for (int i = 1; i < rank; i++) perm[i] = to_first ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
  return STEP(s, "Transpose", 23, ATTRS(ATTR_IS("perm", perm, rank)), x);
}

static void conv_any(steps *s, bool channels_last) {
  const value *x = steps_wide(s, steps_in(s, 0)), *z = steps_wide(s, steps_in(s, 3));
  int64_t n;
  const float *p = op_floats(s->c, "activation_params", &n);
  if (channels_last) x = turn_channels(s, x, true);
  const value *y = STEP(s, "Conv", 22, NULL, x, steps_wide(s, steps_in(s, 1)), steps_wide(s, steps_in(s, 2)));
  if (channels_last) y = turn_channels(s, y, false);
  if (y && z) {
    if (!tensor_same_shape(&y->tensor, &z->tensor))
      steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "Z does not have the output's shape"));
    y = STEP(s, "Add", 23, ATTRS({0}), y, z);
  }
  steps_out(s, 0, activate(s, y, p, n < 2 ? (int)n : 2), steps_in(s, 0)->tensor.dtype);
}
static void fused_conv(steps *s) { conv_any(s, false); }
static void nhwc_conv(steps *s) { conv_any(s, true); }
STEPS_ROW(fused_conv)
STEPS_ROW(nhwc_conv)

static void nhwc_maxpool(steps *s) {
  const value *y = STEP(s, "MaxPool", 22, NULL, turn_channels(s, steps_in(s, 0), true));
  steps_out(s, 0, turn_channels(s, y, false), LEDGE_DTYPE_NONE);
}
STEPS_ROW(nhwc_maxpool)

/* The pads come as an input: [begin..., end...]. */
static void conv_transpose_pads(steps *s) {
  const tensor *pads = op_in(s->c, 2);
  int64_t list[2 * LEDGE_MAX_RANK];
  attr a[8];
  int n = 0, n_pads = 0;
  if (!op_known(s->c, 2)) {
    steps_fail(s, OP_UNKNOWN);
    return;
  }
  if (pads) {
    ledge_status status = op_read_ints(s->c, pads, list, 2 * LEDGE_MAX_RANK, &n_pads);
    if (status) steps_fail(s, status);
    a[n++] = (attr)ATTR_IS("pads", list, n_pads);
  }
  static const char *const names[] = {"group", "auto_pad", "strides", "dilations", "output_padding", "kernel_shape"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const attr *own = node_attr(s->c->node, names[i]);
    if (own) a[n++] = *own;
  }
  a[n] = (attr){0};
  steps_out(s, 0, STEP(s, "ConvTranspose", 22, a, steps_in(s, 0), steps_in(s, 1), steps_in(s, 3)), LEDGE_DTYPE_NONE);
}
STEPS_ROW(conv_transpose_pads)

/* GroupNorm: X [, bias] channels last by default; SiLU after it where activation is 1. */
static const value *group_norm_of(steps *s, const value *x) {
  bool last = op_int(s->c, "channels_last", 1) != 0;
  if (last) x = turn_channels(s, x, true);
  const value *y =
      STEP(s, "GroupNormalization", 23,
           ATTRS(ATTR_I("num_groups", op_int(s->c, "groups", 0)), ATTR_F("epsilon", op_float(s->c, "epsilon", 1e-5f))),
           x, steps_wide(s, steps_in(s, 1)), steps_wide(s, steps_in(s, 2)));
  if (op_int(s->c, "activation", 0)) y = STEP(s, "Swish", 24, ATTRS({0}), y);
  return last ? turn_channels(s, y, false) : y;
}

static void group_norm(steps *s) {
  steps_out(s, 0, group_norm_of(s, steps_wide(s, steps_in(s, 0))), steps_in(s, 0)->tensor.dtype);
}
STEPS_ROW(group_norm)

/* ---- ExpandDims, IsAllFinite, MatMulInteger16, MulInteger, ReduceSumInteger ---- */

static void expand_dims(steps *s) {
  const tensor *x = op_in(s->c, 0), *axis = op_in(s->c, 1);
  int64_t dims[LEDGE_MAX_RANK + 1];
  int at = 0;
  if (!op_known(s->c, 1)) {
    steps_fail(s, OP_UNKNOWN);
    return;
  }
  if (axis->dtype != LEDGE_I32 && axis->dtype != LEDGE_I64) steps_fail(s, op_fail_dtype(s->c, 1));
  if (!s->status && tensor_elements(axis) != 1)
    steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "the axis is not one number"));
  if (!s->status && x->rank >= LEDGE_MAX_RANK)
    steps_fail(s, op_fail(s->c, LEDGE_ERROR_LIMIT, "the rank is above %d", LEDGE_MAX_RANK));
  if (!s->status) steps_fail(s, op_axis(s->c, tensor_i64(axis, 0), x->rank + 1, &at));
  for (int i = 0; !s->status && i <= x->rank; i++) dims[i] = i == at ? 1 : x->dims[i - (i > at)];
  steps_out(s, 0, steps_reshape(s, steps_in(s, 0), x->rank + 1, dims), LEDGE_DTYPE_NONE);
}
STEPS_ROW(expand_dims)

static ledge_status finite_infer(op_ctx *c) {
  for (int i = 0; i < c->n_in; i++) TRY(real_check(c, i, false));
  return op_shape(c, 0, LEDGE_BOOL, 0, NULL);
}

static ledge_status finite_run(op_ctx *c) {
  bool nan_only = op_int(c, "isnan_only", 0) != 0, inf_only = op_int(c, "isinf_only", 0) != 0, all = true;
  for (int i = 0; i < c->n_in; i++) {
    const tensor *t = op_in(c, i);
    int64_t n = t ? tensor_elements(t) : 0;
    for (int64_t k = 0; k < n; k++) {
      double v = tensor_f64(t, k);
      all &= !((isnan(v) && !inf_only) || (isinf(v) && !nan_only));
    }
  }
  *(uint8_t *)op_out(c, 0)->data = all;
  return LEDGE_OK;
}

static void matmul_integer16(steps *s) {
  const value *in[2];
  for (int i = 0; i < 2; i++) {
    ledge_dtype d = op_in(s->c, i)->dtype;
    if (d != LEDGE_I16 && d != LEDGE_U16) steps_fail(s, op_fail_dtype(s->c, i));
    in[i] = STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_I64)), steps_in(s, i));
  }
  bool is_unsigned = op_in(s->c, 0)->dtype == LEDGE_U16 && op_in(s->c, 1)->dtype == LEDGE_U16;
  const value *y = STEP(s, "MatMul", 23, ATTRS({0}), in[0], in[1]);
  steps_out(s, 0, y, is_unsigned ? LEDGE_U32 : LEDGE_I32);
}
STEPS_ROW(matmul_integer16)

static void mul_integer(steps *s) {
  const value *x[2];
  steps_need(s, 2);
  for (int i = 0; i < 2; i++) {
    const value *zero = steps_in(s, 2 * i + 1);
    x[i] = STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_I32)), steps_in(s, 2 * i));
    if (zero) x[i] = STEP(s, "Sub", 23, ATTRS({0}), x[i], STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_I32)), zero));
  }
  steps_out(s, 0, STEP(s, "Mul", 23, ATTRS({0}), x[0], x[1]), LEDGE_DTYPE_NONE);
}
STEPS_ROW(mul_integer)

static void reduce_sum_integer(steps *s) {
  ledge_dtype to = op_in(s->c, 0)->dtype == LEDGE_U8 ? LEDGE_U32 : LEDGE_I32;
  const value *x = STEP(s, "Cast", 23, ATTRS(ATTR_I("to", to)), steps_in(s, 0));
  steps_out(s, 0, STEP(s, "ReduceSum", 11, NULL, x), LEDGE_DTYPE_NONE);
}
STEPS_ROW(reduce_sum_integer)

const op_def ops_contrib[] = {
    {MS, "Gelu", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), gelu_infer, gelu_run},
    {MS, "QuickGelu", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), quick_gelu_infer, quick_gelu_run},
    {MS, "FastGelu", 1, 0, 1, 2, 1, 1, 0, fast_gelu_infer, fast_gelu_run},
    {MS, "BiasGelu", 1, 0, 2, 2, 1, 1, 0, bias_gelu_infer, bias_gelu_run},
    {MS, "BiasSplitGelu", 1, 0, 2, 2, 1, 1, 0, bias_split_gelu_infer, bias_split_gelu_run},
    {MS, "BiasSoftmax", 1, 0, 2, 2, 1, 1, 0, bias_softmax_infer, bias_softmax_run},
    {MS, "BiasAdd", 1, 0, 3, 3, 1, 1, 0, bias_add_infer, bias_add_run},
    {MS, "FusedConv", 1, 0, 2, 4, 1, 1, 0, fused_conv_infer, fused_conv_run},
    {MS, "NhwcConv", 1, 0, 2, 3, 1, 1, 0, nhwc_conv_infer, nhwc_conv_run},
    {MS, "NhwcFusedConv", 1, 0, 2, 4, 1, 1, 0, nhwc_conv_infer, nhwc_conv_run},
    {MS, "NhwcMaxPool", 1, 0, 1, 1, 1, 1, 0, nhwc_maxpool_infer, nhwc_maxpool_run},
    {MS, "ConvTransposeWithDynamicPads", 1, 0, 2, 4, 1, 1, 0, conv_transpose_pads_infer, conv_transpose_pads_run},
    {MS, "GroupNorm", 1, 0, 3, 3, 1, 1, 0, group_norm_infer, group_norm_run},
    {MS, "FusedGemm", 1, 0, 2, 3, 1, 1, 0, fused_gemm_infer, fused_gemm_run},
    {MS, "FusedMatMul", 1, 0, 2, 2, 1, 1, 0, fused_matmul_infer, fused_matmul_run},
    {MS, "TransposeMatMul", 1, 0, 2, 2, 1, 1, 0, fused_matmul_infer, fused_matmul_run},
    {MS, "FusedMatMulActivation", 1, 0, 2, 2, 1, 1, 0, fused_matmul_activation_infer, fused_matmul_activation_run},
    {MS, "GemmFastGelu", 1, 0, 2, 3, 1, 1, 0, gemm_fast_gelu_infer, gemm_fast_gelu_run},
    {MS, "QuantizeLinear", 1, 0, 2, 3, 1, 1, 0, quantize_infer, quantize_run},
    {MS, "DequantizeLinear", 1, 0, 2, 3, 1, 1, 0, dequantize_infer, dequantize_run},
    {MS, "Trilu", 1, 0, 1, 2, 1, 1, OP_INPLACE(0), trilu_infer, trilu_run},
    {MS, "Pad", 1, 0, 2, 3, 1, 1, 0, pad_infer, pad_run},
    {MS, "GatherND", 1, 0, 2, 2, 1, 1, 0, gather_nd_infer, gather_nd_run},
    {MS, "GridSample", 1, 0, 2, 2, 1, 1, 0, grid_sample_infer, grid_sample_run},
    {MS, "Unique", 1, 0, 1, 1, 3, 3, OP_DYNAMIC, NULL, unique_run},
    {MS, "Range", 1, 0, 2, 3, 1, 1, 0, range_infer, range_run},
    {MS, "ExpandDims", 1, 0, 2, 2, 1, 1, 0, expand_dims_infer, expand_dims_run},
    {MS, "IsAllFinite", 1, 0, 1, -1, 1, 1, 0, finite_infer, finite_run},
    {MS, "MatMulInteger16", 1, 0, 2, 2, 1, 1, 0, matmul_integer16_infer, matmul_integer16_run},
    {MS, "MulInteger", 1, 0, 1, 4, 1, 1, 0, mul_integer_infer, mul_integer_run},
    {MS, "ReduceSumInteger", 1, 0, 1, 1, 1, 1, 0, reduce_sum_integer_infer, reduce_sum_integer_run},
    {0}};
