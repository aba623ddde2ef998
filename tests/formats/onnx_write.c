/* formats/onnx: what is written is what was read, valid, and in files that appear whole. */
#include "onnx_build.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes m and reads it back, twice: the second time it must be the same bytes. */
static model *rewrite(const model *m) {
  ledge_error e = {0};
  uint8_t *first = NULL, *second = NULL;
  size_t n_first = 0, n_second = 0;
  model *again = NULL;
  if (onnx_write_memory(m, &first, &n_first, &e) != LEDGE_OK ||
      onnx_read(first, n_first, NULL, "rewritten", NULL, &again, &e) != LEDGE_OK)
    TEST_FAIL("%s", e.message);
  else if (onnx_write_memory(again, &second, &n_second, &e) != LEDGE_OK || n_first != n_second ||
           memcmp(first, second, n_first))
    TEST_FAIL("written anew it differs: %zu and %zu bytes %s", n_first, n_second, e.message);
  mem_free(first);
  mem_free(second);
  return again;
}

static model *read_and_rewrite(msg file) {
  ledge_error e;
  model *m = read_msg(file, NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  model *again = m ? rewrite(m) : NULL;
  model_destroy(m);
  return again;
}

static void test_header(void) {
  msg file = make_model(8, 17, make_unary("Relu"));
  put_text(&file, 2, "maker");
  put_text(&file, 3, "1.2");
  put_text(&file, 4, "org.x");
  put_int(&file, 5, 7);
  put_text(&file, 6, "a model");
  put_pair(&file, 14, "key", "");
  put_opset(&file, MODEL_OPSET, "com.x", 3);
  model *m = read_and_rewrite(file);
  CHECK(m);
  if (!m) return;
  CHECK_STR(m->producer_name, "maker");
  CHECK_STR(m->producer_version, "1.2");
  CHECK_STR(m->domain, "org.x");
  CHECK_STR(m->doc, "a model");
  CHECK_INT(m->model_version, 7);
  CHECK_STR(model_metadata(m, "key"), "");
  CHECK_INT(m->ir_version, 8);
  CHECK_INT(model_opset(m, "com.x"), 3);
  CHECK_STR(m->graph->name, "main");
  model_destroy(m);
}

/* The IR version is the least that can say it. */
static void test_ir_version(void) {
  static const struct {
    ledge_dtype dtype;
    int64_t want;
  } rows[] = {{LEDGE_F32, 4},     {LEDGE_BF16, 4},    {LEDGE_F8E5M2, 9}, {LEDGE_I4, 10},
              {LEDGE_F4E2M1, 11}, {LEDGE_F8E8M0, 12}, {LEDGE_U2, 13}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ledge_error e;
    size_t bytes;
    CHECK(dtype_array_bytes(rows[i].dtype, 1, &bytes));
    msg g = make_unary("F");
    put_msg(&g, GRAPH_INIT, make_tensor("w", rows[i].dtype, "1", "abcd", bytes));
    put_msg(&g, GRAPH_NODE, make_node("G", "w", "z"));
    model *m = read_msg(make_model(1, 17, g), NULL, &e), *again = m ? rewrite(m) : NULL;
    CHECK(again);
    if (again) CHECK_INT(again->ir_version, rows[i].want);
    model_destroy(m);
    model_destroy(again);
  }
  model *m = read_and_rewrite(make_model(1, 0, make_unary("F")));
  CHECK(m && m->ir_version == 3 && model_opset(m, "") == 1);
  model_destroy(m);
}

/* Large elements lie at a multiple of 8 in the file, so that they are used where they are. */
static void test_alignment(void) {
  ledge_error e;
  float values[100];
  for (int i = 0; i < 100; i++) values[i] = (float)i + 0.5f;
  for (int shift = 0; shift < 9; shift++) {
    char name[16] = "wwwwwwwwwwwww";
    name[shift + 1] = 0;
    msg g = make_unary("F"), n = make_node("G", name, "z"), a = make_attr("t", ATTR_TENSOR);
    put_msg(&g, GRAPH_INIT, make_tensor(name, 1, "100", values, sizeof values));
    put_msg(&a, 5, make_tensor("", 1, "10 10", values, sizeof values));
    put_msg(&n, NODE_ATTR, a);
    put_msg(&g, GRAPH_NODE, n);
    model *m = read_msg(make_model(8, 17, g), NULL, &e);
    uint8_t *data = NULL;
    size_t size, found = 0;
    CHECK(m && onnx_write_memory(m, &data, &size, &e) == LEDGE_OK);
    for (const uint8_t *at = data; data && (at = memmem(at, size - (size_t)(at - data), values, sizeof values)); at++) {
      CHECK_INT((at - data) % 8, 0);
      found++;
    }
    CHECK_INT(found, 2);
    mem_free(data);
    model_destroy(m);
  }
}

/* Names of a subgraph that are taken further out get a number; captured ones are the outer values' own. */
static void test_names(void) {
  msg then = {0}, other = {0}, g = {0}, n;
  put_msg(&then, GRAPH_NODE, make_node("Neg", "x", "y"));
  put_msg(&then, GRAPH_NODE, make_node("Abs", "y", "s"));
  put_msg(&then, GRAPH_OUTPUT, make_info("s", 1, NULL));
  put_msg(&other, GRAPH_NODE, make_node("Exp", "x", "s"));
  put_msg(&other, GRAPH_OUTPUT, make_info("s", 1, NULL));
  n = make_node("If", "c", "y");
  put_attr_graph(&n, "then_branch", then);
  put_attr_graph(&n, "else_branch", other);
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_INPUT, make_info("c", 9, ""));
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, NULL));
  model *m = read_and_rewrite(make_model(8, 17, g));
  CHECK(m);
  if (!m) return;
  const node *top = &m->graph->nodes[0];
  const graph *t = node_attr(top, "then_branch")->g, *o = node_attr(top, "else_branch")->g;
  CHECK_STR(t->values[t->nodes[0].out[0]].name, "y.1");
  CHECK_STR(t->values[t->outputs[0]].name, "s");
  CHECK_STR(o->values[o->outputs[0]].name, "s");
  CHECK(t->n_captures == 1 && t->captures[0].outer == find(m, "x"));
  model_destroy(m);
}

