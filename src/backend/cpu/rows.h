/* backend/cpu/rows: what the files of this folder have in common. Each maps the operators of one kind to kernels: a row
 * names an operator and a function that looks at the request and prepares a kernel, or leaves *ret zeroed: declined.
 * Rows of one operator are asked in order; rows.def lists the files. */
#ifndef BACKEND_CPU_ROWS_H
#define BACKEND_CPU_ROWS_H

#include "backend/backend.h"

typedef ledge_status (*cpu_prepare_fn)(const kernel_request *r, kernel *ret, ledge_error *error);
typedef struct cpu_row {
  const char *domain, *op;
  cpu_prepare_fn prepare;
  uint32_t any_address; /* bits of inputs: see backend_cpu_any_address */
} cpu_row;

/* Kernel state in the request's arena; NULL + error when out of memory. */
void *cpu_state(const kernel_request *r, size_t bytes, ledge_error *error);
/* The strides of dims[rank] whose rows of `row` elements, the last dims, stand `stride` apart: see kernel.window. False
 * where no last dims make such a row. */
bool cpu_window_strides(int rank, const int64_t *dims, int64_t row, int64_t stride, int64_t *ret_strides);
/* Are input i's contents there to be used now and in every run? (False where it is absent.) */
static inline bool cpu_constant(const kernel_request *r, int i) {
  return i < r->ctx->n_in && r->ctx->in[i] && r->constant[i];
}
static inline bool cpu_is_f32(const kernel_request *r, int i) {
  const tensor *t = op_in(r->ctx, i);
  return t && t->dtype == LEDGE_F32;
}
static inline const float *cpu_f32(const tensor *t) { return t ? t->data : NULL; }

#endif
