/* tests/backend/net_test: small graphs that a test writes as text, run by the plain references without any pass, and by
 * the kernels with all of them, one thread and two: the outputs must agree, and those of two threads be the same to the
 * bit.
 *
 *   static const net_case cases[] = {
 *       {"x = in f32[2x3]; w = f32[3x4]; y = MatMul-13 x w; z = Relu-14 y; out z", "gemm", 1e-5},
 *   };
 *
 * Statements end with ';'. `NAME = in TYPE[DIMS]` is an input and `NAME = TYPE[DIMS]` a constant: normal random numbers
 * (integers: 0 to 3), or those that follow in the notation of ops/op_test.h; `TYPE[DIMS] + 2` adds 2 to the random
 * numbers. `NAMES = OP-VERSION INPUTS ATTRIBUTES` is a node ("domain:Name-1"; "-" for what is left out). `out NAMES`
 * comes last.
 *
 * `kernel`: a part of the name of a kernel that must have run ("" for none), and no step may run its reference. With a
 * '!' in front references are allowed; with '~' the named kernel must not run. `tolerance` is relative to the largest
 * magnitude of the output; 0: the same bits (or both NaN). */
#ifndef TESTS_BACKEND_NET_TEST_H
#define TESTS_BACKEND_NET_TEST_H

#include "base/rng.h"
#include "ops/op_test.h"
#include "passes/pass.h"
#include "runtime/session.h"

enum { NET_VALUES_MAX = 64, NET_IO_MAX = 12 };

typedef struct net_case {
  const char *text, *kernel;
  double tolerance;
} net_case;

typedef struct net {
  const net_case *nc;
  model *m;
  char names[NET_VALUES_MAX][24];
  value_id ids[NET_VALUES_MAX];
  int n_names;
  value in[NET_IO_MAX];
  value_id in_ids[NET_IO_MAX], out_ids[NET_IO_MAX];
  int n_in, n_out;
  tensor owned[32]; /* attributes' */
  int n_owned;
  rng random;
} net;

static value_id *net_name(net *t, const char *name, size_t size) {
  for (int i = 0; i < t->n_names; i++)
    if (strlen(t->names[i]) == size && !memcmp(t->names[i], name, size)) return &t->ids[i];
  if (size > 23 || t->n_names == NET_VALUES_MAX) abort();
  memcpy(t->names[t->n_names], name, size);
  t->ids[t->n_names] = VALUE_ABSENT;
  return &t->ids[t->n_names++];
}

/* "f32[2x3]", "f32[2x3] + 2" or "i64[2] 0 1". */
static tensor net_tensor(net *t, const char *text) {
  bool any;
  const char *close = strchr(text, ']'), *rest = op_test_space(close + 1);
  if (*rest && *rest != '+') return op_test_tensor(text, &any);
  char star[128];
  snprintf(star, sizeof star, "%.*s *", (int)(close + 1 - text), text);
  tensor x = op_test_tensor(star, &any);
  double offset = *rest == '+' ? strtod(rest + 1, NULL) : 0;
  for (int64_t i = 0, n = tensor_elements(&x); i < n; i++) {
    if (dtype_is_integer(x.dtype) || x.dtype == LEDGE_BOOL)
      dtype_store_i64(x.dtype, x.data, i,
                      (int64_t)(rng_u64(&t->random) % (x.dtype == LEDGE_BOOL ? 2 : 4)) + (int64_t)offset);
    else
      dtype_store_f64(x.dtype, x.data, i, rng_normal(&t->random) + offset);
  }
  return x;
}

