/* Regular expressions and Unicode. What Python's re.fullmatch, str.upper and str.lower give is what is asked here. */
#include "base/clock.h"
#include "base/mem.h"
#include "test.h"
#include "text/regex.h"
#include "text/unicode.h"

#ifdef LEDGE_WITH_PCRE2
/* 1: matches; 0: not; -1: the pattern or the text is refused. */
static int matches(const char *pattern, const char *text) {
  regex *r = NULL;
  bool yes = false;
  if (regex_compile(pattern, strlen(pattern), &r, NULL)) return -1;
  ledge_status status = regex_full_match(r, text, strlen(text), &yes, NULL);
  regex_destroy(r);
  return status ? -1 : yes;
}
#endif

static void test_regex(void) {
#ifdef LEDGE_WITH_PCRE2
  static const struct {
    const char *pattern, *text;
    int want;
  } cases[] = {
      {"www\\.[\\w.-]+\\.\\bcom\\b", "www.google.com", 1},
      {"www\\.[\\w.-]+\\.\\bcom\\b", "www.facebook.com", 1},
      {"www\\.[\\w.-]+\\.\\bcom\\b", "www.bbc.co.uk", 0},
      {"(\\W|^)[\\w.\\-]{0,25}@(yahoo|gmail)\\.com(\\W|$)", "account@gmail.com", 1},
      {"(\\W|^)[\\w.\\-]{0,25}@(yahoo|gmail)\\.com(\\W|$)", "account@hotmail.com", 0},
      {"a|ab", "ab", 1}, /* the whole text decides, not the first branch that fits */
      {"a*?", "aaa", 1},
      {"", "", 1},
      {"", "x", 0},
      {"abc$", "abc\n", 0}, /* $ is the very end, as in RE2 */
      {"a.c", "a\nc", 0},
      {"(?s)a.c", "a\nc", 1},
      {"(?i)STRASSE", "strasse", 1},
      {"\\d+", "\xd9\xa1\xd9\xa2", 0}, /* ASCII digits only, as in RE2 */
      {"\\pL+", "\xc3\xa9\xc3\x9f", 1},
      {".", "\xe2\x82\xac", 1},
      {"(?P<year>\\d{4})-\\d\\d", "2024-05", 1},
      {"(a)\\1", "aa", -1}, /* RE2 has no back references */
      {"(unclosed", "", -1},
      {"a{2,1}", "", -1},
      {"x", "\xff", -1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int got = matches(cases[i].pattern, cases[i].text);
    if (got != cases[i].want)
      TEST_FAIL("/%s/ on \"%s\": %d, not %d", cases[i].pattern, cases[i].text, got, cases[i].want);
  }
#endif
}

static void test_regex_never_hangs(void) {
#ifdef LEDGE_WITH_PCRE2
  static const char *const patterns[] = {"(a+)+b",
                                         "(a|aa)+b",
                                         "(a*)*b",
                                         "(x+x+)+y|a*c",
                                         "(?:a?){50}a{50}b",
                                         "((a{1,50}){1,50}){1,5}b",
                                         "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b"};
  char *text = mem_alloc(2001);
  memset(text, 'a', 2000);
  text[2000] = 0;
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    uint64_t start = clock_now_ns();
    int got = matches(patterns[i], text);
    double seconds = (double)(clock_now_ns() - start) / 1e9;
    CHECK(got == 0 || got == -1);
    if (seconds > 20) TEST_FAIL("/%s/ took %.1f s", patterns[i], seconds);
  }
  text[1998] = 'b';
  CHECK_INT(matches("(a|aa)+b", text), -1);
  CHECK_INT(matches("(a+)+ba", text), 1);
  mem_free(text);
#endif
}

