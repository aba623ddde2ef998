/* backend/cpu/resize: Resize and Upsample along one axis, or two that lie side by side, in either layout: nearest of
 * elements of any simple type, linear of float32. The tables of indices and weights are made with the plan. */
#include "kernels/resize/resize.h"
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "ops/resize.h"

#include <limits.h>

typedef struct resize_state {
  resize_shape shape;
  size_t element_bytes; /* 0: linear */
  resize_taps taps[2];  /* of rows and columns; nearest: only lo */
} resize_state;

static ledge_status resize_run(op_ctx *c) {
  const resize_state *s = c->kernel;
  const void *x = op_in(c, 0)->data;
  void *y = op_out(c, 0)->data;
  if (s->element_bytes)
    resize_nearest(s->element_bytes, &s->shape, s->taps[0].lo, s->taps[1].lo, x, y, c->pool);
  else
    resize_linear_f32(&s->shape, &s->taps[0], &s->taps[1], x, y, c->pool);
  return LEDGE_OK;
}

/* The table of an axis; of one entry that stays where axis is -1. *ret_fits: false where a kernel cannot do it. */
static ledge_status axis_taps(const kernel_request *r, const resize_plan *p, int axis, resize_taps *taps,
                              bool *ret_fits, ledge_error *error) {
  int64_t in = axis < 0 ? 1 : op_in(r->ctx, 0)->dims[axis], out = axis < 0 ? 1 : p->out[axis];
  *ret_fits = false;
  if (in > INT_MAX || out > INT_MAX) return LEDGE_OK;
  int32_t *index = cpu_state(r, (size_t)out * 2 * sizeof *index, error);
  float *weight = cpu_state(r, (size_t)out * 2 * sizeof *weight, error);
  if (!index || !weight) return LEDGE_ERROR_MEMORY;
  *taps = (resize_taps){index, index + out, weight, weight + out};
  if (axis < 0) weight[0] = 1;
  for (int64_t i = 0; axis >= 0 && i < out; i++) {
    int64_t first;
    double w[2];
    bool outside = false;
    if (p->mode == RESIZE_NEAREST) {
      TRY(resize_nearest_index(r->ctx, p, axis, in, i, &first));
      if (first < 0) return LEDGE_OK;
      index[i] = (int32_t)first;
      continue;
    }
    TRY(resize_weigh(r->ctx, p, axis, in, i, &first, w, &outside));
    if (outside) return LEDGE_OK;
    for (int k = 0; k < 2; k++) {
      int64_t at = first + k;
      index[k * out + i] = (int32_t)(at < 0 ? 0 : at >= in ? in - 1 : at);
      weight[k * out + i] = (float)w[k];
    }
  }
  *ret_fits = true;
  return LEDGE_OK;
}

/* The resized axes, at most two and side by side (dims of 1 aside): -1 where there are fewer; false for other cases. */
static bool find_axes(const tensor *x, const resize_plan *p, int *axes) {
  int n = 0;
  axes[0] = axes[1] = -1;
  for (int i = 0; i < x->rank; i++) {
    if (resize_keeps(p, i, x->dims[i])) continue;
    if (n == 2) return false;
    if (n == 1 && tensor_span(x, axes[1] + 1, i) != 1) return false;
    axes[0] = axes[1];
    axes[1] = i;
    n++;
  }
  return true;
}

static ledge_status resize_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  resize_plan p;
  int axes[2];
  for (int i = 1; i < c->n_in; i++)
    if (op_has(c, i) && !cpu_constant(r, i)) return LEDGE_OK;
  if (!x || x->rank < 1 || !tensor_elements(op_out(c, 0))) return LEDGE_OK;
  TRY(resize_read(c, &p));
  size_t bytes = dtype_bytes(x->dtype);
  if (p.mode == RESIZE_NEAREST ? x->dtype == LEDGE_STRING || bytes > 8 : x->dtype != LEDGE_F32) return LEDGE_OK;
  if (p.mode == RESIZE_CUBIC || !find_axes(x, &p, axes)) return LEDGE_OK;
  for (int i = 0; i < 2; i++)
    if (axes[i] >= 0 && p.mode == RESIZE_LINEAR && resize_neighbours(&p, axes[i]) != 2) return LEDGE_OK;
  resize_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  for (int i = 0; i < 2; i++) {
    bool fits;
    TRY(axis_taps(r, &p, axes[i], &s->taps[i], &fits, error));
    if (!fits) return LEDGE_OK;
  }
  int first = axes[0] >= 0 ? axes[0] : axes[1];
  s->element_bytes = p.mode == RESIZE_NEAREST ? bytes : 0;
  s->shape = (resize_shape){.outer = tensor_span(x, 0, first < 0 ? x->rank : first),
                            .in_h = axes[0] < 0 ? 1 : x->dims[axes[0]],
                            .out_h = axes[0] < 0 ? 1 : p.out[axes[0]],
                            .in_w = axes[1] < 0 ? 1 : x->dims[axes[1]],
                            .out_w = axes[1] < 0 ? 1 : p.out[axes[1]],
                            .inner = axes[1] < 0 ? 1 : tensor_span(x, axes[1] + 1, x->rank)};
  *ret = (kernel){resize_run, s, 0, p.mode == RESIZE_NEAREST ? "resize_nearest" : "resize_linear", 0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_resize[] = {
    {"", "Resize", resize_prepare},
    {"", "Upsample", resize_prepare},
    {0},
};
