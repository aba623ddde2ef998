/* formats/onnx: what is read of a sound file. onnx_bad.c has the others. */
#include "onnx_build.h"

/* ---- models and graphs ---- */

static void test_smallest(void) {
  ledge_error e;
  msg file = make_model(8, 17, make_unary("Relu"));
  put_text(&file, 2, "maker");
  put_text(&file, 3, "1.2");
  put_text(&file, 4, "org.x");
  put_int(&file, 5, 7);
  put_text(&file, 6, "a model");
  put_pair(&file, 14, "key", "text");
  put_pair(&file, 14, "labels", "a\nb");
  model *m = read_msg(file, NULL, &e);
  CHECK(m);
  if (!m) return;
  const graph *g = m->graph;
  CHECK_STR(g->name, "main");
  CHECK_INT(m->ir_version, 8);
  CHECK_INT(model_opset(m, ""), 17);
  CHECK_INT(model_opset(m, "ai.onnx"), 17);
  CHECK_STR(m->producer_name, "maker");
  CHECK_STR(m->producer_version, "1.2");
  CHECK_STR(m->domain, "org.x");
  CHECK_STR(m->doc, "a model");
  CHECK_STR(m->source, "test");
  CHECK_INT(m->model_version, 7);
  CHECK_STR(model_metadata(m, "key"), "text");
  CHECK_STR(model_metadata(m, "labels"), "a\nb");
  CHECK_INT(g->n_nodes, 1);
  CHECK_INT(g->n_values, 2);
  CHECK_INT(g->n_inputs, 1);
  CHECK_INT(g->n_outputs, 1);
  CHECK_STR(g->nodes[0].op, "Relu");
  CHECK_STR(g->nodes[0].domain, "");
  CHECK_INT(g->nodes[0].version, 17);
  CHECK_INT(g->nodes[0].in[0], g->inputs[0]);
  CHECK_INT(g->nodes[0].out[0], g->outputs[0]);
  CHECK(g->nodes[0].offset < 40);
  CHECK_STR(g->values[g->inputs[0]].name, "x");
  CHECK_INT(g->values[g->inputs[0]].type.rank, 1);
  model_destroy(m);
}

static void test_versions(void) {
  ledge_error e;
  msg g = make_unary("Relu"), n = make_node("Scale", "y", "z");
  put_text(&n, 7, "com.mine");
  put_msg(&g, GRAPH_NODE, n);
  n = make_node("Trees", "y", "w");
  put_text(&n, 7, "ai.onnx.ml");
  put_msg(&g, GRAPH_NODE, n);
  n = make_node("Abs", "y", "v");
  put_text(&n, 7, "ai.onnx");
  put_msg(&g, GRAPH_NODE, n);
  msg file = make_model(4, 9, g);
  put_opset(&file, MODEL_OPSET, "ai.onnx.ml", 2);
  put_opset(&file, MODEL_OPSET, "ai.onnx", 11); /* of two, the newer */
  put_opset(&file, MODEL_OPSET, "", 10);
  model *m = read_msg(file, NULL, &e);
  CHECK(m);
  if (m) {
    CHECK_INT(m->graph->nodes[0].version, 11);
    CHECK_INT(m->graph->nodes[1].version, 1); /* a domain that is not imported */
    CHECK_STR(m->graph->nodes[1].domain, "com.mine");
    CHECK_INT(m->graph->nodes[2].version, 2);
    CHECK_INT(m->graph->nodes[3].version, 11);
    CHECK_STR(m->graph->nodes[3].domain, "");
  }
  model_destroy(m);
  /* Before IR version 3 nothing was imported. */
  m = read_msg(make_model(1, 0, make_unary("Relu")), NULL, &e);
  CHECK(m && m->graph->nodes[0].version == 1 && model_opset(m, "") == 1);
  model_destroy(m);
  CHECK(!read_msg(make_model(3, 0, make_unary("Relu")), NULL, &e));
  CHECK(strstr(e.message, "opset_import"));
}

static void test_order_and_absence(void) {
  ledge_error e;
  msg g = {0}, n;
  put_msg(&g, GRAPH_NODE, make_node("C", "b", "c"));
  put_msg(&g, GRAPH_NODE, make_node("B", "a - a", "b -"));
  n = make_node("A", "x", "a");
  put_text(&n, 3, "first");
  put_pair(&n, 9, "k", "v");
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, NULL));
  put_msg(&g, GRAPH_OUTPUT, make_info("c", 1, ""));
  model *m = read_msg(make_model(10, 21, g), NULL, &e);
  CHECK(m);
  if (!m) return;
  const graph *t = m->graph;
  CHECK_STR(t->nodes[0].op, "A");
  CHECK_STR(t->nodes[0].name, "first");
  CHECK_INT(t->nodes[0].n_metadata, 1);
  CHECK_STR(t->nodes[0].metadata[0].value, "v");
  CHECK_STR(t->nodes[1].op, "B");
  CHECK_INT(t->nodes[1].n_in, 3);
  CHECK_INT(t->nodes[1].in[1], VALUE_ABSENT);
  CHECK_INT(t->nodes[1].n_out, 2);
  CHECK_INT(t->nodes[1].out[1], VALUE_ABSENT);
  CHECK_STR(t->nodes[2].op, "C");
  CHECK_INT(t->values[t->inputs[0]].type.rank, -1);
  CHECK_INT(t->values[t->outputs[0]].type.rank, 0);
  model_destroy(m);
}

