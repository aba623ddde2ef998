/* passes/matmul: products with a constant float32 matrix become ledge.MatMul, which takes a bias (an Add of a constant
 * row after it): MatMul and Gemm alike. */
#include "passes/pass.h"

static bool constant_matrix(pass_run *p, value_id v) {
  const tensor *t = pass_constant(p, v);
  return t && t->dtype == LEDGE_F32 && t->rank == 2 && tensor_elements(t) > 0;
}

/* What v is the transpose of, where that is a constant matrix; else v itself. */
static value_id untransposed(pass_run *p, value_id v, bool *ret_flip) {
  const node *n = pass_producer(p, v);
  *ret_flip = false;
  if (!n || !node_is(n, "", "Transpose") || !constant_matrix(p, node_in(n, 0))) return v;
  const attr *perm = node_attr(n, "perm");
  if (perm && (perm->type != ATTR_INTS || perm->count != 2 || perm->ints[0] != 1 || perm->ints[1] != 0)) return v;
  *ret_flip = true;
  return n->in[0];
}

/* A constant row of n numbers, as [n], [1, n] or [1, 1, n]; its value, reshaped to [n] where needed. */
static ledge_status constant_row(pass_run *p, value_id v, int64_t n, value_id *ret) {
  const tensor *t = pass_constant(p, v);
  *ret = VALUE_ABSENT;
  if (!t || t->dtype != LEDGE_F32 || t->rank < 1 || t->dims[t->rank - 1] != n || tensor_elements(t) != n)
    return LEDGE_OK;
  *ret = v;
  return LEDGE_OK;
}

static ledge_status lower_matmul(pass_run *p, node *n) {
  bool flip;
  const value_id in[] = {n->in[0], untransposed(p, node_in(n, 1), &flip)};
  if (!constant_matrix(p, in[1])) return LEDGE_OK;
  TRY(pass_become(p, n, "ledge", "MatMul", 1, in, 2));
  return flip ? node_set_int(p->g, n, "transB", 1) : LEDGE_OK;
}

static ledge_status lower_gemm(pass_run *p, node *n) {
  bool flip;
  value_id matrix = untransposed(p, node_in(n, 1), &flip);
  if (!constant_matrix(p, matrix) || node_attr_int(n, "transA", 0) || n->version < 7) return LEDGE_OK;
  bool transposed = (node_attr_int(n, "transB", 0) != 0) != flip;
  float alpha = node_attr_float(n, "alpha", 1), beta = node_attr_float(n, "beta", 1);
  const tensor *b = pass_constant(p, matrix), *a = pass_shape(p, n->in[0]);
  value_id row = VALUE_ABSENT;
  if (a && (a->rank != 2 || a->dtype != LEDGE_F32)) return LEDGE_OK;
  if (node_in(n, 2) != VALUE_ABSENT) {
    TRY(constant_row(p, n->in[2], b->dims[transposed ? 0 : 1], &row));
    if (row == VALUE_ABSENT || beta != 1) return LEDGE_OK;
  }
  const value_id in[] = {n->in[0], matrix, row};
  TRY(pass_become(p, n, "ledge", "MatMul", 1, in, row == VALUE_ABSENT ? 2 : 3));
  if (transposed) TRY(node_set_int(p->g, n, "transB", 1));
  return alpha == 1 ? LEDGE_OK : node_set_float(p->g, n, "alpha", alpha);
}

/* Add of a product and a constant row. */
static ledge_status take_bias(pass_run *p, node *add) {
  for (int k = 0; k < 2; k++) {
    node *m = pass_producer(p, add->in[k]);
    if (!m || !node_is(m, "ledge", "MatMul") || !pass_read_once(p, add->in[k]) || node_in(m, 2) != VALUE_ABSENT ||
        node_in(m, 3) != VALUE_ABSENT || node_attr(m, "act"))
      continue;
    const tensor *b = pass_constant(p, m->in[1]);
    const tensor *y = pass_shape(p, add->in[k]);
    value_id row;
    TRY(constant_row(p, add->in[1 - k], b->dims[node_attr_int(m, "transB", 0) ? 0 : 1], &row));
    const tensor *r = row == VALUE_ABSENT ? NULL : pass_constant(p, row);
    if (!r || (r->rank > 1 && (!y || y->rank < r->rank))) continue; /* the Add would raise the rank */
    const node old = *m;
    const value_id in[] = {m->in[0], m->in[1], row};
    pass_kill(p, m);
    TRY(pass_become(p, add, "ledge", "MatMul", 1, in, 3));
    return pass_copy_attrs(p, add, &old);
  }
  return LEDGE_OK;
}

ledge_status pass_matmul(pass_run *p) {
  for (int i = 0; i < p->n_dead; i++) {
    node *n = &p->g->nodes[i];
    if (p->dead[i]) continue;
    if (node_is(n, "", "MatMul")) TRY(lower_matmul(p, n));
    if (node_is(n, "", "Gemm")) TRY(lower_gemm(p, n));
    if (node_is(n, "", "Add") && n->n_in == 2 && n->version >= 7) TRY(take_bias(p, n));
  }
  return LEDGE_OK;
}
