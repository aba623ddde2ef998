/* ops/ml_linear: ai.onnx.ml's linear models and what prepares features: LinearClassifier, LinearRegressor, Scaler,
 * Normalizer, Binarizer, Imputer, FeatureVectorizer, ArrayFeatureExtractor. Sums run in double. */
#include "ops/ml_util.h"

#include <math.h>

/* ---- LinearRegressor, LinearClassifier ---- */

enum { LINEAR_FEW = 512 }; /* numbers and scores of a row that lie on the stack */

typedef struct linear {
  int64_t n, features, outputs; /* rows; numbers a row; scores a row */
  const float *weights, *bias;  /* [outputs, features], [outputs] or NULL */
  ml_post post;
  ml_labels labels; /* LinearClassifier */
  bool mirrored;    /* one score for two classes: the other is its negative */
} linear;

static ledge_status linear_read(op_ctx *c, linear *m, bool classifier) {
  int64_t n_weights, n_bias;
  *m = (linear){0};
  TRY(ml_rows(c, &m->n, &m->features));
  TRY(ml_post_read(c, &m->post));
  m->weights = op_floats(c, "coefficients", &n_weights);
  m->bias = op_floats(c, "intercepts", &n_bias);
  if (classifier)
    m->outputs = m->features ? n_weights / m->features : n_bias;
  else
    m->outputs = op_int(c, "targets", 1);
  if (m->outputs < 1 || m->outputs > INT32_MAX || m->features > INT32_MAX || n_weights != m->outputs * m->features)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld coefficients do not fit %lld features", (long long)n_weights,
                   (long long)m->features);
  if (n_bias && n_bias != m->outputs)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld intercepts are given for %lld scores", (long long)n_bias,
                   (long long)m->outputs);
  if (!n_bias) m->bias = NULL;
  if (!classifier) return LEDGE_OK;
  TRY(ml_labels_read(c, "classlabels_ints", "classlabels_strings", &m->labels));
  m->mirrored = m->outputs == 1 && m->labels.n == 2;
  return LEDGE_OK;
}

static void linear_scores(const linear *m, const double *x, double *scores) {
  for (int64_t k = 0; k < m->outputs; k++) {
    double sum = m->bias ? m->bias[k] : 0;
    for (int64_t i = 0; i < m->features; i++) sum += x[i] * m->weights[k * m->features + i];
    scores[k] = sum;
  }
}

static ledge_status regressor_infer(op_ctx *c) {
  linear m;
  TRY(linear_read(c, &m, false));
  return op_shape(c, 0, LEDGE_F32, 2, (int64_t[]){m.n, m.outputs});
}

static ledge_status regressor_run(op_ctx *c) {
  linear m;
  TRY(linear_read(c, &m, false));
  float *y = op_out(c, 0)->data;
  double few[LINEAR_FEW],
      *x = m.features + m.outputs <= LINEAR_FEW ? few : op_scratch(c, (size_t)(m.features + m.outputs), sizeof *x);
  if (!x) return LEDGE_ERROR_MEMORY;
  double *scores = x + m.features;
  for (int64_t r = 0; r < m.n; r++) {
    ml_row(op_in(c, 0), r, m.features, x);
    linear_scores(&m, x, scores);
    ml_post_apply(m.post, scores, m.outputs);
    for (int64_t k = 0; k < m.outputs; k++) y[r * m.outputs + k] = (float)scores[k];
  }
  if (x != few) op_scratch_free(x);
  return LEDGE_OK;
}

static ledge_status classifier_infer(op_ctx *c) {
  linear m;
  TRY(linear_read(c, &m, true));
  TRY(op_shape(c, 0, ml_labels_dtype(&m.labels), 1, &m.n));
  return op_shape(c, 1, LEDGE_F32, 2, (int64_t[]){m.n, m.outputs + m.mirrored});
}

/* Which label: the highest score; of a single score, whether it is on the positive side. */
static int64_t classifier_top(const linear *m, const double *scores, int64_t n) {
  if (n == 1) return scores[0] >= (m->post == ML_NONE ? 0 : 0.5) ? 0 : -1;
  int64_t top = 0;
  for (int64_t k = 1; k < n; k++)
    if (scores[k] > scores[top]) top = k;
  return top;
}

