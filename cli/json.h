/* cli/json: writes JSON to a stream, commas and escapes taken care of.
 *
 *   json_open(&j, '{'); json_key(&j, "runs"); json_int(&j, 12); json_close(&j, '}'); json_end(&j);
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct json {
  FILE *out;
  bool comma, keyed;
} json;

json json_start(FILE *out);
void json_open(json *j, char bracket); /* { or [ */
void json_close(json *j, char bracket);
void json_key(json *j, const char *key);
void json_text(json *j, const char *text); /* NULL: null; what is no UTF-8 is replaced */
void json_text_n(json *j, const char *text, size_t size);
void json_int(json *j, int64_t v);
void json_real(json *j, double v); /* NaN and infinities: null */
void json_bool(json *j, bool v);
void json_end(json *j); /* a line end, flushed */

#endif
