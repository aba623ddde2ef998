/* tests/graph: building, sorting, editing, sweeping, cloning and verifying graphs, with subgraphs in subgraphs. */
#include "graph/graph.h"

#include "base/clock.h"
#include "model_text.h"
#include "test.h"

static ledge_error error;

static model *read_text(const char *text) {
  msg m = model_text(text);
  model *ret = NULL;
  if (onnx_read(m.data, m.size, NULL, "test", NULL, &ret, &error)) TEST_FAIL("%s", error.message);
  writer_deinit(&m);
  return ret;
}

/* A model of one graph with an input "x" and nothing else. */
static model *empty_model(void) {
  model *m = model_create();
  m->ir_version = 10;
  m->graph = graph_create(m, NULL, "g");
  value_id x = graph_add_value(m->graph, "x");
  m->graph->inputs = arena_alloc_array(&m->arena, 1, sizeof *m->graph->inputs);
  m->graph->inputs[0] = x;
  m->graph->n_inputs = 1;
  m->graph->outputs = arena_alloc_array(&m->arena, 1, sizeof *m->graph->outputs);
  return m;
}

static void set_output(model *m, value_id v) {
  m->graph->outputs[0] = v;
  m->graph->n_outputs = 1;
}

/* "a>b" appends a Neg from value a to value b; values are made as they are named. */
static void add_edge(graph *g, const char *from, const char *to) {
  value_id in = graph_find_value(g, from);
  if (in == VALUE_ABSENT) in = graph_add_value(g, from);
  value_id out = graph_find_value(g, to);
  if (out == VALUE_ABSENT) out = graph_add_value(g, to);
  char name[64];
  snprintf(name, sizeof name, "%s>%s", from, to);
  CHECK(graph_add_node(g, "", "Neg", 13, name, &in, 1, &out, 1) != NULL);
}

/* ---- building ---- */

static void test_building(void) {
  model *m = empty_model();
  graph *g = m->graph;
  for (int i = 0; i < 1000; i++) {
    char from[16], to[16];
    snprintf(from, sizeof from, i ? "v%d" : "x", i);
    snprintf(to, sizeof to, "v%d", i + 1);
    add_edge(g, from, to);
  }
  CHECK_INT(g->n_nodes, 1000);
  CHECK_INT(g->values[graph_find_value(g, "v700")].producer, 699);
  CHECK_INT(g->values[graph_find_value(g, "x")].producer, -1);
  node *n = &g->nodes[3];
  CHECK(!node_set_int(g, n, "i", 5) && !node_set_float(g, n, "f", 0.5f) && !node_set_string(g, n, "s", "text"));
  CHECK(!node_set_ints(g, n, "l", (int64_t[]){1, 2, 3}, 3) && !node_set_int(g, n, "i", 6));
  CHECK_INT(n->n_attrs, 4);
  CHECK_INT(node_attr_int(n, "i", 0), 6);
  CHECK_INT(node_attr_int(n, "f", 9), 9); /* of another type */
  CHECK_NEAR(node_attr_float(n, "f", 0), 0.5, 0);
  CHECK(node_attr(n, "l")->count == 3 && node_attr(n, "l")->ints[2] == 3 && !node_attr(n, "z"));
  CHECK(node_is(n, "", "Neg") && node_is(n, "ai.onnx", "Neg") && !node_is(n, "com", "Neg") && !node_is(n, "", "Abs"));
  set_output(m, graph_find_value(g, "v1000"));
  CHECK_INT(graph_verify(g, &error), LEDGE_OK);
  model_destroy(m);
  model_destroy(NULL);
}

/* Fresh names are nobody's, though a file has some of the same form. */
static void test_fresh_names(void) {
  model *m = empty_model();
  graph *g = m->graph;
  for (int i = 1; i < 20; i += 2) {
    char name[32];
    snprintf(name, sizeof name, "ledge.%d", i + 1);
    graph_add_value(g, name);
    graph_add_value(g, NULL);
  }
  for (int a = 0; a < g->n_values; a++)
    for (int b = 0; b < a; b++)
      if (!strcmp(g->values[a].name, g->values[b].name)) TEST_FAIL("two values are named %s", g->values[a].name);
  model_destroy(m);
}

