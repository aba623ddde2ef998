/* Every code of every small float, and every boundary between two of them, against a slow rule that knows only the
 * definition: a format is its sorted list of values, rounding picks the nearer of two neighbours, the even code on a
 * tie. */
#include "tensor/dtype.h"

#include "base/mem.h"
#include "base/rng.h"
#include "test.h"

#include <float.h>

typedef struct format {
  ledge_dtype dtype;
  int e_bits, m_bits, bias;
  bool has_inf;       /* the codes of the largest exponent: infinity and NaN, as in IEEE 754 */
  bool top_is_nan;    /* the one code of all ones is NaN */
  bool unsigned_zero; /* the code of the sign alone is NaN, and there is no other */
  int specials_from;  /* the first code, without the sign, that is no number */
} format;

static const format formats[] = {
    {LEDGE_F16, 5, 10, 15, true, false, false, 31 << 10},  {LEDGE_BF16, 8, 7, 127, true, false, false, 255 << 7},
    {LEDGE_F8E4M3FN, 4, 3, 7, false, true, false, 127},    {LEDGE_F8E4M3FNUZ, 4, 3, 8, false, false, true, 128},
    {LEDGE_F8E5M2, 5, 2, 15, true, false, false, 31 << 2}, {LEDGE_F8E5M2FNUZ, 5, 2, 16, false, false, true, 128},
    {LEDGE_F4E2M1, 2, 1, 1, false, false, false, 8}};
enum { N_FORMATS = sizeof formats / sizeof *formats };

/* The value of a code without its sign, by the definition. */
static double value_of(const format *f, int code) {
  int e = code >> f->m_bits, m = code & ((1 << f->m_bits) - 1);
  double fraction = m / pow(2, f->m_bits);
  return e ? (1 + fraction) * pow(2, e - f->bias) : fraction * pow(2, 1 - f->bias);
}

static int sign_bit(const format *f) { return 1 << (f->e_bits + f->m_bits); }

/* The code that x >= 0 (or NaN) should have. */
static int slow_code(const format *f, double x, bool saturate) {
  int top = f->specials_from - 1;
  int infinity = f->has_inf ? f->specials_from : f->top_is_nan ? 127 : f->unsigned_zero ? sign_bit(f) : top;
  int low = 0, high = top;
  double largest = value_of(f, top), beyond = value_of(f, top + 1); /* the step after the largest, had it one */
  if (f->unsigned_zero) beyond = 2 * value_of(f, top) - value_of(f, top - 1);
  if (x >= beyond) return saturate ? top : infinity;
  if (x > largest) { /* the tie goes to the even code of the two */
    double middle = (largest + beyond) / 2;
    bool up = x > middle || (x == middle && top % 2);
    return !up || saturate ? top : infinity;
  }
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (value_of(f, middle) <= x)
      low = middle;
    else
      high = middle;
  }
  if (value_of(f, high) <= x) return high;
  double below = x - value_of(f, low), above = value_of(f, high) - x; /* exact: x is within a factor 2, or tiny */
  return below < above ? low : above < below ? high : low % 2 ? high : low;
}

static int fast_code_f32(const format *f, float x, bool saturate) {
  if (f->dtype == LEDGE_F16) return dtype_f32_to_f16(x);
  if (f->dtype == LEDGE_BF16) return dtype_f32_to_bf16(x);
  return dtype_f32_to_small(f->dtype, x, saturate);
}

static int fast_code_f64(const format *f, double x, bool saturate) {
  if (f->dtype == LEDGE_F16) return dtype_f64_to_f16(x);
  if (f->dtype == LEDGE_BF16) return dtype_f64_to_bf16(x);
  return dtype_f64_to_small(f->dtype, x, saturate);
}

static float fast_value(const format *f, int code) {
  if (f->dtype == LEDGE_F16) return dtype_f16_to_f32((uint16_t)code);
  if (f->dtype == LEDGE_BF16) return dtype_bf16_to_f32((uint16_t)code);
  return dtype_small_to_f32(f->dtype, (uint8_t)code);
}

