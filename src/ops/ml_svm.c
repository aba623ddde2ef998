/* ops/ml_svm: ai.onnx.ml's support vector machines: SVMRegressor, SVMClassifier.
 *
 * With support vectors, each pair of classes (i < j) has a score: rho + the sum over the vectors of both of coefficient
 * x kernel; the sign is a vote for i or j. Without them (liblinear) each class has a score that is linear in x. Where
 * prob_a and prob_b are given, the pairs' scores become probabilities of the classes (T.-F. Wu, C.-J. Lin, R. C. Weng,
 * "Probability estimates for multi-class classification by pairwise coupling", 2004, second method). */
#include "ops/ml_util.h"

#include <math.h>

typedef struct svm {
  enum { KERNEL_LINEAR, KERNEL_POLY, KERNEL_RBF, KERNEL_SIGMOID } kernel;
  double gamma, coef0, degree;
  const float *coefficients, *vectors, *rho, *prob_a, *prob_b;
  int64_t n_coefficients, n_vector_numbers, n_rho, n_prob;
  int64_t rows, features, n_vectors; /* n_vectors 0: linear */
  ml_post post;
  /* classifiers */
  ml_labels labels;
  const int64_t *per_class;
  int64_t n_classes, n_pairs;
  bool all_positive;
} svm;

static ledge_status svm_read(op_ctx *c, svm *m) {
  static const char *const kernels[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
  int64_t n;
  *m = (svm){0};
  TRY(ml_rows(c, &m->rows, &m->features));
  TRY(ml_post_read(c, &m->post));
  int kernel = -1;
  for (int i = 0; i < 4; i++)
    if (op_string_is(c, "kernel_type", "LINEAR", kernels[i])) kernel = i;
  if (kernel < 0) return op_fail(c, LEDGE_ERROR_FORMAT, "kernel_type is none of LINEAR, POLY, RBF and SIGMOID");
  m->kernel = kernel;
  const float *params = op_floats(c, "kernel_params", &n);
  if (n && n != 3) return op_fail(c, LEDGE_ERROR_FORMAT, "kernel_params has %lld entries instead of 3", (long long)n);
  if (n) m->gamma = params[0], m->coef0 = params[1], m->degree = trunc(params[2]);
  m->coefficients = op_floats(c, "coefficients", &m->n_coefficients);
  m->vectors = op_floats(c, "support_vectors", &m->n_vector_numbers);
  m->rho = op_floats(c, "rho", &m->n_rho);
  if (m->n_rho < 1) return op_fail(c, LEDGE_ERROR_FORMAT, "rho is missing");
  return LEDGE_OK;
}

/* Fails unless `have` is n x each. */
static ledge_status svm_size(op_ctx *c, const char *what, int64_t have, int64_t n, int64_t each) {
  int64_t want;
  if (!__builtin_mul_overflow(n, each, &want) && want == have) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "%s has %lld entries; %lld x %lld are needed", what, (long long)have,
                 (long long)n, (long long)each);
}

static double svm_kernel(const svm *m, const double *x, const float *v) {
  double dot = 0;
  if (m->kernel == KERNEL_RBF) {
    for (int64_t i = 0; i < m->features; i++) dot += (x[i] - v[i]) * (x[i] - v[i]);
    return exp(-m->gamma * dot);
  }
  for (int64_t i = 0; i < m->features; i++) dot += x[i] * v[i];
  if (m->kernel == KERNEL_POLY) return pow(m->gamma * dot + m->coef0, m->degree);
  return m->kernel == KERNEL_SIGMOID ? tanh(m->gamma * dot + m->coef0) : dot;
}

/* ---- SVMRegressor ---- */

static ledge_status regressor_read(op_ctx *c, svm *m) {
  TRY(svm_read(c, m));
  m->n_vectors = op_int(c, "n_supports", 0);
  if (m->n_vectors < 0) return op_fail(c, LEDGE_ERROR_FORMAT, "n_supports is %lld", (long long)m->n_vectors);
  if (!m->n_vectors) {
    m->kernel = KERNEL_LINEAR;
    return svm_size(c, "coefficients", m->n_coefficients, 1, m->features);
  }
  TRY(svm_size(c, "coefficients", m->n_coefficients, 1, m->n_vectors));
  return svm_size(c, "support_vectors", m->n_vector_numbers, m->n_vectors, m->features);
}

