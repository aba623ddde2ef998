/* base/reader: the one bounded reader that all foreign bytes go through.
 *
 *   data [0 ........ pos ........ size)      every take tests n <= size - pos (subtracts, never adds)
 *
 * After a failed take the reader is unchanged and the take returns false; the caller makes the error, with
 * reader_offset() as its place. */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct reader {
  const uint8_t *data;
  size_t size, pos;
  uint64_t base; /* the file offset of data[0] */
} reader;

/* data may be NULL where size is 0. */
static inline reader reader_make(const void *data, size_t size, uint64_t base) {
  return (reader){.data = data ? (const uint8_t *)data : (const uint8_t *)"", .size = size, .base = base};
}
static inline size_t reader_left(const reader *r) { return r->size - r->pos; }
static inline bool reader_end(const reader *r) { return r->pos == r->size; }
static inline uint64_t reader_offset(const reader *r) { return r->base + r->pos; }

/* The next n bytes in place, or NULL. */
static inline const uint8_t *reader_take(reader *r, size_t n) {
  if (n > reader_left(r)) return NULL;
  const uint8_t *p = r->data + r->pos;
  r->pos += n;
  return p;
}
static inline bool reader_skip(reader *r, size_t n) { return reader_take(r, n) != NULL; }
/* A reader over the next n bytes, which this one passes. */
static inline bool reader_sub(reader *r, size_t n, reader *sub) {
  uint64_t at = reader_offset(r);
  const uint8_t *p = reader_take(r, n);
  if (!p) return false;
  *sub = reader_make(p, n, at);
  return true;
}
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ledge reads and maps little-endian files in place: it runs on little-endian machines"
#endif
#define READER_SCALAR(name, type)                        \
  static inline bool reader_##name(reader *r, type *v) { \
    const uint8_t *p = reader_take(r, sizeof *v);        \
    if (p) memcpy(v, p, sizeof *v);                      \
    return p != NULL;                                    \
  }
READER_SCALAR(u8, uint8_t)
READER_SCALAR(u16le, uint16_t)
READER_SCALAR(u32le, uint32_t)
READER_SCALAR(u64le, uint64_t)
READER_SCALAR(f32le, float)
#undef READER_SCALAR
/* A base-128 varint of at most ten bytes, as protobuf writes it. */
static inline bool reader_varint(reader *r, uint64_t *v) {
  uint64_t x = 0;
  for (int i = 0; i < 10; i++) {
    if ((size_t)i >= reader_left(r)) return false;
    uint8_t b = r->data[r->pos + (size_t)i];
    x |= (uint64_t)(b & 127) << (7 * i);
    if (b < 128) {
      r->pos += (size_t)i + 1;
      *v = x;
      return true;
    }
  }
  return false;
}

#endif
