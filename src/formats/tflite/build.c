/* formats/tflite/build: nodes and constants of the graph, from an operator's view; see read.h. */
#include "formats/tflite/read.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- errors ---- */

void tfl_bad(tfl_op *o, const char *format, ...) {
  if (o->status) return;
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  o->status = error_set_at(o->in->error, LEDGE_ERROR_FORMAT, o->table.at, "%s", text);
}

void tfl_refuse(tfl_op *o, const char *why) {
  if (o->status) return;
  o->status = error_set_at(o->in->error, LEDGE_ERROR_UNSUPPORTED, o->table.at, "%s", why);
}

static bool out_of_memory(tfl_op *o, size_t bytes, const char *what) {
  if (!o->status) o->status = error_memory(o->in->error, bytes, what);
  return true;
}

/* ---- operands ---- */

static const tfl_tensor absent = {.name = "", .rank = -1, .value = VALUE_ABSENT, .state = -1, .maker = -1};

bool tfl_has_input(const tfl_op *o, int i) { return i < o->n_in && o->inputs[i] >= 0; }

const tfl_tensor *tfl_tensor_in(const tfl_op *o, int i) {
  return tfl_has_input(o, i) ? &o->s->tensors[o->inputs[i]] : &absent;
}

const tfl_tensor *tfl_tensor_out(const tfl_op *o, int i) {
  return i < o->n_out && o->outputs[i] >= 0 ? &o->s->tensors[o->outputs[i]] : &absent;
}

/* The contents of a tensor that nobody makes and that has none: there may be no elements at all. */
static bool is_empty(const tfl_tensor *t) { return t->rank >= 0 && shape_elements(t->rank, t->dims) == 0; }

value_id tfl_constant(tfl_op *o, const tensor *t) {
  if (o->status) return VALUE_ABSENT;
  value_id v = graph_add_constant(o->s->g, NULL, t);
  if (v == VALUE_ABSENT) out_of_memory(o, sizeof *t, "a constant");
  return v;
}

static void name_constant(tfl_op *o, tfl_tensor *t) {
  size_t size = strlen(t->name);
  int32_t held;
  if (!size || hash_get(o->s->names, t->name, size, &held)) return;
  if (hash_put(o->s->names, t->name, size, t->value) == HASH_NO_MEMORY) {
    out_of_memory(o, size, "a name");
    return;
  }
  o->s->g->values[t->value].name = t->name;
}

value_id tfl_input(tfl_op *o, int i) {
  if (o->status) return VALUE_ABSENT;
  if (i >= o->n_in || o->inputs[i] < 0) {
    tfl_bad(o, "input %d is missing", i);
    return VALUE_ABSENT;
  }
  if (o->replace[i] != VALUE_ABSENT) return o->replace[i];
  tfl_tensor *t = &o->s->tensors[o->inputs[i]];
  if (t->is_variable && t->maker < 0 && !t->constant) {
    int state = tfl_state_of(o, i);
    return state < 0 ? VALUE_ABSENT : tfl_state_get(o, state, t);
  }
  if (t->value == VALUE_ABSENT && t->constant) {
    t->value = tfl_constant(o, t->constant);
    if (!o->status) name_constant(o, t);
  }
  if (t->value == VALUE_ABSENT && !o->status && t->maker < 0 && t->dtype && is_empty(t)) {
    tensor none = {0};
    tensor_set_shape(&none, t->dtype, t->rank, t->dims);
    t->value = tfl_constant(o, &none);
  }
  if (t->value == VALUE_ABSENT)
    tfl_bad(o, "it reads tensor '%.100s', which nothing has made before: the file is damaged", t->name);
  return o->status ? VALUE_ABSENT : t->value;
}

const tensor *tfl_const(const tfl_op *o, int i) { return tfl_tensor_in(o, i)->constant; }

bool tfl_const_ints(const tfl_op *o, int i, int64_t *list, int max, int *count) {
  const tensor *t = tfl_const(o, i);
  if (!t || !dtype_is_integer(t->dtype)) return false;
  int64_t n = tensor_elements(t);
  if (n > max) return false;
  for (int64_t k = 0; k < n; k++) list[k] = tensor_i64(t, k);
  *count = (int)n;
  return true;
}

bool tfl_const_int(const tfl_op *o, int i, int64_t *ret) {
  int n;
  return tfl_const_ints(o, i, ret, 1, &n) && n == 1;
}

