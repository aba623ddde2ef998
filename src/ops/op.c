/* ops/op: what every row leans on: reading inputs and attributes, setting outputs, failing; see op.h. */
#include "ops/op.h"

#include <stdarg.h>
#include <stdio.h>

bool op_known(const op_ctx *c, int i) {
  if (!op_has(c, i)) return true;
  const value *v = c->in[i];
  if (v->kind != VALUE_TENSOR) return !c->inferring;
  return v->tensor.data || tensor_elements(&v->tensor) == 0;
}

ledge_status op_shape(op_ctx *c, int i, ledge_dtype dtype, int rank, const int64_t *dims) {
  if (!op_wants(c, i)) return LEDGE_OK;
  if (rank > LEDGE_MAX_RANK)
    return op_fail(c, LEDGE_ERROR_LIMIT, "output %d would have rank %d, above the limit of %d", i, rank,
                   LEDGE_MAX_RANK);
  size_t bytes;
  if (!dtype_array_bytes(dtype, shape_elements(rank, dims), &bytes) || bytes > SIZE_MAX / 4) {
    char text[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "output %d would have the shape %s, which no memory can hold", i,
                   shape_print(rank, dims, text, sizeof text));
  }
  c->out[i]->kind = VALUE_TENSOR;
  tensor_set_shape(&c->out[i]->tensor, dtype, rank, dims);
  return LEDGE_OK;
}

ledge_status op_same_shape(op_ctx *c, int output, int input) {
  const tensor *x = op_in(c, input);
  return op_shape(c, output, x->dtype, x->rank, x->dims);
}

ledge_status op_last_dim(op_ctx *c, int output, int input, int64_t last) {
  tensor t = *op_in(c, input);
  t.dims[t.rank - 1] = last;
  return op_shape(c, output, t.dtype, t.rank, t.dims);
}

ledge_status op_make(op_ctx *c, int i, ledge_dtype dtype, int rank, const int64_t *dims, tensor **ret) {
  *ret = NULL;
  if (!op_wants(c, i)) return LEDGE_OK;
  TRY(op_shape(c, i, dtype, rank, dims));
  TRY(c->host->alloc(c->host, c, c->out[i]));
  *ret = &c->out[i]->tensor;
  return LEDGE_OK;
}

ledge_status op_forward(op_ctx *c, int output, const value *v) {
  return op_wants(c, output) ? value_keep(c->out[output], v, c->error) : LEDGE_OK;
}

void *op_scratch(op_ctx *c, size_t count, size_t each) {
  void *p = mem_alloc_array(count, each);
  if (!p) op_fail(c, LEDGE_ERROR_MEMORY, "out of memory: scratch of %zu elements of %zu bytes", count, each);
  return p;
}

void op_scratch_free(void *p) { mem_free(p); }

/* ---- attributes ---- */

static const attr *op_attr(const op_ctx *c, const char *name, attr_type type) {
  const attr *a = node_attr(c->node, name);
  return a && a->type == type ? a : NULL;
}

bool op_attr_given(const op_ctx *c, const char *name) { return node_attr(c->node, name) != NULL; }

int64_t op_int(const op_ctx *c, const char *name, int64_t otherwise) {
  const attr *a = op_attr(c, name, ATTR_INT);
  return a ? a->i : otherwise;
}

float op_float(const op_ctx *c, const char *name, float otherwise) {
  const attr *a = op_attr(c, name, ATTR_FLOAT);
  return a ? a->f : otherwise;
}

const int64_t *op_ints(const op_ctx *c, const char *name, int64_t *count) {
  const attr *a = op_attr(c, name, ATTR_INTS);
  *count = a ? a->count : 0;
  return a ? a->ints : NULL;
}

const float *op_floats(const op_ctx *c, const char *name, int64_t *count) {
  const attr *a = op_attr(c, name, ATTR_FLOATS);
  *count = a ? a->count : 0;
  return a ? a->floats : NULL;
}

const ledge_string *op_strings(const op_ctx *c, const char *name, int64_t *count) {
  const attr *a = op_attr(c, name, ATTR_STRINGS);
  *count = a ? a->count : 0;
  return a ? a->strings : NULL;
}

ledge_string op_string(const op_ctx *c, const char *name) {
  const attr *a = op_attr(c, name, ATTR_STRING);
  return a ? a->s : (ledge_string){NULL, 0};
}

bool op_string_is(const op_ctx *c, const char *name, const char *otherwise, const char *want) {
  ledge_string s = op_string(c, name);
  if (!s.data) return !strcmp(otherwise, want);
  return s.size == strlen(want) && !memcmp(s.data, want, s.size);
}

const tensor *op_tensor(const op_ctx *c, const char *name) {
  const attr *a = op_attr(c, name, ATTR_TENSOR);
  return a ? a->t : NULL;
}

const graph *op_graph(const op_ctx *c, const char *name) {
  const attr *a = op_attr(c, name, ATTR_GRAPH);
  return a ? a->g : NULL;
}

/* ---- checks ---- */

