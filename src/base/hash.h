/* base/hash: a map from byte strings to int32, for the names of a file that is being read.
 *
 *   slots [ | k,v | | k,v | k,v | | | ]    open addressing, a power of two of slots, at most 3/4 of them taken
 *
 * Keys are not copied: the caller keeps their bytes as long as the map. The hash is SipHash-1-3 (Aumasson and
 * Bernstein, 2012) under a key of each map's own, so that no file can be made whose names collide. Nothing is ever
 * removed. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

typedef struct hash_slot {
  const char *key; /* NULL: free */
  size_t size;
  uint32_t mark; /* upper bits of the hash */
  int32_t value;
} hash_slot;

typedef struct hash {
  hash_slot *slots;
  size_t n_slots, count;
  uint64_t seed[2];
} hash;

static inline uint64_t hash_rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static inline void hash_round(uint64_t v[4]) {
  v[0] += v[1], v[2] += v[3];
  v[1] = hash_rotate(v[1], 13) ^ v[0], v[3] = hash_rotate(v[3], 16) ^ v[2];
  v[0] = hash_rotate(v[0], 32);
  v[2] += v[1], v[0] += v[3];
  v[1] = hash_rotate(v[1], 17) ^ v[2], v[3] = hash_rotate(v[3], 21) ^ v[0];
  v[2] = hash_rotate(v[2], 32);
}

static inline uint64_t hash_bytes(const uint64_t seed[2], const char *key, size_t size) {
  uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                   seed[1] ^ 0x7465646279746573u};
  size_t left = size;
  for (; left >= 8; left -= 8, key += 8) {
    uint64_t word;
    memcpy(&word, key, 8);
    v[3] ^= word;
    hash_round(v);
    v[0] ^= word;
  }
  uint64_t last = 0;
  if (left) memcpy(&last, key, left);
  last |= (uint64_t)size << 56;
  v[3] ^= last;
  hash_round(v);
  v[0] ^= last;
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++) hash_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline void hash_init(hash *h) { *h = (hash){0}; }

static inline void hash_deinit(hash *h) {
  mem_free(h->slots);
  *h = (hash){0};
}

static inline hash_slot *hash_find_slot(const hash *h, uint64_t code, const char *key, size_t size) {
  size_t mask = h->n_slots - 1;
  for (size_t i = (size_t)code & mask;; i = (i + 1) & mask) {
    hash_slot *s = &h->slots[i];
    if (!s->key || (s->mark == (uint32_t)(code >> 32) && s->size == size && !memcmp(s->key, key, size))) return s;
  }
}

/* Makes room for `count` keys in all; false when out of memory. */
static inline bool hash_reserve(hash *h, size_t count) {
  size_t want = h->n_slots ? h->n_slots : 8;
  while (want / 4 * 3 < count) {
    if (want > SIZE_MAX / 2) return false;
    want *= 2;
  }
  if (want == h->n_slots) return true;
  hash wider = {.slots = mem_alloc_array(want, sizeof *wider.slots), .n_slots = want, .count = h->count};
  if (!wider.slots) return false;
  uint64_t x = clock_now_ns() ^ (uint64_t)(uintptr_t)wider.slots << 20;
  for (int i = 0; i < 2; i++) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    wider.seed[i] = x ^ x >> 31;
  }
  for (size_t i = 0; i < h->n_slots; i++) {
    hash_slot *old = &h->slots[i];
    if (!old->key) continue;
    uint64_t code = hash_bytes(wider.seed, old->key, old->size);
    hash_slot *s = hash_find_slot(&wider, code, old->key, old->size);
    *s = *old;
    s->mark = (uint32_t)(code >> 32);
  }
  mem_free(h->slots);
  *h = wider;
  return true;
}

/* The value of a key, in *ret; false where there is none. */
static inline bool hash_get(const hash *h, const char *key, size_t size, int32_t *ret) {
  if (!h->count) return false;
  const hash_slot *s = hash_find_slot(h, hash_bytes(h->seed, key, size), key, size);
  if (s->key) *ret = s->value;
  return s->key != NULL;
}

typedef enum hash_put_result { HASH_NEW, HASH_REPLACED, HASH_NO_MEMORY } hash_put_result;

/* Sets the value of a key, new or not. `key` is not NULL, also where size is 0. */
static inline hash_put_result hash_put(hash *h, const char *key, size_t size, int32_t value) {
  if (!hash_reserve(h, h->count + 1)) return HASH_NO_MEMORY;
  uint64_t code = hash_bytes(h->seed, key, size);
  hash_slot *s = hash_find_slot(h, code, key, size);
  bool fresh = !s->key;
  *s = (hash_slot){.key = key, .size = size, .mark = (uint32_t)(code >> 32), .value = value};
  h->count += fresh;
  return fresh ? HASH_NEW : HASH_REPLACED;
}

#endif
