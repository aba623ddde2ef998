/* cli/cmd_run: `ledge run`: a model on files: images, sound, arrays, text. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct run_options {
  int64_t threads, seed, top;
  size_t memory_limit;
  text_list inputs, recipes;
  const char *output, *labels;
  bool json, quiet, allow_links, reference;
} run_options;

typedef struct run_state {
  const run_options *o;
  ledge_model *model;
  ledge_session *session;
  ledge_value **inputs;
  char *labels;       /* the text */
  const char **label; /* its lines */
  size_t n_labels;
  double latency_ms;
  ledge_error error;
} run_state;

/* Splits NAME=REST; a single FILE without a name means input 0. */
static bool split(const char *text, char *name, size_t size, const char **rest) {
  const char *equals = strchr(text, '=');
  if (!equals || (size_t)(equals - text) >= size) return false;
  memcpy(name, text, (size_t)(equals - text));
  name[equals - text] = 0;
  *rest = equals + 1;
  return true;
}

static const char *recipe_for(const run_state *s, const char *name, size_t i, char *key, size_t size) {
  char given[512];
  const char *rest;
  for (size_t k = 0; k < s->o->recipes.count; k++) {
    size_t at;
    if (split(s->o->recipes.items[k], given, sizeof given, &rest) &&
        !ledge_model_find_input(s->model, given, &at, NULL) && at == i)
      return rest;
    if (ledge_model_input_count(s->model) == 1 && strchr(s->o->recipes.items[k], ':') &&
        !(split(s->o->recipes.items[k], given, sizeof given, &rest) && !strchr(given, ':')))
      return s->o->recipes.items[k];
  }
  snprintf(key, size, "ledge.input.%zu", i);
  const char *r = ledge_model_metadata(s->model, key);
  if (r) return r;
  snprintf(key, size, "ledge.input.%s", name);
  return ledge_model_metadata(s->model, key);
}

static ledge_status load_input(run_state *s, size_t i, const char *file) {
  ledge_value_info info;
  char key[600];
  ledge_status status = ledge_model_input(s->model, i, &info, &s->error);
  if (status) return status;
  ledge_value *v = NULL;
  status = ledge_value_load(file, recipe_for(s, info.name, i, key, sizeof key), &info, &v, &s->error);
  if (status) return status;
  ledge_value_destroy(s->inputs[i]);
  s->inputs[i] = v;
  return ledge_session_set_input_value(s->session, i, v, &s->error);
}

static ledge_status load_inputs(run_state *s, char **files, int n_files) {
  ledge_status status = LEDGE_OK;
  for (size_t k = 0; !status && k < s->o->inputs.count; k++) {
    char name[512];
    const char *file = s->o->inputs.items[k];
    size_t at = k;
    if (split(s->o->inputs.items[k], name, sizeof name, &file))
      status = ledge_model_find_input(s->model, name, &at, &s->error);
    if (!status) status = load_input(s, at, file);
  }
  for (int k = 0; !status && k < n_files; k++) status = load_input(s, (size_t)k, files[k]);
  return status;
}

/* ---- labels ---- */

static void split_labels(run_state *s) {
  size_t n = 0;
  for (char *p = s->labels; *p; p++) n += *p == '\n';
  s->label = calloc(n + 2, sizeof *s->label);
  if (!s->label) return;
  for (char *line = strtok(s->labels, "\n"); line; line = strtok(NULL, "\n")) {
    line[strcspn(line, "\r")] = 0;
    s->label[s->n_labels++] = line;
  }
}

static bool read_labels(run_state *s) {
  const char *text = ledge_model_metadata(s->model, "ledge.labels");
  if (s->o->labels) {
    FILE *f = fopen(s->o->labels, "rb");
    long size = f && !fseek(f, 0, SEEK_END) ? ftell(f) : -1;
    if (size < 0 || size > 64 << 20) {
      if (f) fclose(f);
      cli_failf("cannot read labels from %s: %s", s->o->labels, f ? "it is too large" : strerror(errno));
      return false;
    }
    rewind(f);
    s->labels = calloc((size_t)size + 1, 1);
    if (s->labels && fread(s->labels, 1, (size_t)size, f) != (size_t)size) s->labels[0] = 0;
    fclose(f);
  } else if (text) {
    s->labels = strdup(text);
  }
  if (s->labels) split_labels(s);
  return true;
}