static void test_types(void) {
  ledge_error e;
  msg g = make_unary("F"), type = {0}, elem = {0}, inner = {0}, info = {0};
  put_msg(&g, GRAPH_INPUT, make_info("t", 10, "N 3 ? 0"));
  /* optional(sequence(map(i64, tensor(f32[4])))) */
  put_int(&inner, 1, 7);
  put_msg(&inner, 2, make_type(1, "4"));
  put_msg(&elem, 5, inner);
  inner = elem, elem = (msg){0};
  put_msg(&elem, 1, inner);
  inner = elem, elem = (msg){0};
  put_msg(&elem, 4, inner);
  inner = elem, elem = (msg){0};
  put_msg(&elem, 1, inner);
  put_msg(&type, 9, elem);
  put_text(&type, 6, "IMAGE");
  put_text(&info, 1, "o");
  put_msg(&info, 2, type);
  put_msg(&g, GRAPH_INPUT, info);
  msg n = make_node("G", "y", "z");
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_INFO, make_info("z", 7, "5"));
  put_msg(&g, GRAPH_INFO, make_info("nobody", 7, "5"));
  msg file = make_model(8, 17, g);
  model *m = read_msg(file, NULL, &e);
  CHECK(m);
  if (!m) return;
  const graph_type *t = &m->graph->values[find(m, "t")].type;
  CHECK_INT(t->kind, TYPE_TENSOR);
  CHECK_INT(t->dtype, LEDGE_F16);
  CHECK_INT(t->rank, 4);
  CHECK_INT(t->dims[0], -1);
  CHECK_STR(t->dim_names[0], "N");
  CHECK_INT(t->dims[1], 3);
  CHECK_INT(t->dims[2], -1);
  CHECK(!t->dim_names[2]);
  CHECK_INT(t->dims[3], 0);
  t = &m->graph->values[find(m, "o")].type;
  CHECK_INT(t->kind, TYPE_OPTIONAL);
  CHECK_STR(t->denotation, "IMAGE");
  CHECK_INT(t->elem->kind, TYPE_SEQUENCE);
  CHECK_INT(t->elem->elem->kind, TYPE_MAP);
  CHECK_INT(t->elem->elem->dtype, LEDGE_I64);
  CHECK_INT(t->elem->elem->elem->dims[0], 4);
  CHECK_INT(m->graph->values[find(m, "z")].type.dims[0], 5);
  model_destroy(m);
}

/* Protobuf's freedoms: what is not known is skipped, scalars may come twice, lists packed or not. */
static void test_wire_freedom(void) {
  ledge_error e;
  msg g = make_unary("F"), t = {0}, packed = {0}, file = {0};
  put_tag(&file, 99, 3); /* a group with everything in it */
  put_int(&file, 1, 5);
  put_tag(&file, 7, 3);
  put_tag(&file, 7, 4);
  put_text(&file, 2, "in the group");
  put_tag(&file, 3, 1);
  writer_u64le(&file, 9);
  put_float(&file, 4, 1);
  put_tag(&file, 99, 4);
  put_int(&file, 1, 3);
  put_int(&file, 1, 8);
  put_text(&file, 2000, "unknown");
  writer_varint(&packed, 2);
  put_bytes(&t, 1, packed.data, packed.size); /* dims: packed, then not */
  writer_deinit(&packed);
  put_int(&t, 1, 3);
  put_int(&t, 2, 6);
  put_text(&t, 8, "t");
  put_int(&t, 5, 1);
  writer_varint(&packed, 2);
  writer_varint(&packed, (uint64_t)-3);
  put_bytes(&t, 5, packed.data, packed.size);
  writer_deinit(&packed);
  for (int i = 4; i <= 6; i++) put_int(&t, 5, i);
  put_msg(&g, GRAPH_INIT, t);
  put_msg(&file, MODEL_GRAPH, g);
  put_opset(&file, MODEL_OPSET, "", 17);
  model *m = read_msg(file, NULL, &e);
  CHECK(m);
  if (!m) return;
  CHECK_INT(m->ir_version, 8);
  const tensor *c = constant(m, "t");
  CHECK(c && c->rank == 2 && c->dims[0] == 2 && c->dims[1] == 3);
  static const int32_t want[] = {1, 2, -3, 4, 5, 6};
  CHECK(c && !memcmp(c->data, want, sizeof want));
  model_destroy(m);
}

/* ---- tensors ---- */

static msg make_sparse(const char *dims, msg values, msg indices) {
  msg s = {0};
  put_msg(&s, 1, values);
  put_msg(&s, 2, indices);
  for (char *at = (char *)(uintptr_t)dims; *at; at += strspn(at, " ")) put_int(&s, 3, strtoll(at, &at, 10));
  return s;
}

typedef struct dtype_case {
  ledge_dtype dtype;
  unsigned field; /* of the typed list */
  int entries;    /* for 3 elements */
} dtype_case;

static const dtype_case dtypes[] = {
    {LEDGE_F32, 4, 3},        {LEDGE_U8, 5, 3},     {LEDGE_I8, 5, 3},         {LEDGE_U16, 5, 3},
    {LEDGE_I16, 5, 3},        {LEDGE_I32, 5, 3},    {LEDGE_I64, 7, 3},        {LEDGE_BOOL, 5, 3},
    {LEDGE_F16, 5, 3},        {LEDGE_F64, 10, 3},   {LEDGE_U32, 11, 3},       {LEDGE_U64, 11, 3},
    {LEDGE_C64, 4, 6},        {LEDGE_C128, 10, 6},  {LEDGE_BF16, 5, 3},       {LEDGE_F8E4M3FN, 5, 3},
    {LEDGE_F8E4M3FNUZ, 5, 3}, {LEDGE_F8E5M2, 5, 3}, {LEDGE_F8E5M2FNUZ, 5, 3}, {LEDGE_U4, 5, 2},
    {LEDGE_I4, 5, 2},         {LEDGE_F4E2M1, 5, 2}, {LEDGE_F8E8M0, 5, 3},     {LEDGE_U2, 5, 1},
    {LEDGE_I2, 5, 1},
};

