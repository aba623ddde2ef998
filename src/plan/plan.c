/* plan/plan: building a plan; see plan.h. The order: plan_seed (inputs, captures, constants), plan_nodes (infer, fold,
 * steps), plan_windows, plan_lifetimes, plan_inplace, plan_place (offsets), plan_point (data pointers). */
#include "plan/plan.h"

#include "base/cpu.h"
#include "base/error.h"

#include <assert.h>

/* Folded constants take so much in all, and half of the memory limit at most: what is larger is made in each run. Shape
 * arithmetic is small and always folded: shapes must be known. */
enum { PLAN_FOLD_BYTES_MAX = 64 << 20, PLAN_FOLD_SMALL_BYTES = 1 << 10 };

typedef struct builder {
  plan *p;
  const graph *g;
  const plan_options *o;
  ledge_error *error;
  int *root_last; /* by value: the last step that reads the memory of this root */
} builder;

static ledge_status plan_memory_error(builder *b) { return error_memory(b->error, 0, "a plan"); }

static void seed_value(builder *b, value_id v, const value *from) {
  plan_value *pv = &b->p->values[v];
  pv->place = PLAN_INPUT;
  pv->v.kind = from->kind;
  if (from->kind == VALUE_TENSOR)
    tensor_set_shape(&pv->v.tensor, from->tensor.dtype, from->tensor.rank, from->tensor.dims);
}

static void seed_constant(builder *b, value_id v, const tensor *t) {
  plan_value *pv = &b->p->values[v];
  pv->place = PLAN_CONSTANT;
  pv->v.kind = VALUE_TENSOR;
  pv->v.tensor = *t;
  pv->v.tensor.own = NULL;
}

static ledge_status plan_seed(builder *b, const value *const *inputs, const value *const *captures) {
  const graph *g = b->g;
  plan *p = b->p;
  p->n_key = g->n_inputs + g->n_captures;
  p->key = arena_alloc_array(&p->memory, (size_t)p->n_key, sizeof *p->key);
  if (!p->key) return plan_memory_error(b);
  for (int v = 0; v < g->n_values; v++) {
    p->values[v].root = v;
    p->values[v].first = p->values[v].last = -1;
    if (g->values[v].constant && g->values[v].producer < 0) seed_constant(b, v, g->values[v].constant);
  }
  for (int i = 0; i < g->n_inputs; i++) {
    value_id v = g->inputs[i];
    if (inputs && inputs[i])
      seed_value(b, v, inputs[i]);
    else if (p->values[v].place != PLAN_CONSTANT)
      return error_set(b->error, LEDGE_ERROR_NAME, "input '%s' is not given", g->values[v].name);
    if (inputs && inputs[i]) p->key[i].kind = inputs[i]->kind, p->key[i].tensor = p->values[v].v.tensor;
  }
  for (int i = 0; i < g->n_captures; i++) {
    value_id v = g->captures[i].inner;
    const tensor *t = graph_constant(g, v);
    if (t) {
      seed_constant(b, v, t);
    } else {
      seed_value(b, v, captures[i]);
      p->key[g->n_inputs + i].kind = captures[i]->kind;
      p->key[g->n_inputs + i].tensor = p->values[v].v.tensor;
    }
  }
  return LEDGE_OK;
}

static bool value_matches(const value *key, const value *v) {
  if (!v) return key->kind == VALUE_NONE && key->tensor.dtype == LEDGE_DTYPE_NONE;
  if (key->kind != v->kind) return false;
  return v->kind != VALUE_TENSOR ||
         (key->tensor.dtype == v->tensor.dtype && tensor_same_shape(&key->tensor, &v->tensor));
}

bool plan_fits(const plan *p, const value *const *inputs, const value *const *captures) {
  const graph *g = p->graph;
  for (int i = 0; i < g->n_inputs; i++)
    if (!value_matches(&p->key[i], inputs ? inputs[i] : NULL)) return false;
  for (int i = 0; i < g->n_captures; i++)
    if (p->values[g->captures[i].inner].place != PLAN_CONSTANT && !value_matches(&p->key[g->n_inputs + i], captures[i]))
      return false;
  return true;
}

