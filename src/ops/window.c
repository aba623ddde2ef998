/* ops/window: see window.h. */
#include "ops/window.h"

#include <stdlib.h>

/* The attribute's rank numbers into dst, or `otherwise`. */
static ledge_status window_list(op_ctx *c, const char *name, int rank, int64_t otherwise, int64_t least, int64_t *dst) {
  int64_t count;
  const int64_t *list = op_ints(c, name, &count);
  if (list && count && count != rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%s has %lld numbers for %d spatial dims", name, (long long)count, rank);
  for (int i = 0; i < rank; i++) {
    dst[i] = list && count ? list[i] : otherwise;
    if (dst[i] < least || dst[i] > INT32_MAX)
      return op_fail(c, LEDGE_ERROR_SHAPE, "%s holds %lld, which is out of range", name, (long long)dst[i]);
  }
  return LEDGE_OK;
}

static ledge_status window_kernel(op_ctx *c, int rank, const int64_t *in, const int64_t *kernel, window *w) {
  if (rank < 1 || rank > WINDOW_MAX)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input of %d spatial dims has no windows", rank);
  *w = (window){.rank = rank};
  for (int i = 0; i < rank; i++) /* so that no sum below overflows */
    if (in[i] > (int64_t)1 << 60) return op_fail(c, LEDGE_ERROR_LIMIT, "a dim of %lld", (long long)in[i]);
  memcpy(w->in, in, (size_t)rank * sizeof *in);
  TRY(window_list(c, "kernel_shape", rank, 0, 0, w->kernel));
  for (int i = 0; i < rank; i++) {
    if (kernel && w->kernel[i] && w->kernel[i] != kernel[i])
      return op_fail(c, LEDGE_ERROR_SHAPE, "kernel_shape says %lld where the weights have %lld",
                     (long long)w->kernel[i], (long long)kernel[i]);
    if (kernel) w->kernel[i] = kernel[i];
    if (w->kernel[i] < 1 || w->kernel[i] > INT32_MAX)
      return op_fail(c, LEDGE_ERROR_SHAPE, "a window of size %lld (is kernel_shape given?)", (long long)w->kernel[i]);
  }
  TRY(window_list(c, "strides", rank, 1, 1, w->stride));
  return window_list(c, "dilations", rank, 1, 1, w->dilation);
}

static ledge_status window_pads(op_ctx *c, window *w) {
  int64_t count;
  const int64_t *pads = op_ints(c, "pads", &count);
  if (!pads || !count) return LEDGE_OK;
  if (count != 2 * w->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "pads has %lld numbers for %d spatial dims", (long long)count, w->rank);
  for (int i = 0; i < w->rank; i++) {
    w->pad_begin[i] = pads[i];
    w->pad_end[i] = pads[i + w->rank];
    if (llabs(pads[i]) > INT32_MAX || llabs(pads[i + w->rank]) > INT32_MAX)
      return op_fail(c, LEDGE_ERROR_SHAPE, "pads are out of range");
  }
  return LEDGE_OK;
}

ledge_status window_read(op_ctx *c, int rank, const int64_t *in, const int64_t *kernel, bool is_pool, window *w) {
  TRY(window_kernel(c, rank, in, kernel, w));
  bool upper = op_string_is(c, "auto_pad", "NOTSET", "SAME_UPPER"),
       lower = op_string_is(c, "auto_pad", "NOTSET", "SAME_LOWER"),
       valid = op_string_is(c, "auto_pad", "NOTSET", "VALID");
  if (!upper && !lower && !valid) TRY(window_pads(c, w));
  bool ceil_mode = is_pool && op_int(c, "ceil_mode", 0) != 0;
  for (int i = 0; i < rank; i++) {
    int64_t span = w->dilation[i] * (w->kernel[i] - 1) + 1;
    if (upper || lower) {
      w->out[i] = (in[i] + w->stride[i] - 1) / w->stride[i];
      int64_t pad = (w->out[i] - 1) * w->stride[i] + span - in[i];
      if (pad < 0) pad = 0;
      w->pad_begin[i] = upper ? pad / 2 : pad - pad / 2;
      w->pad_end[i] = pad - w->pad_begin[i];
      continue;
    }
    int64_t room = in[i] + w->pad_begin[i] + w->pad_end[i] - span;
    if (room < 0) {
      w->out[i] = 0;
      if (in[i] > 0)
        return op_fail(c, LEDGE_ERROR_SHAPE, "a window of %lld does not fit into %lld with its pads", (long long)span,
                       (long long)in[i]);
      continue;
    }
    w->out[i] = room / w->stride[i] + 1;
    if (ceil_mode && room % w->stride[i]) {
      /* A last window that starts in the end padding counts for nothing. */
      if (w->out[i] * w->stride[i] < in[i] + w->pad_begin[i]) w->out[i]++;
    }
  }
  return LEDGE_OK;
}

ledge_status window_read_transposed(op_ctx *c, int rank, const int64_t *in, const int64_t *kernel, window *w) {
  int64_t extra[WINDOW_MAX], shape[WINDOW_MAX], count;
  TRY(window_kernel(c, rank, in, kernel, w));
  TRY(window_list(c, "output_padding", rank, 0, 0, extra));
  bool upper = op_string_is(c, "auto_pad", "NOTSET", "SAME_UPPER"),
       lower = op_string_is(c, "auto_pad", "NOTSET", "SAME_LOWER"),
       valid = op_string_is(c, "auto_pad", "NOTSET", "VALID");
  if (!upper && !lower && !valid) TRY(window_pads(c, w));
  const int64_t *list = op_ints(c, "output_shape", &count);
  bool given = list && count;
  if (given) {
    if (count != rank && count != rank + 2)
      return op_fail(c, LEDGE_ERROR_SHAPE, "output_shape has %lld numbers for %d spatial dims", (long long)count, rank);
    memcpy(shape, list + (count - rank), (size_t)rank * sizeof *shape);
  }
  for (int i = 0; i < rank; i++) {
    if (in[i] > INT32_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "a dim of %lld", (long long)in[i]);
    /* The products stay below 2^62 each. */
    int64_t reach = w->stride[i] * (in[i] - 1), whole;
    if (__builtin_add_overflow(reach, extra[i] + w->dilation[i] * (w->kernel[i] - 1) + 1, &whole))
      return op_fail(c, LEDGE_ERROR_LIMIT, "the output is too large");
    if (given || upper || lower) {
      w->out[i] = given ? shape[i] : in[i] * w->stride[i];
      if (w->out[i] < 0 || w->out[i] > INT32_MAX) return op_fail(c, LEDGE_ERROR_SHAPE, "output_shape is out of range");
      int64_t pad = whole - w->out[i];
      if (pad < 0) pad = 0; /* the output is larger than what is reached: the rest is bias alone */
      w->pad_begin[i] = upper ? pad / 2 : pad - pad / 2;
      w->pad_end[i] = pad - w->pad_begin[i];
    } else {
      w->out[i] = whole - w->pad_begin[i] - w->pad_end[i];
    }
    if (w->out[i] < 0) return op_fail(c, LEDGE_ERROR_SHAPE, "the pads are larger than the output");
  }
  return LEDGE_OK;
}
