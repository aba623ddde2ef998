/* tests/ops/control: If, Loop, Scan and SequenceMap, run through a session.
 *
 * Graphs are written as text: statements that end with a semicolon,
 *   in a b;                       inputs
 *   out x y;                      outputs
 *   k = const f32[2] 1 2;         a constant
 *   y z = Op:16 a - b l=[1] @body{ ... };   a node: outputs, operator and version, inputs (- is left out), attributes
 * as op_test.h has them, subgraphs; a name that a subgraph lacks is captured type x f32[0];                the declared
 * dtype and shape of a value */
#include "op_test.h"
#include "runtime/session.h"

static value_id resolve(graph *g, const char *name, size_t size) {
  for (value_id v = 0; v < g->n_values; v++)
    if (strlen(g->values[v].name) == size && !memcmp(g->values[v].name, name, size)) return v;
  if (!g->parent) return graph_add_value(g, arena_strndup(&g->model->arena, name, size));
  for (graph *up = g->parent; up; up = up->parent)
    for (value_id v = 0; v < up->n_values; v++)
      if (strlen(up->values[v].name) == size && !memcmp(up->values[v].name, name, size)) {
        value_id outer = resolve(g->parent, name, size), inner = graph_capture(g, outer);
        g->values[inner].name = arena_strndup(&g->model->arena, name, size);
        return inner;
      }
  return graph_add_value(g, arena_strndup(&g->model->arena, name, size));
}

/* A name of g's own, never a capture. */
static value_id define(graph *g, const char *name, size_t size) {
  for (value_id v = 0; v < g->n_values; v++)
    if (strlen(g->values[v].name) == size && !memcmp(g->values[v].name, name, size)) return v;
  return graph_add_value(g, arena_strndup(&g->model->arena, name, size));
}

static int names(graph *g, const char **s, bool own, value_id *ids) {
  int n = 0;
  for (*s = op_test_space(*s); **s && **s != '=' && **s != '@'; *s = op_test_space(*s)) {
    size_t size = strcspn(*s, " \n\t");
    const char *equals = memchr(*s, '=', size);
    if (equals) break;
    ids[n++] = size == 1 && **s == '-' ? VALUE_ABSENT : own ? define(g, *s, size) : resolve(g, *s, size);
    *s += size;
  }
  return n;
}

static graph *build(model *m, graph *parent, const char *text, tensor *owned, int *n_owned);

static void build_node(graph *g, const char *s, tensor *owned, int *n_owned) {
  value_id outs[8], ins[8];
  char op[32];
  int n_out = names(g, &s, true, outs), version = 16;
  s = op_test_space(s + 1); /* = */
  size_t size = strcspn(s, " :");
  memcpy(op, s, size);
  op[size] = 0;
  s += size;
  if (*s == ':') version = (int)strtol(s + 1, (char **)&s, 10);
  if (!strcmp(op, "const")) {
    bool any;
    tensor *t = &owned[(*n_owned)++];
    *t = op_test_tensor(s, &any);
    if (model_keep(g->model, t->own, NULL)) abort();
    tensor *copy = arena_alloc(&g->model->arena, sizeof *copy);
    *copy = *t;
    g->values[outs[0]].constant = copy;
    return;
  }
  int n_in = names(g, &s, false, ins);
  node *n = graph_add_node(g, "", op, version, op, ins, n_in, outs, n_out);
  int at = g->n_nodes - 1;
  const char *sub = strchr(s, '@');
  op_test_attrs(g, n, arena_strndup(&g->model->arena, s, sub ? (size_t)(sub - s) : strlen(s)), owned, n_owned);
  while (sub) {
    size_t name = strcspn(sub + 1, "{"), length = 0;
    const char *body = sub + 1 + name + 1;
    for (int depth = 1; depth; length++) depth += (body[length] == '{') - (body[length] == '}');
    graph *inner = build(g->model, g, arena_strndup(&g->model->arena, body, length - 1), owned, n_owned);
    attr a = {.name = arena_strndup(&g->model->arena, sub + 1, name), .type = ATTR_GRAPH, .count = 1, .g = inner};
    if (node_set_attr(g, &g->nodes[at], &a)) abort();
    sub = strchr(body + length, '@');
  }
}