/* Every dtype as raw data and in its typed list, packed and not: the same elements. */
static void test_dtypes(void) {
  for (size_t k = 0; k < sizeof dtypes / sizeof *dtypes; k++) {
    const dtype_case *c = &dtypes[k];
    ledge_error e;
    size_t bytes, width;
    unsigned char raw[64];
    CHECK(dtype_array_bytes(c->dtype, 3, &bytes));
    width = bytes / (size_t)c->entries;
    for (size_t i = 0; i < bytes; i++) raw[i] = c->dtype == LEDGE_BOOL ? i & 1 : (unsigned char)(0x91 + 37 * i);
    msg g = make_unary("F"), list = {0}, single = {0}, packed = {0};
    put_msg(&g, GRAPH_INIT, make_tensor("raw", c->dtype, "3", raw, bytes));
    list = make_tensor("packed", c->dtype, "3", NULL, 0);
    single = make_tensor("single", c->dtype, "3", NULL, 0);
    for (int i = 0; i < c->entries; i++) {
      uint64_t number = 0;
      memcpy(&number, raw + (size_t)i * width, width);
      bool fixed = c->field == 4 || c->field == 10;
      put_tag(&single, c->field, c->field == 4 ? 5 : fixed ? 1 : 0);
      if (fixed) {
        writer_bytes(&single, &number, width);
        writer_bytes(&packed, &number, width);
      } else {
        writer_varint(&single, number);
        writer_varint(&packed, number);
      }
    }
    put_msg(&list, c->field, packed);
    put_msg(&g, GRAPH_INIT, list);
    put_msg(&g, GRAPH_INIT, single);
    model *m = read_msg(make_model(13, 25, g), NULL, &e);
    if (!m) TEST_FAIL("%s: %s", ledge_dtype_name(c->dtype), e.message);
    static const char *const names[] = {"raw", "packed", "single"};
    for (int i = 0; m && i < 3; i++) {
      const tensor *t = constant(m, names[i]);
      if (!t || t->dtype != c->dtype || t->rank != 1 || t->dims[0] != 3 || memcmp(t->data, raw, bytes))
        TEST_FAIL("%s of %s is wrong", names[i], ledge_dtype_name(c->dtype));
    }
    model_destroy(m);
  }
}

static void test_odd_tensors(void) {
  ledge_error e;
  msg g = make_unary("F"), t;
  static const unsigned char flags[] = {0, 1, 2, 255};
  float one = 1;
  put_msg(&g, GRAPH_INIT, make_tensor("bool", LEDGE_BOOL, "4", flags, 4));
  put_msg(&g, GRAPH_INIT, make_tensor("none", LEDGE_F32, "2 0", NULL, 0));
  put_msg(&g, GRAPH_INIT, make_tensor("none_raw", LEDGE_F32, "0", "", 0));
  put_msg(&g, GRAPH_INIT, make_tensor("scalar", LEDGE_F32, "", &one, 4));
  t = make_tensor("text", LEDGE_STRING, "2 2", NULL, 0);
  put_words(&t, 6, "a bc - d");
  put_msg(&g, GRAPH_INIT, t);
  t = make_tensor("no_text", LEDGE_STRING, "0", NULL, 0);
  put_msg(&g, GRAPH_INIT, t);
  model *m = read_msg(make_model(8, 17, g), NULL, &e);
  CHECK(m);
  if (!m) return;
  CHECK(!memcmp(constant(m, "bool")->data, "\0\1\1\1", 4));
  CHECK(constant(m, "none")->dims[1] == 0 && constant(m, "none")->rank == 2);
  CHECK_INT(constant(m, "scalar")->rank, 0);
  CHECK(*(float *)constant(m, "scalar")->data == 1);
  const ledge_string *s = constant(m, "text")->data;
  CHECK(s[1].size == 2 && !memcmp(s[1].data, "bc", 2) && s[2].size == 0 && s[3].data[0] == 'd');
  model_destroy(m);
}

static void release_nothing(storage *s) { (void)s; }

/* With an owner, large tensors stay where they are, floats at any address; small ones are copied, and so are unaligned
 * ones of types that shape inference reads. */
static void check_in_place(ledge_dtype dtype, const char *dims, const void *values, size_t bytes, int shift) {
  ledge_error e;
  msg g = make_unary("F");
  char name[8] = "wwwwwww";
  name[shift + 1] = 0;
  put_msg(&g, GRAPH_INIT, make_tensor(name, dtype, dims, values, bytes));
  msg file = make_model(8, 17, g);
  storage s = {.release = release_nothing};
  atomic_init(&s.refs, 1);
  model *m = NULL;
  CHECK(onnx_read(file.data, file.size, &s, "test", NULL, &m, &e) == LEDGE_OK);
  if (m) {
    const tensor *t = constant(m, name);
    const uint8_t *at = t->data;
    bool inside = at >= file.data && at < file.data + file.size;
    const uint8_t *raw = memmem(file.data, file.size, values, bytes);
    CHECK(inside == (bytes >= 16384 && (dtype == LEDGE_F32 || (uintptr_t)raw % 8 == 0)));
    CHECK(inside || tensor_is_aligned(t));
    CHECK(!memcmp(t->data, values, bytes));
    CHECK_INT(s.refs, 2);
  }
  model_destroy(m);
  CHECK_INT(s.refs, 1);
  writer_deinit(&file);
}

static void test_in_place(void) {
  static float values[4096];
  static int64_t numbers[2048];
  for (int i = 0; i < 4096; i++) values[i] = (float)i;
  for (int i = 0; i < 2048; i++) numbers[i] = i;
  for (int shift = 0; shift < 7; shift++) {
    check_in_place(LEDGE_F32, "4096", values, sizeof values, shift);
    check_in_place(LEDGE_F32, "100", values, 400, shift);
    check_in_place(LEDGE_I64, "2048", numbers, sizeof numbers, shift);
  }
}