int32_t tfl_i32(tfl_op *o, int field, int32_t otherwise) {
  int32_t v = otherwise;
  if (!o->status) o->status = fb_i32(&o->options, field, otherwise, &v);
  return v;
}
int tfl_i8(tfl_op *o, int field, int otherwise) {
  int8_t v = (int8_t)otherwise;
  if (!o->status) o->status = fb_i8(&o->options, field, (int8_t)otherwise, &v);
  return v;
}
float tfl_f32(tfl_op *o, int field, float otherwise) {
  float v = otherwise;
  if (!o->status) o->status = fb_f32(&o->options, field, otherwise, &v);
  return v;
}

/* ---- nodes ---- */

/* Lists and texts of an attribute live in the model's arena. */
static void set_attr(tfl_op *o, node *n, const attr *a) {
  graph *g = o->s->g;
  attr copy = *a;
  if (a->type == ATTR_INTS && node_set_ints(g, n, a->name, a->ints, a->count)) out_of_memory(o, 0, "an attribute");
  if (a->type == ATTR_INTS) return;
  if (a->type == ATTR_FLOATS) {
    float *to = arena_alloc_array(&g->model->arena, (size_t)a->count, sizeof *to);
    if (!to && out_of_memory(o, (size_t)a->count * sizeof *to, "an attribute")) return;
    if (a->count) memcpy(to, a->floats, (size_t)a->count * sizeof *to);
    copy.floats = to;
  }
  if (a->type == ATTR_STRING) {
    char *to = arena_strndup(&g->model->arena, a->s.data, a->s.size);
    if (!to && out_of_memory(o, a->s.size, "an attribute")) return;
    copy.s.data = to;
  }
  if (node_set_attr(g, n, &copy)) out_of_memory(o, sizeof copy, "an attribute");
}

node *tfl_nodes(tfl_op *o, const char *domain, const char *op, const attr *attrs, const value_id *in, int n_in,
                value_id *outs, int n_out) {
  for (int i = 0; i < n_out; i++) outs[i] = VALUE_ABSENT;
  if (!o->status)
    o->status = tfl_check_limit(o->in, sizeof(node) + ((size_t)n_in + (size_t)n_out * 16) * sizeof(value_id), "a node");
  if (o->status) return NULL;
  for (int i = 0; i < n_out; i++) {
    outs[i] = graph_add_value(o->s->g, NULL);
    if (outs[i] == VALUE_ABSENT && out_of_memory(o, sizeof(graph_value), "a value")) return NULL;
  }
  while (n_in && in[n_in - 1] == VALUE_ABSENT) n_in--;
  int version = *domain ? 1 : TFL_OPSET;
  const char *name = o->n_out && o->outputs && o->outputs[0] >= 0 ? o->s->tensors[o->outputs[0]].name : "";
  node *n = graph_add_node(o->s->g, domain, op, version, name, in, n_in, outs, n_out);
  if (!n && out_of_memory(o, sizeof *n, "a node")) return NULL;
  for (const attr *a = attrs; a && a->name; a++) set_attr(o, n, a);
  return o->status ? NULL : n;
}

value_id tfl_node_n(tfl_op *o, const char *domain, const char *op, const attr *attrs, const value_id *in, int n_in) {
  value_id out;
  tfl_nodes(o, domain, op, attrs, in, n_in, &out, 1);
  return out;
}

void tfl_give(tfl_op *o, int i, value_id v) {
  if (o->status || i >= o->n_out || o->outputs[i] < 0) return;
  o->given[i] = v;
}

/* ---- constants ---- */

value_id tfl_ints(tfl_op *o, const int64_t *list, int count) {
  if (o->status) return VALUE_ABSENT;
  value_id v = graph_add_constant_copy(o->s->g, NULL, LEDGE_I64, 1, &(int64_t){count}, list);
  if (v == VALUE_ABSENT) out_of_memory(o, (size_t)count * sizeof *list, "a constant");
  return v;
}

value_id tfl_int(tfl_op *o, int64_t i) {
  if (o->status) return VALUE_ABSENT;
  value_id v = graph_add_constant_copy(o->s->g, NULL, LEDGE_I64, 0, NULL, &i);
  if (v == VALUE_ABSENT) out_of_memory(o, sizeof i, "a constant");
  return v;
}