/* Two outputs of one value: the second gets a node of its own. */
static void test_one_value_twice(void) {
  ledge_error e;
  model *m = read_msg(make_model(8, 17, make_unary("F")), NULL, &e);
  CHECK(m);
  if (!m) return;
  value_id twice[2] = {m->graph->outputs[0], m->graph->outputs[0]};
  m->graph->outputs = twice;
  m->graph->n_outputs = 2;
  model *again = rewrite(m);
  CHECK(again && again->graph->n_outputs == 2 && again->graph->outputs[0] != again->graph->outputs[1]);
  CHECK(again && again->graph->n_nodes == 2 && node_is(&again->graph->nodes[1], "", "Identity"));
  model_destroy(again);
  model_destroy(m);
}

static void test_contents(void) {
  msg g = make_unary("F"), n, a, t, info = {0}, type = {0}, seq = {0};
  static const float floats[] = {1.5f, -2};
  n = make_node("G", "y - w", "- z");
  put_text(&n, 3, "named");
  put_text(&n, 7, "com.x");
  a = make_attr("f", ATTR_FLOAT);
  put_float(&a, 2, 0.5f);
  put_msg(&n, NODE_ATTR, a);
  put_attr_int(&n, "i", -3);
  a = make_attr("s", ATTR_STRING);
  put_bytes(&a, 4, "a\0b", 3);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("floats", ATTR_FLOATS);
  put_bytes(&a, 7, floats, sizeof floats);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("ints", ATTR_INTS);
  put_int(&a, 8, -1);
  put_int(&a, 8, 300);
  put_msg(&n, NODE_ATTR, a);
  put_msg(&n, NODE_ATTR, make_attr("no_ints", ATTR_INTS));
  a = make_attr("strings", ATTR_STRINGS);
  put_words(&a, 9, "p -");
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("tensors", ATTR_TENSORS);
  for (int i = 0; i < 2; i++) put_msg(&a, 10, make_tensor("", 1, "2", floats, sizeof floats));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("graphs", ATTR_GRAPHS);
  for (int i = 0; i < 2; i++) put_msg(&a, 11, make_unary("Sub"));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("tp", ATTR_TYPE);
  put_msg(&a, 14, make_type(1, "2 N ?"));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("tps", ATTR_TYPES);
  put_msg(&a, 15, make_type(7, NULL));
  put_msg(&n, NODE_ATTR, a);
  put_pair(&n, 9, "note", "text");
  put_msg(&g, GRAPH_NODE, n);
  t = make_tensor("w", LEDGE_STRING, "2", NULL, 0);
  put_words(&t, 6, "ab -");
  put_msg(&g, GRAPH_INIT, t);
  put_msg(&seq, 1, make_type(9, ""));
  put_msg(&type, 4, seq);
  put_text(&info, 1, "z");
  put_msg(&info, 2, type);
  put_msg(&g, GRAPH_OUTPUT, info);
  model *m = read_and_rewrite(make_model(8, 17, g));
  CHECK(m);
  if (!m) return;
  CHECK_INT(m->ir_version, 10); /* metadata of nodes */
  CHECK_INT(model_opset(m, "com.x"), 1);
  const node *k = &m->graph->nodes[1];
  CHECK_STR(k->name, "named");
  CHECK_STR(k->domain, "com.x");
  CHECK_INT(k->n_attrs, 11);
  CHECK_INT(k->in[1], VALUE_ABSENT);
  CHECK_INT(k->out[0], VALUE_ABSENT);
  CHECK(node_attr_float(k, "f", 0) == 0.5f && node_attr_int(k, "i", 0) == -3);
  CHECK(node_attr(k, "s")->s.size == 3 && !memcmp(node_attr(k, "s")->s.data, "a\0b", 3));
  CHECK(node_attr(k, "floats")->floats[1] == -2 && node_attr(k, "ints")->ints[1] == 300);
  CHECK(node_attr(k, "no_ints")->type == ATTR_INTS && node_attr(k, "no_ints")->count == 0);
  CHECK(node_attr(k, "strings")->strings[1].size == 0 && node_attr(k, "tensors")->count == 2);
  CHECK(node_attr(k, "graphs")->graphs[1]->n_nodes == 1);
  CHECK_STR(node_attr(k, "tp")->types->dim_names[1], "N");
  CHECK_INT(node_attr(k, "tps")->types->rank, -1);
  CHECK_STR(k->metadata[0].value, "text");
  const ledge_string *s = constant(m, "w")->data;
  CHECK(s[0].size == 2 && s[1].size == 0);
  const graph_type *z = &m->graph->values[find(m, "z")].type;
  CHECK(z->kind == TYPE_SEQUENCE && z->elem->dtype == LEDGE_BOOL && z->elem->rank == 0);
  model_destroy(m);
}

