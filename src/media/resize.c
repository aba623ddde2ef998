/* media/resize: scaling u8 pictures.
 *
 * The antialiased filters follow Pillow to the bit: each output sample is a weighted sum of the inputs under a kernel
 * that is as wide as the scale (at least its own width); weights are integers of RESIZE_BITS fraction bits; first along
 * the rows, rounded to 8 bits, then along the columns. `linear` takes the two nearest samples a side and so aliases
 * when shrinking, as OpenCV's and TensorFlow's default do. */
#include "base/error.h"
#include "media/preprocess.h"

#include <inttypes.h>
#include <math.h>

#define RESIZE_BITS 22 /* 8 bits of sample, 22 of weight and 2 for overshoot fill an int32 */

/* Output i takes the inputs [first[i], first[i] + count[i]) with weights[i * width ...]. */
typedef struct resize_axis {
  int64_t n, width;
  int32_t *first, *count, *weights;
} resize_axis;

static double kernel_bilinear(double x) { return fabs(x) < 1 ? 1 - fabs(x) : 0; }
static double kernel_box(double x) { return x > -0.5 && x <= 0.5 ? 1 : 0; }
static double kernel_bicubic(double x) { /* Keys, a = -1/2 */
  x = fabs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}
static double sinc(double x) { return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x); }
static double kernel_lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

typedef struct resize_kernel {
  double (*weight)(double x);
  double support;
} resize_kernel;
static const resize_kernel resize_kernels[] = {[PREPROCESS_FILTER_BILINEAR] = {kernel_bilinear, 1},
                                               [PREPROCESS_FILTER_BICUBIC] = {kernel_bicubic, 2},
                                               [PREPROCESS_FILTER_LANCZOS] = {kernel_lanczos, 3},
                                               [PREPROCESS_FILTER_BOX] = {kernel_box, 0.5}};

static void axis_deinit(resize_axis *a) {
  mem_free(a->first);
  mem_free(a->count);
  mem_free(a->weights);
}

/* Nearest and linear: one and two samples, the second one's weight in weights[2 i + 1]. */
static void axis_fill_point(resize_axis *a, int64_t in, preprocess_filter filter) {
  bool nearest = filter == PREPROCESS_FILTER_NEAREST;
  double scale = (double)in / (double)a->n, next = 0.5 * scale;
  for (int64_t i = 0; i < a->n; i++) {
    double center = nearest ? next : ((double)i + 0.5) * scale - 0.5;
    next += scale; /* Pillow adds up, and so must we to fall on its side where a centre lies between two samples */
    if (center < 0) center = 0;
    if (center > (double)(in - 1)) center = (double)(in - 1);
    int64_t at = (int64_t)center;
    double part = nearest ? 0 : center - (double)at;
    int32_t *w = a->weights + i * a->width;
    w[1] = (int32_t)(part * (1 << RESIZE_BITS) + 0.5);
    w[0] = (1 << RESIZE_BITS) - w[1];
    a->first[i] = (int32_t)at;
    a->count[i] = w[1] && at + 1 < in ? 2 : 1;
  }
}

