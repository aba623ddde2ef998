/* tests/ops/hostile: nodes that no sane model holds. Each row of the registry gets random counts of inputs, dtypes,
 * shapes (zeros, large ranks and, beside a zero, absurd dims among them), contents (any bits) and attributes (of right
 * and wrong types); whatever comes, it answers soon with a status: an error that has a message, or outputs of the
 * shapes that it told. Run under the address and undefined sanitizers this is where they find something.
 * LEDGE_TEST_ROUNDS gives the rounds, LEDGE_TEST_OP an operator to stay with. */
#include "graph/graph.h"
#include "ops/op.h"
#include "test.h"

#include <signal.h>
#include <unistd.h>

/* A size that no machine has is an error of ours, not of the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

enum { INPUTS_MAX = 12, OUTPUTS_MAX = 6, ATTRS_MAX = 5, ROUNDS = 300 };

static rng random_;
static int64_t pick(int64_t n) { return (int64_t)(rng_u64(&random_) % (uint64_t)n); }
#define PICK(array) (array)[pick((int64_t)(sizeof(array) / sizeof *(array)))]

static const int64_t odd_ints[] = {0,  1,  1,  2,  3,  -1, -2, -3, 4,         7,        10,
                                   11, 16, 17, 21, 22, 23, 24, 26, INT64_MAX, INT64_MIN};
static const float odd_floats[] = {0, 1, -1, 0.5f, 3, 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 1e-30f};

static void fill(tensor *t) {
  int64_t n = tensor_elements(t);
  bool tame = pick(2) != 0;
  if (t->dtype == LEDGE_STRING) {
    static const char *const texts[] = {"",     "1",   "-2.5", "nan", "hello", "1e400", "9223372036854775808",
                                        "+INF", "  7 "};
    for (int64_t i = 0; i < n; i++) {
      const char *s = PICK(texts);
      if (tensor_put_string(t, i, s, strlen(s), NULL)) abort();
    }
    return;
  }
  if (n == 1) { /* scalars are sizes and limits, which are to stay small here */
    dtype_store_i64(t->dtype, t->data, 0,
                    pick(2) ? pick(65) - 5 * (dtype_kind_of(t->dtype) != DTYPE_KIND_UINT) : pick(3));
    return;
  }
  size_t bytes = tensor_bytes(t);
  for (size_t i = 0; i < bytes; i++) ((uint8_t *)t->data)[i] = (uint8_t)rng_u64(&random_);
  for (int64_t i = 0; tame && i < n; i++) dtype_store_i64(t->dtype, t->data, i, PICK(odd_ints));
}

static tensor make_tensor(void) {
  tensor t = {0};
  static const int64_t sizes[] = {1, 1, 1, 2, 2, 3, 4, 5, 0};
  int64_t dims[LEDGE_MAX_RANK];
  int rank = (int)pick(5);
  if (pick(40) == 0) rank = LEDGE_MAX_RANK;
  for (int d = 0; d < rank; d++) dims[d] = rank > 5 ? 1 + (pick(8) == 0) : PICK(sizes);
  if (rank == 2 && pick(10) == 0) dims[pick(2)] = 600;
  if (rank > 1 && pick(12) == 0) { /* no elements, and dims that no loop is to walk */
    static const int64_t absurd[] = {(int64_t)1 << 40, (int64_t)1 << 50, INT64_MAX / 4};
    int big = (int)pick(rank), zero = (int)pick(rank);
    dims[big] = PICK(absurd);
    for (int d = 0; d < rank; d++)
      if (d != big) dims[d] = dims[d] > 0;
    dims[zero] = 0;
  }
  tensor_set_shape(&t, (ledge_dtype)(1 + pick(LEDGE_DTYPE_COUNT - 1)), rank, dims);
  if (tensor_alloc(&t, NULL)) abort();
  fill(&t);
  return t;
}