static void net_node(net *t, const char *left, const char *right) {
  graph *g = t->m->graph;
  value_id in[NET_IO_MAX], out[NET_IO_MAX];
  int n_in = 0, n_out = 0;
  char op[64] = "", domain[32] = "";
  const char *text;
  size_t size = op_test_token(&right, 0, &text);
  const char *dash = text + size;
  while (*dash != '-') dash--;
  snprintf(op, sizeof op, "%.*s", (int)(dash - text), text);
  int version = (int)strtol(dash + 1, NULL, 10);
  char *colon = strchr(op, ':');
  if (colon) {
    snprintf(domain, sizeof domain, "%.*s", (int)(colon - op), op);
    memmove(op, colon + 1, strlen(colon));
  }
  for (right = op_test_space(right); *right && strcspn(right, "=") > strcspn(right, " \t\n");
       right = op_test_space(right)) {
    size = op_test_token(&right, 0, &text);
    in[n_in++] = size == 1 && *text == '-' ? VALUE_ABSENT : *net_name(t, text, size);
  }
  if (*right && !strchr(right, '=')) { /* the last input */
    size = op_test_token(&right, 0, &text);
    in[n_in++] = size == 1 && *text == '-' ? VALUE_ABSENT : *net_name(t, text, size);
    right = "";
  }
  for (left = op_test_space(left); *left; left = op_test_space(left)) {
    size = op_test_token(&left, 0, &text);
    bool absent = size == 1 && *text == '-';
    out[n_out] = absent ? VALUE_ABSENT : graph_add_value(g, NULL);
    if (!absent) *net_name(t, text, size) = out[n_out];
    n_out++;
  }
  node *n = graph_add_node(g, arena_strndup(&t->m->arena, domain, strlen(domain)),
                           arena_strndup(&t->m->arena, op, strlen(op)), version, "", in, n_in, out, n_out);
  if (!n) abort();
  op_test_attrs(g, n, right, t->owned, &t->n_owned);
}

static void net_statement(net *t, char *s) {
  graph *g = t->m->graph;
  const char *at = op_test_space(s), *text;
  if (!*at) return;
  if (!strncmp(at, "out ", 4)) {
    for (at = op_test_space(at + 4); *at; at = op_test_space(at)) {
      size_t size = op_test_token(&at, 0, &text);
      t->out_ids[t->n_out++] = *net_name(t, text, size);
    }
    return;
  }
  char *equals = strchr(s, '=');
  *equals = 0;
  const char *right = op_test_space(equals + 1);
  bool input = !strncmp(right, "in ", 3);
  if (input) right = op_test_space(right + 3);
  const char *bracket = strchr(right, '[');
  bool is_tensor = bracket && strcspn(right, " ") > (size_t)(bracket - right);
  if (!is_tensor) {
    net_node(t, at, right);
    return;
  }
  size_t size = op_test_token(&at, 0, &text);
  tensor x = net_tensor(t, right);
  if (input) {
    value_id v = graph_add_value(g, NULL);
    int64_t *dims = arena_alloc_array(&t->m->arena, (size_t)x.rank + 1, sizeof *dims);
    memcpy(dims, x.dims, (size_t)x.rank * sizeof *dims);
    g->values[v].type = (graph_type){.kind = TYPE_TENSOR, .dtype = x.dtype, .rank = x.rank, .dims = dims};
    t->in_ids[t->n_in] = v;
    t->in[t->n_in++] = (value){.kind = VALUE_TENSOR, .tensor = x};
    *net_name(t, text, size) = v;
  } else {
    *net_name(t, text, size) = graph_add_constant_copy(g, NULL, x.dtype, x.rank, x.dims, x.data);
    tensor_deinit(&x);
  }
}

static void net_init(net *t, const net_case *nc) {
  *t = (net){.nc = nc, .m = model_create()};
  rng_init(&t->random, 7);
  t->m->graph = graph_create(t->m, NULL, "net");
  t->m->defaults_fixed = true;
  char *copy = strdup(nc->text);
  for (char *s = copy, *end; s; s = end) {
    end = strchr(s, ';');
    if (end) *end++ = 0;
    net_statement(t, s);
  }
  free(copy);
  graph *g = t->m->graph;
  g->inputs = t->in_ids, g->n_inputs = t->n_in;
  g->outputs = t->out_ids, g->n_outputs = t->n_out;
  int missing = 0;
  ledge_error e = {0};
  if (ops_resolve(g, NULL, 0, &missing, &e) || missing) {
    fprintf(stderr, "%s: %d operators are missing\n", nc->text, missing);
    abort();
  }
}

