/* formats/tflite/read: what the parts of the reader share. Nothing outside this folder includes it.
 *
 *   flatbuffer.c  tables in place             import.c    the model: tensors, subgraphs, operators, variables
 *   sparse.c      sparse tensors made dense   build.c     nodes and constants of the graph, from an operator's view
 *   state.c       variables                   rows.c      which operator is read by what
 *   op_*.c        one function an operator or kind of operator
 *
 * An operator's function looks at the operands (tfl_const, op_tensor), adds nodes (tfl_node) and says what its outputs
 * are (tfl_give). Errors are sticky: after the first, adding does nothing and gives VALUE_ABSENT, so that a function
 * needs no checks in between; it returns o->status by way of its caller. */
#ifndef FORMATS_TFLITE_READ_H
#define FORMATS_TFLITE_READ_H

#include "base/error.h"
#include "base/hash.h"
#include "formats/tflite/flatbuffer.h"
#include "formats/tflite/schema.h"
#include "formats/tflite/tflite.h"

enum { TFL_OPSET = 21 }; /* of ai.onnx: what the reader's nodes mean */

typedef struct tfl_quant {
  int n; /* of scales; 0: the tensor is not quantised */
  int n_zeros;
  const float *scales;
  const int64_t *zeros;
  int axis; /* which dim the scales go along, where n > 1 */
} tfl_quant;

/* A tensor of a subgraph as the file describes it. */
typedef struct tfl_tensor {
  const char *name;
  ledge_dtype dtype; /* NONE: a resource or a variant */
  int type;          /* TFL_*: as the file says it */
  int rank;          /* -1: not known */
  int64_t dims[LEDGE_MAX_RANK];
  int64_t open[LEDGE_MAX_RANK]; /* dims with -1 where the signature leaves them open */
  tfl_quant quant;
  const tensor *constant; /* or NULL */
  bool is_variable;
  bool has_rank;
  int state; /* of a variable tensor or a handle: index in tfl_in.states, or -1 */
  value_id value;
  int reads; /* by operators and as an output */
  int maker; /* the operator that makes it, or -1 */
} tfl_tensor;

/* Something that lasts from run to run. */
typedef struct tfl_state {
  const char *name; /* "container/shared_name", or the tensor's */
  bool is_resource;
  const tensor *initial; /* NULL: not known yet */
  value_id in;           /* of the main graph */
  value_id value;        /* now, in the graph that is being built */
} tfl_state;

typedef struct tfl_code {
  int builtin;
  int version;
  const char *custom;
} tfl_code;

typedef struct tfl_scope tfl_scope;

typedef struct tfl_in {
  fb f;
  model *m;
  size_t limit_bytes, heap_bytes;
  storage *owner;
  ledge_error *error;
  fb_table root;
  fb_vector buffers, subgraphs, codes_vector;
  tfl_code *codes;
  int n_codes;
  tfl_state *states;
  int n_states, cap_states;
  int depth;
  bool *called; /* by subgraph: is being read, so that none holds itself */
} tfl_in;

/* One subgraph that is being read into a graph. */
struct tfl_scope {
  tfl_in *in;
  tfl_scope *outer;
  fb_table table;
  graph *g;
  hash *names; /* of g's values */
  int n_tensors, n_operators;
  tfl_tensor *tensors;
};

/* One operator that is being read. */
typedef struct tfl_op {
  tfl_in *in;
  tfl_scope *s;
  const struct tfl_row *row;
  const tfl_code *code;
  fb_table table, options;
  fb_vector custom;
  int index;
  int n_in, n_out;
  const int32_t *inputs, *outputs;
  value_id *given;   /* n_out */
  value_id *replace; /* n_in: what stands for an input instead, or VALUE_ABSENT */
  ledge_status status;
} tfl_op;