static void test_constants(void) {
  model *m = read_text(
      "input x f32 2; input d f32 2; const d f32 2 = 1 2; const c f32 2 = 3 4; const t bool = 1; p = Neg c;"
      "y = If t ; then { a = Add c d; b = Add a p; k = Add b x; output k f32 any } else { e = Neg c;"
      "output e f32 any } ; output y f32 2; output p f32 2");
  graph *g = m->graph, *then = NULL;
  for (int i = 0; i < g->n_nodes; i++)
    if (node_is(&g->nodes[i], "", "If")) then = node_attr(&g->nodes[i], "then_branch")->g;
  value_id c = graph_find_value(g, "c"), d = graph_find_value(g, "d");
  CHECK(graph_constant(g, c) && ((const float *)graph_constant(g, c)->data)[1] == 4);
  CHECK(!graph_constant(g, d)); /* a default: another may be given */
  CHECK(!graph_constant(g, graph_find_value(g, "x")) && !graph_constant(g, graph_find_value(g, "p")));
  CHECK(then && graph_constant(then, graph_find_value(then, "c")) == graph_constant(g, c));
  CHECK(!graph_constant(then, graph_find_value(then, "d")) && !graph_constant(then, graph_find_value(then, "p")) &&
        !graph_constant(then, graph_find_value(then, "x")));
  m->defaults_fixed = true;
  CHECK(graph_constant(g, d) && graph_constant(then, graph_find_value(then, "d")) == graph_constant(g, d));
  m->defaults_fixed = false;
  m->ir_version = 3;
  CHECK(graph_constant(g, d));
  model_destroy(m);
}

/* ---- sorting ---- */

static uint64_t state = 3;
static int draw(int below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int)((state >> 33) % (uint64_t)below);
}

static void test_sort_random(void) {
  enum { N = 200 };
  for (int round = 0; round < 20; round++) {
    model *m = empty_model();
    graph *g = m->graph;
    value_id v[N + 1] = {0}; /* v[0]: x */
    int order[N];
    for (int i = 1; i <= N; i++) v[i] = graph_add_value(g, NULL);
    for (int i = 0; i < N; i++) order[i] = i;
    for (int i = N - 1; i > 0; i--) {
      int k = draw(i + 1), t = order[i];
      order[i] = order[k], order[k] = t;
    }
    for (int i = 0; i < N; i++) { /* node k makes v[k + 1] from two earlier ones; appended in a random order */
      value_id in[3] = {v[draw(order[i] + 1)], VALUE_ABSENT, v[draw(order[i] + 1)]};
      char name[16];
      snprintf(name, sizeof name, "n%d", order[i]);
      graph_add_node(g, "", "Max", 13, name, in, 3, &v[order[i] + 1], 1);
    }
    set_output(m, v[N]);
    CHECK_INT(graph_sort(g, &error), LEDGE_OK);
    CHECK_INT(graph_verify(g, &error), LEDGE_OK);
    for (int i = 0; i < N; i++) CHECK_INT(g->values[g->nodes[i].out[0]].producer, i);
    node *before = calloc(N, sizeof *before); /* a sorted graph keeps its order */
    memcpy(before, g->nodes, N * sizeof *before);
    CHECK_INT(graph_sort(g, &error), LEDGE_OK);
    CHECK(!memcmp(before, g->nodes, N * sizeof *before));
    free(before);
    model_destroy(m);
  }
}

static void test_sort_long(void) { /* a chain from its end to its beginning: no recursion, no square of time */
  enum { N = 200000 };
  model *m = empty_model();
  graph *g = m->graph;
  value_id first = g->n_values;
  for (int i = 0; i < N; i++) graph_add_value(g, "v");
  for (int i = N - 1; i >= 0; i--) {
    value_id in = i ? first + i - 1 : 0, out = first + i;
    graph_add_node(g, "", "Neg", 13, "", &in, 1, &out, 1);
  }
  set_output(m, first + N - 1);
  uint64_t start = clock_now_ns();
  CHECK_INT(graph_sort(g, &error), LEDGE_OK);
  CHECK_INT(graph_verify(g, &error), LEDGE_OK);
  CHECK_INT(graph_sweep(g, &error), LEDGE_OK);
  CHECK_INT(g->n_nodes, N);
  CHECK(clock_now_ns() - start < 3000000000u);
  set_output(m, first + 9);
  CHECK_INT(graph_sweep(g, &error), LEDGE_OK);
  CHECK_INT(g->n_nodes, 10);
  model_destroy(m);
}