static void net_deinit(net *t) {
  model_destroy(t->m);
  for (int i = 0; i < t->n_in; i++) value_deinit(&t->in[i]);
  for (int i = 0; i < t->n_owned; i++) tensor_deinit(&t->owned[i]);
}

/* A session after its run; NULL where it failed, which is a failure of the test. `disable`: passes left out. */
static session *net_run(net *t, bool reference, const char *disable, int threads) {
  model *m = NULL;
  session *s = NULL;
  ledge_error e = {0};
  const value *in[NET_IO_MAX];
  for (int i = 0; i < t->n_in; i++) in[i] = &t->in[i];
  ledge_status status = model_clone(t->m, &m, &e);
  if (!status) {
    m->defaults_fixed = true;
    status = passes_run(m, &(pass_options){.required_only = reference, .disable = disable}, &e);
  }
  if (!status) status = graph_verify(m->graph, &e);
  const session_options o = {.threads = threads, .reference_only = reference, .profile = true, .seed = 1};
  if (!status) status = session_create(m, &o, &s, &e);
  if (!status) status = session_run(s, in, &e);
  if (status) {
    TEST_FAIL("%s: %s", t->nc->text, e.message);
    session_destroy(s);
    s = NULL;
  }
  model_destroy(m);
  return s;
}

static void net_kernels(net *t, const session *s) {
  const char *want = t->nc->kernel;
  bool loose = *want == '!' || *want == '~', forbidden = *want == '~', found = false;
  if (loose) want++;
  const plan *p = session_last_plan(s);
  for (int i = 0; i < p->n_steps; i++) {
    const char *name = p->steps[i].kernel_name;
    if (!name && !loose) TEST_FAIL("%s: %s runs its reference", t->nc->text, p->steps[i].ctx.node->op);
    if (name && *want && strstr(name, want)) found = true;
  }
  if (*want && found == forbidden)
    TEST_FAIL("%s: kernel '%s' %s", t->nc->text, want, found ? "must not run" : "did not run");
}

static void net_compare(net *t, int i, const tensor *got, const tensor *want, double tolerance) {
  if (got->dtype != want->dtype || !tensor_same_shape(got, want)) {
    char a[128], b[128];
    TEST_FAIL("%s: output %d is %s%s, not %s%s", t->nc->text, i, ledge_dtype_name(got->dtype),
              shape_print(got->rank, got->dims, a, sizeof a), ledge_dtype_name(want->dtype),
              shape_print(want->rank, want->dims, b, sizeof b));
    return;
  }
  bool real = dtype_is_float(want->dtype);
  int64_t n = tensor_elements(want);
  double most = 0;
  for (int64_t k = 0; real && k < n; k++)
    if (isfinite(tensor_f64(want, k))) most = fmax(most, fabs(tensor_f64(want, k)));
  for (int64_t k = 0; k < n; k++) {
    double x = real ? tensor_f64(got, k) : (double)tensor_i64(got, k),
           y = real ? tensor_f64(want, k) : (double)tensor_i64(want, k);
    if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * (real ? most : 1)) continue;
    TEST_FAIL("%s: output %d[%lld] is %.9g, not %.9g", t->nc->text, i, (long long)k, x, y);
    return;
  }
}

static void net_check(const net_case *nc) {
  net t;
  net_init(&t, nc);
  session *ref = net_run(&t, true, NULL, 1), *one = net_run(&t, false, NULL, 1), *two = net_run(&t, false, NULL, 2);
  if (one) net_kernels(&t, one);
  for (int i = 0; ref && one && two && i < t.n_out; i++) {
    net_compare(&t, i, &session_output(one, i)->tensor, &session_output(ref, i)->tensor, nc->tolerance);
    net_compare(&t, i, &session_output(two, i)->tensor, &session_output(one, i)->tensor, 0);
  }
  session_destroy(ref);
  session_destroy(one);
  session_destroy(two);
  net_deinit(&t);
}

__attribute__((unused)) static void net_cases(const net_case *cases, size_t n) {
  for (size_t i = 0; i < n; i++) net_check(&cases[i]);
}
#define NET_CASES(cases) net_cases(cases, sizeof(cases) / sizeof *(cases))

#endif
