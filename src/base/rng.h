/* base/rng: reproducible random numbers: xoshiro256** seeded by splitmix64 (Blackman and Vigna, 2018). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

typedef struct rng {
  uint64_t s[4];
} rng;

void rng_init(rng *r, uint64_t seed);
uint64_t rng_u64(rng *r);
double rng_uniform(rng *r); /* in [0, 1) with 53 bits */
double rng_normal(rng *r);  /* mean 0, deviation 1, by the polar method */

#endif
