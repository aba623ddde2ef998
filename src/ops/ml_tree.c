/* ops/ml_tree: ai.onnx.ml's ensembles of decision trees: TreeEnsemble (5), TreeEnsembleRegressor and
 * TreeEnsembleClassifier (1, 3; deprecated in 5). The trees themselves are ml_forest's; here stand the base values, the
 * transforms and the labels. A plan builds the model once (ml_tree_build); without one it is built for the run. */
#include "ops/ml_tree.h"

#include "ops/ml_forest.h"

struct tree_model {
  enum { MODEL_ENSEMBLE, MODEL_REGRESSOR, MODEL_CLASSIFIER } kind;
  forest f;
  ml_post post;
  number_list base;  /* none, one for each score, or one for all */
  ml_labels labels;  /* classifiers */
  bool binary;       /* all votes are for one class of at most two: the other one's score follows from it */
  bool all_positive; /* then the votes are probabilities, else a margin */
  int64_t targets, columns;
};

/* ---- attributes ---- */

static ledge_status base_read(op_ctx *c, tree_model *m) {
  TRY(numbers_read(c, "base_values", "base_values_as_tensor", &m->base));
  if (m->base.n > 1 && m->base.n != m->targets)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%lld base_values are given for %lld scores", (long long)m->base.n,
                   (long long)m->targets);
  return LEDGE_OK;
}

static double base_of(const tree_model *m, int64_t t) {
  return m->base.n ? number_at(&m->base, m->base.n > 1 ? t : 0) : 0;
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

static ledge_status classes_read(op_ctx *c, tree_model *m) {
  int64_t n;
  number_list weights;
  TRY(ml_labels_read(c, "classlabels_int64s", "classlabels_strings", &m->labels));
  if (!m->labels.n) return op_fail(c, LEDGE_ERROR_FORMAT, "the class labels are missing");
  m->targets = m->labels.n;
  const int64_t *ids = op_ints(c, "class_ids", &n);
  m->binary = m->labels.n <= 2;
  for (int64_t i = 1; m->binary && i < n; i++) m->binary = ids[i] == ids[0];
  TRY(numbers_read(c, "class_weights", "class_weights_as_tensor", &weights));
  m->all_positive = true;
  for (int64_t i = 0; m->all_positive && i < weights.n; i++) m->all_positive = number_at(&weights, i) >= 0;
  m->columns = m->binary ? 2 : m->labels.n;
  return LEDGE_OK;
}

/* All but the trees. */
static ledge_status model_read(op_ctx *c, tree_model *m) {
  *m = (tree_model){.f.aggregate = TREE_SUM};
  if (!strcmp(c->def->name, "TreeEnsembleClassifier")) {
    m->kind = MODEL_CLASSIFIER;
    TRY(classes_read(c, m));
  } else {
    m->kind = strcmp(c->def->name, "TreeEnsemble") ? MODEL_REGRESSOR : MODEL_ENSEMBLE;
    m->targets = m->columns = op_int(c, "n_targets", 1);
    if (m->targets < 0 || m->targets > INT32_MAX)
      return op_fail(c, LEDGE_ERROR_FORMAT, "n_targets is %lld", (long long)m->targets);
  }
  if (m->kind == MODEL_ENSEMBLE) {
    int64_t post = op_int(c, "post_transform", ML_NONE), aggregate = op_int(c, "aggregate_function", TREE_SUM);
    if (post < ML_NONE || post > ML_PROBIT || aggregate < TREE_AVERAGE || aggregate > TREE_MAX)
      return op_fail(c, LEDGE_ERROR_FORMAT, "post_transform is %lld, and aggregate_function %lld", (long long)post,
                     (long long)aggregate);
    m->post = (ml_post)post;
    m->f.aggregate = (tree_aggregate)aggregate;
    return LEDGE_OK;
  }
  if (m->kind == MODEL_REGRESSOR) TRY(regressor_aggregate(c, &m->f.aggregate));
  TRY(ml_post_read(c, &m->post));
  return base_read(c, m);
}

static ledge_status tree_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tree_model m;
  int64_t n, features;
  TRY(model_read(c, &m));
  if (m.kind == MODEL_ENSEMBLE) {
    if (x->dtype != LEDGE_F32 && x->dtype != LEDGE_F64 && x->dtype != LEDGE_F16) return op_fail_dtype(c, 0);
    if (x->rank != 2) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d instead of 2", x->rank);
    return op_shape(c, 0, x->dtype, 2, (int64_t[]){x->dims[0], m.targets});
  }
  TRY(ml_rows(c, &n, &features));
  if (m.kind == MODEL_REGRESSOR) return op_shape(c, 0, LEDGE_F32, 2, (int64_t[]){n, m.targets});
  TRY(op_shape(c, 0, ml_labels_dtype(&m.labels), 1, &n));
  return op_shape(c, 1, LEDGE_F32, 2, (int64_t[]){n, m.columns});
}

ledge_status ml_tree_build(op_ctx *c, arena *a, tree_model **ret) {
  const tensor *x = op_in(c, 0);
  tree_model *m = arena_alloc(a, sizeof *m);
  if (!m) return error_memory(c->error, sizeof *m, "a model of trees");
  TRY(model_read(c, m));
  TRY(forest_build(c, a, x->dims[x->rank - 1], m->targets, &m->f));
  *ret = m;
  return LEDGE_OK;
}

/* ---- runs ---- */

