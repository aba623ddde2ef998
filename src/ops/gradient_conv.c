/* ops/gradient_conv: the gradients of Conv and ConvTranspose by their input and their weights, in double. Attributes
 * are those of the operator; shapes come as int64 vectors.
 *
 *   ledge.ConvInputGrad             dy, w, shape of x      dx[c, o s + k d - p] += dy[m, o] w[m, c, k]
 *   ledge.ConvWeightGrad            x, dy, shape of w      dw[m, c, k] += dy[m, o] x[c, o s + k d - p]
 *   ledge.ConvTransposeInputGrad    dy, w, shape of x      dx[c, o] += dy[m, o s + k d - p] w[c, m, k]
 *   ledge.ConvTransposeWeightGrad   x, dy, shape of w      dw[c, m, k] += x[c, o] dy[m, o s + k d - p]
 *
 * One tensor is on the side of the windows' positions (small: o), one on that of the elements under them (large). */
#include "ops/gradient_conv.h"

#include "ops/real.h"

static ledge_status read_dims(op_ctx *c, int rank, int64_t *dims) {
  const tensor *t = op_in(c, 2);
  int n;
  if (t->dtype != LEDGE_I64 || t->rank != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "input 2 is no shape");
  TRY(op_read_ints(c, t, dims, LEDGE_MAX_RANK, &n));
  return n == rank ? LEDGE_OK : op_fail(c, LEDGE_ERROR_SHAPE, "a shape of %d dims where %d are needed", n, rank);
}

ledge_status conv_grad_read(op_ctx *c, conv_grad *s) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  const char *op = c->def->name;
  bool transposed = !strncmp(op, "ConvTranspose", 13), weights = strstr(op, "Weight") != NULL;
  bool forward = !strstr(op, "Grad");
  int64_t given[LEDGE_MAX_RANK] = {0}, made[LEDGE_MAX_RANK];
  if (!forward) OP_NEED(c, 2);
  if (a->rank < 3 || a->rank != b->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "inputs of rank %d and %d do not fit", a->rank, b->rank);
  if (!forward) TRY(read_dims(c, a->rank, given));
  int rank = a->rank - 2;
  const int64_t *x = weights || forward ? a->dims : given, *w = weights ? given : b->dims;
  if (transposed)
    TRY(window_read_transposed(c, rank, x + 2, w + 2, &s->w));
  else
    TRY(window_read(c, rank, x + 2, w + 2, false, &s->w));
  s->role = weights ? CONV_MATCH : transposed == forward ? CONV_SPREAD : CONV_CORRELATE;
  s->transposed = transposed;
  s->groups = op_int(c, "group", 1);
  s->batch = x[0];
  made[0] = x[0]; /* the output's shape, which a forward node has not got yet */
  made[1] = transposed ? w[1] * s->groups : w[0];
  memcpy(made + 2, s->w.out, (size_t)rank * sizeof *made);
  const int64_t *dy = forward ? made : weights ? b->dims : a->dims;
  const int64_t *small = transposed ? x : dy, *large = transposed ? dy : x;
  s->small = small[1];
  s->large = large[1];
  bool fits = s->groups >= 1 && s->small % s->groups == 0 && s->large % s->groups == 0 && w[0] == s->small &&
              w[1] == s->large / s->groups && dy[0] == x[0] && shape_equal(rank, dy + 2, rank, s->w.out);
  if (!fits) return op_fail(c, LEDGE_ERROR_SHAPE, "the shapes of input, weights and output's gradient do not fit");
  for (int i = 0; i < rank; i++) {
    s->small_dims[i] = small[2 + i];
    s->large_dims[i] = large[2 + i];
  }
  s->small_span = shape_elements(rank, s->small_dims);
  s->large_span = shape_elements(rank, s->large_dims);
  s->kernel_span = shape_elements(rank, s->w.kernel);
  return LEDGE_OK;
}

