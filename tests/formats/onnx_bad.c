/* formats/onnx: files that are wrong, each refused with one clear error; files cut, flipped and starved of memory. */
#include "onnx_build.h"

#include "base/clock.h"
#include "base/rng.h"

#include <pthread.h>

typedef struct bad_case {
  const char *name;
  msg (*make)(void);
  ledge_status want;
  const char *says; /* part of the message */
} bad_case;

static msg wrap(msg g) { return make_model(8, 17, g); }
static msg with_node(msg n) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_NODE, n);
  return wrap(g);
}
static msg with_init(msg t) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_INIT, t);
  return wrap(g);
}

/* ---- the model ---- */

static msg bad_empty(void) { return (msg){0}; }
static msg bad_text(void) {
  msg m = {0};
  writer_text(&m, "<html>404 not found</html>");
  return m;
}
static msg bad_no_graph(void) {
  msg m = {0};
  put_int(&m, 1, 8);
  return m;
}
static msg bad_no_ir(void) { return make_model(0, 17, make_unary("F")); }
static msg bad_ir(void) { return make_model(INT64_MAX, 17, make_unary("F")); }
static msg bad_two_graphs(void) {
  msg m = make_model(8, 17, make_unary("F"));
  put_msg(&m, MODEL_GRAPH, make_unary("G"));
  return m;
}
static msg bad_opset(void) { return make_model(8, -1, make_unary("F")); }
static msg bad_opset_count(void) {
  msg m = wrap(make_unary("F"));
  char domain[16];
  for (int i = 0; i < 200; i++) {
    snprintf(domain, sizeof domain, "d%d", i);
    put_opset(&m, MODEL_OPSET, domain, 1);
  }
  return m;
}
static msg bad_graph_is_number(void) {
  msg m = {0};
  put_int(&m, 1, 8);
  put_int(&m, MODEL_GRAPH, 1);
  return m;
}

/* ---- the wire ---- */

static msg bad_length(void) {
  msg m = {0};
  put_int(&m, 1, 8);
  put_tag(&m, MODEL_GRAPH, 2);
  writer_varint(&m, UINT64_MAX);
  return m;
}
static msg bad_varint(void) {
  msg m = {0};
  put_tag(&m, 1, 0);
  writer_fill(&m, 0xff, 11);
  return m;
}
static msg bad_field_zero(void) {
  msg m = {0};
  writer_bytes(&m, "\0\0", 2);
  return m;
}
static msg bad_wire_type(void) {
  msg m = {0};
  put_tag(&m, 1, 7);
  return m;
}
static msg bad_group_end(void) {
  msg m = {0};
  put_tag(&m, 1, 4);
  return m;
}
static msg bad_group_open(void) {
  msg m = {0};
  put_tag(&m, 50, 3);
  put_int(&m, 1, 1);
  return m;
}
static msg bad_group_mismatch(void) {
  msg m = {0};
  put_tag(&m, 50, 3);
  put_tag(&m, 51, 4);
  return m;
}
static msg bad_group_deep(void) {
  msg m = {0};
  for (int i = 0; i < 100000; i++) put_tag(&m, 50, 3);
  return m;
}
static msg bad_packed(void) {
  msg t = make_tensor("t", 7, "1", NULL, 0);
  put_bytes(&t, 7, "\x80", 1);
  return with_init(t);
}
static msg bad_packed_long(void) {
  msg t = make_tensor("t", 7, "1", NULL, 0);
  put_bytes(&t, 7, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
  return with_init(t);
}
static msg bad_packed_floats(void) {
  msg t = make_tensor("t", 1, "1", NULL, 0);
  put_bytes(&t, 4, "abcde", 5);
  return with_init(t);
}

/* ---- names ---- */

static msg bad_unknown_name(void) { return with_node(make_node("G", "nobody", "z")); }
static msg bad_made_twice(void) { return with_node(make_node("G", "x", "y")); }
static msg bad_makes_input(void) { return with_node(make_node("G", "y", "x")); }
static msg bad_twice_in_one(void) { return with_node(make_node("G", "x", "z z")); }
static msg bad_two_inputs(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  return wrap(g);
}
static msg bad_two_initialisers(void) {
  msg g = make_unary("F");
  for (int i = 0; i < 2; i++) put_msg(&g, GRAPH_INIT, make_tensor("w", 1, "1", "abcd", 4));
  return wrap(g);
}
static msg bad_initialiser_is_output(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_INIT, make_tensor("y", 1, "1", "abcd", 4));
  return wrap(g);
}
static msg bad_initialiser_name(void) { return with_init(make_tensor(NULL, 1, "1", "abcd", 4)); }
static msg bad_input_name(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_INPUT, make_info("", 1, "2"));
  return wrap(g);
}
static msg bad_output(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_OUTPUT, make_info("nobody", 1, "2"));
  return wrap(g);
}
static msg bad_output_name(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_OUTPUT, make_info("", 1, "2"));
  return wrap(g);
}
static msg bad_zero_in_name(void) {
  msg n = make_node("G", "x", "z");
  put_bytes(&n, 3, "a\0b", 3);
  return with_node(n);
}
static msg bad_long_name(void) {
  msg n = make_node("G", "x", "z");
  char *name = mem_alloc(70000);
  memset(name, 'a', 70000);
  put_bytes(&n, 3, name, 70000);
  mem_free(name);
  return with_node(n);
}
static msg bad_no_operator(void) { return with_node(make_node("", "x", "z")); }
static msg bad_cycle(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_NODE, make_node("G", "b", "a"));
  put_msg(&g, GRAPH_NODE, make_node("H", "a", "b"));
  return wrap(g);
}
static msg bad_self_cycle(void) { return with_node(make_node("G", "z", "z")); }
static msg bad_sub_cycle(void) { /* a node whose subgraph reads what the node makes */
  msg sub = {0}, n = make_node("If", "x", "z");
  put_msg(&sub, GRAPH_NODE, make_node("Neg", "z", "s"));
  put_msg(&sub, GRAPH_OUTPUT, make_info("s", 1, NULL));
  put_attr_graph(&n, "then_branch", sub);
  return with_node(n);
}
static msg bad_inner_name_outside(void) { /* what a subgraph makes is not seen outside */
  msg sub = {0}, n = make_node("If", "x", "z"), g = make_unary("F");
  put_msg(&sub, GRAPH_NODE, make_node("Neg", "x", "inner"));
  put_msg(&sub, GRAPH_OUTPUT, make_info("inner", 1, NULL));
  put_attr_graph(&n, "then_branch", sub);
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_NODE, make_node("G", "inner", "w"));
  return wrap(g);
}

