/* ops/ml_forest: decision trees of ai.onnx.ml, as the attributes of its three operators describe them, in one flat
 * form:
 *
 *   branches   feature, threshold, comparison, the two children     a child >= 0 is a branch, < 0 the leaf ~child
 *   leaves     a range of votes each                                leaf_start[leaf] .. leaf_start[leaf + 1]
 *   votes      target and weight
 *   roots      one a tree, a branch or a leaf as above
 *
 * Every reference is checked while it is built, and so is that no walk goes round in a circle: a walk then checks
 * nothing. */
#ifndef OPS_ML_FOREST_H
#define OPS_ML_FOREST_H

#include "ops/ml_util.h"

typedef enum tree_mode { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ, TREE_MEMBER, TREE_LEAF } tree_mode;
typedef enum tree_aggregate { TREE_AVERAGE, TREE_SUM, TREE_MIN, TREE_MAX } tree_aggregate;

typedef struct tree_branch {
  double threshold;
  int32_t feature, child[2]; /* child[0] where the answer is yes */
  int32_t members;           /* TREE_MEMBER: the first of its set in forest.members */
  uint8_t mode;
  bool missing_yes; /* where a NaN goes */
} tree_branch;

typedef struct tree_vote {
  int64_t target;
  double weight;
} tree_vote;

typedef struct forest {
  tree_branch *branches;
  int64_t n_branches, *leaf_start, n_leaves, n_targets, n_roots;
  tree_vote *votes;
  int32_t *roots;
  double *members; /* sets, each ended by a NaN */
  int64_t n_members;
  tree_aggregate aggregate;
  bool all_leq; /* every branch asks "at most?", without a way of its own for NaN: the usual case */
} forest;

enum { FOREST_ROWS = 32 }; /* that are walked at once, so that each tree is fetched once for all of them */

/* Builds what the node c->node says (TreeEnsemble, TreeEnsembleRegressor, TreeEnsembleClassifier) for rows of
 * `features` numbers and votes for n_targets targets, in memory of the arena. *f is zero. Errors: FORMAT, SHAPE (a
 * feature that a row lacks), LIMIT, MEMORY. */
ledge_status forest_build(op_ctx *c, arena *a, int64_t features, int64_t n_targets, forest *f);
/* Aggregates the votes of n <= FOREST_ROWS rows, x[n][features]: into scores[n][stride] and heard[n][n_targets]
 * (whether a target had a vote at all; its score is else 0). */
void forest_rows_f32(const forest *f, const float *x, int64_t n, int64_t features, double *scores, int64_t stride,
                     bool *heard);
void forest_rows_f64(const forest *f, const double *x, int64_t n, int64_t features, double *scores, int64_t stride,
                     bool *heard);

/* Numbers from an attribute of floats, or (from version 3 on) from the tensor name_as_tensor. */
typedef struct number_list {
  const float *floats;
  const tensor *numbers;
  int64_t n;
} number_list;
ledge_status numbers_read(op_ctx *c, const char *name, const char *name_as_tensor, number_list *ret);
static inline double number_at(const number_list *l, int64_t i) {
  return l->numbers ? tensor_f64(l->numbers, i) : l->floats[i];
}

#endif