static void build_ends(graph *g, const char *s, bool inputs) {
  value_id ids[8];
  int n = names(g, &s, inputs, ids);
  value_id *copy = arena_alloc_array(&g->model->arena, 8, sizeof *copy);
  memcpy(copy, ids, (size_t)n * sizeof *ids);
  if (inputs)
    g->inputs = copy, g->n_inputs = n;
  else
    g->outputs = copy, g->n_outputs = n;
}

static void build_type(graph *g, const char *s, tensor *owned, int *n_owned) {
  bool any;
  size_t size = strcspn(s, " ");
  value_id v = define(g, s, size);
  tensor *t = &owned[(*n_owned)++];
  *t =
      op_test_tensor(arena_strdup(&g->model->arena, arena_strndup(&g->model->arena, s + size, strlen(s + size))), &any);
  int64_t *dims = arena_alloc_array(&g->model->arena, LEDGE_MAX_RANK, sizeof *dims);
  memcpy(dims, t->dims, sizeof t->dims);
  g->values[v].type = (graph_type){.kind = TYPE_TENSOR, .dtype = t->dtype, .rank = t->rank, .dims = dims};
}

static graph *build(model *m, graph *parent, const char *text, tensor *owned, int *n_owned) {
  graph *g = graph_create(m, parent, "graph");
  for (const char *s = op_test_space(text); *s; s = op_test_space(s + 1)) {
    const char *start = s;
    for (int depth = 0; *s != ';' || depth; s++) depth += (*s == '{') - (*s == '}');
    char *statement = arena_strndup(&m->arena, start, (size_t)(s - start));
    if (!strncmp(statement, "in ", 3))
      build_ends(g, statement + 3, true);
    else if (!strncmp(statement, "out ", 4))
      build_ends(g, statement + 4, false);
    else if (!strncmp(statement, "type ", 5))
      build_type(g, statement + 5, owned, n_owned);
    else
      build_node(g, statement, owned, n_owned);
  }
  return g;
}

