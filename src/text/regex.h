/* text/regex: does a whole string match a pattern? For RegexFullMatch, whose patterns are RE2's. Runs on PCRE2
 * (LEDGE_WITH_PCRE2) in UTF-8 mode; of what RE2 lacks, look-around is accepted and back references are refused.
 *
 * No pattern hangs: the work on one string is bounded; a pattern that explodes on it, such as (a+)+b, ends in
 * LEDGE_ERROR_LIMIT after about a second. */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include "ledge/types.h"

#define REGEX_PATTERN_BYTES_MAX 65536

typedef struct regex regex;

/* Compiles `size` bytes of UTF-8. Errors: ARGUMENT (not a regular expression: says where and why), LIMIT, UNSUPPORTED
 * (built without PCRE2), MEMORY. */
ledge_status regex_compile(const char *pattern, size_t size, regex **ret, ledge_error *error);
void regex_destroy(regex *r); /* NULL passes */
/* *ret_matches: whether the pattern matches all of the text, which must be UTF-8 (else LEDGE_ERROR_DATA). One regex may
 * serve several threads. */
ledge_status regex_full_match(const regex *r, const char *text, size_t size, bool *ret_matches, ledge_error *error);

#endif
