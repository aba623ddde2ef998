/* ops/ml_util: see ml_util.h. */
#include "ops/ml_util.h"

#include <math.h>
#include <stdio.h>

ledge_status ml_post_read(op_ctx *c, ml_post *ret) {
  static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  for (int i = 0; i < 5; i++) {
    if (!op_string_is(c, "post_transform", "NONE", names[i])) continue;
    *ret = (ml_post)i;
    return LEDGE_OK;
  }
  ledge_string s = op_string(c, "post_transform");
  return op_fail(c, LEDGE_ERROR_FORMAT, "post_transform %.*s is unknown", s.size < 40 ? (int)s.size : 40, s.data);
}

double ml_logistic(double v) {
  double e = exp(-fabs(v));
  return v < 0 ? e / (1 + e) : 1 / (1 + e);
}

static void softmax(double *s, int64_t n) {
  double most = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) most = s[i] > most ? s[i] : most;
  for (int64_t i = 0; i < n; i++) sum += s[i] = exp(s[i] - most);
  for (int64_t i = 0; i < n; i++) s[i] /= sum;
}

/* Softmax in which scores of zero stay zero. */
static void softmax_zero(double *s, int64_t n) {
  double most = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) most = s[i] > most ? s[i] : most;
  for (int64_t i = 0; i < n; i++) sum += s[i] = fabs(s[i]) > 1e-7 ? exp(s[i] - most) : s[i] * exp(-most);
  for (int64_t i = 0; i < n; i++) s[i] = sum == 0 ? 0.5 : s[i] / sum;
}

static double probit(double v) {
  double x = 2 * v - 1, l = (1 - x) * (1 + x);
  if (l == 0) return 0;
  l = log(l);
  double a = 0.147, t = 2 / (3.14159265358979323846 * a) + l / 2;
  return copysign(1.41421356 * sqrt(-t + sqrt(t * t - l / a)), x);
}

void ml_post_apply(ml_post post, double *scores, int64_t n) {
  if (n <= 0) return;
  switch (post) {
    case ML_NONE: break;
    case ML_SOFTMAX: softmax(scores, n); break;
    case ML_SOFTMAX_ZERO: softmax_zero(scores, n); break;
    case ML_LOGISTIC:
      for (int64_t i = 0; i < n; i++) scores[i] = ml_logistic(scores[i]);
      break;
    case ML_PROBIT:
      for (int64_t i = 0; i < n; i++) scores[i] = probit(scores[i]);
      break;
  }
}

ledge_status ml_rows(op_ctx *c, int64_t *n, int64_t *features) {
  const tensor *x = op_in(c, 0);
  if (x->dtype != LEDGE_F32 && x->dtype != LEDGE_F64 && x->dtype != LEDGE_I32 && x->dtype != LEDGE_I64)
    return op_fail_dtype(c, 0);
  if (x->rank != 1 && x->rank != 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d; it must be [N, C] or [C]", x->rank);
  *n = x->rank == 1 ? 1 : x->dims[0];
  *features = x->dims[x->rank - 1];
  return LEDGE_OK;
}

void ml_row(const tensor *x, int64_t r, int64_t features, double *dst) {
  if (x->dtype == LEDGE_F32) {
    const float *from = (const float *)x->data + r * features;
    for (int64_t i = 0; i < features; i++) dst[i] = from[i];
  } else {
    for (int64_t i = 0; i < features; i++) dst[i] = tensor_f64(x, r * features + i);
  }
}

ledge_status ml_labels_read(op_ctx *c, const char *ints, const char *strings, ml_labels *ret) {
  int64_t n_ints, n_strings;
  *ret = (ml_labels){.ints = op_ints(c, ints, &n_ints), .strings = op_strings(c, strings, &n_strings)};
  if (n_ints && n_strings) return op_fail(c, LEDGE_ERROR_FORMAT, "both %s and %s are given", ints, strings);
  ret->n = n_ints + n_strings;
  if (n_ints) ret->strings = NULL;
  if (n_strings) ret->ints = NULL;
  return LEDGE_OK;
}

ledge_status ml_labels_put(op_ctx *c, const ml_labels *l, int64_t k, tensor *y, int64_t i) {
  if (!y) return LEDGE_OK;
  bool known = k >= 0 && k < l->n;
  if (y->dtype == LEDGE_I64) {
    ((int64_t *)y->data)[i] = known && l->ints ? l->ints[k] : k;
    return LEDGE_OK;
  }
  char text[24];
  ledge_string s = {text, 0};
  if (known)
    s = l->strings[k];
  else
    s.size = (size_t)snprintf(text, sizeof text, "%lld", (long long)k);
  return tensor_put_string(y, i, s.size ? s.data : "", s.size, c->error);
}
