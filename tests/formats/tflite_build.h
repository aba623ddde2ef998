/* tests/formats/tflite_build: TensorFlow Lite models made by hand, without a library: a list of tensors, operators and
 * so on, written as a FlatBuffer whose fields all take 8 bytes. */
#ifndef TESTS_FORMATS_TFLITE_BUILD_H
#define TESTS_FORMATS_TFLITE_BUILD_H

#include "formats/tflite/schema.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TB_MAX = 64, TB_FIELDS = 12 };

typedef struct tb_bytes {
  uint8_t *data;
  uint32_t size, cap;
} tb_bytes;

static uint32_t tb_room(tb_bytes *b, uint32_t bytes, uint32_t align, uint32_t off) {
  uint32_t at = b->size;
  while (at % align != off % align) at++;
  if (at + bytes > b->cap) {
    b->cap = (at + bytes) * 2;
    b->data = realloc(b->data, b->cap);
  }
  memset(b->data + b->size, 0, at + bytes - b->size);
  b->size = at + bytes;
  return at;
}
static void tb_put(tb_bytes *b, uint32_t at, const void *v, uint32_t n) { memcpy(b->data + at, v, n); }

/* ---- FlatBuffers ---- */

/* A table of up to TB_FIELDS fields, none of which is there yet; its vtable stands in front. */
static uint32_t tb_table(tb_bytes *b) {
  uint32_t vtable_bytes = 4 + 2 * TB_FIELDS, table_bytes = 4 + 8 * TB_FIELDS;
  uint32_t vtable = tb_room(b, vtable_bytes, 2, 0), at = tb_room(b, table_bytes, 8, 4);
  tb_put(b, vtable, &(uint16_t){(uint16_t)vtable_bytes}, 2);
  tb_put(b, vtable + 2, &(uint16_t){(uint16_t)table_bytes}, 2);
  tb_put(b, at, &(int32_t){(int32_t)(at - vtable)}, 4);
  return at;
}
static uint32_t tb_field(tb_bytes *b, uint32_t table, int field) {
  int32_t back;
  memcpy(&back, b->data + table, 4);
  uint16_t by = (uint16_t)(4 + 8 * field);
  tb_put(b, table - (uint32_t)back + 4 + 2 * (uint32_t)field, &by, 2);
  return table + by;
}
static void tb_set(tb_bytes *b, uint32_t table, int field, const void *v, uint32_t n) {
  tb_put(b, tb_field(b, table, field), v, n);
}
static void tb_i32(tb_bytes *b, uint32_t table, int field, int32_t v) { tb_set(b, table, field, &v, 4); }
static void tb_i8(tb_bytes *b, uint32_t table, int field, int8_t v) { tb_set(b, table, field, &v, 1); }
static void tb_link(tb_bytes *b, uint32_t from, uint32_t to) { tb_put(b, from, &(uint32_t){to - from}, 4); }
/* Elements of `each` bytes, at a multiple of 16. */
static uint32_t tb_vector(tb_bytes *b, const void *v, uint32_t count, uint32_t each) {
  uint32_t at = tb_room(b, 4 + count * each, 16, 12);
  tb_put(b, at, &count, 4);
  if (count && v) tb_put(b, at + 4, v, count * each);
  return at;
}
static void tb_vec(tb_bytes *b, uint32_t table, int field, const void *v, uint32_t count, uint32_t each) {
  uint32_t from = tb_field(b, table, field), to = tb_vector(b, v, count, each);
  tb_link(b, from, to);
}
static void tb_text(tb_bytes *b, uint32_t table, int field, const char *text) {
  uint32_t from = tb_field(b, table, field), n = (uint32_t)strlen(text), to = tb_vector(b, NULL, n + 1, 1);
  tb_put(b, to, &n, 4);
  tb_put(b, to + 4, text, n);
  tb_link(b, from, to);
}
static uint32_t tb_child(tb_bytes *b, uint32_t table, int field) {
  uint32_t from = tb_field(b, table, field), to = tb_table(b);
  tb_link(b, from, to);
  return to;
}

/* ---- models ---- */

typedef struct tb_tensor {
  const char *name;
  int8_t type;
  int rank;
  int32_t dims[6];
  const void *data; /* NULL: none */
  uint32_t bytes;
  float scale; /* 0: not quantised */
  int64_t zero;
  const float *scales; /* n_scales, along `axis` */
  int n_scales, axis;
  bool is_variable;
  void (*sparsity)(tb_bytes *b, uint32_t table); /* fills the sparsity table */
} tb_tensor;

typedef struct tb_op {
  int builtin;
  const char *custom;
  int n_in, n_out;
  int32_t in[24], out[8];
  void (*options)(tb_bytes *b, uint32_t table);
} tb_op;

typedef struct tb_graph {
  tb_tensor tensors[TB_MAX];
  tb_op ops[TB_MAX];
  int32_t inputs[8], outputs[8];
  int n_tensors, n_ops, n_in, n_out;
} tb_graph;

