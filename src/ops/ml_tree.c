/* ops/ml_tree: ai.onnx.ml's ensembles of decision trees: TreeEnsemble (5), TreeEnsembleRegressor and
 * TreeEnsembleClassifier (1, 3; deprecated in 5).
 *
 * The attributes become one flat forest; all references are checked as it is built:
 *
 *   branches   feature, threshold, comparison, the two children     a child >= 0 is a branch, < 0 the leaf ~child
 *   leaves     a range of votes each                                 leaf_start[leaf] .. leaf_start[leaf + 1]
 *   votes      target and weight
 *   roots      one a tree, a branch or a leaf as above
 *
 * A cycle in the file cannot trap a walk: it ends with an error after as many steps as there are branches. */
#include "ops/lookup_util.h"
#include "ops/ml_util.h"

#include <float.h>
#include <math.h>

typedef enum tree_mode { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ, TREE_MEMBER, TREE_LEAF } tree_mode;

typedef struct tree_branch {
  double threshold;
  int64_t feature;
  int32_t yes, no;
  int32_t members; /* TREE_MEMBER: the first of its set in forest.members */
  uint8_t mode;
  bool missing_yes; /* where a NaN goes */
} tree_branch;

typedef struct tree_vote {
  int64_t target;
  double weight;
} tree_vote;

typedef enum tree_aggregate { TREE_AVERAGE, TREE_SUM, TREE_MIN, TREE_MAX } tree_aggregate;

typedef struct forest {
  tree_branch *branches;
  int64_t n_branches, *leaf_start, n_leaves, n_targets, n_roots;
  tree_vote *votes;
  int32_t *roots;
  double *members; /* sets, each ended by a NaN */
  int64_t n_members;
  tree_aggregate aggregate;
} forest;

enum { TREE_NODES_MAX = INT32_MAX - 1 };

static void forest_deinit(forest *f) {
  op_scratch_free(f->branches);
  op_scratch_free(f->leaf_start);
  op_scratch_free(f->votes);
  op_scratch_free(f->roots);
  op_scratch_free(f->members);
}

static bool tree_yes(const forest *f, const tree_branch *b, double v) {
  if (v != v) return b->missing_yes;
  switch ((tree_mode)b->mode) {
    case TREE_LEQ: return v <= b->threshold;
    case TREE_LT: return v < b->threshold;
    case TREE_GTE: return v >= b->threshold;
    case TREE_GT: return v > b->threshold;
    case TREE_EQ: return v == b->threshold;
    case TREE_NEQ: return v != b->threshold;
    case TREE_MEMBER:
      for (const double *m = f->members + b->members; *m == *m; m++)
        if (*m == v) return true;
      return false;
    default: return false;
  }
}

/* The leaf that a row ends in, or -1 where the walk does not end. */
static int64_t tree_walk(const forest *f, int32_t at, const double *x) {
  for (int64_t steps = 0; at >= 0; steps++) {
    if (steps > f->n_branches) return -1;
    const tree_branch *b = &f->branches[at];
    at = tree_yes(f, b, x[b->feature]) ? b->yes : b->no;
  }
  return ~at;
}

/* Sums up (or takes the least, the most, the mean of) the votes for each target. heard[target]: whether there was one.
 */
static ledge_status forest_row(op_ctx *c, const forest *f, const double *x, double *scores, bool *heard) {
  for (int64_t t = 0; t < f->n_targets; t++) scores[t] = 0, heard[t] = false;
  for (int64_t r = 0; r < f->n_roots; r++) {
    int64_t leaf = tree_walk(f, f->roots[r], x);
    if (leaf < 0) return op_fail(c, LEDGE_ERROR_FORMAT, "tree %lld has a cycle", (long long)r);
    for (int64_t i = f->leaf_start[leaf]; i < f->leaf_start[leaf + 1]; i++) {
      const tree_vote *v = &f->votes[i];
      double *s = &scores[v->target];
      if (f->aggregate == TREE_MIN)
        *s = heard[v->target] && *s < v->weight ? *s : v->weight;
      else if (f->aggregate == TREE_MAX)
        *s = heard[v->target] && *s > v->weight ? *s : v->weight;
      else
        *s += v->weight;
      heard[v->target] = true;
    }
  }
  if (f->aggregate == TREE_AVERAGE && f->n_roots)
    for (int64_t t = 0; t < f->n_targets; t++) scores[t] /= (double)f->n_roots;
  return LEDGE_OK;
}

