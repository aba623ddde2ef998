/* ops/fused: operators of domain "ledge", version 1: the fused steps that the passes make and ONNX cannot say. All but
 * Shuffle are float32, images channels last ([batch, spatial..., channels]); weights keep ONNX's layout, so that a
 * constant is shared with the model's file and packed once.
 *
 *   Conv           X, W, B?, R?: y = act(conv(X, W) + B + R), or with residual_after act(conv(X, W) + B) + R
 *   AffineConv     X, S, T, W, B?, R?: the Conv of X * S + T, S and T by channel, clamped to pre_lo..pre_hi
 *   ScaledConv     X, S, W, B?, R?: the Conv of X * S, S by image and channel
 *   ConvTranspose  X, W, B?
 *   MaxPool, AveragePool, GlobalAveragePool   X
 *   MatMul         A, B, C?, R?: y = act(alpha * A * B + C + R); transB; C is [n]; A of any rank, B as in ONNX's MatMul
 *   ScaleShift     X, scale, shift: over the last dim: act(x * scale[c] + shift[c])
 *   Shuffle        X... (1, or `groups` of one shape): the rows of their concatenation along the last dim, taken for
 *                  `groups` rows one below the other, are transposed: y[..., i * groups + k] is element i of row k. Of
 *                  any dtype
 *   Separable      X, R?, W, B?, W, B?, ...: Convs one after the other, each 1x1 or depthwise; the attributes of the
 * i-th, from 0, have "i." before their names; the last adds R
 *
 * The activation is in the attributes act (a name of fused_acts), act_alpha, act_beta. */
#ifndef OPS_FUSED_H
#define OPS_FUSED_H

#include "kernels/conv/conv.h"
#include "kernels/convtranspose/convtranspose.h"
#include "kernels/epilogue.h"
#include "kernels/pooling/pooling.h"
#include "kernels/separable/separable.h"
#include "ops/window.h"

/* "clamp", "silu", ...; NULL for KERNEL_ACT_NONE. */
const char *fused_act_name(kernel_act act);
/* Reads act, act_alpha, act_beta and residual_after. */
ledge_status fused_epilogue(const op_ctx *c, kernel_epilogue *e);

/* The shape of a convolution: x and w as given, `channels_last` for x (w is always [out, in / groups, kernel...]).
 * Fills p from c's attributes; rank above 3 is LEDGE_ERROR_UNSUPPORTED (the caller's reference has any). */
ledge_status fused_conv_params(op_ctx *c, const tensor *x, const tensor *w, bool channels_last, conv_f32_params *p);
/* The stages of Separable, their shapes and epilogues. */
ledge_status fused_separable_params(op_ctx *c, separable_f32_params *p);
ledge_status fused_convtranspose_params(op_ctx *c, const tensor *x, const tensor *w, bool channels_last,
                                        convtranspose_f32_params *p);
/* Two-dimensional pooling; one dimension counts as in_h = 1. */
ledge_status fused_pooling_shape(op_ctx *c, const tensor *x, bool channels_last, pooling_shape *s);

/* A product's sizes: batch dims are broadcast as in ONNX's MatMul. */
typedef struct fused_matmul {
  int64_t m, n, k, n_batch; /* where B has no batch dims, A's are folded into m and n_batch is 1 */
  int rank;                 /* of the output */
  int64_t dims[LEDGE_MAX_RANK];
  bool b_batched;
} fused_matmul;
ledge_status fused_matmul_shape(op_ctx *c, const tensor *a, const tensor *b, bool b_transposed, fused_matmul *s);
/* Offsets in elements of batch i of A and B. */
void fused_matmul_offsets(const fused_matmul *s, const tensor *a, const tensor *b, int64_t i, int64_t *ret_a,
                          int64_t *ret_b);

#endif
