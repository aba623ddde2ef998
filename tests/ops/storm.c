/* tests/ops/storm: every row of the registry on random inputs and attributes, most of which make no sense: it may
 * refuse them, with a message, but not crash, hang or leave an output without memory. The same numbers in each run;
 * LEDGE_STORM gives the rounds (200), LEDGE_STORM_OP an operator to stay with. */
#include "op_test.h"

static rng dice;

static int64_t below(int64_t n) { return (int64_t)(rng_u64(&dice) % (uint64_t)n); }

static int64_t some_int(void) {
  static const int64_t odd[] = {0, 1, -1, 2, -2, 3, INT64_MAX, INT64_MIN, 300};
  return below(8) ? below(7) - 2 : odd[below(sizeof odd / sizeof *odd)];
}

static double some_double(void) {
  static const double odd[] = {0, -0.0, 1, -1, 0.5, 1e30, -1e30, INFINITY, -INFINITY, NAN};
  return below(4) ? rng_normal(&dice) : odd[below(sizeof odd / sizeof *odd)];
}

static const char *some_word(void) {
  static const char *const words[] = {
      "",        "a",        "linear",     "constant",  "reflect",    "edge",          "wrap",
      "add",     "mul",      "max",        "min",       "none",       "LEAF",          "NONE",
      "SOFTMAX", "LOGISTIC", "PROBIT",     "BRANCH_LT", "CRD",        "DCR",           "nearest",
      "cubic",   "floor",    "mean",       "sum",       "SAME_UPPER", "VALID",         "RBF",
      "POLY",    "TF",       "IDF",        "forward",   "reverse",    "bidirectional", "LOWER",
      "tanh",    "circular", "BRANCH_LEQ", "ij,jk->ik", "[a-z]+",
  };
  return words[below(sizeof words / sizeof *words)];
}

/* The usual dtypes most of the time. */
static ledge_dtype some_dtype(void) {
  static const ledge_dtype usual[] = {LEDGE_F32, LEDGE_I64, LEDGE_F32, LEDGE_I32, LEDGE_U8, LEDGE_STRING, LEDGE_BOOL};
  return below(4) ? usual[below(sizeof usual / sizeof *usual)] : (ledge_dtype)(1 + below(LEDGE_DTYPE_COUNT - 1));
}

static tensor some_tensor(ledge_dtype dtype) {
  int64_t dims[LEDGE_MAX_RANK];
  int rank = (int)(below(30) ? below(5) : below(LEDGE_MAX_RANK + 1));
  for (int i = 0; i < rank; i++) dims[i] = rank > 5 ? 1 + (below(8) == 0) : below(12) ? 1 + below(4) : 0;
  tensor t = {0};
  tensor_set_shape(&t, dtype, rank, dims);
  if (tensor_alloc(&t, NULL)) abort();
  int64_t n = tensor_elements(&t);
  if (tensor_bytes(&t) && dtype != LEDGE_STRING) memset(t.data, 0, tensor_bytes(&t));
  for (int64_t i = 0; i < n; i++) {
    const char *word = some_word();
    if (dtype == LEDGE_STRING && tensor_put_string(&t, i, word, strlen(word), NULL)) abort();
    if (dtype == LEDGE_C64) ((float *)t.data)[2 * i] = (float)some_double();
    if (dtype == LEDGE_C128) ((double *)t.data)[2 * i + 1] = some_double();
    if (dtype_is_float(dtype)) dtype_store_f64(dtype, t.data, i, some_double());
    if (dtype_is_integer(dtype) || dtype == LEDGE_BOOL) dtype_store_i64(dtype, t.data, i, some_int());
  }
  return t;
}

