/* formats/onnx/read: what the parts of the reader share. Nothing outside this folder includes it.
 *
 *   import.c    the model, its graphs and nodes        function.c  model-local functions: calling one inlines it
 *   names.c     scopes: what a name means where        attr.c      attributes
 *   type.c      TypeProto, ValueInfoProto              tensor.c    TensorProto, SparseTensorProto
 *   external.c  tensors in files of their own          value.c     values in files of their own (.pb)
 *   extra.c     what the graph has no place for
 */
#ifndef FORMATS_ONNX_READ_H
#define FORMATS_ONNX_READ_H

#include "base/error.h"
#include "base/hash.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/wire.h"

typedef struct onnx_function onnx_function;
typedef struct onnx_call onnx_call;
typedef struct onnx_external onnx_external;

/* One reading of one model. */
typedef struct onnx_in {
  model *m;
  onnx_options options;
  size_t file_bytes;
  storage *owner;      /* keeps the bytes alive; NULL: copy what is used of them */
  bool any_address;    /* floats may stay where they are, aligned or not: an initialiser or a Constant is read */
  size_t limit_bytes;  /* of m->arena and heap_bytes together */
  size_t heap_bytes;   /* of storages made for the model */
  uint64_t steps_left; /* fields that may still be looked at: inlined functions are read once a call */
  int depth;           /* of graphs and functions, at most ONNX_MAX_DEPTH */
  arena scratch;       /* goes at the end of the reading */
  onnx_function *functions;
  int n_functions;
  hash function_names; /* "domain\0name\0overload" -> index */
  int n_fresh;         /* names made so far */
  int n_prefixes;      /* of the error, which names the innermost places */
  onnx_external *external;
  value_id *ids; /* scratch: a node's inputs and outputs */
  size_t cap_ids;
  ledge_error *error;
} onnx_in;

/* Zeroed memory of the model's arena, within limit_bytes; *ret is set on success. */
ledge_status onnx_alloc(onnx_in *in, size_t count, size_t each, const char *what, void *ret);
/* LEDGE_OK while the model is within limit_bytes, with `more` bytes added. */
ledge_status onnx_check_limit(onnx_in *in, size_t more, const char *what);
/* Is r a name: no longer than ONNX_MAX_NAME, and without NUL? */
ledge_status onnx_check_name(reader r, const char *what, ledge_error *error);
/* A copy in the model's arena, checked as a name is. */
ledge_status onnx_name(onnx_in *in, reader r, const char *what, const char **ret);
/* A copy of any length, without NUL. */
ledge_status onnx_text(onnx_in *in, reader r, const char *what, const char **ret);
/* error_prefix, for the innermost few places: a message must not be pushed out by the graphs around it. */
ledge_status onnx_prefix(onnx_in *in, ledge_status status, const char *format, ...) LEDGE_PRINTF(3, 4);
/* The bytes are not what they were a pass ago. */
ledge_status onnx_changed(onnx_in *in);
ledge_status onnx_property(onnx_in *in, reader r, property *ret);
static inline bool onnx_equal(reader r, const char *text) {
  return r.size == strlen(text) && (!r.size || !memcmp(r.data, text, r.size));
}
/* For messages: "%.*s" of a name, cut at 100 bytes. */
#define ONNX_SHOW(r) (int)((r).size < 100 ? (r).size : 100), (r).data ? (const char *)(r).data : ""

/* ---- tensor.c ---- */
typedef struct onnx_tensor {
  uint64_t at; /* file offset */
  reader name, whole, raw;
  ledge_dtype dtype;
  int rank;
  int64_t dims[LEDGE_MAX_RANK];
  int64_t count;  /* elements */
  size_t bytes;   /* of the elements */
  uint32_t field; /* of the typed data, 9: raw, 0: there are no elements; 13: external */
  bool is_external, has_location;
  reader location;
  uint64_t offset, length; /* of external data; length UINT64_MAX where the file does not say */
} onnx_tensor;

