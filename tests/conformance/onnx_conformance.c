/* tests/conformance: runs ONNX's backend tests.
 *
 *   onnx_conformance [--reference] [--no-pass=NAME,...] [--verbose] DIR...
 *
 * A DIR is a test (model.onnx and test_data_set_N/{input,output}_K.pb), or holds tests, or holds NAME.onnx with
 * NAME_output_0.pb (ONNX's light models, whose input of n elements is 0/n, 1/n, ...). Prints a line per failing test
 * and "N passed, N failed" last; exit status 1 if any failed. Shape, dtype and strings are compared exactly, floats
 * within rtol 1e-3 and atol 1e-7 as ONNX's own runner has it; of operators that draw random numbers only dtype and
 * shape. Each test runs in a process of its own, so that one crash is one failure. */
#include "base/error.h"
#include "formats/onnx/onnx.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "runtime/session.h"

#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* Where the published output itself rounds by chance: the test, the tolerances, and why. */
typedef struct override {
  const char *test;
  double rtol, atol;
  const char *reason;
} override;
static const override overrides[] = {
    {"test_dft_inverse", 1e-3, 1e-6, "zeros of the sum are published with float32's noise of 2e-7"},
    {"test_dft_inverse_opset19", 1e-3, 1e-6, "the same data"},
    {NULL, 1e-3, 1e-7, "ONNX's own"},
};

static bool reference_only, verbose;
static const char *disabled_passes;

typedef struct file {
  uint8_t *data;
  size_t size;
} file;

static bool file_read(const char *path, file *f) {
  FILE *in = fopen(path, "rb");
  if (!in) return false;
  fseek(in, 0, SEEK_END);
  long size = ftell(in);
  rewind(in);
  f->size = size > 0 ? (size_t)size : 0;
  f->data = malloc(f->size + 1);
  bool ok = f->data && fread(f->data, 1, f->size, in) == f->size;
  fclose(in);
  return ok;
}

static void file_free(file *f) { free(f->data), f->data = NULL; }

static bool exists(const char *path) {
  struct stat s;
  return stat(path, &s) == 0;
}

/* ---- comparison ---- */

typedef struct verdict {
  char text[512];
} verdict;

static bool differ(verdict *why, const char *format, ...) LEDGE_PRINTF(2, 3);
static bool differ(verdict *why, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(why->text, sizeof why->text, format, args);
  va_end(args);
  return false;
}

static bool same_number(double got, double want, const override *o) {
  if (isnan(got) || isnan(want)) return isnan(got) && isnan(want);
  if (isinf(got) || isinf(want)) return got == want;
  return fabs(got - want) <= o->atol + o->rtol * fabs(want);
}

static bool same_tensor(const tensor *got, const tensor *want, const override *o, bool contents, verdict *why) {
  char a[200], b[200];
  if (got->dtype != want->dtype)
    return differ(why, "dtype %s instead of %s", ledge_dtype_name(got->dtype), ledge_dtype_name(want->dtype));
  if (!tensor_same_shape(got, want))
    return differ(why, "shape %s instead of %s", shape_print(got->rank, got->dims, a, sizeof a),
                  shape_print(want->rank, want->dims, b, sizeof b));
  if (!contents) return true;
  int64_t n = tensor_elements(want);
  for (int64_t i = 0; i < n; i++) {
    if (want->dtype == LEDGE_STRING) {
      ledge_string x = ((const ledge_string *)got->data)[i], y = ((const ledge_string *)want->data)[i];
      if (x.size != y.size || memcmp(x.data, y.data, x.size))
        return differ(why, "string %lld is \"%.*s\" instead of \"%.*s\"", (long long)i, (int)x.size, x.data,
                      (int)y.size, y.data);
    } else if (dtype_is_integer(want->dtype) || want->dtype == LEDGE_BOOL) {
      if (tensor_i64(got, i) != tensor_i64(want, i))
        return differ(why, "element %lld is %lld instead of %lld", (long long)i, (long long)tensor_i64(got, i),
                      (long long)tensor_i64(want, i));
    } else {
      bool complex = dtype_kind_of(want->dtype) == DTYPE_KIND_COMPLEX;
      ledge_dtype part = want->dtype == LEDGE_C64 ? LEDGE_F32 : want->dtype == LEDGE_C128 ? LEDGE_F64 : want->dtype;
      for (int k = 0; k < (complex ? 2 : 1); k++) {
        int64_t at = complex ? 2 * i + k : i;
        double x = dtype_load_f64(part, got->data, at), y = dtype_load_f64(part, want->data, at);
        if (!same_number(x, y, o)) return differ(why, "element %lld is %.9g instead of %.9g", (long long)i, x, y);
      }
    }
  }
  return true;
}

