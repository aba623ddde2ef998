/* text/regex: full matches through PCRE2, which backtracks: fast on what people write, exponential on what they should
 * not. Its own limit counts steps, but one step may run over the whole text. So a pattern is compiled twice: as it is,
 * tried with a few steps; and with automatic callouts before each item, which charge a budget by how far the place in
 * the text has moved since the last one. */
#include "text/regex.h"

#include "base/error.h"
#include "base/mem.h"
#include "text/unicode.h"

#ifdef LEDGE_WITH_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define REGEX_STEPS_FIRST 10000
#define REGEX_WORK_MAX 30000000   /* items and bytes: about a second */
#define REGEX_HEAP_KIB_MAX 262144 /* for the places to go back to */
#define REGEX_NEST_MAX 200        /* parentheses */

struct regex {
  pcre2_general_context *memory;
  pcre2_code *code, *code_counted; /* the same pattern, the second with callouts */
};

static void *regex_on_alloc(PCRE2_SIZE bytes, void *user) { return mem_alloc(bytes); }
static void regex_on_free(void *block, void *user) { mem_free(block); }

static ledge_status regex_refuse(const char *pattern, size_t size, int code, PCRE2_SIZE at, ledge_error *error) {
  char text[160] = "";
  if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
    return error_memory(error, size, "a regular expression");
  pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
  bool large = code == PCRE2_ERROR_PATTERN_TOO_LARGE || code == PCRE2_ERROR_PARENTHESES_NEST_TOO_DEEP;
  return error_set_at(error, large ? LEDGE_ERROR_LIMIT : LEDGE_ERROR_ARGUMENT, at,
                      "the regular expression \"%.*s\" fails at byte %zu: %s", (int)(size < 200 ? size : 200), pattern,
                      at, text);
}

static ledge_status regex_build(regex *r, const char *pattern, size_t size, uint32_t extra, pcre2_code **ret,
                                ledge_error *error) {
  const uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | extra;
  pcre2_compile_context *context = pcre2_compile_context_create(r->memory);
  if (!context) return error_memory(error, size, "a regular expression");
  pcre2_set_parens_nest_limit(context, REGEX_NEST_MAX);
  int code;
  PCRE2_SIZE at;
  *ret = pcre2_compile((PCRE2_SPTR)pattern, size, options, &code, &at, context);
  pcre2_compile_context_free(context);
  if (!*ret) return regex_refuse(pattern, size, code, at, error);
  uint32_t references = 0; /* each may compare much of the text, uncounted */
  pcre2_pattern_info(*ret, PCRE2_INFO_BACKREFMAX, &references);
  if (references > 0)
    return error_set(error, LEDGE_ERROR_UNSUPPORTED,
                     "the regular expression \"%.*s\" has a back reference, which RE2 has not",
                     (int)(size < 200 ? size : 200), pattern);
  return LEDGE_OK;
}

ledge_status regex_compile(const char *pattern, size_t size, regex **ret, ledge_error *error) {
  if (size > REGEX_PATTERN_BYTES_MAX)
    return error_set(error, LEDGE_ERROR_LIMIT, "a regular expression of %zu bytes; the limit is %d", size,
                     REGEX_PATTERN_BYTES_MAX);
  regex *r = mem_zalloc(sizeof *r);
  if (!r) return error_memory(error, sizeof *r, "a regular expression");
  r->memory = pcre2_general_context_create(regex_on_alloc, regex_on_free, NULL);
  ledge_status status = r->memory ? LEDGE_OK : error_memory(error, sizeof *r, "a regular expression");
  if (status == LEDGE_OK) status = regex_build(r, pattern, size, 0, &r->code, error);
  if (status == LEDGE_OK) status = regex_build(r, pattern, size, PCRE2_AUTO_CALLOUT, &r->code_counted, error);
  if (status)
    regex_destroy(r);
  else
    *ret = r;
  return status;
}

void regex_destroy(regex *r) {
  if (!r) return;
  pcre2_code_free(r->code);
  pcre2_code_free(r->code_counted);
  pcre2_general_context_free(r->memory);
  mem_free(r);
}

typedef struct regex_work {
  int64_t left;
  PCRE2_SIZE position;
} regex_work;

static int regex_on_callout(pcre2_callout_block *block, void *user) {
  regex_work *work = user;
  PCRE2_SIZE at = block->current_position;
  work->left -= 1 + (int64_t)(at > work->position ? at - work->position : work->position - at);
  work->position = at;
  return work->left < 0 ? PCRE2_ERROR_CALLOUT : 0;
}

static ledge_status regex_verdict(int code, size_t size, bool *ret_matches, ledge_error *error) {
  if (code >= 0 || code == PCRE2_ERROR_NOMATCH) {
    *ret_matches = code >= 0;
    return LEDGE_OK;
  }
  if (code == PCRE2_ERROR_NOMEMORY) return error_memory(error, 0, "a regular expression");
  char text[160] = "";
  if (code != PCRE2_ERROR_CALLOUT) pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
  return error_set(
      error, LEDGE_ERROR_LIMIT,
      "a regular expression takes too long on a string of %zu bytes%s%s: write it without repeats inside repeats", size,
      text[0] ? ": " : "", text);
}

ledge_status regex_full_match(const regex *r, const char *text, size_t size, bool *ret_matches, ledge_error *error) {
  if (!text) text = "";
  if (!unicode_valid(text, size)) return error_set(error, LEDGE_ERROR_DATA, "a string to match is not UTF-8");
  pcre2_match_data *data = pcre2_match_data_create(1, r->memory);
  pcre2_match_context *limits = pcre2_match_context_create(r->memory);
  int code = PCRE2_ERROR_NOMEMORY;
  if (data && limits) {
    const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT;
    regex_work work = {.left = REGEX_WORK_MAX};
    pcre2_set_heap_limit(limits, REGEX_HEAP_KIB_MAX);
    pcre2_set_match_limit(limits, REGEX_STEPS_FIRST);
    code = pcre2_match(r->code, (PCRE2_SPTR)text, size, 0, options, data, limits);
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT) {
      pcre2_set_match_limit(limits, UINT32_MAX);
      pcre2_set_depth_limit(limits, UINT32_MAX);
      pcre2_set_callout(limits, regex_on_callout, &work);
      code = pcre2_match(r->code_counted, (PCRE2_SPTR)text, size, 0, options, data, limits);
    }
  }
  pcre2_match_data_free(data);
  pcre2_match_context_free(limits);
  return regex_verdict(code, size, ret_matches, error);
}

#else

static ledge_status regex_missing(ledge_error *error) {
  return error_set(error, LEDGE_ERROR_UNSUPPORTED,
                   "this ledge was built without regular expressions: build it with -Dpcre2=enabled");
}
ledge_status regex_compile(const char *pattern, size_t size, regex **ret, ledge_error *error) {
  return regex_missing(error);
}
void regex_destroy(regex *r) {}
ledge_status regex_full_match(const regex *r, const char *text, size_t size, bool *ret_matches, ledge_error *error) {
  return regex_missing(error);
}
#endif
