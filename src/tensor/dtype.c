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
  size_t bits = (size_t)ledge_dtype_bits(d);
  if (n < 0 || (uint64_t)n > SIZE_MAX - 7) return false;
  if (bits < 8) {
    size_t per = 8 / (bits ? bits : 8);
    *bytes = bits ? ((size_t)n + per - 1) / per : 0;
    return true;
  }
  return !__builtin_mul_overflow((size_t)n, bits / 8, bytes);
}

static uint32_t dtype_bits_of(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return u;
}

float dtype_f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 1023, u;
  if (e == 31) {
    u = sign | 0x7f800000u | (m << 13);
  } else if (e) {
    u = sign | ((e + 112) << 23) | (m << 13);
  } else {
    float v = (float)m * 0x1p-24f;
    return sign ? -v : v;
  }
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

uint16_t dtype_f32_to_f16(float f) {
  uint32_t u = dtype_bits_of(f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
  if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | ((a >> 13) & 0x3ff));
  if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); /* 65520 and above round to infinity */
  if (a < 0x38800000u) {                                  /* below 2^-14: subnormal; adding 0.5 rounds at 2^-24 */
    float m;
    memcpy(&m, &a, sizeof m);
    m += 0.5f;
    return (uint16_t)(sign | (dtype_bits_of(m) - 0x3f000000u));
  }
  a += 0xfff + ((a >> 13) & 1);
  return (uint16_t)(sign | ((a - 0x38000000u) >> 13));
}

uint16_t dtype_f64_to_f16(double f) {
  /* Rounds to odd into f32 first: the second rounding is then the right one (Boldo and Melquiond, 2008). */
  float g = (float)f;
  if (!isnan(f) && !isinf(g) && (double)g != f) {
    uint32_t u = dtype_bits_of(g);
    if (!(u & 1)) {
      bool up = fabs((double)g) < fabs(f);
      u = up ? u + 1 : u - 1;
      memcpy(&g, &u, sizeof g);
    }
  }
  return dtype_f32_to_f16(g);
}

