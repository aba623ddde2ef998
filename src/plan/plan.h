/* plan/plan: a graph, for inputs of known dtypes and shapes, made into a flat list of steps over one arena.
 *
 *   graph + input shapes
 *     -> every value's dtype and shape (infer), its contents where shapes and constants tell them (fold)
 *     -> a kernel for each remaining node (backend)
 *     -> lifetimes -> offsets in one arena
 *     -> steps
 *
 * What only the data tell (NonZero, sequences, what comes after them) is dynamic: such a step infers and allocates just
 * before it runs, from the session's pool.
 *
 *   arena   |  a  |   b    |c|          offsets planned so that values alive at once do not overlap;
 *           |     d     |  e   |        plan.arena_bytes is the exact peak
 *
 * A plan is used by one run at a time.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "backend/backend.h"

typedef enum plan_place {
  PLAN_NOWHERE = 0, /* never computed */
  PLAN_CONSTANT,    /* contents known: the model's constant, or folded and owned by the plan */
  PLAN_INPUT,       /* given by the caller with each run */
  PLAN_ARENA,       /* at `offset` of the arena */
  PLAN_ALIAS,       /* in the memory of value `root`, whatever that is: all of it, or a window */
  PLAN_POOL,        /* shape or kind known only in the run */
} plan_place;

typedef struct plan_value {
  value v;
  plan_place place;
  value_id root;       /* PLAN_ALIAS */
  size_t at;           /* PLAN_ALIAS: bytes from the root's first */
  int64_t row, stride; /* elements: rows that stand `stride` apart; stride 0: dense */
  size_t offset, bytes;
  int first, last; /* steps between which the memory is alive */
} plan_value;

typedef struct plan_step {
  op_ctx ctx;
  op_fn run;
  const char *kernel_name; /* NULL: the reference */
  double multiply_adds;
  int node;                  /* index in the graph */
  bool dynamic;              /* infer, allocate and choose the kernel at run time */
  bool *constant;            /* by input; only for dynamic steps that may ask the backend again */
  kernel_window_fn window;   /* the kernel's; not of dynamic steps */
  const kernel_parts *parts; /* the kernel's; not of dynamic steps */
  uint64_t seen_shapes;      /* dynamic: a hash of the shapes that the kernel was prepared for; 0: none yet */
  arena kernel_arena;        /* dynamic: memory of that kernel's state */
  size_t scratch_offset, scratch_bytes;
  const value_id *release; /* PLAN_POOL values that are not read after this step */
  int n_release;
  uint64_t time_ns, runs; /* profile */
} plan_step;

typedef struct plan_options {
  int threads;
  uint32_t isa;
  weight_store *weights;
  size_t memory_limit;       /* bytes of the arena and folded constants; 0: none */
  bool reference_only;       /* no backend: every step runs its operator's reference */
  ledge_precision precision; /* F32 or BF16 */
} plan_options;

typedef struct plan {
  const graph *graph;
  arena memory;       /* of everything below */
  plan_value *values; /* graph->n_values */
  plan_step *steps;
  int n_steps;
  uint8_t *arena; /* made by plan_create */
  size_t arena_bytes;
  size_t folded_bytes;
  weight_store *weights; /* packings of folded constants, NULL while there are none */
  double multiply_adds;
  int n_dynamic; /* dynamic steps */
  /* What it was made for: kinds, dtypes and dims of inputs, then captures. */
  value *key;
  int n_key;
  uint64_t used; /* for the least recently used */
} plan;

/* `inputs` (n_inputs of the graph) and `captures` (n_captures) say kind, dtype and shape; NULL entries of inputs take
 * the constant of that name. For captures, data of constants of the enclosing graphs are found through the graph
 * itself. */
ledge_status plan_create(const graph *g, const value *const *inputs, const value *const *captures,
                         const plan_options *options, plan **ret, ledge_error *error);
void plan_destroy(plan *p);
/* Was p made for these? */
bool plan_fits(const plan *p, const value *const *inputs, const value *const *captures);
/* Asks the backend for a kernel for a dynamic step whose inputs' and outputs' shapes are set now. */
ledge_status plan_prepare_dynamic(plan *p, plan_step *s, const plan_options *options, ledge_error *error);

/* plan/align.c: constants of a mapped file that stand at no multiple of their elements' size. Inputs of such get an
 * aligned copy of the store's, unless a kernel takes them as they are; what is changed of ctx lives in p->memory. */
/* s->ctx's kernel, or none where the backend declines or must not be asked: *ret is zeroed then. `state`: the memory of
 * the kernel. */
ledge_status plan_prepare_step(plan *p, plan_step *s, const plan_options *options, weight_store *weights, arena *state,
                               kernel *ret, ledge_error *error);
/* The inputs that no kernel of the backend takes unaligned, before a dynamic step's first run. */
ledge_status plan_align_step(plan *p, plan_step *s, const plan_options *options, weight_store *weights,
                             ledge_error *error);
/* Constants that others read: graph outputs, and what subgraphs capture without knowing it for a constant. */
ledge_status plan_align_shared(plan *p, weight_store *weights, ledge_error *error);

/* plan/window.c: parts of a Concat, Split or Slice come to stand in the whole's memory where the kernels on both sides
 * can read and write them there; a step of which nothing is left goes. Before lifetimes are known. */
ledge_status plan_windows(plan *p, ledge_error *error);
/* The value in whose memory v stands: not an alias; *ret_at: bytes from its first. */
value_id plan_root(plan *p, value_id v, size_t *ret_at);

/* plan/memory.c: lifetimes are set; gives each PLAN_ARENA value and each step's scratch an offset. */
typedef struct memory_block {
  size_t bytes, offset;
  int first, last;
} memory_block;
/* Greedy by size (Pisarchyk and Lee, arXiv 2001.03288); returns the peak, SIZE_MAX where it passes the
 * address space. `order` is scratch of 2 n. */
size_t memory_plan(memory_block *blocks, int n, int *order);

#endif