static void check_cycle(graph *g, const char *says) {
  error = (ledge_error){0};
  CHECK_INT(graph_sort(g, &error), LEDGE_ERROR_FORMAT);
  if (!strstr(error.message, "cycle") || !strstr(error.message, says))
    TEST_FAIL("\"%s\" does not say %s", error.message, says);
}

static void test_cycles(void) {
  model *m = empty_model();
  add_edge(m->graph, "a", "a");
  check_cycle(m->graph, "a>a");
  model_destroy(m);
  m = empty_model();
  add_edge(m->graph, "x", "y");
  add_edge(m->graph, "c", "a");
  add_edge(m->graph, "a", "b");
  add_edge(m->graph, "b", "c");
  check_cycle(m->graph, ">");
  model_destroy(m);
  /* Round by what a subgraph reads. */
  m = read_text(
      "input x f32 2; const t bool = 1; a = Neg x; y = If t ; then { k = Add a a; output k f32 any } else {"
      "e = Neg x; output e f32 any } ; output y f32 2");
  graph *g = m->graph;
  value_id y = graph_find_value(g, "y");
  g->nodes[g->values[graph_find_value(g, "a")].producer].in[0] = y;
  check_cycle(g, "node ");
  model_destroy(m);
}

/* ---- editing ---- */

static const char nested[] =
    "input x f32 2; const t bool = 1; const c f32 2 = 1 2; a = Neg x; unused = Exp a; b = Abs a; y = If t ; then { p = "
    "Add a c;"
    "q = If t ; then { r = Add p b; lost = Neg r; output r f32 any } else { s = Sub p a; output s f32 any } ;"
    "output q f32 any } else { e = Identity b; output e f32 any } ; z = Neg b; output y f32 2; output z f32 2";

static void test_uses(void) {
  model *m = read_text(nested);
  graph *g = m->graph;
  int uses[64];
  CHECK(g->n_values < 64);
  graph_count_uses(g, uses);
  CHECK_INT(uses[graph_find_value(g, "x")], 1);
  CHECK_INT(uses[graph_find_value(g, "a")], 3); /* Exp, Abs, the branch that captures it */
  CHECK_INT(uses[graph_find_value(g, "b")], 3); /* both branches, z */
  CHECK_INT(uses[graph_find_value(g, "unused")], 0);
  CHECK_INT(uses[graph_find_value(g, "y")], 1);
  /* Everything that reads a reads x now, in branches of branches too. */
  graph_replace_uses(g, graph_find_value(g, "a"), graph_find_value(g, "x"));
  graph_count_uses(g, uses);
  CHECK_INT(uses[graph_find_value(g, "a")], 0);
  CHECK_INT(uses[graph_find_value(g, "x")], 4);
  int before = g->n_nodes;
  CHECK_INT(graph_sweep(g, &error), LEDGE_OK); /* a and unused go */
  CHECK_INT(g->n_nodes, before - 2);
  CHECK_INT(graph_verify(g, &error), LEDGE_OK);
  graph_replace_uses(g, graph_find_value(g, "z"), graph_find_value(g, "x")); /* a graph output */
  CHECK_INT(graph_sweep(g, &error), LEDGE_OK);
  CHECK_INT(g->n_nodes, before - 3);
  CHECK_INT(graph_verify(g, &error), LEDGE_OK);
  model_destroy(m);
}

