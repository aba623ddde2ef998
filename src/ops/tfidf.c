/* ops/tfidf: TfIdfVectorizer: counts which n-grams of a pool stand in each row, with up to max_skip_count items left
 * out between neighbours, and weighs the counts.
 *
 * The pool lists its 1-grams, then its 2-grams, ...; ngram_counts[n - 1] is where the n-grams start. They become a
 * trie:
 *
 *   token   the place of an item's first occurrence in the pool
 *   node    a prefix; node 0 is the empty one; gram[node] is the number of the n-gram that ends there, or -1
 *   edges   an open-addressing table from (node, token) to the child */
#include "ops/tfidf.h"

#include "ops/lookup_util.h"
#include "ops/move_util.h"

typedef struct tfidf_edge {
  int64_t prefix, token, child; /* child 0: free */
} tfidf_edge;

struct tfidf {
  int64_t low, high, skip; /* lengths of n-grams, and the most items left out */
  enum { TFIDF_TF, TFIDF_IDF, TFIDF_TFIDF } mode;
  const int64_t *starts, *columns, *ints;
  const ledge_string *strings;
  const float *weights;
  int64_t n_starts, n_columns, n_ints, n_strings, n_weights, n_pool, width;
  lookup tokens;
  tfidf_edge *edges;
  uint64_t mask;
  int64_t *gram, n_nodes;
};

static ledge_status tfidf_attributes(op_ctx *c, tfidf *t) {
  static const char *const modes[] = {"TF", "IDF", "TFIDF"};
  int mode = -1;
  for (int i = 0; i < 3; i++)
    if (op_string_is(c, "mode", "", modes[i])) mode = i;
  *t = (tfidf){.low = op_int(c, "min_gram_length", 0),
               .high = op_int(c, "max_gram_length", 0),
               .skip = op_int(c, "max_skip_count", -1)};
  t->starts = op_ints(c, "ngram_counts", &t->n_starts);
  t->columns = op_ints(c, "ngram_indexes", &t->n_columns);
  t->ints = op_ints(c, "pool_int64s", &t->n_ints);
  t->strings = op_strings(c, "pool_strings", &t->n_strings);
  t->weights = op_floats(c, "weights", &t->n_weights);
  t->n_pool = t->n_ints ? t->n_ints : t->n_strings;
  if (mode < 0) return op_fail(c, LEDGE_ERROR_FORMAT, "mode is none of TF, IDF and TFIDF");
  t->mode = mode;
  if (t->low < 1 || t->high < t->low || t->skip < 0)
    return op_fail(c, LEDGE_ERROR_FORMAT,
                   "min_gram_length %lld, max_gram_length %lld or max_skip_count %lld makes no sense",
                   (long long)t->low, (long long)t->high, (long long)t->skip);
  if (t->n_ints && t->n_strings) return op_fail(c, LEDGE_ERROR_FORMAT, "both pool_int64s and pool_strings are given");
  if (t->n_weights && t->n_weights != t->n_columns)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%lld weights are given for %lld n-grams", (long long)t->n_weights,
                   (long long)t->n_columns);
  for (int64_t i = 0; i < t->n_columns; i++) {
    if (t->columns[i] < 0 || t->columns[i] == INT64_MAX)
      return op_fail(c, LEDGE_ERROR_FORMAT, "ngram_indexes[%lld] is %lld", (long long)i, (long long)t->columns[i]);
    if (t->columns[i] >= t->width) t->width = t->columns[i] + 1;
  }
  int64_t grams = 0;
  for (int64_t i = 0; i < t->n_starts; i++) {
    int64_t start = t->starts[i], end = i + 1 < t->n_starts ? t->starts[i + 1] : t->n_pool;
    if (start < 0 || end < start || end > t->n_pool)
      return op_fail(c, LEDGE_ERROR_FORMAT, "ngram_counts[%lld] is %lld, in a pool of %lld items", (long long)i,
                     (long long)start, (long long)t->n_pool);
    grams += (end - start) / (i + 1);
  }
  if (grams > t->n_columns)
    return op_fail(c, LEDGE_ERROR_FORMAT, "the pool has %lld n-grams, but ngram_indexes only %lld entries",
                   (long long)grams, (long long)t->n_columns);
  return LEDGE_OK;
}

static ledge_status tfidf_infer(op_ctx *c) {
  tfidf t;
  const tensor *x = op_in(c, 0);
  TRY(tfidf_attributes(c, &t));
  if (x->rank > 2) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d; it must be [C] or [N, C]", x->rank);
  bool fits = x->dtype == LEDGE_STRING ? !t.n_ints : (x->dtype == LEDGE_I32 || x->dtype == LEDGE_I64) && !t.n_strings;
  if (!fits)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input of dtype %s does not go with this pool", ledge_dtype_name(x->dtype));
  return x->rank == 2 ? op_shape(c, 0, LEDGE_F32, 2, (int64_t[]){x->dims[0], t.width})
                      : op_shape(c, 0, LEDGE_F32, 1, &t.width);
}

/* The edge from a node by a token, or the free one where it would stand. */
static tfidf_edge *tfidf_edge_at(const tfidf *t, int64_t prefix, int64_t token) {
  uint64_t at = lookup_mix((uint64_t)prefix * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)token) & t->mask;
  while (t->edges[at].child && (t->edges[at].prefix != prefix || t->edges[at].token != token)) at = (at + 1) & t->mask;
  return &t->edges[at];
}

