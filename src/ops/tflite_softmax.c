/* ops/tflite_softmax: softmax of integers along the last dim. Of 8 bits to the same 8 bits by a table of exponentials
 * in float32; of 8 bits to 16 in fixed point (gemmlowp's exp and reciprocal); of 16 bits by tables of 513 points.
 */
#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/tflite.h"
#include "ops/tflite_fixed.h"

#include <math.h>

static ledge_status softmax_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t to = op_int(c, "to", x->dtype);
  bool bytes = x->dtype == LEDGE_I8 || x->dtype == LEDGE_U8;
  TRY(elem_check(c, 0, DTYPE_BIT(LEDGE_I8) | DTYPE_BIT(LEDGE_U8) | DTYPE_BIT(LEDGE_I16)));
  if (to != x->dtype && !(bytes && to == LEDGE_I16))
    return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "%s to %s", ledge_dtype_name(x->dtype),
                   ledge_dtype_name((ledge_dtype)to));
  if (!(op_float(c, "x_scale", 0) > 0) || !(op_float(c, "y_scale", 0) > 0))
    return op_fail(c, LEDGE_ERROR_FORMAT, "a scale that is none");
  if (x->rank < 1) return op_fail(c, LEDGE_ERROR_SHAPE, "a scalar");
  return op_shape(c, 0, (ledge_dtype)to, x->rank, x->dims);
}

static void row_by_table(const op_ctx *c, const tensor *x, tensor *y, int64_t at, int64_t n, const float *table) {
  float scale = op_float(c, "y_scale", 1), sum = 0;
  int64_t zero = op_int(c, "y_zero", 0), top = INT64_MIN, least = y->dtype == LEDGE_U8 ? 0 : -128, most = least + 255;
  for (int64_t j = 0; j < n; j++) {
    int64_t v = tensor_i64(x, at + j);
    top = v > top ? v : top;
  }
  for (int64_t j = 0; j < n; j++) sum += table[255 - top + tensor_i64(x, at + j)];
  float inverse = 1.0f / (sum * scale);
  for (int64_t j = 0; j < n; j++) {
    float p = table[255 - top + tensor_i64(x, at + j)] * inverse;
    int64_t q = y->dtype == LEDGE_U8 ? (int64_t)(p + 0.5f) : (int64_t)roundf(p) + zero;
    dtype_store_i64(y->dtype, y->data, at + j, q < least ? least : q > most ? most : q);
  }
}

typedef struct fixed_softmax {
  int32_t m;
  int shift, least; /* differences below are 0 */
} fixed_softmax;

static int32_t rescaled(const fixed_softmax *f, int64_t difference) {
  return fixed_high_mul((int32_t)(uint32_t)((uint64_t)difference << f->shift), f->m);
}