static void test_remove(void) {
  model *m = empty_model();
  graph *g = m->graph;
  add_edge(g, "x", "a");
  add_edge(g, "a", "b");
  add_edge(g, "x", "c");
  add_edge(g, "c", "d");
  set_output(m, graph_find_value(g, "d"));
  graph_remove_nodes(g, (bool[]){false, true, false, false});
  CHECK_INT(g->n_nodes, 3);
  CHECK_INT(g->values[graph_find_value(g, "b")].producer, -1);
  CHECK_INT(g->values[graph_find_value(g, "d")].producer, 2);
  graph_remove_nodes(g, (bool[]){true, false, false});
  CHECK_INT(graph_verify(g, &error), LEDGE_OK);
  graph_remove_nodes(g, (bool[]){true, true});
  CHECK_INT(g->n_nodes, 0);
  CHECK_INT(graph_verify(g, &error), LEDGE_ERROR_FORMAT); /* nothing makes the output */
  CHECK(strstr(error.message, "'d'") != NULL);
  model_destroy(m);
}

static void test_sweep_keeps_effects(void) {
  model *m = empty_model();
  graph *g = m->graph;
  add_edge(g, "x", "y");
  add_edge(g, "x", "unread");
  value_id in = 0, out = graph_add_value(g, "log");
  graph_add_node(g, "own", "Log", 1, "log", &in, 1, &out, 1)->has_effect = true;
  graph_add_node(g, "own", "Bell", 1, "bell", &in, 1, NULL, 0);
  set_output(m, graph_find_value(g, "y"));
  CHECK_INT(graph_sweep(g, &error), LEDGE_OK);
  CHECK_INT(g->n_nodes, 3);
  model *clone;
  CHECK_INT(model_clone(m, &clone, &error), LEDGE_OK);
  CHECK_INT(graph_sweep(clone->graph, &error), LEDGE_OK);
  CHECK_INT(clone->graph->n_nodes, 3);
  model_destroy(clone);
  model_destroy(m);
}

/* ---- cloning ---- */

static bool same_bytes(const model *a, const model *b) {
  uint8_t *x = NULL, *y = NULL;
  size_t n = 0, k = 0;
  bool same =
      !onnx_write_memory(a, &x, &n, &error) && !onnx_write_memory(b, &y, &k, &error) && n == k && !memcmp(x, y, n);
  mem_free(x);
  mem_free(y);
  return same;
}

/* Attributes of all kinds, types of all kinds, metadata. */
static model *rich_model(void) {
  msg g = {0}, n = make_node("Rich", "x", "y"), a = make_attr("tensor", ATTR_TENSOR);
  put_msg(&a, 5, make_tensor("t", 1, "2", "\0\0\x80\x3f\0\0\0\x40", 8));
  put_msg(&n, NODE_ATTR, a);
  put_attr_int(&n, "i", -7);
  a = make_attr("f", ATTR_FLOAT);
  put_float(&a, 2, 1.5f);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("s", ATTR_STRING);
  put_bytes(&a, 4, "a\0b", 3);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("floats", ATTR_FLOATS);
  put_float(&a, 7, 1), put_float(&a, 7, -2);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("ints", ATTR_INTS);
  for (int i = 0; i < 9; i++) put_int(&a, 8, i * i);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("strings", ATTR_STRINGS);
  put_text(&a, 9, "one"), put_text(&a, 9, "");
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("none", ATTR_INTS);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("type", ATTR_TYPE);
  put_msg(&a, 14, text_type("opt:seq:f32", "2 N ?"));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("graphs", ATTR_GRAPHS);
  for (int i = 0; i < 2; i++) {
    msg sub = {0};
    put_text(&sub, GRAPH_NAME, "sub");
    put_msg(&sub, GRAPH_NODE, make_node("Neg", "x", "z"));
    put_msg(&sub, GRAPH_OUTPUT, make_info("z", 1, NULL));
    put_msg(&a, 11, sub);
  }
  put_msg(&n, NODE_ATTR, a);
  put_pair(&n, 9, "key", "value");
  put_msg(&g, GRAPH_NODE, n);
  put_text(&g, GRAPH_NAME, "main");
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2 N ?"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, "2"));
  msg m = make_model(10, 21, g);
  put_pair(&m, 14, "author", "nobody");
  return read_msg(m, NULL, &error);
}

