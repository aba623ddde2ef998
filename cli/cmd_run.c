/* cli/cmd_run: `ledge run`: a model on files: images, sound, arrays, text. */
#include "outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP_DEFAULT = 5 };

typedef struct run_options {
  int64_t threads, seed, top;
  size_t memory_limit;
  text_list inputs, recipes;
  const char *output, *labels, *precision_name;
  ledge_precision precision;
  double precision_error;
  bool json, quiet, allow_links, reference, no_cache, no_autotune;
} run_options;

typedef struct run_state {
  const run_options *o;
  ledge_model *model;
  ledge_session *session;
  ledge_value **inputs;
  label_list labels;
  double latency_ms;
  ledge_error error;
} run_state;

/* Splits NAME=REST at the first '=' whose left side is an input of the model, or at the first one of all. */
static bool split(const ledge_model *m, const char *text, char *name, size_t size, const char **rest) {
  bool found = false;
  for (const char *equals = strchr(text, '='); equals; equals = strchr(equals + 1, '=')) {
    size_t n = (size_t)(equals - text), at;
    char part[512];
    if (n >= size || n >= sizeof part) break;
    memcpy(part, text, n);
    part[n] = 0;
    bool known = ledge_model_find_input(m, part, &at, NULL) == LEDGE_OK;
    if (found && !known) continue;
    memcpy(name, part, n + 1);
    *rest = equals + 1;
    found = true;
    if (known) break;
  }
  return found;
}

static const char *recipe_for(const run_state *s, const char *name, size_t i, char *key, size_t size) {
  char given[512];
  const char *rest;
  for (size_t k = 0; k < s->o->recipes.count; k++) {
    size_t at;
    if (split(s->model, s->o->recipes.items[k], given, sizeof given, &rest) &&
        !ledge_model_find_input(s->model, given, &at, NULL) && at == i)
      return rest;
    if (ledge_model_input_count(s->model) == 1 &&
        !(split(s->model, s->o->recipes.items[k], given, sizeof given, &rest) && !strchr(given, ':')))
      return s->o->recipes.items[k];
  }
  snprintf(key, size, "ledge.input.%zu", i);
  const char *r = ledge_model_metadata(s->model, key);
  if (r) return r;
  snprintf(key, size, "ledge.input.%s", name);
  return ledge_model_metadata(s->model, key);
}

static ledge_status fail(run_state *s, ledge_status code, const char *what, const char *which) {
  s->error.code = code;
  snprintf(s->error.message, sizeof s->error.message, "%.600s: %.300s", which, what);
  return code;
}

static ledge_status load_input(run_state *s, size_t i, const char *file) {
  ledge_value_info info;
  char key[600];
  ledge_status status = ledge_model_input(s->model, i, &info, &s->error);
  if (status) {
    char text[sizeof s->error.message];
    memcpy(text, s->error.message, sizeof text);
    return fail(s, status, text, file);
  }
  if (s->inputs[i]) {
    snprintf(key, sizeof key, "input '%.200s' has a file already: give each input one", info.name);
    return fail(s, LEDGE_ERROR_ARGUMENT, key, file);
  }
  if (!strcmp(file, "-")) file = "/dev/stdin";
  ledge_value *v = NULL;
  status = ledge_value_load(file, recipe_for(s, info.name, i, key, sizeof key), &info, &v, &s->error);
  if (status) return status;
  s->inputs[i] = v;
  status = ledge_session_set_input_value(s->session, i, v, &s->error);
  if (status) {
    char text[sizeof s->error.message];
    memcpy(text, s->error.message, sizeof text);
    return fail(s, status, text, file);
  }
  return LEDGE_OK;
}

/* Are the recipes for inputs that there are? */
static ledge_status check_recipes(run_state *s) {
  char name[512];
  const char *rest;
  size_t at;
  for (size_t k = 0; k < s->o->recipes.count; k++) {
    const char *item = s->o->recipes.items[k];
    bool named = split(s->model, item, name, sizeof name, &rest) && !strchr(name, ':');
    if (!named && ledge_model_input_count(s->model) != 1)
      return fail(s, LEDGE_ERROR_ARGUMENT, "the model has several inputs: write --recipe NAME=RECIPE", item);
    if (named && ledge_model_find_input(s->model, name, &at, &s->error)) return s->error.code;
  }
  return LEDGE_OK;
}

static ledge_status load_inputs(run_state *s, char **files, int n_files) {
  ledge_status status = check_recipes(s);
  for (size_t k = 0; !status && k < s->o->inputs.count; k++) {
    char name[512];
    const char *file = s->o->inputs.items[k];
    size_t at = k;
    if (split(s->model, s->o->inputs.items[k], name, sizeof name, &file))
      status = ledge_model_find_input(s->model, name, &at, &s->error);
    if (!status) status = load_input(s, at, file);
  }
  for (int k = 0; !status && k < n_files; k++) status = load_input(s, (size_t)k, files[k]);
  return status;
}

