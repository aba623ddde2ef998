/* ops/op: what an operator of the graph means. One row (op_def) an operator and opset range; one file a kind.
 *
 *   infer   from the inputs' dtypes and shapes (and contents where they are known) to the outputs' dtypes and shapes
 *   run     the reference: every type that the standard allows, on any machine
 *   grad    (passes/gradient) the nodes of the backward graph
 *
 * How a row is called. The executor sets c->in[i] (NULL where the optional input is left out) and c->out[i] (NULL where
 * the output is not wanted; a row without OP_EFFECT is called only where some output is). It calls infer at plan time,
 * with `inferring` set: an input's contents may be unknown then (OP_NEED), and the row answers OP_UNKNOWN where it
 * cannot tell the shape without them. Where infer told the shapes, run finds output memory ready (op_out). Where infer
 * is NULL or said OP_UNKNOWN, infer is called again just before run, with contents; rows with flag OP_DYNAMIC make
 * their outputs themselves, in run (op_make, or the value itself for sequences, optionals and maps).
 *
 *   static ledge_status relu_infer(op_ctx *c) { return op_same_shape(c, 0, 0); }
 *   static ledge_status relu_run(op_ctx *c) { const tensor *x = op_in(c, 0); tensor *y = op_out(c, 0); ... }
 *   const op_def ops_activation[] = {
 *     {"", "Relu", 6, 0, 1, 1, 1, 1, OP_INPLACE(0), relu_infer, relu_run},
 *     ...
 *     {0}};
 *
 * Input data are hostile: indices, axes, sizes and types that come from the model or its inputs are checked in infer
 * (shapes, attributes) or run (contents), with op_fail. Counts and types of inputs are checked by the framework as far
 * as the row says (min/max); dtypes by the row itself. Rows keep no state and are called from many threads at once.
 */
#ifndef OPS_OP_H
#define OPS_OP_H

#include "base/error.h"
#include "base/pool.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "tensor/tensor.h"

typedef struct op_ctx op_ctx;
typedef struct op_def op_def;
typedef ledge_status (*op_fn)(op_ctx *c);

/* What infer answers where the shape needs contents that are not known yet. Never leaves the ops, plan and runtime. */
#define OP_UNKNOWN ((ledge_status)1000)

enum {
  OP_DYNAMIC = 1 << 0,          /* run itself decides the outputs' shapes or kinds; infer is NULL */
  OP_NONDETERMINISTIC = 1 << 1, /* draws random numbers: never folded */
  OP_SHAPE_ONLY = 1 << 2,       /* reads only the inputs' shapes: its outputs are known at plan time */
  OP_ALIAS = 1 << 3,            /* output 0 is input 0's bytes under another shape: no work where they share memory */
  OP_EFFECT = 1 << 4,           /* does something besides its outputs: never removed */
  OP_HOST_CALL = 1 << 5,        /* runs subgraphs through the host */
  OP_ANY_KIND = 1 << 6,         /* takes sequences, optionals or maps as inputs and looks at their kinds itself; for all
                                   other rows the framework refuses a present input that is no tensor */
};
/* Output 0 may take input i's memory (i < 8) when that is not read again and has the same bytes: run then sees
 * op_in(c, i)->data == op_out(c, 0)->data and must read each element before it writes it. */
#define OP_INPLACE(i) (1u << (8 + (i)))

struct op_def {
  const char *domain, *name;
  int since, until;   /* opset versions, inclusive; until 0: to the newest */
  int min_in, max_in; /* max -1: any number */
  int min_out, max_out;
  uint32_t flags;
  op_fn infer, run;
  const void *user; /* for rows of the program's own; NULL in ledge's */
};

/* What the executor offers to a running operator. */
typedef struct op_host op_host;
struct op_host {
  /* Gives out[i], whose dtype and shape are set, its memory. */
  ledge_status (*alloc)(op_host *h, op_ctx *c, value *out);
  /* Runs a subgraph of c->node: n_in inputs in order (captures are the host's business); outputs are owned values that
   * the caller deinits. */
  ledge_status (*call)(op_host *h, op_ctx *c, const graph *g, const value *const *in, int n_in, value *out, int n_out);
  bool (*cancelled)(op_host *h);
};

struct op_ctx {
  const node *node;
  const op_def *def;
  int n_in, n_out;
  const value *const *in;
  value *const *out;
  bool inferring;
  ledge_error *error;
  pool *pool; /* NULL: one thread */
  op_host *host;
  rng *rng;                              /* for operators without a seed of their own */
  void *kernel;                          /* what a backend prepared for this node and these shapes, for its own run */
  void *scratch;                         /* that kernel's scratch memory, of the size that it asked for */
  const struct steps_recorder *recorder; /* ops/steps.h: hears of each step while inferring; NULL: nobody does */
};

/* ---- inputs, outputs ---- */
/* Input i as a tensor; NULL where it is absent or not a tensor (the framework has refused a required one that is not).
 */
