/* quantize's body, in the words of simd/. Values are clamped to the type's range less the zero point before they are
 * rounded, which gives what rounding, adding and clamping would, and keeps every conversion within int32. */
#include "kernels/quantize/quantize.h"
#include "kernels/simd/upto.h"

#include <string.h>

/* VF_LANES bytes, or the first `count` of them, as int32. */
VF_WORD vi bytes_load(const void *p, int64_t count, bool is_signed) {
  uint8_t t[VF_LANES] = {0};
  if (count < VF_LANES) {
    memcpy(t, p, (size_t)count);
    p = t;
  }
  return is_signed ? vi_load_i8(p) : vi_load_u8(p);
}
VF_WORD void bytes_store(void *p, vi v, int64_t count) {
  uint8_t t[VF_LANES];
  if (count >= VF_LANES) {
    vi_store_8(p, v);
    return;
  }
  vi_store_8(t, v);
  memcpy(p, t, (size_t)count);
}
VF_WORD vi ints_load(const int32_t *p, int64_t count) {
  int32_t t[VF_LANES] = {0};
  if (count >= VF_LANES) return vi_load(p);
  memcpy(t, p, (size_t)count * sizeof *t);
  return vi_load(t);
}

VF_WORD vi narrow(vf v, vi zero_point, bool is_signed) {
  const vf zero = vf_from_vi(zero_point);
  v = vf_select(vf_unordered(v, v), vf_zero(), v);
  v = vf_max(vf_sub(vf_set1(is_signed ? -128 : 0), zero), v);
  v = vf_min(vf_sub(vf_set1(is_signed ? 127 : 255), zero), v);
  return vi_add(vi_round(v), zero_point);
}

VF_WORD void run_quantize(const float *x, void *y, int64_t n, float scale_, int32_t zero, bool is_signed) {
  const vf scale = vf_set1(scale_);
  const vi zero_point = vi_set1(zero);
  for (int64_t i = 0; i < n; i += VF_LANES)
    bytes_store((uint8_t *)y + i, narrow(vf_div(vf_load_upto(x + i, n - i), scale), zero_point, is_signed), n - i);
}

VF_WORD void run_dequantize(const void *x, float *y, int64_t n, float scale_, int32_t zero, bool is_signed) {
  const vf scale = vf_set1(scale_);
  const vi zero_point = vi_set1(zero);
  for (int64_t i = 0; i < n; i += VF_LANES) {
    vi q = bytes_load((const uint8_t *)x + i, n - i, is_signed);
    vf v = vf_mul(vf_from_vi(vi_sub(q, zero_point)), scale);
    vf_store_upto(y + i, v, n - i);
  }
}

VF_WORD vi zeros_load(const void *zero_point, int64_t i, int64_t count, bool is_signed) {
  return zero_point ? bytes_load((const uint8_t *)zero_point + i, count, is_signed) : vi_set1(0);
}

VF_WORD void run_quantize_columns(const float *x, void *y, int64_t rows, int64_t c, const float *scale,
                                  const void *zero_point, bool is_signed) {
  uint8_t *to = y;
  for (int64_t r = 0; r < rows; r++, x += c, to += c)
    for (int64_t i = 0; i < c; i += VF_LANES) {
      vf v = vf_div(vf_load_upto(x + i, c - i), vf_load_upto(scale + i, c - i));
      bytes_store(to + i, narrow(v, zeros_load(zero_point, i, c - i, is_signed), is_signed), c - i);
    }
}

VF_WORD void run_dequantize_columns(const void *x, float *y, int64_t rows, int64_t c, const float *scale,
                                    const void *zero_point, bool is_signed) {
  const uint8_t *from = x;
  for (int64_t r = 0; r < rows; r++, from += c, y += c)
    for (int64_t i = 0; i < c; i += VF_LANES) {
      vi q = vi_sub(bytes_load(from + i, c - i, is_signed), zeros_load(zero_point, i, c - i, is_signed));
      vf v = vf_mul(vf_from_vi(q), vf_load_upto(scale + i, c - i));
      vf_store_upto(y + i, v, c - i);
    }
}

VF_WORD void run_requantize(const int32_t *acc, int64_t acc_row, uint8_t *y, int64_t y_row, int64_t rows, int64_t c,
                            const int32_t *bias, const float *multiplier, int32_t zero, bool is_signed) {
  const vi zero_point = vi_set1(zero);
  for (int64_t r = 0; r < rows; r++, acc += acc_row, y += y_row)
    for (int64_t j = 0; j < c; j += VF_LANES) {
      vi sum = ints_load(acc + j, c - j);
      if (bias) sum = vi_add(sum, ints_load(bias + j, c - j));
      vf v = vf_mul(vf_from_vi(sum), vf_load_upto(multiplier + j, c - j));
      bytes_store(y + j, narrow(v, zero_point, is_signed), c - j);
    }
}

static void quantize(const float *x, void *y, int64_t n, float scale, int32_t zero_point, bool is_signed) {
  if (is_signed)
    run_quantize(x, y, n, scale, zero_point, true);
  else
    run_quantize(x, y, n, scale, zero_point, false);
}
static void dequantize(const void *x, float *y, int64_t n, float scale, int32_t zero_point, bool is_signed) {
  if (is_signed)
    run_dequantize(x, y, n, scale, zero_point, true);
  else
    run_dequantize(x, y, n, scale, zero_point, false);
}
static void quantize_columns(const float *x, void *y, int64_t rows, int64_t c, const float *scale,
                             const void *zero_point, bool is_signed) {
  if (is_signed)
    run_quantize_columns(x, y, rows, c, scale, zero_point, true);
  else
    run_quantize_columns(x, y, rows, c, scale, zero_point, false);
}
static void dequantize_columns(const void *x, float *y, int64_t rows, int64_t c, const float *scale,
                               const void *zero_point, bool is_signed) {
  if (is_signed)
    run_dequantize_columns(x, y, rows, c, scale, zero_point, true);
  else
    run_dequantize_columns(x, y, rows, c, scale, zero_point, false);
}
static void requantize_columns(const int32_t *acc, int64_t acc_row, void *y, int64_t y_row, int64_t rows, int64_t c,
                               const int32_t *bias, const float *multiplier, int32_t zero_point, bool is_signed) {
  if (is_signed)
    run_requantize(acc, acc_row, y, y_row, rows, c, bias, multiplier, zero_point, true);
  else
    run_requantize(acc, acc_row, y, y_row, rows, c, bias, multiplier, zero_point, false);
}

/* NaN is passed over. */
static void range(const float *x, int64_t n, float *ret_lo, float *ret_hi) {
  vf lo = vf_zero(), hi = vf_zero();
  for (int64_t i = 0; i < n; i += VF_LANES) {
    vf v = vf_load_upto(x + i, n - i); /* lanes past the end are 0, which belongs to the range */
    v = vf_select(vf_unordered(v, v), vf_zero(), v);
    lo = vf_min(lo, v);
    hi = vf_max(hi, v);
  }
  *ret_lo = vf_hmin(lo), *ret_hi = vf_hmax(hi);
}

const quantize_kernels VF_NAME(quantize);
const quantize_kernels VF_NAME(quantize) = {quantize,           dequantize,         quantize_columns,
                                            dequantize_columns, requantize_columns, range};