static void test_own_operators(void) {
  ledge_error e = {0};
  msg g = make_unary("F");
  model *m = read_msg(make_model(8, 17, g), NULL, &e);
  CHECK(m);
  if (!m) return;
  m->graph->nodes[0].domain = "ledge";
  m->graph->nodes[0].name = "fused";
  uint8_t *data = NULL;
  size_t size;
  CHECK(onnx_write_memory(m, &data, &size, &e) == LEDGE_ERROR_UNSUPPORTED);
  CHECK(strstr(e.message, "fused (F)") && !strcmp(e.node, "fused"));
  model_destroy(m);
}

/* ---- files ---- */

static char folder[] = "/tmp/ledge-onnx-XXXXXX";
static char *at(const char *name) {
  static char paths[4][256];
  static int next;
  char *p = paths[next++ % 4];
  snprintf(p, sizeof paths[0], "%s/%s", folder, name);
  return p;
}

static void test_files(void) {
  ledge_error e = {0};
  float large[1000], small[10] = {1};
  for (int i = 0; i < 1000; i++) large[i] = (float)i;
  CHECK(mkdtemp(folder) != NULL);
  msg g = make_unary("F"), n = make_node("G", "small large", "z");
  put_msg(&g, GRAPH_INIT, make_tensor("small", 1, "10", small, sizeof small));
  put_msg(&g, GRAPH_INIT, make_tensor("large", 1, "1000", large, sizeof large));
  put_msg(&g, GRAPH_NODE, n);
  model *m = read_msg(make_model(8, 17, g), NULL, &e), *again = NULL;
  CHECK(m);
  if (!m) return;
  char *inside = at("inside.onnx"), *outside = at("outside.onnx");
  struct stat s;
  CHECK(onnx_write_file(m, inside, NULL, &e) == LEDGE_OK);
  CHECK(stat(at("inside.onnx.data"), &s) != 0);
  CHECK(onnx_write_file(m, outside, &(onnx_write_options){.external_bytes = 1}, &e) == LEDGE_OK);
  CHECK(stat(at("outside.onnx.data"), &s) == 0 && s.st_size == sizeof large); /* the small one stays inside */
  CHECK(onnx_read_file(outside, NULL, &again, &e) == LEDGE_OK);
  if (again) {
    CHECK(!memcmp(constant(again, "large")->data, large, sizeof large));
    /* Over itself, while it is mapped. */
    CHECK(onnx_write_file(again, outside, &(onnx_write_options){.external_bytes = 1}, &e) == LEDGE_OK);
    CHECK(!memcmp(constant(again, "large")->data, large, sizeof large));
  }
  model_destroy(again);
  again = NULL;
  CHECK(onnx_read_file(outside, NULL, &again, &e) == LEDGE_OK);
  CHECK(again && !memcmp(constant(again, "large")->data, large, sizeof large));
  /* A mapped file that changed gives no weights to write. */
  CHECK(truncate(at("outside.onnx.data"), 8) == 0);
  CHECK(again && onnx_write_file(again, at("third.onnx"), NULL, &e) == LEDGE_ERROR_CHANGED);
  CHECK(stat(at("third.onnx"), &s) != 0);
  model_destroy(again);
  /* A link where the weights would go is not followed. */
  CHECK(symlink(at("victim"), at("fourth.onnx.data")) == 0);
  CHECK(onnx_write_file(m, at("fourth.onnx"), &(onnx_write_options){.external_bytes = 1}, &e) == LEDGE_ERROR_IO);
  CHECK(strstr(e.message, "link"));
  CHECK(stat(at("victim"), &s) != 0);
  CHECK(onnx_write_file(m, at("no/folder.onnx"), NULL, &e) == LEDGE_ERROR_IO);
  model_destroy(m);
  static const char *const left[] = {"inside.onnx", "outside.onnx", "outside.onnx.data", "fourth.onnx.data"};
  for (size_t i = 0; i < sizeof left / sizeof *left; i++) CHECK(unlink(at(left[i])) == 0);
  CHECK(rmdir(folder) == 0);
}

