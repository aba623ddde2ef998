/* runtime/session: see session.h. Also the host that operators call: memory of dynamic outputs, and subgraphs.
 *
 *   session -> plan sets, one a graph (the main one and each subgraph that was run) -> plans, one a set of input shapes
 *
 * While a subgraph runs, the plan that is active in its parent's set holds the values that it captures. A graph never
 * runs inside itself, so one active plan a graph is enough. */
#include "runtime/session.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "runtime/blocks.h"

#include <assert.h>

enum { SESSION_PLANS_MAX = 8 }; /* cached a graph; the least recently used goes */

typedef struct plan_set plan_set;
struct plan_set {
  plan_set *next;
  const graph *graph;
  plan *plans[SESSION_PLANS_MAX];
  int n_plans;
  plan *active;
  const value **captures; /* of the run that is going on: the graph's n_captures; made once */
};

typedef struct binding {
  void *data;
  size_t bytes;
} binding;

struct session {
  op_host host; /* first: operators call back with its address */
  model *model;
  session_options options;
  plan_options plan_options;
  pool *pool;
  block_pool *blocks;
  weight_store *weights;
  plan_set *sets;
  plan *last;        /* whose outputs are the caller's to read */
  plan *planned;     /* the main graph's that was asked for last */
  binding *bindings; /* by output */
  rng rng;
  ledge_error error; /* that the operators fill */
  atomic_bool own_cancelled, *cancelled;
  uint64_t ticks;
  size_t running_bytes; /* of the plans that run */
};

static ledge_status host_alloc(op_host *h, op_ctx *c, value *out);
static ledge_status host_call(op_host *h, op_ctx *c, const graph *g, const value *const *in, int n_in, value *out,
                              int n_out);
static bool host_cancelled(op_host *h);

ledge_status session_create(model *m, const session_options *options, session **ret, ledge_error *error) {
  session *s = mem_zalloc(sizeof *s);
  if (!s) return error_memory(error, sizeof *s, "a session");
  s->host = (op_host){host_alloc, host_call, host_cancelled};
  s->model = model_ref(m);
  s->options = *options;
  s->cancelled = options->cancelled ? options->cancelled : &s->own_cancelled;
  rng_init(&s->rng, options->seed);
  if (!s->options.memory_limit) s->options.memory_limit = cpu_memory_available();
  if (!s->options.isa) s->options.isa = cpu_isa_available();
  ledge_status status = pool_shared_ref(options->threads, &s->pool, error);
  if (!status) {
    s->blocks = block_pool_create(s->options.memory_limit);
    s->weights = options->weights ? weight_store_ref(options->weights) : weight_store_create();
    s->bindings = mem_alloc_array((size_t)m->graph->n_outputs, sizeof *s->bindings);
    if (!s->blocks || !s->weights || !s->bindings) status = error_memory(error, sizeof *s, "a session");
  }
  if (status) {
    session_destroy(s);
    return status;
  }
  s->plan_options = (plan_options){pool_threads(s->pool),     s->options.isa,      s->weights, s->options.memory_limit,
                                   s->options.reference_only, s->options.precision};
  *ret = s;
  return LEDGE_OK;
}

void session_destroy(session *s) {
  if (!s) return;
  for (plan_set *set = s->sets, *next; set; set = next) {
    next = set->next;
    for (int i = 0; i < set->n_plans; i++) plan_destroy(set->plans[i]);
    mem_free(set->captures);
    mem_free(set);
  }
  mem_free(s->bindings);
  weight_store_unref(s->weights);
  block_pool_destroy(s->blocks);
  pool_shared_unref(s->pool);
  model_destroy(s->model);
  mem_free(s);
}

/* ---- plans ---- */

static plan_set *session_set(session *s, const graph *g) {
  for (plan_set *set = s->sets; set; set = set->next)
    if (set->graph == g) return set;
  plan_set *set = mem_zalloc(sizeof *set);
  if (!set) return NULL;
  set->graph = g;
  set->next = s->sets;
  s->sets = set;
  return set;
}

