/* api/model: opening, describing and saving models; see ledge.h. */
#include "api/api.h"
#include "backend/tune.h"
#include "base/clock.h"
#include "base/error.h"
#include "formats/onnx/onnx.h"
#include "formats/tflite/tflite.h"
#include "ops/propagate.h"
#include "passes/pass.h"
#include "tensor/mapped.h"

#include <stdio.h>
#include <stdlib.h>

const char *ledge_version(void) { return LEDGE_VERSION; }

/* ---- opening ---- */

/* What a file that is no ONNX model looks like; NULL where nothing is known of it. */
static const char *foreign_format(const uint8_t *p, size_t n) {
  if (n >= 4 && !memcmp(p, "GGUF", 4)) return "a GGUF model";
  if (n >= 4 && !memcmp(p, "PK\3\4", 4)) return "a zip archive (a PyTorch model?)";
  if (n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5) return "a Python pickle (a PyTorch model?)";
  if (n >= 9 && p[8] == '{' && !p[6] && !p[7]) return "a safetensors file";
  if (n >= 4 && !memcmp(p, "\x89HDF", 4)) return "an HDF5 file (a Keras model?)";
  if (n >= 4 && !memcmp(p, "\x89PNG", 4)) return "an image";
  if (n >= 1 && (p[0] == '{' || p[0] == '<')) return "a text";
  return NULL;
}

static ledge_status read_bytes(const ledge_model *m, bool keep_calls, model **ret, ledge_error *error) {
  storage *owner = storage_from_map(m->map);
  size_t size = file_map_size(m->map);
  if (!owner) return error_memory(error, sizeof *owner, "a model");
  const uint8_t *bytes = file_map_data(m->map);
  const char *name = file_map_path(m->map);
  onnx_options options = {.folder = m->folder, .allow_links = m->allow_links, .keep_calls = keep_calls};
  ledge_status status = tfl_sniff(bytes, size) ? tfl_read(bytes, size, owner, name, NULL, ret, error)
                                               : onnx_read(bytes, size, owner, name, &options, ret, error);
  storage_unref(owner);
  file_map_drop(m->map, 0, size); /* reading it has touched pages all over the weights */
  return status ? status : file_map_check(m->map, error);
}

static ledge_status read_model(ledge_model *m, const char *folder, bool allow_links, ledge_error *error) {
  const uint8_t *bytes = file_map_data(m->map);
  size_t size = file_map_size(m->map);
  const char *name = file_map_path(m->map), *foreign = foreign_format(bytes, size);
  if (!size) return error_set(error, LEDGE_ERROR_FORMAT, "%s is empty", name);
  if (foreign)
    return error_set(error, LEDGE_ERROR_UNSUPPORTED, "%s is %s; this version of ledge reads ONNX and TensorFlow Lite",
                     name, foreign);
  m->allow_links = allow_links;
  m->folder = folder ? mem_strndup(folder, strlen(folder)) : NULL;
  if (folder && !m->folder) return error_memory(error, strlen(folder), "a path");
  return read_bytes(m, false, &m->read, error);
}

ledge_status api_check_files(const ledge_model *m, ledge_error *error) {
  const file_map *damaged = file_map_damaged(m->map) ? m->map : NULL;
  for (int i = 0; !damaged && i < m->read->n_keep; i++) {
    const file_map *map = storage_map(m->read->keep[i]);
    if (map && file_map_damaged(map)) damaged = map;
  }
  if (!damaged) return weight_store_check(m->weights, error);
  return error_set(error, LEDGE_ERROR_CHANGED,
                   "%s was cut short while it was in use: open it again, and replace a file in use by renaming a new "
                   "one over it",
                   file_map_path(damaged));
}

/* Names of passes, separated by commas. */
static ledge_status check_pass_names(const char *list, ledge_error *error) {
  for (const char *at = list; *at;) {
    size_t n = strcspn(at, ",");
    bool known = n == 3 && !memcmp(at, "all", 3);
    const char *name;
    for (int i = 0; !known && (name = passes_name(i)); i++) known = strlen(name) == n && !memcmp(at, name, n);
    if (!known) {
      char all[512] = "all";
      for (int i = 0; (name = passes_name(i)); i++) snprintf(all + strlen(all), sizeof all - strlen(all), ", %s", name);
      return error_set(error, LEDGE_ERROR_ARGUMENT, "there is no pass '%.*s' to disable; there are: %s", (int)n, at,
                       all);
    }
    at += n + (at[n] == ',');
  }
  return LEDGE_OK;
}