static ledge_status regressor_infer(op_ctx *c) {
  svm m;
  TRY(regressor_read(c, &m));
  return op_shape(c, 0, LEDGE_F32, 2, (int64_t[]){m.rows, 1});
}

static ledge_status regressor_run(op_ctx *c) {
  svm m;
  TRY(regressor_read(c, &m));
  float *y = op_out(c, 0)->data;
  bool one_class = op_int(c, "one_class", 0) != 0;
  double *x = op_scratch(c, (size_t)m.features, sizeof *x);
  if (!x) return LEDGE_ERROR_MEMORY;
  for (int64_t r = 0; r < m.rows; r++) {
    ml_row(op_in(c, 0), r, m.features, x);
    double s = m.rho[0];
    if (!m.n_vectors) s += svm_kernel(&m, x, m.coefficients);
    for (int64_t k = 0; k < m.n_vectors; k++) s += m.coefficients[k] * svm_kernel(&m, x, m.vectors + k * m.features);
    if (one_class) s = s > 0 ? 1 : -1;
    ml_post_apply(m.post, &s, 1);
    y[r] = (float)s;
  }
  op_scratch_free(x);
  return LEDGE_OK;
}

/* ---- SVMClassifier ---- */

enum { SVM_CLASSES_MAX = 1 << 15 }; /* so that the pairs of classes can be counted */

static ledge_status classifier_read(op_ctx *c, svm *m) {
  int64_t n_per_class, n_prob_b;
  TRY(svm_read(c, m));
  TRY(ml_labels_read(c, "classlabels_ints", "classlabels_strings", &m->labels));
  m->n_classes = m->labels.n ? m->labels.n : 1;
  if (m->n_classes > SVM_CLASSES_MAX)
    return op_fail(c, LEDGE_ERROR_LIMIT, "%lld classes are too many", (long long)m->n_classes);
  m->per_class = op_ints(c, "vectors_per_class", &n_per_class);
  for (int64_t i = 0; i < n_per_class; i++)
    if (m->per_class[i] < 0 || __builtin_add_overflow(m->n_vectors, m->per_class[i], &m->n_vectors))
      return op_fail(c, LEDGE_ERROR_FORMAT, "vectors_per_class[%lld] is %lld", (long long)i,
                     (long long)m->per_class[i]);
  m->all_positive = true;
  for (int64_t i = 0; i < m->n_coefficients; i++) m->all_positive = m->all_positive && m->coefficients[i] >= 0;
  if (!m->n_vectors) {
    m->kernel = KERNEL_LINEAR;
    return svm_size(c, "coefficients", m->n_coefficients, m->n_classes, m->features);
  }
  if (n_per_class != m->n_classes || m->n_classes < 2)
    return op_fail(c, LEDGE_ERROR_FORMAT, "vectors_per_class has %lld entries for %lld classes", (long long)n_per_class,
                   (long long)m->n_classes);
  m->n_pairs = m->n_classes * (m->n_classes - 1) / 2;
  TRY(svm_size(c, "support_vectors", m->n_vector_numbers, m->n_vectors, m->features));
  TRY(svm_size(c, "coefficients", m->n_coefficients, m->n_classes - 1, m->n_vectors));
  TRY(svm_size(c, "rho", m->n_rho, 1, m->n_pairs));
  m->prob_a = op_floats(c, "prob_a", &m->n_prob);
  m->prob_b = op_floats(c, "prob_b", &n_prob_b);
  if (m->n_prob != n_prob_b || (m->n_prob && m->n_prob != m->n_pairs))
    return op_fail(c, LEDGE_ERROR_FORMAT, "prob_a and prob_b have %lld and %lld entries for %lld pairs of classes",
                   (long long)m->n_prob, (long long)n_prob_b, (long long)m->n_pairs);
  return LEDGE_OK;
}

