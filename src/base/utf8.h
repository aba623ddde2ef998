/* base/utf8: UTF-8 as RFC 3629 has it: at most four bytes, no surrogates, no longer form than needed. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at the start of text[0, size) and the bytes that it takes, 1 to 4; 0 where malformed or at the end. */
static inline size_t utf8_decode(const char *text, size_t size, uint32_t *ret_code) {
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  const unsigned char *p = (const unsigned char *)text;
  if (!size) return 0;
  if (p[0] < 0x80) {
    *ret_code = p[0];
    return 1;
  }
  size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4 || n > size) return 0;
  uint32_t code = p[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (p[i] & 0x3f);
  }
  if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
  *ret_code = code;
  return n;
}

/* The bytes of a code point, 1 to 4, into text; 0 where it is none (a surrogate, or above U+10FFFF). */
static inline size_t utf8_encode(uint32_t code, char text[4]) {
  if (code < 0x80) {
    text[0] = (char)code;
    return 1;
  }
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
  size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = n - 1; i > 0; i--, code >>= 6) text[i] = (char)(0x80 | (code & 0x3f));
  text[0] = (char)((0xf00u >> n & 0xff) | code);
  return n;
}

static inline bool utf8_valid(const char *text, size_t size) {
  uint32_t code;
  for (size_t at = 0, n; at < size; at += n)
    if (!(n = utf8_decode(text + at, size - at, &code))) return false;
  return true;
}

#endif
