/* passes/gradient/back: see back.h. */
#include "passes/gradient/back.h"

#include "base/error.h"
#include "ops/propagate.h"

#include <stdarg.h>
#include <stdio.h>

enum { BACK_AT_ONCE = 1024 };

void back_fail(back *b, ledge_status code, const char *format, ...) {
  char text[256], label[160];
  va_list args;
  if (b->status) return;
  b->status = code;
  if (!format) {
    error_memory(b->error, 0, "a backward graph");
    return;
  }
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (b->now >= 0) {
    const node *n = &b->g->nodes[b->now];
    error_set(b->error, code, "the gradient of %s: %s", node_label(b->g, n, label, sizeof label), text);
    error_node(b->error, n->name);
  } else {
    error_set(b->error, code, "%s", text);
  }
}

/* ---- values ---- */

/* Room for what belongs to value v. */
static bool back_grow(back *b, value_id v) {
  if (b->status) return false;
  if (v < b->n) return true;
  if (v >= b->cap) {
    int cap = v + BACK_AT_ONCE + v / 2;
    value_id *grad = mem_alloc_array((size_t)cap, sizeof *grad);
    bool *active = mem_alloc_array((size_t)cap, sizeof *active);
    value *known = mem_alloc_array((size_t)cap, sizeof *known);
    if (!grad || !active || !known) {
      mem_free(grad);
      mem_free(active);
      mem_free(known);
      back_fail(b, LEDGE_ERROR_MEMORY, NULL);
      return false;
    }
    if (b->n) {
      memcpy(grad, b->grad, (size_t)b->n * sizeof *grad);
      memcpy(active, b->active, (size_t)b->n * sizeof *active);
      memcpy(known, b->known, (size_t)b->n * sizeof *known);
    }
    mem_free(b->grad);
    mem_free(b->active);
    mem_free(b->known);
    b->grad = grad;
    b->active = active;
    b->known = known;
    b->cap = cap;
  }
  for (; b->n <= v; b->n++) b->grad[b->n] = VALUE_ABSENT;
  return true;
}

ledge_status back_init(back *b, value_id last) {
  back_grow(b, last);
  return b->status;
}

void back_deinit(back *b) {
  for (int v = 0; v < b->n; v++) value_deinit(&b->known[v]);
  mem_free(b->grad);
  mem_free(b->active);
  mem_free(b->known);
}

value_id back_new_value(back *b) {
  value_id v = b->status ? VALUE_ABSENT : graph_add_value(b->g, NULL);
  if (v == VALUE_ABSENT) back_fail(b, LEDGE_ERROR_MEMORY, NULL);
  return back_grow(b, v) ? v : VALUE_ABSENT;
}

static value_id back_constant(back *b, ledge_dtype dtype, int rank, const int64_t *dims, const void *data) {
  value_id v = b->status ? VALUE_ABSENT : graph_add_constant_copy(b->g, NULL, dtype, rank, dims, data);
  if (v == VALUE_ABSENT) back_fail(b, LEDGE_ERROR_MEMORY, NULL);
  if (!back_grow(b, v)) return VALUE_ABSENT;
  b->known[v].kind = VALUE_TENSOR;
  b->known[v].tensor = *b->g->values[v].constant;
  b->known[v].tensor.own = NULL;
  return v;
}

/* Shapes of what was made since the last call. */
static void back_settle(back *b) {
  for (; !b->status && b->settled < b->g->n_nodes; b->settled++) ops_propagate_node(&b->g->nodes[b->settled], b->known);
}

static const tensor *back_known(back *b, value_id v) {
  back_settle(b);
  return !b->status && v >= 0 && v < b->n && b->known[v].kind == VALUE_TENSOR ? &b->known[v].tensor : NULL;
}

int back_rank(back *b, value_id v) {
  const tensor *t = back_known(b, v);
  return t ? t->rank : -1;
}

int back_need_rank(back *b, value_id v) {
  int rank = back_rank(b, v);
  if (rank < 0 && !b->status)
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "the rank of '%s' is unknown; declare the shapes of the model's inputs",
              v >= 0 ? b->g->values[v].name : "");
  return rank < 0 ? 0 : rank;
}