/* Scores a row before the last transform: of classes, or of pairs where there are no probabilities. */
static int64_t raw_scores(const svm *m) { return m->n_vectors && !m->n_prob ? m->n_pairs : m->n_classes; }

/* A single score of two classes becomes two columns. */
static bool doubled(const svm *m) { return raw_scores(m) == 1 && m->n_rho == 1 && m->labels.n == 2; }

static ledge_status classifier_infer(op_ctx *c) {
  svm m;
  TRY(classifier_read(c, &m));
  TRY(op_shape(c, 0, ml_labels_dtype(&m.labels), 1, &m.rows));
  return op_shape(c, 1, LEDGE_F32, 2, (int64_t[]){m.rows, raw_scores(&m) + doubled(&m)});
}

typedef struct svm_scratch {
  double *x, *kernels, *scores, *votes, *classes,
      *pairs; /* classes [n_classes]; pairs [n_classes, n_classes] x 2, + 1 row */
} svm_scratch;

static void pair_scores(const svm *m, svm_scratch *s) {
  for (int64_t k = 0; k < m->n_vectors; k++) s->kernels[k] = svm_kernel(m, s->x, m->vectors + k * m->features);
  for (int64_t i = 0; i < m->n_classes; i++) s->votes[i] = 0;
  int64_t pair = 0;
  for (int64_t i = 0, at_i = 0; i < m->n_classes; at_i += m->per_class[i++]) {
    int64_t at_j = at_i + m->per_class[i];
    for (int64_t j = i + 1; j < m->n_classes; at_j += m->per_class[j++], pair++) {
      const float *ci = m->coefficients + (j - 1) * m->n_vectors, *cj = m->coefficients + i * m->n_vectors;
      double sum = m->rho[pair];
      for (int64_t k = at_i; k < at_i + m->per_class[i]; k++) sum += ci[k] * s->kernels[k];
      for (int64_t k = at_j; k < at_j + m->per_class[j]; k++) sum += cj[k] * s->kernels[k];
      s->scores[pair] = sum;
      s->votes[sum > 0 ? i : j]++;
    }
  }
}

/* Pairwise coupling: p minimises sum_ij (r_ji p_i - r_ij p_j)^2, found by cyclic updates of one p at a time. */
static void couple(int64_t k, const double *r, double *q, double *qp, double *p) {
  int64_t rounds = k > 100 ? k : 100;
  for (int64_t t = 0; t < k; t++) {
    p[t] = 1.0 / (double)k;
    q[t * k + t] = 0;
    for (int64_t j = 0; j < k; j++) {
      if (j == t) continue;
      q[t * k + t] += r[j * k + t] * r[j * k + t];
      q[t * k + j] = -r[j * k + t] * r[t * k + j];
    }
  }
  for (int64_t round = 0; round < rounds; round++) {
    double pqp = 0, worst = 0;
    for (int64_t t = 0; t < k; t++) {
      qp[t] = 0;
      for (int64_t j = 0; j < k; j++) qp[t] += q[t * k + j] * p[j];
      pqp += p[t] * qp[t];
    }
    for (int64_t t = 0; t < k; t++) worst = fmax(worst, fabs(qp[t] - pqp));
    if (worst < 0.005 / (double)k) break;
    for (int64_t t = 0; t < k; t++) {
      double diff = (pqp - qp[t]) / q[t * k + t];
      p[t] += diff;
      pqp = (pqp + diff * (diff * q[t * k + t] + 2 * qp[t])) / ((1 + diff) * (1 + diff));
      for (int64_t j = 0; j < k; j++) {
        qp[j] = (qp[j] + diff * q[t * k + j]) / (1 + diff);
        p[j] /= 1 + diff;
      }
    }
  }
}

