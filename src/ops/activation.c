/* ops/activation: activation functions, Clip and Dropout.
 *
 * f16 and bf16 are computed in float and rounded once. NaN passes through every function but those that compare only
 * (ThresholdedRelu and Shrink give 0, as numpy's where does). */
#include "ops/draw.h"
#include "ops/elementwise.h"
#include "ops/move_util.h"

#include <float.h>
#include <tgmath.h>

/* Calls a map with two attributes as its parameters. */
static ledge_status map_attrs(op_ctx *c, elem_map_f32 f32, elem_map_f64 f64, const char *name0, float default0,
                              const char *name1, float default1) {
  double p[2] = {name0 ? (double)op_float(c, name0, default0) : 0, name1 ? (double)op_float(c, name1, default1) : 0};
  return elem_map(c, f32, f64, p);
}
#define ACTIVATION(NAME, NAME0, DEFAULT0, NAME1, DEFAULT1, EXPR)                   \
  ELEM_MAP(NAME, EXPR)                                                             \
  static ledge_status NAME##_run(op_ctx *c) {                                      \
    return map_attrs(c, NAME##_f32, NAME##_f64, NAME0, DEFAULT0, NAME1, DEFAULT1); \
  }

/* exp never overflows in these: its argument is not positive. */
#define SIGMOID(T, v) ((v) >= 0 ? 1 / (1 + exp(-(v))) : exp(v) / (1 + exp(v)))
#define SOFTPLUS(T, v) (((v) > 0 ? (v) : (T)0) + log1p(exp(-fabs(v))))
#define MIN0(v) ((v) > 0 ? 0 : (v))
#define CLAMP01(v) ((v) < 0 ? 0 : (v) > 1 ? 1 : (v))

ACTIVATION(leaky_relu, "alpha", 0.01f, NULL, 0, x >= 0 ? x : p0 * x)
ACTIVATION(elu, "alpha", 1, NULL, 0, x > 0 ? x : p0 * expm1(x))
ACTIVATION(celu, "alpha", 1, NULL, 0, (x > 0 ? x : 0) + MIN0(p0 * expm1(x / p0)))
ACTIVATION(thresholded_relu, "alpha", 1, NULL, 0, x > p0 ? x : 0)
ACTIVATION(hard_sigmoid, "alpha", 0.2f, "beta", 0.5f, CLAMP01(p0 *x + p1))
ACTIVATION(swish, "alpha", 1, NULL, 0, x *SIGMOID(T, p0 *x))
ELEM_MAP(selu, p1 *(x > 0 ? x : p0 * expm1(x)))
ELEM_UNARY(sigmoid, SIGMOID(T, x))
ELEM_UNARY(hard_swish, x *CLAMP01(x / 6 + (T)0.5))
ELEM_UNARY(softplus, SOFTPLUS(T, x))
ELEM_UNARY(softsign, x / (1 + fabs(x)))
ELEM_UNARY(mish, x *tanh(SOFTPLUS(T, x)))
ELEM_MAP(gelu, (T)0.5 * x * (1 + erf(x * (T)0.70710678118654752440)))
ELEM_MAP(gelu_tanh, (T)0.5 * x * (1 + tanh((T)0.79788456080286535588 * (x + (T)0.044715 * x * x * x))))
ELEM_MAP(relu, x < 0 ? 0 : x)
ELEM_MAP(shrink, x<-p0 ? x + p1 : x> p0 ? x - p1 : 0)
ELEM_MAP(clip, (x < p0 ? p0 : x) > p1 ? p1 : (x < p0 ? p0 : x))

static ledge_status selu_run(op_ctx *c) {
  bool first = c->node->version < 6; /* its defaults have fewer digits */
  return map_attrs(c, selu_f32, selu_f64, "alpha", first ? 1.6732f : 1.67326319217681884765625f, "gamma",
                   first ? 1.0507f : 1.05070102214813232421875f);
}

static ledge_status gelu_infer(op_ctx *c) {
  TRY(elem_infer_float(c));
  if (op_string_is(c, "approximate", "none", "none") || op_string_is(c, "approximate", "none", "tanh")) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_ARGUMENT, "approximate is neither \"none\" nor \"tanh\"");
}

