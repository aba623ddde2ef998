/* tests/ops/op_test: one operator on tensors that the test writes as text, outside of any session.
 *
 *   static const op_case cases[] = {
 *       {"Add", 14, "", {"f32[2x2] 1 2 3 4", "f32[2] 10 20"}, {"f32[2x2] 11 22 13 24"}},
 *       {"Elu", 6, "alpha=2.0", {"f32[2] -inf 1"}, {"f32[2] -2 1"}},
 *       {"Add", 14, "", {"f32[2] 1 2", "f32[3] 1 2 3"}, {"error shape"}},
 *   };
 *   op_test_cases(cases, sizeof cases / sizeof *cases);
 *
 * A tensor: dtype[dims] elements, by white space; a scalar has []; complex elements are two numbers; strings stand in
 * '...' where they hold spaces or nothing. "-" is an input left out, or an output that is not asked for; "*" an output
 * whose contents are not compared ("f32[3] *"). "error" (any), or "error NAME" with a part of the status's name.
 * Attributes, by white space: i=1 (INT), f=1.0 (FLOAT: has a dot, an exponent, inf or nan), s='text' (STRING), to=@f16
 * (INT: a dtype's number), l=[1,2] (INTS), l=[1.0,2] (FLOATS), l=['a','b'] (STRINGS), t={f32[2] 1 2} (TENSOR). An
 * operator of another domain is written "domain:Name". Floats are compared within 1e-5 relative (f16, bf16 and smaller:
 * one step), NaN equal to NaN; all else exactly. */
#ifndef TESTS_OPS_OP_TEST_H
#define TESTS_OPS_OP_TEST_H

#include "graph/graph.h"
#include "ops/op.h"
#include "test.h"

#include <ctype.h>

enum { OP_TEST_MAX = 12 };

typedef struct op_case {
  const char *op; /* "Name" or "domain:Name" */
  int version;
  const char *attrs;
  const char *in[OP_TEST_MAX], *out[OP_TEST_MAX];
} op_case;

static const char *op_test_space(const char *s) {
  while (isspace((unsigned char)*s)) s++;
  return s;
}

/* The end of a token: at white space, at `stop`, or behind a closing quote. */
static size_t op_test_token(const char **s, char stop, const char **text) {
  *s = op_test_space(*s);
  if (**s == '\'') {
    *text = *s + 1;
    const char *end = strchr(*text, '\'');
    *s = end + 1;
    return (size_t)(end - *text);
  }
  *text = *s;
  while (**s && **s != stop && !isspace((unsigned char)**s)) ++*s;
  return (size_t)(*s - *text);
}

static ledge_dtype op_test_dtype(const char *name, size_t size) {
  for (int d = 1; d < LEDGE_DTYPE_COUNT; d++)
    if (strlen(ledge_dtype_name(d)) == size && !memcmp(ledge_dtype_name(d), name, size)) return (ledge_dtype)d;
  fprintf(stderr, "no dtype %.*s\n", (int)size, name);
  abort();
}

static void op_test_put(tensor *t, int64_t i, const char *text, size_t size) {
  char number[64] = {0};
  memcpy(number, text, size < 63 ? size : 63);
  if (t->dtype == LEDGE_STRING) {
    if (tensor_put_string(t, i, text, size, NULL)) abort();
  } else if (t->dtype == LEDGE_C64) {
    ((float *)t->data)[i] = strtof(number, NULL);
  } else if (t->dtype == LEDGE_C128) {
    ((double *)t->data)[i] = strtod(number, NULL);
  } else if (t->dtype == LEDGE_U64) {
    ((uint64_t *)t->data)[i] = strtoull(number, NULL, 10);
  } else if (t->dtype >= LEDGE_F8E4M3FN && t->dtype <= LEDGE_F8E5M2FNUZ) { /* infinity stays what it is */
    ((uint8_t *)t->data)[i] = dtype_f32_to_small(t->dtype, strtof(number, NULL), false);
  } else if (dtype_is_integer(t->dtype)) {
    dtype_store_i64(t->dtype, t->data, i, strtoll(number, NULL, 10));
  } else {
    dtype_store_f64(t->dtype, t->data, i, strtod(number, NULL));
  }
}

