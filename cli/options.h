/* cli/options: the command line of a verb as a table: parsed, and printed by --help, from the same rows.
 *
 *   -o FILE   --option VALUE   --option=VALUE   --flag   and what stands alone; "--" ends options
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum option_type {
  OPTION_FLAG,  /* bool */
  OPTION_TEXT,  /* const char * */
  OPTION_INT,   /* int64_t */
  OPTION_COUNT, /* int64_t from 0 to 2^31 - 1 */
  OPTION_REAL,  /* double, finite, not negative */
  OPTION_BYTES, /* size_t: 1000, 64K, 512M, 2G (powers of 1024) */
  OPTION_LIST,  /* text_list: may be given again and again */
} option_type;

typedef struct text_list {
  const char **items;
  size_t count;
} text_list;

typedef struct option {
  const char *name; /* "threads", or "o" for -o */
  option_type type;
  void *into;
  const char *value; /* what --help calls the value; NULL for flags */
  const char *help;
} option;

typedef struct verb {
  const char *name, *arguments, *summary; /* "MODEL", "measures latency ..." */
  const char *examples;                   /* lines, each ended by \n */
  int min_arguments, max_arguments;
  int (*run)(const struct verb *v, int argc, char **argv);
} verb;

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_BUDGET = 3, CLI_HELP = 100 };

/* Fills the options and *ret_arguments (in argv's own memory) from argv[0, argc), which starts after the verb's name.
 * CLI_OK, or CLI_USAGE with a message on stderr, or CLI_HELP when --help was printed. A table ends with a zero row. */
int options_parse(const verb *v, const option *options, int argc, char **argv, char ***ret_arguments, int *ret_count);
void options_free(const option *options); /* what lists hold */

#endif