static ledge_status run_all(run_state *s, char **files, int n_files) {
  ledge_session_options so = {.threads = (int)s->o->threads,
                              .memory_limit = s->o->memory_limit,
                              .seed = (uint64_t)s->o->seed,
                              .reference = s->o->reference,
                              .precision = s->o->precision,
                              .precision_error = s->o->precision_error};
  ledge_status status = ledge_model_open(
      files[0],
      &(ledge_model_options){
          .allow_links = s->o->allow_links, .no_cache = s->o->no_cache, .no_autotune = s->o->no_autotune},
      &s->model, &s->error);
  if (status) return status;
  s->inputs = calloc(ledge_model_input_count(s->model) + 1, sizeof *s->inputs);
  if (!s->inputs) return fail(s, LEDGE_ERROR_MEMORY, "out of memory", files[0]);
  status = labels_read(s->o->labels, ledge_model_metadata(s->model, "ledge.labels"), &s->labels, &s->error);
  if (!status) status = ledge_session_create(s->model, &so, &s->session, &s->error);
  if (!status) status = load_inputs(s, files + 1, n_files - 1);
  if (!status && s->o->output) status = outputs_folder(s->o->output, &s->error); /* before the run, which may be long */
  if (!status) status = ledge_session_plan(s->session, &s->error);
  double start = cli_now_ms();
  if (!status) status = ledge_session_run(s->session, &s->error);
  s->latency_ms = cli_now_ms() - start;
  output_options oo = {s->o->output,  &s->labels, s->o->labels != NULL, s->o->top ? s->o->top : TOP_DEFAULT,
                       s->o->top > 0, s->o->json, s->o->quiet};
  if (!status) status = outputs_write(&oo, s->model, s->session, s->latency_ms, &s->error);
  if (!status && !s->o->quiet) cli_precision_note(s->session);
  if (!status && !s->o->json && !s->o->quiet) {
    ledge_memory memory;
    char text[32], precision[160];
    ledge_session_memory(s->session, &memory);
    if (so.precision) fprintf(stderr, "%s\n", cli_precision_text(s->session, precision, sizeof precision));
    fprintf(stderr, "%.3f ms, %s planned, %d thread%s\n", s->latency_ms,
            cli_bytes((double)(memory.planned_bytes + memory.folded_bytes), text, sizeof text),
            ledge_session_threads(s->session), ledge_session_threads(s->session) == 1 ? "" : "s");
  }
  return status;
}

static int run_main(const verb *v, int argc, char **argv) {
  run_options o = {0};
  const option options[] = {
      {"input", OPTION_LIST, &o.inputs, "NAME=FILE",
       "an input by name or position: image, sound, .npy, .npz, text or raw; -: standard input"},
      {"recipe", OPTION_LIST, &o.recipes, "NAME=RECIPE", "how a file becomes numbers (default: the model's metadata)"},
      {"output", OPTION_TEXT, &o.output, "DIR", "write every output as DIR/NAME.npy"},
      {"labels", OPTION_TEXT, &o.labels, "FILE", "names of the classes, one a line"},
      {"top", OPTION_COUNT, &o.top, "K", "how many classes to show (default 5)"},
      {"threads", OPTION_COUNT, &o.threads, "N", "threads (default: the big cores that this process may use)"},
      {"precision", OPTION_TEXT, &o.precision_name, "P", "float32 (default), bf16, or auto: bf16 where it is faster"},
      {"precision-error", OPTION_REAL, &o.precision_error, "E",
       "auto: the most that outputs may be off, of their largest magnitude (default 0.01)"},
      {"memory-limit", OPTION_BYTES, &o.memory_limit, "BYTES", "refuse a plan that needs more (512M, 2G, ...)"},
      {"seed", OPTION_INT, &o.seed, "N", "of operators that draw random numbers"},
      {"allow-links", OPTION_FLAG, &o.allow_links, NULL,
       "external data may lie behind links that leave the model's folder"},
      {"no-cache", OPTION_FLAG, &o.no_cache, NULL, "pack the weights anew: neither read nor write the cache of them"},
      {"no-autotune", OPTION_FLAG, &o.no_autotune, NULL, "time no kernels: the same ones on every start"},
      {"reference", OPTION_FLAG, &o.reference, NULL, "run the plain reference of every operator (slow)"},
      {"json", OPTION_FLAG, &o.json, NULL, "a JSON document instead of tables"},
      {"quiet", OPTION_FLAG, &o.quiet, NULL, "print nothing but errors"},
      {0},
  };
  char **files;
  int n, status = options_parse(v, options, argc, argv, &files, &n);
  if (status == CLI_OK && !cli_precision(v, o.precision_name, &o.precision)) status = CLI_USAGE;
  if (status != CLI_OK) {
    options_free(options);
    return status;
  }
  run_state s = {.o = &o};
  if (run_all(&s, files, n)) status = cli_fail(&s.error);
  ledge_session_destroy(s.session);
  for (size_t i = 0; s.inputs && s.model && i < ledge_model_input_count(s.model); i++) ledge_value_destroy(s.inputs[i]);
  ledge_model_close(s.model);
  free(s.inputs);
  labels_free(&s.labels);
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
    "  ledge run model.onnx --input x=x.npy --input 1=state.npy --output out --json\n"
    "  arecord -f S16_LE -r 16000 -d 1 | ledge run keyword.onnx -\n",
    1,
    -1,
    run_main};