static void test_clone(void) {
  static const char *const texts[] = {nested, "input x f32 2; y = Neg x; output y f32 2; output x f32 2",
                                      "input q opt:seq:f32 N 2; y = OptionalHasElement q; output y bool "};
  for (int i = 0; i < 4; i++) {
    model *m = i < 3 ? read_text(texts[i]) : rich_model(), *a, *b;
    if (!m) TEST_FAIL("%s", error.message);
    if (!m) continue;
    CHECK_INT(model_clone(m, &a, &error), LEDGE_OK);
    CHECK_INT(model_clone(a, &b, &error), LEDGE_OK);
    CHECK_INT(graph_verify(a->graph, &error), LEDGE_OK);
    CHECK(same_bytes(m, a));
    CHECK(same_bytes(m, b));
    /* What is done to the clone does not reach the source. */
    uint8_t *before, *after;
    size_t n, k;
    CHECK(!onnx_write_memory(m, &before, &n, &error));
    for (int v = 0; v < a->graph->n_nodes; v++) node_set_int(a->graph, &a->graph->nodes[v], "i", 99);
    CHECK(graph_add_value(a->graph, "more") != VALUE_ABSENT);
    graph_remove_nodes(a->graph, (bool[8]){true});
    CHECK(!onnx_write_memory(m, &after, &k, &error));
    CHECK(n == k && !memcmp(before, after, n));
    mem_free(after);
    /* And a clone outlives its source. */
    model_destroy(m);
    model_destroy(a);
    CHECK(!onnx_write_memory(b, &after, &k, &error));
    CHECK(n == k && !memcmp(before, after, n));
    mem_free(before);
    mem_free(after);
    model_destroy(b);
  }
}

static graph *branch_of(model *m) {
  for (int i = 0; i < m->graph->n_nodes; i++)
    if (node_is(&m->graph->nodes[i], "", "If")) return node_attr(&m->graph->nodes[i], "then_branch")->g;
  return NULL;
}

/* The branch that is taken, put into the graph: as a pass may do it. */
static void test_inline(void) {
  model *m = read_text(nested);
  graph *g = m->graph, *then = branch_of(m);
  value_id captures[8], out, y = graph_find_value(g, "y");
  CHECK(then->n_captures < 8);
  for (int i = 0; i < then->n_captures; i++) captures[i] = then->captures[i].outer;
  char prefix[2000];
  memset(prefix, 'p', sizeof prefix - 1);
  prefix[sizeof prefix - 1] = 0;
  for (int round = 0; round < 2; round++) { /* twice: each copy has names of its own */
    int before = g->n_nodes;
    CHECK_INT(graph_inline(g, then, NULL, captures, prefix, &out, &error), LEDGE_OK);
    CHECK_INT(g->n_nodes, before + then->n_nodes);
    CHECK(out >= 0 && out < g->n_values && g->values[out].producer == g->n_nodes - 1);
  }
  for (int a = 0; a < g->n_values; a++)
    for (int b = 0; b < a; b++)
      if (!strcmp(g->values[a].name, g->values[b].name)) TEST_FAIL("two values are named %s", g->values[a].name);
  graph_replace_uses(g, y, out);
  CHECK_INT(graph_sort(g, &error), LEDGE_OK);
  CHECK_INT(graph_sweep(g, &error), LEDGE_OK);
  CHECK_INT(graph_verify(g, &error), LEDGE_OK);
  int ifs = 0; /* the outer one is gone; the one that was in the branch captures from the main graph now */
  for (int i = 0; i < g->n_nodes; i++) ifs += node_is(&g->nodes[i], "", "If");
  CHECK_INT(ifs, 1);
  CHECK(branch_of(m)->parent == g);
  model_destroy(m);
}

static void test_clone_without_memory(void) {
  model *m = read_text(nested), *rich = rich_model();
  for (int which = 0; which < 2; which++)
    for (long long fail = 0;; fail++) {
      model *clone = NULL;
      long long before = atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
      atomic_store(&mem_stats_global.fail_after, fail);
      ledge_status status = model_clone(which ? rich : m, &clone, &error);
      bool failed = atomic_load(&mem_stats_global.fail_after) <= 0;
      atomic_store(&mem_stats_global.fail_after, -1);
      CHECK(status == LEDGE_OK || (failed && status == LEDGE_ERROR_MEMORY));
      if (!status) model_destroy(clone);
      CHECK_INT(atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees), before);
      if (!status || test_failures_) break;
    }
  model_destroy(m);
  model_destroy(rich);
}