bool back_same_dim(back *b, value_id x, value_id y, int axis) {
  const tensor *t = back_known(b, x), *u = back_known(b, y);
  return t && u && axis < t->rank && axis < u->rank && t->dims[axis] == u->dims[axis];
}

ledge_dtype back_dtype(back *b, value_id v) {
  const tensor *t = back_known(b, v);
  return t ? t->dtype : LEDGE_DTYPE_NONE;
}

/* ---- nodes ---- */

void back_emit_outputs(back *b, const char *domain, const char *op, int version, const value_id *in, int n_in,
                       value_id *ret_out, int n_out) {
  node *n = b->status ? NULL : graph_add_node(b->g, domain, op, version, "", in, n_in, ret_out, n_out);
  if (!n) {
    back_fail(b, LEDGE_ERROR_MEMORY, NULL);
    return;
  }
  n->def = ops_find(domain, op, version);
  if (!n->def) back_fail(b, LEDGE_ERROR_INTERNAL, "there is no operator '%s%s' of version %d", domain, op, version);
}

value_id back_emit(back *b, const char *domain, const char *op, int version, const value_id *in, int n_in) {
  value_id out = back_new_value(b);
  back_emit_outputs(b, domain, op, version, in, n_in, &out, 1);
  return out;
}

value_id back_op1(back *b, const char *op, value_id x) { return back_emit(b, "", op, GRADIENT_OPSET, &x, 1); }
value_id back_op2(back *b, const char *op, value_id x, value_id y) {
  return back_emit(b, "", op, GRADIENT_OPSET, (value_id[]){x, y}, 2);
}
value_id back_op3(back *b, const char *op, value_id x, value_id y, value_id z) {
  return back_emit(b, "", op, GRADIENT_OPSET, (value_id[]){x, y, z}, 3);
}

static node *last_node(back *b) { return &b->g->nodes[b->g->n_nodes - 1]; }

static void back_check(back *b, ledge_status status) {
  if (status) back_fail(b, LEDGE_ERROR_MEMORY, NULL);
}

void back_int(back *b, const char *name, int64_t v) {
  if (!b->status) back_check(b, node_set_int(b->g, last_node(b), name, v));
}
void back_float(back *b, const char *name, float v) {
  if (!b->status) back_check(b, node_set_float(b->g, last_node(b), name, v));
}
void back_string(back *b, const char *name, const char *v) {
  if (!b->status) back_check(b, node_set_string(b->g, last_node(b), name, v));
}
void back_ints(back *b, const char *name, const int64_t *v, int count) {
  if (!b->status) back_check(b, node_set_ints(b->g, last_node(b), name, v, count));
}
void back_attrs(back *b, const node *from) {
  for (int i = 0; i < from->n_attrs && !b->status; i++)
    back_check(b, node_set_attr(b->g, last_node(b), &from->attrs[i]));
}

value_id back_again(back *b, const node *n, const value_id *in, int n_in) {
  value_id out = back_emit(b, n->domain, n->op, n->version, in, n_in);
  back_attrs(b, n);
  return out;
}

value_id back_output(back *b, const node *n, int k) {
  if (k < n->n_out && n->out[k] != VALUE_ABSENT) return n->out[k];
  back_settle(b);
  value_id v = back_new_value(b);
  int at = -1; /* the node in the graph: n may be a copy, and its other outputs name it */
  for (int i = 0; i < n->n_out && at < 0; i++)
    if (n->out[i] != VALUE_ABSENT) at = b->g->values[n->out[i]].producer;
  if (b->status || at < 0) return VALUE_ABSENT;
  node *real = &b->g->nodes[at];
  if (k < real->n_out && real->out[k] != VALUE_ABSENT) return real->out[k];
  int n_out = k < real->n_out ? real->n_out : k + 1;
  value_id *out = arena_alloc_array(&b->g->model->arena, (size_t)n_out, sizeof *out);
  if (!out) {
    back_fail(b, LEDGE_ERROR_MEMORY, NULL);
    return VALUE_ABSENT;
  }
  for (int i = 0; i < n_out; i++) out[i] = i < real->n_out ? real->out[i] : VALUE_ABSENT;
  out[k] = v;
  real->out = out;
  real->n_out = n_out;
  b->g->values[v].producer = at;
  for (int i = 0; i < n_out; i++)
    if (out[i] != VALUE_ABSENT) value_deinit(&b->known[out[i]]);
  ops_propagate_node(real, b->known);
  return v;
}

