/* tests/test.h: the whole test framework. A test program is a table of cases; it prints a line per failure and
 * "N passed, N failed" last, and exits 1 if any failed.
 *
 *   static void test_add(void) { CHECK(1 + 1 == 2); CHECK_NEAR(x, 0.5, 1e-6); }
 *   TEST_MAIN({"add", test_add}, ...)
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
  const char *name;
  void (*run)(void);
} test_case;

static int test_failures_;
static const char *test_now_;

#define TEST_FAIL(...)                                               \
  do {                                                               \
    if (test_failures_++ < 20) {                                     \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, test_now_); \
      fprintf(stderr, __VA_ARGS__);                                  \
      fputc('\n', stderr);                                           \
    }                                                                \
  } while (0)
#define CHECK(condition)                                   \
  do {                                                     \
    if (!(condition)) TEST_FAIL("not so: %s", #condition); \
  } while (0)
#define CHECK_INT(got, want)                                                 \
  do {                                                                       \
    long long got_ = (long long)(got), want_ = (long long)(want);            \
    if (got_ != want_) TEST_FAIL("%s is %lld, not %lld", #got, got_, want_); \
  } while (0)
#define CHECK_NEAR(got, want, tolerance)                                                            \
  do {                                                                                              \
    double got_ = (got), want_ = (want);                                                            \
    if (!(fabs(got_ - want_) <= (tolerance))) TEST_FAIL("%s is %.9g, not %.9g", #got, got_, want_); \
  } while (0)
#define CHECK_STR(got, want)                                                           \
  do {                                                                                 \
    const char *got_ = (got), *want_ = (want);                                         \
    if (strcmp(got_, want_)) TEST_FAIL("%s is \"%s\", not \"%s\"", #got, got_, want_); \
  } while (0)

static int test_main_(const test_case *cases, size_t n, int argc, char **argv) {
  int passed = 0, failed = 0;
  setenv("XDG_CACHE_HOME", "/dev/null", 1); /* the user's cache of weights is not for tests */
  for (size_t i = 0; i < n; i++) {
    if (argc > 1 && !strstr(cases[i].name, argv[1])) continue;
    test_failures_ = 0;
    test_now_ = cases[i].name;
    cases[i].run();
    if (test_failures_)
      failed++, fprintf(stderr, "FAILED %s\n", cases[i].name);
    else
      passed++;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}

#define TEST_MAIN(...)                                                     \
  int main(int argc, char **argv) {                                        \
    static const test_case cases_[] = {__VA_ARGS__};                       \
    return test_main_(cases_, sizeof cases_ / sizeof *cases_, argc, argv); \
  }

#endif