/* ---- nodes ---- */

static bool is_static(const plan_value *pv) {
  switch (pv->place) {
    case PLAN_CONSTANT:
    case PLAN_ARENA:
    case PLAN_ALIAS: return true;
    case PLAN_INPUT: return pv->v.kind == VALUE_TENSOR;
    case PLAN_NOWHERE:
    case PLAN_POOL: return false;
  }
  return false;
}

static ledge_status make_context(builder *b, const node *n, op_ctx *c) {
  plan *p = b->p;
  const value **in = arena_alloc_array(&p->memory, (size_t)n->n_in, sizeof *in);
  value **out = arena_alloc_array(&p->memory, (size_t)n->n_out, sizeof *out);
  if (!in || !out) return plan_memory_error(b);
  for (int i = 0; i < n->n_in; i++) in[i] = n->in[i] == VALUE_ABSENT ? NULL : &p->values[n->in[i]].v;
  for (int i = 0; i < n->n_out; i++) out[i] = n->out[i] == VALUE_ABSENT ? NULL : &p->values[n->out[i]].v;
  *c = (op_ctx){.node = n, .def = n->def, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out, .error = b->error};
  return LEDGE_OK;
}

static ledge_status node_error(builder *b, const node *n, ledge_status status) {
  char label[160];
  error_node(b->error, n->name);
  return error_prefix(b->error, status, "%s", node_label(b->g, n, label, sizeof label));
}

/* May the node's outputs be computed now, once and for all? */
static bool can_fold(builder *b, const node *n, bool all_static) {
  if (n->def->flags & (OP_NONDETERMINISTIC | OP_EFFECT | OP_HOST_CALL)) return false;
  if (n->def->flags & OP_SHAPE_ONLY) return all_static;
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i] != VALUE_ABSENT && b->p->values[n->in[i]].place != PLAN_CONSTANT) return false;
  return true;
}

static bool has_room_to_fold(const builder *b, size_t bytes) {
  size_t most = PLAN_FOLD_BYTES_MAX;
  if (b->o->memory_limit && b->o->memory_limit / 2 < most) most = b->o->memory_limit / 2;
  return bytes <= PLAN_FOLD_SMALL_BYTES || (bytes <= most && b->p->folded_bytes <= most - bytes);
}

static ledge_status add_step(builder *b, const op_ctx *c, int index, bool dynamic);

static ledge_status fold_node(builder *b, op_ctx *c, const node *n, size_t bytes) {
  plan *p = b->p;
  if (n->def->flags & OP_ALIAS && n->n_in > 0 && p->values[n->in[0]].place == PLAN_CONSTANT && c->out[0] &&
      c->out[0]->tensor.dtype == p->values[n->in[0]].v.tensor.dtype) {
    const tensor *x = &p->values[n->in[0]].v.tensor;
    tensor shaped = c->out[0]->tensor;
    tensor_share(&c->out[0]->tensor, x);
    tensor_set_shape(&c->out[0]->tensor, shaped.dtype, shaped.rank, shaped.dims);
  } else {
    ledge_status status = op_eval(c);
    if (status) return node_error(b, n, status);
    p->folded_bytes += bytes;
  }
  for (int i = 0; i < n->n_out; i++) /* only tensors are constants: a sequence or an optional is made in each run */
    if (n->out[i] != VALUE_ABSENT && p->values[n->out[i]].v.kind != VALUE_TENSOR)
      return add_step(b, c, (int)(n - b->g->nodes), true);
  for (int i = 0; i < n->n_out; i++)
    if (n->out[i] != VALUE_ABSENT) p->values[n->out[i]].place = PLAN_CONSTANT;
  return LEDGE_OK;
}

/* The store of packed weights for a step. The model's own keeps what it has under the constants' addresses, so it is
 * not for constants that the plan has folded: their memory goes with the plan, and another plan's may come to lie
 * there. The plan has a store of its own for steps that read such. NULL: out of memory. */
