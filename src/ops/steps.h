/* ops/steps: an operator that is a few standard ones in a row, written once for both of its sides: the same body infers
 * the shapes and runs.
 *
 *   static void bias_gelu(steps *s) {
 *     const value *sum = STEP(s, "Add", 23, NULL, steps_in(s, 0), steps_in(s, 1));
 *     steps_out(s, 0, STEP(s, "Gelu", 23, ATTRS({0}), sum));
 *   }
 *   STEPS_ROW(bias_gelu)      bias_gelu_infer and bias_gelu_run
 *
 * Errors are sticky: after the first, every call does nothing and gives NULL, so that a body needs no checks. While
 * inferring, values have a shape and no contents, but for inputs that the planner knows and for steps_scalar. */
#ifndef OPS_STEPS_H
#define OPS_STEPS_H

#include "ops/op.h"

enum { STEPS_MAX = 40 };

typedef struct steps {
  op_ctx *c;
  bool run;            /* else: infer */
  ledge_status status; /* of the first failure */
  int n;
  value values[STEPS_MAX]; /* owned */
} steps;

/* Hears what a body does while it infers, so that a pass can put the steps themselves in the node's place. Values are
 * known by their addresses: of the node's inputs, of what earlier steps gave. 16-bit floats are not widened then: that
 * is the business of those who run the steps. Attributes last for the call alone; NULL are the node's own. */
typedef struct steps_recorder {
  void *arg;
  void (*step)(void *arg, const char *op, int version, const attr *attrs, const value *const *in, int n_in,
               const value *const *out, int n_out);
  void (*constant)(void *arg, const value *v);
  void (*out)(void *arg, int i, const value *v);
  void (*refuse)(void *arg); /* what the body did is no step */
} steps_recorder;

/* Attributes of one step: a list ended by {0}; NULL hands on the node's own. */
#define ATTRS(...)     \
  (const attr[]) {     \
    __VA_ARGS__, { 0 } \
  }
#define ATTR_I(NAME, V) \
  { .name = NAME, .type = ATTR_INT, .count = 1, .i = V }
#define ATTR_F(NAME, V) \
  { .name = NAME, .type = ATTR_FLOAT, .count = 1, .f = V }
#define ATTR_IS(NAME, LIST, N) \
  { .name = NAME, .type = ATTR_INTS, .count = N, .ints = LIST }
#define ATTR_S(NAME, TEXT)                                                        \
  {                                                                               \
    .name = NAME, .type = ATTR_STRING, .count = 1, .s = { TEXT, sizeof TEXT - 1 } \
  }

/* Runs operator `op` of ai.onnx on its inputs (NULL: left out) and gives out[n_out]: all NULL after a failure. */
void steps_calls(steps *s, const char *op, int version, const attr *attrs, const value *const *in, int n_in,
                 const value **out, int n_out);
/* The same for its first output alone, or NULL. */
const value *steps_call(steps *s, const char *op, int version, const attr *attrs, const value *const *in, int n_in);
#define STEP(s, op, version, attrs, ...)                                 \
  steps_call(s, op, version, attrs, (const value *const[]){__VA_ARGS__}, \
             (int)(sizeof((const value *const[]){__VA_ARGS__}) / sizeof(const value *)))

/* The node's input i, or NULL. */
static inline const value *steps_in(const steps *s, int i) { return op_has(s->c, i) ? s->c->in[i] : NULL; }
/* A scalar of a real dtype. */
const value *steps_scalar(steps *s, ledge_dtype dtype, double v);
/* An empty value of that shape; with memory, zeroed, in run (then *data is set, else NULL). */
const value *steps_make(steps *s, ledge_dtype dtype, int rank, const int64_t *dims, void **data);
/* Another name for v's elements under another shape of as many elements. */
const value *steps_reshape(steps *s, const value *v, int rank, const int64_t *dims);
/* v as float32 where it is float16 or bfloat16. */
const value *steps_wide(steps *s, const value *v);
/* v becomes output i, as `dtype` (NONE: as it is). */
void steps_out(steps *s, int i, const value *v, ledge_dtype dtype);
/* Fails unless input i is there: for those that stand behind optional ones (the framework sees to the first min_in). */
void steps_need(steps *s, int i);
/* Fails the body. */
void steps_fail(steps *s, ledge_status status);
/* The rank of v, 0 after a failure. */
static inline int steps_rank(const value *v) { return v ? v->tensor.rank : 0; }

ledge_status steps_do(op_ctx *c, bool run, void (*body)(steps *s));
#define STEPS_ROW(NAME)                                                            \
  static ledge_status NAME##_infer(op_ctx *c) { return steps_do(c, false, NAME); } \
  static ledge_status NAME##_run(op_ctx *c) { return steps_do(c, true, NAME); }

/* Calls side `run` or infer of ai.onnx's `op` with c's own inputs and outputs: for operators that are the same by
 * another name. */
ledge_status steps_alias(op_ctx *c, bool run, const char *op, int version, const attr *attrs);

#endif
