/* ops/lookup_util: see lookup_util.h. Open addressing, at most half full. */
#include "ops/lookup_util.h"

static uint64_t hash_string(ledge_string s) {
  uint64_t h = s.size, word;
  size_t i = 0;
  for (; s.size - i >= 8; i += 8) {
    memcpy(&word, s.data + i, 8);
    h = lookup_mix(h ^ word) + 1;
  }
  word = 0;
  if (i < s.size) memcpy(&word, s.data + i, s.size - i);
  return lookup_mix(h ^ word);
}

static bool string_equal(ledge_string a, ledge_string b) {
  return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}

/* The slot of a key, or the free one where it would stand. */
static uint64_t slot_int(const lookup *l, int64_t key) {
  uint64_t at = lookup_mix((uint64_t)key) & l->mask;
  while (l->slots[at] && l->ints[l->slots[at] - 1] != key) at = (at + 1) & l->mask;
  return at;
}

static uint64_t slot_string(const lookup *l, ledge_string key) {
  uint64_t at = hash_string(key) & l->mask;
  while (l->slots[at] && !string_equal(l->strings[l->slots[at] - 1], key)) at = (at + 1) & l->mask;
  return at;
}

ledge_status lookup_init(op_ctx *c, arena *a, lookup *l, const int64_t *ints, const ledge_string *strings, int64_t n,
                         bool last_wins) {
  uint64_t size = 16;
  while (size < 2 * (uint64_t)n) size *= 2;
  *l = (lookup){ints, strings, arena_alloc_array(a, size, sizeof *l->slots), size - 1};
  if (!l->slots) return error_memory(c->error, size * sizeof *l->slots, "a table");
  for (int64_t i = 0; i < n; i++) {
    uint64_t at = ints ? slot_int(l, ints[i]) : slot_string(l, strings[i]);
    if (!l->slots[at] || last_wins) l->slots[at] = i + 1;
  }
  return LEDGE_OK;
}

int64_t lookup_int(const lookup *l, int64_t key) { return l->slots[slot_int(l, key)] - 1; }
int64_t lookup_string(const lookup *l, ledge_string key) { return l->slots[slot_string(l, key)] - 1; }

int64_t lookup_number_key(double v) {
  if (v != v) return INT64_C(0x7ff8000000000000);
  if (v == 0) v = 0;
  int64_t bits;
  memcpy(&bits, &v, sizeof bits);
  return bits;
}
