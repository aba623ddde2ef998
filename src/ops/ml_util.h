/* ops/ml_util: what the models of ai.onnx.ml share: rows of features, class labels, the transforms of scores. */
#ifndef OPS_ML_UTIL_H
#define OPS_ML_UTIL_H

#include "ops/move_util.h"

typedef enum ml_post { ML_NONE, ML_SOFTMAX, ML_LOGISTIC, ML_SOFTMAX_ZERO, ML_PROBIT } ml_post;

/* The attribute post_transform, a string (NONE where it is left out). */
ledge_status ml_post_read(op_ctx *c, ml_post *ret);
/* Transforms n scores in place. PROBIT uses the closed form of S. Winitzki, "A handy approximation for the error
 * function and its inverse" (2008), as ONNX's reference does. */
void ml_post_apply(ml_post post, double *scores, int64_t n);
double ml_logistic(double v);

/* Input 0 as [n, features]: a vector is one row. Fails unless its dtype is f32, f64, i32 or i64 and its rank 1 or 2. */
ledge_status ml_rows(op_ctx *c, int64_t *n, int64_t *features);
/* Row r of x, [n, features], as doubles. */
void ml_row(const tensor *x, int64_t r, int64_t features, double *dst);

/* Class labels: strings or integers. */
typedef struct ml_labels {
  const int64_t *ints;
  const ledge_string *strings;
  int64_t n;
} ml_labels;

/* From two attributes, of which at most one may have entries. */
ledge_status ml_labels_read(op_ctx *c, const char *ints, const char *strings, ml_labels *ret);
static inline ledge_dtype ml_labels_dtype(const ml_labels *l) { return l->strings ? LEDGE_STRING : LEDGE_I64; }
/* y[i] = label k; where k is none of theirs, the number k itself (as text, for strings). y may be NULL. */
ledge_status ml_labels_put(op_ctx *c, const ml_labels *l, int64_t k, tensor *y, int64_t i);

#endif
