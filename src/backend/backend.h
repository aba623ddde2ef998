/* backend/backend: from a node and its shapes to a kernel that runs it.
 *
 * A backend looks at a node whose inputs' and outputs' dtypes and shapes are known (and the contents of its constant
 * inputs), and either prepares a kernel (a run function, its state, the scratch memory it wants) or declines, and the
 * operator's reference runs. cpu/ is the only backend yet.
 *
 * Weights are packed once a model, not once a session or shape: the store keeps what was made of a constant under the
 * constant's address, the packing's name and its parameters. A model read from a file has its packings in the cache
 * too (backend/cache.h), from where they are mapped when it is opened again.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "base/map.h"
#include "ops/op.h"

typedef struct weight_store weight_store;
struct tuner; /* backend/tune.h */
/* Fills dst[bytes] (zeroed, 64-byte aligned) from the constant, which may stand at any address. */
typedef void (*weight_pack_fn)(const void *arg, void *dst);

weight_store *weight_store_create(void); /* refs = 1; NULL when out of memory */
weight_store *weight_store_ref(weight_store *s);
void weight_store_unref(weight_store *s);
size_t weight_store_bytes(weight_store *s);
size_t weight_store_mapped_bytes(weight_store *s); /* of them, those that lie in the cache's file */

enum { WEIGHT_PARAMS_MAX = 16, WEIGHT_WITH_MAX = 3 };

/* What is made of a constant. Two packings of it are the same if all of this but pack and arg is: so it says whatever
 * pack's result hangs on, in values that mean the same in another process (addresses belong into variant and with). */
typedef struct weight_packing {
  const char *kind; /* static storage */
  const int64_t *params;
  int n_params;
  const void *variant;                 /* the kernel's row in a static table; NULL: pack knows but one */
  const tensor *with[WEIGHT_WITH_MAX]; /* other constants that go into it; NULL: none */
  size_t bytes;
  weight_pack_fn pack;
  const void *arg;
  bool dear; /* was long in making: goes into the cache's file however few its bytes are */
} weight_packing;

/* The packing of the constant data[bytes]: made by p->pack(p->arg, dst) on the first call, the same memory afterwards.
 * Any thread. The memory is the store's, and is read only. */
ledge_status weight_store_get(weight_store *s, const void *data, size_t bytes, const weight_packing *p,
                              const void **ret, ledge_error *error);
/* weight_store_get for the elements of a constant tensor, which is hardly read again once it is packed: the pages of a
 * mapped file that it stands in are given back to the system, which reads them anew if they are. */
ledge_status weight_store_pack(weight_store *s, const tensor *t, const weight_packing *p, const void **ret,
                               ledge_error *error);
/* t's elements where loads of their type may read them: t->data itself, or a copy that the store keeps as it does a
 * packing. */
ledge_status weight_store_aligned(weight_store *s, const tensor *t, void **ret, ledge_error *error);

/* From now on packings come from the cache where it has them, if these files, in which the model's constants lie, may
 * be cached (else nothing changes). `path`: the model's, for lists. Before the first packing. */
void weight_store_set_cache(weight_store *s, file_map *const *files, int n_files, const char *path);
/* From now on kernels may be timed for it, until the first plan is made (backend/tune.h). The tuner (or NULL) becomes
 * the store's. */
void weight_store_set_tuner(weight_store *s, struct tuner *t);
struct tuner *weight_store_tuner(const weight_store *s); /* or NULL */
/* After a plan: the first time, a thread begins to write to the cache what was packed and is not in it. What is packed
 * later is written when the store goes, which waits for the thread. Whatever fails there leaves the cache as it was. */
void weight_store_save(weight_store *s);
/* LEDGE_ERROR_CHANGED where the cache's file was cut short after packings were taken from it. */
ledge_status weight_store_check(const weight_store *s, ledge_error *error);

/* An operand is input i (0 or more) or output i (~i). It may stand as a *window* in wider memory: its rows of `row`
 * elements, each a run of its last dims, are `stride` elements apart instead of one after another. */
typedef bool (*kernel_window_fn)(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes);

/* A kernel that does nothing but to put parts together (Concat), or to take them apart (Split, Slice): rows of the
 * whole and of the parts, side by side. Where the plan lets a part stand in the whole's memory, nothing is left to do
 * for it. */
typedef struct kernel_parts {
  int whole; /* operand: ~0, and the parts are inputs; or 0, and they are outputs */
  int n;     /* parts */
  int64_t rows, row;
  const int64_t *at, *width; /* by part: where its row begins in the whole's row, and its length; elements */
} kernel_parts;

typedef struct kernel {
  op_fn run;            /* NULL: declined, the reference runs */
  void *state;          /* becomes op_ctx.kernel; lives in kernel_request.arena or the weight store */
  size_t scratch_bytes; /* becomes op_ctx.scratch, 64-byte aligned, contents undefined */
  const char *name;     /* for profiles: "gemm_f32 avx512 14x32"; static storage */
  double multiply_adds; /* of one run; 0 where it does not count */
  uint32_t any_address; /* bits of the inputs that run reads at any address, or does not read: see below */
  /* Asked after the kernel was prepared, for one operand at a time: true where run takes it as such a window from now
   * on (row == stride: dense again, which is always possible), false where it cannot and nothing is changed. stride 0:
   * run is to leave this part alone. May ask for more scratch. NULL: all operands are dense. */
  kernel_window_fn window;
  const kernel_parts *parts; /* or NULL */
} kernel;

typedef struct kernel_request {
  op_ctx *ctx;          /* the node, its inputs and outputs: shapes set; data of an input set only where `constant` */
  const bool *constant; /* by input: contents known and the same in every run */
  int threads;
  arena *arena; /* for the state: lives as long as the kernel */
  weight_store *weights;
  uint32_t isa;              /* bits of cpu_isa that may be used */
  ledge_precision precision; /* of factors of products: F32, or BF16 */
} kernel_request;

/* Bits of the inputs of which a kernel of this backend takes a constant at any address: its preparation packs it, or it
 * is copied by the byte. The others must be aligned when backend_cpu_prepare is called; and so must these, in a second
 * call, where the kernel does not say in any_address that it does without. */
uint32_t backend_cpu_any_address(const node *n);
/* Never fails for a node that it does not know: that is a decline. */
ledge_status backend_cpu_prepare(const kernel_request *r, kernel *ret, ledge_error *error);

#endif