static weight_store *step_weights(plan *p, const plan_step *s, const plan_options *o) {
  bool folded = false;
  for (int i = 0; i < s->ctx.n_in; i++) folded = folded || (s->constant[i] && s->ctx.in[i]->tensor.own);
  if (!folded) return o->weights;
  if (!p->weights) p->weights = weight_store_create();
  return p->weights;
}

static ledge_status run_nothing(op_ctx *c) {
  (void)c;
  return LEDGE_OK;
}

static ledge_status add_step(builder *b, const op_ctx *c, int index, bool dynamic) {
  plan *p = b->p;
  const node *n = c->node;
  plan_step *s = &p->steps[p->n_steps++];
  *s = (plan_step){.ctx = *c, .run = n->def->run, .node = index, .dynamic = dynamic};
  arena_init(&s->kernel_arena);
  s->constant = arena_alloc_array(&p->memory, (size_t)n->n_in, sizeof *s->constant);
  if (!s->constant) return plan_memory_error(b);
  for (int i = 0; i < n->n_in; i++)
    s->constant[i] = n->in[i] != VALUE_ABSENT && p->values[n->in[i]].place == PLAN_CONSTANT;
  p->n_dynamic += dynamic;
  for (int i = 0; i < n->n_out; i++) {
    if (n->out[i] == VALUE_ABSENT) continue;
    plan_value *pv = &p->values[n->out[i]];
    pv->place = dynamic ? PLAN_POOL : PLAN_ARENA;
    pv->bytes = dynamic ? 0 : tensor_bytes(&pv->v.tensor);
  }
  if (dynamic) {
    for (int i = 0; i < n->n_out; i++)
      if (n->out[i] != VALUE_ABSENT) value_deinit(&p->values[n->out[i]].v);
    weight_store *weights = step_weights(p, s, b->o);
    return weights ? plan_align_step(p, s, b->o, weights, b->error) : plan_memory_error(b);
  }
  const plan_value *x = n->n_in && n->in[0] != VALUE_ABSENT ? &p->values[n->in[0]] : NULL;
  if (n->def->flags & OP_ALIAS && x && x->place != PLAN_CONSTANT && n->out[0] != VALUE_ABSENT && n->n_out == 1) {
    p->values[n->out[0]].place = PLAN_ALIAS;
    p->values[n->out[0]].root = x->place == PLAN_ALIAS ? x->root : n->in[0];
    p->n_steps--; /* nothing to do at run time: only the pointers are set */
    return LEDGE_OK;
  }
  if (op_is_empty(c)) {
    s->run = run_nothing;
    return LEDGE_OK;
  }
  kernel k;
  weight_store *weights = step_weights(p, s, b->o);
  if (!weights) return plan_memory_error(b);
  ledge_status status = plan_prepare_step(p, s, b->o, weights, &p->memory, &k, b->error);
  if (status) return node_error(b, n, status);
  if (k.run) {
    s->run = k.run;
    s->ctx.kernel = k.state;
    s->scratch_bytes = k.scratch_bytes;
    s->kernel_name = k.name;
    s->multiply_adds = k.multiply_adds;
    s->window = k.window;
    s->parts = k.window ? k.parts : NULL;
    p->multiply_adds += k.multiply_adds;
  }
  return LEDGE_OK;
}