static ledge_status classifier_label(op_ctx *c, const linear *m, int64_t top, int64_t r) {
  tensor *labels = op_out(c, 0);
  if (top >= 0 || !labels) return ml_labels_put(c, &m->labels, top, labels, r);
  if (labels->dtype == LEDGE_STRING) return tensor_put_string(labels, r, "", 0, c->error);
  ((int64_t *)labels->data)[r] = 0;
  return LEDGE_OK;
}

static ledge_status classifier_run(op_ctx *c) {
  linear m;
  TRY(linear_read(c, &m, true));
  tensor *z = op_out(c, 1);
  int64_t n = m.outputs + m.mirrored;
  double few[LINEAR_FEW], *x = m.features + n <= LINEAR_FEW ? few : op_scratch(c, (size_t)(m.features + n), sizeof *x);
  if (!x) return LEDGE_ERROR_MEMORY;
  double *scores = x + m.features;
  ledge_status status = LEDGE_OK;
  for (int64_t r = 0; !status && r < m.n; r++) {
    ml_row(op_in(c, 0), r, m.features, x);
    linear_scores(&m, x, scores);
    if (m.mirrored) scores[1] = scores[0], scores[0] = -scores[1];
    ml_post_apply(m.post, scores, n);
    for (int64_t k = 0; z && k < n; k++) ((float *)z->data)[r * n + k] = (float)scores[k];
    status = classifier_label(c, &m, classifier_top(&m, scores, n), r);
  }
  if (x != few) op_scratch_free(x);
  return status;
}

/* ---- Scaler: (x - offset) * scale; lists of one number or of one for each feature ---- */

static ledge_status scaler_lists(op_ctx *c, const float **offset, int64_t *n_offset, const float **scale,
                                 int64_t *n_scale, int64_t *features) {
  const tensor *x = op_in(c, 0);
  *features = x->rank ? x->dims[x->rank - 1] : 1;
  *offset = op_floats(c, "offset", n_offset);
  *scale = op_floats(c, "scale", n_scale);
  if ((*n_offset > 1 && *n_offset != *features) || (*n_scale > 1 && *n_scale != *features))
    return op_fail(c, LEDGE_ERROR_SHAPE, "offset and scale have %lld and %lld entries for %lld features",
                   (long long)*n_offset, (long long)*n_scale, (long long)*features);
  return LEDGE_OK;
}

static ledge_status numeric_in(op_ctx *c) {
  ledge_dtype d = op_in(c, 0)->dtype;
  return d == LEDGE_F32 || d == LEDGE_F64 || d == LEDGE_I32 || d == LEDGE_I64 ? LEDGE_OK : op_fail_dtype(c, 0);
}

static ledge_status scaler_infer(op_ctx *c) {
  const float *offset, *scale;
  int64_t n_offset, n_scale, features;
  TRY(numeric_in(c));
  TRY(scaler_lists(c, &offset, &n_offset, &scale, &n_scale, &features));
  return op_shape(c, 0, LEDGE_F32, op_in(c, 0)->rank, op_in(c, 0)->dims);
}

static ledge_status scaler_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  const float *offset, *scale;
  int64_t n_offset, n_scale, features, n = tensor_elements(x);
  TRY(scaler_lists(c, &offset, &n_offset, &scale, &n_scale, &features));
  float *y = op_out(c, 0)->data;
  for (int64_t i = 0; i < n; i++) {
    int64_t f = i % features;
    double o = n_offset ? offset[n_offset > 1 ? f : 0] : 0, s = n_scale ? scale[n_scale > 1 ? f : 0] : 1;
    y[i] = (float)((tensor_f64(x, i) - o) * s);
  }
  return LEDGE_OK;
}

/* ---- Normalizer ---- */