value_id tfl_scalar(tfl_op *o, ledge_dtype dtype, double x) {
  uint64_t bits = 0;
  if (o->status) return VALUE_ABSENT;
  dtype_store_f64(dtype, &bits, 0, x);
  value_id v = graph_add_constant_copy(o->s->g, NULL, dtype, 0, NULL, &bits);
  if (v == VALUE_ABSENT) out_of_memory(o, sizeof bits, "a constant");
  return v;
}

value_id tfl_cast(tfl_op *o, value_id v, ledge_dtype to) { return tfl_node(o, "Cast", ATTRS(AI("to", to)), v); }

value_id tfl_i64(tfl_op *o, int i) {
  const tensor *t = tfl_const(o, i);
  if (!t || !dtype_is_integer(t->dtype))
    return tfl_tensor_in(o, i)->dtype == LEDGE_I64 ? tfl_input(o, i) : tfl_cast(o, tfl_input(o, i), LEDGE_I64);
  tensor *to;
  if (!o->status) o->status = tfl_new_tensor(o->in, LEDGE_I64, t->rank, t->dims, &to);
  if (o->status) return VALUE_ABSENT;
  for (int64_t k = 0; k < tensor_elements(t); k++) ((int64_t *)to->data)[k] = tensor_i64(t, k);
  return tfl_constant(o, to);
}

value_id tfl_reshape(tfl_op *o, value_id v, const int64_t *dims, int rank) {
  return tfl_node(o, "Reshape", NULL, v, tfl_ints(o, dims, rank));
}

/* ---- order of dims ---- */

value_id tfl_permute(tfl_op *o, value_id v, const int *perm, int rank) {
  int64_t list[LEDGE_MAX_RANK];
  for (int i = 0; i < rank; i++) list[i] = perm[i];
  return tfl_node(o, "Transpose", ATTRS(AIS("perm", list, rank)), v);
}

static value_id permuted_constant(tfl_op *o, const tensor *t, const int *perm, int rank) {
  tensor *to;
  int64_t dims[LEDGE_MAX_RANK], strides[LEDGE_MAX_RANK], step[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK] = {0};
  shape_strides(rank, t->dims, strides);
  for (int i = 0; i < rank; i++) dims[i] = t->dims[perm[i]], step[i] = strides[perm[i]];
  bool packed = !dtype_bytes(t->dtype);
  if (!o->status) o->status = tfl_new_tensor(o->in, packed ? LEDGE_I8 : t->dtype, rank, dims, &to);
  if (o->status) return VALUE_ABSENT;
  size_t bytes = dtype_bytes(to->dtype);
  int64_t n = tensor_elements(t), from = 0;
  for (int64_t k = 0; k < n; k++) {
    if (packed)
      ((int8_t *)to->data)[k] = (int8_t)tensor_i64(t, from);
    else
      memcpy((char *)to->data + (size_t)k * bytes, (const char *)t->data + (size_t)from * bytes, bytes);
    for (int i = rank - 1; i >= 0; i--) {
      from += step[i];
      if (++at[i] < dims[i]) break;
      from -= step[i] * dims[i];
      at[i] = 0;
    }
  }
  return tfl_constant(o, to);
}

value_id tfl_weights(tfl_op *o, int i, const int *perm, int rank) {
  const tensor *t = tfl_const(o, i);
  bool same = true;
  for (int k = 0; k < rank; k++) same = same && perm[k] == k;
  if (!t && !o->status) { /* float16 behind a DEQUANTIZE: the node that was made of it reads a constant */
    value_id v = tfl_input(o, i);
    if (o->status) return v;
    if (same) return v;
    int32_t at = o->s->g->values[v].producer;
    const node *n = at < 0 ? NULL : &o->s->g->nodes[at];
    const tensor *below = n && node_is(n, "", "Cast") ? o->s->g->values[n->in[0]].constant : NULL;
    if (!below || below->rank != rank || !dtype_bytes(below->dtype)) return tfl_permute(o, v, perm, rank);
    int64_t to = node_attr_int(n, "to", LEDGE_F32);
    return tfl_cast(o, permuted_constant(o, below, perm, rank), (ledge_dtype)to);
  }
  if (o->status) return VALUE_ABSENT;
  if (t->rank != rank) {
    tfl_bad(o, "input %d has %d dims where the operator takes %d", i, t->rank, rank);
    return VALUE_ABSENT;
  }
  if (same && dtype_bytes(t->dtype)) return tfl_input(o, i);
  return permuted_constant(o, t, perm, rank);
}