/* Both ways of rounding x and -x. F16 and BF16 have no saturating form. */
static void check_round(const format *f, double x) {
  bool wide = f->dtype == LEDGE_F16 || f->dtype == LEDGE_BF16;
  for (int saturate = 0; saturate < (wide ? 1 : 2); saturate++)
    for (int negative = 0; negative < 2; negative++) {
      int want = slow_code(f, x, saturate || f->dtype == LEDGE_F4E2M1);
      if (negative && !(f->unsigned_zero && !want)) want |= sign_bit(f);
      double v = negative ? -x : x;
      int got = fast_code_f64(f, v, saturate);
      if (got != want)
        TEST_FAIL("%s: f64 %a is %x, not %x", ledge_dtype_name(f->dtype), v, (unsigned)got, (unsigned)want);
      if ((double)(float)v != v) continue;
      got = fast_code_f32(f, (float)v, saturate);
      if (got != want)
        TEST_FAIL("%s: f32 %a is %x, not %x", ledge_dtype_name(f->dtype), v, (unsigned)got, (unsigned)want);
    }
}

static void test_values(void) {
  for (int i = 0; i < N_FORMATS; i++) {
    const format *f = &formats[i];
    for (int code = 0; code < 2 * sign_bit(f); code++) {
      int magnitude = code & (sign_bit(f) - 1);
      bool negative = code & sign_bit(f), nan = f->unsigned_zero && code == sign_bit(f);
      double want = value_of(f, magnitude);
      if (magnitude >= f->specials_from) {
        nan = !f->has_inf || magnitude > f->specials_from;
        want = INFINITY;
      }
      float got = fast_value(f, code);
      if (nan ? !isnan(got) : got != (negative ? -want : want) || (!f->unsigned_zero && !!signbit(got) != negative))
        TEST_FAIL("%s %x is %a", ledge_dtype_name(f->dtype), (unsigned)code, (double)got);
      /* There and back. NaNs keep being NaN, and their sign where the format has one. */
      int back = fast_code_f32(f, got, false);
      if (nan ? !isnan(fast_value(f, back)) || (back & sign_bit(f)) != (code & sign_bit(f)) : back != code)
        TEST_FAIL("%s %x comes back as %x", ledge_dtype_name(f->dtype), (unsigned)code, (unsigned)back);
    }
  }
}

static void test_boundaries(void) {
  for (int i = 0; i < N_FORMATS; i++) {
    const format *f = &formats[i];
    for (int code = 0; code < f->specials_from; code++) {
      double low = value_of(f, code), high = value_of(f, code + 1);
      if (f->unsigned_zero && code + 1 == f->specials_from) high = 2 * low - value_of(f, code - 1);
      double middle = low / 2 + high / 2;
      double tries[] = {low,
                        middle,
                        nextafter(middle, 0),
                        nextafter(middle, INFINITY),
                        nextafterf((float)middle, 0),
                        nextafterf((float)middle, INFINITY),
                        nextafter(low, 0),
                        nextafter(low, INFINITY),
                        middle * (1 + 0x1p-40),
                        middle * (1 - 0x1p-40)};
      for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) check_round(f, tries[k]);
    }
    static const double ends[] = {0, DBL_TRUE_MIN, FLT_TRUE_MIN, FLT_MIN, FLT_MAX, DBL_MAX, INFINITY, 464, 465, 1e6};
    for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) check_round(f, ends[k]);
  }
}

static void test_random(void) {
  rng r;
  rng_init(&r, 5);
  for (int i = 0; i < 100000; i++) {
    uint64_t bits = rng_u64(&r) & INT64_MAX;
    uint32_t half = (uint32_t)bits & INT32_MAX;
    double x;
    float y;
    memcpy(&x, &bits, sizeof x);
    memcpy(&y, &half, sizeof y);
    if (!isnan(y)) check_round(&formats[i % N_FORMATS], y);
    x = ldexp(rng_uniform(&r) + 1, (int)(rng_u64(&r) % 60) - 30); /* where the small formats live */
    check_round(&formats[i % N_FORMATS], x);
  }
}

static void test_nan(void) {
  static const struct {
    ledge_dtype dtype;
    int plus, minus;
  } want[] = {{LEDGE_F8E4M3FN, 0x7f, 0xff},   {LEDGE_F8E4M3FNUZ, 0x80, 0x80}, {LEDGE_F8E5M2, 0x7e, 0xfe},
              {LEDGE_F8E5M2FNUZ, 0x80, 0x80}, {LEDGE_F4E2M1, 8, 8},           {LEDGE_F8E8M0, 255, 255}};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++)
    for (int saturate = 0; saturate < 2; saturate++) {
      CHECK_INT(dtype_f32_to_small(want[i].dtype, NAN, saturate), want[i].plus);
      CHECK_INT(dtype_f32_to_small(want[i].dtype, -NAN, saturate), want[i].minus);
      CHECK_INT(dtype_f64_to_small(want[i].dtype, (double)NAN, saturate), want[i].plus);
    }
  CHECK(isnan(dtype_f16_to_f32(dtype_f32_to_f16(NAN))) && isnan(dtype_bf16_to_f32(dtype_f32_to_bf16(NAN))));
  /* A NaN whose payload lies only in the bits that are cut stays a NaN. */
  uint32_t bits = 0x7f800001;
  float low;
  memcpy(&low, &bits, sizeof low);
  CHECK(isnan(dtype_f16_to_f32(dtype_f32_to_f16(low))) && isnan(dtype_bf16_to_f32(dtype_f32_to_bf16(low))));
}

