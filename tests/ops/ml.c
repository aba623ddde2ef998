/* tests/ops/ml: the operators of ai.onnx.ml. */
#include "op_test.h"

#define ML "ai.onnx.ml:"

static const op_case linear_cases[] = {
    {ML "LinearRegressor", 1, "coefficients=[1.0,2.0] intercepts=[0.5]", {"f32[2x2] 1 2 3 4"}, {"f32[2x1] 5.5 11.5"}},
    {ML "LinearRegressor", 1, "coefficients=[1.0,2.0,3.0,4.0] targets=2", {"i64[2] 1 2"}, {"f32[1x2] 5 11"}},
    {ML "LinearRegressor",
     1,
     "coefficients=[1.0] post_transform='LOGISTIC'",
     {"f64[2x1] 0 -2"},
     {"f32[2x1] 0.5 0.119202922"}},
    {ML "LinearRegressor", 1, "coefficients=[1.0,2.0]", {"f32[1x3] 1 2 3"}, {"error shape"}},
    {ML "LinearRegressor", 1, "coefficients=[1.0] post_transform='WHAT'", {"f32[1x1] 1"}, {"error format"}},
    {ML "LinearClassifier",
     1,
     "coefficients=[1.0,-1.0,2.0] intercepts=[0.0,1.0,0.0] classlabels_ints=[7,8,9]",
     {"f32[2x1] 1 -1"},
     {"i64[2] 9 8", "f32[2x3] 1 0 2 -1 2 -2"}},
    {ML "LinearClassifier",
     1,
     "coefficients=[1.0] classlabels_strings=['no','yes'] post_transform='LOGISTIC'",
     {"i32[2x1] 2 -2"},
     {"string[2] yes no", "f32[2x2] 0.119202922 0.880797078 0.880797078 0.119202922"}},
    {ML "LinearClassifier",
     1,
     "coefficients=[1.0,2.0] classlabels_ints=[0,1] post_transform='SOFTMAX'",
     {"f32[1x1] 1"},
     {"i64[1] 1", "f32[1x2] 0.26894142 0.73105858"}},
    {ML "LinearClassifier", 1, "coefficients=[1.0] classlabels_ints=[5]", {"f32[2x1] 1 -1"}, {"i64[2] 5 0", "-"}},
    {ML "LinearClassifier",
     1,
     "coefficients=[0.0,1.0] classlabels_ints=[0,1] post_transform='SOFTMAX_ZERO'",
     {"f32[1x1] 2"},
     {"i64[1] 1", "f32[1x2] 0 1"}},
    {ML "Scaler", 1, "offset=[1.0,2.0] scale=[2.0,0.5]", {"f32[2x2] 1 2 3 4"}, {"f32[2x2] 0 0 4 1"}},
    {ML "Scaler", 1, "offset=[1.0] scale=[3.0]", {"i64[2] 1 3"}, {"f32[2] 0 6"}},
    {ML "Scaler", 1, "offset=[1.0,2.0,3.0]", {"f32[2x2] *"}, {"error shape"}},
    {ML "Normalizer", 1, "norm='L1'", {"f32[2x2] 1 -3 0 0"}, {"f32[2x2] 0.25 -0.75 0 0"}},
    {ML "Normalizer", 1, "norm='L2'", {"i32[2] 3 4"}, {"f32[2] 0.6 0.8"}},
    {ML "Normalizer", 1, "", {"f64[1x3] 1 2 4"}, {"f32[1x3] 0.25 0.5 1"}},
    {ML "Normalizer", 1, "norm='L3'", {"f32[1x1] 1"}, {"error format"}},
    {ML "Binarizer", 1, "threshold=1.5", {"f64[3] 1 1.5 nan"}, {"f64[3] 0 0 0"}},
    {ML "Binarizer", 1, "", {"i64[3] -1 0 9"}, {"i64[3] 0 0 1"}},
    {ML "Imputer",
     1,
     "imputed_value_floats=[9.0] replaced_value_float=nan",
     {"f32[2x2] 1 nan 3 nan"},
     {"f32[2x2] 1 9 3 9"}},
    {ML "Imputer",
     1,
     "imputed_value_int64s=[7,8] replaced_value_int64=-1",
     {"i32[2x2] -1 -1 3 -1"},
     {"i32[2x2] 7 8 3 8"}},
    {ML "Imputer", 1, "imputed_value_floats=[9.0,8.0]", {"f64[1x3] *"}, {"error shape"}},
    {ML "FeatureVectorizer",
     1,
     "inputdimensions=[1,2]",
     {"f32[2x2] 1 2 3 4", "i64[2x1] 5 6"},
     {"f32[2x3] 1 5 0 3 6 0"}},
    {ML "FeatureVectorizer", 1, "inputdimensions=[2,1]", {"f64[2] 1 2", "i32[1] 5"}, {"f32[1x3] 1 2 5"}},
    {ML "FeatureVectorizer", 1, "inputdimensions=[1,1]", {"f32[2x1] *", "f32[3x1] *"}, {"error shape"}},
    {ML "ArrayFeatureExtractor", 1, "", {"string[2x2] a b c d", "i64[1] 1"}, {"string[2x1] b d"}},
    {ML "ArrayFeatureExtractor", 1, "", {"i32[3] 4 5 6", "i64[1x2] 2 0"}, {"i32[1x2] 6 4"}},
    {ML "ArrayFeatureExtractor", 1, "", {"i32[3] *", "i64[1] 3"}, {"error data"}},
};

