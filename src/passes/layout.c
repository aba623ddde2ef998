/* passes/layout: images become channels last where the fast kernels want them so.
 *
 * Convolutions with constant float32 weights become ledge.Conv over [batch, spatial..., channels]. Their output v gets
 * a *twin* v', the same values channels last; what follows and does not care for the order of dims (elementwise
 * operators, Concat, pools, reductions, ...) is moved over to the twins, with its axes and constants permuted. A value
 * whose channels-first form is read after all is made by one Transpose. So a network runs channels last from its first
 * convolution to its last pool with a Transpose at each end.
 *
 *   x --T--> x' -> ledge.Conv -> v' -> Relu -> w' -> ledge.MaxPool -> u' --T--> u -> Reshape
 *
 * dim k of the channels-first form stands at: 0 -> 0, 1 -> rank - 1, k >= 2 -> k - 1. */
#include "base/compiler.h"
#include "passes/pass.h"

#include <math.h>

typedef struct layout {
  pass_run *p;
  value_id *twin; /* by value of the beginning: the channels-last form, or VALUE_ABSENT */
  int8_t *rank;   /* of values with a twin */
  bool *moved;    /* its producer was moved to the twin: the first form must be made where it is read */
  int n;
} layout;

static int to_last(int axis, int rank) { return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1; }

static bool has_twin(const layout *l, value_id v) { return v >= 0 && v < l->n && l->twin[v] != VALUE_ABSENT; }

/* A Transpose from one form to the other; adding a node may move the array of nodes. */
static ledge_status add_transpose(layout *l, value_id from, value_id to, int rank, bool last) {
  int64_t perm[LEDGE_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    if (last)
      perm[to_last(i, rank)] = i;
    else
      perm[i] = to_last(i, rank);
  }
  node *n = graph_add_node(l->p->g, "", "Transpose", 13, "", &from, 1, &to, 1);
  if (!n) return error_memory(l->p->error, sizeof *n, "a node");
  n->def = ops_find("", "Transpose", 13);
  l->p->changed = true;
  return node_set_ints(l->p->g, n, "perm", perm, rank);
}

static value_id new_value(layout *l, ledge_status *status) {
  value_id v = graph_add_value(l->p->g, NULL);
  if (v == VALUE_ABSENT) *status = error_memory(l->p->error, sizeof(graph_value), "a value");
  return v;
}

/* The twin of v, made by a Transpose where it has none. */
static ledge_status want_twin(layout *l, value_id v, int rank, value_id *ret) {
  ledge_status status = LEDGE_OK;
  if (!has_twin(l, v)) {
    value_id t = new_value(l, &status);
    if (status) return status;
    TRY(add_transpose(l, v, t, rank, true));
    l->twin[v] = t;
    l->rank[v] = (int8_t)rank;
  }
  *ret = l->twin[v];
  return LEDGE_OK;
}

/* Node i's output k is now made channels last. */
static ledge_status move_output(layout *l, int i, int k, int rank) {
  ledge_status status = LEDGE_OK;
  value_id out = l->p->g->nodes[i].out[k];
  if (out == VALUE_ABSENT) return LEDGE_OK;
  value_id t = new_value(l, &status);
  if (status) return status;
  l->p->g->nodes[i].out[k] = t;
  l->p->g->values[t].producer = i;
  l->p->g->values[out].producer = -1;
  l->twin[out] = t;
  l->rank[out] = (int8_t)rank;
  l->moved[out] = true;
  l->p->changed = true;
  return LEDGE_OK;
}

/* ---- operators that have a channels-last form of their own ---- */

static ledge_status become(layout *l, int i, const char *op, const value_id *in, int n_in) {
  node old = l->p->g->nodes[i];
  TRY(pass_become(l->p, &l->p->g->nodes[i], "ledge", op, 1, in, n_in));
  return pass_copy_attrs(l->p, &l->p->g->nodes[i], &old);
}

