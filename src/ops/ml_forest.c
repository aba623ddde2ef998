/* ops/ml_forest: see ml_forest.h. */
#include "ops/ml_forest.h"

#include "ops/lookup_util.h"

#include <math.h>

enum { TREE_NODES_MAX = INT32_MAX - 1 };

ledge_status numbers_read(op_ctx *c, const char *name, const char *name_as_tensor, number_list *ret) {
  ret->floats = op_floats(c, name, &ret->n);
  ret->numbers = NULL;
  if (c->node->version < 3 || !op_tensor(c, name_as_tensor)) return LEDGE_OK;
  if (ret->n) return op_fail(c, LEDGE_ERROR_FORMAT, "both %s and %s are given", name, name_as_tensor);
  ret->numbers = op_tensor(c, name_as_tensor);
  ret->n = tensor_elements(ret->numbers);
  return ret->numbers->dtype == LEDGE_STRING ? op_fail(c, LEDGE_ERROR_FORMAT, "%s holds strings", name_as_tensor)
                                             : LEDGE_OK;
}

/* ---- walks ---- */

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

static void forest_vote(const forest *f, int64_t leaf, double *scores, bool *heard) {
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

static void forest_begin(const forest *f, int64_t n, double *scores, int64_t stride, bool *heard) {
  for (int64_t r = 0; r < n; r++)
    for (int64_t t = 0; t < f->n_targets; t++) scores[r * stride + t] = 0, heard[r * f->n_targets + t] = false;
}

static void forest_end(const forest *f, int64_t n, double *scores, int64_t stride) {
  if (f->aggregate != TREE_AVERAGE || !f->n_roots) return;
  for (int64_t r = 0; r < n; r++)
    for (int64_t t = 0; t < f->n_targets; t++) scores[r * stride + t] /= (double)f->n_roots;
}

/* Four walks step side by side, as long as none has reached a leaf: their loads overlap, and which child is next is no
 * jump that could be guessed wrong. They are four rows in one tree, or one row in four trees. */
#define STEP(at, row) \
  (at = f->branches[at].child[!((double)(row)[f->branches[at].feature] <= f->branches[at].threshold)])
#define FOREST_ROWS_OF(name, type)                                                                                     \
  static int32_t walk_##name(const forest *f, int32_t at, const type *row) {                                           \
    if (f->all_leq)                                                                                                    \
      while (at >= 0) STEP(at, row);                                                                                   \
    else                                                                                                               \
      while (at >= 0)                                                                                                  \
        at = f->branches[at].child[!tree_yes(f, &f->branches[at], (double)row[f->branches[at].feature])];              \
    return at;                                                                                                         \
  }                                                                                                                    \
  static void walk4_##name(const forest *f, int32_t *at, const type *x, int64_t step) {                                \
    const type *x0 = x, *x1 = x + step, *x2 = x + 2 * step, *x3 = x + 3 * step;                                        \
    int32_t a = at[0], b = at[1], c = at[2], d = at[3];                                                                \
    while (f->all_leq && (a | b | c | d) >= 0) {                                                                       \
      STEP(a, x0);                                                                                                     \
      STEP(b, x1);                                                                                                     \
      STEP(c, x2);                                                                                                     \
      STEP(d, x3);                                                                                                     \
    }                                                                                                                  \
    at[0] = walk_##name(f, a, x0);                                                                                     \
    at[1] = walk_##name(f, b, x1);                                                                                     \
    at[2] = walk_##name(f, c, x2);                                                                                     \
    at[3] = walk_##name(f, d, x3);                                                                                     \
  }                                                                                                                    \
  static void forest_row_##name(const forest *f, const type *x, double *scores, bool *heard) {                         \
    int64_t t = 0;                                                                                                     \
    for (; t + 4 <= f->n_roots; t += 4) {                                                                              \
      int32_t at[4];                                                                                                   \
      memcpy(at, f->roots + t, sizeof at);                                                                             \
      walk4_##name(f, at, x, 0);                                                                                       \
      for (int k = 0; k < 4; k++) forest_vote(f, ~at[k], scores, heard);                                               \
    }                                                                                                                  \
    for (; t < f->n_roots; t++) forest_vote(f, ~walk_##name(f, f->roots[t], x), scores, heard);                        \
  }                                                                                                                    \
  void forest_rows_##name(const forest *f, const type *x, int64_t n, int64_t features, double *scores, int64_t stride, \
                          bool *heard) {                                                                               \
    int64_t fours = n / 4 * 4;                                                                                         \
    forest_begin(f, n, scores, stride, heard);                                                                         \
    for (int64_t t = 0; t < f->n_roots; t++) {                                                                         \
      for (int64_t r = 0; r < fours; r += 4) {                                                                         \
        int32_t root = f->roots[t], at[4] = {root, root, root, root};                                                  \
        walk4_##name(f, at, x + r * features, features);                                                               \
        for (int k = 0; k < 4; k++) forest_vote(f, ~at[k], scores + (r + k) * stride, heard + (r + k) * f->n_targets); \
      }                                                                                                                \
    }                                                                                                                  \
    for (int64_t r = fours; r < n; r++)                                                                                \
      forest_row_##name(f, x + r * features, scores + r * stride, heard + r * f->n_targets);                           \
    forest_end(f, n, scores, stride);                                                                                  \
  }