static const op_case encode_cases[] = {
    {ML "LabelEncoder", 1, "classes_strings=['a','b']", {"string[3] b x a"}, {"i64[3] 1 -1 0"}},
    {ML "LabelEncoder", 1, "classes_strings=['a','b'] default_string='?'", {"i64[3] 1 9 0"}, {"string[3] b ? a"}},
    {ML "LabelEncoder", 2, "keys_strings=['a','b'] values_int64s=[5,6]", {"string[2x1] b z"}, {"i64[2x1] 6 -1"}},
    {ML "LabelEncoder", 2, "keys_int64s=[5,6] values_strings=['a','b']", {"i64[2] 6 7"}, {"string[2] b _Unused"}},
    {ML "LabelEncoder",
     2,
     "keys_floats=[nan,0.0] values_floats=[1.0,2.0] default_float=3.0",
     {"f32[3] nan -0.0 5"},
     {"f32[3] 1 2 3"}},
    {ML "LabelEncoder",
     4,
     "keys_tensor={i16[3] 1 2 1} values_tensor={f64[3] 0.5 1.5 2.5}",
     {"i16[3] 1 2 3"},
     {"f64[3] 2.5 1.5 -0.0"}}, /* of equal keys the last counts */
    {ML "LabelEncoder",
     4,
     "keys_tensor={f64[1] 2.5} values_tensor={i32[1] 7} default_tensor={i32[1] 9}",
     {"f64[] 2.5"},
     {"i32[] 7"}},
    {ML "LabelEncoder", 4, "keys_strings=['a'] values_tensor={i16[1] 7}", {"string[2] a b"}, {"i16[2] 7 -1"}},
    {ML "LabelEncoder", 2, "keys_strings=['a','b'] values_int64s=[5]", {"string[1] a"}, {"error format"}},
    {ML "LabelEncoder", 2, "keys_strings=['a'] values_int64s=[5]", {"i64[1] 1"}, {"error shape"}},
    {ML "LabelEncoder", 2, "keys_strings=['a']", {"string[1] a"}, {"error format"}},
    {ML "CategoryMapper", 1, "cats_int64s=[4,5] cats_strings=['x','y']", {"string[2] y z"}, {"i64[2] 5 -1"}},
    {ML "CategoryMapper", 1, "cats_int64s=[4,5] cats_strings=['x','y']", {"i64[1x2] 4 6"}, {"string[1x2] x _Unused"}},
    {ML "CategoryMapper", 1, "cats_int64s=[4] cats_strings=['x','y']", {"i64[1] 4"}, {"error format"}},
    {ML "OneHotEncoder", 1, "cats_int64s=[3,1]", {"f32[2] 1 7"}, {"f32[2x2] 0 1 0 0"}},
    {ML "OneHotEncoder", 1, "cats_strings=['a','b']", {"string[1x2] b a"}, {"f32[1x2x2] 0 1 1 0"}},
    {ML "OneHotEncoder", 1, "cats_int64s=[3,1] zeros=0", {"i64[1] 2"}, {"error data"}},
};