/* ---- models of others, where they are ---- */

static int n_models;

static int try_model(const char *path, const struct stat *s, int type, struct FTW *f) {
  ledge_error e = {0};
  size_t size = strlen(path);
  (void)s, (void)f;
  if (type != FTW_F || size < 5 || strcmp(path + size - 5, ".onnx")) return 0;
  model *m = NULL;
  n_models++;
  if (onnx_read_file(path, NULL, &m, &e) != LEDGE_OK) {
    TEST_FAIL("%s", e.message);
    return 0;
  }
  model *again = rewrite(m);
  CHECK(again && again->graph->n_nodes == m->graph->n_nodes && again->graph->n_inputs == m->graph->n_inputs);
  model_destroy(again);
  model_destroy(m);
  return 0;
}

/* A model in which each record has a doc string, and more that the graph has no place for. */
static msg make_documented(void) {
  msg g = {0}, n = make_node("Twice", "x", "y"), in = make_info("x", LEDGE_F32, "3"),
      out = make_info("y", LEDGE_F32, "3"), w = make_tensor("unused", LEDGE_F32, "1", "abcd", 4), f = {0},
      a = make_attr("k", ATTR_INT), annotation = {0}, dim = {0}, shape = {0}, tensor_type = {0}, type = {0};
  put_bytes(&n, 7, "org.x", 5);
  put_text(&n, 6, "doc of a node");
  put_int(&a, 3, 7);
  put_text(&a, 13, "doc of an attribute");
  put_msg(&n, NODE_ATTR, a);
  put_text(&in, 3, "doc of an input");
  put_pair(&in, 4, "key of an input", "value");
  put_text(&w, 12, "doc of an initialiser");
  put_text(&annotation, 1, "x");
  put_pair(&annotation, 2, "SCALE_TENSOR", "unused");
  put_text(&f, 1, "Twice");
  put_text(&f, 4, "a");
  put_text(&f, 5, "b");
  put_text(&f, 8, "doc of a function");
  put_text(&f, 10, "org.x");
  put_opset(&f, 9, "", 17);
  put_msg(&f, 7, make_node("Add", "a a", "b"));
  put_int(&dim, 1, 3);
  put_text(&dim, 3, "meaning of a dim");
  put_msg(&shape, 1, dim);
  put_int(&tensor_type, 1, LEDGE_F32);
  put_msg(&tensor_type, 2, shape);
  put_msg(&type, 1, tensor_type);
  msg other = {0};
  put_text(&other, 1, "x2");
  put_msg(&other, 2, type);
  put_text(&g, GRAPH_NAME, "main");
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_INPUT, in);
  put_msg(&g, GRAPH_INPUT, other);
  put_msg(&g, GRAPH_OUTPUT, out);
  put_msg(&g, GRAPH_INIT, w);
  put_text(&g, 10, "doc of a graph");
  put_msg(&g, 14, annotation);
  put_pair(&g, 16, "key of a graph", "value");
  msg file = make_model(11, 17, g), training = {0};
  put_opset(&file, MODEL_OPSET, "org.x", 1);
  put_text(&training, 99, "training");
  put_msg(&file, 20, training);
  put_msg(&file, 25, f);
  put_text(&file, 1000, "field of a newer version");
  return file;
}