enum {
  ROW_MOVES = 1,   /* means the same for numbers that stand for others: elements are moved or compared, not computed */
  ROW_INTEGER = 2, /* looks itself at whether its operands are quantised */
  ROW_STATE = 4,   /* reads or writes variables */
};
typedef struct tfl_row {
  int builtin;
  const char *name;
  void (*read)(tfl_op *o);
  int flags;
  const char *onnx; /* for functions that serve several rows */
} tfl_row;
extern const tfl_row tfl_rows[]; /* by builtin number; read NULL: unknown here */
extern const int tfl_n_rows;
const tfl_row *tfl_custom_row(const char *name); /* or NULL */

/* ---- import.c ---- */
/* Zeroed memory of the model's arena, within the limit. */
ledge_status tfl_alloc(tfl_in *in, size_t count, size_t each, const char *what, void *ret);
ledge_status tfl_check_limit(tfl_in *in, size_t more, const char *what);
/* A tensor of the model's own memory, elements uninitialised within the limit. */
ledge_status tfl_new_tensor(tfl_in *in, ledge_dtype dtype, int rank, const int64_t *dims, tensor **ret);
ledge_status tfl_name(tfl_in *in, const fb_vector *v, const char *what, const char **ret);
ledge_status tfl_read_tensor(tfl_in *in, const fb_table *table, tfl_tensor *t);
/* A buffer's bytes. */
ledge_status tfl_buffer(tfl_in *in, uint32_t index, fb_vector *ret);
/* Reads subgraph `index` into g: its inputs are args[n_args]. outs[n_outs] are its outputs. names: those that g has
 * already; NULL: none. */
ledge_status tfl_read_subgraph(tfl_in *in, tfl_scope *outer, int index, graph *g, hash *names, const value_id *args,
                               int n_args, value_id *outs, int n_outs);
/* The state of that name, made where there is none. */
ledge_status tfl_find_state(tfl_in *in, const char *name, bool is_resource, int *ret);

/* ---- state.c ---- */
/* At the end: the inputs and outputs of the variables, and their contents before the first run. */
ledge_status tfl_finish_states(tfl_in *in);
/* The state behind operand i: a handle, or a variable tensor. -1 and an error where it is none. */
int tfl_state_of(tfl_op *o, int i);
/* Its contents now, and setting them. `t` says its type and shape where nothing else does. */
value_id tfl_state_get(tfl_op *o, int state, const tfl_tensor *t);
void tfl_state_set(tfl_op *o, int state, value_id v);

/* ---- metadata.c ---- */
ledge_status tfl_read_metadata(tfl_in *in, ledge_status (*add)(tfl_in *in, const char *key, const char *text));

/* ---- flexbuffer.c ---- */
/* The integer of that key in a FlexBuffers map; false where there is none. */
bool tfl_flex_int(const fb_vector *b, const char *key, int64_t *ret);

/* ---- sparse.c ---- */
/* Elements of a sparse tensor `t` (whose data are the given values) become dense in *ret. */
ledge_status tfl_densify(tfl_in *in, const tfl_tensor *t, const fb_table *sparsity, const fb_vector *data,
                         tensor **ret);

/* ---- build.c ---- */
/* Attributes, as literals; a list of them ends with {0}. */
#define AI(NAME, V) \
  { .name = NAME, .type = ATTR_INT, .count = 1, .i = V }
#define AF(NAME, V) \
  { .name = NAME, .type = ATTR_FLOAT, .count = 1, .f = V }
#define AIS(NAME, LIST, N) \
  { .name = NAME, .type = ATTR_INTS, .count = N, .ints = LIST }
#define AFS(NAME, LIST, N) \
  { .name = NAME, .type = ATTR_FLOATS, .count = N, .floats = LIST }
#define AS(NAME, TEXT)                                                         \
  {                                                                            \
    .name = NAME, .type = ATTR_STRING, .count = 1, .s = { TEXT, strlen(TEXT) } \
  }
#define AT(NAME, TENSOR) \
  { .name = NAME, .type = ATTR_TENSOR, .count = 1, .t = TENSOR }
#define ATTRS(...)     \
  (const attr[]) {     \
    __VA_ARGS__, { 0 } \
  }

/* The operator cannot be said: it stays a node of domain "tflite" that no row knows, and is reported as such. `why` is
 * kept as an attribute for messages. */
