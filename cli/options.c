/* cli/options: see options.h. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const verb *v, const option *options) {
  printf("ledge %s %s [options]\n%s\n\noptions:\n", v->name, v->arguments, v->summary);
  for (const option *o = options; o->name; o++) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s", o->name[1] ? "--" : "-", o->name, o->value ? " " : "",
             o->value ? o->value : "");
    printf("  %-28s %s\n", left, o->help);
  }
  printf("  %-28s %s\n", "--help", "this text");
  if (v->examples) printf("\nexamples:\n%s", v->examples);
}

static int usage(const verb *v, const char *what, const char *which) {
  fprintf(stderr, "ledge %s: %s%s%s%s: see `ledge %s --help`\n", v->name, what, which ? " '" : "", which ? which : "",
          which ? "'" : "", v->name);
  return CLI_USAGE;
}

/* How many letters must change to make a of b (Levenshtein); short words only. */
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), row[64];
  if (n > 60 || m > 60) return 99;
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[m];
}

static int unknown(const verb *v, const option *options, const char *name) {
  const option *near = NULL;
  size_t best = 3;
  for (const option *o = options; o->name; o++) {
    size_t d = distance(name, o->name);
    if (d < best) best = d, near = o;
  }
  if (near)
    fprintf(stderr, "ledge %s: unknown option '%s%s'; did you mean '%s%s'?\n", v->name, name[0] && name[1] ? "--" : "-",
            name, near->name[1] ? "--" : "-", near->name);
  else
    return usage(v, "unknown option", name);
  return CLI_USAGE;
}

static bool parse_bytes(const char *text, size_t *ret) {
  char *end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  if (end == text || errno || text[0] == '-') return false;
  int shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
  if (shift) end++;
  if (*end == 'i') end++;
  if (*end == 'B') end++;
  if (*end || n > SIZE_MAX >> shift) return false;
  *ret = (size_t)n << shift;
  return true;
}

static bool set(const option *o, const char *text) {
  char *end;
  errno = 0;
  switch (o->type) {
    case OPTION_FLAG: *(bool *)o->into = true; return true;
    case OPTION_TEXT: *(const char **)o->into = text; return true;
    case OPTION_INT:
    case OPTION_COUNT: {
      long long n = strtoll(text, &end, 10);
      *(int64_t *)o->into = n;
      return end != text && !*end && !errno && (o->type != OPTION_COUNT || (n >= 0 && n <= INT32_MAX));
    }
    case OPTION_REAL: {
      double x = strtod(text, &end);
      *(double *)o->into = x;
      return end != text && !*end && !errno && isfinite(x) && x >= 0;
    }
    case OPTION_BYTES: return parse_bytes(text, o->into);
    case OPTION_LIST: {
      text_list *list = o->into;
      const char **items = realloc(list->items, (list->count + 1) * sizeof *items);
      if (!items) return false;
      items[list->count++] = text;
      list->items = items;
      return true;
    }
  }
  return false;
}

void options_free(const option *options) {
  for (const option *o = options; o->name; o++)
    if (o->type == OPTION_LIST) free(((text_list *)o->into)->items), *(text_list *)o->into = (text_list){0};
}

static const option *find(const option *options, const char *name, size_t size) {
  for (const option *o = options; o->name; o++)
    if (strlen(o->name) == size && !memcmp(o->name, name, size)) return o;
  return NULL;
}

int options_parse(const verb *v, const option *options, int argc, char **argv, char ***ret_arguments, int *ret_count) {
  int n = 0;
  bool ended = false;
  for (int i = 0; i < argc; i++) {
    char *a = argv[i];
    if (ended || a[0] != '-' || !a[1]) {
      argv[n++] = a;
      continue;
    }
    if (!strcmp(a, "--")) {
      ended = true;
      continue;
    }
    if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
      print_help(v, options);
      return CLI_HELP;
    }
    const char *name = a + (a[1] == '-' ? 2 : 1), *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const option *o = find(options, name, size);
    if (!o || (a[1] != '-') != (size == 1)) {
      char plain[64];
      snprintf(plain, sizeof plain, "%.*s", (int)size, name);
      return unknown(v, options, plain);
    }
    const char *value = equals ? equals + 1 : NULL;
    if (o->type == OPTION_FLAG && value) return usage(v, "no value belongs to", a);
    if (o->type != OPTION_FLAG && !value) {
      if (++i >= argc) return usage(v, "a value is missing after", a);
      value = argv[i];
    }
    if (!set(o, value)) return usage(v, "cannot read the value of", a);
  }
  if (n < v->min_arguments) return usage(v, "too few arguments, expected", v->arguments);
  if (v->max_arguments >= 0 && n > v->max_arguments) return usage(v, "unexpected argument", argv[v->max_arguments]);
  *ret_arguments = argv;
  *ret_count = n;
  return CLI_OK;
}
