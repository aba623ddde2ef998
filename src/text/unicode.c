/* text/unicode: UTF-8 strings. Case and decomposition come from utf8proc's tables, which map one character to one; the
 * characters that become several are listed here, from the Unicode Character Database's SpecialCasing.txt (its rows
 * without language or context; the only context that it has otherwise, a final sigma, is in unicode_lower). */
#include "text/unicode.h"

#include "base/error.h"
#include "base/mem.h"

#include <string.h>
#ifdef LEDGE_WITH_UTF8PROC
#include <utf8proc.h>
#endif

void unicode_text_deinit(unicode_text *text) {
  mem_free(text->data);
  *text = (unicode_text){0};
}

bool unicode_text_append(unicode_text *text, const char *data, size_t size) {
  if (!text->data || size > text->capacity - text->size) {
    size_t capacity;
    if (!mem_add(text->size, size, &capacity) || !mem_add(capacity, capacity / 2 + 32, &capacity)) return false;
    char *grown = mem_realloc(text->data, capacity);
    if (!grown) return false;
    text->data = grown;
    text->capacity = capacity - 1; /* and a byte for the NUL */
  }
  if (size) memcpy(text->data + text->size, data, size);
  text->size += size;
  text->data[text->size] = 0;
  return true;
}

int32_t unicode_next(const char **at, const char *end) {
  const uint8_t *p = (const uint8_t *)*at;
  size_t left = (size_t)(end - *at);
  uint8_t first = p[0];
  if (first < 0x80) {
    ++*at;
    return first;
  }
  size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  static const int32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  int32_t c = first & (0x7f >> n);
  bool ok = first >= 0xc2 && first <= 0xf4 && n <= left;
  for (size_t i = 1; ok && i < n; i++) {
    ok = (p[i] & 0xc0) == 0x80;
    c = c << 6 | (p[i] & 0x3f);
  }
  if (!ok || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
    ++*at;
    return -1;
  }
  *at += n;
  return c;
}

int unicode_encode(int32_t c, char out[4]) {
  if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
  out[0] = (char)((0xf00 >> n & 0xff) | c);
  return n;
}

bool unicode_valid(const char *text, size_t size) {
  for (const char *at = text, *end = text + size; at < end;)
    if (unicode_next(&at, end) < 0) return false;
  return true;
}

size_t unicode_length(const char *text, size_t size) {
  size_t n = 0;
  for (const char *at = text, *end = text + size; at < end; n++) unicode_next(&at, end);
  return n;
}

/* --- mappings --- */

#define MAPPED_MAX 24 /* code points that one becomes, at most: 18 in a compatibility decomposition */

#ifdef LEDGE_WITH_UTF8PROC
typedef struct special_case {
  uint16_t from, to[3];
} special_case;

static const special_case special_upper[] = {
    {0x00DF, {0x0053, 0x0053}},         {0x0149, {0x02BC, 0x004E}},         {0x01F0, {0x004A, 0x030C}},
    {0x0390, {0x0399, 0x0308, 0x0301}}, {0x03B0, {0x03A5, 0x0308, 0x0301}}, {0x0587, {0x0535, 0x0552}},
    {0x1E96, {0x0048, 0x0331}},         {0x1E97, {0x0054, 0x0308}},         {0x1E98, {0x0057, 0x030A}},
    {0x1E99, {0x0059, 0x030A}},         {0x1E9A, {0x0041, 0x02BE}},         {0x1F50, {0x03A5, 0x0313}},
    {0x1F52, {0x03A5, 0x0313, 0x0300}}, {0x1F54, {0x03A5, 0x0313, 0x0301}}, {0x1F56, {0x03A5, 0x0313, 0x0342}},
    {0x1FB2, {0x1FBA, 0x0399}},         {0x1FB3, {0x0391, 0x0399}},         {0x1FB4, {0x0386, 0x0399}},
    {0x1FB6, {0x0391, 0x0342}},         {0x1FB7, {0x0391, 0x0342, 0x0399}}, {0x1FBC, {0x0391, 0x0399}},
    {0x1FC2, {0x1FCA, 0x0399}},         {0x1FC3, {0x0397, 0x0399}},         {0x1FC4, {0x0389, 0x0399}},
    {0x1FC6, {0x0397, 0x0342}},         {0x1FC7, {0x0397, 0x0342, 0x0399}}, {0x1FCC, {0x0397, 0x0399}},
    {0x1FD2, {0x0399, 0x0308, 0x0300}}, {0x1FD3, {0x0399, 0x0308, 0x0301}}, {0x1FD6, {0x0399, 0x0342}},
    {0x1FD7, {0x0399, 0x0308, 0x0342}}, {0x1FE2, {0x03A5, 0x0308, 0x0300}}, {0x1FE3, {0x03A5, 0x0308, 0x0301}},
    {0x1FE4, {0x03A1, 0x0313}},         {0x1FE6, {0x03A5, 0x0342}},         {0x1FE7, {0x03A5, 0x0308, 0x0342}},
    {0x1FF2, {0x1FFA, 0x0399}},         {0x1FF3, {0x03A9, 0x0399}},         {0x1FF4, {0x038F, 0x0399}},
    {0x1FF6, {0x03A9, 0x0342}},         {0x1FF7, {0x03A9, 0x0342, 0x0399}}, {0x1FFC, {0x03A9, 0x0399}},
    {0xFB00, {0x0046, 0x0046}},         {0xFB01, {0x0046, 0x0049}},         {0xFB02, {0x0046, 0x004C}},
    {0xFB03, {0x0046, 0x0046, 0x0049}}, {0xFB04, {0x0046, 0x0046, 0x004C}}, {0xFB05, {0x0053, 0x0054}},
    {0xFB06, {0x0053, 0x0054}},         {0xFB13, {0x0544, 0x0546}},         {0xFB14, {0x0544, 0x0535}},
    {0xFB15, {0x0544, 0x053B}},         {0xFB16, {0x054E, 0x0546}},         {0xFB17, {0x0544, 0x053D}},
};

