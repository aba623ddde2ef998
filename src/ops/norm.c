/* ops/norm: BatchNormalization (inference and training, all versions), InstanceNormalization, LayerNormalization,
 * GroupNormalization, RMSNormalization, LpNormalization, LRN; in double. */
#include "ops/real.h"

#include <math.h>

/* ---- BatchNormalization ----
 * Versions: 1, 6 (is_test, consumed_inputs, up to five outputs), 7, 9 (inference unless more outputs are wanted), 14,
 * 15 (training_mode; outputs running mean and variance). spatial 0 (before 9): statistics for each element, not
 * channel. */

typedef struct bn_shape {
  int64_t batch, channels, inner; /* spatial 0: channels = all but the batch, inner 1 */
  bool training;
} bn_shape;

static ledge_status bn_read(op_ctx *c, bn_shape *s) {
  const tensor *x = op_in(c, 0);
  TRY(real_check(c, 0, false));
  if (x->rank < 1) return op_fail(c, LEDGE_ERROR_SHAPE, "a scalar has no channels");
  bool spatial = c->node->version >= 9 || op_int(c, "spatial", 1) != 0;
  s->batch = x->dims[0];
  s->channels = x->rank < 2 ? 1 : spatial ? x->dims[1] : tensor_span(x, 1, x->rank);
  s->inner = x->rank < 2 || !spatial ? 1 : tensor_span(x, 2, x->rank);
  s->training = c->node->version >= 14  ? op_int(c, "training_mode", 0) != 0
                : c->node->version >= 7 ? op_wants(c, 1) || op_wants(c, 3)
                                        : !op_int(c, "is_test", 0) && op_wants(c, 1);
  for (int i = 1; i <= 4; i++) {
    const tensor *t = op_in(c, i);
    if (!dtype_is_float(t->dtype)) return op_fail_dtype(c, i);
    if (tensor_elements(t) != s->channels)
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has %lld numbers for %lld channels", i,
                     (long long)tensor_elements(t), (long long)s->channels);
  }
  return LEDGE_OK;
}

static ledge_status bn_infer(op_ctx *c) {
  bn_shape s;
  TRY(bn_read(c, &s));
  TRY(op_same_shape(c, 0, 0));
  for (int i = 1; i < c->n_out; i++) {
    const tensor *like = op_in(c, i == 2 || i == 4 ? 4 : 3);
    TRY(op_shape(c, i, like->dtype, like->rank, like->dims));
  }
  return LEDGE_OK;
}

static void bn_statistics(const bn_shape *s, const double *x, double *mean, double *var) {
  double n = (double)(s->batch * s->inner);
  for (int64_t k = 0; k < s->channels; k++) {
    double sum = 0, square = 0;
    for (int64_t b = 0; b < s->batch; b++)
      for (int64_t i = 0; i < s->inner; i++) sum += x[(b * s->channels + k) * s->inner + i];
    mean[k] = sum / n;
    for (int64_t b = 0; b < s->batch; b++)
      for (int64_t i = 0; i < s->inner; i++) {
        double d = x[(b * s->channels + k) * s->inner + i] - mean[k];
        square += d * d;
      }
    var[k] = square / n;
  }
}

