/* base/digest: 128 bits that stand for a string of bytes, at the speed of memory: to see damage, and to tell contents
 * apart that nobody forges (it is no cryptographic hash). The same on every run; not on machines of other byte order.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct digest {
  uint64_t a, b;
} digest;

digest digest_bytes(const void *data, size_t size);

static inline bool digest_equal(digest x, digest y) { return x.a == y.a && x.b == y.b; }

#endif
