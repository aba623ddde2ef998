/* api/session: sessions; see ledge.h. */
#include "api/api.h"
#include "base/error.h"
#include "passes/pass.h"

#include <stdio.h>

/* One error that names every missing operator with its nodes, as far as the message reaches. */
static ledge_status report_missing(const ledge_model *m, ledge_error *error) {
  char text[sizeof error->message];
  size_t at = 0;
  ledge_node_info n;
  for (size_t i = 0; ledge_model_node(m, i, &n, NULL) == LEDGE_OK && at < sizeof text; i++) {
    if (n.supported) continue;
    int k = snprintf(text + at, sizeof text - at, "%s%s%s%s version %d at ", at ? "; " : "", n.domain,
                     n.domain[0] ? "." : "", n.op, n.version);
    at += k > 0 ? (size_t)k : 0;
    if (at >= sizeof text) break;
    k = n.name[0] ? snprintf(text + at, sizeof text - at, "node '%s'", n.name)
                  : snprintf(text + at, sizeof text - at, "node %zu", i);
    at += k > 0 ? (size_t)k : 0;
  }
  return error_set(error, LEDGE_ERROR_UNSUPPORTED, "%s has %d node%s whose operator%s ledge does not know: %s",
                   file_map_path(m->map), m->n_missing, m->n_missing == 1 ? "" : "s", m->n_missing == 1 ? "" : "s",
                   text);
}

/* The graph after the passes, made once. */
static ledge_status optimised(ledge_model *m, api_variant variant, model **ret, ledge_error *error) {
  ledge_status status = LEDGE_OK;
  pthread_mutex_lock(&m->mutex);
  if (!m->variants[variant]) {
    model *clone = NULL;
    status = model_clone(m->read, &clone, error);
    if (!status) {
      clone->defaults_fixed = variant == API_FIXED;
      pass_options options = {.disable = m->disable_passes, .required_only = variant == API_REFERENCE};
      status = passes_run(clone, &options, error);
    }
    if (!status) status = api_check_files(m, error); /* what was folded would be zeros */
    if (status)
      model_destroy(clone);
    else
      m->variants[variant] = clone;
  }
  *ret = m->variants[variant];
  pthread_mutex_unlock(&m->mutex);
  return status;
}

ledge_status api_session_open(ledge_session *s, bool open, ledge_precision precision, weight_store *weights,
                              session **ret, ledge_error *error) {
  const ledge_session_options *o = &s->options;
  model *graph_model;
  TRY(optimised(s->model, o->reference ? API_REFERENCE : open ? API_OPEN : API_FIXED, &graph_model, error));
  session_options so = {.threads = o->threads,
                        .memory_limit = o->memory_limit,
                        .reference_only = o->reference,
                        .profile = o->profile,
                        .precision = precision,
                        .seed = o->seed,
                        .weights = weights,
                        .cancelled = &s->cancelled};
  return session_create(graph_model, &so, ret, error);
}

/* With the precision that is decided, or float32 as long as it is not. */
static ledge_status session_open(ledge_session *s, bool open, session **ret, ledge_error *error) {
  return api_session_open(s, open, s->report.precision, s->model->weights, ret, error);
}

/* ---- variables: two memories each, of which a run reads one and writes the other ---- */

/* The contents before the next run are the model's initial ones. */
static ledge_status states_reset(ledge_session *s, ledge_error *error) {
  const model *r = s->model->read;
  for (int i = 0; i < r->n_states; i++) {
    tensor_deinit(&s->states[0][i]);
    TRY(tensor_copy(&s->states[0][i], r->states[i], error));
    int at = api_n_inputs(s->model) + i;
    s->inputs[at] = (value){.kind = VALUE_TENSOR};
    tensor_share(&s->inputs[at].tensor, &s->states[0][i]);
    s->given[at] = &s->inputs[at];
  }
  return LEDGE_OK;
}

static ledge_status states_create(ledge_session *s, ledge_error *error) {
  size_t n = (size_t)s->model->read->n_states;
  if (!n) return LEDGE_OK;
  for (int k = 0; k < 2; k++)
    if (!(s->states[k] = mem_alloc_array(n, sizeof **s->states))) return error_memory(error, n, "variables");
  return states_reset(s, error);
}

/* What the run has left becomes what the next one reads: copied into the other memory, so that the run's own inputs
 * stand as long as its outputs. */
