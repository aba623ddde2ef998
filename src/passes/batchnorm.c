/* passes/batchnorm: folds what scales and shifts each channel after a convolution into its weights and bias: batch norm
 * at inference, Mul and Add by a constant a channel.
 *
 *   s * (W x + b) + t  =  (s W) x + (s b + t)
 */
#include "base/compiler.h"
#include "base/map.h"
#include "passes/pass.h"

#include <math.h>

/* y = s[c] x + t[c] as a node says it; s and t point into scratch of 2 n doubles. */
typedef struct affine {
  double *s, *t;
} affine;

static bool bn_affine(pass_run *p, const node *n, int64_t channels, affine *a) {
  const unaligned_f32 *f[5] = {NULL};
  if (n->n_out > 1 && n->out[1] != VALUE_ABSENT) return false;
  if (node_attr_int(n, "training_mode", 0) || node_attr_int(n, "spatial", 1) != 1 ||
      (n->version < 7 && !node_attr_int(n, "is_test", 0)))
    return false;
  for (int i = 1; i <= 4; i++) {
    const tensor *t = pass_constant(p, node_in(n, i));
    if (!t || t->dtype != LEDGE_F32 || tensor_elements(t) != channels) return false;
    f[i] = t->data;
  }
  double epsilon = node_attr_float(n, "epsilon", 1e-5f);
  for (int64_t i = 0; i < channels; i++) {
    a->s[i] = f[1][i] / sqrt((double)f[4][i] + epsilon);
    a->t[i] = f[2][i] - f[3][i] * a->s[i];
  }
  return true;
}

/* Mul or Add of x and a constant with one number a channel ([C,1,1], or one for all). */
static bool binary_affine(pass_run *p, const node *n, value_id x, int rank, int64_t channels, affine *a) {
  bool mul = node_is(n, "", "Mul"), add = node_is(n, "", "Add");
  if ((!mul && !add) || n->version < 7) return false;
  value_id other = n->in[0] == x ? n->in[1] : n->in[0];
  const tensor *t = pass_channel_constant(p, other, rank, rank - 2, channels);
  if (!t) t = pass_channel_constant(p, other, rank, rank - 2, 1);
  if (!t) return false;
  bool one = tensor_elements(t) == 1;
  for (int64_t i = 0; i < channels; i++) {
    double v = ((const unaligned_f32 *)t->data)[one ? 0 : i];
    a->s[i] = mul ? v : 1;
    a->t[i] = mul ? 0 : v;
  }
  return true;
}

/* W of Conv is [out, in / groups, ...], of ConvTranspose [in, out / groups, ...]. */
static void scale_weights(const tensor *w, bool transposed, int64_t groups, const double *s, float *dst) {
  const unaligned_f32 *src = w->data;
  int64_t inner = tensor_span(w, 2, w->rank), d0 = w->dims[0], d1 = w->dims[1];
  for (int64_t i = 0; i < d0; i++)
    for (int64_t k = 0; k < d1; k++) {
      int64_t channel = transposed ? i / (d0 / groups) * d1 + k : i;
      for (int64_t j = 0; j < inner; j++)
        dst[(i * d1 + k) * inner + j] = (float)(src[(i * d1 + k) * inner + j] * s[channel]);
    }
}

static ledge_status fold_into(pass_run *p, node *conv, node *n, const affine *a, int64_t channels) {
  const tensor *w = pass_constant(p, conv->in[1]), *b = pass_constant(p, node_in(conv, 2));
  bool transposed = node_is(conv, "", "ConvTranspose");
  void *w_data, *b_data;
  value_id w_new = pass_new_constant(p, LEDGE_F32, w->rank, w->dims, &w_data);
  value_id b_new = pass_new_constant(p, LEDGE_F32, 1, &channels, &b_data);
  if (w_new == VALUE_ABSENT || b_new == VALUE_ABSENT) return error_memory(p->error, tensor_bytes(w), "folded weights");
  scale_weights(w, transposed, node_attr_int(conv, "group", 1), a->s, w_data);
  for (int64_t i = 0; i < channels; i++)
    ((float *)b_data)[i] = (float)(a->t[i] + a->s[i] * (b ? ((const unaligned_f32 *)b->data)[i] : 0));
  file_map_drop_at(w->data, tensor_bytes(w));
  const value_id in[] = {conv->in[0], w_new, b_new};
  const node old = *conv;
  value_id out = n->out[0];
  TRY(pass_become(p, n, "", old.op, old.version, in, 3));
  n->out[0] = out;
  n->n_out = 1;
  TRY(pass_copy_attrs(p, n, &old));
  pass_kill(p, conv);
  return LEDGE_OK;
}

static ledge_status try_fold(pass_run *p, node *n, value_id x) {
  node *conv = pass_only(p, x, "Conv");
  if (!conv) conv = pass_only(p, x, "ConvTranspose");
  if (!conv) return LEDGE_OK;
  const tensor *w = pass_constant(p, node_in(conv, 1)), *b = pass_constant(p, node_in(conv, 2));
  int64_t groups = node_attr_int(conv, "group", 1);
  if (!w || w->dtype != LEDGE_F32 || w->rank < 3 || groups < 1 || (node_in(conv, 2) != VALUE_ABSENT && !b))
    return LEDGE_OK;
  bool transposed = node_is(conv, "", "ConvTranspose");
  if (transposed && (w->dims[0] % groups || w->dims[1] > INT32_MAX / groups)) return LEDGE_OK;
  int64_t channels = transposed ? w->dims[1] * groups : w->dims[0];
  if (b && (b->dtype != LEDGE_F32 || tensor_elements(b) != channels)) return LEDGE_OK;
  double *scratch = mem_alloc_array((size_t)channels * 2, sizeof *scratch);
  if (!scratch) return error_memory(p->error, (size_t)channels * 16, "folding a batch norm");
  affine a = {scratch, scratch + channels};
  bool yes = node_is(n, "", "BatchNormalization") ? n->in[0] == x && bn_affine(p, n, channels, &a)
                                                  : binary_affine(p, n, x, w->rank, channels, &a);
  ledge_status status = yes ? fold_into(p, conv, n, &a, channels) : LEDGE_OK;
  mem_free(scratch);
  return status;
}

ledge_status pass_batchnorm(pass_run *p) {
  int n_nodes = p->g->n_nodes;
  for (int i = 0; i < n_nodes; i++) {
    node *n = &p->g->nodes[i];
    if (p->dead[i]) continue;
    if (node_is(n, "", "BatchNormalization")) TRY(try_fold(p, n, n->in[0]));
    if ((node_is(n, "", "Mul") || node_is(n, "", "Add")) && n->n_in == 2) {
      TRY(try_fold(p, n, n->in[0]));
      if (node_is(n, "", "Mul") || node_is(n, "", "Add")) TRY(try_fold(p, n, n->in[1]));
    }
  }
  return LEDGE_OK;
}