static void pair_probabilities(const svm *m, svm_scratch *s) {
  int64_t k = m->n_classes, pair = 0;
  double *r = s->pairs, *q = r + k * k, *qp = q + k * k;
  for (int64_t i = 0; i < k; i++) {
    for (int64_t j = i + 1; j < k; j++, pair++) {
      double v = 1 - ml_logistic(s->scores[pair] * m->prob_a[pair] + m->prob_b[pair]);
      v = v < 1e-7 ? 1e-7 : v > 1 - 1e-7 ? 1 - 1e-7 : v;
      r[i * k + j] = v;
      r[j * k + i] = 1 - v;
    }
  }
  couple(k, r, q, qp, s->classes);
}

static int64_t top_of(const double *v, int64_t n) {
  int64_t top = 0;
  for (int64_t i = 1; i < n; i++)
    if (v[i] > v[top]) top = i;
  return top;
}

/* The class of a row: the most votes, or the highest score. Of a machine with one rho and two classes whose
 * coefficients are all positive, a weight of 0.5 is class 1; one without two labels tells 1 from 0 by the sign. */
static int64_t classifier_top(const svm *m, const svm_scratch *s, const double *scores, int64_t n) {
  const double *by = m->n_vectors ? s->votes : scores;
  int64_t top = top_of(by, m->n_vectors ? m->n_classes : n);
  if (m->n_rho != 1) return top;
  if (m->labels.n == 2) return !m->n_prob && m->all_positive && by[top] >= 0.5 ? 1 : top;
  return by[top] > 0 ? 1 : 0;
}

static ledge_status classifier_row(op_ctx *c, const svm *m, svm_scratch *s, int64_t r) {
  tensor *labels = op_out(c, 0), *z = op_out(c, 1);
  int64_t n = raw_scores(m);
  ml_row(op_in(c, 0), r, m->features, s->x);
  if (m->n_vectors) {
    pair_scores(m, s);
  } else {
    for (int64_t k = 0; k < m->n_classes; k++)
      s->scores[k] = m->rho[0] + svm_kernel(m, s->x, m->coefficients + k * m->features);
  }
  if (m->n_prob) pair_probabilities(m, s);
  double *scores = m->n_prob ? s->classes : s->scores;
  int64_t top = classifier_top(m, s, scores, n);
  /* One rho without two labels: the answer is the number 1 or 0 itself. */
  ml_labels none = {.strings = m->labels.strings};
  TRY(ml_labels_put(c, m->n_rho == 1 && m->labels.n != 2 ? &none : &m->labels, top, labels, r));
  if (!z) return LEDGE_OK;
  bool twice = doubled(m);
  if (twice) scores[1] = scores[0], scores[0] = -scores[1];
  n += twice;
  ml_post_apply(m->post, scores, n);
  for (int64_t k = 0; k < n; k++) ((float *)z->data)[r * n + k] = (float)scores[k];
  return LEDGE_OK;
}

static ledge_status classifier_run(op_ctx *c) {
  svm m;
  TRY(classifier_read(c, &m));
  int64_t k = m.n_classes, scores = m.n_pairs + k + 2, square = m.n_prob ? 2 * k * k + k : 0;
  double *all = op_scratch(c, (size_t)(m.features + m.n_vectors + scores + 2 * k + square), sizeof *all);
  if (!all) return LEDGE_ERROR_MEMORY;
  svm_scratch s = {.x = all};
  s.kernels = s.x + m.features;
  s.scores = s.kernels + m.n_vectors;
  s.votes = s.scores + scores;
  s.classes = s.votes + k;
  s.pairs = s.classes + k;
  ledge_status status = LEDGE_OK;
  for (int64_t r = 0; !status && r < m.rows; r++) status = classifier_row(c, &m, &s, r);
  op_scratch_free(all);
  return status;
}

#define ML "ai.onnx.ml"
const op_def ops_ml_svm[] = {{ML, "SVMRegressor", 1, 0, 1, 1, 1, 1, 0, regressor_infer, regressor_run},
                             {ML, "SVMClassifier", 1, 0, 1, 1, 1, 2, 0, classifier_infer, classifier_run},
                             {0}};