static int32_t sum_up(int32_t a, int32_t b) {
  int64_t v = (int64_t)a + b;
  return v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

static void row_fixed(const fixed_softmax *f, const tensor *x, tensor *y, int64_t at, int64_t n) {
  int64_t top = INT64_MIN;
  int32_t sum = 0; /* Q12.19 */
  for (int64_t j = 0; j < n; j++) {
    int64_t v = tensor_i64(x, at + j);
    top = v > top ? v : top;
  }
  for (int64_t j = 0; j < n; j++) {
    int64_t d = tensor_i64(x, at + j) - top;
    if (d >= f->least) sum = sum_up(sum, fixed_shift_right(tflite_exp(32, 5, rescaled(f, d)), 12));
  }
  int room = sum ? __builtin_clz((unsigned)sum) : 31, over = 12 - room;
  int32_t scale = tflite_reciprocal(32, (int32_t)(((uint32_t)sum << room) - (1u << 31)));
  int by = over + 31 - 16;
  for (int64_t j = 0; j < n; j++) {
    int64_t d = tensor_i64(x, at + j) - top, q = -32768;
    if (d >= f->least)
      q += fixed_shift_right(fixed_high_mul(scale, tflite_exp(32, 5, rescaled(f, d))), by > 31 ? 31 : by);
    dtype_store_i64(y->dtype, y->data, at + j, q > 32767 ? 32767 : q);
  }
}

/* ---- 16 bits ---- */

enum { POINTS = 513 };

/* f over [low, high] at 512 steps in Q0.15, each with half of its error at the middle of the step that follows. */
static void make_table(double (*f)(double), double low, double high, int16_t *table) {
  double step = (high - low) / (POINTS - 1), half = step / 2;
  for (int i = 0; i < POINTS - 1; i++) {
    double at = low + i * step, here = round(f(at) * 32768), middle = round(f(at + half) * 32768);
    double bias = round((floor((f(at + step) * 32768 + here) / 2 + 0.5) - middle) / 2);
    double v = here - bias;
    table[i] = (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
  }
  double last = round(f(high) * 32768);
  table[POINTS - 1] = (int16_t)(last > 32767 ? 32767 : last < -32768 ? -32768 : last);
}

static int32_t look_up(int16_t v, const int16_t *table) {
  int index = 256 + (v >> 7), part = v & 127, base = table[index], slope = table[index + 1] - base;
  return base + ((slope * part + 64) >> 7);
}

static double one_over_one_plus(double v) { return 1 / (1 + v); }

typedef struct tables_16 {
  int32_t m, shift;
  int16_t exp[POINTS], inverse[POINTS];
} tables_16;

static int32_t exp_16(const tables_16 *t, int64_t difference) {
  int64_t v = (int64_t)fixed_apply((int32_t)difference, t->m, t->shift) + 32767;
  return look_up((int16_t)(v < -32768 ? -32768 : v > 32767 ? 32767 : v), t->exp);
}

static void row_16(const tables_16 *t, const tensor *x, tensor *y, int64_t at, int64_t n) {
  const int16_t *from = (const int16_t *)x->data + at;
  int16_t *to = (int16_t *)y->data + at;
  int32_t top = INT16_MIN;
  int64_t sum = 0; /* Q16.15 */
  for (int64_t j = 0; j < n; j++) top = from[j] > top ? from[j] : top;
  for (int64_t j = 0; j < n; j++) sum += exp_16(t, from[j] - top);
  uint32_t held = sum > INT32_MAX ? INT32_MAX : sum < 1 ? 1 : (uint32_t)sum;
  int room = __builtin_clz(held);
  int32_t shifted = (int32_t)((((int64_t)held << (room - 1)) + (1 << 13)) >> 14), sym = shifted - (1 << 15) - 32768;
  int32_t inverse = look_up((int16_t)(sym < -32768 ? -32768 : sym > 32767 ? 32767 : sym), t->inverse);
  int by = 31 - room;
  for (int64_t j = 0; j < n; j++) {
    int64_t v = ((int64_t)exp_16(t, from[j] - top) * inverse + ((int64_t)1 << by >> 1)) >> by;
    to[j] = (int16_t)(v > 32767 ? 32767 : v < 0 ? 0 : v);
  }
}

static ledge_status softmax_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  float x_scale = op_float(c, "x_scale", 1), beta = op_float(c, "beta", 1);
  int64_t n = x->dims[x->rank - 1], rows = n ? tensor_elements(x) / n : 0;
  if (x->dtype == LEDGE_I16) {
    tables_16 *t = op_scratch(c, 1, sizeof *t);
    if (!t) return LEDGE_ERROR_MEMORY;
    make_table(exp, -10, 0, t->exp);
    make_table(one_over_one_plus, 0, 1, t->inverse);
    fixed_multiplier((double)x_scale * (double)beta / (10.0 / 65535.0), &t->m, &t->shift);
    for (int64_t i = 0; i < rows; i++) row_16(t, x, y, i * n, n);
    op_scratch_free(t);
  } else if (y->dtype == x->dtype) {
    float table[256], step = -x_scale * beta;
    for (int v = 0; v < 256; v++) table[255 - v] = expf(step * (float)v);
    for (int64_t i = 0; i < rows; i++) row_by_table(c, x, y, i * n, n, table);
  } else {
    fixed_softmax f;
    double factor = (double)(beta * x_scale) * (1 << 26);
    int32_t shift;
    fixed_multiplier(factor < 2147483647.0 ? factor : 2147483647.0, &f.m, &shift);
    f.shift = shift < 0 ? 0 : shift;
    f.least = -(int)floor(31.0 * (double)(1ll << 26) / (double)(1ll << f.shift));
    for (int64_t i = 0; i < rows; i++) row_fixed(&f, x, y, i * n, n);
  }
  return LEDGE_OK;
}

const op_def ops_tflite_softmax[] = {
    {"tflite", "Softmax", 1, 0, 1, 1, 1, 1, 0, softmax_infer, softmax_run},
    {0},
};
