/* kernels/copy: moves elements of 1, 2, 4, 8 or 16 bytes between strided blocks: the engine of Transpose, Slice,
 * Concat, Split, Pad, Expand, Tile and the layout changes.
 *
 * copy_strided drops dims of one, sorts the rest by the destination's strides and merges what is contiguous on both
 * sides; what is left is whole rows (memcpy), two-dimensional transposes (register tiles) or single elements.
 * Aliasing: src and dst must not overlap. */
#ifndef KERNELS_COPY_H
#define KERNELS_COPY_H

#include "base/pool.h"
#include "kernels/variant.h"

/* dst[j * dst_row + i] = src[i * src_row + j] for i < rows, j < cols: strides in elements. */
typedef void (*copy_transpose_fn)(int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst,
                                  int64_t dst_row);
/* dst[2 * i] = a[i], dst[2 * i + 1] = b[i] for i < n: elements of 4 bytes at any address. */
typedef void (*copy_interleave_fn)(int64_t n, const void *a, const void *b, void *dst);
typedef struct copy_kernels {
  copy_transpose_fn transpose_1, transpose_2, transpose_4, transpose_8; /* by bytes of an element */
  copy_interleave_fn interleave_4;
} copy_kernels;
KERNEL_VARIANTS_DECLARE(copy);
extern const copy_kernels copy__ref;

/* One matrix; element_bytes is 1, 2, 4, 8 or 16. */
void copy_transpose_2d(size_t element_bytes, int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst,
                       int64_t dst_row, pool *p);
/* dst[sum i_k dst_strides[k]] = src[sum i_k src_strides[k]] over dims[rank]; strides in elements, of any sign; a source
 * stride of 0 repeats. rank <= 16. */
void copy_strided(size_t element_bytes, int rank, const int64_t *dims, const void *src, const int64_t *src_strides,
                  void *dst, const int64_t *dst_strides, pool *p);
/* Contiguous src of shape dims[rank] to contiguous dst of shape dims[perm[0]], dims[perm[1]], ... */
void copy_permute(size_t element_bytes, int rank, const int64_t *dims, const int *perm, const void *src, void *dst,
                  pool *p);
/* Rows of `groups` sources, interleaved: dst[r * dst_row + i * groups + k] = src[k][r * src_row[k] + i] for r < rows,
 * i < n; strides in elements. */
void copy_interleave(size_t element_bytes, int groups, int64_t rows, int64_t n, const void *const *src,
                     const int64_t *src_row, void *dst, int64_t dst_row, pool *p);
/* [n, c, hw] <-> [n, hw, c] of 4-byte elements. */
void copy_nchw_to_nhwc_f32(int64_t n, int64_t c, int64_t hw, const float *src, float *dst, pool *p);
void copy_nhwc_to_nchw_f32(int64_t n, int64_t c, int64_t hw, const float *src, float *dst, pool *p);
/* Every element of a strided block becomes *value. */
void copy_fill_strided(size_t element_bytes, int rank, const int64_t *dims, const void *value, void *dst,
                       const int64_t *dst_strides, pool *p);

#endif