uint16_t dtype_f32_to_bf16(float f) {
  uint32_t u = dtype_bits_of(f);
  if ((u & 0x7fffffff) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40);
  return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

/* The small floats as data: exponent and mantissa bits, bias, the largest finite magnitude, and what the specials are. */
typedef struct small_float {
  int e_bits, m_bits, bias;
  float max;
  uint8_t nan, inf; /* without the sign; inf 0: the format has none */
  bool fnuz;        /* no negative zero: 0x80 is NaN */
} small_float;

static const small_float *dtype_small(ledge_dtype d) {
  static const small_float e4m3fn = {4, 3, 7, 448, 0x7f, 0, false}, e4m3fnuz = {4, 3, 8, 240, 0x80, 0, true},
                           e5m2 = {5, 2, 15, 57344, 0x7f, 0x7c, false}, e5m2fnuz = {5, 2, 16, 57344, 0x80, 0, true},
                           e2m1 = {2, 1, 1, 6, 0, 0, false};
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
  uint8_t sign = (uint8_t)((bits >> width) & 1), a = (uint8_t)(bits & ((1u << width) - 1));
  if (s->fnuz && sign && !a) return NAN;
  if (!s->fnuz && d != LEDGE_F4E2M1) {
    if (s->inf && a == s->inf) return sign ? -INFINITY : INFINITY;
    if (s->inf ? a > s->inf : a == s->nan) return NAN;
  }
  int e = a >> s->m_bits, m = a & ((1 << s->m_bits) - 1);
  float v = e ? ldexpf((float)(m | (1 << s->m_bits)), e - s->bias - s->m_bits) : ldexpf((float)m, 1 - s->bias - s->m_bits);
  return sign ? -v : v;
}

static uint8_t dtype_f32_to_e8m0(float f, bool saturate) {
  /* A power of two and no sign: rounds up to the next power, as ONNX's Cast does by default (round_mode "up"). */
  if (isnan(f) || f < 0) return 255;
  if (isinf(f)) return saturate ? 254 : 255;
  int e;
  float m = frexpf(f, &e); /* f = m * 2^e, m in [0.5, 1) */
  if (f == 0) return 0;
  int up = m > 0.5f ? e : e - 1;
  if (up > 127) return saturate ? 254 : 255;
  return (uint8_t)(up < -127 ? 0 : up + 127);
}

uint8_t dtype_f32_to_small(ledge_dtype d, float f, bool saturate) {
  if (d == LEDGE_F8E8M0) return dtype_f32_to_e8m0(f, saturate);
  const small_float *s = dtype_small(d);
  assert(s);
  int width = s->e_bits + s->m_bits;
  uint8_t sign = (uint8_t)(signbit(f) ? 1u << width : 0);
  if (d == LEDGE_F4E2M1) { /* no specials: NaN becomes the largest value */
    if (isnan(f)) return 7;
    saturate = true;
  }
  if (isnan(f)) return s->fnuz ? 0x80 : (uint8_t)(sign | s->nan);
  float a = fabsf(f);
  if (isinf(f) && !saturate) return s->fnuz ? 0x80 : (uint8_t)(sign | (s->inf ? s->inf : s->nan));
  /* Round the magnitude on the format's grid. */
  int e;
  frexpf(a, &e);
  int exponent = e - 1 < 1 - s->bias ? 1 - s->bias : e - 1; /* of the grid's unit */
  float unit = ldexpf(1, exponent - s->m_bits), q = isinf(a) ? a : nearbyintf(a / unit) * unit;
  if (q > s->max) {
    if (!saturate) return s->fnuz ? 0x80 : (uint8_t)(sign | (s->inf ? s->inf : s->nan));
    q = s->max;
  }
  if (q == 0) return s->fnuz ? 0 : sign;
  frexpf(q, &e);
  int biased = e - 1 + s->bias, m;
  if (biased < 1) {
    m = (int)ldexpf(q, s->m_bits + s->bias - 1);
    biased = 0;
  } else {
    m = (int)ldexpf(q, s->m_bits - (e - 1)) - (1 << s->m_bits);
  }
  return (uint8_t)(sign | (uint8_t)((biased << s->m_bits) + m));
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

static double dtype_clamp(double v, double low, double high) { return isnan(v) ? 0 : v < low ? low : v > high ? high : v; }

void dtype_store_f64(ledge_dtype d, void *p, int64_t i, double v) {
  switch (d) {
    case LEDGE_F32: ((float *)p)[i] = (float)v; break;
    case LEDGE_F64: ((double *)p)[i] = v; break;
    case LEDGE_F16: ((uint16_t *)p)[i] = dtype_f64_to_f16(v); break;
    case LEDGE_BF16: ((uint16_t *)p)[i] = dtype_f32_to_bf16((float)v); break;
    case LEDGE_C64: ((float *)p)[2 * i] = (float)v, ((float *)p)[2 * i + 1] = 0; break;
    case LEDGE_C128: ((double *)p)[2 * i] = v, ((double *)p)[2 * i + 1] = 0; break;
    case LEDGE_F8E4M3FN:
    case LEDGE_F8E4M3FNUZ:
    case LEDGE_F8E5M2:
    case LEDGE_F8E5M2FNUZ:
    case LEDGE_F8E8M0: ((uint8_t *)p)[i] = dtype_f32_to_small(d, (float)v, true); break;
    case LEDGE_F4E2M1: dtype_packed_put(p, i, 4, dtype_f32_to_small(d, (float)v, true)); break;
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
    case LEDGE_DTYPE_NONE:
    case LEDGE_STRING: break;
    default: dtype_store_f64(d, p, i, (double)v);
  }
}

void dtype_to_f32(ledge_dtype d, const void *src, float *dst, int64_t n) {
  switch (d) {
    case LEDGE_F32: memcpy(dst, src, (size_t)n * sizeof *dst); break;
    case LEDGE_F16:
      for (int64_t i = 0; i < n; i++) dst[i] = dtype_f16_to_f32(((const uint16_t *)src)[i]);
      break;
    case LEDGE_BF16:
      for (int64_t i = 0; i < n; i++) dst[i] = dtype_bf16_to_f32(((const uint16_t *)src)[i]);
      break;
    default:
      for (int64_t i = 0; i < n; i++) dst[i] = (float)dtype_load_f64(d, src, i);
  }
}

void dtype_from_f32(ledge_dtype d, const float *src, void *dst, int64_t n) {
  switch (d) {
    case LEDGE_F32: memcpy(dst, src, (size_t)n * sizeof *src); break;
    case LEDGE_F16:
      for (int64_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = dtype_f32_to_f16(src[i]);
      break;
    case LEDGE_BF16:
      for (int64_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = dtype_f32_to_bf16(src[i]);
      break;
    default:
      for (int64_t i = 0; i < n; i++) dtype_store_f64(d, dst, i, src[i]);
  }
}
