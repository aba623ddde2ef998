/* ops/combine_util: see combine_util.h. */
#include "ops/combine_util.h"

#define LOOP(name, type, expression)                                                \
  static void name(void *dst, int64_t di, const void *src, int64_t si, int64_t n) { \
    type *d = (type *)dst + di;                                                     \
    const type *s = (const type *)src + si;                                         \
    for (int64_t k = 0; k < n; k++) {                                               \
      type a = d[k], b = s[k];                                                      \
      d[k] = (type)(expression);                                                    \
    }                                                                               \
  }

/* Through 64-bit unsigned arithmetic, which wraps without overflowing. */
#define INTEGER(name, type)                         \
  LOOP(add_##name, type, (uint64_t)a + (uint64_t)b) \
  LOOP(mul_##name, type, (uint64_t)a *(uint64_t)b)  \
  LOOP(max_##name, type, a > b ? a : b)             \
  LOOP(min_##name, type, a < b ? a : b)
INTEGER(i8, int8_t)
INTEGER(u8, uint8_t)
INTEGER(i16, int16_t)
INTEGER(u16, uint16_t)
INTEGER(i32, int32_t)
INTEGER(u32, uint32_t)
INTEGER(i64, int64_t)
INTEGER(u64, uint64_t)

LOOP(add_bool, uint8_t, (a | b) != 0)
LOOP(mul_bool, uint8_t, a &&b)

#define FLOATING(name, type)                      \
  LOOP(add_##name, type, a + b)                   \
  LOOP(mul_##name, type, a *b)                    \
  LOOP(max_##name, type, a > b || a != a ? a : b) \
  LOOP(min_##name, type, a < b || a != a ? a : b)
FLOATING(f32, float)
FLOATING(f64, double)

/* Halves: widen, compute, round once. */
#define HALF(name, widen, narrow, expression)                                       \
  static void name(void *dst, int64_t di, const void *src, int64_t si, int64_t n) { \
    uint16_t *d = (uint16_t *)dst + di;                                             \
    const uint16_t *s = (const uint16_t *)src + si;                                 \
    for (int64_t k = 0; k < n; k++) {                                               \
      float a = widen(d[k]), b = widen(s[k]);                                       \
      d[k] = narrow(expression);                                                    \
    }                                                                               \
  }
#define HALVES(name, widen, narrow)                        \
  HALF(add_##name, widen, narrow, a + b)                   \
  HALF(mul_##name, widen, narrow, a *b)                    \
  HALF(max_##name, widen, narrow, a > b || a != a ? a : b) \
  HALF(min_##name, widen, narrow, a < b || a != a ? a : b)
HALVES(f16, dtype_f16_to_f32, dtype_f32_to_f16)
HALVES(bf16, dtype_bf16_to_f32, dtype_f32_to_bf16)

#define COMPLEX(name, type)                                                                \
  static void add_##name(void *dst, int64_t di, const void *src, int64_t si, int64_t n) {  \
    type *d = (type *)dst + 2 * di;                                                        \
    const type *s = (const type *)src + 2 * si;                                            \
    for (int64_t k = 0; k < 2 * n; k++) d[k] += s[k];                                      \
  }                                                                                        \
  static void mul_##name(void *dst, int64_t di, const void *src, int64_t si, int64_t n) {  \
    type *d = (type *)dst + 2 * di;                                                        \
    const type *s = (const type *)src + 2 * si;                                            \
    for (int64_t k = 0; k < 2 * n; k += 2) {                                               \
      type re = d[k] * s[k] - d[k + 1] * s[k + 1], im = d[k] * s[k + 1] + d[k + 1] * s[k]; \
      d[k] = re, d[k + 1] = im;                                                            \
    }                                                                                      \
  }
COMPLEX(c64, float)
COMPLEX(c128, double)

combine_fn combine_of(ledge_dtype dtype, combine_kind kind) {
#define ROW(name) \
  { add_##name, mul_##name, max_##name, min_##name }
  static const combine_fn table[LEDGE_DTYPE_COUNT][4] = {
      [LEDGE_I8] = ROW(i8),
      [LEDGE_U8] = ROW(u8),
      [LEDGE_I16] = ROW(i16),
      [LEDGE_U16] = ROW(u16),
      [LEDGE_I32] = ROW(i32),
      [LEDGE_U32] = ROW(u32),
      [LEDGE_I64] = ROW(i64),
      [LEDGE_U64] = ROW(u64),
      [LEDGE_F16] = ROW(f16),
      [LEDGE_BF16] = ROW(bf16),
      [LEDGE_F32] = ROW(f32),
      [LEDGE_F64] = ROW(f64),
      [LEDGE_BOOL] = {add_bool, mul_bool, add_bool, mul_bool},
      [LEDGE_C64] = {add_c64, mul_c64, NULL, NULL},
      [LEDGE_C128] = {add_c128, mul_c128, NULL, NULL},
  };
#undef ROW
  return dtype_is_valid(dtype) ? table[dtype][kind] : NULL;
}
