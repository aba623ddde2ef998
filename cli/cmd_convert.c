/* cli/cmd_convert: `ledge convert`: a model read and written again. */
#include "cli.h"

#include <string.h>

typedef struct convert_options {
  bool simplify, quiet, allow_links;
  size_t external;
  const char *output;
} convert_options;

static int convert(const convert_options *o, const char *in, const char *out) {
  ledge_error error = {.message = ""};
  ledge_model *m = NULL;
  size_t n = strlen(out);
  if (n < 5 || strcmp(out + n - 5, ".onnx"))
    return cli_failf("%s: the output's name must end in .onnx, the format that this version writes", out);
  ledge_status status =
      ledge_model_open(in, &(ledge_model_options){.allow_links = o->allow_links, .no_cache = true}, &m, &error);
  if (!status) status = ledge_model_save(m, out, &(ledge_save_options){o->simplify, o->external}, &error);
  if (!status && !o->quiet) {
    ledge_model_summary before, after;
    ledge_model *written = NULL;
    ledge_model_summarize(m, &before);
    status = ledge_model_open(out, NULL, &written, &error);
    if (!status) {
      ledge_model_summarize(written, &after);
      fprintf(stderr, "%s: %lld nodes -> %s: %lld nodes\n", in, (long long)before.nodes, out, (long long)after.nodes);
    }
    ledge_model_close(written);
  }
  ledge_model_close(m);
  return status ? cli_fail(&error) : CLI_OK;
}

static int convert_main(const verb *v, int argc, char **argv) {
  convert_options o = {0};
  const option options[] = {
      {"o", OPTION_TEXT, &o.output, "FILE", "the output, in place of a second argument"},
      {"simplify", OPTION_FLAG, &o.simplify, NULL, "fold constants and fuse what the standard can still say"},
      {"external-data", OPTION_BYTES, &o.external, "BYTES", "constants of at least so many bytes go to FILE.data"},
      {"allow-links", OPTION_FLAG, &o.allow_links, NULL,
       "external data may lie behind links that leave the model's folder"},
      {"quiet", OPTION_FLAG, &o.quiet, NULL, "print nothing but errors"},
      {0},
  };
  char **files;
  int n, status = options_parse(v, options, argc, argv, &files, &n);
  if (status == CLI_OK && n + (o.output != NULL) != 2) {
    fprintf(stderr, "ledge convert: give one input and one output: see `ledge convert --help`\n");
    status = CLI_USAGE;
  }
  if (status == CLI_OK) status = convert(&o, files[0], o.output ? o.output : files[1]);
  options_free(options);
  return status;
}

const verb verb_convert = {"convert",
                           "IN OUT",
                           "Reads a model and writes it again, simplified where asked.",
                           "  ledge convert model.onnx simple.onnx --simplify\n"
                           "  ledge convert big.onnx -o big2.onnx --external-data 1M\n",
                           1,
                           2,
                           convert_main};
