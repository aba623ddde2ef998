/* formats/tflite/op_custom: custom operators that are publicly defined. MediaPipe's have the bytes of TensorFlow Lite's
 * C structs as their options: {i32 padding (1 same, 2 valid), stride_w, stride_h, kernel_w, kernel_h, activation}. */
#include "formats/tflite/operators.h"

typedef struct pool {
  bool same;
  int64_t strides[2], kernel[2];
} pool;

static bool read_pool(tfl_op *o, pool *p) {
  if (o->custom.count < 24) {
    tfl_bad(o, "its options have %u bytes where they take 24", o->custom.count);
    return false;
  }
  p->same = fb_vec_i32(&o->custom, 0) == 1;
  for (int i = 0; i < 2; i++) {
    p->strides[i] = fb_vec_i32(&o->custom, 2 - (uint32_t)i);
    p->kernel[i] = fb_vec_i32(&o->custom, 4 - (uint32_t)i);
    if (p->strides[i] < 1 || p->kernel[i] < 1) tfl_bad(o, "its window or stride is not above 0");
  }
  if (fb_vec_i32(&o->custom, 5)) tfl_refuse(o, "an activation, which ledge does not support here");
  return !o->status;
}

void tfl_max_pool_argmax(tfl_op *o) {
  pool p;
  value_id x = tfl_input(o, 0), out[2];
  if (!read_pool(o, &p)) return;
  attr list[4] = {AIS("strides", p.strides, 2), AIS("kernel_shape", p.kernel, 2)};
  if (p.same) list[2] = (attr)AS("auto_pad", "SAME_UPPER");
  tfl_nodes(o, "tflite", "MaxPoolArgmax", list, &x, 1, out, 2);
  tfl_give(o, 0, out[0]);
  tfl_give(o, 1, out[1]);
}

void tfl_max_unpool(tfl_op *o) {
  pool p;
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  if (!read_pool(o, &p)) return;
  if (x->rank != 4) {
    tfl_bad(o, "its input has %d dims where it takes 4", x->rank);
    return;
  }
  int64_t size[2], pads[2];
  for (int i = 0; i < 2; i++) {
    int64_t in = x->dims[1 + i];
    size[i] = p.same ? in * p.strides[i] : (in - 1) * p.strides[i] + p.kernel[i];
    int64_t total = (in - 1) * p.strides[i] + p.kernel[i] - size[i];
    pads[i] = total > 0 ? total / 2 : 0;
  }
  tfl_give(o, 0,
           tfl_own(o, "MaxUnpool",
                   ATTRS(AIS("strides", p.strides, 2), AIS("kernel_shape", p.kernel, 2), AIS("pads", pads, 2),
                         AIS("size", size, 2)),
                   tfl_input(o, 0), tfl_input(o, 1)));
}