static void test_initialisers(void) {
  ledge_error e;
  float one = 1;
  msg g = make_unary("F");
  put_msg(&g, GRAPH_INIT, make_tensor("w", LEDGE_F32, "1", &one, 4));
  put_msg(&g, GRAPH_INIT, make_tensor("b", LEDGE_F32, "1", &one, 4));
  put_msg(&g, GRAPH_INPUT, make_info("w", 1, "1")); /* as IR version 3 and older list them */
  model *m = read_msg(make_model(3, 7, g), NULL, &e);
  CHECK(m);
  if (!m) return;
  CHECK_INT(m->graph->n_inputs, 2);
  CHECK(constant(m, "w") && m->graph->inputs[1] == find(m, "w"));
  CHECK(constant(m, "b") && m->graph->values[find(m, "b")].type.dims[0] == 1);
  model_destroy(m);
}

static void test_sparse(void) {
  ledge_error e;
  static const float values[] = {5, 7};
  static const int64_t linear[] = {1, 5}, pairs[] = {0, 1, 1, 2};
  static const float want[] = {0, 5, 0, 0, 0, 7};
  msg g = make_unary("F"), v, s;
  put_msg(&g, GRAPH_SPARSE,
          make_sparse("2 3", make_tensor("linear", 1, "2", values, 8), make_tensor(NULL, 7, "2", linear, 16)));
  put_msg(&g, GRAPH_SPARSE,
          make_sparse("2 3", make_tensor("pairs", 1, "2", values, 8), make_tensor(NULL, 7, "2 2", pairs, 32)));
  put_msg(&g, GRAPH_SPARSE,
          make_sparse("6", make_tensor("nibbles", LEDGE_U4, "2", "\x75", 1), make_tensor(NULL, 7, "2", linear, 16)));
  put_msg(&g, GRAPH_SPARSE,
          make_sparse("50000", make_tensor("wide", 1, "2", values, 8), make_tensor(NULL, 7, "2", linear, 16)));
  put_msg(&g, GRAPH_SPARSE,
          make_sparse("4", make_tensor("empty", 1, "0", NULL, 0), make_tensor(NULL, 7, "0", NULL, 0)));
  v = make_tensor("text", LEDGE_STRING, "2", NULL, 0);
  put_words(&v, 6, "a bc");
  put_msg(&g, GRAPH_SPARSE, make_sparse("2 3", v, make_tensor(NULL, 7, "2", linear, 16)));
  s = make_attr("sparse_value", 11);
  put_msg(&s, 22, make_sparse("2 3", make_tensor("", 1, "2", values, 8), make_tensor(NULL, 7, "2", linear, 16)));
  msg n = make_node("Constant", "", "c");
  put_msg(&n, NODE_ATTR, s);
  put_msg(&g, GRAPH_NODE, n);
  model *m = read_msg(make_model(8, 17, g), NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  CHECK(!memcmp(constant(m, "linear")->data, want, sizeof want) && constant(m, "linear")->rank == 2);
  CHECK(!memcmp(constant(m, "pairs")->data, want, sizeof want));
  CHECK(!memcmp(constant(m, "nibbles")->data, "\x50\x00\x70", 3));
  CHECK(!memcmp(constant(m, "empty")->data, "\0\0\0\0\0\0\0\0", 8));
  const ledge_string *strings = constant(m, "text")->data;
  CHECK(strings[0].size == 0 && strings[1].size == 1 && strings[5].size == 2);
  const node *c = &m->graph->nodes[1];
  const attr *a = node_attr(c, "value");
  CHECK(a && a->type == ATTR_TENSOR && !memcmp(a->t->data, want, sizeof want));
  model_destroy(m);
}

/* ---- attributes ---- */

static msg make_attrs_node(bool typed) {
  msg n = make_node("F", "x", "y"), a;
  static const float floats[] = {1, 2};
  int one = 1;
  a = make_attr("f", typed ? 1 : 0);
  put_float(&a, 2, 1.5f);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("i", typed ? 2 : 0);
  put_int(&a, 3, -7);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("s", typed ? 3 : 0);
  put_bytes(&a, 4, "a\0b", 3);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("t", typed ? 4 : 0);
  put_msg(&a, 5, make_tensor("", LEDGE_I32, "", &one, 4));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("g", typed ? 5 : 0);
  put_msg(&a, 6, make_unary("Sub"));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("floats", typed ? 6 : 0);
  put_bytes(&a, 7, floats, sizeof floats);
  put_float(&a, 7, 3);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("ints", typed ? 7 : 0);
  put_int(&a, 8, -1);
  put_bytes(&a, 8, "\x02\x03", 2);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("strings", typed ? 8 : 0);
  put_words(&a, 9, "p - qr");
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("tensors", typed ? 9 : 0);
  for (int i = 0; i < 2; i++) put_msg(&a, 10, make_tensor("", LEDGE_I32, "", &one, 4));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("graphs", typed ? 10 : 0);
  for (int i = 0; i < 2; i++) put_msg(&a, 11, make_unary("Sub"));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("tp", typed ? 13 : 0);
  put_msg(&a, 14, make_type(1, "2"));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("tps", typed ? 14 : 0);
  put_msg(&a, 15, make_type(1, "2"));
  put_msg(&a, 15, make_type(7, NULL));
  put_msg(&n, NODE_ATTR, a);
  put_msg(&n, NODE_ATTR, make_attr("none", typed ? 7 : 0));
  a = make_attr("sparse", typed ? 11 : 0);
  put_msg(&a, 22,
          make_sparse("2", make_tensor("", LEDGE_I32, "1", &one, 4), make_tensor("", 7, "1", "\1\0\0\0\0\0\0", 8)));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("sparses", typed ? 12 : 0);
  put_msg(&a, 23,
          make_sparse("2", make_tensor("", LEDGE_I32, "1", &one, 4), make_tensor("", 7, "1", "\1\0\0\0\0\0\0", 8)));
  put_msg(&n, NODE_ATTR, a);
  return n;
}

static void test_attributes(void) {
  for (int typed = 0; typed < 2; typed++) { /* IR version 1 does not say the type */
    ledge_error e;
    msg g = {0};
    put_msg(&g, GRAPH_NODE, make_attrs_node(typed));
    put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
    put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, "2"));
    model *m = read_msg(make_model(typed ? 8 : 1, 17, g), NULL, &e);
    if (!m) TEST_FAIL("%s", e.message);
    if (!m) continue;
    const node *n = &m->graph->nodes[0];
    CHECK_INT(n->n_attrs, 15);
    CHECK(node_attr_float(n, "f", 0) == 1.5f);
    CHECK_INT(node_attr_int(n, "i", 0), -7);
    const attr *a = node_attr(n, "s");
    CHECK(a->type == ATTR_STRING && a->s.size == 3 && !memcmp(a->s.data, "a\0b", 4));
    a = node_attr(n, "t");
    CHECK(a->type == ATTR_TENSOR && *(int32_t *)a->t->data == 1);
    a = node_attr(n, "g");
    CHECK(a->type == ATTR_GRAPH && a->g->n_nodes == 1 && a->g->parent == m->graph && a->g->n_captures == 0);
    a = node_attr(n, "floats");
    CHECK(a->type == ATTR_FLOATS && a->count == 3 && a->floats[1] == 2 && a->floats[2] == 3);
    a = node_attr(n, "ints");
    CHECK(a->type == ATTR_INTS && a->count == 3 && a->ints[0] == -1 && a->ints[2] == 3);
    a = node_attr(n, "strings");
    CHECK(a->type == ATTR_STRINGS && a->count == 3 && a->strings[1].size == 0 && a->strings[2].size == 2);
    a = node_attr(n, "tensors");
    CHECK(a->type == ATTR_TENSORS && a->count == 2 && *(int32_t *)a->tensors[1].data == 1);
    a = node_attr(n, "graphs");
    CHECK(a->type == ATTR_GRAPHS && a->count == 2 && a->graphs[1]->n_nodes == 1);
    a = node_attr(n, "tp");
    CHECK(a->type == ATTR_TYPE && a->types->dtype == LEDGE_F32);
    a = node_attr(n, "tps");
    CHECK(a->type == ATTR_TYPES && a->count == 2 && a->types[1].dtype == LEDGE_I64);
    a = node_attr(n, "none");
    CHECK(a->type == ATTR_INTS && a->count == 0);
    a = node_attr(n, "sparse");
    CHECK(a->type == ATTR_TENSOR && ((int32_t *)a->t->data)[1] == 1);
    a = node_attr(n, "sparses");
    CHECK(a->type == ATTR_TENSORS && a->count == 1 && ((int32_t *)a->tensors->data)[1] == 1);
    model_destroy(m);
  }
}