void tfl_refuse(tfl_op *o, const char *why);
/* The file is wrong here. */
void tfl_bad(tfl_op *o, const char *format, ...) LEDGE_PRINTF(2, 3);
bool tfl_has_input(const tfl_op *o, int i);
/* Operand i; a tensor without anything where it is absent. */
const tfl_tensor *tfl_tensor_in(const tfl_op *o, int i);
const tfl_tensor *tfl_tensor_out(const tfl_op *o, int i);
value_id tfl_input(tfl_op *o, int i); /* as a value of the graph */
const tensor *tfl_const(const tfl_op *o, int i);
/* A constant list of integers; false where it is none or longer than max. */
bool tfl_const_ints(const tfl_op *o, int i, int64_t *list, int max, int *count);
/* A constant of one integer. */
bool tfl_const_int(const tfl_op *o, int i, int64_t *ret);
/* Fields of the options. */
int32_t tfl_i32(tfl_op *o, int field, int32_t otherwise);
int tfl_i8(tfl_op *o, int field, int otherwise);
float tfl_f32(tfl_op *o, int field, float otherwise);

/* A node with one output, which it gives. Inputs end with the count. */
value_id tfl_node_n(tfl_op *o, const char *domain, const char *op, const attr *attrs, const value_id *in, int n_in);
#define tfl_node(o, op, attrs, ...)                             \
  tfl_node_n(o, "", op, attrs, (const value_id[]){__VA_ARGS__}, \
             (int)(sizeof((const value_id[]){__VA_ARGS__}) / sizeof(value_id)))
#define tfl_own(o, op, attrs, ...)                                    \
  tfl_node_n(o, "tflite", op, attrs, (const value_id[]){__VA_ARGS__}, \
             (int)(sizeof((const value_id[]){__VA_ARGS__}) / sizeof(value_id)))
/* A node with n_out outputs in outs. */
node *tfl_nodes(tfl_op *o, const char *domain, const char *op, const attr *attrs, const value_id *in, int n_in,
                value_id *outs, int n_out);
/* Output i of the operator is v. */
void tfl_give(tfl_op *o, int i, value_id v);

/* Constants. */
value_id tfl_ints(tfl_op *o, const int64_t *list, int count); /* i64 [count] */
value_id tfl_int(tfl_op *o, int64_t v);                       /* i64 [] */
value_id tfl_scalar(tfl_op *o, ledge_dtype dtype, double v);  /* [] */
value_id tfl_constant(tfl_op *o, const tensor *t);
/* An integer operand as i64. */
value_id tfl_i64(tfl_op *o, int i);
/* v in another order of dims; a constant operand's elements are moved here and now. */
value_id tfl_permute(tfl_op *o, value_id v, const int *perm, int rank);
/* Operand i with its dims permuted: a constant (behind a DEQUANTIZE too) becomes another constant. */
value_id tfl_weights(tfl_op *o, int i, const int *perm, int rank);
value_id tfl_first(tfl_op *o, value_id v, int rank); /* channels last -> channels first */
value_id tfl_last(tfl_op *o, value_id v, int rank);  /* and back */
/* v with the fused activation (ACT_*) of floats or plain integers. */
value_id tfl_activate(tfl_op *o, value_id v, int act, ledge_dtype dtype);
value_id tfl_cast(tfl_op *o, value_id v, ledge_dtype to);
value_id tfl_reshape(tfl_op *o, value_id v, const int64_t *dims, int rank);

/* Quantisation: does the tensor hold numbers that stand for others? */
static inline bool tfl_is_quantised(const tfl_tensor *t) {
  return t->quant.n > 0 && (t->dtype == LEDGE_I8 || t->dtype == LEDGE_U8 || t->dtype == LEDGE_I16 ||
                            t->dtype == LEDGE_I32 || t->dtype == LEDGE_I4 || t->dtype == LEDGE_I64);
}
/* Are both quantised alike? */
bool tfl_same_quant(const tfl_tensor *a, const tfl_tensor *b);
value_id tfl_dequantise(tfl_op *o, value_id v, const tfl_tensor *t);
value_id tfl_quantise(tfl_op *o, value_id v, const tfl_tensor *t);

#endif
