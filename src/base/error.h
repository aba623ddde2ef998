/* base/error: filling a ledge_error at its origin and prefixing it on the way up.
 *
 *   return error_set(error, LEDGE_ERROR_FORMAT, "field %u is truncated", field);   // at the origin
 *   if (status) return error_prefix(error, status, "loading %s", path);            // a level up: "loading m.onnx:
 * field ..."
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "ledge/types.h"

/* Fills *error (which may be NULL) and returns `code`. */
ledge_status error_set(ledge_error *error, ledge_status code, const char *format, ...) LEDGE_PRINTF(3, 4);
/* The same with the byte offset of the fault. */
ledge_status error_set_at(ledge_error *error, ledge_status code, uint64_t offset, const char *format, ...)
    LEDGE_PRINTF(4, 5);
/* Puts "prefix: " before the message, keeps the code, returns it. */
ledge_status error_prefix(ledge_error *error, ledge_status code, const char *format, ...) LEDGE_PRINTF(3, 4);
/* Names the node at fault, if none is named yet. */
void error_node(ledge_error *error, const char *node);
/* "out of memory: N bytes for WHAT". */
ledge_status error_memory(ledge_error *error, size_t bytes, const char *what);

#define TRY(expression)                \
  do {                                 \
    ledge_status try_ = (expression);  \
    if (try_ != LEDGE_OK) return try_; \
  } while (0)

#endif
