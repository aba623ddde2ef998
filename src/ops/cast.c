/* ops/cast: Cast, CastLike, BitCast.
 *
 * Numbers go by chunks through one of three types that hold the source exactly: float (floats up to 32 bits), double,
 * or int64 (integers and bools; u64 as its bits). Each element is rounded once. What the standard leaves open is in
 * cast_store_f32's contract. Strings: numbers are printed as numpy prints them, and read in plain or scientific form.
 */
#include "ops/cast.h"

#include "base/number.h"
#include "ops/elementwise.h"
#include "ops/move_util.h"

#include <math.h>
#include <stdio.h>

/* ---- storing floats ---- */

static int64_t cut_to_i64(double v) {
  if (!(v > -0x1p63)) return v != v ? 0 : INT64_MIN;
  return v >= 0x1p63 ? INT64_MAX : (int64_t)v;
}

static uint64_t cut_to_u64(double v) {
  return v < 0x1p63 ? (uint64_t)cut_to_i64(v) : v < 0x1p64 ? (uint64_t)v : UINT64_MAX;
}

static int32_t cut_to_i32(double v) {
  if (!(v > -0x1p31)) return v != v ? 0 : INT32_MIN;
  return v >= 0x1p31 ? INT32_MAX : (int32_t)v;
}

/* The exponent alone (OCP MX 1.0): 2^(byte - 127), 255 is NaN. The sign is dropped. */
static uint8_t cast_e8m0(const cast_options *o, double v) {
  if (isnan(v)) return 255;
  if (isinf(v)) return o->wrap_specials ? 255 : 254;
  int e;
  double m = frexp(fabs(v), &e); /* |v| = m 2^e, m in [0.5, 1): a power of two is 0.5 */
  bool up = o->round == CAST_UP ? m > 0.5 : o->round == CAST_NEAREST && m >= 0.75;
  int power = e - 1 + up;
  if (m == 0 || power < -127) return o->wrap_specials ? 255 : 0;
  if (power > 127) return o->wrap_specials ? 255 : 254;
  return (uint8_t)(power + 127);
}

/* Rounds to odd: what is then rounded to fewer bits is rounded as if at once (Boldo and Melquiond, 2008). */
static float cast_odd(double v) {
  float f = (float)v;
  if (isnan(v) || isinf(f) || (double)f == v) return f;
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  if (!(u & 1)) u += fabs((double)f) < fabs(v) ? 1u : UINT32_MAX;
  memcpy(&f, &u, sizeof f);
  return f;
}

static void put_packed(ledge_dtype d, void *p, int64_t i, uint8_t v) {
  dtype_store_i64(d == LEDGE_F4E2M1 ? LEDGE_U4 : d, p, i, v);
}

static void cast_small(const cast_options *o, ledge_dtype d, void *p, int64_t i, double v) {
  if (d == LEDGE_F4E2M1)
    put_packed(d, p, i, v != v ? 8 : dtype_f32_to_small(d, cast_odd(v), true)); /* it has no NaN: -0 */
  else if (d == LEDGE_F8E8M0)
    ((uint8_t *)p)[i] = cast_e8m0(o, v);
  else
    ((uint8_t *)p)[i] = dtype_f32_to_small(d, cast_odd(v), !o->wrap_specials);
}

#define STORE_CASE(D, T, VALUE)                                    \
  case D:                                                          \
    for (int64_t i = 0; i < n; i++) ((T *)p)[at + i] = (T)(VALUE); \
    return;
#define STORE_INTEGERS                                                               \
  STORE_CASE(LEDGE_U8, uint8_t, cut_to_i64(src[i]))                                  \
  STORE_CASE(LEDGE_I8, int8_t, cut_to_i64(src[i]))                                   \
  STORE_CASE(LEDGE_U16, uint16_t, cut_to_i64(src[i]))                                \
  STORE_CASE(LEDGE_I16, int16_t, cut_to_i64(src[i]))                                 \
  STORE_CASE(LEDGE_U32, uint32_t, src[i] < 0x1p32 ? cut_to_i64(src[i]) : UINT32_MAX) \
  STORE_CASE(LEDGE_I32, int32_t, cut_to_i32(src[i]))                                 \
  STORE_CASE(LEDGE_U64, uint64_t, cut_to_u64(src[i]))                                \
  STORE_CASE(LEDGE_I64, int64_t, cut_to_i64(src[i]))                                 \
  STORE_CASE(LEDGE_BOOL, uint8_t, src[i] != 0)