static const op_case svm_cases[] = {
    {ML "SVMRegressor",
     1,
     "coefficients=[1.0,-1.0] support_vectors=[1.0,0.0,0.0,1.0] n_supports=2 rho=[0.5] kernel_type='LINEAR'",
     {"f32[1x2] 3 1"},
     {"f32[1x1] 2.5"}},
    {ML "SVMRegressor",
     1,
     "coefficients=[2.0] support_vectors=[1.0] n_supports=1 rho=[0.0] kernel_type='RBF' kernel_params=[0.5,0.0,3.0]",
     {"f32[2x1] 1 3"},
     {"f32[2x1] 2 0.270670567"}},
    {ML "SVMRegressor",
     1,
     "coefficients=[1.0] support_vectors=[2.0] n_supports=1 rho=[0.0] kernel_type='POLY' kernel_params=[0.5,1.0,3.0]",
     {"f32[1] 2"},
     {"f32[1x1] 27"}},
    {ML "SVMRegressor", 1, "coefficients=[2.0,1.0] rho=[-1.0] one_class=1", {"f32[2x2] 1 1 0 0.5"}, {"f32[2x1] 1 -1"}},
    {ML "SVMRegressor",
     1,
     "coefficients=[1.0] n_supports=2 support_vectors=[2.0] rho=[0.0]",
     {"f32[1x1] *"},
     {"error shape"}},
    {ML "SVMRegressor", 1, "coefficients=[1.0]", {"f32[1x1] *"}, {"error format"}},
    {ML "SVMClassifier",
     1,
     "coefficients=[1.0,-1.0] support_vectors=[1.0,-1.0] vectors_per_class=[1,1] rho=[0.25] classlabels_ints=[4,6]",
     {"f32[2x1] 1 -1"},
     {"i64[2] 4 6", "f32[2x2] -2.25 2.25 1.75 -1.75"}},
    {ML "SVMClassifier",
     1,
     "coefficients=[1.0,0.0,0.0,1.0] rho=[0.0] classlabels_strings=['x','y']",
     {"f32[1x2] 1 2"},
     {"string[1] y", "f32[1x2] 1 2"}},
    {ML "SVMClassifier",
     1,
     "coefficients=[1.0,-1.0,1.0,1.0,-1.0,-1.0] support_vectors=[1.0,2.0,3.0] vectors_per_class=[1,1,1] "
     "rho=[0.0,0.0,0.0] classlabels_ints=[0,1,2]",
     {"f32[1x1] 1"},
     {"i64[1] 0", "f32[1x3] -1 4 -5"}},
    {ML "SVMClassifier",
     1,
     "coefficients=[1.0,-1.0] support_vectors=[1.0,-1.0] vectors_per_class=[1,1] rho=[0.25] classlabels_ints=[4,6] "
     "prob_a=[-1.0] prob_b=[0.0]",
     {"f32[1x1] 1"},
     {"i64[1] 4", "f32[1x2] 0.904650535 0.095349465"}}, /* two classes: the pair's own probability */
    {ML "SVMClassifier", 1, "coefficients=[1.0] rho=[0.0] vectors_per_class=[-1]", {"f32[1x1] *"}, {"error format"}},
};

