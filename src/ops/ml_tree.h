/* ops/ml_tree: models of trees that are built ahead of their runs. */
#ifndef OPS_ML_TREE_H
#define OPS_ML_TREE_H

#include "ops/op.h"

typedef struct tree_model tree_model;

/* Builds what the node (a TreeEnsemble, TreeEnsembleRegressor or TreeEnsembleClassifier) says for an input of this
 * shape, in memory of the arena. The operator's run takes it as c->kernel, with c->scratch of ml_tree_scratch_bytes. */
ledge_status ml_tree_build(op_ctx *c, arena *a, tree_model **ret);
size_t ml_tree_scratch_bytes(const tree_model *m, const op_ctx *c, int threads);

#endif