static ledge_status infer_trampoline(op_ctx *c) {
  const ledge_operator *o = c->def->user;
  return o->infer((ledge_op_context *)c, o->user);
}

static ledge_status run_trampoline(op_ctx *c) {
  const ledge_operator *o = c->def->user;
  return o->run((ledge_op_context *)c, o->user);
}

static ledge_status add_operators(ledge_model *m, const ledge_model_options *options, ledge_error *error) {
  m->operators = mem_alloc_array(options->n_operators, sizeof *m->operators);
  if (!m->operators) return error_memory(error, options->n_operators * sizeof *m->operators, "operators");
  for (size_t i = 0; i < options->n_operators; i++) {
    const ledge_operator *o = options->operators[i];
    if (!o || !o->domain || !o->name || !o->infer || !o->run)
      return error_set(error, LEDGE_ERROR_ARGUMENT, "operator %zu lacks a domain, a name, infer or run", i);
    m->operators[i] =
        (op_def){o->domain,      o->name,        o->since_version, o->until_version, o->min_inputs,  o->max_inputs,
                 o->min_outputs, o->max_outputs, OP_EFFECT,        infer_trampoline, run_trampoline, o};
  }
  m->n_operators = (int)options->n_operators;
  return LEDGE_OK;
}

/* Packings of a model's files are cached; of what comes by a descriptor or from memory, nobody says that it stays. */
static void use_cache(ledge_model *m) {
  file_map **files = mem_alloc_array((size_t)m->read->n_keep + 1, sizeof *files);
  char *path = realpath(file_map_path(m->map), NULL);
  int n = 0;
  if (files) files[n++] = m->map;
  for (int i = 0; files && i < m->read->n_keep; i++) {
    file_map *map = storage_map(m->read->keep[i]);
    bool seen = !map;
    for (int k = 0; k < n; k++) seen = seen || files[k] == map;
    if (!seen) files[n++] = map;
  }
  if (files) weight_store_set_cache(m->weights, files, n, path ? path : file_map_path(m->map));
  free(path);
  mem_free(files);
}

/* Outputs whose shape the file does not say: what the operators make of the inputs', where no open dim has a part. */
static void declare_outputs(model *m) {
  graph *g = m->graph;
  value *known = mem_alloc_array((size_t)g->n_values, sizeof *known);
  if (!known || ops_propagate(g, NULL, known, NULL)) {
    mem_free(known);
    return;
  }
  bool open = false;
  for (int i = 0; i < g->n_inputs; i++) {
    const graph_type *t = &g->values[g->inputs[i]].type;
    for (int d = 0; d < t->rank; d++) open = open || t->dims[d] < 0;
  }
  for (int i = 0; i < g->n_outputs; i++) {
    graph_type *t = &g->values[g->outputs[i]].type;
    const value *v = &known[g->outputs[i]];
    if (t->kind != TYPE_TENSOR || t->rank >= 0 || v->kind != VALUE_TENSOR || open) continue;
    int64_t *dims = arena_alloc_array(&m->arena, LEDGE_MAX_RANK, sizeof *dims);
    if (!dims) break;
    memcpy(dims, v->tensor.dims, LEDGE_MAX_RANK * sizeof *dims);
    t->dims = dims;
    t->rank = v->tensor.rank;
  }
  for (int v = 0; v < g->n_values; v++) value_deinit(&known[v]);
  mem_free(known);
}