/* Steps point to what the session has, once; ctx.error is the session's own. */
static void plan_attach(session *s, plan *p) {
  for (int i = 0; i < p->n_steps; i++) {
    op_ctx *c = &p->steps[i].ctx;
    c->host = &s->host;
    c->pool = s->pool;
    c->rng = &s->rng;
    c->error = &s->error;
  }
}

static void set_drop(session *s, plan_set *set, int at) {
  if (s->planned == set->plans[at]) s->planned = NULL;
  plan_destroy(set->plans[at]);
  set->plans[at] = set->plans[--set->n_plans];
}

/* The plan that was used longest ago and is free to go: neither `but`, nor running, nor one whose outputs may still be
 * read. Of `only`, or of all sets where that is NULL. */
static bool find_oldest(session *s, plan_set *only, const plan *but, plan_set **ret_set, int *ret_at) {
  const plan *oldest = NULL;
  for (plan_set *set = only ? only : s->sets; set; set = only ? NULL : set->next)
    for (int i = 0; i < set->n_plans; i++) {
      const plan *p = set->plans[i];
      if (p == but || p == s->last || p == set->active || (oldest && p->used > oldest->used)) continue;
      oldest = p;
      *ret_set = set;
      *ret_at = i;
    }
  return oldest;
}

static size_t plan_bytes(const plan *p) { return p->arena_bytes + p->folded_bytes; }

static size_t all_plan_bytes(const session *s) {
  size_t bytes = 0;
  for (const plan_set *set = s->sets; set; set = set->next)
    for (int i = 0; i < set->n_plans; i++) bytes += plan_bytes(set->plans[i]);
  return bytes;
}

/* Plans of other shapes are kept as far as the memory limit goes. The new plan's arena has not been touched yet. */
static void drop_above_limit(session *s, const plan *made) {
  plan_set *set;
  int at;
  while (s->options.memory_limit && all_plan_bytes(s) > s->options.memory_limit &&
         find_oldest(s, NULL, made, &set, &at))
    set_drop(s, set, at);
}

/* What the limit leaves for values sized by the data while these plans run. 0 would be no limit. */
static void limit_blocks(session *s, size_t planned) {
  size_t limit = s->options.memory_limit;
  if (limit) block_pool_set_limit(s->blocks, planned < limit ? limit - planned : 1);
}

static ledge_status set_find(session *s, plan_set *set, const value *const *inputs, const value *const *captures,
                             plan **ret, ledge_error *error) {
  for (int i = 0; i < set->n_plans; i++) {
    plan *p = set->plans[i];
    if (!plan_fits(p, inputs, captures)) continue;
    p->used = ++s->ticks;
    *ret = p;
    return LEDGE_OK;
  }
  plan *p;
  TRY(plan_create(set->graph, inputs, captures, &s->plan_options, &p, error));
  weight_store_save(s->weights);
  plan_attach(s, p);
  p->used = ++s->ticks;
  plan_set *old;
  int at;
  if (set->n_plans == SESSION_PLANS_MAX && find_oldest(s, set, NULL, &old, &at)) set_drop(s, old, at);
  assert(set->n_plans < SESSION_PLANS_MAX); /* of a full set two plans at most may not go */
  set->plans[set->n_plans++] = p;
  drop_above_limit(s, p);
  *ret = p;
  return LEDGE_OK;
}

/* ---- steps ---- */

static uint64_t hash_shapes(const op_ctx *c) {
  uint64_t h = 14695981039346656037u;
  for (int k = 0; k < c->n_in + c->n_out; k++) {
    const value *v = k < c->n_in ? c->in[k] : c->out[k - c->n_in];
    const tensor *t = v ? &v->tensor : NULL;
    h = (h ^ (t ? (uint64_t)t->dtype << 8 | (uint64_t)t->rank : 99)) * 1099511628211u;
    for (int i = 0; t && i < t->rank; i++) h = (h ^ (uint64_t)t->dims[i]) * 1099511628211u;
  }
  return h | 1;
}

