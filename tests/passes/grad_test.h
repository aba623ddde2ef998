/* tests/passes/grad_test: a gradient against finite differences.
 *
 *   {"Gemm", 13, "alpha=0.5 transB=1", {"x[3x4]", "x[5x4]", "x[5]"}},
 *
 * An input: x[dims] random in (-1, 1); p[dims] random in (0.4, 1.8); d[dims] distinct numbers, no two closer than 0.1;
 * u[dims] in (-0.7, 0.7): all of these are differentiated; "-" left out; anything else a constant as
 * tests/ops/op_test.h has it (of f64 where it is of the operator's type). Outputs: a letter each, NULL for "L": L adds
 * to the loss, o is there and does not, - is left out. flags: NO_SECOND: the gradient's own gradient is not tried;
 * NO_F32: only in f64; NO_OPEN: its shapes
 * must be declared, for sizes that are open are taken for numbers which do not fit here;
 * COARSE: wide differences, for what rounds on the way.
 *
 * The loss is the sum of all outputs, each element by a random weight of its own. Four ways are compared:
 *   1. f64, references only, nodes run one after another: gradient against central differences of the loss; and, from
 *      the same graph, the gradient of a random combination of the gradients against central differences of that
 *   2. f32 in a session with all passes and kernels, of declared shapes: against 1
 *   3. the same with open dims
 *   4. f16 in a session, more coarsely (not with NO_F16) */
#ifndef TESTS_PASSES_GRAD_TEST_H
#define TESTS_PASSES_GRAD_TEST_H

#include "base/rng.h"
#include "passes/gradient/gradient.h"
#include "passes/pass.h"
#include "runtime/session.h"

#include "../ops/op_test.h"

enum { GRAD_IN_MAX = 9, GRAD_OUT_MAX = 5, NO_SECOND = 1, NO_F32 = 2, NO_OPEN = 4, COARSE = 8, NO_F16 = 16 };

typedef struct grad_case {
  const char *op;
  int version;
  const char *attrs;
  const char *in[GRAD_IN_MAX];
  const char *outs;
  int flags;
} grad_case;

/* A graph of the case: inputs are the differentiated values. */
typedef struct grad_graph {
  model *m;
  graph *g;
  value_id xs[GRAD_IN_MAX], loss, grads[GRAD_IN_MAX], combined, seconds[GRAD_IN_MAX];
  int n_xs, n_forward, n_first;
  tensor owned[8];
  int n_owned;
} grad_graph;

static rng grad_dice;

static double grad_unit(void) { return (double)(rng_u64(&grad_dice) >> 11) * 0x1p-53; }

static void grad_fill(char kind, tensor *t) {
  int64_t n = tensor_elements(t);
  double *v = t->data;
  for (int64_t i = 0; i < n; i++) {
    double r = grad_unit();
    v[i] = kind == 'p' ? 0.4 + 1.4 * r : kind == 'u' ? 1.4 * r - 0.7 : kind == 'x' ? 2 * r - 1 : 0;
    if (kind == 'd') v[i] = ((double)i - (double)n / 2) * 0.13 + 0.04;
  }
  for (int64_t i = n - 1; kind == 'd' && i > 0; i--) {
    int64_t k = (int64_t)(rng_u64(&grad_dice) % (uint64_t)(i + 1));
    double swap = v[i];
    v[i] = v[k];
    v[k] = swap;
  }
}

static bool grad_is_x(const char *spec) { return strchr("xpdu", spec[0]) && spec[1] == '['; }

static tensor grad_tensor(const char *spec) {
  char text[64];
  bool any;
  snprintf(text, sizeof text, "f64%s *", spec + 1);
  tensor t = op_test_tensor(text, &any);
  grad_fill(spec[0], &t);
  return t;
}

