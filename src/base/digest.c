/* base/digest: see digest.h. Eight lanes take a word each in turn, so that their multiplications overlap; SipHash makes
 * 128 bits of the lanes and of what is left.
 *
 *   lane = rotate(lane ^ word, 31) * odd       a bijection of both lane and word: one changed word always shows
 */
#include "base/digest.h"

#include "base/hash.h"

enum { LANES = 8 };

digest digest_bytes(const void *data, size_t size) {
  static const uint64_t seeds[2][2] = {{0x8b5f2c1d9e3a4760u, 0x1f83d9abfb41bd6bu},
                                       {0x5be0cd19137e2179u, 0x9b05688c2b3e6c1fu}};
  struct {
    uint64_t lanes[LANES], size, tail[LANES];
  } end = {.size = size};
  const unsigned char *at = data;
  for (int i = 0; i < LANES; i++) end.lanes[i] = seeds[0][0] + (uint64_t)i * seeds[1][1];
  for (; size >= sizeof end.lanes; size -= sizeof end.lanes, at += sizeof end.lanes) {
    uint64_t words[LANES];
    memcpy(words, at, sizeof words);
    for (int i = 0; i < LANES; i++) end.lanes[i] = hash_rotate(end.lanes[i] ^ words[i], 31) * 0x9e3779b97f4a7c15u;
  }
  if (size) memcpy(end.tail, at, size);
  return (digest){hash_bytes(seeds[0], (const char *)&end, sizeof end),
                  hash_bytes(seeds[1], (const char *)&end, sizeof end)};
}
