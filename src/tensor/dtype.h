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
/* Bytes of n elements; false when that overflows or n < 0. */
bool dtype_array_bytes(ledge_dtype d, int64_t n, size_t *bytes);

/* Single conversions, exact where exact is possible, else round to nearest, ties to even (IEEE 754; bfloat16; OCP 8-bit
 * and 4-bit floats, https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf and ONNX's
 * docs/docsgen/source/technical/float8.md). `saturate` bounds what is out of range, else it becomes the format's
 * infinity or NaN. */
float dtype_f16_to_f32(uint16_t h);
uint16_t dtype_f32_to_f16(float f);
uint16_t dtype_f64_to_f16(double f); /* one rounding */
static inline float dtype_bf16_to_f32(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}
uint16_t dtype_f32_to_bf16(float f);
/* 8-bit and 4-bit floats: `d` is one of F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0, F4E2M1. */
float dtype_small_to_f32(ledge_dtype d, uint8_t bits);
uint8_t dtype_f32_to_small(ledge_dtype d, float f, bool saturate);

/* Element i of an array of any real dtype as double / int64 (the fraction cut, BOOL as 0 or 1), and back. Packed types
 * included. Slow by design: for references and odd types. Complex: the real part; strings: not allowed. */
double dtype_load_f64(ledge_dtype d, const void *data, int64_t i);
int64_t dtype_load_i64(ledge_dtype d, const void *data, int64_t i);
void dtype_store_f64(ledge_dtype d, void *data, int64_t i, double v); /* saturates integers, NaN -> 0 */
void dtype_store_i64(ledge_dtype d, void *data, int64_t i, int64_t v); /* integers wrap */

/* Arrays at once: n elements of any real dtype to f32 and back (a fast path for f16 and bf16 may come from kernels). */
void dtype_to_f32(ledge_dtype d, const void *src, float *dst, int64_t n);
void dtype_from_f32(ledge_dtype d, const float *src, void *dst, int64_t n);

#endif