/* Attributes that rows ask for: the letter is the type (i, f, s; I, F, S lists; t tensor). */
static const char *const attributes[] = {
    "i axis",
    "I axes",
    "I perm",
    "s mode",
    "I pads",
    "I paddings",
    "F scales",
    "I starts",
    "I ends",
    "I split",
    "i num_outputs",
    "i blocksize",
    "i allowzero",
    "i k",
    "i largest",
    "i sorted",
    "i batch_dims",
    "s reduction",
    "i upper",
    "i start",
    "i end",
    "I shape",
    "i keepdims",
    "i new_axis",
    "i dtype",
    "s delimiter",
    "i maxsplit",
    "S stopwords",
    "s case_change_action",
    "s pattern",
    "i batch_axis",
    "i time_axis",
    "I strides",
    "I dilations",
    "I kernel_shape",
    "I output_shape",
    "I output_padding",
    "i group",
    "s auto_pad",
    "i ceil_mode",
    "f alpha",
    "f beta",
    "f gamma",
    "f epsilon",
    "i transA",
    "i transB",
    "f value",
    "t value",
    "i to",
    "i saturate",
    "i exclusive",
    "i reverse",
    "s equation",
    "s direction",
    "i hidden_size",
    "i linear_before_reset",
    "s coordinate_transformation_mode",
    "s nearest_mode",
    "i antialias",
    "s norm",
    "i p",
    "i size",
    "i num_heads",
    "i scale",
    "i is_causal",
    "i detect_positive",
    "f min",
    "f max",
    "i broadcast",
    "i block_size",
    "i select_last_index",
    "i noop_with_empty_axes",
    "i is_causal",
    "i min_gram_length",
    "i max_gram_length",
    "i max_skip_count",
    "I ngram_counts",
    "I ngram_indexes",
    "I pool_int64s",
    "S pool_strings",
    "F weights",
    "F coefficients",
    "F intercepts",
    "i targets",
    "s post_transform",
    "I classlabels_ints",
    "S classlabels_strings",
    "I classlabels_int64s",
    "F offset",
    "F imputed_value_floats",
    "I imputed_value_int64s",
    "I inputdimensions",
    "S keys_strings",
    "I keys_int64s",
    "I values_int64s",
    "S values_strings",
    "t keys_tensor",
    "t values_tensor",
    "S cats_strings",
    "I cats_int64s",
    "i zeros",
    "F support_vectors",
    "F rho",
    "i n_supports",
    "I vectors_per_class",
    "F prob_a",
    "F prob_b",
    "s kernel_type",
    "F kernel_params",
    "I nodes_treeids",
    "I nodes_nodeids",
    "I nodes_featureids",
    "F nodes_values",
    "S nodes_modes",
    "I nodes_truenodeids",
    "I nodes_falsenodeids",
    "I nodes_trueleafs",
    "I nodes_falseleafs",
    "t nodes_modes",
    "t nodes_splits",
    "t leaf_weights",
    "I leaf_targetids",
    "I tree_roots",
    "t membership_values",
    "i n_targets",
    "I target_treeids",
    "I target_nodeids",
    "I target_ids",
    "F target_weights",
    "I class_treeids",
    "I class_nodeids",
    "I class_ids",
    "F class_weights",
    "F base_values",
    "i aggregate_function",
    "i onesided",
    "i inverse",
    "S activations",
    "F activation_alpha",
    "i layout",
    "f spatial_scale",
    "i sampling_ratio",
    "i output_height",
    "i output_width",
    "f momentum",
    "i training_mode",
    "i ignore_index",
    "i q_num_heads",
    "i kv_num_heads",
    "f softcap",
    "i interleaved",
    "i rotary_embedding_dim",
    "f bias",
    "f lambd",
    "i seed",
    "s pixel_format",
    "i stash_type",
    "i num_groups",
    "I value_ints",
    "f value_float",
    "s approximate",
    "i fmod",
    "i precision",
    "i output_dtype",
};

static attr some_attr(model *m, const char *text, tensor *owned) {
  int64_t n = below(6) ? 1 + below(5) : below(20);
  attr a = {.name = text + 2, .count = 1};
  int64_t *ints = arena_alloc_array(&m->arena, (size_t)n + 1, sizeof *ints);
  float *floats = arena_alloc_array(&m->arena, (size_t)n + 1, sizeof *floats);
  ledge_string *strings = arena_alloc_array(&m->arena, (size_t)n + 1, sizeof *strings);
  for (int64_t i = 0; i <= n; i++) {
    const char *word = some_word();
    ints[i] = some_int(), floats[i] = (float)some_double(), strings[i] = (ledge_string){word, strlen(word)};
  }
  switch (*text) {
    case 'i': a.type = ATTR_INT, a.i = ints[0]; break;
    case 'f': a.type = ATTR_FLOAT, a.f = floats[0]; break;
    case 's': a.type = ATTR_STRING, a.s = strings[0]; break;
    case 'I': a.type = ATTR_INTS, a.ints = ints, a.count = n; break;
    case 'F': a.type = ATTR_FLOATS, a.floats = floats, a.count = n; break;
    case 'S': a.type = ATTR_STRINGS, a.strings = strings, a.count = n; break;
    default: *owned = some_tensor(some_dtype()), a.type = ATTR_TENSOR, a.t = owned;
  }
  return a;
}

/* Of values that are no tensors: what rows of sequences, optionals and maps are given now and then. */
static void some_value(value *v, ledge_dtype dtype) {
  v->kind = VALUE_TENSOR;
  v->tensor = some_tensor(dtype);
  int64_t kind = below(3);
  if (kind == 0 || below(2)) return;
  if (kind == 1) {
    sequence *s = sequence_create(below(4), below(2) ? dtype : LEDGE_DTYPE_NONE);
    for (int64_t i = 0; i < s->count; i++) {
      s->items[i].kind = VALUE_TENSOR;
      s->items[i].tensor = some_tensor(below(8) ? dtype : some_dtype());
    }
    value_deinit(v);
    *v = (value){.kind = VALUE_SEQUENCE, .list = s};
  } else {
    v->kind = VALUE_MAP;
    v->keys = some_tensor(below(2) ? LEDGE_I64 : LEDGE_STRING);
  }
}

