/* tests/ops/sequence: sequences and optionals, one operator after another. */
#include "op_test.h"

static ledge_error fault;

/* Runs one operator on values; *out is replaced. */
static ledge_status apply(const char *op, int version, const attr *a, int n_in, const value *const *in, value *out) {
  model *m = model_create();
  graph *g = graph_create(m, NULL, "test");
  value_id ids[8], y = graph_add_value(g, NULL);
  for (int i = 0; i < n_in; i++) ids[i] = in[i] ? graph_add_value(g, NULL) : VALUE_ABSENT;
  node *n = graph_add_node(g, "", op, version, "node", ids, n_in, &y, 1);
  if (a) node_set_attr(g, n, a);
  n = &g->nodes[0];
  n->def = ops_find("", op, version);
  value result = {0}, *results = &result;
  fault = (ledge_error){0};
  op_ctx c = {.node = n, .def = n->def, .n_in = n_in, .n_out = 1, .in = in, .out = &results, .error = &fault};
  ledge_status status = op_eval(&c);
  if (status)
    CHECK(fault.message[0]);
  else
    value_deinit(out), *out = result;
  model_destroy(m);
  return status;
}

static value tensor_value(const char *text) {
  bool any;
  return (value){.kind = VALUE_TENSOR, .tensor = op_test_tensor(text, &any)};
}

/* Is v the tensor that the text writes? */
static bool is(const value *v, const char *text) {
  value want = tensor_value(text);
  bool same =
      v->kind == VALUE_TENSOR && v->tensor.dtype == want.tensor.dtype && tensor_same_shape(&v->tensor, &want.tensor);
  int64_t n = tensor_elements(&want.tensor);
  for (int64_t i = 0; same && i < n; i++) {
    const ledge_string *p = v->tensor.data, *q = want.tensor.data;
    same = want.tensor.dtype == LEDGE_STRING ? p[i].size == q[i].size && !memcmp(p[i].data, q[i].data, p[i].size)
                                             : tensor_f64(&v->tensor, i) == tensor_f64(&want.tensor, i);
  }
  value_deinit(&want);
  return same;
}

#define APPLY(op, out, ...)                                                                  \
  apply(op, 13, NULL, (int)(sizeof((const value *[]){__VA_ARGS__}) / sizeof(const value *)), \
        (const value *[]){__VA_ARGS__}, out)

static void test_list(void) {
  value a = tensor_value("f32[2] 1 2"), b = tensor_value("f32[] 3"), s = {0}, y = {0},
        text = tensor_value("string[1] x");
  value one = tensor_value("i64[] 1"), last = tensor_value("i32[] -1"), far = tensor_value("i64[] 3"),
        low = tensor_value("i64[] -4");
  CHECK(APPLY("SequenceConstruct", &s, &a, &b, &a) == LEDGE_OK);
  CHECK(s.kind == VALUE_SEQUENCE && s.list->count == 3 && s.list->dtype == LEDGE_F32);
  CHECK(APPLY("SequenceLength", &y, &s) == LEDGE_OK && is(&y, "i64[] 3"));
  CHECK(APPLY("SequenceAt", &y, &s, &one) == LEDGE_OK && is(&y, "f32[] 3"));
  CHECK(APPLY("SequenceAt", &y, &s, &last) == LEDGE_OK && is(&y, "f32[2] 1 2"));
  CHECK(APPLY("SequenceAt", &y, &s, &far) == LEDGE_ERROR_DATA);
  CHECK(APPLY("SequenceAt", &y, &s, &low) == LEDGE_ERROR_DATA);
  CHECK(APPLY("SequenceErase", &y, &s, &one) == LEDGE_OK && y.list->count == 2 && is(&y.list->items[1], "f32[2] 1 2"));
  CHECK(APPLY("SequenceErase", &y, &s) == LEDGE_OK && y.list->count == 2 && is(&y.list->items[1], "f32[] 3"));
  CHECK(s.list->count == 3); /* the old one is untouched */
  value six = tensor_value("f32[1] 6");
  CHECK(APPLY("SequenceInsert", &y, &s, &six) == LEDGE_OK && y.list->count == 4 && is(&y.list->items[3], "f32[1] 6"));
  CHECK(APPLY("SequenceInsert", &y, &s, &six, &last) == LEDGE_OK && is(&y.list->items[2], "f32[1] 6"));
  CHECK(APPLY("SequenceInsert", &y, &s, &six, &far) == LEDGE_OK && is(&y.list->items[3], "f32[1] 6"));
  CHECK(APPLY("SequenceInsert", &y, &s, &six, &low) == LEDGE_ERROR_DATA);
  CHECK(APPLY("SequenceInsert", &y, &s, &text) == LEDGE_ERROR_SHAPE);
  CHECK(APPLY("SequenceConstruct", &y, &a, &text) == LEDGE_ERROR_SHAPE);
  CHECK(APPLY("SequenceLength", &y, &a) == LEDGE_ERROR_SHAPE);
  attr dtype = {.name = "dtype", .type = ATTR_INT, .count = 1, .i = LEDGE_STRING};
  CHECK(apply("SequenceEmpty", 11, &dtype, 0, NULL, &s) == LEDGE_OK && s.list->count == 0 &&
        s.list->dtype == LEDGE_STRING);
  CHECK(APPLY("SequenceInsert", &y, &s, &text) == LEDGE_OK && is(&y.list->items[0], "string[1] x"));
  CHECK(APPLY("SequenceInsert", &y, &s, &a) == LEDGE_ERROR_SHAPE);
  CHECK(APPLY("SequenceErase", &y, &s) == LEDGE_ERROR_DATA);
  dtype.i = 99;
  CHECK(apply("SequenceEmpty", 11, &dtype, 0, NULL, &y) == LEDGE_ERROR_FORMAT);
  value *all[] = {&a, &b, &s, &y, &text, &one, &last, &far, &low, &six};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) value_deinit(all[i]);
}