/* ---- outputs ---- */

static double element(const ledge_tensor *t, int64_t i) {
  switch (t->dtype) {
    case LEDGE_F32: return ((const float *)t->data)[i];
    case LEDGE_F64: return ((const double *)t->data)[i];
    case LEDGE_I64: return (double)((const int64_t *)t->data)[i];
    case LEDGE_I32: return ((const int32_t *)t->data)[i];
    case LEDGE_U32: return ((const uint32_t *)t->data)[i];
    case LEDGE_U64: return (double)((const uint64_t *)t->data)[i];
    case LEDGE_I16: return ((const int16_t *)t->data)[i];
    case LEDGE_U16: return ((const uint16_t *)t->data)[i];
    case LEDGE_I8: return ((const int8_t *)t->data)[i];
    case LEDGE_U8:
    case LEDGE_BOOL: return ((const uint8_t *)t->data)[i];
    case LEDGE_F16: { /* a half: sign, 5 bits of exponent, 10 of fraction */
      uint16_t h = ((const uint16_t *)t->data)[i];
      int e = (h >> 10) & 31, m = h & 1023;
      double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
      return h & 0x8000 ? -v : v;
    }
    case LEDGE_BF16: {
      uint32_t u = (uint32_t)((const uint16_t *)t->data)[i] << 16;
      float f;
      memcpy(&f, &u, sizeof f);
      return f;
    }
    default: return NAN;
  }
}

static int64_t elements(const ledge_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++) n *= t->dims[i];
  return n;
}

/* The k largest elements, as indices. */
static size_t top_k(const ledge_tensor *t, int64_t n, size_t k, int64_t *best) {
  size_t found = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = element(t, i);
    size_t at = found;
    while (at > 0 && v > element(t, best[at - 1])) at--;
    if (at >= k) continue;
    if (found < k) found++;
    memmove(best + at + 1, best + at, (found - at - 1) * sizeof *best);
    best[at] = i;
  }
  return found;
}

static void print_top(const run_state *s, const ledge_tensor *t, int64_t n) {
  size_t k = (size_t)(s->o->top > 0 && s->o->top < 100 ? s->o->top : 5);
  int64_t best[100];
  k = top_k(t, n, k, best);
  for (size_t i = 0; i < k; i++)
    printf("  %10.5f  %s\n", element(t, best[i]), (size_t)best[i] < s->n_labels ? s->label[best[i]] : "?");
}

static void print_summary(const char *name, const ledge_tensor *t) {
  char shape[256];
  int64_t n = elements(t);
  printf("%s: %s %s", name, ledge_dtype_name(t->dtype), cli_shape(t->rank, t->dims, NULL, shape, sizeof shape));
  if (t->dtype == LEDGE_STRING) {
    for (int64_t i = 0; i < n && i < 8; i++)
      printf(" \"%.*s\"", (int)((const ledge_string *)t->data)[i].size, ((const ledge_string *)t->data)[i].data);
    printf("\n");
    return;
  }
  double low = INFINITY, high = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = element(t, i);
    low = fmin(low, v);
    high = fmax(high, v);
    sum += v;
  }
  if (n > 0) printf("  min %.6g, max %.6g, mean %.6g\n ", low, high, sum / (double)n);
  for (int64_t i = 0; i < n && i < 8; i++) printf(" %.6g", element(t, i));
  printf(n > 8 ? " ...\n" : "\n");
}

static void file_name(const char *name, const char *suffix, char *file, size_t size) {
  snprintf(file, size, "%s%s.npy", name, suffix);
  for (char *p = file; *p; p++)
    if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '-' ||
          *p == '_'))
      *p = '_';
}