/* Reads a tensor's text into an owned tensor; *any is set where the elements are "*". */
static tensor op_test_tensor(const char *s, bool *any) {
  tensor t = {0};
  const char *name;
  size_t size = op_test_token(&s, '[', &name);
  ledge_dtype dtype = op_test_dtype(name, size);
  int64_t dims[LEDGE_MAX_RANK];
  int rank = 0;
  for (s++; *s != ']'; s += *s == 'x') {
    char *end;
    dims[rank++] = strtoll(s, &end, 10);
    if (end == s) abort();
    s = end;
  }
  s++;
  tensor_set_shape(&t, dtype, rank, dims);
  if (tensor_alloc(&t, NULL)) abort();
  if (tensor_bytes(&t)) memset(t.data, 0, tensor_bytes(&t));
  int64_t n = tensor_elements(&t) * (dtype_kind_of(dtype) == DTYPE_KIND_COMPLEX ? 2 : 1), i = 0;
  for (s = op_test_space(s); *s; s = op_test_space(s)) {
    const char *text;
    size_t length = op_test_token(&s, 0, &text);
    if (length == 1 && *text == '*') {
      *any = true;
      return t;
    }
    if (i < n) op_test_put(&t, i, text, length);
    i++;
  }
  *any = false;
  if (i != n) fprintf(stderr, "%s: the test gives %lld elements for %lld\n", test_now_, (long long)i, (long long)n);
  if (i != n) abort();
  return t;
}

static bool op_test_is_float(const char *s, size_t size) {
  bool digit = false, point = false;
  for (size_t i = 0; i < size; i++) digit |= isdigit((unsigned char)s[i]) != 0, point |= strchr(".eEnN", s[i]) != NULL;
  return point || !digit;
}

static const char *op_test_list(model *m, attr *a, const char *s) {
  int64_t ints[64];
  float floats[64];
  ledge_string strings[64];
  bool is_float = false, is_string = false;
  for (s++; *s != ']'; s += *s == ',') {
    const char *text;
    size_t size;
    if (*s == '\'') {
      size = op_test_token(&s, ',', &text);
      is_string = true;
      strings[a->count] = (ledge_string){arena_strndup(&m->arena, text, size), size};
    } else {
      size = strcspn(s, ",]");
      is_float |= op_test_is_float(s, size);
      ints[a->count] = strtoll(s, NULL, 10);
      floats[a->count] = strtof(s, NULL);
      s += size;
    }
    a->count++;
  }
  size_t n = (size_t)a->count;
  void *copy = arena_alloc(&m->arena, (n + 1) * sizeof *strings);
  if (is_string)
    a->type = ATTR_STRINGS, a->strings = memcpy(copy, strings, n * sizeof *strings);
  else if (is_float)
    a->type = ATTR_FLOATS, a->floats = memcpy(copy, floats, n * sizeof *floats);
  else
    a->type = ATTR_INTS, a->ints = memcpy(copy, ints, n * sizeof *ints);
  return s + 1;
}