/* Powers of two: all exponents, with the fractions around the boundaries of each way of rounding. */
static void test_e8m0(void) {
  for (int code = 0; code < 255; code++) {
    CHECK(dtype_small_to_f32(LEDGE_F8E8M0, (uint8_t)code) == (float)pow(2, code - 127));
    double p = pow(2, code - 127);
    static const struct {
      double times;
      int up, down, nearest; /* steps above the code */
    } rows[] = {{1, 0, 0, 0},   {1 + 0x1p-23, 1, 0, 0}, {1.25, 1, 0, 0},       {1.5 - 0x1p-23, 1, 0, 0},
                {1.5, 1, 0, 1}, {1.75, 1, 0, 1},        {2 - 0x1p-23, 1, 0, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
      float x = (float)(rows[i].times * p);
      if ((double)x != rows[i].times * p) continue; /* below 2^-126 the fraction is shorter */
      for (int saturate = 0; saturate < 2; saturate++) {
        int most = saturate ? 254 : 255;
        CHECK_INT(dtype_f32_to_e8m0(x, DTYPE_ROUND_DOWN, saturate), code);
        CHECK_INT(dtype_f32_to_e8m0(x, DTYPE_ROUND_UP, saturate), code + rows[i].up > 254 ? most : code + rows[i].up);
        CHECK_INT(dtype_f32_to_e8m0(x, DTYPE_ROUND_NEAREST, saturate),
                  code + rows[i].nearest > 254 ? most : code + rows[i].nearest);
        CHECK_INT(dtype_f32_to_e8m0(-x, DTYPE_ROUND_DOWN, saturate), code);
      }
    }
  }
  CHECK(isnan(dtype_small_to_f32(LEDGE_F8E8M0, 255)));
  /* ONNX's table of special values. */
  CHECK_INT(dtype_f32_to_e8m0(0, DTYPE_ROUND_UP, true), 0);
  CHECK_INT(dtype_f32_to_e8m0(INFINITY, DTYPE_ROUND_UP, true), 254);
  CHECK_INT(dtype_f32_to_e8m0(FLT_MAX, DTYPE_ROUND_UP, true), 254);
  CHECK_INT(dtype_f32_to_e8m0(0x1p-140f, DTYPE_ROUND_UP, true), 0);
  CHECK_INT(dtype_f32_to_e8m0(0, DTYPE_ROUND_NEAREST, false), 255);
  CHECK_INT(dtype_f32_to_e8m0(INFINITY, DTYPE_ROUND_NEAREST, false), 255);
  CHECK_INT(dtype_f32_to_e8m0(FLT_MAX, DTYPE_ROUND_NEAREST, false), 255);
  CHECK_INT(dtype_f32_to_e8m0(0x1p-140f, DTYPE_ROUND_NEAREST, false), 255);
  CHECK_INT(dtype_f32_to_e8m0(0x1.8p-128f, DTYPE_ROUND_NEAREST, false), 0); /* rounds into the range */
  CHECK_INT(dtype_f64_to_small(LEDGE_F8E8M0, 1 + 0x1p-40, true), 128);      /* above 1 by less than f32 can say */
}

static void test_table(void) {
  CHECK_STR(ledge_dtype_name(LEDGE_F8E4M3FN), "f8e4m3fn");
  CHECK_STR(ledge_dtype_name((ledge_dtype)99), "none");
  CHECK_INT(ledge_dtype_bits((ledge_dtype)-1), 0);
  CHECK(!dtype_is_valid(0) && !dtype_is_valid(LEDGE_DTYPE_COUNT) && dtype_is_valid(LEDGE_I2) &&
        !dtype_is_valid(INT64_MIN));
  for (int d = 1; d < LEDGE_DTYPE_COUNT; d++) {
    ledge_dtype dtype = (ledge_dtype)d;
    CHECK(ledge_dtype_bits(dtype) > 0 && ledge_dtype_name(dtype)[0] && dtype_kind_of(dtype) != DTYPE_KIND_NONE);
    CHECK_INT(dtype_bytes(dtype), ledge_dtype_bits(dtype) / 8);
    size_t bytes = 77;
    CHECK(dtype_array_bytes(dtype, 0, &bytes) && bytes == 0);
    CHECK(dtype_array_bytes(dtype, 5, &bytes) && bytes == ((size_t)ledge_dtype_bits(dtype) * 5 + 7) / 8);
    CHECK(!dtype_array_bytes(dtype, -1, &bytes));
    if (ledge_dtype_bits(dtype) > 8) CHECK(!dtype_array_bytes(dtype, INT64_MAX, &bytes));
  }
}

static void test_packed(void) {
  static const ledge_dtype types[] = {LEDGE_U4, LEDGE_I4, LEDGE_U2, LEDGE_I2};
  for (int t = 0; t < 4; t++) {
    int bits = ledge_dtype_bits(types[t]), count = 1 << bits, per = 8 / bits;
    bool is_signed = dtype_kind_of(types[t]) == DTYPE_KIND_INT;
    uint8_t data[8];
    for (int at = 0; at < 2 * per + 1; at++)
      for (int code = 0; code < count; code++) {
        memset(data, 0xa5, sizeof data);
        int64_t v = is_signed && code >= count / 2 ? code - count : code;
        dtype_store_i64(types[t], data, at, v);
        CHECK_INT(dtype_load_i64(types[t], data, at), v);
        CHECK(dtype_load_f64(types[t], data, at) == (double)v);
        CHECK_INT((data[at / per] >> at % per * bits) & (count - 1), code); /* the first element lies lowest */
        data[at / per] ^= (uint8_t)((0xa5 ^ data[at / per]) & ((count - 1) << at % per * bits));
        for (int i = 0; i < 8; i++) CHECK_INT(data[i], 0xa5); /* no neighbour was touched */
      }
    double low = is_signed ? -count / 2 : 0, high = is_signed ? count / 2 - 1 : count - 1;
    dtype_store_f64(types[t], data, 1, 1000);
    CHECK(dtype_load_f64(types[t], data, 1) == high);
    dtype_store_f64(types[t], data, 1, -1000);
    CHECK(dtype_load_f64(types[t], data, 1) == low);
    dtype_store_i64(types[t], data, 1, count + 1);
    CHECK_INT(dtype_load_i64(types[t], data, 1), 1);
  }
}

/* Integers of all widths at their ends, from doubles and from int64. */
static void test_integers(void) {
  static const struct {
    ledge_dtype dtype;
    double low, high;
  } rows[] = {{LEDGE_U8, 0, 255},         {LEDGE_I8, -128, 127},        {LEDGE_U16, 0, 65535},
              {LEDGE_I16, -32768, 32767}, {LEDGE_U32, 0, 4294967295.0}, {LEDGE_I32, -2147483648.0, 2147483647},
              {LEDGE_U64, 0, 0x1p64},     {LEDGE_I64, -0x1p63, 0x1p63}};
  union {
    uint64_t u;
    int64_t i;
    uint8_t bytes[16];
  } x[2];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ledge_dtype d = rows[i].dtype;
    static const double values[] = {INFINITY, -INFINITY, 1e30, -1e30, 100.75, -100.75, 3};
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
      dtype_store_f64(d, x, 1, values[k]);
      double want = values[k] < rows[i].low ? rows[i].low : values[k] > rows[i].high ? rows[i].high : trunc(values[k]);
      CHECK(dtype_load_f64(d, x, 1) == want); /* the ends of 64 bits round to a power of two */
    }
    dtype_store_f64(d, x, 0, NAN);
    CHECK_INT(dtype_load_i64(d, x, 0), 0);
    dtype_store_i64(d, x, 1, -1);
    CHECK(dtype_load_i64(d, x, 1) == (rows[i].low < 0 || d == LEDGE_U64 ? -1 : (int64_t)rows[i].high));
  }
  dtype_store_f64(LEDGE_U64, x, 0, -1e30);
  CHECK(x[0].u == 0);
  x[0].u = UINT64_MAX;
  CHECK(dtype_load_f64(LEDGE_U64, x, 0) == 0x1p64);
  dtype_store_f64(LEDGE_BOOL, x, 0, 0.5);
  CHECK(x[0].bytes[0] == 1 && dtype_load_i64(LEDGE_BOOL, x, 0) == 1);
  x[0].bytes[0] = 7;
  CHECK_INT(dtype_load_i64(LEDGE_BOOL, x, 0), 1);
}

