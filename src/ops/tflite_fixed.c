/* ops/tflite_fixed: see tflite_fixed.h. Constants are written for 32 bits; 16 bits take their upper halves, rounded. */
#include "ops/tflite_fixed.h"

static int32_t top(int bits) { return bits == 16 ? INT16_MAX : INT32_MAX; }
static int32_t constant(int bits, int32_t v) { return bits == 16 ? fixed_shift_right(v, 16) : v; }

static int32_t saturate(int bits, int64_t v) {
  int64_t most = top(bits);
  return (int32_t)(v > most ? most : v < -most - 1 ? -most - 1 : v);
}

static int32_t shift_left(int bits, int32_t v, int by) { return saturate(bits, (int64_t)v * ((int64_t)1 << by)); }

int32_t tflite_high_mul(int bits, int32_t a, int32_t b) {
  if (bits == 32) return fixed_high_mul(a, b);
  if (a == b && a == INT16_MIN) return INT16_MAX;
  return (a * b + (1 << 14)) >> 15;
}

/* e^a for a in [-1/4, 0): Taylor's polynomial about -1/8. */
static int32_t exp_quarter(int bits, int32_t a) {
  int32_t base = constant(bits, 1895147668), third = constant(bits, 715827883);
  int32_t x = a + (1 << (bits - 4)), x2 = tflite_high_mul(bits, x, x), x3 = tflite_high_mul(bits, x2, x),
          x4 = tflite_high_mul(bits, x2, x2);
  int32_t rest = fixed_shift_right(tflite_high_mul(bits, fixed_shift_right(x4, 2) + x3, third) + x2, 1);
  return saturate(bits, (int64_t)base + tflite_high_mul(bits, base, x + rest));
}

int32_t tflite_exp(int bits, int integer, int32_t a) {
  static const int32_t factors[] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  int fraction = bits - 1 - integer;
  int32_t quarter = 1 << (fraction - 2);
  if (!a) return top(bits);
  int32_t part = (a & (quarter - 1)) - quarter, y = exp_quarter(bits, shift_left(bits, part, integer)), rest = part - a;
  for (int i = 0; i < 7; i++) /* e^-(2^(i - 2)) for each bit of the quarters */
    if (integer > i - 2 && (rest >> (fraction + i - 2) & 1)) y = tflite_high_mul(bits, y, constant(bits, factors[i]));
  if (integer > 5 && a < constant(bits, -(1 << (36 - integer)))) return 0;
  return y;
}

/* About 1 / ((1 + a) / 2) in Q2: Newton's steps from 48/17 - 32/17 d. */
static int32_t newton(int bits, int32_t a) {
  int64_t sum = (int64_t)a + top(bits);
  int32_t half = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
  int32_t x = constant(bits, 1515870810) + tflite_high_mul(bits, half, constant(bits, -1010580540));
  for (int i = 0; i < 3; i++) {
    int32_t left = (1 << (bits - 3)) - tflite_high_mul(bits, half, x);
    x += shift_left(bits, tflite_high_mul(bits, x, left), 2);
  }
  return x;
}

int32_t tflite_reciprocal(int bits, int32_t a) { return shift_left(bits, newton(bits, a), 1); }

int32_t tflite_logistic(int bits, int integer, int32_t a) {
  if (!a) return 1 << (bits - 2);
  int32_t y = tflite_reciprocal(bits, tflite_exp(bits, integer, a > 0 ? -a : a));
  return a > 0 ? y : top(bits) - y;
}

int32_t tflite_tanh(int bits, int integer, int32_t a) {
  if (!a) return 0;
  int32_t e = tflite_exp(bits, integer + 1, a > 0 ? -a : a); /* e^(-2 |a|): the same word with one more integer bit */
  int32_t y = shift_left(bits, newton(bits, e) - (1 << (bits - 3)), 2);
  return a > 0 ? y : -y;
}