#define STUMP                                                                                        \
  "nodes_treeids=[0,0,0] nodes_nodeids=[0,1,2] nodes_featureids=[0,0,0] nodes_values=[1.5,0.0,0.0] " \
  "nodes_modes=['BRANCH_LEQ','LEAF','LEAF'] nodes_truenodeids=[1,0,0] nodes_falsenodeids=[2,0,0] "
#define LOOP                                                                               \
  "nodes_treeids=[0,0] nodes_nodeids=[0,1] nodes_featureids=[0,0] nodes_values=[1.5,1.5] " \
  "nodes_modes=['BRANCH_LEQ','BRANCH_LEQ'] nodes_truenodeids=[1,0] nodes_falsenodeids=[1,0] "
/* The same tree with ids that follow no order, and nodes of two trees that mix. */
#define ODD                                                                                    \
  "nodes_treeids=[7,3,7,3,7] nodes_nodeids=[9,0,4,1,2] nodes_featureids=[0,0,0,0,0] "          \
  "nodes_values=[1.5,0.0,0.0,0.0,0.0] nodes_modes=['BRANCH_LEQ','LEAF','LEAF','LEAF','LEAF'] " \
  "nodes_truenodeids=[4,0,0,0,0] nodes_falsenodeids=[2,0,0,0,0] "

static const op_case tree_cases[] = {
    {ML "TreeEnsembleRegressor",
     1,
     STUMP "n_targets=1 target_treeids=[0,0] target_nodeids=[1,2] target_ids=[0,0] target_weights=[10.0,20.0]",
     {"f32[3x1] 1 1.5 nan"},
     {"f32[3x1] 10 10 20"}},
    {ML "TreeEnsembleRegressor",
     1,
     STUMP "nodes_missing_value_tracks_true=[1,0,0] n_targets=2 target_treeids=[0,0] target_nodeids=[1,2] "
           "target_ids=[0,1] target_weights=[10.0,20.0] base_values=[1.0,2.0]",
     {"f64[2x1] nan 2"},
     {"f32[2x2] 11 2 1 22"}},
    {ML "TreeEnsembleRegressor",
     3,
     ODD "n_targets=1 target_treeids=[7,7,3] target_nodeids=[2,4,0] target_ids=[0,0,0] "
         "target_weights_as_tensor={f64[3] 10 20 5} aggregate_function='AVERAGE'",
     {"i64[2x1] 1 2"},
     {"f32[2x1] 12.5 7.5"}},
    {ML "TreeEnsembleRegressor",
     1,
     ODD "n_targets=1 target_treeids=[7,7,3] target_nodeids=[2,4,0] target_ids=[0,0,0] target_weights=[10.0,20.0,15.0] "
         "aggregate_function='MAX'",
     {"i32[2x1] 1 2"},
     {"f32[2x1] 20 15"}},
    {ML "TreeEnsembleRegressor",
     1,
     LOOP "n_targets=1 target_treeids=[0] target_nodeids=[0] target_ids=[0] target_weights=[1.0]",
     {"f32[1x1] 1"},
     {"error format"}},
    {ML "TreeEnsembleRegressor",
     1,
     STUMP "n_targets=1 target_treeids=[0] target_nodeids=[9] target_ids=[0] target_weights=[1.0]",
     {"f32[1x1] 1"},
     {"error format"}},
    {ML "TreeEnsembleRegressor",
     1,
     STUMP "n_targets=1 target_treeids=[0] target_nodeids=[1] target_ids=[1] target_weights=[1.0]",
     {"f32[1x1] 1"},
     {"error format"}},
    {ML "TreeEnsembleRegressor", 1, STUMP "n_targets=1", {"f32[1x0]"}, {"error shape"}},
    {ML "TreeEnsembleClassifier",
     1,
     STUMP "classlabels_int64s=[5,6,7] class_treeids=[0,0,0] class_nodeids=[1,2,2] class_ids=[0,2,1] "
           "class_weights=[1.0,0.75,0.25]",
     {"f32[2x1] 1 2"},
     {"i64[2] 5 7", "f32[2x3] 1 0 0 0 0.25 0.75"}},
    {ML "TreeEnsembleClassifier",
     1,
     STUMP "classlabels_strings=['n','y'] class_treeids=[0,0] class_nodeids=[1,2] class_ids=[0,0] "
           "class_weights=[0.25,0.75]",
     {"f32[2x1] 1 2"},
     {"string[2] n y", "f32[2x2] 0.75 0.25 0.25 0.75"}},
    {ML "TreeEnsembleClassifier",
     3,
     STUMP "classlabels_int64s=[0,1] class_treeids=[0,0] class_nodeids=[1,2] class_ids=[0,0] "
           "class_weights=[-1.0,2.0] post_transform='LOGISTIC'",
     {"f32[2x1] 1 2"},
     {"i64[2] 0 1", "f32[2x2] 0.731058579 0.268941421 0.119202922 0.880797078"}},
    {ML "TreeEnsembleClassifier",
     1,
     STUMP "classlabels_int64s=[0,1] class_treeids=[0,0] class_nodeids=[1,2] class_ids=[0,1] "
           "class_weights=[1.0,2.0] post_transform='SOFTMAX'",
     {"f32[1x1] 1"},
     {"i64[1] 0", "f32[1x2] 0.731058579 0.268941421"}},
    {ML "TreeEnsembleClassifier", 1, STUMP "class_treeids=[0]", {"f32[1x1] 1"}, {"error format", "-"}},
};

