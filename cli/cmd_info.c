/* cli/cmd_info: `ledge info`: what a model is, what it takes and gives, what it needs. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct info_options {
  text_list shapes, ints;
  int64_t threads;
  size_t memory_limit;
  bool json, all, allow_links;
} info_options;

typedef struct op_count {
  char name[128];
  int64_t count;
  bool supported;
} op_count;

typedef struct info_state {
  const info_options *o;
  const char *path;
  ledge_model *model;
  ledge_model_summary summary;
  op_count *ops;
  size_t n_ops;
  bool planned; /* a session could be planned: the next two hold */
  ledge_memory memory;
  double multiply_adds;
  ledge_error why_not;
} info_state;

static int by_count(const void *a, const void *b) {
  const op_count *x = a, *y = b;
  if (x->supported != y->supported) return x->supported - y->supported;
  return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : strcmp(x->name, y->name);
}

static bool count_operators(info_state *s) {
  ledge_node_info n;
  s->ops = calloc((size_t)s->summary.nodes + 1, sizeof *s->ops);
  if (!s->ops) return false;
  for (size_t i = 0; ledge_model_node(s->model, i, &n, NULL) == LEDGE_OK; i++) {
    char name[128];
    snprintf(name, sizeof name, "%s%s%s", n.domain, n.domain[0] ? "." : "", n.op);
    size_t k = 0;
    while (k < s->n_ops && strcmp(s->ops[k].name, name)) k++;
    if (k == s->n_ops) {
      memcpy(s->ops[k].name, name, sizeof name);
      s->ops[k].supported = n.supported;
      s->n_ops++;
    }
    s->ops[k].count++;
  }
  qsort(s->ops, s->n_ops, sizeof *s->ops, by_count);
  return true;
}

/* Memory and work for the given shapes; open dims are 1. */
static void plan(info_state *s) {
  ledge_session *session = NULL;
  cli_inputs inputs = {0};
  ledge_session_options so = {.threads = (int)s->o->threads, .memory_limit = s->o->memory_limit};
  ledge_status status = ledge_session_create(s->model, &so, &session, &s->why_not);
  if (!status) status = cli_inputs_make(s->model, &s->o->shapes, &s->o->ints, 0, &inputs, &s->why_not);
  if (!status) status = cli_inputs_set(&inputs, session, &s->why_not);
  if (!status) status = ledge_session_plan(session, &s->why_not);
  if (!status) {
    s->planned = true;
    ledge_session_memory(session, &s->memory);
    s->multiply_adds = ledge_session_multiply_adds(session);
  }
  if (status == LEDGE_ERROR_SHAPE) cli_inputs_hint(s->model, &s->o->shapes, &s->why_not);
  ledge_session_destroy(session);
  cli_inputs_free(&inputs);
}

static void print_value(const char *what, const ledge_value_info *v) {
  static const char *const kinds[] = {"nothing", "", "sequence of ", "map of "};
  char shape[512];
  printf("  %-8s %-28s %s%s %s%s\n", what, v->name, kinds[v->kind], ledge_dtype_name(v->dtype),
         cli_shape(v->rank, v->dims, v->dim_names, shape, sizeof shape), v->optional ? " (may be left out)" : "");
}

static void json_value(json *j, const ledge_value_info *v) {
  static const char *const kinds[] = {"none", "tensor", "sequence", "map"};
  json_open(j, '{');
  json_key(j, "name"), json_text(j, v->name);
  json_key(j, "kind"), json_text(j, kinds[v->kind]);
  json_key(j, "dtype"), json_text(j, ledge_dtype_name(v->dtype));
  json_key(j, "shape");
  if (v->rank < 0) {
    json_text(j, NULL);
  } else {
    json_open(j, '[');
    for (int i = 0; i < v->rank; i++)
      v->dims[i] >= 0 ? json_int(j, v->dims[i]) : json_text(j, v->dim_names[i] ? v->dim_names[i] : "?");
    json_close(j, ']');
  }
  json_key(j, "optional"), json_bool(j, v->optional);
  json_close(j, '}');
}

