/* base/number: see number.h. strtod and snprintf do the arithmetic; the locale's decimal point is put in and taken out.
 */
#include "base/number.h"

#include <ctype.h>
#include <langinfo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void number_trim(const char **text, size_t *size) {
  while (*size && isspace((unsigned char)**text)) ++*text, --*size;
  while (*size && isspace((unsigned char)(*text)[*size - 1])) --*size;
}

static bool number_is_word(const char *text, size_t size, const char *word) {
  if (strlen(word) != size) return false;
  for (size_t i = 0; i < size; i++)
    if (tolower((unsigned char)text[i]) != word[i]) return false;
  return true;
}

/* [digits][.digits][e[+-]digits] with a digit before the exponent. */
static bool number_is_decimal(const char *s, size_t n) {
  size_t i = 0, digits = 0;
  for (bool point = false; i < n && (isdigit((unsigned char)s[i]) || (s[i] == '.' && !point)); i++) {
    point |= s[i] == '.';
    digits += s[i] != '.';
  }
  if (!digits) return false;
  if (i == n) return true;
  if (s[i] != 'e' && s[i] != 'E') return false;
  i++;
  if (i < n && (s[i] == '+' || s[i] == '-')) i++;
  if (i == n) return false;
  for (; i < n; i++)
    if (!isdigit((unsigned char)s[i])) return false;
  return true;
}

bool number_parse_f64(const char *text, size_t size, double *value) {
  number_trim(&text, &size);
  bool negative = size && *text == '-';
  if (size && (*text == '-' || *text == '+')) text++, size--;
  double v;
  if (number_is_word(text, size, "inf") || number_is_word(text, size, "infinity")) {
    v = INFINITY;
  } else if (number_is_word(text, size, "nan")) {
    v = NAN;
  } else {
    if (size > NUMBER_TEXT_MAX || !number_is_decimal(text, size)) return false;
    const char *point = nl_langinfo(RADIXCHAR), *dot = memchr(text, '.', size);
    size_t point_size = strlen(point), before = dot ? (size_t)(dot - text) : size;
    char copy[NUMBER_TEXT_MAX + 16];
    if (point_size > 8) return false;
    memcpy(copy, text, before);
    size_t at = before;
    if (dot) {
      memcpy(copy + at, point, point_size);
      at += point_size;
      memcpy(copy + at, dot + 1, size - before - 1);
      at += size - before - 1;
    }
    copy[at] = 0;
    v = strtod(copy, NULL);
  }
  *value = negative ? -v : v;
  return true;
}

static bool number_digits(const char *text, size_t size, uint64_t limit, uint64_t *value) {
  uint64_t v = 0;
  if (!size) return false;
  for (size_t i = 0; i < size; i++) {
    if (!isdigit((unsigned char)text[i])) return false;
    uint64_t digit = (uint64_t)(text[i] - '0');
    if (v > (limit - digit) / 10) return false;
    v = v * 10 + digit;
  }
  *value = v;
  return true;
}

bool number_parse_i64(const char *text, size_t size, int64_t *value) {
  number_trim(&text, &size);
  bool negative = size && *text == '-';
  if (size && (*text == '-' || *text == '+')) text++, size--;
  uint64_t v;
  if (!number_digits(text, size, (uint64_t)INT64_MAX + negative, &v)) return false;
  *value = (int64_t)(negative ? 0 - v : v);
  return true;
}

bool number_parse_u64(const char *text, size_t size, uint64_t *value) {
  number_trim(&text, &size);
  if (size && *text == '+') text++, size--;
  return number_digits(text, size, UINT64_MAX, value);
}

/* The digits of "d<point>ddde+xx" one after another; *exponent is of the first. */
static size_t number_split(const char *e_text, char *digits, int *exponent) {
  size_t n = 0;
  const char *s = e_text;
  for (; *s && *s != 'e'; s++)
    if (isdigit((unsigned char)*s)) digits[n++] = *s;
  *exponent = *s ? atoi(s + 1) : 0;
  while (n > 1 && digits[n - 1] == '0') n--;
  return n;
}

size_t number_print_shortest(char *text, double v, bool (*same)(const void *arg, double read), const void *arg) {
  enum { DIGITS_MAX = 17 };
  if (isnan(v)) return (size_t)sprintf(text, "nan");
  if (isinf(v)) return (size_t)sprintf(text, v < 0 ? "-inf" : "inf");
  char e_text[40], digits[40];
  int exponent = 0;
  size_t n = 0;
  for (int precision = 0; precision < DIGITS_MAX; precision++) {
    snprintf(e_text, sizeof e_text, "%.*e", precision, fabs(v));
    n = number_split(e_text, digits, &exponent);
    double read = strtod(e_text, NULL);
    if (same(arg, signbit(v) ? -read : read)) break;
  }
  char *to = text;
  if (signbit(v)) *to++ = '-';
  if (v != 0 && (exponent < -4 || exponent >= 16)) {
    *to++ = digits[0];
    if (n > 1) *to++ = '.';
    memcpy(to, digits + 1, n - 1);
    to += n - 1;
    return (size_t)(to - text) + (size_t)sprintf(to, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
  }
  if (exponent < 0) {
    memcpy(to, "0.000", 5);
    to += 1 - exponent; /* "0." and the zeros behind it */
    memcpy(to, digits, n);
    to += n;
  } else {
    for (int i = 0; i <= exponent || i < (int)n || i == exponent + 1; i++) {
      if (i == exponent + 1) *to++ = '.';
      *to++ = i < (int)n ? digits[i] : '0';
    }
  }
  *to = 0;
  return (size_t)(to - text);
}