FOREST_ROWS_OF(f32, float)
FOREST_ROWS_OF(f64, double)

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

static ledge_status forest_alloc(op_ctx *c, arena *a, forest *f, int64_t n_votes) {
  f->branches = arena_alloc_array(a, (size_t)f->n_branches, sizeof *f->branches);
  f->leaf_start = arena_alloc_array(a, (size_t)f->n_leaves + 1, sizeof *f->leaf_start);
  f->votes = arena_alloc_array(a, (size_t)n_votes, sizeof *f->votes);
  f->roots = arena_alloc_array(a, (size_t)f->n_roots, sizeof *f->roots);
  f->members = arena_alloc_array(a, (size_t)f->n_members + 1, sizeof *f->members);
  if (f->branches && f->leaf_start && f->votes && f->roots && f->members) return LEDGE_OK;
  return error_memory(c->error, (size_t)f->n_branches * sizeof *f->branches, "decision trees");
}

/* A branch but for its children. */
static ledge_status branch_set(op_ctx *c, tree_branch *b, int64_t i, int64_t feature, int64_t features,
                               double threshold, tree_mode mode, bool missing_yes) {
  if (feature < 0 || feature >= features || feature > INT32_MAX)
    return op_fail(c, LEDGE_ERROR_SHAPE, "node %lld reads feature %lld, but a row has %lld", (long long)i,
                   (long long)feature, (long long)features);
  *b = (tree_branch){
      .threshold = threshold, .feature = (int32_t)feature, .mode = (uint8_t)mode, .missing_yes = missing_yes};
  return LEDGE_OK;
}