static ledge_status move_conv(layout *l, int i) {
  const node *n = &l->p->g->nodes[i];
  const tensor *w = pass_constant(l->p, node_in(n, 1)), *b = pass_constant(l->p, node_in(n, 2));
  bool transposed = node_is(n, "", "ConvTranspose");
  if (!w || w->dtype != LEDGE_F32 || w->rank < 3 || w->rank > 5 || !tensor_elements(w)) return LEDGE_OK;
  if (node_in(n, 2) != VALUE_ABSENT && (!b || b->dtype != LEDGE_F32)) return LEDGE_OK;
  const tensor *x = pass_shape(l->p, n->in[0]);
  if (!has_twin(l, n->in[0]) && x && (x->rank != w->rank || x->dtype != LEDGE_F32)) return LEDGE_OK;
  value_id in[3] = {VALUE_ABSENT, n->in[1], node_in(n, 2)};
  TRY(want_twin(l, n->in[0], w->rank, &in[0]));
  TRY(become(l, i, transposed ? "ConvTranspose" : "Conv", in, in[2] == VALUE_ABSENT ? 2 : 3));
  return move_output(l, i, 0, w->rank);
}

static ledge_status move_pool(layout *l, int i, const char *op) {
  const node *n = &l->p->g->nodes[i];
  int rank = l->rank[n->in[0]];
  if (rank > 4 || (n->n_out > 1 && n->out[1] != VALUE_ABSENT)) return LEDGE_OK;
  TRY(become(l, i, op, &l->twin[n->in[0]], 1));
  l->p->g->nodes[i].n_out = 1;
  return move_output(l, i, 0, rank);
}

static ledge_status move_batchnorm(layout *l, int i) {
  const node *n = &l->p->g->nodes[i];
  const unaligned_f32 *f[5] = {NULL};
  int64_t channels = -1;
  if (n->version < 7 || node_attr_int(n, "training_mode", 0) || (n->n_out > 1 && n->out[1] != VALUE_ABSENT))
    return LEDGE_OK;
  for (int k = 1; k <= 4; k++) {
    const tensor *t = pass_constant(l->p, node_in(n, k));
    if (!t || t->dtype != LEDGE_F32 || t->rank != 1 || (channels >= 0 && t->dims[0] != channels)) return LEDGE_OK;
    channels = t->dims[0];
    f[k] = t->data;
  }
  int rank = l->rank[n->in[0]];
  float epsilon = node_attr_float(n, "epsilon", 1e-5f);
  void *scale, *shift;
  value_id in[3] = {l->twin[n->in[0]], pass_new_constant(l->p, LEDGE_F32, 1, &channels, &scale),
                    pass_new_constant(l->p, LEDGE_F32, 1, &channels, &shift)};
  if (in[1] == VALUE_ABSENT || in[2] == VALUE_ABSENT)
    return error_memory(l->p->error, (size_t)channels * 8, "a batch norm");
  for (int64_t c = 0; c < channels; c++) {
    double s = f[1][c] / sqrt((double)f[4][c] + epsilon);
    ((float *)scale)[c] = (float)s;
    ((float *)shift)[c] = (float)(f[2][c] - f[3][c] * s);
  }
  TRY(pass_become(l->p, &l->p->g->nodes[i], "ledge", "ScaleShift", 1, in, 3));
  l->p->g->nodes[i].n_out = 1;
  return move_output(l, i, 0, rank);
}

/* ---- 8-bit images ---- */

static bool is_number(layout *l, value_id v) {
  const tensor *t = pass_constant(l->p, v);
  return v == VALUE_ABSENT || (t && tensor_elements(t) == 1);
}

