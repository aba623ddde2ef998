/* ops/real: the reference arithmetic of the real-valued operators: every float type is widened to double, computed, and
 * rounded once at the end. Slow, and right for float16, bfloat16, float32 and float64 alike. */
#ifndef OPS_REAL_H
#define OPS_REAL_H

#include "ops/op.h"

/* The elements of input i as doubles: scratch for op_scratch_free; NULL + error set when out of memory. An absent
 * input: NULL without an error (test op_in first). */
double *real_load(op_ctx *c, const tensor *t);
/* A zeroed scratch of n doubles. */
static inline double *real_scratch(op_ctx *c, int64_t n) {
  return op_scratch(c, (size_t)(n > 0 ? n : 0), sizeof(double));
}
/* Rounds n doubles into output tensor t. */
void real_store(const double *v, tensor *t);
/* Fails unless t is of a float type; with `integers` also integers. */
ledge_status real_check(op_ctx *c, int input, bool integers);

#endif
