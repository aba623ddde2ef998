/* ops/contrib_math: operators of domain com.microsoft that no short row of standard ones gives: normalisation after a
 * sum (SkipLayerNormalization and its kin, EmbedLayerNormalization, and SimplifiedLayerNormalization, which ONNX
 * Runtime puts into ai.onnx), Inverse, CDist, ComplexMul, CropAndResize; in double. Source: docs/ContribOperators.md of
 * ONNX Runtime. */
#include "ops/move_util.h"
#include "ops/real.h"

#include <math.h>

#define MS "com.microsoft"

static ledge_status expect_elements(op_ctx *c, int input, int64_t n) {
  const tensor *t = op_in(c, input);
  if (!t) return LEDGE_OK;
  TRY(real_check(c, input, false));
  if (tensor_elements(t) == n) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has %lld elements instead of %lld", input,
                 (long long)tensor_elements(t), (long long)n);
}

static void store(tensor *t, int64_t i, double v) {
  if (t) dtype_store_f64(t->dtype, t->data, i, v);
}

/* ---- normalisation of rows ---- */

typedef struct row_norm {
  const tensor *gamma, *beta; /* of the row's length; beta may be NULL */
  bool rms;                   /* no mean */
  double epsilon;
  tensor *y, *mean, *inverse; /* any may be NULL */
} row_norm;

/* x[n] is row `row`; it changes. */
static void row_norm_run(const row_norm *p, double *x, int64_t row, int64_t n) {
  double mean = 0, square = 0;
  for (int64_t i = 0; i < n && !p->rms; i++) mean += x[i];
  if (!p->rms) mean /= (double)n;
  for (int64_t i = 0; i < n; i++) {
    x[i] -= mean;
    square += x[i] * x[i];
  }
  double inverse = 1 / sqrt(square / (double)n + p->epsilon);
  store(p->mean, row, mean);
  store(p->inverse, row, inverse);
  for (int64_t i = 0; p->y && i < n; i++)
    store(p->y, row * n + i, x[i] * inverse * tensor_f64(p->gamma, i) + (p->beta ? tensor_f64(p->beta, i) : 0));
}

/* ---- SkipLayerNormalization (gamma, beta, bias), SkipSimplifiedLayerNormalization (gamma, bias) ---- */

static bool is_simplified(const op_ctx *c) { return !strcmp(c->def->name, "SkipSimplifiedLayerNormalization"); }

static ledge_status skip_norm_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *skip = op_in(c, 1);
  int64_t dims[LEDGE_MAX_RANK];
  TRY(real_check(c, 0, false));
  TRY(real_check(c, 1, false));
  if (x->rank < 2) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no rows", x->rank);
  /* skip: the input's shape, or without its first dim, or that as 1 */
  bool fits = tensor_same_shape(x, skip) || shape_equal(skip->rank, skip->dims, x->rank - 1, x->dims + 1) ||
              (skip->rank == x->rank && skip->dims[0] == 1 &&
               shape_equal(skip->rank - 1, skip->dims + 1, x->rank - 1, x->dims + 1));
  if (!fits) return op_fail(c, LEDGE_ERROR_SHAPE, "the shape of skip does not fit the input's");
  int64_t n = x->dims[x->rank - 1];
  for (int i = 2; i < c->n_in; i++) TRY(expect_elements(c, i, n));
  TRY(op_same_shape(c, 0, 0));
  memcpy(dims, x->dims, sizeof dims);
  dims[x->rank - 1] = 1;
  TRY(op_shape(c, 1, LEDGE_F32, x->rank, dims));
  TRY(op_shape(c, 2, LEDGE_F32, x->rank, dims));
  return op_same_shape(c, 3, 0);
}

static ledge_status skip_norm_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *skip = op_in(c, 1), *bias = op_in(c, is_simplified(c) ? 3 : 4);
  tensor *sum = op_out(c, 3);
  int64_t n = x->dims[x->rank - 1], rows = tensor_span(x, 0, x->rank - 1), n_skip = tensor_elements(skip);
  row_norm p = {op_in(c, 2),      is_simplified(c) ? NULL : op_in(c, 3),
                is_simplified(c), (double)op_float(c, "epsilon", 1e-12f),
                op_out(c, 0),     op_out(c, 1),
                op_out(c, 2)};
  double *row = real_scratch(c, n);
  if (!row) return LEDGE_ERROR_MEMORY;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t i = 0; i < n; i++) {
      row[i] = tensor_f64(x, r * n + i) + tensor_f64(skip, (r * n + i) % n_skip) + (bias ? tensor_f64(bias, i) : 0);
      store(sum, r * n + i, row[i]);
    }
    row_norm_run(&p, row, r, n);
  }
  op_scratch_free(row);
  return LEDGE_OK;
}

