/* passes/gradient/math: rules of the operators that work element by element: arithmetic, functions, activations,
 * selection, casts. */
#include "passes/gradient/back.h"

/* dy where c, else 0. */
static value_id where_or_zero(back *b, value_id c, value_id dy) { return back_where(b, c, dy, back_number(b, 0, dy)); }

static value_id square(back *b, value_id x) { return back_mul(b, x, x); }
static value_id one_minus(back *b, value_id x) { return back_sub(b, back_number(b, 1, x), x); }
static value_id one_plus(back *b, value_id x) { return back_add(b, x, back_number(b, 1, x)); }
static value_id times(back *b, value_id x, double v) { return back_mul(b, x, back_number(b, v, x)); }

/* ---- arithmetic ---- */

void gradient_sum(back *b, const node *n) { /* Add, Sum */
  for (int i = 0; i < n->n_in; i++) back_give_sum(b, n->in[i], back_grad(b, n, 0));
}

void gradient_mean(back *b, const node *n) {
  value_id dy = times(b, back_grad(b, n, 0), 1.0 / n->n_in);
  for (int i = 0; i < n->n_in; i++) back_give_sum(b, n->in[i], dy);
}

void gradient_sub(back *b, const node *n) {
  value_id dy = back_grad(b, n, 0);
  back_give_sum(b, n->in[0], dy);
  if (back_wants(b, n->in[1])) back_give_sum(b, n->in[1], back_neg(b, dy));
}

void gradient_mul(back *b, const node *n) {
  for (int i = 0; i < 2; i++)
    if (back_wants(b, n->in[i])) back_give_sum(b, n->in[i], back_mul(b, back_grad(b, n, 0), n->in[1 - i]));
}

void gradient_div(back *b, const node *n) {
  value_id a = n->in[0], d = n->in[1], dy = back_div(b, back_grad(b, n, 0), d);
  back_give_sum(b, a, dy);
  if (back_wants(b, d)) back_give_sum(b, d, back_neg(b, back_mul(b, dy, n->out[0])));
}

/* y = a - d q with a whole q, whichever way it is rounded: q = (a - y) / d. */
void gradient_mod(back *b, const node *n) {
  value_id a = n->in[0], d = n->in[1], dy = back_grad(b, n, 0);
  back_give_sum(b, a, dy);
  if (back_wants(b, d)) back_give_sum(b, d, back_mul(b, dy, back_div(b, back_sub(b, n->out[0], a), d)));
}

/* The slope by the exponent is y log(a); at a = 0 it is 0, as its limit is for exponents above 0. */
void gradient_pow(back *b, const node *n) {
  value_id a = n->in[0], e = n->in[1], dy = back_grad(b, n, 0);
  if (back_wants(b, a)) {
    value_id slope = back_mul(b, back_like(b, e, a), back_op2(b, "Pow", a, back_sub(b, e, back_number(b, 1, e))));
    back_give_sum(b, a, back_mul(b, dy, slope));
  }
  if (back_wants(b, e)) {
    value_id zero = back_op2(b, "Equal", a, back_number(b, 0, a));
    value_id log = back_op1(b, "Log", back_where(b, zero, back_number(b, 1, a), a));
    back_give_sum(b, e, back_like(b, back_mul(b, back_mul(b, dy, n->out[0]), log), e));
  }
}

/* Max and Min: equal winners share. */
void gradient_extreme(back *b, const node *n) {
  value_id y = n->out[0], dy = back_grad(b, n, 0), wins[64], count = VALUE_ABSENT;
  if (n->n_in == 1) {
    back_give(b, n->in[0], dy);
    return;
  }
  if (n->n_in > 64) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "%d inputs are more than 64", n->n_in);
    return;
  }
  for (int i = 0; i < n->n_in; i++) {
    wins[i] = back_like(b, back_op2(b, "Equal", n->in[i], y), dy);
    count = i ? back_add(b, count, wins[i]) : wins[i];
  }
  value_id share = back_div(b, dy, count);
  for (int i = 0; i < n->n_in; i++)
    if (back_wants(b, n->in[i])) back_give_sum(b, n->in[i], back_mul(b, share, wins[i]));
}

void gradient_identity(back *b, const node *n) { back_give(b, n->in[0], back_grad(b, n, 0)); }
void gradient_cast(back *b, const node *n) { back_give(b, n->in[0], back_like(b, back_grad(b, n, 0), n->in[0])); }

/* ---- functions of one input: dx = dy * f'(x), in terms of x and y ---- */