/* Old models list their weights as inputs that may be left out: where these are more than a few, their number will do.
 */
static void print_inputs(const info_state *s) {
  enum { FEW = 4 };
  ledge_value_info v;
  int n_optional = 0;
  for (size_t i = 0; ledge_model_input(s->model, i, &v, NULL) == LEDGE_OK; i++) n_optional += v.optional;
  bool all = s->o->all || n_optional <= FEW;
  for (size_t i = 0; ledge_model_input(s->model, i, &v, NULL) == LEDGE_OK; i++)
    if (all || !v.optional) print_value("input", &v);
  if (!all) printf("  %-8s %d more have defaults and may be left out (--all lists them)\n", "inputs", n_optional);
}

static void print_run(const info_state *s) {
  char a[32], b[32], c[32];
  if (!s->planned) {
    printf("  %-8s not planned: %s\n", "run", s->why_not.message);
    return;
  }
  printf("  %-8s ", "run");
  if (s->multiply_adds > 0) printf("%s multiply-adds; ", cli_count(s->multiply_adds, a, sizeof a));
  printf("%s planned%s, %s packed weights\n",
         cli_bytes((double)(s->memory.planned_bytes + s->memory.folded_bytes), b, sizeof b),
         s->memory.exact ? "" : " (and more as data ask)", cli_bytes((double)s->memory.packed_bytes, c, sizeof c));
}

static void print_tables(const info_state *s) {
  char a[32];
  const ledge_model_summary *m = &s->summary;
  ledge_value_info v;
  if (!strcmp(m->format, "tflite"))
    printf("%s: TensorFlow Lite, schema version %lld", s->path, (long long)m->format_version);
  else
    printf("%s: ONNX, IR version %lld, opset %lld", s->path, (long long)m->format_version, (long long)m->opset);
  if (m->producer[0]) printf(", by %s%s%s", m->producer, m->producer_version[0] ? " " : "", m->producer_version);
  printf("\n");
  print_inputs(s);
  for (size_t i = 0; ledge_model_output(s->model, i, &v, NULL) == LEDGE_OK; i++) print_value("output", &v);
  printf("  %-8s %lld in %s\n", "weights", (long long)m->parameters, cli_bytes((double)m->weight_bytes, a, sizeof a));
  printf("  %-8s %lld:", "nodes", (long long)m->nodes);
  for (size_t i = 0; i < s->n_ops; i++)
    printf("%s %s%s %lld", i ? "," : "", s->ops[i].name, s->ops[i].supported ? "" : " (UNSUPPORTED)",
           (long long)s->ops[i].count);
  printf("\n");
  print_run(s);
  const char *key;
  for (size_t i = 0; (key = ledge_model_metadata_key(s->model, i)); i++) {
    const char *text = ledge_model_metadata(s->model, key);
    int n = (int)strcspn(text, "\n");
    printf("  %-8s %s = %.*s%s\n", i ? "" : "metadata", key, n > 100 ? 100 : n, text, text[n] || n > 100 ? " ..." : "");
  }
}