/* Parses and checks a TensorProto as a whole: afterwards the elements are there, in the number that the shape asks for
 * (external ones excepted). */
ledge_status onnx_tensor_parse(reader r, uint64_t *steps, onnx_tensor *t, ledge_error *error);
/* Decodes the elements into dst[t->bytes]. Not strings, not external. */
void onnx_tensor_fill(const onnx_tensor *t, void *dst);
/* String i is what `put` gets for each in turn. */
typedef ledge_status (*onnx_string_put)(void *arg, int64_t i, reader text, ledge_error *error);
ledge_status onnx_tensor_strings(const onnx_tensor *t, onnx_string_put put, void *arg, ledge_error *error);

typedef struct onnx_sparse {
  onnx_tensor values, indices;
  int rank;
  int64_t dims[LEDGE_MAX_RANK];
  size_t bytes; /* of the dense tensor */
} onnx_sparse;
ledge_status onnx_sparse_parse(reader r, uint64_t *steps, onnx_sparse *s, ledge_error *error);
/* Spreads the decoded values into the zeroed dense elements; checks every index. Strings are copied by pointer. */
ledge_status onnx_sparse_fill(const onnx_sparse *s, const void *values, const int64_t *indices, void *dense,
                              ledge_error *error);

/* A tensor of the model: its elements in place, or copied into the model's memory, or mapped from their own file. */
ledge_status onnx_load_tensor(onnx_in *in, const onnx_tensor *t, tensor *ret);
ledge_status onnx_load_sparse(onnx_in *in, const onnx_sparse *s, tensor *ret);

/* ---- type.c ---- */
ledge_status onnx_read_type(onnx_in *in, reader r, graph_type *ret);
typedef struct onnx_value_info {
  reader name, type;
  bool has_type;
} onnx_value_info;
ledge_status onnx_parse_value_info(reader r, uint64_t *steps, onnx_value_info *ret, ledge_error *error);

/* ---- names.c ---- */
/* What names mean in one place: in a graph of the file, or in a function's body as it is inlined into a graph. A name
 * that is not found is looked for in the parent, whose graph is the parent of this graph, and captured. */
typedef struct onnx_scope onnx_scope;
typedef struct onnx_names onnx_names;
struct onnx_names { /* of one graph */
  graph *g;
  onnx_names *outer; /* of g->parent */
  hash captured;     /* the outer value's name -> inner value */
  hash used;         /* all names of the graph's values; filled when the first one is made up */
  bool used_live;
};
struct onnx_scope {
  onnx_scope *parent; /* NULL: names end here */
  graph *g;
  onnx_names *all;       /* of g */
  hash names;            /* -> value, or VALUE_ABSENT: known to be left out */
  const onnx_call *call; /* the function call that this is inside, or NULL */
};
/* Gives a name its value; a name that is there already is an error: "`what` 'x' ...". */
ledge_status onnx_scope_put(onnx_in *in, onnx_scope *s, reader name, value_id v, const char *what);
/* The value of a name, captured through every graph between; *found false where no scope has it. */
ledge_status onnx_scope_find(onnx_in *in, onnx_scope *s, reader name, value_id *ret, bool *found);
/* A new value of g named "prefix/name", told apart by a number where there is one of that name. */
ledge_status onnx_scope_fresh(onnx_in *in, onnx_scope *s, const char *prefix, reader name, value_id *ret);
/* Room for `count` names, within the memory limit. */
ledge_status onnx_scope_reserve(onnx_in *in, onnx_scope *s, size_t count);
void onnx_scope_deinit(onnx_scope *s);
void onnx_names_deinit(onnx_names *n);