/* ---- constants and shapes ---- */

value_id back_number(back *b, double v, value_id like) {
  ledge_dtype dtype = back_dtype(b, like);
  if (dtype == LEDGE_DTYPE_NONE) return back_like(b, back_constant(b, LEDGE_F64, 0, NULL, &v), like);
  double bytes[2] = {0};
  dtype_store_f64(dtype, bytes, 0, v);
  return back_constant(b, dtype, 0, NULL, bytes);
}

value_id back_i64(back *b, int64_t v) { return back_constant(b, LEDGE_I64, 0, NULL, &v); }
value_id back_list(back *b, const int64_t *v, int n) { return back_constant(b, LEDGE_I64, 1, (int64_t[]){n}, v); }

value_id back_f32(back *b, int rank, const int64_t *dims, const float *v) {
  return back_constant(b, LEDGE_F32, rank, dims, v);
}

value_id back_like(back *b, value_id x, value_id like) {
  ledge_dtype from = back_dtype(b, x), to = back_dtype(b, like);
  if (from == to && from != LEDGE_DTYPE_NONE) return x;
  if (to == LEDGE_DTYPE_NONE) return back_op2(b, "CastLike", x, like);
  value_id y = back_op1(b, "Cast", x);
  back_int(b, "to", to);
  return y;
}

value_id back_shape(back *b, value_id x) { return back_op1(b, "Shape", x); }

value_id back_dim(back *b, value_id x, int64_t axis) {
  value_id v = back_op1(b, "Shape", x);
  back_int(b, "start", axis);
  if (axis != -1) back_int(b, "end", axis + 1);
  return v;
}

value_id back_filled(back *b, double v, value_id like) {
  return back_op2(b, "Expand", back_number(b, v, like), back_shape(b, like));
}

value_id back_reshape_like(back *b, value_id x, value_id like) {
  value_id y = back_op2(b, "Reshape", x, back_shape(b, like));
  back_int(b, "allowzero", 1);
  return y;
}

value_id back_channels(back *b, value_id v, int rank) {
  int64_t axes[LEDGE_MAX_RANK];
  int n = back_range(1, rank - 1, axes);
  return n ? back_op2(b, "Unsqueeze", v, back_list(b, axes, n)) : v;
}

value_id back_transpose(back *b, value_id x, const int64_t *perm, int n) {
  value_id y = back_op1(b, "Transpose", x);
  back_ints(b, "perm", perm, n);
  return y;
}

value_id back_unsqueeze(back *b, value_id x, int64_t axis) {
  return back_op2(b, "Unsqueeze", x, back_list(b, &axis, 1));
}

value_id back_reduce(back *b, const char *op, value_id x, const int64_t *axes, int n) {
  return n ? back_op2(b, op, x, back_list(b, axes, n)) : back_op1(b, op, x);
}

value_id back_sum_to(back *b, value_id x, value_id like) {
  const tensor *t = back_known(b, like), *g = back_known(b, x);
  if (t && g && tensor_same_shape(t, g)) return x;
  return back_emit(b, "ledge", "ReduceTo", 1, (value_id[]){x, back_shape(b, like)}, 2);
}

/* ---- gradients ---- */

bool back_wants(const back *b, value_id x) { return x >= 0 && x < b->n && b->active[x]; }

bool back_has(const back *b, const node *n, int k) {
  return k < n->n_out && n->out[k] >= 0 && n->out[k] < b->n && b->grad[n->out[k]] != VALUE_ABSENT;
}

value_id back_grad(back *b, const node *n, int k) {
  if (back_has(b, n, k)) return b->grad[n->out[k]];
  return back_filled(b, 0, back_output(b, n, k));
}

void back_give(back *b, value_id x, value_id grad) {
  if (!back_wants(b, x) || b->status) return;
  b->grad[x] = b->grad[x] == VALUE_ABSENT ? grad : back_add(b, b->grad[x], grad);
}

void back_give_sum(back *b, value_id x, value_id grad) {
  if (back_wants(b, x)) back_give(b, x, back_sum_to(b, grad, x));
}