static tensor grad_as(const tensor *t, ledge_dtype dtype) {
  tensor r = {0};
  tensor_set_shape(&r, dtype, t->rank, t->dims);
  if (tensor_alloc(&r, NULL)) abort();
  for (int64_t i = 0; i < tensor_elements(t); i++) dtype_store_f64(dtype, r.data, i, tensor_f64(t, i));
  return r;
}

static value_id grad_constant(graph *g, const tensor *t, ledge_dtype real) {
  tensor c = t->dtype == LEDGE_F64 ? grad_as(t, real) : *t;
  value_id v = graph_add_constant_copy(g, NULL, c.dtype, c.rank, c.dims, c.data);
  if (t->dtype == LEDGE_F64) tensor_deinit(&c);
  if (v == VALUE_ABSENT) abort();
  return v;
}

static value_id grad_node(graph *g, const char *op, int version, const value_id *in, int n_in) {
  value_id out = graph_add_value(g, NULL);
  node *n = graph_add_node(g, "", op, version, "", in, n_in, &out, 1);
  if (!n) abort();
  n->def = ops_find("", op, version);
  return out;
}

static value_id grad_total(graph *g, value_id v, const tensor *weights, ledge_dtype real) {
  value_id w = grad_constant(g, weights, real);
  value_id product = grad_node(g, "Mul", 14, (value_id[]){v, w}, 2);
  value_id sum = grad_node(g, "ReduceSum", 13, &product, 1);
  node *n = &g->nodes[g->n_nodes - 1];
  if (node_set_int(g, n, "keepdims", 0)) abort();
  return sum;
}

static value_id grad_plus(graph *g, value_id a, value_id b) {
  return a == VALUE_ABSENT ? b : grad_node(g, "Add", 14, (value_id[]){a, b}, 2);
}

/* Runs nodes [0, end) one after another by their references. vals: by value id; zeroed; the caller's to free. */
static bool grad_eval(const grad_case *gc, const graph *g, int end, const value_id *xs, const tensor *x, int n_xs,
                      value *vals) {
  for (int v = 0; v < g->n_values; v++)
    if (g->values[v].constant) {
      vals[v] = (value){.kind = VALUE_TENSOR, .tensor = *g->values[v].constant};
      vals[v].tensor.own = NULL;
    }
  for (int i = 0; i < n_xs; i++) {
    vals[xs[i]] = (value){.kind = VALUE_TENSOR, .tensor = x[i]};
    vals[xs[i]].tensor.own = NULL;
  }
  for (int i = 0; i < end; i++) {
    const node *n = &g->nodes[i];
    const value *in[32] = {NULL};
    value *out[32] = {NULL};
    if (n->n_in > 32 || n->n_out > 32) abort();
    for (int k = 0; k < n->n_in; k++) in[k] = n->in[k] == VALUE_ABSENT ? NULL : &vals[n->in[k]];
    for (int k = 0; k < n->n_out; k++) out[k] = n->out[k] == VALUE_ABSENT ? NULL : &vals[n->out[k]];
    ledge_error e = {0};
    rng random;
    rng_init(&random, 1);
    op_ctx c = {.node = n,
                .def = n->def,
                .n_in = n->n_in,
                .n_out = n->n_out,
                .in = in,
                .out = out,
                .error = &e,
                .rng = &random};
    if (op_eval(&c)) {
      TEST_FAIL("%s-%d (%s): node %d, %s: %s", gc->op, gc->version, gc->attrs, i, n->op, e.message);
      return false;
    }
  }
  return true;
}

static void grad_free(value *vals, int n) {
  for (int i = 0; i < n; i++) value_deinit(&vals[i]);
  mem_free(vals);
}

/* The forward graph with its loss, and the gradients. weights[k] of output k, seconds[i] of gradient i: made (in f64)
 * where they are not there yet. */
