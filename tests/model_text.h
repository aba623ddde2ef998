/* tests/model_text.h: small ONNX models written as text.
 *
 *   msg m = model_text("input x f32 N 4; const w f32 4 2 = 1 2 3 4 5 6 7 8;"
 *                      "h = MatMul x w; y = Softmax h | axis=1; output y f32 N 2");
 *
 * Statements end in ';'. Names may hold anything but white space, ';', '{' and '}'.
 *   input NAME DTYPE DIMS      dims: numbers, names, "?"; none: a scalar; the single word "any": undeclared
 *   output NAME DTYPE DIMS     DTYPE also seq:f32, opt:f32, map:f32
 *   const NAME DTYPE DIMS = VALUES     "= *": numbers in -1 .. 1 that depend on the name's length and the place alone
 *   external NAME DTYPE DIMS = FILE OFFSET
 *   OUT... = OP IN... | ATTRIBUTE...   "-": left out; op "domain:Name"; attributes i=1 f=1.0 s='text' l=[1,2]
 *   then { ... };              a subgraph of the node before it, as its attribute `then_branch` (else, body likewise)
 *   meta KEY VALUE     ir N     opset N
 */
#ifndef TESTS_MODEL_TEXT_H
#define TESTS_MODEL_TEXT_H

#include "formats/onnx_build.h"

#include <ctype.h>

typedef struct model_text_state {
  const char *at; /* the rest of the text */
  msg *model;     /* for metadata */
  int64_t ir, opset;
} model_text_state;

enum { MODEL_TEXT_WORD = 2100 };

/* The next word of *at before `end`; false at the end. */
static inline bool text_word(const char **at, const char *end, char *word) {
  while (*at < end && isspace((unsigned char)**at)) ++*at;
  size_t n = 0;
  bool quoted = false;
  for (; *at < end && (quoted || !isspace((unsigned char)**at)); ++*at) {
    if (**at == '\'') quoted = !quoted;
    if (n + 1 < MODEL_TEXT_WORD) word[n++] = **at;
  }
  word[n] = 0;
  return n > 0;
}

static inline int text_dtype(const char *name) {
  for (int d = 1; d < LEDGE_DTYPE_COUNT; d++)
    if (!strcmp(ledge_dtype_name((ledge_dtype)d), name)) return d;
  fprintf(stderr, "model_text: no dtype %s\n", name);
  abort();
}

static inline void text_attr(msg *n, const char *word) {
  char name[64];
  const char *equals = strchr(word, '='), *v = equals + 1;
  snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
  if (*v == '\'') {
    msg a = make_attr(name, ATTR_STRING);
    put_bytes(&a, 4, v + 1, strlen(v) - 2);
    put_msg(n, NODE_ATTR, a);
  } else if (*v == '[') {
    msg a = make_attr(name, ATTR_INTS);
    for (char *p = (char *)(uintptr_t)v + 1; *p && *p != ']'; p += *p == ',') put_int(&a, 8, strtoll(p, &p, 10));
    put_msg(n, NODE_ATTR, a);
  } else if (strchr(v, '.')) {
    msg a = make_attr(name, ATTR_FLOAT);
    put_float(&a, 2, strtof(v, NULL));
    put_msg(n, NODE_ATTR, a);
  } else {
    put_attr_int(n, name, strtoll(v, NULL, 10));
  }
}

/* Elements as raw data. */
static inline void text_elements(writer *w, int dtype, const char *name, int64_t n, const char **at, const char *end) {
  char word[MODEL_TEXT_WORD];
  bool made = false;
  for (int64_t i = 0; i < n; i++) {
    double v = sin((double)(i + 1) * 0.7 + (double)strlen(name));
    if (!made && !text_word(at, end, word)) abort();
    made = made || !strcmp(word, "*");
    if (!made) v = strtod(word, NULL);
    double scaled = made ? round(v * 100) : v;
    int64_t whole = made ? (int64_t)scaled : strtoll(word, NULL, 10);
    float f = (float)v;
    uint16_t half;
    switch (dtype) {
      case LEDGE_F32: writer_f32le(w, f); break;
      case LEDGE_F64: writer_bytes(w, &v, 8); break;
      case LEDGE_F16: dtype_store_f64(LEDGE_F16, &half, 0, v), writer_bytes(w, &half, 2); break;
      case LEDGE_I64: writer_u64le(w, (uint64_t)whole); break;
      case LEDGE_I32: writer_u32le(w, (uint32_t)whole); break;
      case LEDGE_I8:
      case LEDGE_U8:
      case LEDGE_BOOL: writer_u8(w, (uint8_t)whole); break;
      default: abort();
    }
  }
}

static inline void text_const(msg *g, const char *at, const char *end, bool external) {
  char name[MODEL_TEXT_WORD], word[MODEL_TEXT_WORD], dims[256] = "";
  text_word(&at, end, name);
  text_word(&at, end, word);
  int dtype = text_dtype(word);
  int64_t n = 1;
  while (text_word(&at, end, word) && strcmp(word, "=")) {
    n *= strtoll(word, NULL, 10);
    strcat(strcat(dims, dims[0] ? " " : ""), word);
  }
  if (external) {
    msg t = make_tensor(name, dtype, dims, NULL, 0);
    put_int(&t, 14, 1);
    text_word(&at, end, word);
    put_pair(&t, 13, "location", word);
    if (text_word(&at, end, word)) put_pair(&t, 13, "offset", word);
    put_msg(g, GRAPH_INIT, t);
    return;
  }
  if (dtype == LEDGE_STRING) {
    msg t = make_tensor(name, dtype, dims, NULL, 0);
    for (int64_t i = 0; i < n && text_word(&at, end, word); i++) put_text(&t, 6, word);
    put_msg(g, GRAPH_INIT, t);
    return;
  }
  writer raw = {0};
  text_elements(&raw, dtype, name, n, &at, end);
  put_msg(g, GRAPH_INIT, make_tensor(name, dtype, dims, raw.data ? raw.data : (const void *)"", raw.size));
  writer_deinit(&raw);
}

