/* quantize's oracle: one element at a time. */
#include "kernels/quantize/quantize.h"

#include <math.h>

static int32_t zero_at(const void *zero_point, int64_t c, bool is_signed) {
  if (!zero_point) return 0;
  return is_signed ? ((const int8_t *)zero_point)[c] : ((const uint8_t *)zero_point)[c];
}
static void put(void *y, int64_t i, double v, int32_t zero_point, bool is_signed) {
  double lo = is_signed ? -128 : 0, hi = is_signed ? 127 : 255, q = isnan(v) ? zero_point : rint(v) + zero_point;
  int32_t k = (int32_t)(q < lo ? lo : q > hi ? hi : q);
  if (is_signed)
    ((int8_t *)y)[i] = (int8_t)k;
  else
    ((uint8_t *)y)[i] = (uint8_t)k;
}
static int32_t get(const void *x, int64_t i, bool is_signed) {
  return is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
}

static void ref_quantize(const float *x, void *y, int64_t n, float scale, int32_t zero_point, bool is_signed) {
  for (int64_t i = 0; i < n; i++) put(y, i, x[i] / scale, zero_point, is_signed);
}
static void ref_dequantize(const void *x, float *y, int64_t n, float scale, int32_t zero_point, bool is_signed) {
  for (int64_t i = 0; i < n; i++) y[i] = (float)(get(x, i, is_signed) - zero_point) * scale;
}
static void ref_quantize_columns(const float *x, void *y, int64_t rows, int64_t c, const float *scale,
                                 const void *zero_point, bool is_signed) {
  for (int64_t i = 0; i < rows * c; i++)
    put(y, i, x[i] / scale[i % c], zero_at(zero_point, i % c, is_signed), is_signed);
}
static void ref_dequantize_columns(const void *x, float *y, int64_t rows, int64_t c, const float *scale,
                                   const void *zero_point, bool is_signed) {
  for (int64_t i = 0; i < rows * c; i++)
    y[i] = (float)(get(x, i, is_signed) - zero_at(zero_point, i % c, is_signed)) * scale[i % c];
}
static void ref_requantize_columns(const int32_t *acc, int64_t acc_row, void *y, int64_t y_row, int64_t rows, int64_t c,
                                   const int32_t *bias, const float *multiplier, int32_t zero_point, bool is_signed) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < c; j++) {
      int32_t sum = (int32_t)((uint32_t)acc[i * acc_row + j] + (bias ? (uint32_t)bias[j] : 0));
      put(y, i * y_row + j, (float)sum * multiplier[j], zero_point, is_signed);
    }
}
static void ref_range(const float *x, int64_t n, float *lo, float *hi) {
  *lo = *hi = 0;
  for (int64_t i = 0; i < n; i++) {
    if (x[i] < *lo) *lo = x[i];
    if (x[i] > *hi) *hi = x[i];
  }
}

const quantize_kernels quantize__ref = {ref_quantize,           ref_dequantize,         ref_quantize_columns,
                                        ref_dequantize_columns, ref_requantize_columns, ref_range};
