/* formats/tflite/flexbuffer: the integers of a FlexBuffers map (https://flatbuffers.dev/flexbuffers), which holds the
 * options of custom operators:
 *
 *   ... keys ... [back to the keys | bytes of a key's offset | size | values ... | a type each ] ... [back to the map]
 *                                                            ^ the map         [type] [bytes]  the end
 *
 * All numbers of a map have its own width; offsets count back from where they stand, and are tested before they are
 * followed. */
#include "formats/tflite/read.h"

enum { FLEX_INT = 1, FLEX_UINT = 2, FLEX_MAP = 9, FLEX_BOOL = 26 };

/* An unsigned number of `width` bytes at `at`; false where it is outside. */
static bool number(const fb_vector *b, size_t at, size_t width, uint64_t *ret) {
  if (width > 8 || (width & (width - 1)) || !width || at > b->count || width > b->count - at) return false;
  *ret = 0;
  memcpy(ret, b->data + at, width);
  return true;
}

static bool follow_back(const fb_vector *b, size_t at, size_t width, size_t *ret) {
  uint64_t by;
  if (!number(b, at, width, &by) || by > at) return false;
  *ret = at - (size_t)by;
  return true;
}

static int64_t extended(uint64_t v, size_t width) {
  int by = 64 - 8 * (int)width;
  return (int64_t)(v << by) >> by;
}

bool tfl_flex_int(const fb_vector *b, const char *key, int64_t *ret) {
  size_t n = strlen(key), at, keys;
  uint64_t size, key_width;
  if (b->count < 3) return false;
  size_t root_width = b->data[b->count - 1], width;
  uint8_t type = b->data[b->count - 2];
  if (type >> 2 != FLEX_MAP || !root_width || root_width > 8 || root_width > (size_t)b->count - 2) return false;
  if (!follow_back(b, b->count - 2 - root_width, root_width, &at)) return false;
  width = (size_t)1 << (type & 3);
  if (at < 3 * width || !number(b, at - width, width, &size) || !number(b, at - 2 * width, width, &key_width) ||
      !follow_back(b, at - 3 * width, width, &keys))
    return false;
  if (size > b->count / width || key_width > 8) return false;
  for (uint64_t i = 0; i < size; i++) {
    size_t text;
    uint64_t v;
    if (keys > b->count || i * key_width > b->count - keys ||
        !follow_back(b, keys + (size_t)(i * key_width), (size_t)key_width, &text))
      return false;
    if (text > b->count || n >= b->count - text || memcmp(b->data + text, key, n + 1)) continue;
    size_t where = at + (size_t)i * width, kind = at + (size_t)size * width + (size_t)i;
    if (kind >= b->count || !number(b, where, width, &v)) return false;
    int t = b->data[kind] >> 2;
    if (t != FLEX_INT && t != FLEX_UINT && t != FLEX_BOOL) return false;
    *ret = t == FLEX_INT ? extended(v, width) : (int64_t)v;
    return true;
  }
  return false;
}