/* ---- SimplifiedLayerNormalization: RMS over the axes from `axis` on ---- */

static ledge_status simplified_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *scale = op_in(c, 1);
  int axis;
  int64_t dims[LEDGE_MAX_RANK];
  TRY(real_check(c, 0, false));
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  TRY(expect_elements(c, 1, tensor_span(x, axis, x->rank)));
  TRY(op_shape(c, 0, scale->dtype, x->rank, x->dims));
  for (int i = 0; i < x->rank; i++) dims[i] = i < axis ? x->dims[i] : 1;
  return op_shape(c, 1, op_int(c, "stash_type", LEDGE_F32) == LEDGE_F64 ? LEDGE_F64 : LEDGE_F32, x->rank, dims);
}

static ledge_status simplified_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  int64_t rows = tensor_span(x, 0, axis), n = tensor_span(x, axis, x->rank);
  row_norm p = {op_in(c, 1), NULL, true, (double)op_float(c, "epsilon", 1e-5f), op_out(c, 0), NULL, op_out(c, 1)};
  double *row = real_scratch(c, n);
  if (!row) return LEDGE_ERROR_MEMORY;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t i = 0; i < n; i++) row[i] = tensor_f64(x, r * n + i);
    row_norm_run(&p, row, r, n);
  }
  op_scratch_free(row);
  return LEDGE_OK;
}

/* ---- EmbedLayerNormalization ---- */

enum {
  EMBED_IDS,
  EMBED_SEGMENTS,
  EMBED_WORD_TABLE,
  EMBED_POSITION_TABLE,
  EMBED_SEGMENT_TABLE,
  EMBED_GAMMA,
  EMBED_BETA,
  EMBED_MASK,
  EMBED_POSITIONS
};

static ledge_status embed_ids(op_ctx *c, int input, bool may_share) {
  const tensor *t = op_in(c, input), *ids = op_in(c, EMBED_IDS);
  if (!t) return LEDGE_OK;
  TRY(move_index_dtype(c, input));
  if (tensor_same_shape(t, ids) || (may_share && t->rank == 2 && t->dims[0] == 1 && t->dims[1] == ids->dims[1]))
    return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "the shape of input %d does not fit the ids", input);
}