/* An alias whose input's storage is refcounted takes it instead of copying. */
static bool alias_share(op_ctx *c) {
  if (!(c->def->flags & OP_ALIAS) || c->n_out != 1 || !c->out[0] || !c->in[0] || !c->in[0]->tensor.own) return false;
  const tensor shaped = c->out[0]->tensor;
  tensor_share(&c->out[0]->tensor, &c->in[0]->tensor);
  tensor_set_shape(&c->out[0]->tensor, shaped.dtype, shaped.rank, shaped.dims);
  return true;
}

static ledge_status run_dynamic(session *s, plan *p, plan_step *step) {
  op_ctx *c = &step->ctx;
  for (int i = 0; i < c->n_out; i++)
    if (c->out[i]) value_deinit(c->out[i]);
  TRY(op_check_kinds(c));
  ledge_status status = op_infer(c);
  if (status == OP_UNKNOWN) return c->def->run(c);
  if (status) return status;
  if (alias_share(c)) return LEDGE_OK;
  for (int i = 0; i < c->n_out; i++)
    if (c->out[i]) TRY(block_pool_alloc(s->blocks, &c->out[i]->tensor, c->error));
  if (op_is_empty(c)) return LEDGE_OK;
  if (!s->options.reference_only) {
    uint64_t seen = hash_shapes(c);
    if (seen != step->seen_shapes) {
      TRY(plan_prepare_dynamic(p, step, &s->plan_options, c->error));
      step->seen_shapes = seen;
    }
  }
  return step->run(c);
}

static ledge_status step_failed(session *s, const plan *p, const plan_step *step, ledge_status status) {
  char label[160];
  const node *n = &p->graph->nodes[step->node];
  if (status == OP_UNKNOWN)
    status = error_set(&s->error, LEDGE_ERROR_INTERNAL, "%s left its outputs without a shape", n->op);
  error_prefix(&s->error, status, "%s", node_label(p->graph, n, label, sizeof label));
  error_node(&s->error, n->name);
  return status;
}

static ledge_status run_steps(session *s, plan *p) {
  for (int i = 0; i < p->n_steps; i++) {
    plan_step *step = &p->steps[i];
    if (atomic_load_explicit(s->cancelled, memory_order_relaxed))
      return error_set(&s->error, LEDGE_ERROR_CANCELLED, "the run was cancelled");
    uint64_t start = s->options.profile ? clock_now_ns() : 0;
    ledge_status status = step->dynamic ? run_dynamic(s, p, step) : step->run(&step->ctx);
    if (status) return step_failed(s, p, step, status);
    if (s->options.profile) {
      step->time_ns += clock_now_ns() - start;
      step->runs++;
    }
    for (int k = 0; k < step->n_release; k++) value_deinit(&p->values[step->release[k]].v);
  }
  return LEDGE_OK;
}

/* Gives the plan its inputs (and captures), and their aliases the pointers. */
static void plan_give(plan *p, const value *const *inputs, const value *const *captures) {
  const graph *g = p->graph;
  for (int i = 0; i < g->n_inputs; i++)
    if (inputs && inputs[i]) value_share(&p->values[g->inputs[i]].v, inputs[i]);
  for (int i = 0; i < g->n_captures; i++) {
    plan_value *pv = &p->values[g->captures[i].inner];
    if (pv->place == PLAN_INPUT) value_share(&pv->v, captures[i]);
  }
  for (value_id v = 0; v < g->n_values; v++)
    if (p->values[v].place == PLAN_ALIAS && p->values[p->values[v].root].place == PLAN_INPUT)
      p->values[v].v.tensor.data = (uint8_t *)p->values[p->values[v].root].v.tensor.data + p->values[v].at;
}