static int64_t tfidf_token(const tfidf *t, const tensor *x, int64_t i) {
  if (!t->n_pool) return -1;
  return x->dtype == LEDGE_STRING ? lookup_string(&t->tokens, ((const ledge_string *)x->data)[i])
                                  : lookup_int(&t->tokens, tensor_i64(x, i));
}

ledge_status tfidf_build(op_ctx *c, arena *a, tfidf **ret) {
  tfidf *t = arena_alloc(a, sizeof *t);
  if (!t) return error_memory(c->error, sizeof *t, "a table of n-grams");
  TRY(tfidf_attributes(c, t));
  uint64_t size = 16;
  while (size < 2 * (uint64_t)t->n_pool) size *= 2;
  t->mask = size - 1;
  t->edges = arena_alloc_array(a, size, sizeof *t->edges);
  t->gram = arena_alloc_array(a, (size_t)t->n_pool + 1, sizeof *t->gram);
  if (!t->edges || !t->gram) return error_memory(c->error, size * sizeof *t->edges, "a table of n-grams");
  TRY(lookup_init(c, a, &t->tokens, t->n_ints ? t->ints : NULL, t->n_ints ? NULL : t->strings, t->n_pool, false));
  t->gram[0] = -1;
  t->n_nodes = 1;
  int64_t number = 0;
  for (int64_t i = 0; i < t->n_starts; i++) {
    int64_t start = t->starts[i], length = i + 1, end = i + 1 < t->n_starts ? t->starts[i + 1] : t->n_pool;
    int64_t grams = (end - start) / length;
    for (int64_t g = 0; g < grams && length >= t->low && length <= t->high; g++) {
      int64_t prefix = 0;
      for (int64_t k = start + g * length; k < start + (g + 1) * length; k++) {
        int64_t token = t->n_ints ? lookup_int(&t->tokens, t->ints[k]) : lookup_string(&t->tokens, t->strings[k]);
        tfidf_edge *e = tfidf_edge_at(t, prefix, token);
        if (!e->child) {
          t->gram[t->n_nodes] = -1;
          *e = (tfidf_edge){prefix, token, t->n_nodes++};
        }
        prefix = e->child;
      }
      t->gram[prefix] = number + g;
    }
    number += grams;
  }
  *ret = t;
  return LEDGE_OK;
}

static void tfidf_count(const tfidf *t, int64_t gram, float *y) {
  float weight = t->n_weights && t->mode != TFIDF_TF ? t->weights[gram] : 1;
  float *cell = &y[t->columns[gram]];
  *cell = t->mode == TFIDF_IDF ? weight : *cell + weight;
}

/* Every start, every distance between neighbours; single items have no neighbour and count at distance 1 only. */
static void tfidf_row(const tfidf *t, const int64_t *tokens, int64_t n, float *y) {
  int64_t low = t->low;
  for (int64_t distance = 1; distance - 1 <= t->skip; distance++) {
    if (low > 1 && distance > (n - 1) / (low - 1)) break; /* no n-gram is that long */
    for (int64_t start = 0; start < n && (low == 1 || start + distance * (low - 1) < n); start++) {
      int64_t prefix = 0, at = start;
      for (int64_t length = 1; length <= t->high && at < n && tokens[at] >= 0; length++, at += distance) {
        prefix = tfidf_edge_at(t, prefix, tokens[at])->child;
        if (!prefix) break;
        if (length >= low && t->gram[prefix] >= 0) tfidf_count(t, t->gram[prefix], y);
      }
    }
    if (low == 1 && ++low > t->high) break;
  }
}

size_t tfidf_scratch_bytes(const op_ctx *c) { return (size_t)tensor_elements(op_in(c, 0)) * sizeof(int64_t); }

static ledge_status tfidf_apply(op_ctx *c, const tfidf *t) {
  const tensor *x = op_in(c, 0);
  float *y = op_out(c, 0)->data;
  int64_t total = tensor_elements(x), rows = x->rank == 2 ? x->dims[0] : 1;
  if (tensor_elements(op_out(c, 0))) memset(y, 0, tensor_bytes(op_out(c, 0)));
  if (!total || !t->width) return LEDGE_OK;
  int64_t *planned = c->kernel ? c->scratch : NULL;
  int64_t *own = planned ? NULL : op_scratch(c, (size_t)total, sizeof *own), *tokens = planned ? planned : own;
  if (!tokens) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < total; i++) tokens[i] = tfidf_token(t, x, i);
  for (int64_t r = 0; r < rows; r++) tfidf_row(t, tokens + r * (total / rows), total / rows, y + r * t->width);
  op_scratch_free(own);
  return LEDGE_OK;
}

static ledge_status tfidf_run(op_ctx *c) {
  if (c->kernel) return tfidf_apply(c, c->kernel);
  arena a;
  tfidf *t = NULL;
  arena_init(&a);
  ledge_status status = tfidf_build(c, &a, &t);
  if (!status) status = tfidf_apply(c, t);
  arena_deinit(&a);
  return status;
}

const op_def ops_tfidf[] = {{"", "TfIdfVectorizer", 9, 0, 1, 1, 1, 1, 0, tfidf_infer, tfidf_run}, {0}};