static ledge_status plan_node(builder *b, int index) {
  plan *p = b->p;
  const node *n = &b->g->nodes[index];
  op_ctx c;
  bool wanted = (n->def->flags & OP_EFFECT) != 0;
  for (int i = 0; i < n->n_out; i++) wanted = wanted || n->out[i] != VALUE_ABSENT;
  if (!wanted) return LEDGE_OK; /* it would compute for nobody; rows count on one output at least */
  TRY(make_context(b, n, &c));
  bool all_static = true;
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i] != VALUE_ABSENT && !is_static(&p->values[n->in[i]])) all_static = false;
  bool dynamic = !all_static;
  size_t bytes = 0;
  if (all_static) {
    c.inferring = true;
    ledge_status status = op_infer(&c);
    if (status && status != OP_UNKNOWN) return node_error(b, n, status);
    dynamic = status == OP_UNKNOWN;
    for (int i = 0; !dynamic && i < n->n_out; i++) {
      if (n->out[i] == VALUE_ABSENT) continue;
      const tensor *t = &p->values[n->out[i]].v.tensor;
      if (!mem_add(bytes, tensor_bytes(t), &bytes))
        return error_set(b->error, LEDGE_ERROR_LIMIT, "a node's outputs overflow");
    }
    c.inferring = false;
    if (!dynamic && has_room_to_fold(b, bytes) && can_fold(b, n, all_static)) return fold_node(b, &c, n, bytes);
    for (int i = 0; !dynamic && i < n->n_out; i++) /* strings need storage of their own */
      if (n->out[i] != VALUE_ABSENT && p->values[n->out[i]].v.tensor.dtype == LEDGE_STRING) dynamic = true;
  }
  return add_step(b, &c, index, dynamic);
}

static ledge_status plan_nodes(builder *b) {
  const graph *g = b->g;
  b->p->steps = arena_alloc_array(&b->p->memory, (size_t)g->n_nodes, sizeof *b->p->steps);
  if (!b->p->steps) return plan_memory_error(b);
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    if (!n->def) {
      char label[160];
      error_set_at(b->error, LEDGE_ERROR_UNSUPPORTED, n->offset, "%s: no operator '%s%s%s' of version %d",
                   node_label(g, n, label, sizeof label), n->domain, n->domain[0] ? "." : "", n->op, n->version);
      error_node(b->error, n->name);
      return LEDGE_ERROR_UNSUPPORTED;
    }
    TRY(plan_node(b, i));
  }
  return LEDGE_OK;
}

/* ---- lifetimes ---- */

static void touch(builder *b, value_id v, int step) {
  size_t at;
  plan_value *pv = &b->p->values[v], *root = &b->p->values[plan_root(b->p, v, &at)];
  if (pv->last < step) pv->last = step;
  if (root->last < step) root->last = step;
}

static void touch_subgraphs(builder *b, const node *n, int step) {
  int a = 0, k = 0;
  for (graph *sub; (sub = node_next_subgraph(n, &a, &k));)
    for (int i = 0; i < sub->n_captures; i++) touch(b, sub->captures[i].outer, step);
}

static void plan_lifetimes(builder *b) {
  plan *p = b->p;
  for (int s = 0; s < p->n_steps; s++) {
    const node *n = p->steps[s].ctx.node;
    for (int i = 0; i < n->n_out; i++)
      if (n->out[i] != VALUE_ABSENT) p->values[n->out[i]].first = p->values[n->out[i]].last = s;
    for (int i = 0; i < n->n_in; i++)
      if (n->in[i] != VALUE_ABSENT) touch(b, n->in[i], s);
    touch_subgraphs(b, n, s);
  }
  for (int i = 0; i < b->g->n_outputs; i++) touch(b, b->g->outputs[i], p->n_steps);
  for (value_id v = 0; v < b->g->n_values; v++) { /* what stands in another's memory may be written before it */
    const plan_value *pv = &p->values[v];
    plan_value *root = &p->values[pv->root];
    if (pv->place != PLAN_ALIAS || pv->first < 0) continue;
    if (root->first < 0 || root->first > pv->first) root->first = pv->first;
    if (root->last < pv->last) root->last = pv->last;
  }
}

static value_id root_of(plan *p, value_id v) {
  size_t at;
  return plan_root(p, v, &at);
}

/* Is v all of its root's memory, not a window in it? */
static bool is_whole(const plan *p, value_id v, value_id root) {
  return tensor_bytes(&p->values[v].v.tensor) == p->values[root].bytes;
}

/* May output 0 take input i's memory as far as the node's other inputs go? One that is the same memory is overwritten
 * while it is read, unless the operator reads it element by element too, as its own flag says. */
static bool inputs_apart(plan *p, const node *n, int i) {
  value_id r = root_of(p, n->in[i]);
  for (int k = 0; k < n->n_in; k++)
    if (k != i && n->in[k] != VALUE_ABSENT && root_of(p, n->in[k]) == r &&
        (k >= 8 || !(n->def->flags & OP_INPLACE(k)) || !is_whole(p, n->in[k], r)))
      return false;
  return true;
}