/* QLinearConv becomes that of com.microsoft, which takes channels_last. */
static ledge_status move_qconv(layout *l, int i) {
  graph *g = l->p->g;
  node old = g->nodes[i];
  const tensor *w = pass_constant(l->p, node_in(&old, 3)), *x = pass_shape(l->p, old.in[0]);
  if (old.n_in < 8 || old.n_in > 9 || !w || w->rank < 3 || w->rank > 5 || !tensor_elements(w)) return LEDGE_OK;
  if (!has_twin(l, old.in[0]) && x && x->rank != w->rank) return LEDGE_OK;
  for (int k = 1; k < 8; k++)
    if (k != 3 && !pass_constant(l->p, old.in[k])) return LEDGE_OK;
  if (node_in(&old, 8) != VALUE_ABSENT && !pass_constant(l->p, old.in[8])) return LEDGE_OK;
  value_id in[9];
  memcpy(in, old.in, (size_t)old.n_in * sizeof *in);
  TRY(want_twin(l, in[0], w->rank, &in[0]));
  TRY(pass_become(l->p, &g->nodes[i], "com.microsoft", "QLinearConv", 1, in, old.n_in));
  TRY(pass_copy_attrs(l->p, &g->nodes[i], &old));
  TRY(node_set_int(g, &g->nodes[i], "channels_last", 1));
  return move_output(l, i, 0, w->rank);
}

/* A sum of two images with one scale each. */
static ledge_status move_qadd(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  if (n->n_in < 7 || !has_twin(l, n->in[0]) || !has_twin(l, n->in[3]) || l->rank[n->in[0]] != l->rank[n->in[3]])
    return LEDGE_OK;
  for (int k = 1; k < n->n_in; k++)
    if (k != 3 && !is_number(l, n->in[k])) return LEDGE_OK;
  int rank = l->rank[n->in[0]];
  n->in[0] = l->twin[n->in[0]], n->in[3] = l->twin[n->in[3]];
  return move_output(l, i, 0, rank);
}

static ledge_status move_microsoft(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  if (!strcmp(n->op, "QLinearAdd") || !strcmp(n->op, "QLinearMul")) return move_qadd(l, i);
  if (strcmp(n->op, "QLinearGlobalAveragePool") || !has_twin(l, n->in[0]) || node_attr_int(n, "channels_last", 0))
    return LEDGE_OK;
  int rank = l->rank[n->in[0]];
  n->in[0] = l->twin[n->in[0]];
  TRY(node_set_int(l->p->g, n, "channels_last", 1));
  return move_output(l, i, 0, rank);
}

/* QuantizeLinear and DequantizeLinear of one scale. */
static ledge_status move_quantize(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  for (int k = 1; k < n->n_in; k++)
    if (!is_number(l, n->in[k])) return LEDGE_OK;
  int rank = l->rank[n->in[0]];
  n->in[0] = l->twin[n->in[0]];
  return move_output(l, i, 0, rank);
}

/* ---- operators that do not care ---- */

static const char *const elementwise[] = {
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Swish",
    "Gelu",
    "Tanh",
    "Clip",
    "Elu",
    "Selu",
    "Celu",
    "Softplus",
    "Softsign",
    "Mish",
    "Abs",
    "Neg",
    "Exp",
    "Log",
    "Sqrt",
    "Erf",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "Sin",
    "Cos",
    "Reciprocal",
    "ThresholdedRelu",
    "Identity",
};
static const char *const broadcasting[] = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu", "Sum"};

static bool listed(const char *op, const char *const *list, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(op, list[i])) return true;
  return false;
}
#define LISTED(op, list) listed(op, list, sizeof list / sizeof *list)

