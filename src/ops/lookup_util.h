/* ops/lookup_util: from a key (integer, number or string) to its place in a list, by hashing: O(keys) to build, O(1) to
 * ask. For the encoders of ai.onnx.ml and TfIdfVectorizer. */
#ifndef OPS_LOOKUP_UTIL_H
#define OPS_LOOKUP_UTIL_H

#include "ops/op.h"

typedef struct lookup {
  const int64_t *ints;         /* the keys: these, */
  const ledge_string *strings; /* or these; borrowed */
  int64_t *slots;              /* place + 1, or 0 where free */
  uint64_t mask;
} lookup;

/* In memory of the arena, for n keys. One of ints and strings is NULL (both, where n is 0). Of equal keys the first
 * counts, or the last where last_wins. The keys must live as long as the lookup. Error: MEMORY. */
ledge_status lookup_init(op_ctx *c, arena *a, lookup *l, const int64_t *ints, const ledge_string *strings, int64_t n,
                         bool last_wins);
/* The place of a key, or -1. */
int64_t lookup_int(const lookup *l, int64_t key);
int64_t lookup_string(const lookup *l, ledge_string key);

/* A number as a key: equal numbers have equal keys (0 and -0 too), and so have all NaNs. */
int64_t lookup_number_key(double v);

/* Mixes 64 bits so that each bit of the result hangs on all of them. */
static inline uint64_t lookup_mix(uint64_t h) {
  h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
  h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
  return h ^ h >> 32;
}

#endif
