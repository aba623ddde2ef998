/* ops/col2im: Col2Im: blocks of an image, one a column, are added up where they overlap (the inverse walk of im2col).
 *
 *   input  [N, C * product(block), L]    L = product(places): where the block stands along each axis
 *   output [N, C, image...]              pixel = place * stride + offset in the block * dilation - pad
 *
 * float16 and bfloat16 are summed in float and rounded once. */
#include "ops/combine_util.h"
#include "ops/move_util.h"

typedef struct col2im_axis {
  int64_t image, block, stride, dilation, pad, places;
} col2im_axis;

typedef struct col2im_plan {
  col2im_axis axes[LEDGE_MAX_RANK];
  int n;
  int64_t channels, offsets, places; /* offsets: product of block; places: product of places */
} col2im_plan;

/* Entry i of a list attribute of `want` entries, or `otherwise` where it is left out. */
static ledge_status col2im_attr(op_ctx *c, const char *name, int want, int64_t least, int64_t otherwise, int64_t *dst) {
  int64_t n;
  const int64_t *list = op_ints(c, name, &n);
  if (list && n != want)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%s has %lld entries instead of %d", name, (long long)n, want);
  for (int i = 0; i < want; i++) {
    dst[i] = list ? list[i] : otherwise;
    if (dst[i] < least || dst[i] > INT32_MAX)
      return op_fail(c, LEDGE_ERROR_FORMAT, "%s[%d] is %lld", name, i, (long long)dst[i]);
  }
  return LEDGE_OK;
}

static ledge_status col2im_axes(op_ctx *c, col2im_plan *p) {
  int64_t image[LEDGE_MAX_RANK], block[LEDGE_MAX_RANK], strides[LEDGE_MAX_RANK], dilations[LEDGE_MAX_RANK];
  int64_t pads[2 * LEDGE_MAX_RANK];
  int n_block;
  TRY(op_read_ints(c, op_in(c, 1), image, LEDGE_MAX_RANK - 2, &p->n));
  TRY(op_read_ints(c, op_in(c, 2), block, LEDGE_MAX_RANK - 2, &n_block));
  if (p->n < 1 || p->n != n_block)
    return op_fail(c, LEDGE_ERROR_SHAPE, "image_shape has %d entries, and block_shape %d", p->n, n_block);
  TRY(col2im_attr(c, "strides", p->n, 1, 1, strides));
  TRY(col2im_attr(c, "dilations", p->n, 1, 1, dilations));
  TRY(col2im_attr(c, "pads", 2 * p->n, 0, 0, pads));
  for (int i = 0; i < p->n; i++) {
    if (image[i] < 0 || image[i] > INT32_MAX || block[i] < 1 || block[i] > INT32_MAX)
      return op_fail(c, LEDGE_ERROR_DATA, "axis %d has an image of %lld and a block of %lld", i, (long long)image[i],
                     (long long)block[i]);
    int64_t room = image[i] + pads[i] + pads[p->n + i] - (dilations[i] * (block[i] - 1) + 1);
    if (room < 0) return op_fail(c, LEDGE_ERROR_DATA, "along axis %d the block is larger than the padded image", i);
    p->axes[i] = (col2im_axis){image[i], block[i], strides[i], dilations[i], pads[i], room / strides[i] + 1};
  }
  return LEDGE_OK;
}

static ledge_status col2im_plan_make(op_ctx *c, col2im_plan *p) {
  const tensor *x = op_in(c, 0);
  if (!combine_of(x->dtype, COMBINE_ADD)) return op_fail_dtype(c, 0);
  if (x->rank != 3) return op_fail(c, LEDGE_ERROR_SHAPE, "the input has rank %d instead of 3", x->rank);
  TRY(col2im_axes(c, p));
  p->offsets = p->places = 1;
  for (int i = 0; i < p->n; i++)
    if (__builtin_mul_overflow(p->offsets, p->axes[i].block, &p->offsets) ||
        __builtin_mul_overflow(p->places, p->axes[i].places, &p->places))
      return op_fail(c, LEDGE_ERROR_SHAPE, "the number of blocks overflows");
  if (x->dims[1] % p->offsets || x->dims[2] != p->places)
    return op_fail(c, LEDGE_ERROR_SHAPE,
                   "%lld x %lld numbers a sample are given; blocks of %lld at %lld places are needed",
                   (long long)x->dims[1], (long long)x->dims[2], (long long)p->offsets, (long long)p->places);
  p->channels = x->dims[1] / p->offsets;
  return LEDGE_OK;
}