static void op_test_attrs(graph *g, node *n, const char *s, tensor *owned, int *n_owned) {
  model *m = g->model;
  for (s = op_test_space(s); *s; s = op_test_space(s)) {
    size_t name = strcspn(s, "=");
    attr a = {.name = arena_strndup(&m->arena, s, name), .type = ATTR_INT, .count = 1};
    s += name + 1;
    if (*s == '[') {
      a.count = 0;
      s = op_test_list(m, &a, s);
    } else if (*s == '{') {
      size_t size = strcspn(s, "}");
      bool any;
      owned[*n_owned] = op_test_tensor(arena_strndup(&m->arena, s + 1, size - 1), &any);
      a.type = ATTR_TENSOR, a.t = &owned[(*n_owned)++];
      s += size + 1;
    } else {
      bool quoted = *s == '\'';
      const char *text;
      size_t size = op_test_token(&s, 0, &text);
      char *copy = arena_strndup(&m->arena, text, size);
      if (quoted)
        a.type = ATTR_STRING, a.s = (ledge_string){copy, size};
      else if (*copy == '@')
        a.i = op_test_dtype(copy + 1, size - 1);
      else if (op_test_is_float(copy, size))
        a.type = ATTR_FLOAT, a.f = strtof(copy, NULL);
      else
        a.i = strtoll(copy, NULL, 10);
    }
    if (node_set_attr(g, n, &a)) abort();
  }
}

static double op_test_tolerance(ledge_dtype d, double want) {
  double relative = 1e-5;
  if (d == LEDGE_F64) relative = 1e-6;
  if (d == LEDGE_F16) relative = 0x1p-10;
  if (d == LEDGE_BF16) relative = 0x1p-7;
  if (dtype_is_float(d) && dtype_bytes(d) < 2) relative = 0;
  return dtype_is_float(d) || dtype_kind_of(d) == DTYPE_KIND_COMPLEX ? relative * fabs(want) + 1e-7 * (relative > 0)
                                                                     : 0;
}

static void op_test_compare(const op_case *oc, int i, const value *got, const char *want_text) {
  bool any;
  tensor want = op_test_tensor(want_text, &any);
  const tensor *t = &got->tensor;
  char a[128], b[128];
  if (got->kind != VALUE_TENSOR || t->dtype != want.dtype || !tensor_same_shape(t, &want)) {
    TEST_FAIL("%s-%d (%s): output %d is %s%s, not %s%s", oc->op, oc->version, oc->attrs, i,
              got->kind == VALUE_TENSOR ? ledge_dtype_name(t->dtype) : "no tensor",
              shape_print(t->rank, t->dims, a, sizeof a), ledge_dtype_name(want.dtype),
              shape_print(want.rank, want.dims, b, sizeof b));
    tensor_deinit(&want);
    return;
  }
  int64_t n = any ? 0 : tensor_elements(t);
  bool is_complex = dtype_kind_of(t->dtype) == DTYPE_KIND_COMPLEX;
  ledge_dtype part = t->dtype == LEDGE_C64 ? LEDGE_F32 : t->dtype == LEDGE_C128 ? LEDGE_F64 : t->dtype;
  for (int64_t k = 0; k < n * (is_complex ? 2 : 1); k++) {
    if (t->dtype == LEDGE_STRING) {
      const ledge_string x = ((const ledge_string *)t->data)[k], y = ((const ledge_string *)want.data)[k];
      if (x.size != y.size || (x.size && memcmp(x.data, y.data, x.size)))
        TEST_FAIL("%s-%d (%s): output %d[%lld] is '%.*s', not '%.*s'", oc->op, oc->version, oc->attrs, i, (long long)k,
                  (int)x.size, x.data ? x.data : "", (int)y.size, y.data);
    } else if (dtype_is_integer(part)) {
      int64_t x = dtype_load_i64(part, t->data, k), y = dtype_load_i64(part, want.data, k);
      if (x != y)
        TEST_FAIL("%s-%d (%s): output %d[%lld] is %lld, not %lld", oc->op, oc->version, oc->attrs, i, (long long)k,
                  (long long)x, (long long)y);
    } else {
      double x = dtype_load_f64(part, t->data, k), y = dtype_load_f64(part, want.data, k);
      bool same = (isnan(x) && isnan(y)) || x == y || fabs(x - y) <= op_test_tolerance(part, y);
      if (!same)
        TEST_FAIL("%s-%d (%s): output %d[%lld] is %.9g, not %.9g", oc->op, oc->version, oc->attrs, i, (long long)k, x,
                  y);
    }
  }
  tensor_deinit(&want);
}