static ledge_status gelu_run(op_ctx *c) {
  bool approximate = op_string_is(c, "approximate", "none", "tanh");
  return approximate ? elem_map(c, gelu_tanh_f32, gelu_tanh_f64, NULL) : elem_map(c, gelu_f32, gelu_f64, NULL);
}

/* ---- with integers: Relu, Shrink, Clip ---- */

static void relu_i64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

static ledge_status relu_run(op_ctx *c) {
  ledge_dtype d = op_in(c, 0)->dtype;
  if (dtype_is_float(d)) return elem_map(c, relu_f32, relu_f64, NULL);
  if (DTYPE_BIT(d) & DTYPES_UNSIGNED) return op_wants(c, 0) ? move_all(c, op_out(c, 0), op_in(c, 0)) : LEDGE_OK;
  return elem_map_int(c, relu_i64, NULL);
}

static ledge_status shrink_run(op_ctx *c) {
  double p[2] = {(double)op_float(c, "lambd", 0.5f), (double)op_float(c, "bias", 0)};
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (dtype_is_float(x->dtype) || !y) return elem_map(c, shrink_f32, shrink_f64, p);
  double chunk[ELEM_CHUNK];
  int64_t total = tensor_elements(x);
  for (int64_t at = 0, n; at < total; at += n) {
    n = total - at < ELEM_CHUNK ? total - at : ELEM_CHUNK;
    elem_load_f64(x->dtype, x->data, at, n, chunk);
    shrink_f64(chunk, chunk, n, p);
    elem_store_f64(y->dtype, y->data, at, n, chunk);
  }
  return LEDGE_OK;
}

/* Before version 11 the bounds are attributes. */
static ledge_status clip_attrs_run(op_ctx *c) {
  return map_attrs(c, clip_f32, clip_f64, "min", -FLT_MAX, "max", FLT_MAX);
}

static ledge_status clip_infer(op_ctx *c) {
  TRY(elem_infer_numeric(c));
  for (int i = 1; i < 3; i++) {
    TRY(elem_check_scalar(c, i));
    TRY(elem_check_same(c, i));
  }
  return LEDGE_OK;
}

static void clip_i64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  for (int64_t i = 0; i < n; i++) {
    int64_t v = x[i] < p[0] ? p[0] : x[i];
    y[i] = v > p[1] ? p[1] : v;
  }
}

static void clip_u64(const int64_t *x, int64_t *y, int64_t n, const int64_t *p) {
  uint64_t low = (uint64_t)p[0], high = (uint64_t)p[1];
  for (int64_t i = 0; i < n; i++) {
    uint64_t v = (uint64_t)x[i] < low ? low : (uint64_t)x[i];
    y[i] = (int64_t)(v > high ? high : v);
  }
}

static ledge_status clip_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *low = op_in(c, 1), *high = op_in(c, 2);
  if (dtype_is_float(x->dtype)) {
    double p[2] = {low ? tensor_f64(low, 0) : -INFINITY, high ? tensor_f64(high, 0) : INFINITY};
    return elem_map(c, clip_f32, clip_f64, p);
  }
  bool u64 = x->dtype == LEDGE_U64;
  int64_t p[2] = {low ? tensor_i64(low, 0) : u64 ? 0 : INT64_MIN, high ? tensor_i64(high, 0) : u64 ? -1 : INT64_MAX};
  return elem_map_int(c, u64 ? clip_u64 : clip_i64, p);
}

/* ---- PRelu, SwiGLU: two tensors ---- */

ELEM_LOOP(prelu_f32, float, float, float, a < 0 ? a * b : a)
ELEM_LOOP(prelu_f64, double, double, double, a < 0 ? a * b : a)
ELEM_LOOP(prelu_i64, int64_t, int64_t, int64_t, a < 0 ? (uint64_t)a * (uint64_t)b : (uint64_t)a)
static const elem_table prelu_table = {[LEDGE_F32] = prelu_f32, [LEDGE_F64] = prelu_f64, [LEDGE_I64] = prelu_i64};

/* The slope's shape as it stands against x. Before version 7 a list of slopes belongs to axis 1; models of later
 * versions that still say it so are understood where nothing else fits. */