static ledge_status col2im_infer(op_ctx *c) {
  col2im_plan p;
  OP_NEED(c, 1);
  OP_NEED(c, 2);
  TRY(col2im_plan_make(c, &p));
  int64_t dims[LEDGE_MAX_RANK] = {op_in(c, 0)->dims[0], p.channels};
  for (int i = 0; i < p.n; i++) dims[2 + i] = p.axes[i].image;
  return op_shape(c, 0, op_in(c, 0)->dtype, p.n + 2, dims);
}

/* The places along an axis at which offset k of the block falls on the image: [*first, *end). */
static void col2im_range(const col2im_axis *a, int64_t k, int64_t *first, int64_t *end) {
  int64_t shift = a->pad - k * a->dilation; /* place * stride is in [shift, shift + image) */
  *first = shift <= 0 ? 0 : (shift + a->stride - 1) / a->stride;
  *end = shift + a->image <= 0 ? 0 : (shift + a->image - 1) / a->stride + 1;
  if (*end > a->places) *end = a->places;
}

/* Adds one offset's row of places, src[si ...], to the plane dst[di ...]. */
static void col2im_add(const col2im_plan *p, const int64_t *k, combine_fn add, void *dst, int64_t di, const void *src,
                       int64_t si) {
  int64_t first[LEDGE_MAX_RANK], end[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK];
  for (int i = 0; i < p->n; i++) {
    col2im_range(&p->axes[i], k[i], &first[i], &end[i]);
    if (first[i] >= end[i]) return;
    at[i] = first[i];
  }
  int last = p->n - 1;
  const col2im_axis *row = &p->axes[last];
  for (;;) {
    int64_t to = 0, from = 0;
    for (int i = 0; i < p->n; i++) {
      const col2im_axis *a = &p->axes[i];
      to = to * a->image + at[i] * a->stride + k[i] * a->dilation - a->pad;
      from = from * a->places + at[i];
    }
    int64_t n = end[last] - first[last];
    if (row->stride == 1)
      add(dst, di + to, src, si + from, n);
    else
      for (int64_t j = 0; j < n; j++) add(dst, di + to + j * row->stride, src, si + from + j, 1);
    int i = last - 1;
    while (i >= 0 && ++at[i] == end[i]) at[i] = first[i], i--;
    if (i < 0) return;
  }
}

static ledge_status col2im_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  col2im_plan p;
  TRY(col2im_plan_make(c, &p));
  int64_t dims[LEDGE_MAX_RANK] = {x->dims[0], p.channels}, plane = 1;
  for (int i = 0; i < p.n; i++) plane *= dims[2 + i] = p.axes[i].image;
  TRY(move_expect(c, 0, p.n + 2, dims));
  if (!tensor_elements(y)) return LEDGE_OK;
  TRY(move_zero(c, y, 0, tensor_elements(y)));
  bool half = x->dtype == LEDGE_F16 || x->dtype == LEDGE_BF16;
  combine_fn add = combine_of(half ? LEDGE_F32 : x->dtype, COMBINE_ADD);
  float *sum = half ? op_scratch(c, (size_t)(plane + p.places), sizeof *sum) : NULL, *row = half ? sum + plane : NULL;
  if (half && !sum) return LEDGE_ERROR_MEMORY;
  for (int64_t o = 0; o < x->dims[0] * p.channels; o++) {
    int64_t k[LEDGE_MAX_RANK] = {0};
    if (half) memset(sum, 0, (size_t)plane * sizeof *sum);
    for (int64_t offset = 0; offset < p.offsets; offset++) {
      int64_t si = (o * p.offsets + offset) * p.places;
      if (half) dtype_to_f32(x->dtype, (const uint16_t *)x->data + si, row, p.places);
      col2im_add(&p, k, add, half ? (void *)sum : y->data, half ? 0 : o * plane, half ? row : x->data, half ? 0 : si);
      for (int i = p.n - 1; i >= 0 && ++k[i] == p.axes[i].block; i--) k[i] = 0;
    }
    if (half) dtype_from_f32(y->dtype, sum, (uint16_t *)y->data + o * plane, plane);
  }
  op_scratch_free(sum);
  return LEDGE_OK;
}

const op_def ops_col2im[] = {{"", "Col2Im", 18, 0, 3, 3, 1, 1, 0, col2im_infer, col2im_run}, {0}};
