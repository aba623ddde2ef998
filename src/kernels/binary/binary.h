/* kernels/binary: elementwise functions of two float32 arrays, with broadcasting.
 *
 * Every case comes down to one two-dimensional form, in which each operand steps by any stride from row to row and by 0
 * or 1 from column to column:
 *
 *   same shape     rows = 1                      scalar             col = 0, row = 0
 *   row vector     row = 0, col = 1  (a bias)    column of scalars  row = 1, col = 0  (a channel's scale)
 *
 * binary_f32_broadcast collapses any shapes to that form. NaN in either operand passes through MAX and MIN, as numpy
 * has it. A clamp, where asked, is min(max(y, lo), hi) on the result; NaN stays.
 * Aliasing: y may be a or b exactly where that operand is not broadcast; any other overlap is not allowed. */
#ifndef KERNELS_BINARY_H
#define KERNELS_BINARY_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef enum binary_kind {
  BINARY_ADD,
  BINARY_SUB,
  BINARY_MUL,
  BINARY_DIV,
  BINARY_MAX,
  BINARY_MIN,
  BINARY_POW,   /* libm's powf, but exact squares, square roots and reciprocals for b = 2, 0.5, -1, 1, 3 */
  BINARY_PRELU, /* a < 0 ? a b : a */
  BINARY_KIND_COUNT,
} binary_kind;

typedef struct binary_op {
  binary_kind kind;
  bool clamp; /* lo and hi count only then */
  float lo, hi;
} binary_op;

/* A two-dimensional operand: element (i, j) is data[i * row + j * col]; col is 0 or 1. */
typedef struct binary_operand {
  const float *data;
  int64_t row, col;
} binary_operand;

typedef void (*binary_f32_2d_fn)(const binary_op *op, int64_t rows, int64_t cols, binary_operand a, binary_operand b,
                                 float *y, int64_t y_row);
typedef struct binary_kernels {
  binary_f32_2d_fn f32_2d;
} binary_kernels;
KERNEL_VARIANTS_DECLARE(binary);
extern const binary_kernels binary__ref;

/* y[i, j] = op(a[i, j], b[i, j]) over rows x cols; p may be NULL. */
void binary_f32_2d(const binary_op *op, int64_t rows, int64_t cols, binary_operand a, binary_operand b, float *y,
                   int64_t y_row, pool *p);
/* y[i] = op(a[i], b[i]), n elements. */
void binary_f32(const binary_op *op, const float *a, const float *b, float *y, int64_t n, pool *p);
/* y, contiguous of shape dims[rank], from operands of any strides (in elements; 0 where broadcast). rank <= 16. */
void binary_f32_broadcast(const binary_op *op, int rank, const int64_t *dims, const float *a, const int64_t *a_strides,
                          const float *b, const int64_t *b_strides, float *y, pool *p);

#endif