static void tb_write_tensor(tb_bytes *b, uint32_t at, const tb_tensor *t, int32_t buffer) {
  tb_vec(b, at, TENSOR_SHAPE, t->dims, (uint32_t)t->rank, 4);
  tb_i8(b, at, TENSOR_TYPE, t->type);
  tb_i32(b, at, TENSOR_BUFFER, buffer);
  tb_text(b, at, TENSOR_NAME, t->name ? t->name : "");
  if (t->is_variable) tb_i8(b, at, TENSOR_IS_VARIABLE, 1);
  if (t->scale != 0 || t->n_scales) {
    uint32_t q = tb_child(b, at, TENSOR_QUANTIZATION);
    tb_vec(b, q, QUANT_SCALE, t->n_scales ? t->scales : &t->scale, t->n_scales ? (uint32_t)t->n_scales : 1, 4);
    if (!t->n_scales) tb_vec(b, q, QUANT_ZERO, &t->zero, 1, 8);
    tb_i32(b, q, QUANT_DIMENSION, t->axis);
  }
  if (t->sparsity) t->sparsity(b, tb_child(b, at, TENSOR_SPARSITY));
}

/* Buffer 0 is empty; each tensor of each graph has one of its own, in their order. One operator code an operator. */
static tb_bytes tb_model(const tb_graph *graphs, int n_graphs) {
  tb_bytes b = {0};
  int n_ops = 0, n_buffers = 1;
  for (int g = 0; g < n_graphs; g++) n_ops += graphs[g].n_ops, n_buffers += graphs[g].n_tensors;
  tb_room(&b, 8, 8, 0);
  memcpy(b.data + 4, TFL_IDENTIFIER, 4);
  uint32_t model = tb_table(&b);
  tb_link(&b, 0, model);
  tb_i32(&b, model, MODEL_VERSION, 3);
  tb_text(&b, model, MODEL_DESCRIPTION, "made by hand");
  uint32_t from = tb_field(&b, model, MODEL_OPERATOR_CODES), codes = tb_vector(&b, NULL, (uint32_t)n_ops, 4);
  tb_link(&b, from, codes);
  from = tb_field(&b, model, MODEL_SUBGRAPHS);
  uint32_t subgraphs = tb_vector(&b, NULL, (uint32_t)n_graphs, 4);
  tb_link(&b, from, subgraphs);
  from = tb_field(&b, model, MODEL_BUFFERS);
  uint32_t buffers = tb_vector(&b, NULL, (uint32_t)n_buffers, 4);
  tb_link(&b, from, buffers);
  tb_link(&b, buffers + 4, tb_table(&b));
  int code = 0, buffer = 1;
  for (int g = 0; g < n_graphs; g++) {
    const tb_graph *graph = &graphs[g];
    uint32_t at = tb_table(&b);
    tb_link(&b, subgraphs + 4 + 4 * (uint32_t)g, at);
    tb_vec(&b, at, SUBGRAPH_INPUTS, graph->inputs, (uint32_t)graph->n_in, 4);
    tb_vec(&b, at, SUBGRAPH_OUTPUTS, graph->outputs, (uint32_t)graph->n_out, 4);
    from = tb_field(&b, at, SUBGRAPH_TENSORS);
    uint32_t tensors = tb_vector(&b, NULL, (uint32_t)graph->n_tensors, 4);
    tb_link(&b, from, tensors);
    from = tb_field(&b, at, SUBGRAPH_OPERATORS);
    uint32_t ops = tb_vector(&b, NULL, (uint32_t)graph->n_ops, 4);
    tb_link(&b, from, ops);
    for (int i = 0; i < graph->n_tensors; i++, buffer++) {
      uint32_t t = tb_table(&b), held = 0;
      tb_link(&b, tensors + 4 + 4 * (uint32_t)i, t);
      tb_write_tensor(&b, t, &graph->tensors[i], buffer);
      held = tb_table(&b);
      tb_link(&b, buffers + 4 + 4 * (uint32_t)buffer, held);
      if (graph->tensors[i].data) tb_vec(&b, held, BUFFER_DATA, graph->tensors[i].data, graph->tensors[i].bytes, 1);
    }
    for (int i = 0; i < graph->n_ops; i++, code++) {
      const tb_op *o = &graph->ops[i];
      uint32_t c = tb_table(&b);
      tb_link(&b, codes + 4 + 4 * (uint32_t)code, c);
      tb_i8(&b, c, CODE_OLD_BUILTIN, (int8_t)(o->builtin < 127 ? o->builtin : 127));
      tb_i32(&b, c, CODE_BUILTIN, o->builtin);
      if (o->custom) tb_text(&b, c, CODE_CUSTOM, o->custom);
      uint32_t t = tb_table(&b);
      tb_link(&b, ops + 4 + 4 * (uint32_t)i, t);
      tb_i32(&b, t, OPERATOR_CODE, code);
      tb_vec(&b, t, OPERATOR_INPUTS, o->in, (uint32_t)o->n_in, 4);
      tb_vec(&b, t, OPERATOR_OUTPUTS, o->out, (uint32_t)o->n_out, 4);
      if (o->options) o->options(&b, tb_child(&b, t, OPERATOR_OPTIONS));
    }
  }
  return b;
}

#endif