static ledge_status bn_run(op_ctx *c) {
  bn_shape s;
  TRY(bn_read(c, &s));
  const tensor *mean_in = op_in(c, 3), *var_in = op_in(c, 4);
  double *x = real_load(c, op_in(c, 0)), *stats = real_scratch(c, 2 * s.channels);
  if (!x || !stats) {
    op_scratch_free(x);
    op_scratch_free(stats);
    return LEDGE_ERROR_MEMORY;
  }
  double *mean = stats, *var = stats + s.channels, epsilon = op_float(c, "epsilon", 1e-5f),
         momentum = op_float(c, "momentum", 0.9f);
  if (s.training) {
    bn_statistics(&s, x, mean, var);
  } else {
    for (int64_t k = 0; k < s.channels; k++) mean[k] = tensor_f64(mean_in, k), var[k] = tensor_f64(var_in, k);
  }
  for (int64_t k = 0; k < s.channels; k++) {
    double scale = tensor_f64(op_in(c, 1), k) / sqrt(var[k] + epsilon), shift = tensor_f64(op_in(c, 2), k);
    for (int64_t b = 0; b < s.batch; b++)
      for (int64_t i = 0; i < s.inner; i++) {
        double *v = &x[(b * s.channels + k) * s.inner + i];
        *v = (*v - mean[k]) * scale + shift;
      }
  }
  if (op_out(c, 0)) real_store(x, op_out(c, 0));
  for (int i = 1; i < c->n_out; i++) {
    tensor *t = op_out(c, i);
    if (!t) continue;
    bool is_var = i == 2 || i == 4, saved = i >= 3; /* 3, 4: the batch's own statistics (before 14) */
    for (int64_t k = 0; k < s.channels; k++) {
      double now = is_var ? var[k] : mean[k], old = tensor_f64(is_var ? var_in : mean_in, k);
      dtype_store_f64(t->dtype, t->data, k, saved || !s.training ? now : old * momentum + now * (1 - momentum));
    }
  }
  op_scratch_free(x);
  op_scratch_free(stats);
  return LEDGE_OK;
}

/* ---- rows: LayerNormalization, RMSNormalization ---- */

static ledge_status rows_split(op_ctx *c, int64_t *rows, int64_t *n, int *ret_axis) {
  const tensor *x = op_in(c, 0);
  TRY(real_check(c, 0, false));
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, ret_axis));
  *rows = tensor_span(x, 0, *ret_axis);
  *n = tensor_span(x, *ret_axis, x->rank);
  for (int i = 1; i < c->n_in; i++) {
    const tensor *t = op_in(c, i);
    if (!t) continue;
    int64_t dims[LEDGE_MAX_RANK];
    int rank = shape_broadcast(t->rank, t->dims, x->rank, x->dims, dims);
    if (!shape_equal(rank, dims, x->rank, x->dims))
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d does not broadcast to the input", i);
    if (!dtype_is_float(t->dtype)) return op_fail_dtype(c, i);
  }
  return LEDGE_OK;
}

static ledge_status rows_infer(op_ctx *c) {
  int64_t rows, n, dims[LEDGE_MAX_RANK];
  int axis;
  TRY(rows_split(c, &rows, &n, &axis));
  const tensor *x = op_in(c, 0);
  bool rms = !strcmp(c->def->name, "RMSNormalization");
  TRY(op_shape(c, 0, rms ? op_in(c, 1)->dtype : x->dtype, x->rank, x->dims));
  for (int i = 0; i < x->rank; i++) dims[i] = i < axis ? x->dims[i] : 1;
  ledge_dtype stash = (ledge_dtype)op_int(c, "stash_type", LEDGE_F32);
  if (!dtype_is_float(stash)) return op_fail(c, LEDGE_ERROR_FORMAT, "stash_type is no float type");
  TRY(op_shape(c, 1, stash, x->rank, dims));
  return op_shape(c, 2, stash, x->rank, dims);
}

/* Where element i of x stands in a tensor that broadcasts to x. */
static int64_t broadcast_at(const tensor *x, const tensor *t, int64_t i) {
  int64_t at = 0, step = 1;
  for (int d = x->rank - 1; d >= 0; d--) {
    int64_t place = i % x->dims[d];
    i /= x->dims[d];
    int k = d - (x->rank - t->rank);
    if (k < 0) break;
    if (t->dims[k] != 1) at += place * step;
    step *= t->dims[k];
  }
  return at;
}

static double round_to(ledge_dtype d, double v) {
  double r[2];
  dtype_store_f64(d, r, 0, v);
  return dtype_load_f64(d, r, 0);
}