void cast_store_f32(const cast_options *o, ledge_dtype d, void *p, int64_t at, int64_t n, const float *src) {
  switch (d) {
    STORE_INTEGERS
    STORE_CASE(LEDGE_F64, double, src[i])
    case LEDGE_F32:
    case LEDGE_F16:
    case LEDGE_BF16: elem_store_f32(d, p, at, n, src); return;
    case LEDGE_U4:
    case LEDGE_I4:
    case LEDGE_U2:
    case LEDGE_I2:
      for (int64_t i = 0; i < n; i++) dtype_store_i64(d, p, at + i, cut_to_i64((double)src[i]));
      return;
    default:
      for (int64_t i = 0; i < n; i++) cast_small(o, d, p, at + i, (double)src[i]);
  }
}

void cast_store_f64(const cast_options *o, ledge_dtype d, void *p, int64_t at, int64_t n, const double *src) {
  switch (d) {
    STORE_INTEGERS
    STORE_CASE(LEDGE_F32, float, src[i])
    STORE_CASE(LEDGE_F16, uint16_t, dtype_f64_to_f16(src[i]))
    STORE_CASE(LEDGE_BF16, uint16_t, dtype_f32_to_bf16(cast_odd(src[i])))
    case LEDGE_F64: elem_store_f64(d, p, at, n, src); return;
    case LEDGE_U4:
    case LEDGE_I4:
    case LEDGE_U2:
    case LEDGE_I2:
      for (int64_t i = 0; i < n; i++) dtype_store_i64(d, p, at + i, cut_to_i64(src[i]));
      return;
    default:
      for (int64_t i = 0; i < n; i++) cast_small(o, d, p, at + i, src[i]);
  }
}

void cast_clear_tail(tensor *t) {
  size_t bytes = tensor_bytes(t);
  if (!dtype_bytes(t->dtype) && bytes) ((uint8_t *)t->data)[bytes - 1] = 0;
}

/* ---- numbers ---- */

typedef struct cast_job {
  const cast_options *o;
  const tensor *x;
  tensor *y;
  int64_t total;
} cast_job;

static void cast_integers(const cast_job *j, int64_t at, int64_t n, const int64_t *v) {
  tensor *y = j->y;
  if (!dtype_is_float(y->dtype)) {
    elem_store_i64(y->dtype, y->data, at, n, v);
    return;
  }
  bool u64 = j->x->dtype == LEDGE_U64;
  if (y->dtype == LEDGE_F32) {
    float *to = (float *)y->data + at;
    for (int64_t i = 0; i < n; i++) to[i] = u64 ? (float)(uint64_t)v[i] : (float)v[i];
    return;
  }
  double wide[ELEM_CHUNK];
  for (int64_t i = 0; i < n; i++) wide[i] = u64 ? (double)(uint64_t)v[i] : (double)v[i];
  cast_store_f64(j->o, y->dtype, y->data, at, n, wide);
}

/* Works on whole chunks, [begin, end) of them: no two write into one byte. */
static void cast_chunks(void *arg, int64_t begin, int64_t end, int worker) {
  const cast_job *j = arg;
  const tensor *x = j->x;
  tensor *y = j->y;
  union {
    float f32[ELEM_CHUNK];
    double f64[ELEM_CHUNK];
    int64_t i64[ELEM_CHUNK];
  } v;
  for (int64_t k = begin; k < end; k++) {
    int64_t at = k * ELEM_CHUNK, n = j->total - at < ELEM_CHUNK ? j->total - at : ELEM_CHUNK;
    bool last = at + n == j->total;
    if (x->dtype == LEDGE_F64) {
      elem_load_f64(x->dtype, x->data, at, n, v.f64);
      if (last) cast_clear_tail(y);
      cast_store_f64(j->o, y->dtype, y->data, at, n, v.f64);
    } else if (dtype_is_float(x->dtype)) {
      elem_load_f32(x->dtype, x->data, at, n, v.f32);
      if (last) cast_clear_tail(y);
      cast_store_f32(j->o, y->dtype, y->data, at, n, v.f32);
    } else {
      elem_load_i64(x->dtype, x->data, at, n, v.i64);
      if (last) cast_clear_tail(y);
      cast_integers(j, at, n, v.i64);
    }
  }
}