static bool grad_build(const grad_case *gc, ledge_dtype real, bool open, const tensor *x, const tensor *constants,
                       tensor *weights, tensor *seconds, grad_graph *gg) {
  char domain[64] = "";
  const char *name = strchr(gc->op, ':');
  if (name) memcpy(domain, gc->op, (size_t)(name - gc->op));
  name = name ? name + 1 : gc->op;
  *gg = (grad_graph){.m = model_create(), .loss = VALUE_ABSENT, .combined = VALUE_ABSENT};
  graph *g = gg->g = graph_create(gg->m, NULL, "test");
  gg->m->graph = g;
  value_id in[GRAD_IN_MAX], out[GRAD_OUT_MAX];
  int n_in = 0, n_out = 0;
  for (; n_in < GRAD_IN_MAX && gc->in[n_in]; n_in++) {
    if (!strcmp(gc->in[n_in], "-")) {
      in[n_in] = VALUE_ABSENT;
    } else if (grad_is_x(gc->in[n_in])) {
      const tensor *t = &x[gg->n_xs];
      value_id v = in[n_in] = gg->xs[gg->n_xs++] = graph_add_value(g, NULL);
      int64_t *dims = arena_alloc_array(&gg->m->arena, (size_t)t->rank + 1, sizeof *dims);
      const char **names = arena_alloc_array(&gg->m->arena, (size_t)t->rank + 1, sizeof *names);
      for (int d = 0; d < t->rank; d++) {
        char text[32];
        snprintf(text, sizeof text, "n%lld", (long long)t->dims[d]);
        dims[d] = open ? -1 : t->dims[d];
        names[d] = arena_strdup(&gg->m->arena, text);
      }
      g->values[v].type = (graph_type){
          .kind = TYPE_TENSOR, .dtype = real, .rank = t->rank, .dims = dims, .dim_names = open ? names : NULL};
    } else {
      in[n_in] = grad_constant(g, &constants[n_in], real);
    }
  }
  const char *outs = gc->outs ? gc->outs : "L";
  for (; outs[n_out]; n_out++) out[n_out] = outs[n_out] == '-' ? VALUE_ABSENT : graph_add_value(g, NULL);
  node *n = graph_add_node(g, domain, name, gc->version, "node", in, n_in, out, n_out);
  op_test_attrs(g, n, gc->attrs, gg->owned, &gg->n_owned);
  n = &g->nodes[0];
  n->def = ops_find(domain, name, gc->version);
  if (!n->def) {
    TEST_FAIL("no row for %s version %d", gc->op, gc->version);
    return false;
  }
  int n_values = g->n_values;
  value *vals = mem_alloc_array((size_t)n_values, sizeof *vals);
  bool fine = real != LEDGE_F64 || grad_eval(gc, g, 1, gg->xs, x, gg->n_xs, vals);
  for (int k = 0; fine && k < n_out; k++) {
    if (outs[k] != 'L') continue;
    if (!weights[k].data) {
      tensor_set_shape(&weights[k], LEDGE_F64, vals[out[k]].tensor.rank, vals[out[k]].tensor.dims);
      if (tensor_alloc(&weights[k], NULL)) abort();
      grad_fill('x', &weights[k]);
    }
    gg->loss = grad_plus(g, gg->loss, grad_total(g, out[k], &weights[k], real));
  }
  grad_free(vals, n_values);
  if (!fine) return false;
  gg->n_forward = g->n_nodes;
  g->inputs = gg->xs;
  g->n_inputs = gg->n_xs;
  ledge_error e = {0};
  if (gradient_build(g, gg->loss, gg->xs, gg->n_xs, gg->grads, &e)) {
    TEST_FAIL("%s-%d (%s): %s", gc->op, gc->version, gc->attrs, e.message);
    return false;
  }
  gg->n_first = g->n_nodes;
  if (gc->flags & NO_SECOND || real != LEDGE_F64) return true;
  for (int i = 0; i < gg->n_xs; i++) {
    tensor_set_shape(&seconds[i], LEDGE_F64, x[i].rank, x[i].dims);
    if (tensor_alloc(&seconds[i], NULL)) abort();
    grad_fill('x', &seconds[i]);
    gg->combined = grad_plus(g, gg->combined, grad_total(g, gg->grads[i], &seconds[i], real));
  }
  gg->n_first = g->n_nodes;
  if (gradient_build(g, gg->combined, gg->xs, gg->n_xs, gg->seconds, &e)) {
    TEST_FAIL("%s-%d (%s): second derivative: %s", gc->op, gc->version, gc->attrs, e.message);
    return false;
  }
  return true;
}