static ledge_status states_step(ledge_session *s, ledge_error *error) {
  int n = s->model->read->n_states, in = api_n_inputs(s->model), out = api_n_outputs(s->model);
  for (int i = 0; i < n; i++) {
    const value *v = session_output(s->run, out + i);
    tensor *to = &s->states[1][i];
    if (!v || v->kind != VALUE_TENSOR)
      return error_set(error, LEDGE_ERROR_ARGUMENT, "a variable was left without contents");
    if (to->dtype != v->tensor.dtype || !tensor_same_shape(to, &v->tensor) || !to->data) {
      tensor_deinit(to);
      TRY(tensor_copy(to, &v->tensor, error));
    } else {
      TRY(tensor_copy_data(to, &v->tensor, error));
    }
  }
  for (int i = 0; i < n; i++) {
    tensor before = s->states[0][i];
    s->states[0][i] = s->states[1][i];
    s->states[1][i] = before;
    value_deinit(&s->inputs[in + i]);
    s->inputs[in + i].kind = VALUE_TENSOR;
    tensor_share(&s->inputs[in + i].tensor, &s->states[0][i]);
  }
  return LEDGE_OK;
}

ledge_status ledge_session_create(ledge_model *m, const ledge_session_options *options, ledge_session **ret,
                                  ledge_error *error) {
  static const ledge_session_options defaults;
  if (!m || !ret) return error_set(error, LEDGE_ERROR_ARGUMENT, "ledge_session_create: model or ret_session is NULL");
  if (!options) options = &defaults;
  if (options->threads < 0) return error_set(error, LEDGE_ERROR_ARGUMENT, "%d threads", options->threads);
  if ((unsigned)options->precision > LEDGE_PRECISION_AUTO || !(options->precision_error >= 0))
    return error_set(error, LEDGE_ERROR_ARGUMENT, "precision %d, error %g", (int)options->precision,
                     options->precision_error);
  if (m->n_missing) return report_missing(m, error);
  ledge_session *s = mem_zalloc(sizeof *s);
  if (!s) return error_memory(error, sizeof *s, "a session");
  size_t n = (size_t)m->read->graph->n_inputs;
  s->model = api_model_ref(m);
  s->options = *options;
  s->undecided = options->precision == LEDGE_PRECISION_AUTO && !options->reference;
  s->report.precision = options->precision == LEDGE_PRECISION_BF16 && !options->reference;
  s->inputs = mem_alloc_array(n, sizeof *s->inputs);
  s->given = mem_alloc_array(n, sizeof *s->given);
  ledge_status status = s->inputs && s->given ? session_open(s, false, &s->run, error)
                                              : error_memory(error, n * sizeof *s->inputs, "a session");
  if (!status) status = states_create(s, error);
  if (status) {
    ledge_session_destroy(s);
    return status;
  }
  *ret = s;
  return LEDGE_OK;
}

void ledge_session_destroy(ledge_session *s) {
  if (!s) return;
  session_destroy(s->run);
  session_destroy(s->before);
  for (int i = 0; s->inputs && i < s->model->read->graph->n_inputs; i++) value_deinit(&s->inputs[i]);
  for (int k = 0; k < 2; k++) {
    for (int i = 0; s->states[k] && i < s->model->read->n_states; i++) tensor_deinit(&s->states[k][i]);
    mem_free(s->states[k]);
  }
  mem_free(s->inputs);
  mem_free(s->given);
  ledge_model_close(s->model);
  mem_free(s);
}

/* ---- inputs and outputs ---- */

ledge_status api_check_input(const graph *g, int i, const value *v, ledge_error *error) {
  static const char *const kinds[] = {"nothing", "a tensor", "a sequence", "a map"};
  ledge_value_info want;
  TRY(api_value_info(g, g->inputs[i], &want));
  char a[256], b[256];
  if (v->kind == VALUE_NONE && want.optional) return LEDGE_OK;
  if ((int)v->kind != (int)want.kind)
    return error_set(error, LEDGE_ERROR_SHAPE, "input '%s' is %s; it was given %s", want.name, kinds[want.kind],
                     kinds[v->kind]);
  if (v->kind != VALUE_TENSOR) return LEDGE_OK;
  const tensor *t = &v->tensor;
  if (want.dtype != LEDGE_DTYPE_NONE && t->dtype != want.dtype)
    return error_set(error, LEDGE_ERROR_SHAPE, "input '%s' has dtype %s; it was given %s", want.name,
                     ledge_dtype_name(want.dtype), ledge_dtype_name(t->dtype));
  bool fits = want.rank < 0 || want.rank == t->rank;
  for (int d = 0; fits && want.rank >= 0 && d < t->rank; d++) fits = want.dims[d] < 0 || want.dims[d] == t->dims[d];
  if (!fits)
    return error_set(error, LEDGE_ERROR_SHAPE, "input '%s' has shape %s; it was given %s", want.name,
                     shape_print(want.rank, want.dims, a, sizeof a), shape_print(t->rank, t->dims, b, sizeof b));
  return LEDGE_OK;
}

