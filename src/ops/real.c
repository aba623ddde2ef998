/* ops/real: see real.h. */
#include "ops/real.h"

double *real_load(op_ctx *c, const tensor *t) {
  int64_t n = tensor_elements(t);
  double *v = real_scratch(c, n);
  if (!v) return NULL;
  for (int64_t i = 0; i < n; i++) v[i] = dtype_load_f64(t->dtype, t->data, i);
  return v;
}

void real_store(const double *v, tensor *t) {
  int64_t n = tensor_elements(t);
  for (int64_t i = 0; i < n; i++) dtype_store_f64(t->dtype, t->data, i, v[i]);
}

ledge_status real_check(op_ctx *c, int input, bool integers) {
  const tensor *t = op_in(c, input);
  if (!t || dtype_is_float(t->dtype) || (integers && dtype_is_integer(t->dtype))) return LEDGE_OK;
  return op_fail_dtype(c, input);
}
