/* gemm_i8's oracle. */
#include "kernels/gemm_i8/gemm_i8.h"

static int32_t element(const void *p, int64_t i, bool is_signed) {
  return is_signed ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

void gemm_i8_ref(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, bool a_signed, int32_t a_zero,
                 const void *b, int64_t b_k, int64_t b_j, bool b_signed, const void *b_zero, int64_t n_zero, int32_t *c,
                 int64_t c_row) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      int32_t zero = b_zero ? element(b_zero, n_zero == 1 ? 0 : j, b_signed) : 0;
      uint32_t sum = 0;
      for (int64_t q = 0; q < k; q++)
        sum += (uint32_t)(element(a, i * a_row + q, a_signed) - a_zero) *
               (uint32_t)(element(b, q * b_k + j * b_j, b_signed) - zero);
      c[i * c_row + j] = (int32_t)sum;
    }
}