/* Inputs like the first one, with broadcastable dims, so that more than the checks is reached. */
static tensor make_like(const tensor *first) {
  tensor t = {0};
  int64_t dims[LEDGE_MAX_RANK];
  int drop = first->rank ? (int)pick(first->rank + 1) : 0;
  for (int d = drop; d < first->rank; d++) dims[d - drop] = pick(3) ? first->dims[d] : 1;
  int64_t n = shape_elements(first->rank - drop, dims);
  for (int d = 0; (n < 0 || n > 1 << 16) && d < first->rank - drop; d++) dims[d] = 1;
  tensor_set_shape(&t, first->dtype, first->rank - drop, dims);
  if (tensor_alloc(&t, NULL)) abort();
  fill(&t);
  return t;
}

static void add_attr(graph *g, node *n, tensor *owned, int *n_owned) {
  static const char *const names[] = {"axis",
                                      "axes",
                                      "keepdims",
                                      "to",
                                      "dtype",
                                      "alpha",
                                      "beta",
                                      "gamma",
                                      "min",
                                      "max",
                                      "fmod",
                                      "saturate",
                                      "precision",
                                      "block_size",
                                      "output_dtype",
                                      "round_mode",
                                      "shape",
                                      "seed",
                                      "direction",
                                      "scale",
                                      "bias",
                                      "lambd",
                                      "value",
                                      "value_ints",
                                      "k",
                                      "reverse",
                                      "exclusive",
                                      "ratio",
                                      "is_test",
                                      "sample_size",
                                      "broadcast",
                                      "select_last_index",
                                      "low",
                                      "high",
                                      "mean",
                                      "periodic",
                                      "approximate",
                                      "value_strings",
                                      "output_datatype",
                                      "noop_with_empty_axes",
                                      "num_heads",
                                      "kv_num_heads",
                                      "q_num_heads",
                                      "is_causal",
                                      "unidirectional",
                                      "do_rotary",
                                      "local_window_size",
                                      "left_window_size",
                                      "softcap",
                                      "smooth_softmax",
                                      "rotary_embedding_dim",
                                      "qkv_hidden_sizes",
                                      "update_rule",
                                      "interleaved",
                                      "K",
                                      "N",
                                      "bits",
                                      "groups",
                                      "activation",
                                      "ngram_size",
                                      "transA",
                                      "kernel_shape",
                                      "strides",
                                      "pads",
                                      "dilations",
                                      "auto_pad",
                                      "group",
                                      "output_shape",
                                      "output_padding",
                                      "ceil_mode",
                                      "mode",
                                      "hidden_size",
                                      "layout",
                                      "activations",
                                      "size",
                                      "p",
                                      "num_groups",
                                      "onesided",
                                      "inverse",
                                      "equation"};
  static const char *const words[] = {"LEFT", "RIGHT", "up", "down", "nearest", "tanh", "none", "", "FLOAT16"};
  static const int64_t lists[][3] = {{0, 1, 2}, {-1, 0, 3}, {1, 1, 1}, {2, 3, 4}, {INT64_MAX, INT64_MAX, 2},
                                     {-5, 9, 0}};
  static const float float_list[3] = {1, NAN, -2};
  static const ledge_string word_list[2] = {{"a", 1}, {"", 0}};
  attr a = {.name = PICK(names), .count = 1};
  switch (pick(*a.name == 'a' || !strcmp(a.name, "to") ? 9 : 13)) {
    default: a.type = ATTR_INT, a.i = PICK(odd_ints); break;
    case 6: a.type = ATTR_INTS, a.ints = PICK(lists), a.count = pick(4); break;
    case 7: a.type = ATTR_INTS, a.ints = PICK(lists), a.count = 1; break;
    case 9: a.type = ATTR_FLOAT, a.f = PICK(odd_floats); break;
    case 10: {
      const char *s = PICK(words);
      a.type = ATTR_STRING, a.s = (ledge_string){s, strlen(s)};
      break;
    }
    case 11:
      owned[*n_owned] = make_tensor();
      a.type = ATTR_TENSOR, a.t = &owned[(*n_owned)++];
      break;
    case 12:
      if (pick(2))
        a.type = ATTR_FLOATS, a.floats = float_list, a.count = pick(4);
      else
        a.type = ATTR_STRINGS, a.strings = word_list, a.count = pick(3);
  }
  if (node_set_attr(g, n, &a)) abort();
}