/* ---- strings ---- */

typedef struct shortest_arg {
  ledge_dtype dtype;
  double v;
} shortest_arg;

static bool reads_back(const void *arg, double read) {
  const shortest_arg *s = arg;
  if (s->dtype == LEDGE_F64) return read == s->v;
  if (s->dtype == LEDGE_F32) return (float)read == (float)s->v;
  uint64_t bits = 0;
  cast_store_f64(&(cast_options){.round = CAST_NEAREST}, s->dtype, &bits, 0, 1, &read);
  return dtype_load_f64(s->dtype, &bits, 0) == s->v;
}

static ledge_status to_strings(op_ctx *c, const tensor *x, tensor *y) {
  int64_t total = tensor_elements(x);
  for (int64_t i = 0; i < total; i++) {
    char text[48];
    size_t size;
    if (x->dtype == LEDGE_BOOL) {
      size = (size_t)snprintf(text, sizeof text, tensor_i64(x, i) ? "True" : "False");
    } else if (x->dtype == LEDGE_U64) {
      size = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)((const uint64_t *)x->data)[i]);
    } else if (!dtype_is_float(x->dtype)) {
      size = (size_t)snprintf(text, sizeof text, "%lld", (long long)tensor_i64(x, i));
    } else {
      shortest_arg arg = {x->dtype, tensor_f64(x, i)};
      size = number_print_shortest(text, arg.v, reads_back, &arg);
    }
    TRY(tensor_put_string(y, i, text, size, c->error));
  }
  return LEDGE_OK;
}

static bool is_word(ledge_string s, const char *word) {
  if (s.size != strlen(word)) return false;
  for (size_t i = 0; i < s.size; i++)
    if ((s.data[i] | 32) != word[i]) return false;
  return true;
}

static ledge_status from_strings(op_ctx *c, const cast_options *o, const tensor *x, tensor *y) {
  const ledge_string *in = x->data;
  int64_t total = tensor_elements(x);
  cast_clear_tail(y);
  for (int64_t i = 0; i < total; i++) {
    int64_t whole;
    uint64_t natural;
    double v;
    bool integer = !dtype_is_float(y->dtype);
    if (integer && number_parse_i64(in[i].data, in[i].size, &whole)) {
      elem_store_i64(y->dtype, y->data, i, 1, &whole);
    } else if (integer && number_parse_u64(in[i].data, in[i].size, &natural)) {
      whole = (int64_t)natural;
      elem_store_i64(y->dtype, y->data, i, 1, &whole);
    } else if (y->dtype == LEDGE_BOOL && (is_word(in[i], "true") || is_word(in[i], "false"))) {
      dtype_store_i64(LEDGE_BOOL, y->data, i, is_word(in[i], "true"));
    } else if (number_parse_f64(in[i].data, in[i].size, &v)) {
      cast_store_f64(o, y->dtype, y->data, i, 1, &v);
    } else {
      int shown = in[i].size < 40 ? (int)in[i].size : 40;
      return op_fail(c, LEDGE_ERROR_DATA, "element %lld, \"%.*s\", is not a number", (long long)i, shown, in[i].data);
    }
  }
  return LEDGE_OK;
}

/* ---- Cast, CastLike ---- */

static ledge_status cast_infer_to(op_ctx *c, ledge_dtype to) {
  TRY(elem_check(c, 0, DTYPES_ALL & ~DTYPES_COMPLEX));
  if (DTYPE_BIT(to) & DTYPES_COMPLEX)
    return op_fail(c, LEDGE_ERROR_SHAPE, "numbers cannot be cast to %s", ledge_dtype_name(to));
  if (!op_string_is(c, "round_mode", "up", "up") && !op_string_is(c, "round_mode", "up", "down") &&
      !op_string_is(c, "round_mode", "up", "nearest"))
    return op_fail(c, LEDGE_ERROR_ARGUMENT, "round_mode is not one of \"up\", \"down\" and \"nearest\"");
  const tensor *x = op_in(c, 0);
  return op_shape(c, 0, to, x->rank, x->dims);
}