static int map_upper(int32_t c, const char *begin, const char *after, const char *end, int32_t *to) {
  if (c >= 0x1F80 && c <= 0x1FAF) { /* Greek vowels with an iota below: three rows of eight, small and capital */
    static const int32_t rows[] = {0x1F08, 0x1F28, 0x1F68};
    to[0] = rows[(c - 0x1F80) / 16] + c % 8, to[1] = 0x0399;
    return 2;
  }
  for (size_t i = 0; c >= 0xDF && i < sizeof special_upper / sizeof *special_upper; i++) {
    if (special_upper[i].from != c) continue;
    int n = 0;
    for (; n < 3 && special_upper[i].to[n]; n++) to[n] = special_upper[i].to[n];
    return n;
  }
  to[0] = utf8proc_toupper(c);
  return 1;
}

static bool is_cased(int32_t c) {
  utf8proc_category_t k = utf8proc_category(c);
  return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}
/* Marks, formats, modifiers and the punctuation that may stand inside a word. */
static bool is_case_ignorable(int32_t c) {
  static const int32_t inside[] = {'\'',   '.',    ':',    0xB7,   0x2018, 0x2019, 0x2024,
                                   0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
    if (c == inside[i]) return true;
  utf8proc_category_t k = utf8proc_category(c);
  return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
         k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK;
}

/* The character before `at`, which moves back to it; -1 at the beginning or where the bytes are not UTF-8. */
static int32_t unicode_previous(const char *begin, const char **at) {
  const char *p = *at;
  for (int i = 0; i < 4 && p > begin; i++) {
    const char *q = --p;
    if (((uint8_t)*q & 0xc0) == 0x80) continue;
    int32_t c = unicode_next(&q, *at);
    if (q != *at) return -1;
    *at = p;
    return c;
  }
  return -1;
}

/* A capital sigma ends a word where a cased letter goes before it and none comes after, what is ignorable passed over.
 */
static bool is_final_sigma(const char *begin, const char *sigma, const char *after, const char *end) {
  int32_t c;
  do c = unicode_previous(begin, &sigma);
  while (c >= 0 && is_case_ignorable(c));
  if (c < 0 || !is_cased(c)) return false;
  do c = after < end ? unicode_next(&after, end) : -1;
  while (c >= 0 && is_case_ignorable(c));
  return c < 0 || !is_cased(c);
}

static int map_lower(int32_t c, const char *begin, const char *after, const char *end, int32_t *to) {
  if (c == 0x0130) {
    to[0] = 'i', to[1] = 0x0307;
    return 2;
  }
  to[0] = c == 0x03A3 && is_final_sigma(begin, after - 2, after, end) ? 0x03C2 : utf8proc_tolower(c);
  return 1;
}

static int map_strip(int32_t c, const char *begin, const char *after, const char *end, int32_t *to) {
  int boundary = 0, kept = 0;
  utf8proc_ssize_t n = utf8proc_decompose_char(c, to, MAPPED_MAX, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
  if (n < 0 || n > MAPPED_MAX) return 0;
  for (utf8proc_ssize_t i = 0; i < n; i++)
    if (utf8proc_get_property(to[i])->combining_class == 0) to[kept++] = to[i];
  return kept;
}
#else
static int map_upper(int32_t c, const char *begin, const char *after, const char *end, int32_t *to) {
  to[0] = c >= 'a' && c <= 'z' ? c - 32 : c;
  return 1;
}
static int map_lower(int32_t c, const char *begin, const char *after, const char *end, int32_t *to) {
  to[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
  return 1;
}
static int map_strip(int32_t c, const char *begin, const char *after, const char *end, int32_t *to) {
  to[0] = c;
  return 1;
}
#endif

/* Writes what the code point c becomes to `to` and returns how many; `after` is the text behind it. */
typedef int (*unicode_map)(int32_t c, const char *begin, const char *after, const char *end, int32_t *to);

static ledge_status map_text(const char *text, size_t size, unicode_map map, unicode_text *out, ledge_error *error) {
  out->size = 0;
  bool ok = unicode_text_append(out, "", 0);
  for (const char *at = text, *end = text + size; ok && at < end;) {
    const char *from = at;
    int32_t c = unicode_next(&at, end), to[MAPPED_MAX];
    if (c < 0) {
      ok = unicode_text_append(out, from, 1);
      continue;
    }
    for (int i = 0, n = map(c, text, at, end, to); ok && i < n; i++) {
      char bytes[4];
      ok = unicode_text_append(out, bytes, (size_t)unicode_encode(to[i], bytes));
    }
  }
  return ok ? LEDGE_OK : error_memory(error, size, "a string");
}

ledge_status unicode_upper(const char *text, size_t size, unicode_text *out, ledge_error *error) {
  return map_text(text, size, map_upper, out, error);
}
ledge_status unicode_lower(const char *text, size_t size, unicode_text *out, ledge_error *error) {
  return map_text(text, size, map_lower, out, error);
}
ledge_status unicode_strip_accents(const char *text, size_t size, unicode_text *out, ledge_error *error) {
  return map_text(text, size, map_strip, out, error);
}