/* ---- subgraphs ---- */

static void test_captures(void) {
  ledge_error e;
  msg inner = {0}, outer = {0}, g = {0}, n;
  put_msg(&inner, GRAPH_NODE, make_node("Add", "x late", "r"));
  put_msg(&inner, GRAPH_NODE, make_node("Mul", "r own", "s"));
  put_msg(&inner, GRAPH_OUTPUT, make_info("s", 1, NULL));
  put_msg(&outer, GRAPH_NODE, make_node("Neg", "x", "own"));
  n = make_node("If", "own", "s");
  put_attr_graph(&n, "then_branch", inner);
  put_msg(&outer, GRAPH_NODE, n);
  put_msg(&outer, GRAPH_OUTPUT, make_info("s", 1, NULL));
  put_msg(&outer, GRAPH_OUTPUT, make_info("x", 1, NULL)); /* an outer value as an output */
  n = make_node("If", "c", "y z");
  put_attr_graph(&n, "then_branch", outer);
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_NODE, make_node("Abs", "x", "late")); /* made after the node whose subgraph reads it */
  put_msg(&g, GRAPH_INPUT, make_info("c", 9, ""));
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, NULL));
  model *m = read_msg(make_model(8, 17, g), NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  CHECK_STR(m->graph->nodes[0].op, "Abs");
  const graph *o = node_attr(&m->graph->nodes[1], "then_branch")->g;
  CHECK_INT(o->n_captures, 2);
  CHECK_INT(o->captures[0].outer, find(m, "x"));
  CHECK_INT(o->captures[1].outer, find(m, "late"));
  CHECK_INT(o->outputs[1], o->captures[0].inner);
  CHECK_INT(o->values[o->captures[0].inner].type.rank, 1);
  const graph *i = node_attr(&o->nodes[1], "then_branch")->g;
  CHECK_INT(i->n_captures, 3);
  CHECK(i->parent == o);
  model_destroy(m);
}

/* A subgraph may name a value as one further out is named: the inner one counts. */
static void test_shadow(void) {
  ledge_error e;
  msg sub = {0}, g = make_unary("F"), n;
  put_msg(&sub, GRAPH_INPUT, make_info("x", 7, NULL));
  put_msg(&sub, GRAPH_NODE, make_node("Neg", "x", "y"));
  put_msg(&sub, GRAPH_OUTPUT, make_info("y", 7, NULL));
  n = make_node("Loop", "- -", "z");
  put_attr_graph(&n, "body", sub);
  put_msg(&g, GRAPH_NODE, n);
  model *m = read_msg(make_model(8, 17, g), NULL, &e);
  CHECK(m);
  if (!m) return;
  const graph *b = node_attr(&m->graph->nodes[1], "body")->g;
  CHECK_INT(b->n_captures, 0);
  CHECK_INT(b->nodes[0].in[0], b->inputs[0]);
  model_destroy(m);
}

/* ---- functions ---- */