enum { STORM_IN = 12, STORM_OUT = 6 };

static void storm_once(const op_def *d) {
  model *m = model_create();
  graph *g = graph_create(m, NULL, "storm");
  value in[STORM_IN] = {0}, out[STORM_OUT] = {0}, *outs[STORM_OUT] = {0};
  const value *ins[STORM_IN] = {0};
  value_id in_ids[STORM_IN], out_ids[STORM_OUT];
  tensor owned[8] = {0};
  int most_in = d->max_in < 0 || d->max_in > STORM_IN ? STORM_IN : d->max_in;
  int most_out = d->max_out < 0 || d->max_out > STORM_OUT ? STORM_OUT : d->max_out;
  int n_in = d->min_in + (int)below(most_in - d->min_in + 1),
      n_out = d->min_out + (int)below(most_out - d->min_out + 1);
  ledge_dtype dtype = some_dtype();
  for (int i = 0; i < n_in; i++) {
    in_ids[i] = VALUE_ABSENT;
    if (i >= d->min_in && !below(4)) continue;
    ledge_dtype one = below(3) ? dtype : below(2) ? LEDGE_I64 : some_dtype();
    if (d->flags & OP_ANY_KIND)
      some_value(&in[i], one);
    else
      in[i] = (value){.kind = VALUE_TENSOR, .tensor = some_tensor(one)};
    if (i && below(2) && in[i].kind == VALUE_TENSOR && in[0].kind == VALUE_TENSOR) { /* often the shape of the first */
      value same = {.kind = VALUE_TENSOR};
      if (tensor_copy(&same.tensor, &in[0].tensor, NULL)) abort();
      value_deinit(&in[i]);
      in[i] = same;
    }
    ins[i] = &in[i];
    in_ids[i] = graph_add_value(g, NULL);
  }
  for (int i = 0; i < n_out; i++) {
    bool wanted = i == 0 || below(4);
    out_ids[i] = wanted ? graph_add_value(g, NULL) : VALUE_ABSENT;
    outs[i] = wanted ? &out[i] : NULL;
  }
  int newest = d->until ? d->until : 28;
  int version = newest > d->since ? d->since + (int)below(newest - d->since + 1) : d->since;
  node *n = graph_add_node(g, d->domain, d->name, version, "node", in_ids, n_in, out_ids, n_out);
  int n_attrs = (int)below(12), n_owned = 0;
  for (int i = 0; i < n_attrs; i++) {
    attr a = some_attr(m, attributes[below(sizeof attributes / sizeof *attributes)], &owned[n_owned]);
    if (a.type == ATTR_TENSOR && ++n_owned == 8) break;
    if (node_set_attr(g, n, &a)) abort();
  }
  n = &g->nodes[0];
  n->def = d;
  ledge_error e = {0};
  rng random;
  rng_init(&random, 1);
  op_ctx c = {.node = n, .def = d, .n_in = n_in, .n_out = n_out, .in = ins, .out = outs, .error = &e, .rng = &random};
  ledge_status status = op_eval(&c);
  if (status && (!e.message[0] || status == OP_UNKNOWN)) TEST_FAIL("%s-%d fails without a message", d->name, version);
  for (int i = 0; !status && i < n_out; i++) {
    if (!outs[i] || out[i].kind != VALUE_TENSOR) continue;
    const tensor *t = &out[i].tensor;
    if (!dtype_is_valid(t->dtype) || (tensor_elements(t) && !t->data))
      TEST_FAIL("%s-%d: output %d is empty", d->name, version, i);
  }
  for (int i = 0; i < STORM_IN; i++) value_deinit(&in[i]);
  for (int i = 0; i < STORM_OUT; i++) value_deinit(&out[i]);
  for (int i = 0; i < 8; i++) tensor_deinit(&owned[i]);
  model_destroy(m);
}

static void test_storm(void) {
  const char *rounds = getenv("LEDGE_STORM"), *only = getenv("LEDGE_STORM_OP");
  int n = rounds ? atoi(rounds) : 200;
  for (int i = 0; ops_at(i); i++) {
    const op_def *d = ops_at(i);
    if (only && strcmp(only, d->name)) continue;
    rng_init(&dice, (uint64_t)i + 1);
    for (int k = 0; k < n; k++) storm_once(d);
  }
}

TEST_MAIN({"storm", test_storm})
