/* ops/optimizer: the training steps of ai.onnx.preview.training: Adagrad, Adam, Momentum; in double.
 *
 * Inputs: R (learning rate), T (update count), then n tensors X, n gradients G, and n (Adam: 2n) states; outputs: n new
 * X and the new states. */
#include "ops/real.h"

#include <math.h>

typedef enum optimizer_kind { OPT_ADAGRAD, OPT_MOMENTUM, OPT_ADAM } optimizer_kind;

static optimizer_kind kind_of(const op_ctx *c) {
  return !strcmp(c->def->name, "Adam") ? OPT_ADAM : !strcmp(c->def->name, "Momentum") ? OPT_MOMENTUM : OPT_ADAGRAD;
}

/* How many tensors are optimised; each takes 2 + states inputs. */
static ledge_status optimizer_count(op_ctx *c, int *n) {
  int each = kind_of(c) == OPT_ADAM ? 4 : 3;
  if ((c->n_in - 2) % each || c->n_in <= 2)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%d inputs are not 2 and %d for each tensor", c->n_in, each);
  *n = (c->n_in - 2) / each;
  if (c->n_out > *n * (each - 1)) return op_fail(c, LEDGE_ERROR_FORMAT, "%d outputs for %d tensors", c->n_out, *n);
  for (int i = 0; i < c->n_in; i++) {
    const tensor *t = op_in(c, i);
    if (!t) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is left out", i);
    if (i != 1 && !dtype_is_float(t->dtype)) return op_fail_dtype(c, i);
    if (i < 2 && tensor_elements(t) != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is no scalar", i);
    if (i >= 2 && !tensor_same_shape(t, op_in(c, 2 + (i - 2) % *n)))
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d does not have the shape of the tensor that it belongs to", i);
  }
  return LEDGE_OK;
}

static ledge_status optimizer_infer(op_ctx *c) {
  int n;
  TRY(optimizer_count(c, &n));
  for (int i = 0; i < c->n_out; i++) {
    /* Outputs: X, then states, in groups of n as the inputs without the gradients. */
    const tensor *like = op_in(c, 2 + (i < n ? i : i + n));
    if (!like) return op_fail(c, LEDGE_ERROR_FORMAT, "%d outputs for %d tensors", c->n_out, n);
    TRY(op_shape(c, i, like->dtype, like->rank, like->dims));
  }
  return LEDGE_OK;
}

static void put(op_ctx *c, int output, int64_t i, double v) {
  tensor *t = op_out(c, output);
  if (t) dtype_store_f64(t->dtype, t->data, i, v);
}

static void adagrad(op_ctx *c, int n, int k, double rate, double steps) {
  const tensor *x = op_in(c, 2 + k), *g = op_in(c, 2 + n + k), *h = op_in(c, 2 + 2 * n + k);
  double r = rate / (1 + steps * op_float(c, "decay_factor", 0)), norm = op_float(c, "norm_coefficient", 0),
         epsilon = op_float(c, "epsilon", 1e-6f);
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    double v = tensor_f64(x, i), d = norm * v + tensor_f64(g, i), square = tensor_f64(h, i) + d * d;
    put(c, k, i, v - r * d / (sqrt(square) + epsilon));
    put(c, n + k, i, square);
  }
}

static void momentum(op_ctx *c, int n, int k, double rate, double steps) {
  const tensor *x = op_in(c, 2 + k), *g = op_in(c, 2 + n + k), *m = op_in(c, 2 + 2 * n + k);
  double alpha = op_float(c, "alpha", 0), norm = op_float(c, "norm_coefficient", 0),
         beta = steps > 0 ? op_float(c, "beta", 0) : 1;
  bool nesterov = op_string_is(c, "mode", "standard", "nesterov");
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    double v = tensor_f64(x, i), d = norm * v + tensor_f64(g, i), next = alpha * tensor_f64(m, i) + beta * d;
    put(c, k, i, v - rate * (nesterov ? d + alpha * next : next));
    put(c, n + k, i, next);
  }
}

static void adam(op_ctx *c, int n, int k, double rate, double steps) {
  const tensor *x = op_in(c, 2 + k), *g = op_in(c, 2 + n + k), *m = op_in(c, 2 + 2 * n + k),
               *h = op_in(c, 2 + 3 * n + k);
  double alpha = op_float(c, "alpha", 0.9f), beta = op_float(c, "beta", 0.999f),
         epsilon = op_float(c, "epsilon", 1e-6f), norm = op_float(c, "norm_coefficient", 0),
         after = op_float(c, "norm_coefficient_post", 0);
  double r = steps > 0 ? rate * sqrt(1 - pow(beta, steps)) / (1 - pow(alpha, steps)) : rate;
  for (int64_t i = 0; i < tensor_elements(x); i++) {
    double v = tensor_f64(x, i), d = norm * v + tensor_f64(g, i);
    double first = alpha * tensor_f64(m, i) + (1 - alpha) * d, second = beta * tensor_f64(h, i) + (1 - beta) * d * d;
    put(c, k, i, (1 - after) * (v - r * first / (sqrt(second) + epsilon)));
    put(c, n + k, i, first);
    put(c, 2 * n + k, i, second);
  }
}

static ledge_status optimizer_run(op_ctx *c) {
  int n;
  TRY(optimizer_count(c, &n));
  double rate = tensor_f64(op_in(c, 0), 0), steps = tensor_f64(op_in(c, 1), 0);
  for (int k = 0; k < n; k++) {
    switch (kind_of(c)) {
      case OPT_ADAGRAD: adagrad(c, n, k, rate, steps); break;
      case OPT_MOMENTUM: momentum(c, n, k, rate, steps); break;
      case OPT_ADAM: adam(c, n, k, rate, steps); break;
    }
  }
  return LEDGE_OK;
}

#define TRAINING "ai.onnx.preview.training"
const op_def ops_optimizer[] = {
    {TRAINING, "Adagrad", 1, 0, 5, -1, 1, -1, 0, optimizer_infer, optimizer_run},
    {TRAINING, "Momentum", 1, 0, 5, -1, 1, -1, 0, optimizer_infer, optimizer_run},
    {TRAINING, "Adam", 1, 0, 6, -1, 1, -1, 0, optimizer_infer, optimizer_run},
    {0},
};