/* In models of IR versions before 4 initialisers are listed as inputs and are constants all the same. */
static bool fixed_input(const model *m, size_t i) {
  return m->ir_version < 4 && m->graph->values[m->graph->inputs[i]].constant;
}

static ledge_status check_index(const ledge_session *s, size_t i, ledge_error *error) {
  const graph *g = s->model->read->graph;
  if (i >= (size_t)api_n_inputs(s->model))
    return error_set(error, LEDGE_ERROR_NAME, "the model has %d inputs; there is no input %zu", api_n_inputs(s->model),
                     i);
  if (fixed_input(s->model->read, i))
    return error_set(error, LEDGE_ERROR_ARGUMENT, "input '%s' is a constant of the model: it cannot be set",
                     g->values[g->inputs[i]].name);
  return LEDGE_OK;
}

/* Another session comes in the place of `run`, whose outputs stand until the next run. */
static void replace_run(ledge_session *s, session *run) {
  session_take_bindings(run, s->run);
  session_destroy(s->before);
  s->before = s->run;
  s->run = run;
}

static ledge_status put_input(ledge_session *s, size_t i, const value *v, ledge_error *error) {
  const graph *g = s->model->read->graph;
  if (v && !s->open && g->values[g->inputs[i]].constant) { /* from now on defaults are no constants */
    session *open;
    TRY(session_open(s, true, &open, error));
    replace_run(s, open);
    s->open = true;
  }
  if (v) value_share(&s->inputs[i], v);
  s->given[i] = v ? &s->inputs[i] : NULL;
  return LEDGE_OK;
}

ledge_status ledge_session_set_input(ledge_session *s, size_t i, const ledge_tensor *t, ledge_error *error) {
  value v = {.kind = VALUE_TENSOR};
  TRY(check_index(s, i, error));
  if (!t) {
    value_deinit(&s->inputs[i]);
    return put_input(s, i, NULL, error);
  }
  ledge_status status = api_tensor_in(t, &v.tensor, error);
  if (!status) status = api_check_input(s->model->read->graph, (int)i, &v, error);
  if (!status) status = put_input(s, i, &v, error);
  return status ? error_prefix(error, status, "%s", file_map_path(s->model->map)) : LEDGE_OK;
}

ledge_status ledge_session_set_input_value(ledge_session *s, size_t i, const ledge_value *given, ledge_error *error) {
  if (!given) return ledge_session_set_input(s, i, NULL, error);
  TRY(check_index(s, i, error));
  ledge_status status = api_check_input(s->model->read->graph, (int)i, &given->v, error);
  if (!status) status = put_input(s, i, &given->v, error);
  return status ? error_prefix(error, status, "%s", file_map_path(s->model->map)) : LEDGE_OK;
}

ledge_status ledge_session_bind_output(ledge_session *s, size_t i, void *data, size_t bytes, ledge_error *error) {
  if (i > INT32_MAX) i = INT32_MAX;
  return session_bind_output(s->run, (int)i, data, bytes, error);
}

static ledge_status check_given(const ledge_session *s, ledge_error *error) {
  const graph *g = s->model->read->graph;
  for (int i = 0; i < g->n_inputs; i++) {
    const graph_value *v = &g->values[g->inputs[i]];
    if (s->given[i] || v->constant) continue;
    char text[256];
    ledge_value_info want;
    TRY(api_value_info(g, g->inputs[i], &want));
    return error_set(error, LEDGE_ERROR_NAME, "input '%s' (%s%s) is not set", v->name, ledge_dtype_name(want.dtype),
                     want.rank < 0 ? "" : shape_print(want.rank, want.dims, text, sizeof text));
  }
  return LEDGE_OK;
}

/* What is to be said of a plan or run. A file that was cut short explains whatever went wrong, and what did not. */
static ledge_status finish(const ledge_session *s, ledge_status status, ledge_error *error) {
  TRY(api_check_files(s->model, error));
  return status ? error_prefix(error, status, "%s", file_map_path(s->model->map)) : LEDGE_OK;
}