/* ---- building: TreeEnsemble 5 ---- */

/* The lists of version 5; n branches and n_leaves leaves. */
typedef struct lists5 {
  const int64_t *features, *yes, *no, *yes_leaf, *no_leaf, *missing, *targets, *roots;
  const tensor *modes, *splits, *weights, *members;
  int64_t n, n_leaves, n_roots;
} lists5;

static ledge_status list_sized(op_ctx *c, const char *name, int64_t n, const int64_t **ret) {
  int64_t count;
  *ret = op_ints(c, name, &count);
  return count == n ? LEDGE_OK
                    : op_fail(c, LEDGE_ERROR_FORMAT, "%s has %lld entries instead of %lld", name, (long long)count,
                              (long long)n);
}

static ledge_status tensor_sized(op_ctx *c, const char *name, int64_t n, const tensor **ret) {
  *ret = op_tensor(c, name);
  int64_t have = *ret ? tensor_elements(*ret) : 0;
  if (have != n || (*ret && (*ret)->dtype == LEDGE_STRING))
    return op_fail(c, LEDGE_ERROR_FORMAT, "%s has %lld numbers instead of %lld", name, (long long)have, (long long)n);
  return LEDGE_OK;
}

static ledge_status lists5_read(op_ctx *c, lists5 *l) {
  int64_t count;
  *l = (lists5){0};
  l->features = op_ints(c, "nodes_featureids", &l->n);
  op_ints(c, "leaf_targetids", &l->n_leaves);
  l->roots = op_ints(c, "tree_roots", &l->n_roots);
  if (l->n > TREE_NODES_MAX || l->n_leaves > TREE_NODES_MAX)
    return op_fail(c, LEDGE_ERROR_LIMIT, "the trees have too many nodes");
  TRY(list_sized(c, "nodes_truenodeids", l->n, &l->yes));
  TRY(list_sized(c, "nodes_falsenodeids", l->n, &l->no));
  TRY(list_sized(c, "nodes_trueleafs", l->n, &l->yes_leaf));
  TRY(list_sized(c, "nodes_falseleafs", l->n, &l->no_leaf));
  TRY(list_sized(c, "leaf_targetids", l->n_leaves, &l->targets));
  TRY(tensor_sized(c, "nodes_modes", l->n, &l->modes));
  TRY(tensor_sized(c, "nodes_splits", l->n, &l->splits));
  TRY(tensor_sized(c, "leaf_weights", l->n_leaves, &l->weights));
  l->members = op_tensor(c, "membership_values");
  if (l->members && l->members->dtype == LEDGE_STRING)
    return op_fail(c, LEDGE_ERROR_FORMAT, "membership_values are strings");
  op_ints(c, "nodes_missing_value_tracks_true", &count);
  return count ? list_sized(c, "nodes_missing_value_tracks_true", l->n, &l->missing) : LEDGE_OK;
}

/* A child: a branch, or a leaf as its complement. */
static ledge_status child5(op_ctx *c, const lists5 *l, int64_t id, bool leaf, int32_t *ret) {
  if (id < 0 || id >= (leaf ? l->n_leaves : l->n))
    return op_fail(c, LEDGE_ERROR_FORMAT, "a child is %s %lld, of %lld", leaf ? "leaf" : "node", (long long)id,
                   (long long)(leaf ? l->n_leaves : l->n));
  *ret = leaf ? ~(int32_t)id : (int32_t)id;
  return LEDGE_OK;
}

static ledge_status forest_alloc(op_ctx *c, forest *f, int64_t n_votes) {
  f->branches = op_scratch(c, (size_t)f->n_branches, sizeof *f->branches);
  f->leaf_start = f->branches ? op_scratch(c, (size_t)f->n_leaves + 1, sizeof *f->leaf_start) : NULL;
  f->votes = f->leaf_start ? op_scratch(c, (size_t)n_votes, sizeof *f->votes) : NULL;
  f->roots = f->votes ? op_scratch(c, (size_t)f->n_roots, sizeof *f->roots) : NULL;
  f->members = f->roots ? op_scratch(c, (size_t)f->n_members + 1, sizeof *f->members) : NULL;
  return f->members ? LEDGE_OK : LEDGE_ERROR_MEMORY;
}

