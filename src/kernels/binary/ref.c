/* binary's oracle: element by element. */
#include "kernels/binary/binary.h"

#include <math.h>

static float ref(binary_kind kind, float a, float b) {
  switch (kind) {
    case BINARY_ADD: return a + b;
    case BINARY_SUB: return a - b;
    case BINARY_MUL: return a * b;
    case BINARY_DIV: return a / b;
    case BINARY_MAX: return isnan(a) ? a : isnan(b) ? b : a > b ? a : b;
    case BINARY_MIN: return isnan(a) ? a : isnan(b) ? b : a < b ? a : b;
    case BINARY_POW: return powf(a, b);
    case BINARY_PRELU: return a < 0 ? a * b : a;
    case BINARY_KIND_COUNT: break;
  }
  return NAN;
}

static void ref_f32_2d(const binary_op *op, int64_t rows, int64_t cols, binary_operand a, binary_operand b, float *y,
                       int64_t y_row) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) {
      float v = ref(op->kind, a.data[i * a.row + j * a.col], b.data[i * b.row + j * b.col]);
      if (op->clamp && v < op->lo) v = op->lo;
      if (op->clamp && v > op->hi) v = op->hi;
      y[i * y_row + j] = v;
    }
}

const binary_kernels binary__ref = {.f32_2d = ref_f32_2d};
