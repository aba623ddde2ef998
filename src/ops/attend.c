/* ops/attend: see attend.h. */
#include "ops/attend.h"

#include <math.h>

double attend_round(ledge_dtype d, double v) {
  double cell[2];
  if (d == LEDGE_DTYPE_NONE || d == LEDGE_F64) return v;
  dtype_store_f64(d, cell, 0, v);
  return dtype_load_f64(d, cell, 0);
}

int64_t attend_count(const int64_t dims[4]) {
  for (int i = 0; i < 4; i++)
    if (!dims[i]) return 0;
  int64_t n = shape_elements(4, dims);
  return n < 0 ? INT64_MAX : n;
}

void attend_softmax(double *row, int64_t n, const double *sink) {
  double most = sink ? *sink : -INFINITY, sum = 0;
  for (int64_t j = 0; j < n; j++) most = row[j] > most || isnan(row[j]) ? row[j] : most;
  if (most == -INFINITY) {
    for (int64_t j = 0; j < n; j++) row[j] = 0;
    return;
  }
  for (int64_t j = 0; j < n; j++) sum += row[j] = exp(row[j] - most);
  if (sink) sum += exp(*sink - most);
  for (int64_t j = 0; j < n; j++) row[j] /= sum;
}

static void keep(const attend *a, int mode, const double *row, int64_t at) {
  if (a->qk && a->qk_mode == mode) memcpy(a->qk + at * a->n_kv, row, (size_t)a->n_kv * sizeof *row);
}

/* One query of one head. s and bias hold n_kv doubles each. */
static void attend_query(const attend *a, int64_t b, int64_t h, int64_t i, double *s, double *bias) {
  int64_t kv = h / (a->q_heads / a->kv_heads), at = (b * a->q_heads + h) * a->n_q + i;
  const double *q = attend_row(&a->q, b, h, i);
  double *y = attend_row(&a->y, b, h, i);
  for (int64_t j = 0; j < a->n_kv; j++) {
    const double *k = attend_row(&a->k, b, kv, j);
    double sum = 0;
    for (int64_t d = 0; d < a->width; d++) sum += q[d] * k[d];
    s[j] = sum * a->scale;
  }
  keep(a, 0, s, at);
  for (int64_t j = 0; a->softcap > 0 && j < a->n_kv; j++) s[j] = a->softcap * tanh(s[j] / a->softcap);
  keep(a, 1, s, at);
  bool seen = !a->bias;
  if (a->bias) {
    memset(bias, 0, (size_t)a->n_kv * sizeof *bias);
    a->bias(a->arg, b, h, i, bias);
    for (int64_t j = 0; j < a->n_kv; j++) {
      seen |= bias[j] != -INFINITY;
      s[j] += bias[j];
    }
  }
  keep(a, 2, s, at);
  if (seen)
    attend_softmax(s, a->n_kv, a->sink ? &a->sink[h] : NULL);
  else
    memset(s, 0, (size_t)a->n_kv * sizeof *s);
  keep(a, 3, s, at);
  for (int64_t d = 0; d < a->v_width; d++) y[d] = 0;
  for (int64_t j = 0; j < a->n_kv; j++) {
    const double *v = attend_row(&a->v, b, kv, j);
    for (int64_t d = 0; d < a->v_width; d++) y[d] += s[j] * v[d];
  }
}

ledge_status attend_run(op_ctx *c, const attend *a) {
  bool empty = !attend_count((int64_t[]){a->batch, a->q_heads, a->n_q, a->v_width}) &&
               (!a->qk || !attend_count((int64_t[]){a->batch, a->q_heads, a->n_q, a->n_kv}));
  if (empty) return LEDGE_OK;
  double *s = real_scratch(c, a->n_kv), *bias = real_scratch(c, a->n_kv);
  ledge_status status = s && bias ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t b = 0; !status && b < a->batch; b++)
    for (int64_t h = 0; h < a->q_heads; h++)
      for (int64_t i = 0; i < a->n_q; i++) attend_query(a, b, h, i, s, bias);
  op_scratch_free(s);
  op_scratch_free(bias);
  return status;
}

void attend_rotate(const attend_rotary *r, double *x, const double *cosine, const double *sine) {
  int64_t half = r->dim / 2;
  for (int64_t i = 0; i < half; i++) {
    double *one = r->pairs ? x + 2 * i : x + i, *two = r->pairs ? x + 2 * i + 1 : x + half + i;
    double a = *one, b = *two;
    *one = cosine[i] * a - sine[i] * b;
    *two = sine[i] * a + cosine[i] * b;
  }
}

static ledge_status turn_rows(op_ctx *c, const attend_turned *s, double *x, const double *cosine, const double *sine,
                              int64_t positions, const tensor *ids) {
  int64_t half = s->turn.dim / 2;
  bool first_only = ids && tensor_elements(ids) == 1;
  attend_view v = s->rows_first ? attend_rows_first(x, s->heads, s->rows, s->width)
                                : attend_heads_first(x, s->heads, s->rows, s->width);
  for (int64_t b = 0; b < s->batch; b++)
    for (int64_t r = 0; r < s->rows; r++) {
      int64_t at = b * s->rows + r;
      if (ids) at = tensor_i64(ids, first_only ? 0 : at);
      if (first_only && __builtin_add_overflow(at, r, &at)) at = -1;
      if (ids && (at < 0 || at >= positions))
        return op_fail(c, LEDGE_ERROR_DATA, "position %lld is outside of [0, %lld)", (long long)at,
                       (long long)positions);
      for (int64_t h = 0; h < s->heads; h++)
        attend_rotate(&s->turn, attend_row(&v, b, h, r), cosine + at * half, sine + at * half);
    }
  return LEDGE_OK;
}

ledge_status attend_turn(op_ctx *c, const attend_turned *s, int caches, const tensor *ids) {
  const tensor *cosine = op_in(c, caches);
  double *in[] = {real_load(c, op_in(c, 0)), real_load(c, cosine), real_load(c, op_in(c, caches + 1))};
  ledge_status status = in[0] && in[1] && in[2] ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  if (!status && tensor_elements(op_in(c, 0))) status = turn_rows(c, s, in[0], in[1], in[2], cosine->dims[0], ids);
  if (!status) real_store(in[0], op_out(c, 0));
  for (int i = 0; i < 3; i++) op_scratch_free(in[i]);
  return status;
}
