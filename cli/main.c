/* cli/main: the program `ledge`: finds the verb and hands over. Exit status: 0 done, 1 failed, 2 wrong usage, 3 done
 * but a budget was not met. */
#include "cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const verb *const verbs[] = {&verb_info, &verb_run, &verb_bench, &verb_convert, &verb_cpu, &verb_cache};
enum { N_VERBS = sizeof verbs / sizeof *verbs };

static void print_usage(FILE *out) {
  fprintf(out, "ledge: AI models on Linux devices\n\nusage: ledge VERB ... [options]\n\n");
  for (int i = 0; i < N_VERBS; i++)
    fprintf(out, "  %-9s %-16s %s\n", verbs[i]->name, verbs[i]->arguments, verbs[i]->summary);
  fprintf(out, "\n`ledge VERB --help` shows the options of a verb, with examples; `ledge --version` the version.\n");
}

int main(int argc, char **argv) {
  signal(SIGXFSZ, SIG_IGN); /* a file over the limit of its size: write fails and says so */
  if (argc < 2) {
    print_usage(stderr);
    return CLI_USAGE;
  }
  if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
    print_usage(stdout);
    return cli_flush(CLI_OK);
  }
  if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
    printf("ledge %s\n", ledge_version());
    return cli_flush(CLI_OK);
  }
  for (int i = 0; i < N_VERBS; i++) {
    if (strcmp(argv[1], verbs[i]->name)) continue;
    int status = verbs[i]->run(verbs[i], argc - 2, argv + 2);
    return cli_flush(status == CLI_HELP ? CLI_OK : status);
  }
  fprintf(stderr, "ledge: no verb '%s'; see `ledge --help`\n", argv[1]);
  return CLI_USAGE;
}
