/* media/spec: reading recipes of the form "key=value,key=value". */
#include "media/spec.h"

#include "base/number.h"

#include <math.h>
#include <string.h>

static spec_text trim(const char *data, size_t size) {
  while (size && (*data == ' ' || *data == '\t' || *data == '\n')) data++, size--;
  while (size && (data[size - 1] == ' ' || data[size - 1] == '\t' || data[size - 1] == '\n')) size--;
  return (spec_text){data, size};
}

spec_text spec_split(spec_text *t, char separator) {
  const char *end = t->size ? memchr(t->data, separator, t->size) : NULL;
  size_t n = end ? (size_t)(end - t->data) : t->size;
  spec_text part = trim(t->data, n);
  size_t step = end ? n + 1 : n;
  t->data += step;
  t->size -= step;
  return part;
}

int spec_next(const char **at, spec_item *item) {
  spec_text rest = {*at, strlen(*at)};
  spec_text part = {0};
  while (rest.size && part.size == 0)
    part = spec_split(&rest, ','); /* an empty item, as after a last comma, is nothing */
  *at = rest.data;
  if (part.size == 0) return 0;
  item->key = part;
  const char *equals = memchr(part.data, '=', part.size);
  if (!equals || equals == part.data) return -1;
  size_t n = (size_t)(equals - part.data);
  item->key = trim(part.data, n);
  item->value = trim(equals + 1, part.size - n - 1);
  return 1;
}

bool spec_is(spec_text t, const char *word) { return strlen(word) == t.size && memcmp(word, t.data, t.size) == 0; }

int spec_choice(spec_text t, const char *const *words) {
  for (int i = 0; words[i]; i++)
    if (spec_is(t, words[i])) return i;
  return -1;
}

bool spec_integer(spec_text t, int64_t min, int64_t max, int64_t *ret) {
  bool minus = t.size && t.data[0] == '-';
  size_t i = minus;
  if (i == t.size || t.size - i > 18) return false;
  int64_t v = 0;
  for (; i < t.size; i++) {
    if (t.data[i] < '0' || t.data[i] > '9') return false;
    v = v * 10 + (t.data[i] - '0');
  }
  if (minus) v = -v;
  if (v < min || v > max) return false;
  *ret = v;
  return true;
}

bool spec_number(spec_text t, double *ret) {
  spec_text rest = t, above = spec_split(&rest, '/');
  double a, b = 1;
  if (!number_parse_f64(above.data, above.size, &a)) return false;
  if (above.size != t.size && (!number_parse_f64(rest.data, rest.size, &b) || b == 0)) return false;
  if (!isfinite(a / b)) return false;
  *ret = a / b;
  return true;
}