static ledge_status prelu_slope(op_ctx *c, tensor *slope) {
  const tensor *x = op_in(c, 0), *s = op_in(c, 1);
  *slope = *s;
  int64_t dims[LEDGE_MAX_RANK], n = tensor_elements(s);
  bool fits = shape_broadcast(x->rank, x->dims, s->rank, s->dims, dims) == x->rank &&
              shape_equal(x->rank, x->dims, x->rank, dims);
  if (n == 1) {
    slope->rank = 0;
    return LEDGE_OK;
  }
  if (s->rank == 1 && x->rank > 1 && x->dims[1] == n && (c->node->version < 7 || !fits)) {
    for (int d = 0; d < x->rank; d++) slope->dims[d] = d == 1 ? n : 1;
    slope->rank = x->rank;
    return LEDGE_OK;
  }
  if (fits) return LEDGE_OK;
  char a[256], b[256];
  return op_fail(c, LEDGE_ERROR_SHAPE, "the slope of shape %s does not broadcast to the input's shape %s",
                 shape_print(s->rank, s->dims, a, sizeof a), shape_print(x->rank, x->dims, b, sizeof b));
}

static ledge_status prelu_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_NUMERIC));
  TRY(elem_check_same(c, 1));
  tensor slope;
  TRY(prelu_slope(c, &slope));
  return op_same_shape(c, 0, 0);
}

static ledge_status prelu_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  if (!op_wants(c, 0)) return LEDGE_OK;
  if (DTYPE_BIT(x->dtype) & DTYPES_UNSIGNED) return move_all(c, op_out(c, 0), x);
  ledge_dtype d = elem_table_dtype(prelu_table, x->dtype);
  tensor slope;
  TRY(prelu_slope(c, &slope));
  elem_binary e = {prelu_table[d], d, d, x, op_in(c, 1), op_out(c, 0)};
  elem_binary_run(&e, &slope, c->pool);
  return LEDGE_OK;
}

static ledge_status swiglu_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  TRY(elem_check_same(c, 1));
  if (!tensor_same_shape(op_in(c, 0), op_in(c, 1)))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the inputs have different shapes, and this operator does not broadcast");
  return op_same_shape(c, 0, 0);
}

/* swish(a) * b, in float (f64: double): the product is rounded once with the rest. */
static ledge_status swiglu_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  tensor *y = op_out(c, 0);
  double p[2] = {(double)op_float(c, "alpha", 1), 0};
  int64_t total = y ? tensor_elements(a) : 0;
  float af[ELEM_CHUNK], bf[ELEM_CHUNK];
  double ad[ELEM_CHUNK], bd[ELEM_CHUNK];
  for (int64_t at = 0, n; at < total; at += n) {
    n = total - at < ELEM_CHUNK ? total - at : ELEM_CHUNK;
    if (a->dtype == LEDGE_F64) {
      elem_load_f64(a->dtype, a->data, at, n, ad);
      elem_load_f64(b->dtype, b->data, at, n, bd);
      swish_f64(ad, ad, n, p);
      for (int64_t i = 0; i < n; i++) ad[i] *= bd[i];
      elem_store_f64(y->dtype, y->data, at, n, ad);
    } else {
      elem_load_f32(a->dtype, a->data, at, n, af);
      elem_load_f32(b->dtype, b->data, at, n, bf);
      swish_f32(af, af, n, p);
      for (int64_t i = 0; i < n; i++) af[i] *= bf[i];
      elem_store_f32(y->dtype, y->data, at, n, af);
    }
  }
  return LEDGE_OK;
}

/* ---- Dropout ---- */

/* Output 1, the mask, is of the data's dtype before version 10, bool from then on. */
static ledge_status dropout_infer(op_ctx *c) {
  const uint32_t floats = DTYPES_FLOAT | DTYPES_F8;
  TRY(elem_check(c, 0, floats));
  for (int i = 1; i < 3; i++) {
    TRY(elem_check_scalar(c, i));
    if (op_has(c, i)) TRY(elem_check(c, i, i == 1 ? floats : DTYPES_BOOL));
  }
  const tensor *x = op_in(c, 0);
  TRY(op_same_shape(c, 0, 0));
  return op_shape(c, 1, c->node->version < 10 ? x->dtype : LEDGE_BOOL, x->rank, x->dims);
}