static ledge_status embed_infer(op_ctx *c) {
  const tensor *ids = op_in(c, EMBED_IDS), *words = op_in(c, EMBED_WORD_TABLE);
  for (int i = EMBED_WORD_TABLE; i <= EMBED_BETA; i++)
    if (i != EMBED_SEGMENT_TABLE && !op_has(c, i)) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is missing", i);
  if (op_has(c, EMBED_SEGMENTS) != op_has(c, EMBED_SEGMENT_TABLE))
    return op_fail(c, LEDGE_ERROR_FORMAT, "segment ids and segment embeddings go together; one is missing");
  if (ids->rank != 2 || words->rank != 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the ids or the word embeddings do not have rank 2");
  for (int i = 0; i <= EMBED_POSITIONS; i++)
    if (i < EMBED_WORD_TABLE || i >= EMBED_MASK) TRY(embed_ids(c, i, i == EMBED_POSITIONS));
  int64_t n = words->dims[1];
  for (int i = EMBED_WORD_TABLE; i <= EMBED_SEGMENT_TABLE; i++) {
    const tensor *t = op_in(c, i);
    TRY(real_check(c, i, false));
    if (t && (t->rank != 2 || t->dims[1] != n))
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d does not have rows of %lld", i, (long long)n);
  }
  TRY(expect_elements(c, EMBED_GAMMA, n));
  TRY(expect_elements(c, EMBED_BETA, n));
  const int64_t dims[] = {ids->dims[0], ids->dims[1], n};
  TRY(op_shape(c, 0, words->dtype, 3, dims));
  TRY(op_shape(c, 1, LEDGE_I32, 1, dims));
  return op_shape(c, 2, words->dtype, 3, dims);
}

/* Adds row `index` of a table to row[n]. */
static ledge_status embed_add(op_ctx *c, int table, int64_t index, double *row) {
  const tensor *t = op_in(c, table);
  if (index < 0 || index >= t->dims[0])
    return op_fail(c, LEDGE_ERROR_DATA, "index %lld is outside of the %lld rows of input %d", (long long)index,
                   (long long)t->dims[0], table);
  for (int64_t i = 0; i < t->dims[1]; i++) row[i] += tensor_f64(t, index * t->dims[1] + i);
  return LEDGE_OK;
}

static ledge_status embed_rows(op_ctx *c, const row_norm *p, double *row, int64_t n) {
  const tensor *ids = op_in(c, EMBED_IDS), *segments = op_in(c, EMBED_SEGMENTS), *positions = op_in(c, EMBED_POSITIONS);
  int64_t total = tensor_elements(ids);
  for (int64_t r = 0; r < total; r++) {
    memset(row, 0, (size_t)n * sizeof *row);
    TRY(embed_add(c, EMBED_WORD_TABLE, tensor_i64(ids, r), row));
    TRY(embed_add(c, EMBED_POSITION_TABLE,
                  positions ? tensor_i64(positions, r % tensor_elements(positions)) : r % ids->dims[1], row));
    if (segments) TRY(embed_add(c, EMBED_SEGMENT_TABLE, tensor_i64(segments, r), row));
    for (int64_t i = 0; op_out(c, 2) && i < n; i++) store(op_out(c, 2), r * n + i, row[i]);
    row_norm_run(p, row, r, n);
  }
  return LEDGE_OK;
}

static ledge_status embed_run(op_ctx *c) {
  const tensor *mask = op_in(c, EMBED_MASK), *ids = op_in(c, EMBED_IDS);
  tensor *count = op_out(c, 1);
  int64_t n = op_in(c, EMBED_WORD_TABLE)->dims[1];
  row_norm p = {op_in(c, EMBED_GAMMA),
                op_in(c, EMBED_BETA),
                false,
                (double)op_float(c, "epsilon", 1e-12f),
                op_out(c, 0),
                NULL,
                NULL};
  double *row = real_scratch(c, n);
  ledge_status status = row ? embed_rows(c, &p, row, n) : LEDGE_ERROR_MEMORY;
  for (int64_t b = 0; !status && count && b < ids->dims[0]; b++) {
    int64_t ones = 0;
    for (int64_t i = 0; mask && i < ids->dims[1]; i++) ones += tensor_i64(mask, b * ids->dims[1] + i) == 1;
    dtype_store_i64(LEDGE_I32, count->data, b, ones);
  }
  op_scratch_free(row);
  return status;
}

/* ---- Inverse: Gauss and Jordan with the largest pivot of the column ---- */

static ledge_status inverse_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  TRY(real_check(c, 0, false));
  if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2])
    return op_fail(c, LEDGE_ERROR_SHAPE, "the matrices are not square");
  return op_same_shape(c, 0, 0);
}

/* a becomes nonsense, b (the identity) its inverse. */
static void invert(double *a, double *b, int64_t n) {
  for (int64_t k = 0; k < n; k++) {
    int64_t best = k;
    for (int64_t i = k + 1; i < n; i++) best = fabs(a[i * n + k]) > fabs(a[best * n + k]) ? i : best;
    for (int64_t j = 0; best != k && j < n; j++) {
      double t = a[k * n + j], u = b[k * n + j];
      a[k * n + j] = a[best * n + j], a[best * n + j] = t;
      b[k * n + j] = b[best * n + j], b[best * n + j] = u;
    }
    double pivot = a[k * n + k];
    for (int64_t j = 0; j < n; j++) a[k * n + j] /= pivot, b[k * n + j] /= pivot;
    for (int64_t i = 0; i < n; i++) {
      double f = a[i * n + k];
      for (int64_t j = 0; i != k && f != 0 && j < n; j++)
        a[i * n + j] -= f * a[k * n + j], b[i * n + j] -= f * b[k * n + j];
    }
  }
}

static ledge_status inverse_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t n = x->dims[x->rank - 1], count = tensor_span(x, 0, x->rank - 2);
  double *a = real_scratch(c, n * n), *b = real_scratch(c, n * n);
  ledge_status status = a && b ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t m = 0; !status && n && m < count; m++) {
    for (int64_t i = 0; i < n * n; i++) {
      a[i] = tensor_f64(x, m * n * n + i);
      b[i] = i / n == i % n;
    }
    invert(a, b, n);
    for (int64_t i = 0; i < n * n; i++) store(y, m * n * n + i, b[i]);
  }
  op_scratch_free(a);
  op_scratch_free(b);
  return status;
}