/* One branch of each kind over the leaves -1 and 1; rows are x < 1.5, x = 1.5, x > 1.5, NaN, and more of the last. */
#define BRANCH(mode)                                                                                       \
  {                                                                                                        \
    ML "TreeEnsembleRegressor", 1,                                                                         \
        "nodes_treeids=[0,0,0] nodes_nodeids=[0,1,2] nodes_featureids=[1,0,0] nodes_values=[1.5,0.0,0.0] " \
        "nodes_modes=['" mode                                                                              \
        "','LEAF','LEAF'] nodes_truenodeids=[1,0,0] nodes_falsenodeids=[2,0,0] n_targets=1 "               \
        "aggregate_function='MIN' target_treeids=[0,0] target_nodeids=[1,2] target_ids=[0,0] "             \
        "target_weights=[1.0,-1.0]"
#define ROWS "f64[6x2] 0 1 0 1.5 0 2 0 nan 0 nan 0 nan"
static const op_case branch_cases[] = {BRANCH("BRANCH_LEQ"), {ROWS}, {"f32[6x1] 1 1 -1 -1 -1 -1"}}, BRANCH("BRANCH_LT"),
                     {ROWS}, {
  "f32[6x1] 1 -1 -1 -1 -1 -1"
}
}
, BRANCH("BRANCH_GTE"), {ROWS}, { "f32[6x1] -1 1 1 -1 -1 -1" }
}
, BRANCH("BRANCH_GT"), {ROWS}, { "f32[6x1] -1 -1 1 -1 -1 -1" }
}
, BRANCH("BRANCH_EQ"), {ROWS}, { "f32[6x1] -1 1 -1 -1 -1 -1" }
}
, BRANCH("BRANCH_NEQ"), {ROWS}, { "f32[6x1] 1 -1 1 -1 -1 -1" }
}
, BRANCH("BRANCH_WHAT"), {ROWS}, { "error format" }
}
,
    /* children before parents: no circle all the same */
    {ML "TreeEnsemble",
     5,
     "n_targets=1 tree_roots=[2,2,2,2,2] nodes_modes={u8[3] 0 0 0} nodes_featureids=[0,0,0] nodes_splits={f32[3] 1 3 "
     "2} "
     "nodes_truenodeids=[0,2,0] nodes_trueleafs=[1,1,0] nodes_falsenodeids=[1,3,1] nodes_falseleafs=[1,1,0] "
     "leaf_targetids=[0,0,0,0] leaf_weights={f32[4] 1 2 3 4} aggregate_function=0",
     {"f32[5x1] 0 1.5 2.5 3.5 2"},
     {"f32[5x1] 1 2 3 4 2"}},
}
;