static ledge_status forest_build_5(op_ctx *c, arena *a, forest *f, int64_t features) {
  lists5 l;
  TRY(lists5_read(c, &l));
  int64_t next_set = 0;
  f->n_branches = l.n, f->n_leaves = l.n_leaves, f->n_roots = l.n_roots;
  f->n_members = l.members ? tensor_elements(l.members) : 0;
  if (f->n_members > TREE_NODES_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "membership_values is too long");
  TRY(forest_alloc(c, a, f, l.n_leaves));
  for (int64_t i = 0; i < f->n_members; i++) f->members[i] = tensor_f64(l.members, i);
  f->members[f->n_members] = NAN;
  for (int64_t i = 0; i < l.n; i++) {
    tree_branch *b = &f->branches[i];
    int64_t mode = tensor_i64(l.modes, i);
    if (mode < 0 || mode > TREE_MEMBER)
      return op_fail(c, LEDGE_ERROR_FORMAT, "nodes_modes[%lld] is %lld", (long long)i, (long long)mode);
    TRY(branch_set(c, b, i, l.features[i], features, tensor_f64(l.splits, i), (tree_mode)mode,
                   l.missing && l.missing[i] != 0));
    TRY(child5(c, &l, l.yes[i], l.yes_leaf[i] != 0, &b->child[0]));
    TRY(child5(c, &l, l.no[i], l.no_leaf[i] != 0, &b->child[1]));
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

/* ---- building: versions 1 and 3, whose nodes are named by (tree, node) and may be leaves ---- */

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
  bool regular; /* the nodes of each tree follow each other, with ids 0, 1, 2, ...: the usual case */
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

/* A tree's number and a node's id as one key; false where the id is out of range. */
static bool node_key(int64_t tree, int64_t id, int64_t *key) {
  *key = (int64_t)((uint64_t)tree << 32 | (uint32_t)id);
  return id >= 0 && id <= UINT32_MAX;
}

/* Numbers the trees and makes the way from (tree, id) to a node. */
static ledge_status lists1_index(op_ctx *c, arena *a, lists1 *l) {
  size_t n = (size_t)l->n;
  l->place = arena_alloc_array(a, n, sizeof *l->place);
  l->tree_of = arena_alloc_array(a, n, sizeof *l->tree_of);
  l->first = arena_alloc_array(a, n, sizeof *l->first);
  if (!l->place || !l->tree_of || !l->first) return error_memory(c->error, n * sizeof *l->first, "decision trees");
  TRY(lookup_init(c, a, &l->trees_by_id, l->trees, NULL, l->n, false)); /* a tree's id -> its first node */
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
  l->keys = arena_alloc_array(a, n, sizeof *l->keys);
  if (!l->keys) return error_memory(c->error, n * sizeof *l->keys, "decision trees");
  for (int64_t i = 0; i < l->n; i++)
    if (!node_key(l->tree_of[i], l->ids[i], &l->keys[i]))
      return op_fail(c, LEDGE_ERROR_FORMAT, "nodes_nodeids[%lld] is %lld", (long long)i, (long long)l->ids[i]);
  return lookup_init(c, a, &l->nodes_by_key, l->keys, NULL, l->n, true);
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

/* What only the building needs goes into `passing`. */
static ledge_status forest_fill_1(op_ctx *c, arena *a, arena *passing, forest *f, lists1 *l, int64_t features) {
  TRY(lists1_index(c, passing, l));
  for (int64_t i = 0; i < l->n; i++) {
    tree_mode mode = TREE_LEAF;
    TRY(mode_of(c, l->modes[i], i, &mode));
    l->place[i] = mode == TREE_LEAF ? ~(int32_t)f->n_leaves++ : (int32_t)f->n_branches++;
  }
  f->n_roots = l->n_trees;
  TRY(forest_alloc(c, a, f, l->n_votes));
  for (int64_t i = 0; i < l->n; i++) {
    if (l->place[i] < 0) continue;
    tree_branch *b = &f->branches[l->place[i]];
    tree_mode mode = TREE_LEAF;
    TRY(mode_of(c, l->modes[i], i, &mode));
    TRY(branch_set(c, b, i, l->features[i], features, number_at(&l->thresholds, i), mode,
                   l->missing && l->missing[i] != 0));
    TRY(child1(c, l, i, l->yes[i], &b->child[0]));
    TRY(child1(c, l, i, l->no[i], &b->child[1]));
  }
  for (int64_t t = 0; t < l->n_trees; t++) f->roots[t] = l->place[l->first[t]];
  return votes_fill(c, f, l);
}

static ledge_status forest_build_1(op_ctx *c, arena *a, forest *f, int64_t features) {
  lists1 l = {0};
  arena passing;
  arena_init(&passing);
  ledge_status status = lists1_read(c, &l);
  if (!status) status = forest_fill_1(c, a, &passing, f, &l, features);
  arena_deinit(&passing);
  return status;
}

/* ---- both ---- */

/* Visits what hangs on a branch, children before parents; false where a branch hangs on itself. state: 0 not seen, 1
 * the yes child is on its way, 2 the no child, 3 done. */
static bool branch_visit(const forest *f, int32_t root, uint8_t *state, int32_t *stack) {
  int64_t depth = 0;
  if (state[root] == 3) return true;
  stack[depth++] = root;
  while (depth) {
    int32_t at = stack[depth - 1];
    if (++state[at] == 3) {
      depth--;
      continue;
    }
    int32_t child = f->branches[at].child[state[at] - 1];
    if (child < 0 || state[child] == 3) continue;
    if (state[child]) return false;
    stack[depth++] = child;
  }
  return true;
}

/* Children that all have higher numbers than their parents, as exporters write them, make no circle. */
static ledge_status forest_check(op_ctx *c, const forest *f) {
  bool down = true;
  for (int64_t i = 0; down && i < f->n_branches; i++) {
    const tree_branch *b = &f->branches[i];
    down = (b->child[0] < 0 || b->child[0] > i) && (b->child[1] < 0 || b->child[1] > i);
  }
  if (down) return LEDGE_OK;
  uint8_t *state = op_scratch(c, (size_t)f->n_branches, sizeof *state);
  int32_t *stack = state ? op_scratch(c, (size_t)f->n_branches, sizeof *stack) : NULL;
  ledge_status status = stack ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; !status && i < f->n_branches; i++)
    if (!branch_visit(f, (int32_t)i, state, stack))
      status = op_fail(c, LEDGE_ERROR_FORMAT, "the tree of node %lld goes round in a circle", (long long)i);
  op_scratch_free(stack);
  op_scratch_free(state);
  return status;
}

ledge_status forest_build(op_ctx *c, arena *a, int64_t features, int64_t n_targets, forest *f) {
  f->n_targets = n_targets;
  TRY(strcmp(c->def->name, "TreeEnsemble") ? forest_build_1(c, a, f, features) : forest_build_5(c, a, f, features));
  TRY(forest_check(c, f));
  f->all_leq = true;
  for (int64_t i = 0; i < f->n_branches; i++)
    f->all_leq = f->all_leq && f->branches[i].mode == TREE_LEQ && !f->branches[i].missing_yes;
  return LEDGE_OK;
}