static bool holds(const uint8_t *data, size_t size, const char *text) {
  return memmem(data, size, text, strlen(text)) != NULL;
}

/* Calls stay calls where the reader was told so; what speaks of values goes where values are gone. */
static void test_extra(void) {
  static const char *const always[] = {"doc of a node",   "doc of an input", "key of an input",
                                       "doc of a graph",  "key of a graph",  "field of a newer version",
                                       "meaning of a dim"};
  for (int keep = 0; keep < 2; keep++) {
    ledge_error e = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    model *m = read_msg(make_documented(), &(onnx_options){.keep_calls = keep}, &e),
          *again = m && !keep ? rewrite(m) : NULL;
    CHECK(m && (keep || again));
    if (!m) continue;
    CHECK_STR(m->graph->nodes[0].op, keep ? "Twice" : "Add");
    CHECK_INT(m->calls_inlined, !keep);
    CHECK(onnx_write_memory(m, &data, &size, &e) == LEDGE_OK);
    for (size_t i = keep ? 0 : 1; i < sizeof always / sizeof *always; i++)
      if (!holds(data, size, always[i])) TEST_FAIL("%s is gone", always[i]);
    CHECK_INT(holds(data, size, "doc of a function"), keep);
    CHECK_INT(holds(data, size, "doc of an attribute"), keep);
    CHECK(holds(data, size, "SCALE_TENSOR") && holds(data, size, "training") &&
          holds(data, size, "doc of an initialiser"));
    char path[] = "/tmp/ledge-extra-XXXXXX.onnx";
    int file = mkstemps(path, 5);
    CHECK(file >= 0 && onnx_write_file(m, path, &(onnx_write_options){.changed = true}, &e) == LEDGE_OK);
    mem_free(data);
    data = mem_alloc(65536);
    close(file); /* of the old one, whose name the new one has taken */
    file = open(path, O_RDONLY);
    ssize_t n = data ? read(file, data, 65536) : 0;
    CHECK(n > 0 && holds(data, (size_t)n, "doc of a graph"));
    CHECK(n > 0 && !holds(data, (size_t)n, "SCALE_TENSOR") && !holds(data, (size_t)n, "training"));
    close(file);
    unlink(path);
    mem_free(data);
    model_destroy(m);
    model_destroy(again);
  }
}

static void test_real_models(void) {
  static const char *const folders[] = {"../shared/models",
                                        "../../shared/models"}; /* from the root, or a build folder */
  for (size_t i = 0; i < sizeof folders / sizeof *folders && !n_models; i++) nftw(folders[i], try_model, 16, FTW_PHYS);
  if (!n_models) fprintf(stderr, "real_models: skipped, as ../shared/models is not here\n");
}

TEST_MAIN({"header", test_header}, {"ir_version", test_ir_version}, {"alignment", test_alignment},
          {"names", test_names}, {"one_value_twice", test_one_value_twice}, {"contents", test_contents},
          {"extra", test_extra}, {"own_operators", test_own_operators}, {"files", test_files},
          {"real_models", test_real_models})