/* A constant of rank <= `rank` in channels-last order; elements of 4 or 8 bytes. */
static value_id permuted_constant(layout *l, const tensor *t, int rank) {
  int64_t first[LEDGE_MAX_RANK] = {0}, dims[LEDGE_MAX_RANK], strides[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK] = {0};
  for (int i = 0; i < rank; i++) first[i] = i < rank - t->rank ? 1 : t->dims[i - (rank - t->rank)];
  int64_t own[LEDGE_MAX_RANK];
  shape_strides(rank, first, own);
  for (int i = 0; i < rank; i++) dims[to_last(i, rank)] = first[i], strides[to_last(i, rank)] = own[i];
  void *data;
  value_id v = pass_new_constant(l->p, t->dtype, rank, dims, &data);
  if (v == VALUE_ABSENT) return v;
  size_t bytes = dtype_bytes(t->dtype);
  int64_t n = tensor_elements(t);
  for (int64_t k = 0; k < n; k++) {
    int64_t from = 0;
    for (int i = 0; i < rank; i++) from += at[i] * strides[i];
    memcpy((char *)data + (size_t)k * bytes, (const char *)t->data + (size_t)from * bytes, bytes);
    for (int i = rank - 1; i >= 0 && ++at[i] == dims[i]; i--) at[i] = 0;
  }
  return v;
}

/* Can every input of an operator that broadcasts be had channels last? Returns the rank, or 0. */
static int common_rank(layout *l, const node *n) {
  int rank = 0;
  for (int k = 0; k < n->n_in; k++) {
    if (!has_twin(l, node_in(n, k))) continue;
    if (rank && rank != l->rank[n->in[k]]) return 0;
    rank = l->rank[n->in[k]];
  }
  for (int k = 0; rank && k < n->n_in; k++) {
    value_id v = n->in[k];
    if (v == VALUE_ABSENT || v >= l->n) return 0;
    if (has_twin(l, v)) continue;
    const tensor *t = pass_constant(l->p, v);
    if (t && t->rank <= rank && dtype_bytes(t->dtype)) continue;
    t = pass_shape(l->p, v);
    if (!t || (t->rank != rank && tensor_elements(t) != 1)) return 0;
  }
  return rank;
}

static ledge_status move_broadcasting(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  if (n->version < 7 && !node_is(n, "", "Sum")) return LEDGE_OK;
  int rank = common_rank(l, n), n_in = n->n_in;
  if (!rank) return LEDGE_OK;
  for (int k = 0; k < n_in; k++) {
    value_id v = l->p->g->nodes[i].in[k];
    const tensor *t = has_twin(l, v) ? NULL : pass_constant(l->p, v);
    const tensor *s = has_twin(l, v) || t ? NULL : pass_shape(l->p, v);
    if ((t && tensor_elements(t) == 1 && t->rank <= rank) || (s && tensor_elements(s) == 1 && s->rank <= 1)) continue;
    value_id to = VALUE_ABSENT;
    if (t)
      to = permuted_constant(l, t, rank);
    else
      TRY(want_twin(l, v, rank, &to));
    if (to == VALUE_ABSENT) return error_memory(l->p->error, tensor_bytes(t), "a constant");
    l->p->g->nodes[i].in[k] = to;
  }
  return move_output(l, i, 0, rank);
}

static ledge_status move_elementwise(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  int rank = l->rank[n->in[0]];
  n->in[0] = l->twin[n->in[0]];
  return move_output(l, i, 0, rank);
}

static ledge_status set_axis(layout *l, int i, int rank, int64_t axis) {
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return LEDGE_OK; /* the operator's own infer will say so */
  return node_set_int(l->p->g, &l->p->g->nodes[i], "axis", to_last((int)axis, rank));
}

static ledge_status move_concat(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  int rank = common_rank(l, n), n_in = n->n_in, n_twins = 0;
  for (int k = 0; k < n_in; k++) n_twins += has_twin(l, n->in[k]);
  if (!rank || 2 * n_twins < n_in) return LEDGE_OK;
  int64_t axis = node_attr_int(n, "axis", 1);
  for (int k = 0; k < n_in; k++) {
    const tensor *t = has_twin(l, n->in[k]) ? NULL : pass_shape(l->p, n->in[k]);
    if (!has_twin(l, n->in[k]) && (!t || t->rank != rank)) return LEDGE_OK;
  }
  for (int k = 0; k < n_in; k++) {
    value_id to;
    TRY(want_twin(l, l->p->g->nodes[i].in[k], rank, &to));
    l->p->g->nodes[i].in[k] = to;
  }
  TRY(set_axis(l, i, rank, axis));
  return move_output(l, i, 0, rank);
}

