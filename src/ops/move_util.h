/* ops/move_util: moving elements of any dtype, for the operators that compute nothing: whole elements by their size,
 * strings by copy into the output's own storage, packed 4- and 2-bit elements one by one where they do not fill bytes.
 *
 * Positions and strides count elements. Nothing here checks bounds: callers do. Source and destination do not overlap.
 */
#ifndef OPS_MOVE_UTIL_H
#define OPS_MOVE_UTIL_H

#include "ops/op.h"

enum { MOVE_RANK_MAX = 2 * LEDGE_MAX_RANK };

/* Element (i_0, ...) of a view lies at offset + sum i_k * strides[k]; strides may be 0 or negative. */
typedef struct move_view {
  int64_t offset;
  int64_t strides[MOVE_RANK_MAX];
} move_view;

/* The row-major view of dims[rank]. */
move_view move_view_of(int rank, const int64_t *dims);

/* n elements of src from si on to dst from di on. The dtypes are equal. Errors: MEMORY, for strings. */
ledge_status move_run(op_ctx *c, tensor *dst, int64_t di, const tensor *src, int64_t si, int64_t n);
/* n elements of dst from di on become element si of src. */
ledge_status move_fill(op_ctx *c, tensor *dst, int64_t di, int64_t n, const tensor *src, int64_t si);
/* n elements of dst from di on become zero, false or "". */
ledge_status move_zero(op_ctx *c, tensor *dst, int64_t di, int64_t n);
/* Every element of a block dims[rank], rank <= MOVE_RANK_MAX, from one view to another. */
ledge_status move_strided(op_ctx *c, int rank, const int64_t *dims, tensor *dst, const move_view *to, const tensor *src,
                          const move_view *from);
/* n elements, one by one: dst[di + k] = src[at[k]], and dst[at[k]] = src[si + k]. */
ledge_status move_pick(op_ctx *c, tensor *dst, int64_t di, const tensor *src, const int64_t *at, int64_t n);
ledge_status move_put(op_ctx *c, tensor *dst, const int64_t *at, const tensor *src, int64_t si, int64_t n);
/* dst takes all of src's elements, unless it has src's memory. */
ledge_status move_all(op_ctx *c, tensor *dst, const tensor *src);

/* ---- small things that these operators share ---- */

/* Fails unless inputs `a` and `b` have one dtype. */
ledge_status move_same_dtype(op_ctx *c, int a, int b);
/* The one element of input i, of any real dtype, as an integer. Its contents must be known. */
ledge_status move_scalar(op_ctx *c, int i, int64_t *ret);
/* Fails unless out i has exactly this shape: guards a run against contents that changed since infer saw them. */
ledge_status move_expect(op_ctx *c, int i, int rank, const int64_t *dims);
/* Reads a list of axes of a tensor of `rank` into axes[LEDGE_MAX_RANK], each in [0, rank), none twice. */
ledge_status move_axes(op_ctx *c, const int64_t *given, int n, int rank, int *axes);
/* Index k of an i32 or i64 tensor, brought from [-limit, limit) to [0, limit). */
ledge_status move_index(op_ctx *c, const tensor *indices, int64_t k, int64_t limit, int64_t *ret);
/* Fails unless input i holds i32 or i64. */
ledge_status move_index_dtype(op_ctx *c, int i);

#endif