static ledge_status branch_check(op_ctx *c, const tree_branch *b, int64_t i, int64_t features) {
  if (b->feature >= 0 && b->feature < features) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "node %lld reads feature %lld, but a row has %lld", (long long)i,
                 (long long)b->feature, (long long)features);
}

static ledge_status forest_build_5(op_ctx *c, forest *f, int64_t features) {
  lists5 l;
  TRY(lists5_read(c, &l));
  int64_t aggregate = op_int(c, "aggregate_function", TREE_SUM), next_set = 0;
  if (aggregate < TREE_AVERAGE || aggregate > TREE_MAX)
    return op_fail(c, LEDGE_ERROR_FORMAT, "aggregate_function is %lld", (long long)aggregate);
  f->aggregate = (tree_aggregate)aggregate;
  f->n_branches = l.n, f->n_leaves = l.n_leaves, f->n_roots = l.n_roots;
  f->n_members = l.members ? tensor_elements(l.members) : 0;
  if (f->n_members > TREE_NODES_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "membership_values is too long");
  TRY(forest_alloc(c, f, l.n_leaves));
  for (int64_t i = 0; i < f->n_members; i++) f->members[i] = tensor_f64(l.members, i);
  f->members[f->n_members] = NAN;
  for (int64_t i = 0; i < l.n; i++) {
    tree_branch *b = &f->branches[i];
    int64_t mode = tensor_i64(l.modes, i);
    if (mode < 0 || mode > TREE_MEMBER)
      return op_fail(c, LEDGE_ERROR_FORMAT, "nodes_modes[%lld] is %lld", (long long)i, (long long)mode);
    *b = (tree_branch){.threshold = tensor_f64(l.splits, i), .feature = l.features[i], .mode = (uint8_t)mode};
    b->missing_yes = l.missing && l.missing[i] != 0;
    TRY(branch_check(c, b, i, features));
    TRY(child5(c, &l, l.yes[i], l.yes_leaf[i] != 0, &b->yes));
    TRY(child5(c, &l, l.no[i], l.no_leaf[i] != 0, &b->no));
    if (mode != TREE_MEMBER) continue;
    if (next_set >= f->n_members)
      return op_fail(c, LEDGE_ERROR_FORMAT, "membership_values has no set for node %lld", (long long)i);
    b->members = (int32_t)next_set;
    while (f->members[next_set] == f->members[next_set]) next_set++;
    next_set++;
  }
  for (int64_t i = 0; i < l.n_leaves; i++) {
    f->votes[i] = (tree_vote){l.targets[i], tensor_f64(l.weights, i)};
    f->leaf_start[i] = i;
    if (l.targets[i] < 0 || l.targets[i] >= f->n_targets)
      return op_fail(c, LEDGE_ERROR_FORMAT, "leaf %lld votes for target %lld of %lld", (long long)i,
                     (long long)l.targets[i], (long long)f->n_targets);
  }
  f->leaf_start[l.n_leaves] = l.n_leaves;
  for (int64_t i = 0; i < l.n_roots; i++) TRY(child5(c, &l, l.roots[i], false, &f->roots[i]));
  return LEDGE_OK;
}

static ledge_status targets_read(op_ctx *c, int64_t *ret) {
  *ret = op_int(c, "n_targets", 1);
  return *ret >= 0 && *ret <= INT32_MAX ? LEDGE_OK
                                        : op_fail(c, LEDGE_ERROR_FORMAT, "n_targets is %lld", (long long)*ret);
}

static ledge_status ensemble_infer(op_ctx *c) {
  int64_t targets;
  const tensor *x = op_in(c, 0);
  if (x->dtype != LEDGE_F32 && x->dtype != LEDGE_F64 && x->dtype != LEDGE_F16) return op_fail_dtype(c, 0);
  if (x->rank != 2) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d instead of 2", x->rank);
  TRY(targets_read(c, &targets));
  return op_shape(c, 0, x->dtype, 2, (int64_t[]){x->dims[0], targets});
}

