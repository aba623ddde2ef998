/* ops/draw: the random numbers of operators. With a seed of their own they are the draws of ONNX's reference
 * implementation, numpy's RandomState(seed): the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), doubles of
 * 53 bits, the polar method for normals, inversion for binomials. Without, they come from the session's generator. */
#ifndef OPS_DRAW_H
#define OPS_DRAW_H

#include "base/rng.h"

#include <stdbool.h>
#include <stdint.h>

enum { DRAW_WORDS = 624 };

typedef struct draw {
  rng *shared; /* NULL where seeded */
  uint32_t words[DRAW_WORDS];
  int used;
  bool has_normal; /* the polar method makes two at a time */
  double normal;
} draw;

/* A seed that is no whole number is cut to one; only its low 32 bits count. shared NULL and not seeded: seed 0. */
void draw_init(draw *d, rng *shared, bool seeded, double seed);
double draw_uniform(draw *d); /* in [0, 1) */
double draw_normal(draw *d);  /* mean 0, deviation 1 */
bool draw_bernoulli(draw *d, double p);

#endif