/* An int64 that double cannot hold still rounds once. */
static void test_one_rounding(void) {
  int64_t v = (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1; /* just above the tie of two floats */
  float f[2];
  dtype_store_i64(LEDGE_F32, f, 0, v);
  CHECK(f[0] == 0x1p60f + 0x1p37f);
  dtype_to_f32(LEDGE_I64, &v, f, 1);
  CHECK(f[0] == 0x1p60f + 0x1p37f);
  uint16_t h;
  for (int negative = 0; negative < 2; negative++) {
    v = (INT64_C(1) << 60) + (INT64_C(1) << 52) + 1;
    dtype_store_i64(LEDGE_BF16, &h, 0, negative ? -v : v);
    CHECK(dtype_bf16_to_f32(h) == (negative ? -1 : 1) * (0x1p60f + 0x1p53f));
  }
  dtype_store_i64(LEDGE_BF16, &h, 0, INT64_MIN);
  CHECK(dtype_bf16_to_f32(h) == -0x1p63f);
  dtype_store_f64(LEDGE_BF16, &h, 0, 1 + 0x1p-8 + 0x1p-40);
  CHECK(dtype_bf16_to_f32(h) == 1 + 0x1p-7f);
  double c[4] = {9, 9, 9, 9};
  dtype_store_i64(LEDGE_C128, c, 1, 5);
  CHECK(c[1] == 9 && c[2] == 5 && c[3] == 0 && dtype_load_f64(LEDGE_C128, c, 1) == 5);
}

/* Arrays agree with single elements, in all types and lengths. */
static void test_arrays(void) {
  enum { N = 700 };
  rng r;
  rng_init(&r, 9);
  static float in[N], out[N], back[N];
  static uint8_t data[N * 16], again[N * 16];
  for (int d = 1; d < LEDGE_DTYPE_COUNT; d++) {
    ledge_dtype dtype = (ledge_dtype)d;
    if (dtype == LEDGE_STRING) continue;
    for (int n = 0; n <= N; n += n < 20 ? 1 : 97) {
      for (int i = 0; i < n; i++) in[i] = (float)(rng_normal(&r) * pow(10, (double)(rng_u64(&r) % 7) - 2));
      memset(data, 0, sizeof data);
      memset(again, 0, sizeof again);
      dtype_from_f32(dtype, in, data, n);
      for (int i = 0; i < n; i++) dtype_store_f64(dtype, again, i, (double)in[i]);
      if (memcmp(data, again, sizeof data)) TEST_FAIL("%s: %d from f32", ledge_dtype_name(dtype), n);
      dtype_to_f32(dtype, data, out, n);
      for (int i = 0; i < n; i++) back[i] = (float)dtype_load_f64(dtype, data, i);
      for (int i = 0; i < n; i++)
        if (!(out[i] == back[i] || (isnan(out[i]) && isnan(back[i]))))
          TEST_FAIL("%s: %d to f32", ledge_dtype_name(dtype), n);
    }
  }
  uint16_t all[1024];
  for (int block = 0; block < 64; block++) { /* every f16, through the vector loop */
    for (int i = 0; i < 1024; i++) all[i] = (uint16_t)(block * 1024 + i);
    float wide[1024];
    uint16_t narrow[1024];
    dtype_to_f32(LEDGE_F16, all, wide, 1024);
    dtype_from_f32(LEDGE_F16, wide, narrow, 1024);
    for (int i = 0; i < 1024; i++) {
      bool same =
          narrow[i] == all[i] || (isnan(wide[i]) && (all[i] & 0x7c00) == 0x7c00 && narrow[i] == (all[i] | 0x200));
      if (!same) TEST_FAIL("f16 %x comes back as %x", all[i], narrow[i]);
    }
  }
}

TEST_MAIN({"values", test_values}, {"boundaries", test_boundaries}, {"random", test_random}, {"nan", test_nan},
          {"e8m0", test_e8m0}, {"table", test_table}, {"packed", test_packed}, {"integers", test_integers},
          {"one_rounding", test_one_rounding}, {"arrays", test_arrays})