/* Runs one case; the outputs' values are handed to `look` (or NULL) before they go. */
static void op_test_run(const op_case *oc, void (*look)(const op_case *oc, value *out)) {
  char domain[64] = "";
  const char *name = strchr(oc->op, ':');
  if (name) memcpy(domain, oc->op, (size_t)(name - oc->op));
  name = name ? name + 1 : oc->op;
  model *m = model_create();
  graph *g = m ? graph_create(m, NULL, "test") : NULL;
  if (!g) abort();
  value in[OP_TEST_MAX] = {0}, out[OP_TEST_MAX] = {0};
  const value *ins[OP_TEST_MAX] = {0};
  value *outs[OP_TEST_MAX] = {0};
  value_id in_ids[OP_TEST_MAX], out_ids[OP_TEST_MAX];
  tensor owned[8];
  int n_in = 0, n_out = 0, n_owned = 0;
  bool any, error = oc->out[0] && !strncmp(oc->out[0], "error", 5);
  for (; n_in < OP_TEST_MAX && oc->in[n_in]; n_in++) {
    in_ids[n_in] = VALUE_ABSENT;
    if (!strcmp(oc->in[n_in], "-")) continue;
    in[n_in] = (value){.kind = VALUE_TENSOR, .tensor = op_test_tensor(oc->in[n_in], &any)};
    ins[n_in] = &in[n_in];
    in_ids[n_in] = graph_add_value(g, NULL);
  }
  for (; n_out < OP_TEST_MAX && oc->out[n_out]; n_out++) {
    out_ids[n_out] = VALUE_ABSENT;
    if (!strcmp(oc->out[n_out], "-")) continue;
    out[n_out].kind = VALUE_TENSOR;
    outs[n_out] = &out[n_out];
    out_ids[n_out] = graph_add_value(g, NULL);
  }
  node *n = graph_add_node(g, domain, name, oc->version, "node", in_ids, n_in, out_ids, n_out);
  if (!n) abort();
  op_test_attrs(g, n, oc->attrs, owned, &n_owned);
  n = &g->nodes[g->n_nodes - 1];
  n->def = ops_find(domain, name, oc->version);
  if (!n->def) {
    TEST_FAIL("no row for %s version %d", oc->op, oc->version);
  } else {
    ledge_error e = {0};
    rng random;
    rng_init(&random, 1);
    op_ctx c = {
        .node = n, .def = n->def, .n_in = n_in, .n_out = n_out, .in = ins, .out = outs, .error = &e, .rng = &random};
    ledge_status status = op_eval(&c);
    if (error) {
      const char *part = op_test_space(oc->out[0] + 5);
      char upper[64] = {0};
      for (int i = 0; part[i] && i < 63; i++) upper[i] = (char)toupper((unsigned char)part[i]);
      if (!status)
        TEST_FAIL("%s-%d (%s): it ran, against expectation", oc->op, oc->version, oc->attrs);
      else if (!strstr(ledge_status_name(status), upper) || !e.message[0])
        TEST_FAIL("%s-%d (%s): the error is %s: %s", oc->op, oc->version, oc->attrs, ledge_status_name(status),
                  e.message);
    } else if (status) {
      TEST_FAIL("%s-%d (%s): %s: %s", oc->op, oc->version, oc->attrs, ledge_status_name(status), e.message);
    } else {
      for (int i = 0; i < n_out; i++)
        if (outs[i]) op_test_compare(oc, i, &out[i], oc->out[i]);
      if (look) look(oc, out);
    }
  }
  for (int i = 0; i < n_in; i++) value_deinit(&in[i]);
  for (int i = 0; i < n_out; i++) value_deinit(&out[i]);
  for (int i = 0; i < n_owned; i++) tensor_deinit(&owned[i]);
  model_destroy(m);
}

__attribute__((unused)) static void op_test_cases(const op_case *cases, size_t n) {
  for (size_t i = 0; i < n; i++) op_test_run(&cases[i], NULL);
}

#endif