/* Lets output 0 take over the memory of an input that is not read again. */
static void plan_inplace(builder *b) {
  plan *p = b->p;
  for (int s = 0; s < p->n_steps; s++) {
    const node *n = p->steps[s].ctx.node;
    if (p->steps[s].dynamic || !n->n_out || n->out[0] == VALUE_ABSENT) continue;
    plan_value *out = &p->values[n->out[0]];
    if (out->place != PLAN_ARENA) continue;
    for (int i = 0; i < n->n_in && i < 8; i++) {
      if (!(n->def->flags & OP_INPLACE(i)) || n->in[i] == VALUE_ABSENT) continue;
      value_id r = root_of(p, n->in[i]);
      plan_value *root = &p->values[r];
      if (root->place != PLAN_ARENA || root->last != s || root->bytes != out->bytes ||
          p->values[n->in[i]].v.tensor.dtype != out->v.tensor.dtype || !is_whole(p, n->in[i], r) ||
          !inputs_apart(p, n, i))
        continue;
      out->place = PLAN_ALIAS; /* and the aliases of the output follow it there */
      out->root = r;
      root->last = out->last;
      break;
    }
  }
}

static ledge_status plan_releases(builder *b) {
  plan *p = b->p;
  int *count = mem_alloc_array((size_t)p->n_steps + 1, sizeof *count);
  if (!count) return plan_memory_error(b);
  for (value_id v = 0; v < b->g->n_values; v++)
    if (p->values[v].place == PLAN_POOL && p->values[v].last >= 0 && p->values[v].last < p->n_steps)
      count[p->values[v].last]++;
  for (int s = 0; s < p->n_steps; s++) {
    p->steps[s].release = count[s] ? arena_alloc_array(&p->memory, (size_t)count[s], sizeof(value_id)) : NULL;
    if (count[s] && !p->steps[s].release) {
      mem_free(count);
      return plan_memory_error(b);
    }
  }
  for (value_id v = 0; v < b->g->n_values; v++) {
    if (p->values[v].place != PLAN_POOL || p->values[v].last < 0 || p->values[v].last >= p->n_steps) continue;
    plan_step *s = &p->steps[p->values[v].last];
    ((value_id *)(uintptr_t)s->release)[s->n_release++] = v;
  }
  mem_free(count);
  return LEDGE_OK;
}

/* ---- offsets ---- */

static ledge_status plan_place_blocks(builder *b) {
  plan *p = b->p;
  int n = 0, n_max = b->g->n_values + p->n_steps;
  memory_block *blocks = mem_alloc_array((size_t)n_max, sizeof *blocks);
  int *order = mem_alloc_array((size_t)n_max * 2, sizeof *order);
  if (!blocks || !order) {
    mem_free(blocks);
    mem_free(order);
    return plan_memory_error(b);
  }
  for (value_id v = 0; v < b->g->n_values; v++) {
    const plan_value *pv = &p->values[v];
    if (pv->place == PLAN_ARENA) blocks[n++] = (memory_block){pv->bytes, 0, pv->first, pv->last};
  }
  for (int s = 0; s < p->n_steps; s++)
    if (p->steps[s].scratch_bytes) blocks[n++] = (memory_block){p->steps[s].scratch_bytes, 0, s, s};
  p->arena_bytes = memory_plan(blocks, n, order);
  n = 0;
  for (value_id v = 0; v < b->g->n_values; v++)
    if (p->values[v].place == PLAN_ARENA) p->values[v].offset = blocks[n++].offset;
  for (int s = 0; s < p->n_steps; s++)
    if (p->steps[s].scratch_bytes) p->steps[s].scratch_offset = blocks[n++].offset;
  mem_free(blocks);
  mem_free(order);
  return LEDGE_OK;
}

