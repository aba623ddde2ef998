/* graph/graph: the one graph that every format is read into, and that every feature works on.
 *
 *   model    opset imports, metadata, and the main graph; one arena holds it all
 *   graph    values + nodes in topological order + inputs, outputs; a subgraph (of If, Loop, Scan, ...) also has
 * captures: values of the enclosing graph that it reads, listed as if they were further inputs value    a name, a
 * declared type, and the contents where it is a constant node     an operator applied to values: in[] and out[] hold
 * value ids, VALUE_ABSENT where an optional one is left out
 *
 * Invariants (graph_verify): every value has one producer at most (a node, or none: input, constant, capture); a node
 * reads only values made before it; ids are in range; a subgraph's captures name values of its parent.
 *
 * Operators are ONNX's, at the opset of the model; what ONNX cannot say is an operator of domain "ledge". The domain ""
 * is ai.onnx. Memory of everything here belongs to the model's arena and lives as long as the model. Not thread-safe
 * while it changes; afterwards read by any thread.
 */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "base/arena.h"
#include "tensor/tensor.h"

typedef int32_t value_id;
#define VALUE_ABSENT (-1)

typedef struct graph graph;
typedef struct node node;
typedef struct model model;
struct op_def; /* src/ops/op.h: what the operator means; resolved by ops_resolve */

/* ---- types, as a file declares them ---- */
typedef enum type_kind {
  TYPE_NONE = 0, /* undeclared */
  TYPE_TENSOR,
  TYPE_SPARSE_TENSOR,
  TYPE_SEQUENCE, /* of elem */
  TYPE_OPTIONAL, /* of elem */
  TYPE_MAP,      /* from key to elem */
} type_kind;

typedef struct graph_type graph_type;
struct graph_type {
  type_kind kind;
  ledge_dtype dtype;                  /* tensors: of the elements; maps: of the keys */
  int rank;                           /* -1: the shape is not declared */
  const int64_t *dims;                /* rank dims, -1 where symbolic or unknown */
  const char *const *dim_names;       /* rank names, NULL where a dim has none; NULL if no dim has one */
  const char *const *dim_denotations; /* the same of what dims mean ("DATA_BATCH") */
  const graph_type *elem;
  const char *denotation; /* or NULL */
};

/* Fields of a file's record that the graph has no place for (doc strings, annotations, what a newer version has), in
 * the format's own form: its writer gives them back. Memory of the model. */
typedef struct graph_extra {
  const void *data;
  size_t size;
} graph_extra;

/* ---- attributes; the numbers are ONNX's AttributeProto.AttributeType ---- */
typedef enum attr_type {
  ATTR_NONE = 0,
  ATTR_FLOAT = 1,
  ATTR_INT = 2,
  ATTR_STRING = 3,
  ATTR_TENSOR = 4, /* sparse tensors are made dense by the importer */
  ATTR_GRAPH = 5,
  ATTR_FLOATS = 6,
  ATTR_INTS = 7,
  ATTR_STRINGS = 8,
  ATTR_TENSORS = 9,
  ATTR_GRAPHS = 10,
  ATTR_TYPE = 13,
  ATTR_TYPES = 14,
} attr_type;

typedef struct attr {
  const char *name;
  attr_type type;
  int64_t count; /* of the list types; 1 for the others */
  union {
    float f;
    int64_t i;
    ledge_string s;
    const tensor *t;
    graph *g;
    const float *floats;
    const int64_t *ints;
    const ledge_string *strings;
    const tensor *tensors;
    graph *const *graphs;
    const graph_type *types; /* TYPE and TYPES */
  };
  graph_extra extra;
} attr;

typedef struct property {
  const char *key, *value;
} property;

struct node {
  const char *name;   /* "" where the file gives none */
  const char *domain; /* "" is ai.onnx */
  const char *op;
  const char *overload; /* "" or the function's overload */
  int version;          /* of the domain's opset that is in force here */
  int n_in, n_out, n_attrs;
  value_id *in, *out;
  attr *attrs;
  const struct op_def *def; /* NULL until resolved, or where unsupported */
  bool has_effect;          /* does something besides its outputs, as its operator says: never swept */
  uint64_t offset;          /* in the file, UINT64_MAX where it does not come from one */
  const property *metadata;
  int n_metadata;
  graph_extra extra;
};

typedef struct graph_value {
  const char *name;                  /* unique in its graph; never NULL */
  graph_type type;                   /* TYPE_NONE where undeclared */
  const tensor *constant;            /* contents of an initialiser, or NULL; on an input: its default */
  int32_t producer;                  /* index in graph.nodes, or -1 */
  graph_extra extra, constant_extra; /* of the value's declaration; of the initialiser */
} graph_value;

typedef struct capture {
  value_id inner, outer; /* `outer` is an id of the parent graph */
} capture;

struct graph {
  model *model;
  graph *parent; /* the graph whose node holds this one, or NULL */
  const char *name;
  graph_value *values;
  int n_values, cap_values;
  node *nodes;
  int n_nodes, cap_nodes;
  value_id *inputs, *outputs;
  int n_inputs, n_outputs;
  capture *captures;
  int n_captures, cap_captures;
  int next_fresh; /* the first number that no "ledge.NUMBER" has */
  graph_extra extra;
};

typedef struct opset_import {
  const char *domain; /* "" is ai.onnx */
  int version;
} opset_import;