/* Scratch for one row: numbers, scores, and which targets were voted for. */
typedef struct row_scratch {
  double *x, *scores;
  bool *heard;
} row_scratch;

static ledge_status row_scratch_init(op_ctx *c, row_scratch *s, int64_t features, int64_t targets) {
  *s = (row_scratch){.x = op_scratch(c, (size_t)(features + targets + 2), sizeof(double))};
  s->heard = s->x ? op_scratch(c, (size_t)targets, sizeof *s->heard) : NULL;
  if (s->x) s->scores = s->x + features;
  return s->heard ? LEDGE_OK : LEDGE_ERROR_MEMORY;
}

static void row_scratch_deinit(row_scratch *s) {
  op_scratch_free(s->x);
  op_scratch_free(s->heard);
}

static ledge_status ensemble_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t post = op_int(c, "post_transform", ML_NONE), rows = x->dims[0], features = x->dims[1];
  if (post < ML_NONE || post > ML_PROBIT)
    return op_fail(c, LEDGE_ERROR_FORMAT, "post_transform is %lld", (long long)post);
  if (!tensor_elements(y)) return LEDGE_OK;
  forest f = {.n_targets = y->dims[1]};
  row_scratch s = {0};
  ledge_status status = forest_build_5(c, &f, features);
  if (!status) status = row_scratch_init(c, &s, features, f.n_targets);
  for (int64_t r = 0; !status && r < rows; r++) {
    ml_row(x, r, features, s.x);
    status = forest_row(c, &f, s.x, s.scores, s.heard);
    if (status) break;
    ml_post_apply((ml_post)post, s.scores, f.n_targets);
    for (int64_t t = 0; t < f.n_targets; t++) dtype_store_f64(y->dtype, y->data, r * f.n_targets + t, s.scores[t]);
  }
  row_scratch_deinit(&s);
  forest_deinit(&f);
  return status;
}

/* ---- building: versions 1 and 3, whose nodes are named by (tree, node) and may be leaves ---- */

/* Numbers from an attribute of floats, or of the name with _as_tensor (version 3). */
typedef struct number_list {
  const float *floats;
  const tensor *numbers;
  int64_t n;
} number_list;

static ledge_status numbers_read(op_ctx *c, const char *name, const char *name_as_tensor, number_list *ret) {
  ret->floats = op_floats(c, name, &ret->n);
  ret->numbers = NULL;
  if (c->node->version < 3 || !op_tensor(c, name_as_tensor)) return LEDGE_OK;
  if (ret->n) return op_fail(c, LEDGE_ERROR_FORMAT, "both %s and %s are given", name, name_as_tensor);
  ret->numbers = op_tensor(c, name_as_tensor);
  ret->n = tensor_elements(ret->numbers);
  return ret->numbers->dtype == LEDGE_STRING ? op_fail(c, LEDGE_ERROR_FORMAT, "%s holds strings", name_as_tensor)
                                             : LEDGE_OK;
}

static double number_at(const number_list *l, int64_t i) {
  return l->numbers ? tensor_f64(l->numbers, i) : l->floats[i];
}

/* The lists of versions 1 and 3, and for each node, how it is found. */
typedef struct lists1 {
  const int64_t *trees, *ids, *features, *yes, *no, *missing;
  const int64_t *vote_trees, *vote_ids, *vote_targets;
  const ledge_string *modes;
  number_list thresholds, weights;
  int64_t n, n_votes;
  int32_t *place;   /* of each node: its branch, or the complement of its leaf */
  int64_t *tree_of; /* of each node: the number of its tree, in the order of appearance */
  int64_t *first;   /* of each tree: its first node */
  int64_t n_trees;
  bool regular;      /* the nodes of each tree follow each other, with ids 0, 1, 2, ...: the usual case */
  int64_t *tree_ids; /* of each tree */
  lookup trees_by_id, nodes_by_key;
  int64_t *keys; /* of each node, where not regular: tree number and id in one */
} lists1;

static bool is_classifier(const op_ctx *c) { return !strcmp(c->def->name, "TreeEnsembleClassifier"); }

