/* backend/cpu: asks the rows of this folder for a kernel; see rows.h. */
#include "backend/cpu/rows.h"

#include "base/error.h"

#define KIND(kind) extern const cpu_row cpu_rows_##kind[];
#include "backend/cpu/rows.def"
#undef KIND

static const cpu_row *const cpu_kinds[] = {
#define KIND(kind) cpu_rows_##kind,
#include "backend/cpu/rows.def"
#undef KIND
    NULL};

void *cpu_state(const kernel_request *r, size_t bytes, ledge_error *error) {
  void *state = arena_alloc(r->arena, bytes);
  if (!state) error_memory(error, bytes, "a kernel's state");
  return state;
}

bool cpu_window_strides(int rank, const int64_t *dims, int64_t row, int64_t stride, int64_t *ret_strides) {
  int64_t n = 1;
  int d = rank;
  for (; d > 0 && n < row; n *= dims[d]) ret_strides[--d] = n;
  if (n != row) return false;
  for (; d > 0; stride *= dims[d]) ret_strides[--d] = stride;
  return true;
}

uint32_t backend_cpu_any_address(const node *n) {
  uint32_t bits = 0;
  for (int k = 0; cpu_kinds[k]; k++)
    for (const cpu_row *row = cpu_kinds[k]; row->op; row++)
      if (!strcmp(row->op, n->op) && !strcmp(row->domain, n->domain)) bits |= row->any_address;
  return bits;
}

ledge_status backend_cpu_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  const node *n = r->ctx->node;
  *ret = (kernel){0};
  for (int k = 0; cpu_kinds[k]; k++) {
    for (const cpu_row *row = cpu_kinds[k]; row->op; row++) {
      if (strcmp(row->op, n->op) || strcmp(row->domain, n->domain)) continue;
      TRY(row->prepare(r, ret, error));
      if (ret->run) return LEDGE_OK;
      *ret = (kernel){0};
    }
  }
  return LEDGE_OK;
}