static ledge_status cast_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  cast_options o = {.wrap_specials = op_int(c, "saturate", 1) == 0};
  if (op_string_is(c, "round_mode", "up", "down")) o.round = CAST_DOWN;
  if (op_string_is(c, "round_mode", "up", "nearest")) o.round = CAST_NEAREST;
  if (x->dtype == y->dtype) return move_all(c, y, x);
  if (y->dtype == LEDGE_STRING) return to_strings(c, x, y);
  if (x->dtype == LEDGE_STRING) return from_strings(c, &o, x, y);
  cast_job j = {&o, x, y, tensor_elements(x)};
  pool_run(c->pool, (j.total + ELEM_CHUNK - 1) / ELEM_CHUNK, 64, cast_chunks, &j);
  return LEDGE_OK;
}

/* The attribute `to`: a number, or in version 1 a name. */
static ledge_status attribute_to(op_ctx *c, ledge_dtype *ret) {
  static const struct {
    const char *name;
    ledge_dtype dtype;
  } names[] = {{"FLOAT", LEDGE_F32},  {"UINT8", LEDGE_U8},     {"INT8", LEDGE_I8},    {"UINT16", LEDGE_U16},
               {"INT16", LEDGE_I16},  {"INT32", LEDGE_I32},    {"INT64", LEDGE_I64},  {"STRING", LEDGE_STRING},
               {"BOOL", LEDGE_BOOL},  {"FLOAT16", LEDGE_F16},  {"DOUBLE", LEDGE_F64}, {"UINT32", LEDGE_U32},
               {"UINT64", LEDGE_U64}, {"BFLOAT16", LEDGE_BF16}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!op_string_is(c, "to", "", names[i].name)) continue;
    *ret = names[i].dtype;
    return LEDGE_OK;
  }
  int64_t to = op_int(c, "to", 0);
  if (!dtype_is_valid(to))
    return op_fail(c, LEDGE_ERROR_ARGUMENT, "the attribute to is %lld, which is no data type", (long long)to);
  *ret = (ledge_dtype)to;
  return LEDGE_OK;
}

static ledge_status cast_infer(op_ctx *c) {
  ledge_dtype to = LEDGE_DTYPE_NONE;
  TRY(attribute_to(c, &to));
  return cast_infer_to(c, to);
}

static ledge_status cast_like_infer(op_ctx *c) {
  TRY(elem_check(c, 1, DTYPES_ALL));
  return cast_infer_to(c, op_in(c, 1)->dtype);
}

/* ---- BitCast ---- */

static ledge_status bit_cast_infer(op_ctx *c) {
  ledge_dtype to = LEDGE_DTYPE_NONE;
  TRY(attribute_to(c, &to));
  TRY(elem_check(c, 0, DTYPES_ALL & ~DTYPES_STRING));
  const tensor *x = op_in(c, 0);
  if (to == LEDGE_STRING || ledge_dtype_bits(x->dtype) != ledge_dtype_bits(to))
    return op_fail(c, LEDGE_ERROR_SHAPE, "elements of %s cannot be taken as %s: their sizes differ",
                   ledge_dtype_name(x->dtype), ledge_dtype_name(to));
  return op_shape(c, 0, to, x->rank, x->dims);
}

static ledge_status bit_cast_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  size_t bytes = tensor_bytes(x);
  if (y && bytes && y->data != x->data) memcpy(y->data, x->data, bytes);
  return LEDGE_OK;
}

const op_def ops_cast[] = {{"", "Cast", 1, 0, 1, 1, 1, 1, OP_INPLACE(0), cast_infer, cast_run},
                           {"", "CastLike", 15, 0, 2, 2, 1, 1, OP_INPLACE(0), cast_like_infer, cast_run},
                           {"", "BitCast", 26, 0, 1, 1, 1, 1, OP_ALIAS | OP_INPLACE(0), bit_cast_infer, bit_cast_run},
                           {0}};