static bool same_value(const value *got, const value *want, const override *o, bool contents, verdict *why) {
  if (got->kind != want->kind) return differ(why, "kind %d instead of %d", got->kind, want->kind);
  if (want->kind == VALUE_SEQUENCE) {
    if (got->list->count != want->list->count)
      return differ(why, "%lld elements instead of %lld", (long long)got->list->count, (long long)want->list->count);
    for (int64_t i = 0; i < want->list->count; i++)
      if (!same_value(&got->list->items[i], &want->list->items[i], o, contents, why)) return false;
    return true;
  }
  if (want->kind == VALUE_MAP && !same_tensor(&got->keys, &want->keys, o, contents, why)) return false;
  return want->kind == VALUE_NONE || same_tensor(&got->tensor, &want->tensor, o, contents, why);
}

/* ---- one test ---- */

static bool draws_random(const graph *g) {
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    if (n->def && n->def->flags & OP_NONDETERMINISTIC && !node_is(n, "", "Dropout")) return true;
    if (node_is(n, "", "Dropout") && n->n_in > 2)
      return false; /* the tests use ratio 0 or a seed: compared as they are */
  }
  return false;
}

static bool fail_with(verdict *why, const char *what, const ledge_error *e) {
  return differ(why, "%s: %s: %.400s", what, ledge_status_name(e->code), e->message);
}

static bool read_value(const char *path, const graph_type *type, value *v, verdict *why) {
  file f;
  ledge_error e = {0};
  if (!file_read(path, &f)) return differ(why, "cannot read %s", path);
  ledge_status status = onnx_read_value(f.data, f.size, path, type, v, &e);
  file_free(&f);
  return status ? fail_with(why, "reading a value", &e) : true;
}

static bool run_data_set(session *s, const model *m, const char *folder, const override *o, verdict *why) {
  const graph *g = m->graph;
  char path[PATH_BYTES + 32];
  value *inputs = calloc((size_t)g->n_inputs + 1, sizeof *inputs);
  const value **given = calloc((size_t)g->n_inputs + 1, sizeof *given);
  ledge_error e = {0};
  bool ok = true;
  for (int i = 0; ok && i < g->n_inputs; i++) {
    snprintf(path, sizeof path, "%s/input_%d.pb", folder, i);
    if (!exists(path)) continue;
    ok = read_value(path, &g->values[g->inputs[i]].type, &inputs[i], why);
    given[i] = &inputs[i];
  }
  if (ok && session_run(s, given, &e)) ok = fail_with(why, "run", &e);
  bool contents = !draws_random(session_graph(s));
  for (int i = 0; ok && i < g->n_outputs; i++) {
    snprintf(path, sizeof path, "%s/output_%d.pb", folder, i);
    if (!exists(path)) break;
    value want = {0};
    ok = read_value(path, &g->values[g->outputs[i]].type, &want, why) &&
         same_value(session_output(s, i), &want, o, contents, why);
    if (!ok) {
      char text[sizeof why->text];
      memcpy(text, why->text, sizeof text);
      snprintf(why->text, sizeof why->text, "output %d (%.60s): %.400s", i, g->values[g->outputs[i]].name, text);
    }
    value_deinit(&want);
  }
  for (int i = 0; i < g->n_inputs; i++) value_deinit(&inputs[i]);
  free(inputs);
  free(given);
  return ok;
}

/* The input of ONNX's light models: 0/n, 1/n, ... for each float input that is no initialiser. */
static bool run_light(session *s, const model *m, const char *model_path, const override *o, verdict *why) {
  const graph *g = m->graph;
  value *inputs = calloc((size_t)g->n_inputs + 1, sizeof *inputs);
  const value **given = calloc((size_t)g->n_inputs + 1, sizeof *given);
  ledge_error e = {0};
  bool ok = true;
  for (int i = 0; ok && i < g->n_inputs; i++) {
    const graph_value *v = &g->values[g->inputs[i]];
    if (v->constant) continue;
    inputs[i].kind = VALUE_TENSOR;
    tensor *t = &inputs[i].tensor;
    tensor_set_shape(t, v->type.dtype, v->type.rank, v->type.dims);
    if (tensor_alloc(t, &e)) {
      ok = fail_with(why, "input", &e);
      break;
    }
    int64_t n = tensor_elements(t);
    for (int64_t k = 0; k < n; k++) dtype_store_f64(t->dtype, t->data, k, (double)k / (double)n);
    given[i] = &inputs[i];
  }
  if (ok && session_run(s, given, &e)) ok = fail_with(why, "run", &e);
  if (ok) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.*s_output_0.pb", (int)(strlen(model_path) - strlen(".onnx")), model_path);
    value want = {0};
    ok = read_value(path, &g->values[g->outputs[0]].type, &want, why) &&
         same_value(session_output(s, 0), &want, o, true, why);
    value_deinit(&want);
  }
  for (int i = 0; i < g->n_inputs; i++) value_deinit(&inputs[i]);
  free(inputs);
  free(given);
  return ok;
}

