/* ops/legacy: MeanVarianceNormalization, and the experimental operators of ONNX's first versions, which old models
 * hold: Affine, Scale, ImageScaler, ParametricSoftplus, ScaledTanh. */
#include "ops/elementwise.h"

#include <tgmath.h>

#define SOFTPLUS(T, v) (((v) > 0 ? (v) : (T)0) + log1p(exp(-fabs(v))))
ELEM_MAP(affine, p0 *x + p1)
ELEM_MAP(parametric_softplus, p0 *SOFTPLUS(T, p1 *x))
ELEM_MAP(scaled_tanh, p0 *tanh(p1 *x))

static ledge_status affine_run(op_ctx *c) {
  double p[2] = {(double)op_float(c, "alpha", 1), (double)op_float(c, "beta", 0)};
  return elem_map(c, affine_f32, affine_f64, p);
}

static ledge_status scale_run(op_ctx *c) {
  double p[2] = {(double)op_float(c, "scale", 1), 0};
  return elem_map(c, affine_f32, affine_f64, p);
}

static ledge_status parametric_softplus_run(op_ctx *c) {
  double p[2] = {(double)op_float(c, "alpha", 1), (double)op_float(c, "beta", 1)};
  return elem_map(c, parametric_softplus_f32, parametric_softplus_f64, p);
}

static ledge_status scaled_tanh_run(op_ctx *c) {
  double p[2] = {(double)op_float(c, "alpha", 1), (double)op_float(c, "beta", 1)};
  return elem_map(c, scaled_tanh_f32, scaled_tanh_f64, p);
}

/* ---- ImageScaler: y[n, k, ...] = scale x[n, k, ...] + bias[k] ---- */

static ledge_status image_scaler_infer(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  const tensor *x = op_in(c, 0);
  int64_t count;
  op_floats(c, "bias", &count);
  if (x->rank < 2 || (count && count != x->dims[1]))
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld biases do not fit the channels of the input", (long long)count);
  return op_same_shape(c, 0, 0);
}

static ledge_status image_scaler_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t count, planes = tensor_span(x, 0, 2), plane = tensor_span(x, 2, x->rank);
  const float *bias = op_floats(c, "bias", &count);
  double p[2] = {(double)op_float(c, "scale", 1), 0};
  double chunk[ELEM_CHUNK];
  for (int64_t k = 0; y && k < planes; k++) {
    p[1] = count ? (double)bias[k % count] : 0;
    for (int64_t i = 0, n; i < plane; i += n) {
      n = plane - i < ELEM_CHUNK ? plane - i : ELEM_CHUNK;
      elem_load_f64(x->dtype, x->data, k * plane + i, n, chunk);
      affine_f64(chunk, chunk, n, p);
      elem_store_f64(y->dtype, y->data, k * plane + i, n, chunk);
    }
  }
  return LEDGE_OK;
}

/* ---- MeanVarianceNormalization: (x - mean) / (deviation + 1e-9), over the axes ---- */

/* groups: the dims over which one mean stands, each 1 where the axis is normalised. Version 9 lists the axes; before it
 * they are the spatial ones, and the channels too where across_channels is set. */
static ledge_status mvn_groups(op_ctx *c, tensor *groups) {
  const tensor *x = op_in(c, 0);
  tensor_set_shape(groups, LEDGE_F64, x->rank, x->dims);
  if (c->node->version < 9) {
    for (int d = op_int(c, "across_channels", 0) ? 1 : 2; d < x->rank; d++) groups->dims[d] = 1;
    return LEDGE_OK;
  }
  static const int64_t usual[] = {0, 2, 3};
  int64_t count;
  const int64_t *axes = op_ints(c, "axes", &count);
  if (!op_attr_given(c, "axes")) axes = usual, count = 3;
  for (int64_t i = 0; i < count; i++) {
    int axis;
    TRY(op_axis(c, axes[i], x->rank, &axis));
    groups->dims[axis] = 1;
  }
  return LEDGE_OK;
}

static ledge_status mvn_infer(op_ctx *c) {
  tensor groups = {0};
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  TRY(mvn_groups(c, &groups));
  return op_same_shape(c, 0, 0);
}

typedef enum mvn_pass { MVN_MEAN, MVN_VARIANCE, MVN_RESULT } mvn_pass;

/* Over all elements: sums for the means; sums of squares about them; the results. */
static void mvn_walk(const tensor *x, tensor *y, const tensor *groups, mvn_pass pass, double *mean, double *var) {
  int64_t strides[1][LEDGE_MAX_RANK], index[LEDGE_MAX_RANK], at[1];
  elem_bcast b;
  elem_bcast_init(&b, strides, x->rank, x->dims, 1, &groups);
  elem_bcast_seek(&b, 0, index, at);
  double v[ELEM_CHUNK];
  int64_t step = strides[0][b.rank - 1];
  for (int64_t row = 0; row < b.rows; row++, elem_bcast_next(&b, index, at)) {
    for (int64_t i = 0, n; i < b.inner; i += n) {
      n = b.inner - i < ELEM_CHUNK ? b.inner - i : ELEM_CHUNK;
      elem_load_f64(x->dtype, x->data, row * b.inner + i, n, v);
      for (int64_t k = 0; k < n; k++) {
        int64_t g = at[0] + (i + k) * step;
        double d = pass == MVN_MEAN ? v[k] : v[k] - mean[g];
        if (pass == MVN_MEAN)
          mean[g] += d;
        else if (pass == MVN_VARIANCE)
          var[g] += d * d;
        else
          v[k] = d * var[g];
      }
      if (pass == MVN_RESULT) elem_store_f64(y->dtype, y->data, row * b.inner + i, n, v);
    }
  }
}

static ledge_status mvn_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0), groups = {0};
  int64_t total = tensor_elements(x);
  if (!y || !total) return LEDGE_OK;
  TRY(mvn_groups(c, &groups));
  int64_t n = tensor_elements(&groups);
  double *mean = op_scratch(c, (size_t)n, 2 * sizeof *mean), count = (double)(total / n);
  if (!mean) return LEDGE_ERROR_MEMORY;
  double *var = mean + n;
  mvn_walk(x, y, &groups, MVN_MEAN, mean, var);
  for (int64_t g = 0; g < n; g++) mean[g] /= count;
  mvn_walk(x, y, &groups, MVN_VARIANCE, mean, var);
  bool scaled = c->node->version >= 9 || op_int(c, "normalize_variance", 1);
  for (int64_t g = 0; g < n; g++) var[g] = scaled ? 1 / (sqrt(var[g] / count) + 1e-9) : 1;
  mvn_walk(x, y, &groups, MVN_RESULT, mean, var);
  op_scratch_free(mean);
  return LEDGE_OK;
}

#define LEGACY(NAME, infer, run) \
  { "", NAME, 1, 0, 1, 1, 1, 1, OP_INPLACE(0), infer, run }

const op_def ops_legacy[] = {LEGACY("Affine", elem_infer_float, affine_run),
                             LEGACY("Scale", elem_infer_float, scale_run),
                             LEGACY("ImageScaler", image_scaler_infer, image_scaler_run),
                             LEGACY("ParametricSoftplus", elem_infer_float, parametric_softplus_run),
                             LEGACY("ScaledTanh", elem_infer_float, scaled_tanh_run),
                             LEGACY("MeanVarianceNormalization", mvn_infer, mvn_run),
                             {0}};