static ledge_status plan_point(builder *b) {
  plan *p = b->p;
  size_t need;
  if (p->arena_bytes == SIZE_MAX || !mem_add(p->arena_bytes, p->folded_bytes, &need))
    return error_set(b->error, LEDGE_ERROR_LIMIT,
                     "a run needs more memory than there are addresses on this machine: give smaller inputs");
  if (b->o->memory_limit && need > b->o->memory_limit)
    return error_set(
        b->error, LEDGE_ERROR_LIMIT,
        "a run needs %zu bytes (%.1f MiB) of memory, above the limit of %zu bytes: give smaller inputs or a "
        "larger --memory-limit",
        need, (double)need / 1048576, b->o->memory_limit);
  p->arena = mem_alloc_aligned(p->arena_bytes ? p->arena_bytes : 64, 64);
  if (!p->arena) return error_memory(b->error, p->arena_bytes, "the arena of a plan");
  for (value_id v = 0; v < b->g->n_values; v++)
    if (p->values[v].place == PLAN_ARENA) p->values[v].v.tensor.data = p->arena + p->values[v].offset;
  for (value_id v = 0; v < b->g->n_values; v++)
    if (p->values[v].place == PLAN_ALIAS) {
      size_t at;
      uint8_t *root = p->values[plan_root(p, v, &at)].v.tensor.data; /* v itself says so too from now on */
      p->values[v].v.tensor.data = root ? root + at : NULL;          /* an input's is not there yet */
    }
  for (int s = 0; s < p->n_steps; s++)
    if (p->steps[s].scratch_bytes) p->steps[s].ctx.scratch = p->arena + p->steps[s].scratch_offset;
  return LEDGE_OK;
}

ledge_status plan_create(const graph *g, const value *const *inputs, const value *const *captures,
                         const plan_options *options, plan **ret, ledge_error *error) {
  plan *p = mem_zalloc(sizeof *p);
  if (!p) return error_memory(error, sizeof *p, "a plan");
  builder b = {.p = p, .g = g, .o = options, .error = error};
  arena_init(&p->memory);
  p->graph = g;
  p->values = arena_alloc_array(&p->memory, (size_t)g->n_values, sizeof *p->values);
  ledge_status status = p->values ? plan_seed(&b, inputs, captures) : plan_memory_error(&b);
  if (!status) status = plan_nodes(&b);
  if (!status) status = plan_align_shared(p, options->weights, error);
  if (!status) status = plan_windows(p, error);
  if (!status) {
    plan_lifetimes(&b);
    plan_inplace(&b);
    status = plan_releases(&b);
  }
  if (!status) status = plan_place_blocks(&b);
  if (!status) status = plan_point(&b);
  if (status) {
    plan_destroy(p);
    return status;
  }
  *ret = p;
  return LEDGE_OK;
}

void plan_destroy(plan *p) {
  if (!p) return;
  for (int s = 0; s < p->n_steps; s++) arena_deinit(&p->steps[s].kernel_arena);
  for (int v = 0; p->values && v < p->graph->n_values; v++) value_deinit(&p->values[v].v);
  weight_store_unref(p->weights);
  mem_free(p->arena);
  arena_deinit(&p->memory);
  mem_free(p);
}

ledge_status plan_prepare_dynamic(plan *p, plan_step *s, const plan_options *options, ledge_error *error) {
  arena_deinit(&s->kernel_arena);
  s->run = s->ctx.def->run;
  s->ctx.kernel = s->ctx.scratch = NULL;
  kernel k;
  weight_store *weights = step_weights(p, s, options);
  if (!weights) return error_memory(error, 0, "packed weights");
  TRY(plan_prepare_step(p, s, options, weights, &s->kernel_arena, &k, error));
  if (!k.run) return LEDGE_OK;
  if (k.scratch_bytes && !(s->ctx.scratch = arena_alloc_aligned(&s->kernel_arena, k.scratch_bytes, 64)))
    return error_memory(error, k.scratch_bytes, "a kernel's scratch");
  s->run = k.run;
  s->ctx.kernel = k.state;
  s->kernel_name = k.name;
  s->multiply_adds = k.multiply_adds;
  return LEDGE_OK;
}