static msg make_function(const char *name, const char *in, const char *out, const char *attrs) {
  msg f = {0};
  put_text(&f, 1, name);
  put_words(&f, 4, in);
  put_words(&f, 5, out);
  put_words(&f, 6, attrs);
  put_text(&f, 10, "mine");
  return f;
}
static msg make_call(const char *op, const char *in, const char *out, const char *name) {
  msg n = make_node(op, in, out);
  put_text(&n, 7, "mine");
  if (name) put_text(&n, 3, name);
  return n;
}
/* The nodes of g joined: "Neg(x->a) Abs(a->y)". */
static char *show(const graph *g, char *text, size_t size) {
  size_t at = 0;
  text[0] = 0;
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    at += (size_t)snprintf(text + at, size - at, "%s%s(", i ? " " : "", n->op);
    for (int k = 0; k < n->n_in; k++)
      at += (size_t)snprintf(text + at, size - at, "%s%s", k ? "," : "", n->in[k] < 0 ? "-" : g->values[n->in[k]].name);
    at += (size_t)snprintf(text + at, size - at, "->");
    for (int k = 0; k < n->n_out; k++)
      at +=
          (size_t)snprintf(text + at, size - at, "%s%s", k ? "," : "", n->out[k] < 0 ? "-" : g->values[n->out[k]].name);
    at += (size_t)snprintf(text + at, size - at, ")");
  }
  return text;
}

static void test_function(void) {
  ledge_error e;
  char text[1000];
  msg f = make_function("F", "a b", "c d", ""), g = {0}, file, n;
  put_msg(&f, 7, make_node("Add", "a b", "t"));
  n = make_node("Neg", "t", "c");
  put_text(&n, 3, "negate");
  put_msg(&f, 7, n);
  put_msg(&f, 7, make_node("Abs", "t", "d"));
  put_opset(&f, 9, "", 13);
  msg inner = make_function("G", "p q", "r", "");
  put_msg(&inner, 7, make_call("F", "p", "u -", "call"));
  put_msg(&inner, 7, make_call("F", "u q", "r unused", NULL));
  put_opset(&inner, 9, "mine", 1);
  put_msg(&g, GRAPH_NODE, make_call("G", "x x", "y", "top"));
  put_msg(&g, GRAPH_NODE, make_node("Exp", "y", "top/call/t")); /* a name that inlining would make */
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, "2"));
  file = make_model(8, 17, g);
  put_msg(&file, MODEL_FUNCTION, inner);
  put_msg(&file, MODEL_FUNCTION, f);
  put_opset(&file, MODEL_OPSET, "mine", 1);
  model *m = read_msg(file, NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  CHECK_STR(show(m->graph, text, sizeof text),
            "Add(x,-->top/call/t.1) Neg(top/call/t.1->top/u) Abs(top/call/t.1->top/call/d) "
            "Add(top/u,x->top/F/t) Neg(top/F/t->y) Abs(top/F/t->top/unused) Exp(y->top/call/t)");
  CHECK_INT(m->graph->nodes[0].version, 13);
  CHECK_STR(m->graph->nodes[1].name, "top/call/negate");
  CHECK_INT(m->graph->nodes[6].version, 17);
  CHECK_INT(m->graph->n_nodes, 7);
  model_destroy(m);
}

static void test_function_attributes(void) {
  ledge_error e;
  msg f = make_function("F", "a", "c", "given left_out"), g = {0}, file, n, d;
  d = make_attr("with_default", ATTR_INT);
  put_int(&d, 3, 42);
  put_msg(&f, 11, d);
  n = make_node("N", "a", "c");
  put_attr_ref(&n, "alpha", ATTR_INT, "given");
  put_attr_ref(&n, "beta", ATTR_INT, "with_default");
  put_attr_ref(&n, "gamma", ATTR_FLOAT, "left_out");
  put_attr_int(&n, "delta", 4);
  put_msg(&f, 7, n);
  msg outer = make_function("G", "a", "c", "passed");
  n = make_call("F", "a", "c", NULL);
  put_attr_ref(&n, "given", ATTR_INT, "passed");
  put_attr_ref(&n, "left_out", ATTR_FLOAT, "not_given");
  put_msg(&outer, 7, n);
  n = make_call("G", "x", "y", NULL);
  put_attr_int(&n, "passed", 9);
  put_msg(&g, GRAPH_NODE, n);
  n = make_call("F", "x", "z", NULL);
  put_attr_int(&n, "with_default", 5);
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, "2"));
  file = make_model(9, 17, g);
  put_msg(&file, MODEL_FUNCTION, outer);
  put_msg(&file, MODEL_FUNCTION, f);
  model *m = read_msg(file, NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  const node *first = &m->graph->nodes[0], *second = &m->graph->nodes[1];
  CHECK_INT(first->n_attrs, 3);
  CHECK_INT(node_attr_int(first, "alpha", 0), 9);
  CHECK_INT(node_attr_int(first, "beta", 0), 42);
  CHECK_INT(node_attr_int(first, "delta", 0), 4);
  CHECK_INT(second->n_attrs, 2);
  CHECK_INT(node_attr_int(second, "beta", 0), 5);
  model_destroy(m);
}

static void test_function_overloads(void) {
  ledge_error e;
  char text[200];
  msg g = {0}, file, n, f;
  n = make_call("F", "x", "y", NULL);
  put_text(&n, 8, "two");
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_NODE, make_call("F", "y", "z", NULL));
  put_msg(&g, GRAPH_NODE, make_node("F", "z", "w")); /* of another domain: no call */
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("w", 1, "2"));
  file = make_model(10, 21, g);
  f = make_function("F", "a", "b", "");
  put_msg(&f, 7, make_node("One", "a", "b"));
  put_msg(&file, MODEL_FUNCTION, f);
  f = make_function("F", "a", "b", "");
  put_text(&f, 13, "two");
  put_msg(&f, 7, make_node("Two", "a", "b"));
  put_msg(&file, MODEL_FUNCTION, f);
  model *m = read_msg(file, NULL, &e);
  CHECK(m);
  if (!m) return;
  CHECK_STR(show(m->graph, text, sizeof text), "Two(x->y) One(y->z) F(z->w)");
  model_destroy(m);
}

