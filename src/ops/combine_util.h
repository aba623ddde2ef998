/* ops/combine_util: dst = f(dst, src) on contiguous elements of any type that f is defined for: the reductions of the
 * scatter operators, the sums of Col2Im. */
#ifndef OPS_COMBINE_UTIL_H
#define OPS_COMBINE_UTIL_H

#include "ops/op.h"

typedef enum combine_kind { COMBINE_ADD, COMBINE_MUL, COMBINE_MAX, COMBINE_MIN } combine_kind;

/* dst[di + k] = f(dst[di + k], src[si + k]) for k < n. Integers wrap; max and min keep a NaN; of booleans, add and max
 * are "or", mul and min are "and". float16 and bfloat16 are computed in float. */
typedef void (*combine_fn)(void *dst, int64_t di, const void *src, int64_t si, int64_t n);

/* NULL where f is not defined for the dtype (strings; max and min of complex numbers; types below 16 bits but i8, u8
 * and bool). */
combine_fn combine_of(ledge_dtype dtype, combine_kind kind);

#endif
