/* ops/pad: what Pad puts about its input, for the reference and the backends. */
#ifndef OPS_PAD_H
#define OPS_PAD_H

#include "ops/op.h"

typedef struct pad_plan {
  int64_t before[LEDGE_MAX_RANK], after[LEDGE_MAX_RANK], dims[LEDGE_MAX_RANK];
  enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } mode;
} pad_plan;

/* Reads the attributes and inputs of Pad, of any version, whose contents must be known. */
ledge_status pad_plan_make(op_ctx *c, pad_plan *p);

#endif
