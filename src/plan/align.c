/* plan/align: see plan.h. A constant in a mapped file may stand at any address. Most are packed from there and never
 * read again, or are tables whose rows are copied by the byte; whatever else reads one gets an aligned copy, made once
 * a model and kept by its store of weights. */
#include "plan/plan.h"

#include "base/error.h"

static bool is_unaligned(const value *v) {
  return v && v->kind == VALUE_TENSOR && v->tensor.data && !tensor_is_aligned(&v->tensor);
}

static bool is_spared(uint32_t inputs, int i) { return i < 32 && inputs >> i & 1; }

/* Gives s aligned copies of the unaligned inputs, but for those that `spare` names by bits. */
static ledge_status align_inputs(plan *p, plan_step *s, uint32_t spare, weight_store *weights, ledge_error *error) {
  for (int i = 0; i < s->ctx.n_in; i++) {
    if (!is_unaligned(s->ctx.in[i]) || is_spared(spare, i)) continue;
    value *copy = arena_alloc(&p->memory, sizeof *copy);
    if (!copy) return error_memory(error, sizeof *copy, "a plan");
    *copy = *s->ctx.in[i];
    copy->tensor.own = NULL;
    TRY(weight_store_aligned(weights, &s->ctx.in[i]->tensor, &copy->tensor.data, error));
    ((const value **)(uintptr_t)s->ctx.in)[i] = copy; /* the array is the plan's own */
  }
  return LEDGE_OK;
}

static uint32_t unaligned_inputs(const plan_step *s, bool *ret_more) {
  uint32_t bits = 0;
  for (int i = 0; i < s->ctx.n_in; i++) {
    if (!is_unaligned(s->ctx.in[i])) continue;
    bits |= i < 32 ? 1u << i : 0;
    *ret_more = *ret_more || i >= 32;
  }
  return bits;
}

ledge_status plan_align_step(plan *p, plan_step *s, const plan_options *options, weight_store *weights,
                             ledge_error *error) {
  bool any = false;
  if (!unaligned_inputs(s, &any) && !any) return LEDGE_OK;
  uint32_t spare = options->reference_only ? 0 : backend_cpu_any_address(s->ctx.node);
  return align_inputs(p, s, spare, weights, error);
}

ledge_status plan_prepare_step(plan *p, plan_step *s, const plan_options *options, weight_store *weights, arena *state,
                               kernel *ret, ledge_error *error) {
  *ret = (kernel){0};
  TRY(plan_align_step(p, s, options, weights, error));
  if (options->reference_only) return LEDGE_OK;
  kernel_request r = {&s->ctx, s->constant, options->threads, state, weights, options->isa, options->precision};
  TRY(backend_cpu_prepare(&r, ret, error));
  bool more = false;
  if (!(unaligned_inputs(s, &more) & ~ret->any_address) && !more) return LEDGE_OK;
  TRY(align_inputs(p, s, 0, weights, error));
  return backend_cpu_prepare(&r, ret, error);
}

static ledge_status align_value(plan *p, value_id v, weight_store *weights, ledge_error *error) {
  value *shared = &p->values[v].v;
  if (p->values[v].place != PLAN_CONSTANT || !is_unaligned(shared)) return LEDGE_OK;
  return weight_store_aligned(weights, &shared->tensor, &shared->tensor.data, error);
}

ledge_status plan_align_shared(plan *p, weight_store *weights, ledge_error *error) {
  const graph *g = p->graph;
  for (int i = 0; i < g->n_outputs; i++) TRY(align_value(p, g->outputs[i], weights, error));
  for (int i = 0; i < g->n_nodes; i++) {
    int a = 0, k = 0;
    for (graph *sub; (sub = node_next_subgraph(&g->nodes[i], &a, &k));)
      for (int c = 0; c < sub->n_captures; c++)
        if (!graph_constant(sub, sub->captures[c].inner)) TRY(align_value(p, sub->captures[c].outer, weights, error));
  }
  return LEDGE_OK;
}