#define FIVE                                                                                                 \
  "n_targets=2 tree_roots=[0] nodes_modes={u8[2] 0 6} nodes_featureids=[0,1] nodes_splits={f32[2] 1.5 nan} " \
  "nodes_truenodeids=[0,1] nodes_trueleafs=[1,1] nodes_falsenodeids=[1,2] nodes_falseleafs=[0,1] "           \
  "leaf_targetids=[0,1,1] leaf_weights={f32[3] 1 2 4} membership_values={f32[3] 7 9 nan} "
static const op_case ensemble_cases[] = {
    {ML "TreeEnsemble", 5, FIVE, {"f32[4x2] 1 0 2 9 2 8 2 nan"}, {"f32[4x2] 1 0 0 2 0 4 0 4"}},
    {ML "TreeEnsemble",
     5,
     FIVE "nodes_missing_value_tracks_true=[1,1] post_transform=1",
     {"f64[2x2] nan 0 2 nan"},
     {"f64[2x2] 0.731058579 0.268941421 0.119202922 0.880797078"}},
    {ML "TreeEnsemble", 5, FIVE "aggregate_function=0", {"f16[1x2] 2 7"}, {"f16[1x2] 0 2"}},
    {ML "TreeEnsemble", 5, FIVE, {"f32[0x2]"}, {"f32[0x2]"}},
    {ML "TreeEnsemble", 5, FIVE, {"f32[1x1] 1"}, {"error shape"}},
    {ML "TreeEnsemble", 5, FIVE "aggregate_function=9", {"f32[1x2] *"}, {"error format"}},
    {ML "TreeEnsemble", 5, FIVE "nodes_falsenodeids=[0,2]", {"f32[1x2] 9 9"}, {"error format"}}, /* a cycle */
    {ML "TreeEnsemble", 5, FIVE "nodes_falsenodeids=[5,2]", {"f32[1x2] 9 9"}, {"error format"}},
    {ML "TreeEnsemble", 5, FIVE "leaf_targetids=[0,1,2]", {"f32[1x2] 9 9"}, {"error format"}},
    {ML "TreeEnsemble", 5, FIVE "tree_roots=[-1]", {"f32[1x2] 9 9"}, {"error format"}},
    {ML "TreeEnsemble", 5, FIVE "nodes_modes={u8[2] 6 6}", {"f32[1x2] 9 9"}, {"error format"}}, /* one set for two */
};

#define TEST(name) \
  static void test_##name(void) { op_test_cases(name##_cases, sizeof name##_cases / sizeof *name##_cases); }
TEST(linear)
TEST(encode)
TEST(svm)
TEST(tree)
TEST(branch)
TEST(ensemble)

/* ---- maps ---- */

static ledge_status run_row(const char *op, const attr *attrs, int n_attrs, const value *in, value *out) {
  model *m = model_create();
  graph *g = graph_create(m, NULL, "test");
  value_id x = graph_add_value(g, NULL), y = graph_add_value(g, NULL);
  node *n = graph_add_node(g, "ai.onnx.ml", op, 1, "node", &x, 1, &y, 1);
  for (int i = 0; i < n_attrs; i++) node_set_attr(g, n, &attrs[i]);
  n = &g->nodes[0];
  n->def = ops_find("ai.onnx.ml", op, 1);
  ledge_error e = {0};
  op_ctx c = {.node = n, .def = n->def, .n_in = 1, .n_out = 1, .in = &in, .out = &out, .error = &e};
  ledge_status status = op_eval(&c);
  CHECK(!status || e.message[0]);
  model_destroy(m);
  return status;
}