/* "f32", or what holds such: "seq:f32", "opt:seq:f32", "map:f32" (its keys are i64). */
static inline msg text_type(const char *dtype, const char *dims) {
  static const struct {
    const char *prefix;
    unsigned field;
  } kinds[] = {{"seq:", 4}, {"opt:", 9}, {"map:", 5}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strncmp(dtype, kinds[i].prefix, 4)) continue;
    msg type = {0}, inner = {0};
    if (kinds[i].field == 5) put_int(&inner, 1, LEDGE_I64);
    put_msg(&inner, kinds[i].field == 5 ? 2 : 1, text_type(dtype + 4, dims));
    put_msg(&type, kinds[i].field, inner);
    return type;
  }
  return make_type(text_dtype(dtype), dims);
}

static inline msg text_value(const char *at, const char *end) {
  char name[MODEL_TEXT_WORD], dtype[MODEL_TEXT_WORD], word[MODEL_TEXT_WORD], dims[256] = "";
  bool any = false;
  text_word(&at, end, name);
  text_word(&at, end, dtype);
  while (text_word(&at, end, word)) {
    any = any || !strcmp(word, "any");
    strcat(strcat(dims, dims[0] ? " " : ""), word);
  }
  msg info = {0};
  put_text(&info, 1, name);
  put_msg(&info, 2, text_type(dtype, any ? NULL : dims));
  return info;
}

static inline msg text_node(const char *at, const char *end) {
  char word[MODEL_TEXT_WORD];
  msg n = {0};
  while (text_word(&at, end, word) && strcmp(word, "=")) put_text(&n, 2, strcmp(word, "-") ? word : "");
  text_word(&at, end, word);
  char *colon = strchr(word, ':');
  put_text(&n, 4, colon ? colon + 1 : word);
  if (colon) put_bytes(&n, 7, word, (size_t)(colon - word));
  bool attrs = false;
  while (text_word(&at, end, word)) {
    if (!strcmp(word, "|"))
      attrs = true;
    else if (attrs)
      text_attr(&n, word);
    else
      put_text(&n, 1, strcmp(word, "-") ? word : "");
  }
  return n;
}

static inline msg text_graph(model_text_state *s, const char *name) {
  msg g = {0}, pending = {0};
  char word[MODEL_TEXT_WORD];
  put_text(&g, GRAPH_NAME, name);
  while (*(s->at += strspn(s->at, " \n;"))) {
    if (*s->at == '}') {
      s->at++;
      break;
    }
    const char *start = s->at, *end = s->at + strcspn(s->at, ";{}");
    const char *at = start;
    text_word(&at, end, word);
    if (*end == '{') { /* a subgraph of the pending node */
      char attribute[MODEL_TEXT_WORD + 8];
      snprintf(attribute, sizeof attribute, "%s%s", word,
               !strcmp(word, "then") || !strcmp(word, "else") ? "_branch" : "");
      s->at = end + 1;
      put_attr_graph(&pending, attribute, text_graph(s, word));
      continue;
    }
    s->at = end;
    if (!strcmp(word, "input")) {
      put_msg(&g, GRAPH_INPUT, text_value(at, end));
    } else if (!strcmp(word, "output")) {
      put_msg(&g, GRAPH_OUTPUT, text_value(at, end));
    } else if (!strcmp(word, "const") || !strcmp(word, "external")) {
      text_const(&g, at, end, word[0] == 'e');
    } else if (!strcmp(word, "meta")) {
      char text[MODEL_TEXT_WORD];
      text_word(&at, end, word);
      at += strspn(at, " ");
      snprintf(text, sizeof text, "%.*s", (int)(end - at), at);
      put_pair(s->model, 14, word, text);
    } else if (!strcmp(word, "ir") || !strcmp(word, "opset")) {
      *(word[0] == 'i' ? &s->ir : &s->opset) = strtoll(at, NULL, 10);
    } else {
      if (pending.size) put_msg(&g, GRAPH_NODE, pending);
      pending = text_node(start, end);
    }
  }
  if (pending.size) put_msg(&g, GRAPH_NODE, pending);
  return g;
}

/* The model's bytes; writer_deinit frees them. */
static inline msg model_text(const char *text) {
  msg m = {0};
  model_text_state s = {text, &m, 10, 21};
  msg g = text_graph(&s, "main");
  put_int(&m, 1, s.ir);
  put_text(&m, 2, "model_text");
  put_msg(&m, MODEL_GRAPH, g);
  put_opset(&m, MODEL_OPSET, "", s.opset);
  put_opset(&m, MODEL_OPSET, "com.microsoft", 1);
  put_opset(&m, MODEL_OPSET, "ai.onnx.ml", 5);
  if (m.failed) abort();
  return m;
}

#endif