/* Drops each element with probability `ratio`, scales the others by 1 / (1 - ratio). */
static void dropout_train(op_ctx *c, double ratio) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0), *mask = op_out(c, 1);
  const attr *seed = node_attr(c->node, "seed");
  draw d;
  draw_init(&d, c->rng, seed && seed->type == ATTR_INT, seed && seed->type == ATTR_INT ? (double)seed->i : 0);
  double scale = 1 / (1 - ratio), chunk[ELEM_CHUNK], keep[ELEM_CHUNK];
  int64_t total = tensor_elements(x);
  for (int64_t at = 0, n; at < total; at += n) {
    n = total - at < ELEM_CHUNK ? total - at : ELEM_CHUNK;
    elem_load_f64(x->dtype, x->data, at, n, chunk);
    for (int64_t i = 0; i < n; i++) {
      keep[i] = draw_uniform(&d) >= ratio;
      chunk[i] = keep[i] > 0 ? chunk[i] * scale : 0;
    }
    if (y) elem_store_f64(y->dtype, y->data, at, n, chunk);
    if (mask) elem_store_f64(mask->dtype, mask->data, at, n, keep);
  }
}

static ledge_status dropout_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *ratio_in = op_in(c, 1), *training_in = op_in(c, 2);
  int version = c->node->version;
  bool training =
      version < 7 ? op_int(c, "is_test", 0) == 0 : version >= 12 && training_in && tensor_i64(training_in, 0);
  double ratio = ratio_in ? tensor_f64(ratio_in, 0) : (double)op_float(c, "ratio", 0.5f);
  if (training && !(ratio >= 0 && ratio < 1))
    return op_fail(c, LEDGE_ERROR_DATA, "the ratio %g is outside of [0, 1)", ratio);
  if (training && ratio > 0) {
    dropout_train(c, ratio);
    return LEDGE_OK;
  }
  tensor *y = op_out(c, 0), *mask = op_out(c, 1);
  int64_t n = tensor_elements(x);
  if (y) TRY(move_all(c, y, x));
  for (int64_t i = 0; mask && i < n; i++) dtype_store_f64(mask->dtype, mask->data, i, 1);
  return LEDGE_OK;
}

#define FLOAT_ROW(NAME, SINCE, run) \
  { "", NAME, SINCE, 0, 1, 1, 1, 1, OP_INPLACE(0), elem_infer_float, run }

const op_def ops_activation[] = {
    {"", "Relu", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), elem_infer_numeric, relu_run},
    FLOAT_ROW("LeakyRelu", 1, leaky_relu_run),
    {"", "PRelu", 1, 0, 2, 2, 1, 1, OP_INPLACE(0), prelu_infer, prelu_run},
    FLOAT_ROW("Elu", 1, elu_run),
    FLOAT_ROW("Selu", 1, selu_run),
    FLOAT_ROW("Celu", 12, celu_run),
    FLOAT_ROW("ThresholdedRelu", 1, thresholded_relu_run),
    FLOAT_ROW("Sigmoid", 1, sigmoid_run),
    FLOAT_ROW("HardSigmoid", 1, hard_sigmoid_run),
    FLOAT_ROW("HardSwish", 14, hard_swish_run),
    FLOAT_ROW("Softplus", 1, softplus_run),
    FLOAT_ROW("Softsign", 1, softsign_run),
    FLOAT_ROW("Mish", 18, mish_run),
    {"", "Gelu", 20, 0, 1, 1, 1, 1, OP_INPLACE(0), gelu_infer, gelu_run},
    FLOAT_ROW("Swish", 24, swish_run),
    {"", "SwiGLU", 28, 0, 2, 2, 1, 1, OP_INPLACE(0) | OP_INPLACE(1), swiglu_infer, swiglu_run},
    {"", "Shrink", 9, 0, 1, 1, 1, 1, OP_INPLACE(0), elem_infer_numeric, shrink_run},
    {"", "Clip", 1, 10, 1, 1, 1, 1, OP_INPLACE(0), elem_infer_float, clip_attrs_run},
    {"", "Clip", 11, 0, 1, 3, 1, 1, OP_INPLACE(0), clip_infer, clip_run},
    {"", "Dropout", 1, 11, 1, 1, 1, 2, OP_INPLACE(0) | OP_NONDETERMINISTIC, dropout_infer, dropout_run},
    {"", "Dropout", 12, 0, 1, 3, 1, 2, OP_INPLACE(0) | OP_NONDETERMINISTIC, dropout_infer, dropout_run},
    {0}};
