/* passes/gradient/back: what the rules of gradient.c are made of: the state of the walk, and functions that add nodes.
 *
 * A rule is called for a node of the forward graph once the gradients of its outputs are complete; it says what they
 * add to the gradients of the node's inputs:
 *
 *   static void rule_mul(back *b, const node *n) {
 *     value_id dy = back_grad(b, n, 0);
 *     if (back_wants(b, n->in[0])) back_give_sum(b, n->in[0], back_mul(b, dy, n->in[1]));
 *     ...
 *
 * Three ways to write one: by hand as above; by lowering (back_lower_begin .. back_lower): the rule emits the same
 * function in simpler operators, and the walk goes through those; by indices (gradient_shape.c), for operators that
 * only move elements. Errors stick: after the first, emitting does nothing and returns VALUE_ABSENT. */
#ifndef PASSES_GRADIENT_BACK_H
#define PASSES_GRADIENT_BACK_H

#include "passes/pass.h"

enum { GRADIENT_OPSET = 21 }; /* of the nodes that are made */

typedef struct back {
  graph *g;
  ledge_error *error;
  value_id *grad; /* by value: its gradient so far, or VALUE_ABSENT */
  bool *active;   /* by value: depends on an x, and carries a gradient */
  value *known;   /* by value: dtype and shape where ops_propagate tells them; open dims have made-up sizes */
  int n, cap;     /* of these three */
  int settled;    /* nodes whose outputs' shapes were asked for */
  ledge_status status;
  int now; /* index of the node whose rule runs, or -1 */
} back;

typedef void (*gradient_rule)(back *b, const node *n);

ledge_status back_init(back *b, value_id last); /* room for values up to `last` */
void back_deinit(back *b);
/* Records the first failure: a message about the node whose rule runs; NULL: out of memory. */
void back_fail(back *b, ledge_status code, const char *format, ...) LEDGE_PRINTF(3, 4);

/* ---- nodes ---- */
value_id back_emit(back *b, const char *domain, const char *op, int version, const value_id *in, int n_in);
void back_emit_outputs(back *b, const char *domain, const char *op, int version, const value_id *in, int n_in,
                       value_id *ret_out, int n_out);
value_id back_op1(back *b, const char *op, value_id x);
value_id back_op2(back *b, const char *op, value_id x, value_id y);
value_id back_op3(back *b, const char *op, value_id x, value_id y, value_id z);
value_id back_new_value(back *b); /* for back_emit_outputs */
/* n again, with other inputs (n_in as n has) and one output; attributes are copied. */
value_id back_again(back *b, const node *n, const value_id *in, int n_in);
/* Attributes of the node made last; set before the next is made. */
void back_int(back *b, const char *name, int64_t v);
void back_float(back *b, const char *name, float v);
void back_string(back *b, const char *name, const char *v);
void back_ints(back *b, const char *name, const int64_t *v, int count);
void back_attrs(back *b, const node *from);
/* Output k of a node of the graph, added where it is left out. */
value_id back_output(back *b, const node *n, int k);

static inline value_id back_add(back *b, value_id x, value_id y) { return back_op2(b, "Add", x, y); }
static inline value_id back_sub(back *b, value_id x, value_id y) { return back_op2(b, "Sub", x, y); }
static inline value_id back_mul(back *b, value_id x, value_id y) { return back_op2(b, "Mul", x, y); }
static inline value_id back_div(back *b, value_id x, value_id y) { return back_op2(b, "Div", x, y); }
static inline value_id back_neg(back *b, value_id x) { return back_op1(b, "Neg", x); }
static inline value_id back_where(back *b, value_id c, value_id x, value_id y) { return back_op3(b, "Where", c, x, y); }

/* ---- constants and shapes ---- */
value_id back_number(back *b, double v, value_id like); /* a scalar of like's dtype */
value_id back_i64(back *b, int64_t v);                  /* a scalar */
value_id back_list(back *b, const int64_t *v, int n);   /* int64 [n] */
value_id back_f32(back *b, int rank, const int64_t *dims, const float *v);
value_id back_like(back *b, value_id x, value_id like); /* cast to like's dtype */
value_id back_shape(back *b, value_id x);
value_id back_dim(back *b, value_id x, int64_t axis); /* int64 [1] */
value_id back_filled(back *b, double v, value_id like);
value_id back_reshape_like(back *b, value_id x, value_id like);
/* A vector a channel as [C, 1, 1, ...], to broadcast to a tensor of `rank` dims, channels at 1. */
value_id back_channels(back *b, value_id v, int rank);
value_id back_transpose(back *b, value_id x, const int64_t *perm, int n);
value_id back_unsqueeze(back *b, value_id x, int64_t axis);
/* ReduceSum and its kin over constant axes (all where n is 0), dims kept. */
value_id back_reduce(back *b, const char *op, value_id x, const int64_t *axes, int n);
/* x summed down to like's shape, along which it was broadcast. */
value_id back_sum_to(back *b, value_id x, value_id like);
/* -1 where unknown; back_need_rank fails then, and returns 0. */
int back_rank(back *b, value_id v);
int back_need_rank(back *b, value_id v);
/* Are x and y known to have the same dim there, whatever open dims are? */
bool back_same_dim(back *b, value_id x, value_id y, int axis);
ledge_dtype back_dtype(back *b, value_id v); /* LEDGE_DTYPE_NONE where unknown */
/* First to last dims of an axis list: {first, first + 1, ...}; returns the count. */
static inline int back_range(int64_t first, int64_t end, int64_t *axes) {
  int n = 0;
  for (int64_t i = first; i < end && n < LEDGE_MAX_RANK; i++) axes[n++] = i;
  return n;
}

/* ---- gradients ---- */
bool back_wants(const back *b, value_id x);
/* The gradient of output k: back_grad: of the node's only interesting output, which has one; back_grad_any: zeros where
 * it has none; back_has: has it one? */
bool back_has(const back *b, const node *n, int k);
value_id back_grad(back *b, const node *n, int k);
/* Adds to the gradient of x (where it is wanted): grad has x's shape; back_give_sum: or is broadcast. */
void back_give(back *b, value_id x, value_id grad);
void back_give_sum(back *b, value_id x, value_id grad);

/* Lowering: between back_lower_begin and back_lower the rule emits nodes that compute outs[k], equal to the node's
 * output k (VALUE_ABSENT for outputs that have no gradient); back_lower walks back through them. */
int back_lower_begin(back *b);
void back_lower(back *b, int begin, const node *n, const value_id *outs, int n_outs);

/* ---- the rules, in rules.def ---- */
#define RULE(domain, op, since, rule) void gradient_##rule(back *b, const node *n);
#define ZERO(domain, op)
#define NONE(domain, op, reason)
#include "passes/gradient/rules.def"
#undef RULE
#undef ZERO
#undef NONE

#endif