static ledge_status normalizer_infer(op_ctx *c) {
  int64_t n, features;
  TRY(ml_rows(c, &n, &features));
  if (!op_string_is(c, "norm", "MAX", "MAX") && !op_string_is(c, "norm", "MAX", "L1") &&
      !op_string_is(c, "norm", "MAX", "L2"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "norm is none of MAX, L1 and L2");
  return op_shape(c, 0, LEDGE_F32, op_in(c, 0)->rank, op_in(c, 0)->dims);
}

static ledge_status normalizer_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  float *y = op_out(c, 0)->data;
  int64_t n, features;
  TRY(ml_rows(c, &n, &features));
  bool l1 = op_string_is(c, "norm", "MAX", "L1"), l2 = op_string_is(c, "norm", "MAX", "L2");
  for (int64_t r = 0; features && r < n; r++) {
    double norm = l1 || l2 ? 0 : -INFINITY;
    for (int64_t i = 0; i < features; i++) {
      double v = tensor_f64(x, r * features + i);
      if (l1)
        norm += fabs(v);
      else if (l2)
        norm += v * v;
      else
        norm = v > norm ? v : norm;
    }
    if (l2) norm = sqrt(norm);
    for (int64_t i = 0; i < features; i++) {
      double v = tensor_f64(x, r * features + i);
      y[r * features + i] = (float)(norm == 0 ? v : v / norm);
    }
  }
  return LEDGE_OK;
}

/* ---- Binarizer ---- */

static ledge_status binarizer_infer(op_ctx *c) {
  TRY(numeric_in(c));
  return op_same_shape(c, 0, 0);
}

static ledge_status binarizer_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(x);
  double threshold = op_float(c, "threshold", 0);
  for (int64_t i = 0; i < n; i++) dtype_store_i64(y->dtype, y->data, i, tensor_f64(x, i) > threshold);
  return LEDGE_OK;
}

/* ---- Imputer ---- */

typedef struct imputer {
  const float *floats;
  const int64_t *ints;
  int64_t n, features, wanted_int; /* replacements; numbers in the last dim; what is replaced */
  double wanted;
} imputer;

static ledge_status imputer_read(op_ctx *c, imputer *m) {
  const tensor *x = op_in(c, 0);
  int64_t n_floats, n_ints;
  *m = (imputer){.floats = op_floats(c, "imputed_value_floats", &n_floats),
                 .ints = op_ints(c, "imputed_value_int64s", &n_ints),
                 .features = x->rank ? x->dims[x->rank - 1] : 1,
                 .wanted_int = op_int(c, "replaced_value_int64", 0),
                 .wanted = op_float(c, "replaced_value_float", 0)};
  bool whole = dtype_is_integer(x->dtype);
  m->n = whole ? n_ints : n_floats;
  if (m->n != 1 && (m->n != m->features || m->n == 0))
    return op_fail(c, LEDGE_ERROR_SHAPE, "%s has %lld entries for %lld features",
                   whole ? "imputed_value_int64s" : "imputed_value_floats", (long long)m->n, (long long)m->features);
  return LEDGE_OK;
}

static ledge_status imputer_infer(op_ctx *c) {
  imputer m;
  TRY(numeric_in(c));
  TRY(imputer_read(c, &m));
  return op_same_shape(c, 0, 0);
}

static ledge_status imputer_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  imputer m;
  TRY(imputer_read(c, &m));
  int64_t n = tensor_elements(x);
  bool whole = dtype_is_integer(x->dtype);
  for (int64_t i = 0; i < n; i++) {
    int64_t k = m.n == 1 ? 0 : i % m.features;
    if (whole) {
      int64_t v = tensor_i64(x, i);
      dtype_store_i64(y->dtype, y->data, i, v == m.wanted_int ? m.ints[k] : v);
    } else {
      double v = tensor_f64(x, i);
      bool hit = v == m.wanted || (v != v && m.wanted != m.wanted);
      dtype_store_f64(y->dtype, y->data, i, hit ? m.floats[k] : v);
    }
  }
  return LEDGE_OK;
}

/* ---- FeatureVectorizer: inputs [N, C] (a vector is [1, C]) side by side, each cut or filled with 0 to its declared
 * size ---- */

