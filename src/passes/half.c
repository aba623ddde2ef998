/* passes/half: models of float16 and bfloat16 run in float32 inside.
 *
 * Processors of the kinds that ledge runs on multiply float32 faster than they emulate 16-bit floats, so operators that
 * compute (those below, which have fast float32 kernels) are given float32 *twins* of their 16-bit values:
 *
 *   x16 --Cast--> x32 -> Conv -> y32 -> Relu -> z32 -> Reshape -> u32 --Cast--> u16 -> (output)
 *
 * A 16-bit weight becomes a float32 constant, once. A value that only flows from one such operator to the next is not
 * rounded on the way, as ONNX Runtime has it; operators that only move elements follow where their input has gone.
 * Where the rounding can be seen, it is done: at graph outputs, before operators that compare, round or pick (their
 * results would jump), at the model's own Casts to 16 bits, and at whatever is not named here. */
#include "base/map.h"
#include "kernels/convert/convert.h"
#include "passes/pass.h"

typedef enum half_class {
  HALF_NONE,    /* reads and makes the 16-bit form */
  HALF_COMPUTE, /* is worth casts of its own */
  HALF_MOVE,    /* follows input 0 (any input, where it joins several) */
} half_class;

static const char *const half_compute[] = {"Add",
                                           "Sub",
                                           "Mul",
                                           "Div",
                                           "Max",
                                           "Min",
                                           "Pow",
                                           "Sum",
                                           "Mean",
                                           "PRelu",
                                           "Abs",
                                           "Neg",
                                           "Sqrt",
                                           "Reciprocal",
                                           "Exp",
                                           "Log",
                                           "Sin",
                                           "Cos",
                                           "Tanh",
                                           "Sigmoid",
                                           "Erf",
                                           "Gelu",
                                           "Swish",
                                           "HardSigmoid",
                                           "HardSwish",
                                           "Softplus",
                                           "Softsign",
                                           "Mish",
                                           "Elu",
                                           "Selu",
                                           "Celu",
                                           "Relu",
                                           "LeakyRelu",
                                           "ThresholdedRelu",
                                           "Clip",
                                           "Conv",
                                           "ConvTranspose",
                                           "MatMul",
                                           "Gemm",
                                           "BatchNormalization",
                                           "InstanceNormalization",
                                           "GroupNormalization",
                                           "LayerNormalization",
                                           "RMSNormalization",
                                           "LRN",
                                           "LpNormalization",
                                           "MaxPool",
                                           "AveragePool",
                                           "GlobalAveragePool",
                                           "Softmax",
                                           "LogSoftmax",
                                           "LSTM",
                                           "GRU",
                                           "Attention",
                                           "RotaryEmbedding",
                                           "Resize",
                                           "Upsample",
                                           "ReduceSum",
                                           "ReduceMean",
                                           "ReduceMax",
                                           "ReduceMin",
                                           "ReduceProd",
                                           "ReduceL1",
                                           "ReduceL2",
                                           "ReduceSumSquare",
                                           "ReduceLogSum",
                                           "ReduceLogSumExp",
                                           NULL};
static const char *const half_compute_microsoft[] = {"FusedConv",
                                                     "FusedMatMul",
                                                     "FusedGemm",
                                                     "Gelu",
                                                     "FastGelu",
                                                     "BiasGelu",
                                                     "QuickGelu",
                                                     "SkipLayerNormalization",
                                                     "SkipSimplifiedLayerNormalization",
                                                     "SimplifiedLayerNormalization",
                                                     "EmbedLayerNormalization",
                                                     "Attention",
                                                     "MultiHeadAttention",
                                                     "GroupQueryAttention",
                                                     "RotaryEmbedding",
                                                     "MatMulNBits",
                                                     NULL};
static const char *const half_move[] = {"Reshape",        "Transpose",    "Concat",   "Split",   "Slice", "Gather",
                                        "GatherElements", "GatherND",     "Expand",   "Tile",    "Pad",   "Squeeze",
                                        "Unsqueeze",      "Flatten",      "Identity", "Dropout", "Where", "Trilu",
                                        "DepthToSpace",   "SpaceToDepth", NULL};

typedef struct half {
  pass_run *p;
  uint8_t *dtype; /* by value of the beginning; 0: not known, or no tensor */
  value_id *twin; /* the float32 form, or VALUE_ABSENT */
  bool *moved;    /* its producer makes the twin now: the 16-bit form must be made where it is read */
  int n;
} half;