/* ---- tensors ---- */

static msg bad_dtype(void) { return with_init(make_tensor("t", 99, "1", "abcd", 4)); }
static msg bad_dtype_negative(void) { return with_init(make_tensor("t", -1, "1", "abcd", 4)); }
static msg bad_dtype_none(void) { return with_init(make_tensor("t", 0, "1", "abcd", 4)); }
static msg bad_raw_short(void) { return with_init(make_tensor("t", 1, "2", "abcd", 4)); }
static msg bad_raw_long(void) { return with_init(make_tensor("t", 1, "1", "abcdefgh", 8)); }
static msg bad_raw_huge(void) { return with_init(make_tensor("t", 1, "1000000000 1000", "abcd", 4)); }
static msg bad_no_data(void) { return with_init(make_tensor("t", 1, "2", NULL, 0)); }
static msg bad_dim(void) { return with_init(make_tensor("t", 1, "-1", "abcd", 4)); }
static msg bad_dim_least(void) { return with_init(make_tensor("t", 1, "-9223372036854775808", "abcd", 4)); }
static msg bad_product(void) { return with_init(make_tensor("t", 1, "4294967296 4294967296", "abcd", 4)); }
static msg bad_product_sign(void) { return with_init(make_tensor("t", 1, "9223372036854775807 2", "abcd", 4)); }
static msg bad_bytes(void) { return with_init(make_tensor("t", 11, "9223372036854775807", "abcd", 4)); }
static msg bad_product_zero(void) {
  return with_init(make_tensor("t", 1, "0 9223372036854775807 9223372036854775807", "abcd", 4));
}
static msg bad_rank(void) { return with_init(make_tensor("t", 1, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "abcd", 4)); }
static msg bad_two_contents(void) {
  msg t = make_tensor("t", 1, "1", "abcd", 4);
  put_float(&t, 4, 1);
  return with_init(t);
}
static msg bad_wrong_list(void) {
  msg t = make_tensor("t", 1, "1", NULL, 0);
  put_int(&t, 7, 1);
  return with_init(t);
}
static msg bad_raw_strings(void) { return with_init(make_tensor("t", 8, "1", "abcd", 4)); }
static msg bad_segment(void) {
  msg t = make_tensor("t", 1, "1", "abcd", 4);
  put_msg(&t, 3, (msg){0});
  return with_init(t);
}
static msg bad_nibbles(void) { return with_init(make_tensor("t", 21, "3", "a", 1)); }