typedef value_id (*slope_fn)(back *b, value_id x, value_id y);

static value_id slope_exp(back *b, value_id x, value_id y) { return (void)b, (void)x, y; }
static value_id slope_log(back *b, value_id x, value_id y) { return (void)y, back_op1(b, "Reciprocal", x); }
static value_id slope_abs(back *b, value_id x, value_id y) { return (void)y, back_op1(b, "Sign", x); }
static value_id slope_sqrt(back *b, value_id x, value_id y) { return (void)x, back_div(b, back_number(b, 0.5, y), y); }
static value_id slope_reciprocal(back *b, value_id x, value_id y) { return (void)x, back_neg(b, square(b, y)); }
static value_id slope_sin(back *b, value_id x, value_id y) { return (void)y, back_op1(b, "Cos", x); }
static value_id slope_cos(back *b, value_id x, value_id y) { return (void)y, back_neg(b, back_op1(b, "Sin", x)); }
static value_id slope_tan(back *b, value_id x, value_id y) { return (void)x, one_plus(b, square(b, y)); }
static value_id inverse_root(back *b, value_id x) { return back_op1(b, "Reciprocal", back_op1(b, "Sqrt", x)); }
static value_id slope_asin(back *b, value_id x, value_id y) {
  return (void)y, inverse_root(b, one_minus(b, square(b, x)));
}
static value_id slope_acos(back *b, value_id x, value_id y) { return back_neg(b, slope_asin(b, x, y)); }
static value_id slope_atan(back *b, value_id x, value_id y) {
  return (void)y, back_op1(b, "Reciprocal", one_plus(b, square(b, x)));
}
static value_id slope_sinh(back *b, value_id x, value_id y) { return (void)y, back_op1(b, "Cosh", x); }
static value_id slope_cosh(back *b, value_id x, value_id y) { return (void)y, back_op1(b, "Sinh", x); }
static value_id slope_tanh(back *b, value_id x, value_id y) { return (void)x, one_minus(b, square(b, y)); }
static value_id slope_asinh(back *b, value_id x, value_id y) {
  return (void)y, inverse_root(b, one_plus(b, square(b, x)));
}
static value_id slope_acosh(back *b, value_id x, value_id y) {
  return (void)y, inverse_root(b, back_sub(b, square(b, x), back_number(b, 1, x)));
}
static value_id slope_atanh(back *b, value_id x, value_id y) {
  return (void)y, back_op1(b, "Reciprocal", one_minus(b, square(b, x)));
}
static value_id slope_sigmoid(back *b, value_id x, value_id y) { return (void)x, back_mul(b, y, one_minus(b, y)); }
static value_id slope_softplus(back *b, value_id x, value_id y) { return (void)y, back_op1(b, "Sigmoid", x); }
static value_id slope_softsign(back *b, value_id x, value_id y) { /* 1 / (1 + |x|)^2 */
  return (void)y, back_op1(b, "Reciprocal", square(b, one_plus(b, back_op1(b, "Abs", x))));
}
static value_id slope_erf(back *b, value_id x, value_id y) { /* 2 / sqrt(pi) e^(-x^2) */
  return (void)y, times(b, back_op1(b, "Exp", back_neg(b, square(b, x))), 1.1283791670955126);
}

void gradient_function(back *b, const node *n) {
  static const struct {
    const char *op;
    slope_fn slope;
  } slopes[] = {{"Exp", slope_exp},           {"Log", slope_log},           {"Abs", slope_abs},
                {"Sqrt", slope_sqrt},         {"Sin", slope_sin},           {"Reciprocal", slope_reciprocal},
                {"Cos", slope_cos},           {"Tan", slope_tan},           {"Asin", slope_asin},
                {"Acos", slope_acos},         {"Atan", slope_atan},         {"Sinh", slope_sinh},
                {"Cosh", slope_cosh},         {"Tanh", slope_tanh},         {"Asinh", slope_asinh},
                {"Acosh", slope_acosh},       {"Atanh", slope_atanh},       {"Sigmoid", slope_sigmoid},
                {"Softplus", slope_softplus}, {"Softsign", slope_softsign}, {"Erf", slope_erf}};
  for (size_t i = 0; i < sizeof slopes / sizeof *slopes; i++)
    if (!strcmp(n->op, slopes[i].op))
      back_give(b, n->in[0], back_mul(b, back_grad(b, n, 0), slopes[i].slope(b, n->in[0], n->out[0])));
}