/* ---- extra.c ---- */
typedef enum onnx_extra_of {
  ONNX_EXTRA_MODEL,
  ONNX_EXTRA_CALLS, /* of a model whose calls stay: its functions too */
  ONNX_EXTRA_GRAPH,
  ONNX_EXTRA_NODE,
  ONNX_EXTRA_VALUE,
  ONNX_EXTRA_TENSOR,
  ONNX_EXTRA_ATTR,
} onnx_extra_of;
/* Keeps those fields of the record in r that the graph has no place for; *ret stays where there are none, and inside
 * calls of functions: `s` (may be NULL) is the scope that the record stands in. */
ledge_status onnx_keep_extra(onnx_in *in, const onnx_scope *s, reader r, onnx_extra_of of, graph_extra *ret);

/* ---- attr.c ---- */
/* Reads attributes[n] of a node in scope s into *ret: those that refer to an attribute of the function that is being
 * called take its contents, or go where it has none. */
ledge_status onnx_read_attrs(onnx_in *in, onnx_scope *s, reader node_proto, int count, attr **ret, int *ret_count);

/* ---- import.c ---- */
/* A graph whose names are looked up in `parent` (NULL: nowhere) where it has none such of its own. `outer`: the names
 * of the graph whose node will hold it, NULL for the main graph. */
ledge_status onnx_read_graph(onnx_in *in, onnx_scope *parent, onnx_names *outer, const onnx_call *call, reader r,
                             graph **ret);
typedef struct onnx_node { /* a NodeProto's first look */
  uint64_t at;
  reader whole, name, op, domain, overload;
  int n_in, n_out, n_attrs, n_metadata;
} onnx_node;
ledge_status onnx_parse_node(onnx_in *in, reader r, onnx_node *ret);
/* Gives the node's outputs values. `fixed` (may be NULL) says which names have one already; `prefix` as in
 * onnx_scope_fresh, NULL: the values are named as in the file. */
ledge_status onnx_declare_outputs(onnx_in *in, onnx_scope *s, reader node_proto, const hash *fixed,
                                  const value_id *fixed_ids, const char *prefix);
ledge_status onnx_read_node(onnx_in *in, onnx_scope *s, reader node_proto);
/* Reads a list of OperatorSetIdProto, field `field` of message r. */
ledge_status onnx_read_opsets(onnx_in *in, reader r, uint32_t field, const char *message, opset_import **ret,
                              int *ret_n);

/* ---- function.c ---- */
struct onnx_function {
  const char *domain, *name, *overload;
  reader body; /* the FunctionProto */
  reader *inputs, *outputs;
  int n_in, n_out, n_attrs, n_nodes;
  struct onnx_default {
    reader name, attr; /* attr.data NULL: no default */
  } * attrs;
  opset_import *opsets;
  int n_opsets;
};
typedef struct onnx_binding {
  reader name, attr; /* the AttributeProto at the call */
  onnx_scope *scope; /* in which its graphs' names are looked up; NULL: in none */
} onnx_binding;
struct onnx_call {
  const onnx_function *f;
  const onnx_binding *bindings;
  int n_bindings;
  const char *label;       /* prefix of the names made for it */
  const onnx_call *caller; /* that in whose function's body the call is written, or NULL */
};
ledge_status onnx_read_functions(onnx_in *in, reader model_proto, int count);
/* The function that a node calls, or NULL. */
ledge_status onnx_find_function(onnx_in *in, const onnx_node *n, const onnx_function **ret);
/* Inlines the call `n` in scope s; ids: the n_in inputs, then the n_out outputs. */
ledge_status onnx_call_function(onnx_in *in, onnx_scope *s, const onnx_function *f, const onnx_node *n,
                                const value_id *ids);
/* The opset version of a domain for nodes in this call (NULL: the model itself). */
ledge_status onnx_opset_version(onnx_in *in, const onnx_call *call, reader domain, int *ret);

/* ---- external.c ---- */
ledge_status onnx_external_entry(reader r, uint64_t *steps, onnx_tensor *t, ledge_error *error);
ledge_status onnx_load_external(onnx_in *in, const onnx_tensor *t, tensor *ret);
void onnx_external_close(onnx_in *in);

#endif
