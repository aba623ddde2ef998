/* cli/outputs: what `ledge run` does with a model's outputs: .npy files, labels, a table or JSON. */
#ifndef CLI_OUTPUTS_H
#define CLI_OUTPUTS_H

#include "cli.h"

/* Names of classes: the lines of a text. */
typedef struct label_list {
  char *text;
  const char **lines;
  size_t count;
} label_list;
/* From a file, or, with path NULL, from a copy of `text` (which may be NULL: no labels). */
ledge_status labels_read(const char *path, const char *text, label_list *ret, ledge_error *error);
void labels_free(label_list *l);

typedef struct output_options {
  const char *folder; /* NULL: no files */
  const label_list *labels;
  bool labels_must_fit; /* labels that fit no output are an error */
  int64_t top;
  bool top_wanted; /* show the best of a row even where there are no labels */
  bool json, quiet;
} output_options;

/* Makes the folder where it is not there; it must be one that can be written to. */
ledge_status outputs_folder(const char *folder, ledge_error *error);
/* Writes the files and then prints: on failure nothing is printed. */
ledge_status outputs_write(const output_options *o, const ledge_model *m, const ledge_session *s, double latency_ms,
                           ledge_error *error);

#endif