static double grad_scalar(const grad_case *gc, const grad_graph *gg, int end, value_id v, const tensor *x, bool *fine) {
  value *vals = mem_alloc_array((size_t)gg->g->n_values, sizeof *vals);
  *fine = grad_eval(gc, gg->g, end, gg->xs, x, gg->n_xs, vals) && *fine;
  double r = *fine ? tensor_f64(&vals[v].tensor, 0) : 0;
  grad_free(vals, gg->g->n_values);
  return r;
}

/* Central differences of scalar v (made by nodes [0, end)) against the tensors got[i]. */
static void grad_differences(const grad_case *gc, const grad_graph *gg, int end, value_id v, tensor *x,
                             const value *vals, const value_id *got, const char *what) {
  bool fine = true;
  for (int i = 0; i < gg->n_xs && fine; i++) {
    const tensor *t = &vals[got[i]].tensor;
    int64_t n = tensor_elements(&x[i]), step = n / 24 + 1;
    if (!tensor_same_shape(t, &x[i]) || t->dtype != LEDGE_F64) {
      TEST_FAIL("%s-%d (%s): %s of input %d has another shape or type", gc->op, gc->version, gc->attrs, what, i);
      return;
    }
    double *data = x[i].data, h = gc->flags & COARSE ? 1e-3 : 1e-5;
    for (int64_t k = (int64_t)(rng_u64(&grad_dice) % (uint64_t)step); k < n && fine; k += step) {
      double old = data[k];
      data[k] = old + h;
      double up = grad_scalar(gc, gg, end, v, x, &fine);
      data[k] = old - h;
      double down = grad_scalar(gc, gg, end, v, x, &fine);
      data[k] = old;
      double want = (up - down) / (2 * h), have = tensor_f64(t, k);
      if (!(fabs(want - have) <= (gc->flags & COARSE ? 5e-3 : 2e-6) * (1 + fabs(want))))
        TEST_FAIL("%s-%d (%s): %s of input %d[%lld] is %.9g; by differences %.9g", gc->op, gc->version, gc->attrs, what,
                  i, (long long)k, have, want);
    }
  }
}