static msg sparse(const char *dims, const char *index_dims, const int64_t *indices, size_t n) {
  msg s = {0}, g = make_unary("F");
  put_msg(&s, 1, make_tensor("s", 1, "2", "abcdefgh", 8));
  put_msg(&s, 2, make_tensor("", 7, index_dims, indices, n * 8));
  for (char *at = (char *)(uintptr_t)dims; *at; at += strspn(at, " ")) put_int(&s, 3, strtoll(at, &at, 10));
  put_msg(&g, GRAPH_SPARSE, s);
  return wrap(g);
}
static msg bad_sparse_index(void) { return sparse("4", "2", (int64_t[]){1, 4}, 2); }
static msg bad_sparse_negative(void) { return sparse("4", "2", (int64_t[]){-1, 2}, 2); }
static msg bad_sparse_pair(void) { return sparse("2 2", "2 2", (int64_t[]){0, 0, 0, 2}, 4); }
static msg bad_sparse_order(void) { return sparse("4", "2", (int64_t[]){2, 2}, 2); }
static msg bad_sparse_count(void) { return sparse("4", "3", (int64_t[]){1, 2, 3}, 3); }
static msg bad_sparse_rank(void) { return sparse("2 2", "2 1", (int64_t[]){1, 2}, 2); }
static msg bad_sparse_product(void) { return sparse("9223372036854775807 9", "2", (int64_t[]){1, 2}, 2); }
static msg bad_sparse_bomb(void) { return sparse("1000000000000", "2", (int64_t[]){1, 2}, 2); }
static msg bad_sparse_parts(void) {
  msg s = {0}, g = make_unary("F");
  put_msg(&s, 1, make_tensor("s", 1, "2", "abcdefgh", 8));
  put_msg(&g, GRAPH_SPARSE, s);
  return wrap(g);
}
static msg bad_sparse_values(void) {
  msg s = {0}, g = make_unary("F");
  put_msg(&s, 1, make_tensor("s", 1, "2 1", "abcdefgh", 8));
  put_msg(&s, 2, make_tensor("", 7, "2", (int64_t[]){0, 1}, 16));
  put_msg(&g, GRAPH_SPARSE, s);
  return wrap(g);
}

/* ---- types and attributes ---- */

