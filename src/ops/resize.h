/* ops/resize: where the outputs of Resize and Upsample come from, axis by axis, for the reference and the backends. */
#ifndef OPS_RESIZE_H
#define OPS_RESIZE_H

#include "ops/op.h"

typedef enum resize_mode { RESIZE_NEAREST, RESIZE_LINEAR, RESIZE_CUBIC } resize_mode;

typedef struct resize_plan {
  resize_mode mode;
  bool antialias, exclude_outside, resized[LEDGE_MAX_RANK], crop; /* crop: tf_crop_and_resize */
  double cubic_a, extrapolation;
  double scale[LEDGE_MAX_RANK], roi_begin[LEDGE_MAX_RANK], roi_end[LEDGE_MAX_RANK];
  int64_t out[LEDGE_MAX_RANK];
} resize_plan;

/* Reads attributes and the contents of the inputs; OP_UNKNOWN where these are not known. */
ledge_status resize_read(op_ctx *c, resize_plan *s);
/* Does an axis of `in` entries stay as it is? */
bool resize_keeps(const resize_plan *s, int axis, int64_t in);
/* How many neighbours an output has: fixed along an axis. */
int64_t resize_neighbours(const resize_plan *s, int axis);
/* The first neighbour (it and the others may be outside of [0, in): the edge stands there) and the weights of output x;
 * *ret_outside where the extrapolation value is the result. */
ledge_status resize_weigh(op_ctx *c, const resize_plan *s, int axis, int64_t in, int64_t x, int64_t *ret_first,
                          double *weights, bool *ret_outside);
/* The entry that output x copies, or -1 for the extrapolation value. */
ledge_status resize_nearest_index(op_ctx *c, const resize_plan *s, int axis, int64_t in, int64_t x, int64_t *ret);

#endif
