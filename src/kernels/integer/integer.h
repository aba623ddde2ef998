/* kernels/integer: elementwise arithmetic of int32 and int64, for the index arithmetic inside models: portable C, with
 * broadcasting. Sums and products wrap; a division by zero gives 0 and the least number over -1 gives itself, so that
 * no input traps.
 * Aliasing: y may be a or b exactly where that operand is not broadcast. */
#ifndef KERNELS_INTEGER_H
#define KERNELS_INTEGER_H

#include <stdint.h>

typedef enum integer_kind {
  INTEGER_ADD,
  INTEGER_SUB,
  INTEGER_MUL,
  INTEGER_DIV,  /* the quotient cut toward zero */
  INTEGER_MOD,  /* the sign of the divisor (Python, ONNX fmod = 0) */
  INTEGER_FMOD, /* the sign of the dividend (C, ONNX fmod = 1) */
  INTEGER_MAX,
  INTEGER_MIN,
  INTEGER_AND,
  INTEGER_OR,
  INTEGER_XOR,
  INTEGER_KIND_COUNT,
} integer_kind;

/* y, contiguous of shape dims[rank], from operands of any strides (in elements; 0 where broadcast). rank <= 16. */
void integer_i32_broadcast(integer_kind kind, int rank, const int64_t *dims, const int32_t *a, const int64_t *a_strides,
                           const int32_t *b, const int64_t *b_strides, int32_t *y);
void integer_i64_broadcast(integer_kind kind, int rank, const int64_t *dims, const int64_t *a, const int64_t *a_strides,
                           const int64_t *b, const int64_t *b_strides, int64_t *y);

#endif
