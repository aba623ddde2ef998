/* cli/cmd_cache: `ledge cache`: lists the cache of packed weights, and clears it. */
#include "cli.h"

#include <string.h>
#include <time.h>

typedef struct cache_options {
  bool json, quiet;
} cache_options;

static uint64_t all_bytes(const ledge_cache *c) {
  ledge_cache_entry e;
  uint64_t bytes = 0;
  for (size_t i = 0; ledge_cache_get(c, i, &e); i++) bytes += e.bytes;
  return bytes;
}

static void json_head(json *j, const ledge_cache *c) {
  json_open(j, '{');
  json_key(j, "folder"), json_text(j, ledge_cache_folder(c)[0] ? ledge_cache_folder(c) : NULL);
  json_key(j, "limit_bytes"), json_int(j, ledge_cache_limit(c) > INT64_MAX ? INT64_MAX : (int64_t)ledge_cache_limit(c));
}

static void list_json(const ledge_cache *c) {
  ledge_cache_entry e;
  json j = json_start(stdout);
  json_head(&j, c);
  json_key(&j, "bytes"), json_int(&j, (int64_t)all_bytes(c));
  json_key(&j, "files"), json_open(&j, '[');
  for (size_t i = 0; ledge_cache_get(c, i, &e); i++) {
    json_open(&j, '{');
    json_key(&j, "name"), json_text(&j, e.name);
    json_key(&j, "model"), json_text(&j, e.model);
    json_key(&j, "bytes"), json_int(&j, (int64_t)e.bytes);
    json_key(&j, "used_s"), json_int(&j, e.used_s);
    json_key(&j, "choices"), json_bool(&j, e.choices);
    json_key(&j, "current"), json_bool(&j, e.current);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  json_close(&j, '}');
  json_end(&j);
}

static void list(const ledge_cache *c) {
  ledge_cache_entry e;
  char bytes[32], limit[32], when[32];
  if (!ledge_cache_folder(c)[0]) {
    printf("no cache: neither XDG_CACHE_HOME nor HOME names a folder\n");
    return;
  }
  printf("%s: %zu file%s, %s of %s\n", ledge_cache_folder(c), ledge_cache_count(c),
         ledge_cache_count(c) == 1 ? "" : "s", cli_bytes((double)all_bytes(c), bytes, sizeof bytes),
         cli_bytes((double)ledge_cache_limit(c), limit, sizeof limit));
  for (size_t i = 0; ledge_cache_get(c, i, &e); i++) {
    time_t used = (time_t)e.used_s;
    struct tm local;
    if (!localtime_r(&used, &local) || !strftime(when, sizeof when, "%Y-%m-%d %H:%M", &local)) when[0] = 0;
    printf("  %10s  %-16s  %s%s\n", cli_bytes((double)e.bytes, bytes, sizeof bytes), when,
           e.model     ? e.model
           : e.choices ? "(choices of kernels: ledge cpu --choices)"
                       : "(damaged)",
           (e.model || e.choices) && !e.current ? "  (of another build or processor)" : "");
  }
}

static ledge_status clear(ledge_cache *c, const cache_options *o, ledge_error *error) {
  ledge_status status = LEDGE_OK;
  char text[32];
  for (size_t i = 0; !status && i < ledge_cache_count(c); i++) status = ledge_cache_remove(c, i, error);
  if (status) return status;
  if (o->json) {
    json j = json_start(stdout);
    json_head(&j, c);
    json_key(&j, "removed_files"), json_int(&j, (int64_t)ledge_cache_count(c));
    json_key(&j, "removed_bytes"), json_int(&j, (int64_t)all_bytes(c));
    json_close(&j, '}');
    json_end(&j);
  } else if (!o->quiet) {
    printf("removed %zu file%s, %s\n", ledge_cache_count(c), ledge_cache_count(c) == 1 ? "" : "s",
           cli_bytes((double)all_bytes(c), text, sizeof text));
  }
  return LEDGE_OK;
}

static int cache_main(const verb *v, int argc, char **argv) {
  cache_options o = {0};
  const option options[] = {{"json", OPTION_FLAG, &o.json, NULL, "a JSON document instead of a table"},
                            {"quiet", OPTION_FLAG, &o.quiet, NULL, "nothing but errors and what was asked for"},
                            {0}};
  char **words;
  int n, status = options_parse(v, options, argc, argv, &words, &n);
  if (status != CLI_OK) return status;
  if (n && strcmp(words[0], "clear")) {
    fprintf(stderr, "ledge cache: there is no '%s'; `ledge cache` lists, `ledge cache clear` removes all files\n",
            words[0]);
    return CLI_USAGE;
  }
  ledge_error error = {.message = ""};
  ledge_cache *c = NULL;
  ledge_status failed = ledge_cache_open(&c, &error);
  if (!failed && n) failed = clear(c, &o, &error);
  if (!failed && !n) {
    if (o.json)
      list_json(c);
    else
      list(c);
  }
  ledge_cache_close(c);
  return failed ? cli_fail(&error) : CLI_OK;
}

const verb verb_cache = {"cache",
                         "[clear]",
                         "Lists the packed weights that are kept for the next start, or removes them.",
                         "  ledge cache                 # the models that have some, most recently used first\n"
                         "  ledge cache clear\n"
                         "  ledge cache --json | jq -r '.files[].model'\n",
                         0,
                         1,
                         cache_main};
