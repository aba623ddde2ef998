/* api/api: what stands behind the opaque handles of ledge.h. */
#ifndef API_API_H
#define API_API_H

#include "base/map.h"
#include "ledge/ledge.h"
#include "runtime/session.h"

#include <pthread.h>

/* What the passes make of a model: with inputs' defaults taken as constants; with defaults left open; and as it was
 * read. */
typedef enum api_variant { API_FIXED, API_OPEN, API_REFERENCE, API_VARIANTS } api_variant;

struct ledge_model {
  atomic_int refs;
  model *read;   /* as the file says it, resolved; never changes */
  file_map *map; /* the file's bytes */
  weight_store *weights;
  op_def *operators; /* the program's own rows */
  int n_operators;
  int n_missing; /* nodes without an operator */
  char *disable_passes;
  char *folder; /* where external data lie; NULL: nowhere */
  bool allow_links;
  pthread_mutex_t mutex;
  model *variants[API_VARIANTS]; /* after the passes, made when first wanted, under the mutex */
};

struct ledge_session {
  ledge_model *model;
  session *run;
  session *before; /* what `run` was when the last outputs were made; NULL: the same */
  value *inputs;   /* by input of the graph; kind NONE and given NULL where it is left out */
  const value **given;
  ledge_session_options options;
  atomic_bool cancelled;
  tensor *states[2]; /* by variable: its contents before the next run, and room for those after it */
  bool open;         /* an input that has a default was given: `run` is of the graph that leaves defaults open */
  bool undecided;    /* LEDGE_PRECISION_AUTO before the first plan: `run` is float32 */
  ledge_precision_report report;
};

struct ledge_value {
  value v;
};

ledge_model *api_model_ref(ledge_model *m);
/* Inputs and outputs that the caller sees: all but the variables. */
int api_n_inputs(const ledge_model *m);
int api_n_outputs(const ledge_model *m);
/* LEDGE_ERROR_CHANGED where a file that the model is mapped from was cut short, its external data included. */
ledge_status api_check_files(const ledge_model *m, ledge_error *error);
/* A tensor as the caller sees it. */
void api_tensor_out(const tensor *t, ledge_tensor *ret);
/* The caller's tensor as ledge sees it, borrowed; checks dtype, rank, dims and bytes. */
ledge_status api_tensor_in(const ledge_tensor *t, tensor *ret, ledge_error *error);
ledge_status api_value_info(const graph *g, value_id v, ledge_value_info *ret);
/* A session of s's graph and options, but for the precision and the store (NULL: one of its own). */
ledge_status api_session_open(ledge_session *s, bool open, ledge_precision precision, weight_store *weights,
                              session **ret, ledge_error *error);
/* Measures what LEDGE_PRECISION_AUTO is to be for the inputs that are given, into s->report. */
ledge_status api_decide_precision(ledge_session *s, ledge_error *error);
/* Does v fit what the model declares for input i? */
ledge_status api_check_input(const graph *g, int i, const value *v, ledge_error *error);

#endif