void gradient_neg(back *b, const node *n) { back_give(b, n->in[0], back_neg(b, back_grad(b, n, 0))); }

/* ---- activations in pieces ---- */

static value_id above(back *b, value_id x, double v) { return back_op2(b, "Greater", x, back_number(b, v, x)); }
static value_id below(back *b, value_id x, double v) { return back_op2(b, "Less", x, back_number(b, v, x)); }

void gradient_relu(back *b, const node *n) { /* y > 0 where x > 0, and y is kept for what follows more often than x */
  back_give(b, n->in[0], back_emit(b, "ledge", "ReluGrad", 1, (value_id[]){back_grad(b, n, 0), n->out[0]}, 2));
}

void gradient_relu_grad(back *b, const node *n) {
  back_give(b, n->in[0], back_emit(b, "ledge", "ReluGrad", 1, (value_id[]){back_grad(b, n, 0), n->in[1]}, 2));
}

void gradient_leaky_relu(back *b, const node *n) {
  value_id x = n->in[0], dy = back_grad(b, n, 0);
  back_give(b, x, back_where(b, below(b, x, 0), times(b, dy, node_attr_float(n, "alpha", 0.01f)), dy));
}

void gradient_prelu(back *b, const node *n) {
  value_id x = n->in[0], slope = n->in[1], dy = back_grad(b, n, 0), negative = below(b, x, 0);
  if (back_wants(b, x)) back_give(b, x, back_where(b, negative, back_mul(b, dy, slope), dy));
  if (back_wants(b, slope)) back_give_sum(b, slope, where_or_zero(b, negative, back_mul(b, dy, x)));
}

void gradient_thresholded_relu(back *b, const node *n) {
  value_id x = n->in[0];
  back_give(b, x, where_or_zero(b, above(b, x, node_attr_float(n, "alpha", 1)), back_grad(b, n, 0)));
}

/* Elu: alpha (e^x - 1); Celu: alpha (e^(x / alpha) - 1); Selu: gamma alpha (e^x - 1), and gamma x above 0. */
void gradient_elu(back *b, const node *n) {
  bool selu = !strcmp(n->op, "Selu"), celu = !strcmp(n->op, "Celu");
  double alpha = node_attr_float(n, "alpha", selu ? 1.67326319217681884765625f : 1);
  double gamma = selu ? node_attr_float(n, "gamma", 1.05070102214813232421875f) : 1;
  value_id x = n->in[0], dy = back_grad(b, n, 0), slope;
  slope = back_op1(b, "Exp", celu ? times(b, x, 1 / alpha) : x);
  if (!celu) slope = times(b, slope, alpha * gamma);
  back_give(b, x, back_mul(b, dy, back_where(b, above(b, x, 0), back_number(b, gamma, x), slope)));
}

/* clip(alpha x + beta, 0, 1) */
void gradient_hard_sigmoid(back *b, const node *n) {
  double alpha = node_attr_float(n, "alpha", 0.2f);
  value_id y = n->out[0], inside = back_op2(b, "And", above(b, y, 0), below(b, y, 1));
  back_give(b, n->in[0], where_or_zero(b, inside, times(b, back_grad(b, n, 0), alpha)));
}

/* x clip(x / 6 + 1 / 2, 0, 1): slope x / 3 + 1 / 2 within (-3, 3) */
void gradient_hard_swish(back *b, const node *n) {
  value_id x = n->in[0], dy = back_grad(b, n, 0);
  value_id middle = back_add(b, times(b, x, 1.0 / 3), back_number(b, 0.5, x));
  value_id slope = back_where(b, below(b, x, 3), middle, back_number(b, 1, x));
  back_give(b, x, where_or_zero(b, above(b, x, -3), back_mul(b, dy, slope)));
}

void gradient_shrink(back *b, const node *n) {
  value_id x = n->in[0], far = above(b, back_op1(b, "Abs", x), node_attr_float(n, "lambd", 0.5f));
  back_give(b, x, where_or_zero(b, far, back_grad(b, n, 0)));
}

void gradient_mish(back *b, const node *n) { /* x tanh(softplus(x)) */
  int begin = back_lower_begin(b);
  value_id x = n->in[0], y = back_mul(b, x, back_op1(b, "Tanh", back_op1(b, "Softplus", x)));
  back_lower(b, begin, n, &y, 1);
}

