/* base/error: see error.h. Truncates silently at the message's fixed size, which is part of the public struct. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STATUS(number, name, text) _Static_assert(LEDGE_##name == (number), "status.def and types.h disagree");
#include "base/status.def"
#undef STATUS

const char *ledge_status_name(ledge_status status) {
  switch (status) {
#define STATUS(number, name, text) \
  case LEDGE_##name: return "LEDGE_" #name;
#include "base/status.def"
#undef STATUS
  }
  return "LEDGE_ERROR_UNKNOWN";
}

const char *ledge_status_text(ledge_status status) {
  switch (status) {
#define STATUS(number, name, text) \
  case LEDGE_##name: return text;
#include "base/status.def"
#undef STATUS
  }
  return "unknown status";
}

static ledge_status error_vset(ledge_error *error, ledge_status code, uint64_t offset, const char *format,
                               va_list args) {
  if (!error) return code;
  error->code = code;
  error->offset = offset;
  error->node[0] = 0;
  vsnprintf(error->message, sizeof error->message, format, args);
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
  int n = vsnprintf(error->message, sizeof error->message, format, args);
  va_end(args);
  if (n >= 0 && (size_t)n < sizeof error->message)
    snprintf(error->message + n, sizeof error->message - (size_t)n, ": %s", old);
  return code;
}

void error_node(ledge_error *error, const char *node) {
  if (error && node && !error->node[0]) snprintf(error->node, sizeof error->node, "%s", node);
}

ledge_status error_memory(ledge_error *error, size_t bytes, const char *what) {
  return error_set(error, LEDGE_ERROR_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}
