/* kernels/quantize: 8-bit numbers and what they stand for: real = (q - zero_point) * scale.
 *
 * Shapes are [outer, channels, inner] with a scale and zero point a channel; per-tensor is channels = 1. Quantising
 * divides by the scale in float32, rounds ties to even, adds the zero point and saturates; NaN becomes the type's
 * value for zero. u8 is the element type where `is_signed` is false, else i8; zero points are of the same type, and
 * NULL means zeros.
 * Aliasing: none allowed. */
#ifndef KERNELS_QUANTIZE_H
#define KERNELS_QUANTIZE_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef struct quantize_kernels {
  /* n elements of one scale. */
  void (*quantize)(const float *x, void *y, int64_t n, float scale, int32_t zero_point, bool is_signed);
  void (*dequantize)(const void *x, float *y, int64_t n, float scale, int32_t zero_point, bool is_signed);
  /* rows of c elements, a scale a column. */
  void (*quantize_columns)(const float *x, void *y, int64_t rows, int64_t c, const float *scale, const void *zero_point,
                           bool is_signed);
  void (*dequantize_columns)(const void *x, float *y, int64_t rows, int64_t c, const float *scale,
                             const void *zero_point, bool is_signed);
  /* y[i, j] = saturate(round((acc[i, j] + bias[j]) * multiplier[j]) + zero_point) */
  void (*requantize_columns)(const int32_t *acc, int64_t acc_row, void *y, int64_t y_row, int64_t rows, int64_t c,
                             const int32_t *bias, const float *multiplier, int32_t zero_point, bool is_signed);
  /* The least and largest element, 0 included. */
  void (*range)(const float *x, int64_t n, float *lo, float *hi);
} quantize_kernels;
KERNEL_VARIANTS_DECLARE(quantize);
extern const quantize_kernels quantize__ref;

void quantize_f32(const float *x, void *y, int64_t outer, int64_t channels, int64_t inner, const float *scale,
                  const void *zero_point, bool is_signed, pool *p);
void quantize_dequantize_f32(const void *x, float *y, int64_t outer, int64_t channels, int64_t inner,
                             const float *scale, const void *zero_point, bool is_signed, pool *p);
/* int32 sums to 8 bits: y[i, j] = saturate(round((acc[i, j] + bias[j]) * multiplier[j]) + zero_point) over rows x c;
 * bias may be NULL; the product is one float32 rounding of the exact int32 sum converted to float32. */
void quantize_requantize(const int32_t *acc, int64_t acc_row, void *y, int64_t y_row, int64_t rows, int64_t c,
                         const int32_t *bias, const float *multiplier, int32_t zero_point, bool is_signed, pool *p);
/* ONNX's DynamicQuantizeLinear to u8. */
void quantize_dynamic_u8(const float *x, uint8_t *y, int64_t n, float *ret_scale, uint8_t *ret_zero_point, pool *p);

#endif