static ledge_status write_tensor(run_state *s, const char *name, const char *suffix, const ledge_tensor *t, json *j) {
  char file[1024], path[4096];
  file_name(name, suffix, file, sizeof file);
  ledge_status status = LEDGE_OK;
  if (s->o->output) {
    snprintf(path, sizeof path, "%s/%s", s->o->output, file);
    status = ledge_tensor_save_npy(t, path, &s->error);
  }
  if (status || !s->o->json) return status;
  json_open(j, '{');
  json_key(j, "name"), json_text(j, name);
  json_key(j, "dtype"), json_text(j, ledge_dtype_name(t->dtype));
  json_key(j, "shape"), json_open(j, '[');
  for (int i = 0; i < t->rank; i++) json_int(j, t->dims[i]);
  json_close(j, ']');
  json_key(j, "file"), json_text(j, s->o->output ? path : NULL);
  int64_t n = elements(t);
  if (s->n_labels > 1 && (int64_t)s->n_labels == n && t->dtype != LEDGE_STRING) {
    int64_t best[100];
    size_t k = top_k(t, n, (size_t)(s->o->top > 0 && s->o->top < 100 ? s->o->top : 5), best);
    json_key(j, "top"), json_open(j, '[');
    for (size_t i = 0; i < k; i++) {
      json_open(j, '{');
      json_key(j, "label"), json_text(j, s->label[best[i]]);
      json_key(j, "value"), json_real(j, element(t, best[i]));
      json_close(j, '}');
    }
    json_close(j, ']');
  }
  json_close(j, '}');
  return LEDGE_OK;
}

/* A sequence's items become NAME.0.npy, NAME.1.npy, ... */
static ledge_status write_output(run_state *s, size_t i, json *j) {
  ledge_value_info info;
  ledge_value *v = NULL;
  ledge_tensor t;
  ledge_status status = ledge_model_output(s->model, i, &info, &s->error);
  if (!status) status = ledge_session_output_value(s->session, i, &v, &s->error);
  if (status) return status;
  size_t n = ledge_value_kind(v) == LEDGE_KIND_SEQUENCE ? ledge_value_count(v) : 1;
  for (size_t k = 0; !status && k < n; k++) {
    const ledge_value *item = ledge_value_kind(v) == LEDGE_KIND_SEQUENCE ? ledge_value_item(v, k) : v;
    char suffix[32] = "";
    if (item != v) snprintf(suffix, sizeof suffix, ".%zu", k);
    if (ledge_value_kind(item) == LEDGE_KIND_NONE) continue;
    status = ledge_value_tensor(item, &t, &s->error);
    if (!status) status = write_tensor(s, info.name, suffix, &t, j);
    if (status || s->o->json || s->o->quiet) continue;
    if (s->n_labels > 1 && (int64_t)s->n_labels == elements(&t) && t.dtype != LEDGE_STRING)
      print_top(s, &t, elements(&t));
    else
      print_summary(info.name, &t);
  }
  ledge_value_destroy(v);
  return status;
}

static ledge_status write_outputs(run_state *s) {
  json j = json_start(stdout);
  ledge_status status = LEDGE_OK;
  if (s->o->output && mkdir(s->o->output, 0777) && errno != EEXIST) {
    s->error.code = LEDGE_ERROR_IO;
    snprintf(s->error.message, sizeof s->error.message, "cannot make the folder %.800s: %s", s->o->output,
             strerror(errno));
    return LEDGE_ERROR_IO;
  }
  if (s->o->json) {
    json_open(&j, '{');
    json_key(&j, "latency_ms"), json_real(&j, s->latency_ms);
    json_key(&j, "threads"), json_int(&j, ledge_session_threads(s->session));
    json_key(&j, "outputs"), json_open(&j, '[');
  }
  for (size_t i = 0; !status && i < ledge_model_output_count(s->model); i++) status = write_output(s, i, &j);
  if (s->o->json && !status) {
    json_close(&j, ']');
    json_close(&j, '}');
    json_end(&j);
  }
  return status;
}

