/* api/precision: what LEDGE_PRECISION_AUTO decides, and how. Two sessions of their own weights, float32 and bf16, run
 * the session's inputs in turn; bf16 is taken if its outputs are near enough to float32's and its best time is the
 * shorter one. An input of floats that are all the same (zeros, before anything was put there) is replaced by random
 * numbers, whose error means something.
 *
 * What was decided is kept as if it were packed of the model's first constant: so it is decided once a model and its
 * shapes, and where packed weights are cached it is cached with them. */
#include "api/api.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/rng.h"

#include <math.h>

enum { LEAST_ROUNDS = 3, MOST_ROUNDS = 20, ENOUGH_NS = 300000000, PATIENCE_NS = 2000000000 };
static const double error_default = 0.01, gain_least = 0.97; /* of float32's time */

/* ---- the error ---- */

/* The largest difference over the largest magnitude of a; infinite where they cannot be compared, as where one is NaN
 * and the other is not, or where integers differ. */
static double tensor_error(const tensor *a, const tensor *b) {
  int64_t n = tensor_elements(a);
  if (a->dtype != b->dtype || !shape_equal(a->rank, a->dims, b->rank, b->dims)) return INFINITY;
  if (a->dtype == LEDGE_STRING) return INFINITY;
  if (!dtype_is_float(a->dtype)) return n && memcmp(a->data, b->data, tensor_bytes(a)) ? INFINITY : 0;
  double most = 0, worst = 0;
  enum { PART = 256 };
  float x[PART], y[PART];
  size_t bytes = (size_t)ledge_dtype_bits(a->dtype) / 8;
  if (!bytes) return INFINITY;
  for (int64_t i = 0; i < n; i += PART) {
    int64_t part = n - i < PART ? n - i : PART;
    dtype_to_f32(a->dtype, (const char *)a->data + (size_t)i * bytes, x, part);
    dtype_to_f32(b->dtype, (const char *)b->data + (size_t)i * bytes, y, part);
    for (int64_t j = 0; j < part; j++) {
      if (x[j] == y[j] || (isnan(x[j]) && isnan(y[j]))) {
        if (isfinite(x[j])) most = fmax(most, fabs((double)x[j]));
        continue;
      }
      if (!isfinite(x[j]) || !isfinite(y[j])) return INFINITY;
      most = fmax(most, fabs((double)x[j]));
      worst = fmax(worst, fabs((double)x[j] - (double)y[j]));
    }
  }
  return worst == 0 ? 0 : most > 0 ? worst / most : INFINITY;
}

static double output_error(const session *a, const session *b) {
  double worst = 0;
  for (int i = 0; i < session_graph(a)->n_outputs; i++) {
    const value *x = session_output(a, i), *y = session_output(b, i);
    if (!x || !y || x->kind != y->kind) return INFINITY;
    if (x->kind == VALUE_NONE) continue;
    worst = fmax(worst, x->kind == VALUE_TENSOR ? tensor_error(&x->tensor, &y->tensor) : INFINITY);
  }
  return worst;
}

/* ---- the inputs ---- */

static bool is_constant_f32(const tensor *t) {
  const float *x = t->data;
  int64_t n = tensor_elements(t);
  if (t->dtype != LEDGE_F32 || n < 2) return false;
  for (int64_t i = 1; i < n; i++)
    if (memcmp(&x[i], &x[0], sizeof *x)) return false;
  return true;
}

/* Inputs of a measurement: the session's, or random ones in their place. */
typedef struct trial_inputs {
  value *made;
  const value **given;
  int n;
} trial_inputs;

static void inputs_free(trial_inputs *in) {
  for (int i = 0; in->made && i < in->n; i++) value_deinit(&in->made[i]);
  mem_free(in->made);
  mem_free(in->given);
}

static ledge_status inputs_make(const ledge_session *s, trial_inputs *in, ledge_error *error) {
  rng r;
  rng_init(&r, s->options.seed);
  *in = (trial_inputs){.n = s->model->read->graph->n_inputs};
  in->made = mem_alloc_array((size_t)in->n, sizeof *in->made);
  in->given = mem_alloc_array((size_t)in->n, sizeof *in->given);
  if (!in->made || !in->given) {
    mem_free(in->made);
    in->made = NULL;
    return error_memory(error, (size_t)in->n * sizeof *in->made, "inputs to measure precisions with");
  }
  for (int i = 0; i < in->n; i++) in->made[i] = (value){0};
  for (int i = 0; i < in->n; i++) {
    in->given[i] = s->given[i];
    if (!s->given[i] || s->given[i]->kind != VALUE_TENSOR || !is_constant_f32(&s->given[i]->tensor)) continue;
    const tensor *like = &s->given[i]->tensor;
    value *v = &in->made[i];
    v->kind = VALUE_TENSOR;
    v->tensor = (tensor){.dtype = like->dtype, .rank = like->rank};
    memcpy(v->tensor.dims, like->dims, sizeof like->dims);
    TRY(tensor_alloc(&v->tensor, error));
    for (int64_t k = 0, n = tensor_elements(like); k < n; k++) ((float *)v->tensor.data)[k] = (float)rng_normal(&r);
    in->given[i] = v;
  }
  return LEDGE_OK;
}

/* ---- the measurement ---- */

