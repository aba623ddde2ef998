/* softmax's oracle: three passes in double. */
#include "kernels/softmax/softmax.h"

#include <math.h>

static void ref_row(const softmax_options *o, const float *mask, const float *x, float *y, int64_t n) {
  double scale = o->scale == 0 ? 1 : o->scale, max = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = x[i] * scale + (mask ? mask[i] : 0);
    max = v > max || isnan(v) ? v : max;
    if (isnan(max)) break;
  }
  bool empty = o->empty_is_zero && max == -INFINITY;
  for (int64_t i = 0; i < n; i++) sum += exp(x[i] * scale + (mask ? mask[i] : 0) - max);
  for (int64_t i = 0; i < n; i++) {
    double d = x[i] * scale + (mask ? mask[i] : 0) - max;
    y[i] = empty ? (o->log ? -INFINITY : 0) : (float)(o->log ? d - log(sum) : exp(d) / sum);
  }
}

static void ref_columns(bool log_, const float *x, float *y, int64_t n, int64_t inner, int64_t count) {
  for (int64_t j = 0; j < count; j++) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n && !isnan(max); i++)
      if (x[i * inner + j] > max || isnan(x[i * inner + j])) max = x[i * inner + j];
    for (int64_t i = 0; i < n; i++) sum += exp(x[i * inner + j] - max);
    for (int64_t i = 0; i < n; i++) {
      double d = x[i * inner + j] - max;
      y[i * inner + j] = (float)(log_ ? d - log(sum) : exp(d) / sum);
    }
  }
}

const softmax_kernels softmax__ref = {ref_row, ref_columns};
