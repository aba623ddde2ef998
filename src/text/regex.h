/* text/regex: does a whole string match a pattern? For RegexFullMatch, whose patterns are RE2's. Runs on PCRE2
 * (LEDGE_WITH_PCRE2) in UTF-8 mode; what RE2 lacks (look-around, back references) is accepted where it matches quickly.
 *
 * No pattern hangs: backtracking is tried within REGEX_STEPS_MAX; a pattern that explodes there, such as (a+)+b, is run
 * again without backtracking, all alternatives side by side, within a budget of its own; past that, LEDGE_ERROR_LIMIT.
 */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include "ledge/types.h"

#define REGEX_PATTERN_BYTES_MAX 65536
#define REGEX_STEPS_MAX 1000000

typedef struct regex regex;

/* Compiles `size` bytes of UTF-8. Errors: ARGUMENT (not a regular expression: says where and why), LIMIT, UNSUPPORTED
 * (built without PCRE2), MEMORY. */
ledge_status regex_compile(const char *pattern, size_t size, regex **ret, ledge_error *error);
void regex_destroy(regex *r); /* NULL passes */
/* *ret_matches: whether the pattern matches all of the text, which must be UTF-8 (else LEDGE_ERROR_DATA). One regex may
 * serve several threads. */
ledge_status regex_full_match(const regex *r, const char *text, size_t size, bool *ret_matches, ledge_error *error);

#endif
