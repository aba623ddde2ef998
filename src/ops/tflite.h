/* ops/tflite: operators of domain "tflite", version 1: TensorFlow Lite's integer arithmetic, which rounds in its own
 * way (kernels/fixed), and what else of it ONNX cannot say. Images are [batch, h, w, channels]; filters stand as ONNX
 * has them, [out, in / groups, h, w]. 8-bit and 16-bit numbers q stand for (q - zero) * scale:
 *
 *   Conv, ConvTranspose   x, w, bias?      FullyConnected   x [.., k], w [n, k], bias?      BatchMatMul   a, b
 *       x_scale, x_zero, w_scale (one or one an output), w_zero, y_scale, y_zero; y_min and y_max hold the activation
 *   Add, Sub, Mul         a, b of one type; a_, b_ and y_scale and _zero, y_min, y_max
 *   AveragePool, MaxPool  x; y_min, y_max           Mean       x; axes, keepdims
 *   Rescale               x; `to` is y's type       Quantize   x float
 *   Softmax               x; beta                   LeakyRelu  x; alpha
 *   ResizeBilinear        x, sizes; align_corners, half_pixel
 *   MirrorPad             x, pads: the edge is mirrored too */
#ifndef OPS_TFLITE_H
#define OPS_TFLITE_H

#include "kernels/fixed/fixed.h"
#include "ops/window.h"

typedef struct tflite_sums {
  int32_t x_zero, w_zero, y_zero, y_min, y_max;
} tflite_sums;

/* Reads the attributes of an operator of sums with `outs` outputs; m[outs] and shift[outs] get the factors. Checks
 * that x, w, bias and y have types that go together. */
ledge_status tflite_sums_read(op_ctx *c, int64_t outs, tflite_sums *s, int32_t *m, int32_t *shift);
/* The window and the groups of Conv. */
ledge_status tflite_conv_read(op_ctx *c, window *w, int64_t *groups);
/* Of Add and Sub: the factors. */
void tflite_sum_read(op_ctx *c, ledge_dtype dtype, bool subtract, fixed_sum *s);

#endif
