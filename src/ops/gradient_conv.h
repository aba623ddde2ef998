/* ops/gradient_conv: what the gradients of convolutions read from their node: for the reference and the kernels. */
#ifndef OPS_GRADIENT_CONV_H
#define OPS_GRADIENT_CONV_H

#include "ops/window.h"

/* What is computed from the other two: see gradient_conv.c. */
typedef enum conv_role { CONV_CORRELATE, CONV_SPREAD, CONV_MATCH } conv_role;

typedef struct conv_grad {
  window w; /* of the operator: in and out are its x's and y's sizes */
  conv_role role;
  bool transposed;       /* of ConvTranspose: its x is the small side */
  int64_t batch, groups; /* w is [small, large / groups, kernel...] */
  int64_t small, large;  /* channels of the side of the windows' positions, and of what is under them */
  int64_t small_dims[WINDOW_MAX], large_dims[WINDOW_MAX];
  int64_t small_span, large_span, kernel_span;
} conv_grad;

/* Of Conv and ConvTranspose themselves too. Errors: SHAPE; OP_UNKNOWN where the shape (input 2 of the gradients) is not
 * known yet. */
ledge_status conv_grad_read(op_ctx *c, conv_grad *s);

#endif
