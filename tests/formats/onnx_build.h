/* tests/formats/onnx_build.h: ONNX files made by hand, field by field, right or wrong.
 *
 *   msg g = {0};
 *   put_msg(&g, GRAPH_NODE, make_node("Relu", "x", "y"));       // takes the child
 *   model *m = read_msg(make_model(8, 17, g), NULL, &error);
 */
#ifndef TESTS_FORMATS_ONNX_BUILD_H
#define TESTS_FORMATS_ONNX_BUILD_H

#include "base/mem.h"
#include "base/writer.h"
#include "formats/onnx/onnx.h"
#include "test.h"

#include <stdarg.h>

typedef writer msg;

enum {
  GRAPH_NODE = 1,
  GRAPH_NAME = 2,
  GRAPH_INIT = 5,
  GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12,
  GRAPH_INFO = 13,
  GRAPH_SPARSE = 15,
  NODE_ATTR = 5,
  MODEL_GRAPH = 7,
  MODEL_OPSET = 8,
  MODEL_FUNCTION = 25,
};

static inline void put_tag(msg *m, unsigned field, unsigned type) { writer_varint(m, (uint64_t)field << 3 | type); }
static inline void put_int(msg *m, unsigned field, int64_t v) {
  put_tag(m, field, 0);
  writer_varint(m, (uint64_t)v);
}
static inline void put_float(msg *m, unsigned field, float v) {
  put_tag(m, field, 5);
  writer_f32le(m, v);
}
static inline void put_bytes(msg *m, unsigned field, const void *data, size_t size) {
  put_tag(m, field, 2);
  writer_varint(m, size);
  writer_bytes(m, data, size);
}
static inline void put_text(msg *m, unsigned field, const char *text) { put_bytes(m, field, text, strlen(text)); }
static inline void put_msg(msg *m, unsigned field, msg child) {
  put_bytes(m, field, child.data, child.size);
  writer_deinit(&child);
}
static inline void put_pair(msg *m, unsigned field, const char *key, const char *text) {
  msg pair = {0};
  put_text(&pair, 1, key);
  put_text(&pair, 2, text);
  put_msg(m, field, pair);
}
/* Words of a text, put as one field each; "-" is the empty name. */
static inline void put_words(msg *m, unsigned field, const char *words) {
  while (*words) {
    size_t n = strcspn(words, " ");
    put_bytes(m, field, words, n == 1 && *words == '-' ? 0 : n);
    words += n;
    words += strspn(words, " ");
  }
}

static inline msg make_node(const char *op, const char *in, const char *out) {
  msg n = {0};
  put_words(&n, 1, in);
  put_words(&n, 2, out);
  put_text(&n, 4, op);
  return n;
}
/* A tensor type; dims as "2 N ?", NULL: without a shape. */
static inline msg make_type(int dtype, const char *dims) {
  msg type = {0}, t = {0}, shape = {0};
  put_int(&t, 1, dtype);
  for (const char *at = dims; at && *at; at += strspn(at, " ")) {
    msg dim = {0};
    size_t n = strcspn(at, " ");
    if (*at >= '0' && *at <= '9')
      put_int(&dim, 1, strtoll(at, NULL, 10));
    else if (*at != '?')
      put_bytes(&dim, 2, at, n);
    put_msg(&shape, 1, dim);
    at += n;
  }
  if (dims) put_msg(&t, 2, shape);
  put_msg(&type, 1, t);
  return type;
}
static inline msg make_info(const char *name, int dtype, const char *dims) {
  msg info = {0};
  put_text(&info, 1, name);
  put_msg(&info, 2, make_type(dtype, dims));
  return info;
}
static inline void put_dims(msg *t, const char *dims) {
  for (char *at = (char *)(uintptr_t)dims; *at; at += strspn(at, " ")) put_int(t, 1, strtoll(at, &at, 10));
}
/* A tensor with raw data; data NULL: with none. */
static inline msg make_tensor(const char *name, int dtype, const char *dims, const void *data, size_t size) {
  msg t = {0};
  put_dims(&t, dims);
  put_int(&t, 2, dtype);
  if (name) put_text(&t, 8, name);
  if (data) put_bytes(&t, 9, data, size);
  return t;
}
static inline msg make_attr(const char *name, int type) {
  msg a = {0};
  put_text(&a, 1, name);
  if (type) put_int(&a, 20, type);
  return a;
}
static inline void put_attr_int(msg *n, const char *name, int64_t v) {
  msg a = make_attr(name, ATTR_INT);
  put_int(&a, 3, v);
  put_msg(n, NODE_ATTR, a);
}
static inline void put_attr_graph(msg *n, const char *name, msg g) {
  msg a = make_attr(name, ATTR_GRAPH);
  put_msg(&a, 6, g);
  put_msg(n, NODE_ATTR, a);
}
static inline void put_attr_ref(msg *n, const char *name, int type, const char *ref) {
  msg a = make_attr(name, type);
  put_text(&a, 21, ref);
  put_msg(n, NODE_ATTR, a);
}
static inline void put_opset(msg *m, unsigned field, const char *domain, int64_t version) {
  msg o = {0};
  if (domain[0]) put_text(&o, 1, domain);
  put_int(&o, 2, version);
  put_msg(m, field, o);
}
/* ir 0: not said; opset 0: not imported. */
static inline msg make_model(int64_t ir, int64_t opset, msg g) {
  msg m = {0};
  if (ir) put_int(&m, 1, ir);
  put_msg(&m, MODEL_GRAPH, g);
  if (opset) put_opset(&m, MODEL_OPSET, "", opset);
  return m;
}
/* x -> op -> y, of f32[2]. */
static inline msg make_unary(const char *op) {
  msg g = {0};
  put_msg(&g, GRAPH_NODE, make_node(op, "x", "y"));
  put_text(&g, GRAPH_NAME, "main");
  put_msg(&g, GRAPH_INPUT, make_info("x", 1, "2"));
  put_msg(&g, GRAPH_OUTPUT, make_info("y", 1, "2"));
  return g;
}

/* With LEDGE_SEEDS set, keeps the file there as a seed for the fuzzers: models in models/, and values, which begin with
 * a byte that says their type, in values/. */
static inline void save_seed_as(const char *kind, const void *head, size_t head_size, const msg *m) {
  static int n;
  const char *folder = getenv("LEDGE_SEEDS");
  char path[512];
  if (!folder || m->failed || m->size > 8192) return;
  snprintf(path, sizeof path, "%s/%s/%s-%d", folder, kind, test_now_, n++);
  FILE *f = fopen(path, "wb");
  if (!f) return;
  if (head_size) fwrite(head, 1, head_size, f);
  if (m->size) fwrite(m->data, 1, m->size, f);
  fclose(f);
}
static inline void save_seed(const msg *m) { save_seed_as("models", NULL, 0, m); }

/* Reads and frees the message; NULL where it is refused. Everything is copied, so that nothing points into it. */
static inline model *read_msg(msg m, const onnx_options *options, ledge_error *e) {
  model *ret = NULL;
  *e = (ledge_error){0};
  save_seed(&m);
  if (m.failed || onnx_read(m.data, m.size, NULL, "test", options, &ret, e) != LEDGE_OK) ret = NULL;
  writer_deinit(&m);
  return ret;
}
static inline value_id find(const model *m, const char *name) { return graph_find_value(m->graph, name); }
static inline const tensor *constant(const model *m, const char *name) {
  value_id v = find(m, name);
  return v == VALUE_ABSENT ? NULL : m->graph->values[v].constant;
}

#endif
