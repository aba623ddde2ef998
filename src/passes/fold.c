/* passes/fold: computes at load time what depends on constants alone. Weights that a model stores as a chain of
 * operators (casts, reshapes, dequantised once) become constants; a node whose result is much larger than what it reads
 * stays. */
#include "passes/pass.h"

enum { FOLD_BYTES_MAX = 64 << 20, FOLD_GROWTH_FREE = 1 << 16 };

static bool can_fold(const pass_run *p, const node *n) {
  if (!n->def || n->def->flags & (OP_NONDETERMINISTIC | OP_EFFECT | OP_HOST_CALL)) return false;
  if (n->n_out == 0) return false;
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i] != VALUE_ABSENT && !pass_constant(p, n->in[i])) return false;
  /* Quantised weights are small, and the integer kernels want them so. */
  return !node_is(n, "", "DequantizeLinear");
}

/* One node with constant inputs: outputs become constants of the graph. */
static ledge_status fold_node(pass_run *p, node *n) {
  graph *g = p->g;
  value *in = mem_alloc_array((size_t)n->n_in, sizeof *in), *out = mem_alloc_array((size_t)n->n_out, sizeof *out);
  const value **ins = mem_alloc_array((size_t)n->n_in, sizeof *ins);
  value **outs = mem_alloc_array((size_t)n->n_out, sizeof *outs);
  ledge_status status = LEDGE_OK;
  size_t read = 0, made = 0;
  if (!in || !out || !ins || !outs) status = error_memory(p->error, sizeof *in, "folding a constant");
  for (int i = 0; !status && i < n->n_in; i++) {
    if (n->in[i] == VALUE_ABSENT) continue;
    in[i] = (value){.kind = VALUE_TENSOR, .tensor = *pass_constant(p, n->in[i])};
    in[i].tensor.own = NULL;
    ins[i] = &in[i];
    read += tensor_bytes(&in[i].tensor);
  }
  for (int i = 0; !status && i < n->n_out; i++) outs[i] = n->out[i] == VALUE_ABSENT ? NULL : &out[i];
  if (!status) {
    op_ctx c = {.node = n,
                .def = n->def,
                .n_in = n->n_in,
                .n_out = n->n_out,
                .in = ins,
                .out = outs,
                .error = NULL,
                .inferring = true};
    bool fits = true;
    if (op_infer(&c) == LEDGE_OK) {
      for (int i = 0; i < n->n_out; i++)
        if (outs[i]) made += tensor_bytes(&out[i].tensor);
      size_t most = p->options->fold_bytes_max ? p->options->fold_bytes_max : FOLD_BYTES_MAX;
      fits = made <= FOLD_GROWTH_FREE + 2 * read && made <= most - p->folded_bytes;
    }
    /* A failure is the run's to report, where the node is reached at all. */
    if (fits && op_eval(&c) == LEDGE_OK) {
      for (int i = 0; !status && i < n->n_out; i++) {
        if (!outs[i]) continue;
        if (out[i].kind != VALUE_TENSOR) fits = false;
      }
      for (int i = 0; fits && !status && i < n->n_out; i++) {
        if (!outs[i]) continue;
        tensor *t = arena_alloc(&g->model->arena, sizeof *t);
        status =
            t ? model_keep(g->model, out[i].tensor.own, p->error) : error_memory(p->error, sizeof *t, "a constant");
        if (status) break;
        *t = out[i].tensor;
        t->own = NULL;
        g->values[n->out[i]].constant = t;
      }
      if (fits && !status) {
        for (int i = 0; i < n->n_out; i++)
          if (n->out[i] != VALUE_ABSENT) g->values[n->out[i]].producer = -1;
        p->folded_bytes += made;
        pass_kill(p, n);
      }
    }
  }
  for (int i = 0; out && i < n->n_out; i++) value_deinit(&out[i]);
  mem_free(in);
  mem_free(out);
  mem_free(ins);
  mem_free(outs);
  return status;
}

ledge_status pass_fold(pass_run *p) {
  for (int i = 0; i < p->g->n_nodes; i++)
    if (can_fold(p, &p->g->nodes[i])) TRY(fold_node(p, &p->g->nodes[i]));
  return LEDGE_OK;
}
