/* tensor/dtype: see dtype.h. */
#include "tensor/dtype.h"

#include <assert.h>
#include <math.h>

#define DTYPE(id, name, bits, kind) +1
_Static_assert(LEDGE_DTYPE_COUNT - 1 == 0
#include "tensor/dtype.def"
               ,
               "dtype.def has a row for each dtype");
#undef DTYPE

static const struct {
  const char *name;
  int bits;
  dtype_kind kind;
} dtype_table[LEDGE_DTYPE_COUNT] = {
    [LEDGE_DTYPE_NONE] = {"none", 0, DTYPE_KIND_NONE},
#define DTYPE(id, name, bits, kind) [LEDGE_##id] = {name, bits, DTYPE_KIND_##kind},
#include "tensor/dtype.def"
#undef DTYPE
};

bool dtype_is_valid(int64_t number) { return number > 0 && number < LEDGE_DTYPE_COUNT; }

static ledge_dtype dtype_checked(ledge_dtype d) { return dtype_is_valid(d) ? d : LEDGE_DTYPE_NONE; }

const char *ledge_dtype_name(ledge_dtype d) { return dtype_table[dtype_checked(d)].name; }
int ledge_dtype_bits(ledge_dtype d) { return dtype_table[dtype_checked(d)].bits; }
dtype_kind dtype_kind_of(ledge_dtype d) { return dtype_table[dtype_checked(d)].kind; }
size_t dtype_bytes(ledge_dtype d) { return (size_t)ledge_dtype_bits(d) / 8; }

bool dtype_array_bytes(ledge_dtype d, int64_t n, size_t *bytes) {
  size_t bits = (size_t)ledge_dtype_bits(d), whole;
  if (n < 0 || (uint64_t)n > PTRDIFF_MAX) return false;
  if (bits < 8) {
    size_t per = bits ? 8 / bits : 1;
    *bytes = bits ? (size_t)n / per + ((size_t)n % per != 0) : 0;
    return true;
  }
  if (__builtin_mul_overflow((size_t)n, bits / 8, &whole) || whole > PTRDIFF_MAX) return false;
  *bytes = whole;
  return true;
}

static inline uint32_t dtype_bits_of(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return u;
}