static inline const tensor *op_in(const op_ctx *c, int i) {
  return i < c->n_in && c->in[i] && c->in[i]->kind == VALUE_TENSOR ? &c->in[i]->tensor : NULL;
}
static inline bool op_has(const op_ctx *c, int i) { return i < c->n_in && c->in[i]; }
static inline bool op_wants(const op_ctx *c, int i) { return i < c->n_out && c->out[i]; }
/* Output i; NULL where it is not wanted. */
static inline tensor *op_out(const op_ctx *c, int i) { return op_wants(c, i) ? &c->out[i]->tensor : NULL; }
/* Are input i's contents known? (True while running.) An absent input counts as known. */
bool op_known(const op_ctx *c, int i);
#define OP_NEED(c, i)                       \
  do {                                      \
    if (!op_known(c, i)) return OP_UNKNOWN; \
  } while (0)
/* Sets output i's dtype and shape, in infer. Passes where it is not wanted. Refuses negative dims and overflow. */
ledge_status op_shape(op_ctx *c, int i, ledge_dtype dtype, int rank, const int64_t *dims);
ledge_status op_same_shape(op_ctx *c, int output, int input);             /* and dtype */
ledge_status op_last_dim(op_ctx *c, int output, int input, int64_t last); /* the same, but for the last of >= 1 dims */
/* In run of an OP_DYNAMIC row: sets the shape and gets the memory. *ret is NULL where output i is not wanted. */
ledge_status op_make(op_ctx *c, int i, ledge_dtype dtype, int rank, const int64_t *dims, tensor **ret);
/* Makes output i another name for input's contents (sequences, optionals, maps, or tensors of dynamic rows): owned. */
ledge_status op_forward(op_ctx *c, int output, const value *v);
/* Scratch for one call, freed by the caller with op_scratch_free; NULL + error set when out of memory. */
void *op_scratch(op_ctx *c, size_t count, size_t each);
void op_scratch_free(void *p);

/* ---- attributes; a wrong type of attribute is an error at resolve time where the row lists it, else the default ----
 */
int64_t op_int(const op_ctx *c, const char *name, int64_t otherwise);
float op_float(const op_ctx *c, const char *name, float otherwise);
bool op_attr_given(const op_ctx *c, const char *name);
/* The list and its length (0 and NULL where absent). */
const int64_t *op_ints(const op_ctx *c, const char *name, int64_t *count);
const float *op_floats(const op_ctx *c, const char *name, int64_t *count);
const ledge_string *op_strings(const op_ctx *c, const char *name, int64_t *count);
/* The string {NULL, 0} where absent. */
ledge_string op_string(const op_ctx *c, const char *name);
bool op_string_is(const op_ctx *c, const char *name, const char *otherwise,
                  const char *want);                        /* value or default == want */
const tensor *op_tensor(const op_ctx *c, const char *name); /* or NULL */
const graph *op_graph(const op_ctx *c, const char *name);   /* or NULL */

/* ---- checks ---- */
/* Fails with "Conv: ..." ; the framework adds the node's name. */
ledge_status op_fail(op_ctx *c, ledge_status code, const char *format, ...) LEDGE_PRINTF(3, 4);
ledge_status op_fail_dtype(op_ctx *c, int input); /* "input 0 has dtype string, which X does not take" */
/* Brings an axis from [-rank, rank) to [0, rank), or fails. `rank` may be that of an output. */
ledge_status op_axis(op_ctx *c, int64_t axis, int rank, int *ret);
/* A list of ints (i64 or i32 tensor) as int64s into dst[max]; fails when longer. */
ledge_status op_read_ints(op_ctx *c, const tensor *t, int64_t *dst, int max, int *ret_count);

/* ---- the registry ---- */
/* The row for a node, or NULL where no row covers its domain, operator and version. */
const op_def *ops_find(const char *domain, const char *op, int version);
/* Sets def of every node of g and its subgraphs. *n_missing counts the nodes without a row (they keep def NULL). A node
 * whose counts of inputs or outputs its row does not allow is an error. `extra` (n_extra rows) are the program's own,
 * looked at first. */
ledge_status ops_resolve(graph *g, const op_def *extra, int n_extra, int *n_missing, ledge_error *error);
/* All rows, for listings: NULL past the end. */
const op_def *ops_at(int i);

/* Runs a node whose inputs are all known, outside of any session: infer, heap memory for the outputs, run. c->out[i]
 * are zeroed values and become owned ones. The host may be NULL: then rows that call subgraphs fail as unsupported. */
ledge_status op_eval(op_ctx *c);

/* With the outputs' shapes told: is there nothing to compute, because none of them has an element? Then the row is not
 * run: its other dims may be so large that walking them would take years. */
bool op_is_empty(const op_ctx *c);

/* Refuses an input that is no tensor, for rows without OP_ANY_KIND. */
ledge_status op_check_kinds(op_ctx *c);

/* Calls infer, or says OP_UNKNOWN where the row has none. Adds the operator's name to an error. */
ledge_status op_infer(op_ctx *c);

#endif