static ledge_status lists1_read(op_ctx *c, lists1 *l) {
  bool classes = is_classifier(c);
  int64_t count;
  *l = (lists1){0};
  l->ids = op_ints(c, "nodes_nodeids", &l->n);
  if (l->n > TREE_NODES_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "the trees have too many nodes");
  TRY(list_sized(c, "nodes_treeids", l->n, &l->trees));
  TRY(list_sized(c, "nodes_featureids", l->n, &l->features));
  TRY(list_sized(c, "nodes_truenodeids", l->n, &l->yes));
  TRY(list_sized(c, "nodes_falsenodeids", l->n, &l->no));
  op_ints(c, "nodes_missing_value_tracks_true", &count);
  if (count) TRY(list_sized(c, "nodes_missing_value_tracks_true", l->n, &l->missing));
  l->modes = op_strings(c, "nodes_modes", &count);
  if (count != l->n)
    return op_fail(c, LEDGE_ERROR_FORMAT, "nodes_modes has %lld entries instead of %lld", (long long)count,
                   (long long)l->n);
  TRY(numbers_read(c, "nodes_values", "nodes_values_as_tensor", &l->thresholds));
  if (l->thresholds.n != l->n)
    return op_fail(c, LEDGE_ERROR_FORMAT, "nodes_values has %lld entries instead of %lld", (long long)l->thresholds.n,
                   (long long)l->n);
  l->vote_ids = op_ints(c, classes ? "class_nodeids" : "target_nodeids", &l->n_votes);
  TRY(list_sized(c, classes ? "class_treeids" : "target_treeids", l->n_votes, &l->vote_trees));
  TRY(list_sized(c, classes ? "class_ids" : "target_ids", l->n_votes, &l->vote_targets));
  TRY(numbers_read(c, classes ? "class_weights" : "target_weights",
                   classes ? "class_weights_as_tensor" : "target_weights_as_tensor", &l->weights));
  if (l->weights.n != l->n_votes)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%lld weights are given for %lld votes", (long long)l->weights.n,
                   (long long)l->n_votes);
  return LEDGE_OK;
}

static void lists1_deinit(lists1 *l) {
  lookup_deinit(&l->trees_by_id);
  lookup_deinit(&l->nodes_by_key);
  op_scratch_free(l->place);
  op_scratch_free(l->tree_of);
  op_scratch_free(l->first);
  op_scratch_free(l->tree_ids);
  op_scratch_free(l->keys);
}

/* A tree's number and a node's id as one key; false where the id is out of range. */
static bool node_key(int64_t tree, int64_t id, int64_t *key) {
  *key = (int64_t)((uint64_t)tree << 32 | (uint32_t)id);
  return id >= 0 && id <= UINT32_MAX;
}

/* Numbers the trees and makes the way from (tree, id) to a node. */
static ledge_status lists1_index(op_ctx *c, lists1 *l) {
  size_t n = (size_t)l->n;
  l->place = op_scratch(c, n, sizeof *l->place);
  l->tree_of = l->place ? op_scratch(c, n, sizeof *l->tree_of) : NULL;
  l->first = l->tree_of ? op_scratch(c, n, sizeof *l->first) : NULL;
  l->tree_ids = l->first ? op_scratch(c, n, sizeof *l->tree_ids) : NULL;
  if (!l->tree_ids) return LEDGE_ERROR_MEMORY;
  TRY(lookup_init(c, &l->trees_by_id, l->trees, NULL, l->n, false)); /* a tree's id -> its first node */
  l->regular = true;
  for (int64_t i = 0; i < l->n; i++) {
    int64_t first = lookup_int(&l->trees_by_id, l->trees[i]);
    if (first == i) {
      l->first[l->n_trees] = i;
      l->tree_of[i] = l->n_trees++;
    } else {
      l->tree_of[i] = l->tree_of[first];
    }
    l->regular = l->regular && l->tree_of[i] == l->n_trees - 1 && l->ids[i] == i - first;
  }
  if (l->regular) return LEDGE_OK;
  l->keys = op_scratch(c, n, sizeof *l->keys);
  if (!l->keys) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < l->n; i++)
    if (!node_key(l->tree_of[i], l->ids[i], &l->keys[i]))
      return op_fail(c, LEDGE_ERROR_FORMAT, "nodes_nodeids[%lld] is %lld", (long long)i, (long long)l->ids[i]);
  return lookup_init(c, &l->nodes_by_key, l->keys, NULL, l->n, true);
}

