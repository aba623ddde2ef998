/* tests/runtime/run_text.h: a model written as text (model_text.h), read, resolved, put through the passes where asked,
 * and in a session of its own: below the public interface, so that a test can look at the plan. */
#ifndef TESTS_RUNTIME_RUN_TEXT_H
#define TESTS_RUNTIME_RUN_TEXT_H

#include "base/cpu.h"
#include "model_text.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "runtime/session.h"

enum { RUN_INPUTS = 4 };

typedef struct runner {
  model *m;
  session *s;
  value in[RUN_INPUTS];
  const value *given[RUN_INPUTS];
  ledge_error error;
} runner;

/* passes: "" none; "all" all. */
static inline bool runner_open(runner *r, const char *text, bool passes, const session_options *options) {
  msg file = model_text(text);
  int missing = 0;
  *r = (runner){.error = {.message = ""}};
  session_options defaults = {.threads = 1};
  ledge_status status = onnx_read(file.data, file.size, NULL, "test", NULL, &r->m, &r->error);
  writer_deinit(&file);
  if (!status) status = ops_resolve(r->m->graph, NULL, 0, &missing, &r->error);
  if (!status && missing) status = LEDGE_ERROR_UNSUPPORTED;
  if (!status) status = passes_run(r->m, &(pass_options){.required_only = !passes}, &r->error);
  if (!status) status = session_create(r->m, options ? options : &defaults, &r->s, &r->error);
  if (status) TEST_FAIL("%s: %s", ledge_status_name(status), r->error.message);
  return !status;
}

static inline void runner_close(runner *r) {
  session_destroy(r->s);
  model_destroy(r->m);
  for (int i = 0; i < RUN_INPUTS; i++) value_deinit(&r->in[i]);
}

/* Input i: f32 of these dims, numbers that depend on the place alone. */
static inline void runner_set(runner *r, int i, int rank, const int64_t *dims) {
  value_deinit(&r->in[i]);
  r->in[i] = (value){.kind = VALUE_TENSOR};
  tensor *t = &r->in[i].tensor;
  tensor_set_shape(t, LEDGE_F32, rank, dims);
  if (tensor_alloc(t, NULL)) abort();
  for (int64_t k = 0; k < tensor_elements(t); k++) ((float *)t->data)[k] = (float)sin((double)(k + 1) * 1.3 + i);
  r->given[i] = &r->in[i];
}

static inline ledge_status runner_run(runner *r) {
  ledge_status status = session_run(r->s, r->given, &r->error);
  if (status) TEST_FAIL("%s: %s", ledge_status_name(status), r->error.message);
  return status;
}

static inline const tensor *runner_output(const runner *r, int i) {
  const value *v = session_output(r->s, i);
  return v && v->kind == VALUE_TENSOR ? &v->tensor : NULL;
}

#endif