static ledge_status vectorizer_width(op_ctx *c, int i, int64_t *ret) {
  int64_t n;
  const int64_t *sizes = op_ints(c, "inputdimensions", &n);
  const tensor *x = op_in(c, i);
  *ret = i < n ? sizes[i] : x->dims[x->rank - 1];
  if (*ret < 0) return op_fail(c, LEDGE_ERROR_FORMAT, "inputdimensions[%d] is %lld", i, (long long)*ret);
  return LEDGE_OK;
}

static ledge_status vectorizer_infer(op_ctx *c) {
  int64_t rows = -1, total = 0, width;
  for (int i = 0; i < c->n_in; i++) {
    const tensor *x = op_in(c, i);
    if (!x) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is left out", i);
    if (!dtype_is_integer(x->dtype) && !dtype_is_float(x->dtype)) return op_fail_dtype(c, i);
    if (x->rank != 1 && x->rank != 2)
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has rank %d instead of 1 or 2", i, x->rank);
    int64_t n = x->rank == 1 ? 1 : x->dims[0];
    if (rows >= 0 && n != rows)
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has %lld rows, but input 0 has %lld", i, (long long)n,
                     (long long)rows);
    rows = n;
    TRY(vectorizer_width(c, i, &width));
    if (__builtin_add_overflow(total, width, &total))
      return op_fail(c, LEDGE_ERROR_SHAPE, "the output's shape overflows");
  }
  return op_shape(c, 0, LEDGE_F32, 2, (int64_t[]){rows, total});
}

static ledge_status vectorizer_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  float *out = y->data;
  int64_t rows = y->dims[0], total = y->dims[1], at = 0, width;
  for (int i = 0; total && i < c->n_in; i++) {
    const tensor *x = op_in(c, i);
    int64_t have = x->dims[x->rank - 1];
    TRY(vectorizer_width(c, i, &width));
    for (int64_t r = 0; r < rows; r++)
      for (int64_t k = 0; k < width; k++) out[r * total + at + k] = k < have ? (float)tensor_f64(x, r * have + k) : 0;
    at += width;
  }
  return LEDGE_OK;
}

/* ---- ArrayFeatureExtractor ---- */

static ledge_status extractor_infer(op_ctx *c) {
  TRY(move_index_dtype(c, 1));
  const tensor *x = op_in(c, 0);
  int64_t dims[LEDGE_MAX_RANK] = {1, 0}, n = tensor_elements(op_in(c, 1));
  if (x->rank < 1) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has no axis");
  if (x->rank == 1) dims[1] = n;
  if (x->rank == 1) return op_shape(c, 0, x->dtype, 2, dims);
  return op_last_dim(c, 0, 0, n);
}

static ledge_status extractor_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *indices = op_in(c, 1);
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(indices), row = x->dims[x->rank - 1], rows = tensor_span(x, 0, x->rank - 1), at;
  for (int64_t r = 0; n && r < rows; r++) {
    for (int64_t k = 0; k < n; k++) {
      TRY(move_index(c, indices, k, row, &at));
      TRY(move_run(c, y, r * n + k, x, r * row + at, 1));
    }
  }
  return LEDGE_OK;
}

#define ML "ai.onnx.ml"
const op_def ops_ml_linear[] = {{ML, "LinearRegressor", 1, 0, 1, 1, 1, 1, 0, regressor_infer, regressor_run},
                                {ML, "LinearClassifier", 1, 0, 1, 1, 1, 2, 0, classifier_infer, classifier_run},
                                {ML, "Scaler", 1, 0, 1, 1, 1, 1, 0, scaler_infer, scaler_run},
                                {ML, "Normalizer", 1, 0, 1, 1, 1, 1, 0, normalizer_infer, normalizer_run},
                                {ML, "Binarizer", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), binarizer_infer, binarizer_run},
                                {ML, "Imputer", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), imputer_infer, imputer_run},
                                {ML, "FeatureVectorizer", 1, 0, 1, -1, 1, 1, 0, vectorizer_infer, vectorizer_run},
                                {ML, "ArrayFeatureExtractor", 1, 0, 2, 2, 1, 1, 0, extractor_infer, extractor_run},
                                {0}};