static msg bad_type_dtype(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_INPUT, make_info("z", 77, "2"));
  return wrap(g);
}
static msg bad_type_rank(void) {
  msg g = make_unary("F");
  put_msg(&g, GRAPH_INPUT, make_info("z", 1, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"));
  return wrap(g);
}
static msg bad_type_deep(void) {
  msg type = make_type(1, "2"), info = {0}, g = make_unary("F");
  for (int i = 0; i < 40; i++) {
    msg seq = {0}, outer = {0};
    put_msg(&seq, 1, type);
    put_msg(&outer, 4, seq);
    type = outer;
  }
  put_text(&info, 1, "z");
  put_msg(&info, 2, type);
  put_msg(&g, GRAPH_INPUT, info);
  return wrap(g);
}
static msg with_attr(msg a) {
  msg n = make_node("G", "x", "z");
  put_msg(&n, NODE_ATTR, a);
  return with_node(n);
}
static msg bad_attr_type(void) { return with_attr(make_attr("a", 15)); }
static msg bad_attr_type_negative(void) { return with_attr(make_attr("a", -5)); }
static msg bad_attr_name(void) { return with_attr(make_attr("", 2)); }
static msg bad_attr_tensor(void) { return with_attr(make_attr("a", 4)); }
static msg bad_attr_graph(void) { return with_attr(make_attr("a", 5)); }
static msg bad_attr_tp(void) { return with_attr(make_attr("a", 13)); }
static msg bad_attr_ref(void) {
  msg n = make_node("G", "x", "z");
  put_attr_ref(&n, "a", 2, "b");
  return with_node(n);
}
static msg bad_attr_twice(void) {
  msg n = make_node("G", "x", "z");
  put_attr_int(&n, "a", 1);
  put_attr_int(&n, "a", 2);
  return with_node(n);
}
static msg bad_attr_count(void) {
  msg n = make_node("G", "x", "z");
  for (int i = 0; i < 200; i++) put_attr_int(&n, "a", 1);
  return with_node(n);
}
static msg bad_deep_graphs(void) {
  msg g = make_unary("F");
  for (int i = 0; i < 80; i++) {
    msg n = make_node("If", "x", "y"), outer = {0};
    put_attr_graph(&n, "then_branch", g);
    put_msg(&outer, GRAPH_NODE, n);
    put_msg(&outer, GRAPH_INPUT, make_info("x", 1, "2"));
    put_msg(&outer, GRAPH_OUTPUT, make_info("y", 1, "2"));
    g = outer;
  }
  return wrap(g);
}

/* ---- functions ---- */

static msg function(const char *name, const char *in, const char *out) {
  msg f = {0};
  put_text(&f, 1, name);
  put_words(&f, 4, in);
  put_words(&f, 5, out);
  return f;
}
static msg with_functions(const char *op, const char *in, const char *out, msg f, msg other) {
  msg m = with_node(make_node(op, in, out));
  if (f.size) put_msg(&m, MODEL_FUNCTION, f);
  if (other.size) put_msg(&m, MODEL_FUNCTION, other);
  return m;
}
static msg bad_recursion(void) {
  msg f = function("A", "a", "b");
  put_msg(&f, 7, make_node("A", "a", "b"));
  return with_functions("A", "x", "z", f, (msg){0});
}
static msg bad_mutual(void) {
  msg f = function("A", "a", "b"), k = function("B", "a", "b");
  put_msg(&f, 7, make_node("B", "a", "b"));
  put_msg(&k, 7, make_node("A", "a", "b"));
  return with_functions("A", "x", "z", f, k);
}
static msg bad_recursion_in_subgraph(void) {
  msg f = function("A", "a", "b"), n = make_node("If", "a", "b"), sub = {0};
  put_msg(&sub, GRAPH_NODE, make_node("A", "a", "s"));
  put_msg(&sub, GRAPH_OUTPUT, make_info("s", 1, NULL));
  put_attr_graph(&n, "then_branch", sub);
  put_msg(&f, 7, n);
  return with_functions("A", "x", "z", f, (msg){0});
}
static msg bad_call_inputs(void) {
  msg f = function("A", "a", "b");
  put_msg(&f, 7, make_node("Neg", "a", "b"));
  return with_functions("A", "x x", "z", f, (msg){0});
}
static msg bad_function_output(void) {
  msg f = function("A", "a", "b");
  put_msg(&f, 7, make_node("Neg", "a", "c"));
  return with_functions("A", "x", "z", f, (msg){0});
}
static msg bad_function_outputs(void) {
  msg f = function("A", "a", "b b");
  put_msg(&f, 7, make_node("Neg", "a", "b"));
  return with_functions("A", "x", "z", f, (msg){0});
}
static msg bad_function_inputs(void) {
  msg f = function("A", "a a", "b");
  put_msg(&f, 7, make_node("Neg", "a", "b"));
  return with_functions("A", "x", "z", f, (msg){0});
}
static msg bad_function_sees_caller(void) {
  msg f = function("A", "a", "b");
  put_msg(&f, 7, make_node("Neg", "x", "b"));
  return with_functions("A", "x", "z", f, (msg){0});
}
static msg bad_function_name(void) { return with_functions("A", "x", "z", function("", "a", "b"), (msg){0}); }
static msg bad_function_twice(void) {
  return with_functions("A", "x", "z", function("A", "a", "b"), function("A", "a", "b"));
}
static msg bad_function_absent_output(void) { /* an input that the call leaves out, as an output that it wants */
  return with_functions("A", "-", "z", function("A", "a", "a"), (msg){0});
}
static msg bad_function_attr_type(void) {
  msg f = function("A", "a", "b"), n = make_node("Neg", "a", "b"), m;
  put_text(&f, 6, "p");
  put_attr_ref(&n, "q", ATTR_FLOAT, "p");
  put_msg(&f, 7, n);
  n = make_node("A", "x", "z");
  put_attr_int(&n, "p", 1);
  m = with_node(n);
  put_msg(&m, MODEL_FUNCTION, f);
  return m;
}
static msg bad_function_attrs(void) {
  msg f = function("A", "a", "a");
  for (int i = 0; i < 200; i++) put_text(&f, 6, "p");
  return with_functions("A", "x", "z", f, (msg){0});
}
/* F0 calls F1 twice, which calls F2 twice, ...: 2^60 calls that make nothing. */
static msg bad_blow_up(void) {
  msg m = with_node(make_node("F0", "x", "z"));
  char op[16];
  for (int i = 0; i < 60; i++) {
    snprintf(op, sizeof op, "F%d", i);
    msg f = function(op, "a", "a");
    snprintf(op, sizeof op, "F%d", i + 1);
    for (int k = 0; k < 2; k++) put_msg(&f, 7, make_node(op, "a", "-"));
    put_msg(&m, MODEL_FUNCTION, f);
  }
  put_msg(&m, MODEL_FUNCTION, function("F60", "a", "a"));
  return m;
}
/* The same, with a node in the innermost: memory. */
static msg bad_blow_up_nodes(void) {
  msg m = with_node(make_node("F0", "x", "z"));
  char op[16];
  for (int i = 0; i <= 40; i++) {
    snprintf(op, sizeof op, "F%d", i);
    msg f = function(op, "a", "b");
    snprintf(op, sizeof op, "F%d", i + 1);
    put_msg(&f, 7, make_node(i == 40 ? "Neg" : op, "a", "t"));
    put_msg(&f, 7, make_node(i == 40 ? "Neg" : op, "t", "b"));
    put_msg(&m, MODEL_FUNCTION, f);
  }
  return m;
}
static msg bad_function_depth(void) {
  msg m = with_node(make_node("F0", "x", "z"));
  char op[16];
  for (int i = 0; i < 80; i++) {
    snprintf(op, sizeof op, "F%d", i);
    msg f = function(op, "a", "b");
    snprintf(op, sizeof op, "F%d", i + 1);
    put_msg(&f, 7, make_node(op, "a", "b"));
    put_msg(&m, MODEL_FUNCTION, f);
  }
  return m;
}
/* A dozen bytes a node, hundreds in memory. */
static msg bad_many_nodes(void) {
  msg g = make_unary("F");
  char name[16];
  for (int i = 0; i < 250000; i++) {
    snprintf(name, sizeof name, "%x.", i);
    put_msg(&g, GRAPH_NODE, make_node("G", "", name));
  }
  return wrap(g);
}

#define CASE(name, status, says) \
  { #name, bad_##name, LEDGE_ERROR_##status, says }
static const bad_case cases_bad[] = {
    CASE(empty, FORMAT, "no graph"),
    CASE(text, FORMAT, "at byte"),
    CASE(no_graph, FORMAT, "no graph"),
    CASE(no_ir, FORMAT, "IR version"),
    CASE(ir, UNSUPPORTED, "IR version 9223372036854775807"),
    CASE(two_graphs, FORMAT, "twice"),
    CASE(opset, FORMAT, "version -1"),
    CASE(opset_count, LIMIT, "operator sets"),
    CASE(graph_is_number, FORMAT, "wire type 0"),
    CASE(length, FORMAT, "longer than what holds it"),
    CASE(varint, FORMAT, "varint"),
    CASE(field_zero, FORMAT, "field number"),
    CASE(wire_type, FORMAT, "unknown wire type"),
    CASE(group_end, FORMAT, "group's end"),
    CASE(group_open, FORMAT, "cut off"),
    CASE(group_mismatch, FORMAT, "ends as another"),
    CASE(group_deep, FORMAT, "deeper than 64"),
    CASE(packed, FORMAT, "cut off or longer"),
    CASE(packed_long, FORMAT, "cut off or longer"),
    CASE(packed_floats, FORMAT, "no multiple of 4"),
    CASE(unknown_name, FORMAT, "reads 'nobody'"),
    CASE(made_twice, FORMAT, "'y' has a name that is taken"),
    CASE(makes_input, FORMAT, "'x' has a name that is taken"),
    CASE(twice_in_one, FORMAT, "'z' has a name that is taken"),
    CASE(two_inputs, FORMAT, "'x' has a name that is taken"),
    CASE(two_initialisers, FORMAT, "'w' has a name that is taken"),
    CASE(initialiser_is_output, FORMAT, "'y' has a name that is taken"),
    CASE(initialiser_name, FORMAT, "initialiser has no name"),
    CASE(input_name, FORMAT, "input at byte"),
    CASE(output, FORMAT, "output 'nobody'"),
    CASE(output_name, FORMAT, "made by nothing"),
    CASE(zero_in_name, FORMAT, "zero byte"),
    CASE(long_name, LIMIT, "70000 bytes"),
    CASE(no_operator, FORMAT, "names no operator"),
    CASE(cycle, FORMAT, "cycle"),
    CASE(self_cycle, FORMAT, "cycle"),
    CASE(sub_cycle, FORMAT, "cycle"),
    CASE(inner_name_outside, FORMAT, "reads 'inner'"),
    CASE(dtype, FORMAT, "data type 99"),
    CASE(dtype_negative, FORMAT, "data type -1"),
    CASE(dtype_none, FORMAT, "data type"),
    CASE(raw_short, FORMAT, "has 4 bytes in raw_data, but [2] of f32 take 8"),
    CASE(raw_long, FORMAT, "has 8 bytes"),
    CASE(raw_huge, FORMAT, "has 4 bytes"),
    CASE(no_data, FORMAT, "has 0 entries"),
    CASE(dim, FORMAT, "negative dim"),
    CASE(dim_least, FORMAT, "negative dim"),
    CASE(product, FORMAT, "overflows"),
    CASE(product_sign, FORMAT, "overflows"),
    CASE(bytes, FORMAT, "overflows"),
    CASE(product_zero, FORMAT, "overflows"),
    CASE(rank, LIMIT, "rank"),
    CASE(two_contents, FORMAT, "two places"),
    CASE(wrong_list, FORMAT, "int64_data"),
    CASE(raw_strings, FORMAT, "strings in raw_data"),
    CASE(segment, UNSUPPORTED, "segment"),
    CASE(nibbles, FORMAT, "take 2"),
    CASE(sparse_index, FORMAT, "outside its shape"),
    CASE(sparse_negative, FORMAT, "outside its shape"),
    CASE(sparse_pair, FORMAT, "outside its shape"),
    CASE(sparse_order, FORMAT, "do not ascend"),
    CASE(sparse_count, FORMAT, "indices that do not fit"),
    CASE(sparse_rank, FORMAT, "indices that do not fit"),
    CASE(sparse_product, FORMAT, "overflows"),
    CASE(sparse_bomb, LIMIT, "limit"),
    CASE(sparse_parts, FORMAT, "lacks its indices"),
    CASE(sparse_values, FORMAT, "no vector"),
    CASE(type_dtype, FORMAT, "data type 77"),
    CASE(type_rank, LIMIT, "rank"),
    CASE(type_deep, LIMIT, "deeper than 16"),
    CASE(attr_type, FORMAT, "type 15"),
    CASE(attr_type_negative, FORMAT, "type -5"),
    CASE(attr_name, FORMAT, "has no name"),
    CASE(attr_tensor, FORMAT, "holds none"),
    CASE(attr_graph, FORMAT, "holds none"),
    CASE(attr_tp, FORMAT, "holds none"),
    CASE(attr_ref, FORMAT, "stands in no function"),
    CASE(attr_twice, FORMAT, "'a' is there twice"),
    CASE(attr_count, LIMIT, "200 attributes"),
    CASE(deep_graphs, LIMIT, "deeper than 64"),
    CASE(recursion, FORMAT, "calls itself"),
    CASE(mutual, FORMAT, "calls itself"),
    CASE(recursion_in_subgraph, FORMAT, "calls itself"),
    CASE(call_inputs, FORMAT, "has 2 inputs"),
    CASE(function_output, FORMAT, "has an output that nothing in it makes"),
    CASE(function_outputs, FORMAT, "two outputs of one name"),
    CASE(function_inputs, FORMAT, "'a' has a name that is taken"),
    CASE(function_sees_caller, FORMAT, "reads 'x'"),
    CASE(function_name, FORMAT, "has no name"),
    CASE(function_twice, FORMAT, "defined twice"),
    CASE(function_absent_output, FORMAT, "has an output that nothing in it makes"),
    CASE(function_attr_type, FORMAT, "is of type 1, but"),
    CASE(function_attrs, LIMIT, "200 attributes"),
    CASE(blow_up, LIMIT, "blow up"),
    CASE(blow_up_nodes, LIMIT, "blow up"),
    CASE(function_depth, LIMIT, "depth over 64"),
    CASE(many_nodes, LIMIT, "raise the limit"),
};

static void test_bad(void) {
  for (size_t i = 0; i < sizeof cases_bad / sizeof *cases_bad; i++) {
    const bad_case *c = &cases_bad[i];
    ledge_error e = {0};
    model *m = NULL;
    msg file = c->make();
    save_seed(&file);
    uint64_t start = clock_now_ns();
    ledge_status status = onnx_read(file.data, file.size, NULL, "a.onnx", NULL, &m, &e);
    double ms = (double)(clock_now_ns() - start) / 1e6;
    if (status != c->want)
      TEST_FAIL("%s: %s, not %s: %s", c->name, ledge_status_name(status), ledge_status_name(c->want), e.message);
    else if (e.code != status || !strstr(e.message, c->says) || strncmp(e.message, "a.onnx: ", 8))
      TEST_FAIL("%s: says \"%s\", not \"%s\"", c->name, e.message, c->says);
    if (ms > 1000) TEST_FAIL("%s: took %.0f ms", c->name, ms);
    if (status == LEDGE_OK) model_destroy(m);
    writer_deinit(&file);
  }
}

/* ---- one model with a bit of everything ---- */

static msg make_everything(void) {
  msg g = make_unary("F"), n, sub = {0}, f, m, a, t, s = {0};
  float w[4] = {1, 2, 3, 4};
  int64_t at[] = {0, 3};
  put_msg(&sub, GRAPH_NODE, make_node("Add", "x w", "s"));
  put_msg(&sub, GRAPH_INIT, make_tensor("own", 1, "4", w, 16));
  put_msg(&sub, GRAPH_OUTPUT, make_info("s", 1, "N 2"));
  n = make_node("If", "x", "i");
  put_text(&n, 3, "the_if");
  put_attr_graph(&n, "then_branch", sub);
  put_attr_int(&n, "number", -1);
  a = make_attr("ints", ATTR_INTS);
  put_bytes(&a, 8, "\1\2\3", 3);
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("tensor", ATTR_TENSOR);
  put_msg(&a, 5, make_tensor("", 7, "2", at, 16));
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("strings", ATTR_STRINGS);
  put_words(&a, 9, "a bc");
  put_msg(&n, NODE_ATTR, a);
  a = make_attr("type", ATTR_TYPE);
  put_msg(&a, 14, make_type(1, "2 N"));
  put_msg(&n, NODE_ATTR, a);
  put_pair(&n, 9, "note", "x");
  put_msg(&g, GRAPH_NODE, n);
  n = make_node("Fn", "i -", "z");
  put_attr_int(&n, "p", 4);
  put_msg(&g, GRAPH_NODE, n);
  put_msg(&g, GRAPH_INIT, make_tensor("w", 1, "2 2", w, 16));
  put_msg(&s, 1, make_tensor("sp", 1, "2", w, 8));
  put_msg(&s, 2, make_tensor("", 7, "2", at, 16));
  put_int(&s, 3, 4);
  put_msg(&g, GRAPH_SPARSE, s);
  t = make_tensor("words", 8, "2", NULL, 0);
  put_words(&t, 6, "one two");
  put_msg(&g, GRAPH_INIT, t);
  put_msg(&g, GRAPH_OUTPUT, make_info("z", 1, "?"));
  put_msg(&g, GRAPH_INFO, make_info("i", 1, "2"));
  f = (msg){0};
  put_text(&f, 1, "Fn");
  put_words(&f, 4, "a b");
  put_words(&f, 5, "c");
  put_text(&f, 6, "p");
  n = make_node("Neg", "a b", "t");
  put_attr_ref(&n, "q", ATTR_INT, "p");
  put_msg(&f, 7, n);
  put_msg(&f, 7, make_node("Abs", "t", "c"));
  put_opset(&f, 9, "", 14);
  m = wrap(g);
  put_pair(&m, 14, "key", "text");
  put_msg(&m, MODEL_FUNCTION, f);
  return m;
}

static ledge_status read_copy(const uint8_t *data, size_t size, bool has_owner, ledge_error *e);
static void release_nothing(storage *s) { (void)s; }

/* Reads from a block of exactly that size, so that the address sanitizer sees a byte too far. */
static ledge_status read_copy(const uint8_t *data, size_t size, bool has_owner, ledge_error *e) {
  uint8_t *copy = mem_alloc(size);
  memcpy(copy, data, size);
  storage s = {.release = release_nothing};
  atomic_init(&s.refs, 1);
  model *m = NULL;
  uint8_t *written = NULL;
  size_t n;
  ledge_status status = onnx_read(copy, size, has_owner ? &s : NULL, "x", NULL, &m, e);
  if (status == LEDGE_OK && onnx_write_memory(m, &written, &n, NULL) == LEDGE_OK) mem_free(written);
  if (status == LEDGE_OK) model_destroy(m);
  CHECK_INT(atomic_load(&s.refs), 1);
  mem_free(copy);
  return status;
}

static void test_everything(void) {
  ledge_error e;
  msg file = make_everything();
  save_seed(&file);
  CHECK(read_copy(file.data, file.size, true, &e) == LEDGE_OK);
  CHECK(read_copy(file.data, file.size, false, &e) == LEDGE_OK);
  writer_deinit(&file);
}

static void test_truncated(void) {
  ledge_error e;
  msg file = make_everything();
  int refused = 0;
  for (size_t size = 0; size < file.size; size++) {
    e = (ledge_error){0};
    ledge_status status = read_copy(file.data, size, size & 1, &e);
    refused += status != LEDGE_OK;
    if (status && !e.message[0]) TEST_FAIL("no message at size %zu", size);
  }
  CHECK(refused > (int)file.size - 100); /* cut between fields of the model after its graph, it may be whole */
  writer_deinit(&file);
}

static void test_flipped(void) {
  ledge_error e;
  msg file = make_everything();
  static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
  for (size_t i = 0; i < file.size; i++)
    for (size_t k = 0; k < sizeof flips; k++) {
      file.data[i] ^= flips[k];
      e = (ledge_error){0};
      ledge_status status = read_copy(file.data, file.size, k & 1, &e);
      if (status && (!e.message[0] || status == LEDGE_ERROR_INTERNAL))
        TEST_FAIL("byte %zu ^ %02x: %s", i, flips[k], e.message);
      file.data[i] ^= flips[k];
    }
  writer_deinit(&file);
}

/* Every allocation fails once: an error each time, and nothing is left over. */
static void test_out_of_memory(void) {
  msg file = make_everything();
  for (int sticky = 0; sticky < 2; sticky++) {
    for (int n = 0;; n++) {
      ledge_error e = {0};
      model *m = NULL;
      uint8_t *written = NULL;
      size_t size;
      long long before = atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
      atomic_store(&mem_stats_global.fail_sticky, sticky);
      atomic_store(&mem_stats_global.fail_after, n);
      ledge_status status = onnx_read(file.data, file.size, NULL, "x", NULL, &m, &e);
      if (status == LEDGE_OK) status = onnx_write_memory(m, &written, &size, &e);
      bool failed = !sticky && atomic_load(&mem_stats_global.fail_after) < 0; /* even though nobody may have said so */
      atomic_store(&mem_stats_global.fail_after, -1);
      if (status == LEDGE_OK) mem_free(written);
      model_destroy(m);
      CHECK_INT(atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees), before);
      if (status == LEDGE_OK && !failed) break;
      if (status != LEDGE_ERROR_MEMORY || !e.message[0]) {
        TEST_FAIL("allocation %d failed: %s \"%s\"", n, ledge_status_name(status), e.message);
        break;
      }
      if (n > 10000) {
        TEST_FAIL("no end");
        break;
      }
    }
  }
  writer_deinit(&file);
}

/* A mapped file may change while it is read. Another thread flips bytes all the while: whatever comes out, nothing is
 * read or written outside. (A data race on purpose: not under the thread sanitizer.) */
typedef struct flipper {
  uint8_t *data;
  size_t size;
  atomic_bool stop;
} flipper;

static void *flip(void *arg) {
  flipper *f = arg;
  rng r;
  rng_init(&r, 1);
  while (!atomic_load(&f->stop)) {
    uint64_t x = rng_u64(&r);
    volatile uint8_t *at = &f->data[(x >> 8) % f->size];
    uint8_t old = *at;
    *at = (uint8_t)x;
    for (int i = 0; i < (int)(x >> 56); i++) atomic_load(&f->stop);
    *at = old;
  }
  return NULL;
}

static void test_changing(void) {
#ifndef __SANITIZE_THREAD__
  msg file = make_everything();
  flipper f = {.data = file.data, .size = file.size};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, flip, &f) == 0);
  uint64_t end = clock_now_ns() + 1000000000u;
  for (int i = 0; i < 20000 && clock_now_ns() < end; i++) {
    storage s = {.release = release_nothing};
    atomic_init(&s.refs, 1);
    model *m = NULL;
    if (onnx_read(file.data, file.size, &s, "x", NULL, &m, NULL) == LEDGE_OK) model_destroy(m);
  }
  atomic_store(&f.stop, true);
  pthread_join(thread, NULL);
  writer_deinit(&file);
#endif
}