static ledge_status model_build(file_map *map, const char *folder, const ledge_model_options *options,
                                ledge_model **ret, ledge_error *error) {
  static const ledge_model_options defaults;
  if (!options) options = &defaults;
  ledge_model *m = mem_zalloc(sizeof *m);
  if (!m) {
    file_map_unref(map);
    return error_memory(error, sizeof *m, "a model");
  }
  atomic_init(&m->refs, 1);
  pthread_mutex_init(&m->mutex, NULL);
  m->map = map;
  m->weights = weight_store_create();
  ledge_status status = m->weights ? LEDGE_OK : error_memory(error, sizeof *m, "a model");
  if (!status && options->disable_passes) status = check_pass_names(options->disable_passes, error);
  if (!status && options->disable_passes) {
    m->disable_passes = mem_strndup(options->disable_passes, strlen(options->disable_passes));
    if (!m->disable_passes) status = error_memory(error, strlen(options->disable_passes), "options");
  }
  if (!status && options->n_operators) status = add_operators(m, options, error);
  if (!status) status = read_model(m, folder, options->allow_links, error);
  if (!status) {
    status = ops_resolve(m->read->graph, m->operators, m->n_operators, &m->n_missing, error);
    if (status) error_prefix(error, status, "%s", file_map_path(map));
    if (!status && m->read->format) declare_outputs(m->read);
  }
  if (status) {
    ledge_model_close(m);
    return status;
  }
  *ret = m;
  return LEDGE_OK;
}

ledge_status ledge_model_open(const char *path, const ledge_model_options *options, ledge_model **ret,
                              ledge_error *error) {
  if (!path || !ret) return error_set(error, LEDGE_ERROR_ARGUMENT, "ledge_model_open: path or ret_model is NULL");
  uint64_t start = clock_now_ns();
  file_map *map;
  TRY(file_map_open(path, &map, error));
  const char *slash = strrchr(path, '/');
  char *folder = mem_strndup(slash ? path : ".", slash ? (slash == path ? 1 : (size_t)(slash - path)) : 1);
  if (!folder) {
    file_map_unref(map);
    return error_memory(error, strlen(path), "a path");
  }
  ledge_model *m = NULL;
  ledge_status status = model_build(map, options && options->folder ? options->folder : folder, options, &m, error);
  mem_free(folder);
  if (status) return status;
  if (!options || !options->no_cache) use_cache(m);
  if (!options || (!options->no_cache && !options->no_autotune))
    weight_store_set_tuner(m->weights, tuner_create(tune_book_shared(), start));
  *ret = m;
  return LEDGE_OK;
}

ledge_status ledge_model_open_fd(int fd, const ledge_model_options *options, ledge_model **ret, ledge_error *error) {
  if (!ret) return error_set(error, LEDGE_ERROR_ARGUMENT, "ledge_model_open_fd: ret_model is NULL");
  file_map *map;
  TRY(file_map_fd(fd, "descriptor", &map, error));
  return model_build(map, options ? options->folder : NULL, options, ret, error);
}

ledge_status ledge_model_open_memory(const void *bytes, size_t size, const ledge_model_options *options,
                                     ledge_model **ret, ledge_error *error) {
  if (!bytes || !ret)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "ledge_model_open_memory: bytes or ret_model is NULL");
  file_map *map;
  TRY(file_map_memory(bytes, size, "memory", &map, error));
  return model_build(map, options ? options->folder : NULL, options, ret, error);
}

ledge_model *api_model_ref(ledge_model *m) {
  atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
  return m;
}

void ledge_model_close(ledge_model *m) {
  if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
  for (int i = 0; i < API_VARIANTS; i++) model_destroy(m->variants[i]);
  model_destroy(m->read);
  weight_store_unref(m->weights);
  mem_free(m->operators);
  mem_free(m->disable_passes);
  mem_free(m->folder);
  file_map_unref(m->map);
  pthread_mutex_destroy(&m->mutex);
  mem_free(m);
}

/* ---- describing ---- */