void gradient_swish(back *b, const node *n) { /* x sigmoid(alpha x); SwiGLU: times its second input */
  int begin = back_lower_begin(b);
  double alpha = node_attr_float(n, "alpha", !strcmp(n->op, "QuickGelu") ? 1.702f : 1);
  value_id x = n->in[0], y = back_mul(b, x, back_op1(b, "Sigmoid", alpha == 1 ? x : times(b, x, alpha)));
  if (!strcmp(n->op, "SwiGLU")) y = back_mul(b, y, n->in[1]);
  back_lower(b, begin, n, &y, 1);
}

/* x / 2 (1 + erf(x / sqrt(2))), or by tanh(sqrt(2 / pi) (x + 0.044715 x^3)) */
static value_id gelu(back *b, value_id x, bool by_tanh) {
  value_id bend;
  if (by_tanh) {
    value_id cubic = back_add(b, x, times(b, back_mul(b, square(b, x), x), 0.044715));
    bend = back_op1(b, "Tanh", times(b, cubic, 0.79788456080286536));
  } else {
    bend = back_op1(b, "Erf", times(b, x, 0.70710678118654752));
  }
  return back_mul(b, times(b, x, 0.5), one_plus(b, bend));
}

void gradient_gelu(back *b, const node *n) {
  const attr *a = node_attr(n, "approximate");
  int begin = back_lower_begin(b);
  bool by_tanh = !strcmp(n->op, "FastGelu") || (a && a->type == ATTR_STRING && a->s.size == 4);
  value_id x = n->in[0];
  if (n->n_in > 1 && n->in[1] != VALUE_ABSENT) x = back_add(b, x, n->in[1]); /* the bias of FastGelu and BiasGelu */
  value_id y = gelu(b, x, by_tanh);
  back_lower(b, begin, n, &y, 1);
}

/* Clip: min and max are attributes before version 11, inputs after. The bounds themselves let the gradient through, as
 * ReLU's does not; a bound that cuts takes the gradient of what it cuts. */
void gradient_clip(back *b, const node *n) {
  value_id x = n->in[0], dy = back_grad(b, n, 0), bound[2], cut[2] = {VALUE_ABSENT, VALUE_ABSENT};
  const char *names[2] = {"min", "max"};
  for (int i = 0; i < 2; i++) {
    bool given = n->version < 11 && node_attr(n, names[i]);
    bound[i] = given ? back_number(b, node_attr_float(n, names[i], 0), x) : node_in(n, i + 1);
    if (bound[i] != VALUE_ABSENT) cut[i] = back_op2(b, i ? "Greater" : "Less", x, bound[i]);
  }
  value_id any = cut[0] == VALUE_ABSENT ? cut[1] : cut[1] == VALUE_ABSENT ? cut[0] : back_op2(b, "Or", cut[0], cut[1]);
  if (back_wants(b, x)) back_give(b, x, any == VALUE_ABSENT ? dy : back_where(b, any, back_number(b, 0, dy), dy));
  for (int i = 0; i < 2; i++) {
    if (!back_wants(b, bound[i])) continue;
    value_id taken = i == 0 && cut[1] != VALUE_ABSENT /* max wins where the two cross */
                         ? back_op2(b, "And", cut[0], back_op2(b, "Less", bound[0], bound[1]))
                         : cut[i];
    back_give_sum(b, bound[i], where_or_zero(b, taken, dy));
  }
}

void gradient_where(back *b, const node *n) {
  value_id c = n->in[0], dy = back_grad(b, n, 0), zero = back_number(b, 0, dy);
  if (back_wants(b, n->in[1])) back_give_sum(b, n->in[1], back_where(b, c, dy, zero));
  if (back_wants(b, n->in[2])) back_give_sum(b, n->in[2], back_where(b, c, zero, dy));
}

/* Training scales what the mask keeps by 1 / (1 - ratio). */
void gradient_dropout(back *b, const node *n) {
  value_id dy = back_grad(b, n, 0), training = node_in(n, 2), ratio = node_in(n, 1);
  const tensor *t = training == VALUE_ABSENT ? NULL : graph_constant(b->g, training);
  if (n->version < 12 || training == VALUE_ABSENT || (t && tensor_elements(t) == 1 && tensor_i64(t, 0) == 0)) {
    back_give(b, n->in[0], dy);
    return;
  }
  value_id rate = ratio == VALUE_ABSENT ? back_number(b, 0.5, dy) : back_like(b, ratio, dy);
  value_id scale = back_where(b, training, back_op1(b, "Reciprocal", one_minus(b, rate)), back_number(b, 1, dy));
  back_give(b, n->in[0], where_or_zero(b, back_output(b, n, 1), back_mul(b, dy, scale)));
}