static ledge_status move_split(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  int rank = l->rank[n->in[0]], n_out = n->n_out;
  int64_t axis = node_attr_int(n, "axis", 0);
  n->in[0] = l->twin[n->in[0]];
  TRY(set_axis(l, i, rank, axis));
  for (int k = 0; k < n_out; k++) TRY(move_output(l, i, k, rank));
  return LEDGE_OK;
}

static ledge_status move_softmax(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  if (n->version < 13) return LEDGE_OK;
  int rank = l->rank[n->in[0]];
  n->in[0] = l->twin[n->in[0]];
  TRY(set_axis(l, i, rank, node_attr_int(n, "axis", -1)));
  return move_output(l, i, 0, rank);
}

/* A list of axes from a constant, permuted into a new constant or attribute. */
static bool permute_axes(const int64_t *axes, int64_t count, int rank, int64_t *to) {
  for (int64_t k = 0; k < count; k++) {
    int64_t axis = axes[k] < 0 ? axes[k] + rank : axes[k];
    if (axis < 0 || axis >= rank) return false;
    to[k] = to_last((int)axis, rank);
  }
  return true;
}

static value_id int_constant(layout *l, const int64_t *list, int64_t count) {
  void *data;
  value_id v = pass_new_constant(l->p, LEDGE_I64, 1, &count, &data);
  if (v != VALUE_ABSENT && count) memcpy(data, list, (size_t)count * sizeof *list);
  return v;
}

static ledge_status move_reduce(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  int rank = l->rank[n->in[0]];
  const attr *a = node_attr(n, "axes");
  const tensor *t = pass_constant(l->p, node_in(n, 1));
  bool by_input = node_in(n, 1) != VALUE_ABSENT;
  const int64_t *axes = by_input                    ? (t && t->dtype == LEDGE_I64 ? t->data : NULL)
                        : a && a->type == ATTR_INTS ? a->ints
                                                    : NULL;
  int64_t count = by_input ? (t ? tensor_elements(t) : 0) : a ? a->count : 0, to[LEDGE_MAX_RANK];
  bool keep = node_attr_int(n, "keepdims", 1) != 0;
  if (!axes || count < 1 || count > rank || !permute_axes(axes, count, rank, to)) return LEDGE_OK;
  if (!keep) { /* [batch, channels] is left, in the same order in both forms */
    unsigned set = 0;
    for (int64_t k = 0; k < count; k++) set |= 1u << to[k];
    if (set != (((1u << rank) - 1) & ~(1u | 1u << (rank - 1)))) return LEDGE_OK;
  }
  if (by_input) {
    value_id v = int_constant(l, to, count);
    if (v == VALUE_ABSENT) return error_memory(l->p->error, (size_t)count * 8, "axes");
    n->in[1] = v;
  } else {
    TRY(node_set_ints(l->p->g, n, "axes", to, count));
  }
  n->in[0] = l->twin[n->in[0]];
  l->p->changed = true;
  return keep ? move_output(l, i, 0, rank) : LEDGE_OK;
}