ledge_status api_value_info(const graph *g, value_id id, ledge_value_info *ret) {
  const graph_value *v = &g->values[id];
  const graph_type *t = &v->type;
  *ret = (ledge_value_info){.name = v->name, .rank = -1, .optional = v->constant != NULL};
  if (t->kind == TYPE_OPTIONAL && t->elem) {
    ret->optional = true;
    t = t->elem;
  }
  ret->kind = t->kind == TYPE_SEQUENCE ? LEDGE_KIND_SEQUENCE : t->kind == TYPE_MAP ? LEDGE_KIND_MAP : LEDGE_KIND_TENSOR;
  if ((t->kind == TYPE_SEQUENCE || t->kind == TYPE_MAP) && t->elem) t = t->elem;
  if (t->kind != TYPE_TENSOR && t->kind != TYPE_SPARSE_TENSOR) return LEDGE_OK;
  ret->dtype = t->dtype;
  ret->rank = t->rank > LEDGE_MAX_RANK ? -1 : t->rank;
  for (int i = 0; i < ret->rank; i++) {
    ret->dims[i] = t->dims[i];
    ret->dim_names[i] = t->dims[i] < 0 && t->dim_names ? t->dim_names[i] : NULL;
  }
  return LEDGE_OK;
}

/* Variables (graph.h) are a session's own business: they are the last inputs and outputs. */
int api_n_inputs(const ledge_model *m) { return m->read->graph->n_inputs - m->read->n_states; }
int api_n_outputs(const ledge_model *m) { return m->read->graph->n_outputs - m->read->n_states; }

size_t ledge_model_input_count(const ledge_model *m) { return (size_t)api_n_inputs(m); }
size_t ledge_model_output_count(const ledge_model *m) { return (size_t)api_n_outputs(m); }

ledge_status ledge_model_input(const ledge_model *m, size_t i, ledge_value_info *ret, ledge_error *error) {
  const graph *g = m->read->graph;
  if (i >= (size_t)api_n_inputs(m))
    return error_set(error, LEDGE_ERROR_NAME, "the model has %d inputs; there is no input %zu", api_n_inputs(m), i);
  return api_value_info(g, g->inputs[i], ret);
}

ledge_status ledge_model_output(const ledge_model *m, size_t i, ledge_value_info *ret, ledge_error *error) {
  const graph *g = m->read->graph;
  if (i >= (size_t)api_n_outputs(m))
    return error_set(error, LEDGE_ERROR_NAME, "the model has %d outputs; there is no output %zu", api_n_outputs(m), i);
  return api_value_info(g, g->outputs[i], ret);
}

static ledge_status find_name(const graph *g, const value_id *list, int n, const char *what, const char *name,
                              size_t *ret, ledge_error *error) {
  for (int i = 0; i < n; i++)
    if (!strcmp(g->values[list[i]].name, name)) return *ret = (size_t)i, LEDGE_OK;
  char *end;
  long at = strtol(name, &end, 10);
  if (end != name && !*end && at >= 0 && at < n) return *ret = (size_t)at, LEDGE_OK;
  char all[512] = "";
  size_t used = 0;
  for (int i = 0; i < n && used < sizeof all; i++) {
    int k = snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", g->values[list[i]].name);
    used += k > 0 ? (size_t)k : 0;
  }
  return error_set(error, LEDGE_ERROR_NAME, "the model has no %s '%s'; it has: %s", what, name, all);
}

ledge_status ledge_model_find_input(const ledge_model *m, const char *name, size_t *ret, ledge_error *error) {
  const graph *g = m->read->graph;
  return find_name(g, g->inputs, api_n_inputs(m), "input", name, ret, error);
}

ledge_status ledge_model_find_output(const ledge_model *m, const char *name, size_t *ret, ledge_error *error) {
  const graph *g = m->read->graph;
  return find_name(g, g->outputs, api_n_outputs(m), "output", name, ret, error);
}

const char *ledge_model_metadata(const ledge_model *m, const char *key) { return model_metadata(m->read, key); }
const char *ledge_model_metadata_key(const ledge_model *m, size_t i) {
  return i < (size_t)m->read->n_metadata ? m->read->metadata[i].key : NULL;
}

/* Walks all nodes; stops where visit says so. */
typedef bool (*node_visitor)(const graph *g, const node *n, int depth, void *arg);
static bool visit_nodes(const graph *g, int depth, node_visitor visit, void *arg) {
  for (int i = 0; i < g->n_nodes; i++) {
    if (visit(g, &g->nodes[i], depth, arg)) return true;
    int a = 0, k = 0;
    for (graph *sub; (sub = node_next_subgraph(&g->nodes[i], &a, &k));)
      if (visit_nodes(sub, depth + 1, visit, arg)) return true;
  }
  return false;
}