/* A model of 10,000 nodes loads in milliseconds; the bound leaves room for sanitizers and busy machines. */
static void test_large(void) {
  ledge_error e;
  enum { NODES = 10000 };
  msg g = {0};
  char name[64], next[32];
  for (int i = 0; i < NODES; i++) {
    snprintf(name, sizeof name, "v%d w%d", i, i % 100);
    snprintf(next, sizeof next, "v%d", i + 1);
    msg n = make_node("Add", name, next);
    snprintf(name, sizeof name, "Add_%d", i);
    put_text(&n, 3, name);
    put_msg(&g, GRAPH_NODE, n);
  }
  float w = 1;
  for (int i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "w%d", i);
    put_msg(&g, GRAPH_INIT, make_tensor(name, 1, "", &w, 4));
  }
  put_msg(&g, GRAPH_INPUT, make_info("v0", 1, ""));
  snprintf(name, sizeof name, "v%d", NODES);
  put_msg(&g, GRAPH_OUTPUT, make_info(name, 1, ""));
  msg file = wrap(g);
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 5; i++) {
    model *m = NULL;
    uint64_t start = clock_now_ns();
    CHECK(onnx_read(file.data, file.size, NULL, "x", NULL, &m, &e) == LEDGE_OK);
    uint64_t took = clock_now_ns() - start;
    if (took < best) best = took;
    model_destroy(m);
  }
  if (getenv("LEDGE_TEST_VERBOSE")) fprintf(stderr, "10000 nodes, %zu bytes: %.2f ms\n", file.size, (double)best / 1e6);
  CHECK(best < 500000000u);
  writer_deinit(&file);
}