static void run_once(const op_def *d) {
  model *m = model_create();
  graph *g = graph_create(m, NULL, "hostile");
  value in[INPUTS_MAX] = {0}, out[OUTPUTS_MAX] = {0};
  const value *ins[INPUTS_MAX] = {0};
  value *outs[OUTPUTS_MAX] = {0};
  value_id in_ids[INPUTS_MAX], out_ids[OUTPUTS_MAX];
  tensor owned[ATTRS_MAX];
  int n_owned = 0, most = d->max_in < 0 || d->max_in > INPUTS_MAX ? INPUTS_MAX : d->max_in,
      most_out = d->max_out < 0 || d->max_out > OUTPUTS_MAX ? OUTPUTS_MAX : d->max_out;
  int n_in = d->min_in + (int)pick(most - d->min_in + 1), n_out = d->min_out + (int)pick(most_out - d->min_out + 1);
  for (int i = 0; i < n_in; i++) {
    in_ids[i] = VALUE_ABSENT;
    if (i >= d->min_in && pick(4) == 0) continue;
    in[i].kind = VALUE_TENSOR;
    in[i].tensor = i && ins[0] && pick(3) ? make_like(&in[0].tensor) : make_tensor();
    ins[i] = &in[i];
    in_ids[i] = graph_add_value(g, NULL);
  }
  for (int i = 0; i < n_out; i++) {
    bool wanted = pick(8) != 0;
    out_ids[i] = wanted ? graph_add_value(g, NULL) : VALUE_ABSENT;
    outs[i] = wanted ? &out[i] : NULL;
  }
  int version = d->since + (int)pick(d->until ? d->until - d->since + 1 : d->since < 28 ? 29 - d->since : 1);
  graph_add_node(g, d->domain, d->name, version, "node", in_ids, n_in, out_ids, n_out);
  for (int64_t k = pick(ATTRS_MAX + 1); k > 0; k--) add_attr(g, &g->nodes[0], owned, &n_owned);
  g->nodes[0].def = d;
  ledge_error e = {0};
  op_ctx c = {.node = &g->nodes[0],
              .def = d,
              .n_in = n_in,
              .n_out = n_out,
              .in = ins,
              .out = outs,
              .error = &e,
              .rng = &random_};
  ledge_status status = op_eval(&c);
  if (status && (!e.message[0] || status != e.code))
    TEST_FAIL("%s-%d: status %d, and the error says %d: %s", d->name, version, status, e.code, e.message);
  if (!status)
    for (int i = 0; i < n_out; i++)
      if (outs[i] && out[i].kind == VALUE_TENSOR && tensor_elements(&out[i].tensor) > 0)
        CHECK(out[i].tensor.data != NULL);
  for (int i = 0; i < n_in; i++) value_deinit(&in[i]);
  for (int i = 0; i < OUTPUTS_MAX; i++) value_deinit(&out[i]);
  for (int i = 0; i < n_owned; i++) tensor_deinit(&owned[i]);
  model_destroy(m);
}

static const op_def *row_now;

static void say_which(int signal) {
  (void)signal;
  if (write(2, row_now->name, strlen(row_now->name)) > 0 && write(2, " hangs\n", 7) > 0) _exit(3);
  _exit(4);
}

static void test_hostile(void) {
  signal(SIGALRM, say_which);
  const char *rounds = getenv("LEDGE_TEST_ROUNDS"), *only = getenv("LEDGE_TEST_OP");
  int n = rounds ? atoi(rounds) : ROUNDS;
  for (int k = 0; ops_at(k); k++) {
    const op_def *d = ops_at(k);
    if (only && strcmp(only, d->name)) continue;
    rng_init(&random_, 2024 + (uint64_t)k);
    row_now = d;
    alarm(getenv("LEDGE_TEST_SECONDS") ? (unsigned)atoi(getenv("LEDGE_TEST_SECONDS"))
                                       : 60); /* a row that hangs is a failure too */
    for (int i = 0; i < n; i++) run_once(d);
  }
  alarm(0);
}

TEST_MAIN({"hostile", test_hostile})