static void test_split(void) {
  value x = tensor_value("u8[2x3] 1 2 3 4 5 6"), s = {0}, y = {0}, two = tensor_value("i64[] 2");
  value parts = tensor_value("i32[3] 1 0 2"), wrong = tensor_value("i64[2] 1 1"), none = tensor_value("i64[] 0");
  attr axis = {.name = "axis", .type = ATTR_INT, .count = 1, .i = 1};
  CHECK(apply("SplitToSequence", 11, &axis, 2, (const value *[]){&x, &two}, &s) == LEDGE_OK);
  CHECK(s.list->count == 2 && is(&s.list->items[0], "u8[2x2] 1 2 4 5") && is(&s.list->items[1], "u8[2x1] 3 6"));
  CHECK(apply("ConcatFromSequence", 11, &axis, 1, (const value *[]){&s}, &y) == LEDGE_OK &&
        is(&y, "u8[2x3] 1 2 3 4 5 6"));
  CHECK(apply("SplitToSequence", 24, &axis, 2, (const value *[]){&x, &parts}, &s) == LEDGE_OK);
  CHECK(s.list->count == 3 && is(&s.list->items[1], "u8[2x0]") && is(&s.list->items[2], "u8[2x2] 2 3 5 6"));
  CHECK(apply("SplitToSequence", 24, &axis, 2, (const value *[]){&x, &wrong}, &y) == LEDGE_ERROR_DATA);
  CHECK(apply("SplitToSequence", 24, &axis, 2, (const value *[]){&x, &none}, &y) == LEDGE_ERROR_DATA);
  attr keep = {.name = "keepdims", .type = ATTR_INT, .count = 1, .i = 0};
  CHECK(apply("SplitToSequence", 11, &keep, 1, (const value *[]){&x}, &s) == LEDGE_OK);
  CHECK(s.list->count == 2 && is(&s.list->items[1], "u8[3] 4 5 6"));
  attr fresh = {.name = "new_axis", .type = ATTR_INT, .count = 1, .i = 1};
  CHECK(apply("ConcatFromSequence", 11, &fresh, 1, (const value *[]){&s}, &y) == LEDGE_ERROR_FORMAT); /* no axis */
  CHECK(apply("ConcatFromSequence", 11, &axis, 1, (const value *[]){&x}, &y) == LEDGE_ERROR_SHAPE);
  axis.i = -1;
  CHECK(apply("ConcatFromSequence", 11, &axis, 1, (const value *[]){&s}, &y) == LEDGE_OK &&
        is(&y, "u8[6] 1 2 3 4 5 6"));
  value *all[] = {&x, &s, &y, &two, &parts, &wrong, &none};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) value_deinit(all[i]);
}

static void test_optional(void) {
  value x = tensor_value("f32[1] 5"), none = {0}, s = {0}, y = {0};
  CHECK(APPLY("SequenceConstruct", &s, &x) == LEDGE_OK);
  CHECK(apply("Optional", 15, NULL, 1, (const value *[]){&x}, &y) == LEDGE_OK && is(&y, "f32[1] 5"));
  CHECK(apply("Optional", 15, NULL, 1, (const value *[]){&s}, &y) == LEDGE_OK && y.kind == VALUE_SEQUENCE);
  CHECK(apply("Optional", 15, NULL, 0, NULL, &y) == LEDGE_OK && y.kind == VALUE_NONE);
  const value *const kinds[] = {&x, &s, &none, NULL};
  static const char *const there[] = {"bool[] 1", "bool[] 1", "bool[] 0", "bool[] 0"};
  for (int i = 0; i < 4; i++)
    CHECK(apply("OptionalHasElement", 18, NULL, 1, &kinds[i], &y) == LEDGE_OK && is(&y, there[i]));
  CHECK(apply("OptionalHasElement", 18, NULL, 0, NULL, &y) == LEDGE_OK && is(&y, "bool[] 0"));
  CHECK(apply("OptionalGetElement", 15, NULL, 1, &kinds[0], &y) == LEDGE_OK && is(&y, "f32[1] 5"));
  CHECK(apply("OptionalGetElement", 18, NULL, 1, &kinds[1], &y) == LEDGE_OK && y.list->count == 1);
  CHECK(apply("OptionalGetElement", 18, NULL, 1, &kinds[2], &y) == LEDGE_ERROR_DATA);
  value_deinit(&x), value_deinit(&s), value_deinit(&y);
}

TEST_MAIN({"list", test_list}, {"split", test_split}, {"optional", test_optional})
