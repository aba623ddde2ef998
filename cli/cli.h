/* cli/cli: what the verbs have in common. The program stands on the public headers alone. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "json.h"
#include "ledge/ledge.h"
#include "options.h"

extern const verb verb_info, verb_run, verb_bench, verb_convert, verb_cpu, verb_cache;

/* "ledge: MESSAGE" on stderr; returns CLI_FAILED. */
int cli_fail(const ledge_error *error);
int cli_failf(const char *format, ...) LEDGE_PRINTF(1, 2);
/* What was printed must have arrived: CLI_FAILED with a message where it did not, as on a full disk; else `status`. */
int cli_flush(int status);
/* "12.3 MiB" into text. */
const char *cli_bytes(double bytes, char *text, size_t size);
/* "12.3 million" into text. */
const char *cli_count(double n, char *text, size_t size);
double cli_now_ms(void);
/* The value of --precision; NULL: float32. False, with a message on stderr, where it is none. */
bool cli_precision(const verb *v, const char *text, ledge_precision *ret);
/* What the session computes in, and why: "bf16 (auto: ...)" into text; as keys of a JSON object. */
const char *cli_precision_text(const ledge_session *s, char *text, size_t size);
void cli_precision_json(json *j, const ledge_session *s);
/* A line on stderr where bf16 was asked for and this processor has no instructions for it. */
void cli_precision_note(const ledge_session *s);
/* "[1x3x?x?]", with names of open dims: "[batchx3]". */
const char *cli_shape(int rank, const int64_t *dims, const char *const *names, char *text, size_t size);

/* Inputs by --shape NAME=1x3x224x224 (nothing: a scalar) and --int NAME=VALUE, random where not given: normal numbers
 * for floats, VALUE or 1 for integers. Open dims become 1. */
typedef struct cli_inputs {
  size_t count;
  ledge_tensor *tensors;
  ledge_value **values; /* what owns them */
} cli_inputs;
/* Are these settings of inputs that the model has, and can they be meant? */
ledge_status cli_inputs_check(const ledge_model *m, const text_list *shapes, const text_list *ints, ledge_error *error);
ledge_status cli_inputs_make(const ledge_model *m, const text_list *shapes, const text_list *ints, uint64_t seed,
                             cli_inputs *ret, ledge_error *error);
/* Says, where a model with open dims failed, that those not given were taken as 1, and how to give them. */
void cli_inputs_hint(const ledge_model *m, const text_list *shapes, ledge_error *error);
ledge_status cli_inputs_set(const cli_inputs *in, ledge_session *s, ledge_error *error);
void cli_inputs_free(cli_inputs *in);

#endif