static void axis_fill_kernel(resize_axis *a, int64_t in, const resize_kernel *kernel, double *row) {
  double scale = (double)in / (double)a->n, stretch = scale < 1 ? 1 : scale, support = kernel->support * stretch;
  for (int64_t i = 0; i < a->n; i++) {
    double center = ((double)i + 0.5) * scale, sum = 0;
    int64_t from = (int64_t)(center - support + 0.5), to = (int64_t)(center + support + 0.5);
    if (from < 0) from = 0;
    if (to > in) to = in;
    for (int64_t k = 0; k < to - from; k++) {
      row[k] = kernel->weight(((double)(k + from) - center + 0.5) / stretch);
      sum += row[k];
    }
    for (int64_t k = 0; k < to - from; k++) {
      double w = (sum != 0 ? row[k] / sum : row[k]) * (1 << RESIZE_BITS);
      a->weights[i * a->width + k] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
    a->first[i] = (int32_t)from;
    a->count[i] = (int32_t)(to - from);
  }
}

static ledge_status axis_init(resize_axis *a, int64_t in, int64_t out, preprocess_filter filter, ledge_error *error) {
  bool point = filter == PREPROCESS_FILTER_NEAREST || filter == PREPROCESS_FILTER_LINEAR;
  const resize_kernel *kernel = point ? NULL : &resize_kernels[filter];
  double stretch = in > out ? (double)in / (double)out : 1;
  *a = (resize_axis){.n = out, .width = point ? 2 : (int64_t)ceil(kernel->support * stretch) * 2 + 1};
  a->first = mem_alloc_array((size_t)out, sizeof *a->first);
  a->count = mem_alloc_array((size_t)out, sizeof *a->count);
  size_t weights = (size_t)out * (size_t)a->width; /* sides are at most 65,535 */
  a->weights = mem_alloc_array(weights, sizeof *a->weights);
  double *row = mem_alloc_array((size_t)a->width, sizeof *row);
  bool ok = a->first && a->count && a->weights && row;
  if (ok && point) axis_fill_point(a, in, filter);
  if (ok && !point) axis_fill_kernel(a, in, kernel, row);
  mem_free(row);
  return ok ? LEDGE_OK : error_memory(error, weights * sizeof *a->weights, "the weights of a resize");
}

static inline uint8_t clip8(int32_t sum) {
  int32_t v = sum >> RESIZE_BITS;
  return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Rows: in [h, in_w, c] -> out [h, a->n, c]; C is a constant at each call, so that the loops unroll. */
static inline __attribute__((always_inline)) void rows_body(const resize_axis *a, const uint8_t *in, int64_t h,
                                                            int64_t in_w, uint8_t *out, int C) {
  for (int64_t y = 0; y < h; y++, in += in_w * C) {
    for (int64_t x = 0; x < a->n; x++, out += C) {
      const int32_t *w = a->weights + x * a->width;
      const uint8_t *p = in + (int64_t)a->first[x] * C;
      int32_t sums[4] = {1 << (RESIZE_BITS - 1), 1 << (RESIZE_BITS - 1), 1 << (RESIZE_BITS - 1),
                         1 << (RESIZE_BITS - 1)};
      for (int32_t k = 0; k < a->count[x]; k++, p += C)
        for (int c = 0; c < C; c++) sums[c] += p[c] * w[k];
      for (int c = 0; c < C; c++) out[c] = clip8(sums[c]);
    }
  }
}

static void resize_rows(const resize_axis *a, const uint8_t *in, int64_t h, int64_t in_w, uint8_t *out, int c) {
  switch (c) {
    case 1: rows_body(a, in, h, in_w, out, 1); break;
    case 2: rows_body(a, in, h, in_w, out, 2); break;
    case 3: rows_body(a, in, h, in_w, out, 3); break;
    default: rows_body(a, in, h, in_w, out, 4); break;
  }
}

/* Columns: in [in_h, row] -> out [a->n, row], row bytes at a time. */
static void resize_columns(const resize_axis *a, const uint8_t *in, int64_t row, uint8_t *out, int32_t *sums) {
  for (int64_t y = 0; y < a->n; y++, out += row) {
    for (int64_t x = 0; x < row; x++) sums[x] = 1 << (RESIZE_BITS - 1);
    for (int32_t k = 0; k < a->count[y]; k++) {
      int32_t w = a->weights[y * a->width + k];
      const uint8_t *p = in + ((int64_t)a->first[y] + k) * row;
      for (int64_t x = 0; x < row; x++) sums[x] += p[x] * w;
    }
    for (int64_t x = 0; x < row; x++) out[x] = clip8(sums[x]);
  }
}

/* The two nearest samples a side, rounded once: weights of LINEAR_BITS. */
#define LINEAR_BITS 16

static void resize_linear(const tensor *image, const resize_axis *across, const resize_axis *down, uint8_t *out) {
  int64_t c = image->dims[2], row = image->dims[1] * c, one = 1 << LINEAR_BITS;
  const uint8_t *in = image->data;
  for (int64_t y = 0; y < down->n; y++) {
    const uint8_t *top = in + down->first[y] * row, *bottom = top + (down->count[y] - 1) * row;
    int64_t wy = down->weights[2 * y + 1] >> (RESIZE_BITS - LINEAR_BITS);
    for (int64_t x = 0; x < across->n; x++) {
      int64_t left = across->first[x] * c, right = left + (across->count[x] - 1) * c;
      int64_t wx = across->weights[2 * x + 1] >> (RESIZE_BITS - LINEAR_BITS);
      for (int64_t k = 0; k < c; k++) {
        int64_t upper = top[left + k] * (one - wx) + top[right + k] * wx;
        int64_t lower = bottom[left + k] * (one - wx) + bottom[right + k] * wx;
        *out++ = (uint8_t)((upper * (one - wy) + lower * wy + one * one / 2) >> (2 * LINEAR_BITS));
      }
    }
  }
}

static ledge_status resize_both(const tensor *image, const resize_axis *across, const resize_axis *down, tensor *out,
                                ledge_error *error) {
  int64_t h = image->dims[0], w = image->dims[1], c = image->dims[2], row = across->n * c;
  uint8_t *middle = NULL;
  int32_t *sums = mem_alloc_array((size_t)row, sizeof *sums);
  ledge_status status = LEDGE_OK;
  const uint8_t *from = image->data;
  if (!sums) return error_memory(error, (size_t)row * sizeof *sums, "a resize");
  if (across->n != w) {
    bool last = down->n == h;
    middle = last ? out->data : mem_alloc((size_t)(h * row));
    if (!middle)
      status = error_memory(error, (size_t)(h * row), "a resize");
    else
      resize_rows(across, from, h, w, middle, (int)c);
    from = middle;
  }
  if (status == LEDGE_OK && down->n != h) resize_columns(down, from, row, out->data, sums);
  if (status == LEDGE_OK && across->n == w && down->n == h) memcpy(out->data, image->data, (size_t)(h * row));
  if (middle != out->data) mem_free(middle);
  mem_free(sums);
  return status;
}

ledge_status preprocess_resize(const tensor *image, int64_t height, int64_t width, preprocess_filter filter,
                               tensor *ret_out, ledge_error *error) {
  if (image->dtype != LEDGE_U8 || image->rank != 3 || image->dims[2] < 1 || image->dims[2] > 4)
    return error_set(error, LEDGE_ERROR_SHAPE, "a picture to resize must be u8 [height, width, 1 to 4]");
  int64_t h = image->dims[0], w = image->dims[1];
  if (h < 1 || w < 1 || height < 1 || width < 1 || h > IMAGE_SIDE_MAX || w > IMAGE_SIDE_MAX ||
      height > IMAGE_SIDE_MAX || width > IMAGE_SIDE_MAX || height * width > IMAGE_PIXELS_MAX ||
      h * width > IMAGE_PIXELS_MAX)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "resizing %" PRId64 "x%" PRId64 " to %" PRId64 "x%" PRId64
                     " (height x width): sides go from 1 to %d, "
                     "pixels to %" PRId64,
                     h, w, height, width, IMAGE_SIDE_MAX, IMAGE_PIXELS_MAX);
  tensor out = {.dtype = LEDGE_U8, .rank = 3, .dims = {height, width, image->dims[2]}};
  resize_axis across = {0}, down = {0};
  ledge_status status = axis_init(&across, w, width, filter, error);
  if (status == LEDGE_OK) status = axis_init(&down, h, height, filter, error);
  if (status == LEDGE_OK) status = tensor_alloc(&out, error);
  if (status == LEDGE_OK && filter == PREPROCESS_FILTER_LINEAR)
    resize_linear(image, &across, &down, out.data);
  else if (status == LEDGE_OK)
    status = resize_both(image, &across, &down, &out, error);
  axis_deinit(&across);
  axis_deinit(&down);
  if (status) {
    tensor_deinit(&out);
    return status;
  }
  tensor_deinit(ret_out);
  *ret_out = out;
  return LEDGE_OK;
}