/* The gradients in a session, in f32 or f16, against `want`. */
static void grad_session(const grad_case *gc, ledge_dtype dtype, bool open, const tensor *x, const tensor *constants,
                         tensor *weights, const value *want, const value_id *want_ids) {
  grad_graph gg;
  value in[GRAD_IN_MAX] = {0};
  const value *ins[GRAD_IN_MAX];
  ledge_error e = {0};
  session *s = NULL;
  if (grad_build(gc, dtype, open, x, constants, weights, NULL, &gg)) {
    gg.g->outputs = gg.grads;
    gg.g->n_outputs = gg.n_xs;
    const pass_options po = {0};
    const session_options so = {.threads = 1};
    for (int i = 0; i < gg.n_xs; i++) {
      in[i] = (value){.kind = VALUE_TENSOR, .tensor = grad_as(&x[i], dtype)};
      ins[i] = &in[i];
    }
    gg.m->ir_version = 8;
    if (graph_verify(gg.g, &e) || passes_run(gg.m, &po, &e) || session_create(gg.m, &so, &s, &e) ||
        session_run(s, ins, &e))
      TEST_FAIL("%s-%d (%s): in a session%s: %s", gc->op, gc->version, gc->attrs,
                dtype == LEDGE_F16 ? ", f16"
                : open             ? ", open dims"
                                   : "",
                e.message);
    for (int i = 0; s && !e.code && i < gg.n_xs; i++) {
      const tensor *t = &session_output(s, i)->tensor, *w = &want[want_ids[i]].tensor;
      double most = 0;
      if (!tensor_same_shape(t, w)) {
        TEST_FAIL("%s-%d (%s): in a session%s: shapes differ", gc->op, gc->version, gc->attrs,
                  dtype == LEDGE_F16 ? ", f16"
                  : open             ? ", open dims"
                                     : "");
        continue;
      }
      for (int64_t k = 0; k < tensor_elements(w); k++) most = fmax(most, fabs(tensor_f64(w, k)));
      for (int64_t k = 0; k < tensor_elements(w); k++)
        if (!(fabs(tensor_f64(t, k) - tensor_f64(w, k)) <= (dtype == LEDGE_F16 ? 2e-2 : 3e-4) * (most + 1e-2))) {
          TEST_FAIL("%s-%d (%s): in a session%s: input %d[%lld]: %.7g, not %.7g", gc->op, gc->version, gc->attrs,
                    dtype == LEDGE_F16 ? ", f16"
                    : open             ? ", open dims"
                                       : "",
                    i, (long long)k, tensor_f64(t, k), tensor_f64(w, k));
          break;
        }
    }
  }
  session_destroy(s);
  for (int i = 0; i < GRAD_IN_MAX; i++) value_deinit(&in[i]);
  for (int i = 0; i < gg.n_owned; i++) tensor_deinit(&gg.owned[i]);
  model_destroy(gg.m);
}

static void grad_run(const grad_case *gc) {
  tensor x[GRAD_IN_MAX] = {0}, constants[GRAD_IN_MAX] = {0}, weights[GRAD_OUT_MAX] = {0}, seconds[GRAD_IN_MAX] = {0};
  int n_xs = 0;
  bool any;
  grad_graph gg;
  for (int i = 0; i < GRAD_IN_MAX && gc->in[i]; i++) {
    if (grad_is_x(gc->in[i]))
      x[n_xs++] = grad_tensor(gc->in[i]);
    else if (strcmp(gc->in[i], "-"))
      constants[i] = op_test_tensor(gc->in[i], &any);
  }
  if (grad_build(gc, LEDGE_F64, false, x, constants, weights, seconds, &gg)) {
    value *vals = mem_alloc_array((size_t)gg.g->n_values, sizeof *vals);
    if (grad_eval(gc, gg.g, gg.g->n_nodes, gg.xs, x, gg.n_xs, vals)) {
      grad_differences(gc, &gg, gg.n_forward, gg.loss, x, vals, gg.grads, "the gradient");
      if (!(gc->flags & NO_SECOND))
        grad_differences(gc, &gg, gg.n_first, gg.combined, x, vals, gg.seconds, "the second derivative");
      if (!(gc->flags & NO_F32)) {
        grad_session(gc, LEDGE_F32, false, x, constants, weights, vals, gg.grads);
        if (!(gc->flags & NO_OPEN)) grad_session(gc, LEDGE_F32, true, x, constants, weights, vals, gg.grads);
        if (!(gc->flags & NO_F16)) grad_session(gc, LEDGE_F16, false, x, constants, weights, vals, gg.grads);
      }
    }
    grad_free(vals, gg.g->n_values);
  }
  for (int i = 0; i < gg.n_owned; i++) tensor_deinit(&gg.owned[i]);
  model_destroy(gg.m);
  for (int i = 0; i < GRAD_IN_MAX; i++) {
    tensor_deinit(&x[i]);
    tensor_deinit(&constants[i]);
    tensor_deinit(&seconds[i]);
  }
  for (int i = 0; i < GRAD_OUT_MAX; i++) tensor_deinit(&weights[i]);
}

static void grad_cases(const grad_case *cases, size_t n) {
  rng_init(&grad_dice, 7);
  for (size_t i = 0; i < n; i++) grad_run(&cases[i]);
}

#endif