/* Lets go of what the caller gave and of dynamic values. */
static void plan_drop(plan *p, bool outputs_too) {
  const graph *g = p->graph;
  for (value_id v = 0; v < g->n_values; v++) {
    if (p->values[v].place != PLAN_POOL) continue;
    bool output = false;
    for (int i = 0; i < g->n_outputs && !output; i++) output = g->outputs[i] == v;
    if (!output || outputs_too) value_deinit(&p->values[v].v);
  }
}

/* ---- the host ---- */

static ledge_status host_alloc(op_host *h, op_ctx *c, value *out) {
  return block_pool_alloc(((session *)h)->blocks, &out->tensor, c->error);
}

static bool host_cancelled(op_host *h) { return atomic_load_explicit(((session *)h)->cancelled, memory_order_relaxed); }

/* An owned equal of v whose memory, where it must be copied, is a block of the pool. */
static ledge_status keep_in_blocks(session *s, value *dst, const value *v, ledge_error *error) {
  if (v->kind != VALUE_TENSOR || v->tensor.own) return value_keep(dst, v, error);
  value copy = {.kind = VALUE_TENSOR};
  tensor_set_shape(&copy.tensor, v->tensor.dtype, v->tensor.rank, v->tensor.dims);
  TRY(block_pool_alloc(s->blocks, &copy.tensor, error));
  ledge_status status = tensor_copy_data(&copy.tensor, &v->tensor, error);
  if (status) {
    value_deinit(&copy);
    return status;
  }
  value_deinit(dst);
  *dst = copy;
  return LEDGE_OK;
}

static ledge_status host_call(op_host *h, op_ctx *c, const graph *g, const value *const *in, int n_in, value *out,
                              int n_out) {
  session *s = (session *)h;
  if (n_in != g->n_inputs || n_out > g->n_outputs)
    return op_fail(c, LEDGE_ERROR_FORMAT, "its subgraph '%s' has %d inputs and %d outputs instead of %d and %d",
                   g->name, g->n_inputs, g->n_outputs, n_in, n_out);
  plan_set *set = session_set(s, g), *outer = g->n_captures ? session_set(s, g->parent) : NULL;
  if (set && !set->captures) set->captures = mem_alloc_array((size_t)g->n_captures, sizeof *set->captures);
  if (!set || !set->captures || (g->n_captures && !outer))
    return error_memory(c->error, sizeof *set, "a subgraph's plans");
  const value **captures = set->captures;
  for (int i = 0; i < g->n_captures; i++) captures[i] = &outer->active->values[g->captures[i].outer].v;
  plan *p = NULL;
  ledge_status status = set_find(s, set, in, captures, &p, c->error);
  if (!status) {
    plan *before = set->active;
    set->active = p;
    s->running_bytes += plan_bytes(p);
    limit_blocks(s, s->running_bytes);
    plan_give(p, in, captures);
    status = run_steps(s, p);
    set->active = before;
    s->running_bytes -= plan_bytes(p);
    limit_blocks(s, s->running_bytes);
    for (int i = 0; !status && i < n_out; i++)
      status = keep_in_blocks(s, &out[i], &p->values[g->outputs[i]].v, c->error);
    plan_drop(p, true);
  }
  if (status)
    for (int i = 0; i < n_out; i++) value_deinit(&out[i]);
  return status;
}

/* ---- runs ---- */

/* Points bound outputs that have arena memory of their own to the caller's buffer. */
static void apply_bindings(session *s, plan *p) {
  const graph *g = p->graph;
  for (int i = 0; i < g->n_outputs; i++) {
    value_id v = g->outputs[i], root = p->values[v].root;
    if (p->values[root].place != PLAN_ARENA || p->values[root].bytes != tensor_bytes(&p->values[v].v.tensor)) continue;
    uint8_t *data = s->bindings[i].data && s->bindings[i].bytes >= tensor_bytes(&p->values[v].v.tensor)
                        ? s->bindings[i].data
                        : p->arena + p->values[root].offset;
    for (int k = 0; k < i; k++) /* another output has this memory already */
      if (p->values[g->outputs[k]].root == root) data = p->values[root].v.tensor.data;
    if (p->values[root].v.tensor.data == data) continue;
    for (value_id w = 0; w < g->n_values; w++)
      if (p->values[w].root == root) p->values[w].v.tensor.data = data + p->values[w].at;
  }
}