static ledge_status rows_run(op_ctx *c) {
  int64_t rows, n;
  int axis;
  TRY(rows_split(c, &rows, &n, &axis));
  const tensor *x = op_in(c, 0), *scale = op_in(c, 1), *bias = op_in(c, 2);
  tensor *y = op_out(c, 0), *means = op_out(c, 1), *invs = op_out(c, 2);
  bool rms = !strcmp(c->def->name, "RMSNormalization");
  double epsilon = op_float(c, "epsilon", 1e-5f);
  for (int64_t r = 0; r < rows; r++) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n && !rms; i++) mean += tensor_f64(x, r * n + i);
    mean /= (double)n;
    if (rms) mean = 0;
    for (int64_t i = 0; i < n; i++) {
      double d = tensor_f64(x, r * n + i) - mean;
      square += d * d;
    }
    double inv = 1 / sqrt(square / (double)n + epsilon);
    if (means) dtype_store_f64(means->dtype, means->data, r, mean);
    if (invs) dtype_store_f64(invs->dtype, invs->data, r, inv);
    for (int64_t i = 0; y && i < n; i++) {
      int64_t at = r * n + i;
      double v = (tensor_f64(x, at) - mean) * inv;
      if (ledge_dtype_bits(x->dtype) < 32) v = round_to(x->dtype, v); /* the standard casts back before the scale */
      if (scale) v *= tensor_f64(scale, broadcast_at(x, scale, at));
      if (bias) v += tensor_f64(bias, broadcast_at(x, bias, at));
      dtype_store_f64(y->dtype, y->data, at, v);
    }
  }
  return LEDGE_OK;
}

/* ---- groups: InstanceNormalization, GroupNormalization ---- */

typedef struct group_shape {
  int64_t batch, channels, inner, groups;
  bool by_group; /* GroupNormalization 18: scale and bias a group, not a channel */
} group_shape;

static ledge_status group_read(op_ctx *c, group_shape *s) {
  const tensor *x = op_in(c, 0);
  bool instance = !strcmp(c->def->name, "InstanceNormalization");
  TRY(real_check(c, 0, false));
  if (x->rank < 2) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no channels", x->rank);
  s->batch = x->dims[0];
  s->channels = x->dims[1];
  s->inner = tensor_span(x, 2, x->rank);
  s->groups = instance ? s->channels : op_int(c, "num_groups", 0);
  s->by_group = !instance && c->node->version < 21;
  if (!instance && (s->groups < 1 || s->channels % s->groups))
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld channels do not fall into %lld groups", (long long)s->channels,
                   (long long)s->groups);
  for (int i = 1; i <= 2; i++) {
    if (!dtype_is_float(op_in(c, i)->dtype)) return op_fail_dtype(c, i);
    if (tensor_elements(op_in(c, i)) != (s->by_group ? s->groups : s->channels))
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d does not have one number a %s", i,
                     s->by_group ? "group" : "channel");
  }
  return LEDGE_OK;
}

static ledge_status group_infer(op_ctx *c) {
  group_shape s;
  TRY(group_read(c, &s));
  return op_same_shape(c, 0, 0);
}

static ledge_status group_run(op_ctx *c) {
  group_shape s = {0};
  TRY(group_read(c, &s));
  const tensor *x = op_in(c, 0), *scale = op_in(c, 1), *bias = op_in(c, 2);
  tensor *y = op_out(c, 0);
  double epsilon = op_float(c, "epsilon", 1e-5f);
  int64_t per = s.groups ? s.channels / s.groups : 0, n = per * s.inner;
  for (int64_t g = 0; g < s.batch * s.groups; g++) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++) mean += tensor_f64(x, g * n + i);
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
      double d = tensor_f64(x, g * n + i) - mean;
      square += d * d;
    }
    double inv = 1 / sqrt(square / (double)n + epsilon);
    for (int64_t i = 0; i < n; i++) {
      int64_t channel = g % s.groups * per + i / s.inner, at = s.by_group ? g % s.groups : channel;
      dtype_store_f64(y->dtype, y->data, g * n + i,
                      (tensor_f64(x, g * n + i) - mean) * inv * tensor_f64(scale, at) + tensor_f64(bias, at));
    }
  }
  return LEDGE_OK;
}