static void print_json(const info_state *s) {
  const ledge_model_summary *m = &s->summary;
  ledge_value_info v;
  json j = json_start(stdout);
  json_open(&j, '{');
  json_key(&j, "model"), json_text(&j, s->path);
  json_key(&j, "format"), json_text(&j, m->format);
  json_key(&j, "format_version"), json_int(&j, m->format_version);
  json_key(&j, "opset"), json_int(&j, m->opset);
  json_key(&j, "producer"), json_text(&j, m->producer);
  json_key(&j, "inputs"), json_open(&j, '[');
  for (size_t i = 0; ledge_model_input(s->model, i, &v, NULL) == LEDGE_OK; i++) json_value(&j, &v);
  json_close(&j, ']');
  json_key(&j, "outputs"), json_open(&j, '[');
  for (size_t i = 0; ledge_model_output(s->model, i, &v, NULL) == LEDGE_OK; i++) json_value(&j, &v);
  json_close(&j, ']');
  json_key(&j, "parameters"), json_int(&j, m->parameters);
  json_key(&j, "weight_bytes"), json_int(&j, (int64_t)m->weight_bytes);
  json_key(&j, "operators"), json_open(&j, '{');
  for (size_t i = 0; i < s->n_ops; i++) json_key(&j, s->ops[i].name), json_int(&j, s->ops[i].count);
  json_close(&j, '}');
  json_key(&j, "unsupported"), json_open(&j, '[');
  for (size_t i = 0; i < s->n_ops; i++)
    if (!s->ops[i].supported) json_text(&j, s->ops[i].name);
  json_close(&j, ']');
  if (s->planned) {
    json_key(&j, "multiply_adds"), json_real(&j, s->multiply_adds);
    json_key(&j, "planned_bytes"), json_int(&j, (int64_t)(s->memory.planned_bytes + s->memory.folded_bytes));
    json_key(&j, "packed_bytes"), json_int(&j, (int64_t)s->memory.packed_bytes);
    json_key(&j, "exact"), json_bool(&j, s->memory.exact);
  } else {
    json_key(&j, "not_planned"), json_text(&j, s->why_not.message);
  }
  json_key(&j, "metadata"), json_open(&j, '{');
  const char *key;
  for (size_t i = 0; (key = ledge_model_metadata_key(s->model, i)); i++)
    json_key(&j, key), json_text(&j, ledge_model_metadata(s->model, key));
  json_close(&j, '}');
  json_close(&j, '}');
  json_end(&j);
}

static int info(const info_options *o, const char *path) {
  ledge_error error = {.message = ""};
  info_state s = {.o = o, .path = path};
  if (ledge_model_open(path, &(ledge_model_options){.allow_links = o->allow_links, .no_cache = true}, &s.model, &error))
    return cli_fail(&error);
  ledge_model_summarize(s.model, &s.summary);
  int status = CLI_OK;
  if (cli_inputs_check(s.model, &o->shapes, &o->ints, &error)) {
    status = cli_fail(&error);
  } else if (count_operators(&s)) {
    plan(&s);
    bool asked = o->shapes.count || o->ints.count;
    if (o->memory_limit && s.why_not.code == LEDGE_ERROR_LIMIT) status = CLI_BUDGET;
    if (asked && (s.why_not.code == LEDGE_ERROR_SHAPE || s.why_not.code == LEDGE_ERROR_ARGUMENT))
      status = cli_fail(&s.why_not);
    else if (o->json)
      print_json(&s);
    else
      print_tables(&s);
  } else {
    status = cli_failf("out of memory");
  }
  free(s.ops);
  ledge_model_close(s.model);
  return status;
}

static int info_main(const verb *v, int argc, char **argv) {
  info_options o = {0};
  const option options[] = {
      {"shape", OPTION_LIST, &o.shapes, "NAME=1x3x8x8",
       "shape of an input, for the memory and the work; open dims are 1 otherwise"},
      {"int", OPTION_LIST, &o.ints, "NAME=VALUE", "what an integer input holds"},
      {"threads", OPTION_COUNT, &o.threads, "N", "threads that the plan is for"},
      {"memory-limit", OPTION_BYTES, &o.memory_limit, "BYTES", "refuse a plan that needs more (512M, 2G, ...)"},
      {"allow-links", OPTION_FLAG, &o.allow_links, NULL,
       "external data may lie behind links that leave the model's folder"},
      {"all", OPTION_FLAG, &o.all, NULL, "list inputs that have defaults too"},
      {"json", OPTION_FLAG, &o.json, NULL, "a JSON document instead of a table"},
      {0},
  };
  char **files;
  int n, status = options_parse(v, options, argc, argv, &files, &n);
  for (int i = 0; status == CLI_OK && i < n; i++) status = cli_flush(info(&o, files[i]));
  options_free(options);
  return status;
}

const verb verb_info = {"info",
                        "MODEL...",
                        "Shows a model's inputs, outputs, operators, weights, work and planned memory.",
                        "  ledge info model.onnx\n"
                        "  ledge info model.onnx --shape image=1x3x480x640\n"
                        "  ledge info model.onnx --json | jq .unsupported\n",
                        1,
                        -1,
                        info_main};
