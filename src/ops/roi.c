/* ops/roi: MaxRoiPool: the maxima of regions cut into bins; whole pixels, unlike RoiAlign (sample.c). After R.
 * Girshick, Fast R-CNN (2015). */
#include "ops/real.h"

#include <math.h>

static ledge_status roi_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *rois = op_in(c, 1);
  int64_t count;
  const int64_t *shape = op_ints(c, "pooled_shape", &count);
  TRY(real_check(c, 0, false));
  if (rois->dtype != x->dtype) return op_fail_dtype(c, 1);
  if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != 5)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input is not [N, C, H, W], or the regions are not [regions, 5]");
  if (!shape || count != 2 || shape[0] < 1 || shape[1] < 1)
    return op_fail(c, LEDGE_ERROR_FORMAT, "pooled_shape is not two positive numbers");
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){rois->dims[0], x->dims[1], shape[0], shape[1]});
}

static int64_t clamp(double v, int64_t most) { return v < 0 ? 0 : v > (double)most ? most : (int64_t)v; }

/* [begin, end) of bin i of n of a region from pixel `first` to `last`, both its own, within `size` pixels. */
static void roi_bin(int64_t first, int64_t last, int64_t i, int64_t n, int64_t size, int64_t *begin, int64_t *end) {
  int64_t length = last - first + 1 > 1 ? last - first + 1 : 1;
  float bin = (float)length / (float)n; /* in float as elsewhere: it decides which pixels a bin has */
  *begin = clamp((double)floorf((float)i * bin) + (double)first, size);
  *end = clamp((double)ceilf((float)(i + 1) * bin) + (double)first, size);
}

/* A region: batch index, x1, y1, x2, y2, in units of 1 / spatial_scale pixels. */
static ledge_status roi_read(op_ctx *c, int64_t r, int64_t *batch, int64_t edge[4]) {
  const tensor *x = op_in(c, 0), *rois = op_in(c, 1);
  double scale = op_float(c, "spatial_scale", 1), index = tensor_f64(rois, r * 5);
  if (!(index >= 0) || index >= (double)x->dims[0])
    return op_fail(c, LEDGE_ERROR_DATA, "region %lld is of image %g; there are %lld", (long long)r, index,
                   (long long)x->dims[0]);
  *batch = (int64_t)index;
  for (int i = 0; i < 4; i++) {
    double at = round(tensor_f64(rois, r * 5 + 1 + i) * scale);
    if (!(fabs(at) < 1e9)) return op_fail(c, LEDGE_ERROR_DATA, "region %lld is out of range", (long long)r);
    edge[i] = (int64_t)at;
  }
  return LEDGE_OK;
}

static ledge_status roi_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t channels = x->dims[1], h = x->dims[2], w = x->dims[3], rows = y->dims[2], columns = y->dims[3], at = 0;
  for (int64_t r = 0; r < y->dims[0]; r++) {
    int64_t batch = 0, edge[4], top, bottom, left, right;
    TRY(roi_read(c, r, &batch, edge));
    for (int64_t o = 0; o < channels * rows * columns; o++, at++) {
      int64_t plane = (batch * channels + o / (rows * columns)) * h * w;
      roi_bin(edge[1], edge[3], o / columns % rows, rows, h, &top, &bottom);
      roi_bin(edge[0], edge[2], o % columns, columns, w, &left, &right);
      double best = bottom <= top || right <= left ? 0 : -INFINITY; /* an empty bin is 0 */
      for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++) best = fmax(best, tensor_f64(x, plane + i * w + j));
      dtype_store_f64(y->dtype, y->data, at, best);
    }
  }
  return LEDGE_OK;
}

const op_def ops_roi[] = {{"", "MaxRoiPool", 1, 0, 2, 2, 1, 1, 0, roi_infer, roi_run}, {0}};
