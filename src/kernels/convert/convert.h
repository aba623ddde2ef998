/* kernels/convert: arrays of one number format to another: float16 and bfloat16 to float32 and back (to nearest, ties
 * to even, too large to infinity; NaN stays NaN, quiet), and the integers' common casts. The same bits as
 * tensor/dtype.h's single conversions, but for the payload of NaN.
 * Aliasing: none allowed. */
#ifndef KERNELS_CONVERT_H
#define KERNELS_CONVERT_H

#include "base/pool.h"
#include "kernels/variant.h"
#include "ledge/types.h"

typedef struct convert_kernels {
  void (*f16_to_f32)(const uint16_t *x, float *y, int64_t n);
  void (*f32_to_f16)(const float *x, uint16_t *y, int64_t n);
  void (*bf16_to_f32)(const uint16_t *x, float *y, int64_t n);
  void (*f32_to_bf16)(const float *x, uint16_t *y, int64_t n);
} convert_kernels;
KERNEL_VARIANTS_DECLARE(convert);
extern const convert_kernels convert__ref;

void convert_f16_to_f32(const uint16_t *x, float *y, int64_t n, pool *p);
void convert_f32_to_f16(const float *x, uint16_t *y, int64_t n, pool *p);
void convert_bf16_to_f32(const uint16_t *x, float *y, int64_t n, pool *p);
void convert_f32_to_bf16(const float *x, uint16_t *y, int64_t n, pool *p);
/* Integers and BOOL (U8, I8, I32, I64, BOOL) to float32, and float32 to I32, I64 (the fraction cut, out of range
 * saturates, NaN gives 0) and BOOL (not zero). True where the pair is one of these; else nothing was done. */
bool convert_int_to_f32(ledge_dtype from, const void *x, float *y, int64_t n);
bool convert_f32_to_int(const float *x, ledge_dtype to, void *y, int64_t n);

#endif