static ledge_status timed_run(session *s, const trial_inputs *in, uint64_t *best_ns, ledge_error *error) {
  uint64_t start = clock_now_ns();
  TRY(session_run(s, in->given, error));
  uint64_t ns = clock_now_ns() - start;
  if (ns < *best_ns) *best_ns = ns;
  return LEDGE_OK;
}

static ledge_status measure(ledge_session *s, const trial_inputs *in, session *run[2], ledge_precision_report *ret,
                            ledge_error *error) {
  uint64_t best[2] = {UINT64_MAX, UINT64_MAX}, first = UINT64_MAX, start;
  ledge_error refused = {.message = ""};
  TRY(api_session_open(s, s->open, LEDGE_PRECISION_F32, NULL, &run[0], error));
  TRY(session_run(run[0], in->given, error));
  ledge_status status = api_session_open(s, s->open, LEDGE_PRECISION_BF16, NULL, &run[1], &refused);
  if (!status) status = timed_run(run[1], in, &first, &refused);
  if (status == LEDGE_ERROR_CANCELLED) return error_set(error, status, "%s", refused.message);
  if (status) return LEDGE_OK; /* bf16 cannot run, for want of memory: the error stays infinite */
  ret->error = output_error(run[0], run[1]);
  start = clock_now_ns();
  for (int i = 0; i < MOST_ROUNDS; i++) {
    for (int p = 0; p < 4; p++) TRY(timed_run(run[p / 2], in, &best[p / 2], error)); /* the first of two warms caches */
    uint64_t spent = clock_now_ns() - start;
    if (spent > PATIENCE_NS || (spent > ENOUGH_NS && i + 1 >= LEAST_ROUNDS)) break;
  }
  ret->float32_ms = (double)best[0] * 1e-6;
  ret->bf16_ms = (double)best[1] * 1e-6;
  if (ret->error <= ret->error_limit && ret->bf16_ms < gain_least * ret->float32_ms)
    ret->precision = LEDGE_PRECISION_BF16;
  return LEDGE_OK;
}

typedef struct decision {
  int64_t valid;
  ledge_precision_report report;
} decision;

typedef struct decide_args {
  ledge_session *session;
  ledge_status status;
  ledge_error *error;
} decide_args;

static void decide(const void *arg, void *dst) {
  decide_args *a = *(decide_args *const *)arg;
  decision *d = dst;
  session *run[2] = {NULL, NULL};
  trial_inputs in;
  double limit = a->session->options.precision_error;
  d->report =
      (ledge_precision_report){.measured = true, .error = INFINITY, .error_limit = limit > 0 ? limit : error_default};
  a->status = inputs_make(a->session, &in, a->error);
  if (!a->status) a->status = measure(a->session, &in, run, &d->report, a->error);
  d->valid = a->status == LEDGE_OK;
  session_destroy(run[0]);
  session_destroy(run[1]);
  inputs_free(&in);
}

/* What the decision hangs on beside the model's file and the machine. */
static void key_add(digest *d, const void *data, size_t bytes) {
  const digest both[] = {*d, digest_bytes(data, bytes)};
  *d = digest_bytes(both, sizeof both);
}
static digest decision_key(const ledge_session *s) {
  const char *passes = s->model->disable_passes ? s->model->disable_passes : "";
  digest d = digest_bytes(passes, strlen(passes));
  key_add(&d, &s->options.precision_error, sizeof s->options.precision_error);
  for (int i = 0; i < s->model->read->graph->n_inputs; i++) {
    const value *v = s->given[i];
    int64_t kind = v ? (int64_t)v->kind : -1;
    key_add(&d, &kind, sizeof kind);
    if (kind == VALUE_TENSOR) key_add(&d, v->tensor.dims, (size_t)v->tensor.rank * sizeof *v->tensor.dims);
  }
  return d;
}

/* The first constant with contents; NULL: none. */
static const tensor *first_constant(const graph *g) {
  for (int i = 0; i < g->n_values; i++) {
    const tensor *t = g->values[i].constant;
    if (t && t->data && tensor_bytes(t) >= 64 && t->dtype != LEDGE_STRING) return t;
  }
  return NULL;
}

ledge_status api_decide_precision(ledge_session *s, ledge_error *error) {
  decide_args args = {.session = s, .error = error}, *at = &args;
  decision own = {0};
  const decision *found = &own;
  const tensor *t = first_constant(s->model->read->graph);
  if (t) {
    digest d = decision_key(s);
    const int64_t key[] = {(int64_t)d.a, (int64_t)d.b, session_threads(s->run), s->open};
    const weight_packing packing = {.kind = "precision",
                                    .params = key,
                                    .n_params = sizeof key / sizeof *key,
                                    .bytes = sizeof own,
                                    .pack = decide,
                                    .arg = &at,
                                    .dear = true};
    TRY(weight_store_get(s->model->weights, t->data, tensor_bytes(t), &packing, (const void **)&found, error));
    if (args.status) return args.status;
  }
  if (!found->valid) {
    decide(&at, &own);
    if (args.status) return args.status;
    found = &own;
  }
  s->report = found->report;
  return LEDGE_OK;
}

void ledge_session_precision(const ledge_session *s, ledge_precision_report *ret) { *ret = s->report; }