/* Resize by constant scales or sizes, one a dim. */
static ledge_status move_resize(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  int rank = l->rank[n->in[0]];
  bool upsample = node_is(n, "", "Upsample");
  if ((upsample && n->version < 9) || node_attr(n, "axes") ||
      (!upsample && n->version >= 11 && node_in(n, 1) != VALUE_ABSENT &&
       !(pass_constant(l->p, n->in[1]) && tensor_elements(pass_constant(l->p, n->in[1])) == 0)))
    return LEDGE_OK;
  int first = upsample || n->version < 11 ? 1 : 2;
  value_id to[2] = {VALUE_ABSENT, VALUE_ABSENT};
  for (int k = 0; k < 2; k++) {
    value_id v = node_in(n, first + k);
    if (v == VALUE_ABSENT) continue;
    const tensor *t = pass_constant(l->p, v);
    if (!t || (t->dtype != LEDGE_F32 && t->dtype != LEDGE_I64)) return LEDGE_OK;
    int64_t count = tensor_elements(t);
    if (count == 0) {
      to[k] = v;
      continue;
    }
    if (count != rank) return LEDGE_OK;
    void *data;
    to[k] = pass_new_constant(l->p, t->dtype, 1, &count, &data);
    if (to[k] == VALUE_ABSENT) return error_memory(l->p->error, tensor_bytes(t), "scales");
    size_t bytes = dtype_bytes(t->dtype);
    for (int d = 0; d < rank; d++)
      memcpy((char *)data + (size_t)to_last(d, rank) * bytes, (char *)t->data + (size_t)d * bytes, bytes);
  }
  n = &l->p->g->nodes[i];
  for (int k = 0; k < 2; k++)
    if (to[k] != VALUE_ABSENT) n->in[first + k] = to[k];
  n->in[0] = l->twin[n->in[0]];
  return move_output(l, i, 0, rank);
}

static ledge_status move_pad(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  int rank = l->rank[n->in[0]];
  int64_t to[2 * LEDGE_MAX_RANK];
  const attr *a = n->version < 11 ? node_attr(n, "pads") : NULL;
  const tensor *t = n->version < 11 ? NULL : pass_constant(l->p, node_in(n, 1));
  const int64_t *pads = a && a->type == ATTR_INTS && a->count == 2 * rank              ? a->ints
                        : t && t->dtype == LEDGE_I64 && tensor_elements(t) == 2 * rank ? t->data
                                                                                       : NULL;
  if (!pads || node_in(n, 3) != VALUE_ABSENT) return LEDGE_OK;
  for (int d = 0; d < rank; d++) {
    to[to_last(d, rank)] = pads[d];
    to[rank + to_last(d, rank)] = pads[rank + d];
  }
  if (a) {
    TRY(node_set_ints(l->p->g, n, "pads", to, 2 * rank));
  } else {
    value_id v = int_constant(l, to, 2 * rank);
    if (v == VALUE_ABSENT) return error_memory(l->p->error, sizeof to, "pads");
    n->in[1] = v;
  }
  n->in[0] = l->twin[n->in[0]];
  return move_output(l, i, 0, rank);
}

static ledge_status move_slice(layout *l, int i) {
  node *n = &l->p->g->nodes[i];
  int rank = l->rank[n->in[0]];
  const tensor *starts = pass_constant(l->p, node_in(n, 1)), *axes = pass_constant(l->p, node_in(n, 3));
  int64_t list[LEDGE_MAX_RANK], to[LEDGE_MAX_RANK];
  if (!starts && axes) starts = pass_shape(l->p, n->in[1]); /* shape arithmetic may say where: axes says how many */
  if (n->version < 10 || !starts || tensor_elements(starts) > rank) return LEDGE_OK;
  int64_t count = tensor_elements(starts);
  if (node_in(n, 3) != VALUE_ABSENT && (!axes || tensor_elements(axes) != count)) return LEDGE_OK;
  for (int64_t k = 0; k < count; k++) list[k] = axes ? tensor_i64(axes, k) : k;
  if (!permute_axes(list, count, rank, to)) return LEDGE_OK;
  if (starts->dtype != LEDGE_I64) return LEDGE_OK; /* axes must have the same dtype */
  value_id in[5] = {l->twin[n->in[0]], n->in[1], node_in(n, 2), int_constant(l, to, count), node_in(n, 4)};
  if (in[3] == VALUE_ABSENT) return error_memory(l->p->error, sizeof to, "axes");
  TRY(pass_become(l->p, n, "", "Slice", n->version, in, in[4] == VALUE_ABSENT ? 4 : 5));
  return move_output(l, i, 0, rank);
}

