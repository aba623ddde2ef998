/* api/operator: what operators of the program's own see; see ledge.h, section 5. A ledge_op_context is an op_ctx. */
#include "api/api.h"
#include "base/error.h"

static op_ctx *ctx(const ledge_op_context *c) { return (op_ctx *)(uintptr_t)c; }

size_t ledge_op_input_count(const ledge_op_context *c) { return (size_t)ctx(c)->n_in; }
size_t ledge_op_output_count(const ledge_op_context *c) { return (size_t)ctx(c)->n_out; }

bool ledge_op_input(const ledge_op_context *c, size_t i, ledge_tensor *ret) {
  const tensor *t = i < INT32_MAX ? op_in(ctx(c), (int)i) : NULL;
  if (t) api_tensor_out(t, ret);
  return t;
}

bool ledge_op_output(ledge_op_context *c, size_t i, ledge_tensor *ret) {
  const tensor *t = i < INT32_MAX ? op_out(ctx(c), (int)i) : NULL;
  if (t) api_tensor_out(t, ret);
  return t;
}

ledge_status ledge_op_set_output(ledge_op_context *c, size_t i, ledge_dtype dtype, int rank, const int64_t *dims) {
  if (i >= INT32_MAX || !dtype_is_valid(dtype) || rank < 0)
    return op_fail(ctx(c), LEDGE_ERROR_ARGUMENT, "output %zu has no such type", i);
  return op_shape(ctx(c), (int)i, dtype, rank, dims);
}

int64_t ledge_op_attribute_int(const ledge_op_context *c, const char *name, int64_t otherwise) {
  return op_int(ctx(c), name, otherwise);
}
float ledge_op_attribute_float(const ledge_op_context *c, const char *name, float otherwise) {
  return op_float(ctx(c), name, otherwise);
}

const char *ledge_op_attribute_string(const ledge_op_context *c, const char *name, size_t *ret_size) {
  ledge_string s = op_string(ctx(c), name);
  *ret_size = s.size;
  return s.data;
}

const int64_t *ledge_op_attribute_ints(const ledge_op_context *c, const char *name, size_t *ret_count) {
  int64_t count;
  const int64_t *list = op_ints(ctx(c), name, &count);
  *ret_count = (size_t)count;
  return list;
}

const float *ledge_op_attribute_floats(const ledge_op_context *c, const char *name, size_t *ret_count) {
  int64_t count;
  const float *list = op_floats(ctx(c), name, &count);
  *ret_count = (size_t)count;
  return list;
}

ledge_status ledge_op_fail(ledge_op_context *c, ledge_status status, const char *message) {
  return op_fail(ctx(c), status == LEDGE_OK ? LEDGE_ERROR_DATA : status, "%s", message);
}
