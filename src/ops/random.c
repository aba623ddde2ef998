/* ops/random: RandomNormal, RandomUniform, their Like forms, Bernoulli, Multinomial; see draw.h for where numbers come
 * from. Each run draws in the order of the elements, on one thread. */
#include "ops/draw.h"
#include "ops/elementwise.h"

#include <math.h>

static void start(const op_ctx *c, draw *d) {
  const attr *seed = node_attr(c->node, "seed");
  bool seeded = seed && seed->type == ATTR_FLOAT && !isnan(seed->f);
  draw_init(d, c->rng, seeded, seeded ? (double)seed->f : 0);
}

/* The output's dtype: the attribute dtype, or where it is absent `otherwise`. */
static ledge_status output_dtype(op_ctx *c, int64_t otherwise, uint32_t allowed, ledge_dtype *ret) {
  int64_t d = op_int(c, "dtype", otherwise);
  if (!dtype_is_valid(d) || !(DTYPE_BIT(d) & allowed))
    return op_fail(c, LEDGE_ERROR_ARGUMENT, "dtype %lld is no type that it can draw", (long long)d);
  *ret = (ledge_dtype)d;
  return LEDGE_OK;
}

static ledge_status random_infer(op_ctx *c) {
  int64_t rank;
  const int64_t *dims = op_ints(c, "shape", &rank);
  ledge_dtype d = LEDGE_F32;
  TRY(output_dtype(c, LEDGE_F32, DTYPES_FLOAT, &d));
  if (!op_attr_given(c, "shape")) return op_fail(c, LEDGE_ERROR_FORMAT, "the attribute shape is missing");
  if (rank > LEDGE_MAX_RANK)
    return op_fail(c, LEDGE_ERROR_LIMIT, "a rank of %lld is above the limit of %d", (long long)rank, LEDGE_MAX_RANK);
  return op_shape(c, 0, d, (int)rank, dims);
}

static ledge_status random_like_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_ALL));
  const tensor *x = op_in(c, 0);
  ledge_dtype d = LEDGE_F32;
  TRY(output_dtype(c, x->dtype, DTYPES_FLOAT, &d));
  return op_shape(c, 0, d, x->rank, x->dims);
}

/* offset + scale * draw */
static ledge_status fill(op_ctx *c, double (*next)(draw *), double offset, double scale) {
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  draw d;
  start(c, &d);
  int64_t n = tensor_elements(y);
  for (int64_t i = 0; i < n; i++) dtype_store_f64(y->dtype, y->data, i, offset + scale * next(&d));
  return LEDGE_OK;
}

static ledge_status normal_run(op_ctx *c) {
  return fill(c, draw_normal, (double)op_float(c, "mean", 0), (double)op_float(c, "scale", 1));
}

static ledge_status uniform_run(op_ctx *c) {
  double low = (double)op_float(c, "low", 0), high = (double)op_float(c, "high", 1);
  return fill(c, draw_uniform, low, high - low);
}

static ledge_status bernoulli_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  const tensor *x = op_in(c, 0);
  ledge_dtype d = LEDGE_F32;
  TRY(output_dtype(c, x->dtype, DTYPES_NUMERIC | DTYPES_BOOL, &d));
  return op_shape(c, 0, d, x->rank, x->dims);
}

static ledge_status bernoulli_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  draw d;
  start(c, &d);
  int64_t n = tensor_elements(x);
  for (int64_t i = 0; i < n; i++) {
    double p = tensor_f64(x, i);
    if (!(p >= 0 && p <= 1))
      return op_fail(c, LEDGE_ERROR_DATA, "element %lld, %g, is no probability", (long long)i, p);
    dtype_store_i64(y->dtype, y->data, i, draw_bernoulli(&d, p));
  }
  return LEDGE_OK;
}

static ledge_status multinomial_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  const tensor *x = op_in(c, 0);
  ledge_dtype d = LEDGE_I32;
  TRY(output_dtype(c, LEDGE_I32, DTYPE_BIT(LEDGE_I32) | DTYPE_BIT(LEDGE_I64), &d));
  int64_t samples = op_int(c, "sample_size", 1);
  if (x->rank != 2) return op_fail(c, LEDGE_ERROR_SHAPE, "the input's rank is %d instead of 2", x->rank);
  if (samples < 1) return op_fail(c, LEDGE_ERROR_ARGUMENT, "sample_size is %lld", (long long)samples);
  if (x->dims[1] == 0 && x->dims[0]) return op_fail(c, LEDGE_ERROR_SHAPE, "there are no classes to draw from");
  return op_shape(c, 0, d, 2, (const int64_t[]){x->dims[0], samples});
}

/* Samples of one row: its elements are logarithms of probabilities, up to a constant. Each sample walks the sum of
 * e^(x - max) up to a uniform share of it. */
static ledge_status multinomial_row(op_ctx *c, draw *d, int64_t row) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t classes = x->dims[1], samples = y->dims[1], base = row * classes;
  double most = -INFINITY, sum = 0;
  for (int64_t k = 0; k < classes; k++) most = fmax(most, tensor_f64(x, base + k));
  for (int64_t k = 0; k < classes; k++) sum += exp(tensor_f64(x, base + k) - most);
  if (!(sum > 0 && sum < INFINITY))
    return op_fail(c, LEDGE_ERROR_DATA, "row %lld holds no distribution: its elements are not finite", (long long)row);
  for (int64_t s = 0; s < samples; s++) {
    double left = draw_uniform(d) * sum;
    int64_t k = 0;
    for (; k < classes - 1; k++) {
      left -= exp(tensor_f64(x, base + k) - most);
      if (left < 0) break;
    }
    dtype_store_i64(y->dtype, y->data, row * samples + s, k);
  }
  return LEDGE_OK;
}

static ledge_status multinomial_run(op_ctx *c) {
  if (!op_wants(c, 0)) return LEDGE_OK;
  draw d;
  start(c, &d);
  for (int64_t row = 0; row < op_in(c, 0)->dims[0]; row++) TRY(multinomial_row(c, &d, row));
  return LEDGE_OK;
}

const op_def ops_random[] = {
    {"", "RandomNormal", 1, 0, 0, 0, 1, 1, OP_NONDETERMINISTIC, random_infer, normal_run},
    {"", "RandomUniform", 1, 0, 0, 0, 1, 1, OP_NONDETERMINISTIC, random_infer, uniform_run},
    {"", "RandomNormalLike", 1, 0, 1, 1, 1, 1, OP_NONDETERMINISTIC, random_like_infer, normal_run},
    {"", "RandomUniformLike", 1, 0, 1, 1, 1, 1, OP_NONDETERMINISTIC, random_like_infer, uniform_run},
    {"", "Bernoulli", 15, 0, 1, 1, 1, 1, OP_NONDETERMINISTIC, bernoulli_infer, bernoulli_run},
    {"", "Multinomial", 7, 0, 1, 1, 1, 1, OP_NONDETERMINISTIC, multinomial_infer, multinomial_run},
    {0}};