/* ---- CDist ---- */

static ledge_status cdist_infer(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  TRY(real_check(c, 0, false));
  TRY(move_same_dtype(c, 0, 1));
  if (a->rank != 2 || b->rank != 2 || a->dims[1] != b->dims[1])
    return op_fail(c, LEDGE_ERROR_SHAPE, "its inputs are not two matrices with rows of one length");
  if (!op_string_is(c, "metric", "sqeuclidean", "sqeuclidean") &&
      !op_string_is(c, "metric", "sqeuclidean", "euclidean"))
    return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "the metric is neither sqeuclidean nor euclidean");
  return op_shape(c, 0, a->dtype, 2, (int64_t[]){a->dims[0], b->dims[0]});
}

static ledge_status cdist_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  bool root = op_string_is(c, "metric", "sqeuclidean", "euclidean");
  int64_t n = a->dims[1];
  for (int64_t i = 0; i < a->dims[0]; i++)
    for (int64_t j = 0; j < b->dims[0]; j++) {
      double sum = 0;
      for (int64_t k = 0; k < n; k++) {
        double d = tensor_f64(a, i * n + k) - tensor_f64(b, j * n + k);
        sum += d * d;
      }
      store(op_out(c, 0), i * b->dims[0] + j, root ? sqrt(sum) : sum);
    }
  return LEDGE_OK;
}

/* ---- ComplexMul, ComplexMulConj: the last dim holds the real and the imaginary part ---- */

static ledge_status complex_infer(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  int64_t dims[LEDGE_MAX_RANK];
  TRY(real_check(c, 0, false));
  TRY(move_same_dtype(c, 0, 1));
  if (a->rank < 1 || b->rank < 1 || a->dims[a->rank - 1] != 2 || b->dims[b->rank - 1] != 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "the last dim of both inputs must be 2");
  int rank = shape_broadcast(a->rank, a->dims, b->rank, b->dims, dims);
  if (rank < 0) return op_fail(c, LEDGE_ERROR_SHAPE, "the shapes do not broadcast");
  return op_shape(c, 0, a->dtype, rank, dims);
}

/* Where pair i of y stands in t, which broadcasts to y. */
static int64_t pair_at(const tensor *y, const tensor *t, int64_t i) {
  int64_t at = 0, step = 1;
  for (int d = y->rank - 2; d >= 0; d--) {
    int k = d - (y->rank - t->rank);
    int64_t place = i % y->dims[d];
    i /= y->dims[d];
    if (k < 0) break;
    if (t->dims[k] != 1) at += place * step;
    step *= t->dims[k];
  }
  return at;
}

static ledge_status complex_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  tensor *y = op_out(c, 0);
  double sign = !strcmp(c->def->name, "ComplexMulConj") ? -1 : 1;
  int64_t n = tensor_elements(y) / 2;
  for (int64_t i = 0; i < n; i++) {
    int64_t at = 2 * pair_at(y, a, i), bt = 2 * pair_at(y, b, i);
    double ar = tensor_f64(a, at), ai = tensor_f64(a, at + 1), br = tensor_f64(b, bt),
           bi = sign * tensor_f64(b, bt + 1);
    store(y, 2 * i, ar * br - ai * bi);
    store(y, 2 * i + 1, ar * bi + ai * br);
  }
  return LEDGE_OK;
}

/* ---- CropAndResize: corners of the box on corners of the crop ---- */

static ledge_status crop_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *boxes = op_in(c, 1), *images = op_in(c, 2), *size = op_in(c, 3);
  int64_t wanted[2];
  int n;
  TRY(real_check(c, 0, false));
  TRY(move_same_dtype(c, 0, 1));
  TRY(move_index_dtype(c, 2));
  TRY(move_index_dtype(c, 3));
  if (x->rank != 4 || boxes->rank != 2 || boxes->dims[1] != 4 || images->rank != 1 || images->dims[0] != boxes->dims[0])
    return op_fail(c, LEDGE_ERROR_SHAPE, "the image has rank 4, the boxes are [n, 4] and the batch indices [n]");
  if (tensor_elements(size) != 2) return op_fail(c, LEDGE_ERROR_SHAPE, "crop_size does not have two numbers");
  if (!op_string_is(c, "mode", "bilinear", "bilinear") && !op_string_is(c, "mode", "bilinear", "nearest"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "mode is neither bilinear nor nearest");
  OP_NEED(c, 3);
  TRY(op_read_ints(c, size, wanted, 2, &n));
  if (wanted[0] < 1 || wanted[1] < 1) return op_fail(c, LEDGE_ERROR_DATA, "crop_size is not positive");
  return op_shape(c, 0, x->dtype, 4, (int64_t[]){boxes->dims[0], x->dims[1], wanted[0], wanted[1]});
}