static void test_map(void) {
  bool any;
  const ledge_string words[] = {{"b", 1}, {"a", 1}, {"c", 1}};
  const int64_t numbers[] = {2, 9, 5};
  value x = {.kind = VALUE_TENSOR, .tensor = op_test_tensor("f32[2x3] 1 2 3 4 5 6", &any)}, maps = {0}, y = {0};
  attr labels = {.name = "classlabels_strings", .type = ATTR_STRINGS, .count = 3, .strings = words};
  CHECK(run_row("ZipMap", &labels, 1, &x, &maps) == LEDGE_OK);
  CHECK(maps.kind == VALUE_SEQUENCE && maps.list->count == 2);
  const value *second = &maps.list->items[1];
  CHECK(second->kind == VALUE_MAP && second->keys.dtype == LEDGE_STRING && second->tensor.dtype == LEDGE_F32);
  CHECK_NEAR(((const float *)second->tensor.data)[2], 6, 0);
  /* back into rows, in another order; a word that the map lacks stays 0 */
  const ledge_string order[] = {{"a", 1}, {"b", 1}, {"z", 1}, {"c", 1}};
  attr words_of = {.name = "string_vocabulary", .type = ATTR_STRINGS, .count = 4, .strings = order};
  CHECK(run_row("DictVectorizer", &words_of, 1, second, &y) == LEDGE_OK);
  static const float want[] = {5, 4, 0, 6};
  CHECK(y.tensor.rank == 2 && y.tensor.dims[1] == 4 && !memcmp(y.tensor.data, want, sizeof want));
  value_deinit(&y);
  CHECK(run_row("DictVectorizer", &words_of, 1, &maps, &y) == LEDGE_OK);
  CHECK(y.tensor.dims[0] == 2);
  value_deinit(&y);
  words_of.count = 1;
  CHECK(run_row("DictVectorizer", &words_of, 1, second, &y) == LEDGE_ERROR_DATA);
  labels.count = 2;
  value_deinit(&maps);
  CHECK(run_row("ZipMap", &labels, 1, &x, &maps) == LEDGE_ERROR_SHAPE);
  /* integer keys */
  labels = (attr){.name = "classlabels_int64s", .type = ATTR_INTS, .count = 3, .ints = numbers};
  CHECK(run_row("ZipMap", &labels, 1, &x, &maps) == LEDGE_OK);
  attr to = {.name = "cast_to", .type = ATTR_STRING, .s = {"TO_INT64", 8}};
  CHECK(run_row("CastMap", &to, 1, &maps.list->items[0], &y) == LEDGE_OK);
  static const int64_t dense[] = {1, 3, 2}; /* by keys 2, 5, 9 */
  CHECK(y.tensor.dtype == LEDGE_I64 && y.tensor.dims[0] == 3 && !memcmp(y.tensor.data, dense, sizeof dense));
  value_deinit(&y);
  attr sparse[] = {{.name = "map_form", .type = ATTR_STRING, .s = {"SPARSE", 6}},
                   {.name = "max_map", .type = ATTR_INT, .count = 1, .i = 10},
                   {.name = "cast_to", .type = ATTR_STRING, .s = {"TO_STRING", 9}}};
  CHECK(run_row("CastMap", sparse, 3, &maps.list->items[0], &y) == LEDGE_OK);
  CHECK(y.tensor.dtype == LEDGE_STRING && y.tensor.dims[0] == 10 && ((ledge_string *)y.tensor.data)[0].size == 0);
  CHECK(!memcmp(((ledge_string *)y.tensor.data)[9].data, "2.000000", 8));
  value_deinit(&y);
  sparse[1].i = 9;
  CHECK(run_row("CastMap", sparse, 3, &maps.list->items[0], &y) == LEDGE_ERROR_DATA);
  CHECK(run_row("CastMap", NULL, 0, &x, &y) == LEDGE_ERROR_SHAPE);
  value_deinit(&y);
  value_deinit(&maps);
  value_deinit(&x);
}

TEST_MAIN({"linear", test_linear}, {"encode", test_encode}, {"svm", test_svm}, {"tree", test_tree},
          {"branch", test_branch}, {"ensemble", test_ensemble}, {"map", test_map})