static bool listed(const char *const *list, const char *name) {
  for (; *list; list++)
    if (!strcmp(*list, name)) return true;
  return false;
}

static half_class class_of(const node *n) {
  if (!n->def) return HALF_NONE;
  if (!strcmp(n->domain, "com.microsoft")) return listed(half_compute_microsoft, n->op) ? HALF_COMPUTE : HALF_NONE;
  if (n->domain[0]) return HALF_NONE;
  return listed(half_compute, n->op) ? HALF_COMPUTE : listed(half_move, n->op) ? HALF_MOVE : HALF_NONE;
}

static bool is_half(const half *h, value_id v) {
  return v >= 0 && v < h->n && (h->dtype[v] == LEDGE_F16 || h->dtype[v] == LEDGE_BF16);
}

static bool any_half(const half *h, const value_id *list, int n) {
  for (int i = 0; i < n; i++)
    if (is_half(h, list[i])) return true;
  return false;
}

/* Can there be a 16-bit float at all? Most models have none, and need no shapes for it. */
static bool has_half(const graph *g) {
  if (g->n_captures) return true;
  for (value_id v = 0; v < g->n_values; v++) {
    const graph_value *gv = &g->values[v];
    int d = gv->constant ? gv->constant->dtype : gv->type.kind == TYPE_TENSOR ? gv->type.dtype : 0;
    if (d == LEDGE_F16 || d == LEDGE_BF16) return true;
  }
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    int64_t to = node_attr_int(n, node_is(n, "", "Cast") ? "to" : "dtype", 0);
    if (to == LEDGE_F16 || to == LEDGE_BF16 || node_is(n, "", "CastLike")) return true;
  }
  return false;
}

/* Dtypes as far as shapes are known, as declared, and, of the operators named here, as their inputs have them. */
static void find_dtypes(half *h) {
  const graph *g = h->p->g;
  for (value_id v = 0; v < h->n; v++) {
    const tensor *constant = pass_constant(h->p, v), *t = constant ? constant : pass_shape(h->p, v);
    const graph_type *declared = &g->values[v].type;
    if (t)
      h->dtype[v] = (uint8_t)t->dtype;
    else if (declared->kind == TYPE_TENSOR)
      h->dtype[v] = (uint8_t)declared->dtype;
  }
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    if (class_of(n) == HALF_NONE || n->n_in < 1 || n->n_out < 1 || n->in[0] == VALUE_ABSENT) continue;
    value_id from = node_is(n, "", "Where") ? node_in(n, 1) : n->in[0], to = n->out[0];
    if (to != VALUE_ABSENT && from != VALUE_ABSENT && !h->dtype[to] && is_half(h, from)) h->dtype[to] = h->dtype[from];
  }
}

static ledge_status add_cast(half *h, value_id from, value_id to, ledge_dtype dtype) {
  node *n = graph_add_node(h->p->g, "", "Cast", 13, "", &from, 1, &to, 1);
  if (!n) return error_memory(h->p->error, sizeof *n, "a node");
  n->def = ops_find("", "Cast", 13);
  h->p->changed = true;
  return node_set_int(h->p->g, n, "to", dtype);
}

static ledge_status new_value(half *h, value_id *ret) {
  *ret = graph_add_value(h->p->g, NULL);
  return *ret == VALUE_ABSENT ? error_memory(h->p->error, sizeof(graph_value), "a value") : LEDGE_OK;
}

static ledge_status convert_constant(half *h, const tensor *t, value_id *ret) {
  void *data;
  *ret = pass_new_constant(h->p, LEDGE_F32, t->rank, t->dims, &data);
  if (*ret == VALUE_ABSENT) return error_memory(h->p->error, 2 * tensor_bytes(t), "a weight in float32");
  /* By the piece: those of a mapped file need not be aligned. */
  uint16_t piece[4096];
  const int64_t n = tensor_elements(t), most = sizeof piece / sizeof *piece;
  for (int64_t i = 0; i < n; i += most) {
    int64_t count = n - i < most ? n - i : most;
    memcpy(piece, (const char *)t->data + (size_t)i * sizeof *piece, (size_t)count * sizeof *piece);
    (t->dtype == LEDGE_F16 ? convert_f16_to_f32 : convert_bf16_to_f32)(piece, (float *)data + i, count, NULL);
  }
  file_map_drop_at(t->data, tensor_bytes(t));
  return LEDGE_OK;
}

