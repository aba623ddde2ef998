/* ops/ml_encode: tables of LabelEncoder and CategoryMapper that are built ahead of their runs. */
#ifndef OPS_ML_ENCODE_H
#define OPS_ML_ENCODE_H

#include "ops/op.h"

typedef struct encoder encoder;

/* Builds what the node (a LabelEncoder or CategoryMapper) says for an input of this dtype, in memory of the arena. The
 * operator's run takes it as c->kernel. */
ledge_status ml_encoder_build(op_ctx *c, arena *a, encoder **ret);

#endif