/* What AUTO is, before the first plan. */
static ledge_status settle_precision(ledge_session *s, ledge_error *error) {
  if (!s->undecided) return LEDGE_OK;
  TRY(api_decide_precision(s, error));
  if (s->report.precision != LEDGE_PRECISION_F32) {
    session *run;
    TRY(session_open(s, s->open, &run, error));
    replace_run(s, run);
  }
  s->undecided = false;
  return LEDGE_OK;
}

ledge_status ledge_session_plan(ledge_session *s, ledge_error *error) {
  const plan *p;
  ledge_status status = check_given(s, error);
  if (!status) status = settle_precision(s, error);
  if (!status) status = session_plan(s->run, s->given, &p, error);
  return finish(s, status, error);
}

ledge_status ledge_session_run(ledge_session *s, ledge_error *error) {
  ledge_status status = check_given(s, error);
  if (!status) status = settle_precision(s, error);
  if (status) return finish(s, status, error);
  session_destroy(s->before);
  s->before = NULL;
  status = finish(s, session_run(s->run, s->given, error), error);
  if (!status) status = states_step(s, error);
  if (status) session_forget(s->run);
  return status;
}

static ledge_status last_output(const ledge_session *s, size_t i, const value **ret, ledge_error *error) {
  const session *run = s->before ? s->before : s->run;
  const graph *g = session_graph(run);
  if (i >= (size_t)(g->n_outputs - s->model->read->n_states))
    return error_set(error, LEDGE_ERROR_NAME, "the model has %d outputs; there is no output %zu",
                     g->n_outputs - s->model->read->n_states, i);
  *ret = session_output(run, (int)i);
  return *ret ? LEDGE_OK : error_set(error, LEDGE_ERROR_ARGUMENT, "no run has made an output yet");
}

ledge_status ledge_session_output(const ledge_session *s, size_t i, ledge_tensor *ret, ledge_error *error) {
  const value *v;
  TRY(last_output(s, i, &v, error));
  if (v->kind != VALUE_TENSOR)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "output %zu is no tensor: use ledge_session_output_value", i);
  api_tensor_out(&v->tensor, ret);
  return LEDGE_OK;
}

ledge_status ledge_session_output_value(const ledge_session *s, size_t i, ledge_value **ret, ledge_error *error) {
  const value *v;
  TRY(last_output(s, i, &v, error));
  ledge_value *copy = mem_zalloc(sizeof *copy);
  if (!copy) return error_memory(error, sizeof *copy, "a value");
  ledge_status status = value_keep(&copy->v, v, error);
  if (status) {
    mem_free(copy);
    return status;
  }
  *ret = copy;
  return LEDGE_OK;
}

void ledge_session_cancel(ledge_session *s) { atomic_store_explicit(&s->cancelled, true, memory_order_relaxed); }

/* ---- what a session says of itself ---- */

static const plan *current_plan(const ledge_session *s) {
  const plan *p = session_last_plan(s->run);
  if (!p && session_plan(s->run, s->given, &p, NULL)) p = NULL;
  return p;
}

void ledge_session_memory(const ledge_session *s, ledge_memory *ret) {
  const plan *p = current_plan(s);
  *ret = (ledge_memory){.packed_bytes = weight_store_bytes(s->model->weights),
                        .cached_bytes = weight_store_mapped_bytes(s->model->weights)};
  if (!p) return;
  ret->planned_bytes = p->arena_bytes;
  ret->folded_bytes = p->folded_bytes;
  ret->dynamic_bytes = session_dynamic_bytes(s->run);
  ret->exact = p->n_dynamic == 0;
}

int ledge_session_threads(const ledge_session *s) { return session_threads(s->run); }

double ledge_session_multiply_adds(const ledge_session *s) {
  const plan *p = current_plan(s);
  return p ? p->multiply_adds : 0;
}

bool ledge_session_profile(const ledge_session *s, size_t i, ledge_profile *ret) {
  const plan *p = current_plan(s);
  if (!p || i >= (size_t)p->n_steps) return false;
  const plan_step *step = &p->steps[i];
  const node *n = &p->graph->nodes[step->node];
  *ret = (ledge_profile){n->name,       n->op,      step->kernel_name ? step->kernel_name : "reference",
                         step->time_ns, step->runs, step->multiply_adds};
  return true;
}
