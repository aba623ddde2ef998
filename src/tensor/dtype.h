/* tensor/dtype: sizes and conversions of the data types. dtype.def is the table; names follow ONNX. */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include "ledge/types.h"

#include <string.h>

typedef enum dtype_kind {
  DTYPE_KIND_NONE,
  DTYPE_KIND_FLOAT,
  DTYPE_KIND_INT,
  DTYPE_KIND_UINT,
  DTYPE_KIND_BOOL,
  DTYPE_KIND_COMPLEX,
  DTYPE_KIND_STRING,
} dtype_kind;

dtype_kind dtype_kind_of(ledge_dtype d);
bool dtype_is_valid(int64_t number);
static inline bool dtype_is_float(ledge_dtype d) { return dtype_kind_of(d) == DTYPE_KIND_FLOAT; }
static inline bool dtype_is_integer(ledge_dtype d) {
  return dtype_kind_of(d) == DTYPE_KIND_INT || dtype_kind_of(d) == DTYPE_KIND_UINT;
}
/* Bytes of a whole element; 0 for the packed 4- and 2-bit types. */
size_t dtype_bytes(ledge_dtype d);
/* Bytes of n elements; false when n < 0 or they are more than an object can have (PTRDIFF_MAX). */
bool dtype_array_bytes(ledge_dtype d, int64_t n, size_t *bytes);

/* Single conversions, exact where exact is possible, else round to nearest, ties to even (IEEE 754; bfloat16; OCP 8-bit
 * and 4-bit floats, https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf and ONNX's
 * docs/docsgen/source/technical/float8.md). `saturate` bounds what is out of range, else it becomes the format's
 * infinity or NaN. */
float dtype_f16_to_f32(uint16_t h);
uint16_t dtype_f32_to_f16(float f);
uint16_t dtype_f64_to_f16(double f); /* from f64: one rounding */
uint16_t dtype_f64_to_bf16(double f);
static inline float dtype_bf16_to_f32(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}
uint16_t dtype_f32_to_bf16(float f);
/* 8-bit and 4-bit floats: `d` is one of F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0 (rounded up), F4E2M1 (always
 * bounded). */
float dtype_small_to_f32(ledge_dtype d, uint8_t bits);
uint8_t dtype_f32_to_small(ledge_dtype d, float f, bool saturate);
uint8_t dtype_f64_to_small(ledge_dtype d, double f, bool saturate);
/* How a number becomes a power of two (F8E8M0; the round_mode of ONNX's Cast from opset 24 on). */
typedef enum dtype_round {
  DTYPE_ROUND_UP,      /* the least power of two that is not smaller */
  DTYPE_ROUND_DOWN,    /* the largest that is not larger */
  DTYPE_ROUND_NEAREST, /* the nearer on a linear scale; 1.5 times a power goes up */
} dtype_round;
/* Rounds |f|, then bounds it to [2^-127, 2^127] or, without `saturate`, makes NaN of what is outside (so of 0 and
 * infinity). NaN stays NaN. ONNX's tables give exactly this for up with saturate and nearest without; the sign, which
 * they leave open, is ignored as in ONNX's reference. */
uint8_t dtype_f32_to_e8m0(float f, dtype_round round, bool saturate);

/* Element i of an array of any real dtype as double / int64 (the fraction cut, BOOL as 0 or 1), and back. Packed types
 * included. Slow by design: for references and odd types. Complex: the real part; strings: not allowed. */
double dtype_load_f64(ledge_dtype d, const void *data, int64_t i);
int64_t dtype_load_i64(ledge_dtype d, const void *data, int64_t i);
void dtype_store_f64(ledge_dtype d, void *data, int64_t i, double v);  /* saturates integers, NaN -> 0 */
void dtype_store_i64(ledge_dtype d, void *data, int64_t i, int64_t v); /* integers wrap */

/* Arrays at once: n elements of any real dtype to f32 (one rounding) and back (as dtype_store_f64). */
void dtype_to_f32(ledge_dtype d, const void *src, float *dst, int64_t n);
void dtype_from_f32(ledge_dtype d, const float *src, void *dst, int64_t n);

#endif
