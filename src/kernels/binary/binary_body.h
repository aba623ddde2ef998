/* binary's body: a loop for each function and each pair of column strides, in the words of simd/. */
#include "kernels/binary/binary.h"

#include <math.h>

/* One row: va and vb are vectors of its elements, or one value throughout where A or B is 0. */
#define BINARY_ROW(A, B, expression)                                   \
  do {                                                                 \
    int64_t i = 0;                                                     \
    vf va = A ? vf_zero() : vf_set1(*pa);                              \
    vf vb = B ? vf_zero() : vf_set1(*pb);                              \
    for (; i + VF_LANES <= cols; i += VF_LANES) {                      \
      if (A) va = vf_load(pa + i);                                     \
      if (B) vb = vf_load(pb + i);                                     \
      vf_store(py + i, vf_min(hi, vf_max(lo, expression)));            \
    }                                                                  \
    if (i < cols) {                                                    \
      if (A) va = vf_loadn(pa + i, cols - i);                          \
      if (B) vb = vf_loadn(pb + i, cols - i);                          \
      vf_storen(py + i, vf_min(hi, vf_max(lo, expression)), cols - i); \
    }                                                                  \
  } while (0)

#define BINARY_ROWS(expression)           \
  for (int64_t r = 0; r < rows; r++) {    \
    const float *pa = a.data + r * a.row; \
    const float *pb = b.data + r * b.row; \
    float *py = y + r * y_row;            \
    if (a.col && b.col)                   \
      BINARY_ROW(1, 1, expression);       \
    else if (a.col)                       \
      BINARY_ROW(1, 0, expression);       \
    else if (b.col)                       \
      BINARY_ROW(0, 1, expression);       \
    else                                  \
      BINARY_ROW(0, 0, expression);       \
  }                                       \
  break

/* The root of -0 is 0 and that of -infinity infinite, as pow has it. */
VF_WORD vf pow_root(vf a) {
  const vf infinity = vf_set1(INFINITY);
  return vf_select(vf_eq(a, vf_neg(infinity)), infinity, vf_sqrt(vf_add(a, vf_zero())));
}

/* A row to the power of one exponent; by libm where the exponent is not one of the simple ones. */
static void pow_row(int64_t cols, const float *pa, const float *pb, float lo_, float hi_, float *py) {
  const vf lo = vf_set1(lo_), hi = vf_set1(hi_);
  if (*pb == 2.0f)
    BINARY_ROW(1, 0, ((void)vb, vf_mul(va, va)));
  else if (*pb == 3.0f)
    BINARY_ROW(1, 0, ((void)vb, vf_mul(vf_mul(va, va), va)));
  else if (*pb == 0.5f)
    BINARY_ROW(1, 0, ((void)vb, pow_root(va)));
  else if (*pb == -0.5f)
    BINARY_ROW(1, 0, ((void)vb, vf_div(vf_set1(1.0f), pow_root(va))));
  else if (*pb == -1.0f)
    BINARY_ROW(1, 0, ((void)vb, vf_div(vf_set1(1.0f), va)));
  else if (*pb == 1.0f)
    BINARY_ROW(1, 0, ((void)vb, va));
  else
    for (int64_t i = 0; i < cols; i++) {
      float v = powf(pa[i], *pb);
      v = v < lo_ ? lo_ : v;
      py[i] = v > hi_ ? hi_ : v;
    }
}

static void pow_rows(int64_t rows, int64_t cols, binary_operand a, binary_operand b, float lo, float hi, float *y,
                     int64_t y_row) {
  for (int64_t r = 0; r < rows; r++) {
    const float *pa = a.data + r * a.row, *pb = b.data + r * b.row;
    float *py = y + r * y_row;
    if (a.col && !b.col) {
      pow_row(cols, pa, pb, lo, hi, py);
      continue;
    }
    for (int64_t i = 0; i < cols; i++) {
      float v = powf(pa[i * a.col], pb[i * b.col]);
      v = v < lo ? lo : v;
      py[i] = v > hi ? hi : v;
    }
  }
}

static void run_f32_2d(const binary_op *op, int64_t rows, int64_t cols, binary_operand a, binary_operand b, float *y,
                       int64_t y_row) {
  const float lo_ = op->clamp ? op->lo : -INFINITY, hi_ = op->clamp ? op->hi : INFINITY;
  const vf lo = vf_set1(lo_), hi = vf_set1(hi_);
  switch (op->kind) {
    case BINARY_ADD: BINARY_ROWS(vf_add(va, vb));
    case BINARY_SUB: BINARY_ROWS(vf_sub(va, vb));
    case BINARY_MUL: BINARY_ROWS(vf_mul(va, vb));
    case BINARY_DIV: BINARY_ROWS(vf_div(va, vb));
    case BINARY_MAX: BINARY_ROWS(vf_max_nan(va, vb));
    case BINARY_MIN: BINARY_ROWS(vf_min_nan(va, vb));
    case BINARY_PRELU: BINARY_ROWS(vf_select(vf_lt(va, vf_zero()), vf_mul(va, vb), va));
    case BINARY_POW: pow_rows(rows, cols, a, b, lo_, hi_, y, y_row); break;
    case BINARY_KIND_COUNT: break;
  }
}

const binary_kernels VF_NAME(binary);
const binary_kernels VF_NAME(binary) = {.f32_2d = run_f32_2d};