/* ---- depth ---- */

/* Ifs in Ifs, each level reading a value of the outermost graph. */
static model *deep_model(int depth) {
  writer text = {0};
  writer_text(&text, "input x f32 2; const c bool = 1; ");
  for (int i = 0; i < depth; i++) writer_format(&text, "y%d = If c ; then { ", i);
  writer_format(&text, "y%d = Neg x; output y%d f32 any ", depth, depth);
  for (int i = depth - 1; i >= 0; i--)
    writer_format(&text, "} else { z%d = Abs x; output z%d f32 any } ; output y%d f32 any ; ", i, i, i);
  writer_u8(&text, 0);
  msg bytes = model_text((const char *)text.data);
  model *m = NULL;
  error = (ledge_error){0};
  if (onnx_read(bytes.data, bytes.size, NULL, "deep", NULL, &m, &error)) m = NULL;
  writer_deinit(&bytes);
  writer_deinit(&text);
  return m;
}

static void test_depth(void) {
  CHECK(!deep_model(ONNX_MAX_DEPTH + 10));
  CHECK_INT(error.code, LEDGE_ERROR_LIMIT);
  CHECK(strstr(error.message, "64") != NULL);
  model *m = deep_model(ONNX_MAX_DEPTH - 2), *clone;
  if (!m) TEST_FAIL("%s", error.message);
  if (!m) return;
  CHECK_INT(graph_verify(m->graph, &error), LEDGE_OK);
  CHECK_INT(model_clone(m, &clone, &error), LEDGE_OK);
  CHECK(same_bytes(m, clone));
  CHECK_INT(graph_sort(clone->graph, &error), LEDGE_OK);
  CHECK_INT(graph_sweep(clone->graph, &error), LEDGE_OK);
  model_destroy(clone);
  model_destroy(m);
}

/* ---- verifying ---- */

static void check_refused(model *m, const char *says) {
  error = (ledge_error){0};
  ledge_status status = graph_verify(m->graph, &error);
  if (!status) TEST_FAIL("not refused: %s", says);
  if (!strstr(error.message, says)) TEST_FAIL("\"%s\" does not say \"%s\"", error.message, says);
  model_destroy(m);
}

static void test_verify(void) {
  model *m = read_text(nested);
  m->graph->nodes[0].in[0] = 1000;
  check_refused(m, "reads a value that nothing makes");
  m = read_text(nested);
  m->graph->nodes[0].in[0] = -7;
  check_refused(m, "reads a value that nothing makes");
  m = read_text(nested);
  m->graph->nodes[0].out[0] = 1000;
  check_refused(m, "makes a value that is already there");
  m = read_text(nested);
  m->graph->nodes[1].out[0] = m->graph->nodes[0].out[0];
  check_refused(m, "'a'");
  m = read_text(nested);
  m->graph->nodes[0].in[0] = m->graph->nodes[1].out[0]; /* made later */
  check_refused(m, "'unused'");
  m = read_text(nested);
  m->graph->outputs[0] = graph_add_value(m->graph, "ghost");
  check_refused(m, "'ghost'");
  m = read_text(nested);
  m->graph->outputs[0] = 1000;
  check_refused(m, "output 0");
  m = read_text(nested);
  m->graph->inputs[0] = -1;
  check_refused(m, "input 0");
  m = read_text(nested);
  branch_of(m)->captures[0].outer = 1000;
  check_refused(m, "reads a value");
  m = read_text(nested);
  branch_of(m)->captures[0].inner = 1000;
  check_refused(m, "capture 0");
  m = read_text(nested);
  branch_of(m)->outputs[0] = graph_add_value(branch_of(m), "nowhere");
  check_refused(m, "'nowhere'");
}

TEST_MAIN({"building", test_building}, {"fresh names", test_fresh_names}, {"constants", test_constants},
          {"sort random", test_sort_random}, {"sort long", test_sort_long}, {"cycles", test_cycles},
          {"uses", test_uses}, {"remove", test_remove}, {"sweep keeps effects", test_sweep_keeps_effects},
          {"clone", test_clone}, {"inline", test_inline}, {"clone without memory", test_clone_without_memory},
          {"depth", test_depth}, {"verify", test_verify})
