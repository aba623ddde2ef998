/* ops/draw: see draw.h. */
#include "ops/draw.h"

#include <math.h>
#include <stddef.h>

void draw_init(draw *d, rng *shared, bool seeded, double seed) {
  d->shared = seeded ? NULL : shared;
  d->has_normal = false;
  d->used = DRAW_WORDS;
  if (d->shared) return;
  uint32_t word = seeded && fabs(seed) < 0x1p63 ? (uint32_t)(int64_t)seed : 0;
  for (uint32_t i = 0; i < DRAW_WORDS; i++) {
    d->words[i] = word;
    word = 1812433253u * (word ^ (word >> 30)) + i + 1;
  }
}

static void draw_refill(draw *d) {
  enum { N = DRAW_WORDS, M = 397 };
  uint32_t *w = d->words;
  for (int i = 0; i < N; i++) {
    uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % N] & 0x7fffffffu);
    w[i] = w[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
  }
  d->used = 0;
}

static uint32_t draw_u32(draw *d) {
  if (d->used == DRAW_WORDS) draw_refill(d);
  uint32_t y = d->words[d->used++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

double draw_uniform(draw *d) {
  if (d->shared) return rng_uniform(d->shared);
  uint32_t high = draw_u32(d) >> 5, low = draw_u32(d) >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

double draw_normal(draw *d) {
  if (d->shared) return rng_normal(d->shared);
  if (d->has_normal) {
    d->has_normal = false;
    return d->normal;
  }
  for (;;) {
    double u = 2 * draw_uniform(d) - 1, v = 2 * draw_uniform(d) - 1, q = u * u + v * v;
    if (q >= 1 || q == 0) continue;
    double f = sqrt(-2 * log(q) / q);
    d->normal = f * u;
    d->has_normal = true;
    return f * v;
  }
}

/* One trial of a binomial by inversion, drawn as numpy draws it: of the rarer outcome. */
static bool draw_rare(draw *d, double p) {
  double q = 1 - p, left = q > 0 ? exp(log(q)) : 0;
  return draw_uniform(d) > left;
}

bool draw_bernoulli(draw *d, double p) { return p <= 0.5 ? draw_rare(d, p) : !draw_rare(d, 1 - p); }