/* Shape of a value that is now made channels last: the twin's, put in the old order. */
static ledge_status move_shape(layout *l, int i) {
  graph *g = l->p->g;
  if (g->nodes[i].n_attrs) return LEDGE_OK;
  int64_t order[LEDGE_MAX_RANK];
  int rank = l->rank[g->nodes[i].in[0]], version = g->nodes[i].version;
  for (int d = 0; d < rank; d++) order[d] = to_last(d, rank);
  ledge_status status = LEDGE_OK;
  value_id twin = l->twin[g->nodes[i].in[0]], shape = new_value(l, &status), perm = int_constant(l, order, rank);
  if (status || perm == VALUE_ABSENT) return error_memory(l->p->error, sizeof order, "a shape");
  node *n = graph_add_node(g, "", "Shape", version, "", &twin, 1, &shape, 1);
  if (!n) return error_memory(l->p->error, sizeof *n, "a node");
  n->def = ops_find("", "Shape", version);
  return pass_become(l->p, &g->nodes[i], "", "Gather", 13, (value_id[]){shape, perm}, 2);
}

/* ---- channel shuffle: Reshape [n, g, c/g, h, w], Transpose (0, 2, 1, 3, 4), Reshape [n, c, h, w] ---- */

static int only_reader(layout *l, value_id v, const char *op) {
  if (!pass_read_once(l->p, v)) return -1;
  for (int i = 0; i < l->p->n_dead; i++) {
    const node *n = &l->p->g->nodes[i];
    if (node_is(n, "", op) && n->n_in && n->in[0] == v) return i;
  }
  return -1;
}

static ledge_status move_shuffle(layout *l, int i) {
  static const int64_t first_perm[] = {0, 2, 1, 3, 4}, last_perm[] = {0, 1, 2, 4, 3};
  graph *g = l->p->g;
  const node *n = &g->nodes[i];
  if (l->rank[n->in[0]] != 4 || n->version < 5) return LEDGE_OK;
  int t = only_reader(l, n->out[0], "Transpose"), r = t < 0 ? -1 : only_reader(l, g->nodes[t].out[0], "Reshape");
  const tensor *x = pass_shape(l->p, n->in[0]), *five = pass_shape(l->p, n->out[0]),
               *y = r < 0 ? NULL : pass_shape(l->p, g->nodes[r].out[0]);
  const attr *perm = t < 0 ? NULL : node_attr(&g->nodes[t], "perm");
  if (!x || !five || !y || !perm || perm->type != ATTR_INTS || perm->count != 5 ||
      memcmp(perm->ints, first_perm, sizeof first_perm) || five->rank != 5 || y->rank != 4 ||
      !tensor_same_shape(x, y) || five->dims[0] != x->dims[0] || five->dims[3] != x->dims[2] ||
      five->dims[4] != x->dims[3] || r >= l->p->n_dead)
    return LEDGE_OK;
  /* Reshape's 0 takes the dims that the declared shapes may leave open from the input. */
  const int64_t split[] = {0, 0, 0, five->dims[1], five->dims[2]}, merged[] = {0, 0, 0, x->dims[1]};
  value_id a = int_constant(l, split, 5), b = int_constant(l, merged, 4), from = l->twin[g->nodes[i].in[0]];
  if (a == VALUE_ABSENT || b == VALUE_ABSENT) return error_memory(l->p->error, sizeof split, "a channel shuffle");
  int version = g->nodes[i].version;
  TRY(pass_become(l->p, &g->nodes[i], "", "Reshape", version, (value_id[]){from, a}, 2));
  TRY(node_set_ints(g, &g->nodes[t], "perm", last_perm, 5));
  value_id mid = g->nodes[r].in[0];
  TRY(pass_become(l->p, &g->nodes[r], "", "Reshape", version, (value_id[]){mid, b}, 2));
  TRY(move_output(l, r, 0, 4));
  return LEDGE_OK;
}