static void count_constants(const graph *g, ledge_model_summary *s) {
  for (int v = 0; v < g->n_values; v++) {
    const tensor *t = g->values[v].constant;
    if (!t) continue;
    s->parameters += tensor_elements(t);
    s->weight_bytes += tensor_bytes(t);
  }
}

static bool count_node(const graph *g, const node *n, int depth, void *arg) {
  ledge_model_summary *s = arg;
  const attr *held = node_is(n, "", "Constant") ? node_attr(n, "value") : NULL;
  if (held && held->type == ATTR_TENSOR) {
    s->parameters += tensor_elements(held->t);
    s->weight_bytes += tensor_bytes(held->t);
  }
  s->nodes++;
  s->unsupported += !n->def;
  int a = 0, k = 0;
  for (graph *sub; (sub = node_next_subgraph(n, &a, &k));) count_constants(sub, s);
  return false;
}

void ledge_model_summarize(const ledge_model *m, ledge_model_summary *ret) {
  const model *r = m->read;
  *ret = (ledge_model_summary){.format = r->format ? r->format : "onnx",
                               .format_version = r->format ? r->format_version : r->ir_version,
                               .opset = model_opset(r, ""),
                               .producer = r->producer_name,
                               .producer_version = r->producer_version,
                               .graph_name = r->graph->name};
  count_constants(r->graph, ret);
  visit_nodes(r->graph, 0, count_node, ret);
}

typedef struct node_search {
  size_t left;
  ledge_node_info *ret;
} node_search;

static bool find_node(const graph *g, const node *n, int depth, void *arg) {
  node_search *s = arg;
  if (s->left--) return false;
  *s->ret = (ledge_node_info){n->name, n->domain, n->op, n->version, depth, n->def != NULL};
  return true;
}

ledge_status ledge_model_node(const ledge_model *m, size_t i, ledge_node_info *ret, ledge_error *error) {
  node_search s = {i, ret};
  if (!visit_nodes(m->read->graph, 0, find_node, &s))
    return error_set(error, LEDGE_ERROR_NAME, "there is no node %zu", i);
  return LEDGE_OK;
}

/* ---- saving ---- */

enum { SIMPLIFY_MAX = 8 };

/* Inputs that have a default become constants. */
static void drop_defaults(graph *g) {
  int n = 0;
  for (int i = 0; i < g->n_inputs; i++)
    if (!g->values[g->inputs[i]].constant) g->inputs[n++] = g->inputs[i];
  g->n_inputs = n;
}

/* The model as it is in the file: where calls of functions were inlined, it is read again with the calls. */
static ledge_status save_as_read(const ledge_model *m, const char *path, const onnx_write_options *options,
                                 ledge_error *error) {
  if (!m->read->calls_inlined) return onnx_write_file(m->read, path, options, error);
  model *with_calls = NULL;
  ledge_status status = read_bytes(m, true, &with_calls, error);
  if (!status) status = onnx_write_file(with_calls, path, options, error);
  model_destroy(with_calls);
  return status;
}

ledge_status ledge_model_save(const ledge_model *m, const char *path, const ledge_save_options *options,
                              ledge_error *error) {
  static const ledge_save_options defaults;
  if (!options) options = &defaults;
  onnx_write_options write = {.external_bytes = options->external_data_bytes};
  if (!options->simplify) return save_as_read(m, path, &write, error);
  write.changed = true;
  model *simple;
  TRY(model_clone(m->read, &simple, error));
  simple->defaults_fixed = true;
  drop_defaults(simple->graph);
  ledge_status status = LEDGE_OK;
  for (int i = 0, before = -1; !status && i < SIMPLIFY_MAX && simple->graph->n_nodes != before; i++) {
    before = simple->graph->n_nodes; /* what one pass leaves, an earlier one may fold */
    status = passes_run(simple, &(pass_options){.standard_only = true, .disable = m->disable_passes}, error);
  }
  if (!status) status = onnx_write_file(simple, path, &write, error);
  model_destroy(simple);
  return status;
}