/* Runs the graph on inputs, and compares its outputs; outs[0] may be "error NAME". */
static void run(const char *text, const char *const *ins, const char *const *outs) {
  tensor owned[32];
  int n_owned = 0, missing = 0;
  bool any;
  model *m = model_create();
  m->graph = build(m, NULL, text, owned, &n_owned);
  ledge_error e = {0};
  value in[8] = {0};
  const value *given[8] = {0};
  for (int i = 0; ins && ins[i]; i++) {
    in[i] = (value){.kind = VALUE_TENSOR, .tensor = op_test_tensor(ins[i], &any)};
    given[i] = &in[i];
  }
  session *s = NULL;
  ledge_status status = ops_resolve(m->graph, NULL, 0, &missing, &e);
  CHECK_INT(missing, 0);
  if (!status) status = graph_verify(m->graph, &e);
  if (!status) status = session_create(m, &(session_options){.threads = 1, .reference_only = true}, &s, &e);
  if (!status) status = session_run(s, given, &e);
  if (!status) status = session_run(s, given, &e); /* twice: nothing is left over */
  if (!strncmp(outs[0], "error ", 6)) {
    if (!strstr(ledge_status_name(status), outs[0] + 6))
      TEST_FAIL("%s: %s: %s", outs[0], ledge_status_name(status), e.message);
  } else if (status) {
    TEST_FAIL("%s: %s", text, e.message);
  } else {
    const op_case name = {.op = text, .attrs = ""};
    for (int i = 0; outs[i]; i++) op_test_compare(&name, i, session_output(s, i), outs[i]);
  }
  session_destroy(s);
  for (int i = 0; i < 8; i++) value_deinit(&in[i]);
  for (int i = 0; i < n_owned; i++) tensor_deinit(&owned[i]);
  model_destroy(m);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_if(void) {
  static const char text[] =
      "in c x; out y z;"
      "y z = If c @then_branch{ out a x; a = Add x x; } @else_branch{ out b k; b = Concat:13 x x axis=0; k = const "
      "f32[1] 7; };";
  run(text, LIST("bool[] 1", "f32[2] 1 2"), LIST("f32[2] 2 4", "f32[2] 1 2"));
  run(text, LIST("bool[1] 0", "f32[2] 1 2"), LIST("f32[4] 1 2 1 2", "f32[1] 7"));
  run(text, LIST("bool[2] 0 0", "f32[2] 1 2"), LIST("error SHAPE"));
  run(text, LIST("i64[] 0", "f32[2] 1 2"), LIST("error SHAPE"));
}

/* Sums 0 + 1 + ... and gives each partial sum. */
#define SUMS "@body{ in i c s; out more t t; t = Add s i; more = Less t limit; }"
static void test_loop(void) {
  static const char both[] = "in m c limit; out sum each; zero = const i64[] 0; sum each = Loop m c zero " SUMS ";";
  run(both, LIST("i64[] 4", "bool[] 1", "i64[] 100"), LIST("i64[] 6", "i64[4] 0 1 3 6"));
  run(both, LIST("i64[1] 9", "bool[1] 1", "i64[] 3"), LIST("i64[] 3", "i64[3] 0 1 3"));
  run(both, LIST("i64[] 0", "bool[] 1", "i64[] 3"), LIST("error SHAPE")); /* no element, no declared type */
  run(both, LIST("i64[2] 0 1", "bool[] 1", "i64[] 3"), LIST("error SHAPE"));
  static const char declared[] =
      "in m c limit; out sum each; zero = const i64[] 0; sum each = Loop m c zero "
      "@body{ in i c s; out more t u; t = Add s i; more = Less t limit; u = Unsqueeze:11 t axes=[0]; type u i64[1] 0; "
      "};";
  run(declared, LIST("i64[] -1", "bool[] 1", "i64[] 3"), LIST("i64[] 0", "i64[0x1]"));
  run(declared, LIST("i64[] 5", "bool[] 0", "i64[] 3"), LIST("i64[] 0", "i64[0x1]"));
  run(declared, LIST("i64[] 2", "bool[] 1", "i64[] 3"), LIST("i64[] 1", "i64[2x1] 0 1"));
  /* without a trip count; without a condition (the body's does not count); without either */
  run("in c limit; out sum each; zero = const i64[] 0; sum each = Loop - c zero " SUMS ";", LIST("bool[] 1", "i64[] 5"),
      LIST("i64[] 6", "i64[4] 0 1 3 6"));
  run("in m limit; out sum each; zero = const i64[] 0; sum each = Loop m - zero " SUMS ";", LIST("i64[] 3", "i64[] -5"),
      LIST("i64[] 3", "i64[3] 0 1 3"));
  run("in limit; out sum each; zero = const i64[] 0; sum each = Loop - - zero " SUMS ";", LIST("i64[] 2"),
      LIST("i64[] 3", "i64[3] 0 1 3"));
  /* no state at all; the counter itself is what is collected */
  run("in m; out each; each = Loop m - @body{ in i c; out c i; };", LIST("i64[] 3"), LIST("i64[3] 0 1 2"));
  /* a sequence is carried */
  run("in m; out y; e = SequenceEmpty; s = Loop m - e @body{ in i c s; out c t; f = Cast:13 i to=1; t = "
      "SequenceInsert s f; };"
      "y = ConcatFromSequence s axis=0 new_axis=1;",
      LIST("i64[] 3"), LIST("f32[3] 0 1 2"));
  /* the shape of the state grows; that of a scan output may not */
  run("in m x; out y; y = Loop m - x @body{ in i c s; out c t; t = Concat:13 s s axis=0; };",
      LIST("i64[] 2", "u8[1] 7"), LIST("u8[4] 7 7 7 7"));
  run("in m x; out y z; y z = Loop m - x @body{ in i c s; out c t t; t = Concat:13 s s axis=0; };",
      LIST("i64[] 2", "u8[1] 7"), LIST("error SHAPE"));
  run("in m; out y; y = Loop m - @body{ in i c x; out c i; };", LIST("i64[] 2"), LIST("error FORMAT"));
  /* a loop in a loop, each with captures */
  run("in m; out y; zero = const i64[] 0;"
      "y = Loop m - zero @body{ in i c s; out c t; t = Loop m - s @body{ in j d u; out d v; w = Add u i; v = Add w j; "
      "}; };",
      LIST("i64[] 3"), LIST("i64[] 18"));
}

static void test_scan(void) {
  static const char body[] = "@body{ in s x; out t t; t = Add s x; }";
  char text[512];
  snprintf(text, sizeof text, "in s x; out y z; y z = Scan:9 s x num_scan_inputs=1 %s;", body);
  run(text, LIST("f32[2] 0 0", "f32[3x2] 1 2 3 4 5 6"), LIST("f32[2] 9 12", "f32[3x2] 1 2 4 6 9 12"));
  snprintf(text, sizeof text,
           "in s x; out y z; y z = Scan:11 s x num_scan_inputs=1 scan_input_axes=[-1] scan_output_axes=[1] "
           "scan_input_directions=[1] scan_output_directions=[1] %s;",
           body);
  run(text, LIST("f32[2] 0 0", "f32[2x3] 1 2 3 4 5 6"), LIST("f32[2] 6 15", "f32[2x3] 6 5 3 15 11 6"));
  run(text, LIST("f32[2] 0 0", "f32[2x0]"), LIST("error SHAPE"));
  run("in x w; out y; y = Scan:16 x w num_scan_inputs=2 scan_input_axes=[0,1] @body{ in a b; out c; c = "
      "StringConcat:20 a b; };",
      LIST("string[2] a b", "string[1x2] x y"), LIST("string[2x1] ax by"));
  run("in x; out y; y = Scan:21 x num_scan_inputs=1 @body{ in a; out a; };", LIST("u4[3] 1 2 3"), LIST("u4[3] 1 2 3"));
  run("in x w; out y; y = Scan:9 x w num_scan_inputs=2 @body{ in a b; out a; };", LIST("u8[2] 1 2", "u8[3] 1 2 3"),
      LIST("error SHAPE"));
  run("in x; out y; y = Scan:9 x num_scan_inputs=2 @body{ in a; out a; };", LIST("u8[2] 1 2"), LIST("error FORMAT"));
  /* version 8: a batch, sequences of their own length */
  snprintf(text, sizeof text, "in n s x; out y z; y z = Scan:8 n s x num_scan_inputs=1 %s;", body);
  run(text, LIST("i64[2] 3 1", "f32[2] 0 10", "f32[2x3] 1 2 3 4 5 6"), LIST("f32[2] 6 14", "f32[2x3] 1 3 6 14 0 0"));
  run(text, LIST("i64[2] 3 4", "f32[2] 0 10", "f32[2x3] 1 2 3 4 5 6"), LIST("error DATA"));
  snprintf(text, sizeof text, "in s x; out y z; y z = Scan:8 - s x num_scan_inputs=1 directions=[1] %s;", body);
  run(text, LIST("f32[2x1] 0 0", "f32[2x2x1] 1 2 3 4"), LIST("f32[2x1] 3 7", "f32[2x2x1] 2 3 4 7"));
}

static void test_map(void) {
  run("in a b; out y; s = SequenceConstruct a b; t = SequenceMap:17 s a @body{ in x w; out z; z = Add x w; };"
      "y = ConcatFromSequence t axis=0;",
      LIST("f32[1] 1", "f32[2] 2 3"), LIST("f32[3] 2 3 4"));
  run("in a b; out y n; s = SequenceConstruct a b; t u = SequenceMap:17 s s @body{ in x w; out z x; z = Mul x w; };"
      "y = ConcatFromSequence t axis=0; n = SequenceLength u;",
      LIST("f32[1] 3", "f32[2] 2 4"), LIST("f32[3] 9 4 16", "i64[] 2"));
  run("in a; out n; s = SequenceEmpty; t = SequenceMap:17 s @body{ in x; out x; }; n = SequenceLength t;",
      LIST("f32[] 0"), LIST("i64[] 0"));
  run("in a; out n; s = SequenceConstruct a; e = SequenceEmpty; t = SequenceMap:17 s e @body{ in x w; out x; };"
      "n = SequenceLength t;",
      LIST("f32[] 0"), LIST("error SHAPE"));
}

static void test_optional(void) {
  run("in c x; out h; o = If c @then_branch{ out a; a = Optional x; } @else_branch{ out b; b = Optional; };"
      "h = OptionalHasElement:18 o;",
      LIST("bool[] 1", "f32[1] 1"), LIST("bool[] 1"));
  run("in c x; out h; o = If c @then_branch{ out a; a = Optional x; } @else_branch{ out b; b = Optional; };"
      "h = OptionalHasElement:18 o;",
      LIST("bool[] 0", "f32[1] 1"), LIST("bool[] 0"));
}

TEST_MAIN({"if", test_if}, {"loop", test_loop}, {"scan", test_scan}, {"map", test_map}, {"optional", test_optional})
