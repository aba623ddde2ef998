/* ops/window: the sliding windows of convolutions and pools: kernel, strides, dilations, pads, and the output's size.
 *
 *   out = floor((in + pad_begin + pad_end - (dilation * (kernel - 1) + 1)) / stride) + 1       (ceil with ceil_mode)
 *
 * auto_pad: NOTSET, VALID, SAME_UPPER and SAME_LOWER as ONNX's Conv has them; SAME: out = ceil(in / stride). */
#ifndef OPS_WINDOW_H
#define OPS_WINDOW_H

#include "ops/op.h"

enum { WINDOW_MAX = LEDGE_MAX_RANK - 2 };

typedef struct window {
  int rank; /* spatial dims */
  int64_t kernel[WINDOW_MAX], stride[WINDOW_MAX], dilation[WINDOW_MAX], pad_begin[WINDOW_MAX], pad_end[WINDOW_MAX];
  int64_t in[WINDOW_MAX], out[WINDOW_MAX];
} window;

/* Reads kernel_shape (or takes `kernel` where the attribute is absent; NULL: the attribute is required), strides,
 * dilations, pads, auto_pad and, where `is_pool`, ceil_mode, and computes out from in[rank]. */
ledge_status window_read(op_ctx *c, int rank, const int64_t *in, const int64_t *kernel, bool is_pool, window *w);
/* ConvTranspose's: also output_padding and output_shape; out = stride * (in - 1) + output_padding
 * + dilation * (kernel - 1) + 1 - pad_begin - pad_end, or output_shape, from which the pads then follow. */
ledge_status window_read_transposed(op_ctx *c, int rank, const int64_t *in, const int64_t *kernel, window *w);

#endif