static ledge_status conv_grad_infer(op_ctx *c) {
  conv_grad s;
  int64_t dims[LEDGE_MAX_RANK];
  TRY(real_check(c, 0, false));
  if (op_in(c, 1)->dtype != op_in(c, 0)->dtype) return op_fail_dtype(c, 1);
  ledge_status status = conv_grad_read(c, &s);
  if (status) return status;
  TRY(read_dims(c, op_in(c, 0)->rank, dims));
  return op_shape(c, 0, op_in(c, 0)->dtype, op_in(c, 0)->rank, dims);
}

static bool next(int rank, const int64_t *dims, int64_t *at) {
  for (int i = rank - 1; i >= 0; i--) {
    if (++at[i] < dims[i]) return true;
    at[i] = 0;
  }
  return false;
}

/* One position o and tap k, all channels and images: element at_o of each small plane, at_l of each large one. */
static void conv_grad_point(const conv_grad *s, int64_t at_o, int64_t at_l, int64_t at_k, double *small, double *large,
                            double *w) {
  int64_t per_small = s->small / s->groups, per_large = s->large / s->groups;
  for (int64_t n = 0; n < s->batch; n++)
    for (int64_t m = 0; m < s->small; m++) {
      double *o = small + (n * s->small + m) * s->small_span + at_o;
      double *weight = w + m * per_large * s->kernel_span + at_k;
      double *l = large + (n * s->large + m / per_small * per_large) * s->large_span + at_l, sum = 0;
      for (int64_t i = 0; i < per_large; i++, l += s->large_span, weight += s->kernel_span) {
        switch (s->role) {
          case CONV_CORRELATE: sum += *l * *weight; break;
          case CONV_SPREAD: *l += *o * *weight; break;
          case CONV_MATCH: *weight += *o * *l; break;
        }
      }
      if (s->role == CONV_CORRELATE) *o += sum;
    }
}

static void conv_grad_all(const conv_grad *s, double *small, double *large, double *w) {
  int64_t o[WINDOW_MAX] = {0}, at_o = 0;
  do {
    int64_t k[WINDOW_MAX] = {0}, at_k = 0;
    do {
      int64_t at = 0;
      for (int i = 0; i < s->w.rank && at >= 0; i++) {
        int64_t p = o[i] * s->w.stride[i] - s->w.pad_begin[i] + k[i] * s->w.dilation[i];
        at = p < 0 || p >= s->large_dims[i] ? -1 : at * s->large_dims[i] + p;
      }
      if (at >= 0) conv_grad_point(s, at_o, at, at_k, small, large, w);
      at_k++;
    } while (next(s->w.rank, s->w.kernel, k));
    at_o++;
  } while (next(s->w.rank, s->small_dims, o));
}

static ledge_status conv_grad_run(op_ctx *c) {
  conv_grad s;
  TRY(conv_grad_read(c, &s));
  tensor *y = op_out(c, 0);
  double *a = real_load(c, op_in(c, 0)), *b = real_load(c, op_in(c, 1)), *to = real_scratch(c, tensor_elements(y));
  ledge_status status = a && b && to ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  if (!status) {
    bool weights = s.role == CONV_MATCH;
    double *x = weights ? a : to, *dy = weights ? b : a, *w = weights ? to : b;
    if (tensor_elements(op_in(c, 0)) && tensor_elements(op_in(c, 1)) && tensor_elements(y))
      conv_grad_all(&s, s.transposed ? x : dy, s.transposed ? dy : x, w);
    real_store(to, y);
  }
  op_scratch_free(a);
  op_scratch_free(b);
  op_scratch_free(to);
  return status;
}

#define CONV_GRAD(name) \
  { "ledge", name, 1, 0, 3, 3, 1, 1, 0, conv_grad_infer, conv_grad_run, NULL }
const op_def ops_gradient_conv[] = {
    CONV_GRAD("ConvInputGrad"),
    CONV_GRAD("ConvWeightGrad"),
    CONV_GRAD("ConvTransposeInputGrad"),
    CONV_GRAD("ConvTransposeWeightGrad"),
    {0},
};