static bool run_test(const char *name, const char *folder, const char *model_path, bool light, verdict *why) {
  file f;
  ledge_error e = {0};
  model *m = NULL;
  session *s = NULL;
  int missing = 0;
  const override *o = overrides;
  while (o->test && strcmp(o->test, name)) o++;
  if (!file_read(model_path, &f)) return differ(why, "cannot read %s", model_path);
  bool ok = true;
  if (onnx_read(f.data, f.size, NULL, model_path, &(onnx_options){.folder = folder}, &m, &e))
    ok = fail_with(why, "load", &e);
  file_free(&f);
  if (ok && ops_resolve(m->graph, NULL, 0, &missing, &e)) ok = fail_with(why, "load", &e);
  if (ok && passes_run(m, &(pass_options){.disable = disabled_passes, .required_only = reference_only}, &e))
    ok = fail_with(why, "passes", &e);
  session_options so = {.threads = 1, .reference_only = reference_only};
  if (ok && session_create(m, &so, &s, &e)) ok = fail_with(why, "session", &e);
  if (ok && light) ok = run_light(s, m, model_path, o, why);
  for (int i = 0; ok && !light; i++) {
    char set[PATH_BYTES];
    snprintf(set, sizeof set, "%s/test_data_set_%d", folder, i);
    if (!exists(set)) {
      if (i == 0) ok = differ(why, "it has no test_data_set_0");
      break;
    }
    ok = run_data_set(s, m, set, o, why);
  }
  session_destroy(s);
  model_destroy(m);
  return ok;
}

/* ---- all tests ---- */

static int n_passed, n_failed;

static void run_forked(const char *name, const char *folder, const char *model_path, bool light) {
  int pipes[2];
  verdict why = {""};
  fflush(stdout);
  if (pipe(pipes)) return;
  pid_t child = fork();
  if (child == 0) {
    close(pipes[0]);
    alarm(300);
    bool ok = run_test(name, folder, model_path, light, &why);
    if (!ok && write(pipes[1], why.text, strlen(why.text)) < 0) exit(3);
    close(pipes[1]);
    exit(ok ? 0 : 1);
  }
  close(pipes[1]);
  ssize_t n = 0, k;
  while (n < (ssize_t)sizeof why.text - 1 && (k = read(pipes[0], why.text + n, sizeof why.text - 1 - (size_t)n)) > 0)
    n += k;
  why.text[n] = 0;
  close(pipes[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) snprintf(why.text, sizeof why.text, "killed by signal %d", WTERMSIG(status));
  bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!ok) printf("FAILED %s: %s\n", name, why.text);
  if (ok && verbose) printf("ok %s\n", name);
  ok ? n_passed++ : n_failed++;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), k = strlen(end);
  return n >= k && !strcmp(text + n - k, end);
}

static void run_folder(const char *dir, int depth) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  if (exists(path)) {
    run_forked(base_name(dir), dir, path, false);
    return;
  }
  struct dirent **names;
  int n = depth < 4 ? scandir(dir, &names, NULL, alphasort) : -1;
  if (n < 0) return;
  for (int i = 0; i < n; i++) {
    const char *name = names[i]->d_name;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct stat s;
    if (name[0] != '.' && stat(path, &s) == 0) {
      if (S_ISDIR(s.st_mode))
        run_folder(path, depth + 1);
      else if (ends_with(name, ".onnx"))
        run_forked(name, dir, path, true);
    }
    free(names[i]);
  }
  free(names);
}

int main(int argc, char **argv) {
  int n_dirs = 0;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--reference"))
      reference_only = true;
    else if (!strncmp(argv[i], "--no-pass=", 10))
      disabled_passes = argv[i] + 10;
    else if (!strcmp(argv[i], "--verbose"))
      verbose = true;
    else {
      n_dirs++;
      size_t n = strlen(argv[i]);
      while (n > 1 && argv[i][n - 1] == '/') argv[i][--n] = 0;
      if (!exists(argv[i])) {
        printf("FAILED %s: no such folder\n", argv[i]);
        n_failed++;
      } else {
        run_folder(argv[i], 0);
      }
    }
  }
  if (!n_dirs) {
    fprintf(stderr, "usage: onnx_conformance [--reference] [--no-pass=NAME,...|all] [--verbose] DIR...\n");
    return 2;
  }
  printf("%d passed, %d failed\n", n_passed, n_failed);
  return n_failed ? 1 : 0;
}
