/* ops/cast: converting arrays between dtypes, with the rules of ONNX's Cast; Cast, CastLike and others use it. */
#ifndef OPS_CAST_H
#define OPS_CAST_H

#include "ops/op.h"

typedef enum cast_round { CAST_UP, CAST_DOWN, CAST_NEAREST } cast_round;

typedef struct cast_options {
  bool wrap_specials; /* the 8-bit floats: what is out of range becomes infinity or NaN instead of the largest value */
  cast_round round;   /* of f8e8m0 */
} cast_options;

/* n elements of src (floats, doubles) become elements at..at+n of an array of any real dtype. Integers: the fraction is
 * cut, NaN gives 0; types of 32 and 64 bits saturate, narrower ones keep the low bits. */
void cast_store_f32(const cast_options *o, ledge_dtype d, void *p, int64_t at, int64_t n, const float *src);
void cast_store_f64(const cast_options *o, ledge_dtype d, void *p, int64_t at, int64_t n, const double *src);

/* Clears the bits behind the last element of a packed array, before its last chunk (of whole bytes) is stored. */
void cast_clear_tail(tensor *t);

#endif
