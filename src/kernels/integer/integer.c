/* integer: the loops, one set a type; see integer.h. */
#include "kernels/integer/integer.h"

#include "kernels/dims.h"

/* Wrapping arithmetic goes through the unsigned type; a quotient by 0 is 0, and by -1 the wrapped negation. */
#define INTEGER_KERNELS(T, U)                                                                                     \
  static T one_##T(integer_kind kind, T a, T b) {                                                                 \
    switch (kind) {                                                                                               \
      case INTEGER_ADD: return (T)((U)a + (U)b);                                                                  \
      case INTEGER_SUB: return (T)((U)a - (U)b);                                                                  \
      case INTEGER_MUL: return (T)((U)a * (U)b);                                                                  \
      case INTEGER_DIV: return b == 0 ? 0 : b == -1 ? (T)(0 - (U)a) : a / b;                                      \
      case INTEGER_MOD: {                                                                                         \
        T m = b == 0 || b == -1 ? 0 : a % b;                                                                      \
        return m && (m < 0) != (b < 0) ? m + b : m;                                                               \
      }                                                                                                           \
      case INTEGER_FMOD: return b == 0 || b == -1 ? 0 : a % b;                                                    \
      case INTEGER_MAX: return a > b ? a : b;                                                                     \
      case INTEGER_MIN: return a < b ? a : b;                                                                     \
      case INTEGER_AND: return a & b;                                                                             \
      case INTEGER_OR: return a | b;                                                                              \
      case INTEGER_XOR: return a ^ b;                                                                             \
      case INTEGER_KIND_COUNT: break;                                                                             \
    }                                                                                                             \
    return 0;                                                                                                     \
  }                                                                                                               \
  static void row_##T(integer_kind kind, int64_t n, const T *a, int64_t a_col, const T *b, int64_t b_col, T *y) { \
    for (int64_t i = 0; i < n; i++) y[i] = one_##T(kind, a[i * a_col], b[i * b_col]);                             \
  }                                                                                                               \
  static void broadcast_##T(integer_kind kind, dims_block *block, const T *a, const T *b, T *y) {                 \
    int last = block->rank - 1;                                                                                   \
    int64_t n = block->dims[last], n_rows = dims_product(block->dims, 0, last);                                   \
    for (int64_t r = 0; r < n_rows; r++)                                                                          \
      row_##T(kind, n, a + dims_offset(block, 0, last, r), block->strides[0][last],                               \
              b + dims_offset(block, 1, last, r), block->strides[1][last], y + r * n);                            \
  }
INTEGER_KERNELS(int32_t, uint32_t)
INTEGER_KERNELS(int64_t, uint64_t)

/* Fills the block; false where there is nothing to do. */
static bool prepare(dims_block *block, int rank, const int64_t *dims, const int64_t *a_strides,
                    const int64_t *b_strides) {
  block->rank = rank, block->n_operands = 2;
  for (int d = 0; d < rank; d++) {
    block->dims[d] = dims[d];
    block->strides[0][d] = a_strides[d];
    block->strides[1][d] = b_strides[d];
  }
  if (dims_product(dims, 0, rank) <= 0) return false;
  dims_collapse(block);
  if (block->rank == 0) block->rank = 1, block->dims[0] = 1, block->strides[0][0] = block->strides[1][0] = 0;
  return true;
}

void integer_i32_broadcast(integer_kind kind, int rank, const int64_t *dims, const int32_t *a, const int64_t *a_strides,
                           const int32_t *b, const int64_t *b_strides, int32_t *y) {
  dims_block block;
  if (prepare(&block, rank, dims, a_strides, b_strides)) broadcast_int32_t(kind, &block, a, b, y);
}

void integer_i64_broadcast(integer_kind kind, int rank, const int64_t *dims, const int64_t *a, const int64_t *a_strides,
                           const int64_t *b, const int64_t *b_strides, int64_t *y) {
  dims_block block;
  if (prepare(&block, rank, dims, a_strides, b_strides)) broadcast_int64_t(kind, &block, a, b, y);
}