/* From the votes' sums to the scores of the columns; returns the class, of classifiers. scores[] has room for two. */
static int64_t finish_row(const tree_model *m, double *scores, const bool *heard) {
  int64_t top = 0;
  if (m->binary) {
    double positive = m->labels.n == 2 && heard[1] ? scores[1] : scores[0];
    positive += base_of(m, 1);
    bool probability = m->all_positive && (m->post == ML_NONE || m->post == ML_PROBIT);
    scores[0] = probability ? 1 - positive : -positive;
    scores[1] = positive;
    top = positive > (probability ? 0.5 : 0);
  } else {
    for (int64_t t = 0; t < m->targets; t++) {
      scores[t] += base_of(m, t);
      if (scores[t] > scores[top]) top = t;
    }
  }
  ml_post_apply(m->post, scores, m->columns);
  return top;
}

/* A worker's part of the scratch: [FOREST_ROWS][features] of x where its dtype is converted, [FOREST_ROWS][stride] of
 * scores, [FOREST_ROWS][targets] of heard. */
typedef struct tree_job {
  op_ctx *c;
  const tree_model *m;
  int64_t rows, features, stride;
  char *scratch;
  size_t each;         /* bytes a worker */
  ledge_status status; /* of labels that are strings, which one thread writes */
} tree_job;

static bool converted(const tensor *x) { return x->dtype != LEDGE_F32 && x->dtype != LEDGE_F64; }

static size_t worker_bytes(const tree_model *m, const tensor *x) {
  size_t features = converted(x) ? (size_t)x->dims[x->rank - 1] : 0, targets = (size_t)m->targets;
  return mem_align(FOREST_ROWS * ((features + targets + 2) * sizeof(double) + targets), 64);
}

size_t ml_tree_scratch_bytes(const tree_model *m, const op_ctx *c, int threads) {
  return worker_bytes(m, op_in(c, 0)) * (size_t)threads;
}

static void block_scores(const tree_job *j, int64_t first, int64_t n, double *numbers, double *scores, bool *heard) {
  const tensor *x = op_in(j->c, 0);
  int64_t k = j->features;
  if (x->dtype == LEDGE_F32) {
    forest_rows_f32(&j->m->f, (const float *)x->data + first * k, n, k, scores, j->stride, heard);
    return;
  }
  const double *rows = (const double *)x->data + (converted(x) ? 0 : first * k);
  if (converted(x)) {
    for (int64_t r = 0; r < n; r++) ml_row(x, first + r, k, numbers + r * k);
    rows = numbers;
  }
  forest_rows_f64(&j->m->f, rows, n, k, scores, j->stride, heard);
}

static void block_run(void *arg, int64_t begin, int64_t end, int worker) {
  tree_job *j = arg;
  const tree_model *m = j->m;
  double *numbers = (double *)(void *)(j->scratch + (size_t)worker * j->each);
  double *scores = numbers + (converted(op_in(j->c, 0)) ? FOREST_ROWS * j->features : 0);
  bool *heard = (bool *)(scores + FOREST_ROWS * j->stride);
  tensor *labels = m->kind == MODEL_CLASSIFIER ? op_out(j->c, 0) : NULL;
  tensor *y = op_out(j->c, m->kind == MODEL_CLASSIFIER);
  for (int64_t b = begin; b < end; b++) {
    int64_t first = b * FOREST_ROWS, n = j->rows - first < FOREST_ROWS ? j->rows - first : FOREST_ROWS;
    block_scores(j, first, n, numbers, scores, heard);
    for (int64_t r = 0; r < n; r++) {
      double *s = scores + r * j->stride;
      int64_t top = finish_row(m, s, heard + r * m->targets);
      for (int64_t t = 0; y && t < m->columns; t++)
        dtype_store_f64(y->dtype, y->data, (first + r) * m->columns + t, s[t]);
      ledge_status status = ml_labels_put(j->c, &m->labels, top, labels, first + r);
      if (status) j->status = status;
    }
  }
}

static ledge_status model_run(op_ctx *c, const tree_model *m) {
  const tensor *x = op_in(c, 0);
  tree_job j = {.c = c, .m = m, .rows = x->rank == 1 ? 1 : x->dims[0], .features = x->dims[x->rank - 1]};
  /* Strings go into one storage, and by one thread. */
  bool text = m->kind == MODEL_CLASSIFIER && op_wants(c, 0) && op_out(c, 0)->dtype == LEDGE_STRING;
  pool *workers = text ? NULL : c->pool;
  j.stride = m->targets + 2;
  j.each = worker_bytes(m, x);
  char *planned = c->kernel ? c->scratch : NULL;
  char *own = planned ? NULL : op_scratch(c, (size_t)pool_threads(workers), j.each);
  j.scratch = planned ? planned : own;
  if (!j.scratch) return LEDGE_ERROR_MEMORY;
  if (j.rows && (m->columns || m->kind == MODEL_CLASSIFIER))
    pool_run(workers, (j.rows + FOREST_ROWS - 1) / FOREST_ROWS, 1, block_run, &j);
  op_scratch_free(own);
  return j.status;
}

static ledge_status tree_run(op_ctx *c) {
  if (c->kernel) return model_run(c, c->kernel);
  arena a;
  tree_model *m = NULL;
  arena_init(&a);
  ledge_status status = ml_tree_build(c, &a, &m);
  if (!status) status = model_run(c, m);
  arena_deinit(&a);
  return status;
}

#define ML "ai.onnx.ml"
const op_def ops_ml_tree[] = {{ML, "TreeEnsemble", 5, 0, 1, 1, 1, 1, 0, tree_infer, tree_run},
                              {ML, "TreeEnsembleRegressor", 1, 0, 1, 1, 1, 1, 0, tree_infer, tree_run},
                              {ML, "TreeEnsembleClassifier", 1, 0, 1, 1, 1, 2, 0, tree_infer, tree_run},
                              {0}};