/* ---- LpNormalization ---- */

static ledge_status lp_infer(op_ctx *c) {
  int axis;
  TRY(real_check(c, 0, false));
  TRY(op_axis(c, op_int(c, "axis", -1), op_in(c, 0)->rank, &axis));
  int64_t p = op_int(c, "p", 2);
  if (p != 1 && p != 2) return op_fail(c, LEDGE_ERROR_FORMAT, "p is %lld; it may be 1 or 2", (long long)p);
  return op_same_shape(c, 0, 0);
}

static ledge_status lp_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  bool one = op_int(c, "p", 2) == 1;
  int64_t outer = tensor_span(x, 0, axis), n = x->dims[axis], inner = tensor_span(x, axis + 1, x->rank);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      double sum = 0;
      for (int64_t k = 0; k < n; k++) {
        double v = tensor_f64(x, (o * n + k) * inner + i);
        sum += one ? fabs(v) : v * v;
      }
      double norm = one ? sum : sqrt(sum);
      for (int64_t k = 0; k < n; k++) {
        int64_t at = (o * n + k) * inner + i;
        dtype_store_f64(y->dtype, y->data, at, norm == 0 ? 0 : tensor_f64(x, at) / norm);
      }
    }
  return LEDGE_OK;
}

/* ---- LRN: over channels, a window of `size` about each ---- */

static ledge_status lrn_infer(op_ctx *c) {
  TRY(real_check(c, 0, false));
  if (op_in(c, 0)->rank < 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no channels", op_in(c, 0)->rank);
  if (op_int(c, "size", 0) < 1) return op_fail(c, LEDGE_ERROR_FORMAT, "size is not given or not positive");
  return op_same_shape(c, 0, 0);
}

static ledge_status lrn_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t size = op_int(c, "size", 1), channels = x->dims[1], inner = tensor_span(x, 2, x->rank);
  double alpha = op_float(c, "alpha", 1e-4f), beta = op_float(c, "beta", 0.75f), bias = op_float(c, "bias", 1);
  for (int64_t b = 0; b < x->dims[0]; b++)
    for (int64_t k = 0; k < channels; k++) {
      int64_t first = k - (size - 1) / 2, last = k + size / 2; /* floor and ceil of (size - 1) / 2 */
      if (first < 0) first = 0;
      if (last >= channels) last = channels - 1;
      for (int64_t i = 0; i < inner; i++) {
        double sum = 0;
        for (int64_t j = first; j <= last; j++) {
          double v = tensor_f64(x, (b * channels + j) * inner + i);
          sum += v * v;
        }
        int64_t at = (b * channels + k) * inner + i;
        dtype_store_f64(y->dtype, y->data, at, tensor_f64(x, at) / pow(bias + alpha / (double)size * sum, beta));
      }
    }
  return LEDGE_OK;
}

const op_def ops_norm[] = {
    {"", "BatchNormalization", 1, 0, 5, 5, 1, 5, 0, bn_infer, bn_run},
    {"", "InstanceNormalization", 1, 0, 3, 3, 1, 1, 0, group_infer, group_run},
    {"", "GroupNormalization", 18, 0, 3, 3, 1, 1, 0, group_infer, group_run},
    {"", "LayerNormalization", 1, 0, 2, 3, 1, 3, 0, rows_infer, rows_run},
    {"", "RMSNormalization", 23, 0, 2, 2, 1, 1, 0, rows_infer, rows_run},
    {"", "LpNormalization", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), lp_infer, lp_run},
    {"", "LRN", 1, 0, 1, 1, 1, 1, 0, lrn_infer, lrn_run},
    {0},
};