static inline float dtype_of_bits(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

/* The next four without branches: the compiler makes vector code of a loop over them. */
static inline float dtype_widen_f16(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, a = h & 0x7fff;
  uint32_t normal = (a << 13) + (a < 0x7c00 ? 0x38000000u : 0x70000000u); /* exponent + 112; infinity and NaN: 255 */
  uint32_t subnormal = dtype_bits_of((float)(int32_t)a * 0x1p-24f);
  return dtype_of_bits(sign | (a < 0x400 ? subnormal : normal));
}

static inline uint16_t dtype_narrow_f16(float f) {
  uint32_t u = dtype_bits_of(f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
  uint32_t normal = (a - 0x38000000u + 0xfff + ((a >> 13) & 1)) >> 13;
  uint32_t subnormal = dtype_bits_of(dtype_of_bits(a) + 0.5f) - 0x3f000000u; /* the addition rounds at 2^-24 */
  uint32_t h = a < 0x38800000u ? subnormal : normal;                         /* 2^-14 */
  h = a >= 0x477ff000u ? 0x7c00 : h;                                         /* 65520 and above: infinity */
  h = a > 0x7f800000u ? 0x7e00 | ((a >> 13) & 0x3ff) : h;
  return (uint16_t)(sign | h);
}

static inline uint16_t dtype_narrow_bf16(float f) {
  uint32_t u = dtype_bits_of(f), rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  return (uint16_t)((u & 0x7fffffff) > 0x7f800000u ? (u >> 16) | 0x40 : rounded);
}

float dtype_f16_to_f32(uint16_t h) { return dtype_widen_f16(h); }
uint16_t dtype_f32_to_f16(float f) { return dtype_narrow_f16(f); }
uint16_t dtype_f32_to_bf16(float f) { return dtype_narrow_bf16(f); }

/* Rounds to odd: what is cut off leaves a mark in the last bit, so that a second rounding to a format of at least two
 * bits less comes out as if it were the only one (Boldo and Melquiond, Emulation of FMA and correctly rounded sums,
 * 2008). */
static float dtype_f64_to_odd_f32(double f) {
  float g = (float)f;
  uint32_t u = dtype_bits_of(g);
  if (isnan(f) || isinf(g) || (double)g == f || (u & 1)) return g;
  return dtype_of_bits(fabs((double)g) < fabs(f) ? u + 1 : u - 1);
}

static double dtype_i64_to_odd_f64(int64_t v) {
  uint64_t a = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
  if (a >> 53) {
    int cut = 11 - __builtin_clzll(a);
    uint64_t kept = a >> cut;
    a = (kept | (kept << cut != a)) << cut;
  }
  return v < 0 ? -(double)a : (double)a;
}

uint16_t dtype_f64_to_f16(double f) { return dtype_f32_to_f16(dtype_f64_to_odd_f32(f)); }
uint16_t dtype_f64_to_bf16(double f) { return dtype_f32_to_bf16(dtype_f64_to_odd_f32(f)); }

/* The small floats as data. Codes are without the sign. */
typedef struct small_float {
  int e_bits, m_bits, bias;
  uint8_t max, inf, nan; /* the largest finite code; what infinity and NaN become */
  bool fnuz;             /* no negative zero: the sign bit alone is the one NaN */
} small_float;

static const small_float *dtype_small(ledge_dtype d) {
  /* E2M1 has neither infinity nor NaN. NaN becomes zero (with the sign bit), as in ONNX's published tests and in
   * ml_dtypes, which makes them; the standard's text says 6. */
  static const small_float e4m3fn = {4, 3, 7, 0x7e, 0x7f, 0x7f, false}, e4m3fnuz = {4, 3, 8, 0x7f, 0x80, 0x80, true},
                           e5m2 = {5, 2, 15, 0x7b, 0x7c, 0x7e, false}, e5m2fnuz = {5, 2, 16, 0x7f, 0x80, 0x80, true},
                           e2m1 = {2, 1, 1, 7, 7, 8, false};
  switch (d) {
    case LEDGE_F8E4M3FN: return &e4m3fn;
    case LEDGE_F8E4M3FNUZ: return &e4m3fnuz;
    case LEDGE_F8E5M2: return &e5m2;
    case LEDGE_F8E5M2FNUZ: return &e5m2fnuz;
    case LEDGE_F4E2M1: return &e2m1;
    default: return NULL;
  }
}

float dtype_small_to_f32(ledge_dtype d, uint8_t bits) {
  if (d == LEDGE_F8E8M0) return bits == 255 ? NAN : ldexpf(1, (int)bits - 127);
  const small_float *s = dtype_small(d);
  assert(s);
  int width = s->e_bits + s->m_bits;
  int sign = (bits >> width) & 1, a = bits & ((1 << width) - 1);
  int e = a >> s->m_bits, m = a & ((1 << s->m_bits) - 1);
  float v = ldexpf((float)(e ? m | (1 << s->m_bits) : m), (e ? e : 1) - s->bias - s->m_bits);
  if (s->fnuz && sign && !a) v = NAN;
  if (a > s->max) v = a == 0x7c ? INFINITY : NAN; /* only E4M3FN and E5M2 have codes above the largest number */
  return sign ? -v : v;
}

uint8_t dtype_f32_to_e8m0(float f, dtype_round round, bool saturate) {
  /* f = m * 2^e with m in [1, 2); a power of two is its exponent. The sign is ignored: the standard leaves it open. */
  uint32_t a = dtype_bits_of(f) & 0x7fffffff;
  if (a > 0x7f800000u) return 255;
  int e = (int)(a >> 23) - 127;
  uint32_t fraction = a & 0x7fffff;
  if (e == -127 && fraction) { /* subnormal: below 2^-126 */
    int up = __builtin_clz(fraction) - 8;
    fraction = (fraction << up) & 0x7fffff;
    e = -126 - up;
  }
  if (!a) e = -200; /* zero: below all powers */
  if (round == DTYPE_ROUND_UP && fraction) e++;
  if (round == DTYPE_ROUND_NEAREST && fraction >= 0x400000) e++; /* ties (1.5) go up */
  if (e > 127) return saturate ? 254 : 255;
  if (e < -127) return saturate ? 0 : 255;
  return (uint8_t)(e + 127);
}

uint8_t dtype_f32_to_small(ledge_dtype d, float f, bool saturate) {
  if (d == LEDGE_F8E8M0) return dtype_f32_to_e8m0(f, DTYPE_ROUND_UP, saturate);
  const small_float *s = dtype_small(d);
  assert(s);
  uint32_t u = dtype_bits_of(f), a = u & 0x7fffffff;
  uint8_t sign = (uint8_t)((u >> 31) << (s->e_bits + s->m_bits));
  if (a > 0x7f800000u) return s->nan | sign;
  /* f = mantissa * 2^(e - 150). The code of magnitude m * 2^(1 - bias - m_bits) grows by one a grid step, and a carry
   * of the rounding goes into the exponent as it should. */
  int e = (int)(a >> 23), least = 128 - s->bias, cut = 23 - s->m_bits + (e < least ? least - e : 0);
  uint32_t mantissa = (a & 0x7fffff) | (e ? 0x800000u : 0), code = 0;
  if (cut <= 24) code = (mantissa + (1u << (cut - 1)) - 1 + ((mantissa >> cut) & 1)) >> cut;
  if (e > least) code += (uint32_t)(e - least) << s->m_bits;
  if (code > s->max) {
    bool bounded = saturate || d == LEDGE_F4E2M1;
    return (bounded ? s->max : s->inf) | sign;
  }
  return s->fnuz && !code ? 0 : (uint8_t)(code | sign);
}

uint8_t dtype_f64_to_small(ledge_dtype d, double f, bool saturate) {
  return dtype_f32_to_small(d, dtype_f64_to_odd_f32(f), saturate);
}

/* Packed element i of a 4- or 2-bit array. */
static uint8_t dtype_packed_get(const void *data, int64_t i, int bits) {
  int per = 8 / bits;
  return (uint8_t)((((const uint8_t *)data)[i / per] >> (int)(i % per) * bits) & ((1 << bits) - 1));
}
static void dtype_packed_put(void *data, int64_t i, int bits, uint8_t v) {
  int per = 8 / bits, shift = (int)(i % per) * bits;
  uint8_t *p = (uint8_t *)data + i / per, mask = (uint8_t)(((1 << bits) - 1) << shift);
  *p = (uint8_t)((*p & ~mask) | ((v << shift) & mask));
}

double dtype_load_f64(ledge_dtype d, const void *p, int64_t i) {
  switch (d) {
    case LEDGE_F32: return ((const float *)p)[i];
    case LEDGE_F64: return ((const double *)p)[i];
    case LEDGE_F16: return dtype_f16_to_f32(((const uint16_t *)p)[i]);
    case LEDGE_BF16: return dtype_bf16_to_f32(((const uint16_t *)p)[i]);
    case LEDGE_C64: return ((const float *)p)[2 * i];
    case LEDGE_C128: return ((const double *)p)[2 * i];
    case LEDGE_F8E4M3FN:
    case LEDGE_F8E4M3FNUZ:
    case LEDGE_F8E5M2:
    case LEDGE_F8E5M2FNUZ:
    case LEDGE_F8E8M0: return dtype_small_to_f32(d, ((const uint8_t *)p)[i]);
    case LEDGE_F4E2M1: return dtype_small_to_f32(d, dtype_packed_get(p, i, 4));
    case LEDGE_U64: return (double)((const uint64_t *)p)[i];
    default: return (double)dtype_load_i64(d, p, i);
  }
}

static int64_t dtype_f64_to_i64(double v) {
  if (isnan(v)) return 0;
  if (v >= 0x1p63) return INT64_MAX;
  if (v < -0x1p63) return INT64_MIN;
  return (int64_t)v;
}

int64_t dtype_load_i64(ledge_dtype d, const void *p, int64_t i) {
  switch (d) {
    case LEDGE_U8: return ((const uint8_t *)p)[i];
    case LEDGE_I8: return ((const int8_t *)p)[i];
    case LEDGE_U16: return ((const uint16_t *)p)[i];
    case LEDGE_I16: return ((const int16_t *)p)[i];
    case LEDGE_I32: return ((const int32_t *)p)[i];
    case LEDGE_U32: return ((const uint32_t *)p)[i];
    case LEDGE_I64: return ((const int64_t *)p)[i];
    case LEDGE_U64: return (int64_t)((const uint64_t *)p)[i];
    case LEDGE_BOOL: return ((const uint8_t *)p)[i] != 0;
    case LEDGE_U4: return dtype_packed_get(p, i, 4);
    case LEDGE_I4: return (int8_t)(dtype_packed_get(p, i, 4) << 4) >> 4;
    case LEDGE_U2: return dtype_packed_get(p, i, 2);
    case LEDGE_I2: return (int8_t)(dtype_packed_get(p, i, 2) << 6) >> 6;
    case LEDGE_DTYPE_NONE:
    case LEDGE_STRING: return 0;
    default: return dtype_f64_to_i64(dtype_load_f64(d, p, i));
  }
}

static double dtype_clamp(double v, double low, double high) {
  return isnan(v) ? 0 : v < low ? low : v > high ? high : v;
}

void dtype_store_f64(ledge_dtype d, void *p, int64_t i, double v) {
  switch (d) {
    case LEDGE_F32: ((float *)p)[i] = (float)v; break;
    case LEDGE_F64: ((double *)p)[i] = v; break;
    case LEDGE_F16: ((uint16_t *)p)[i] = dtype_f64_to_f16(v); break;
    case LEDGE_BF16: ((uint16_t *)p)[i] = dtype_f64_to_bf16(v); break;
    case LEDGE_C64: ((float *)p)[2 * i] = (float)v, ((float *)p)[2 * i + 1] = 0; break;
    case LEDGE_C128: ((double *)p)[2 * i] = v, ((double *)p)[2 * i + 1] = 0; break;
    case LEDGE_F8E4M3FN:
    case LEDGE_F8E4M3FNUZ:
    case LEDGE_F8E5M2:
    case LEDGE_F8E5M2FNUZ:
    case LEDGE_F8E8M0: ((uint8_t *)p)[i] = dtype_f64_to_small(d, v, true); break;
    case LEDGE_F4E2M1: dtype_packed_put(p, i, 4, dtype_f64_to_small(d, v, true)); break;
    case LEDGE_BOOL: ((uint8_t *)p)[i] = v != 0; break;
    case LEDGE_U64: ((uint64_t *)p)[i] = isnan(v) || v <= 0 ? 0 : v >= 0x1p64 ? UINT64_MAX : (uint64_t)v; break;
    case LEDGE_I64: ((int64_t *)p)[i] = dtype_f64_to_i64(v); break;
    default: {
      int bits = ledge_dtype_bits(d);
      bool is_signed = dtype_kind_of(d) == DTYPE_KIND_INT;
      double low = is_signed ? -ldexp(1, bits - 1) : 0, high = ldexp(1, is_signed ? bits - 1 : bits) - 1;
      dtype_store_i64(d, p, i, (int64_t)dtype_clamp(v, low, high));
    }
  }
}

void dtype_store_i64(ledge_dtype d, void *p, int64_t i, int64_t v) {
  switch (d) {
    case LEDGE_U8:
    case LEDGE_I8: ((uint8_t *)p)[i] = (uint8_t)v; break;
    case LEDGE_BOOL: ((uint8_t *)p)[i] = v != 0; break;
    case LEDGE_U16:
    case LEDGE_I16: ((uint16_t *)p)[i] = (uint16_t)v; break;
    case LEDGE_U32:
    case LEDGE_I32: ((uint32_t *)p)[i] = (uint32_t)v; break;
    case LEDGE_U64:
    case LEDGE_I64: ((uint64_t *)p)[i] = (uint64_t)v; break;
    case LEDGE_U4:
    case LEDGE_I4: dtype_packed_put(p, i, 4, (uint8_t)(v & 15)); break;
    case LEDGE_U2:
    case LEDGE_I2: dtype_packed_put(p, i, 2, (uint8_t)(v & 3)); break;
    case LEDGE_F32: ((float *)p)[i] = (float)v; break;
    case LEDGE_F64: ((double *)p)[i] = (double)v; break;
    case LEDGE_C64: ((float *)p)[2 * i] = (float)v, ((float *)p)[2 * i + 1] = 0; break;
    case LEDGE_C128: ((double *)p)[2 * i] = (double)v, ((double *)p)[2 * i + 1] = 0; break;
    case LEDGE_DTYPE_NONE:
    case LEDGE_STRING: break;
    default: dtype_store_f64(d, p, i, dtype_i64_to_odd_f64(v));
  }
}

/* dst[i] = expression(x = src[i]) over n elements of `type`, in plain loops that become vector code. */
#define DTYPE_EACH(type, to, expression)   \
  do {                                     \
    const type *from_ = (const type *)src; \
    for (int64_t i = 0; i < n; i++) {      \
      const type x = from_[i];             \
      (to)[i] = (expression);              \
    }                                      \
  } while (0)

/* Arrays of 8-bit floats go through a table of their 256 values, from where it pays. */
static void dtype_small_array(ledge_dtype d, const uint8_t *src, float *dst, int64_t n) {
  float table[256];
  if (n < 256) {
    for (int64_t i = 0; i < n; i++) dst[i] = dtype_small_to_f32(d, src[i]);
    return;
  }
  for (int i = 0; i < 256; i++) table[i] = dtype_small_to_f32(d, (uint8_t)i);
  for (int64_t i = 0; i < n; i++) dst[i] = table[src[i]];
}

void dtype_to_f32(ledge_dtype d, const void *src, float *dst, int64_t n) {
  switch (d) {
    case LEDGE_F32: memcpy(dst, src, (size_t)n * sizeof *dst); break;
    case LEDGE_F16: DTYPE_EACH(uint16_t, dst, dtype_widen_f16(x)); break;
    case LEDGE_BF16: DTYPE_EACH(uint16_t, dst, dtype_bf16_to_f32(x)); break;
    case LEDGE_F64: DTYPE_EACH(double, dst, (float)x); break;
    case LEDGE_U8: DTYPE_EACH(uint8_t, dst, (float)x); break;
    case LEDGE_I8: DTYPE_EACH(int8_t, dst, (float)x); break;
    case LEDGE_BOOL: DTYPE_EACH(uint8_t, dst, x ? 1.0f : 0.0f); break;
    case LEDGE_U16: DTYPE_EACH(uint16_t, dst, (float)x); break;
    case LEDGE_I16: DTYPE_EACH(int16_t, dst, (float)x); break;
    case LEDGE_U32: DTYPE_EACH(uint32_t, dst, (float)x); break;
    case LEDGE_I32: DTYPE_EACH(int32_t, dst, (float)x); break;
    case LEDGE_U64: DTYPE_EACH(uint64_t, dst, (float)x); break;
    case LEDGE_I64: DTYPE_EACH(int64_t, dst, (float)x); break;
    case LEDGE_F8E4M3FN:
    case LEDGE_F8E4M3FNUZ:
    case LEDGE_F8E5M2:
    case LEDGE_F8E5M2FNUZ:
    case LEDGE_F8E8M0: dtype_small_array(d, src, dst, n); break;
    default:
      for (int64_t i = 0; i < n; i++) dst[i] = (float)dtype_load_f64(d, src, i);
  }
}

void dtype_from_f32(ledge_dtype d, const float *src, void *dst, int64_t n) {
  switch (d) {
    case LEDGE_F32: memcpy(dst, src, (size_t)n * sizeof *src); break;
    case LEDGE_F16: DTYPE_EACH(float, (uint16_t *)dst, dtype_narrow_f16(x)); break;
    case LEDGE_BF16: DTYPE_EACH(float, (uint16_t *)dst, dtype_narrow_bf16(x)); break;
    case LEDGE_F64: DTYPE_EACH(float, (double *)dst, (double)x); break;
    case LEDGE_F8E4M3FN:
    case LEDGE_F8E4M3FNUZ:
    case LEDGE_F8E5M2:
    case LEDGE_F8E5M2FNUZ:
    case LEDGE_F8E8M0: DTYPE_EACH(float, (uint8_t *)dst, dtype_f32_to_small(d, x, true)); break;
    default:
      for (int64_t i = 0; i < n; i++) dtype_store_f64(d, dst, i, src[i]);
  }
}