/* The node `id` of tree number `tree`, or -1. */
static int64_t node_find(const lists1 *l, int64_t tree, int64_t id) {
  if (l->regular) {
    int64_t start = l->first[tree], end = tree + 1 < l->n_trees ? l->first[tree + 1] : l->n;
    return id >= 0 && id < end - start ? start + id : -1;
  }
  int64_t key;
  return node_key(tree, id, &key) ? lookup_int(&l->nodes_by_key, key) : -1;
}

static ledge_status mode_of(op_ctx *c, ledge_string s, int64_t i, tree_mode *ret) {
  static const struct {
    const char *name;
    size_t size;
    tree_mode mode;
  } modes[] = {{"BRANCH_LEQ", 10, TREE_LEQ}, {"LEAF", 4, TREE_LEAF},    {"BRANCH_LT", 9, TREE_LT},
               {"BRANCH_GTE", 10, TREE_GTE}, {"BRANCH_GT", 9, TREE_GT}, {"BRANCH_EQ", 9, TREE_EQ},
               {"BRANCH_NEQ", 10, TREE_NEQ}};
  for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
    if (s.size != modes[k].size || memcmp(s.data, modes[k].name, s.size)) continue;
    *ret = modes[k].mode;
    return LEDGE_OK;
  }
  return op_fail(c, LEDGE_ERROR_FORMAT, "nodes_modes[%lld] is %.*s", (long long)i, s.size < 40 ? (int)s.size : 40,
                 s.data);
}

static ledge_status child1(op_ctx *c, const lists1 *l, int64_t i, int64_t id, int32_t *ret) {
  int64_t at = node_find(l, l->tree_of[i], id);
  if (at < 0)
    return op_fail(c, LEDGE_ERROR_FORMAT, "node %lld of tree %lld has the child %lld, which the tree has not",
                   (long long)l->ids[i], (long long)l->trees[i], (long long)id);
  *ret = l->place[at];
  return LEDGE_OK;
}

/* Sorts the votes by their leaves: counts, sums up, fills. Votes for a node that is no leaf never count. */
static ledge_status votes_fill(op_ctx *c, forest *f, const lists1 *l) {
  int64_t *start = f->leaf_start, *leaf_of = op_scratch(c, (size_t)l->n_votes, sizeof *leaf_of);
  if (!leaf_of) return LEDGE_ERROR_MEMORY;
  ledge_status status = LEDGE_OK;
  for (int64_t i = 0; !status && i < l->n_votes; i++) {
    int64_t tree = lookup_int(&l->trees_by_id, l->vote_trees[i]);
    int64_t at = tree < 0 ? -1 : node_find(l, l->tree_of[tree], l->vote_ids[i]);
    if (at < 0)
      status = op_fail(c, LEDGE_ERROR_FORMAT, "vote %lld is of node %lld of tree %lld, which is not there",
                       (long long)i, (long long)l->vote_ids[i], (long long)l->vote_trees[i]);
    else if (l->vote_targets[i] < 0 || l->vote_targets[i] >= f->n_targets)
      status = op_fail(c, LEDGE_ERROR_FORMAT, "vote %lld is for target %lld of %lld", (long long)i,
                       (long long)l->vote_targets[i], (long long)f->n_targets);
    else if ((leaf_of[i] = l->place[at] < 0 ? ~l->place[at] : -1) >= 0)
      start[leaf_of[i] + 1]++;
  }
  for (int64_t i = 0; i < f->n_leaves; i++) start[i + 1] += start[i];
  for (int64_t i = l->n_votes - 1; !status && i >= 0; i--) /* from behind: start[k + 1] ends where leaf k starts */
    if (leaf_of[i] >= 0) f->votes[--start[leaf_of[i] + 1]] = (tree_vote){l->vote_targets[i], number_at(&l->weights, i)};
  if (!status && f->n_leaves) {
    int64_t total = 0;
    for (int64_t i = 0; i < l->n_votes; i++) total += leaf_of[i] >= 0;
    memmove(start, start + 1, (size_t)f->n_leaves * sizeof *start);
    start[f->n_leaves] = total;
  }
  op_scratch_free(leaf_of);
  return status;
}

