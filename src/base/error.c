/* base/error: see error.h. Names in a message come from files: control characters, which a terminal would obey, become
 * '?', and what is longer than the public struct's fixed size is cut at a whole UTF-8 character. */
#include "base/error.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STATUS(number, name, text) _Static_assert(LEDGE_##name == (number), "status.def and types.h disagree");
#include "base/status.def"
#undef STATUS

const char *ledge_status_name(ledge_status status) {
  switch (status) {
#define STATUS(number, name, text) \
  case LEDGE_##name:               \
    return "LEDGE_" #name;
#include "base/status.def"
#undef STATUS
  }
  return "LEDGE_ERROR_UNKNOWN";
}

const char *ledge_status_text(ledge_status status) {
  switch (status) {
#define STATUS(number, name, text) \
  case LEDGE_##name:               \
    return text;
#include "base/status.def"
#undef STATUS
  }
  return "unknown status";
}

static void error_clean(char *text) {
  size_t size = strlen(text), at = 0;
  while (at < size) {
    uint32_t code;
    size_t n = utf8_decode(text + at, size - at, &code);
    bool cut = !n && size - at < 4 && (text[at] & 0xc0) == 0xc0; /* the start of a character at the end */
    if (cut) {
      text[at] = 0;
      return;
    }
    bool control = n && (code < 0x20 || (code >= 0x7f && code < 0xa0)) && code != '\n';
    if (!n || control) memset(text + at, '?', n ? n : 1);
    at += n ? n : 1;
  }
}

/* Formats into a text of our own first: an argument may be the old message. */
static int error_format(char *to, size_t size, const char *format, va_list args) {
  char text[sizeof((ledge_error *)0)->message];
  int n = vsnprintf(text, size < sizeof text ? size : sizeof text, format, args);
  if (n < 0) text[0] = 0;
  error_clean(text);
  memcpy(to, text, strlen(text) + 1);
  return (int)strlen(text);
}

static ledge_status error_vset(ledge_error *error, ledge_status code, uint64_t offset, const char *format,
                               va_list args) {
  if (!error) return code;
  error_format(error->message, sizeof error->message, format, args);
  error->code = code;
  error->offset = offset;
  error->node[0] = 0;
  return code;
}

ledge_status error_set(ledge_error *error, ledge_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  error_vset(error, code, UINT64_MAX, format, args);
  va_end(args);
  return code;
}

ledge_status error_set_at(ledge_error *error, ledge_status code, uint64_t offset, const char *format, ...) {
  va_list args;
  va_start(args, format);
  error_vset(error, code, offset, format, args);
  va_end(args);
  return code;
}

ledge_status error_prefix(ledge_error *error, ledge_status code, const char *format, ...) {
  if (!error) return code;
  char old[sizeof error->message];
  memcpy(old, error->message, sizeof old);
  va_list args;
  va_start(args, format);
  int n = error_format(error->message, sizeof error->message, format, args);
  va_end(args);
  snprintf(error->message + n, sizeof error->message - (size_t)n, ": %s", old);
  error_clean(error->message);
  return code;
}

void error_node(ledge_error *error, const char *node) {
  if (!error || !node || error->node[0]) return;
  snprintf(error->node, sizeof error->node, "%s", node);
  error_clean(error->node);
}

ledge_status error_memory(ledge_error *error, size_t bytes, const char *what) {
  return error_set(error, LEDGE_ERROR_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}