static ledge_status want_twin(half *h, value_id v, value_id *ret) {
  if (h->twin[v] == VALUE_ABSENT) {
    const tensor *t = pass_constant(h->p, v);
    value_id twin;
    if (t) {
      TRY(convert_constant(h, t, &twin));
    } else {
      TRY(new_value(h, &twin));
      TRY(add_cast(h, v, twin, LEDGE_F32));
    }
    h->twin[v] = twin;
  }
  *ret = h->twin[v];
  return LEDGE_OK;
}

/* Node i reads and makes twins. */
static ledge_status move_node(half *h, int i) {
  graph *g = h->p->g;
  for (int k = 0; k < g->nodes[i].n_in; k++) {
    value_id v = g->nodes[i].in[k], twin;
    if (!is_half(h, v)) continue;
    TRY(want_twin(h, v, &twin));
    g->nodes[i].in[k] = twin;
  }
  for (int k = 0; k < g->nodes[i].n_out; k++) {
    value_id v = g->nodes[i].out[k], twin;
    if (!is_half(h, v)) continue;
    TRY(new_value(h, &twin));
    g->nodes[i].out[k] = twin;
    g->values[twin].producer = i;
    g->values[v].producer = -1;
    h->twin[v] = twin;
    h->moved[v] = true;
  }
  h->p->changed = true;
  return LEDGE_OK;
}

static bool reads_moved(const half *h, const node *n) {
  for (int k = 0; k < n->n_in; k++)
    if (is_half(h, n->in[k]) && h->moved[n->in[k]]) return true;
  return false;
}

/* Every output's dtype must be known: one of 16 bits that is taken for something else would change its type. */
static bool outputs_known(const half *h, const node *n) {
  for (int k = 0; k < n->n_out; k++)
    if (n->out[k] != VALUE_ABSENT && !h->dtype[n->out[k]]) return false;
  return true;
}

static ledge_status visit(half *h, int i) {
  const node *n = &h->p->g->nodes[i];
  half_class class = class_of(n);
  if (class == HALF_NONE) {
    bool widens = node_is(n, "", "Cast") && n->n_in == 1 && node_attr_int(n, "to", 0) == LEDGE_F32;
    if (!widens || !is_half(h, n->in[0]) || !h->moved[n->in[0]]) return LEDGE_OK;
    return pass_become(h->p, &h->p->g->nodes[i], "", "Identity", 13, &h->twin[n->in[0]], 1);
  }
  if (!any_half(h, n->in, n->n_in) || !any_half(h, n->out, n->n_out) || !outputs_known(h, n)) return LEDGE_OK;
  return class == HALF_COMPUTE || reads_moved(h, n) ? move_node(h, i) : LEDGE_OK;
}

/* The 16-bit forms that are still read. */
static ledge_status narrow(half *h) {
  int *uses = mem_alloc_array((size_t)h->p->g->n_values, sizeof *uses);
  if (!uses) return error_memory(h->p->error, (size_t)h->p->g->n_values * sizeof *uses, "a pass");
  graph_count_uses(h->p->g, uses);
  ledge_status status = LEDGE_OK;
  for (value_id v = 0; !status && v < h->n; v++)
    if (h->moved[v] && uses[v]) status = add_cast(h, h->twin[v], v, (ledge_dtype)h->dtype[v]);
  mem_free(uses);
  return status;
}

ledge_status pass_half(pass_run *p) {
  if (!has_half(p->g)) return LEDGE_OK;
  int n = p->g->n_values, n_nodes = p->g->n_nodes;
  half h = {.p = p, .n = n};
  h.dtype = mem_alloc_array((size_t)n, sizeof *h.dtype);
  h.twin = mem_alloc_array((size_t)n, sizeof *h.twin);
  h.moved = mem_alloc_array((size_t)n, sizeof *h.moved);
  ledge_status status =
      h.dtype && h.twin && h.moved ? LEDGE_OK : error_memory(p->error, (size_t)n * sizeof *h.twin, "a pass");
  if (!status) {
    for (int i = 0; i < n; i++) h.twin[i] = VALUE_ABSENT;
    find_dtypes(&h);
    for (int i = 0; !status && i < n_nodes; i++) status = visit(&h, i);
    if (!status) status = narrow(&h);
  }
  mem_free(h.dtype);
  mem_free(h.twin);
  mem_free(h.moved);
  return status;
}