static ledge_status forest_fill_1(op_ctx *c, forest *f, lists1 *l, int64_t features) {
  TRY(lists1_index(c, l));
  for (int64_t i = 0; i < l->n; i++) {
    tree_mode mode;
    TRY(mode_of(c, l->modes[i], i, &mode));
    l->place[i] = mode == TREE_LEAF ? ~(int32_t)f->n_leaves++ : (int32_t)f->n_branches++;
  }
  f->n_roots = l->n_trees;
  TRY(forest_alloc(c, f, l->n_votes));
  for (int64_t i = 0; i < l->n; i++) {
    if (l->place[i] < 0) continue;
    tree_branch *b = &f->branches[l->place[i]];
    tree_mode mode;
    TRY(mode_of(c, l->modes[i], i, &mode));
    *b = (tree_branch){.threshold = number_at(&l->thresholds, i), .feature = l->features[i], .mode = (uint8_t)mode};
    b->missing_yes = l->missing && l->missing[i] != 0;
    TRY(branch_check(c, b, i, features));
    TRY(child1(c, l, i, l->yes[i], &b->yes));
    TRY(child1(c, l, i, l->no[i], &b->no));
  }
  for (int64_t t = 0; t < l->n_trees; t++) f->roots[t] = l->place[l->first[t]];
  return votes_fill(c, f, l);
}

static ledge_status forest_build_1(op_ctx *c, forest *f, int64_t features) {
  lists1 l = {0};
  ledge_status status = lists1_read(c, &l);
  if (!status) status = forest_fill_1(c, f, &l, features);
  lists1_deinit(&l);
  return status;
}

/* ---- TreeEnsembleRegressor ---- */

static ledge_status regressor_infer(op_ctx *c) {
  int64_t n, features, targets;
  TRY(ml_rows(c, &n, &features));
  TRY(targets_read(c, &targets));
  return op_shape(c, 0, LEDGE_F32, 2, (int64_t[]){n, targets});
}

static ledge_status regressor_aggregate(op_ctx *c, tree_aggregate *ret) {
  static const char *const names[] = {"AVERAGE", "SUM", "MIN", "MAX"};
  for (int i = 0; i < 4; i++) {
    if (!op_string_is(c, "aggregate_function", "SUM", names[i])) continue;
    *ret = (tree_aggregate)i;
    return LEDGE_OK;
  }
  return op_fail(c, LEDGE_ERROR_FORMAT, "aggregate_function is none of AVERAGE, SUM, MIN and MAX");
}

/* base_values: none, one for each target, or one for all. */
static ledge_status base_read(op_ctx *c, int64_t targets, number_list *base) {
  TRY(numbers_read(c, "base_values", "base_values_as_tensor", base));
  if (base->n > 1 && base->n != targets)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%lld base_values are given for %lld scores", (long long)base->n,
                   (long long)targets);
  return LEDGE_OK;
}

static double base_of(const number_list *base, int64_t t) { return base->n ? number_at(base, base->n > 1 ? t : 0) : 0; }

static ledge_status regressor_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  float *out = y->data;
  int64_t n, features;
  ml_post post;
  number_list base;
  forest f = {.n_targets = y->dims[1]};
  row_scratch s = {0};
  TRY(ml_rows(c, &n, &features));
  TRY(ml_post_read(c, &post));
  TRY(regressor_aggregate(c, &f.aggregate));
  TRY(base_read(c, f.n_targets, &base));
  if (!tensor_elements(y)) return LEDGE_OK;
  ledge_status status = forest_build_1(c, &f, features);
  if (!status) status = row_scratch_init(c, &s, features, f.n_targets);
  for (int64_t r = 0; !status && r < n; r++) {
    ml_row(op_in(c, 0), r, features, s.x);
    status = forest_row(c, &f, s.x, s.scores, s.heard);
    if (status) break;
    for (int64_t t = 0; t < f.n_targets; t++) s.scores[t] += base_of(&base, t);
    ml_post_apply(post, s.scores, f.n_targets);
    for (int64_t t = 0; t < f.n_targets; t++) out[r * f.n_targets + t] = (float)s.scores[t];
  }
  row_scratch_deinit(&s);
  forest_deinit(&f);
  return status;
}

/* ---- TreeEnsembleClassifier ---- */