/* An output that is an input, an unused one, and one body under two names. */
static void test_function_pass_through(void) {
  ledge_error e;
  char text[300];
  msg g = {0}, file, f = make_function("F", "a", "a b", "");
  put_msg(&f, 7, make_node("Neg", "a", "b"));
  put_msg(&g, GRAPH_NODE, make_call("F", "x", "y", "n"));
  put_msg(&g, GRAPH_NODE, make_call("F", "y", "- z", "k"));
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("z", 1, "2"));
  file = make_model(8, 17, g);
  put_msg(&file, MODEL_FUNCTION, f);
  model *m = read_msg(file, NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  CHECK_STR(show(m->graph, text, sizeof text), "Neg(x->n/b) Identity(x->y) Neg(y->z)");
  model_destroy(m);
}

/* A graph given to a function as an attribute, used in it directly and in a subgraph: its names are the caller's. */
static void test_function_graph_attribute(void) {
  ledge_error e;
  msg f = make_function("F", "a", "c", "body"), wrap = {0}, g = {0}, n, given = {0}, file;
  n = make_node("If", "a", "i");
  put_attr_ref(&n, "then_branch", ATTR_GRAPH, "body");
  put_msg(&wrap, GRAPH_NODE, n);
  put_msg(&wrap, GRAPH_OUTPUT, make_info("i", 1, NULL));
  n = make_node("If", "a", "c");
  put_attr_graph(&n, "else_branch", wrap);
  put_attr_ref(&n, "then_branch", ATTR_GRAPH, "body");
  put_msg(&f, 7, n);
  put_msg(&given, GRAPH_NODE, make_node("Neg", "callers", "a")); /* `a` is not the function's `a` */
  put_msg(&given, GRAPH_OUTPUT, make_info("a", 1, NULL));
  n = make_call("F", "x", "y", NULL);
  put_attr_graph(&n, "body", given);
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_INPUT, make_info("callers", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, "2"));
  file = make_model(8, 17, g);
  put_msg(&file, MODEL_FUNCTION, f);
  model *m = read_msg(file, NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  const node *top = &m->graph->nodes[0];
  const graph *then = node_attr(top, "then_branch")->g, *other = node_attr(top, "else_branch")->g;
  CHECK(then->n_captures == 1 && then->captures[0].outer == find(m, "callers"));
  const graph *deep = node_attr(&other->nodes[0], "then_branch")->g;
  CHECK(deep->parent == other && deep->n_captures == 1);
  CHECK_INT(other->n_captures, 2); /* x as a, and callers on behalf of the graph inside */
  CHECK_STR(deep->nodes[0].op, "Neg");
  model_destroy(m);
}

/* Two inputs that are one value, each read in a subgraph; long names. */
static void test_function_aliases(void) {
  ledge_error e;
  enum { LONG = 600 };
  char name[LONG + 1] = {0};
  memset(name, 'n', LONG);
  msg f = make_function("F", "a b", "c", ""), sub = {0}, g = {0}, n, file;
  put_msg(&sub, GRAPH_NODE, make_node("Add", "a b", "s"));
  put_msg(&sub, GRAPH_OUTPUT, make_info("s", 1, NULL));
  n = make_node("If", "a", name);
  put_attr_graph(&n, "then_branch", sub);
  put_msg(&f, 7, n);
  sub = (msg){0};
  put_msg(&sub, GRAPH_NODE, make_node("Neg", name, "s"));
  put_msg(&sub, GRAPH_OUTPUT, make_info("s", 1, NULL));
  n = make_node("If", "a", "c");
  put_attr_graph(&n, "then_branch", sub);
  put_msg(&f, 7, n);
  put_msg(&g, GRAPH_NODE, make_call("F", "x x", "y", "call"));
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, "2"));
  file = make_model(8, 17, g);
  put_msg(&file, MODEL_FUNCTION, f);
  model *m = read_msg(file, NULL, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  const graph *then = node_attr(&m->graph->nodes[0], "then_branch")->g;
  CHECK_INT(then->n_captures, 1);
  CHECK(then->nodes[0].in[0] == then->nodes[0].in[1]);
  then = node_attr(&m->graph->nodes[1], "then_branch")->g;
  CHECK_INT(strlen(then->values[then->captures[0].inner].name), LONG + 5);
  model_destroy(m);
}

/* ---- values in files of their own ---- */

static ledge_status read_one(msg m, const graph_type *type, value *ret, ledge_error *e) {
  *e = (ledge_error){0};
  char kind = (char)(type ? type->kind : TYPE_NONE);
  save_seed_as("values", &kind, 1, &m);
  ledge_status status = onnx_read_value(m.data, m.size, "value", type, ret, e);
  writer_deinit(&m);
  return status;
}

