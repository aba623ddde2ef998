/* tensor/tensor: what flows along the edges of a graph.
 *
 *   value    none | tensor | sequence | map      (an optional is the thing itself, or none)
 *   tensor   dtype, dims, and a pointer to contiguous row-major elements
 *   storage  what keeps the elements alive: refcounted, or NULL where the memory is borrowed (a planned arena, a mapped
 *            file or the caller's own buffer) and its owner outlives the tensor
 *
 * Floats of a constant in a mapped file stand where the file has them, maybe at no multiple of their size
 * (tensor_is_aligned); everything else is aligned.
 *
 * A tensor whose `data` is NULL has a shape and no contents (during inference), or no elements at all.
 * Strings: the elements are ledge_string; their bytes belong to the same storage (storage_strings).
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "base/arena.h"
#include "base/mem.h"
#include "ledge/types.h"
#include "tensor/dtype.h"

#include <stdatomic.h>

typedef struct storage storage;
struct storage {
  atomic_int refs;
  void *data;
  size_t bytes;
  void (*release)(storage *s); /* frees data and the storage itself; called when refs falls to 0 */
  void *owner;                 /* for release */
  arena strings;               /* the bytes of string elements */
};

/* A block of the heap, 64-byte aligned, uninitialised; refs = 1. NULL when out of memory. */
storage *storage_create(size_t bytes);
storage *storage_ref(storage *s); /* NULL passes */
void storage_unref(storage *s);   /* NULL passes */

typedef struct tensor {
  ledge_dtype dtype;
  int32_t rank;
  int64_t dims[LEDGE_MAX_RANK];
  void *data;
  storage *own; /* one reference held, or NULL where borrowed */
} tensor;

/* Elements; -1 when a dim is negative or the product overflows int64. A rank of 0 has one. */
int64_t shape_elements(int rank, const int64_t *dims);
bool shape_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b);
/* Row-major strides in elements. */
void shape_strides(int rank, const int64_t *dims, int64_t *strides);
/* Numpy's broadcast of two shapes into dims[LEDGE_MAX_RANK]; the rank, or -1 where they do not fit. */
int shape_broadcast(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int64_t *dims);
/* "[2x3x4]" into text; always terminated. Returns text. */
char *shape_print(int rank, const int64_t *dims, char *text, size_t size);

static inline int64_t tensor_elements(const tensor *t) { return shape_elements(t->rank, t->dims); }
/* Do its elements stand where loads of their type may read them? (True where there are none.) */
bool tensor_is_aligned(const tensor *t);
size_t tensor_bytes(const tensor *t); /* of its elements; SIZE_MAX when that overflows */
static inline bool tensor_same_shape(const tensor *a, const tensor *b) {
  return shape_equal(a->rank, a->dims, b->rank, b->dims);
}
/* Product of dims [from, to). */
int64_t tensor_span(const tensor *t, int from, int to);
void tensor_set_shape(tensor *t, ledge_dtype dtype, int rank, const int64_t *dims); /* leaves data alone */
/* Gives t a new storage for its dtype and dims (zeroed where strings). Any old storage is released. */
ledge_status tensor_alloc(tensor *t, ledge_error *error);
/* Releases what it owns and zeroes it. */
void tensor_deinit(tensor *t);
/* dst becomes another name for src's elements: shares the storage where there is one, else borrows. */
void tensor_share(tensor *dst, const tensor *src);
/* dst becomes an owned copy. */
ledge_status tensor_copy(tensor *dst, const tensor *src, ledge_error *error);
/* Copies src's elements into dst's existing memory of the same dtype and count; strings are duplicated into dst->own.
 */
ledge_status tensor_copy_data(tensor *dst, const tensor *src, ledge_error *error);
/* Stores a copy of (text, size) as string element i of a tensor that owns its storage. */
ledge_status tensor_put_string(tensor *t, int64_t i, const char *text, size_t size, ledge_error *error);
/* Element i as int64/double, any real dtype. */
static inline int64_t tensor_i64(const tensor *t, int64_t i) { return dtype_load_i64(t->dtype, t->data, i); }
static inline double tensor_f64(const tensor *t, int64_t i) { return dtype_load_f64(t->dtype, t->data, i); }

typedef enum value_kind {
  VALUE_NONE = 0, /* an absent optional */
  VALUE_TENSOR,
  VALUE_SEQUENCE,
  VALUE_MAP, /* keys: a tensor of i64 or strings; values: a tensor of as many elements */
} value_kind;

typedef struct value value;
typedef struct sequence {
  atomic_int refs;
  int64_t count;
  ledge_dtype dtype; /* of its tensors; LEDGE_DTYPE_NONE where unknown */
  value *items;
} sequence;

struct value {
  value_kind kind;
  tensor tensor;  /* VALUE_TENSOR; a map's values */
  tensor keys;    /* VALUE_MAP */
  sequence *list; /* VALUE_SEQUENCE, one reference */
};

void value_deinit(value *v);
/* dst (deinited or zero) becomes an owned equal of src: shares refcounted storage, copies borrowed memory. */
ledge_status value_keep(value *dst, const value *src, ledge_error *error);
/* dst becomes another name for src: shares or borrows, never copies elements. */
void value_share(value *dst, const value *src);
/* A new sequence of `count` empty values, refs = 1, or NULL. Items are filled by the caller before it is shared. */
sequence *sequence_create(int64_t count, ledge_dtype dtype);
sequence *sequence_ref(sequence *s);
void sequence_unref(sequence *s);

#endif