value_id tfl_first(tfl_op *o, value_id v, int rank) {
  int perm[LEDGE_MAX_RANK] = {0, rank - 1};
  for (int i = 2; i < rank; i++) perm[i] = i - 1;
  return tfl_permute(o, v, perm, rank);
}

value_id tfl_last(tfl_op *o, value_id v, int rank) {
  int perm[LEDGE_MAX_RANK] = {0};
  for (int i = 1; i < rank - 1; i++) perm[i] = i + 1;
  perm[rank - 1] = 1;
  return tfl_permute(o, v, perm, rank);
}

/* ---- activations and quantisation ---- */

value_id tfl_activate(tfl_op *o, value_id v, int act, ledge_dtype dtype) {
  switch (act) {
    case ACT_NONE: return v;
    case ACT_RELU: return tfl_node(o, "Relu", NULL, v);
    case ACT_RELU6: return tfl_node(o, "Clip", NULL, v, tfl_scalar(o, dtype, 0), tfl_scalar(o, dtype, 6));
    case ACT_RELU_N1_TO_1: return tfl_node(o, "Clip", NULL, v, tfl_scalar(o, dtype, -1), tfl_scalar(o, dtype, 1));
    case ACT_TANH: return tfl_node(o, "Tanh", NULL, v);
    case ACT_SIGN_BIT: return tfl_cast(o, tfl_node(o, "Less", NULL, v, tfl_scalar(o, dtype, 0)), dtype);
    default: tfl_bad(o, "there is no fused activation %d", act); return VALUE_ABSENT;
  }
}

bool tfl_same_quant(const tfl_tensor *a, const tfl_tensor *b) {
  return a->quant.n == 1 && b->quant.n == 1 && a->quant.scales[0] == b->quant.scales[0] &&
         a->quant.zeros[0] == b->quant.zeros[0];
}

/* Scales and zero points as constants of the shapes that DequantizeLinear takes. */
static void quant_constants(tfl_op *o, const tfl_tensor *t, value_id *scale, value_id *zero) {
  tensor *s, *z;
  const tfl_quant *q = &t->quant;
  int64_t n = q->n;
  ledge_dtype dtype = t->dtype == LEDGE_I4 ? LEDGE_I8 : t->dtype;
  if (n > 1 && (q->axis < 0 || q->axis >= t->rank || t->dims[q->axis] != n))
    tfl_bad(o, "tensor '%.100s' has %d scales along dim %d, which does not have as many entries", t->name, q->n,
            q->axis);
  if (o->status) return;
  o->status = tfl_new_tensor(o->in, LEDGE_F32, n > 1, &n, &s);
  if (!o->status) o->status = tfl_new_tensor(o->in, dtype, n > 1, &n, &z);
  if (o->status) return;
  bool any = false;
  for (int64_t i = 0; i < n; i++) {
    ((float *)s->data)[i] = q->scales[i];
    dtype_store_i64(dtype, z->data, i, q->zeros[i]);
    any = any || q->zeros[i];
    if (tensor_i64(z, i) != q->zeros[i])
      tfl_bad(o, "tensor '%.100s' has zero point %lld, which its type does not hold", t->name, (long long)q->zeros[i]);
  }
  *scale = tfl_constant(o, s);
  *zero = any ? tfl_constant(o, z) : VALUE_ABSENT;
}

value_id tfl_dequantise(tfl_op *o, value_id v, const tfl_tensor *t) {
  value_id scale = VALUE_ABSENT, zero = VALUE_ABSENT;
  quant_constants(o, t, &scale, &zero);
  if (t->dtype == LEDGE_I64) v = tfl_cast(o, v, LEDGE_I32);
  return tfl_node(o, "DequantizeLinear", t->quant.n > 1 ? ATTRS(AI("axis", t->quant.axis)) : NULL, v, scale, zero);
}

value_id tfl_quantise(tfl_op *o, value_id v, const tfl_tensor *t) {
  if (t->quant.n != 1 || !(t->quant.scales[0] > 0)) {
    tfl_bad(o, "tensor '%.100s' is computed and has %s", t->name, t->quant.n == 1 ? "a scale of 0" : "several scales");
    return VALUE_ABSENT;
  }
  return tfl_own(o, "Quantize",
                 ATTRS(AF("y_scale", t->quant.scales[0]), AI("y_zero", t->quant.zeros[0]), AI("to", t->dtype)), v);
}