static void test_regex_errors(void) {
#ifdef LEDGE_WITH_PCRE2
  ledge_error error;
  regex *r = NULL;
  CHECK_INT(regex_compile("ab(c", 4, &r, &error), LEDGE_ERROR_ARGUMENT);
  CHECK(strstr(error.message, "ab(c") && strstr(error.message, "parenthesis"));
  char *deep = mem_alloc(REGEX_PATTERN_BYTES_MAX + 1);
  memset(deep, '(', REGEX_PATTERN_BYTES_MAX + 1);
  CHECK_INT(regex_compile(deep, 5000, &r, &error), LEDGE_ERROR_LIMIT);
  CHECK_INT(regex_compile(deep, REGEX_PATTERN_BYTES_MAX + 1, &r, &error), LEDGE_ERROR_LIMIT);
  mem_free(deep);
  for (int fail = 0; fail < 12; fail++) {
    long long live = mem_stats_global.allocations - mem_stats_global.frees;
    bool yes;
    mem_stats_global.fail_after = fail;
    ledge_status status = regex_compile("(a+)+b", 6, &r, NULL);
    if (status == LEDGE_OK) {
      status = regex_full_match(r, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 40, &yes, NULL);
      regex_destroy(r);
    }
    mem_stats_global.fail_after = -1;
    CHECK(status == LEDGE_OK || status == LEDGE_ERROR_MEMORY);
    CHECK_INT(mem_stats_global.allocations - mem_stats_global.frees, live);
  }
#endif
}

static void test_utf8(void) {
  static const struct {
    const char *text;
    size_t size;
    bool valid;
    size_t length;
  } cases[] = {
      {"abc", 3, true, 3},
      {"\xc3\xa9", 2, true, 1},
      {"\xe2\x82\xac", 3, true, 1},
      {"\xf0\x9f\x98\x80", 4, true, 1},
      {"\xf4\x8f\xbf\xbf", 4, true, 1},
      {"\xf4\x90\x80\x80", 4, false, 4},
      {"\xc0\x80", 2, false, 2},
      {"\xe0\x80\x80", 3, false, 3},
      {"\xed\xa0\x80", 3, false, 3},
      {"\xc3", 1, false, 1},
      {"\x80", 1, false, 1},
      {"\xf0\x9f\x98", 3, false, 3},
      {"a\0b", 3, true, 3},
      {"\xf5\x80\x80\x80", 4, false, 4},
      {"\xff", 1, false, 1},
      {"", 0, true, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK_INT(unicode_valid(cases[i].text, cases[i].size), cases[i].valid);
    CHECK_INT(unicode_length(cases[i].text, cases[i].size), cases[i].length);
  }
  for (int32_t c = 0; c <= 0x110000; c += c < 0x3000 ? 1 : 37) {
    char bytes[4];
    int n = unicode_encode(c, bytes);
    bool exists = c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000);
    CHECK_INT(n > 0, exists);
    const char *at = bytes;
    if (n) CHECK_INT(unicode_next(&at, bytes + n), c);
    if (n) CHECK(at == bytes + n);
  }
}

typedef ledge_status (*mapping)(const char *text, size_t size, unicode_text *out, ledge_error *error);

static void check_mapping(mapping map, const char *text, const char *want) {
  unicode_text out = {0};
  CHECK_INT(map(text, strlen(text), &out, NULL), LEDGE_OK);
  CHECK_STR(out.data, want);
  unicode_text_deinit(&out);
}

static void test_case_mapping(void) {
  check_mapping(unicode_upper, "hello, World 1", "HELLO, WORLD 1");
  check_mapping(unicode_lower, "HELLO, World 1", "hello, world 1");
  check_mapping(unicode_upper, "", "");
  check_mapping(unicode_upper,
                "a\xff"
                "b",
                "A\xff"
                "B"); /* what is not UTF-8 stays */
#ifdef LEDGE_WITH_UTF8PROC
  check_mapping(unicode_upper, "straße", "STRASSE");
  check_mapping(unicode_upper, "ﬁn \xe1\xbe\x80 \xce\x90", "FIN \xe1\xbc\x88\xce\x99 \xce\x99\xcc\x88\xcc\x81");
  check_mapping(unicode_upper, "àéîøù", "ÀÉÎØÙ");
  check_mapping(unicode_lower, "ÀÉÎØÙ", "àéîøù");
  check_mapping(unicode_lower, "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ", "οδυσσευς σας σ");
  check_mapping(unicode_lower, "ΑΣ'Α ΑΣ.", "ασ'α ας.");
  check_mapping(unicode_lower, "İ", "i̇");
  check_mapping(unicode_strip_accents, "Crème Brûlée ﬁ ½", "Creme Brulee fi 1⁄2");
  check_mapping(unicode_strip_accents, "plain", "plain");
#endif
}

TEST_MAIN({"regex", test_regex}, {"regex never hangs", test_regex_never_hangs}, {"regex errors", test_regex_errors},
          {"utf8", test_utf8}, {"case", test_case_mapping})
