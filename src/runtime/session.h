/* runtime/session: runs a model. A session owns its plans, its arena and its pool of blocks; it shares the model's
 * graph, the packed weights and the thread pool with other sessions.
 *
 * One run at a time in a session (the caller's business); different sessions run in different threads as they like.
 * session_cancel may be called from any thread.
 */
#ifndef RUNTIME_SESSION_H
#define RUNTIME_SESSION_H

#include "plan/plan.h"

typedef struct session session;

typedef struct session_options {
  int threads;               /* 0: this machine's default */
  size_t memory_limit;       /* bytes; 0: what the machine and the cgroup have free */
  uint32_t isa;              /* 0: all that the machine has */
  bool reference_only;       /* every operator runs its reference: slow, for tests */
  bool profile;              /* time every step */
  ledge_precision precision; /* F32 or BF16 */
  uint64_t seed;             /* of operators that draw random numbers without a seed of their own */
  weight_store *weights;     /* NULL: one of the session's own */
  atomic_bool *cancelled;    /* what session_cancel sets, outliving the session; NULL: the session's own */
} session_options;

/* The graph's nodes are resolved (ops_resolve); m is kept. */
ledge_status session_create(model *m, const session_options *options, session **ret, ledge_error *error);
void session_destroy(session *s);
/* Makes (or finds) the plan for inputs of these kinds, dtypes and shapes without running it. */
ledge_status session_plan(session *s, const value *const *inputs, const plan **ret, ledge_error *error);
/* inputs: one a graph input, NULL where its default is meant; their memory is read in place and must stand until the
 * run ends. Outputs last until the next run. */
ledge_status session_run(session *s, const value *const *inputs, ledge_error *error);
/* Output i of the last run; NULL where there was none, or it failed. */
const value *session_output(const session *s, int i);
/* Gives the last run's outputs back: there are none from now on. */
void session_forget(session *s);
/* The next runs write output i to `data` (bytes at least the tensor's): NULL ends that. The copy is spared where the
 * plan allows. */
ledge_status session_bind_output(session *s, int i, void *data, size_t bytes, ledge_error *error);
/* Any thread, while the session stands. */
void session_cancel(session *s);
/* Takes over what is bound to the outputs of `from`, a session of the same outputs. */
void session_take_bindings(session *s, const session *from);
/* The plan of the main graph that was made, found or run last; NULL: none yet. */
const plan *session_last_plan(const session *s);
const graph *session_graph(const session *s);
/* The most that values sized by data took; threads of its pool. */
size_t session_dynamic_bytes(const session *s);
int session_threads(const session *s);
/* Plan arenas of all cached plans plus the blocks' peak. */
size_t session_memory_bytes(const session *s);

#endif