/* Where point i of n in a box from a to b (0 to 1) lies in `size` pixels. */
static double crop_point(double a, double b, int64_t i, int64_t n, int64_t size) {
  double last = (double)(size - 1);
  return n > 1 ? a * last + (double)i * ((b - a) * last / (double)(n - 1)) : 0.5 * (a + b) * last;
}

static double crop_sample(const tensor *x, int64_t plane, double v, double u, bool nearest) {
  int64_t h = x->dims[2], w = x->dims[3], base = plane * h * w;
  if (nearest) return tensor_f64(x, base + (int64_t)round(v) * w + (int64_t)round(u));
  int64_t top = (int64_t)floor(v), left = (int64_t)floor(u), bottom = (int64_t)ceil(v), right = (int64_t)ceil(u);
  double dv = v - (double)top, du = u - (double)left;
  double above = tensor_f64(x, base + top * w + left) * (1 - du) + tensor_f64(x, base + top * w + right) * du;
  double below = tensor_f64(x, base + bottom * w + left) * (1 - du) + tensor_f64(x, base + bottom * w + right) * du;
  return above * (1 - dv) + below * dv;
}

static ledge_status crop_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *boxes = op_in(c, 1), *images = op_in(c, 2);
  tensor *y = op_out(c, 0);
  int64_t channels = x->dims[1], n_v = y->dims[2], n_u = y->dims[3];
  double outside = (double)op_float(c, "extrapolation_value", 0);
  bool nearest = op_string_is(c, "mode", "bilinear", "nearest");
  for (int64_t r = 0; r < boxes->dims[0]; r++) {
    double box[4];
    for (int i = 0; i < 4; i++) box[i] = tensor_f64(boxes, r * 4 + i);
    int64_t image = tensor_i64(images, r);
    if (image < 0 || image >= x->dims[0])
      return op_fail(c, LEDGE_ERROR_DATA, "box %lld is of image %lld; there are %lld", (long long)r, (long long)image,
                     (long long)x->dims[0]);
    for (int64_t v = 0; v < n_v; v++)
      for (int64_t u = 0; u < n_u; u++) {
        double at_v = crop_point(box[0], box[2], v, n_v, x->dims[2]),
               at_u = crop_point(box[1], box[3], u, n_u, x->dims[3]);
        bool inside = at_v >= 0 && at_v <= (double)(x->dims[2] - 1) && at_u >= 0 && at_u <= (double)(x->dims[3] - 1);
        for (int64_t k = 0; k < channels; k++)
          store(y, ((r * channels + k) * n_v + v) * n_u + u,
                inside ? crop_sample(x, image * channels + k, at_v, at_u, nearest) : outside);
      }
  }
  return LEDGE_OK;
}

const op_def ops_contrib_math[] = {
    {MS, "SkipLayerNormalization", 1, 0, 3, 5, 1, 4, 0, skip_norm_infer, skip_norm_run},
    {MS, "SkipSimplifiedLayerNormalization", 1, 0, 3, 4, 1, 4, 0, skip_norm_infer, skip_norm_run},
    {"", "SimplifiedLayerNormalization", 1, 0, 2, 2, 1, 2, 0, simplified_infer, simplified_run},
    {MS, "EmbedLayerNormalization", 1, 0, 1, 9, 1, 3, 0, embed_infer, embed_run},
    {MS, "Inverse", 1, 0, 1, 1, 1, 1, 0, inverse_infer, inverse_run},
    {MS, "CDist", 1, 0, 2, 2, 1, 1, 0, cdist_infer, cdist_run},
    {MS, "ComplexMul", 1, 0, 2, 2, 1, 1, 0, complex_infer, complex_run},
    {MS, "ComplexMulConj", 1, 0, 2, 2, 1, 1, 0, complex_infer, complex_run},
    {MS, "CropAndResize", 1, 0, 4, 4, 1, 1, 0, crop_infer, crop_run},
    {0}};
