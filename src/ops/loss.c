/* ops/loss: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, in double.
 *
 *   loss[n, d] = -weight[t] * log_prob[n, t, d],  t = target[n, d]; 0 where t is ignore_index
 *   mean: sum of losses / sum of weights of the targets that count */
#include "ops/real.h"

#include <math.h>

typedef struct loss_shape {
  int64_t batch, classes, inner; /* input [batch, classes, inner] */
  bool sum, mean, ignores;
  int64_t ignore;
} loss_shape;

static ledge_status loss_read(op_ctx *c, loss_shape *s) {
  const tensor *x = op_in(c, 0), *t = op_in(c, 1), *w = op_in(c, 2);
  TRY(real_check(c, 0, false));
  if (x->rank < 2) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no classes", x->rank);
  if (t->dtype != LEDGE_I64 && t->dtype != LEDGE_I32) return op_fail_dtype(c, 1);
  bool fits = t->rank == x->rank - 1 && t->dims[0] == x->dims[0];
  for (int i = 1; fits && i < t->rank; i++) fits = t->dims[i] == x->dims[i + 1];
  if (!fits) return op_fail(c, LEDGE_ERROR_SHAPE, "the targets do not have the input's shape without its classes");
  if (w && (w->rank != 1 || w->dims[0] != x->dims[1] || !dtype_is_float(w->dtype)))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the weights are not one number for each of %lld classes",
                   (long long)x->dims[1]);
  *s = (loss_shape){.batch = x->dims[0], .classes = x->dims[1], .inner = tensor_span(x, 2, x->rank)};
  s->sum = op_string_is(c, "reduction", "mean", "sum");
  s->mean = op_string_is(c, "reduction", "mean", "mean");
  if (!s->sum && !s->mean && !op_string_is(c, "reduction", "mean", "none"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "reduction must be none, sum or mean");
  s->ignores = op_attr_given(c, "ignore_index");
  s->ignore = op_int(c, "ignore_index", 0);
  return LEDGE_OK;
}

static ledge_status loss_infer(op_ctx *c) {
  loss_shape s;
  TRY(loss_read(c, &s));
  const tensor *x = op_in(c, 0), *t = op_in(c, 1);
  TRY(op_shape(c, 0, x->dtype, s.sum || s.mean ? 0 : t->rank, t->dims));
  return op_shape(c, 1, x->dtype, x->rank, x->dims);
}

static ledge_status loss_reduce(op_ctx *c, const loss_shape *s, const double *log_prob) {
  const tensor *t = op_in(c, 1), *w = op_in(c, 2);
  tensor *y = op_out(c, 0);
  double total = 0, weights = 0;
  for (int64_t n = 0; n < s->batch; n++)
    for (int64_t i = 0; i < s->inner; i++) {
      int64_t at = n * s->inner + i, k = tensor_i64(t, at);
      bool counts = !(s->ignores && k == s->ignore);
      if (counts && (k < 0 || k >= s->classes))
        return op_fail(c, LEDGE_ERROR_DATA, "target %lld is outside of [0, %lld)", (long long)k, (long long)s->classes);
      double weight = !counts ? 0 : w ? tensor_f64(w, k) : 1;
      double loss = counts ? -weight * log_prob[(n * s->classes + k) * s->inner + i] : 0;
      total += loss;
      weights += weight;
      if (y && !s->sum && !s->mean) dtype_store_f64(y->dtype, y->data, at, loss);
    }
  if (y && s->sum) dtype_store_f64(y->dtype, y->data, 0, total);
  if (y && s->mean) dtype_store_f64(y->dtype, y->data, 0, total / weights);
  return LEDGE_OK;
}

static ledge_status nll_run(op_ctx *c) {
  loss_shape s;
  TRY(loss_read(c, &s));
  double *x = real_load(c, op_in(c, 0));
  ledge_status status = x ? loss_reduce(c, &s, x) : LEDGE_ERROR_MEMORY;
  op_scratch_free(x);
  return status;
}

static void log_softmax(const loss_shape *s, double *x) {
  for (int64_t n = 0; n < s->batch; n++)
    for (int64_t i = 0; i < s->inner; i++) {
      double *column = x + n * s->classes * s->inner + i, max = -INFINITY, sum = 0;
      for (int64_t k = 0; k < s->classes; k++) max = fmax(max, column[k * s->inner]);
      for (int64_t k = 0; k < s->classes; k++) sum += exp(column[k * s->inner] - max);
      for (int64_t k = 0; k < s->classes; k++) column[k * s->inner] -= max + log(sum);
    }
}

static ledge_status sce_run(op_ctx *c) {
  loss_shape s;
  TRY(loss_read(c, &s));
  double *x = real_load(c, op_in(c, 0));
  if (!x) return LEDGE_ERROR_MEMORY;
  log_softmax(&s, x);
  if (op_out(c, 1)) real_store(x, op_out(c, 1));
  ledge_status status = loss_reduce(c, &s, x);
  op_scratch_free(x);
  return status;
}

const op_def ops_loss[] = {
    {"", "NegativeLogLikelihoodLoss", 12, 0, 2, 3, 1, 1, 0, loss_infer, nll_run},
    {"", "SoftmaxCrossEntropyLoss", 12, 0, 2, 3, 1, 2, 0, loss_infer, sce_run},
    {0},
};