/* ---- the walk ---- */

static ledge_status move_node(layout *l, int i) {
  const node *n = &l->p->g->nodes[i];
  if (n->n_out < 1 || n->n_in < 1 || n->out[0] == VALUE_ABSENT) return LEDGE_OK;
  if (!strcmp(n->domain, "com.microsoft")) return move_microsoft(l, i);
  if (n->domain[0]) return LEDGE_OK;
  const char *op = n->op;
  if (!strcmp(op, "QLinearConv")) return move_qconv(l, i);
  if (!strcmp(op, "Conv") || !strcmp(op, "ConvTranspose")) return move_conv(l, i);
  if (LISTED(op, broadcasting)) return move_broadcasting(l, i);
  if (!strcmp(op, "Concat")) return move_concat(l, i);
  if (!has_twin(l, n->in[0])) return LEDGE_OK;
  if (LISTED(op, elementwise)) return move_elementwise(l, i);
  if (!strcmp(op, "MaxPool") || !strcmp(op, "AveragePool") || !strcmp(op, "GlobalAveragePool"))
    return move_pool(l, i, op);
  if (!strcmp(op, "QuantizeLinear") || !strcmp(op, "DequantizeLinear")) return move_quantize(l, i);
  if (!strcmp(op, "BatchNormalization")) return move_batchnorm(l, i);
  if (!strcmp(op, "Split")) return move_split(l, i);
  if (!strcmp(op, "Softmax") || !strcmp(op, "LogSoftmax")) return move_softmax(l, i);
  if (!strncmp(op, "Reduce", 6)) return move_reduce(l, i);
  if (!strcmp(op, "Resize") || !strcmp(op, "Upsample")) return move_resize(l, i);
  if (!strcmp(op, "Pad")) return move_pad(l, i);
  if (!strcmp(op, "Slice")) return move_slice(l, i);
  if (!strcmp(op, "Shape")) return move_shape(l, i);
  if (!strcmp(op, "Reshape")) return move_shuffle(l, i);
  return LEDGE_OK;
}

ledge_status pass_layout(pass_run *p) {
  graph *g = p->g;
  pass_shape(p, 0); /* before any value is added */
  layout l = {.p = p, .n = g->n_values};
  l.twin = mem_alloc_array((size_t)l.n, sizeof *l.twin);
  l.rank = mem_alloc_array((size_t)l.n, sizeof *l.rank);
  l.moved = mem_alloc_array((size_t)l.n, sizeof *l.moved);
  ledge_status status = LEDGE_OK;
  if (!l.twin || !l.rank || !l.moved) status = error_memory(p->error, (size_t)l.n * 8, "choosing layouts");
  for (int v = 0; !status && v < l.n; v++) l.twin[v] = VALUE_ABSENT;
  for (int i = 0; !status && i < p->n_dead; i++) status = move_node(&l, i);
  if (!status && p->changed) {
    /* What is still read channels first, and is made so no more. */
    int *uses = mem_alloc_array((size_t)g->n_values, sizeof *uses);
    if (!uses) status = error_memory(p->error, (size_t)g->n_values * sizeof *uses, "choosing layouts");
    if (!status) graph_count_uses(g, uses);
    for (int v = 0; !status && v < l.n; v++)
      if (l.moved[v] && uses[v]) status = add_transpose(&l, l.twin[v], v, l.rank[v], false);
    mem_free(uses);
  }
  mem_free(l.twin);
  mem_free(l.rank);
  mem_free(l.moved);
  return status;
}