ledge_status op_fail(op_ctx *c, ledge_status code, const char *format, ...) {
  char text[768];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return error_set(c->error, code, "%s: %s", c->def->name, text);
}

ledge_status op_fail_dtype(op_ctx *c, int input) {
  const tensor *t = op_in(c, input);
  return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has dtype %s, which %s does not take", input,
                 t ? ledge_dtype_name(t->dtype) : "none", c->def->name);
}

ledge_status op_axis(op_ctx *c, int64_t axis, int rank, int *ret) {
  if (axis < -(int64_t)rank || axis >= rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "axis %lld is outside of [%d, %d)", (long long)axis, -rank, rank);
  *ret = (int)(axis < 0 ? axis + rank : axis);
  return LEDGE_OK;
}

ledge_status op_read_ints(op_ctx *c, const tensor *t, int64_t *dst, int max, int *ret_count) {
  if (t->dtype != LEDGE_I64 && t->dtype != LEDGE_I32)
    return op_fail(c, LEDGE_ERROR_SHAPE, "a list of integers has dtype %s instead of i64 or i32",
                   ledge_dtype_name(t->dtype));
  int64_t n = tensor_elements(t);
  if (n > max) return op_fail(c, LEDGE_ERROR_LIMIT, "a list of %lld integers is longer than %d", (long long)n, max);
  for (int64_t i = 0; i < n; i++) dst[i] = tensor_i64(t, i);
  *ret_count = (int)n;
  return LEDGE_OK;
}

ledge_status op_infer(op_ctx *c) {
  return c->def->infer && !(c->def->flags & OP_DYNAMIC) ? c->def->infer(c) : OP_UNKNOWN;
}

ledge_status op_check_kinds(op_ctx *c) {
  static const char *const names[] = {"an empty optional", "a tensor", "a sequence", "a map"};
  if (c->def->flags & OP_ANY_KIND) return LEDGE_OK;
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i] && c->in[i]->kind != VALUE_TENSOR)
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is %s; it takes a tensor", i, names[c->in[i]->kind]);
  return LEDGE_OK;
}

bool op_is_empty(const op_ctx *c) {
  if (c->def->flags & (OP_EFFECT | OP_DYNAMIC)) return false;
  for (int i = 0; i < c->n_out; i++)
    if (c->out[i] && (c->out[i]->kind != VALUE_TENSOR || tensor_elements(&c->out[i]->tensor) != 0)) return false;
  return true;
}

static ledge_status eval_alloc(op_host *h, op_ctx *c, value *out) { return tensor_alloc(&out->tensor, c->error); }

static ledge_status eval_call(op_host *h, op_ctx *c, const graph *g, const value *const *in, int n_in, value *out,
                              int n_out) {
  return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "it cannot run a subgraph here");
}

static bool eval_cancelled(op_host *h) { return false; }

static ledge_status eval_aligned(op_ctx *c) {
  static const op_host heap = {eval_alloc, eval_call, eval_cancelled};
  op_host host = heap;
  if (!c->host) c->host = &host;
  c->inferring = false;
  ledge_status status = op_check_kinds(c);
  if (!status) status = op_infer(c);
  if (!status) {
    for (int i = 0; !status && i < c->n_out; i++)
      if (c->out[i]) status = tensor_alloc(&c->out[i]->tensor, c->error);
  }
  if (status == OP_UNKNOWN || (!status && !op_is_empty(c))) status = c->def->run(c);
  if (c->host == &host) c->host = NULL;
  if (status)
    for (int i = 0; i < c->n_out; i++)
      if (c->out[i]) value_deinit(c->out[i]);
  return status;
}

/* The same for constants of a mapped file that stand at no multiple of their elements' size: op_eval's own copies. */
static ledge_status eval_unaligned(op_ctx *c) {
  const value *const *given = c->in;
  const value **in = mem_alloc_array((size_t)c->n_in, sizeof *in);
  value *copies = mem_alloc_array((size_t)c->n_in, sizeof *copies);
  ledge_status status =
      in && copies ? LEDGE_OK : error_memory(c->error, (size_t)c->n_in * sizeof *copies, "aligned constants");
  for (int i = 0; !status && i < c->n_in; i++) {
    in[i] = given[i];
    if (!in[i] || tensor_is_aligned(&in[i]->tensor)) continue;
    status = tensor_copy(&copies[i].tensor, &given[i]->tensor, c->error);
    copies[i].kind = VALUE_TENSOR;
    in[i] = &copies[i];
  }
  c->in = in;
  if (!status) status = eval_aligned(c);
  c->in = given;
  for (int i = 0; copies && i < c->n_in; i++) value_deinit(&copies[i]);
  mem_free(copies);
  mem_free(in);
  return status;
}

ledge_status op_eval(op_ctx *c) {
  bool wanted = (c->def->flags & OP_EFFECT) != 0;
  for (int i = 0; i < c->n_out; i++) wanted = wanted || c->out[i];
  if (!wanted) return LEDGE_OK;
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i] && !tensor_is_aligned(&c->in[i]->tensor)) return eval_unaligned(c);
  return eval_aligned(c);
}
