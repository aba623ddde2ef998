/* text/unicode: UTF-8 strings: checking, stepping, case and accents.
 *
 * Case mapping is the full one of the Unicode standard without locale (one character may become several: "ß" -> "SS",
 * and a capital sigma at the end of a word becomes "ς"), as Python's str.upper and str.lower. It needs
 * LEDGE_WITH_UTF8PROC; without it only ASCII letters change. Bytes that are not UTF-8 are copied as they are. Any
 * thread. */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include "ledge/types.h"

/* A string that grows, on the heap: `data` is NUL-terminated and mem_free'd by unicode_text_deinit. Zero is empty. */
typedef struct unicode_text {
  char *data;
  size_t size, capacity;
} unicode_text;
void unicode_text_deinit(unicode_text *text);
bool unicode_text_append(unicode_text *text, const char *data, size_t size); /* false: out of memory */

/* True where all bytes are UTF-8: no overlong form, no surrogate, at most U+10FFFF. */
bool unicode_valid(const char *text, size_t size);
/* The code point at *at (< end), which moves on behind it; -1 and one byte further where the bytes are not UTF-8. */
int32_t unicode_next(const char **at, const char *end);
/* UTF-8 of a code point into out; the number of bytes, 1 to 4, or 0 where it is none. */
int unicode_encode(int32_t code_point, char out[4]);
/* Code points of a string; each byte that is not UTF-8 counts as one. */
size_t unicode_length(const char *text, size_t size);

/* Each empties *out, then writes the mapped text to it. Error MEMORY only. */
ledge_status unicode_upper(const char *text, size_t size, unicode_text *out, ledge_error *error);
ledge_status unicode_lower(const char *text, size_t size, unicode_text *out, ledge_error *error);
/* Compatibility decomposition, then the combining marks dropped: "é" -> "e". ASCII passes as it is. */
ledge_status unicode_strip_accents(const char *text, size_t size, unicode_text *out, ledge_error *error);

#endif
