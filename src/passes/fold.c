/* passes/fold: computes at load time what depends on constants alone. Weights that a model stores as a chain of
 * operators (casts, reshapes, dequantised once) become constants; a node whose result is much larger than what it reads
 * stays. */
#include "base/error.h"
#include "base/map.h"
#include "passes/pass.h"

enum { FOLD_BYTES_MAX = 64 << 20, FOLD_GROWTH_FREE = 1 << 16, FOLD_LARGE_BYTES = 1 << 16 };

/* Is n the transpose of a large matrix that a product alone reads? That one transposes it while it packs it. */
static bool is_for_product(const pass_run *p, const node *n) {
  if (p->options->standard_only || !node_is(n, "", "Transpose") || !pass_read_once(p, n->out[0])) return false;
  const tensor *t = pass_constant(p, node_in(n, 0));
  if (!t || t->dtype != LEDGE_F32 || t->rank != 2 || tensor_bytes(t) < FOLD_LARGE_BYTES) return false;
  for (int i = 0; i < p->g->n_nodes; i++) {
    const node *reader = &p->g->nodes[i];
    if (node_in(reader, 1) == n->out[0]) return node_is(reader, "", "MatMul") || node_is(reader, "", "Gemm");
  }
  return false;
}

static bool can_fold(const pass_run *p, const node *n) {
  if (!n->def || n->def->flags & (OP_NONDETERMINISTIC | OP_EFFECT | OP_HOST_CALL)) return false;
  if (n->n_out == 0) return false;
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i] != VALUE_ABSENT && !pass_constant(p, n->in[i])) return false;
  /* Quantised weights are small, and the integer kernels want them so. */
  return !node_is(n, "", "DequantizeLinear") && !is_for_product(p, n);
}

static ledge_status become_constant(pass_run *p, node *n, const tensor *t) {
  graph_value *v = &p->g->values[n->out[0]];
  v->constant = t;
  v->producer = -1;
  pass_kill(p, n);
  return LEDGE_OK;
}

/* A Constant's tensor, and another shape of a constant: the elements are there, and stay where they are. */
static ledge_status fold_in_place(pass_run *p, node *n, bool *ret_done) {
  *ret_done = false;
  if (n->n_out != 1 || n->out[0] == VALUE_ABSENT) return LEDGE_OK;
  const attr *a = node_is(n, "", "Constant") && n->n_attrs == 1 ? node_attr(n, "value") : NULL;
  if (a && a->type == ATTR_TENSOR && a->t->dtype != LEDGE_STRING) {
    *ret_done = true;
    return become_constant(p, n, a->t);
  }
  if (!(n->def->flags & OP_ALIAS) || n->n_in < 1 || n->n_in > 8 || n->in[0] == VALUE_ABSENT) return LEDGE_OK;
  value in[8] = {0}, out = {0};
  const value *ins[8] = {NULL};
  value *outs[1] = {&out};
  for (int i = 0; i < n->n_in; i++) {
    if (n->in[i] == VALUE_ABSENT) continue;
    in[i] = (value){.kind = VALUE_TENSOR, .tensor = *pass_constant(p, n->in[i])};
    in[i].tensor.own = NULL;
    ins[i] = &in[i];
  }
  op_ctx c = {.node = n, .def = n->def, .n_in = n->n_in, .n_out = 1, .in = ins, .out = outs, .inferring = true};
  if (op_infer(&c) || out.kind != VALUE_TENSOR || out.tensor.dtype != in[0].tensor.dtype) {
    value_deinit(&out);
    return LEDGE_OK;
  }
  tensor *t = arena_alloc(&p->g->model->arena, sizeof *t);
  if (!t) return error_memory(p->error, sizeof *t, "a constant");
  *t = out.tensor;
  t->data = in[0].tensor.data;
  t->own = NULL;
  *ret_done = true;
  return become_constant(p, n, t);
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
        for (int i = 0; i < n->n_in; i++)
          if (ins[i]) file_map_drop_at(in[i].tensor.data, tensor_bytes(&in[i].tensor));
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
  for (int i = 0; i < p->g->n_nodes; i++) {
    node *n = &p->g->nodes[i];
    bool done;
    if (!can_fold(p, n)) continue;
    TRY(fold_in_place(p, n, &done));
    if (!done) TRY(fold_node(p, n));
  }
  return LEDGE_OK;
}