static ledge_status run_all(run_state *s, char **files, int n_files) {
  ledge_session_options so = {.threads = (int)s->o->threads,
                              .memory_limit = s->o->memory_limit,
                              .seed = (uint64_t)s->o->seed,
                              .reference = s->o->reference};
  ledge_status status =
      ledge_model_open(files[0], &(ledge_model_options){.allow_links = s->o->allow_links}, &s->model, &s->error);
  if (status) return status;
  s->inputs = calloc(ledge_model_input_count(s->model) + 1, sizeof *s->inputs);
  if (!s->inputs || !read_labels(s)) return s->error.code = LEDGE_ERROR_MEMORY;
  status = ledge_session_create(s->model, &so, &s->session, &s->error);
  if (!status) status = load_inputs(s, files + 1, n_files - 1);
  if (!status) status = ledge_session_plan(s->session, &s->error);
  double start = cli_now_ms();
  if (!status) status = ledge_session_run(s->session, &s->error);
  s->latency_ms = cli_now_ms() - start;
  if (!status) status = write_outputs(s);
  if (!status && !s->o->json && !s->o->quiet) {
    ledge_memory memory;
    char text[32];
    ledge_session_memory(s->session, &memory);
    fprintf(stderr, "%.3f ms, %s planned, %d thread%s\n", s->latency_ms,
            cli_bytes((double)(memory.planned_bytes + memory.folded_bytes), text, sizeof text),
            ledge_session_threads(s->session), ledge_session_threads(s->session) == 1 ? "" : "s");
  }
  return status;
}

static int run_main(const verb *v, int argc, char **argv) {
  run_options o = {.top = 5};
  const option options[] = {
      {"input", OPTION_LIST, &o.inputs, "NAME=FILE",
       "an input by name or position: image, sound, .npy, .npz, text or raw"},
      {"recipe", OPTION_LIST, &o.recipes, "NAME=RECIPE", "how a file becomes numbers (default: the model's metadata)"},
      {"output", OPTION_TEXT, &o.output, "DIR", "write every output as DIR/NAME.npy"},
      {"labels", OPTION_TEXT, &o.labels, "FILE", "names of the classes, one a line"},
      {"top", OPTION_INT, &o.top, "K", "how many classes to show (default 5)"},
      {"threads", OPTION_INT, &o.threads, "N", "threads (default: the big cores that this process may use)"},
      {"memory-limit", OPTION_BYTES, &o.memory_limit, "BYTES", "refuse a plan that needs more (512M, 2G, ...)"},
      {"seed", OPTION_INT, &o.seed, "N", "of operators that draw random numbers"},
      {"allow-links", OPTION_FLAG, &o.allow_links, NULL,
       "external data may lie behind links that leave the model's folder"},
      {"reference", OPTION_FLAG, &o.reference, NULL, "run the plain reference of every operator (slow)"},
      {"json", OPTION_FLAG, &o.json, NULL, "a JSON document instead of tables"},
      {"quiet", OPTION_FLAG, &o.quiet, NULL, "print nothing but errors"},
      {0},
  };
  char **files;
  int n, status = options_parse(v, options, argc, argv, &files, &n);
  if (status != CLI_OK) {
    options_free(options);
    return status;
  }
  run_state s = {.o = &o};
  if (run_all(&s, files, n)) status = s.error.message[0] ? cli_fail(&s.error) : CLI_FAILED;
  ledge_session_destroy(s.session);
  for (size_t i = 0; s.inputs && s.model && i < ledge_model_input_count(s.model); i++) ledge_value_destroy(s.inputs[i]);
  ledge_model_close(s.model);
  free(s.inputs);
  free(s.labels);
  free(s.label);
  options_free(options);
  return status;
}

const verb verb_run = {
    "run",
    "MODEL [FILE...]",
    "Runs a model on files and prints labels, a table or JSON.",
    "  ledge run models/keyword/keyword.onnx models/keyword/recordings/yes.wav\n"
    "  ledge run classifier.onnx cat.jpg --labels imagenet.txt \\\n"
    "      --recipe image:resize=256,crop=224,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,scale=1/255\n"
    "  ledge run model.onnx --input x=x.npy --input 1=state.npy --output out --json\n",
    1,
    -1,
    run_main};
