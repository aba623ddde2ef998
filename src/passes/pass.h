/* passes/pass: graph -> graph, one rewrite a file; passes.def lists them in the order in which they run.
 *
 * A pass is called for every graph of the model, subgraphs first, and may be called again until nothing changes. It may
 * assume that nodes are sorted and resolved, and leaves them so. Every pass can be switched off by name; tests compare
 * a model's outputs with and without it. Passes marked `standard` make only what ONNX can say: `convert --simplify`
 * runs those alone. */
#ifndef PASSES_PASS_H
#define PASSES_PASS_H

#include "ops/op.h"

typedef struct pass_options {
  const char *disable; /* names, separated by commas; "all" for none at all; NULL: every pass runs */
  bool standard_only;
  bool required_only;    /* no optimisation: only what gives nodes their meaning (Gradient) */
  size_t fold_bytes_max; /* what folding may add in all; 0: 64 MiB */
} pass_options;

typedef struct pass_run {
  graph *g;
  const pass_options *options;
  bool changed;
  size_t folded_bytes;
  ledge_error *error;
  int *uses; /* pass_begin: reads of each value of g when the pass began (values made since have none) */
  int n_uses;
  bool *dead; /* nodes to be removed by pass_end; those made since the pass began are alive */
  int n_dead;
  value *shapes; /* pass_shape's */
  int n_shapes;
} pass_run;

typedef ledge_status (*pass_fn)(pass_run *p);
#define PASS(name, standard) ledge_status pass_##name(pass_run *p);
#include "passes/passes.def"
#undef PASS

/* Runs the passes over m in place. Resolves the nodes that they make. */
ledge_status passes_run(model *m, const pass_options *options, ledge_error *error);
/* Names, for listings and tests: NULL past the end. */
const char *passes_name(int i);

/* ---- what passes are made of ---- */
/* Counts uses and clears the dead marks; pass_end removes the dead and sweeps. */
ledge_status pass_begin(pass_run *p);
ledge_status pass_end(pass_run *p, ledge_status status);
/* What is known of v's dtype and shape for the declared inputs (see ops/propagate.h for open dims), or NULL. Contents
 * only where shapes and constants tell them. For values that were there when the pass began. */
const tensor *pass_shape(pass_run *p, value_id v);
/* The node that makes v and that is not dead; NULL where v is none's. */
node *pass_producer(pass_run *p, value_id v);
/* The same where it is domain.op and v is read once, by whoever asks. */
node *pass_only(pass_run *p, value_id v, const char *op);
bool pass_read_once(const pass_run *p, value_id v);
void pass_kill(pass_run *p, const node *n);
const tensor *pass_constant(const pass_run *p, value_id v);
/* A constant float32 of one element. */
bool pass_scalar(const pass_run *p, value_id v, float *ret);
bool pass_scalar_near(const pass_run *p, value_id v, float want); /* within 1e-3 of its size */
/* A constant float32 that is the same for all but dim `axis` counted from the end of a tensor of `rank` dims (so that
 * it has `n` elements). */
const tensor *pass_channel_constant(const pass_run *p, value_id v, int rank, int axis, int64_t n);
/* n becomes another operator with these inputs; its outputs stay, its attributes go. */
ledge_status pass_become(pass_run *p, node *n, const char *domain, const char *op, int version, const value_id *in,
                         int n_in);
/* Copies the attributes of `from` that n does not have. */
ledge_status pass_copy_attrs(pass_run *p, node *n, const node *from);
/* A new constant of g with room for its elements. */
value_id pass_new_constant(pass_run *p, ledge_dtype dtype, int rank, const int64_t *dims, void **ret_data);
static inline value_id node_in(const node *n, int i) { return i < n->n_in ? n->in[i] : VALUE_ABSENT; }

#endif