static ledge_status copy_bindings(session *s, plan *p, ledge_error *error) {
  for (int i = 0; i < p->graph->n_outputs; i++) {
    const value *v = &p->values[p->graph->outputs[i]].v;
    if (!s->bindings[i].data || v->tensor.data == s->bindings[i].data) continue;
    if (v->kind != VALUE_TENSOR || v->tensor.dtype == LEDGE_STRING)
      return error_set(error, LEDGE_ERROR_ARGUMENT, "output %d is no tensor of numbers: it cannot be bound to a buffer",
                       i);
    size_t bytes = tensor_bytes(&v->tensor);
    if (bytes > s->bindings[i].bytes)
      return error_set(error, LEDGE_ERROR_ARGUMENT, "output %d takes %zu bytes; the buffer that is bound to it has %zu",
                       i, bytes, s->bindings[i].bytes);
    memcpy(s->bindings[i].data, v->tensor.data, bytes);
  }
  return LEDGE_OK;
}

static ledge_status find_main(session *s, const value *const *inputs, plan_set **set, plan **p, ledge_error *error) {
  *set = session_set(s, s->model->graph);
  if (!*set) return error_memory(error, sizeof **set, "a session's plans");
  TRY(set_find(s, *set, inputs, NULL, p, error));
  s->planned = *p;
  return LEDGE_OK;
}

ledge_status session_plan(session *s, const value *const *inputs, const plan **ret, ledge_error *error) {
  plan_set *set;
  plan *p = NULL;
  TRY(find_main(s, inputs, &set, &p, error));
  *ret = p;
  return LEDGE_OK;
}

ledge_status session_run(session *s, const value *const *inputs, ledge_error *error) {
  atomic_store_explicit(s->cancelled, false, memory_order_relaxed);
  session_forget(s);
  plan_set *set;
  plan *p = NULL;
  TRY(find_main(s, inputs, &set, &p, error));
  apply_bindings(s, p);
  set->active = p;
  s->last = p;
  s->running_bytes = plan_bytes(p);
  limit_blocks(s, s->running_bytes);
  plan_give(p, inputs, NULL);
  ledge_status status = run_steps(s, p);
  set->active = NULL;
  if (!status) status = copy_bindings(s, p, &s->error);
  if (status) {
    plan_drop(p, true);
    s->last = NULL;
    if (error) *error = s->error;
  }
  return status;
}

const value *session_output(const session *s, int i) {
  return s->last ? &s->last->values[s->model->graph->outputs[i]].v : NULL;
}

void session_forget(session *s) {
  if (s->last) plan_drop(s->last, true);
  s->last = NULL;
}

ledge_status session_bind_output(session *s, int i, void *data, size_t bytes, ledge_error *error) {
  if (i < 0 || i >= s->model->graph->n_outputs)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "the model has no output %d", i);
  s->bindings[i] = (binding){data, bytes};
  return LEDGE_OK;
}

void session_take_bindings(session *s, const session *from) {
  size_t n = (size_t)s->model->graph->n_outputs;
  if (n) memcpy(s->bindings, from->bindings, n * sizeof *s->bindings);
}

void session_cancel(session *s) { atomic_store_explicit(s->cancelled, true, memory_order_relaxed); }

const plan *session_last_plan(const session *s) { return s->planned; }

const graph *session_graph(const session *s) { return s->model->graph; }

size_t session_dynamic_bytes(const session *s) { return block_pool_peak_bytes(s->blocks); }

int session_threads(const session *s) { return pool_threads(s->pool); }

size_t session_memory_bytes(const session *s) { return block_pool_peak_bytes(s->blocks) + all_plan_bytes(s); }