/* A node with 50,000 inputs that are all made after it: nothing quadratic. */
static void test_wide(void) {
  ledge_error e;
  enum { WIDE = 50000 };
  msg g = {0}, n = make_node("Concat", "", "y");
  char name[32];
  for (int i = 0; i < WIDE; i++) {
    snprintf(name, sizeof name, "v%d", i);
    put_text(&n, 1, name);
  }
  put_msg(&g, GRAPH_NODE, n);
  for (int i = 0; i < WIDE; i++) {
    snprintf(name, sizeof name, "v%d", i);
    put_msg(&g, GRAPH_NODE, make_node("Neg", "x", name));
  }
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, ""));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, ""));
  msg file = wrap(g);
  model *m = NULL;
  uint64_t start = clock_now_ns();
  CHECK(onnx_read(file.data, file.size, NULL, "x", NULL, &m, &e) == LEDGE_OK);
  CHECK(clock_now_ns() - start < 2000000000u);
  model_destroy(m);
  writer_deinit(&file);
}

TEST_MAIN({"bad", test_bad}, {"everything", test_everything}, {"truncated", test_truncated}, {"flipped", test_flipped},
          {"out_of_memory", test_out_of_memory}, {"changing", test_changing}, {"large", test_large},
          {"wide", test_wide})