static void test_values(void) {
  ledge_error e;
  value v = {0};
  static const float two[] = {1, 2};
  graph_type tensor_type = {.kind = TYPE_TENSOR}, list = {.kind = TYPE_SEQUENCE, .elem = &tensor_type},
             maybe = {.kind = TYPE_OPTIONAL, .elem = &list}, map = {.kind = TYPE_MAP, .elem = &tensor_type},
             sparse = {.kind = TYPE_SPARSE_TENSOR};
  CHECK(read_one(make_tensor("t", 1, "2", two, 8), NULL, &v, &e) == LEDGE_OK);
  CHECK(v.kind == VALUE_TENSOR && v.tensor.own && !memcmp(v.tensor.data, two, 8));
  value_deinit(&v);
  msg text = make_tensor("t", LEDGE_STRING, "2", NULL, 0);
  put_words(&text, 6, "ab -");
  CHECK(read_one(text, &tensor_type, &v, &e) == LEDGE_OK);
  CHECK(((ledge_string *)v.tensor.data)[0].size == 2);
  value_deinit(&v);

  msg s = {0};
  put_int(&s, 2, 1);
  for (int i = 0; i < 3; i++) put_msg(&s, 3, make_tensor("", 1, "2", two, 8));
  CHECK(read_one(s, &list, &v, &e) == LEDGE_OK);
  CHECK(v.kind == VALUE_SEQUENCE && v.list->count == 3 && v.list->dtype == LEDGE_F32);
  value_deinit(&v);

  msg o = {0};
  s = (msg){0};
  put_msg(&s, 3, make_tensor("", 7, "", "\1\0\0\0\0\0\0\0", 8));
  put_int(&o, 2, 3);
  put_msg(&o, 5, s);
  CHECK(read_one(o, &maybe, &v, &e) == LEDGE_OK);
  CHECK(v.kind == VALUE_SEQUENCE && v.list->count == 1 && *(int64_t *)v.list->items[0].tensor.data == 1);
  value_deinit(&v);
  CHECK(read_one((msg){0}, &maybe, &v, &e) == LEDGE_OK);
  CHECK_INT(v.kind, VALUE_NONE);

  msg k = {0};
  s = (msg){0};
  for (int i = 0; i < 2; i++) put_msg(&s, 3, make_tensor("", 1, "", &two[i], 4));
  put_int(&k, 2, LEDGE_STRING);
  put_words(&k, 4, "one two");
  put_msg(&k, 5, s);
  CHECK(read_one(k, &map, &v, &e) == LEDGE_OK);
  CHECK(v.kind == VALUE_MAP && v.keys.dtype == LEDGE_STRING && v.tensor.dims[0] == 2 && !memcmp(v.tensor.data, two, 8));
  value_deinit(&v);

  k = (msg){0}, s = (msg){0};
  for (int i = 0; i < 2; i++) {
    text = make_tensor("", LEDGE_STRING, "", NULL, 0);
    put_text(&text, 6, i ? "b" : "a");
    put_msg(&s, 3, text);
  }
  put_bytes(&k, 3, "\1\2", 2);
  put_msg(&k, 5, s);
  CHECK(read_one(k, &map, &v, &e) == LEDGE_OK);
  CHECK(v.kind == VALUE_MAP && v.keys.dtype == LEDGE_I64 && ((ledge_string *)v.tensor.data)[1].data[0] == 'b');
  value_deinit(&v);

  static const int64_t at[] = {1, 2};
  text = make_tensor("", LEDGE_STRING, "2", NULL, 0);
  put_words(&text, 6, "a bc");
  CHECK(read_one(make_sparse("4", text, make_tensor("", 7, "2", at, 16)), &sparse, &v, &e) == LEDGE_OK);
  CHECK(((ledge_string *)v.tensor.data)[0].size == 0 && ((ledge_string *)v.tensor.data)[2].size == 2);
  value_deinit(&v);
  CHECK(read_one(make_sparse("4", make_tensor("", 1, "2", two, 8), make_tensor("", 7, "2", at, 16)), &sparse, &v, &e) ==
        LEDGE_OK);
  CHECK(v.tensor.dims[0] == 4 && ((float *)v.tensor.data)[2] == 2);
  value_deinit(&v);
}

/* What such a file must not be. */
static void test_bad_values(void) {
  ledge_error e;
  value v = {0};
  graph_type list = {.kind = TYPE_SEQUENCE}, map = {.kind = TYPE_MAP};
  msg s = {0}, k;
  float one = 1;
  CHECK(read_one(make_tensor("t", 1, "3", &one, 4), NULL, &v, &e) == LEDGE_ERROR_FORMAT);
  CHECK(!strncmp(e.message, "value: ", 7));
  put_msg(&s, 3, make_tensor("", 1, "", &one, 4)); /* a tensor and a sequence in one */
  put_msg(&s, 5, (msg){0});
  CHECK(read_one(s, &list, &v, &e) == LEDGE_ERROR_FORMAT);
  s = (msg){0}; /* says sequences, has tensors */
  put_int(&s, 2, 3);
  put_msg(&s, 3, make_tensor("", 1, "", &one, 4));
  CHECK(read_one(s, &list, &v, &e) == LEDGE_ERROR_FORMAT);
  s = (msg){0}; /* nested without end */
  for (int i = 0; i < 100; i++) {
    msg outer = {0};
    put_msg(&outer, 5, s);
    s = outer;
  }
  CHECK(read_one(s, &list, &v, &e) == LEDGE_ERROR_LIMIT);
  s = (msg){0}; /* two bytes an element, hundreds in memory */
  for (int i = 0; i < 300000; i++) put_msg(&s, 5, (msg){0});
  CHECK(read_one(s, &list, &v, &e) == LEDGE_ERROR_LIMIT);
  k = (msg){0}; /* keys of two kinds */
  put_int(&k, 2, LEDGE_I64);
  put_text(&k, 4, "one");
  CHECK(read_one(k, &map, &v, &e) == LEDGE_ERROR_FORMAT);
  k = (msg){0}; /* more keys than values */
  put_int(&k, 3, 1);
  CHECK(read_one(k, &map, &v, &e) == LEDGE_ERROR_UNSUPPORTED);
  s = make_tensor("t", 1, "1", NULL, 0);
  put_int(&s, 14, 1);
  put_pair(&s, 13, "location", "x");
  CHECK(read_one(s, NULL, &v, &e) == LEDGE_ERROR_UNSUPPORTED);
}

TEST_MAIN({"smallest", test_smallest}, {"versions", test_versions}, {"order_and_absence", test_order_and_absence},
          {"types", test_types}, {"wire_freedom", test_wire_freedom}, {"dtypes", test_dtypes},
          {"odd_tensors", test_odd_tensors}, {"in_place", test_in_place}, {"initialisers", test_initialisers},
          {"sparse", test_sparse}, {"attributes", test_attributes}, {"captures", test_captures},
          {"shadow", test_shadow}, {"function", test_function}, {"function_attributes", test_function_attributes},
          {"function_overloads", test_function_overloads}, {"function_pass_through", test_function_pass_through},
          {"function_graph_attribute", test_function_graph_attribute}, {"function_aliases", test_function_aliases},
          {"values", test_values}, {"bad_values", test_bad_values})