typedef struct tree_classes {
  ml_labels labels;
  bool binary;       /* all votes are for one class of at most two: the other one's score follows from it */
  bool all_positive; /* then the votes are probabilities, else a margin */
  int64_t columns;   /* of Z */
  ml_post post;
  number_list base;
} tree_classes;

static ledge_status classes_read(op_ctx *c, tree_classes *k) {
  int64_t n;
  *k = (tree_classes){0};
  number_list weights;
  TRY(ml_post_read(c, &k->post));
  TRY(ml_labels_read(c, "classlabels_int64s", "classlabels_strings", &k->labels));
  if (!k->labels.n) return op_fail(c, LEDGE_ERROR_FORMAT, "the class labels are missing");
  TRY(base_read(c, k->labels.n, &k->base));
  const int64_t *ids = op_ints(c, "class_ids", &n);
  k->binary = k->labels.n <= 2;
  for (int64_t i = 1; k->binary && i < n; i++) k->binary = ids[i] == ids[0];
  TRY(numbers_read(c, "class_weights", "class_weights_as_tensor", &weights));
  k->all_positive = true;
  for (int64_t i = 0; k->all_positive && i < weights.n; i++) k->all_positive = number_at(&weights, i) >= 0;
  k->columns = k->binary ? 2 : k->labels.n;
  return LEDGE_OK;
}

static ledge_status classifier_infer(op_ctx *c) {
  int64_t n, features;
  tree_classes k;
  TRY(ml_rows(c, &n, &features));
  TRY(classes_read(c, &k));
  TRY(op_shape(c, 0, ml_labels_dtype(&k.labels), 1, &n));
  return op_shape(c, 1, LEDGE_F32, 2, (int64_t[]){n, k.columns});
}

/* From the votes' sums to the scores of the columns; returns the class. scores[] has room for two. */
static int64_t classes_finish(const tree_classes *k, double *scores, const bool *heard) {
  if (!k->binary) {
    int64_t top = 0;
    for (int64_t t = 0; t < k->labels.n; t++) {
      scores[t] += base_of(&k->base, t);
      if (scores[t] > scores[top]) top = t;
    }
    ml_post_apply(k->post, scores, k->labels.n);
    return top;
  }
  double positive = k->labels.n == 2 && heard[1] ? scores[1] : scores[0];
  positive += base_of(&k->base, 1);
  bool probability = k->all_positive && (k->post == ML_NONE || k->post == ML_PROBIT);
  scores[0] = probability ? 1 - positive : -positive;
  scores[1] = positive;
  ml_post_apply(k->post, scores, 2);
  return positive > (probability ? 0.5 : 0);
}

static ledge_status classifier_run(op_ctx *c) {
  tensor *labels = op_out(c, 0), *z = op_out(c, 1);
  int64_t n, features;
  tree_classes k;
  TRY(ml_rows(c, &n, &features));
  TRY(classes_read(c, &k));
  forest f = {.n_targets = k.labels.n, .aggregate = TREE_SUM};
  row_scratch s = {0};
  if (!n) return LEDGE_OK;
  ledge_status status = forest_build_1(c, &f, features);
  if (!status) status = row_scratch_init(c, &s, features, f.n_targets);
  for (int64_t r = 0; !status && r < n; r++) {
    ml_row(op_in(c, 0), r, features, s.x);
    status = forest_row(c, &f, s.x, s.scores, s.heard);
    if (status) break;
    int64_t top = classes_finish(&k, s.scores, s.heard);
    for (int64_t t = 0; z && t < k.columns; t++) ((float *)z->data)[r * k.columns + t] = (float)s.scores[t];
    status = ml_labels_put(c, &k.labels, top, labels, r);
  }
  row_scratch_deinit(&s);
  forest_deinit(&f);
  return status;
}

#define ML "ai.onnx.ml"
const op_def ops_ml_tree[] = {{ML, "TreeEnsemble", 5, 0, 1, 1, 1, 1, 0, ensemble_infer, ensemble_run},
                              {ML, "TreeEnsembleRegressor", 1, 0, 1, 1, 1, 1, 0, regressor_infer, regressor_run},
                              {ML, "TreeEnsembleClassifier", 1, 0, 1, 1, 1, 2, 0, classifier_infer, classifier_run},
                              {0}};