struct model {
  arena arena;
  graph *graph;
  opset_import *opsets;
  int n_opsets;
  int64_t ir_version;
  const char *producer_name, *producer_version, *domain, *doc;
  int64_t model_version;
  property *metadata;
  int n_metadata;
  graph_extra extra;
  bool calls_inlined; /* the file has functions: calls of them were replaced by their bodies */
  storage **keep;     /* storages and mappings that constants point into; released with the model */
  int n_keep, cap_keep;
  bool defaults_fixed;    /* initialisers that are inputs too count as constants: nobody will give others */
  const char *source;     /* path or "memory", for messages */
  const char *format;     /* "tflite"; NULL: ONNX, or made here */
  int64_t format_version; /* of what `format` names */
  /* Variables: the last n_states inputs of the main graph are their contents before a run, the last n_states outputs
   * those after it, in the same order. states[i] are those before the first run. */
  const tensor *const *states;
  int n_states;
  model *origin; /* of a clone: the model whose memory its constants may point into; one reference */
  atomic_int refs;
};

/* ---- building; every function returns NULL or VALUE_ABSENT or an error when out of memory ---- */
model *model_create(void); /* refs = 1 */
model *model_ref(model *m);
void model_destroy(model *m); /* gives one reference back; NULL passes */
/* The model keeps a reference of its own to s. */
ledge_status model_keep(model *m, storage *s, ledge_error *error);
/* Version of a domain's opset in this model, 0 where it is not imported. "" and "ai.onnx" are the same. */
int model_opset(const model *m, const char *domain);
const char *model_metadata(const model *m, const char *key); /* NULL where absent */

graph *graph_create(model *m, graph *parent, const char *name);
/* A new value; the name (copied) must be new in g or NULL: then a fresh one is made. */
value_id graph_add_value(graph *g, const char *name);
/* A new value that holds a constant; t's elements are not copied: its storage must be kept by the model. */
value_id graph_add_constant(graph *g, const char *name, const tensor *t);
/* A constant of the model's own memory: copies the elements. */
value_id graph_add_constant_copy(graph *g, const char *name, ledge_dtype dtype, int rank, const int64_t *dims,
                                 const void *data);
value_id graph_find_value(const graph *g, const char *name); /* linear; importers keep their own table */
/* Appends a node; arrays are copied. Sets the producers of its outputs. The pointer lasts until the next append. */
node *graph_add_node(graph *g, const char *domain, const char *op, int version, const char *name, const value_id *in,
                     int n_in, const value_id *out, int n_out);
ledge_status node_set_attr(graph *g, node *n, const attr *a); /* replaces one of that name; copies the struct only */
ledge_status node_set_int(graph *g, node *n, const char *name, int64_t v);
ledge_status node_set_float(graph *g, node *n, const char *name, float v);
ledge_status node_set_string(graph *g, node *n, const char *name, const char *v);
ledge_status node_set_ints(graph *g, node *n, const char *name, const int64_t *v, int64_t count);
const attr *node_attr(const node *n, const char *name); /* or NULL */
int64_t node_attr_int(const node *n, const char *name, int64_t otherwise);
float node_attr_float(const node *n, const char *name, float otherwise);
/* The subgraph attributes of n, one after another: start with *i = 0; NULL at the end. */
graph *node_next_subgraph(const node *n, int *attr_index, int *graph_index);
bool node_is(const node *n, const char *domain, const char *op);
/* The capture of `outer` (an id of g->parent) in g, made where it is not there yet. */
value_id graph_capture(graph *g, value_id outer);

/* The constant that a value of g is, looked for through captures up to the outermost graph; NULL where it is none. An
 * input's default is none, for the caller may give another, but where model.defaults_fixed says that nobody will, and
 * in models of IR versions before 4, where every initialiser is also listed as an input. */
const tensor *graph_constant(const graph *g, value_id v);

/* ---- changing, for passes ---- */
/* Puts the nodes in an order in which each reads only what is made before it, keeping the given order where it can;
 * LEDGE_ERROR_FORMAT names a node of a cycle. Recomputes producers. */
ledge_status graph_sort(graph *g, ledge_error *error);
/* Removes the nodes marked in dead[n_nodes]; fixes producers. */
void graph_remove_nodes(graph *g, const bool *dead);
/* Every reader of `from` in g (nodes, outputs, captures of subgraphs) reads `to` instead. */
void graph_replace_uses(graph *g, value_id from, value_id to);
/* How many reads each value has in g: by nodes, as graph output, by subgraphs' captures. uses[n_values]. */
void graph_count_uses(const graph *g, int *uses);
/* Removes nodes none of whose outputs is read, and that have no effect of their own; repeats to the end. */
ledge_status graph_sweep(graph *g, ledge_error *error);
/* A deep copy of structure (values, nodes, subgraphs) into a new model that shares the constants' contents and keeps m.
 */
ledge_status model_clone(model *m, model **ret_clone, ledge_error *error);
/* Copies the body of `src` into g: src's inputs become args, and outs[i] gets the value that src's output i is. Used to
 * inline functions and If branches; args may be VALUE_ABSENT; captures of src resolve through `args_captures` (ids in
 * g, one a capture). */
ledge_status graph_inline(graph *g, const graph *src, const value_id *args, const value_id *args_captures,
                          const char *prefix, value_id *outs, ledge_error *error);

/* Checks the invariants above, in g and all its subgraphs. */
ledge_status graph_verify(const graph *g, ledge_error *error);

/* A node's name for messages: "Conv_12 (Conv)" or "node 12 (Conv)". Returns text. */
char *node_label(const graph *g, const node *n, char *text, size_t size);

#endif
