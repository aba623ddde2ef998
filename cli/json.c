/* cli/json: see json.h. */
#include "json.h"

#include <math.h>
#include <string.h>

json json_start(FILE *out) { return (json){.out = out}; }

static void item(json *j) {
  if (j->comma && !j->keyed) fputs(", ", j->out);
  j->comma = true;
  j->keyed = false;
}

void json_open(json *j, char bracket) {
  item(j);
  fputc(bracket, j->out);
  j->comma = false;
}

void json_close(json *j, char bracket) {
  fputc(bracket, j->out);
  j->comma = true;
}

void json_key(json *j, const char *key) {
  json_text(j, key);
  fputs(": ", j->out);
  j->keyed = true;
}

/* Bytes of the UTF-8 character at p[0, n), or 0. */
static size_t utf8_size(const unsigned char *p, size_t n) {
  size_t k = p[0] < 0x80                   ? 1
             : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
             : (p[0] & 0xf0) == 0xe0       ? 3
             : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                           : 0;
  if (!k || k > n) return 0;
  for (size_t i = 1; i < k; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  /* Longer than it need be, a surrogate, or past the last character. */
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) return 0;
  if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
  return k;
}

void json_text_n(json *j, const char *text, size_t size) {
  item(j);
  fputc('"', j->out);
  const unsigned char *p = (const unsigned char *)text;
  for (size_t i = 0; i < size;) {
    size_t k = utf8_size(p + i, size - i);
    if (p[i] == '"' || p[i] == '\\')
      fprintf(j->out, "\\%c", p[i]);
    else if (p[i] == '\n')
      fputs("\\n", j->out);
    else if (p[i] < 0x20)
      fprintf(j->out, "\\u%04x", p[i]);
    else if (!k)
      fputs("\xef\xbf\xbd", j->out);
    else
      fwrite(p + i, 1, k, j->out);
    i += k ? k : 1;
  }
  fputc('"', j->out);
}

void json_text(json *j, const char *text) {
  if (text) {
    json_text_n(j, text, strlen(text));
  } else {
    item(j);
    fputs("null", j->out);
  }
}

void json_int(json *j, int64_t v) {
  item(j);
  fprintf(j->out, "%lld", (long long)v);
}

void json_real(json *j, double v) {
  item(j);
  if (isfinite(v))
    fprintf(j->out, "%.10g", v);
  else
    fputs("null", j->out);
}

void json_bool(json *j, bool v) {
  item(j);
  fputs(v ? "true" : "false", j->out);
}

void json_end(json *j) { fputc('\n', j->out); }
